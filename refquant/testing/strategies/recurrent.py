"""LSTM, RNN and their sequences: every option, several invokes with states that live on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from refquant.testing.build import TensorSpec, single_operator_model
from refquant.testing.strategies.catalogue import Case, strategy
from refquant.testing.strategies.drawing import SPECIAL, generators
from refquant.tflite.schema import (
    ActivationFunctionType,
    BidirectionalSequenceLSTMOptions,
    BidirectionalSequenceRNNOptions,
    LSTMKernelType,
    LSTMOptions,
    RNNOptions,
    SequenceRNNOptions,
    TensorType,
    UnidirectionalSequenceLSTMOptions,
)

Array = npt.NDArray[Any]

FLOAT32, INT8, UINT8, INT16, INT32, INT64 = (
    TensorType.FLOAT32,
    TensorType.INT8,
    TensorType.UINT8,
    TensorType.INT16,
    TensorType.INT32,
    TensorType.INT64,
)

#: variants of float32 activations: the type of the weights
FLOATS = {"FLOAT32": FLOAT32, "FLOAT32 hybrid INT8": INT8, "FLOAT32 hybrid UINT8": UINT8}

#: any activation, most often the usual one
all_activations = st.just(ActivationFunctionType.TANH) | st.sampled_from(ActivationFunctionType)
#: zero means no limit
limits = st.sampled_from([0.0, 0.0, 0.3, 3.0])
#: sizes in which vector registers are filled, and not
sizes = st.integers(1, 6) | st.integers(7, 40)
#: numbers of features, of sequences and of steps, now and then none
widths = st.just(0) | sizes | sizes | sizes
batches = st.sampled_from([1, 2, 3, 4, 5, 6, 1, 2, 1, 0])
times = st.sampled_from([1, 2, 3, 1, 2, 3, 1, 2, 3, 0])


class Floats:
    """Tensors of an LSTM or RNN in float32, their weights of any of the types of `FLOATS`."""

    def __init__(self, draw: st.DrawFn, weights: TensorType) -> None:
        self.rng = draw(generators)
        self.weights = weights
        self.size = draw(st.sampled_from([0.1, 0.7, 3.0]))
        self.special = draw(st.sampled_from([0.0, 0.0, 0.0, 0.02]))
        #: the lowest weight is one that eight bits cannot negate
        self.lowest = draw(st.sampled_from([-127, -127, -128]))

    def matrix(self, *shape: int) -> TensorSpec:
        """Constant weights."""
        if self.weights == FLOAT32:
            return self.vector(*shape)
        bits = self.rng.integers(self.lowest, 128, shape).astype(np.int8)
        scale = float(np.float32(self.size * 2.0 ** self.rng.uniform(-8, -6)))
        return TensorSpec(self.weights, data=bits if self.weights == INT8 else bits.view(np.uint8), scale=scale)

    def vector(self, *shape: int) -> TensorSpec:
        """Constants in float32."""
        return TensorSpec(FLOAT32, data=(self.rng.standard_normal(shape) * self.size).astype(np.float32))

    def peephole(self, cells: int) -> TensorSpec:
        """Weights between the cell state and a gate."""
        return self.matrix(cells)

    def bias(self, count: int) -> TensorSpec:
        """A constant bias."""
        return self.vector(count)

    def state(self, batch: int, count: int) -> TensorSpec:
        """A variable of two dimensions, or of one."""
        shape = (batch, count) if self.rng.random() < 0.8 else (batch * count,)
        return TensorSpec(FLOAT32, shape, is_variable=True)

    def input(self, shape: Sequence[int]) -> Array:
        """Numbers for an input, all zero now and then, or some of the steps."""
        x = self.rng.standard_normal(shape) * self.rng.choice([0.0, 0.1, 1.0, 1.0, 8.0])
        x = np.where(self.rng.random(shape[:-1])[..., None] < 0.2, 0, x)
        return np.where(self.rng.random(shape) < self.special, self.rng.choice(SPECIAL, shape), x).astype(np.float32)


class Integers:
    """Tensors of an LSTM on int8, with a cell state of int16."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.rng = draw(generators)

    def scale(self, low: float = -9, high: float = -5) -> float:
        """A scale between two powers of two."""
        return float(np.float32(2.0 ** self.rng.uniform(low, high)))

    def zero_point(self) -> int:
        """Any zero point."""
        return int(self.rng.integers(-128, 128))

    def matrix(self, *shape: int) -> TensorSpec:
        """Constant weights."""
        return TensorSpec(INT8, data=self.rng.integers(-128, 128, shape).astype(np.int8), scale=self.scale())

    def vector(self, count: int) -> TensorSpec:
        """Constants of int16."""
        data = self.rng.integers(-32768, 32768, count).astype(np.int16)
        return TensorSpec(INT16, data=data, scale=self.scale(-17, -12))

    def peephole(self, cells: int) -> TensorSpec:
        """Weights between the cell state and a gate."""
        return self.vector(cells)

    def bias(self, count: int) -> TensorSpec:
        """A constant bias."""
        extent = int(self.rng.choice([5000, 2**26]))
        return TensorSpec(INT32, data=self.rng.integers(-extent, extent, count, np.int32), scale=self.scale())

    def input(self, shape: Sequence[int]) -> Array:
        """Numbers for an input."""
        return self.rng.integers(-128, 128, shape).astype(np.int8)


