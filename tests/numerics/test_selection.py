"""Limits of float32 numbers, wherever in memory they lie."""

from __future__ import annotations

import numpy as np
import pytest

from refquant.numerics.selection import limited

X = np.arange(-12, 12, dtype=np.float32).reshape(2, 3, 4)


@pytest.mark.parametrize("axes", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
@pytest.mark.parametrize("low, high", [(0, np.inf), (0, 6), (-1, 1)])
def test_numbers_in_any_order(axes: tuple[int, ...], low: float, high: float) -> None:
    x = X.copy().transpose(axes)
    expected = np.clip(x, low, high)
    assert np.array_equal(limited(x, low, high), expected)
    out = np.zeros_like(x)
    assert limited(x, low, high, out) is not None and np.array_equal(out, expected)
    limited(x, low, high, x)
    assert np.array_equal(x, expected)


def test_every_second_number() -> None:
    numbers = X.copy()
    limited(numbers[..., ::2], -1, 1, numbers[..., ::2])
    assert np.array_equal(numbers[..., ::2], np.clip(X[..., ::2], -1, 1))
    assert np.array_equal(numbers[..., 1::2], X[..., 1::2])
