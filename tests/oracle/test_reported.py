"""The reported differences of `refquant.testing.reported`: each side's numbers, here and in the real runtimes.

That `explain` derives them, and names the step where they part, needs no runtime.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest

import refquant as rq
from refquant.interpreter import Interpreter
from refquant.numerics.fixed_point import quantize_multiplier
from refquant.runtimes import Runtime
from refquant.testing import reported
from refquant.testing.reported import ReportedCase

PROFILES = ("reference", "optimized", "xnnpack", "micro")
#: the number at the element of each case, by profile, and how many elements differ from profile "reference"
EXPECTED: dict[Callable[[], ReportedCase], Mapping[str, tuple[int, int]]] = {
    reported.convolution_in_two_kernel_sets: {
        "reference": (-15, 0), "optimized": (-14, 90), "xnnpack": (-15, 93), "micro": (-15, 0),
    },
    reported.accumulator_on_a_tie: {
        "reference": (-119, 0), "optimized": (-119, 0), "xnnpack": (-120, 1), "micro": (-119, 0),
    },
    reported.accumulators_of_a_layer: {
        "reference": (-128, 0), "optimized": (-127, 150), "xnnpack": (-127, 156), "micro": (-128, 0),
    },
    reported.mean_before_a_steep_function: {
        "reference": (90, 0), "optimized": (90, 0), "xnnpack": (127, 1), "micro": (90, 0),
    },
}  # fmt: skip


def test_all_cases_are_here() -> None:
    assert set(EXPECTED) == set(reported.CASES)


@pytest.mark.oracle
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("case", EXPECTED, ids=lambda case: case.__name__)
def test_both_sides(case: Callable[[], ReportedCase], profile: str, request: pytest.FixtureRequest) -> None:
    """refquant predicts the numbers of the real runtime, and they are those that were seen."""
    made, runtime = case(), request.getfixturevalue(profile)
    assert isinstance(runtime, Runtime)
    ours, reference = (_output(made, kernels) for kernels in (profile, "reference"))
    (theirs,) = runtime.run(made.model, made.inputs)
    np.testing.assert_array_equal(ours, theirs)
    assert (int(theirs[made.index]), int(np.sum(theirs != reference))) == EXPECTED[case][profile]


@pytest.mark.parametrize("case", EXPECTED, ids=lambda case: case.__name__)
def test_explanation(case: Callable[[], ReportedCase]) -> None:
    """Each profile's number is derived to the end, and they part in the rounding: RSQRT's in that of the MEAN."""
    made = case()
    found = rq.explain(made.model, made.tensor, made.index, made.inputs, whole_run=True)
    assert all(derivation.is_derived for derivation in found.derivations)
    numbers = {derivation.profile: int(derivation.value) for derivation in found.derivations}
    assert numbers == {profile: number for profile, (number, _) in EXPECTED[case].items()}
    if made.tensor == "rsqrt":
        assert found.parting is not None and found.parting.name == "input less its zero point"
        found = rq.explain(made.model, "mean", (0, 0), made.inputs)
        assert [int(derivation.value) for derivation in found.derivations] == [-126, -126, -127, -126]
    assert found.parting is not None and found.parting.name == "rounded"


def test_the_multiplier_of_the_layer() -> None:
    """The report's 1805112064 is that of a multiplier in float32; the kernels' is of float64."""
    made = reported.accumulators_of_a_layer()
    found = rq.explain(made.model, made.tensor, made.index, made.inputs, profiles=["reference"])
    assert {step.name: step.value for step in found.derivations[0].steps}["multiplier"] == 1805112046
    assert quantize_multiplier(float(np.float32(0.00328347971662879)))[0] == 1805112064


def _output(case: ReportedCase, kernels: str) -> np.ndarray:
    interpreter = Interpreter(model=case.model, kernels=kernels)
    interpreter.allocate_tensors()
    for detail, value in zip(interpreter.get_input_details(), case.inputs, strict=True):
        interpreter.set_tensor(detail["index"], value)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
