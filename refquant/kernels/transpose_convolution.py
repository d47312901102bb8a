"""TRANSPOSE_CONV: each input scatters its products with the filter over the output.

    y[n, iy * stride - before + ky, ix * stride - before + kx, c] += x[n, iy, ix, i] * w[c, ky, kx, i]

and then the bias and the activation. `before` is the padding of the forward convolution that would lead from y to x.
Sources: kernels/transpose_conv.cc, internal/reference/transpose_conv.h, …/integer_ops/transpose_conv.h.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from refquant.kernels.convolution import BIASES, accumulator_bits, check_integers, filter_multipliers
from refquant.kernels.fused_activation import clamp_float
from refquant.kernels.products import add_products_in_order, exact_type, largest_magnitude
from refquant.kernels.registry import Array, Operator, Run, kernel
from refquant.kernels.requantization import OutputStage, check_scales, output_stage
from refquant.kernels.windows import Axis, Slices, taps, transposed_axis
from refquant.numerics.dynamic_range import asymmetric_quantize
from refquant.numerics.fixed_point import Requantize
from refquant.tflite.schema import TensorType, TransposeConvOptions

_FLOAT32, _INT8, _UINT8, _INT16 = TensorType.FLOAT32, TensorType.INT8, TensorType.UINT8, TensorType.INT16
_INT32, _INT64 = TensorType.INT32, TensorType.INT64

#: Types of x and filters, and what the kernel takes each element of the filters for: it does not ask for the sign.
_READ_AS = {
    (_FLOAT32, _FLOAT32): np.float32,
    (_FLOAT32, _INT8): np.int8,
    (_INT8, _INT8): np.int8,
    (_INT8, _UINT8): np.int8,
    (_UINT8, _UINT8): np.uint8,
    (_UINT8, _INT8): np.uint8,
    (_INT16, _INT8): np.int8,
}


@dataclass(frozen=True, slots=True)
class Geometry:
    """Along either axis the window of the forward convolution, from the output of `shape` to the input."""

    shape: tuple[int, ...]
    rows: Axis
    columns: Axis

    def taps(self) -> Iterator[tuple[tuple[int, ...], Slices, Slices]]:
        """ky and kx, the inputs that they meet, and the outputs there.

        From the last tap to the first: so each output gets its products in the order of the inputs, row by row.
        """
        return taps(self.rows, self.columns, backwards=True)


@kernel(
    "TRANSPOSE_CONV",
    flaw="with int16 activations and a bias of 32 bits that quantized_bias_type does not mention, tensorflow 2.21.0 "
    "takes two numbers of the bias for one and reads beyond its end; where floats meet filters that share a scale, it "
    "has no more scales than there are filters along quantized_dimension; refquant refuses",
)
def transpose_conv(op: Operator) -> Run:
    """The transposed convolution of x [n, h, w, channels] with filters [outputs, ky, kx, channels].

    Inputs: the output's shape (int32), filters, x, and a bias or none. Activations float32 (filters float32, or int8:
    then each image is quantized on the fly), int8, uint8 or int16.
    """
    return planned_transpose_conv(op, _float)


@kernel("TRANSPOSE_CONV", profile="micro")
def micro_transpose_conv(op: Operator) -> Run:
    """As TRANSPOSE_CONV, int16 always in 64 bits. Source: tensorflow/lite/micro/kernels/transpose_conv.cc."""
    is_wide = op.input(2).type == _INT16
    return planned_transpose_conv(op, _float, lambda op, bits: transposed_stage(op, 64 if is_wide else 32))


def planned_transpose_conv(
    op: Operator,
    floats: Callable[[Operator, TransposeConvOptions], Run],
    stage: Callable[[Operator, int], OutputStage] | None = None,
    hybrid: Callable[[Operator, TransposeConvOptions], Run] | None = None,
    integers: Callable[[Operator, TransposeConvOptions, int], Run] | None = None,
) -> Run:
    """TRANSPOSE_CONV whose sums of float32, with filters of float32, are those of `floats`.

    `stage` makes what finishes sums of integers, of so many bits, and `hybrid` is for float32 with filters of integers:
    as the reference kernels unless told. `integers`, told the bits, does without a stage.
    """
    options = op.options
    if not isinstance(options, TransposeConvOptions):
        raise op.invalid("has no TransposeConvOptions")
    sizes, w, x, out = op.input(0), op.input(1), op.input(2), op.output()
    bias = op.optional_input(3)
    if sizes.type != _INT32 or sizes.dims != (4,):
        raise op.invalid(f"the output's shape must be 4 int32 numbers, it is {sizes.type.name} of shape {sizes.dims}")
    if len(x.dims) != 4 or len(w.dims) != 4 or w.dims[3] != x.dims[3]:
        raise op.invalid(f"input {x.dims} and filters {w.dims} do not fit together")
    if bias is not None and int(np.prod(bias.dims)) != w.dims[0]:
        raise op.invalid(f"bias {bias.dims} has not one value for each of {w.dims[0]} output channels")
    if out.type != x.type:
        raise op.unsupported()
    if sizes.value is None:
        out.shape = None
    else:
        out.shape = geometry_of(op, options, sizes.value).shape
    if (x.type, w.type) not in _READ_AS or (bias is not None and bias.type not in BIASES[x.type]):
        raise op.unsupported()
    bits = accumulator_bits(op, x, bias)
    if x.type != _FLOAT32:
        return (
            integers(op, options, bits)
            if integers
            else transposed_integers(op, options, (stage or transposed_stage)(op, bits))
        )
    return floats(op, options) if w.type == _FLOAT32 else (hybrid or _hybrid)(op, options)


def geometry_of(op: Operator, options: TransposeConvOptions, sizes: Array) -> Geometry:
    """What the numbers of the output's shape make of the window."""
    x, w = op.input(2), op.input(1)
    shape = tuple(int(n) for n in sizes)
    if shape[0] != x.dims[0] or shape[3] != w.dims[0] or min(shape) < 0:
        raise op.invalid(f"an output of shape {shape} does not fit input {x.dims} and filters {w.dims}")
    if max(shape) > 2**24 or np.prod(shape, dtype=object) > 2**31:
        raise op.invalid(f"an output of shape {shape} is too large")
    _, height, width, _ = w.dims
    rows = transposed_axis(op, "y", shape[1], height, options.stride_h, 1, options.padding, x.dims[1])
    columns = transposed_axis(op, "x", shape[2], width, options.stride_w, 1, options.padding, x.dims[2])
    return Geometry(shape, rows, columns)


