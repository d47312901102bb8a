"""Full integer quantization against TensorFlow's `mlir_quantize`, given the same ranges: structure and every bit.

The two must agree in operators, options, tensors, names, scales, zero points, constants, versions, signatures and
metadata, and the file must be the same byte for byte. Only the order of the conversions behind an operator of several
results is free: TensorFlow takes it from a hash table of addresses, so it is another one in each run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import permutations, product
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refquant.errors import RuntimeDiedError, RuntimeFailedError
from refquant.quantization import integer
from refquant.quantization.ir import Operation
from refquant.quantization.propagate import Order, in_order
from refquant.runtimes import Quantizer, open_quantizer
from refquant.testing.build import OperatorSpec, SubgraphSpec, TensorSpec, model_of
from refquant.testing.float_graphs import FloatCase, float_models, statistics
from refquant.testing.same_model import differences
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType
from tests.conftest import EXAMPLES

pytestmark = pytest.mark.oracle

FLOAT32, INT8, UINT8 = TensorType.FLOAT32, TensorType.INT8, TensorType.UINT8
#: how many orders of results are tried
MOST_ORDERS = 600

#: how many processes of TensorFlow may differ before the difference is ours
NEW_PROCESSES = 4


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
    """Ours equals theirs, byte for byte, in one of the orders that theirs may have.

    TensorFlow numbers the variables of all models of a process, and the numbers can get into scales and buffers; and it
    goes through the results of an operator by their addresses, which are often but not always those of their order.
    So where a process that has seen other models differs, new ones decide: of the many orders of an operator with
    more than a few results, we try those in `orders`, and some process has one of them.
    """
    try:
        found = _unlike(model, quantizer.mlir_quantize(model, **theirs), ours)
        for _ in range(NEW_PROCESSES):
            if not found:
                return
            with open_quantizer() as fresh:
                found = _unlike(model, fresh.mlir_quantize(model, **theirs), ours)
    except (RuntimeFailedError, RuntimeDiedError):
        return  # what TensorFlow refuses or dies of, refquant may do
    if found:
        raise AssertionError("\n".join(found[:8]))


def _unlike(model: Model, expected: bytes, ours: dict[str, Any]) -> list[str]:
    """The differences in the first order, or none where there is an order without."""
    found: list[str] = []
    for order in orders(model):
        actual = integer.quantize(model, order=order, **ours)
        lines = differences(actual, expected)
        if not lines:
            return []
        found = found or lines
    return found


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


class _Graph:
    """A float graph with ranges, built by hand for one rule of the quantizer."""

    def __init__(self) -> None:
        self.tensors: list[TensorSpec] = []
        self.ranges: dict[int, tuple[float, float]] = {}
        self.operators: list[OperatorSpec] = []
        self.inputs: list[int] = []
        self.rng = np.random.default_rng(1)

    def tensor(self, *shape: int, range_: tuple[float, float] | None = (-1.0, 2.0), **settings: Any) -> int:
        kind = settings.pop("type", FLOAT32)
        self.tensors.append(TensorSpec(kind, shape, name=f"tensor{len(self.tensors)}", **settings))
        if range_ is not None and kind == FLOAT32:
            self.ranges[len(self.tensors) - 1] = range_
        return len(self.tensors) - 1

    def input(self, *shape: int, **settings: Any) -> int:
        self.inputs.append(self.tensor(*shape, **settings))
        return self.inputs[-1]

    def weights(self, *shape: int, factor: float = 1.0) -> int:
        numbers = (self.rng.normal(size=shape) * factor).astype(np.float32)
        return self.tensor(*shape, range_=None, data=numbers)

    def add(self, name: str, inputs: list[int], *shape: int, options: Any = None, **settings: Any) -> int:
        output = self.tensor(*shape, **settings)
        self.operators.append(OperatorSpec(name, inputs, [output], options))
        return output

    def rnn(self, x: int) -> int:
        """A plain recurrence over three steps of four numbers."""
        state = self.tensor(1, 4, is_variable=True)
        inputs = [x, self.weights(4, 4), self.weights(4, 4), self.weights(4), state]
        return self.add("UNIDIRECTIONAL_SEQUENCE_RNN", inputs, 1, 3, 4, options=schema.SequenceRNNOptions())

    def svdf(self, state: tuple[float, float], times: float) -> int:
        """A filter over time whose state has this range and whose time weights are about so large."""
        x, features, weights = self.input(1, 4), self.weights(2, 4), self.weights(2, 3, factor=times)
        states = self.tensor(1, 6, is_variable=True, range_=state)
        return self.add("SVDF", [x, features, weights, self.weights(2), states], 1, 2, options=schema.SVDFOptions(1))

    def model(self, outputs: list[int], *others: SubgraphSpec) -> Model:
        made = model_of(SubgraphSpec(self.tensors, self.operators, self.inputs, outputs), *others)
        for index, (low, high) in self.ranges.items():
            quantization = schema.QuantizationParameters(
                min=np.array([low], np.float32), max=np.array([high], np.float32)
            )
            (made.subgraphs[0].tensors or [])[index].quantization = quantization
        return made


def _bias_without_scale() -> Model:
    """A bias whose scale would be too small for float32 has none, and the operator stays in float."""
    graph = _Graph()
    return graph.model([graph.svdf((-8e-40, 9e-39), 1.0)])


def _weights_of_infinite_reciprocal() -> Model:
    """16-bit weights of a scale without a reciprocal in float32 are all the lowest integer."""
    graph = _Graph()
    return graph.model([graph.svdf((-3.0, 3.0), 1e-40)])


def _weights_without_scale() -> Model:
    """Time weights too small for a scale of their own are left to the rules of all weights."""
    graph = _Graph()
    return graph.model([graph.svdf((-3.0, 3.0), 1e-45)])


def _absent_bias_that_comes_later() -> Model:
    """Two absent operands are one value without a name, also when one of them gets a bias in the end."""
    graph = _Graph()
    x = graph.input(1, 4)
    first = graph.add("FULLY_CONNECTED", [x, graph.weights(2, 4)], 1, 2, options=schema.FullyConnectedOptions())
    second = graph.add("FULLY_CONNECTED", [x, x, -1], 1, 1, options=schema.FullyConnectedOptions(), range_=None)
    constant = graph.tensor(1, 1, range_=None, data=np.array([[300.0]], np.float32))
    sum_ = graph.add("ADD", [constant, second], 1, 1, options=schema.AddOptions(), range_=None)
    return graph.model([first, sum_])


def _absent_bias_of_copies() -> Model:
    """The absent operand of an operator that is there on integers and in float has one name."""
    graph = _Graph()
    x, constant = graph.input(1, 4), graph.weights(1, 2, factor=1e3)
    dense = graph.add("FULLY_CONNECTED", [x, graph.weights(2, 4)], 1, 2, options=schema.FullyConnectedOptions())
    sum_ = graph.add("ADD", [constant, dense], 1, 2, options=schema.AddOptions(), range_=None)
    again = graph.add("ADD", [sum_, dense], 1, 2, options=schema.AddOptions())
    return graph.model([again, graph.add("RELU6", [dense], 1, 2)])


def _if_beside_recurrence() -> Model:
    """IF is the first that is asked whether it takes integers, and says no: one copy less of the recurrence."""
    graph = _Graph()
    x, condition = graph.input(1, 3, 4), graph.input(type=TensorType.BOOL)
    chosen = graph.add("IF", [condition, x], 1, 3, 4, options=schema.IfOptions(1, 2))
    branches = [
        SubgraphSpec(
            [TensorSpec(FLOAT32, (1, 3, 4), name=f"{name}_in"), TensorSpec(FLOAT32, (1, 3, 4), name=f"{name}_out")],
            [OperatorSpec(name, [0], [1])],
            [0],
            [1],
        )
        for name in ("RELU", "NEG")
    ]
    return graph.model([chosen, graph.rnn(x)], *branches)


def _quantized_states() -> Model:
    """States that are on integers already keep their scales and stand where they are used."""
    graph = _Graph()
    kinds: dict[str, Any] = {"type": INT8, "range_": None}
    x = graph.input(1, 4, scale=0.5, **kinds)
    features = graph.tensor(2, 4, scale=0.25, data=np.arange(8, dtype=np.int8).reshape(2, 4), **kinds)
    times = graph.tensor(
        2, 3, type=TensorType.INT16, scale=0.125, data=np.arange(6, dtype=np.int16).reshape(2, 3), range_=None
    )
    bias = graph.tensor(2, type=TensorType.INT32, scale=0.0625, data=np.array([5, -6], np.int32), range_=None)
    state = graph.tensor(1, 6, type=TensorType.INT16, scale=0.5, is_variable=True, range_=None)
    options = schema.SVDFOptions(1)
    return graph.model(
        [graph.add("SVDF", [x, features, times, bias, state], 1, 2, options=options, scale=0.5, **kinds)]
    )


@pytest.mark.parametrize(
    "make",
    [
        _bias_without_scale,
        _weights_of_infinite_reciprocal,
        _weights_without_scale,
        _absent_bias_that_comes_later,
        _absent_bias_of_copies,
        _if_beside_recurrence,
        _quantized_states,
    ],
)
def test_found_by_random_graphs(quantizer: Quantizer, make: Callable[[], Model]) -> None:
    model = make()
    quantizer.mlir_quantize(model)  # so that the comparison is one: it takes the model
    check(model, quantizer, {}, {})
