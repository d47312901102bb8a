"""Rounding, offset, zero point and clamp in as few passes of float64 as there can be, for sums whose bound proves that
nothing is lost: the same numbers as `fixed_point.double_rounding`, its relatives, `float64_rounding` and
`float32_rounding` give.

A quantized sum s becomes y = clamp(zero_point + round((s + offset) * M)), M = multiplier / 2**31 * 2**shift. Float64
holds whole numbers up to 2**53, and products with M are whole numbers of units of 2**(shift - 31): as long as
(|s| + |offset|) * multiplier stays below 2**52, no product and no sum of products is rounded. Where sums may be larger
it is enough that y has long reached an end of its range by then: all steps are monotone, so it stays there.

Every `Rounding` gives t = y - low, which may have a fraction and is to be cut off to whole numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.numerics.fixed_point import (
    Requantize,
    double_rounding,
    double_rounding_by_eights,
    double_rounding_upwards,
    float32_rounding,
    float64_rounding,
    rounds_halves_away,
)

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Steps = Callable[[Floats, "list[Floats]"], None]

_TWICE = (double_rounding, double_rounding_upwards, double_rounding_by_eights)
_EXACT = 2.0**52  # half of what float64 holds, so that these bounds may be computed in float64 themselves


@dataclass(frozen=True, slots=True)
class Rounding:
    """`steps` change sums [..., channels] in place to y - low, with `constants`, each a number for each channel."""

    steps: Steps
    constants: list[Floats]


@dataclass(frozen=True, slots=True)
class Range:
    """The zero point of an output and the lowest and highest number that it may hold."""

    zero_point: int
    low: int
    high: int


def quick_rounding(
    rule: Requantize, multiplier: Array, shift: Array, offset: Array, bound: Array, range: Range
) -> Rounding | None:
    """The quick way to round whole sums |s| <= bound, each argument an array of a number for each channel.

    None where there is none for the rule, or no proof for these numbers.
    """
    size = bound.astype(np.float64) + np.abs(offset.astype(np.float64))
    if not 0 <= range.high - range.low < 2**16:  # beside larger numbers, the 2**-34 beyond a tie would be lost
        return None
    if np.any(size * np.exp2(np.maximum(shift, 0)) >= 2.0**31):  # would wrap
        return None
    multiplier, offset = multiplier.astype(np.float64), offset.astype(np.float64)
    if rule in _TWICE:
        if range.low >= range.zero_point:
            return _one_sided(multiplier, shift, offset, size, range)
        return _two_sided(multiplier, shift, offset, size, range, rounds_halves_away(rule, len(multiplier)))
    if rule is float64_rounding:
        return _in_float64(np.ldexp(multiplier, shift), offset, size, range)
    if rule is float32_rounding:
        return _in_float32(multiplier, offset, range)
    return None


def _one_sided(multiplier: Floats, shift: Array, offset: Floats, size: Floats, range: Range) -> Rounding | None:
    """y = floor(s * M + constant) where only numbers from the zero point up are kept, as after a RELU.

    With n = -shift, the first rounding gives v = floor((s + offset) * M * 2**n + 1/2), and the second k or more where
    v >= (k - 1/2) * 2**n, for k > 0. So the two come to one: (s + offset) * M >= k - 1/2 - 2**-(n + 1).
    """
    between = range.low - range.zero_point
    if not _is_proved(multiplier, shift, offset, size, np.ldexp(between + 1.0, 31 - shift), range):
        return None
    factor = np.ldexp(multiplier, shift - 31)
    early = np.where(shift < 0, np.ldexp(0.5, np.minimum(shift, 0)), 0)

    def steps(s: Floats, constants: list[Floats]) -> None:
        factor, constant = constants
        s *= factor
        s += constant

    return Rounding(steps, [factor, offset * factor + (0.5 + early - between)])


def _two_sided(
    multiplier: Floats, shift: Array, offset: Floats, size: Floats, range: Range, away: npt.NDArray[np.bool_]
) -> Rounding | None:
    """Both roundings, one after the other.

    Where the second must take halves `away` from zero, v / 2**n is made larger by a factor of 1 + 2**-33 on the way, so
    that a tie lies beyond the half. Nothing else crosses a half, because |v| < 2**31 keeps it at least 2**-n away, and
    the factor moves it by less than a quarter of that.
    """
    if not _is_proved(multiplier, shift, offset, size, np.exp2(30.0 - np.maximum(shift, 0)), range):
        return None
    first = np.ldexp(multiplier, np.maximum(shift, 0) - 31)
    second = np.ldexp(np.where(away, 1 + 2.0**-33, 1.0), np.minimum(shift, 0))
    up = np.full_like(second, range.zero_point - range.low + 0.5)

    def steps(s: Floats, constants: list[Floats]) -> None:
        first, half, second, up = constants
        s *= first
        s += half
        np.floor(s, out=s)
        s *= second
        s += up

    return Rounding(steps, [first, offset * first + 0.5, second, up])


def _in_float64(real: Floats, offset: Floats, size: Floats, range: Range) -> Rounding | None:
    """round((s + offset) * real), the product rounded to float64, halves away from zero.

    Adding the number before 1/2 instead of 1/2 keeps what lies just below a half from being lifted by the addition.
    """
    if np.any(size * real >= 2.0**31):
        return None
    before_half = np.nextafter(0.5, 0)
    up = np.full_like(real, range.zero_point - range.low)

    def steps(s: Floats, constants: list[Floats]) -> None:
        offset, real, up = constants
        s += offset
        s *= real
        s += np.copysign(before_half, s)
        np.trunc(s, out=s)
        s += up

    return Rounding(steps, [offset, real, up])


def _in_float32(real: Floats, offset: Floats, range: Range) -> Rounding:
    """round(float32(s + offset) * real), the product rounded to float32, halves to even; `real` are float32 numbers."""
    up = np.full_like(real, range.zero_point - range.low)

    def steps(s: Floats, constants: list[Floats]) -> None:
        offset, real, up = constants
        s += offset
        narrow = s.astype(np.float32)
        np.multiply(narrow, real, out=narrow, dtype=np.float32, casting="same_kind")
        np.rint(narrow, out=narrow)
        np.add(narrow, up, out=s)

    return Rounding(steps, [offset, real, up])


def _is_proved(multiplier: Floats, shift: Array, offset: Floats, size: Floats, constants: Floats, range: Range) -> bool:
    """Whether sums of this size are exact in units of 2**(shift - 31), with constants of so many units added.

    If not all are, those up to a limit must be, and y be at the ends of its range by then.
    """
    exact = size * multiplier + constants < _EXACT
    limit = (_EXACT - constants) / np.maximum(multiplier, 1)
    reached = (limit - 2 * np.abs(offset)) * np.ldexp(multiplier, shift - 31)
    wanted = max(range.high - range.zero_point, range.zero_point - range.low) + 2
    return bool(np.all(exact | (reached > wanted)))
