"""Sums of integer products: every way of summing against Python's integers, and the proof that chooses the way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refquant.kernels import products
from refquant.kernels.products import IntegerProduct

INT8 = st.integers(-128, 127)


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The limits of exact integers as they are without `--way`."""
    monkeypatch.setattr(products, "MOST_PIECES", 4)
    monkeypatch.setattr(products, "EXACT", {"float32": 2**24, "float64": 2**53})
    return products.EXACT


def exact_sums(x: np.ndarray, w: np.ndarray) -> list[list[int]]:
    return [[sum(int(a) * int(b) for a, b in zip(row, column)) for column in w.T] for row in x]


@given(st.integers(0, 5), st.integers(0, 40), st.integers(1, 5), st.randoms(use_true_random=False))
@pytest.mark.parametrize("float32, float64", [(2**24, 2**53), (2**17, 2**53), (0, 2**53), (0, 0)])
def test_all_ways_give_the_same_sums(
    float32: int, float64: int, rows: int, terms: int, outputs: int, random: object
) -> None:
    rng = np.random.default_rng(random.getrandbits(32))  # type: ignore[attr-defined]
    x = rng.integers(-128, 127, (rows, terms), endpoint=True)
    w = rng.integers(-128, 127, (terms, outputs), endpoint=True).astype(np.int8)
    before = dict(products.EXACT)
    try:
        products.EXACT.update(float32=float32, float64=float64)
        product = IntegerProduct(w, 128)
        sums = product(x.astype(product.dtype))
    finally:
        products.EXACT.update(before)
    assert sums.tolist() == exact_sums(x, w)
    assert np.all(np.abs(sums) <= product.bounds)


def test_the_bound_is_that_of_the_weights() -> None:
    w = np.int8([[127, 1], [-128, 0]])
    assert IntegerProduct(w, 128).bounds.tolist() == [255 * 128, 128]


@pytest.mark.parametrize("terms, dtype, ways", [(1031, "float32", 1), (1033, "float32", 2), (5000, "float64", 1)])
def test_the_narrowest_exact_type_is_chosen(limits: dict[str, int], terms: int, dtype: str, ways: int) -> None:
    """128 * 127 * 1032 = 2**24 - 448: one term more would not be exact in one piece, and 4.8 pieces are too many."""
    product = IntegerProduct(np.full((terms, 1), 127, np.int8), 128)
    assert product.dtype == dtype and len(product._factors) == ways
    sums = product(np.full((1, terms), -128, product.dtype))
    assert sums.tolist() == [[-128 * 127 * terms]]


def test_the_largest_sum_in_float32_is_odd(limits: dict[str, int]) -> None:
    """2**24 - 1 by steps of one: any rounding on the way would be seen."""
    w = np.ones((2**24 // 255, 1), np.int8)
    x = np.full((1, len(w)), 255, np.float32)
    x[0, -1] = 254
    assert IntegerProduct(w, 255)(x).tolist() == [[len(w) * 255 - 1]]


def test_int16_needs_float64(limits: dict[str, int]) -> None:
    product = IntegerProduct(np.full((64, 1), 127, np.int8), 32768)
    assert product.dtype == np.float64
    limits["float64"] = 0
    assert IntegerProduct(np.full((64, 1), 127, np.int8), 32768).dtype == np.int64
