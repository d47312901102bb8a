"""Samples that are calibrated in batches give what they give one after the other: ranges, samples, warnings."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import refquant as rq
from refquant.data import DIGITS_FLOAT, DIGITS_SAMPLES
from refquant.errors import InvalidInputError, RefquantError
from refquant.interpreter import batches
from refquant.testing.float_graphs import FloatCase, float_models


@pytest.fixture(autouse=True)
def planned_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "_WORTH", 2)


def found(model: rq.Model, samples: list[Any], most: int, float_mode: str) -> tuple[Any, ...]:
    """All that calibration tells, with batches of so many samples."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings(record=True) as told:
        patch.setattr(batches, "_MOST", most)
        warnings.simplefilter("always")
        try:
            statistics = rq.calibrate(model, samples, float_mode=float_mode)
        except RefquantError as error:
            return type(error), str(error)
    ranges = [
        (key, found.min.tobytes(), found.max.tobytes(), found.min_sample, found.max_sample)
        for key, found in statistics.ranges.items()
    ]
    return ranges, statistics.samples, [str(warning.message) for warning in told]


#: numbers whose order decides: zeros of both signs, subnormal ones, ones that come again
NUMBERS = np.array([0.0, -0.0, 1e-40, -1e-40, 1e-45, 0.5, -0.5, 1.0, -1.0, 3e38, -3e38], np.float32)


@settings(max_examples=80, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(float_models(special=True), st.integers(0, 2**32 - 1), st.booleans(), st.sampled_from(["exact", "fast"]))
def test_graphs(case: FloatCase, seed: int, positive: bool, float_mode: str) -> None:
    rng = np.random.default_rng(seed)
    samples = []
    for number in range(7):
        sample = list(case.samples[number % len(case.samples)])
        for i, array in enumerate(sample):
            if array.dtype == np.float32 and number % 2:
                drawn = rng.choice(NUMBERS, array.shape)
                sample[i] = np.abs(drawn) if positive else drawn
        samples.append(sample)
    expected = found(case.model, samples, 1, float_mode)
    for most in (2, 3, 7):
        assert found(case.model, samples, most, float_mode) == expected


def test_bundled_model_runs_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    model = rq.Model.read(DIGITS_FLOAT)
    images = np.load(DIGITS_SAMPLES)["image"][:20, None]
    sizes: list[int] = []
    run = batches.Batch.run
    monkeypatch.setattr(
        batches.Batch, "run", lambda self, inputs, *rest: [sizes.append(len(inputs[0])), run(self, inputs, *rest)][1]
    )
    expected = found(model, [[image] for image in images], 1, "exact")
    assert not sizes
    assert found(model, [[image] for image in images], 8, "exact") == expected
    assert sizes == [8, 8, 4]


def test_samples_that_wait_run_before_an_error() -> None:
    """The number of the bad sample is its own, and the generator's array may be used again."""
    model = rq.Model.read(DIGITS_FLOAT)
    image = np.zeros((1, 8, 8, 1), np.float32)

    def samples() -> Any:
        for i in range(5):
            image[:] = i
            yield [image]
        yield [image, image]

    with pytest.raises(InvalidInputError, match="sample 5 of the representative dataset: holds 2 arrays"):
        rq.calibrate(model, samples)
    reused = rq.calibrate(model, lambda: (s for _, s in zip(range(5), samples())))
    assert reused.ranges[0, 0].max == 4 and reused.ranges[0, 0].max_sample == 4
