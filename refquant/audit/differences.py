"""How far two arrays are from each other: in steps of integers, in units in the last place of floats."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """How many elements differ in their bits, and by how much at most.

    `steps` counts representable numbers from one value to the other: steps of the scale for integers (`unit` "LSB"),
    units in the last place for floats ("ULP"), where 0 is the sign of a zero and infinity a NaN against a number.
    `absolute` is the largest difference as numbers. Strings have no unit. All NaNs are one. `mismatch` says how types
    or shapes differ, which makes every element differ.
    """

    elements: int = 0
    different: int = 0
    steps: float = 0
    absolute: float = 0.0
    unit: str = ""
    mismatch: str = ""

    def __add__(self, other: Difference) -> Difference:
        return Difference(
            self.elements + other.elements,
            self.different + other.different,
            max(self.steps, other.steps),
            max(self.absolute, other.absolute),
            self.unit or other.unit,
            self.mismatch or other.mismatch,
        )

    def __str__(self) -> str:
        """For people, such as "3 of 100 elements, by up to 2 LSB"."""
        if self.mismatch:
            return self.mismatch
        return f"{self.different:,} of {self.elements:,} elements" + (self.by and f", by up to {self.by}")

    @property
    def by(self) -> str:
        """The largest difference, for people: "2 LSB", of floats "3 ULP (1.2e-07)"; empty where it has no measure."""
        if not self.different or not self.unit:
            return ""
        absolute = f" ({self.absolute:.2g})" if self.unit == "ULP" else ""
        return f"{self.steps:,.0f} {self.unit}{absolute}"


def difference(expected: Array, actual: Array, *, bfloat16: bool = False) -> Difference:
    """How `actual` differs from `expected`; `bfloat16` says that both hold the bits of such numbers.

    >>> difference(np.array([1, 5], np.int8), np.array([1, 3], np.int8))
    Difference(elements=2, different=1, steps=2, absolute=2.0, unit='LSB', mismatch='')
    >>> str(difference(np.float32([1, 2]), np.float32([1, 2.0000002])))
    '1 of 2 elements, by up to 1 ULP (2.4e-07)'
    """
    if expected.dtype.kind != actual.dtype.kind or expected.dtype.itemsize != actual.dtype.itemsize:
        return _mismatch(expected, f"type {actual.dtype} instead of {expected.dtype}")
    if expected.shape != actual.shape:
        return _mismatch(expected, f"shape {actual.shape} instead of {expected.shape}")
    if expected.dtype.kind == "c":
        parts = [difference(e, a) for e, a in ((expected.real, actual.real), (expected.imag, actual.imag))]
        unequal = (bits(expected) != bits(actual)).any(axis=0)
        steps, absolute = max(part.steps for part in parts), _furthest(expected[unequal], actual[unequal])
        return Difference(expected.size, int(np.count_nonzero(unequal)), steps, absolute, "ULP")
    unequal = bits(expected) != bits(actual)
    count = int(np.count_nonzero(unequal))
    unit = "" if expected.dtype == object else "ULP" if expected.dtype.kind == "f" or bfloat16 else "LSB"
    if not count or not unit:
        return Difference(expected.size, count, unit=unit)
    e, a = expected[unequal], actual[unequal]
    if bfloat16:  # the upper half of a float32, whose order is that of the whole
        steps = _most_steps(e.view(np.int16), a.view(np.int16))
        wide = [(array.astype(np.uint32) << 16).view(np.float32) for array in (e, a)]
        one_is_nan = np.isnan(wide[0]) != np.isnan(wide[1])
        return Difference(expected.size, count, math.inf if one_is_nan.any() else steps, _furthest(*wide), unit)
    if unit == "ULP":
        if (np.isnan(e) != np.isnan(a)).any():
            return Difference(expected.size, count, math.inf, _furthest(e, a), unit)
        signed = f"i{e.itemsize}"
        return Difference(expected.size, count, _most_steps(e.view(signed), a.view(signed)), _furthest(e, a), unit)
    kind = object if e.itemsize == 8 else np.int64
    steps = int(np.abs(e.astype(kind) - a.astype(kind)).max())
    return Difference(expected.size, count, steps, float(steps), unit)


def bits(array: Array) -> Array:
    """Floats as the integers that hold their bits, with one NaN for all of them; other arrays as they are.

    Complex numbers are their two parts along a new first dimension.
    """
    if array.dtype.kind == "c":
        return np.stack([bits(array.real), bits(array.imag)])
    if array.dtype.kind != "f":
        return array
    return np.where(np.isnan(array), np.nan, array).astype(array.dtype).view(f"u{array.itemsize}")


def _mismatch(expected: Array, what: str) -> Difference:
    return Difference(expected.size, expected.size, mismatch=what)


def _most_steps(expected: Array, actual: Array) -> int:
    """The largest distance in the order of floats, from their bits as signed integers of any width."""
    lowest = int(np.iinfo(expected.dtype).min)
    wide = object if expected.dtype.itemsize == 8 else np.int64
    ordered = [np.where(a < 0, lowest - a.astype(wide), a.astype(wide)) for a in (expected, actual)]
    return int(np.abs(ordered[0] - ordered[1]).max())


def _furthest(expected: Array, actual: Array) -> float:
    """The largest difference as numbers, not counting NaNs."""
    kind = np.complex128 if expected.dtype.kind == "c" else np.float64
    with np.errstate(all="ignore"):
        gap = np.abs(actual.astype(kind) - expected.astype(kind))
    return float(np.nanmax(gap, initial=0.0)) if gap.size else 0.0
