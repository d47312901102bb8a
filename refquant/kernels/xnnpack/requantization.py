"""The last step of XNNPACK's sums of products of 8-bit numbers: from the accumulator to the output.

    y = max(low, min(high, zero_point + round(float32(accumulator) * scale)))
    scale = x_scale * w_scale / y_scale,  all in float32, halves to even

Sources, below XNNPACK's src: operators/convolution-nhwc.c, operators/fully-connected-nc.c, xnnpack/requantization.h.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from refquant.kernels import profiles
from refquant.kernels.registry import Operator, TensorInfo
from refquant.kernels.requantization import OutputStage
from refquant.numerics.quick_rounding import Range
from refquant.tflite.schema import ActivationFunctionType

_SMALLEST_NORMAL = np.finfo(np.float32).tiny
_TOO_LARGE = 256
_INFINITY = math.inf

#: activations as the numbers between which they leave the output
RANGES: dict[int, tuple[float, float]] = {
    ActivationFunctionType.NONE: (-_INFINITY, _INFINITY),
    ActivationFunctionType.RELU: (0.0, _INFINITY),
    ActivationFunctionType.RELU6: (0.0, 6.0),
    ActivationFunctionType.RELU_N1_TO_1: (-1.0, 1.0),
}


def check_quantized(op: Operator, *tensors: TensorInfo) -> None:
    """Raises InvalidModelError where XNNPACK refuses a scale or zero point: TensorFlow cannot allocate tensors then."""
    for tensor in tensors:
        scales, limits = tensor.scales, np.iinfo(tensor.dtype)
        if scales.size == 0 or not np.all((scales >= _SMALLEST_NORMAL) & np.isfinite(scales)):
            raise op.invalid(f"XNNPACK refuses {tensor.place}, whose scales are {scales}")
        if not np.all((tensor.zero_points >= limits.min) & (tensor.zero_points <= limits.max)):
            raise op.invalid(f"XNNPACK refuses {tensor.place}, whose zero points are {tensor.zero_points}")


def activation_range(activation: int, y: TensorInfo) -> tuple[int, int]:
    """The lowest and highest integer that an activation leaves in y."""
    limits = np.iinfo(y.dtype)
    low, high = (np.float32(bound) / y.scale + np.float32(y.zero_point) for bound in RANGES[activation])
    lowest, highest = (int(np.rint(np.clip(bound, limits.min, limits.max))) for bound in (low, high))
    return lowest, highest


def output_stage(op: Operator, factors: Sequence[TensorInfo], y: TensorInfo, activation: int) -> OutputStage:
    """What finishes sums of products of two tensors, the second with one scale or one for each output.

    Raises InvalidModelError where the scale is 256 or more, which XNNPACK refuses.
    """
    x, w = factors
    check_quantized(op, x, w, y)
    with np.errstate(over="ignore"):
        scale = x.scale * w.scales / y.scale
    if np.any(scale >= _TOO_LARGE):
        raise op.invalid(f"XNNPACK refuses to multiply sums by {scale.max()}, 256 or more")
    rule = profiles.rounding(op, type=y.type)
    return OutputStage(op, rule, scale, y, Range(y.zero_point, *activation_range(activation, y)), 32)
