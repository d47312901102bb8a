"""Operators that change the shape, ask for it or join tensors: RESHAPE, SQUEEZE, TRANSPOSE, CONCATENATION, PAD, …"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from refquant.testing.build import TensorSpec
from refquant.testing.strategies.catalogue import Case, strategy
from refquant.testing.strategies.drawing import generators, numbers, quantized
from refquant.testing.strategies.tensors import (
    Given,
    alike,
    any_shape,
    case_of,
    data,
    from_either_end,
    integer_types,
    parameter,
    resized,
    types_of,
)
from refquant.tflite import schema
from refquant.tflite.schema import TensorType

INT4, INT32, INT64, UINT8 = TensorType.INT4, TensorType.INT32, TensorType.INT64, TensorType.UINT8


@strategy("RESHAPE", types_of("RESHAPE"))
def reshaping(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """To any shape with as many elements, one of them perhaps -1, given by the options or by a second input."""
    shape = any_shape(draw)
    wanted: list[int] = list(draw(st.permutations(shape)))
    for _ in range(draw(st.integers(0, 2))):
        if len(wanted) > 1 and draw(st.booleans()):
            wanted[:2] = [wanted[0] * wanted[1]]
        else:
            wanted.insert(draw(st.integers(0, len(wanted))), 1)
    if wanted and 0 not in wanted and draw(st.booleans()):
        wanted[draw(st.integers(0, len(wanted) - 1))] = -1
    make = alike(draw, type)
    inputs = [data(draw, make, shape)]
    options = schema.ReshapeOptions(new_shape=np.array(wanted, np.int32))
    if wanted == [0] or draw(st.booleans()):  # [0] as an option means a scalar
        inputs.append(parameter(draw, wanted))
        if draw(st.booleans()):
            options = schema.ReshapeOptions()
    return case_of(operator, inputs, [make()], options)


@strategy("SQUEEZE", types_of("SQUEEZE"))
def squeezing(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Some dimensions of 1 named from either end, or none named and all of them taken; rank up to 8."""
    shape = any_shape(draw, max_rank=draw(st.sampled_from([4, 8])), max_side=3)
    ones = [i for i, n in enumerate(shape) if n == 1]
    taken = draw(st.lists(st.sampled_from(ones), max_size=8)) if ones else []
    named = [from_either_end(draw, i, len(shape)) for i in taken]
    make = alike(draw, type)
    options = schema.SqueezeOptions(squeeze_dims=np.array(named, np.int32) if draw(st.booleans()) or named else None)
    return case_of(operator, [data(draw, make, shape)], [make()], options)


@strategy("EXPAND_DIMS", types_of("EXPAND_DIMS"))
def expansion(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """A new dimension at any place, counted from either end; the axis is a scalar or a vector of one."""
    shape = any_shape(draw)
    axis = from_either_end(draw, draw(st.integers(0, len(shape))), len(shape) + 1)
    make = alike(draw, type)
    place = parameter(draw, axis if draw(st.booleans()) else [axis], INT32, INT64)
    return resized(draw, case_of(operator, [data(draw, make, shape), place], [make()], schema.ExpandDimsOptions()))


@strategy("SHAPE", types_of("SHAPE"))
def shape_of(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """The shape as int32 or int64, of tensors of any rank."""
    out = draw(integer_types)
    x = data(draw, alike(draw, type), any_shape(draw, max_rank=8, max_side=3))
    return resized(draw, case_of(operator, [x], [TensorSpec(out)], schema.ShapeOptions(out_type=out)))


@strategy("RANK", types_of("RANK"))
def rank(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """The number of dimensions, 0 to 8."""
    x = data(draw, alike(draw, type), any_shape(draw, max_rank=8, max_side=3))
    return resized(draw, case_of(operator, [x], [TensorSpec(INT32)], schema.RankOptions()))


@strategy("TRANSPOSE", types_of("TRANSPOSE"))
def transposition(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Any order of up to 6 dimensions, each counted from either end."""
    shape = any_shape(draw, 1, draw(st.sampled_from([4, 6])), 3)
    order = [from_either_end(draw, i, len(shape)) for i in draw(st.permutations(range(len(shape))))]
    make = alike(draw, type)
    inputs = [data(draw, make, shape), parameter(draw, order)]
    return resized(draw, case_of(operator, inputs, [make()], schema.TransposeOptions()))


@strategy("PACK", types_of("PACK"))
def packing(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """One to six tensors as slices of a new dimension at any place."""
    shape = any_shape(draw, max_rank=4)
    count = draw(st.integers(1, 6))
    make = alike(draw, type)
    axis = from_either_end(draw, draw(st.integers(0, len(shape))), len(shape) + 1)
    options = schema.PackOptions(values_count=count, axis=axis)
    return case_of(operator, [data(draw, make, shape) for _ in range(count)], [make()], options)


@strategy("UNPACK", types_of("UNPACK"))
def unpacking(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """The slices along any dimension of tensors that are not empty."""
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=5))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    make = alike(draw, type)
    options = schema.UnpackOptions(num=shape[axis], axis=axis)
    return case_of(operator, [data(draw, make, shape)], [make() for _ in range(shape[axis])], options)


@strategy("CONCATENATION", types_of("CONCATENATION"))
def concatenation(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """One to eight tensors along any axis, or constants of rank 0; uint8 ones may have quantizations of their own."""
    if type != INT4 and draw(st.integers(0, 19)) == 0:
        make = alike(draw, type)
        rng = draw(generators)
        scalars: list[Given] = [(make(data=numbers(rng, type, ())), []) for _ in range(draw(st.integers(1, 4)))]
        return case_of(operator, scalars, [make()], schema.ConcatenationOptions())
    shape = any_shape(draw, min_rank=1)
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    make = alike(draw, type)
    out = make()
    inputs = []
    for _ in range(draw(st.integers(1, 8))):
        shape[axis] = draw(st.integers(0, 4))
        x = data(draw, make, shape)
        if type == UINT8 and out.scale is not None and draw(st.booleans()):
            other = draw(quantized(type))
            x[0].scale, x[0].zero_point = other.scale, other.zero_point
        inputs.append(x)
    return case_of(operator, inputs, [out], schema.ConcatenationOptions(axis=axis))


@strategy(["PAD", "PADV2"], types_of("PAD"))
def padding(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Up to 5 dimensions; paddings of every type that the real kernel takes; any number to pad with, or the default.

    Input and output may be quantized differently: the zero point of the output counts.
    """
    shape = any_shape(draw, max_rank=5, max_side=3)
    widths = [[draw(st.integers(0, 3)) for _ in range(2)] for _ in shape]
    make = alike(draw, type)
    paddings = parameter(draw, np.array(widths).reshape(-1, 2), INT32, INT64, TensorType.INT8, TensorType.INT16)
    x = data(draw, make, shape)
    if x[0].scale is not None and draw(st.booleans()):
        make = alike(draw, type, always=True)
    inputs = [x, paddings]
    if draw(st.integers(0, 3)) > (0 if operator == "PADV2" else 2):
        inputs.append(data(draw, make, [1] * draw(st.integers(0, 2))))
    return resized(
        draw, case_of(operator, inputs, [make()], schema.PadOptions() if operator == "PAD" else schema.PadV2Options())
    )
