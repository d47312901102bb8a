"""One step of a float32 LSTM as TensorFlow's calibrator has it, which also tells of numbers that no tensor holds.

The calibrator does not call the LSTM's kernel but a copy of its own, in which products add up in four lanes, as in an
RNN, and to the gate's total. It hands on five intermediate tensors: what enters the layer normalization of the gates
input, forget, cell and output, and the hidden state before the projection. The integer LSTM takes its scales from them.

Source: tools/optimize/calibration/builtin_logging_ops/lstm.cc.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from refquant.kernels.hybrid import is_zero
from refquant.kernels.lstm_float import clip, normalize
from refquant.kernels.lstm_layout import GATES, Layout
from refquant.kernels.recurrent import Floats, LaneVectors, Step, Values, vector_activation
from refquant.kernels.registry import Array, Operator
from refquant.numerics import eigen
from refquant.tflite.schema import ActivationFunctionType, TensorType

#: the hidden state among the intermediate tensors, after those of the gates
HIDDEN = 4


def calibration_step(op: Operator, layout: Layout) -> Callable[[Values], Step]:
    """Given the values of the operator's inputs, the function for one step.

    The observer gets `intermediate`, a position among the operator's intermediate tensors, and its `values`. Raises
    UnsupportedOperatorError for what the real one refuses or reads beyond its memory for: weights in eight bits,
    diagonal matrices, no features, other than five intermediate tensors.
    """
    if len(op.intermediates) != 5:
        raise op.unsupported(f"{len(op.intermediates)} intermediate tensors, where the calibrator takes 5,")
    for gate in layout.gates.values():
        if op.input(gate.from_x).type != TensorType.FLOAT32 or len(op.input(gate.from_h).dims) != 2:
            raise op.unsupported("the calibrator takes no weights but matrices of float32: no kernel")
    if not layout.features:
        raise op.unsupported("an input of no features: no kernel")
    activation = vector_activation(op)
    has_activation = op.options.fused_activation_function != ActivationFunctionType.NONE
    coupled = "input" not in layout.gates

    def step_for(values: Values) -> Step:
        def value(position: int) -> Array:
            array = values[position]
            assert array is not None
            return array

        def gate(name: str, x: Floats, h: Floats, c: Floats, function: Callable[[Floats], Floats]) -> Floats:
            place = layout.gates[name]
            bias = value(place.bias)
            shape = (len(h), layout.cells)
            total = np.zeros(shape, np.float32) if place.layer_norm is not None else np.broadcast_to(bias, shape)
            if not is_zero(x):
                total = _add_product(total, value(place.from_x), x)
            total = _add_product(total, value(place.from_h), h)
            if place.peephole is not None:
                from_cells: Floats = value(place.peephole) * c
                total = total + from_cells
            if place.layer_norm is not None:
                op.observe(intermediate=GATES.index(name), values=total)
                total = normalize(total) * value(place.layer_norm) + bias
            return function(total)

        def step(x: Floats, aux: Floats | None, h: Floats, c: Floats) -> tuple[Floats, Floats]:
            let_in = None if coupled else gate("input", x, h, c, eigen.logistic)
            forget = gate("forget", x, h, c, eigen.logistic)
            update = gate("cell", x, h, c, activation)
            c = forget * c + update * (np.float32(1) - forget if let_in is None else let_in)
            c = clip(c, op.options.cell_clip)
            output = gate("output", x, h, c, eigen.logistic)
            # Without activation the real one finds the update where it expects tanh(c).
            hidden = output * (activation(c) if has_activation else update)
            op.observe(intermediate=HIDDEN, values=hidden)
            return projected(hidden), c

        def projected(hidden: Floats) -> Floats:
            if layout.projection is None:
                return hidden
            bias = np.float32(0) if layout.projection_bias is None else value(layout.projection_bias)
            total: Floats = np.broadcast_to(bias, (len(hidden), layout.outputs))
            return clip(_add_product(total, value(layout.projection), hidden), op.options.proj_clip)

        return step

    return step_for


def _add_product(total: Floats, matrix: Array, vectors: Floats) -> Floats:
    return LaneVectors(vectors).add_product(total, matrix)
