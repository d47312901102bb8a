"""Operators that repeat or rearrange: TILE, BROADCAST_TO, SPACE_TO_DEPTH, DEPTH_TO_SPACE, SPACE_TO_BATCH_ND,
BATCH_TO_SPACE_ND, MIRROR_PAD, FILL.

They take all types of numbers; the real kernels refuse some of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from refquant.kernels.registry import Array, Operator, Run, Shape, TensorInfo, kernel
from refquant.tflite.schema import MirrorPadMode, TensorType

_INTEGERS = (TensorType.INT32, TensorType.INT64)
_IMAGES = (
    TensorType.FLOAT32,
    TensorType.UINT8,
    TensorType.INT8,
    TensorType.INT16,
    TensorType.INT32,
    TensorType.INT64,
)
_LARGEST = 2**31


def _same_type(op: Operator) -> tuple[TensorInfo, TensorInfo]:
    x, out = op.input(0), op.output()
    if x.dtype == object or x.type != out.type:
        raise op.unsupported()
    return x, out


@kernel("TILE")
def tile(op: Operator) -> Run:
    """x repeated `multiples` times along each dimension. Source: kernels/tile.cc."""
    x, out = _same_type(op)
    multiples = op.input(1)
    if multiples.type not in _INTEGERS:
        raise op.unsupported()
    if multiples.dims != (len(x.dims),):
        raise op.invalid(f"{multiples.dims} multiples do not fit an input of shape {x.dims}")

    def checked(shape: Shape, multiples: Array) -> list[int]:
        times = [int(n) for n in multiples]
        if min(times, default=0) < 0 or math.prod(shape) * math.prod(times) >= _LARGEST:
            raise op.invalid(f"a shape of {shape} cannot be repeated {times} times")
        return times

    if multiples.value is None:
        out.shape = None
        return lambda x, multiples: np.tile(x, checked(x.shape, multiples))
    times = checked(x.dims, multiples.value)
    out.shape = tuple(n * m for n, m in zip(x.dims, times))
    return lambda x, _: np.tile(x, times)


@kernel("BROADCAST_TO")
def broadcast_to(op: Operator) -> Run:
    """x repeated to a shape that the second input gives. Source: kernels/broadcast_to.cc."""
    x, out = _same_type(op)
    wanted = op.input(1)
    if wanted.type not in _INTEGERS:
        raise op.unsupported()
    if len(wanted.dims) != 1 or wanted.dims[0] > 8:
        raise op.invalid(f"the shape must be up to 8 numbers, it has shape {wanted.dims}")

    def checked(shape: Shape, wanted: Array) -> Shape:
        target = tuple(int(n) for n in wanted)
        fits = len(target) >= len(shape) and all(n in (1, m) for n, m in zip(shape[::-1], target[::-1]))
        if not fits or min(target, default=0) < 0 or math.prod(target) >= _LARGEST:
            raise op.invalid(f"a shape of {shape} cannot be broadcast to {target}")
        return target

    if wanted.value is None:
        out.shape = None
        return lambda x, wanted: np.broadcast_to(x, checked(x.shape, wanted)).copy()
    shape = out.shape = checked(x.dims, wanted.value)
    return lambda x, _: np.broadcast_to(x, shape).copy()


def _blocks(op: Operator) -> tuple[TensorInfo, TensorInfo, int]:
    x, out = _same_type(op)
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


@kernel("SPACE_TO_BATCH_ND")
def space_to_batch_nd(op: Operator) -> Run:
    """The image, padded, falls into blocks; each place within a block becomes an image of its own along the batch.

    Paddings are filled with the zero point. Source: kernels/space_to_batch_nd.cc.
    """
    x, out = _spatial(op)
    fill = x.dtype.type(out.zero_point if out.is_quantized and x.dtype.kind in "iu" else 0)

    def plan(shape: Shape, block: list[int], pads: list[tuple[int, int]]) -> Shape:
        padded = [n + before + after for n, (before, after) in zip(shape[1:], pads)]
        if min(block) < 1 or min(min(pair) for pair in pads) < 0 or any(n % b for n, b in zip(padded, block)):
            raise op.invalid(f"an image of {shape[1:-1]} with paddings {pads} is not made of blocks of {block}")
        return (shape[0] * math.prod(block), *(n // b for n, b in zip(padded, block)), *shape[1 + len(block) :])

    def compute(x: Array, block: list[int], pads: list[tuple[int, int]]) -> Array:
        shape = plan(x.shape, block, pads)
        padded = np.pad(x, [(0, 0), *pads, (0, 0)], constant_values=fill)
        split = [size for n, b in zip(shape[1:], block) for size in (n, b)]
        d = len(block)
        order = [*range(2, 2 * d + 1, 2), 0, *range(1, 2 * d, 2), 2 * d + 1]
        return padded.reshape(x.shape[0], *split, x.shape[-1]).transpose(order).reshape(shape)

    return _planned(op, out, plan, compute)


@kernel("BATCH_TO_SPACE_ND")
def batch_to_space_nd(op: Operator) -> Run:
    """Images along the batch become the places within blocks of a larger image, which is then cropped.

    The inverse of SPACE_TO_BATCH_ND. Source: kernels/batch_to_space_nd.cc.
    """
    _, out = _spatial(op)

    def plan(shape: Shape, block: list[int], crops: list[tuple[int, int]]) -> Shape:
        image = [n * b - before - after for n, b, (before, after) in zip(shape[1:], block, crops)]
        if min(block) < 1 or shape[0] % math.prod(block) or min(min(pair) for pair in crops) < 0 or min(image) < 0:
            raise op.invalid(f"a shape of {shape} does not give blocks of {block} with crops {crops}")
        return (shape[0] // math.prod(block), *image, *shape[1 + len(block) :])

    def compute(x: Array, block: list[int], crops: list[tuple[int, int]]) -> Array:
        shape = plan(x.shape, block, crops)
        d = len(block)
        order = [d, *(axis for i in range(d) for axis in (d + 1 + i, i)), 2 * d + 1]
        split = x.reshape(*block, shape[0], *x.shape[1:]).transpose(order)
        image = split.reshape(shape[0], *(n * b for n, b in zip(x.shape[1:], block)), x.shape[-1])
        kept = [slice(before, before + n) for (before, _), n in zip(crops, shape[1:])]
        return np.ascontiguousarray(image[(slice(None), *kept)])

    return _planned(op, out, plan, compute)


def _spatial(op: Operator) -> tuple[TensorInfo, TensorInfo]:
    """Input and output of the operators between space and batch, of 3 or 4 dimensions."""
    x, out = _same_type(op)
    block, edges = op.input(1), op.input(2)
    if x.type not in _IMAGES or block.type != TensorType.INT32 or edges.type != TensorType.INT32:
        raise op.unsupported()
    spatial = len(x.dims) - 2
    if spatial not in (1, 2) or block.dims != (spatial,) or edges.dims != (spatial, 2):
        raise op.invalid(f"shapes {x.dims}, {block.dims} and {edges.dims} do not fit together")
    if not np.array_equal(x.scales, out.scales) or not np.array_equal(x.zero_points, out.zero_points):
        raise op.invalid("input and output must have the same scale and zero point")
    return x, out


def _planned(
    op: Operator, out: TensorInfo, plan: Callable[..., Shape], compute: Callable[[Array, Any, Any], Array]
) -> Run:
    """The kernel of `compute`, whose output's shape `plan` gives where block and edges are constants."""

    def unpacked(block: Array, edges: Array) -> tuple[list[int], list[tuple[int, int]]]:
        return block.tolist(), [(int(before), int(after)) for before, after in edges]

    block, edges = op.input(1).value, op.input(2).value
    out.shape = None if block is None or edges is None else plan(op.input(0).dims, *unpacked(block, edges))
    return lambda x, block, edges: compute(x, *unpacked(block, edges))


