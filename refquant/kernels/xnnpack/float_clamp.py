"""The activation that XNNPACK applies to the float32 output of an operator: bounds, and for NONE no bounds."""

from __future__ import annotations

import numpy as np

from refquant.kernels.registry import Array, Operator
from refquant.numerics.flushed import flush
from refquant.numerics.selection import limited
from refquant.tflite.schema import ActivationFunctionType

_RANGES: dict[int, tuple[float, float]] = {
    ActivationFunctionType.RELU: (0.0, np.inf),
    ActivationFunctionType.RELU6: (0.0, 6.0),
    ActivationFunctionType.RELU_N1_TO_1: (-1.0, 1.0),
}
NO_RANGE = (-np.inf, np.inf)


def float_range(activation: int) -> tuple[float, float]:
    """The bounds of an activation."""
    return _RANGES.get(activation, NO_RANGE)


def range_of(op: Operator) -> tuple[float, float]:
    """The bounds of the activation in the options of an operator; without options there is none."""
    return NO_RANGE if op.options is None else float_range(op.options.fused_activation_function)


def clamp(x: Array, bounds: tuple[float, float]) -> Array:
    """min(max(low, x), high) with x the second operand: NaN and -0 stay. Of x subnormal numbers are zeros.

    Source: f32-vclamp/avx512f.c.in, and the end of the other kernels for AVX-512F.
    """
    return x if bounds == NO_RANGE else limited(flush(x), *bounds)
