"""Tensors for operators that move numbers: data, and parameters such as axes and shapes, as constants or as inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from refquant.kernels.moving import MOVED_TYPES
from refquant.testing.build import TensorSpec, single_operator_model
from refquant.testing.strategies.catalogue import Array, Case
from refquant.testing.strategies.drawing import (
    QUANTIZED,
    constant_or_input,
    generators,
    numbers,
    scales,
    zero_points,
)
from refquant.tflite.schema import TensorType

#: a tensor and, where it is an input of the model, its numbers
Given = tuple[TensorSpec, list[Array]]

integer_types = st.sampled_from([TensorType.INT32, TensorType.INT64])


def types_of(operator: str, *but: TensorType) -> list[TensorType]:
    """The types that an operator moves, but for some, and for INT2, which tf.lite's set_tensor does not take."""
    return [type for type in MOVED_TYPES[operator] if type not in (*but, TensorType.INT2)]


def alike(draw: st.DrawFn, type: TensorType, always: bool = False) -> Callable[..., TensorSpec]:
    """Makes tensors of a type that have the same quantization: any, or, unless `always`, none."""
    if type not in QUANTIZED or not (always or draw(st.booleans())):
        return lambda shape=(), **more: TensorSpec(type, shape, **more)
    scale, zero_point = draw(scales), draw(zero_points(type))
    return lambda shape=(), **more: TensorSpec(type, shape, scale, zero_point, **more)


def data(draw: st.DrawFn, make: Callable[..., TensorSpec], shape: Sequence[int]) -> Given:
    """A tensor of numbers of this shape: an input, sometimes of another shape at first, seldom a constant."""
    spec = make(tuple(shape))
    array = numbers(draw(generators), spec.type, tuple(shape))
    kind = draw(st.integers(0, 9))
    scalar_string = spec.type == TensorType.STRING and not shape  # tf.lite's set_tensor cannot set one
    if scalar_string or (kind == 0 and array.size):
        return make(data=array), []
    if kind == 1:
        spec.shape = tuple(1 for _ in shape)
    return spec, [array]


def parameter(draw: st.DrawFn, value: Any, *types: TensorType) -> Given:
    """Whole numbers as a constant or an input, of int32 or one of `types`."""
    return constant_or_input(draw, draw(st.sampled_from(types or (TensorType.INT32,))), value)


def constant(value: Any, type: TensorType = TensorType.INT32) -> Given:
    """Whole numbers as a constant."""
    return TensorSpec(type, data=np.array(value, np.int64 if type == TensorType.INT64 else np.int32)), []


def case_of(
    operator: str,
    inputs: Sequence[Given],
    outputs: Sequence[TensorSpec],
    options: Any = None,
    **more: Any,
) -> Case:
    """The model of these tensors, with one sample: the numbers of its inputs."""
    model = single_operator_model(operator, [spec for spec, _ in inputs], outputs, options, **more)
    return Case(model, [[array for _, arrays in inputs for array in arrays]])


def resized(draw: st.DrawFn, case: Case) -> Case:
    """The case, one time in four with a second sample, whose first input has one more row; for x as that input."""
    inputs = case.model.subgraphs[0].inputs
    if inputs is not None and 0 in inputs and draw(st.integers(0, 3)) == 0:
        x, *more = case.samples[0]
        if x.size and x.ndim:
            case.samples = [case.samples[0], [np.concatenate([x, x[:1]]), *more]]
    return case


def any_shape(draw: st.DrawFn, min_rank: int = 0, max_rank: int = 4, max_side: int = 4) -> list[int]:
    """Mostly sides from 1 on; one shape in eight may have sides of 0."""
    least = 0 if draw(st.integers(0, 7)) == 0 else 1
    return draw(st.lists(st.integers(least, max_side), min_size=min_rank, max_size=max_rank))


def from_either_end(draw: st.DrawFn, axis: int, rank: int) -> int:
    """An axis, or the same one counted from behind."""
    return axis - rank if draw(st.booleans()) else axis
