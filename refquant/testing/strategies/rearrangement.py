"""Operators that repeat or rearrange: TILE, BROADCAST_TO, MIRROR_PAD, REVERSE_V2, SPACE_TO_DEPTH, MATRIX_DIAG, …"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from refquant.testing.build import TensorSpec
from refquant.testing.strategies.catalogue import Case, strategy
from refquant.testing.strategies.drawing import broadcast_shapes, constant_or_input
from refquant.testing.strategies.tensors import (
    alike,
    any_shape,
    case_of,
    data,
    from_either_end,
    parameter,
    resized,
    types_of,
)
from refquant.tflite import schema
from refquant.tflite.schema import MirrorPadMode, TensorType

FLOAT32, BFLOAT16, STRING = TensorType.FLOAT32, TensorType.BFLOAT16, TensorType.STRING
INT32, INT64, INT4, UINT4 = TensorType.INT32, TensorType.INT64, TensorType.INT4, TensorType.UINT4


@strategy("RANGE", [FLOAT32, INT32, INT64])
def ranges(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """From any number to any other, by whole and broken steps of both signs."""
    if type == FLOAT32:
        numbers = st.integers(-20, 20).map(float) | st.floats(-50, 50, width=32)
        steps = st.sampled_from([0.1, 0.25, 0.3, 1.0, 1.7, 3.0]) | st.floats(0.125, 5, width=32)
        start, delta = draw(numbers), draw(steps)
    else:
        numbers = st.integers(-50, 50)
        base = draw(st.sampled_from([0, 2**31 - 51, -(2**31) + 50] + [2**50] * (type == INT64)))
        numbers = numbers.map(lambda n: n + base)
        start, delta = draw(numbers), draw(st.integers(1, 9))
    limit = draw(numbers)
    if type != FLOAT32 and draw(st.integers(0, 7)) == 0:  # a difference of more than the type can hold
        most = 2 ** (31 if type == INT32 else 63) - 1
        start, limit, delta = (
            draw(st.integers(-most - 1, 0)),
            draw(st.integers(0, most)),
            draw(st.integers(most // 16, most)),
        )
    if limit < start:
        delta = -delta
    inputs = [constant_or_input(draw, type, v) for v in (start, limit, delta)]
    return case_of(operator, inputs, [TensorSpec(type)], schema.RangeOptions())


@strategy("BROADCAST_ARGS", [INT32, INT64])
def broadcast_arguments(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Two shapes of 0 to 6 dimensions that fit together."""
    shapes = draw(broadcast_shapes(rank=6))
    return case_of(operator, [parameter(draw, s, type) for s in shapes], [TensorSpec(type)])


