"""Rows of tables: EMBEDDING_LOOKUP, EMBEDDING_LOOKUP_SPARSE, HASHTABLE_LOOKUP."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from refquant.kernels.registry import MOST_ELEMENTS, Array, Operator, Run, TensorInfo, kernel
from refquant.tflite.schema import CombinerType, TensorType
from refquant.tflite.tensor_types import PACKED_BITS

_FLOAT32, _FLOAT16, _INT8, _INT32 = TensorType.FLOAT32, TensorType.FLOAT16, TensorType.INT8, TensorType.INT32
_COMPRESSED = (TensorType.INT8, TensorType.UINT8, TensorType.INT4, TensorType.INT2)
_LookUp = Callable[[Array, Array], Array]


@kernel(
    "EMBEDDING_LOOKUP",
    flaw="uint8 tables are read as int8, and rows of int4 and int2 that do not begin at a byte are read from the "
    "beginning of that byte by tensorflow 2.21.0; refquant gives the same bits",
)
def embedding_lookup(op: Operator) -> Run:
    """The rows of a table that int32 ids name; an id that is out of range is an error when running.

    From a table of int8, uint8, int4 or int2 to floats: each number times the scale of the table, of its row, or (int4)
    of its block in the row.
    Source: kernels/embedding_lookup.cc.
    """
    table, out = _table_and_output(op)
    return _lookup(op, _whole_rows(op, table) if table.type == out.type else _rows_to_float(op, table, out))


def _table_and_output(op: Operator) -> tuple[TensorInfo, TensorInfo]:
    """The table and the output, whose shape is set."""
    ids, table, out = op.input(0), op.input(1), op.output()
    if ids.type != _INT32 or table.dtype == object:
        raise op.unsupported()
    if len(ids.dims) != 1 or len(table.dims) < 2:
        raise op.invalid(f"ids of shape {ids.dims} and a table of shape {table.dims}: expected 1 and at least 2 axes")
    out.shape = (ids.dims[0], *table.dims[1:])
    return table, out


def _lookup(op: Operator, look_up: _LookUp) -> Run:
    rows = op.input(1).dims[0]

    def run(ids: Array, table: Array) -> Array:
        if ids.size and not 0 <= ids.min() <= ids.max() < rows:
            raise op.invalid(f"an id is out of range: the table has {rows} rows")
        return look_up(ids, table)

    return run


@kernel("EMBEDDING_LOOKUP", profile="micro")
def micro_embedding_lookup(op: Operator) -> Run:
    """As EMBEDDING_LOOKUP of rows of float32 or int8; from int8 to float32 by the first scale.

    Source: tensorflow/lite/micro/kernels/embedding_lookup.cc.
    """
    table, out = _table_and_output(op)
    if table.type == out.type:
        return _lookup(op, lambda ids, table: table[ids])
    if table.type != _INT8 or out.type != _FLOAT32:
        raise op.unsupported()
    scale, zero_point = table.params
    if zero_point:
        raise op.invalid(f"the zero point of {table.place} must be 0")
    return _lookup(op, lambda ids, table: table[ids].astype(np.float32) * scale)


def _whole_rows(op: Operator, table: TensorInfo) -> _LookUp:
    if table.scales.size > 1:
        raise op.invalid("a table quantized per row can only be looked up as floats")
    if math.prod(table.dims[1:]) * PACKED_BITS.get(table.type, 8) % 8:
        raise op.unsupported("a table whose rows are not whole bytes")
    return lambda ids, table: table[ids]


def _rows_to_float(op: Operator, table: TensorInfo, out: TensorInfo) -> _LookUp:
    if table.type not in _COMPRESSED or out.type not in (_FLOAT32, _FLOAT16):
        raise op.unsupported()
    scales = _scales_of_rows(op, table, out)
    rows, pieces = scales.shape
    size = math.prod(table.dims[1:]) // pieces
    # Packed integers are multiplied where they stand in a byte, at its top, by as much smaller a scale.
    raised = np.float32(256 >> PACKED_BITS.get(table.type, 8))
    together = 8 // PACKED_BITS.get(table.type, 8)
    lowered = scales / raised
    begins = np.arange(rows * pieces).reshape(rows, pieces) * size // together * together

    def look_up(ids: Array, table: Array) -> Array:
        q = table.reshape(-1).view(np.int8)[begins[ids][..., None] + np.arange(size)]
        y = (q.astype(np.float32) * raised) * lowered[ids][..., None]
        return y.astype(out.dtype).reshape(out.dims)

    return look_up


def _scales_of_rows(op: Operator, table: TensorInfo, out: TensorInfo) -> Array:
    """The scales of a table, [rows, blocks in a row]."""
    rows = table.dims[0]
    if table.blocks is not None:
        size, scales = table.blocks.size, table.blocks.scales
        if table.type != TensorType.INT4 or len(table.dims) != 2:
            raise op.unsupported("a table quantized in blocks that is not a matrix of int4")
        if size < 1 or table.dims[1] % size or scales.size < rows * (table.dims[1] // size) or not table.dims[1]:
            raise op.invalid(f"{scales.size} blocks of {size} do not make a table of shape {table.dims}")
        return scales.ravel()[: rows * (table.dims[1] // size)].reshape(rows, -1).astype(np.float32)
    if not table.is_quantized:
        raise op.unsupported("a table without a scale")
    if table.scales.size > 1 and (table.quantized_dimension or table.scales.size != rows):
        raise op.invalid(f"{table.scales.size} scales of a table of shape {table.dims} are not one for each row")
    if out.type == _FLOAT32 and table.zero_points[0]:
        raise op.invalid("the zero point of the table must be 0")
    return np.broadcast_to(table.scales, rows)[:, None]


@kernel("EMBEDDING_LOOKUP_SPARSE")
def embedding_lookup_sparse(op: Operator) -> Run:
    """Weighted sums of rows of a table, those of a bucket together.

    Row ids[i] is added with weights[i] to the bucket at `indices[i]`, a place in a tensor of `dense_shape`, whose last
    dimension is summed over. MEAN divides by the sum of the weights, SQRTN by the root of the sum of their squares,
    each time the next id belongs to another bucket. Source: kernels/embedding_lookup_sparse.cc.
    """
    ids, indices, shape_tensor, weights, table = (op.input(i) for i in range(5))
    out, combiner = op.output(), op.options.combiner
    if any(t.type != _INT32 for t in (ids, indices, shape_tensor)):
        raise op.unsupported()
    if any(t.type != _FLOAT32 for t in (weights, table, out)):
        raise op.unsupported()
    ranks = [len(t.dims) for t in (ids, indices, shape_tensor, weights)]
    if ranks != [1, 2, 1, 1] or len(table.dims) < 2 or not ids.dims[0] == indices.dims[0] == weights.dims[0]:
        raise op.invalid(
            f"ids {ids.dims}, indices {indices.dims}, dense shape {shape_tensor.dims}, weights {weights.dims} and "
            f"table {table.dims} do not fit together"
        )
    if shape_tensor.dims[0] != indices.dims[1] or not indices.dims[1]:
        raise op.invalid(f"indices of {indices.dims[1]} dimensions, a dense shape of {shape_tensor.dims[0]}")
    out.shape = None

    def run(ids: Array, indices: Array, dense_shape: Array, weights: Array, table: Array) -> Array:
        shape = tuple(int(n) for n in dense_shape[:-1])
        if min(shape, default=0) < 0 or math.prod(shape) * math.prod(table.shape[1:]) >= MOST_ELEMENTS:
            raise op.invalid(f"{dense_shape.tolist()} is not a shape")
        if ids.size and not 0 <= ids.min() <= ids.max() < len(table):
            raise op.invalid(f"an id is out of range: the table has {len(table)} rows")
        strides = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
        buckets = [sum(int(n) * stride for n, stride in zip(row, strides)) for row in indices[:, :-1]]
        if any(not 0 <= bucket < math.prod(shape) for bucket in buckets):
            raise op.invalid(f"an index lies outside of the shape {list(shape)}")
        result = np.zeros((math.prod(shape), *table.shape[1:]), np.float32)
        begin = 0
        for end in range(1, len(buckets) + 1):
            if end == len(buckets) or buckets[end] != buckets[begin]:
                _add_rows(result[buckets[begin]], table[ids[begin:end]], weights[begin:end], combiner)
                begin = end
        return result.reshape(*shape, *table.shape[1:])

    return run


def _add_rows(bucket: Array, rows: Array, weights: Array, combiner: int) -> None:
    total = squares = np.float32(0)
    for row, weight in zip(rows, weights):
        squares += weight * weight
        total += weight
        bucket += row * weight
    if combiner == CombinerType.MEAN:
        bucket /= total
    elif combiner == CombinerType.SQRTN:
        bucket /= np.sqrt(squares)


@kernel("HASHTABLE_LOOKUP")
def hashtable_lookup(op: Operator) -> Run:
    """The rows of `values` whose key is looked for, zeros where there is none, and whether there is one.

    The keys are sorted. Source: kernels/hashtable_lookup.cc.
    """
    wanted, keys, values = (op.input(i) for i in range(3))
    out, hits = op.output(0), op.output(1)
    if wanted.type != _INT32 or keys.type != _INT32 or values.type != out.type or hits.type != TensorType.UINT8:
        raise op.unsupported()
    if values.type in PACKED_BITS:
        raise op.unsupported()
    if len(wanted.dims) != 1 or len(keys.dims) != 1 or values.dims[:1] != keys.dims or not keys.dims[0]:
        raise op.invalid(f"wanted {wanted.dims}, keys {keys.dims} and values {values.dims} do not fit together")
    if values.type == TensorType.STRING and len(values.dims) != 1:
        raise op.invalid(f"strings to look up must be a vector, got shape {values.dims}")
    out.shape, hits.shape = (wanted.dims[0], *values.dims[1:]), wanted.dims
    nothing = np.array(b"", object) if values.type == TensorType.STRING else np.zeros((), values.dtype)

    def run(wanted: Array, keys: Array, values: Array) -> tuple[Array, Array]:
        places = _search(keys, wanted)
        found = places >= 0
        rows = values[places]
        rows[~found] = nothing
        return rows, found.astype(np.uint8)

    return run


def _search(keys: npt.NDArray[np.int32], wanted: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """Where each wanted key stands, or -1: C's binary search, which decides which of equal keys is found."""
    low, high = np.zeros(wanted.size, np.int64), np.full(wanted.size, keys.size)
    place = np.full(wanted.size, -1, np.int64)
    while np.any(low < high):
        middle = (low + high) // 2
        key = keys[np.minimum(middle, keys.size - 1)]
        searching = low < high
        place = np.where(searching & (wanted == key), middle, place)
        low, high = np.where(wanted > key, middle + 1, low), np.where(wanted < key, middle, high)
        low = np.where(place >= 0, high, low)
    return place
