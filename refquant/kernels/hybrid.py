"""Sums of products of int8 numbers as the dynamic-range ("hybrid") kernels of x86-64 builds compute them.

Their inner loop takes sixteen products at a time by multiplying |x| with w * sign(x) in eight bits, where -(-128) is
-128 again. So a weight of -128 that meets a negative x counts as if the product were negative: it is off by 256 * x.
The converter makes weights from -127 to 127, which are safe; products beyond the last full sixteen are safe as well.
Source: SseMatrixBatchVectorMultiplyAccumulateImpl in kernels/internal/optimized/sse_tensor_utils.cc, which the
reference kernels call, too.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from refquant.kernels.products import exact_type
from refquant.kernels.registry import Array

_GROUP = 16


def is_zero(x: npt.NDArray[np.float32]) -> bool:
    """Whether these kernels skip a product with x: all its numbers are zero, or NaN in one of its full groups of four.

    Source: NeonIsZeroVector in kernels/internal/optimized/neon_tensor_utils.cc.
    """
    flat = x.reshape(-1)
    whole = flat.size - flat.size % 4
    return not (np.abs(flat[:whole]) > 0).any() and not flat[whole:].any()


def flaws(w: Array) -> Array | None:
    """For weights [products, outputs]: what to multiply by min(x, 0) to get the error of the sums; None if no error."""
    flawed = w == -128
    flawed[len(w) // _GROUP * _GROUP :] = False
    return 256 * flawed.astype(np.int32) if flawed.any() else None


def matrix_sums(q: npt.NDArray[np.int8], w: npt.NDArray[np.int8]) -> Array:
    """The sums of q [rows, products] with weights [products, outputs], integers as int64, flaws included."""
    return sums_with(w)(q)


def sums_with(w: npt.NDArray[np.int8]) -> Callable[[npt.NDArray[np.int8]], Array]:
    """`matrix_sums` as a function of q, for weights that are multiplied again and again."""
    exact = exact_type(256 * 128 * max(1, len(w)))
    columns, flawed = w.astype(exact), flaws(w)
    flawed = None if flawed is None else flawed.astype(exact)

    def sums_of(q: npt.NDArray[np.int8]) -> Array:
        sums = q.astype(exact) @ columns
        if flawed is not None:
            sums += np.minimum(q, 0).astype(exact) @ flawed
        whole: Array = sums.astype(np.int64)
        return whole

    return sums_of


def row_sums(w: npt.NDArray[np.int8]) -> Array:
    """The sums of weights [outputs, products] over the products, as int64.

    Whole sixteens, and then a whole eight, are added in eight lanes of sixteen bits, which wrap: so do the sums of
    two thousand products and more. Source: SseReductionSumVector in the same file.
    """
    whole = w.shape[1] // _GROUP * _GROUP
    lanes = w[:, :whole].reshape(len(w), whole // _GROUP, _GROUP // 2, 2).sum(axis=(1, 3), dtype=np.int64)
    if w.shape[1] - whole >= _GROUP // 2:
        lanes += w[:, whole : whole + _GROUP // 2]
        whole += _GROUP // 2
    sums: Array = lanes.astype(np.int16).sum(axis=1, dtype=np.int64) + w[:, whole:].sum(axis=1, dtype=np.int64)
    return sums
