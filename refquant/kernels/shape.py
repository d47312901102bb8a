"""Operators that move numbers without changing them: RESHAPE, CONCATENATION, STRIDED_SLICE, PAD, TRANSPOSE, …"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from refquant.kernels.registry import Array, Operator, Run, Shape, TensorInfo, kernel
from refquant.kernels.requantization import check_scales
from refquant.numerics.lookup import round_half_away, tabulate
from refquant.tflite.schema import TensorType


def _constant_ints(op: Operator, position: int) -> list[int] | None:
    """The numbers of an int32 or int64 input where it is constant, None where it is only known at run time."""
    tensor = op.input(position)
    if tensor.type not in (TensorType.INT32, TensorType.INT64):
        raise op.invalid(f"input {position} must be int32 or int64, it is {tensor.type.name}")
    return None if tensor.value is None else [int(n) for n in tensor.value.ravel()]


def _copied(op: Operator) -> tuple[TensorInfo, TensorInfo]:
    x, out = op.input(0), op.output()
    if x.type != out.type:
        raise op.invalid(f"input is {x.type.name}, output {out.type.name}")
    return x, out


@kernel("RESHAPE")
def reshape(op: Operator) -> Run:
    """The same numbers in another shape, from the second input or else from the options; -1 takes what is left.

    A shape tensor that is only known at run time makes the output's shape dynamic. Source: kernels/reshape.cc.
    """
    x, out = _copied(op)
    shape_tensor = op.optional_input(1)
    if shape_tensor is not None and shape_tensor.type == TensorType.INT32 and len(shape_tensor.dims) == 1:
        wanted = _constant_ints(op, 1)
        if wanted is None:
            out.shape = None
            return lambda x, shape: x.reshape(_full_shape(op, x.shape, [int(n) for n in shape]))
    else:
        declared = getattr(op.options, "new_shape", None)
        wanted = [] if declared is None else [int(n) for n in declared]
        if wanted == [0]:
            wanted = []  # how old converters wrote a scalar
    shape = out.shape = _full_shape(op, x.dims, wanted)
    return lambda x, _=None: x.reshape(shape)


def _full_shape(op: Operator, shape: Shape, wanted: list[int]) -> Shape:
    """`wanted` with its -1 replaced by what is left of the elements of `shape`."""
    elements = math.prod(shape)
    if wanted.count(-1) > 1 or any(n < -1 for n in wanted):
        raise op.invalid(f"cannot reshape to {wanted}: one -1 and no other number below 0 may stand there")
    known = math.prod(n for n in wanted if n != -1)
    filled = tuple((elements // known if known else 0) if n == -1 else n for n in wanted)
    if math.prod(filled) != elements:
        raise op.invalid(f"cannot reshape {shape} to {wanted}: {elements} elements against {math.prod(filled)}")
    return filled


@kernel("CONCATENATION")
def concatenation(op: Operator) -> Run:
    """The inputs one after the other along `axis`.

    uint8 inputs of another scale or zero point than the output's are rescaled, in float32:
    round(q * s + (-zero_point * s)) + output's zero point with s = scale * (1 / output's scale). int8 ones must agree.
    Source: kernels/concatenation.cc, internal/reference/concatenation.h.
    """
    if not op.inputs:
        raise op.invalid("there is nothing to concatenate")
    tensors, out = [op.input(i) for i in range(len(op.inputs))], op.output()
    if op.options.fused_activation_function != 0:
        raise op.invalid("a fused activation is not allowed here")
    rank = len(tensors[0].dims)
    axis = op.options.axis + (rank if op.options.axis < 0 else 0)
    if not 0 <= axis < rank:
        raise op.invalid(f"axis {op.options.axis} does not exist in tensors of {rank} dimensions")
    rest = {t.dims[:axis] + t.dims[axis + 1 :] if len(t.dims) == rank else None for t in tensors}
    if len(rest) != 1 or any(t.type != out.type for t in tensors):
        raise op.invalid(f"tensors of shapes {[t.dims for t in tensors]} and types {op.types} do not fit together")
    first = tensors[0].dims
    out.shape = (*first[:axis], sum(t.dims[axis] for t in tensors), *first[axis + 1 :])
    same = [_same_quantization(t, out) for t in tensors]
    if out.type == TensorType.INT8 and not all(same):
        raise op.invalid("int8 inputs must have the scale and zero point of the output")
    if out.type == TensorType.UINT8 and out.is_quantized and not all(same):
        rescales = [None if s else _rescaled_uint8(op, t, out) for t, s in zip(tensors, same)]
        return lambda *xs: np.concatenate([x if f is None else f(x) for f, x in zip(rescales, xs)], axis)
    return lambda *xs: np.concatenate(xs, axis)


def _same_quantization(x: TensorInfo, out: TensorInfo) -> bool:
    return np.array_equal(x.scales, out.scales) and np.array_equal(x.zero_points, out.zero_points)


def _rescaled_uint8(op: Operator, x: TensorInfo, out: TensorInfo) -> Any:
    check_scales(op, x)
    check_scales(op, out)
    scale = x.scale * (np.float32(1) / out.scale)
    bias = np.float32(-x.zero_point) * scale

    def rescale(q: Array) -> Array:
        rounded = round_half_away(q.astype(np.float32) * scale + bias)
        fits = np.abs(rounded) < 2.0**31
        return np.clip(np.where(fits, rounded, -(2.0**31)) + out.zero_point, 0, 255).astype(np.uint8)

    return tabulate(rescale, np.uint8)


@kernel("STRIDED_SLICE")
def strided_slice(op: Operator) -> Run:
    """x[begin:end:stride, …] with NumPy's and TensorFlow's masks, one bit for each entry of `begin`.

    Bits of `begin_mask` and `end_mask`: ignore that begin or end; of `ellipsis_mask`: an ellipsis stands there; of
    `new_axis_mask`: a new dimension of 1; of `shrink_axis_mask`: take one element and drop the dimension. With
    `offset`, an end is a length, counted from its begin. Source: kernels/strided_slice.cc, strided_slice_logic.h.
    """
    x, out = _copied(op)
    begin, end, strides = (_constant_ints(op, i) for i in (1, 2, 3))
    counts = {math.prod(op.input(i).dims) for i in (1, 2, 3)}
    if len(counts) != 1:
        raise op.invalid("begin, end and strides must have the same number of entries")
    if begin is None or end is None or strides is None:
        out.shape = None

        def run(x: Array, begin: Array, end: Array, strides: Array) -> Array:
            index, shape = _slices(op, x.shape, *([int(n) for n in v.ravel()] for v in (begin, end, strides)))
            return np.ascontiguousarray(x[index]).reshape(shape)

        return run
    index, shape = _slices(op, x.dims, begin, end, strides)
    out.shape = shape
    return lambda x, *_: np.ascontiguousarray(x[index]).reshape(shape)


def _slices(
    op: Operator, dims: Shape, begin: list[int], end: list[int], strides: list[int]
) -> tuple[tuple[slice, ...], Shape]:
    """The slice of each dimension of the input, and the shape of the result (with new and without dropped ones)."""
    options = op.options
    entries = len(begin)

    def has(mask: int, i: int) -> bool:
        return bool(mask >> i & 1)

    ellipsis = next((i for i in range(entries) if has(options.ellipsis_mask, i)), None)
    new_axes = sum(has(options.new_axis_mask, i) and i != ellipsis for i in range(entries))
    used = entries - new_axes - (ellipsis is not None)
    if used > len(dims):
        raise op.invalid(f"{used} dimensions are sliced, the input has {len(dims)}")
    index: list[slice] = []
    shape: list[int] = []

    def whole(count: int) -> None:
        for _ in range(count):
            shape.append(dims[len(index)])
            index.append(slice(None))

    for i in range(entries):
        if i == ellipsis:
            whole(len(dims) - used)
            continue
        if has(options.new_axis_mask, i):
            shape.append(1)
            continue
        size = dims[len(index)]
        stride = strides[i]
        if stride == 0:
            raise op.invalid("a stride of 0")
        shrink = has(options.shrink_axis_mask, i)
        start = _start(begin[i], size, stride, has(options.begin_mask, i))
        if shrink:
            if not 0 <= start < size or stride < 0:
                raise op.invalid(f"index {begin[i]} with stride {stride} takes no element of a dimension of {size}")
            index.append(slice(start, start + 1))
            continue
        stop = start + end[i] if options.offset else end[i]
        stop = _stop(stop, size, stride, has(options.end_mask, i))
        count = max(0, -(-(stop - start) // stride))
        if options.offset and count != -(-end[i] // stride):
            raise op.invalid(f"{end[i]} elements from {start}: takes no element of a dimension of {size} at the end")
        index.append(slice(start, None if stop < 0 else stop, stride) if count else slice(0, 0))
        shape.append(count)
    whole(len(dims) - len(index))
    return tuple(index), tuple(shape)


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


@kernel("PAD")
def pad(op: Operator) -> Run:
    """Zeros (the zero point, of a quantized tensor) before and after; counts for each dimension in the second input.

    Source: kernels/pad.cc.
    """
    x = op.input(0)
    return _pad(op, x.zero_point if x.is_quantized else 0)


@kernel("PADV2")
def pad_v2(op: Operator) -> Run:
    """As PAD, with the number that the third input holds, as it stands. Source: kernels/pad.cc."""
    x, value = op.input(0), op.input(2)
    if value.type != x.type or math.prod(value.dims) != 1:
        raise op.invalid(f"wants one number of type {x.type.name} to pad with")
    if not _same_quantization(value, x):
        raise op.invalid("the number to pad with must have the scale and zero point of the input")
    return _pad(op, None)


def _pad(op: Operator, constant: int | None) -> Run:
    """PAD with `constant`, or PADV2, which takes its number from the third argument."""
    x, out = _copied(op)
    counts = _constant_ints(op, 1)
    if op.input(1).dims != (len(x.dims), 2):
        raise op.invalid(f"the paddings of a tensor of {len(x.dims)} dimensions cannot have shape {op.input(1).dims}")

    def widths(numbers: list[int]) -> list[tuple[int, int]]:
        if any(n < 0 for n in numbers):
            raise op.invalid(f"paddings below zero: {numbers}")
        return list(zip(numbers[::2], numbers[1::2]))

    fixed = None if counts is None else widths(counts)
    out.shape = None if fixed is None else tuple(n + sum(around) for n, around in zip(x.dims, fixed))

    def run(x: Array, paddings: Array, number: Array | None = None) -> Array:
        around = widths([int(n) for n in paddings.ravel()]) if fixed is None else fixed
        value: Any = constant if number is None else number.reshape(())
        return np.pad(x, around, constant_values=value) if around else x.copy()

    return run


@kernel("TRANSPOSE")
def transpose(op: Operator) -> Run:
    """The dimensions in the order of the second input. Source: kernels/transpose.cc."""
    x, out = _copied(op)
    order = _constant_ints(op, 1)

    def axes(numbers: list[int], rank: int) -> list[int]:
        positive = [n + rank if n < 0 else n for n in numbers]
        if sorted(positive) != list(range(rank)):
            raise op.invalid(f"{numbers} is no order of {rank} dimensions")
        return positive

    if order is None:
        out.shape = None
        return lambda x, p: np.ascontiguousarray(x.transpose(axes([int(n) for n in p.ravel()], x.ndim)))
    fixed = axes(order, len(x.dims))
    out.shape = tuple(x.dims[i] for i in fixed)
    return lambda x, _: np.ascontiguousarray(x.transpose(fixed))


@kernel("SQUEEZE")
def squeeze(op: Operator) -> Run:
    """Without the named dimensions of size 1, or without all of them. Source: kernels/squeeze.cc."""
    x, out = _copied(op)
    rank = len(x.dims)
    named = op.options.squeeze_dims
    axes = {int(n) + (rank if n < 0 else 0) for n in (() if named is None else named)}
    if not axes:
        axes = {i for i, n in enumerate(x.dims) if n == 1}
    if any(not 0 <= i < rank or x.dims[i] != 1 for i in axes):
        raise op.invalid(f"dimensions {sorted(axes)} of shape {x.dims} are not all of size 1")
    shape = out.shape = tuple(n for i, n in enumerate(x.dims) if i not in axes)
    return lambda x: x.reshape(shape)


@kernel("EXPAND_DIMS")
def expand_dims(op: Operator) -> Run:
    """A new dimension of size 1 before the one that the second input names. Source: kernels/expand_dims.cc."""
    x, out = _copied(op)
    axis = _constant_ints(op, 1)

    def shape_with(axis: int, dims: Shape) -> Shape:
        place = axis + len(dims) + 1 if axis < 0 else axis
        if not 0 <= place <= len(dims):
            raise op.invalid(f"there is no place {axis} in a shape of {len(dims)} dimensions")
        return (*dims[:place], 1, *dims[place:])

    if axis is None or len(axis) != 1:
        if axis is not None:
            raise op.invalid(f"the axis must be one number, it is {axis}")
        out.shape = None
        return lambda x, a: x.reshape(shape_with(int(a.ravel()[0]), x.shape))
    shape = out.shape = shape_with(axis[0], x.dims)
    return lambda x, _: x.reshape(shape)


@kernel("SHAPE")
def shape_of(op: Operator) -> Run:
    """The shape of the input as a vector. Source: kernels/shape.cc."""
    x, out = op.input(0), op.output()
    if out.type not in (TensorType.INT32, TensorType.INT64):
        raise op.unsupported()
    value = np.array(x.dims, out.dtype)
    out.shape = value.shape
    return lambda _: value.copy()


@kernel("PACK")
def pack(op: Operator) -> Run:
    """The inputs as slices of a new dimension at `axis`. Source: kernels/pack.cc."""
    tensors, out = [op.input(i) for i in range(len(op.inputs))], op.output()
    if len({t.dims for t in tensors}) != 1 or any(t.type != out.type for t in tensors):
        raise op.invalid(f"tensors of shapes {[t.dims for t in tensors]} and types {op.types} do not fit together")
    dims = tensors[0].dims
    axis = op.options.axis + (len(dims) + 1 if op.options.axis < 0 else 0)
    if not 0 <= axis <= len(dims) or op.options.values_count != len(tensors):
        raise op.invalid(f"axis {op.options.axis} of {op.options.values_count} values of {len(dims)} dimensions")
    if not all(_same_quantization(t, out) for t in tensors):
        raise op.invalid("all tensors must have the same scale and zero point")
    out.shape = (*dims[:axis], len(tensors), *dims[axis:])
    return lambda *xs: np.stack(xs, axis)


@kernel("DENSIFY")
def densify(op: Operator) -> Run:
    """A sparse constant with its zeros; see `refquant.tflite.sparsity`. Source: kernels/densify.cc."""
    x, out = _copied(op)
    if x.type not in (TensorType.FLOAT32, TensorType.FLOAT16, TensorType.INT8):
        raise op.unsupported()
    if x.value is None or not x.is_sparse:
        raise op.invalid("the input must be a sparse constant")
    out.shape = x.dims
    return lambda x: x
