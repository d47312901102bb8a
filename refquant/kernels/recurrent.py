"""UNIDIRECTIONAL_SEQUENCE_LSTM.

An LSTM keeps a cell state c and an output state h. For each step of a sequence, with input x::

    forget = sigmoid(W_f x + R_f h + p_f * c + b_f)
    input  = sigmoid(W_i x + R_i h + p_i * c + b_i)      1 - forget where the input gate is coupled (CIFG)
    update = tanh   (W_c x + R_c h + b_c)
    c      = forget * c + input * update
    output = sigmoid(W_o x + R_o h + p_o * c + b_o)      with the new c
    h      = output * tanh(c)                            then P h + b_p where there is a projection

The peephole weights p, the input gate's weights and the projection are optional. Both states are variables: they
live on from one invoke to the next.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from refquant.kernels.registry import Array, Operator, Run, TensorInfo, kernel
from refquant.kernels.requantization import check_scales
from refquant.numerics import eigen
from refquant.numerics.fixed_point import divide_by_power_of_two, double_rounding, quantize_multiplier
from refquant.numerics.integer_functions import logistic, tanh
from refquant.numerics.lookup import tabulate
from refquant.tflite.schema import ActivationFunctionType, TensorType

#: positions of the inputs of an LSTM, by gate
_GATES = ("input", "forget", "cell", "output")
_INPUT_WEIGHTS = dict(zip(_GATES, (1, 2, 3, 4)))
_RECURRENT_WEIGHTS = dict(zip(_GATES, (5, 6, 7, 8)))
_PEEPHOLE_WEIGHTS = {"input": 9, "forget": 10, "output": 11}
_BIASES = dict(zip(_GATES, (12, 13, 14, 15)))
_PROJECTION, _PROJECTION_BIAS, _OUTPUT_STATE, _CELL_STATE = 16, 17, 18, 19
_LAYER_NORM = (20, 21, 22, 23)

_INT8, _INT16, _INT32, _FLOAT32 = TensorType.INT8, TensorType.INT16, TensorType.INT32, TensorType.FLOAT32

Step = Callable[[Array, Array, Array], tuple[Array, Array]]  # x, h, c to the new h, c; all of shape (batch, size)


@kernel("UNIDIRECTIONAL_SEQUENCE_LSTM")
def unidirectional_sequence_lstm(op: Operator) -> Run:
    """An LSTM over the steps of a sequence: float32, or int8 with an int16 cell state.

    Input (batch, time, features), or (time, batch, features) where `time_major`. Source: kernels/lstm_eval.cc,
    kernels/unidirectional_sequence_lstm.cc.
    """
    x, out = op.input(0), op.output()
    if len(x.dims) != 3:
        raise op.invalid(f"the input must have 3 dimensions, it has shape {x.dims}")
    shapes = _check_shapes(op)
    time_major = bool(op.options.time_major)
    batch = x.dims[1] if time_major else x.dims[0]
    for position, size in ((_OUTPUT_STATE, shapes.outputs), (_CELL_STATE, shapes.cells)):
        state = op.input(position)
        if not state.is_variable or state.dims != (batch, size):
            raise op.invalid(f"input {position} must be a variable of shape {(batch, size)}")
    if any(op.optional_input(i) is not None for i in _LAYER_NORM):
        raise op.unsupported("no kernel with layer normalization")
    out.shape = (*x.dims[:2], shapes.outputs)
    weights = op.input(_INPUT_WEIGHTS["forget"]).type
    if x.type == weights == out.type == _FLOAT32:
        step = _float_step(op, batch)
    elif x.type == weights == out.type == _INT8 and op.input(_CELL_STATE).type == _INT16:
        step = _integer_step(op)
    else:
        raise op.unsupported()
    out_shape, out_dtype = out.shape, out.dtype

    def run(*inputs: Array) -> Array:
        sequence, h, c = inputs[0], inputs[_OUTPUT_STATE], inputs[_CELL_STATE]
        steps = sequence if time_major else sequence.swapaxes(0, 1)
        outputs = np.empty((len(steps), batch, shapes.outputs), out_dtype)
        for t, xt in enumerate(steps):
            h[...], c[...] = step(xt, h, c)
            outputs[t] = h
        result = outputs if time_major else np.ascontiguousarray(outputs.swapaxes(0, 1))
        return result.reshape(out_shape)

    return run


@dataclass(frozen=True)
class _Sizes:
    inputs: int
    cells: int
    outputs: int


def _check_shapes(op: Operator) -> _Sizes:
    """All weights are constants of fitting shapes, and a gate's weights are all there or all absent."""
    if len(op.inputs) not in (20, 24):
        raise op.invalid(f"an LSTM has 20 or 24 inputs, this one {len(op.inputs)}")
    cells, features = (*op.input(_INPUT_WEIGHTS["output"]).dims, 0, 0)[:2]
    outputs = (*op.input(_RECURRENT_WEIGHTS["output"]).dims, 0, 0)[1]
    wanted = {
        _PROJECTION: (outputs, cells),
        _PROJECTION_BIAS: (outputs,),
        **dict.fromkeys(_INPUT_WEIGHTS.values(), (cells, features)),
        **dict.fromkeys(_RECURRENT_WEIGHTS.values(), (cells, outputs)),
        **dict.fromkeys((*_PEEPHOLE_WEIGHTS.values(), *_BIASES.values()), (cells,)),
    }
    for position, shape in wanted.items():
        tensor = op.optional_input(position)
        if tensor is not None and tensor.dims != shape:
            raise op.invalid(f"input {position} must have shape {shape}, it has {tensor.dims}")
        if tensor is not None and tensor.value is None:
            raise op.unsupported(f"input {position} is not constant")
    present = {i: op.optional_input(i) is not None for i in wanted}
    coupled = not present[_INPUT_WEIGHTS["input"]]
    gates = _GATES[1:] if coupled else _GATES
    if not all(present[table[g]] for g in gates for table in (_INPUT_WEIGHTS, _RECURRENT_WEIGHTS, _BIASES)):
        raise op.invalid("weights or biases of a gate are missing")
    peepholes = [present[i] for g, i in _PEEPHOLE_WEIGHTS.items() if g != "input" or not coupled]
    if any(peepholes) != all(peepholes):
        raise op.invalid("the peephole weights must be all there or all absent")
    if not present[_PROJECTION] and cells != outputs:
        raise op.invalid(f"{cells} cells and {outputs} outputs need a projection")
    if op.input(0).dims[-1] != features:
        raise op.invalid(f"the input has {op.input(0).dims[-1]} features, the weights {features}")
    return _Sizes(features, cells, outputs)


