"""The quick roundings against the rules that they stand for, at random and where a rounding turns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from refquant.kernels.fused_activation import clamp
from refquant.numerics.fixed_point import (
    Requantize,
    double_rounding,
    double_rounding_upwards,
    float64_rounding,
    multiplier_for,
    quantize_multiplier,
    single_rounding,
)
from refquant.numerics.quick_rounding import Range, quick_rounding

RULES = [double_rounding, double_rounding_upwards, float64_rounding]
RANGES = [Range(0, 0, 255), Range(3, 0, 255), Range(-128, -128, 127), Range(-128, -100, -3), Range(-7, -128, 127),
          Range(-7, -6, 40), Range(0, -32768, 32767), Range(0, 0, 32767), Range(127, 127, 127)]  # fmt: skip


def one(n: int) -> npt.NDArray[np.int64]:
    return np.array([n])


def expected(rule: Requantize, real: float, sums: npt.NDArray[np.int64], offset: int, range: Range) -> list[int]:
    multiplier, shift = multiplier_for(rule, real)
    rounded = rule((sums + offset).astype(np.int32), multiplier, shift)
    return clamp(rounded.astype(np.int64) + range.zero_point, range.low, range.high, np.dtype(np.int64)).tolist()


def quick(
    rule: Requantize, real: float, sums: npt.NDArray[np.int64], offset: int, bound: int, range: Range
) -> list[int] | None:
    multiplier, shift = (np.atleast_1d(n) for n in multiplier_for(rule, real))
    rounding = quick_rounding(rule, multiplier, shift, one(offset), one(bound), range)
    if rounding is None:
        return None
    t = sums.astype(np.float64)[:, None]
    rounding.steps(t, rounding.constants)
    return [int(n) + range.low for n in np.clip(t[:, 0], 0, range.high - range.low)]


def turns(real: float, offset: int, bound: int, range: Range) -> npt.NDArray[np.int64]:
    """Sums around those where the result goes up by one."""
    halves = np.arange(range.low - range.zero_point - 2, range.high - range.zero_point + 3) - 0.5
    around = (np.trunc(halves[:: max(1, len(halves) // 600)] / real) - offset)[:, None] + np.arange(-3, 4)
    return np.unique(np.clip(around, -bound, bound)).astype(np.int64)


@pytest.mark.parametrize("range", RANGES, ids=str)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@given(
    mantissa=st.one_of(st.sampled_from([0.5, 0.75, 1 - 2**-31]), st.floats(0.5, 1, exclude_max=True)),
    exponent=st.integers(-20, 3),
    offset=st.one_of(st.just(0), st.integers(-(2**20), 2**20)),
    bound=st.sampled_from([255, 2**15, 2**20, 2**22, 2**24]),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_same_as_the_rule(
    rule: Requantize, range: Range, mantissa: float, exponent: int, offset: int, bound: int, seed: int
) -> None:
    real = mantissa * 2.0**exponent
    rng = np.random.default_rng(seed)
    sums = np.concatenate(
        [turns(real, offset, bound, range), rng.integers(-bound, bound, 200, endpoint=True), [-bound, bound]]
    )
    found = quick(rule, real, sums, offset, bound, range)
    assume(found is not None)  # refusals, of large sums alone, have tests of their own
    assert found == expected(rule, real, sums, offset, range)


@given(st.data())
@settings(max_examples=200)
def test_double_rounding_of_channels(data: st.DataObject) -> None:
    """64 channels, each with a multiplier, a shift and an offset of its own, ties among the sums."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    shift = rng.integers(-31, 10, 64).astype(np.int32)
    multiplier = rng.choice([2**30, 2**30 + 1, 2**31 - 1, *rng.integers(2**30, 2**31, 61)], 64).astype(np.int32)
    limit = np.minimum(2**21, 2 ** (31 - np.maximum(shift, 0).astype(np.int64))) // 2 - 1
    x = rng.integers(-limit, limit, (500, 64), endpoint=True)
    x[:4] = [limit, -limit, limit // 2, -(limit // 2)]
    x[4:200] = (x[4:200] >> rng.integers(0, 22, 64)) << rng.integers(0, 3, 64)
    x = np.clip(x, -limit, limit)
    offset = rng.integers(-limit, limit, endpoint=True)
    range = Range(0, -32768, 32767)
    rounding = quick_rounding(double_rounding, multiplier, shift, offset, limit, range)
    assert rounding is not None
    t = x.astype(np.float64)
    rounding.steps(t, rounding.constants)
    exact = double_rounding((x + offset).astype(np.int32), multiplier, shift)
    np.testing.assert_array_equal(
        np.trunc(np.clip(t, 0, 65535)) + range.low, clamp(exact, range.low, range.high, np.dtype(np.int32))
    )


@pytest.mark.parametrize("shift", range(-9, 1))
@pytest.mark.parametrize("range", RANGES[:6], ids=str)
def test_every_sum_of_some_multipliers(shift: int, range: Range) -> None:
    """All sums up to 2**16, where many products end in a half exactly."""
    sums = np.arange(-(2**16), 2**16 + 1)
    for mantissa in (0.5, 0.625, 0.75, 0.9999999):
        real = mantissa * 2.0**shift
        assert quick(double_rounding, real, sums, 12, 2**16, range) == expected(double_rounding, real, sums, 12, range)


def test_what_has_no_proof_is_refused() -> None:
    half = quantize_multiplier(np.array([0.5]))
    range = Range(0, 0, 255)
    assert quick_rounding(single_rounding, *half, one(0), one(100), range) is None
    assert quick_rounding(double_rounding, *half, one(0), one(2**31), range) is None  # would wrap
    assert quick_rounding(double_rounding, *half, one(2**31 - 50), one(100), range) is None
    assert quick_rounding(double_rounding, *quantize_multiplier(np.array([4.0])), one(0), one(2**29), range) is None
    assert quick_rounding(double_rounding, *half, one(0), one(100), Range(0, 5, 4)) is None
    assert quick_rounding(double_rounding, *half, one(0), one(100), Range(0, -(2**31), 2**31 - 1)) is None  # ties lost
    tiny = quantize_multiplier(np.array([2.0**-18 * 0.7]))
    assert quick_rounding(double_rounding, *tiny, one(0), one(2**23), range) is None  # 2**23 * 2**31 does not fit


def test_large_sums_are_let_through_where_the_range_has_ended() -> None:
    """2**24 times 2**-8 is far beyond 255, so that it does not matter that 2**24 times a mantissa is not exact."""
    multiplier = quantize_multiplier(np.array([2.0**-8 * 0.7]))
    assert quick_rounding(double_rounding, *multiplier, one(0), one(2**24), Range(0, 0, 255)) is not None
