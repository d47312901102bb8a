"""Which operators the delegate of the default interpreter takes: ours against the real one, over the families."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

import refquant as rq
from refquant.errors import RefquantError, RuntimeDiedError, RuntimeFailedError
from refquant.kernels import registry
from refquant.runtimes import open_runtime
from refquant.testing.strategies import Case, families

pytestmark = pytest.mark.oracle
_OPERATORS = frozenset("ADD CONV_2D DEQUANTIZE FULLY_CONNECTED LEAKY_RELU MUL PAD RESHAPE SLICE TRANSPOSE_CONV".split())


def ours(case: Case, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether profile "xnnpack" gives an operator of the model to XNNPACK."""
    asked = []

    def find_own(name: str, *, profile: str) -> registry.Kernel:
        asked.append(name)
        return lambda op: lambda *arrays: ()

    interpreter = rq.Interpreter(model=case.model, kernels="xnnpack")
    for detail, array in zip(interpreter.get_input_details(), case.samples[0]):
        if tuple(detail["shape"]) != np.shape(array):
            interpreter.resize_tensor_input(detail["index"], np.shape(array))
    with monkeypatch.context() as patch:
        patch.setattr(registry, "find_own", find_own)
        with suppress(RefquantError):  # shapes are not asked for here
            interpreter.allocate_tensors()
    return bool(asked)


def test_taken_operators(monkeypatch):
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
        assert ours(case, monkeypatch) == theirs
        counts[theirs] += 1

    for family in families("xnnpack"):
        if family.operator in _OPERATORS and any(type in family.variant for type in ("FLOAT32", "INT8")):
            given(family.cases)(compare)()
    assert min(counts.values()) > 20, counts
