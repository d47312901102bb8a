"""The last step of a quantized operator on sums of products: from the accumulator to the output.

    y = clamp(zero_point + round(accumulator * input_scale * filter_scale / output_scale))

How it rounds is in `profiles`; which precision the product of the scales has depends on the operator and is the
caller's matter.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from refquant.kernels import profiles
from refquant.kernels.fused_activation import clamp, quantized_range
from refquant.kernels.registry import Array, Operator, TensorInfo
from refquant.numerics.fixed_point import multiplier_for


def check_scales(op: Operator, tensor: TensorInfo) -> None:
    """Raises InvalidModelError unless `tensor` is quantized and all its scales are finite and above zero."""
    if not tensor.is_quantized:
        raise op.invalid(f"tensor {tensor.index} ({tensor.name!r}) of type {tensor.type.name} has no scale")
    if not np.all(np.isfinite(tensor.scales) & (tensor.scales > 0)):
        raise op.invalid(f"tensor {tensor.index} ({tensor.name!r}) has a scale that is not a finite number above 0")


def output_stage(
    op: Operator, real: npt.ArrayLike, output: TensorInfo, activation: int, bits: int = 32
) -> Callable[[Array], Array]:
    """The function from accumulators (bias included, channels last, integers of `bits`) to the output's integers.

    `real` is the float64 multiplier, or an array of one for each channel.
    """
    rule = profiles.rounding(op, bits)
    multiplier, shift = multiplier_for(rule, real)
    low, high = quantized_range(op, activation, output)
    zero_point = np.int32(output.zero_point)

    def finish(accumulator: Array) -> Array:
        if op.observer is not None:
            op.observe(accumulator=accumulator, multiplier=multiplier, shift=shift, rounding=rule.__name__)
        return clamp(rule(accumulator, multiplier, shift) + zero_point, low, high, output.dtype)

    return finish
