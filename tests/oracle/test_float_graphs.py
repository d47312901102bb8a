"""The generated float models are such as the real interpreter runs, and the real calibrator and quantizer take."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from refquant.errors import RuntimeFailedError
from refquant.runtimes import Quantizer, Runtime
from refquant.testing.conformance import Outcome, compare
from refquant.testing.float_graphs import OPERATORS, UNREADABLE, FloatCase, float_models

pytestmark = pytest.mark.oracle

#: operators that BUILTIN_REF of TensorFlow 2.21.0 does not have
WITHOUT_REFERENCE = ("ELU", "ROUND")
HAS_REFERENCE = [operator for operator in OPERATORS if operator not in (*WITHOUT_REFERENCE, *UNREADABLE)]


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(float_models(HAS_REFERENCE))
def test_same_bits(reference: Runtime, case: FloatCase) -> None:
    result = compare(case.model, case.samples, reference)
    assert result.outcome is Outcome.EQUAL, result.details


@pytest.mark.parametrize("operator", [*WITHOUT_REFERENCE, *UNREADABLE])
def test_the_rest_runs(optimized: Runtime, operator: str) -> None:
    @settings(max_examples=20, suppress_health_check=list(HealthCheck))
    @given(float_models([operator], most_steps=2))
    def one(case: FloatCase) -> None:
        optimized.run_sequence(case.model, case.samples)

    one()


def test_calibrator_and_quantizer_take_them(quantizer: Quantizer) -> None:
    """Nearly all: with some operators the real quantizer contradicts itself or dies."""
    counts: Counter[str] = Counter()

    @settings(max_examples=200, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(float_models())
    def one(case: FloatCase) -> None:
        counts["models"] += 1
        calibrated = quantizer.calibrate(quantizer.add_intermediate_tensors(case.model), case.dataset)
        try:
            quantizer.mlir_quantize(calibrated)
        except RuntimeFailedError:
            counts["refused"] += 1

    one()
    assert counts["refused"] <= counts["models"] // 20, counts
