"""In which order Eigen adds up products, on sums that show it: 2**24 + 1 is 2**24 in float32."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from refquant.numerics import eigen_products, ordered_products, partial_sums
from refquant.numerics.processor import Caches, Processor, with_processor

PRODUCTS = np.array([2**24, 1, -(2**24), 1], np.float32)


@pytest.fixture(autouse=True)
def zen_4() -> Iterator[None]:
    """The sums below are those of the default caches, whatever processor this is."""
    with with_processor(Processor()):
        yield


def sums(rows: int, count: int, products: np.ndarray = PRODUCTS) -> np.ndarray:
    """The product of a matrix of ones with vectors that are all the same, padded to eight and more columns."""
    padded = np.zeros(24, np.float32)
    padded[: products.size] = products
    return eigen_products.matrix_product(np.ones((rows, 24), np.float32), np.tile(padded, (count, 1)))


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
    result = eigen_products.matrix_product(np.ones((2, 8), np.float32), np.tile(vector, (2, 1)))
    np.testing.assert_array_equal(result, np.full((2, 2), 1, np.float32))


def test_long_sums_are_cut() -> None:
    """Of 800 columns the last 400 have a sum of their own: 2**24 + (1 + 1), not (2**24 + 1) + 1."""
    vector = np.zeros(800, np.float32)
    vector[[0, 400, 401]] = 2**24, 1, 1
    result = eigen_products.matrix_product(np.ones((16, 800), np.float32), np.tile(vector, (4, 1)))
    np.testing.assert_array_equal(result, np.full((4, 16), 2**24 + 2, np.float32))


def test_larger_caches_cut_later() -> None:
    """48 KiB hold 608 columns: the first block of 1000 has 504 of them, where 32 KiB allow 336."""
    vector = np.zeros(1000, np.float32)
    vector[[0, 400, 401]] = 2**24, 1, 1
    with with_processor(Processor(Caches(first=48 * 1024))):
        result = eigen_products.matrix_product(np.ones((16, 1000), np.float32), np.tile(vector, (4, 1)))
    np.testing.assert_array_equal(result, np.full((4, 16), 2**24, np.float32))


def contraction(vector: np.ndarray, rows: int, count: int, threads: int = 4) -> np.ndarray:
    """A matrix of ones times `count` vectors that are all the same, as a contraction."""
    ones = np.ones((rows, vector.size), np.float32)
    product = eigen_products.planned_contraction(ones, count, threads, patches=False)
    return np.concatenate([sums for _, sums in product(lambda begin, end: np.tile(vector, (end - begin, 1)))])


def test_a_contraction_on_threads_is_cut_sooner() -> None:
    """Of 800 columns 320 have a sum of their own: 2**24 + (1 + 1), where 400 columns would lose each 1."""
    vector = np.zeros(800, np.float32)
    vector[[0, 320, 321]] = 2**24, 1, 1
    np.testing.assert_array_equal(contraction(vector, 64, 4096), np.full((4096, 64), 2**24 + 2, np.float32))
    alone = contraction(vector, 64, 4096, threads=1)
    np.testing.assert_array_equal(alone, np.full((4096, 64), 2**24, np.float32))


def test_rows_are_shared_out_in_blocks_that_a_cache_holds() -> None:
    """1280 rows go in blocks of 196: the last four of each keep even and odd products apart."""
    vector = np.zeros(320, np.float32)
    vector[:4] = PRODUCTS
    row = np.full(1280, 1, np.float32)
    row[[r for r in range(1280) if r % 196 >= 192 or r >= 6 * 196 + 96]] = 2
    np.testing.assert_array_equal(contraction(vector, 1280, 49)[0], row)


def test_few_rows_and_vectors_share_out_the_columns() -> None:
    """Four parts are added in pairs: (2**24 + 1) + (1 + 1), and 2**24 + 1 is 2**24."""
    vector = np.zeros(40000, np.float32)
    vector[[0, 10000, 20000, 30000]] = 2**24, 1, 1, 1
    np.testing.assert_array_equal(contraction(vector, 16, 4), np.full((4, 16), 2**24 + 2, np.float32))


def test_a_contraction_with_one_vector_goes_by_columns() -> None:
    """Of 128 columns and more each 16 have a sum of their own."""
    vector = np.zeros(128, np.float32)
    vector[[0, 16, 17]] = 2**24, 1, 1
    np.testing.assert_array_equal(contraction(vector, 8, 1), np.full((1, 8), 2**24 + 2, np.float32))


def test_both_ways_to_partial_sums_agree() -> None:
    rng = np.random.default_rng(7)
    for count, rows in [(1, 2), (5, 7), (90, 3), (33, 64), (0, 5), (9, 1)]:
        a, b = rng.standard_normal((count, 8, rows), np.float32), rng.standard_normal((count, 8), np.float32)
        quick, slow = partial_sums.in_partial_sums(a, b), partial_sums._in_two_passes(a, b)
        assert quick.dtype == np.float32 and np.array_equal(quick.view(np.uint32), slow.view(np.uint32))
    minus = np.full((2, 8, 3), -0.0, np.float32)
    assert not np.signbit(partial_sums.in_partial_sums(minus, np.ones((2, 8), np.float32))).any()  # 0 + -0 is 0


def test_both_ways_to_sum_in_order_agree() -> None:
    rng = np.random.default_rng(0)
    for inner, outer, count in ((2, 5, 9), (7, 1, 300), (40000, 2, 3), (96, 700, 33)):
        a, b = rng.standard_normal((count, inner), np.float32), rng.standard_normal((outer, count), np.float32).T
        quick, slow = ordered_products.in_order(a, b), ordered_products._in_two_passes(a, b)
        assert quick.tobytes() == slow.tobytes()
