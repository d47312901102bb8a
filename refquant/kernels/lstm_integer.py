"""One step of an LSTM in integers: int8 with an int16 cell state.

A gate is int16, Q3.12 or, before layer normalization, of a scale of its own: the product of each of its matrices is
brought there by double rounding, and added with saturation. sigmoid and tanh are gemmlowp's, in 16 bits. The zero
points of x and h are folded into the biases. The scale of the cell state must be a power of two. Source:
LstmStepInteger8x8_16 in kernels/lstm_eval.cc, and internal/reference/portable_tensor_utils.cc.

The matrices of all gates stand side by side, so that a step takes one product; those with x, which do not depend on the
step before, are made for the whole sequence at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from refquant.kernels import requantization
from refquant.kernels.lstm_layout import GATES, Gate, Layout
from refquant.kernels.recurrent import Step
from refquant.kernels.registry import Array, Operator, TensorInfo
from refquant.kernels.requantization import check_scales
from refquant.numerics.fixed_point import double_rounding, quantize_multiplier
from refquant.numerics.integer_functions import logistic, one_over_square_root, tanh
from refquant.numerics.lookup import tabulate
from refquant.numerics.quick_rounding import Range, quick_rounding
from refquant.numerics.steps import ZERO_POINT_ADDED, noted

_Q3_12 = np.float32(2.0**-12)
_LIMITS = {np.int8: (-128, 127), np.int16: (-32768, 32767)}
_FAR = 2**17  # no int16 brings a sum back from there: it stays saturated


def integer_step(op: Operator, layout: Layout, batch: int, time_major: bool) -> tuple[Callable[[Array], Array], Step]:
    """The function that makes of x [..., features] what a step takes of it, and that for one step.

    All weights must be constants.
    """
    x, h, c, out = op.input(0), op.input(layout.h), op.input(layout.c), op.output()
    for tensor in (x, h, c, out):
        check_scales(op, tensor)
    exponent = _exponent(op, c)
    if len(op.intermediates) != 5:
        raise op.invalid(f"it has {len(op.intermediates)} intermediate tensors, expected 5")
    hidden = op.intermediates[4]
    check_scales(op, hidden)
    names, cells = list(layout.gates), layout.cells
    gates = {name: _gate(op, layout, name, batch, time_major, exponent) for name in names}
    from_x, from_h = _products_of_gates(op, layout)
    tanh_of_cell = _table(tanh, 15 + exponent)
    cell_limit = limit_of(op.options.cell_clip, c, 32767)
    hidden_scale = np.float32(2.0**-15 / np.float64(hidden.scale) * 2.0**-15)
    hidden_multiplier, hidden_shift = quantize_multiplier(np.float64(hidden_scale))
    project = _projection(op, layout, hidden, h)

    def products_with_x(x: Array) -> Array:
        rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
        return saturate(from_x(rows), np.int16).reshape(*x.shape[:-1], len(names) * cells)

    def step(x: Array, _aux: Array | None, h: Array, c: Array) -> tuple[Array, Array]:
        totals = saturate(from_h(h) + x, np.int16).reshape(len(h), len(names), cells)

        def gate(name: str, c: Array) -> Array:
            return gates[name](totals[:, names.index(name)], c)

        forget, update = gate("forget", c), gate("cell", c)
        let_in = gate("input", c) if "input" in gates else 32767 - forget
        new_c = saturate(_quotient(forget * c, 15) + _quotient(let_in * update, 30 + exponent), np.int16)
        if cell_limit > 0:
            new_c = np.clip(new_c, -cell_limit, cell_limit).astype(np.int16)
        let_out = gate("output", new_c)
        for name, number in (("forget", forget), ("input", let_in), ("update", update), ("output", let_out)):
            noted(f"{name} gate, in 2**-15", number)
        noted("cell state", new_c)
        product = noted(
            "output gate * tanh of the cell state", let_out * noted("tanh of the cell state", tanh_of_cell(new_c))
        )
        rescaled = double_rounding(product, hidden_multiplier, hidden_shift)
        noted("hidden state at its scale", rescaled)
        if project is not None:
            projected = project(saturate(rescaled - np.int32(hidden.zero_point), np.int8))
            return noted("projected", projected), new_c
        shifted = noted(ZERO_POINT_ADDED, rescaled + np.int32(hidden.zero_point))
        return noted("limited to -128 … 127", saturate(shifted, np.int8)), new_c

    return products_with_x, step


@cache
def _table(function: Callable[..., Array], integer_bits: int) -> Callable[[Array], Array]:
    """sigmoid or tanh of int16 with so many integer bits, as int32."""
    return tabulate(lambda q: function(q, integer_bits, bits=16).astype(np.int32), np.int16)


def _quotient(product: Array, exponent: int) -> Array:
    """`divide_by_power_of_two`, in place, of products of two int16 numbers: with a half added they still fit int32."""
    product += (product >> 31) + (1 << (exponent - 1))
    product >>= exponent
    return product


def _exponent(op: Operator, c: TensorInfo) -> int:
    """The scale of the cell state as a power of two."""
    log2 = float(np.log2(np.float64(c.scale)))
    exponent = round(log2) if np.isfinite(log2) else 0
    if abs(log2 - exponent) >= 1e-3 or not -15 <= exponent <= -9:
        raise op.invalid(f"the scale of the cell state must be a power of two from 2**-15 to 2**-9, it is {c.scale}")
    return exponent


def _target(op: Operator, layout: Layout, name: str) -> np.float32:
    """The scale to which the products of a gate are brought."""
    if layout.gates[name].layer_norm is None:
        return _Q3_12
    intermediate = op.intermediates[GATES.index(name)]
    check_scales(op, intermediate)
    return intermediate.scale


def _products_of_gates(op: Operator, layout: Layout) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """The products of all gates' matrices with x, and those with h."""
    x, h = op.input(0), op.input(layout.h)
    from_x, from_h = [], []
    for name, gate in layout.gates.items():
        target, bias = _target(op, layout, name), gate.bias if gate.layer_norm is None else None
        from_x.append(_matrix(op, gate.from_x, bias, x.scale, -x.zero_point, target))
        from_h.append(_matrix(op, gate.from_h, None, h.scale, -h.zero_point, target))
    return _products(from_x), _products(from_h)


