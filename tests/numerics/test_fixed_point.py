"""Multiplying integers by real numbers: against exact rational arithmetic, and at the edges."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refquant.numerics.fixed_point import (
    divide_by_power_of_two,
    double_rounding,
    float64_rounding,
    high_multiply,
    multiplier_for,
    quantize_multiplier,
    single_rounding,
    wide,
)

int32s = st.integers(-(2**31), 2**31 - 1) | st.sampled_from([-(2**31), 2**31 - 1, 0, 1, -1])
multipliers = st.integers(2**30, 2**31 - 1) | st.sampled_from([2**30, 2**31 - 1, 0])


def half_up(x: Fraction) -> int:
    return floor(x + Fraction(1, 2))


def half_away(x: Fraction) -> int:
    return half_up(x) if x >= 0 else -half_up(-x)


@pytest.mark.parametrize(
    ("real", "multiplier", "shift"),
    [
        (0.0, 0, 0),
        (1.0, 2**30, 1),
        (0.5, 2**30, 0),
        (1 - 2.0**-31, 2**31 - 1, 0),
        (1 - 2.0**-32, 2**30, 1),  # a tie of the mantissa: away from zero, to 2**31, which becomes 2**30
        (2.0**-32, 2**30, -31),
        (2.0**-32 - 2.0**-60, 2**31 - 1 - 7, -32),
        (2.0**40, 2**30, 41),
        (-0.75, -3 * 2**29, 0),
    ],
)
def test_quantize_multiplier(real: float, multiplier: int, shift: int) -> None:
    expected = (0, 0) if shift < -31 else (multiplier, shift)
    assert tuple(int(n) for n in quantize_multiplier(real)) == expected


@given(st.floats(2.0**-31, 2.0**31))
def test_quantize_multiplier_is_the_nearest(real: float) -> None:
    multiplier, shift = (int(n) for n in quantize_multiplier(real))
    assert 2**30 <= multiplier < 2**31
    error = abs(Fraction(multiplier) * Fraction(2) ** (shift - 31) - Fraction(real))
    assert error <= Fraction(2) ** (shift - 32)


@given(int32s, int32s)
def test_high_multiply(a: int, b: int) -> None:
    expected = min(half_up(Fraction(a * b, 2**31)), 2**31 - 1)
    assert int(high_multiply(np.int32(a), np.int32(b))) == expected


@given(int32s, st.integers(0, 31))
def test_divide_by_power_of_two(x: int, exponent: int) -> None:
    assert int(divide_by_power_of_two(np.int32(x), np.int32(exponent))) == half_away(Fraction(x, 2**exponent))


@given(int32s, multipliers, st.integers(-31, 0))
def test_rules_for_32_bits(x: int, multiplier: int, shift: int) -> None:
    numbers = np.array([x], np.int32), np.int32(multiplier), np.int32(shift)
    high = half_up(Fraction(x * multiplier, 2**31))
    assert int(double_rounding(*numbers)[0]) == half_away(Fraction(high, 2**-shift))
    assert int(single_rounding(*numbers)[0]) == half_up(Fraction(x * multiplier, 2 ** (31 - shift)))


@given(st.integers(-(2**47), 2**47 - 1), multipliers, st.integers(-31, -17))
def test_rule_for_64_bits(x: int, multiplier: int, shift: int) -> None:
    reduced = min(half_up(Fraction(multiplier, 2**16)), 0x7FFF)
    expected = half_up(Fraction(x * reduced, 2 ** (15 - shift)))
    assert int(wide(np.array([x]), np.int32(multiplier), np.int32(shift))[0]) == expected


def test_left_shift_wraps() -> None:
    """2**30 * 4 leaves 32 bits: nothing of it is left (recorded from CONV_2D of tensorflow 2.21.0, BUILTIN_REF)."""
    assert double_rounding(np.int32([2**30, 2**29 + 1]), *quantize_multiplier(2.0)).tolist() == [0, -(2**30) + 2]


def test_float64_out_of_range() -> None:
    """Both ends become the lowest integer, as x86-64 converts."""
    assert float64_rounding(np.int32([2**30, -(2**30), 3]), *np.frexp(2.0)).tolist() == [-(2**31), -(2**31), 6]


def test_float64_rounds_halves_away_and_nothing_else() -> None:
    below_half = np.nextafter(0.5, 0)
    assert float64_rounding(np.int32([1, -1]), *np.frexp(below_half)).tolist() == [0, 0]
    assert float64_rounding(np.int32([1, -1]), *np.frexp(0.5)).tolist() == [1, -1]


def test_multiplier_for() -> None:
    assert multiplier_for(float64_rounding, 0.75) == (0.75, 0)
    assert multiplier_for(double_rounding, 0.75) == (3 * 2**29, 0)


def test_rules_disagree() -> None:
    """The smallest examples: 3/8 and -4/8."""
    eighth = quantize_multiplier(0.125)
    x = np.int32([3, -4])
    assert double_rounding(x, *eighth).tolist() == [1, -1]
    assert single_rounding(x, *eighth).tolist() == [0, 0]
    assert float64_rounding(x, *np.frexp(0.125)).tolist() == [0, -1]
