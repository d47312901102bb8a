"""Steps with a state: LSTM, RNN, SVDF, variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from refquant.testing.build import OperatorSpec, TensorSpec
from refquant.testing.float_graphs.graph import FLOAT32, Graph, step
from refquant.testing.strategies.recurrent import Floats, layer_norm, lstm_weights, rnn_cell
from refquant.tflite import schema
from refquant.tflite.schema import ActivationFunctionType, TensorType

_CLIPS = [0.0, 0.0, 3.0]


def _own(graph: Graph, specs: Sequence[TensorSpec | None], name: str) -> list[int]:
    """The tensors as new ones of the graph; -1 where there is none."""
    return [-1 if spec is None else graph.new(spec, "state" if spec.is_variable else name) for spec in specs]


def _floats(graph: Graph) -> Floats:
    return Floats(graph.draw, FLOAT32)


def _cells(graph: Graph) -> tuple[int, int]:
    """Cells and outputs of an LSTM."""
    cells = graph.pick([4, 1, 3, 8, 17, 40])
    return cells, cells if graph.chance(2) else graph.number(1, cells)


def _activation(graph: Graph) -> ActivationFunctionType:
    return graph.pick([ActivationFunctionType.TANH, ActivationFunctionType.RELU, ActivationFunctionType.RELU6])


@step("UNIDIRECTIONAL_SEQUENCE_LSTM", "LSTM")
def lstm(graph: Graph, operator: str) -> None:
    """With or without input gate, peepholes, projection, layer normalization, limits; time first or batch first."""
    sequence = operator != "LSTM"
    x = graph.tamed(graph.sequence() if sequence else graph.matrix(), 100.0)
    shape = graph.shape(x)
    cells, outputs = _cells(graph)
    time_major = sequence and graph.chance(3)
    batch = shape[1] if time_major else shape[0]
    tensors = _floats(graph)
    weights = lstm_weights(graph.draw, tensors, shape[-1], cells, outputs)
    norm = layer_norm(graph.draw, tensors, weights, cells) if graph.chance(2) else []
    states = [TensorSpec(FLOAT32, (batch, n), is_variable=True) for n in (outputs, cells)]
    activation = ActivationFunctionType.TANH if graph.chance(2) else _activation(graph)
    common: dict[str, Any] = {
        "fused_activation_function": activation,
        "cell_clip": graph.pick(_CLIPS),
        "proj_clip": graph.pick(_CLIPS),
    }
    options: Any = (
        schema.UnidirectionalSequenceLSTMOptions(**common, time_major=time_major)
        if sequence
        else schema.LSTMOptions(**common)
    )
    inputs = [x, *_own(graph, weights, "lstm"), *_own(graph, states, "lstm"), *_own(graph, norm, "lstm")]
    graph.add(operator, inputs, (*shape[:-1], outputs), options=options, bound=1e3)


@step("BIDIRECTIONAL_SEQUENCE_LSTM")
def bidirectional_lstm(graph: Graph, operator: str) -> None:
    """Two LSTM, one of them backwards; outputs apart or together."""
    x = graph.tamed(graph.sequence(), 100.0)
    shape = graph.shape(x)
    cells, outputs = _cells(graph)
    merge = shape[0] == 1 and graph.chance(2)
    tensors = _floats(graph)
    weights = [w for _ in range(2) for w in lstm_weights(graph.draw, tensors, shape[-1], cells, outputs)]
    states = [TensorSpec(FLOAT32, (shape[0], n), is_variable=True) for n in (outputs, cells, outputs, cells)]
    options = schema.BidirectionalSequenceLSTMOptions(
        ActivationFunctionType.TANH, graph.pick(_CLIPS), graph.pick(_CLIPS), merge, False
    )
    inputs = [x, *_own(graph, weights, "lstm"), *_own(graph, states, "lstm"), *[-1] * 9]
    ends = [2 * outputs] if merge else [outputs, outputs]
    graph.add(operator, inputs, *[(*shape[:-1], n) for n in ends], options=options, bound=1e3)


@step("RNN", "UNIDIRECTIONAL_SEQUENCE_RNN", "BIDIRECTIONAL_SEQUENCE_RNN")
def rnn(graph: Graph, operator: str) -> None:
    """The plain recurrence, step by step or over a sequence, in one direction or both."""
    x = graph.tamed(graph.matrix() if operator == "RNN" else graph.sequence(), 100.0)
    shape = graph.shape(x)
    units = graph.pick([4, 1, 8, 33])
    tensors = _floats(graph)
    cell = rnn_cell(tensors, shape[-1], units, shape[0])
    activation = ActivationFunctionType.TANH if graph.chance(2) else ActivationFunctionType.RELU6
    if operator == "BIDIRECTIONAL_SEQUENCE_RNN":
        cells = [*cell, *rnn_cell(tensors, shape[-1], units, shape[0])]
        both = schema.BidirectionalSequenceRNNOptions(False, activation, False)
        ends = [(*shape[:-1], units)] * 2
        graph.add(operator, [x, *_own(graph, cells, "rnn"), -1, -1, -1], *ends, options=both, bound=1e3)
        return
    options: Any = schema.RNNOptions(activation) if operator == "RNN" else schema.SequenceRNNOptions(False, activation)
    graph.add(operator, [x, *_own(graph, cell, "rnn")], (*shape[:-1], units), options=options, bound=1e3)


@step("SVDF")
def svdf(graph: Graph, operator: str) -> None:
    """A filter over features and over time, with a bias or without."""
    x = graph.tamed(graph.matrix(), 100.0)
    batch, features = graph.shape(x)
    rank, units, memory = graph.number(1, 3), graph.pick([4, 1, 2, 32]), graph.number(2, 6)
    weights = graph.weights((rank * units, features), "features")
    times = graph.weights((rank * units, memory), "times")
    (state,) = _own(graph, [TensorSpec(FLOAT32, (batch, memory * rank * units), is_variable=True)], "svdf")
    options = schema.SVDFOptions(rank, ActivationFunctionType.RELU if graph.chance(2) else ActivationFunctionType.NONE)
    inputs = [x, weights, times, graph.bias(units, optional=True), state]
    graph.add(operator, inputs, (batch, units), options=options, bound=1e7)


@step("READ_VARIABLE")
def variable(graph: Graph, operator: str) -> None:
    """A resource variable, assigned and read."""
    x = graph.any()
    handle = graph.new(TensorSpec(TensorType.RESOURCE, (1,)), "handle")
    name = graph.tensors[handle].name
    graph.operators.append(OperatorSpec("VAR_HANDLE", [], [handle], schema.VarHandleOptions("", name)))
    graph.operators.append(OperatorSpec("ASSIGN_VARIABLE", [handle, x], [], schema.AssignVariableOptions()))
    graph.used.add(x)
    graph.add(operator, [handle], graph.shape(x), bound=graph.bounds[x])
