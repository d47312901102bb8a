"""The last step of a quantized operator on sums of products: from the accumulator to the output.

    y = clamp(zero_point + round(accumulator * input_scale * filter_scale / output_scale))

How it rounds is in `profiles`; which precision the product of the scales has depends on the operator and is the
caller's matter. An `OutputStage` knows the scales; with the biases and a bound on the sums it makes a `Finish`, which
works on blocks of sums that are in the cache.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from refquant.kernels import profiles
from refquant.kernels.fused_activation import clamp, quantized_range
from refquant.kernels.registry import Array, Operator, TensorInfo
from refquant.numerics.fixed_point import Requantize, float32_rounding, multiplier_for
from refquant.numerics.quick_rounding import Range, quick_rounding
from refquant.numerics.steps import ROUNDED, ZERO_POINT_ADDED, is_heard, listening, noted

_BLOCK = 1 << 15  # numbers that are worked on at a time, so that they stay in the cache
_LONG = 1 << 13  # numbers that are taken for one row: NumPy goes from row to row, which takes time

#: whether quick roundings are taken where they are proved; the tests do without them, too
QUICK = True


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


class OutputStage:
    """From sums of products [..., channels] to the integers of an output: made by `output_stage`."""

    def __init__(
        self, op: Operator, rule: Requantize, real: npt.ArrayLike, output: TensorInfo, range: Range, bits: int
    ):
        self.op, self.rule, self.dtype, self.range, self.bits = op, rule, output.dtype, range, bits
        self.real = np.asarray(real, np.float64)
        self.multiplier, self.shift = multiplier_for(rule, real)

    def finish(self, channels: int, offset: Array | None, bound: Array | int | None) -> Finish:
        """What finishes sums with `channels` columns, to which `offset`, one integer for each, is to be added first.

        `bound`, for each or for all, is what no sum exceeds; None where that is not known.
        """
        return Finish(self, channels, offset, bound)

    def integers(self, accumulators: Array) -> Array:
        """What becomes of accumulators [..., channels]: rounded, with the zero point, limited."""
        rounded = noted(ROUNDED, self.rule(accumulators, self.multiplier, self.shift))
        shifted = noted(ZERO_POINT_ADDED, rounded + np.int32(self.range.zero_point))
        return clamp(shifted, self.range.low, self.range.high, self.dtype)

    def __call__(self, sums: Array, bias: Array | None = None, bound: int | None = None) -> Array:
        """The output's integers, of the shape of `sums`."""
        channels = sums.shape[-1] if sums.ndim else 1
        rows = sums.reshape(sums.size // max(1, channels), channels)
        y = np.empty(rows.shape, self.dtype)
        finish = self.finish(channels, None if bias is None else bias.reshape(-1), bound)
        if self.op.observer is not None:
            finish.observe(rows)
        finish(rows, y)
        return y.reshape(sums.shape)


class Finish:
    """An output stage with its biases."""

    def __init__(self, stage: OutputStage, channels: int, offset: Array | None, bound: Array | int | None) -> None:
        self._stage, self._offset = stage, offset
        self._together = max(1, _LONG // max(1, channels))  # so many rows are taken for one
        self._quick = None
        if bound is None or stage.bits != 32:
            return
        multiplier, shift, offset, bound = (
            np.broadcast_to(n, channels)
            for n in (stage.multiplier, stage.shift, 0 if offset is None else offset, bound)
        )
        if stage.rule is float32_rounding:
            _check_fits(stage.op, multiplier, np.abs(offset.astype(np.float64)) + bound)
        if not QUICK:
            return
        self._quick = quick_rounding(stage.rule, multiplier, shift, offset, bound, stage.range)
        if self._quick is not None:
            self._constants = [np.tile(constant, self._together) for constant in self._quick.constants]
            self._top = float(stage.range.high - stage.range.low)
            self._unsigned = np.dtype(f"u{stage.dtype.itemsize}")
            self._low = np.array(stage.range.low).astype(self._unsigned)

    def __call__(self, sums: Array, y: Array) -> None:
        """Writes to y [rows, channels] what becomes of whole sums [rows, channels]."""
        if is_heard():  # `observe` tells the steps of the whole output, not those of its blocks
            with listening(None):
                self(sums, y)
            return
        if not y.size:
            return
        if self._quick is None or sums.dtype.kind != "f":
            self._exactly(sums, y)
            return
        rows, channels = y.shape
        whole = rows - rows % self._together
        for part, together in ((slice(0, whole), self._together), (slice(whole, rows), rows - whole)):
            if together and part.stop > part.start:
                shape = (-1, together * channels)
                self._quickly(sums[part].reshape(shape), y[part].reshape(shape))

    def accumulators(self, sums: Array) -> Array:
        """Sums and biases, wrapped to the width of the accumulator."""
        total = sums.astype(np.int64)
        if self._offset is not None:
            total += self._offset
        return total.astype(np.int32) if self._stage.bits == 32 else total

    def observe(self, sums: Array) -> None:
        """Hands the accumulators of the whole output to the operator's observer, and to who listens the steps."""
        stage, accumulators = self._stage, self.accumulators(sums)
        stage.op.observe(
            accumulator=accumulators,
            real_multiplier=stage.real,
            multiplier=stage.multiplier,
            shift=stage.shift,
            rounding=stage.rule.__name__,
        )
        if is_heard():
            stage.integers(accumulators)

    def _exactly(self, sums: Array, y: Array) -> None:
        stage, step = self._stage, max(1, _BLOCK // max(1, y.shape[1]))
        for begin in range(0, len(y), step):
            block = slice(begin, begin + step)
            y[block] = stage.integers(self.accumulators(sums[block]))

    def _quickly(self, sums: Array, y: Array) -> None:
        assert self._quick is not None
        constants = [constant[: y.shape[1]] for constant in self._constants]
        step = max(1, _BLOCK // y.shape[1])
        unsigned = y.view(self._unsigned)
        for begin in range(0, len(y), step):
            block = unsigned[begin : begin + step]
            t = sums[begin : begin + step].astype(np.float64)
            self._quick.steps(t, constants)
            t.clip(0.0, self._top, out=t)
            np.copyto(block, t, casting="unsafe")
            if self._low:
                np.add(block, self._low, out=block)


def _check_fits(op: Operator, real: Array, largest: Array) -> None:
    """Raises UnsupportedOperatorError where sums times `real` may leave int32: what becomes of those in XNNPACK hangs
    on the operator and the processor; with AVX512-VNNI the zero point is added to the lowest integer, and wraps."""
    if np.any(largest * real >= 2.0**31):
        raise op.unsupported("accumulators that leave 32 bits once they are scaled")


def output_stage(
    op: Operator,
    real: npt.ArrayLike,
    output: TensorInfo,
    activation: int,
    bits: int = 32,
    rule: Requantize | None = None,
    zero_point: int | None = None,
) -> OutputStage:
    """What finishes `op`: multiplies by `real`, rounds as the profile says, applies zero point and clamp.

    `real` is the float64 multiplier, or an array of one for each channel. The sums are whole numbers of any type. With
    the bias they make accumulators of `bits`, which wrap. `rule` is for kernels that round otherwise than the profile
    says, `zero_point` for those that add another one.
    """
    rule = rule or profiles.rounding(op, bits, output.type)
    low, high = quantized_range(op, activation, output)
    zero_point = output.zero_point if zero_point is None else zero_point
    return OutputStage(op, rule, real, output, Range(zero_point, low, high), bits)