def _float(op: Operator, options: TransposeConvOptions) -> Run:
    """float32: from 0, products added in the order of the inputs (rows, columns, channels), the bias last."""

    def run(sizes: Array, w: Array, x: Array, bias: Array | None = None) -> Array:
        geometry = geometry_of(op, options, sizes)
        filters = w.transpose(1, 2, 3, 0)[..., None, :]  # [ky, kx, channel, 1, output]
        y = np.zeros((*geometry.shape[:3], 1, geometry.shape[3]), np.float32)
        for image, total in zip(x[..., None, :], y):
            for tap, inputs, outputs in geometry.taps():
                add_products_in_order(total[outputs], image[inputs], filters[tap])
        y = y.reshape(geometry.shape)
        return clamp_float(y if bias is None else y + bias.reshape(-1), int(options.fused_activation_function))

    return run


def _hybrid(op: Operator, options: TransposeConvOptions) -> Run:
    """float32 with int8 filters: x is quantized asymmetrically, and each single product scaled back and added."""
    w = op.input(1)
    check_scales(op, w)
    if w.scales.size not in (1, w.dims[0]):
        raise op.invalid(f"{w.scales.size} filter scales for {w.dims[0]} output channels")
    if w.scales.size == 1 and (w.quantized_dimension > 3 or w.dims[w.quantized_dimension] < w.dims[0]):
        raise op.invalid(f"the scale of filters {w.dims} is said to be along dimension {w.quantized_dimension}")
    if op.input(2).dims[0] == 0:
        raise op.invalid("a batch of no images cannot be quantized on the fly")

    def run(sizes: Array, filters: Array, x: Array, bias: Array | None = None) -> Array:
        geometry = geometry_of(op, options, sizes)
        q, scales, zero_points = asymmetric_quantize(x.reshape(len(x), -1))
        centred = (q - zero_points[:, None]).astype(np.float32).reshape(x.shape)
        wide = filters.transpose(1, 2, 3, 0).astype(np.float32)
        y = np.zeros(geometry.shape, np.float32)
        for image, scale, total in zip(centred, scales.reshape(-1), y):
            for (ky, kx), inputs, outputs in geometry.taps():
                for channel in range(x.shape[3]):
                    products = image[inputs][..., channel, None] * wide[ky, kx, channel]  # exact
                    total[outputs] += products * w.scales * scale
        return clamp_float(y if bias is None else y + bias.reshape(-1), int(options.fused_activation_function))

    return run


def transposed_stage(op: Operator, bits: int, rule: Requantize | None = None) -> OutputStage:
    """What finishes sums of integers: by the profile's rule, or this one."""
    x, w, out = op.input(2), op.input(1), op.output()
    check_scales(op, x, w, out)
    check_integers(op, x, op.optional_input(3))
    real = filter_multipliers(op, x, w, w.dims[0])
    real = real[:1] if x.type == _UINT8 else real  # all are the same
    return output_stage(op, real, out, int(op.options.fused_activation_function), bits, rule)


def filters_read_as(op: Operator) -> np.dtype[Any]:
    """The type as which the bytes of the filters are read."""
    return np.dtype(_READ_AS[op.input(2).type, op.input(1).type])


def transposed_integers(op: Operator, options: TransposeConvOptions, finish: OutputStage) -> Run:
    """Integers: exact sums, which `finish` finishes."""
    x, w = op.input(2), op.input(1)
    filter_zero = w.zero_point if x.type == _UINT8 else 0
    read_as = filters_read_as(op)
    largest = largest_magnitude(x.dtype, x.zero_point) * largest_magnitude(read_as, filter_zero)
    bound = largest * int(np.prod(w.dims[1:]))
    exact = exact_type(bound)

    def run(sizes: Array, filters: Array, q: Array, bias: Array | None = None) -> Array:
        geometry = geometry_of(op, options, sizes)
        matrices = np.subtract(filters.view(read_as), filter_zero, dtype=exact).transpose(1, 2, 3, 0)
        centred = np.subtract(q, x.zero_point, dtype=exact)
        total = np.zeros(geometry.shape, exact)
        for tap, (iy, ix), (oy, ox) in geometry.taps():
            total[:, oy, ox] += centred[:, iy, ix] @ matrices[tap]
        return finish(total, bias, bound)

    return run
