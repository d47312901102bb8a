"""Whole clustered training runs: tfmot on tf_keras beside refquant on Keras 3, same weights and batches.

On Keras 3's TensorFlow backend, without XLA, every weight, centroid and index has tfmot's bits at each step, with SGD
and Adam. JAX and PyTorch add a convolution's and a product's terms in other orders: there the indices are the same, and
what differs is of the last bits. The gradients of clustering itself have the same bits in all of them, and in NumPy.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from refquant.compression.clustering import CentroidInitialization, Clusterer, GradientAggregation
from refquant.runtimes import ModelOptimization
from tests.oracle.clustered_training import FEW, SCENARIOS, STEPS, gradient_cases, named

pytestmark = pytest.mark.oracle

ENGINES = {"tfmot": "tensorflow_model_optimization", "tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}
Results = dict[str, dict[str, Any]]


def results(folder: Path) -> Results:
    """What each framework computed, each in a process of its own."""
    script, root = Path(__file__).with_name("clustered_training.py"), Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    found: Results = {}
    for pair in (("tfmot", "torch"), ("tensorflow", "jax")):
        runs = {
            engine: subprocess.Popen(
                [sys.executable, str(script), engine, str(folder / f"{engine}.npz")],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for engine in pair
        }
        for engine, run in runs.items():
            said, _ = run.communicate(timeout=300)
            assert run.returncode == 0, f"{engine}: {said[-4000:]}"
            found[engine] = dict(np.load(folder / f"{engine}.npz"))
    return found


def same_bits(a: Any, b: Any) -> bool:
    if a.dtype.kind == "i":  # tfmot's indices are int64
        return bool(np.array_equal(a, b))
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def test_training_and_gradients(tmp_path: Path) -> None:
    """One test, so that parallel workers do not train twice."""
    for module in (*ENGINES.values(), "tf_keras", "keras"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    found = results(tmp_path)
    theirs = found["tfmot"]

    def keys(scenario: Any) -> list[str]:
        keys = [key for key in theirs if f"/{named(scenario)}/" in key]
        assert len(keys) == STEPS * 2 * 3 + 4  # two layers with weights, centroids and indices; the stripped weights
        return keys

    for scenario in SCENARIOS:
        assert [k for k in keys(scenario) if not same_bits(found["tensorflow"][k], theirs[k])] == []
        first, last = (theirs[f"train/{named(scenario)}/{step}/0-centroids"] for step in (0, STEPS - 1))
        assert not np.array_equal(first, last), "nothing was trained"
    for backend in ("jax", "torch"):
        for key in (key for scenario in FEW for key in keys(scenario)):
            if key.endswith("indices"):
                assert np.array_equal(found[backend][key], theirs[key]), f"{backend} {key}"
            else:
                np.testing.assert_allclose(
                    found[backend][key], theirs[key], rtol=0, atol=1e-6, err_msg=f"{backend} {key}"
                )
    for case in gradient_cases():
        for kind, gradient in zip(("original", "centroids"), by_numpy(*case)):
            for engine in found:
                assert same_bits(gradient, found[engine][f"gradient/{case[0]}/{kind}"]), f"{engine} {case[0]} {kind}"


def by_numpy(name: str, channels: bool, aggregation: str, kernel: Any, centroids: Any, upstream: Any) -> Any:
    clusterer = Clusterer(
        kernel,
        centroids.shape[-1],
        CentroidInitialization.LINEAR,
        cluster_per_channel=channels,
        cluster_gradient_aggregation=GradientAggregation[aggregation],
    )
    clusterer.centroids = centroids
    clusterer.forward()
    return clusterer.gradients(upstream)


NUMBERS = st.one_of(st.sampled_from([0.0, -0.0, 1.0, -1.0, -2e6]), st.floats(-2, 2, width=32), st.integers(-4, 4)).map(
    lambda number: np.float32(0 if abs(number) < 1e-30 else number)  # no sum of these is subnormal
)


@pytest.mark.parametrize("how", GradientAggregation)
@pytest.mark.parametrize("per_channel", [None, "channels_last", "channels_first"])
def test_one_step(model_optimization: ModelOptimization, how: GradientAggregation, per_channel: str | None) -> None:
    @settings(max_examples=50)
    @given(st.data(), array_shapes(min_dims=4, max_dims=4, min_side=2, max_side=4), st.integers(2, 6))
    def check(data: Any, shape: tuple[int, ...], number: int) -> None:
        clusterer = Clusterer(
            np.arange(np.prod(shape)).reshape(shape),
            number,
            CentroidInitialization.LINEAR,
            cluster_per_channel=per_channel is not None,
            cluster_gradient_aggregation=how,
            data_format=per_channel or "channels_last",
        )
        weights, centroids, upstream = (
            data.draw(arrays(np.float32, size, elements=NUMBERS)) for size in (shape, clusterer.centroids.shape, shape)
        )
        clusterer.original, clusterer.centroids = weights, centroids
        ours = (clusterer.forward(), *clusterer.gradients(upstream))
        theirs = model_optimization.clustered_gradients(weights, centroids, upstream, how.name, per_channel)
        assert [same_bits(a, b) for a, b in zip(ours, theirs)] == [True] * 3

    check()
