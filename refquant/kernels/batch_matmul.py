"""BATCH_MATMUL: products of the matrices in the last two dimensions, batch by batch.

    y[..., i, j] = sum over k of a[..., i, k] * b[..., k, j]

`adj_x` and `adj_y` say that a or b stands transposed. The leading dimensions are broadcast.
Sources: kernels/batch_matmul.cc, internal/reference/batch_matmul.h.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from refquant.kernels.hybrid import row_sums
from refquant.kernels.products import exact_type, largest_magnitude
from refquant.kernels.registry import Array, Operator, Run, Shape, TensorInfo, kernel
from refquant.kernels.requantization import check_scales, output_stage
from refquant.numerics.dynamic_range import asymmetric_quantize, symmetric_quantize
from refquant.numerics.ordered_products import product_in_order
from refquant.tflite.schema import ActivationFunctionType, BatchMatMulOptions, TensorType

Precision = type[np.float32] | type[np.float64]


@kernel(
    "BATCH_MATMUL",
    flaw="with adj_x and a second tensor that is repeated along the dimension before the matrices, tensorflow 2.21.0 "
    "computes the first product only and leaves the others as they were in memory; of float32 with int8 weights of "
    "five dimensions it knows only the first weights' sums, and it dies of rows of no elements; refquant computes all",
)
def batch_matmul(op: Operator) -> Run:
    """Two tensors of 2 to 5 dimensions: float32; int8 to int8, or to the int32 of the bare sums; int16; and float32
    with int8.

    Quantized as FULLY_CONNECTED without a bias would be, but with zero points on both sides and double rounding for
    int8; int16 sums have 64 bits.
    """
    return planned_batch_matmul(op, _float)


@kernel("BATCH_MATMUL", profile="micro")
def micro_batch_matmul(op: Operator) -> Run:
    """As BATCH_MATMUL of tensors of one type, but the product of two scales is taken in float64.

    Source: tensorflow/lite/micro/kernels/batch_matmul.cc.
    """
    return planned_batch_matmul(op, _float, np.float64)


def planned_batch_matmul(
    op: Operator, floats: Callable[[BatchMatMulOptions], Run], precision: Precision = np.float32
) -> Run:
    """BATCH_MATMUL whose sums of float32 are those of `floats`; two scales are multiplied in that precision."""
    options = op.options if isinstance(op.options, BatchMatMulOptions) else BatchMatMulOptions()
    a, b, out = op.input(0), op.input(1), op.output()
    out.shape = shape_of(op, a.dims, b.dims)
    match a.type, b.type, out.type:
        case TensorType.FLOAT32, TensorType.FLOAT32, TensorType.FLOAT32:
            return floats(options)
        case TensorType.FLOAT32, TensorType.INT8, TensorType.FLOAT32:
            return _hybrid(op, options)
        case TensorType.INT8, TensorType.INT8, TensorType.INT32:
            return lambda x, y: sums_of(options, x, 0, y, 0)[0].astype(np.int64).astype(np.int32)
        case TensorType.INT8, TensorType.INT8, TensorType.INT8:
            return _quantized(op, options, a, b, 32, precision)
        case TensorType.INT16, TensorType.INT16, TensorType.INT16:
            if _scale_and_zero(a)[1] or _scale_and_zero(b)[1] or _scale_and_zero(out)[1]:
                raise op.invalid("the zero points of int16 tensors must be 0")
            return _quantized(op, options, a, b, 64, precision)
    raise op.unsupported()


def _turned(shape: Shape, transposed: bool) -> Shape:
    return (*shape[:-2], *shape[:-3:-1]) if transposed else shape


def shape_of(op: Operator, a: Shape, b: Shape) -> Shape:
    """Of the product of tensors of these shapes, which are turned as the options say."""
    options = op.options if isinstance(op.options, BatchMatMulOptions) else BatchMatMulOptions()
    a, b = _turned(a, options.adj_x), _turned(b, options.adj_y)
    try:
        if not (2 <= len(a) <= 5 and 2 <= len(b) <= 5) or a[-1] != b[-2]:
            raise ValueError
        return (*np.broadcast_shapes(a[:-2], b[:-2]), a[-2], b[-1])
    except ValueError:
        raise op.invalid(f"matrices of shapes {a} and {b} cannot be multiplied") from None


def matrices_of(options: BatchMatMulOptions, a: Array, b: Array) -> tuple[Array, Array]:
    """a and b as they are multiplied."""
    return a.swapaxes(-1, -2) if options.adj_x else a, b.swapaxes(-1, -2) if options.adj_y else b


def _float(options: BatchMatMulOptions) -> Run:
    """float32: from 0, the products added in order of k. What there are fewer of, matrices or k, is gone through."""

    def run(a: Array, b: Array) -> Array:
        a, b = matrices_of(options, a, b)
        lead, terms = np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-1]
        y = np.zeros((*lead, a.shape[-2], b.shape[-1]), np.float32)
        if prod(lead) <= terms:
            a, b = (np.broadcast_to(x, (*lead, *x.shape[-2:])) for x in (a, b))
            for matrix in np.ndindex(lead):
                y[matrix] = product_in_order(np.ascontiguousarray(a[matrix].T), np.ascontiguousarray(b[matrix]))
            return y
        product = np.empty_like(y)
        for k in range(terms):
            np.multiply(a[..., k, None], b[..., k, None, :], out=product)
            np.add(y, product, out=y)
        return y

    return run


def sums_of(options: BatchMatMulOptions, a: Array, a_zero: int, b: Array, b_zero: int) -> tuple[Array, int]:
    """The exact sums of the products of a - a_zero and b - b_zero, and what none of them exceeds."""
    a, b = matrices_of(options, a, b)
    bound = largest_magnitude(a.dtype, a_zero) * largest_magnitude(b.dtype, b_zero) * a.shape[-1]
    exact = exact_type(bound)
    result: Array = np.subtract(a, a_zero, dtype=exact) @ np.subtract(b, b_zero, dtype=exact)
    return result, bound


def _quantized(
    op: Operator, options: BatchMatMulOptions, a: TensorInfo, b: TensorInfo, bits: int, precision: Precision
) -> Run:
    """Integers: exact sums, then the rounding of the profile; the two scales are multiplied in that precision.

    A scale and a zero point that are missing are 0.
    """
    out = op.output()
    check_scales(op, out)
    (a_scale, a_zero), (b_scale, b_zero) = _scale_and_zero(a), _scale_and_zero(b)
    with np.errstate(all="ignore"):
        product = precision(a_scale) * precision(b_scale)
    if not 0 <= product < np.inf:
        raise op.invalid(f"the product of the scales is {product}")
    finish = output_stage(op, np.float64(product) / np.float64(out.scale), out, ActivationFunctionType.NONE, bits)

    def run(x: Array, y: Array) -> Array:
        sums, bound = sums_of(options, x, a_zero, y, b_zero)
        return finish(sums, bound=bound)

    return run


def _scale_and_zero(tensor: TensorInfo) -> tuple[np.float32, int]:
    return (np.float32(tensor.scales[0]), tensor.zero_point) if tensor.scales.size == 1 else (np.float32(0), 0)


def _hybrid(op: Operator, options: BatchMatMulOptions) -> Run:
    """float32 with int8 weights: each row of a is quantized on the fly, the sums are scaled back.

        y = scale * b_scale * (sum - zero_point * the sum of the weights)

    The real kernel finds scale and zero point of a row, and the sum of a column of weights, by adding up the indices of
    the leading dimensions, so with more than one of these it takes some of another matrix. The sums of the weights, for
    asymmetric rows, are those of the first invoke, even where the weights change later.
    """
    b, shape = op.input(1), op.output().dims
    columns = shape[-1]
    scales = b.scales if b.scales.size else np.zeros(1, np.float32)
    if 1 < scales.size < columns:
        raise op.invalid(f"{scales.size} scales for {columns} columns")
    kept: Array | None = None

    def run(a: Array, b: Array) -> Array:
        nonlocal kept
        a, b = matrices_of(options, a, b)
        a, weights = _in_five_dimensions(a, b.swapaxes(-1, -2))
        rows = np.ascontiguousarray(a).reshape(prod(a.shape[:-1]), a.shape[-1])
        if options.asymmetric_quantize_inputs:
            q, row_scales, zero_points = asymmetric_quantize(rows)
        else:
            q, row_scales = symmetric_quantize(rows)
            zero_points = np.zeros(len(rows), np.int32)
        if kept is None:
            kept = row_sums(np.ascontiguousarray(weights).reshape(prod(weights.shape[:-1]), weights.shape[-1]))
        exact = exact_type(128 * 128 * a.shape[-1])
        sums = q.reshape(a.shape).astype(exact) @ weights.swapaxes(-1, -2).astype(exact)
        lead = sums.shape[:3]
        of_row = _places(lead, a.shape)[..., None]
        of_column = _places(lead, weights.shape)[..., None, :]
        offsets = kept[of_column].astype(np.float32) * zero_points[of_row].astype(np.float32)
        totals = np.trunc(sums.astype(np.int64).astype(np.float32) - offsets)
        factors = row_scales[of_row] * scales[:columns]
        return (totals * factors + np.float32(0)).reshape(shape)

    return run


def _in_five_dimensions(a: Array, weights: Array) -> tuple[Array, Array]:
    """Rows and weights with three leading dimensions, filled up with 1.

    Where the weights are repeated along the dimension before the matrices, that dimension of a is one with its rows.
    """
    if a.ndim > 2 and weights.ndim > 2 and weights.shape[-3] == 1:
        a = a.reshape(*a.shape[:-3], a.shape[-3] * a.shape[-2], a.shape[-1])
        weights = weights.reshape(*weights.shape[:-3], *weights.shape[-2:])
    return a.reshape(*(1,) * (5 - a.ndim), *a.shape), weights.reshape(*(1,) * (5 - weights.ndim), *weights.shape)


def _places(lead: Shape, shape: Shape) -> Array:
    """Where the real kernel looks for what belongs to each row: in the leading dimensions of a product, and the row."""
    indices = np.indices(lead) * np.array([n != 1 for n in shape[:3]])[:, None, None, None]
    places: Array = indices.sum(axis=0)[..., None] * shape[-2] + np.arange(shape[-2])
    return places
