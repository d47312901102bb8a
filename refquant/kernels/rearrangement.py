"""Operators that repeat or rearrange: TILE, BROADCAST_TO, FILL, REVERSE_V2, SPACE_TO_DEPTH, MIRROR_PAD, DILATE, …"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from refquant.kernels.moving import (
    INT32,
    INT64,
    axis_of,
    checked_shape,
    moved,
    part,
    planned,
    require_same_quantization,
    require_type,
    whole_numbers,
)
from refquant.kernels.registry import Array, Operator, Run, Shape, TensorInfo, kernel
from refquant.tflite.schema import MirrorPadMode, TensorType

_QUANTIZED = (TensorType.INT8, TensorType.UINT8, TensorType.INT16)


@kernel("TILE", flaw="with a string of rank 0, tensorflow 2.21.0 dies; refquant returns it")
def tile(op: Operator) -> Run:
    """x repeated `multiples` times along each dimension. Source: kernels/tile.cc."""
    x, _ = moved(op)
    multiples = require_type(op, 1, INT32, INT64)
    if math.prod(multiples.dims) != len(x.dims):
        raise op.invalid(f"multiples of shape {multiples.dims} do not fit an input of shape {x.dims}")

    def plan(shape: Shape, multiples: Array) -> tuple[Shape, list[int]]:
        times = whole_numbers(multiples)
        if min(times, default=0) < 0:
            raise op.invalid(f"nothing can be repeated {times} times")
        return checked_shape(op, [n * m for n, m in zip(shape, times)]), times

    return planned(op, 0, [1], plan, lambda times, x, _: np.tile(x, times))


@kernel(
    "BROADCAST_TO",
    flaw="with BFLOAT16, INT4, UINT4 and INT2, tensorflow 2.21.0 leaves the output as it was, and refquant fills it; "
    "tensorflow may die of an output without elements",
)
def broadcast_to(op: Operator) -> Run:
    """x repeated to a shape, of up to 8 dimensions, that the second input gives. Source: kernels/broadcast_to.cc."""
    x, _ = moved(op)
    wanted = require_type(op, 1, INT32, INT64)
    if len(wanted.dims) != 1 or wanted.dims[0] > 8 or len(x.dims) > 8:
        raise op.invalid(f"a shape of {wanted.dims} numbers for an input of shape {x.dims}: at most 8 dimensions")

    def plan(shape: Shape, wanted: Array) -> tuple[Shape, Shape]:
        target = checked_shape(op, whole_numbers(wanted))
        if len(target) < len(shape) or any(n not in (1, m) for n, m in zip(shape[::-1], target[::-1])):
            raise op.invalid(f"a shape of {shape} cannot be broadcast to {target}")
        return target, target

    return planned(op, 0, [1], plan, lambda shape, x, _: np.broadcast_to(x, shape).copy())


@kernel("FILL")
def fill(op: Operator) -> Run:
    """A tensor of a shape that the first input gives, full of the second. Source: kernels/fill.cc."""
    value, out = moved(op, 1)
    dims = require_type(op, 0, INT32, INT64)
    require_same_quantization(op, value, out)
    if len(dims.dims) != 1 or value.dims != ():
        raise op.invalid(f"takes a shape and one number, got {dims.dims} and {value.dims}")

    def plan(_: Shape, dims: Array) -> tuple[Shape, Shape]:
        shape = checked_shape(op, whole_numbers(dims))
        return shape, shape

    return planned(op, 1, [0], plan, lambda shape, _, value: np.full(shape, value, value.dtype))


@kernel(
    "REVERSE_V2",
    flaw="with a dimension of 0 behind the axes, tensorflow 2.21.0 dies; refquant gives an empty output",
)
def reverse_v2(op: Operator) -> Run:
    """x, of at most 8 dimensions, backwards along some axes, which must be neighbours. Source: kernels/reverse.cc."""
    x, out = moved(op)
    axes_tensor = require_type(op, 1, INT32)
    if len(axes_tensor.dims) != 1 or axes_tensor.dims[0] > len(x.dims) or len(x.dims) > 8:
        raise op.invalid(f"axes of shape {axes_tensor.dims} for a tensor of shape {x.dims}")
    out.shape = x.dims

    def run(x: Array, axes_array: Array) -> Array:
        axes = sorted(axis_of(op, n, x.ndim) for n in whole_numbers(axes_array))
        if any(b - a != 1 for a, b in pairwise(axes)):
            raise op.invalid(f"axes {axes} are not neighbours")
        return np.flip(x, tuple(axes)).copy()

    return run


@kernel(
    "REVERSE_SEQUENCE",
    flaw="with a length out of range, not the first, tensorflow 2.21.0 writes beyond the output, and without any "
    "sequence it dies; refquant refuses the one and gives an empty output for the other",
)
def reverse_sequence(op: Operator) -> Run:
    """The first `lengths[i]` entries along `seq_dim` backwards, for each i along `batch_dim`.

    Source: kernels/reverse_sequence.cc.
    """
    x, out = moved(op)
    lengths = require_type(op, 1, INT32, INT64)
    along, batch = op.options.seq_dim, op.options.batch_dim
    if not (0 <= along < len(x.dims) and 0 <= batch < len(x.dims) and along != batch):
        raise op.invalid(f"seq_dim {along} and batch_dim {batch} do not fit a tensor of shape {x.dims}")
    if lengths.dims != (x.dims[batch],):
        raise op.invalid(f"lengths of shape {lengths.dims} for {x.dims[batch]} sequences")
    out.shape = x.dims

    def run(x: Array, lengths: Array) -> Array:
        size = x.shape[along]
        if np.any((lengths < 0) | (lengths > size)):
            raise op.invalid(f"a length among {lengths.tolist()} is not within 0 … {size}")
        moved = np.moveaxis(x, (batch, along), (0, 1))
        i = np.arange(size)
        ends = lengths[:, None]
        source = np.where(i < ends, ends - 1 - i, i)
        taken = moved[np.arange(len(lengths))[:, None], source]
        return np.ascontiguousarray(np.moveaxis(taken, (0, 1), (batch, along)))

    return run


def _blocks(op: Operator) -> tuple[TensorInfo, TensorInfo, int]:
    x, out = moved(op)
    block = op.options.block_size
    if len(x.dims) != 4 or block < 1:
        raise op.invalid(f"a shape of {x.dims} and blocks of {block}: expected 4 dimensions and at least 1")
    return x, out, block


@kernel("SPACE_TO_DEPTH")
def space_to_depth(op: Operator) -> Run:
    """Blocks of the image become channels: row, column and channel within the block.

    Source: kernels/space_to_depth.cc.
    """
    x, out, block = _blocks(op)
    n, height, width, depth = x.dims
    if height % block or width % block:
        raise op.invalid(f"an image of {height} by {width} is not made of blocks of {block}")
    shape = out.shape = (n, height // block, width // block, depth * block * block)
    split = (n, height // block, block, width // block, block, depth)
    return lambda x: x.reshape(split).transpose(0, 1, 3, 2, 4, 5).reshape(shape)


@kernel("DEPTH_TO_SPACE")
def depth_to_space(op: Operator) -> Run:
    """Channels become blocks of the image: the inverse of SPACE_TO_DEPTH. Source: kernels/depth_to_space.cc."""
    x, out, block = _blocks(op)
    n, height, width, depth = x.dims
    if depth % (block * block):
        raise op.invalid(f"{depth} channels do not make blocks of {block}")
    left = depth // (block * block)
    shape = out.shape = (n, height * block, width * block, left)
    return lambda x: x.reshape(n, height, width, block, block, left).transpose(0, 1, 3, 2, 4, 5).reshape(shape)


_Pairs = list[tuple[int, int]]


@kernel("SPACE_TO_BATCH_ND")
def space_to_batch_nd(op: Operator) -> Run:
    """The image, padded, falls into blocks; each place within a block becomes an image of its own along the batch.

    Paddings are filled with the zero point. Source: kernels/space_to_batch_nd.cc.
    """
    _, out = _spatial(op)
    return _to_batch(op, out.dtype.type(out.zero_point if out.scales.size == 1 and out.type in _QUANTIZED else 0))


@kernel("SPACE_TO_BATCH_ND", profile="micro")
def micro_space_to_batch_nd(op: Operator) -> Run:
    """As SPACE_TO_BATCH_ND, without paddings: the real kernel leaves it open with what it fills them.

    Source: tensorflow/lite/micro/kernels/space_to_batch_nd.cc.
    """
    _spatial(op)
    return _to_batch(op, None)


def _to_batch(op: Operator, fill: Any) -> Run:
    """SPACE_TO_BATCH_ND with that number in the paddings, or without paddings where it is None."""

    def plan(shape: Shape, block_shape: Array, paddings: Array) -> tuple[Shape, tuple[Shape, list[int], _Pairs]]:
        block, pads = block_shape.tolist(), _pairs(paddings)
        if fill is None and np.any(paddings):
            raise op.unsupported("paddings: no kernel")
        padded = [n + before + after for n, (before, after) in zip(shape[1:], pads)]
        if min(block) < 1 or min(min(pair) for pair in pads) < 0 or any(n % b for n, b in zip(padded, block)):
            raise op.invalid(f"an image of {shape[1:-1]} with paddings {pads} is not made of blocks of {block}")
        images = [shape[0] * math.prod(block), *(n // b for n, b in zip(padded, block)), shape[-1]]
        return checked_shape(op, images), (tuple(images), block, pads)

    def compute(how: tuple[Shape, list[int], _Pairs], x: Array, *_: Array) -> Array:
        shape, block, pads = how
        padded = np.pad(x, [(0, 0), *pads, (0, 0)], constant_values=fill or 0)
        split = [size for n, b in zip(shape[1:], block) for size in (n, b)]
        d = len(block)
        order = [*range(2, 2 * d + 1, 2), 0, *range(1, 2 * d, 2), 2 * d + 1]
        return padded.reshape(x.shape[0], *split, x.shape[-1]).transpose(order).reshape(shape)

    return planned(op, 0, [1, 2], plan, compute)


@kernel("BATCH_TO_SPACE_ND")
def batch_to_space_nd(op: Operator) -> Run:
    """Images along the batch become the places within blocks of a larger image, which is then cropped.

    The inverse of SPACE_TO_BATCH_ND. Source: kernels/batch_to_space_nd.cc.
    """
    _spatial(op)

    def plan(shape: Shape, block_shape: Array, edges: Array) -> tuple[Shape, tuple[Shape, list[int], _Pairs]]:
        block, crops = block_shape.tolist(), _pairs(edges)
        sides = [n * b - before - after for n, b, (before, after) in zip(shape[1:], block, crops)]
        if min(block) < 1 or shape[0] % math.prod(block) or min(min(pair) for pair in crops) < 0 or min(sides) < 0:
            raise op.invalid(f"a shape of {shape} does not give blocks of {block} with crops {crops}")
        image = [shape[0] // math.prod(block), *sides, shape[-1]]
        return checked_shape(op, image), (tuple(image), block, crops)

    def compute(how: tuple[Shape, list[int], _Pairs], x: Array, *_: Array) -> Array:
        shape, block, crops = how
        d = len(block)
        order = [d, *(axis for i in range(d) for axis in (d + 1 + i, i)), 2 * d + 1]
        split = x.reshape(*block, shape[0], *x.shape[1:]).transpose(order)
        image = split.reshape(shape[0], *(n * b for n, b in zip(x.shape[1:], block)), x.shape[-1])
        return part(image, [slice(None), *(slice(before, before + n) for (before, _), n in zip(crops, shape[1:]))])

    return planned(op, 0, [1, 2], plan, compute)


def _spatial(op: Operator) -> tuple[TensorInfo, TensorInfo]:
    """Input and output of the operators between space and batch, of 3 or 4 dimensions."""
    x, out = moved(op)
    block, edges = require_type(op, 1, INT32), require_type(op, 2, INT32)
    spatial = len(x.dims) - 2
    if spatial not in (1, 2) or block.dims != (spatial,) or edges.dims != (spatial, 2):
        raise op.invalid(f"shapes {x.dims}, {block.dims} and {edges.dims} do not fit together")
    if x.type in _QUANTIZED:
        require_same_quantization(op, x, out)
    return x, out


def _pairs(numbers: Array) -> _Pairs:
    """What lies before and after, in each dimension."""
    return [(int(before), int(after)) for before, after in numbers]


@kernel("MIRROR_PAD")
def mirror_pad(op: Operator) -> Run:
    """x with its mirror image around it, which repeats the edge (SYMMETRIC, and without options) or not (REFLECT).

    Source: kernels/mirror_pad.cc.
    """
    x, out = moved(op)
    paddings = require_type(op, 1, INT32, INT64)
    if x.type in _QUANTIZED:
        require_same_quantization(op, x, out)
    if paddings.dims != (len(x.dims), 2):
        raise op.invalid(f"paddings of shape {paddings.dims} do not fit an input of shape {x.dims}")
    reflect = op.options is not None and op.options.mode == MirrorPadMode.REFLECT

    def plan(shape: Shape, paddings: Array) -> tuple[Shape, _Pairs]:
        pairs = _pairs(paddings)
        if any(not 0 <= p <= n - reflect for n, pair in zip(shape, pairs) for p in pair):
            raise op.invalid(f"paddings {pairs} are negative or larger than what a shape of {shape} can mirror")
        return checked_shape(op, [n + sum(pair) for n, pair in zip(shape, pairs)]), pairs

    mode: Literal["reflect", "symmetric"] = "reflect" if reflect else "symmetric"
    return planned(op, 0, [1], plan, lambda pairs, x, _: np.pad(x, pairs, mode) if pairs else x)


@kernel("ZEROS_LIKE")
def zeros_like(op: Operator) -> Run:
    """Zeros in the shape of x: float32, int32 or int64. Source: kernels/zeros_like.cc."""
    x, out = op.input(0), op.output()
    if x.type not in (TensorType.FLOAT32, INT32, INT64) or x.type != out.type:
        raise op.unsupported()
    out.shape = x.dims
    return np.zeros_like


@kernel("DILATE", flaw="with INT4 and UINT4, tensorflow 2.21.0 takes elements for bytes; refquant dilates them")
def dilate(op: Operator) -> Run:
    """x with `dilation - 1` times the third input between any two neighbours along each dimension.

    Source: kernels/dilate.cc.
    """
    x, _ = moved(op)
    dilations, number = require_type(op, 1, INT32), require_type(op, 2, x.type)
    if not x.dims or dilations.dims != (len(x.dims),) or math.prod(number.dims) != 1:
        raise op.invalid(f"dilations {dilations.dims} and a number {number.dims} do not fit an input of {x.dims}")

    def plan(shape: Shape, dilations: Array) -> tuple[Shape, list[int]]:
        steps = whole_numbers(dilations)
        if min(steps) < 1:
            raise op.invalid(f"dilations {steps} are not all above 0")
        return checked_shape(op, [(n - 1) * step + 1 for n, step in zip(shape, steps)]), steps

    def compute(steps: list[int], x: Array, _: Array, number: Array) -> Array:
        spread = np.full([(n - 1) * step + 1 for n, step in zip(x.shape, steps)], number.reshape(()), x.dtype)
        spread[tuple(slice(None, None, step) for step in steps)] = x
        return spread

    return planned(op, 0, [1], plan, compute)