def lstm_weights(
    draw: st.DrawFn, tensors: Floats | Integers, features: int, cells: int, outputs: int, *, diagonal: bool = False
) -> list[TensorSpec | None]:
    """Weights of an LSTM, from those of x to the bias of the projection, with or without what is optional.

    There is a projection wherever the outputs are not as many as the cells. If `diagonal`, some of the matrices for h
    may be diagonal ones.
    """
    coupled, peepholes = draw(st.booleans()), draw(st.booleans())
    projection = cells != outputs or draw(st.booleans())
    gates = (not coupled, True, True, True)

    def recurrent() -> TensorSpec:
        if diagonal and cells == outputs and draw(st.integers(0, 3)) == 0:
            return tensors.vector(cells)
        return tensors.matrix(cells, outputs)

    return [
        *[tensors.matrix(cells, features) if gate else None for gate in gates],
        *[recurrent() if gate else None for gate in gates],
        *[tensors.peephole(cells) if peepholes and gate else None for gate in (not coupled, True, True)],
        *[tensors.bias(cells) if gate else None for gate in gates],
        tensors.matrix(outputs, cells) if projection else None,
        tensors.bias(outputs) if projection and draw(st.booleans()) else None,
    ]


def layer_norm(draw: st.DrawFn, tensors: Floats | Integers, weights: list[TensorSpec | None], cells: int) -> list[Any]:
    """What follows the states: nothing, four absent coefficients of layer normalization, or those that are needed."""
    kind = draw(st.sampled_from(["none", "absent", "present"]))
    if kind != "present":
        return [] if kind == "none" else [None] * 4
    return [None if weights[0] is None else tensors.vector(cells), *[tensors.vector(cells) for _ in range(3)]]


def some_as_inputs(
    draw: st.DrawFn, specs: Sequence[TensorSpec | None]
) -> tuple[list[TensorSpec | None], dict[int, Array]]:
    """The tensors, now and then some of the constants as inputs of the model; the values of such, by position.

    Not weights in eight bits without numbers: those that are computed kill the real kernel.
    """
    result, values = list(specs), {}
    if draw(st.integers(0, 4)) == 0:
        for position, spec in enumerate(specs):
            if spec is None or spec.data is None or (spec.data.size == 0 and spec.type != FLOAT32):
                continue
            if draw(st.integers(0, 3)) == 0:
                values[position] = spec.data
                result[position] = TensorSpec(spec.type, spec.data.shape, spec.scale, spec.zero_point)
    return result, values


def perhaps_without(draw: st.DrawFn, options: Any, default: bool) -> Any:
    """The options, or now and then none, if the shapes are those of all options zero."""
    return None if default and draw(st.integers(0, 9)) == 0 else options


def case_of(
    operator: str,
    specs: Sequence[TensorSpec | None],
    given: Sequence[dict[int, Array]],
    outputs: Sequence[TensorSpec],
    options: Any,
    intermediates: Sequence[TensorSpec] = (),
) -> Case:
    """A model and its samples, given by the positions of the operator's inputs."""
    model = single_operator_model(operator, specs, outputs, options, intermediates=intermediates)
    return Case(model, [[values[position] for position in sorted(values)] for values in given])


