"""Which operators the delegate of the default interpreter takes: ours against the real one, over the families."""

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from refquant.errors import RuntimeDiedError, RuntimeFailedError
from refquant.interpreter.plan import Subgraphs
from refquant.kernels.xnnpack.delegation import delegated
from refquant.runtimes import open_runtime
from refquant.testing.strategies import Case, families

pytestmark = pytest.mark.oracle
_OPERATORS = frozenset("ADD CONV_2D DEQUANTIZE FULLY_CONNECTED LEAKY_RELU MUL PAD RESHAPE SLICE TRANSPOSE_CONV".split())


def ours(case: Case) -> bool:
    """Whether profile "xnnpack" gives an operator of the model to XNNPACK, for inputs as large as the first sample's."""
    plan = Subgraphs(case.model, "xnnpack")[0]
    for index, array in zip(plan.inputs, case.samples[0]):
        plan.tensors[index].shape = np.shape(array)
    return bool(delegated([step.operator for step in plan.steps]).takes)


def test_taken_operators():
    """Where the real one refuses what its delegate took, it says so itself; the sets are equal elsewhere."""
    runtime = open_runtime("tensorflow", "xnnpack")
    counts = {True: 0, False: 0}

    @settings(
        max_examples=2,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    def compare(case: Case) -> None:
        try:
            theirs = bool(runtime.delegated(case.model, case.samples[0]))
        except (RuntimeDiedError, RuntimeFailedError):
            return
        assert ours(case) == theirs
        counts[theirs] += 1

    for family in families("xnnpack"):
        if family.operator in _OPERATORS and any(type in family.variant for type in ("FLOAT32", "INT8")):
            given(family.cases)(compare)()
    assert min(counts.values()) > 20, counts
