"""tensorflow_model_optimization (tfmot) on arrays: its masks, schedules, centroids and clustered weights.

tfmot works with the older Keras alone (`TF_USE_LEGACY_KERAS=1`), which must be chosen before TensorFlow is imported: so
`open_model_optimization` starts a server process of its own, as `open_runtime` does.
"""

from __future__ import annotations

import importlib.util
import os
import time
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.errors import RuntimeUnavailableError
from refquant.runtimes.client import Server

Array = npt.NDArray[Any]


def open_model_optimization(timeout: float = 120.0) -> ModelOptimization:
    """tensorflow_model_optimization; `timeout` is in seconds, for each answer.

    Raises `RuntimeUnavailableError` where it is not installed.
    """
    for module, package in (
        ("tensorflow_model_optimization", "tensorflow-model-optimization"),
        ("tf_keras", "tf_keras"),
    ):
        if importlib.util.find_spec(module) is None:
            raise RuntimeUnavailableError(f"{module} is not installed: python -m pip install {package}")
    return ModelOptimization(timeout)


class ModelOptimization(Server):
    """tensorflow_model_optimization in a server process of its own; use it as a context manager.

    Every method raises `RuntimeFailedError` with tfmot's own words where it refuses.
    """

    def __init__(self, timeout: float) -> None:
        super().__init__(("model_optimization", ""), "tensorflow_model_optimization", timeout)

    def schedule(self, name: str, config: dict[str, Any], steps: list[int]) -> list[tuple[bool, Any]]:
        """What the schedule `name` of these arguments says at each step: whether it prunes, and the sparsity."""
        return self._ask(("schedule", name, config, steps))

    def pruning_mask(
        self,
        weights: Array,
        sparsity: float,
        block_size: tuple[int, int] = (1, 1),
        block_pooling_type: str = "AVG",
        sparsity_m_by_n: tuple[int, int] | None = None,
    ) -> tuple[Array, Array]:
        """The mask and the threshold of one kernel."""
        return self._ask(("pruning_mask", weights, sparsity, block_size, block_pooling_type, sparsity_m_by_n))

    def cluster(
        self,
        weights: Array,
        number: int,
        init: str,
        preserve_sparsity: bool,
        per_channel: str | None = None,
        seed: int | None = None,
    ) -> tuple[Array, Array, Array]:
        """Clustered weights, centroids and indices of one kernel, as they are before the first step of training.

        `per_channel` is a data format; `seed` is given to `tf.random.set_seed`.
        """
        return self._ask(("cluster", weights, number, init, preserve_sparsity, per_channel, seed))

    def clustered_gradients(
        self, weights: Array, centroids: Array, d_clustered: Array, aggregation: str, per_channel: str | None = None
    ) -> tuple[Array, Array, Array]:
        """The clustered weights in a step of training, and the gradients of weights and centroids."""
        return self._ask(("clustered_gradients", weights, centroids, d_clustered, aggregation, per_channel))

    def seconds(self, method: str, *arguments: Any) -> float:
        """How long one of the methods above takes in the server, without the way there and back."""
        return self._ask(("seconds", method, arguments))


class Adapter:
    """The side of the server."""

    def __init__(self) -> None:
        os.environ["TF_USE_LEGACY_KERAS"] = "1"
        import tensorflow
        import tensorflow_model_optimization

        self._tf: Any = tensorflow
        self._tfmot: Any = tensorflow_model_optimization

    def version(self) -> str:
        """The version of the installed package."""
        return str(self._tfmot.__version__)

    def schedule(self, name: str, config: dict[str, Any], steps: list[int]) -> list[tuple[bool, Any]]:
        """See `ModelOptimization.schedule`."""
        schedule = getattr(self._tfmot.sparsity.keras, name)(**config)
        answers = (schedule(self._tf.constant(step, self._tf.int64)) for step in steps)
        return [(bool(prunes), np.asarray(sparsity)[()]) for prunes, sparsity in answers]

    def pruning_mask(
        self,
        weights: Array,
        sparsity: float,
        block_size: tuple[int, int] = (1, 1),
        block_pooling_type: str = "AVG",
        sparsity_m_by_n: tuple[int, int] | None = None,
    ) -> tuple[Array, Array]:
        """See `ModelOptimization.pruning_mask`."""
        from tensorflow_model_optimization.python.core.sparsity.keras.pruning_impl import Pruning

        variable = self._tf.Variable(weights)
        constant = self._tfmot.sparsity.keras.ConstantSparsity(sparsity, 0)
        pruning = Pruning(
            lambda: self._tf.constant(0, self._tf.int64),
            [(variable, None, None)],
            constant,
            block_size,
            block_pooling_type,
            sparsity_m_by_n,
        )
        threshold, mask = pruning._maybe_update_block_mask(variable)
        return np.asarray(mask), np.asarray(threshold)

    def cluster(
        self,
        weights: Array,
        number: int,
        init: str,
        preserve_sparsity: bool,
        per_channel: str | None = None,
        seed: int | None = None,
    ) -> tuple[Array, Array, Array]:
        """See `ModelOptimization.cluster`."""
        from tensorflow_model_optimization.python.core.clustering.keras.clustering_centroids import (
            CentroidsInitializerFactory,
        )

        if seed is not None:
            self._tf.random.set_seed(seed)
        kernel = self._tf.constant(weights)
        kind = self._tfmot.clustering.keras.CentroidInitialization[init]
        initializer = CentroidsInitializerFactory.get_centroid_initializer(kind)
        options = (per_channel is not None, per_channel or "channels_last", preserve_sparsity)
        centroids = self._tf.Variable(initializer(kernel, number, *options).get_cluster_centroids())
        algorithm = _algorithm(per_channel)(centroids, data_format=per_channel)
        indices = algorithm.get_pulling_indices(kernel)
        clustered = algorithm.get_clustered_weight(indices, kernel)
        return np.asarray(clustered), np.asarray(centroids), np.asarray(indices)

    def clustered_gradients(
        self, weights: Array, centroids: Array, d_clustered: Array, aggregation: str, per_channel: str | None
    ) -> tuple[Array, Array, Array]:
        """See `ModelOptimization.clustered_gradients`."""
        from tensorflow_model_optimization.python.core.clustering.keras.cluster_config import GradientAggregation

        variables = [self._tf.Variable(weights), self._tf.Variable(centroids)]
        algorithm = _algorithm(per_channel)(variables[1], GradientAggregation[aggregation], per_channel)
        with self._tf.GradientTape() as tape:
            clustered = algorithm.get_clustered_weight(algorithm.get_pulling_indices(variables[0]), variables[0])
        gradients = tape.gradient(clustered, variables, output_gradients=self._tf.constant(d_clustered))
        d_weights, d_centroids = (np.asarray(self._tf.convert_to_tensor(gradient)) for gradient in gradients)
        return np.asarray(clustered), d_weights, d_centroids

    def seconds(self, method: str, arguments: tuple[Any, ...]) -> float:
        """See `ModelOptimization.seconds`."""
        start = time.perf_counter()
        getattr(self, method)(*arguments)
        return time.perf_counter() - start


def _algorithm(per_channel: str | None) -> Any:
    from tensorflow_model_optimization.python.core.clustering.keras import clustering_algorithm

    if per_channel is None:
        return clustering_algorithm.ClusteringAlgorithm
    return clustering_algorithm.ClusteringAlgorithmPerChannel
