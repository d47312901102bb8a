"""Operators that change the shape, ask for it or join tensors: RESHAPE, CONCATENATION, PAD, TRANSPOSE, …"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from refquant.kernels.moving import (
    INT32,
    INT64,
    axis_of,
    checked_shape,
    moved,
    per_tensor,
    planned,
    require_no_zero_point,
    require_same_quantization,
    require_type,
    same_quantization,
    whole_numbers,
)
from refquant.kernels.registry import Array, Operator, Run, Shape, TensorInfo, kernel
from refquant.kernels.requantization import check_scales
from refquant.numerics.lookup import round_half_away, tabulate
from refquant.tflite import schema
from refquant.tflite.schema import TensorType

_INT8, _UINT8, _INT16 = TensorType.INT8, TensorType.UINT8, TensorType.INT16


@kernel("RESHAPE")
def reshape(op: Operator) -> Run:
    """The same numbers in another shape, from the second input or else from the options; -1 takes what is left.

    A second input that is no vector of int32 does not count. Source: kernels/reshape.cc.
    """
    moved(op)

    def plan(shape: Shape, wanted: Array) -> tuple[Shape, Shape]:
        full = _full_shape(op, shape, whole_numbers(wanted))
        return full, full

    shape_tensor = op.optional_input(1)
    if shape_tensor is not None and shape_tensor.type == INT32 and len(shape_tensor.dims) == 1:
        return planned(op, 0, [1], plan, lambda shape, x, _: x.reshape(shape))
    declared = getattr(op.options, "new_shape", None)
    wanted = np.asarray([] if declared is None else declared, np.int32)
    if wanted.tolist() == [0]:
        wanted = wanted[:0]  # how old converters wrote a scalar
    return planned(op, 0, [], lambda shape: plan(shape, wanted), lambda shape, x, _=None: x.reshape(shape))


def _full_shape(op: Operator, shape: Shape, wanted: list[int]) -> Shape:
    """`wanted` with its -1 replaced by what is left of the elements of `shape`, of which zeros do not count."""
    if wanted.count(-1) > 1 or any(n < -1 for n in wanted):
        raise op.invalid(f"cannot reshape to {wanted}: one -1 and no other number below 0 may stand there")
    if 0 in shape and 0 not in wanted:
        left = 0
    else:
        left = math.prod(n for n in shape if n) // math.prod(n for n in wanted if n > 0)
    filled = tuple(left if n == -1 else n for n in wanted)
    if math.prod(filled) != math.prod(shape):
        raise op.invalid(f"cannot reshape {shape} to {wanted}: {math.prod(shape)} elements, not {math.prod(filled)}")
    return filled


@kernel(
    "CONCATENATION",
    flaw="with inputs of rank 0 that are not all constants, tensorflow 2.21.0 dies or gives any numbers; refquant "
    "refuses them",
)
def concatenation(op: Operator) -> Run:
    """The inputs one after the other along `axis`.

    uint8 inputs of another scale or zero point than the output's are rescaled, in float32:
    round(q * s + (-zero_point * s)) + output's zero point with s = scale * (1 / output's scale). int8 ones must agree.
    Constants of rank 0 make a vector. Source: kernels/concatenation.cc, internal/reference/concatenation.h.
    """
    if not op.inputs:
        raise op.invalid("there is nothing to concatenate")
    tensors, (_, out) = [op.input(i) for i in range(len(op.inputs))], moved(op)
    options = schema.ConcatenationOptions() if op.options is None else op.options
    if options.fused_activation_function != 0:
        raise op.invalid("a fused activation is not allowed here")
    if any(t.type != out.type for t in tensors):
        raise op.unsupported()
    constants = [t.value for t in tensors if t.value is not None]
    if len(constants) == len(tensors) and all(c.ndim == 0 for c in constants) and options.axis == 0:
        out.shape = (len(tensors),)
        return lambda *xs: np.stack(xs)
    if out.type == _INT8:
        require_same_quantization(op, out, *tensors)
    if out.type == _INT16:
        require_no_zero_point(op, out, *tensors)
    rank = len(tensors[0].dims)
    axis = axis_of(op, options.axis, rank)
    rest = {t.dims[:axis] + t.dims[axis + 1 :] if len(t.dims) == rank else None for t in tensors}
    if len(rest) != 1:
        raise op.invalid(f"tensors of shapes {[t.dims for t in tensors]} do not fit together")
    first = tensors[0].dims
    out.shape = (*first[:axis], sum(t.dims[axis] for t in tensors), *first[axis + 1 :])
    if out.type == _UINT8:
        rescales = [None if same_quantization(t, out) else _rescaled_uint8(op, t, out) for t in tensors]
        return lambda *xs: np.concatenate([x if f is None else f(x) for f, x in zip(rescales, xs)], axis)
    return lambda *xs: np.concatenate(xs, axis)


def _rescaled_uint8(op: Operator, x: TensorInfo, out: TensorInfo) -> Any:
    check_scales(op, out)
    if out.scales.size != 1:
        raise op.invalid(f"{out.place} must have one scale, it has {out.scales.size}")
    x_scale, x_zero = per_tensor(x)
    scale = np.float32(x_scale) * (np.float32(1) / out.scale)
    bias = np.float32(-x_zero) * scale

    def rescale(q: Array) -> Array:
        rounded = round_half_away(q.astype(np.float32) * scale + bias)
        fits = np.abs(rounded) < 2.0**31
        return np.clip(np.where(fits, rounded, -(2.0**31)) + out.zero_point, 0, 255).astype(np.uint8)

    return tabulate(rescale, np.uint8)


@kernel("PAD")
@kernel("PADV2")
def pad(op: Operator) -> Run:
    """A number before and after; how often along each dimension, the second input says.

    The number is the third input as it stands, without one zero, or the output's zero point where tensors of
    integers are quantized. Source: kernels/pad.cc.
    """
    x, out = moved(op)
    paddings, number = require_type(op, 1, INT32, INT64, _INT8, _INT16), op.optional_input(2)
    rank = len(x.dims)
    if rank > 5 or paddings.dims != (rank, 2):
        raise op.invalid(f"paddings of shape {paddings.dims} do not fit a tensor of shape {x.dims}, of at most 5 axes")
    quantized = out.type == _UINT8 or (out.type in (_INT8, _INT16) and x.is_quantized)
    if number is not None:
        if number.type != x.type or math.prod(number.dims) != 1:
            raise op.invalid(f"wants one number of type {x.type.name} to pad with")
        if quantized and not same_quantization(number, out):
            raise op.invalid(f"{number.place} and {out.place} must have the same scale and zero point")
    fill = out.dtype.type(out.zero_point if quantized and out.scales.size == 1 else 0)

    def plan(shape: Shape, paddings: Array) -> tuple[Shape, list[tuple[int, int]]]:
        around = [(int(before), int(after)) for before, after in paddings]
        if any(n < 0 for pair in around for n in pair):
            raise op.invalid(f"paddings below zero: {around}")
        return checked_shape(op, [n + sum(pair) for n, pair in zip(shape, around)]), around

    def compute(around: list[tuple[int, int]], x: Array, _: Array, number: Array | None = None) -> Array:
        shape = [n + sum(pair) for n, pair in zip(x.shape, around)]
        padded = np.full(shape, fill if number is None else number.reshape(()), x.dtype)
        padded[tuple(slice(before, before + n) for n, (before, _) in zip(x.shape, around))] = x
        return padded

    return planned(op, 0, [1], plan, compute)


@kernel("PAD", profile="optimized")
@kernel("PADV2", profile="optimized")
def optimized_pad(op: Operator) -> Run:
    """As PAD, but pads with 0.0 where it should with -0.0; not so images of 16-bit floats, in height and width, where
    the paddings are a constant.

    Source: TypedMemset and PadImageStyle in internal/optimized/optimized_ops.h.
    """
    run = pad(op)
    x = op.input(0)
    if op.optional_input(2) is None or x.type not in (TensorType.FLOAT32, TensorType.FLOAT16, TensorType.BFLOAT16):
        return run
    minus_zero = np.zeros((), x.dtype).tobytes()[:-1] + b"\x80"
    paddings = op.input(1).value
    is_image = len(x.dims) == 4 and paddings is not None and not paddings[[0, 3]].any()
    keeps_sign = is_image and x.type != TensorType.FLOAT32

    def with_plus_zero(x: Array, paddings: Array, number: Array) -> Array | tuple[Array, ...]:
        if number.tobytes() == minus_zero and not keeps_sign:
            number = np.zeros_like(number)
        return run(x, paddings, number)

    return with_plus_zero


@kernel("TRANSPOSE")
def transpose(op: Operator) -> Run:
    """The dimensions, 6 at most, in the order of the second input. Source: kernels/transpose.cc."""
    x, _ = moved(op)
    order = require_type(op, 1, INT32)
    if len(x.dims) > 6 or order.dims != (len(x.dims),):
        raise op.invalid(f"an order of shape {order.dims} does not fit a tensor of shape {x.dims}, of at most 6 axes")

    def plan(shape: Shape, order: Array) -> tuple[Shape, list[int]]:
        axes = [axis_of(op, n, len(shape)) for n in whole_numbers(order)]
        if len(set(axes)) != len(shape):
            raise op.invalid(f"{whole_numbers(order)} is no order of {len(shape)} dimensions")
        return tuple(shape[i] for i in axes), axes

    return planned(op, 0, [1], plan, lambda axes, x, _: x.transpose(axes).copy())


@kernel("SQUEEZE")
def squeeze(op: Operator) -> Run:
    """Without the named dimensions of size 1, or without all of them. Source: kernels/squeeze.cc."""
    x, out = moved(op)
    rank = len(x.dims)
    declared = getattr(op.options, "squeeze_dims", None)
    named = [] if declared is None else [int(n) for n in declared]
    if rank > 8 or len(named) > 8:
        raise op.invalid(f"takes at most 8 dimensions, got shape {x.dims} and {len(named)} named ones")
    axes = {axis_of(op, n, rank) for n in named} or {i for i, n in enumerate(x.dims) if n == 1}
    if any(x.dims[i] != 1 for i in axes):
        raise op.invalid(f"dimensions {sorted(axes)} of shape {x.dims} are not all of size 1")
    shape = out.shape = tuple(n for i, n in enumerate(x.dims) if i not in axes)
    return lambda x: x.reshape(shape)


@kernel("EXPAND_DIMS")
def expand_dims(op: Operator) -> Run:
    """A new dimension of size 1 before the one that the second input names. Source: kernels/expand_dims.cc."""
    x, out = moved(op)
    axis = require_type(op, 1, INT32, INT64)
    require_same_quantization(op, x, out)
    if math.prod(axis.dims) != 1:
        raise op.invalid(f"the axis must be one number, it has shape {axis.dims}")

    def plan(shape: Shape, axis: Array) -> tuple[Shape, Shape]:
        place = axis_of(op, int(axis.item()), len(shape) + 1)
        expanded = (*shape[:place], 1, *shape[place:])
        return expanded, expanded

    return planned(op, 0, [1], plan, lambda shape, x, _: x.reshape(shape))


@kernel("SHAPE")
def shape_of(op: Operator) -> Run:
    """The shape of the input as a vector of int32 or int64. Source: kernels/shape.cc."""
    x, out = op.input(0), op.output()
    if out.type not in (INT32, INT64) or out.type != op.options.out_type:
        raise op.unsupported()
    value = np.array(x.dims, out.dtype)
    out.shape = value.shape
    return lambda _: value


@kernel("RANK")
def rank(op: Operator) -> Run:
    """The number of dimensions, as one int32. Source: kernels/rank.cc."""
    x, out = op.input(0), op.output()
    if out.type != INT32:
        raise op.unsupported()
    out.shape = ()
    result = np.array(len(x.dims), np.int32)
    return lambda _: result


@kernel("PACK")
def pack(op: Operator) -> Run:
    """The inputs as slices of a new dimension at `axis`. Source: kernels/pack.cc."""
    if not op.inputs or op.options.values_count != len(op.inputs):
        raise op.invalid(f"it packs {op.options.values_count} tensors, it has {len(op.inputs)} inputs")
    tensors, (x, out) = [op.input(i) for i in range(len(op.inputs))], moved(op)
    if any(t.dims != x.dims or t.type != x.type for t in tensors):
        raise op.invalid(f"tensors of shapes {[t.dims for t in tensors]} and types {op.types} do not fit together")
    if not all(same_quantization(t, out) for t in tensors):
        raise op.invalid("all tensors must have the same scale and zero point")
    axis = axis_of(op, op.options.axis, len(x.dims) + 1)
    out.shape = (*x.dims[:axis], len(tensors), *x.dims[axis:])
    return lambda *xs: np.stack(xs, axis)


@kernel("UNPACK")
def unpack(op: Operator) -> Run:
    """The slices along an axis, which is taken away. Source: kernels/unpack.cc."""
    x, _ = moved(op)
    axis = axis_of(op, op.options.axis, len(x.dims))
    if x.dims[axis] != len(op.outputs) or op.options.num != len(op.outputs):
        raise op.invalid(f"{len(op.outputs)} outputs, but dimension {axis} of shape {x.dims}, num {op.options.num}")
    if 0 in x.dims:
        raise op.invalid(f"there is nothing to unpack in shape {x.dims}")
    if not all(same_quantization(x, out) for out in op.outputs):
        raise op.invalid("all tensors must have the same scale and zero point")
    for out in op.outputs:
        out.shape = (*x.dims[:axis], *x.dims[axis + 1 :])
    return lambda x: tuple(np.array(part) for part in np.moveaxis(x, axis, 0))


@kernel("DENSIFY")
def densify(op: Operator) -> Run:
    """A sparse constant with its zeros; see `refquant.tflite.sparsity`. Source: kernels/densify.cc."""
    x, out = moved(op)
    if x.value is None or not x.is_sparse:
        raise op.invalid("the input must be a sparse constant")
    out.shape = x.dims
    out.is_persistent = out.is_fixed = True
    return lambda x: x
