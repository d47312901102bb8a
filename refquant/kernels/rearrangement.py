"""Operators that repeat or rearrange: TILE, BROADCAST_TO, SPACE_TO_DEPTH, DEPTH_TO_SPACE, MIRROR_PAD.

They take all types of numbers; the real kernels refuse some of them.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from refquant.kernels.registry import Array, Operator, Run, Shape, TensorInfo, kernel
from refquant.tflite.schema import MirrorPadMode, TensorType

_INTEGERS = (TensorType.INT32, TensorType.INT64)
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
