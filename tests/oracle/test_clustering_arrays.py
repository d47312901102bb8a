"""Centroids, indices and clustered weights against tensorflow_model_optimization, to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from refquant.compression.clustering import CentroidInitialization, Clustered, cluster_weights
from refquant.runtimes import ModelOptimization

pytestmark = pytest.mark.oracle

VALUES = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, -0.25, 1e-40, -2e6]), st.floats(-2, 2, width=32), st.integers(-4, 4)
).map(np.float32)


@pytest.mark.parametrize("init", CentroidInitialization)
@pytest.mark.parametrize("preserve_sparsity", [False, True])
def test_clustered_weights(
    model_optimization: ModelOptimization, init: CentroidInitialization, preserve_sparsity: bool
) -> None:
    @settings(max_examples=60)
    @given(arrays.arrays(np.float32, arrays.array_shapes(max_dims=3, max_side=8), elements=VALUES), st.integers(2, 12))
    def check(weights: Any, number: int) -> None:
        assume(2 + preserve_sparsity <= number <= np.unique(weights).size)
        # which of two zeros the least or largest weight is hangs on the order in which TensorFlow goes through them
        signs = np.unique(np.signbit(weights[weights == 0]))
        assume(signs.size < 2 or weights.min() < 0 < weights.max())
        assert_same(
            cluster_weights(weights, number, init, preserve_sparsity=preserve_sparsity, seed=SEEDS.get(init)),
            model_optimization.cluster(weights, number, init.name, preserve_sparsity, seed=SEEDS.get(init)),
        )

    check()


@pytest.mark.parametrize("init", CentroidInitialization)
@pytest.mark.parametrize("preserve_sparsity", [False, True])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_channels(
    model_optimization: ModelOptimization, init: CentroidInitialization, preserve_sparsity: bool, data_format: str
) -> None:
    kernel = np.random.default_rng(3).normal(size=(3, 5, 4, 6)).astype(np.float32)
    kernel[np.abs(kernel) < 0.3] = 0
    seed = SEEDS.get(init)
    assert_same(
        cluster_weights(
            kernel,
            6,
            init,
            preserve_sparsity=preserve_sparsity,
            cluster_per_channel=True,
            data_format=data_format,
            seed=seed,
        ),
        model_optimization.cluster(kernel, 6, init.name, preserve_sparsity, data_format, seed),
    )


#: tfmot has a seed of its own for k-means++, and none for evenly distributed centroids
SEEDS = {CentroidInitialization.RANDOM: 20261127}


def assert_same(ours: Clustered, theirs: Any) -> None:
    for name, mine, real in zip(("clustered", "centroids", "indices"), ours, theirs, strict=True):
        assert mine.dtype == real.dtype and mine.shape == real.shape, name
        assert mine.tobytes() == real.tobytes(), (name, mine, real)