@strategy(["UNIDIRECTIONAL_SEQUENCE_LSTM", "LSTM"], FLOATS)
def float_lstm(draw: st.DrawFn, operator: str, weight_type: TensorType) -> Case:
    """CIFG, peepholes, projection, layer normalization, limits, time first or batch first, diagonal matrices, weights
    that are inputs, activations of all kinds, steps of zeros, infinities and NaN."""
    tensors = Floats(draw, weight_type)
    sequence = operator != "LSTM"
    features, cells, batch = draw(widths), draw(sizes), draw(batches)
    outputs = draw(st.just(cells) | st.integers(1, cells))  # with more the real kernel leaves its memory
    time_major = sequence and draw(st.booleans())
    weights = lstm_weights(draw, tensors, features, cells, outputs, diagonal=sequence)
    steps = draw(times)
    shape = ((steps, batch) if time_major else (batch, steps)) if sequence else (batch,)
    extra = layer_norm(draw, tensors, weights, cells)
    states = [tensors.state(batch, outputs), tensors.state(batch, cells)]
    specs, values = some_as_inputs(draw, [TensorSpec(FLOAT32, (*shape, features)), *weights, *states, *extra])
    given = [{0: tensors.input((*shape, features))} | values for _ in range(draw(st.integers(1, 3)))]
    common: dict[str, Any] = {
        "fused_activation_function": draw(all_activations),
        "cell_clip": draw(limits),
        "proj_clip": draw(limits),
        "asymmetric_quantize_inputs": draw(st.booleans()),
    }
    options: Any = (
        UnidirectionalSequenceLSTMOptions(**common, time_major=time_major) if sequence else LSTMOptions(**common)
    )
    options = perhaps_without(draw, options, sequence and not time_major)
    return case_of(operator, specs, given, [TensorSpec(FLOAT32, (*shape, outputs))], options)


