"""compare and bisect with real runtimes: the differences of ORACLES between kernel sets of one wheel."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import refquant as rq
from refquant.audit.comparison import random_samples
from refquant.data import DIGITS_INT8, DIGITS_SAMPLES
from refquant.runtimes import Runtime
from refquant.runtimes.cut import cut_out, with_all_outputs

pytestmark = pytest.mark.oracle


def images(count: int) -> list[list[np.ndarray]]:  # type: ignore[type-arg]
    with np.load(DIGITS_SAMPLES) as data:
        return [[image[None]] for image in data["image"][:count]]


def test_one_wheel_with_three_answers(reference: Runtime, optimized: Runtime, xnnpack: Runtime) -> None:
    given = {"ours": "reference", "reference": reference, "optimized": optimized, "xnnpack": xnnpack}
    report = rq.compare(DIGITS_INT8, given, samples=images(25))
    assert report.failures == {} and report.notes == []
    assert {c.verdict for c in report.of("reference")} == {"equal"}
    for name in ("optimized", "xnnpack"):
        assert "begins here" in {c.verdict for c in report.of(name)}
        assert "handed down" in {c.verdict for c in report.of(name)}
        assert all(c.unit == "LSB" for c in report.of(name))


def test_the_report_of_a_bisection_says_how_to_see_it(optimized: Runtime, tmp_path: Path) -> None:
    """Its program for the runtime itself finds as many elements as it says."""
    found = rq.bisect(DIGITS_INT8, optimized, name="tensorflow:optimized", samples=images(25))
    assert found.reproduction is not None and found.difference is not None and found.failure == ""
    compared = rq.compare(DIGITS_INT8, {"ours": "reference", "tensorflow": optimized}, samples=images(25))
    assert found.index == next(c.index for c in compared.comparisons if c.different)
    folder = tmp_path / "report"
    found.reproduction.save(folder)
    text = (folder / "report.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True, timeout=120
    )
    assert f"{found.difference.different} of {found.difference.elements} differ" in done.stdout
    assert "--runtimes reference,tensorflow:optimized" in text


@pytest.mark.parametrize("kernels", ["reference", "optimized", "xnnpack"])
def test_a_cut_model_gives_the_bits_of_the_whole(kernels: str, request: pytest.FixtureRequest) -> None:
    runtime: Runtime = request.getfixturevalue(kernels)
    model = rq.Model.read(DIGITS_INT8)
    (sample,) = random_samples(model, 1, seed=7)
    _, shown = with_all_outputs(model)
    whole = runtime.run_all(model, sample)
    for i, t in enumerate(shown):
        cut = cut_out(model, range(i + 1), [t])
        (found,) = runtime.run(cut.model, sample)
        np.testing.assert_array_equal(found, whole[t])
