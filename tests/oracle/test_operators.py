"""Every operator in every variant that has a strategy, against TensorFlow's kernels, bit for bit.

REFQUANT_EXAMPLES says how many cases of each family are drawn; the counts are printed at the end of the run. With
REFQUANT_EXPLORE=1 they are others in each run.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from refquant.runtimes import Runtime
from refquant.testing.strategies import Family, families
from refquant.testing.sweep import check
from tests.conftest import EXAMPLES

pytestmark = pytest.mark.oracle


@pytest.mark.parametrize("family", families(), ids=lambda family: f"{family.operator}-{family.variant}")
def test_family(family: Family, request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> None:
    runtime: Runtime = request.getfixturevalue(family.oracle)
    outcomes = check(family, runtime, EXAMPLES, explore=bool(os.environ.get("REFQUANT_EXPLORE")))
    record_property("family", [family.operator, family.variant])
    record_property("outcomes", {outcome.name: count for outcome, count in outcomes.items()})
    assert sum(outcomes.values()) > 0
