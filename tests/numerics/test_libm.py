"""expf, expm1f, tanhf, logf, sinf, cosf, erfcf, powf and atan2f against the C library of this machine, where that is the GNU one."""

from __future__ import annotations

import ctypes
import platform
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from refquant.numerics import error_function, libm, logarithm, trigonometry

FUNCTIONS = {
    "expf": libm.exp,
    "expm1f": libm.expm1,
    "tanhf": libm.tanh,
    "logf": logarithm.log,
    "sinf": trigonometry.sin,
    "cosf": trigonometry.cos,
    "erfcf": error_function.erfc,
}
OF_TWO = {"powf": logarithm.pow, "atan2f": trigonometry.atan2}
SPECIAL = np.float32([0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 2, -2, 3, -3, 0.5, -0.5, 1e-45, -1e-45, 3e38, 2**24 + 2])


def version() -> tuple[int, ...]:
    library, number = platform.libc_ver()
    return tuple(int(n) for n in number.split(".")) if library == "glibc" else ()


def c_function(name: str) -> Any:
    if not (2, 28) <= version() <= (2, 40):
        pytest.skip(f"the C library is not glibc 2.28 to 2.40: {platform.libc_ver()}")
    function = getattr(ctypes.CDLL("libm.so.6"), name)
    arguments = 2 if name in OF_TWO else 1
    function.restype, function.argtypes = ctypes.c_float, [ctypes.c_float] * arguments
    return function


def assert_same_bits(name: str, *x: npt.NDArray[np.float32]) -> None:
    function = c_function(name)
    expected = np.fromiter((function(*v) for v in zip(*(array.tolist() for array in x))), np.float32, x[0].size)
    actual = (FUNCTIONS | OF_TWO)[name](*x)
    both_nan = np.isnan(expected) & np.isnan(actual)
    different = (expected.view(np.uint32) != actual.view(np.uint32)) & ~both_nan
    assert not different.any(), [[float(v).hex() for v in array[different][:5]] for array in x]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_all_exponents(name: str) -> None:
    """150,000 floats, evenly spaced among all bit patterns."""
    assert_same_bits(name, np.arange(7, 2**32, 28631, dtype=np.uint64).astype(np.uint32).view(np.float32))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_interval_that_matters(name: str) -> None:
    """100,000 floats from -20 to 20."""
    assert_same_bits(name, np.random.default_rng(0).uniform(-20, 20, 100_000).astype(np.float32))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_edges(name: str) -> None:
    """Both sides of each bound where an algorithm changes its way, and the numbers that are none."""
    bounds = np.float32(
        [
            2**-55,
            2**-25,
            0.5 * np.log(2),
            1.5 * np.log(2),
            0.25,
            1,
            22,
            27 * np.log(2),
            56 * np.log(2),
            88.7228,
            103.972,
        ]
    )
    around = np.concatenate([np.nextafter(bounds, np.float32(0)), bounds, np.nextafter(bounds, np.float32(1e9))])
    special = np.float32([0, np.inf, np.nan, 1e-45, np.finfo(np.float32).max])
    x = np.concatenate([around, special])
    assert_same_bits(name, np.concatenate([x, -x]))


def test_exp_of_known_numbers() -> None:
    """Rounded by hand from e = 2.718281828459045 and exp(-1) = 0.36787944117144233."""
    assert libm.exp(np.float32([0, 1, -1])).tolist() == [1.0, float(np.float32(np.e)), float(np.float32(np.exp(-1.0)))]


def test_logistic_of_known_numbers() -> None:
    assert libm.logistic(np.float32([0, 100, -100])).tolist() == [0.5, 1.0, 0.0]  # exp(100) is infinite


@pytest.mark.parametrize("name", OF_TWO)
def test_two_arguments(name: str) -> None:
    """All pairs of special numbers; 100,000 pairs of any bits; 100,000 of a size at which powers neither vanish nor
    overflow, with whole exponents among them."""
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(SPECIAL, SPECIAL)
    assert_same_bits(name, x.ravel(), y.ravel())
    x, y = rng.integers(0, 2**32, (2, 100_000), np.uint32).view(np.float32)
    assert_same_bits(name, x, y)
    x = (rng.choice([-1, 1], 100_000) * np.exp(rng.normal(0, 3, 100_000))).astype(np.float32)
    y = rng.normal(0, 5, 100_000).astype(np.float32)
    assert_same_bits(name, x, np.where(rng.random(100_000) < 0.3, np.rint(y), y).astype(np.float32))
