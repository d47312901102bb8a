"""Operators that take parts of a tensor or overwrite them: SLICE, STRIDED_SLICE, SPLIT, GATHER, …"""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from refquant.testing.strategies.catalogue import Case, strategy
from refquant.testing.strategies.drawing import constant_or_input
from refquant.testing.strategies.tensors import (
    alike,
    any_shape,
    case_of,
    constant,
    data,
    integer_types,
    parameter,
    types_of,
)
from refquant.tflite import schema
from refquant.tflite.schema import TensorType

INT4, INT16, INT32 = TensorType.INT4, TensorType.INT16, TensorType.INT32
INT64, STRING = TensorType.INT64, TensorType.STRING


@strategy("SLICE", types_of("SLICE"))
def slicing(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Any part of up to 5 dimensions; sizes of -1 among the others. The file may know the output's shape or not."""
    shape = any_shape(draw, max_rank=5)
    begin = [draw(st.integers(0, n)) for n in shape]
    size = [draw(st.just(-1) | st.integers(0, n - b)) for n, b in zip(shape, begin)]
    make = alike(draw, type)
    kind = draw(integer_types)
    inputs = [data(draw, make, shape), constant_or_input(draw, kind, begin), constant_or_input(draw, kind, size)]
    sides = [n - b if s == -1 else s for n, b, s in zip(shape, begin, size)]
    return case_of(operator, inputs, [make(sides) if draw(st.booleans()) else make()], schema.SliceOptions())


@strategy("STRIDED_SLICE", types_of("STRIDED_SLICE"))
def strided_slicing(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Every mask; begins and ends inside and far outside; strides of both signs; lengths in place of ends."""
    shape = any_shape(draw, max_rank=5)
    options = schema.StridedSliceOptions(offset=draw(st.integers(0, 3)) == 0)
    slices = _by_length(draw, shape, options) if options.offset else _by_end(draw, shape, options)
    make = alike(draw, type)
    begin, end, strides = (parameter(draw, [s[i] for s in slices]) for i in range(3))
    if options.offset and not strides[1]:
        end = constant([s[1] for s in slices])  # the real kernel dies, looking at the lengths before they are there
    inputs = [data(draw, make, shape), begin, end, strides]
    return case_of(operator, inputs, [make()], options)


def _by_end(draw: st.DrawFn, shape: list[int], options: schema.StridedSliceOptions) -> list[tuple[int, int, int]]:
    """Begin, end and stride of each entry; the real kernel takes 5 dimensions at most, new ones included."""
    dims = list(shape)
    entries = draw(st.integers(0, len(shape)))
    covered = len(shape) - entries
    if draw(st.booleans()):
        ellipsis = draw(st.integers(0, entries))
        options.ellipsis_mask = 1 << ellipsis
        dims[ellipsis : ellipsis + covered] = [1]
        entries += 1
    # the real kernel's ellipsis covers one dimension at least, if need be the wrong one
    for _ in range(5 - len(shape) if covered > 0 or not options.ellipsis_mask else 0):
        if draw(st.integers(0, 3)) == 0:
            new = draw(st.integers(0, entries))
            low = 2**new - 1
            options.ellipsis_mask = (options.ellipsis_mask & ~low) << 1 | options.ellipsis_mask & low
            options.new_axis_mask = (options.new_axis_mask & ~low) << 1 | options.new_axis_mask & low | 1 << new
            dims.insert(new, 1)
            entries += 1
    slices = []
    for i, size in zip(range(entries), dims):
        place = st.integers(-size, size) | st.integers(-9, 9)
        if size and draw(st.integers(0, 4)) == 0:
            options.shrink_axis_mask |= 1 << i
            slices.append((draw(st.integers(-size, size - 1)), draw(place), draw(st.integers(1, 2))))
        else:
            options.begin_mask |= draw(st.booleans()) << i
            options.end_mask |= draw(st.booleans()) << i
            slices.append((draw(place), draw(place), draw(st.sampled_from([1, 1, 2, 3, -1, -2]))))
    return slices


def _by_length(draw: st.DrawFn, shape: list[int], options: schema.StridedSliceOptions) -> list[tuple[int, int, int]]:
    """Begin, length and stride of every dimension; none reaches beyond the end, on which the real kernel relies."""
    slices = []
    for i, size in enumerate(shape):
        stride = draw(st.sampled_from([1, 1, 2, -1, -2])) if size else 1
        begin = start = draw(st.integers(0, max(0, size - 1)))
        if draw(st.booleans()):
            begin -= size
        if size and draw(st.integers(0, 4)) == 0:
            options.shrink_axis_mask |= 1 << i
            stride = 1
        elif draw(st.integers(0, 4)) == 0:
            options.begin_mask |= 1 << i
            start = 0 if stride > 0 else size - 1
        length = draw(st.integers(0, size - start) if stride > 0 else st.integers(-start, 0))
        slices.append((begin, length, stride))
    return slices


@strategy("SPLIT", types_of("SPLIT"))
def splitting(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """One to six equal parts along any axis, which is a scalar or a vector of one."""
    shape = any_shape(draw, min_rank=1)
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    parts = draw(st.integers(1, 6))
    shape[axis] *= parts
    make = alike(draw, type)
    inputs = [parameter(draw, axis if draw(st.booleans()) else [axis], INT32, INT64), data(draw, make, shape)]
    return case_of(operator, inputs, [make() for _ in range(parts)], schema.SplitOptions(num_splits=parts))


@strategy("SPLIT_V", types_of("SPLIT_V"))
def splitting_by_sizes(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """One to six parts of any sizes along any axis, one of them perhaps -1."""
    shape = any_shape(draw, min_rank=1)
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    sizes = draw(st.lists(st.integers(0, 3), min_size=1, max_size=6))
    shape[axis] = sum(sizes)
    if draw(st.booleans()):
        sizes[draw(st.integers(0, len(sizes) - 1))] = -1
    make = alike(draw, type)
    inputs = [data(draw, make, shape), parameter(draw, sizes, INT32, INT64), parameter(draw, axis, INT32, INT64)]
    return case_of(operator, inputs, [make() for _ in sizes], schema.SplitVOptions(num_splits=len(sizes)))


@strategy("GATHER", types_of("GATHER"))
def gathering(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Slices along any axis, with any batch dimensions; strings from a vector."""
    shape = [draw(st.integers(1, 5))] if type == STRING else any_shape(draw, min_rank=1, max_rank=5)
    axis = draw(st.integers(0, len(shape) - 1))
    if not shape[axis]:
        shape[axis] = 1
    if type == INT4 and math.prod(shape[axis + 1 :]) % 2:
        shape.append(2)  # the real kernel takes half a byte too few of slices with an odd number of elements
    batch = 0 if type == STRING else draw(st.integers(0, axis))
    places = (*shape[:batch], *any_shape(draw, max_rank=2, max_side=3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    indices = parameter(draw, rng.integers(0, shape[axis], places), INT32, INT64, INT16)
    options = schema.GatherOptions(
        axis=axis - len(shape) if draw(st.booleans()) else axis,
        batch_dims=batch - len(places) if batch < len(places) and draw(st.booleans()) else batch,
    )
    make = alike(draw, type)
    return case_of(operator, [data(draw, make, shape), indices], [make()], options)


@strategy("GATHER_ND", types_of("GATHER_ND"))
def gathering_by_coordinates(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Elements or slices at coordinates of any depth, 0 included."""
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=5))
    depth = draw(st.integers(0, len(shape)))
    places = any_shape(draw, max_rank=2, max_side=3)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    coordinates = rng.integers(0, shape[:depth], (*places, depth))
    make = alike(draw, type)
    inputs = [data(draw, make, shape), parameter(draw, coordinates, INT32, INT64, INT16)]
    return case_of(operator, inputs, [make()], schema.GatherNdOptions())


@strategy("DYNAMIC_UPDATE_SLICE", types_of("DYNAMIC_UPDATE_SLICE"))
def overwriting(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """A part of any size, from none to all, put at any place; places outside are moved back."""
    shape = any_shape(draw, max_rank=5)
    part = [draw(st.integers(0, n)) for n in shape]
    start = [draw(st.integers(-3, n + 2)) for n in shape]
    make = alike(draw, type)
    inputs = [data(draw, make, shape), data(draw, make, part), parameter(draw, start, INT32, INT64)]
    return case_of(operator, inputs, [make()], schema.DynamicUpdateSliceOptions())
