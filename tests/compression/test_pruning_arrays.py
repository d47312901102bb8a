"""Masks and schedules by hand, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from refquant.compression.pruning import (
    ConstantSparsity,
    PolynomialDecay,
    is_pruned_m_by_n,
    m_by_n_mask,
    magnitude_mask,
    sparsity_of,
)
from refquant.errors import InvalidInputError


def test_ties_stay() -> None:
    """Two of four are to stay; three magnitudes reach the threshold."""
    mask, threshold = magnitude_mask(np.array([3.0, -2.0, 2.0, 1.0], np.float32), 0.5)
    assert mask.tolist() == [1, 1, 1, 0] and threshold == 2


def test_bytes_the_other_way_round() -> None:
    mask, threshold = magnitude_mask(np.array([0.1, 0.4, 0.3, 0.2], ">f4"), 0.5)
    assert mask.tolist() == [0, 1, 1, 0] and threshold == np.float32(0.3)


def test_half_rounds_to_even() -> None:
    """Of five weights, 5 * (1 - 0.5) = 2.5 gives 2."""
    assert magnitude_mask(np.arange(1, 6, dtype=np.float32), 0.5).mask.tolist() == [0, 0, 0, 1, 1]


def test_one_weight_stays_at_least() -> None:
    assert magnitude_mask(np.array([1.0, 2.0], np.float32), 0.99).mask.tolist() == [0, 1]


def test_last_block_is_cut_though_the_first_window_is() -> None:
    """Three rows in blocks of two: windows {0, 1} and {2}; the mask of the second is for row 2."""
    weights = np.array([[1, 1], [1, 1], [5, 5]], np.float32)
    assert magnitude_mask(weights, 0.5, (2, 1), "MAX").mask.tolist() == [[0, 0], [0, 0], [1, 1]]


def test_windows_begin_before_the_weights() -> None:
    """Five rows in blocks of four: windows {0, 1, 2} and {3, 4}, while the mask goes to rows 0 to 3 and 4."""
    weights = np.array([[1, 1], [1, 1], [9, 9], [2, 2], [2, 2]], np.float32)
    assert magnitude_mask(weights, 0.5, (4, 1), "MAX").mask[:, 0].tolist() == [1, 1, 1, 1, 0]


def test_two_of_four() -> None:
    kernel = np.array([[4, 1], [1, 2], [3, 3], [2, 4]], np.float32)
    mask = m_by_n_mask(kernel, (2, 4))
    assert mask.T.tolist() == [[1, 0, 1, 0], [0, 0, 1, 1]]
    assert is_pruned_m_by_n(kernel * mask, (2, 4)) and not is_pruned_m_by_n(kernel, (2, 4))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([1.0], 1.0), "sparsity must be in"),
        (([1.0], -0.1), "sparsity must be in"),
        (([1.0], float("nan")), "sparsity must be in"),
        (([1.0, np.nan], 0.5), "hold NaN"),
        (([], 0.5), "are empty"),
        ((["a"], 0.5), "must be real numbers"),
        (([1.0], 0.5, (1, 2)), "two dimensions"),
        (([[1.0, 2.0]], 0.5, (2, 1)), "larger than shape"),
        (([[1.0, 2.0]], 0.5, (1, 0)), "two whole numbers"),
        (([[1.0, 2.0]], 0.5, (1, 2), "SUM"), "'AVG' or 'MAX'"),
    ],
)
def test_refused(arguments: Any, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        magnitude_mask(*arguments)


@pytest.mark.parametrize("m_by_n", [(4, 4), (-1, 4), (1,), (1.0, 2), "24", None])
def test_m_by_n_refused(m_by_n: Any) -> None:
    with pytest.raises(InvalidInputError, match="m_by_n"):
        m_by_n_mask(np.ones((4, 1)), m_by_n)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"begin_step": -1, "end_step": 5}, "begin_step"),
        ({"begin_step": 3, "end_step": 2}, "end_step"),
        ({"begin_step": 0, "end_step": -1}, "end_step"),
        ({"begin_step": 0, "end_step": 5, "frequency": 0}, "frequency"),
        ({"begin_step": 0.5, "end_step": 5}, "whole number"),
        ({"begin_step": 0, "end_step": 5, "final_sparsity": 1.0}, "final_sparsity"),
        ({"begin_step": 0, "end_step": 5, "power": float("nan")}, "power"),
    ],
)
def test_schedules_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        PolynomialDecay(**{"initial_sparsity": 0.0, "final_sparsity": 0.5, **arguments})


def test_configuration_round_trip() -> None:
    schedule = ConstantSparsity(0.25, 3, 9, 2)
    again = ConstantSparsity.from_config(schedule.get_config()["config"])
    assert [again(step) for step in range(12)] == [schedule(step) for step in range(12)]
    assert [step for step in range(12) if schedule(step)[0]] == [3, 5, 7, 9]


def test_zeros_of_both_signs_count() -> None:
    assert sparsity_of(np.array([0.0, -0.0, 1.0, 2.0])) == 0.5


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: magnitude_mask(np.ones((4, 4)), 0.5, 2), "two whole numbers"),  # type: ignore[arg-type]
        (lambda: magnitude_mask(np.ones((4, 4)), 0.5, (True, 2)), "two whole numbers"),
        (lambda: magnitude_mask(1.0, 0.5), "one number"),
        (lambda: is_pruned_m_by_n(1.0, (2, 4), "C_IN"), "have no input channels"),
        (lambda: ConstantSparsity(0.5, 0)("a"), "step must be a whole number"),  # type: ignore[arg-type]
        (lambda: ConstantSparsity(0.5, 0)(True), "step must be a whole number"),
        (lambda: PolynomialDecay(0, 0.5, 0, 10)(float("nan")), "step must be a whole number"),  # type: ignore[arg-type]
        (lambda: PolynomialDecay(0, 0.5, 0, 10, power=float("nan")), "power must be a number"),
    ],
)
def test_odd_arguments_are_refused(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        call()


def test_whole_numbers_of_numpy_will_do() -> None:
    pair = (np.int64(2), np.int64(4))
    assert m_by_n_mask(np.array([[4.0], [1.0], [3.0], [2.0]]), pair).ravel().tolist() == [1, 0, 1, 0]
