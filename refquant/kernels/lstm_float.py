"""One step of an LSTM in float32, with weights in float32 or in eight bits ("hybrid").

Every resolver, the reference one too, multiplies float32 with the *optimized* fully connected kernel and takes sigmoid
and tanh from Eigen; so here they have Eigen's orders and polynomials. Source: LstmStepFloat and LstmStepHybrid in
kernels/lstm_eval.cc.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from refquant.kernels.constants import made_once
from refquant.kernels.lstm_layout import Gate, Layout
from refquant.kernels.recurrent import EIGEN, Floats, Function, Step, Values, Vectors, vector_activation, ways
from refquant.kernels.registry import Array, Operator
from refquant.kernels.requantization import check_scales
from refquant.numerics import eigen
from refquant.numerics.steps import noted
from refquant.tflite.schema import ActivationFunctionType, TensorType

_NONE = ActivationFunctionType.NONE


def clip(x: Floats, limit: float) -> Floats:
    """Numbers limited to ±limit, where that is above zero; NaN becomes the limit."""
    high = np.float32(limit)
    if not high > 0:
        return x
    x = np.where(x < high, x, high)
    return np.where(x < -high, -high, x)


def normalize(x: Floats) -> Floats:
    """Rows with their mean taken away, divided by the standard deviation; sums one by one.

    Source: PortableMeanStddevNormalization in internal/reference/portable_tensor_utils.cc.
    """
    difference = x - _mean(x)
    inverse: Floats = np.float32(1) / np.sqrt(_mean(difference * difference) + np.float32(1e-8))
    return difference * inverse


def _mean(x: Floats) -> Floats:
    mean: Floats = np.divide(np.add.accumulate(x, axis=1)[:, -1:], x.shape[1], dtype=np.float32)
    return mean


def float_step(op: Operator, layout: Layout) -> Callable[[Values], Step]:
    """Given the values of the operator's inputs, the function for one step."""
    settings = _Settings(op, layout)
    return lambda values: _Lstm(settings, values).step


class _Settings:
    """What is known about an LSTM before its inputs have values."""

    def __init__(self, op: Operator, layout: Layout) -> None:
        weights = op.input(layout.gates["forget"].from_x).type
        self.layout = layout
        self.hybrid = weights != TensorType.FLOAT32
        self.scales = _scales(op, layout) if self.hybrid else {}
        self.ways = ways(op, weights, EIGEN)
        self.matrices = {
            position: made_once(op.input(position), partial(self.ways.matrix, self.scale(position)))
            for position in _matrices(op, layout)
        }
        self.activation = vector_activation(op)
        self.has_activation = op.options.fused_activation_function != _NONE
        self.cell_clip, self.projection_clip = op.options.cell_clip, op.options.proj_clip
        # Computed weights without numbers are a null pointer to the real kernel: it takes the gate for a coupled one.
        input_gate = layout.gates.get("input")
        self.coupled = input_gate is None or (layout.features == 0 and op.input(input_gate.from_x).value is None)

    def scale(self, position: int) -> np.float32:
        return self.scales.get(position, np.float32(1))


@dataclass(slots=True)
class _Given:
    """What enters all gates of a step."""

    x: Vectors
    aux: Vectors | None
    h: Vectors
    h_floats: Floats


class _Lstm:
    """An LSTM whose inputs have values."""

    def __init__(self, settings: _Settings, values: Values) -> None:
        self.settings, self.layout, self.values = settings, settings.layout, values
        self.matrices = {position: make(self.value(position)) for position, make in settings.matrices.items()}

    def value(self, position: int) -> Array:
        array = self.values[position]
        assert array is not None
        return array

    def step(self, x: Floats, aux: Floats | None, h: Floats, c: Floats) -> tuple[Floats, Floats]:
        settings, gates = self.settings, self.layout.gates
        prepare = settings.ways.vectors
        given = _Given(prepare(x), None if aux is None else prepare(aux), prepare(h), h)
        forget = self.gate(gates["forget"], given, c, eigen.logistic)
        let_in = np.float32(1) - forget if settings.coupled else self.gate(gates["input"], given, c, eigen.logistic)
        update = self.gate(gates["cell"], given, c, settings.activation if settings.has_activation else None)
        c = clip(forget * c + update * let_in, settings.cell_clip)
        output = self.gate(gates["output"], given, c, eigen.logistic)
        # Without activation the real kernel finds the update where it expects tanh(c).
        for name, number in (("forget", forget), ("input", let_in), ("update", update), ("output", output)):
            noted(f"{name} gate", number)
        squashed = settings.activation(c) if settings.has_activation else update
        noted("cell state", c), noted("after the activation", squashed)
        h = output * squashed
        return noted("hidden state", self.projected(h)), c

    def gate(self, gate: Gate, given: _Given, c: Floats, function: Function | None) -> Floats:
        bias, recurrent = self.value(gate.bias), self.value(gate.from_h)
        shape = (len(given.h_floats), bias.size)
        total = np.zeros(shape, np.float32) if gate.layer_norm is not None else np.broadcast_to(bias, shape)
        skips_h = self.settings.hybrid and given.h.is_zero
        products = []
        if not given.x.is_zero:
            products.append((given.x, gate.from_x))
        if given.aux is not None and gate.from_aux is not None and not given.aux.is_zero:
            products.append((given.aux, gate.from_aux))
        if recurrent.ndim == 2 and not skips_h:
            products.append((given.h, gate.from_h))
        before = total
        for vectors, position in products:
            before, total = total, vectors.add_product(total, self.matrices[position])
        if recurrent.ndim == 1 and not skips_h:
            total = total + recurrent * given.h_floats
        if gate.peephole is not None:
            peephole = self.value(gate.peephole)
            if self.settings.hybrid:
                peephole = peephole.view(np.int8) * self.settings.scale(gate.peephole)
            total = total + peephole * c
        if gate.layer_norm is not None:
            total = normalize(total) * self.value(gate.layer_norm) + bias
        if function is None:
            # Float kernels leave in the gate's memory what is there: two buffers take the totals in turn.
            return before if len(products) % 2 and not self.settings.hybrid else total
        return function(total)

    def projected(self, h: Floats) -> Floats:
        layout = self.layout
        if layout.projection is None:
            return h
        bias = np.float32(0) if layout.projection_bias is None else self.value(layout.projection_bias)
        total: Floats = np.broadcast_to(bias, (len(h), layout.outputs))
        vectors = self.settings.ways.vectors(h)
        if not (self.settings.hybrid and vectors.is_zero):
            total = vectors.add_product(total, self.matrices[layout.projection])
        return clip(total, self.settings.projection_clip)


def _matrices(op: Operator, layout: Layout) -> list[int]:
    """The positions of all matrices."""
    positions = [layout.projection]
    for gate in layout.gates.values():
        positions += [gate.from_x, gate.from_aux]
        if len(op.input(gate.from_h).dims) == 2:
            positions.append(gate.from_h)
    return [position for position in positions if position is not None]


def _scales(op: Operator, layout: Layout) -> dict[int, np.float32]:
    """The scales of the quantized weights, by position."""
    peepholes = [gate.peephole for gate in layout.gates.values() if gate.peephole is not None]
    scales = {}
    for position in (*_matrices(op, layout), *peepholes):
        check_scales(op, op.input(position))
        scales[position] = op.input(position).scale
    return scales
