"""SVDF, a fully connected layer of low rank over the last inputs: feature weights, then a filter over time.

    state[b, f]  moves on by one, its newest value is sum over i of x[b, i] * features[f, i]
    y[b, u]      = activation(bias[u] + sum over the `rank` filters f of unit u of (sum over t of
                   state[b, f, t] * times[f, t]))

Source: internal/reference/svdf.h.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from refquant.kernels.constants import made_once
from refquant.kernels.fused_activation import activation_of_vector
from refquant.kernels.hybrid import matrix_sums, row_sums
from refquant.kernels.registry import Array, Operator, Run, TensorInfo, kernel
from refquant.kernels.requantization import check_scales
from refquant.numerics import lanes, libm
from refquant.numerics.dynamic_range import asymmetric_quantize, symmetric_quantize
from refquant.numerics.fixed_point import double_rounding, quantize_multiplier
from refquant.numerics.ordered_products import product_in_order
from refquant.numerics.steps import ROUNDED, ZERO_POINT_ADDED, headed, noted
from refquant.tflite.schema import ActivationFunctionType, SVDFOptions, TensorType


@kernel(
    "SVDF",
    flaw="tensorflow 2.21.0 checks no types but that of the input: with states and time weights of other types than "
    "float32 (of float32), or int16 (of int8), it reads and writes memory that is not its own; refquant refuses",
)
def svdf(op: Operator) -> Run:
    """float32, with weights of float32 or of eight bits, or int8 with an int16 state and int16 time weights."""
    return _planned(op, _find)


@kernel("SVDF", profile="micro")
def micro_svdf(op: Operator) -> Run:
    """float32 in plain order, or int8 with a state and time weights of int16 or int8; with a bias in any case.

    Integers have no activation. Source: tensorflow/lite/micro/kernels/svdf_common.cc.
    """
    return _planned(op, _find_micro)


def _planned(op: Operator, find_kernel: Callable[..., Callable[[Operator], Run]]) -> Run:
    x, features, times, state = (op.input(i) for i in (0, 1, 2, 4))
    bias, out, options = op.optional_input(3), op.output(), op.options
    if not isinstance(options, SVDFOptions):
        raise op.invalid("has no SVDFOptions")
    find = find_kernel(op, x, features, bias, times, state, out)
    rank = options.rank
    filters = (*features.dims, 0)[0]
    if len(x.dims) != 2 or rank < 1 or filters % rank or features.dims != (filters, x.dims[1]):
        raise op.invalid(f"shapes {x.dims}, {features.dims} and a rank of {rank} do not fit together")
    batch, units = x.dims[0], filters // rank
    if len(times.dims) != 2 or times.dims[0] != filters or times.dims[1] < 1:
        raise op.invalid(f"the time weights must have shape ({filters}, memory), they have {times.dims}")
    if not state.is_variable or state.dims != (batch, times.dims[1] * filters):
        raise op.invalid(f"the state must be a variable of shape {(batch, times.dims[1] * filters)}")
    if bias is not None and bias.dims != (units,):
        raise op.invalid(f"the bias must have shape ({units},), it has {bias.dims}")
    out.shape = (batch, units)
    return find(op)


def _find(
    op: Operator,
    x: TensorInfo,
    features: TensorInfo,
    bias: TensorInfo | None,
    times: TensorInfo,
    state: TensorInfo,
    out: TensorInfo,
) -> Callable[[Operator], Run]:
    """The kernel for these types, or an error."""
    match x.type, features.type, times.type, None if bias is None else bias.type, state.type, out.type:
        case (
            TensorType.FLOAT32,
            TensorType.FLOAT32,
            TensorType.FLOAT32,
            TensorType.FLOAT32 | None,
            TensorType.FLOAT32,
            TensorType.FLOAT32,
        ):
            return _float
        case (
            TensorType.FLOAT32,
            TensorType.INT8 | TensorType.UINT8,
            TensorType.INT8 | TensorType.UINT8,
            TensorType.FLOAT32 | None,
            TensorType.FLOAT32,
            TensorType.FLOAT32,
        ):
            return _hybrid
        case (
            TensorType.INT8,
            TensorType.INT8 | TensorType.UINT8,
            TensorType.INT16,
            TensorType.INT32 | None,
            TensorType.INT16,
            TensorType.INT8,
        ):
            return _with_relu
    raise op.unsupported()


def _find_micro(
    op: Operator,
    x: TensorInfo,
    features: TensorInfo,
    bias: TensorInfo | None,
    times: TensorInfo,
    state: TensorInfo,
    out: TensorInfo,
) -> Callable[[Operator], Run]:
    """The kernel of TFLite Micro for these types, or an error."""
    if bias is None:
        raise op.unsupported("a missing bias, of which the real kernel dies,")
    types = {tensor.type for tensor in (x, features, times, bias, state, out)}
    if types == {TensorType.FLOAT32}:
        return _float_in_order
    of_int8 = x.type == features.type == out.type == TensorType.INT8 and bias.type == TensorType.INT32
    if not of_int8 or times.type not in (TensorType.INT8, TensorType.INT16) or state.type != times.type:
        raise op.unsupported()
    if not abs(np.float64(bias.params[0]) - np.float64(state.params[0] * times.params[0])) < 1e-5:
        raise op.invalid(f"the scale of the bias is {bias.params[0]}, not that of the state times the time weights'")
    return _quantized_micro


def _remember(state: Array, newest: Array, memory: int) -> Array:
    """Moves the state on and puts the newest values at its ends; what is remembered, [batch, filters, memory]."""
    flat = state.reshape(-1)
    flat[:-1] = flat[1:].copy()
    remembered = state.reshape(*newest.shape, memory)
    remembered[:, :, -1] = newest
    return remembered


# --- float32 --------------------------------------------------------------------------------------------------------


def _float(op: Operator) -> Run:
    """float32: all sums in four lanes.

    Equal to the bit, but for the sign of NaN, which SIGN_BIT shows: no order of operands that was tried gives it.
    """
    memory = op.input(2).dims[1]
    finish = _finish(op)

    def run(x: Array, features: Array, times: Array, bias: Array | None, state: Array) -> Array:
        remembered = _remember(state, lanes.dot(x[:, None, :], features), memory)
        return finish(lanes.dot(times, remembered), bias)

    return run


def _float_in_order(op: Operator) -> Run:
    """float32: all sums one by one, those of the filters of a unit after its bias.

    Of a NaN comes the upper limit, or else the lower.
    """
    memory, shape, rank = op.input(2).dims[1], op.output().dims, op.options.rank
    activation = op.options.fused_activation_function
    low, high = _LIMITS.get(activation, (np.float32(-np.inf), np.float32(np.inf)))
    activate = activation_of_vector(activation) if activation not in _LIMITS else None
    if activation == ActivationFunctionType.TANH:
        activate = libm.tanh

    def run(x: Array, features: Array, times: Array, bias: Array, state: Array) -> Array:
        newest = product_in_order(np.ascontiguousarray(x.T), np.ascontiguousarray(features.T))
        remembered = _remember(state, newest, memory)
        found = np.zeros(newest.shape, np.float32)
        for moment in range(memory):
            found = found + times[:, moment] * remembered[:, :, moment]
        y = np.broadcast_to(bias, shape)
        for filter in range(rank):
            y = y + found.reshape(*shape, rank)[..., filter]
        if activate is not None:
            return activate(y)
        return np.fmax(np.fmin(y, high) if np.isfinite(high) else y, low)

    return run


_ZERO, _ONE, _SIX = np.float32(0), np.float32(1), np.float32(6)
_LIMITS = {
    ActivationFunctionType.RELU: (_ZERO, np.float32(np.inf)),
    ActivationFunctionType.RELU_N1_TO_1: (-_ONE, _ONE),
    ActivationFunctionType.RELU6: (_ZERO, _SIX),
}


def _hybrid(op: Operator) -> Run:
    """float32 with weights of eight bits: inputs are quantized on the fly as for FULLY_CONNECTED, time weights become
    float32. Those of uint8 are read as int8, no zero point counts.

    The time weights, and the sums of the feature weights for asymmetric inputs, are those of the first invoke, even
    where the weights change later.
    """
    memory, asymmetric = op.input(2).dims[1], op.options.asymmetric_quantize_inputs
    feature_scale, time_scale = _scale(op.input(1)), _scale(op.input(2))
    finish = _finish(op)
    kept_sums: Array | None = None
    kept_times: Array | None = None

    def run(x: Array, features: Array, times: Array, bias: Array | None, state: Array) -> Array:
        nonlocal kept_sums, kept_times
        features = features.view(np.int8)
        if kept_times is None:
            kept_times = times.view(np.int8).astype(np.float32) * time_scale
        newest = np.zeros((len(x), len(features)), np.float32)
        if np.any(x):
            if asymmetric:
                q, scale, zero_point = asymmetric_quantize(x)
                if kept_sums is None:
                    kept_sums = row_sums(features)
                sums = matrix_sums(q, features.T) - zero_point[:, None] * kept_sums
            else:
                q, scale = symmetric_quantize(x)
                sums = matrix_sums(q, features.T)
            newest += sums.astype(np.float32) * (scale * feature_scale)[:, None]
        return finish(lanes.dot(kept_times, _remember(state, newest, memory)), bias)

    return run


def _scale(weights: TensorInfo) -> np.float32:
    """The scale of weights quantized per tensor; of others 0."""
    return np.float32(weights.scales[0] if weights.scales.size == 1 else 0)


def _finish(op: Operator) -> Callable[[Array, Array | None], Array]:
    """From what each filter found, [batch, filters], to the output: the sum of `rank` filters, bias, activation."""
    shape, rank = op.output().dims, op.options.rank
    activate = activation_of_vector(op.options.fused_activation_function)

    def finish(found: Array, bias: Array | None) -> Array:
        y = noted("sum of the filters of the unit", lanes.total(found.reshape(*shape, rank)))
        y = noted("plus the bias", y if bias is None else y + bias)
        return noted("after the activation", activate(y))

    return finish


# --- integers -------------------------------------------------------------------------------------------------------


def _with_relu(op: Operator) -> Run:
    """`_quantized`, if the activation is RELU, which clamps nothing."""
    if op.options.fused_activation_function != ActivationFunctionType.RELU:
        raise op.unsupported("integers with another activation than RELU")
    return _quantized(op)


def _quantized_micro(op: Operator) -> Run:
    """`_quantized`, products and quotients of scales in float64."""
    return _quantized(op, np.float64)


def _quantized(op: Operator, precision: type[np.float32] | type[np.float64] = np.float32) -> Run:
    """Integers: both products are brought to the next scale by double rounding."""
    x, features, times, state, out = (*(op.input(i) for i in (0, 1, 2, 4)), op.output())
    check_scales(op, x, features, times, state)
    check_scales(op, out)
    first = quantize_multiplier(np.float64(precision(x.scales[0]) * features.scales[0] / state.scales[0]))
    second = quantize_multiplier(np.float64(precision(state.scales[0]) * times.scales[0] / out.scales[0]))
    memory, shape, rank = times.dims[1], out.dims, op.options.rank
    x_zero, out_zero = int(x.zero_points[0]), np.int32(out.zero_points[0])
    state_zero = int(state.zero_points[0]) if state.type == TensorType.INT8 else 0
    low, high = int(np.iinfo(state.dtype).min), int(np.iinfo(state.dtype).max)
    # float64 is exact for any size that fits memory
    columns_of = made_once(features, lambda weights: weights.view(np.int8).T.astype(np.float64))

    def run(x: Array, features: Array, times: Array, bias: Array | None, state: Array) -> Array:
        sums = ((x.astype(np.float64) - x_zero) @ columns_of(features)).astype(np.int64).astype(np.int32)
        headed("newest number in the memory of a filter")
        newest = np.minimum(np.maximum(double_rounding(sums, *first), low), high) + state_zero
        headed("sum over time")
        history = _remember(state, newest, memory).astype(np.int64) - state_zero
        total = (history * times).sum(axis=2).reshape(*shape, rank).sum(axis=2)
        if bias is not None:
            total = total + bias
        if op.observer is not None:
            op.observe(feature_sums=sums, accumulator=total, multiplier=second[0], shift=second[1])
        y = noted(ROUNDED, double_rounding(total.astype(np.int32), *second))
        y = noted(ZERO_POINT_ADDED, y + out_zero)
        return noted("limited to -128 … 127", np.minimum(np.maximum(y, -128), 127).astype(np.int8))

    return run
