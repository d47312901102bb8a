"""Clustering of a `.tflite` model: what it does to the weights, what it leaves, what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refquant import data
from refquant.compression.clustering import CentroidInitialization, cluster_model
from refquant.compression.pruning import prune_model
from refquant.compression.weights import find_weights
from refquant.errors import InvalidInputError
from refquant.tflite.model import Model

LINEAR = CentroidInitialization.LINEAR


@pytest.fixture(scope="module")
def digits() -> Model:
    return Model.read(data.DIGITS_FLOAT)


def test_few_values(digits: Model) -> None:
    result = cluster_model(digits, 8)
    weights, _ = find_weights(Model.read(result.model.tobytes()))
    assert [np.unique(w.array).size for w in weights] == [t.values for t in result.tensors] == [8] * 5
    assert [s.operator for s in result.skipped] == ["DEPTHWISE_CONV_2D"]


def test_zeros_stay(digits: Model) -> None:
    pruned = prune_model(digits, 0.5).model
    result = cluster_model(pruned, 8, LINEAR, preserve_sparsity=True)
    for before, after in zip(find_weights(pruned)[0], find_weights(result.model)[0], strict=True):
        np.testing.assert_array_equal(before.array == 0, after.array == 0)
        assert np.unique(after.array).size <= 8


def test_channels_have_their_own(digits: Model) -> None:
    """3x3x1 weights of each output have 9 values at most: 4 clusters each; FULLY_CONNECTED has one set of centroids."""
    result = cluster_model(digits, 4, LINEAR, cluster_per_channel=True)
    assert [t.centroids.shape for t in result.tensors] == [(16, 4), (16, 4), (32, 4), (4,), (4,)]
    for tensor, weight in zip(result.tensors, find_weights(result.model)[0], strict=True):
        if tensor.operator == "CONV_2D":
            assert max(np.unique(output).size for output in weight.array) == tensor.values <= 4


def test_a_weight_with_too_few_values_is_left_alone(digits: Model) -> None:
    result = cluster_model(digits, 200, LINEAR)
    assert [s.reason for s in result.skipped if s.operator == "CONV_2D"] == [
        "144 weights are not more than 200 clusters"
    ]
    assert len(result.tensors) == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"number_of_clusters": 1}, "must be 2 or more"),
        ({"number_of_clusters": 2, "preserve_sparsity": True}, "must be 3 or more"),
        ({"number_of_clusters": 60000}, "no weight can have 60000 clusters: .*distinct values are fewer"),
        ({"number_of_clusters": 4, "operators": ["*conv9*"]}, "no weight fits"),
        ({"number_of_clusters": 4, "operators": "CONV_2D"}, "list of patterns"),
        ({"number_of_clusters": 4, "operators": ["DEPTHWISE_CONV_2D"]}, "left alone"),
        ({"number_of_clusters": 4, "cluster_centroids_init": "linear"}, "choose one of LINEAR"),
    ],
)
def test_refused(digits: Model, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        cluster_model(digits, **arguments)


def test_a_quantized_model_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"no float32 weights to cluster.*before quantization"):
        cluster_model(Model.read(data.DIGITS_INT8), 4)
