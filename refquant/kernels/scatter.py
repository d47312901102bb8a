"""Numbers sent to places that another input names: SCATTER_ND, SPARSE_TO_DENSE, SEGMENT_SUM, UNSORTED_SEGMENT_SUM,
UNSORTED_SEGMENT_PROD, UNSORTED_SEGMENT_MAX, UNSORTED_SEGMENT_MIN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from refquant.kernels.moving import checked_shape, whole_numbers
from refquant.kernels.registry import MOST_ELEMENTS, Array, Operator, Run, Shape, TensorInfo, kernel
from refquant.tflite.schema import TensorType

_FLOAT32, _INT32, _INT64 = TensorType.FLOAT32, TensorType.INT32, TensorType.INT64
_INT8, _UINT8, _BOOL = TensorType.INT8, TensorType.UINT8, TensorType.BOOL


@kernel("SCATTER_ND")
def scatter_nd(op: Operator) -> Run:
    """Zeros of a given shape, to which `updates` are added at the places that the rows of `indices` name.

    Updates of one place are added in their order, bool ones as "or". Source: kernels/scatter_nd.cc, ScatterNd in
    internal/reference/reference_ops.h.
    """
    indices, updates, shape_tensor, out = op.input(0), op.input(1), op.input(2), op.output()
    if indices.type != _INT32 or shape_tensor.type != _INT32:
        raise op.unsupported()
    out.take_type(updates.type)
    if updates.type not in (_FLOAT32, _UINT8, _BOOL, _INT8, _INT32, _INT64):
        raise op.unsupported()
    if not indices.dims or not updates.dims or len(shape_tensor.dims) != 1:
        raise op.invalid(
            f"indices of shape {indices.dims}, updates of shape {updates.dims}, an output shape of {shape_tensor.dims}"
        )
    depth = indices.dims[-1]

    def checked(indices: Shape, updates: Shape, numbers: Array) -> Shape:
        shape = checked_shape(op, whole_numbers(numbers))
        if depth > len(shape) or updates != indices[:-1] + shape[depth:]:
            raise op.invalid(
                f"indices of shape {indices} and updates of shape {updates} do not fit an output of {shape}"
            )
        return shape

    def run(indices: Array, updates: Array, numbers: Array) -> Array:
        shape = checked(indices.shape, updates.shape, numbers)
        result = np.zeros(shape, updates.dtype)
        rows = indices.reshape(math.prod(indices.shape[:-1]), depth)
        if np.any((rows < 0) | (rows >= np.array(shape[:depth]))):
            raise op.invalid(f"an index lies outside of the shape {shape}")
        places = np.ravel_multi_index(tuple(rows.T), shape[:depth]) if depth else np.zeros(len(rows), np.int64)
        with np.errstate(all="ignore"):
            size = math.prod(shape[depth:])
            np.add.at(result.reshape(math.prod(shape[:depth]), size), places, updates.reshape(len(rows), size))
        return result

    out.shape = None if shape_tensor.value is None else checked(indices.dims, updates.dims, shape_tensor.value)
    return run


@kernel(
    "SPARSE_TO_DENSE",
    flaw="tensorflow 2.21.0 dies of a single index without dimensions, which refquant runs, and reads beyond too short "
    "a vector of values, which refquant refuses",
)
def sparse_to_dense(op: Operator) -> Run:
    """A tensor full of `default`, with `values` at the places that the rows of `indices` name.

    The last value of a place counts; values beyond the last index do not matter. A value without dimensions goes with
    one index only. Source: kernels/sparse_to_dense.cc.
    """
    indices, shape_tensor, values, default = (op.input(i) for i in range(4))
    out = op.output()
    if indices.type not in (_INT32, _INT64) or shape_tensor.type not in (_INT32, _INT64):
        raise op.unsupported()
    if values.type not in (_FLOAT32, _INT32, _INT64, _INT8, _UINT8) or values.type != default.type:
        raise op.unsupported()
    out.take_type(values.type)
    if len(indices.dims) > 2 or len(shape_tensor.dims) != 1 or len(values.dims) > 1 or math.prod(default.dims) != 1:
        raise op.invalid(
            f"indices {indices.dims}, output shape {shape_tensor.dims}, values {values.dims}, default {default.dims} "
            "do not fit together"
        )
    rank = shape_tensor.dims[0]
    count, depth = indices.dims if len(indices.dims) == 2 else (math.prod(indices.dims), 1)
    if depth != rank or rank > 4:
        raise op.invalid(f"indices {indices.dims} do not fit an output of {rank} dimensions")
    if math.prod(values.dims) < count or (not values.dims and count != 1):
        raise op.invalid(f"values {values.dims} are not enough for {count} indices")

    def run(indices: Array, numbers: Array, values: Array, default: Array) -> Array:
        shape = checked_shape(op, whole_numbers(numbers))
        result = np.full(shape, default.item(), values.dtype)
        rows = indices.reshape(count, depth)
        if np.any((rows < 0) | (rows >= np.array(shape))):
            raise op.invalid(f"an index lies outside of the shape {shape}")
        for place, value in zip(map(tuple, rows.tolist()), values.reshape(-1)):
            result[place] = value
        return result

    out.shape = None if shape_tensor.value is None else checked_shape(op, whole_numbers(shape_tensor.value))
    return run


@kernel("SEGMENT_SUM")
def segment_sum(op: Operator) -> Run:
    """The sums of rows with the same number, which begin at 0 and rise by 0 or 1. Source: kernels/segment_sum.cc."""
    x, ids, out = _segments(op)
    if len(ids.dims) != 1:
        raise op.invalid(f"segment numbers are a vector, they have shape {ids.dims}")

    def count(ids: Array) -> int:
        steps = np.diff(ids, prepend=0)
        if np.any((steps != 0) & (steps != 1)) or (ids.size and ids[0] != 0):
            raise op.invalid("segment numbers must begin at 0 and rise by 0 or 1")
        return int(ids[-1]) + 1 if ids.size else 0

    def run(x: Array, ids: Array) -> Array:
        return _gathered(np.add, x, ids, np.zeros((count(ids), *x.shape[1:]), x.dtype))

    out.shape = None if ids.value is None else (count(ids.value), *x.dims[1:])
    return run


@kernel("UNSORTED_SEGMENT_SUM")
def unsorted_segment_sum(op: Operator) -> Run:
    """The sums of rows with the same number, 0 of none; rows with numbers below 0 are left out.

    The numbers have the first dimensions of the data, a row has the others.
    Source: kernels/unsorted_segment.cc.
    """
    return _unsorted(op, np.add, lambda _: 0)


@kernel("UNSORTED_SEGMENT_PROD")
def unsorted_segment_prod(op: Operator) -> Run:
    """The products of rows with the same number, 1 of none; otherwise as UNSORTED_SEGMENT_SUM."""
    return _unsorted(op, np.multiply, lambda _: 1)


@kernel("UNSORTED_SEGMENT_MAX")
def unsorted_segment_max(op: Operator) -> Run:
    """The largest of rows with the same number, the lowest of the type of none; otherwise as UNSORTED_SEGMENT_SUM."""
    return _unsorted(op, lambda a, b: np.where(a < b, b, a), lambda limits: limits.min)


@kernel("UNSORTED_SEGMENT_MIN")
def unsorted_segment_min(op: Operator) -> Run:
    """The smallest of rows with the same number, the highest of the type of none; otherwise as UNSORTED_SEGMENT_SUM."""
    return _unsorted(op, lambda a, b: np.where(b < a, b, a), lambda limits: limits.max)


def _segments(op: Operator) -> tuple[TensorInfo, TensorInfo, TensorInfo]:
    x, ids, out = op.input(0), op.input(1), op.output()
    if x.type not in (_FLOAT32, _INT32) or ids.type != _INT32 or out.type != x.type:
        raise op.unsupported()
    if x.dims[: len(ids.dims)] != ids.dims:
        raise op.invalid(f"segment numbers of shape {ids.dims} do not fit data of shape {x.dims}")
    return x, ids, out


def _gathered(function: Callable[[Array, Array], Array], x: Array, ids: Sequence[int] | Array, result: Array) -> Array:
    """`result` with each row of x taken into the row that its number names, in their order."""
    with np.errstate(all="ignore"):
        for row, segment in zip(x, ids):
            if segment >= 0:
                result[segment] = function(result[segment], row)
    return result


def _unsorted(op: Operator, function: Callable[[Array, Array], Array], first: Callable[[Any], float]) -> Run:
    x, ids, out = _segments(op)
    if not ids.dims:
        raise op.invalid("segment numbers must have a dimension")
    count_tensor = op.input(2)
    if count_tensor.type != _INT32:
        raise op.unsupported()
    if count_tensor.dims not in ((), (1,)):
        raise op.invalid(f"the number of segments is one number, it has shape {count_tensor.dims}")
    start = first(np.finfo(x.dtype) if x.type == _FLOAT32 else np.iinfo(x.dtype))

    def shape_for(shape: Shape, ids: Array, count: int) -> Shape:
        rest = shape[ids.ndim :]
        if not ids.max(initial=-1) < count < MOST_ELEMENTS // max(1, math.prod(rest)):
            raise op.invalid(f"{count} segments do not hold number {ids.max(initial=-1)}, or are too many")
        return (count, *rest)

    def run(x: Array, ids: Array, count: Array) -> Array:
        result = np.full(shape_for(x.shape, ids, int(count.item())), start, x.dtype)
        return _gathered(function, x.reshape(ids.size, *result.shape[1:]), ids.ravel(), result)

    if ids.value is None or count_tensor.value is None:
        out.shape = None
    else:
        out.shape = shape_for(x.dims, ids.value, int(count_tensor.value.item()))
    return run