@kernel("MIRROR_PAD")
def mirror_pad(op: Operator) -> Run:
    """x with its mirror image around it, which repeats the edge (SYMMETRIC) or not (REFLECT).

    Source: kernels/mirror_pad.cc.
    """
    x, out = _same_type(op)
    paddings = op.input(1)
    if paddings.type not in _INTEGERS:
        raise op.unsupported()
    if paddings.dims != (len(x.dims), 2):
        raise op.invalid(f"paddings of shape {paddings.dims} do not fit an input of shape {x.dims}")
    reflect = op.options.mode == MirrorPadMode.REFLECT

    def checked(shape: Shape, paddings: Array) -> list[tuple[int, int]]:
        pairs = [(int(before), int(after)) for before, after in paddings]
        if any(not 0 <= p <= n - reflect for n, pair in zip(shape, pairs) for p in pair):
            raise op.invalid(f"paddings {pairs} are negative or larger than what a shape of {shape} can mirror")
        return pairs

    mode: Literal["reflect", "symmetric"] = "reflect" if reflect else "symmetric"
    if paddings.value is None:
        out.shape = None
        return lambda x, paddings: np.pad(x, checked(x.shape, paddings), mode)
    pairs = checked(x.dims, paddings.value)
    out.shape = tuple(n + before + after for n, (before, after) in zip(x.dims, pairs))
    return lambda x, _: np.pad(x, pairs, mode)


@kernel("FILL")
def fill(op: Operator) -> Run:
    """A tensor of a shape that the first input gives, full of the second. Source: kernels/fill.cc."""
    dims, value, out = op.input(0), op.input(1), op.output()
    if dims.type not in _INTEGERS or value.type != out.type or value.dtype == object:
        raise op.unsupported()
    if len(dims.dims) != 1 or value.dims != ():
        raise op.invalid(f"takes a shape and one number, got {dims.dims} and {value.dims}")

    def checked(dims: Array) -> Shape:
        shape = tuple(int(n) for n in dims)
        if min(shape, default=0) < 0 or math.prod(shape) >= _LARGEST:
            raise op.invalid(f"a shape of {shape} cannot be")
        return shape

    if dims.value is None:
        out.shape = None
        return lambda dims, value: np.full(checked(dims), value, value.dtype)
    shape = out.shape = checked(dims.value)
    return lambda _, value: np.full(shape, value, value.dtype)


@kernel("ZEROS_LIKE")
def zeros_like(op: Operator) -> Run:
    """Zeros in the shape of x: float32, int32 or int64. Source: kernels/zeros_like.cc."""
    x, out = _same_type(op)
    if x.type not in (TensorType.FLOAT32, *_INTEGERS):
        raise op.unsupported()
    out.shape = x.dims
    return np.zeros_like
