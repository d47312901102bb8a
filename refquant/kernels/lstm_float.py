"""One step of an LSTM in float32, with weights in float32 or in eight bits ("hybrid").

Every resolver, the reference one too, multiplies float32 with the *optimized* fully connected kernel and takes sigmoid
and tanh from Eigen; so here they have Eigen's orders and polynomials. Source: LstmStepFloat and LstmStepHybrid in
kernels/lstm_eval.cc.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from refquant.kernels.lstm_layout import Gate, Layout
from refquant.kernels.recurrent import EigenVectors, Floats, Step, Values, Vectors, vector_activation, vectors_for
from refquant.kernels.registry import Array, Operator
from refquant.kernels.requantization import check_scales
from refquant.numerics import eigen
from refquant.tflite.schema import ActivationFunctionType, TensorType

Function = Callable[[Floats], Floats]

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
    weights = op.input(layout.gates["forget"].from_x).type
    hybrid = weights != TensorType.FLOAT32
    scales = _scales(op, layout) if hybrid else {}
    prepare = vectors_for(op, weights, EigenVectors)
    activation = vector_activation(op)
    has_activation = op.options.fused_activation_function != _NONE
    # Computed weights without numbers are a null pointer to the real kernel, which takes the gate for a coupled one.
    coupled = "input" not in layout.gates or (
        layout.features == 0 and op.input(layout.gates["input"].from_x).value is None
    )
    cell_clip, projection_clip = op.options.cell_clip, op.options.proj_clip

    def with_values(values: Values) -> Step:
        def value(position: int) -> Array:
            array = values[position]
            assert array is not None
            return array

        def gate(
            gate: Gate,
            x: Vectors,
            aux: Vectors | None,
            h: Vectors,
            h_floats: Floats,
            c: Floats,
            function: Function | None,
        ) -> Floats:
            bias = value(gate.bias)
            shape = (len(h_floats), bias.size)
            total = np.zeros(shape, np.float32) if gate.layer_norm is not None else np.broadcast_to(bias, shape)
            products = [(vectors, position) for vectors, position in ((x, gate.from_x), (aux, gate.from_aux))
                        if vectors is not None and position is not None and not vectors.is_zero]  # fmt: skip
            recurrent = value(gate.from_h)
            if recurrent.ndim == 2 and not (hybrid and h.is_zero):
                products.append((h, gate.from_h))
            before = total
            for vectors, position in products:
                before, total = total, vectors.add_product(total, value(position), scales.get(position, np.float32(1)))
            if recurrent.ndim == 1 and not (hybrid and h.is_zero):
                total = total + recurrent * h_floats
            if gate.peephole is not None:
                peephole = value(gate.peephole)
                if hybrid:
                    peephole = peephole.view(np.int8) * scales[gate.peephole]
                total = total + peephole * c
            if gate.layer_norm is not None:
                total = normalize(total) * value(gate.layer_norm) + bias
            if function is None:
                # Float kernels leave in the gate's memory what is there: two buffers take the totals in turn.
                return before if len(products) % 2 and not hybrid else total
            return function(total)

        def step(x: Floats, aux: Floats | None, h: Floats, c: Floats) -> tuple[Floats, Floats]:
            given = prepare(x), None if aux is None else prepare(aux), prepare(h), h
            forget = gate(layout.gates["forget"], *given, c, eigen.logistic)
            let_in = np.float32(1) - forget if coupled else gate(layout.gates["input"], *given, c, eigen.logistic)
            update = gate(layout.gates["cell"], *given, c, activation if has_activation else None)
            c = clip(forget * c + update * let_in, cell_clip)
            output = gate(layout.gates["output"], *given, c, eigen.logistic)
            h = output * (activation(c) if has_activation else update)  # NONE leaves the update where tanh(c) should be
            if layout.projection is None:
                return h, c
            bias = np.float32(0) if layout.projection_bias is None else value(layout.projection_bias)
            total: Floats = np.broadcast_to(bias, (len(h), layout.outputs))
            cells = prepare(h)
            if not (hybrid and cells.is_zero):
                scale = scales.get(layout.projection, np.float32(1))
                total = cells.add_product(total, value(layout.projection), scale)
            return clip(total, projection_clip), c

        return step

    return with_values


def _scales(op: Operator, layout: Layout) -> dict[int, np.float32]:
    """The scales of the quantized weights, by position."""
    positions = [layout.projection]
    for gate in layout.gates.values():
        positions += [gate.from_x, gate.from_aux, gate.peephole]
        if len(op.input(gate.from_h).dims) == 2:
            positions.append(gate.from_h)
    scales = {}
    for position in positions:
        if position is not None:
            check_scales(op, op.input(position))
            scales[position] = op.input(position).scale
    return scales
