"""Operators along one axis and on shapes: RANGE, BROADCAST_ARGS, CUMSUM, TOPK_V2, UNIQUE, BUCKETIZE, ONE_HOT, WHERE."""

from __future__ import annotations

import math

import numpy as np

from refquant.kernels.fused_activation import clamp
from refquant.kernels.registry import MOST_ELEMENTS, Array, Operator, Run, Shape, TensorInfo, kernel
from refquant.kernels.requantization import check_scales
from refquant.numerics.fixed_point import double_rounding, quantize_multiplier
from refquant.numerics.ordering import make_heap, pop_heap, push_heap, sort, sort_heap
from refquant.tflite.schema import TensorType

_FLOAT32, _INT32, _INT64 = TensorType.FLOAT32, TensorType.INT32, TensorType.INT64
_INT8, _UINT8, _INT16, _BOOL = TensorType.INT8, TensorType.UINT8, TensorType.INT16, TensorType.BOOL
_UINT32 = TensorType.UINT32
_MOVABLE = (_FLOAT32, _UINT8, _INT8, _INT16, _INT32, _INT64, _BOOL)


def _one_of(op: Operator, position: int, *types: TensorType) -> TensorInfo:
    tensor = op.input(position)
    if tensor.type not in types:
        raise op.unsupported()
    return tensor


def _axis(op: Operator, axis: int, rank: int) -> int:
    """An axis counted from the front."""
    if not -rank <= axis < rank:
        raise op.invalid(f"there is no axis {axis} in a tensor of {rank} dimensions")
    return axis % rank


@kernel("RANGE")
def range_(op: Operator) -> Run:
    """start, start + delta, …, up to limit, which is not reached; each number is the one before plus delta.

    How many there are is computed in the type of the numbers; a difference too large for it wraps.
    Source: kernels/range.cc.
    """
    tensors, out = [op.input(i) for i in range(3)], op.output()
    if tensors[0].type not in (_FLOAT32, _INT32, _INT64) or any(t.type != out.type for t in tensors):
        raise op.unsupported()
    if any(t.dims for t in tensors):
        raise op.invalid(f"takes three single numbers, got shapes {[t.dims for t in tensors]}")

    def run(*inputs: Array) -> Array:
        start, limit, delta = (x.item() for x in inputs)
        if (
            delta == 0
            or ((start < limit) == (delta < 0) and start != limit)
            or not all(map(math.isfinite, (start, limit)))
        ):
            raise op.invalid(f"there is no way from {start} to {limit} in steps of {delta}")
        if out.type == _FLOAT32:
            count = math.ceil(abs((inputs[1] - inputs[0]) / inputs[2]))
        else:
            count = (abs(int(inputs[1] - inputs[0])) + abs(delta) - 1) // abs(delta)
        if count >= MOST_ELEMENTS:
            raise op.invalid(f"{count} numbers are too many")
        steps = np.full(count, delta, out.dtype)
        steps[:1] = start
        return np.cumsum(steps, dtype=out.dtype)

    if all(t.value is not None for t in tensors):
        result = run(*(t.value for t in tensors if t.value is not None))
        out.shape = result.shape
        return lambda *_: result
    out.shape = None
    return run


@kernel("BROADCAST_ARGS", flaw="with shapes that do not fit together, tensorflow 2.21.0 aborts; refquant refuses them")
def broadcast_args(op: Operator) -> Run:
    """The shape that tensors of two shapes have together; of int64 numbers the lower 32 bits count.

    Source: kernels/broadcast_args.cc, internal/reference/broadcast_args.h.
    """
    a, b, out = _one_of(op, 0, _INT32, _INT64), op.input(1), op.output()
    if not a.type == b.type == out.type:
        raise op.unsupported()
    if len(a.dims) != 1 or len(b.dims) != 1:
        raise op.invalid(f"takes two shapes, got tensors of shapes {a.dims} and {b.dims}")
    out.shape = (max(a.dims[0], b.dims[0]),)

    def run(a: Array, b: Array) -> Array:
        length = max(a.size, b.size)
        a, b = (np.concatenate([np.ones(length - n.size, np.int32), n.astype(np.int32)]) for n in (a, b))
        if np.any((a != b) & (a != 1) & (b != 1)):
            raise op.invalid(f"shapes {a.tolist()} and {b.tolist()} cannot be broadcast together")
        return np.where(a == 1, b, a).astype(out.dtype)

    return run


