"""SVDF, a fully connected layer of low rank over the last inputs."""

from __future__ import annotations

import numpy as np

from refquant.kernels.registry import Array, Operator, Run, kernel
from refquant.kernels.requantization import check_scales
from refquant.numerics.fixed_point import double_rounding, quantize_multiplier
from refquant.tflite.schema import TensorType

_INT8, _INT16, _INT32 = TensorType.INT8, TensorType.INT16, TensorType.INT32


@kernel("SVDF")
def svdf(op: Operator) -> Run:
    """A fully connected layer of low rank over the last inputs: feature weights, then a filter over time.

    Each of the filters keeps its last `memory` values in the state, which moves on by one with each invoke; the
    sums over time of `rank` filters make a unit. int8 with an int16 or int8 state and time weights; both products
    are brought to the next scale by double rounding. Sources: internal/reference/svdf.h, and for the int8 state,
    which only TensorFlow Lite Micro runs, tensorflow/lite/micro/kernels/svdf_common.cc.
    """
    x, features, times, state = (op.input(i) for i in (0, 1, 2, 4))
    bias, out = op.optional_input(3), op.output()
    if x.type != _INT8 or features.type != _INT8 or out.type != _INT8 or times.type != state.type:
        raise op.unsupported()
    if state.type != _INT16 and not (state.type == _INT8 and op.profile == "micro"):
        raise op.unsupported("an int8 state runs in profile 'micro' alone, the real reference kernels corrupt memory")
    rank = op.options.rank
    filters = (*features.dims, 0)[0]
    if len(x.dims) != 2 or rank < 1 or filters % rank or features.dims != (filters, x.dims[1]):
        raise op.invalid(f"shapes {x.dims}, {features.dims} and a rank of {rank} do not fit together")
    batch, units = x.dims[0], filters // rank
    if len(times.dims) != 2 or times.dims[0] != filters or times.dims[1] < 1:
        raise op.invalid(f"the time weights must have shape ({filters}, memory), they have {times.dims}")
    memory = times.dims[1]
    if not state.is_variable or state.dims != (batch, memory * filters):
        raise op.invalid(f"the state must be a variable of shape {(batch, memory * filters)}")
    if bias is not None and (bias.type != _INT32 or bias.dims != (units,)):
        raise op.invalid(f"the bias must be int32 of shape ({units},)")
    if features.value is None or times.value is None or (bias is not None and bias.value is None):
        raise op.unsupported("weights that are not constant")
    for tensor in (x, features, times, state, out):
        check_scales(op, tensor)
    out.shape = (batch, units)
    first = quantize_multiplier(np.float64(x.scale * features.scale / state.scale))
    second = quantize_multiplier(np.float64(state.scale * times.scale / out.scale))
    columns = features.value.T.astype(np.float64)
    filter_weights = times.value.astype(np.int64)
    x_zero, out_zero = x.zero_point, np.int32(out.zero_point)
    state_zero = state.zero_point if state.type == _INT8 else 0
    limits = np.iinfo(state.dtype)

    def run(x: Array, _features: Array, _times: Array, bias: Array | None, state: Array) -> Array:
        sums = ((x.astype(np.float64) - x_zero) @ columns).astype(np.int64).astype(np.int32)
        newest = np.clip(double_rounding(sums, *first), limits.min, limits.max) + state_zero
        flat = state.reshape(-1)
        flat[:-1] = flat[1:].copy()
        state.reshape(batch, filters, memory)[:, :, -1] = newest.astype(state.dtype)
        history = state.reshape(batch, filters, memory).astype(np.int64) - state_zero
        total = (history * filter_weights).sum(axis=2).reshape(batch, units, rank).sum(axis=2)
        if bias is not None:
            total = total + bias
        if op.observer is not None:
            op.observe(feature_sums=sums, accumulator=total, multiplier=second[0], shift=second[1])
        y = double_rounding(total.astype(np.int32), *second) + out_zero
        return np.clip(y, -128, 127).astype(np.int8)

    return run
