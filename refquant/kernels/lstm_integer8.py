"""One step of the LSTM on int8 with twelve intermediate tensors: its products are brought to int8, too.

A gate is float inside: the products of x and of h, int8 with scales and zero points of their own, are added as int16,
normalized in float32, and sigmoid and tanh are the C library's, cut to Q0.15. The input gate is always coupled,
peephole weights are not used, and layer normalization and a projection with bias must be there. Source:
LstmStepInteger8x8_8 in kernels/lstm_eval.cc, and internal/reference/portable_tensor_utils.cc.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from refquant.kernels.lstm_integer import constant, limit_of, saturate
from refquant.kernels.lstm_layout import Layout
from refquant.kernels.recurrent import Step
from refquant.kernels.registry import Array, Operator, TensorInfo
from refquant.kernels.requantization import check_scales
from refquant.numerics import libm
from refquant.numerics.fixed_point import divide_by_power_of_two, double_rounding, quantize_multiplier, wide
from refquant.numerics.lookup import tabulate

_PRODUCTS = {"forget": (4, 5, 3), "cell": (7, 8, 6), "output": (10, 11, 9)}  # intermediates of W x, R h and their sum


def integer8_step(op: Operator, layout: Layout) -> Step:
    """The function for one step; all weights must be constants."""
    c, h, out = op.input(layout.c), op.input(layout.h), op.output()
    check_scales(op, op.input(0), c, h, out, *op.intermediates)
    if c.scale != np.float32(2.0**-15):
        raise op.invalid(f"the scale of the cell state must be 2**-15, it is {c.scale}")
    if layout.projection is None or layout.projection_bias is None or layout.gates["cell"].layer_norm is None:
        raise op.unsupported("neither projection nor bias of it nor layer normalization may be absent: no kernel")
    gates = {name: _gate(op, layout, name) for name in ("forget", "cell", "output")}
    limit = limit_of(op.options.cell_clip, c, 32767) if op.options.cell_clip < 1 else 0
    projection = op.input(layout.projection)
    check_scales(op, projection)
    real = np.float32(np.float64(projection.scale) * 2.0**-15 / np.float64(h.scale))
    multiplier, shift = quantize_multiplier(np.float64(real))
    columns = constant(op, layout.projection).T.astype(np.float64)
    bias = constant(op, layout.projection_bias).astype(np.int64)
    output_limit = limit_of(op.options.proj_clip, out, 127)
    tanh_of_cell = tabulate(lambda q: _cut(libm.tanh(q.astype(np.float32) * np.float32(2.0**-15))), np.int16)

    def step(x: Array, _aux: Array | None, h_state: Array, c_state: Array) -> tuple[Array, ...]:
        forget, update = gates["forget"](x, h_state), gates["cell"](x, h_state)
        kept = divide_by_power_of_two(forget * c_state.astype(np.int32), np.int32(15)).astype(np.int16)
        added = divide_by_power_of_two((32767 - forget) * update, np.int32(15)).astype(np.int16)
        new_c = saturate(kept.astype(np.int32) + added, np.int16)
        if limit > 0:
            new_c = np.clip(new_c, -limit, limit).astype(np.int16)
        hidden = divide_by_power_of_two(gates["output"](x, h_state) * tanh_of_cell(new_c), np.int32(15))
        sums = (hidden.astype(np.int16).astype(np.float64) @ columns).astype(np.int64) + bias
        result = saturate(wide(sums, multiplier, shift).astype(np.int64) + h.zero_point, np.int8)
        return np.clip(result, -output_limit, output_limit).astype(np.int8) if output_limit > 0 else result, new_c

    return step


def _gate(op: Operator, layout: Layout, name: str) -> Callable[[Array, Array], Array]:
    gate = layout.gates[name]
    from_x, from_h, both = (op.intermediates[i] for i in _PRODUCTS[name])
    x_product = _product(op, gate.from_x, op.input(0), from_x)
    h_product = _product(op, gate.from_h, op.input(layout.h), from_h)
    x_scale = quantize_multiplier(np.float64(from_x.scale / both.scale))
    h_scale = quantize_multiplier(np.float64(from_h.scale / both.scale))
    h_zero = from_h.zero_point
    if name == "output":  # the real kernel takes the shift of another gate for the multiplier, and its zero point
        other = op.intermediates[5].scale / op.intermediates[3].scale
        h_scale, h_zero = (quantize_multiplier(np.float64(other))[1], h_scale[1]), op.intermediates[7].zero_point
        h_product = _product(op, gate.from_h, op.input(layout.h), from_h, zero_point=h_zero)
    assert gate.layer_norm is not None
    tensor = op.input(gate.layer_norm)
    check_scales(op, tensor)
    mantissa, exponent = quantize_multiplier(np.float64(tensor.scale))
    scale = np.float32(np.float64(mantissa) * 2.0 ** (np.float64(exponent) - 31))
    coefficients = constant(op, gate.layer_norm).astype(np.float32)
    shifted = constant(op, gate.bias).astype(np.float32) * (np.float32(2.0**-10) * scale)
    activation = tabulate(_tanh if name == "cell" else _sigmoid, np.int16)

    def run(x: Array, h: Array) -> Array:
        total = double_rounding(x_product(x) - np.int32(from_x.zero_point), *x_scale).astype(np.int64)
        total = total + double_rounding(h_product(h) - np.int32(h_zero), *h_scale)
        values = saturate(total, np.int16).astype(np.float32)
        mean = _sum(values) / np.float32(values.shape[1])
        variance = _sum(values * values) / np.float32(values.shape[1]) - mean * mean
        inverse = np.float32(1) / np.sqrt(np.where(variance == 0, np.float32(1e-8), variance))
        real = ((values - mean) * inverse * coefficients * scale + shifted) * np.float32(4096)
        rounded = np.trunc(real.astype(np.float64) + np.copysign(0.5, real))
        limited = np.where(np.abs(rounded) < 2.0**31, rounded, -(2.0**31))
        return activation(np.clip(limited, -32768, 32767).astype(np.int16))

    return run


def _sum(rows: Array) -> Array:
    """The sum of each row, one by one."""
    return np.add.accumulate(rows, axis=1)[:, -1:]


def _product(
    op: Operator, weights: int, x: TensorInfo, target: TensorInfo, zero_point: int | None = None
) -> Callable[[Array], Array]:
    """x -> W (x - zero point), brought to the scale of `target`, int8, as int32."""
    tensor = op.input(weights)
    check_scales(op, tensor)
    columns = constant(op, weights).T.astype(np.float64)
    multiplier, shift = quantize_multiplier(np.float64(tensor.scale * x.scale / target.scale))
    zero = target.zero_point if zero_point is None else zero_point

    def product(q: Array) -> Array:
        sums = ((q.astype(np.float64) - x.zero_point) @ columns).astype(np.int64).astype(np.int32)
        return saturate(double_rounding(sums, multiplier, shift) + np.int32(zero), np.int8).astype(np.int32)

    return product


def _sigmoid(q: Array) -> Array:
    x = q.astype(np.float32) * np.float32(2.0**-12)
    return _cut(np.float32(1) / (np.float32(1) + libm.exp(-x)))


def _tanh(q: Array) -> Array:
    return _cut(libm.tanh(q.astype(np.float32) * np.float32(2.0**-12)))


def _cut(x: Array) -> Array:
    """Float32 to Q0.15, cut towards zero."""
    return np.clip(np.trunc(x * np.float32(2.0**15)), -32768, 32767).astype(np.int32)
