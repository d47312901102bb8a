"""Comparisons, logic and choice, with broadcasting."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from refquant.testing.build import TensorSpec, single_operator_model
from refquant.testing.strategies.arithmetic import (
    BFLOAT16,
    BOOL,
    FLOAT16,
    FLOAT32,
    INT8,
    INT16,
    INT32,
    INT64,
    UINT8,
    UINT16,
    UINT32,
    UINT64,
    case_of,
    fitting_shapes,
)
from refquant.testing.strategies.catalogue import Case, strategy
from refquant.testing.strategies.drawing import Array, arrays, generators, numbers, quantized
from refquant.tflite.schema import TensorType

STRING = TensorType.STRING
EQUALITY = ["EQUAL", "NOT_EQUAL"]
ORDER = ["LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL"]
SELECTED = [FLOAT32, FLOAT16, BFLOAT16, BOOL, INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64]


def _two(draw: st.DrawFn, type: TensorType) -> tuple[Array, Array]:
    """Numbers of which many are equal."""
    shapes = draw(fitting_shapes(4))
    rng = draw(generators)
    x, y = (numbers(rng, type, shape) for shape in shapes)
    if x.shape == y.shape:
        y = np.where(rng.random(x.shape) < 0.3, x, y).astype(x.dtype)
    return x, y


@strategy([*EQUALITY, *ORDER], [FLOAT32, FLOAT16, INT32, INT64])
@strategy(EQUALITY, [BOOL])
@strategy("EQUAL", {"INT16 without scale": INT16})  # of which NOT_EQUAL leaves its output as it was in memory
@strategy(ORDER, [INT16])
@strategy(["LESS", "GREATER"], [BFLOAT16])
def plain(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Numbers that stand for themselves; for those of int16 that are put in order, scales change nothing."""
    x, y = _two(draw, type)
    specs = [draw(quantized(type)) if operator in ORDER and type == INT16 else TensorSpec(type) for _ in range(2)]
    return case_of(draw, operator, specs, [x, y], [TensorSpec(BOOL)])


@strategy(EQUALITY, [STRING])
def strings(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Short strings of at least one dimension, as Python cannot set a string of none."""
    x, y = _two(draw, type)
    x, y = (v if v.ndim else v.reshape(1) for v in (x, y))
    specs = [TensorSpec(type, x.shape), TensorSpec(type, y.shape)]
    return Case(single_operator_model(operator, specs, [TensorSpec(BOOL)]), [[x, y]])


@strategy(EQUALITY, [INT8, UINT8, INT16])
@strategy(ORDER, [INT8, UINT8])
def with_scales(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Any scales and zero points, often the same ones; but for a scale of 1, at which the real kernel aborts."""
    x, y = _two(draw, type)
    specs = [draw(quantized(type)) for _ in range(2)]
    if draw(st.booleans()):
        specs[1] = specs[0]
    for spec in specs:
        spec.scale = 0.75 if spec.scale == 1 else spec.scale
    return case_of(draw, operator, specs, [x, y], [TensorSpec(BOOL)])


@strategy(["LOGICAL_AND", "LOGICAL_OR"], [BOOL])
def logic(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Truth values."""
    return case_of(draw, operator, [TensorSpec(type)] * 2, _two(draw, type), [TensorSpec(type)])


@strategy("LOGICAL_NOT", [BOOL])
def negation(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Truth values."""
    return case_of(draw, operator, [TensorSpec(type)], [draw(arrays(type))], [TensorSpec(type)])


@strategy("SELECT", SELECTED)
def select(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """A condition of the shape of the numbers, of their first dimension, or of none."""
    shape = draw(fitting_shapes(4))[0]
    rng = draw(generators)
    condition = numbers(rng, BOOL, draw(st.sampled_from([shape, shape[:1], ()])))
    return _choice(draw, operator, type, condition, numbers(rng, type, shape), numbers(rng, type, shape))


@strategy("SELECT_V2", SELECTED)
def select_v2(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Three shapes that fit together."""
    shapes = draw(fitting_shapes(5, 3))
    rng = draw(generators)
    return _choice(draw, operator, type, *(numbers(rng, t, s) for t, s in zip((BOOL, type, type), shapes)))


def _choice(draw: st.DrawFn, operator: str, type: TensorType, condition: Array, x: Array, y: Array) -> Case:
    """With an output declared as a scalar or not: of single elements it keeps the shape that the file declares."""
    spec = draw(quantized(type)) if type in (INT8, UINT8, INT16) and draw(st.booleans()) else TensorSpec(type)
    out = TensorSpec(type, [1] * draw(st.integers(0, 2)), spec.scale, spec.zero_point)
    return case_of(draw, operator, [TensorSpec(BOOL), spec, spec], [condition, x, y], [out])
