"""UNIDIRECTIONAL_SEQUENCE_LSTM as TFLite Micro has it: float32, or int8 or int16 with an int16 cell state.

Each matrix goes through a fully connected kernel of its own, and what x and h give is added, saturated in integers,
before the gate. There are no peepholes, no projection, no coupled gates, no layer normalization. The integers of gates
are Q3.12 before and Q0.15 after their function, which is that of the int16 LOGISTIC and TANH; the states are multiplied
as MUL does it. Sources, below tensorflow/lite/micro/kernels: unidirectional_sequence_lstm.cc, lstm_eval.h,
lstm_eval.cc, lstm_eval_common.cc.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from refquant.kernels.activation import float_logistic, nearest_power_of_two, sigmoid_of_int16, tanh_of_int16
from refquant.kernels.fused_activation import clamp_float
from refquant.kernels.lstm_integer import saturate
from refquant.kernels.recurrent import over_time, set_default_options
from refquant.kernels.registry import Array, Operator, Run, TensorInfo, kernel
from refquant.kernels.requantization import check_scales
from refquant.numerics import libm
from refquant.numerics.fixed_point import double_rounding, quantize_multiplier, wide
from refquant.numerics.ordered_products import product_in_order
from refquant.numerics.selection import limited
from refquant.tflite.schema import ActivationFunctionType, TensorType, UnidirectionalSequenceLSTMOptions

_FLOAT32, _INT8, _INT16 = TensorType.FLOAT32, TensorType.INT8, TensorType.INT16
_INPUT, _FORGET, _CELL, _OUTPUT = range(4)  # the order of the gates' weights
_FROM_X, _FROM_H, _BIAS = 1, 5, 12  # where those of the input gate are
_H, _C = 18, 19
_ABSENT = (9, 10, 11, 16, 17, 20, 21, 22, 23)
_GATE_SCALE, _UNIT_SCALE = 2.0**-12, 2.0**-15  # of what enters a gate and of what leaves it

#: types of the input to those of weights, biases and cell state
_TYPES = {
    _FLOAT32: (_FLOAT32, _FLOAT32, _FLOAT32),
    _INT8: (_INT8, TensorType.INT32, _INT16),
    _INT16: (_INT8, TensorType.INT64, _INT16),
}

#: for each gate, given the values of all inputs: x and h to what enters it
Sum = Callable[[Array, Array], Array]


@kernel("UNIDIRECTIONAL_SEQUENCE_LSTM", profile="micro")
def micro_sequence_lstm(op: Operator) -> Run:
    """An LSTM over the steps of a sequence (batch, time, features), or (time, batch, features) where `time_major`."""
    set_default_options(op, UnidirectionalSequenceLSTMOptions())
    batch = _check(op)
    x, out = op.input(0), op.output()
    cells = op.input(_H).dims[1]
    out.shape = (*x.dims[:-1], cells)
    step_with = _float_step(op) if x.type == _FLOAT32 else _integer_step(op)

    def run(*values: Array) -> Array:
        states = [values[_H].reshape(batch, cells), values[_C].reshape(batch, cells)]
        time_major = bool(op.options.time_major)
        return over_time(step_with(values), values[0], None, states, time_major=time_major)

    return run


def _check(op: Operator) -> int:
    """The batch, if types and shapes are those that the kernel takes."""
    x, h, c, out = op.input(0), op.input(_H), op.input(_C), op.output()
    if len(op.inputs) != 24 or any(op.optional_input(position) is not None for position in _ABSENT):
        raise op.unsupported("peepholes, projections, layer normalization or other numbers of inputs than 24")
    if x.type not in _TYPES or not x.type == h.type == out.type:
        raise op.unsupported()
    weights, bias, cell = _TYPES[x.type]
    if c.type != cell:
        raise op.unsupported(f"a cell state of type {c.type.name}")
    if len(x.dims) != 3 or len(h.dims) != 2:
        raise op.invalid(f"the input must have 3 dimensions and the state 2, they have shapes {x.dims} and {h.dims}")
    cells, features = h.dims[1], x.dims[2]
    batch = x.dims[1] if op.options.time_major else x.dims[0]
    for gate in range(4):
        for position, type, shape in (
            (_FROM_X + gate, weights, (cells, features)),
            (_FROM_H + gate, weights, (cells, cells)),
            (_BIAS + gate, bias, (cells,)),
        ):
            tensor = op.input(position)
            if tensor.type != type:
                raise op.unsupported(f"input {position} is {tensor.type.name}, not {type.name}: no kernel for that")
            if tensor.dims != shape:
                raise op.invalid(f"input {position} must have shape {shape}, it has {tensor.dims}")
    for tensor in (h, c):
        if not tensor.is_variable or int(np.prod(tensor.dims)) != batch * cells:
            raise op.invalid(f"{tensor.place} must be a variable of {batch} x {cells} numbers, it has {tensor.dims}")
    if op.options.fused_activation_function != ActivationFunctionType.TANH:
        raise op.unsupported("another activation than TANH, of which the real kernel dies,")
    return batch


def _float_step(op: Operator) -> Callable[..., Callable[..., tuple[Array, Array]]]:
    """Sums from 0 in order, the bias last; where these, or products, are infinite they become the largest numbers."""
    limit = float(np.float32(op.options.cell_clip))

    def step_with(values: tuple[Array, ...]) -> Callable[..., tuple[Array, Array]]:
        def entering(gate: int, x: Array, h: Array) -> Array:
            return _product(x, values[_FROM_X + gate], values[_BIAS + gate]) + _product(h, values[_FROM_H + gate])

        def step(x: Array, aux: None, h: Array, c: Array) -> tuple[Array, Array]:
            forget = float_logistic(entering(_FORGET, x, h))
            let_in = float_logistic(entering(_INPUT, x, h))
            c = _float_product(forget, c) + _float_product(let_in, libm.tanh(entering(_CELL, x, h)))
            if limit > 0:
                c = limited(c, -limit, limit)
            return _float_product(libm.tanh(c), float_logistic(entering(_OUTPUT, x, h))), c

        return step

    return step_with


def _product(x: Array, weights: Array, bias: Array | None = None) -> Array:
    columns = np.ascontiguousarray(x.T), np.ascontiguousarray(weights.T)
    return clamp_float(product_in_order(*columns) + (np.float32(0) if bias is None else bias), _NO_ACTIVATION)


_NO_ACTIVATION = ActivationFunctionType.NONE


def _float_product(a: Array, b: Array) -> Array:
    return clamp_float(a * b, _NO_ACTIVATION)


def _integer_step(op: Operator) -> Callable[..., Callable[..., tuple[Array, Array]]]:
    x, h, c = op.input(0), op.input(_H), op.input(_C)
    check_scales(op, x)
    for tensor in (h, c):
        check_scales(op, tensor)
    rule = double_rounding if x.type == _INT8 else wide
    limits = np.iinfo(h.dtype)
    power = nearest_power_of_two(c.scale)
    tanh_of_cell = partial(tanh_of_int16, multiplier=3 << max(12 + power, 0), shift=max(-12 - power, 0))
    forgetting = _multiplier(_UNIT_SCALE, c.scale, c.scale)
    updating = _multiplier(_UNIT_SCALE, _UNIT_SCALE, c.scale)
    leaving = _multiplier(_UNIT_SCALE, _UNIT_SCALE, h.scale)
    clip = op.options.cell_clip
    limit = int(np.clip(np.float64(clip) / np.float64(c.scale), -32768, 32767)) if clip > 0 else 0
    from_x = [_matrix(op, x, _FROM_X + gate) for gate in range(4)]
    from_h = [_matrix(op, h, _FROM_H + gate) for gate in range(4)]

    def step_with(values: tuple[Array, ...]) -> Callable[..., tuple[Array, Array]]:
        def entering(gate: int, x_: Array, h_: Array) -> Array:
            sums_x = _sums(x_, x.zero_point, values[_FROM_X + gate]) + values[_BIAS + gate]
            sums_h = _sums(h_, h.zero_point, values[_FROM_H + gate])
            of_x, of_h = (
                saturate(rule(sums if rule is wide else sums.astype(np.int32), *multiplier), np.int16)
                for sums, multiplier in ((sums_x, from_x[gate]), (sums_h, from_h[gate]))
            )
            return saturate(of_x.astype(np.int32) + of_h, np.int16)

        def step(x: Array, aux: None, h_: Array, c: Array) -> tuple[Array, Array]:
            forget = sigmoid_of_int16(entering(_FORGET, x, h_), 3, 0)
            let_in = sigmoid_of_int16(entering(_INPUT, x, h_), 3, 0)
            update = tanh_of_int16(entering(_CELL, x, h_), 3, 0)
            kept, added = (_integer_product(forget, c, forgetting), _integer_product(let_in, update, updating))
            c = saturate(saturate(kept, np.int16).astype(np.int32) + saturate(added, np.int16), np.int16)
            if limit > 0:
                c = np.clip(c, -limit, limit)
            output = sigmoid_of_int16(entering(_OUTPUT, x, h_), 3, 0)
            shown = _integer_product(tanh_of_cell(c), output, leaving).astype(np.int64) + h.zero_point
            return np.clip(shown, limits.min, limits.max).astype(h.dtype), c

        return step

    return step_with


def _matrix(op: Operator, of: TensorInfo, position: int) -> tuple[Array, Array]:
    """The multiplier and shift that bring the products of `of` and a matrix to what enters a gate."""
    weights = op.input(position)
    check_scales(op, weights)
    if weights.scales.size != 1:
        raise op.unsupported(f"{weights.place} is quantized per channel, which the real kernel forgets: no kernel")
    if weights.zero_point:
        raise op.invalid(f"the zero point of {weights.place} must be 0")
    return quantize_multiplier(np.float64(of.scale) * np.float64(weights.scale) / _GATE_SCALE)


def _multiplier(a: Any, b: Any, out: Any) -> tuple[Array, Array]:
    return quantize_multiplier(np.float64(a) * np.float64(b) / np.float64(out))


def _sums(x: Array, zero_point: int, weights: Array) -> Array:
    return (x.astype(np.int64) - zero_point) @ weights.astype(np.int64).T


def _integer_product(a: Array, b: Array, multiplier: tuple[Array, Array]) -> Array:
    return double_rounding(a.astype(np.int32) * b.astype(np.int32), *multiplier)
