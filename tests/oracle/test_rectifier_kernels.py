"""LEAKY_RELU, PRELU, HARD_SWISH and RELU_0_TO_1 against TensorFlow's reference kernels, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refquant.numerics.lookup import every_value
from refquant.runtimes import Runtime
from refquant.testing.build import TensorSpec, single_operator_model
from refquant.tflite.schema import LeakyReluOptions, TensorType
from refquant.tflite.tensor_types import numpy_dtype
from tests.oracle.test_elementwise_kernels import (
    assert_both_refuse,
    assert_same_bits,
    examples,
    generators,
    numbers,
    of_types,
    quantized,
)

pytestmark = pytest.mark.oracle

FLOAT32, INT8, UINT8, INT16 = TensorType.FLOAT32, TensorType.INT8, TensorType.UINT8, TensorType.INT16


def tensor(type: TensorType, shape: tuple[int, ...] = ()) -> st.SearchStrategy[TensorSpec]:
    return st.just(TensorSpec(type, shape)) if type == FLOAT32 else quantized(type, shape)


def values(rng: np.random.Generator, type: TensorType) -> Any:
    """Every value of an 8-bit or 16-bit type, or many floats."""
    return numbers(rng, type, (999,)) if type == FLOAT32 else every_value(numpy_dtype(type))


@of_types(FLOAT32, INT8, UINT8, INT16)
@given(data=st.data(), rng=generators, alpha=st.sampled_from([0.0, 0.01, 0.5, 1.0, 3.7, -0.25]))
@examples(25)
def test_leaky_relu(
    reference: Runtime, type: TensorType, data: st.DataObject, rng: np.random.Generator, alpha: float
) -> None:
    x = values(rng, type)
    model = single_operator_model(
        "LEAKY_RELU",
        [data.draw(tensor(type, x.shape))],
        [data.draw(tensor(type))],
        LeakyReluOptions(alpha=alpha),
    )
    assert_same_bits(reference, model, x)


@of_types(FLOAT32, INT8, UINT8, INT16)
@given(
    data=st.data(),
    rng=generators,
    shapes=st.sampled_from([((2, 3, 4, 5), (1, 1, 5)), ((2, 3, 4, 5), (2, 3, 4, 5)), ((7,), ()), ((3, 1), (1, 1))]),
)
@examples(25)
def test_prelu(
    reference: Runtime, type: TensorType, data: st.DataObject, rng: np.random.Generator, shapes: tuple[Any, Any]
) -> None:
    alpha_type = INT8 if type == INT16 else type
    alpha = data.draw(tensor(alpha_type))
    alpha.data = numbers(rng, alpha_type, shapes[1])
    model = single_operator_model("PRELU", [data.draw(tensor(type, shapes[0])), alpha], [data.draw(tensor(type))])
    assert_same_bits(reference, model, numbers(rng, type, shapes[0]))


def test_prelu_whose_alpha_is_larger(reference: Runtime) -> None:
    x, alpha = np.zeros((1, 3), np.float32), np.zeros((2, 3), np.float32)
    model = single_operator_model(
        "PRELU", [TensorSpec(FLOAT32, x.shape), TensorSpec(FLOAT32, data=alpha)], [TensorSpec(FLOAT32)]
    )
    assert_both_refuse(reference, model, x)


@of_types(FLOAT32, INT8, UINT8)
@given(data=st.data(), rng=generators)
@examples(25)
def test_hard_swish(reference: Runtime, type: TensorType, data: st.DataObject, rng: np.random.Generator) -> None:
    x = values(rng, type)
    spec, out = data.draw(tensor(type, x.shape)), data.draw(tensor(type))
    if type != FLOAT32:
        out.scale = max(float(out.scale), float(spec.scale) / 127)  # type: ignore[arg-type]
    assert_same_bits(reference, single_operator_model("HARD_SWISH", [spec], [out]), x)


@of_types(FLOAT32, INT8, UINT8)
@given(data=st.data(), rng=generators)
@examples(25)
def test_relu_0_to_1(reference: Runtime, type: TensorType, data: st.DataObject, rng: np.random.Generator) -> None:
    x = values(rng, type)
    model = single_operator_model("RELU_0_TO_1", [data.draw(tensor(type, x.shape))], [data.draw(tensor(type))])
    assert_same_bits(reference, model, x)