def _value(op: Operator, position: int) -> Array:
    value = op.input(position).value
    if value is None:
        raise op.unsupported(f"input {position} is not constant")
    return value


# --- int8, with an int16 cell state ---------------------------------------------------------------------------------


def _integer_step(op: Operator) -> Step:
    """One step in integers.

    A gate is int16 in Q3.12: the product of each of its matrices is brought there on its own, by double rounding,
    and added with saturation. sigmoid and tanh are gemmlowp's, in 16 bits. The zero points of x and h are folded
    into the biases. The scale of the cell state must be a power of two.
    """
    options = op.options
    x, h, c, out = op.input(0), op.input(_OUTPUT_STATE), op.input(_CELL_STATE), op.output()
    for tensor in (x, h, c, out):
        check_scales(op, tensor)
    log2 = float(np.log2(np.float64(c.scale)))
    exponent = round(log2)
    if abs(log2 - exponent) >= 1e-3 or not -15 <= exponent <= -9:
        raise op.invalid(f"the scale of the cell state must be a power of two from 2**-15 to 2**-9, it is {c.scale}")
    if len(op.intermediates) < 5 or not op.intermediates[4].is_quantized:
        raise op.invalid("the fifth intermediate tensor, the quantized hidden state, is missing")
    hidden = op.intermediates[4]
    coupled = op.optional_input(_INPUT_WEIGHTS["input"]) is None

    def gate_of(name: str, activation: Callable[[Array], Array]) -> Callable[[Array, Array, Array], Array]:
        from_x = _matrix(op, _INPUT_WEIGHTS[name], _BIASES[name], x.scale, -x.zero_point, np.float32(2.0**-12))
        from_h = _matrix(op, _RECURRENT_WEIGHTS[name], None, h.scale, -h.zero_point, np.float32(2.0**-12))
        peephole = op.optional_input(_PEEPHOLE_WEIGHTS.get(name, len(op.inputs)))
        if peephole is None:
            return lambda x, h, c: activation(_saturate(from_h(h) + _saturate(from_x(x), _INT16), _INT16))
        check_scales(op, peephole)
        real = np.float32(2.0**exponent * np.float64(peephole.scale) / 2.0**-12)
        multiplier, shift = quantize_multiplier(np.float64(real))
        weights = _reached_peepholes(op, _value(op, op.inputs.index(peephole)), h.dims[1])

        def with_peephole(x: Array, h: Array, c: Array) -> Array:
            sums = _saturate(from_h(h) + _saturate(from_x(x), _INT16), _INT16)
            return activation(_saturate(double_rounding(weights * c, multiplier, shift) + sums, _INT16))

        return with_peephole

    sigmoid16 = tabulate(lambda q: logistic(q, 3, bits=16).astype(np.int32), np.int16)
    tanh16 = tabulate(lambda q: tanh(q, 3, bits=16).astype(np.int32), np.int16)
    tanh_of_cell = tabulate(lambda q: tanh(q, 15 + exponent, bits=16).astype(np.int32), np.int16)
    forget_gate = gate_of("forget", sigmoid16)
    input_gate = None if coupled else gate_of("input", sigmoid16)
    cell_gate = gate_of("cell", tanh16)
    output_gate = gate_of("output", sigmoid16)
    clip = int(np.clip(np.float32(options.cell_clip) / c.scale, -32768, 32767)) if options.cell_clip > 0 else 0
    hidden_multiplier, hidden_shift = quantize_multiplier(
        np.float64(np.float32(2.0**-15 / np.float64(hidden.scale) * 2.0**-15))
    )
    project = _projection(op, hidden, h)

    def step(x: Array, h: Array, c: Array) -> tuple[Array, Array]:
        forget = forget_gate(x, h, c)
        update = cell_gate(x, h, c)
        let_in = 32767 - forget if input_gate is None else input_gate(x, h, c)
        kept = divide_by_power_of_two(forget * c.astype(np.int32), np.int32(15)).astype(np.int16)
        added = divide_by_power_of_two(let_in * update, np.int32(30 + exponent)).astype(np.int16)
        new_c = _saturate(kept.astype(np.int32) + added, _INT16)
        if clip > 0:
            new_c = np.clip(new_c, -clip, clip).astype(np.int16)
        product = output_gate(x, h, new_c) * tanh_of_cell(new_c)
        rescaled = double_rounding(product, hidden_multiplier, hidden_shift)
        if op.observer is not None:
            op.observe(forget=forget, input=let_in, update=update, cell_state=new_c, hidden=rescaled)
        if project is not None:
            return project(_saturate(rescaled - np.int32(hidden.zero_point), _INT8)), new_c
        return _saturate(rescaled + np.int32(hidden.zero_point), _INT8), new_c

    return step


