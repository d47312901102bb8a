"""FAKE_QUANT: floats rounded to what a quantized tensor of so many bits could hold."""

from __future__ import annotations

import numpy as np

from refquant.kernels.registry import Array, Operator, Run, kernel
from refquant.numerics.lookup import round_half_away
from refquant.tflite.schema import FakeQuantOptions, TensorType

_f = np.float32


@kernel(
    "FAKE_QUANT",
    flaw="tensorflow 2.21.0 reads tensors of other types as float32, beyond their end; refquant refuses them",
)
def fake_quant(op: Operator) -> Run:
    """round((clamp(x, low, high) - low) / scale) * scale + low, in float32, halves away from zero.

    The scale cuts [min, max] into 2**num_bits - 1 steps; low and high are min and max moved by less than a step, so
    that zero is one of the steps. Sources: kernels/fake_quant.cc, NudgeQuantizationRange in
    kernels/internal/quantization_util.cc.
    """
    x, out = op.input(0), op.output()
    out.take_type(x.type)
    if x.type != TensorType.FLOAT32:
        raise op.unsupported()
    options = op.options or FakeQuantOptions()
    if options.narrow_range:
        raise op.unsupported("the narrow range is for weights and has no kernel")
    out.shape = x.dims
    steps = 2 ** (options.num_bits & 31) - 1
    minimum, maximum = _f(options.min), _f(options.max)
    scale = (maximum - minimum) / _f(steps)
    zero_point = _zero_point(-minimum / scale, steps)
    low, high = -zero_point * scale, (_f(steps) - zero_point) * scale
    inverse = _f(1) / scale

    def run(x: Array) -> Array:
        clamped = np.where(low < x, x, low)  # as C++ compares, so NaN becomes the lowest
        clamped = np.where(clamped < high, clamped, high)
        return round_half_away((clamped - low) * inverse) * scale + low

    return run


def _zero_point(real: np.float32, steps: int) -> np.float32:
    """The step that stands for zero, limited to the steps there are; the kernel keeps its low 16 bits."""
    if real < 0:
        nearest = 0
    elif real > _f(steps):
        nearest = steps
    else:
        nearest = 0 if np.isnan(real) else int(round_half_away(real))
    return _f(nearest & 0xFFFF)
