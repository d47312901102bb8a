"""Sums of float32 in four interleaved lanes, as a vector register of four adds them up.

Number i goes to lane i modulo 4; the lanes are added from the first to the last; what is left of the last four follows
one by one. Products are rounded before they are added. Source: NeonVectorVectorDotProduct, NeonReductionSumVector and
NeonMatrixBatchVectorMultiplyAccumulate in kernels/internal/optimized/neon_tensor_utils.cc, which x86-64 builds of
TensorFlow Lite translate to SSE, in every resolver.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_LANES = 4


def dot(a: Floats, b: Floats) -> Floats:
    """The sums of a * b over the last axis; the others broadcast.

    >>> float(dot(np.float32([1, 2, 3, 4, 5]), np.float32([1, 1, 1, 1, 2])))
    20.0
    """
    count = a.shape[-1]
    whole = count - count % _LANES
    lanes = np.zeros((*np.broadcast_shapes(a.shape[:-1], b.shape[:-1]), _LANES), np.float32)
    for start in range(0, whole, _LANES):
        lanes += a[..., start : start + _LANES] * b[..., start : start + _LANES]
    total: Floats = ((lanes[..., 0] + lanes[..., 1]) + lanes[..., 2]) + lanes[..., 3]
    for i in range(whole, count):
        total = total + a[..., i] * b[..., i]
    return total


def total(x: Floats) -> Floats:
    """The sums over the last axis.

    >>> float(total(np.float32([1, 2, 3, 4, 5])))
    15.0
    """
    return dot(x, np.ones(x.shape[-1], np.float32))
