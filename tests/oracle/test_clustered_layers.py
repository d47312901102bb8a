"""Keras 3 layers that train clustered: what is wrapped, stripped, saved, converted and refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refquant as rq
from refquant.compression.clustering import (
    CentroidInitialization,
    ClusterableLayer,
    Clustered,
    ClusterWeights,
    cluster_scope,
    cluster_weights,
    strip_clustering,
)
from refquant.errors import InvalidInputError

pytestmark = pytest.mark.oracle
keras: Any = pytest.importorskip("keras")
layers: Any = keras.layers
LINEAR = CentroidInitialization.LINEAR


def convolutions() -> Any:
    return keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            layers.Conv2D(4, 3, use_bias=False),
            layers.BatchNormalization(),
            layers.DepthwiseConv2D(3),
            layers.SeparableConv2D(4, 3),
            layers.Dropout(0.5),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3),
        ]
    )


def shared_and_several_inputs() -> Any:
    a, b = keras.Input((8,)), keras.Input((8,))
    twice = layers.Dense(8)
    x = keras.ops.relu(twice(twice(layers.Add()([a, b]))))
    return keras.Model([a, b], layers.Dense(2)(layers.Concatenate()([x, a])))


def nested() -> Any:
    return keras.Sequential(
        [keras.Input((8,)), keras.Sequential([keras.Input((8,)), layers.Dense(8)]), layers.Dense(3)]
    )


def masked_recurrent() -> Any:
    words = keras.Input((5,), dtype="int32")
    x = layers.Embedding(10, 6, mask_zero=True)(words)
    x, h, c = layers.LSTM(4, return_state=True, return_sequences=True)(x)
    x = layers.LSTM(4, return_sequences=True)(x, initial_state=[h, c])
    x = layers.Bidirectional(layers.GRU(4, return_sequences=True))(x)
    return keras.Model(words, layers.RNN([layers.SimpleRNNCell(4), layers.LSTMCell(4)])(x))


def attention() -> Any:
    a = keras.Input((5, 8))
    return keras.Model(a, layers.MultiHeadAttention(2, 4)(a, a))


#: network, the shapes of the clustered kernels
NETWORKS: list[tuple[Callable[[], Any], list[tuple[int, ...]]]] = [
    (convolutions, [(3, 3, 2, 4), (1, 1, 4, 4), (4, 3)]),
    (shared_and_several_inputs, [(8, 8), (16, 2)]),
    (nested, [(8, 8), (8, 3)]),
    (masked_recurrent, [(10, 6), (6, 16), (4, 16), (4, 16), (4, 16)] + 2 * [(4, 12), (4, 12)] + [(8, 4), (4, 4)] + 2 * [(4, 16)]),
    (attention, [(8, 2, 4)] * 3 + [(2, 4, 8)]),
]  # fmt: skip


@pytest.mark.parametrize("network, wanted", NETWORKS, ids=lambda value: getattr(value, "__name__", ""))
def test_trained_stripped_saved_and_loaded(network: Any, wanted: list[tuple[int, ...]], tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    generator = np.random.default_rng(0)
    model = cluster_weights(network(), 4, LINEAR)
    inputs = [
        generator.integers(0, 10, (4, *i.shape[1:])).astype(np.int32)
        if i.dtype == "int32"
        else generator.normal(size=(4, *i.shape[1:])).astype(np.float32)
        for i in model.inputs
    ]
    inputs = inputs if len(inputs) > 1 else inputs[0]
    before = [np.array(weight) for weight in model.get_weights()]
    model.compile("adam", "mse", run_eagerly=True)
    model.train_on_batch(inputs, np.ones(model.output_shape[1:], np.float32)[None].repeat(4, 0))
    assert any(not np.array_equal(a, b) for a, b in zip(before, model.get_weights()))

    stripped = strip_clustering(model)
    assert not any(isinstance(layer, ClusterWeights) for layer in stripped._flatten_layers())
    few = [weight.shape for weight in stripped.get_weights() if weight.ndim > 1 and np.unique(weight).size <= 4]
    for shape in wanted:
        few.remove(shape)
    output = np.array(model(inputs))
    assert np.array_equal(output, np.array(stripped(inputs)))

    model.save(tmp_path / "clustered.keras")
    with cluster_scope():
        loaded = keras.models.load_model(tmp_path / "clustered.keras")
    assert np.array_equal(output, np.array(loaded(inputs)))


def test_a_stripped_model_converts() -> None:
    tf = pytest.importorskip("tensorflow")
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((6,), batch_size=1), layers.Dense(8, activation="relu"), layers.Dense(2)])
    stripped = strip_clustering(cluster_weights(model, 3, LINEAR))
    converted = rq.Model.read(tf.lite.TFLiteConverter.from_keras_model(stripped).convert())
    kernels = [
        a for a in map(converted.constant, converted.subgraphs[0].tensors or ()) if a is not None and a.ndim == 2
    ]
    assert sorted(np.unique(kernel).size for kernel in kernels) == [3, 3]


def test_a_layer_of_ones_own() -> None:
    class Scale(layers.Layer):  # type: ignore[misc]
        def build(self, shape: Any) -> None:
            self.factor = self.add_weight(shape=(shape[-1],), initializer="normal")

        def call(self, inputs: Any) -> Any:
            return inputs * self.factor

    class ClusterableScale(Scale, ClusterableLayer):  # type: ignore[misc]
        def get_clusterable_weights(self) -> list[tuple[str, Any]]:
            return [("factor", self.factor)]

    model = cluster_weights(keras.Sequential([keras.Input((9,)), ClusterableScale()]), 2, LINEAR)
    assert np.unique(np.array(model(np.ones((1, 9), np.float32)))).size == 2
    with pytest.raises(InvalidInputError, match=r"layer 'scale.*' \(Scale\) is not known to clustering"):
        cluster_weights(keras.Sequential([keras.Input((9,)), Scale()]), 2, LINEAR)


def test_what_is_meant() -> None:
    assert isinstance(cluster_weights([0, 1, 2], 2, LINEAR), Clustered)
    assert isinstance(cluster_weights(layers.Dense(3), 2, LINEAR), ClusterWeights)
    wrapped = cluster_weights([layers.Dense(3), layers.ReLU()], 2, LINEAR)
    assert [layer.name.startswith("cluster_") for layer in wrapped] == [True, True]
    assert cluster_weights(wrapped[0], 2, LINEAR) is wrapped[0]
    few = keras.Sequential([keras.Input((4, 4, 1)), layers.Conv2D(2, 1)])
    with pytest.warns(UserWarning, match="too few weights for 2 clusters"):
        assert not any(isinstance(layer, ClusterWeights) for layer in cluster_weights(few, 2, LINEAR).layers)


class Subclassed(keras.Model):  # type: ignore[misc]
    pass


@pytest.mark.parametrize(
    "call, words",
    [
        (
            lambda: cluster_weights(layers.Dense(3), 1),
            "number_of_clusters must be a whole number of 2 or more, it is 1",
        ),
        (lambda: cluster_weights(layers.Dense(3), 2, preserve_sparsity=True), "of 3 or more, it is 2"),
        (lambda: cluster_weights(layers.Dense(3), 2, "PCA"), "cluster_centroids_init 'PCA' is not offered"),  # type: ignore[call-overload]
        (lambda: cluster_weights(layers.Dense(3), 2, cluster_gradient_aggregation="MAX"), "choose one of SUM, AVG"),
        (lambda: cluster_weights(layers.Dense(3), 2, seed=-1), "seed must be a whole number"),
        (lambda: cluster_weights(Subclassed(), 2), "neither Sequential nor Functional"),
        (lambda: strip_clustering(3), "model must be a Keras 3 model, it is 3"),
        (
            lambda: cluster_weights(keras.Sequential([keras.Input((2,)), layers.Dense(1)]), 4, LINEAR),
            "kernel of layer 'dense.*' have 2 distinct values: 4 clusters are too many",
        ),
    ],
)
def test_what_is_refused(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        call()
