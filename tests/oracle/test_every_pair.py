"""Quantized operators on two tensors, for every pair of 8-bit numbers, against TensorFlow's reference kernels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from refquant.numerics.lookup import every_value
from refquant.runtimes import Runtime
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
