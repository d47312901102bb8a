"""The activation that an operator applies to its own output: a range to clamp to.

Source: CalculateActivationRange in kernels/kernel_util.h and CalculateActivationRangeQuantized in kernel_util.cc. Both
clamp nothing for activations other than the four that are ranges (TANH, SIGN_BIT).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from refquant.kernels.registry import Array, Operator, TensorInfo
from refquant.numerics import eigen
from refquant.numerics.selection import limited
from refquant.numerics.steps import is_heard, noted
from refquant.tflite.schema import ActivationFunctionType

Floats = npt.NDArray[np.float32]

_LARGEST = float(np.finfo(np.float32).max)
_RANGES: dict[int, tuple[float, float]] = {
    ActivationFunctionType.RELU: (0.0, _LARGEST),
    ActivationFunctionType.RELU6: (0.0, 6.0),
    ActivationFunctionType.RELU_N1_TO_1: (-1.0, 1.0),
}


def float_range(activation: int) -> tuple[float, float]:
    """The bounds of the activation."""
    return _RANGES.get(activation, (-_LARGEST, _LARGEST))


def clamp_float(x: Floats, activation: int, out: Floats | None = None) -> Floats:
    """min(max(x, low), high) as C++ has it: NaN and -0.0 stay, an infinity becomes the largest number.

    Where there is an array `out` it is filled; it may be x.
    """
    return limited(x, *float_range(activation), out)


def clamp_float_or_nan(x: Floats, activation: int) -> Floats:
    """As `clamp_float`, but NaN ends as the upper bound, and -0.0 as a lower bound of 0."""
    low, high = float_range(activation)
    result = np.maximum(np.fmin(x, np.float32(high)), np.float32(low))
    return result + np.float32(0) if low == 0 else result  # of two zeros np.maximum takes either


def clamp_float_or_low(x: Floats, activation: int) -> Floats:
    """As `clamp_float`, but NaN ends as the lower bound, and -0.0 as a lower bound of 0."""
    low, high = (np.float32(bound) for bound in float_range(activation))
    return np.minimum(np.where(x > low, x, low), high)


def activation_of_vector(activation: int) -> Callable[[Floats], Floats]:
    """The activation of kernels that apply it to a whole vector of float32: hybrid FULLY_CONNECTED, SVDF, LSTM.

    Here NONE, like a number that is no activation, clamps nothing, and the lower bound takes the place of NaN and of
    -0.0. Source: ApplyActivationToVector in kernels/internal/tensor_utils.h.
    """
    if activation == ActivationFunctionType.SIGN_BIT:
        return lambda x: np.signbit(x).astype(np.float32)
    if activation == ActivationFunctionType.TANH:
        return eigen.tanh
    if activation not in _RANGES:
        return lambda x: x
    low, high = (np.float32(bound) for bound in _RANGES[activation])
    if activation == ActivationFunctionType.RELU:
        return lambda x: np.where(x > low, x, low)

    def clamp_both(x: Floats) -> Floats:
        x = np.where(x > high, high, x)
        return np.where(x > low, x, low)

    return clamp_both


def clamp_integer(x: Array, activation: int) -> Array:
    """Integers that stand for themselves, limited by the activation; in an unsigned type a bound of -1 wraps."""
    if activation not in _RANGES:
        return x
    low, high = _RANGES[activation]
    highest = np.iinfo(x.dtype).max if high == _LARGEST else int(high)
    limited: Array = np.minimum(np.maximum(x, np.array(int(low)).astype(x.dtype)), np.array(highest, x.dtype))
    return limited


def quantized_range(op: Operator, activation: int, output: TensorInfo) -> tuple[int, int]:
    """The lowest and highest integer that the activation leaves in `output`.

    Raises InvalidModelError when a bound of the activation is beyond int32 at the scale of `output`.
    """
    limits = np.iinfo(output.dtype)
    lowest, highest = int(limits.min), int(limits.max)
    if activation not in _RANGES:
        return lowest, highest
    low, high = _RANGES[activation]
    lowest = max(lowest, _quantize(op, low, output))
    if high != _LARGEST:
        highest = min(highest, _quantize(op, high, output))
    return lowest, highest


def _quantize(op: Operator, real: float, output: TensorInfo) -> int:
    """The integer of `real`: divided by the scale in float32, rounded with halves away from zero."""
    quotient = np.float32(real) / output.scale
    if not abs(quotient) <= 2.0**31:
        raise op.invalid(f"{real} is beyond int32 at the output's scale of {output.scale}")
    return output.zero_point + int(np.trunc(quotient + np.copysign(np.float64(0.5), quotient)))


def clamp(x: Array, low: int, high: int, dtype: np.dtype[np.generic]) -> Array:
    """Integers limited to low..high, in `dtype`: first from below, then from above."""
    limited = np.minimum(np.maximum(x, low), high).astype(dtype)
    return noted(f"limited to {low} … {high}", limited) if is_heard() else limited