@strategy("FILL", types_of("FILL"))
def filling(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """A shape of 0 to 5 dimensions full of any number."""
    make = alike(draw, type)
    inputs = [parameter(draw, any_shape(draw, max_rank=5), INT32, INT64), data(draw, make, ())]
    return case_of(operator, inputs, [make()], schema.FillOptions())


@strategy("TILE", types_of("TILE"))
def tiling(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """0 to 3 copies along each of 0 to 5 dimensions; of strings 1 to 5, as the real kernel dies of a rank of 0."""
    shape = any_shape(draw, min_rank=type == STRING, max_rank=5, max_side=3)
    times = [draw(st.integers(0 if draw(st.integers(0, 9)) == 0 else 1, 3)) for _ in shape]
    make = alike(draw, type)
    inputs = [data(draw, make, shape), parameter(draw, times, INT32, INT64)]
    return resized(draw, case_of(operator, inputs, [make()], schema.TileOptions()))


@strategy("BROADCAST_TO", types_of("BROADCAST_TO", BFLOAT16, INT4, UINT4))
def broadcasting(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """To a shape of up to 8 dimensions."""
    wanted = any_shape(draw, max_rank=draw(st.sampled_from([4, 8])), max_side=3)
    shape = [n if draw(st.booleans()) else 1 for n in wanted][draw(st.integers(0, len(wanted))) :]
    if 0 in wanted:  # from an input with elements the real kernel may die
        shape = [n if n == 0 or draw(st.booleans()) else 1 for n in wanted]
    make = alike(draw, type)
    inputs = [data(draw, make, shape), parameter(draw, wanted, INT32, INT64)]
    return case_of(operator, inputs, [make()], schema.BroadcastToOptions(), version=2)


@strategy("MIRROR_PAD", types_of("MIRROR_PAD"))
def mirroring(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Up to as much as there is to mirror, with the edge or without it."""
    mode = draw(st.sampled_from(MirrorPadMode))
    reflect = mode == MirrorPadMode.REFLECT
    shape = any_shape(draw, max_rank=5)
    if reflect:
        shape = [max(1, n) for n in shape]
    widths = np.array([[draw(st.integers(0, n - reflect)) for _ in range(2)] for n in shape]).reshape(-1, 2)
    make = alike(draw, type)
    inputs = [data(draw, make, shape), parameter(draw, widths, INT32, INT64)]
    options = schema.MirrorPadOptions(mode=mode) if reflect or draw(st.booleans()) else None
    return resized(draw, case_of(operator, inputs, [make()], options))


@strategy("REVERSE_V2", types_of("REVERSE_V2"))
def reversal(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Along one or more neighbouring axes of up to 8, in any order, counted from either end."""
    shape = any_shape(draw, min_rank=1, max_rank=draw(st.sampled_from([4, 8])), max_side=3)
    first = draw(st.integers(0, len(shape) - 1))
    last = draw(st.integers(first, len(shape) - 1))
    shape[last + 1 :] = [max(1, n) for n in shape[last + 1 :]]  # the real kernel dies where it would move empty slices
    axes = [from_either_end(draw, i, len(shape)) for i in draw(st.permutations(range(first, last + 1)))]
    make = alike(draw, type)
    return resized(
        draw, case_of(operator, [data(draw, make, shape), parameter(draw, axes)], [make()], schema.ReverseV2Options())
    )


@strategy("REVERSE_SEQUENCE", types_of("REVERSE_SEQUENCE"))
def sequence_reversal(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """The beginnings, of any length, of sequences along any axis."""
    shape = any_shape(draw, min_rank=2, max_rank=5)
    along, batch = draw(st.permutations(range(len(shape))))[:2]
    shape[batch] = max(1, shape[batch])  # without any sequence the real kernel dies
    lengths = [draw(st.integers(0, shape[along])) for _ in range(shape[batch])]
    make = alike(draw, type)
    options = schema.ReverseSequenceOptions(seq_dim=along, batch_dim=batch)
    return case_of(operator, [data(draw, make, shape), parameter(draw, lengths, INT32, INT64)], [make()], options)


@strategy("SPACE_TO_DEPTH", types_of("SPACE_TO_DEPTH"))
def space_to_depth(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Blocks of 1 to 4."""
    block = draw(st.integers(1, 4))
    n, height, width, depth = any_shape(draw, 4, 4, 3)
    make = alike(draw, type)
    inputs = [data(draw, make, (n, height * block, width * block, depth))]
    return resized(draw, case_of(operator, inputs, [make()], schema.SpaceToDepthOptions(block_size=block)))


@strategy("DEPTH_TO_SPACE", types_of("DEPTH_TO_SPACE"))
def depth_to_space(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Blocks of 1 to 4."""
    block = draw(st.integers(1, 4))
    n, height, width, depth = any_shape(draw, 4, 4, 3)
    make = alike(draw, type)
    inputs = [data(draw, make, (n, height, width, depth * block * block))]
    return resized(draw, case_of(operator, inputs, [make()], schema.DepthToSpaceOptions(block_size=block)))


@strategy("SPACE_TO_BATCH_ND", types_of("SPACE_TO_BATCH_ND"))
def space_to_batch(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Blocks of 1 to 3 in one or two dimensions, with paddings."""
    spatial = draw(st.integers(1, 2))
    shape = any_shape(draw, spatial + 2, spatial + 2)
    block = [draw(st.integers(1, 3)) for _ in range(spatial)]
    before = [draw(st.integers(0, 3)) for _ in block]
    after = [-(n + p) % b + b * draw(st.integers(0, 1)) for n, p, b in zip(shape[1:], before, block)]
    make = alike(draw, type)
    inputs = [data(draw, make, shape), parameter(draw, block), parameter(draw, list(zip(before, after)))]
    return resized(draw, case_of(operator, inputs, [make()], schema.SpaceToBatchNDOptions()))


@strategy("BATCH_TO_SPACE_ND", types_of("BATCH_TO_SPACE_ND"))
def batch_to_space(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Blocks of 1 to 3 in one or two dimensions, with crops."""
    spatial = draw(st.integers(1, 2))
    shape = any_shape(draw, spatial + 2, spatial + 2)
    block = [draw(st.integers(1, 3)) for _ in range(spatial)]
    shape[0] *= int(np.prod(block))
    crops = []
    for n, b in zip(shape[1:], block):
        before = draw(st.integers(0, min(3, n * b)))
        crops.append((before, draw(st.integers(0, min(3, n * b - before)))))
    make = alike(draw, type)
    inputs = [data(draw, make, shape), parameter(draw, block), parameter(draw, crops)]
    return case_of(operator, inputs, [make()], schema.BatchToSpaceNDOptions())


@strategy("MATRIX_DIAG", types_of("MATRIX_DIAG"))
def diagonal(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Rows of tensors of up to 4 dimensions on diagonals."""
    make = alike(draw, type)
    return resized(
        draw, case_of(operator, [data(draw, make, any_shape(draw, 1, 4))], [make()], schema.MatrixDiagOptions())
    )


@strategy("MATRIX_SET_DIAG", types_of("MATRIX_SET_DIAG"))
def set_diagonal(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Diagonals of matrices that need not be square, in tensors of up to 4 dimensions."""
    shape = any_shape(draw, 2, 4)
    make = alike(draw, type)
    inputs = [data(draw, make, shape), data(draw, make, (*shape[:-2], min(shape[-2:])))]
    return case_of(operator, inputs, [make()], schema.MatrixSetDiagOptions())


@strategy("DILATE", types_of("DILATE", INT4, UINT4))
def dilation(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """0 to 2 numbers between any two, along 1 to 5 dimensions."""
    shape = draw(st.lists(st.integers(1, 3), min_size=1, max_size=5))
    make = alike(draw, type)
    inputs = [data(draw, make, shape), parameter(draw, [draw(st.integers(1, 3)) for _ in shape]), data(draw, make, ())]
    return resized(draw, case_of(operator, inputs, [make()], schema.DilateOptions()))
