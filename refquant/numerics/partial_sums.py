"""Float32 sums of products in several partial sums, as a vector register keeps them: product k goes to sum k modulo n.

As in `refquant.numerics.ordered_products` every product and every sum is rounded, and `einsum` does it where the NumPy
at hand turns out to round.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float32s = npt.NDArray[np.float32]


def in_partial_sums(a: Float32s, b: Float32s) -> Float32s:
    """sums[n, i] = ((0 + a[0, n, i] * b[0, n]) + a[1, n, i] * b[1, n]) + ..., with `a` contiguous in memory.

    >>> in_partial_sums(np.float32([[[2**24], [3]], [[1], [4]]]), np.float32([[1, 1], [1, 1]]))    # 2**24 + 1 is 2**24
    array([[1.6777216e+07],
           [7.0000000e+00]], dtype=float32)
    """
    if not _EINSUM_ROUNDS or a.shape[2] < 2 or a.size == 0:
        return _in_two_passes(a, b)
    sums: Float32s = np.einsum("kni,kn->ni", a, b)
    return sums


def _in_two_passes(a: Float32s, b: Float32s) -> Float32s:
    """As `in_partial_sums`."""
    sums = np.zeros(a.shape[1:], np.float32)
    products = np.empty_like(sums)
    for row, factors in zip(a, b):
        np.multiply(row, factors[:, None], out=products)
        np.add(sums, products, out=sums)
    return sums


def _einsum_rounds() -> bool:
    """Whether `einsum` gives the bits of two passes where fused multiply-add, or another order, would not."""
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((61, 8, 83), np.float32), rng.standard_normal((61, 8), np.float32)
    return all(
        np.array_equal(np.einsum("kni,kn->ni", some, b), _in_two_passes(some, b))
        for some in (a[..., :rows].copy() for rows in (2, 3, 8, 31, 83))
    )


_EINSUM_ROUNDS = _einsum_rounds()
