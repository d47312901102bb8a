"""BIDIRECTIONAL_SEQUENCE_LSTM."""

from __future__ import annotations

import numpy as np

from refquant.kernels.lstm_float import float_step
from refquant.kernels.lstm_layout import Layout, check_auxiliary_weights, check_states, check_types, layout_of
from refquant.kernels.recurrent import check_misplaced, misplaced_rows, over_time, set_default_options
from refquant.kernels.registry import Array, Operator, Run, kernel
from refquant.tflite.schema import BidirectionalSequenceLSTMOptions, TensorType

_FLOAT32, _INT8, _UINT8 = TensorType.FLOAT32, TensorType.INT8, TensorType.UINT8
_FORWARD, _BACKWARD, _STATES, _AUX, _FORWARD_AUX, _BACKWARD_AUX = 1, 18, 35, 39, 40, 44


@kernel(
    "BIDIRECTIONAL_SEQUENCE_LSTM",
    flaw="tensorflow 2.21.0 takes rows of the auxiliary input from the places that rows of the input have, as refquant "
    "does, which refuses an auxiliary input of which the real kernel leaves the end; with merged outputs, the batch "
    "first and more than one sequence it takes the states of all sequences but the first from other tensors' memory, "
    "refquant from the states",
)
def bidirectional_sequence_lstm(op: Operator) -> Run:
    """One LSTM forwards through time and another one backwards; `merge_outputs` puts both in one output.

    float32, with weights in float32 or in eight bits. An auxiliary input with weights joins the input of both LSTMs;
    one without is the input of the backward LSTM. Both have the same sizes. Sources, below kernels:
    bidirectional_sequence_lstm.cc, lstm_eval.cc.
    """
    set_default_options(op, BidirectionalSequenceLSTMOptions(time_major=False))
    options, x = op.options, op.input(0)
    time_major, merge = bool(options.time_major), bool(options.merge_outputs)
    if len(op.inputs) != 48 or len(op.outputs) != (1 if merge else 2):
        raise op.invalid(f"it has {len(op.inputs)} inputs and {len(op.outputs)} outputs, expected 48 and 1 or 2")
    if len(x.dims) != 3:
        raise op.invalid(f"the input must have 3 dimensions, it has shape {x.dims}")
    aux = op.optional_input(_AUX)
    weighted = op.optional_input(_FORWARD_AUX + 1) is not None
    forward = layout_of(op, first=_FORWARD, h=_STATES, c=_STATES + 1, aux=_FORWARD_AUX if weighted else None)
    backward = layout_of(op, first=_BACKWARD, h=_STATES + 2, c=_STATES + 3, aux=_BACKWARD_AUX if weighted else None)
    if (forward.cells, forward.outputs) != (backward.cells, backward.outputs):
        raise op.invalid("the forward and the backward LSTM have different sizes")
    for layout in (forward, backward):
        _check(op, layout, x.dims[1] if time_major else x.dims[0])
    width = None if aux is None or aux.type != _FLOAT32 or aux.dims[:2] != x.dims[:2] else aux.dims[2:]
    if weighted and aux is not None and width is not None:
        check_misplaced(op, aux, x, time_major)
        for layout in (forward, backward):
            check_auxiliary_weights(op, layout, *width)
    elif weighted or (aux is not None and width != x.dims[2:]):
        raise op.invalid("the auxiliary input does not fit the input, or is missing")
    if merge:
        op.output().shape = (*x.dims[:2], forward.outputs + backward.outputs)
    else:
        op.output(0).shape, op.output(1).shape = (*x.dims[:2], forward.outputs), (*x.dims[:2], backward.outputs)
    batch = x.dims[1] if time_major else x.dims[0]
    forward_for, backward_for = float_step(op, forward), float_step(op, backward)

    def run(*values: Array) -> Array | tuple[Array, ...]:
        x, aux = values[0], values[_AUX]
        sizes = (forward.outputs, forward.cells, backward.outputs, backward.cells)
        states = [values[_STATES + i].reshape(batch, size) for i, size in enumerate(sizes)]
        backward_x, own_aux = (aux, None) if aux is not None else (x, None)
        if weighted:
            backward_x, own_aux = x, misplaced_rows(aux, x.shape, time_major)
        outputs = (
            over_time(forward_for(values), x, own_aux, states[:2], time_major=time_major),
            over_time(backward_for(values), backward_x, own_aux, states[2:], time_major=time_major, backward=True),
        )
        return np.concatenate(outputs, axis=2) if merge else outputs

    return run


def _check(op: Operator, layout: Layout, batch: int) -> None:
    """Types, states and the width of the input."""
    weights = op.input(_FORWARD + 1).type
    if {op.input(0).type, *(out.type for out in op.outputs)} != {_FLOAT32} or weights not in (_FLOAT32, _INT8, _UINT8):
        raise op.unsupported()
    if op.input(0).dims[2] != layout.features:
        raise op.invalid(f"the input has {op.input(0).dims[2]} features, the weights {layout.features}")
    check_types(op, layout, weights)
    check_states(op, layout, batch, _FLOAT32, _FLOAT32)
