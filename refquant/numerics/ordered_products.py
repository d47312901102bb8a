"""Float32 sums of products in a fixed order: every product rounded, every sum rounded, one summand after another.

BLAS sums in an order of its own and does not round products, so it is of no use here. NumPy's `einsum` is: it adds the
products to its output, which is zeros first, one index of the summed axes after another as long as the last axis of the
output lies contiguous in memory (a sum is then never its inner loop). Whether it rounds products hangs on the
instructions that NumPy was built for: builds for x86-64 do, as their baseline has no fused multiply-add.
`_EINSUM_ROUNDS` finds out by sums that tell, once; where it does not hold, two passes of multiply and add do the same
at a third of the speed.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float32s = npt.NDArray[np.float32]

_BLOCK = 1 << 15  # sums that are worked on at a time, so that they stay in the cache


def product_in_order(x: Float32s, w: Float32s) -> Float32s:
    """sums[j, i] = ((0 + x[0, j] * w[0, i]) + x[1, j] * w[1, i]) + ..., whichever of the two has the longer rows.

    Both have rows that are contiguous in memory; of the sums rows or columns are.
    """
    if x.shape[1] > w.shape[1]:
        return in_order(x, w).T
    return in_order(w, x)


def in_order(a: Float32s, b: Float32s) -> Float32s:
    """sums[j, i] = ((0 + a[0, i] * b[0, j]) + a[1, i] * b[1, j]) + ..., with rows of `a` contiguous in memory.

    Quick where a row of `a` is long.

    >>> in_order(np.float32([[2**24], [1], [-(2**24)]]), np.float32([[1], [1], [1]]))    # 2**24 + 1 is 2**24
    array([[0.]], dtype=float32)
    """
    (count, inner), outer = a.shape, b.shape[1]
    if inner == 1:  # an axis of one is none, and the sum would be the inner loop
        return in_order(np.repeat(a, 2, axis=1), b)[:, :1]
    if not _EINSUM_ROUNDS or 0 in (inner, outer, count):
        return _in_two_passes(a, b)
    sums = np.empty((outer, inner), np.float32)
    step = max(1, _BLOCK // inner)
    for start in range(0, outer, step):
        np.einsum("ki,ko->oi", a, b[:, start : start + step], out=sums[start : start + step])
    return sums


def taps_in_order(x: Float32s, w: Float32s, sums: Float32s) -> None:
    """sums[n, h, i] = (0 + x[n, 0, 0, h, i] * w[0, 0, i]) + x[n, 0, 1, h, i] * w[0, 1, i] + ..., tap after tap.

    Numbers along the last axis are contiguous in memory, w and `sums` as a whole. One tap of x lies further from the
    next than one number does, and a row of taps further than a tap, or `einsum` would take them in another order.
    """
    if x.shape[-1] == 1:  # an axis of one is none, and the sum would be the inner loop
        twice = np.empty((*sums.shape[:2], 2), np.float32)
        taps_in_order(np.repeat(x, 2, axis=-1), np.repeat(w, 2, axis=-1), twice)
        sums[:] = twice[..., :1]
    elif not _EINSUM_ROUNDS or 0 in x.shape:
        _taps_in_two_passes(x, w, sums)
    else:
        np.einsum("nabhi,abi->nhi", x, w, out=sums)


def _in_two_passes(a: Float32s, b: Float32s) -> Float32s:
    """As `in_order`."""
    sums = np.zeros((b.shape[1], a.shape[1]), np.float32)
    products = np.empty_like(sums)
    for row, column in zip(a, b):
        np.multiply(row, column[:, None], out=products)
        np.add(sums, products, out=sums)
    return sums


def _taps_in_two_passes(x: Float32s, w: Float32s, sums: Float32s) -> None:
    """As `taps_in_order`."""
    sums[:] = 0
    products = np.empty_like(sums)
    for a, b in np.ndindex(w.shape[:2]):
        np.multiply(x[:, a, b], w[a, b], out=products)
        np.add(sums, products, out=sums)


def _einsum_rounds() -> bool:
    """Whether `einsum` gives the bits of two passes where fused multiply-add, or another order, would not."""
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((61, 83), np.float32), rng.standard_normal((61, 7), np.float32)
    x, w = rng.standard_normal((2, 5, 7, 2, 83), np.float32), rng.standard_normal((5, 7, 83), np.float32)
    for i in (2, 3, 8, 31, 83):
        rows, seen, taps = a[:, :i].copy(), x[..., :i].copy(), w[..., :i].copy()
        sums = np.empty((2, 2, i), np.float32)
        _taps_in_two_passes(seen, taps, sums)
        if not np.array_equal(np.einsum("ki,ko->oi", rows, b), _in_two_passes(rows, b)):
            return False
        if not np.array_equal(np.einsum("nabhi,abi->nhi", seen, taps), sums):
            return False
    return True


_EINSUM_ROUNDS = _einsum_rounds()
