"""Many cases of one family against another runtime: what the tests and `refquant verify` do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from hypothesis import HealthCheck, Phase, given, settings

from refquant.testing.conformance import Outcome, Peer, Result, compare
from refquant.testing.strategies import Case, Family

_CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def check(family: Family, peer: Peer, examples: int, explore: bool = False) -> Counter[Outcome]:
    """Compares the cases that a family takes, of so many, and counts the outcomes.

    Raises AssertionError for one that is neither EQUAL nor expected, with the smallest case that hypothesis finds. The
    cases are the same in every run unless `explore`.
    """
    outcomes: Counter[Outcome] = Counter()

    def judge(result: Result) -> None:
        outcomes[result.outcome] += 1
        assert _is_good(family, result), f"{family.operator} {family.variant}: {_said(result)}"

    _compare_each(family, peer, settings(max_examples=examples, derandomize=not explore), judge)
    return outcomes


def tally(family: Family, peer: Peer, examples: int, explore: bool = False) -> tuple[Counter[Outcome], str]:
    """As `check`, but goes on after a bad outcome: the counts, and the details of the first bad outcome."""
    outcomes: Counter[Outcome] = Counter()
    failures: list[str] = []

    def judge(result: Result) -> None:
        outcomes[result.outcome] += 1
        if not _is_good(family, result):
            failures.append(_said(result))

    draw = settings(max_examples=examples, derandomize=not explore, phases=[Phase.generate])
    _compare_each(family, peer, draw, judge)
    return outcomes, failures[0] if failures else ""


def _compare_each(family: Family, peer: Peer, draw: settings, judge: Callable[[Result], None]) -> None:
    @settings(draw, database=None, deadline=None, suppress_health_check=_CHECKS)
    @given(family.cases)
    def one(case: Case) -> None:
        if family.takes(case):
            judge(compare(case.model, case.samples, peer, family.profile))

    one()


def _is_good(family: Family, result: Result) -> bool:
    return result.outcome is Outcome.EQUAL or result.outcome in family.expected


def _said(result: Result) -> str:
    return f"{result.outcome.value}: {result.details}"