@strategy(["UNIDIRECTIONAL_SEQUENCE_LSTM", "LSTM"], [INT8])
def integer_lstm(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """CIFG, peepholes, projection, layer normalization, limits, time first or batch first."""
    tensors = Integers(draw)
    sequence = operator != "LSTM"
    features, cells, batch = draw(widths), draw(sizes), draw(batches)
    outputs = draw(st.just(cells) | st.integers(1, cells))  # with more and peepholes the real kernel leaves its memory
    time_major = sequence and draw(st.booleans())
    weights = lstm_weights(draw, tensors, features, cells, outputs)
    steps = draw(times)
    shape = ((steps, batch) if time_major else (batch, steps)) if sequence else (batch,)
    extra = layer_norm(draw, tensors, weights, cells)
    out_scale, out_zero = tensors.scale(-8, -6), tensors.zero_point()
    specs: list[TensorSpec | None] = [
        TensorSpec(type, (*shape, features), tensors.scale(), tensors.zero_point()),
        *weights,
        TensorSpec(type, (batch, outputs), out_scale, out_zero, is_variable=True),
        TensorSpec(INT16, (batch, cells), 2.0 ** draw(st.integers(-15, -9)), is_variable=True),
        *extra,
    ]
    # Where there is no projection the hidden state is the output.
    hidden = (tensors.scale(-8, -6), tensors.zero_point()) if weights[15] is not None else (out_scale, out_zero)
    intermediates = [TensorSpec(INT16, (1,), tensors.scale(-14, -10)) for _ in range(4)]
    given = [{0: tensors.input((*shape, features))} for _ in range(draw(st.integers(1, 3)))]
    common: dict[str, Any] = {
        "fused_activation_function": ActivationFunctionType.TANH,
        "cell_clip": draw(limits),
        "proj_clip": draw(limits),
    }
    options: Any = (
        UnidirectionalSequenceLSTMOptions(**common, time_major=time_major) if sequence else LSTMOptions(**common)
    )
    options = perhaps_without(draw, options, sequence and not time_major)
    output = TensorSpec(type, (*shape, outputs), out_scale, out_zero)
    return case_of(operator, specs, given, [output], options, [*intermediates, TensorSpec(INT8, (1,), *hidden)])


@strategy(
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
    {"FLOAT32 plain": FLOAT32, "INT8 plain": INT8, "INT16 plain": INT16},
    oracle="micro",
)
def plain_lstm(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """The LSTM of TFLite Micro, with all gates and nothing besides: limits, time first or batch first."""
    floats = type == FLOAT32
    tensors: Any = Floats(draw, FLOAT32) if floats else Integers(draw)
    features, cells, batch, steps = draw(sizes), draw(sizes), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    time_major = draw(st.booleans())

    def bias() -> TensorSpec:
        spec: TensorSpec = tensors.bias(cells)
        assert spec.data is not None
        return replace(spec, type=INT64, data=spec.data.astype(np.int64)) if type == INT16 else spec

    def activations(shape: tuple[int, ...], is_variable: bool = False) -> TensorSpec:
        zero = tensors.zero_point() if type == INT8 else 0
        scale = None if floats else tensors.scale(-8, -6) * (2.0**-8 if type == INT16 else 1)
        return TensorSpec(type, shape, scale, zero, is_variable=is_variable)

    matrices = [tensors.matrix(cells, width) for width in (features,) * 4 + (cells,) * 4]
    shape = (steps, batch) if time_major else (batch, steps)
    state = activations((batch, cells), is_variable=True)
    cell_scale = 2.0 ** draw(st.integers(-15, -9)) * draw(st.sampled_from([1, 1, 1, 1.3]))
    cell_state = TensorSpec(FLOAT32 if floats else INT16, (batch, cells), None if floats else cell_scale)
    cell_state.is_variable = True
    biases = [bias() for _ in range(4)]
    specs = [activations((*shape, features)), *matrices, *[None] * 3, *biases, *[None] * 2, state, cell_state]
    given = [{0: numbers_for(tensors, type, (*shape, features))} for _ in range(draw(st.integers(1, 3)))]
    options = UnidirectionalSequenceLSTMOptions(
        fused_activation_function=ActivationFunctionType.TANH, cell_clip=draw(limits), time_major=time_major
    )
    output = TensorSpec(type, (*shape, cells), state.scale, state.zero_point)
    return case_of(operator, [*specs, *[None] * 4], given, [output], options)


def numbers_for(tensors: Any, type: TensorType, shape: tuple[int, ...]) -> Array:
    """An input of one of these types."""
    if type == INT16:
        return np.asarray(tensors.rng.integers(-32768, 32768, shape), np.int16)
    return np.asarray(tensors.input(shape))


@strategy("LSTM", {"INT8 intermediates INT8": INT8})
def integer8_lstm(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """The LSTM on int8 with twelve intermediate tensors, with the layer normalization and projection that it needs."""
    tensors = Integers(draw)
    features, cells, batch = draw(sizes), draw(sizes), draw(st.integers(1, 4))
    outputs = draw(st.integers(1, cells))
    weights = lstm_weights(draw, tensors, features, cells, outputs)
    weights[15:] = [tensors.matrix(outputs, cells), tensors.bias(outputs)]
    out_scale, out_zero = tensors.scale(-8, -4), tensors.zero_point()
    specs: list[TensorSpec | None] = [
        TensorSpec(type, (batch, features), tensors.scale(), tensors.zero_point()),
        *weights,
        TensorSpec(type, (batch, outputs), out_scale, out_zero, is_variable=True),
        TensorSpec(INT16, (batch, cells), 2.0**-15, is_variable=True),
        *[None if weights[0] is None and i == 0 else tensors.vector(cells) for i in range(4)],
    ]
    intermediates = [TensorSpec(INT8, (1,), tensors.scale(-9, -3), tensors.zero_point()) for _ in range(12)]
    for i in (0, 3, 6, 9):
        intermediates[i] = TensorSpec(INT16, (1,), tensors.scale(-13, -11))
    given = [{0: tensors.input((batch, features))} for _ in range(draw(st.integers(1, 3)))]
    options = LSTMOptions(ActivationFunctionType.TANH, draw(limits), draw(limits))
    output = TensorSpec(type, (batch, outputs), out_scale, out_zero)
    return case_of(operator, specs, given, [output], options, intermediates)


@strategy("LSTM", {"FLOAT32 basic": FLOAT32, "UINT8 basic": UINT8})
def basic_lstm(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """The basic kernel, with all its outputs; its states are variables or inputs."""
    rng = draw(generators)
    features, units, batch = draw(sizes), draw(sizes), draw(st.integers(1, 6))
    variable = draw(st.booleans())
    tensors = Floats(draw, FLOAT32)
    shapes = [(batch, features), (batch, units), (4 * units, features + units), (4 * units,), (batch, units)]
    if type == FLOAT32:
        specs = [TensorSpec(FLOAT32, shape) for shape in shapes]
        specs[2:4] = [tensors.matrix(*shapes[2]), tensors.vector(*shapes[3])]
        outputs = [TensorSpec(FLOAT32) for _ in range(4)]
    else:
        w_zero, w_scale = int(rng.integers(0, 256)), float(np.float32(2.0 ** rng.uniform(-9, -5)))
        x_scale = 1 / 128
        bias_scale = float(np.float32(w_scale) * np.float32(x_scale))
        specs = [TensorSpec(UINT8, shape, x_scale, 128) for shape in shapes]
        weights = rng.integers(0, 256, shapes[2]).astype(np.uint8)
        specs[2] = TensorSpec(UINT8, data=weights, scale=w_scale, zero_point=w_zero)
        specs[3] = TensorSpec(INT32, data=rng.integers(-30000, 30000, 4 * units, np.int32), scale=bias_scale)
        specs[4] = TensorSpec(INT16, shapes[4], 2.0**-11)
        outputs = [
            TensorSpec(UINT8, (), x_scale, 128),
            TensorSpec(INT16, (), 2.0**-11),
            TensorSpec(UINT8, (), x_scale, 128),
            TensorSpec(INT16, (), 2.0**-12),
        ]
    for position in (1, 4):
        specs[position].is_variable = variable

    def value(position: int) -> Array:
        if type == FLOAT32:
            return tensors.input(shapes[position])
        low, high = (-32768, 32768) if position == 4 else (0, 256)
        return rng.integers(low, high, shapes[position]).astype(np.int16 if position == 4 else np.uint8)

    given = [{i: value(i) for i in ([0] if variable else [0, 1, 4])} for _ in range(draw(st.integers(1, 3)))]
    options = LSTMOptions(fused_activation_function=ActivationFunctionType.TANH, kernel_type=LSTMKernelType.BASIC)
    return case_of(operator, specs, given, outputs, options)


@strategy("BIDIRECTIONAL_SEQUENCE_LSTM", FLOATS)
def bidirectional_lstm(draw: st.DrawFn, operator: str, weight_type: TensorType) -> Case:
    """CIFG, peepholes, projection, limits, every activation, time first or batch first, outputs merged or not, an
    auxiliary input with or without weights.

    An auxiliary input is at least as wide as the input: of a narrower one the real kernel leaves the end.
    """
    tensors = Floats(draw, weight_type)
    features, steps, merge, time_major = draw(widths), draw(times), draw(st.booleans()), draw(st.booleans())
    # With merged outputs and the batch first the real kernel takes the states of all sequences but one from elsewhere.
    batch = 1 if merge and not time_major else draw(batches)
    kind = draw(st.sampled_from(["none", "without weights", "with weights"]))
    width = features + draw(st.integers(0, 9)) if kind == "with weights" else features
    if kind == "with weights":  # of an auxiliary input without numbers the real kernel dies
        batch, width = max(batch, 1), max(width, 1)
    shape = (steps, batch) if time_major else (batch, steps)
    cells = draw(sizes)
    outputs = draw(st.just(cells) | st.integers(1, cells))  # with more the real kernel leaves its memory
    weights: list[TensorSpec | None] = []
    auxiliary: list[TensorSpec | None] = []
    for _ in range(2):
        own = lstm_weights(draw, tensors, features, cells, outputs)
        gates = (own[0] is not None, True, True, True)
        auxiliary += [tensors.matrix(cells, width) if gate and kind == "with weights" else None for gate in gates]
        weights += own
    states = [tensors.state(batch, n) for n in (outputs, cells, outputs, cells)]
    aux = None if kind == "none" else TensorSpec(FLOAT32, (*shape, width))
    specs, values = some_as_inputs(draw, [TensorSpec(FLOAT32, (*shape, features)), *weights, *states, aux, *auxiliary])
    given = []
    for _ in range(draw(st.integers(1, 3))):
        sample = {0: tensors.input((*shape, features))} | values
        given.append(sample if aux is None else sample | {39: tensors.input((*shape, width))})
    options: Any = BidirectionalSequenceLSTMOptions(
        draw(all_activations), draw(limits), draw(limits), merge, time_major, draw(st.booleans())
    )
    options = perhaps_without(draw, options, not time_major and not merge)
    ends = [2 * outputs] if merge else [outputs, outputs]
    return case_of(operator, specs, given, [TensorSpec(FLOAT32, (*shape, n)) for n in ends], options)


def rnn_cell(tensors: Floats, features: int, units: int, batch: int) -> list[TensorSpec | None]:
    """Weights, bias and state of an RNN."""
    return [
        tensors.matrix(units, features),
        tensors.matrix(units, units),
        tensors.bias(units),
        TensorSpec(FLOAT32, (batch, units), is_variable=True),
    ]


@strategy(["RNN", "UNIDIRECTIONAL_SEQUENCE_RNN"], FLOATS)
def rnn(draw: st.DrawFn, operator: str, weight_type: TensorType) -> Case:
    """Every activation, time first or batch first, weights that are inputs, steps of zeros, infinities and NaN."""
    tensors = Floats(draw, weight_type)
    features, units, batch, steps = draw(widths), draw(sizes), draw(batches), draw(times)
    sequence = operator != "RNN"
    time_major = sequence and draw(st.booleans())
    shape = ((steps, batch) if time_major else (batch, steps)) if sequence else (batch,)
    cell = rnn_cell(tensors, features, units, batch)
    specs, values = some_as_inputs(draw, [TensorSpec(FLOAT32, (*shape, features)), *cell])
    given = [{0: tensors.input((*shape, features))} | values for _ in range(draw(st.integers(1, 3)))]
    activation, asymmetric = draw(all_activations), draw(st.booleans())
    options: Any = (
        SequenceRNNOptions(time_major, activation, asymmetric) if sequence else RNNOptions(activation, asymmetric)
    )
    options = perhaps_without(draw, options, not time_major)
    return case_of(operator, specs, given, [TensorSpec(FLOAT32, (*shape, units))], options)


@strategy("BIDIRECTIONAL_SEQUENCE_RNN", FLOATS)
def bidirectional_rnn(draw: st.DrawFn, operator: str, weight_type: TensorType) -> Case:
    """Every activation, time first or batch first, outputs merged or not, an auxiliary input with or without weights.

    An auxiliary input is at least as wide as the input: of a narrower one the real kernel leaves the end.
    """
    tensors = Floats(draw, weight_type)
    features, batch, steps = draw(widths), draw(batches), draw(times)
    units = draw(sizes), draw(sizes)
    time_major, merge = draw(st.booleans()), draw(st.booleans())
    shape = (steps, batch) if time_major else (batch, steps)
    kind = draw(st.sampled_from(["none", "without weights", "with weights"]))
    width = features + draw(st.integers(0, 9)) if kind == "with weights" else features
    weighted = kind == "with weights"
    aux = None if kind == "none" else TensorSpec(FLOAT32, (*shape, width))
    specs, values = some_as_inputs(
        draw,
        [
            TensorSpec(FLOAT32, (*shape, features)),
            *rnn_cell(tensors, features, units[0], batch),
            *rnn_cell(tensors, features, units[1], batch),
            aux,
            *[tensors.matrix(n, width) if weighted else None for n in units],
        ],
    )
    given = []
    for _ in range(draw(st.integers(1, 3))):
        own = {0: tensors.input((*shape, features))} | values
        given.append(own if aux is None else own | {9: tensors.input((*shape, width))})
    ends = [sum(units)] if merge else units
    # With merged outputs the real kernel reads zero points of a batch that symmetric quantization does not have.
    dies = weight_type != FLOAT32 and merge and time_major and batch > 1
    asymmetric = dies or draw(st.booleans())
    options: Any = BidirectionalSequenceRNNOptions(time_major, draw(all_activations), merge, asymmetric)
    options = perhaps_without(draw, options, not time_major and not merge)
    return case_of(operator, specs, given, [TensorSpec(FLOAT32, (*shape, n)) for n in ends], options)