def _gate(
    op: Operator, layout: Layout, name: str, batch: int, time_major: bool, exponent: int
) -> Callable[[Array, Array], Array]:
    """From the sums of products of a gate, int16, and the cell state to the gate in Q0.15."""
    gate, target = layout.gates[name], _target(op, layout, name)
    normalize = None if gate.layer_norm is None else _layer_norm(op, gate)
    activation = _table(tanh if name == "cell" else logistic, 3)
    peephole = None if gate.peephole is None else _peephole(op, layout, gate.peephole, batch, time_major)
    if gate.peephole is not None:
        real = np.float32(2.0**exponent * np.float64(op.input(gate.peephole).scale) / np.float64(target))
        multiplier, shift = quantize_multiplier(np.float64(real))

    def run(total: Array, c: Array) -> Array:
        if peephole is not None:
            total = saturate(double_rounding(peephole[: len(c)] * c, multiplier, shift) + total, np.int16)
        return activation(total if normalize is None else normalize(total))

    return run


def _peephole(op: Operator, layout: Layout, position: int, batch: int, time_major: bool) -> Array:
    """Peephole weights for each sequence of a step and each cell, zero where the real kernel forgets them.

    It takes the number of outputs for that of cells. With a projection to fewer outputs than cells only so many cells
    of a sequence have a peephole, or, where the batch goes together, so many times the batch in storage order. (With
    more outputs than cells it leaves its memory; here all cells have one.)
    """
    check_scales(op, op.input(position))
    weights, outputs = constant(op, position), min(layout.outputs, layout.cells)
    together = batch if time_major else 1
    reached = np.zeros((together, layout.cells), np.int32)
    reached.reshape(-1)[: together * outputs] = np.tile(weights[:outputs], together)
    return reached


