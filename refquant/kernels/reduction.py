"""One number from many: ARG_MAX, ARG_MIN."""

from __future__ import annotations

import numpy as np

from refquant.kernels.registry import Array, Operator, Run, kernel
from refquant.tflite.schema import TensorType


@kernel("ARG_MAX")
def arg_max(op: Operator) -> Run:
    """Where the largest number stands along an axis; the first of equals. Source: internal/reference/arg_min_max.h."""
    return _position(op, largest=True)


@kernel("ARG_MIN")
def arg_min(op: Operator) -> Run:
    """Where the smallest number stands along an axis; the first of equals. Source: as ARG_MAX."""
    return _position(op, largest=False)


def _position(op: Operator, largest: bool) -> Run:
    x, axis_tensor, out = op.input(0), op.input(1), op.output()
    if out.type not in (TensorType.INT32, TensorType.INT64) or x.dtype.kind not in "fiub":
        raise op.unsupported()
    if axis_tensor.value is None or axis_tensor.value.size != 1:
        raise op.unsupported("the axis is not one constant number")
    axis = int(axis_tensor.value.ravel()[0])
    axis += len(x.dims) if axis < 0 else 0
    if not 0 <= axis < len(x.dims) or x.dims[axis] == 0:
        raise op.invalid(f"there is no axis {axis} to search in shape {x.dims}")
    out.shape = (*x.dims[:axis], *x.dims[axis + 1 :])

    def run(x: Array, _: Array) -> Array:
        if x.dtype.kind != "f":
            return (np.argmax if largest else np.argmin)(x, axis=axis).astype(out.dtype)
        # A NaN is never better than what stands before it, and nothing is better than a NaN that came first.
        best = np.take(x, 0, axis)
        place = np.zeros(best.shape, out.dtype)
        for i in range(1, x.shape[axis]):
            candidate = np.take(x, i, axis)
            wins = candidate > best if largest else candidate < best
            best, place = np.where(wins, candidate, best), np.where(wins, i, place).astype(out.dtype)
        return place

    return run