def _reached_peepholes(op: Operator, weights: Array, outputs: int) -> Array:
    """Peephole weights for each sequence of the batch and each cell, zero where the real kernel forgets them.

    It takes the number of outputs for that of cells. With a projection to fewer outputs than cells only so many cells
    of a sequence have a peephole, or, where `time_major`, so many times the batch in storage order. (With more
    outputs than cells it leaves its memory; here all cells have one.)
    """
    batch, cells = op.input(_CELL_STATE).dims
    outputs = min(outputs, cells)
    reached = np.zeros((batch, cells), np.int32)
    if op.options.time_major:
        reached.reshape(-1)[: batch * outputs] = np.tile(weights[:outputs], batch)
    else:
        reached[:, :outputs] = weights[:outputs]
    return reached


def _matrix(
    op: Operator, weights: int, bias: int | None, scale: np.float32, offset: int, target: np.float32
) -> Callable[[Array], Array]:
    """x -> W (x + offset) + bias, brought from `scale` times the scale of W to the scale `target`, as int32."""
    tensor = op.input(weights)
    check_scales(op, tensor)
    if tensor.type != _INT8:
        raise op.unsupported(f"input {weights} is not int8")
    matrix = _value(op, weights)
    effective = offset * matrix.astype(np.int64).sum(axis=1)
    if bias is not None and op.optional_input(bias) is not None:
        if op.input(bias).type != _INT32:
            raise op.unsupported(f"input {bias} is not int32")
        effective = effective + _value(op, bias)
    multiplier, shift = quantize_multiplier(np.float64(tensor.scale * scale / target))
    columns = matrix.T.astype(np.float64)  # products of int8 are exact in float64 for any size that fits memory

    def product(x: Array) -> Array:
        accumulator = (x.astype(np.float64) @ columns).astype(np.int64) + effective
        return double_rounding(accumulator.astype(np.int32), multiplier, shift)

    return product


