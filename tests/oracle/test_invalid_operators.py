"""Operators that are wrong in one place: refused by name and place, or run as the real kernel runs them.

The real kernels run some invalid models and read memory that is not theirs; refquant may refuse those. But it never
runs what the real one refuses, and never gives other numbers.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings

from refquant.runtimes import Runtime
from refquant.testing.conformance import Outcome, compare
from refquant.testing.strategies import Case, Family, families
from refquant.testing.strategies.mutation import mutated
from tests.conftest import EXAMPLES

pytestmark = pytest.mark.oracle


@pytest.mark.parametrize(
    "family", [f for f in families() if f.oracle != "micro"], ids=lambda family: f"{family.operator}-{family.variant}"
)
def test_invalid(family: Family, request: pytest.FixtureRequest) -> None:
    runtime: Runtime = request.getfixturevalue(family.oracle)
    outcomes: Counter[Outcome] = Counter()

    @settings(
        max_examples=EXAMPLES,
        derandomize=not os.environ.get("REFQUANT_EXPLORE"),
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
    @given(mutated(family.cases))
    def one(case: Case) -> None:
        result = compare(case.model, case.samples, runtime)
        outcomes[result.outcome] += 1
        assert result.outcome not in (Outcome.ONLY_OURS, Outcome.DIFFERENT), result.details

    one()
    assert sum(outcomes.values()) > 0
