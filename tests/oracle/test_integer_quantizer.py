"""Full integer quantization against TensorFlow's `mlir_quantize`, given the same ranges: structure and every bit.

The two must agree in operators, options, tensors, names, scales, zero points, constants, versions, signatures and
metadata, and the file must be the same byte for byte. Only the order of the conversions behind an operator of several
results is free: TensorFlow takes it from a hash table of addresses, so it is another one in each run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations, product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refquant.errors import RuntimeDiedError, RuntimeFailedError
from refquant.quantization import integer
from refquant.quantization.ir import Operation
from refquant.quantization.propagate import Order, in_order
from refquant.runtimes import Quantizer
from refquant.testing.float_graphs import FloatCase, float_models, statistics
from refquant.testing.same_model import differences
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType
from tests.oracle.test_operators import EXAMPLES

pytestmark = pytest.mark.oracle

FLOAT32, INT8, UINT8 = TensorType.FLOAT32, TensorType.INT8, TensorType.UINT8
#: how many orders of results are tried
MOST_ORDERS = 600


def orders(model: Model) -> Iterator[Order]:
    """The order of results as they stand, then every other one for the operators that have several."""
    yield in_order
    several = [
        len(operator.outputs)
        for subgraph in model.subgraphs
        for operator in subgraph.operators or ()
        if operator.outputs is not None and len(operator.outputs) > 1
    ]
    for count, chosen in enumerate(product(*(permutations(range(n)) for n in several))):
        if not several or count == MOST_ORDERS:
            return
        yield _order_of(chosen)


def _order_of(chosen: Sequence[Sequence[int]]) -> Order:
    left = list(chosen)

    def order(operation: Operation) -> Sequence[int]:
        return left.pop(0) if len(operation.results) > 1 else range(len(operation.results))

    return order


def check(model: Model, quantizer: Quantizer, ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Ours equals theirs, byte for byte, in one of the orders that theirs may have."""
    try:
        expected = quantizer.mlir_quantize(model, **theirs)
    except (RuntimeFailedError, RuntimeDiedError):
        return  # what TensorFlow refuses or dies of, refquant may do
    found: list[str] = []
    for order in orders(model):
        actual = integer.quantize(model, order=order, **ours)
        lines = differences(actual, expected)
        if not lines:
            return
        found = found or lines
    raise AssertionError("\n".join(found[:8]))


@st.composite
def calibrated(draw: st.DrawFn, **settings: Any) -> Model:
    """A float model with random ranges."""
    case: FloatCase = draw(float_models(**settings))
    model: Model = draw(statistics(case.model))
    return model


@settings(max_examples=10 * EXAMPLES, suppress_health_check=list(HealthCheck))
@given(calibrated())
def test_random_graphs(quantizer: Quantizer, model: Model) -> None:
    check(model, quantizer, {}, {})


MODES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "int8 outside": (
        {"input_type": INT8, "output_type": INT8},
        {"input_data_type": "int8", "output_data_type": "int8"},
    ),
    "uint8 outside": (
        {"input_type": UINT8, "output_type": UINT8},
        {"input_data_type": "uint8", "output_data_type": "uint8"},
    ),
    "fully": ({"fully": True}, {"fully_quantize": True}),
    "per tensor": ({"per_channel": False}, {"disable_per_channel": True}),
    "dense per tensor": ({"per_channel_dense": False}, {"disable_per_channel_for_dense_layers": True}),
    "variables": ({"variables": True}, {"enable_variable_quantization": True}),
    "operators denied": (
        {"denied_operators": ["CONV_2D", "ADD", "RESHAPE"]},
        {"denylisted_ops": ["CONV_2D", "ADD", "RESHAPE"]},
    ),
}


@pytest.mark.parametrize("mode", MODES)
def test_modes(quantizer: Quantizer, mode: str) -> None:
    ours, theirs = MODES[mode]

    @settings(max_examples=3 * EXAMPLES, suppress_health_check=list(HealthCheck))
    @given(calibrated())
    def one(model: Model) -> None:
        check(model, quantizer, ours, theirs)

    one()


@settings(max_examples=3 * EXAMPLES, suppress_health_check=list(HealthCheck))
@given(calibrated(), st.data())
def test_denied_nodes(quantizer: Quantizer, model: Model, data: st.DataObject) -> None:
    names = [
        (model.subgraphs[0].tensors or [])[int(index)].name or ""
        for operator in model.subgraphs[0].operators or ()
        for index in (() if operator.outputs is None else operator.outputs)
    ]
    denied = data.draw(st.lists(st.sampled_from(names), max_size=3)) if names else []
    check(model, quantizer, {"denied_nodes": denied}, {"denylisted_nodes": denied})
