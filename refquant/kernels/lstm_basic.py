"""The basic kernel of LSTM: four gates from one matrix, in float32 or quantized to eight bits.

    gates  = W [x, h] + b                           in the order input, update, forget, output
    c      = sigmoid(input) * tanh(update) + sigmoid(forget) * c
    h      = sigmoid(output) * tanh(c)

Besides the new h and c it gives [x, h] and the gates before their functions. h and c are its inputs 1 and 4, which the
real kernel overwrites: where they are variables, they live on. Source: LstmCell in internal/optimized/optimized_ops.h,
which the reference kernels call, too.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from refquant.kernels.fused_activation import clamp_float
from refquant.kernels.registry import Array, Operator, Run
from refquant.kernels.requantization import check_scales
from refquant.numerics import eigen
from refquant.numerics.eigen_products import matrix_product
from refquant.numerics.fixed_point import divide_by_power_of_two, double_rounding_upwards, quantize_multiplier
from refquant.numerics.integer_functions import logistic, tanh
from refquant.numerics.lookup import tabulate
from refquant.tflite.schema import ActivationFunctionType, TensorType

_FLOAT32, _UINT8, _INT16, _INT32 = TensorType.FLOAT32, TensorType.UINT8, TensorType.INT16, TensorType.INT32

Gates = Callable[[Array, Array, Array], Array]  # [x, h], W and b to the gates [batch, 4 * units]
Cell = Callable[[Array, Array], tuple[Array, Array]]  # the gates [batch, 4, units] and c to the new h and c


def basic_lstm(op: Operator) -> Run:
    """Inputs x, h, W, b and c; outputs the new h and c, [x, h], and the gates."""
    if len(op.inputs) != 5 or len(op.outputs) != 4:
        raise op.invalid(f"it has {len(op.inputs)} inputs and {len(op.outputs)} outputs, expected 5 and 4")
    x, h, w, b, c = (op.input(i) for i in range(5))
    if len(x.dims) != 2 or len(h.dims) != 2:
        raise op.invalid(f"input {x.dims} and state {h.dims} must have two dimensions")
    batch, units = h.dims
    if (x.dims[0], c.dims, b.dims) != (batch, h.dims, (4 * units,)) or w.dims != (4 * units, x.dims[1] + units):
        raise op.invalid(f"shapes {x.dims}, {h.dims}, {w.dims}, {b.dims} and {c.dims} do not fit together")
    for tensor, shape in zip(op.outputs, (h.dims, h.dims, (batch, x.dims[1] + units), (batch, 4 * units)), strict=True):
        tensor.shape = shape
    match [t.type for t in (x, h, w, b, c, *op.outputs)]:
        case [TensorType.FLOAT32, *others] if set(others) == {_FLOAT32}:
            gates_of: Gates = _float_gates
            cell: Cell = _float_cell
        case [TensorType.UINT8, *others] if others == [_UINT8, _UINT8, _INT32, _INT16, _UINT8, _INT16, _UINT8, _INT16]:
            gates_of, cell = _quantized_gates(op), _quantized_cell()
        case _:
            raise op.unsupported()

    def run(x: Array, h: Array, w: Array, b: Array, c: Array) -> tuple[Array, ...]:
        both = np.concatenate([x, h], axis=1)
        gates = gates_of(both, w, b)
        new_h, new_c = cell(gates.reshape(batch, 4, units), c)
        for state, position, value in ((h, 1, new_h), (c, 4, new_c)):
            if op.input(position).is_variable:
                state[...] = value
        return new_h, new_c, both, gates

    return run


def _float_gates(both: Array, w: Array, b: Array) -> Array:
    return clamp_float(matrix_product(w, both) + b, ActivationFunctionType.NONE)


def _float_cell(gates: Array, c: Array) -> tuple[Array, Array]:
    let_in, update, forget, output = gates.swapaxes(0, 1)
    new_c = eigen.logistic(let_in) * eigen.tanh(update) + eigen.logistic(forget) * c
    return eigen.logistic(output) * eigen.tanh(new_c), new_c


def _quantized_gates(op: Operator) -> Callable[[Array, Array, Array], Array]:
    """Exact sums, with x and h around 128, brought to Q3.12 by a double rounding from the scale of the biases."""
    w, b, c = op.input(2), op.input(3), op.output(1)
    check_scales(op, w, b, c)
    if abs(float(np.log2(np.float64(c.scale))) + 11) >= 1e-3:
        raise op.invalid(f"the scale of the new state must be 2**-11, it is {c.scale}")
    multiplier, shift = quantize_multiplier(np.float64(4096) * np.float64(b.scale))
    zero = w.zero_point

    def gates_of(both: Array, w: Array, b: Array) -> Array:
        sums = (both.astype(np.float64) - 128) @ (w.T.astype(np.float64) - zero)
        total = (sums.astype(np.int64) + b).astype(np.int32)
        return np.clip(double_rounding_upwards(total, multiplier, shift), -32768, 32767).astype(np.int16)

    return gates_of


def _quantized_cell() -> Cell:
    """gemmlowp's functions and products in 16 bits; c has four integer bits, tanh takes it with three, saturated."""
    sigmoid = tabulate(lambda q: logistic(q, 3, bits=16).astype(np.int16), np.int16)
    tanh3 = tabulate(lambda q: tanh(q, 3, bits=16).astype(np.int16), np.int16)

    def cell(gates: Array, c: Array) -> tuple[Array, Array]:
        let_in, update, forget, output = gates.swapaxes(0, 1)
        added = divide_by_power_of_two(_multiply(sigmoid(let_in), tanh3(update)), np.int32(4))
        new_c = np.clip(added + _multiply(sigmoid(forget), c), -32768, 32767).astype(np.int16)
        with_three_bits = np.clip(2 * new_c.astype(np.int32), -32768, 32767).astype(np.int16)
        h = divide_by_power_of_two(_multiply(sigmoid(output), tanh3(with_three_bits)), np.int32(8))
        return (np.clip(h, -128, 127) + 128).astype(np.uint8), new_c

    return cell


def _multiply(a: Array, b: Array) -> Array:
    """Products of int16 in Q0.15, halves up; -1 * -1 saturates."""
    return np.minimum((a.astype(np.int32) * b.astype(np.int32) + 2**14) >> 15, 32767)