def _layer_norm(op: Operator, gate: Gate) -> Callable[[Array], Array]:
    """Rows of int16, normalized to Q.10, times the coefficients, with the bias, brought to Q3.12.

    The variance of the sums has 20 bits that a truncated 2**20 / n leaves; where it comes out below one, a guard
    takes its place. Products wrap in 32 bits. Source: PortableApplyLayerNorm.
    """
    assert gate.layer_norm is not None
    tensor = op.input(gate.layer_norm)
    check_scales(op, tensor)
    coefficients, bias = constant(op, gate.layer_norm).astype(np.int64), constant(op, gate.bias).astype(np.int64)
    multiplier, shift = quantize_multiplier(np.float64(tensor.scale))
    guard = max(1, int(np.float32(10000) * tensor.scale))

    def normalize(x: Array) -> Array:
        values, n = x.astype(np.int64), x.shape[1]
        mean = _truncated(values.sum(axis=1) * 1024, n)
        variance = _truncated((values * values).sum(axis=1) * (2**20 // n) - mean * mean, 2**20).astype(np.int32)
        inverse, inverse_shift = one_over_square_root(np.where(variance < 1, guard, variance))
        centred = (1024 * values - mean[:, None]).astype(np.int32)
        normalized = double_rounding(centred, inverse[:, None], inverse_shift[:, None]).astype(np.int64)
        weighted = (normalized * coefficients + bias).astype(np.int32).astype(np.int64)
        rounded = _truncated(np.where(weighted > 0, weighted + 512, weighted - 512), 1024).astype(np.int32)
        return saturate(double_rounding(rounded, multiplier, shift + 12), np.int16)

    return normalize


def _truncated(x: Array, divisor: int) -> Array:
    """The quotient of integers, rounded towards zero."""
    return np.sign(x) * (np.abs(x) // divisor)


@dataclass(frozen=True, slots=True)
class _Matrix:
    """W and what x -> W (x + offset) + bias needs to be brought to its scale: a number for each row."""

    weights: Array
    offset: Array
    multiplier: Array
    shift: Array


def _matrix(
    op: Operator, weights: int, bias: int | None, scale: np.float32, offset: int, target: np.float32
) -> _Matrix:
    """A matrix whose products are brought from `scale` times its own scale to the scale `target`."""
    tensor = op.input(weights)
    check_scales(op, tensor)
    matrix = constant(op, weights)
    if matrix.ndim != 2:
        raise op.unsupported(f"input {weights} is no matrix: no kernel for that")
    effective = offset * matrix.astype(np.int64).sum(axis=1)
    if bias is not None:
        effective = effective + constant(op, bias)
    multiplier, shift = quantize_multiplier(np.full(len(matrix), tensor.scale * scale / target, np.float64))
    return _Matrix(matrix, effective, multiplier, shift)


def _products(matrices: Sequence[_Matrix]) -> Callable[[Array], Array]:
    """x [rows, n], int8, to its products with the matrices side by side, int32; far beyond int16 they are cut off."""
    weights, offset, multiplier, shift = (
        np.concatenate([getattr(matrix, field) for matrix in matrices])
        for field in ("weights", "offset", "multiplier", "shift")
    )
    columns = weights.T.astype(np.float64)  # products of int8 are exact in float64 for any size that fits memory
    bound = 128 * np.abs(columns).sum(axis=0)
    quick = quick_rounding(double_rounding, multiplier, shift, offset, bound, Range(0, -_FAR, _FAR))

    def product(x: Array) -> Array:
        sums = x.astype(np.float64) @ columns
        if quick is None or not requantization.QUICK:
            return double_rounding((sums.astype(np.int64) + offset).astype(np.int32), multiplier, shift)
        quick.steps(sums, quick.constants)
        np.maximum(sums, 0, out=sums)
        np.minimum(sums, 2 * _FAR, out=sums)
        return sums.astype(np.int32) - _FAR

    return product


def _projection(op: Operator, layout: Layout, hidden: TensorInfo, h: TensorInfo) -> Callable[[Array], Array] | None:
    """The projection of the hidden state to the output state, or None where there is none."""
    if layout.projection is None:
        return None
    matrix = _matrix(op, layout.projection, layout.projection_bias, hidden.scale, hidden.zero_point, h.scale)
    product = _products([matrix])
    limit = limit_of(op.options.proj_clip, op.output(), 127)

    def project(q: Array) -> Array:
        result = saturate(product(q) + np.int32(h.zero_point), np.int8)
        return np.clip(result, -limit, limit).astype(np.int8) if limit > 0 else result

    return project


def limit_of(clip: float, tensor: TensorInfo, highest: int) -> int:
    """The largest integer that `clip` leaves in a tensor; 0 stands for no limit."""
    return int(np.clip(np.float32(clip) / tensor.scale, -highest - 1, highest)) if clip > 0 else 0


def constant(op: Operator, position: int) -> Array:
    """The value of a weight, which must be known when planning."""
    value = op.input(position).value
    if value is None:
        raise op.unsupported(f"input {position} is not constant: no kernel for that")
    return value


def saturate(x: Array, dtype: type[np.int8] | type[np.int16]) -> Array:
    """Integers limited to a narrower type."""
    low, high = _LIMITS[dtype]
    return np.minimum(np.maximum(x, low), high).astype(dtype)