def _projection(op: Operator, hidden: TensorInfo, h: TensorInfo) -> Callable[[Array], Array] | None:
    """The projection of the hidden state to the output state, or None where there is none."""
    if op.optional_input(_PROJECTION) is None:
        return None
    product = _matrix(op, _PROJECTION, _PROJECTION_BIAS, hidden.scale, hidden.zero_point, h.scale)
    clip = np.float32(op.options.proj_clip)
    limit = int(np.clip(clip / op.output().scale, -128, 127)) if clip > 0 else 0

    def project(q: Array) -> Array:
        result = _saturate(product(q) + np.int32(h.zero_point), _INT8)
        return np.clip(result, -limit, limit).astype(np.int8) if limit > 0 else result

    return project


def _saturate(x: Array, kind: TensorType) -> Array:
    dtype = np.int16 if kind == _INT16 else np.int8
    limits = np.iinfo(dtype)
    return np.clip(x, limits.min, limits.max).astype(dtype)


# --- float32 --------------------------------------------------------------------------------------------------------


def _float_step(op: Operator, batch: int) -> Step:
    """One step in float32. Every resolver, the reference one too, multiplies with the *optimized* fully connected
    kernel, and takes sigmoid and tanh from Eigen; so here they have Eigen's orders and polynomials.
    """
    if batch != 1:
        raise op.unsupported("float32 with more than one sequence at a time")
    activation = op.options.fused_activation_function
    if activation != ActivationFunctionType.TANH:
        raise op.unsupported(f"float32 with the activation {activation!r}")
    coupled = op.optional_input(_INPUT_WEIGHTS["input"]) is None

    def gate_of(name: str, function: Callable[[Array], Array]) -> Callable[[Array, Array, Array], Array]:
        from_x, from_h = _value(op, _INPUT_WEIGHTS[name]), _value(op, _RECURRENT_WEIGHTS[name])
        bias = _value(op, _BIASES[name])
        peephole = op.optional_input(_PEEPHOLE_WEIGHTS.get(name, len(op.inputs)))

        def gate(x: Array, h: Array, c: Array) -> Array:
            total = np.broadcast_to(bias, (1, bias.size))
            if np.any(x):  # a step of zeros is skipped
                total = eigen.matrix_vector(from_x, x[0])[None] + total
            total = eigen.matrix_vector(from_h, h[0])[None] + total
            if peephole is not None and peephole.value is not None:
                total = total + peephole.value * c
            return function(total)

        return gate

    forget_gate = gate_of("forget", eigen.logistic)
    input_gate = None if coupled else gate_of("input", eigen.logistic)
    cell_gate = gate_of("cell", eigen.tanh)
    output_gate = gate_of("output", eigen.logistic)
    clip, projection_clip = np.float32(op.options.cell_clip), np.float32(op.options.proj_clip)
    projection = None if op.optional_input(_PROJECTION) is None else _value(op, _PROJECTION)
    projection_bias = np.float32(0) if op.optional_input(_PROJECTION_BIAS) is None else _value(op, _PROJECTION_BIAS)

    def step(x: Array, h: Array, c: Array) -> tuple[Array, Array]:
        forget = forget_gate(x, h, c)
        let_in = np.float32(1) - forget if input_gate is None else input_gate(x, h, c)
        update = cell_gate(x, h, c)
        new_c = forget * c + update * let_in
        if clip > 0:
            new_c = np.clip(new_c, -clip, clip)
        new_h = output_gate(x, h, new_c) * eigen.tanh(new_c)
        if projection is not None:
            new_h = eigen.matrix_vector(projection, new_h[0])[None] + projection_bias
            if projection_clip > 0:
                new_h = np.clip(new_h, -projection_clip, projection_clip)
        return new_h, new_c

    return step
