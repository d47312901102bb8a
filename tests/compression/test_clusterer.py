"""Clusterer with numbers that can be checked by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refquant.compression.clustering import CentroidInitialization, Clusterer, GradientAggregation, cluster_weights
from refquant.errors import InvalidInputError

LINEAR = CentroidInitialization.LINEAR


def test_the_state_is_that_of_cluster_weights() -> None:
    weights = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    clusterer, once = Clusterer(weights, 4, LINEAR), cluster_weights(weights, 4, LINEAR)
    assert np.array_equal(clusterer.forward(), once.clustered)
    assert np.array_equal(clusterer.centroids, once.centroids)
    assert np.array_equal(clusterer.indices, once.indices)


def test_weights_choose_again_at_each_forward() -> None:
    clusterer = Clusterer([0, 1, 2, 9], 2, LINEAR)
    assert clusterer.forward().tolist() == [0, 0, 0, 9]
    clusterer.original -= np.array([0, 0, -6, 0], np.float32)
    clusterer.centroids += np.float32(0.5)
    assert clusterer.forward().tolist() == [0.5, 0.5, 9.5, 9.5]
    assert clusterer.indices.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("how, wanted", [("SUM", [6, 4]), ("AVG", [2, 4])])
def test_gradients(how: str, wanted: list[float]) -> None:
    clusterer = Clusterer([0, 1, 2, 9], 2, LINEAR, cluster_gradient_aggregation=GradientAggregation[how])
    d_original, d_centroids = clusterer.gradients([1, 2, 3, 4])
    assert d_original.tolist() == [1, 2, 3, 4]
    assert d_centroids.tolist() == wanted


@pytest.mark.parametrize("how", GradientAggregation)
def test_a_centroid_without_weights_has_no_gradient(how: GradientAggregation) -> None:
    clusterer = Clusterer([0, 1, 8, 9], 3, LINEAR, cluster_gradient_aggregation=how)
    assert clusterer.gradients([1, 1, 1, 1])[1][1] == 0


def test_the_order_of_the_sum() -> None:
    """1 is lost beside 2**24, two of them are not: the terms are added one after the other in float32."""
    clusterer = Clusterer([0, 0, 0, 9], 2, LINEAR)
    assert clusterer.gradients([2**24, 1, 1, 0])[1][0] == 2**24
    assert clusterer.gradients([1, 1, 2**24, 0])[1][0] == 2**24 + 2


def test_zeros_stay() -> None:
    clusterer = Clusterer([-4, -0.1, 0, 4, 4.5], 3, LINEAR, preserve_sparsity=True)
    assert clusterer.centroids.tolist() == [-4, 0, 4]
    assert clusterer.mask is not None and clusterer.mask.tolist() == [1, 0, 0, 1, 1]
    d_original, d_centroids = clusterer.gradients([1, 2, 3, 4, 5])
    assert d_original.tolist() == [1, 0, 0, 4, 5]
    assert d_centroids.tolist() == [1, 5, 9]
    clusterer.original[1] = 4  # whatever becomes of it
    clusterer.centroids -= np.array([0, 1, 0], np.float32)
    assert clusterer.forward().tolist() == [-4, 0, 0, 4, 4]
    assert clusterer.centroids.tolist() == [-4, 0, 4]


@pytest.mark.parametrize("data_format, axis", [("channels_last", 3), ("channels_first", 1)])
def test_each_channel_has_its_centroids(data_format: str, axis: int) -> None:
    kernel = np.moveaxis(np.array([[0, 1, 2, 9], [5, 5, 7, 7]], np.float32).reshape(2, 2, 2, 1), 0, axis)
    clusterer = Clusterer(kernel, 2, LINEAR, cluster_per_channel=True, data_format=data_format)
    assert clusterer.centroids.tolist() == [[0, 9], [5, 7]]
    assert np.moveaxis(clusterer.forward(), axis, 0).ravel().tolist() == [0, 0, 0, 9, 5, 5, 7, 7]
    _, d_centroids = clusterer.gradients(np.moveaxis(np.arange(8).reshape(2, 2, 2, 1), 0, axis))
    assert d_centroids.tolist() == [[3, 3], [9, 13]]


def test_training_by_hand_lowers_the_loss() -> None:
    generator = np.random.default_rng(1)
    inputs = generator.normal(size=(200, 6)).astype(np.float32)
    wanted = inputs @ generator.choice([-1, 0.5, 2], (6, 4)).astype(np.float32)
    clusterer = Clusterer(
        generator.normal(size=(6, 4)), 3, LINEAR, cluster_gradient_aggregation=GradientAggregation.AVG
    )

    def error() -> Any:
        return inputs @ clusterer.forward() - wanted

    before = np.square(error()).mean()
    for _ in range(200):
        d_original, d_centroids = clusterer.gradients(inputs.T @ error() / 200)
        clusterer.original -= np.float32(0.1) * d_original
        clusterer.centroids -= np.float32(0.1) * d_centroids
    assert np.square(error()).mean() < before / 20
    assert np.unique(clusterer.forward()).size <= 3


def test_what_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="cluster_gradient_aggregation 'MAX' is none: choose one of SUM, AVG"):
        Clusterer([0, 1], 2, LINEAR, cluster_gradient_aggregation="MAX")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match=r"d_clustered has shape \(3,\), the weights have \(2,\)"):
        Clusterer([0, 1], 2, LINEAR).gradients([1, 2, 3])
    with pytest.raises(InvalidInputError, match="kernel have 2 distinct values"):
        Clusterer([0, 1], 3, LINEAR, name="kernel")
