"""LSTM, one step, and UNIDIRECTIONAL_SEQUENCE_LSTM, all steps of a sequence."""

from __future__ import annotations

from collections.abc import Callable

from refquant.kernels.lstm_basic import basic_lstm
from refquant.kernels.lstm_calibration import calibration_step
from refquant.kernels.lstm_float import float_step
from refquant.kernels.lstm_integer import integer_step
from refquant.kernels.lstm_integer8 import integer8_step
from refquant.kernels.lstm_layout import Layout, check_states, check_types, layout_of
from refquant.kernels.recurrent import Step, Values, over_time, set_default_options
from refquant.kernels.registry import Array, Operator, Run, kernel
from refquant.tflite.schema import LSTMKernelType, TensorType, UnidirectionalSequenceLSTMOptions

#: makes the step of floats, see `refquant.kernels.lstm_float`
FloatStep = Callable[[Operator, Layout], Callable[[Values], Step]]

_FLOAT32, _INT8, _UINT8, _INT16 = TensorType.FLOAT32, TensorType.INT8, TensorType.UINT8, TensorType.INT16
_H, _C, _LAYER_NORM = 18, 19, 20
_FLAW = (
    "on int8, with a projection to fewer outputs than cells, tensorflow 2.21.0 uses only as many of the peephole "
    "weights as there are outputs, as refquant does; with more outputs than cells it writes beyond its memory, "
    "refquant gives the answer"
)


@kernel("UNIDIRECTIONAL_SEQUENCE_LSTM", flaw=_FLAW)
def unidirectional_sequence_lstm(op: Operator) -> Run:
    """An LSTM over the steps of a sequence: float32, with weights in eight bits, or int8 with an int16 cell state.

    Input (batch, time, features), or (time, batch, features) where `time_major`; only then the sequences of a batch go
    through a step together. Sources: kernels/unidirectional_sequence_lstm.cc, kernels/lstm_eval.cc.
    """
    return _sequence(op, float_step)


@kernel("UNIDIRECTIONAL_SEQUENCE_LSTM", profile="calibrator")
def calibrated_sequence_lstm(op: Operator) -> Run:
    """As UNIDIRECTIONAL_SEQUENCE_LSTM, floats with the step of `refquant.kernels.lstm_calibration`."""
    return _sequence(op, calibration_step)


def _sequence(op: Operator, float_step: FloatStep) -> Run:
    set_default_options(op, UnidirectionalSequenceLSTMOptions())
    x = op.input(0)
    if len(x.dims) != 3:
        raise op.invalid(f"the input must have 3 dimensions, it has shape {x.dims}")
    return _lstm(op, bool(op.options.time_major), float_step, diagonal=True)


@kernel(
    "LSTM",
    flaw=f"{_FLAW}; with twelve intermediate tensors its output gate multiplies what comes from the state by a number "
    "read beyond a table, as refquant does",
)
def lstm(op: Operator) -> Run:
    """One step of an LSTM for a batch of inputs, (batch, features); with 5 inputs the basic kernel, which see.

    Sources: kernels/lstm.cc, kernels/lstm_eval.cc.
    """
    if op.options.kernel_type == LSTMKernelType.BASIC:
        return basic_lstm(op)
    return _single(op, float_step)


@kernel("LSTM", profile="calibrator")
def calibrated_lstm(op: Operator) -> Run:
    """As LSTM, floats with the step of `refquant.kernels.lstm_calibration`; there is no basic kernel."""
    if op.options.kernel_type == LSTMKernelType.BASIC:
        raise op.unsupported("TensorFlow's calibrator takes no basic LSTM: no kernel")
    return _single(op, calibration_step)


def _single(op: Operator, float_step: FloatStep) -> Run:
    if op.options.kernel_type != LSTMKernelType.FULL:
        raise op.invalid(f"{op.options.kernel_type!r} is no kernel type")
    if len(op.inputs) not in (20, 24) or len(op.outputs) != 1:
        raise op.invalid(f"it has {len(op.inputs)} inputs and {len(op.outputs)} outputs, expected 20 or 24, and one")
    if len(op.input(0).dims) != 2:
        raise op.unsupported(f"an input of shape {op.input(0).dims}, not two dimensions,")
    return _lstm(op, True, float_step, diagonal=False)


def _lstm(op: Operator, time_major: bool, float_step: FloatStep, *, diagonal: bool) -> Run:
    x, out = op.input(0), op.output()
    layout = layout_of(op, h=_H, c=_C, layer_norm=_LAYER_NORM if len(op.inputs) == 24 else None, diagonal=diagonal)
    if x.dims[-1] != layout.features:
        raise op.invalid(f"the input has {x.dims[-1]} features, the weights {layout.features}")
    batch = x.dims[-2] if time_major else x.dims[0]
    weights = op.input(layout.gates["forget"].from_x).type
    integer = x.type == weights == _INT8
    if (not integer and (x.type != _FLOAT32 or weights not in (_FLOAT32, _INT8, _UINT8))) or out.type != x.type:
        raise op.unsupported()
    check_types(op, layout, weights, integer=integer)
    check_states(op, layout, batch, x.type, _INT16 if integer else x.type)
    out.shape = (*x.dims[:-1], layout.outputs)
    prepare: Callable[[Array], Array] = _as_it_is
    if not integer:
        step_for = float_step(op, layout)
    elif len(op.intermediates) == 12 and op.name == "LSTM":
        step_for = _always(integer8_step(op, layout))
    else:
        prepare, step = integer_step(op, layout, batch, time_major)
        step_for = _always(step)

    def run(*values: Array) -> Array:
        step = step_for(values)
        states = [values[_H].reshape(batch, layout.outputs), values[_C].reshape(batch, layout.cells)]
        steps = values[0] if values[0].ndim == 3 else values[0][None]
        return over_time(step, prepare(steps), None, states, time_major=time_major).reshape(out.dims)

    return run


def _as_it_is(x: Array) -> Array:
    return x


def _always(step: Step) -> Callable[[Values], Step]:
    return lambda _: step
