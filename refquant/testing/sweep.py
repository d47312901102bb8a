"""Many cases of one family against another runtime: what the tests and `refquant verify` do."""

from __future__ import annotations

from collections import Counter

from hypothesis import HealthCheck, Phase, given, settings

from refquant.testing.conformance import Outcome, Peer, compare
from refquant.testing.strategies import Case, Family

_CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def check(family: Family, peer: Peer, examples: int, explore: bool = False) -> Counter[Outcome]:
    """Compares so many cases of a family and counts the outcomes.

    Raises AssertionError for one that is neither EQUAL nor expected, with the smallest case that hypothesis finds. The
    cases are the same in every run unless `explore`.
    """
    outcomes: Counter[Outcome] = Counter()

    @settings(
        max_examples=examples, derandomize=not explore, database=None, deadline=None, suppress_health_check=_CHECKS
    )
    @given(family.cases)
    def one(case: Case) -> None:
        result = compare(case.model, case.samples, peer, family.profile)
        outcomes[result.outcome] += 1
        good = result.outcome is Outcome.EQUAL or result.outcome in family.expected
        assert good, f"{family.operator} {family.variant}: {result.outcome.value}: {result.details}"

    one()
    return outcomes


def tally(family: Family, peer: Peer, examples: int, explore: bool = False) -> tuple[Counter[Outcome], str]:
    """As `check`, but goes on after a bad outcome: the counts, and the details of the first bad outcome."""
    outcomes: Counter[Outcome] = Counter()
    first = ""

    @settings(
        max_examples=examples,
        derandomize=not explore,
        database=None,
        deadline=None,
        suppress_health_check=_CHECKS,
        phases=[Phase.generate],
    )
    @given(family.cases)
    def one(case: Case) -> None:
        nonlocal first
        result = compare(case.model, case.samples, peer, family.profile)
        outcomes[result.outcome] += 1
        if not first and result.outcome is not Outcome.EQUAL and result.outcome not in family.expected:
            first = f"{result.outcome.value}: {result.details}"

    one()
    return outcomes, first
