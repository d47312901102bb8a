"""BATCH_MATMUL: products of the matrices in the last two dimensions, batch by batch.

    y[..., i, j] = sum over k of a[..., i, k] * b[..., k, j]

`adj_x` and `adj_y` say that a or b stands transposed. The leading dimensions are broadcast.
Sources: kernels/batch_matmul.cc, internal/reference/batch_matmul.h.
"""

from __future__ import annotations

import numpy as np

from refquant.kernels.products import add_products_in_order, exact_type, largest_magnitude
from refquant.kernels.registry import Array, Operator, Run, Shape, TensorInfo, kernel
from refquant.kernels.requantization import check_scales, output_stage
from refquant.tflite.schema import ActivationFunctionType, BatchMatMulOptions, TensorType


@kernel("BATCH_MATMUL")
def batch_matmul(op: Operator) -> Run:
    """Two tensors of 2 to 5 dimensions: float32; int8 to int8, or to the int32 of the bare sums; int16.

    Quantized as FULLY_CONNECTED without a bias would be, but with zero points on both sides and double rounding for
    int8; int16 sums have 64 bits. Where `adj_x` is set and b is repeated for the batches of a, the real kernel reads
    memory that is not its own; here is the product.
    """
    options = op.options
    if not isinstance(options, BatchMatMulOptions):
        raise op.invalid("has no BatchMatMulOptions")
    a, b, out = op.input(0), op.input(1), op.output()
    out.shape = _shape(op, _turned(a.dims, options.adj_x), _turned(b.dims, options.adj_y))
    match a.type, b.type, out.type:
        case TensorType.FLOAT32, TensorType.FLOAT32, TensorType.FLOAT32:
            return _float(options)
        case TensorType.INT8, TensorType.INT8, TensorType.INT32:
            return lambda x, y: _sums(options, x, 0, y, 0).astype(np.int64).astype(np.int32)
        case TensorType.INT8, TensorType.INT8, TensorType.INT8:
            return _quantized(op, options, a, b, 32)
        case TensorType.INT16, TensorType.INT16, TensorType.INT16:
            if a.zero_point or b.zero_point or out.zero_point:
                raise op.invalid("the zero points of int16 tensors must be 0")
            return _quantized(op, options, a, b, 64)
    raise op.unsupported()


def _turned(shape: Shape, transposed: bool) -> Shape:
    return (*shape[:-2], *shape[:-3:-1]) if transposed else shape


def _shape(op: Operator, a: Shape, b: Shape) -> Shape:
    """Of the product of tensors of these shapes."""
    try:
        if not (2 <= len(a) <= 5 and 2 <= len(b) <= 5) or a[-1] != b[-2]:
            raise ValueError
        return (*np.broadcast_shapes(a[:-2], b[:-2]), a[-2], b[-1])
    except ValueError:
        raise op.invalid(f"matrices of shapes {a} and {b} cannot be multiplied") from None


def _matrices(options: BatchMatMulOptions, a: Array, b: Array) -> tuple[Array, Array]:
    """a and b as they are multiplied."""
    return a.swapaxes(-1, -2) if options.adj_x else a, b.swapaxes(-1, -2) if options.adj_y else b


def _float(options: BatchMatMulOptions) -> Run:
    """float32: from 0, the products added in order of k."""

    def run(a: Array, b: Array) -> Array:
        a, b = _matrices(options, a, b)
        lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        y = np.zeros((*lead, a.shape[-2], b.shape[-1]), np.float32)
        left = np.broadcast_to(a, (*lead, *a.shape[-2:]))
        right = np.broadcast_to(b, (*lead, *b.shape[-2:]))
        for index in np.ndindex(lead):
            add_products_in_order(y[index][:, None, :], left[index][:, None, :], right[index][:, None, :])
        return y

    return run


def _sums(options: BatchMatMulOptions, a: Array, a_zero: int, b: Array, b_zero: int) -> Array:
    """The exact sums of the products of a - a_zero and b - b_zero."""
    a, b = _matrices(options, a, b)
    bound = largest_magnitude(a.dtype, a_zero) * largest_magnitude(b.dtype, b_zero) * a.shape[-1]
    exact = exact_type(bound)
    result: Array = np.subtract(a, a_zero, dtype=exact) @ np.subtract(b, b_zero, dtype=exact)
    return result


def _quantized(op: Operator, options: BatchMatMulOptions, a: TensorInfo, b: TensorInfo, bits: int) -> Run:
    """Integers: exact sums, then the rounding of the profile; the product of the two scales is rounded to float32."""
    out = op.output()
    check_scales(op, a, b, out)
    real = np.float64(a.scale * b.scale) / np.float64(out.scale)
    finish = output_stage(op, real, out, ActivationFunctionType.NONE, bits)
    a_zero, b_zero = a.zero_point, b.zero_point
    return lambda x, y: finish(_sums(options, x, a_zero, y, b_zero))
