"""Quantizing and dequantizing, with numbers that one can check by hand."""

from __future__ import annotations

import numpy as np
import pytest

from refquant.numerics import affine


def test_halves_go_away_from_zero() -> None:
    x = np.float32([0.5, 1.5, -0.5, -1.5, 0.49999997, -0.49999997])
    assert affine.quantize(x, np.float32(1), 0, np.int8).tolist() == [1, 2, -1, -2, 0, 0]


@pytest.mark.parametrize(
    ("dtype", "low", "high"), [(np.int8, -128, 127), (np.uint8, 0, 255), (np.int16, -32768, 32767)]
)
def test_saturation(dtype: type[np.generic], low: int, high: int) -> None:
    assert affine.quantize(np.float32([-1e6, 1e6]), np.float32(1), 0, dtype).tolist() == [low, high]


def test_what_int32_cannot_hold_is_its_lowest_number() -> None:
    """As x86-64 converts: also from above, and for NaN; with a zero point below 0 the sum wraps."""
    x = np.float32([3e9, -3e9, np.inf, np.nan])
    assert affine.quantize(x, np.float32(1), 0, np.int8).tolist() == [-128] * 4
    assert affine.quantize(x, np.float32(1), -1, np.int8).tolist() == [127] * 4


def test_per_channel() -> None:
    scales, zeros = np.float32([[0.5, 2.0]]), np.array([[0, 10]])
    q = affine.quantize(np.float32([[1, 1], [-1, 4]]), scales, zeros, np.int8)
    assert q.tolist() == [[2, 11], [-2, 12]]  # 1 / 2 is a half and goes up
    assert affine.dequantize(q, scales, zeros).tolist() == [[1.0, 2.0], [-1.0, 4.0]]


def test_dequantize_is_the_inverse_on_all_values() -> None:
    q = np.arange(-128, 128).astype(np.int8)
    scale = np.float32(0.0371)
    assert np.array_equal(affine.quantize(affine.dequantize(q, scale, 7), scale, 7, np.int8), q)
