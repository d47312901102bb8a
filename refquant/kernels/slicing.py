"""Operators that take parts of a tensor: SLICE, SPLIT, SPLIT_V, UNPACK, GATHER.

They take all types of numbers; the real kernels refuse some of them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from refquant.kernels.registry import Array, Operator, Run, Shape, TensorInfo, kernel
from refquant.tflite.schema import TensorType

_INTEGERS = (TensorType.INT32, TensorType.INT64)


def _part_of(op: Operator, x: TensorInfo, *outputs: TensorInfo) -> None:
    """The outputs have the type of `x`, the tensor whose numbers they hold."""
    if x.dtype == object or any(out.type != x.type for out in outputs):
        raise op.unsupported()


def _axis(op: Operator, x: TensorInfo, axis: int) -> int:
    """`axis` counted from the front."""
    rank = len(x.dims)
    if not -rank <= axis < rank:
        raise op.invalid(f"there is no axis {axis} in a shape of {x.dims}")
    return axis % rank


@kernel("SLICE")
def slice_(op: Operator) -> Run:
    """x[begin : begin + size] along every dimension; a size of -1 goes to the end.

    A negative begin is an error here; the real kernel reads what lies before the tensor. Source: kernels/slice.cc.
    """
    x, begin, size, out = op.input(0), op.input(1), op.input(2), op.output()
    _part_of(op, x, out)
    rank = len(x.dims)
    if begin.type not in _INTEGERS or size.type != begin.type:
        raise op.unsupported()
    if rank > 5 or begin.dims != (rank,) or size.dims != (rank,):
        raise op.invalid(f"begin {begin.dims} and size {size.dims} do not fit an input of shape {x.dims}")

    def window(shape: Shape, begin: Array, size: Array) -> tuple[slice, ...]:
        parts = []
        for n, first, count in zip(shape, begin.tolist(), size.tolist()):
            end = n if count == -1 else first + count
            if count < -1 or not 0 <= first <= end <= n:
                raise op.invalid(f"begin {begin.tolist()} and size {size.tolist()} leave a shape of {shape}")
            parts.append(slice(first, end))
        return tuple(parts)

    if begin.value is None or size.value is None:
        out.shape = None
        return lambda x, begin, size: np.ascontiguousarray(x[window(x.shape, begin, size)])
    fixed = window(x.dims, begin.value, size.value)
    out.shape = tuple(part.stop - part.start for part in fixed)
    return lambda x, *_: np.ascontiguousarray(x[fixed])


@kernel("SPLIT")
def split(op: Operator) -> Run:
    """Equal parts along an axis, which is the first input. Source: kernels/split.cc."""
    axis, x = op.input(0), op.input(1)
    return _split(op, x, axis, lambda n: [n // len(op.outputs)] * len(op.outputs), first=1)


@kernel("SPLIT_V")
def split_v(op: Operator) -> Run:
    """Parts of given sizes along an axis; one size may be -1, for what is left. Source: kernels/split_v.cc."""
    x, sizes, axis = op.input(0), op.input(1), op.input(2)
    if sizes.type not in _INTEGERS:
        raise op.unsupported()
    if sizes.value is None:
        raise op.unsupported("no kernel with sizes that are not constant")
    wanted = [int(n) for n in sizes.value.ravel()]
    if len(wanted) != len(op.outputs) or wanted.count(-1) > 1 or min(wanted, default=0) < -1:
        raise op.invalid(f"sizes {wanted} do not fit {len(op.outputs)} outputs")

    def lengths(n: int) -> list[int]:
        rest = n - sum(size for size in wanted if size != -1)
        return [rest if size == -1 else size for size in wanted]

    return _split(op, x, axis, lengths, first=0)


def _split(op: Operator, x: TensorInfo, axis: TensorInfo, lengths: Callable[[int], list[int]], first: int) -> Run:
    """Parts of the lengths that `lengths` gives for the dimension; x is the input at `first`."""
    _part_of(op, x, *op.outputs)
    if axis.type != TensorType.INT32 or axis.value is None:
        raise op.unsupported("no kernel with an axis that is not a constant of int32")
    if axis.value.size != 1:
        raise op.invalid(f"the axis is one number, not of shape {axis.dims}")
    along = _axis(op, x, int(axis.value.ravel()[0]))
    parts = lengths(x.dims[along])
    if sum(parts) != x.dims[along] or min(parts, default=0) < 0:
        raise op.invalid(f"dimension {along} of shape {x.dims} is not split into parts of {parts}")
    for out, length in zip(op.outputs, parts):
        out.shape = (*x.dims[:along], length, *x.dims[along + 1 :])
    ends = np.cumsum(parts)[:-1]
    return lambda *inputs: tuple(np.ascontiguousarray(p) for p in np.split(inputs[first], ends, axis=along))


@kernel("UNPACK")
def unpack(op: Operator) -> Run:
    """The slices along an axis, which is taken away. Source: kernels/unpack.cc."""
    x = op.input(0)
    _part_of(op, x, *op.outputs)
    axis = _axis(op, x, op.options.axis)
    if x.dims[axis] != len(op.outputs) or op.options.num != len(op.outputs):
        raise op.invalid(f"{len(op.outputs)} outputs, but dimension {axis} of shape {x.dims}, num {op.options.num}")
    for out in op.outputs:
        out.shape = (*x.dims[:axis], *x.dims[axis + 1 :])
    return lambda x: tuple(part.copy() for part in np.moveaxis(x, axis, 0))


@kernel("GATHER")
def gather(op: Operator) -> Run:
    """The slices of x along `axis` that the indices name, for each of the first `batch_dims` dimensions its own.

    An index that is out of range is an error when running. Source: kernels/gather.cc, internal/reference/gather.h.
    """
    x, indices, out = op.input(0), op.input(1), op.output()
    _part_of(op, x, out)
    if indices.type not in (TensorType.INT16, *_INTEGERS):
        raise op.unsupported()
    axis = _axis(op, x, op.options.axis)
    batch_dims = op.options.batch_dims
    rank = len(indices.dims)
    batch_dims += rank if batch_dims < 0 else 0
    if not 0 <= batch_dims <= min(axis, rank) or x.dims[:batch_dims] != indices.dims[:batch_dims]:
        raise op.invalid(f"{batch_dims} batch dimensions do not fit shapes {x.dims} and {indices.dims}, axis {axis}")
    shape = out.shape = (*x.dims[:axis], *indices.dims[batch_dims:], *x.dims[axis + 1 :])
    limit = x.dims[axis]
    batches = x.dims[:batch_dims]

    def run(x: Array, indices: Array) -> Array:
        if indices.size and not 0 <= indices.min() <= indices.max() < limit:
            wrong = indices.min() if indices.min() < 0 else indices.max()
            raise op.invalid(f"index {wrong} is out of range: dimension {axis} of the input has {limit}")
        result = np.empty(shape, x.dtype)
        for batch in np.ndindex(batches):
            result[batch] = np.take(x[batch], indices[batch], axis=axis - batch_dims)
        return result

    return run


@kernel("GATHER_ND")
def gather_nd(op: Operator) -> Run:
    """The slices of x that the rows of the indices name, a coordinate for each of the first dimensions.

    A coordinate that is out of range is an error when running. Source: kernels/gather_nd.cc.
    """
    x, indices, out = op.input(0), op.input(1), op.output()
    _part_of(op, x, out)
    if indices.type not in _INTEGERS:
        raise op.unsupported()
    if not indices.dims or not x.dims or indices.dims[-1] > len(x.dims):
        raise op.invalid(f"indices of shape {indices.dims} do not fit an input of shape {x.dims}")
    depth = indices.dims[-1]
    out.shape = (*indices.dims[:-1], *x.dims[depth:])
    limits = np.array(x.dims[:depth], np.int64)

    def run(x: Array, indices: Array) -> Array:
        if np.any(indices < 0) or np.any(indices >= limits):
            raise op.invalid(f"an index is out of range: the input has shape {x.shape}")
        return x[tuple(np.moveaxis(indices, -1, 0))].copy()

    return run


@kernel("EMBEDDING_LOOKUP")
def embedding_lookup(op: Operator) -> Run:
    """The rows of a table that int32 ids name; an id that is out of range is an error when running.

    Source: kernels/embedding_lookup.cc.
    """
    ids, table, out = op.input(0), op.input(1), op.output()
    _part_of(op, table, out)
    if ids.type != TensorType.INT32:
        raise op.unsupported()
    if len(ids.dims) != 1 or len(table.dims) < 2:
        raise op.invalid(f"ids of shape {ids.dims} and a table of shape {table.dims}: expected 1 and at least 2 axes")
    out.shape = (ids.dims[0], *table.dims[1:])
    rows = table.dims[0]

    def run(ids: Array, table: Array) -> Array:
        if ids.size and not 0 <= ids.min() <= ids.max() < rows:
            raise op.invalid(f"an id is out of range: the table has {rows} rows")
        return table[ids]

    return run


@kernel("DYNAMIC_UPDATE_SLICE")
def dynamic_update_slice(op: Operator) -> Run:
    """x with a part overwritten, which begins at the third input, moved back to where it fits.

    Source: kernels/dynamic_update_slice.cc.
    """
    x, update, start, out = op.input(0), op.input(1), op.input(2), op.output()
    _part_of(op, x, out)
    if update.type != x.type or start.type not in _INTEGERS:
        raise op.unsupported()
    rank = len(x.dims)
    if start.dims != (rank,) or len(update.dims) != rank or any(u > n for u, n in zip(update.dims, x.dims)):
        raise op.invalid(f"an update {update.dims} at {start.dims} numbers does not fit an input of shape {x.dims}")
    out.shape = x.dims
    room = np.array(x.dims, np.int64) - np.array(update.dims, np.int64)

    def run(x: Array, update: Array, start: Array) -> Array:
        result = x.copy()
        first = np.clip(start, 0, room).tolist()
        result[tuple(slice(f, f + n) for f, n in zip(first, update.shape))] = update
        return result

    return run
