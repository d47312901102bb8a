"""exp, reciprocal, logistic and tanh of fixed-point numbers against the real functions, and their symmetries.

That they have gemmlowp's bits, the oracle tests of SOFTMAX and LSTM show.
"""

from __future__ import annotations

import numpy as np
import pytest

from refquant.numerics.integer_functions import exp_on_negative_values, logistic, one_over_one_plus_x, tanh

ONE = 2.0**31


@pytest.mark.parametrize("integer_bits", [0, 2, 5])
def test_exp_is_near_the_real_one(integer_bits: int) -> None:
    x = np.linspace(-(2.0**31), 0, 20_001).astype(np.int64)
    real = np.exp(x / 2.0 ** (31 - integer_bits))
    assert np.max(np.abs(exp_on_negative_values(x, integer_bits) / ONE - real)) < 1e-6


def test_exp_of_zero_is_the_largest_number() -> None:
    assert int(exp_on_negative_values(np.array(0), 5)) == 2**31 - 1
    assert int(exp_on_negative_values(np.array(0), 3, bits=16)) == 2**15 - 1


def test_reciprocal_is_near_the_real_one() -> None:
    x = np.linspace(0, 2.0**31 - 1, 20_001).astype(np.int64)
    assert np.max(np.abs(one_over_one_plus_x(x) / ONE - 1 / (1 + x / ONE))) < 1e-7


def test_every_int16_is_near_the_real_function() -> None:
    """Q3.12 to Q0.15, as the gates of an int16 LSTM: off by a few units of the last place only."""
    q = np.arange(-32768, 32768)
    x = q / 4096
    assert np.max(np.abs(logistic(q, 3, bits=16) - 32768 / (1 + np.exp(-x)))) < 8
    assert np.max(np.abs(tanh(q, 3, bits=16) - 32768 * np.tanh(x))) < 16


def test_symmetries_of_int16() -> None:
    q = np.arange(1, 32768)
    assert np.array_equal(tanh(-q, 3, bits=16), -tanh(q, 3, bits=16))
    assert np.array_equal(logistic(-q, 3, bits=16), 32767 - logistic(q, 3, bits=16))
