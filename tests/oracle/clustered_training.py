"""Trains small clustered models with one framework: clustered_training.py tfmot|tensorflow|jax|torch OUT.npz

In OUT: "train/OPTIMIZER-AGGREGATION-sparse|dense-channels|whole/STEP/LAYER-VALUE", with the weights, centroids and
indices of each layer before each step's successor; "strip/…/N", the stripped model's weights; "gradient/CASE/VALUE",
what the framework's own differentiation makes of the gradients of one clustered kernel.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

AGGREGATIONS, CHANNELS = ("SUM", "AVG"), (False, True)
#: optimizer, aggregation, preserve_sparsity, cluster_per_channel
SCENARIOS = [
    ("SGD", "SUM", False, False),
    ("SGD", "SUM", True, False),
    ("SGD", "SUM", True, True),
    ("SGD", "AVG", False, True),
    ("SGD", "AVG", True, True),
    ("Adam", "SUM", False, False),
    ("Adam", "SUM", True, True),
    ("Adam", "AVG", False, True),
]
FEW = [("SGD", "SUM", True, False), ("Adam", "AVG", False, True)]
STEPS, BATCH, CLUSTERS = 4, 16, 5


def named(scenario: tuple[str, str, bool, bool]) -> str:
    optimizer, aggregation, sparse, channels = scenario
    return f"{optimizer}-{aggregation}-{'sparse' if sparse else 'dense'}-{'channels' if channels else 'whole'}"


def gradient_cases() -> Iterator[tuple[str, bool, str, Any, Any, Any]]:
    """Name, channels, aggregation, kernel, centroids, upstream gradient."""
    generator = np.random.default_rng(5)
    for size in (3, 40):
        for channels in CHANNELS:
            for aggregation in AGGREGATIONS:
                kernel = generator.normal(size=(3, 3, size, 7)).astype(np.float32)
                kernel.flat[::5] = np.round(kernel.flat[::5] * 4) / 4  # ties
                shape = (7, CLUSTERS) if channels else (CLUSTERS,)
                centroids = (np.round(generator.normal(size=shape) * 4) / 4).astype(np.float32)
                upstream = generator.normal(size=kernel.shape).astype(np.float32)
                yield f"{size}-{channels}-{aggregation}", channels, aggregation, kernel, centroids, upstream


def main(engine: str, out: str) -> None:
    if engine == "tfmot":
        os.environ["TF_USE_LEGACY_KERAS"] = "1"
        import tensorflow as tf
        import tf_keras as keras
        from tensorflow_model_optimization.python.core.clustering.keras import cluster as api
        from tensorflow_model_optimization.python.core.clustering.keras import clustering_algorithm as algorithms
        from tensorflow_model_optimization.python.core.clustering.keras.cluster_config import GradientAggregation

        cluster_weights, linear = api._cluster_weights, api.CentroidInitialization.LINEAR
        strip_clustering: Any = api.strip_clustering

        class Adam(keras.optimizers.Adam):  # type: ignore[misc]
            """tf_keras computes another formula, with other roundings, for the centroids' gradient of SUM, which it
            gets as a sum still to be taken. Given the same sum taken, it computes as Keras 3 does."""

            def apply_gradients(self, grads_and_vars: Any, **kwargs: Any) -> Any:
                return super().apply_gradients([(tf.convert_to_tensor(g), v) for g, v in grads_and_vars], **kwargs)
    else:
        os.environ["KERAS_BACKEND"] = engine
        import keras

        from refquant.compression import clustering
        from refquant.compression.clustering import training as algorithms
        from refquant.compression.clustering.clusterer import GradientAggregation

        cluster_weights, linear = clustering.cluster_weights, clustering.CentroidInitialization.LINEAR
        strip_clustering = clustering.strip_clustering
        Adam = keras.optimizers.Adam

    def network(scenario: tuple[str, str, bool, bool]) -> Any:
        optimizer, aggregation, sparse, channels = scenario
        generator = np.random.default_rng(3)
        kernel = generator.normal(0, 0.3, (3, 3, 2, 4)).astype(np.float32)
        dense = generator.normal(0, 0.2, (144, 3)).astype(np.float32)
        if sparse:
            kernel[np.abs(kernel) < 0.15] = 0
            dense[np.abs(dense) < 0.1] = 0
        model = keras.Sequential(
            [
                keras.Input((8, 8, 2)),
                keras.layers.Conv2D(4, 3, activation="relu"),
                keras.layers.Flatten(),
                keras.layers.Dense(3),
            ]
        )
        model.set_weights([kernel, np.zeros(4, np.float32), dense, np.zeros(3, np.float32)])
        clustered = cluster_weights(
            model,
            CLUSTERS,
            linear,
            preserve_sparsity=sparse,
            cluster_per_channel=channels,
            cluster_gradient_aggregation=GradientAggregation[aggregation],
        )
        clustered.compile(
            keras.optimizers.SGD(0.05) if optimizer == "SGD" else Adam(0.01),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            jit_compile=engine == "jax",
        )
        return clustered

    def values(layer: Any) -> dict[str, Any]:
        layer.update_clustered_weights_associations()
        if engine == "tfmot":
            dicts = layer.original_clusterable_weights, layer.cluster_centroids, layer.pulling_indices
            found = [each["kernel"].numpy() for each in dicts]
        else:
            weight = layer._clustered[0]
            found = [keras.ops.convert_to_numpy(v) for v in (weight.original, weight.centroids, weight.indices)]
        return dict(zip(("original", "centroids", "indices"), found))

    generator = np.random.default_rng(4)
    images = generator.normal(size=(STEPS * BATCH, 8, 8, 2)).astype(np.float32)
    labels = generator.integers(0, 3, STEPS * BATCH).astype(np.int32)
    results: dict[str, Any] = {}
    for scenario in SCENARIOS if engine in ("tfmot", "tensorflow") else FEW:
        model = network(scenario)
        for step in range(STEPS):
            batch = slice(step * BATCH, (step + 1) * BATCH)
            model.train_on_batch(images[batch], labels[batch])
            for number in (0, 2):
                for name, value in values(model.layers[number]).items():
                    results[f"train/{named(scenario)}/{step}/{number}-{name}"] = value
        for number, weight in enumerate(strip_clustering(model).get_weights()):
            results[f"strip/{named(scenario)}/{number}"] = weight

    def clustered_kernel(channels: bool, aggregation: str, kernel: Any, centroids: Any) -> Any:
        kind = algorithms.ClusteringAlgorithmPerChannel if channels else algorithms.ClusteringAlgorithm
        algorithm = kind(centroids, GradientAggregation[aggregation], "channels_last")
        return algorithm.get_clustered_weight(algorithm.get_pulling_indices(kernel), kernel)

    for name, channels, aggregation, kernel, centroids, upstream in gradient_cases():
        if engine in ("tfmot", "tensorflow"):
            import tensorflow as tf

            arguments = [tf.Variable(kernel), tf.Variable(centroids)]
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(clustered_kernel(channels, aggregation, *arguments) * upstream)
            found = [tf.convert_to_tensor(gradient).numpy() for gradient in tape.gradient(loss, arguments)]
        elif engine == "jax":
            import jax

            def loss_of(k: Any, c: Any, channels: bool = channels, how: str = aggregation, u: Any = upstream) -> Any:
                return (clustered_kernel(channels, how, k, c) * u).sum()

            found = [np.asarray(g) for g in jax.jit(jax.grad(loss_of, argnums=(0, 1)))(kernel, centroids)]
        else:
            import torch

            arguments = [torch.tensor(a, requires_grad=True) for a in (kernel, centroids)]
            (clustered_kernel(channels, aggregation, *arguments) * torch.tensor(upstream)).sum().backward()
            found = [a.grad.numpy() for a in arguments]
        results[f"gradient/{name}/original"], results[f"gradient/{name}/centroids"] = found
    np.savez(out, **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