@kernel("CUMSUM")
def cumsum(op: Operator) -> Run:
    """Sums of all numbers up to each one along an axis, from the back with `reverse`, without it with `exclusive`.

    Source: kernels/cumsum.cc, CumSum in internal/optimized/optimized_ops.h.
    """
    x, axis_tensor, out = _one_of(op, 0, _FLOAT32, _INT32, _INT64), _one_of(op, 1, _INT32), op.output()
    if x.type != out.type:
        raise op.unsupported()
    if math.prod(axis_tensor.dims) != 1 or not x.dims:
        raise op.invalid(f"takes a tensor and one axis, got shapes {x.dims} and {axis_tensor.dims}")
    out.shape = x.dims
    exclusive, reverse = op.options.exclusive, op.options.reverse

    def run(x: Array, axis_array: Array) -> Array:
        axis = _axis(op, int(axis_array.item()), x.ndim)
        x = np.flip(x, axis) if reverse else x
        with np.errstate(all="ignore"):
            total = np.cumsum(x, axis, x.dtype)
        if x.shape[axis] and x.dtype.kind == "f":
            total = total + np.float32(0)  # the sum starts from zero, so no -0.0
        if exclusive:
            zero = np.zeros_like(np.take(total, [0] if x.shape[axis] else [], axis))
            total = np.concatenate([zero, np.take(total, range(max(x.shape[axis] - 1, 0)), axis)], axis)
        return np.flip(total, axis) if reverse else total

    return run


@kernel("CUMSUM", profile="micro")
def micro_cumsum(op: Operator) -> Run:
    """As CUMSUM, and int8.

    int8: each number, less its zero point and times 2**20, is halved by double rounding and added to a total, which
    should begin at 0 and begins at half of minus the zero point times 2**20; the total goes to the output's scale.
    Source: tensorflow/lite/micro/kernels/cumsum.cc, internal/reference/cumsum.h.
    """
    x, axis_tensor, out = op.input(0), op.input(1), op.output()
    if x.type != _INT8:
        return cumsum(op)
    if out.type != _INT8:
        raise op.unsupported()
    if math.prod(axis_tensor.dims) != 1 or not x.dims:
        raise op.invalid(f"takes a tensor and one axis, got shapes {x.dims} and {axis_tensor.dims}")
    check_scales(op, x)
    check_scales(op, out)
    real = 2 * np.float64(x.scale) / (2**20 * np.float64(out.scale))
    if real >= 1:
        raise op.invalid("the output's scale is too small for this input; the real kernel aborts")
    out.shape = x.dims
    exclusive, reverse = op.options.exclusive, op.options.reverse
    zero_point, half, to_out = np.int32(x.zero_point), quantize_multiplier(0.5), quantize_multiplier(real)

    def run(q: Array, axis_array: Array) -> Array:
        axis = _axis(op, int(axis_array.item()), q.ndim)
        q = np.flip(q, axis) if reverse else q
        halves = double_rounding((q.astype(np.int32) - zero_point) << 20, *half)
        total = np.cumsum(halves, axis, np.int32) + double_rounding(np.asarray(-zero_point << 20), *half)
        if exclusive:
            total = total - halves
        total = np.flip(total, axis) if reverse else total
        return clamp(double_rounding(total, *to_out) + np.int32(out.zero_point), -128, 127, np.dtype(np.int8))

    return run


@kernel("TOPK_V2", flaw="tensorflow 2.21.0 damages its memory when k is 0; refquant gives nothing")
def topk_v2(op: Operator) -> Run:
    """The k largest of each row, from large to small, and where they stand; the first of equals first.

    A NaN is neither larger nor smaller than any number: where it ends up depends on the steps of a heap. Source:
    kernels/topk_v2.cc.
    """
    x, k_tensor = op.input(0), _one_of(op, 1, _INT32, _INT16)
    values, indices = op.output(0), op.output(1)
    if x.type not in (_FLOAT32, _INT8, _UINT8, _INT16, _INT32, _INT64) or values.type != x.type:
        raise op.unsupported()
    if indices.type not in (_INT32, _INT16):
        raise op.unsupported()
    if not x.dims or math.prod(k_tensor.dims) != 1:
        raise op.invalid(f"takes rows and one number k, got shapes {x.dims} and {k_tensor.dims}")

    def checked(k: int, row: int) -> int:
        if not 0 <= k <= row:
            raise op.invalid(f"cannot take the {k} largest of {row} numbers")
        return k

    def run(x: Array, k_array: Array) -> tuple[Array, Array]:
        k = checked(int(k_array.item()), x.shape[-1])
        order = np.argsort(-x if x.dtype.kind == "f" else ~x, axis=-1, kind="stable")[..., :k]
        for row in np.argwhere(np.isnan(x).any(axis=-1)) if k else ():
            order[tuple(row)] = _largest_with_nan(x[tuple(row)].tolist(), k)
        return np.take_along_axis(x, order, -1), order.astype(indices.dtype)

    if k_tensor.value is None:
        values.shape = indices.shape = None
    else:
        values.shape = indices.shape = (*x.dims[:-1], checked(int(k_tensor.value.item()), x.dims[-1]))
    return run


