"""The last step of a quantized operator on sums of products: from the accumulator to the output.

    y = clamp(zero_point + round(accumulator * input_scale * filter_scale / output_scale))

How it rounds is in `profiles`; which precision the product of the scales has depends on the operator and is the
caller's matter.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from refquant.kernels import profiles
from refquant.kernels.fused_activation import clamp, quantized_range
from refquant.kernels.products import BLOCK
from refquant.kernels.registry import Array, Operator, TensorInfo
from refquant.numerics.fixed_point import Requantize, double_rounding, double_rounding_in_float64, multiplier_for

_QUICK = 2**22  # below this, double rounding is exact in float64


class OutputStage(Protocol):
    """From sums of products [..., channels], and biases if there are any, to the integers of the output."""

    def __call__(self, sums: Array, bias: Array | None = None) -> Array:
        """The output's integers, of the shape of `sums`."""


def check_scales(op: Operator, *tensors: TensorInfo) -> None:
    """Raises InvalidModelError unless the tensors are quantized by finite scales, the last, the output, above zero."""
    for tensor in tensors:
        if not tensor.is_quantized:
            raise op.invalid(f"tensor {tensor.index} ({tensor.name!r}) of type {tensor.type.name} has no scale")
        if tensor.zero_points.size != tensor.scales.size:
            raise op.invalid(
                f"tensor {tensor.index} ({tensor.name!r}) has {tensor.scales.size} scales, "
                f"but {tensor.zero_points.size} zero points"
            )
        usable = np.isfinite(tensor.scales) & ((tensor.scales > 0) if tensor is tensors[-1] else (tensor.scales >= 0))
        if not np.all(usable):
            raise op.invalid(f"tensor {tensor.index} ({tensor.name!r}) has the unusable scale {tensor.scales.min()}")


def check_bias_scale(op: Operator, x: TensorInfo, w: TensorInfo, bias: TensorInfo | None, y: TensorInfo) -> None:
    """Raises InvalidModelError where the scale of a bias is off that of the products by 0.02 output steps or more.

    A bias with many scales or none has a scale of 0. Source: GetQuantizedConvolutionMultipler in
    kernels/kernel_util.cc.
    """
    if bias is None:
        return
    products = np.float64(x.scale) * np.float64(w.scale)
    scale = np.float64(bias.scales[0]) if bias.scales.size == 1 else np.float64(0)
    if not abs(products - scale) / np.float64(y.scale) <= 0.02:
        raise op.invalid(f"the bias has a scale of {scale}, its products one of {products}")


def output_stage(
    op: Operator,
    real: npt.ArrayLike,
    output: TensorInfo,
    activation: int,
    bits: int = 32,
    rule: Requantize | None = None,
) -> OutputStage:
    """The function that finishes `op`: multiplies by `real`, rounds as the profile says, applies zero point and clamp.

    `real` is the float64 multiplier, or an array of one for each channel. The sums are whole numbers of any type. With
    the bias they make accumulators of `bits`, which wrap. `rule` is for kernels that round otherwise than the profile
    says.
    """
    rule = rule or profiles.rounding(op, bits, output.type)
    multiplier, shift = multiplier_for(rule, real)
    low, high = quantized_range(op, activation, output)
    zero_point = np.int32(output.zero_point)
    most_left = max(0, int(np.max(shift, initial=0)))
    may_be_quick = rule is double_rounding and abs(int(zero_point)) < 2**30  # the sum with it wraps beyond int32
    quick_limit = min(_QUICK, 2.0 ** (30 - most_left)) if may_be_quick else 0

    def accumulators(sums: Array, bias: Array | None) -> Array:
        total = sums.astype(np.int64)
        if bias is not None:
            total += bias
        return total.astype(np.int32) if bits == 32 else total

    def exact(sums: Array, bias: Array | None) -> Array:
        return clamp(rule(accumulators(sums, bias), multiplier, shift) + zero_point, low, high, output.dtype)

    def quick(sums: Array, bias: Array | None) -> Array:
        total = sums.astype(np.float64) if bias is None else np.add(sums, bias, dtype=np.float64)
        if max(total.max(initial=0), -total.min(initial=0)) >= quick_limit:
            return exact(sums, bias)
        double_rounding_in_float64(total, multiplier, shift)
        total += zero_point
        np.clip(total, low, high, out=total)
        return total

    def finish(sums: Array, bias: Array | None = None) -> Array:
        flat_bias = None if bias is None else bias.reshape(-1)
        if op.observer is not None:
            accumulator = accumulators(sums, flat_bias)
            op.observe(accumulator=accumulator, multiplier=multiplier, shift=shift, rounding=rule.__name__)
        channels = sums.shape[-1] if sums.ndim else 1
        rows = sums.reshape(sums.size // max(1, channels), channels)
        y = np.empty(rows.shape, output.dtype)
        step = max(1, BLOCK // max(1, channels))
        round_block = quick if quick_limit and sums.dtype.kind == "f" else exact
        for begin in range(0, len(rows), step):
            block = slice(begin, begin + step)
            np.copyto(y[block], round_block(rows[block], flat_bias), casting="unsafe")
        return y.reshape(sums.shape)

    return finish
