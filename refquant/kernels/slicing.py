"""Operators that take parts of a tensor or overwrite them: SLICE, STRIDED_SLICE, SPLIT, GATHER, …"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from refquant.kernels.moving import INT32, INT64, axis_of, moved, part, planned, require_type, whole_numbers
from refquant.kernels.registry import Array, Operator, Run, Shape, TensorInfo, kernel
from refquant.tflite import schema
from refquant.tflite.schema import TensorType

_INT16, _STRING = TensorType.INT16, TensorType.STRING


def _part_of(op: Operator, x: TensorInfo, *outputs: TensorInfo) -> None:
    """The outputs have the type of `x`, the tensor whose numbers they hold."""
    if x.dtype == object or any(out.type != x.type for out in outputs):
        raise op.unsupported()


@kernel(
    "SLICE",
    flaw="with a begin below 0, tensorflow 2.21.0 reads what lies before the tensor, and refquant refuses it; an "
    "output keeps its shape in the file, even where the input was resized: refquant gives it the right one then",
)
def slice_(op: Operator) -> Run:
    """x[begin : begin + size] along every dimension; a size of -1 goes to the end. Source: kernels/slice.cc."""
    x, out = moved(op)
    begin, size = require_type(op, 1, INT32, INT64), require_type(op, 2, INT32, INT64)
    rank = len(x.dims)
    if rank > 5 or begin.dims != (rank,) or size.dims != (rank,) or begin.type != size.type:
        raise op.invalid(f"begin {begin.dims} and size {size.dims} do not fit an input of shape {x.dims}")

    def plan(shape: Shape, begin: Array, size: Array) -> tuple[Shape, list[slice]]:
        parts = []
        for n, first, count in zip(shape, begin.tolist(), size.tolist()):
            end = n if count == -1 else first + count
            if count < -1 or not 0 <= first <= end <= n:
                raise op.invalid(f"begin {begin.tolist()} and size {size.tolist()} leave a shape of {shape}")
            parts.append(slice(first, end))
        sides = tuple(p.stop - p.start for p in parts)
        if out.declared not in ((), sides) and not out.has_open_sides and x.declared == shape:
            raise op.invalid(f"the output has shape {out.declared} in the file, it should be {sides}")
        return sides, parts

    return planned(op, 0, [1, 2], plan, lambda parts, x, *_: part(x, parts))


@kernel(
    "STRIDED_SLICE",
    flaw="where an index to be dropped lies outside, or a length reaches beyond the end, tensorflow 2.21.0 reads or "
    "leaves behind any bytes, and refquant refuses it unless the output is empty; it dies of lengths that are an input "
    "while strides are constant",
)
def strided_slice(op: Operator) -> Run:
    """x[begin:end:stride, …] with NumPy's and TensorFlow's masks, one bit for each entry of `begin`.

    Bits of `begin_mask` and `end_mask`: ignore that begin or end; of `ellipsis_mask`: an ellipsis stands there; of
    `new_axis_mask`: a new dimension of 1; of `shrink_axis_mask`: take one element and drop the dimension. With
    `offset`, an end is a length, counted from its begin. Source: kernels/strided_slice.cc, strided_slice_logic.h.
    """
    moved(op)
    options = schema.StridedSliceOptions() if op.options is None else op.options
    if len({require_type(op, i, INT32).dims for i in (1, 2, 3)}) != 1 or len(op.input(1).dims) != 1:
        raise op.invalid("begin, end and strides must be vectors with the same number of entries")

    def plan(shape: Shape, *entries: Array) -> tuple[Shape, tuple[list[slice], Shape]]:
        index, result = _slices(op, options, shape, *map(whole_numbers, entries))
        return result, (index, result)

    return planned(op, 0, [1, 2, 3], plan, lambda how, x, *_: part(x, how[0]).reshape(how[1]))


def _slices(
    op: Operator,
    options: schema.StridedSliceOptions,
    dims: Shape,
    begin: list[int],
    end: list[int],
    strides: list[int],
) -> tuple[list[slice], Shape]:
    """The slice of each dimension of the input, and the shape of the result (with new and without dropped ones).

    What takes elements that are not there is an error only where the result has elements.
    """
    index: list[slice] = []
    shape: list[int] = []
    outside: list[str] = []
    places = _places(op, options, len(dims), len(begin))
    if options.offset and places != list(range(len(dims))):
        raise op.invalid(f"{len(begin)} lengths: there must be one for each of {len(dims)} dimensions")
    for i in places:
        if i is not None and _has(options.new_axis_mask, i):
            shape.append(1)
            continue
        size = dims[len(index)]
        if i is None:
            shape.append(size)
            index.append(slice(None))
            continue
        stride = strides[i]
        if stride == 0:
            raise op.invalid("a stride of 0")
        start = _start(begin[i], size, stride, _has(options.begin_mask, i))
        if _has(options.shrink_axis_mask, i):
            if not 0 <= start < size or stride < 0:
                outside.append(f"index {begin[i]} with stride {stride} takes no element of a dimension of {size}")
            index.append(slice(start, start + 1))
            continue
        stop = start + end[i] if options.offset else end[i]
        stop = _stop(stop, size, stride, _has(options.end_mask, i))
        count = _count(end[i] if options.offset else stop - start, stride)
        if count != _count(stop - start, stride):
            outside.append(f"{end[i]} elements from {start}: takes no element of a dimension of {size} at the end")
        index.append(slice(start, None if stop < 0 else stop, stride) if count else slice(0, 0))
        shape.append(count)
    if 0 in shape:
        return [slice(0, 0)] * len(dims), tuple(shape)
    if outside:
        raise op.invalid(outside[0])
    return index, tuple(shape)


def _places(op: Operator, options: schema.StridedSliceOptions, rank: int, entries: int) -> list[int | None]:
    """For each dimension, new ones included, the entry that slices it, or None where it stays whole.

    The real kernel leaves out what is too much: an ellipsis covers at least one dimension.
    """
    ellipses = [i for i in range(entries) if _has(options.ellipsis_mask, i)]
    new_axes = sum(_has(options.new_axis_mask, i) and i not in ellipses for i in range(entries))
    total = rank + new_axes
    if len(ellipses) > 1 or total > 5 or options.new_axis_mask >> entries:
        raise op.invalid(
            f"{len(ellipses)} ellipses and masks for more than {entries} entries, or more than 5 dimensions, new ones "
            "included, are too much"
        )
    places: list[int | None] = []
    i = 0
    while len(places) < total:
        if i in ellipses:
            places += [None] * max(1, min(1 + total - entries, total - len(places)))
        else:
            places.append(i if i < entries else None)
        i += 1
    if sum(i is None or not _has(options.new_axis_mask, i) for i in places) != rank:
        raise op.invalid(f"{entries} entries do not fit a tensor of {rank} dimensions")
    return places


def _has(mask: int, i: int) -> bool:
    return bool(mask >> i & 1)


def _count(length: int, stride: int) -> int:
    """How many elements a length has in strides."""
    return max(0, -(-length // stride))


def _start(begin: int, size: int, stride: int, ignored: bool) -> int:
    if ignored:
        return 0 if stride > 0 else size - 1
    begin += size if begin < 0 else 0
    return min(max(begin, 0), size) if stride > 0 else min(max(begin, -1), size - 1)


def _stop(end: int, size: int, stride: int, ignored: bool) -> int:
    if ignored:
        return size if stride > 0 else -1
    end += size if end < 0 else 0
    return min(max(end, 0), size) if stride > 0 else min(max(end, -1), size - 1)


@kernel("SPLIT")
def split(op: Operator) -> Run:
    """Equal parts along an axis, which is the first input. Source: kernels/split.cc."""
    moved(op, 1)
    axis = require_type(op, 0, INT32, INT64)
    count = op.options.num_splits
    if len(op.inputs) != 2 or len(op.outputs) != count or count < 1 or 0 in axis.dims:
        raise op.invalid(
            f"{len(op.inputs)} inputs, {len(op.outputs)} outputs, {count} parts along an axis of shape {axis.dims}"
        )

    def lengths(size: int) -> list[int]:
        if size % count:
            raise op.invalid(f"a dimension of {size} is not made of {count} equal parts")
        return [size // count] * count

    return _split(op, 1, [0], lambda shape, axis: (axis, lengths(shape[axis])))


@kernel("SPLIT_V")
def split_v(op: Operator) -> Run:
    """Parts of given sizes along an axis; one size may be -1, for what is left. Source: kernels/split_v.cc."""
    moved(op)
    sizes, axis = require_type(op, 1, INT32, INT64), require_type(op, 2, INT32, INT64)
    parts = len(op.outputs)
    if len(op.inputs) != 3 or not parts == op.options.num_splits or sizes.dims != (parts,) or 0 in axis.dims:
        raise op.invalid(
            f"{len(op.inputs)} inputs, {parts} outputs, {op.options.num_splits} parts, sizes of shape {sizes.dims}"
        )

    def lengths(size: int, sizes: list[int]) -> list[int]:
        rest = size - sum(n for n in sizes if n != -1)
        parts = [rest if n == -1 else n for n in sizes]
        if sizes.count(-1) > 1 or min(parts) < 0 or sum(parts) != size:
            raise op.invalid(f"a dimension of {size} is not split into parts of {sizes}")
        return parts

    return _split(op, 0, [2, 1], lambda shape, axis, sizes: (axis, lengths(shape[axis], whole_numbers(sizes))))


def _split(op: Operator, x: int, parameters: Sequence[int], plan: Callable[..., tuple[int, list[int]]]) -> Run:
    """Parts of the input at `x`; `plan` gives axis and lengths. The first parameter is the axis: its lower 32 bits."""

    def planned_for(shape: Shape, axis: Array, *more: Array) -> tuple[int, list[int]]:
        return plan(shape, axis_of(op, whole_numbers(axis.astype(np.int32))[0], len(shape)), *more)

    def compute(along: int, lengths: list[int], x: Array) -> tuple[Array, ...]:
        return tuple(p.copy() for p in np.split(x, np.cumsum(lengths)[:-1], axis=along))

    values = [op.input(i).value for i in parameters]
    if any(value is None for value in values):
        for out in op.outputs:
            out.shape = None
        return lambda *inputs: compute(*planned_for(inputs[x].shape, *(inputs[i] for i in parameters)), inputs[x])
    dims = op.input(x).dims
    along, lengths = planned_for(dims, *(value for value in values if value is not None))
    for out, length in zip(op.outputs, lengths):
        out.shape = (*dims[:along], length, *dims[along + 1 :])
    return lambda *inputs: compute(along, lengths, inputs[x])


@kernel(
    "GATHER",
    flaw="with INT4 and slices of an odd number of elements, tensorflow 2.21.0 copies one too few of each and leaves "
    "the rest of the output as it was; refquant refuses them",
)
def gather(op: Operator) -> Run:
    """The slices of x along `axis` that the indices name, for each of the first `batch_dims` dimensions its own.

    An index that is out of range is an error when running. Source: kernels/gather.cc, internal/reference/gather.h.
    """
    x, out = moved(op)
    indices = require_type(op, 1, INT32, INT64, _INT16)
    if x.type == _STRING and len(x.dims) != 1:
        raise op.invalid(f"strings are gathered from a vector, not from shape {x.dims}")
    options = schema.GatherOptions() if op.options is None else op.options
    axis = axis_of(op, options.axis, len(x.dims))
    batch_dims = options.batch_dims
    rank = len(indices.dims)
    batch_dims += rank if batch_dims < 0 else 0
    if not 0 <= batch_dims <= min(axis, rank) or x.dims[:batch_dims] != indices.dims[:batch_dims]:
        raise op.invalid(f"{batch_dims} batch dimensions do not fit shapes {x.dims} and {indices.dims}, axis {axis}")
    shape = out.shape = (*x.dims[:axis], *indices.dims[batch_dims:], *x.dims[axis + 1 :])
    limit = x.dims[axis]
    sides = [x.dims[:batch_dims], x.dims[batch_dims:axis], (limit,), x.dims[axis + 1 :], indices.dims[batch_dims:]]
    batch, outer, _, inner, count = map(math.prod, sides)
    if x.type == TensorType.INT4 and inner % 2:
        raise op.unsupported("no kernel with slices of an odd number of elements")

    def run(x: Array, indices: Array) -> Array:
        if indices.size and not 0 <= indices.min() <= indices.max() < limit:
            wrong = indices.min() if indices.min() < 0 else indices.max()
            raise op.invalid(f"index {wrong} is out of range: dimension {axis} of the input has {limit}")
        slices = x.reshape(batch, outer, limit, inner)
        taken = slices[np.arange(batch)[:, None], :, indices.reshape(batch, count)]
        return taken.transpose(0, 2, 1, 3).reshape(shape)

    return run


@kernel("GATHER_ND")
def gather_nd(op: Operator) -> Run:
    """The slices of x that the rows of the indices name, a coordinate for each of the first dimensions.

    A coordinate that is out of range is an error when running. Source: kernels/gather_nd.cc.
    """
    x, out = moved(op)
    indices = require_type(op, 1, INT32, INT64, _INT16)
    if not indices.dims or not x.dims or indices.dims[-1] > len(x.dims):
        raise op.invalid(f"indices of shape {indices.dims} do not fit an input of shape {x.dims}")
    depth = indices.dims[-1]
    out.shape = (*indices.dims[:-1], *x.dims[depth:])
    limits = np.array(x.dims[:depth], np.int64)

    def run(x: Array, indices: Array) -> Array:
        if np.any(indices < 0) or np.any(indices >= limits):
            raise op.invalid(f"an index is out of range: the input has shape {x.shape}")
        if not depth:
            return np.broadcast_to(x, out.dims).copy()
        return part(x, list(np.moveaxis(indices, -1, 0)))

    return run


@kernel("DYNAMIC_UPDATE_SLICE")
def dynamic_update_slice(op: Operator) -> Run:
    """x with a part overwritten, which begins at the third input, moved back to where it fits.

    Source: kernels/dynamic_update_slice.cc.
    """
    x, out = moved(op)
    update, start = require_type(op, 1, x.type), require_type(op, 2, INT32, INT64)
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
