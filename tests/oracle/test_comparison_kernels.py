"""Comparisons, logic, choice and plain functions against TensorFlow's reference kernels, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refquant.runtimes import Runtime
from refquant.testing.build import TensorSpec, single_operator_model
from refquant.tflite.schema import TensorType
from tests.oracle.test_elementwise_kernels import (
    assert_both_refuse,
    assert_same_bits,
    broadcast_shapes,
    every_pair,
    examples,
    generators,
    numbers,
    of_types,
    zero_points,
)

pytestmark = pytest.mark.oracle

FLOAT32, INT32, INT64, BOOL = TensorType.FLOAT32, TensorType.INT32, TensorType.INT64, TensorType.BOOL
INT8, UINT8 = TensorType.INT8, TensorType.UINT8
COMPARISONS = ["EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL"]


@pytest.mark.parametrize("operator", COMPARISONS)
@of_types(FLOAT32, INT32, INT64, BOOL)
@given(rng=generators, pair=broadcast_shapes())
@examples(25)
def test_plain_comparison(
    reference: Runtime,
    operator: str,
    type: TensorType,
    rng: np.random.Generator,
    pair: tuple[tuple[int, ...], tuple[int, ...]],
) -> None:
    x, y = (numbers(rng, type, shape) for shape in pair)
    model = single_operator_model(operator, [TensorSpec(type, x.shape), TensorSpec(type, y.shape)], [TensorSpec(BOOL)])
    if type == BOOL and "EQUAL" != operator != "NOT_EQUAL":
        assert_both_refuse(reference, model, x, y)
    else:
        assert_same_bits(reference, model, x, y)


#: below 1: beyond, the real kernel shifts by a negative number
small_scales = st.builds(
    lambda exponent, factor: float(np.float32(2.0**exponent * factor)),
    st.integers(-14, -1),
    st.just(1.0) | st.floats(1, 1.99),
)


@pytest.mark.parametrize("operator", COMPARISONS)
@of_types(INT8, UINT8)
@given(data=st.data(), same=st.booleans())
@examples(20)
def test_every_pair_of_quantized_numbers(
    reference: Runtime, operator: str, type: TensorType, data: st.DataObject, same: bool
) -> None:
    x, y = every_pair(type)
    scale, zero_point = data.draw(small_scales), data.draw(zero_points(type))
    other = (scale, zero_point) if same else (data.draw(small_scales), data.draw(zero_points(type)))
    specs = [TensorSpec(type, x.shape, scale, zero_point), TensorSpec(type, y.shape, *other)]
    assert_same_bits(reference, single_operator_model(operator, specs, [TensorSpec(BOOL)]), x, y)


@pytest.mark.parametrize("operator", ["LOGICAL_AND", "LOGICAL_OR"])
@given(rng=generators, pair=broadcast_shapes())
@examples(20)
def test_logic(
    reference: Runtime, operator: str, rng: np.random.Generator, pair: tuple[tuple[int, ...], tuple[int, ...]]
) -> None:
    x, y = (numbers(rng, BOOL, shape) for shape in pair)
    model = single_operator_model(operator, [TensorSpec(BOOL, x.shape), TensorSpec(BOOL, y.shape)], [TensorSpec(BOOL)])
    assert_same_bits(reference, model, x, y)


def test_logical_not(reference: Runtime) -> None:
    x = np.array([True, False])
    assert_same_bits(reference, single_operator_model("LOGICAL_NOT", [TensorSpec(BOOL, (2,))], [TensorSpec(BOOL)]), x)


@of_types(FLOAT32, INT8, UINT8, INT32, INT64, BOOL)
@given(data=st.data(), rng=generators, shape=st.lists(st.integers(1, 4), min_size=1, max_size=4))
@examples(20)
def test_select(
    reference: Runtime, type: TensorType, data: st.DataObject, rng: np.random.Generator, shape: list[int]
) -> None:
    condition = numbers(rng, BOOL, data.draw(st.sampled_from([tuple(shape), (shape[0],), ()])))
    x, y = numbers(rng, type, shape), numbers(rng, type, shape)
    scale = 0.5 if type in (INT8, UINT8) else None
    inputs: list[Any] = [TensorSpec(BOOL, condition.shape), *[TensorSpec(type, shape, scale)] * 2]
    model = single_operator_model("SELECT", inputs, [TensorSpec(type, (), scale)])
    assert_same_bits(reference, model, condition, x, y)


@of_types(FLOAT32, INT8, UINT8, INT32, INT64, BOOL)
@given(data=st.data(), rng=generators, pair=broadcast_shapes())
@examples(20)
def test_select_v2(
    reference: Runtime, type: TensorType, data: st.DataObject, rng: np.random.Generator, pair: Any
) -> None:
    shapes = [*pair, tuple(np.broadcast_shapes(*pair))]
    shapes = data.draw(st.permutations(shapes))
    condition, x, y = numbers(rng, BOOL, shapes[0]), numbers(rng, type, shapes[1]), numbers(rng, type, shapes[2])
    scale = 0.5 if type in (INT8, UINT8) else None
    inputs = [TensorSpec(BOOL, condition.shape), TensorSpec(type, x.shape, scale), TensorSpec(type, y.shape, scale)]
    model = single_operator_model("SELECT_V2", inputs, [TensorSpec(type, (), scale)])
    assert_same_bits(reference, model, condition, x, y)
