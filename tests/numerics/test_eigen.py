"""In which order Eigen adds up products, on sums that show it: 2**24 + 1 is 2**24 in float32."""

from __future__ import annotations

import numpy as np
import pytest

from refquant.numerics import eigen

PRODUCTS = np.array([2**24, 1, -(2**24), 1], np.float32)


def sums(rows: int, count: int, products: np.ndarray = PRODUCTS) -> np.ndarray:
    """The product of a matrix of ones with vectors that are all the same, padded to eight and more columns."""
    padded = np.zeros(24, np.float32)
    padded[: products.size] = products
    return eigen.matrix_product(np.ones((rows, 24), np.float32), np.tile(padded, (count, 1)))


def test_sixteen_rows_go_one_by_one() -> None:
    """2**24 + 1 - 2**24 + 1 = 1: the first 1 is lost."""
    np.testing.assert_array_equal(sums(16, 4), np.full((4, 16), 1, np.float32))


@pytest.mark.parametrize("rows", [17, 19, 20, 24, 28, 31])
def test_remaining_rows_keep_even_and_odd_products_apart(rows: int) -> None:
    """2**24 - 2**24 and 1 + 1, but only for vectors by four."""
    expected = np.full((5, rows), 1, np.float32)
    expected[:4, 16:] = 2
    np.testing.assert_array_equal(sums(rows, 5), expected)


def test_last_rows_have_eight_partial_sums() -> None:
    """(2**24 + 1) + (-2**24 - 1) = 0 for products 0, 2, 4 and 6; in their order it is -1, as the 1 is lost."""
    result = sums(21, 4, np.array([2**24, 0, 1, 0, -(2**24), 0, -1, 0], np.float32))
    np.testing.assert_array_equal(result[:, :20], np.full((4, 20), -1, np.float32))
    np.testing.assert_array_equal(result[:, 20:], np.full((4, 1), 0, np.float32))


def test_small_products_fold_by_halves() -> None:
    """Products 0 and 4 first: 2**24 - 2**24, and 1 + 0."""
    vector = np.array([2**24, 1, 0, 0, -(2**24), 0, 0, 0], np.float32)
    result = eigen.matrix_product(np.ones((2, 8), np.float32), np.tile(vector, (2, 1)))
    np.testing.assert_array_equal(result, np.full((2, 2), 1, np.float32))


def test_long_sums_are_cut() -> None:
    """Of 800 columns the last 400 have a sum of their own: 2**24 + (1 + 1), not (2**24 + 1) + 1."""
    vector = np.zeros(800, np.float32)
    vector[[0, 400, 401]] = 2**24, 1, 1
    result = eigen.matrix_product(np.ones((16, 800), np.float32), np.tile(vector, (4, 1)))
    np.testing.assert_array_equal(result, np.full((4, 16), 2**24 + 2, np.float32))
