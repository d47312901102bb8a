"""Clustering of arrays by hand, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refquant.compression.clustering import CentroidInitialization, cluster_weights
from refquant.errors import InvalidInputError


def test_a_tie_goes_to_the_first_centroid() -> None:
    clustered, centroids, indices = cluster_weights([0.0, 0.5, 1.0], 2)
    assert centroids.tolist() == [0, 1] and indices.tolist() == [0, 0, 1] and clustered.tolist() == [0, 0, 1]


def test_zeros_stay() -> None:
    """Two clusters beside zero for three negative and one positive weight: 2 * 3/4 = 1.5 rounds to 2 negative ones."""
    weights = [-3.0, -2.0, -1.0, 0.0, 4.0]
    clustered, centroids, _ = cluster_weights(weights, 3, preserve_sparsity=True)
    assert centroids.tolist() == [-3, -1, 0] and clustered.tolist() == [-3, -3, -1, 0, 0]


def test_a_weight_far_below_zero_changes_sign() -> None:
    assert cluster_weights([-2e6, 0.0], 2).clustered.tolist() == [2e6, 0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([1.0, 2.0], 1), "must be 2 or more"),
        (([1.0, 2.0], 2.0), "whole number"),
        (([1.0, 2.0], 3), "2 distinct values: 3 clusters are too many"),
        (([1.0, np.nan], 2), "NaN or infinity"),
        (([1.0, np.inf], 2), "NaN or infinity"),
        (([], 2), "are empty"),
        ((["a"], 2), "real numbers"),
        (([1.0, 2.0], 2, "kmeans"), "choose one of LINEAR, DENSITY_BASED"),
    ],
)
def test_refused(arguments: Any, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        cluster_weights(*arguments)


def test_two_are_too_few_with_a_zero() -> None:
    with pytest.raises(InvalidInputError, match="must be 3 or more"):
        cluster_weights([1.0, 2.0, 3.0], 2, CentroidInitialization.LINEAR, preserve_sparsity=True)
