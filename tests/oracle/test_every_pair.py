"""Operators on two tensors against TensorFlow's reference kernels: every pair of 8-bit numbers, floats of all sizes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from refquant.numerics.lookup import every_value
from refquant.runtimes import Runtime
from refquant.testing.build import TensorSpec, single_operator_model
from refquant.testing.conformance import Outcome, compare
from refquant.testing.strategies import cases
from refquant.tflite.schema import TensorType
from refquant.tflite.tensor_types import numpy_dtype

pytestmark = pytest.mark.oracle

INT8, UINT8, INT16 = TensorType.INT8, TensorType.UINT8, TensorType.INT16
FAMILIES = [
    *((operator, type, type.name) for operator in ("ADD", "SUB", "MUL", "DIV") for type in (INT8, UINT8, INT16)),
    ("SQUARED_DIFFERENCE", INT8, "INT8"),
    *(
        (operator, type, type.name)
        for operator in ("EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL")
        for type in (INT8, UINT8)
    ),
    *((operator, type, type.name) for operator in ("FLOOR_DIV", "FLOOR_MOD") for type in (INT8, INT16)),
    *((operator, INT16, "INT16 powers of two") for operator in ("ADD", "SUB")),
    *(("MUL", INT16, f"INT16 to {type.name}") for type in (INT8, UINT8)),
]


@pytest.mark.parametrize(("operator", "type", "variant"), FAMILIES)
@given(data=st.data())
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_every_pair(reference: Runtime, operator: str, type: TensorType, variant: str, data: st.DataObject) -> None:
    """With the scales, zero points and options that the strategy draws; for int16, with 270 numbers of its range."""
    model = data.draw(cases(operator, variant)).model
    inputs = model.subgraphs[0].inputs
    assume(inputs is not None and len(inputs) == 2)
    values = every_value(numpy_dtype(type))
    if type == INT16:
        values = np.unique(np.concatenate([values[::251], values[:5], values[-5:], values[32763:32773]]))
    divisors = values[values != 0] if "DIV" in operator or "MOD" in operator else values
    x, y = (np.ascontiguousarray(v) for v in np.broadcast_arrays(values[:, None], divisors[None, :]))
    result = compare(model, [[x, y]], reference)
    assert result.outcome is Outcome.EQUAL, result.details


FLOAT32, FLOAT16, BFLOAT16 = TensorType.FLOAT32, TensorType.FLOAT16, TensorType.BFLOAT16
FUNCTIONS = [("POW", FLOAT32), ("ATAN2", FLOAT32), ("ATAN2", FLOAT16), ("ATAN2", BFLOAT16)]


@pytest.mark.parametrize(("operator", "type"), FUNCTIONS)
def test_functions_of_two_floats_densely(reference: Runtime, operator: str, type: TensorType) -> None:
    """A million pairs of all bits, and as many of numbers of everyday size."""
    rng, dtype = np.random.default_rng(2), numpy_dtype(type)
    model = single_operator_model(operator, [TensorSpec(type, (2**20,))] * 2, [TensorSpec(type)])
    any_bits = [rng.integers(0, 256, dtype.itemsize * 2**20, np.uint8).view(dtype) for _ in range(2)]
    result = compare(model, [any_bits], reference)
    assert result.outcome is Outcome.EQUAL, result.details
    everyday = [np.exp(rng.normal(0, 2, 2**20)).clip(0, 1e4), rng.normal(0, 4, 2**20).clip(-1e4, 1e4)]
    if type != BFLOAT16:
        result = compare(model, [[x.astype(dtype) for x in everyday]], reference)
        assert result.outcome is Outcome.EQUAL, result.details