def _largest_with_nan(row: list[float], k: int) -> list[int]:
    """The places of the k largest: all are sorted, or they are kept in a heap, the smallest of them at its front."""

    def less(a: int, b: int) -> bool:
        return row[b] < row[a] or (not row[b] > row[a] and a < b)

    found = list(range(min(k + 1, len(row))))
    if len(found) == k:
        sort(found, less)
        return found
    make_heap(found, less)
    pop_heap(found, less)
    for place in range(k + 1, len(row)):
        if less(place, found[0]):
            pop_heap(found, less)
            push_heap(found, place, less)
    sort_heap(found, less)
    return found


@kernel("UNIQUE")
def unique(op: Operator) -> Run:
    """The numbers of a vector without repetition, in the order of their first appearance, and the place of each there.

    A NaN at the start equals all, and any other one the smallest number before it, because the real kernel looks them
    up in an ordered tree. Source: kernels/unique.cc.
    """
    x, values, places = _one_of(op, 0, _INT8, _UINT8, _INT16, _INT32, _INT64, _FLOAT32), op.output(0), op.output(1)
    if values.type != x.type or places.type not in (_INT32, _INT64) or places.type != op.options.idx_out_type:
        raise op.unsupported()
    if len(x.dims) != 1:
        raise op.invalid(f"takes a vector, got shape {x.dims}")
    values.shape, places.shape = None, x.dims

    def run(x: Array) -> tuple[Array, Array]:
        if x.size and x[0] != x[0]:
            return x[:1], np.zeros(x.size, places.dtype)
        first: dict[float, int] = {}
        place = [first.setdefault(min(first) if n != n else n, len(first)) for n in x.tolist()]
        return np.array(list(first), x.dtype), np.array(place, places.dtype)

    return run


@kernel("BUCKETIZE")
def bucketize(op: Operator) -> Run:
    """How many of the sorted `boundaries` are not larger than each number. Source: kernels/bucketize.cc."""
    x, out = _one_of(op, 0, _FLOAT32, TensorType.FLOAT64, _INT32, _INT64), op.output()
    out.take_type(_INT32)
    if op.options.boundaries is None:
        raise op.invalid("there are no boundaries")
    boundaries = np.asarray(op.options.boundaries, np.float32)
    if not np.all(boundaries[1:] >= boundaries[:-1]):
        raise op.invalid("the boundaries are not sorted")
    out.shape = x.dims
    common = np.float64 if x.type == TensorType.FLOAT64 else np.float32
    return lambda x: np.searchsorted(boundaries.astype(common), x.astype(common), side="right").astype(np.int32)


@kernel("ONE_HOT")
def one_hot(op: Operator) -> Run:
    """`on` where the number along a new axis is the index, `off` elsewhere. Source: kernels/one_hot.cc."""
    indices, depth_tensor, on, off = (op.input(i) for i in range(4))
    out = op.output()
    if indices.type not in (_INT32, _INT64) or depth_tensor.type != _INT32 or on.type != off.type:
        raise op.unsupported()
    out.take_type(on.type)
    if on.type not in (_FLOAT32, _INT8, _UINT8, _INT32, _INT64, _BOOL):
        raise op.unsupported()
    if any(math.prod(t.dims) != 1 for t in (depth_tensor, on, off)):
        raise op.invalid("depth, on value and off value must be one number each")
    rank = len(indices.dims)
    if not -1 <= op.options.axis <= rank:
        raise op.invalid(f"a new axis {op.options.axis} does not fit indices of shape {indices.dims}")
    axis = rank if op.options.axis == -1 else op.options.axis

    def with_depth(shape: Shape, depth: int) -> Shape:
        if depth < 0 or math.prod(shape) * depth >= MOST_ELEMENTS:
            raise op.invalid(f"a depth of {depth} for indices of shape {shape}")
        return (*shape[:axis], depth, *shape[axis:])

    def run(indices: Array, depth_array: Array, on: Array, off: Array) -> Array:
        depth = int(depth_array.item())
        with_depth(indices.shape, depth)
        places = np.arange(depth).reshape(-1, *[1] * (rank - axis))
        indices = indices.astype(np.int32)  # of int64 the low half counts
        return np.where(np.expand_dims(indices, axis) == places, on.item(), off.item()).astype(out.dtype)

    known = depth_tensor.value
    out.shape = None if known is None else with_depth(indices.dims, int(known.item()))
    return run


@kernel("WHERE")
def where(op: Operator) -> Run:
    """The places of all numbers that are not zero, one row of int64 each. Source: kernels/where.cc."""
    x, out = _one_of(op, 0, _BOOL, _FLOAT32, _INT64, _INT32, _INT8, _UINT8, _UINT32), op.output()
    out.take_type(_INT64)
    if not x.dims:
        raise op.invalid("the input must have a dimension to give places in")
    out.shape = None
    return lambda x: np.argwhere(x)
