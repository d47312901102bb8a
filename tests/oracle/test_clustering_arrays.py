"""Centroids, indices and clustered weights against tensorflow_model_optimization, to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from refquant.compression.clustering import CentroidInitialization, cluster_weights
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
        ours = cluster_weights(weights, number, init, preserve_sparsity=preserve_sparsity)
        theirs = model_optimization.cluster(weights, number, init.name, preserve_sparsity)
        for name, mine, real in zip(("clustered", "centroids", "indices"), ours, theirs, strict=True):
            assert mine.dtype == real.dtype and mine.shape == real.shape, name
            assert mine.tobytes() == real.tobytes(), (name, mine, real)

    check()
