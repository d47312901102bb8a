"""Clustering of arrays by hand, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refquant.compression.clustering import CentroidInitialization, cluster_weights
from refquant.errors import InvalidInputError

LINEAR = CentroidInitialization.LINEAR


def test_a_tie_goes_to_the_first_centroid() -> None:
    clustered, centroids, indices = cluster_weights([0.0, 0.5, 1.0], 2, LINEAR)
    assert centroids.tolist() == [0, 1] and indices.tolist() == [0, 0, 1] and clustered.tolist() == [0, 0, 1]


def test_zeros_stay() -> None:
    """Two clusters beside zero for three negative and one positive weight: 2 * 3/4 = 1.5 rounds to 2 negative ones."""
    weights = [-3.0, -2.0, -1.0, 0.0, 4.0]
    clustered, centroids, _ = cluster_weights(weights, 3, LINEAR, preserve_sparsity=True)
    assert centroids.tolist() == [-3, -1, 0] and clustered.tolist() == [-3, -3, -1, 0, 0]


def test_a_weight_far_below_zero_changes_sign() -> None:
    assert cluster_weights([-2e6, 0.0], 2, LINEAR).clustered.tolist() == [2e6, 0]


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
        (([1.0, 2.0], 2, "kmeans"), "choose one of LINEAR, RANDOM, DENSITY_BASED, KMEANS_PLUS_PLUS"),
    ],
)
def test_refused(arguments: Any, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        cluster_weights(*arguments)


def test_two_are_too_few_with_a_zero() -> None:
    with pytest.raises(InvalidInputError, match="must be 3 or more"):
        cluster_weights([1.0, 2.0, 3.0], 2, LINEAR, preserve_sparsity=True)


def test_means_to_convergence() -> None:
    """From -1 and 10: of {-1, 0, 1} and {9, 10} the means are 0 and 9.5; nothing moves after that."""
    weights = [-1.0, 0.0, 1.0, 9.0, 10.0]
    clustered, centroids, _ = cluster_weights(weights, 2, LINEAR, to_convergence=True)
    assert centroids.tolist() == [0, 9.5] and clustered.tolist() == [0, 0, 0, 9.5, 9.5]


def test_means_leave_zeros() -> None:
    """Of -3, 0, 4 only the outer ones move: {-3, -2} to -2.5; 1 is nearer to 0."""
    clustered, centroids, _ = cluster_weights(
        [-3.0, -2.0, 0.0, 1.0, 4.0], 3, LINEAR, preserve_sparsity=True, to_convergence=True
    )
    assert centroids.tolist() == [-2.5, 0, 4] and clustered.tolist() == [-2.5, -2.5, 0, 0, 4]


def test_the_seed_decides() -> None:
    weights = np.linspace(-1, 1, 100, dtype=np.float32)
    for init in (CentroidInitialization.RANDOM, CentroidInitialization.KMEANS_PLUS_PLUS):
        first, again, other = (cluster_weights(weights, 8, init, seed=seed).centroids.tolist() for seed in (1, 1, 2))
        assert first == again != other


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cluster_per_channel": True}, "no channels"),
        ({"seed": -1}, "seed must be"),
        ({"seed": True}, "seed must be"),
        ({"seed": 0.5}, "seed must be"),
    ],
)
def test_refused_options(options: Any, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        cluster_weights([1.0, 2.0, 3.0], 2, **options)


def test_channels_are_named() -> None:
    kernel = np.arange(36, dtype=np.float32).reshape(3, 3, 2, 2)
    kernel[..., 1] = 1
    with pytest.raises(InvalidInputError, match="channel 1 of weights have 1 distinct"):
        cluster_weights(kernel, 2, cluster_per_channel=True)
    with pytest.raises(InvalidInputError, match="data_format"):
        cluster_weights(kernel, 2, cluster_per_channel=True, data_format="NHWC")
