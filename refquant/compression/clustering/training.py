"""Clustering while a Keras 3 model trains, on any backend, with the names and behaviour of `tfmot.clustering.keras`.

    clustered = cluster_weights(model, 16, CentroidInitialization.LINEAR)
    clustered.compile(...)
    clustered.fit(...)
    model = strip_clustering(clustered)

A wrapped layer computes with clustered weights; its own weights train on, straight through, and choose the centroids at
each call; the centroids train too. The layers are those of the model given, not copies: training changes both models.

On the TensorFlow backend without XLA a training run has tfmot's bits, but for Adam with SUM where tf_keras, which gets
that gradient as a sum still to be taken, rounds otherwise. On JAX and PyTorch clustering's own gradients have the same
bits too; the sums of their convolutions and products have others.

Source: clustering/keras/cluster.py, cluster_wrapper.py, clustering_algorithm.py and clustering_callbacks.py of
tensorflow_model_optimization. Other than there: a convolution without bias can be clustered per channel (tfmot takes
it for one of few weights), the mask of sparsity is saved with the model, the original's layers stay usable, and a
weight with fewer distinct values than clusters is refused.
"""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import keras
import numpy as np
from keras import ops

from refquant.compression.clustering import arrays
from refquant.compression.clustering.centroids import CentroidInitialization, initialization
from refquant.compression.clustering.clusterable_layers import ClusterableLayer, check_clusterable, clusterable_weights
from refquant.compression.clustering.clusterer import GradientAggregation, aggregation, nearest_to_zero
from refquant.compression.keras_graphs import with_layers
from refquant.compression.pruning.schedules import is_whole
from refquant.errors import InvalidInputError


def cluster_weights(
    to_cluster: Any,
    number_of_clusters: int,
    cluster_centroids_init: CentroidInitialization = CentroidInitialization.KMEANS_PLUS_PLUS,
    preserve_sparsity: bool = False,
    cluster_per_channel: bool = False,
    **kwargs: Any,
) -> Any:
    """The Keras 3 model, layer or list of layers, each layer wrapped so that it trains with clustered weights.

    `cluster_per_channel` holds for Conv2D and its transpose; a Conv2D with too few weights stays as it is, with a
    warning. More arguments go to `ClusterWeights`: `cluster_gradient_aggregation`, `seed`, those of a Keras layer.

    Raises `InvalidInputError` for subclassed models, layers that are not known to clustering, and arguments out of
    range; when the layers are built, for weights that cannot have so many clusters.
    """
    check_number(number_of_clusters, preserve_sparsity)
    initialization(cluster_centroids_init)

    def wrap(layer: Any) -> Any:
        if isinstance(layer, keras.Model):
            return with_layers(layer, wrap)
        if isinstance(layer, ClusterWeights) or not isinstance(layer, keras.layers.Layer):
            return layer
        if isinstance(layer, keras.layers.InputLayer):
            return type(layer).from_config(layer.get_config())
        if isinstance(layer, keras.layers.Conv2D) and not _has_enough_weights(
            layer, number_of_clusters, cluster_per_channel
        ):
            return layer
        wrapper = ClusterWeightsMHA if isinstance(layer, keras.layers.MultiHeadAttention) else ClusterWeights
        return wrapper(
            layer, number_of_clusters, cluster_centroids_init, preserve_sparsity, cluster_per_channel, **kwargs
        )

    if isinstance(to_cluster, list):
        return [wrap(layer) for layer in to_cluster]
    if not isinstance(to_cluster, keras.layers.Layer):
        raise InvalidInputError(f"to_cluster must be a Keras 3 model, layer or list of layers, it is {to_cluster!r}")
    return wrap(to_cluster)


def strip_clustering(model: Any) -> Any:
    """A plain Keras model with the clustered weights of now; raises `InvalidInputError` for what is no Keras model."""
    if not isinstance(model, keras.Model):
        raise InvalidInputError(f"model must be a Keras 3 model, it is {model!r}")

    def strip(layer: Any) -> Any:
        if isinstance(layer, keras.Model):
            return with_layers(layer, strip)
        return layer.stripped() if isinstance(layer, ClusterWeights) else layer

    return with_layers(model, strip)


def cluster_scope() -> Any:
    """A scope, for `with`, in which Keras finds the classes of clustered models that it loads."""
    return keras.saving.custom_object_scope({"ClusterWeights": ClusterWeights, "ClusterWeightsMHA": ClusterWeightsMHA})


class ClusteringAlgorithm:
    """How weights find their centroids, and what gradient both get; `clusters_centroids` is a variable [number].

    Derive from it, with `get_pulling_indices` of your own, for `ClusterableLayer.get_clusterable_algorithm`.
    """

    def __init__(
        self,
        clusters_centroids: Any,
        cluster_gradient_aggregation: GradientAggregation = GradientAggregation.SUM,
        data_format: str | None = None,
    ) -> None:
        self.cluster_centroids = clusters_centroids
        self.cluster_gradient_aggregation = cluster_gradient_aggregation
        self.data_format = data_format

    def get_pulling_indices(self, weight: Any) -> Any:
        """The index of the centroid nearest to each weight, of equally near ones the first: int32 in its shape."""
        distance = ops.abs(ops.expand_dims(weight, -1) - self._centroids_beside(weight))
        return ops.cast(ops.argmin(distance, axis=-1), "int32")

    def get_clustered_weight(self, pulling_indices: Any, original_weight: Any) -> Any:
        """The centroids of these indices. The original weight gets the gradient unchanged; each centroid the sum (or
        average) of that of its weights. As in tfmot a weight below -1e6 gets its centroid's negative."""
        shape = tuple(self.cluster_centroids.shape)
        averages = self.cluster_gradient_aggregation is GradientAggregation.AVG

        @ops.custom_gradient  # type: ignore[untyped-decorator]
        def clustered(centroids: Any, original: Any, places: Any) -> tuple[Any, Callable[..., Any]]:
            def gradients(*args: Any, upstream: Any = None) -> tuple[Any, Any, None]:
                if upstream is None:  # TensorFlow and JAX give it by its place, PyTorch by its name
                    (upstream,) = args
                flat, number = ops.reshape(places, (-1,)), math.prod(shape)
                sums = ops.segment_sum(ops.reshape(upstream, (-1,)), flat, num_segments=number)
                if averages:
                    sizes = ops.segment_sum(ops.reshape(ops.ones_like(upstream), (-1,)), flat, num_segments=number)
                    sums = ops.divide_no_nan(sums, sizes)
                return ops.reshape(sums, shape), upstream, None

            values = ops.take(ops.reshape(centroids, (-1,)), places) * ops.sign(original + 1e6)
            return values, gradients

        # copies, since TensorFlow allows no variables here
        return clustered(ops.copy(self.cluster_centroids), ops.copy(original_weight), self._places(pulling_indices))

    def _centroids_beside(self, weight: Any) -> Any:
        """The centroids in a shape that broadcasts against [*weight, 1]."""
        return ops.convert_to_tensor(self.cluster_centroids)

    def _places(self, indices: Any) -> Any:
        """Indices of the centroids of all channels."""
        return indices


class ClusteringAlgorithmPerChannel(ClusteringAlgorithm):
    """Each channel of a kernel of 4 dimensions has centroids of its own: [channels, number]."""

    def _centroids_beside(self, weight: Any) -> Any:
        channels, number = self.cluster_centroids.shape
        return ops.reshape(self.cluster_centroids, (*self._beside_channels(channels), number))

    def _places(self, indices: Any) -> Any:
        channels, number = self.cluster_centroids.shape
        first = np.arange(0, channels * number, number, dtype=np.int32)
        return indices + ops.convert_to_tensor(first.reshape(self._beside_channels(channels)))

    def _beside_channels(self, channels: int) -> tuple[int, ...]:
        return (1, channels, 1, 1) if self.data_format == "channels_first" else (1, 1, 1, channels)


class _ClusteredWeight:
    """One clustered weight of a wrapped layer: its variables, and their update at each call."""

    def __init__(self, wrapper: ClusterWeights, name: str, original: Any) -> None:
        if not isinstance(original, keras.Variable):
            raise InvalidInputError(f"{name} of layer {wrapper.layer.name!r} is no variable that could be clustered")
        self.original = original
        data_format = getattr(wrapper.layer, "data_format", "channels_last")
        number, axis = wrapper.number_of_clusters, 1 if data_format == "channels_first" else -1
        shape = (original.shape[axis], number) if wrapper.cluster_per_channel else (number,)

        @cache
        def first() -> arrays.Clustered:
            # only now: Keras may give variables their values later
            try:
                weights = ops.convert_to_numpy(original)
            except (NotImplementedError, TypeError):  # inside of a graph (TensorFlow) or a trace (JAX)
                raise InvalidInputError(
                    f"layer {wrapper.layer.name!r} is built by fit, when its weights have no values yet: build the"
                    " model before, with model.build(input_shape) or by calling it on a batch"
                ) from None
            return arrays.cluster_weights(
                weights,
                number,
                wrapper.cluster_centroids_init,
                preserve_sparsity=wrapper.preserve_sparsity,
                cluster_per_channel=wrapper.cluster_per_channel,
                data_format=data_format,
                seed=wrapper.seed,
                name=f"{name} of layer {wrapper.layer.name!r}",
            )

        def add(what: str, shape: tuple[int, ...], dtype: str, value: Callable[[], Any], trainable: bool) -> Any:
            return wrapper.add_weight(
                name=f"{what}_{name.strip('_').replace('/', '_').replace('.', '_')}",
                shape=shape,
                dtype=dtype,
                trainable=trainable,
                initializer=lambda *_, **__: ops.convert_to_tensor(value(), dtype=dtype),
            )

        self.centroids = add("cluster_centroids", shape, "float32", lambda: first().centroids, True)
        self.algorithm = wrapper.algorithm_of(name)(self.centroids, wrapper.cluster_gradient_aggregation, data_format)
        self.indices = add("pulling_indices", tuple(original.shape), "int32", lambda: first().indices, False)
        if wrapper.preserve_sparsity:
            self.mask = add("sparsity_mask", tuple(original.shape), "float32", lambda: first().clustered != 0, False)
            self.zero = add("zero_index", (*shape[:-1], 1), "int32", lambda: nearest_to_zero(first().centroids), False)
        else:
            self.mask = self.zero = None

    def updated(self) -> Any:
        """The clustered weight of the weights and centroids of now."""
        original = ops.convert_to_tensor(self.original)
        if self.mask is not None:
            # Every centroid with the value of the one that began nearest to zero becomes zero.
            centroids = ops.convert_to_tensor(self.centroids)
            zero = ops.take_along_axis(centroids, ops.convert_to_tensor(self.zero), axis=-1)
            self.centroids.assign(centroids * ops.cast(ops.not_equal(centroids, zero), centroids.dtype))
            original = original * ops.cast(self.mask, original.dtype)
        indices = self.algorithm.get_pulling_indices(original)
        self.indices.assign(indices)
        return self.algorithm.get_clustered_weight(indices, original)


@keras.saving.register_keras_serializable(package="refquant")
class ClusterWeights(keras.layers.Wrapper):  # type: ignore[misc]
    """A layer that computes with clustered weights; see `cluster_weights` of this module for the arguments.

    Raises `InvalidInputError` for them, and for a layer that is not known to clustering.
    """

    def __init__(
        self,
        layer: Any,
        number_of_clusters: int,
        cluster_centroids_init: CentroidInitialization = CentroidInitialization.KMEANS_PLUS_PLUS,
        preserve_sparsity: bool = False,
        cluster_per_channel: bool = False,
        cluster_gradient_aggregation: GradientAggregation = GradientAggregation.SUM,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(layer, keras.layers.Layer):
            raise InvalidInputError(f"layer must be a Keras 3 layer, it is {layer!r}")
        check_number(number_of_clusters, preserve_sparsity)
        check_clusterable(layer)
        super().__init__(layer, **{"name": f"cluster_{layer.name}", **kwargs})
        self.number_of_clusters = int(number_of_clusters)
        self.cluster_centroids_init = initialization(cluster_centroids_init)
        self.preserve_sparsity = preserve_sparsity
        self.cluster_per_channel = cluster_per_channel and isinstance(
            layer, (keras.layers.Conv2D, keras.layers.Conv2DTranspose)
        )
        self.cluster_gradient_aggregation = aggregation(cluster_gradient_aggregation)
        self.seed = arrays.check_seed(seed)
        self.supports_masking = layer.supports_masking
        self._clustered: list[_ClusteredWeight] = []
        accepted = inspect.signature(layer.call).parameters
        self._context = [name for name in ("training", "mask") if name in accepted]

    def build(self, input_shape: Any = None) -> None:
        """Builds the layer, and finds the first centroids of its weights."""
        super().build(input_shape)
        self._add_clusters()

    def _add_clusters(self) -> None:
        self._clustered = [_ClusteredWeight(self, name, variable) for name, variable in clusterable_weights(self.layer)]

    def algorithm_of(self, weight_name: str) -> Any:
        """The class that clusters this weight."""
        if self.cluster_per_channel:
            return ClusteringAlgorithmPerChannel
        own = isinstance(self.layer, ClusterableLayer) and self.layer.get_clusterable_algorithm(weight_name)
        return own or ClusteringAlgorithm

    def call(self, inputs: Any, training: Any = None, mask: Any = None, **kwargs: Any) -> Any:
        """What the layer gives with its weights clustered."""
        return self._call_clustered(inputs, **self._accepted(training=training, mask=mask), **kwargs)

    def _call_clustered(self, *args: Any, **kwargs: Any) -> Any:
        if not self._clustered:
            return self.layer(*args, **kwargs)
        values = {id(weight.original): weight.updated() for weight in self._clustered}
        trainable, others = self.layer.trainable_variables, self.layer.non_trainable_variables
        given = [[values.get(id(variable), variable.value) for variable in group] for group in (trainable, others)]
        outputs, states = self.layer.stateless_call(*given, *args, **kwargs)
        for variable, before, after in zip(others, given[1], states):
            if after is not before:
                variable.assign(after)
        return outputs

    def _accepted(self, **context: Any) -> dict[str, Any]:
        return {name: context[name] for name in self._context if context.get(name) is not None}

    def compute_output_shape(self, input_shape: Any) -> Any:
        """That of the layer."""
        return self.layer.compute_output_shape(input_shape)

    def compute_output_spec(self, *args: Any, training: Any = None, mask: Any = None, **kwargs: Any) -> Any:
        """That of the layer."""
        return self.layer.compute_output_spec(*args, **self._accepted(training=training, mask=mask), **kwargs)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """That of the layer."""
        return self.layer.compute_mask(inputs, previous_mask)

    def update_clustered_weights_associations(self) -> None:
        """Lets weights find their centroids, as each call does."""
        for weight in self._clustered:
            weight.updated()

    def stripped(self) -> Any:
        """A new layer of the wrapped kind with the clustered weights of now."""
        clean = type(self.layer).from_config(self.layer.get_config())
        if not self.layer.built:
            return clean
        clean.build_from_config(self.layer.get_build_config() or {})
        clustered = {id(weight.original): weight.updated() for weight in self._clustered}
        clean.set_weights(
            [ops.convert_to_numpy(clustered.get(id(weight), weight.value)) for weight in self.layer.weights]
        )
        return clean

    def get_config(self) -> dict[str, Any]:
        """The arguments, as Keras saves them."""
        return {
            **super().get_config(),
            "number_of_clusters": self.number_of_clusters,
            "cluster_centroids_init": self.cluster_centroids_init.value,
            "preserve_sparsity": self.preserve_sparsity,
            "cluster_per_channel": self.cluster_per_channel,
            "cluster_gradient_aggregation": self.cluster_gradient_aggregation.value,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable(package="refquant")
class ClusterWeightsMHA(ClusterWeights):
    """`ClusterWeights` of MultiHeadAttention, which takes several inputs."""

    def build(  # type: ignore[override]
        self, query_shape: Any, value_shape: Any, key_shape: Any = None
    ) -> None:
        """Builds the layer, and finds the first centroids of its weights."""
        if not self.layer.built:
            self.layer.build(query_shape, value_shape, key_shape)
        self._add_clusters()

    def call(  # type: ignore[override]
        self, query: Any, value: Any, key: Any = None, training: Any = None, **kwargs: Any
    ) -> Any:
        """What the layer gives with its weights clustered."""
        return self._call_clustered(query, value, key=key, **self._accepted(training=training), **kwargs)

    def compute_output_shape(  # type: ignore[override]
        self, query_shape: Any, value_shape: Any, key_shape: Any = None
    ) -> Any:
        """That of the layer."""
        return self.layer.compute_output_shape(query_shape, value_shape, key_shape)

    def compute_mask(self, query: Any, previous_mask: Any) -> Any:
        """That of the query."""
        return previous_mask[0] if isinstance(previous_mask, (list, tuple)) else previous_mask


class ClusteringSummaries(keras.callbacks.TensorBoard):  # type: ignore[misc]
    """Writes histograms of the variables of clustered layers for TensorBoard (needs TensorFlow, on any backend).

    `cluster_update_freq`: "epoch", "batch" or a number of batches. Raises `InvalidInputError` for others, and for a
    `log_dir` that is no text.
    """

    def __init__(self, log_dir: str = "logs", cluster_update_freq: str | int = "epoch", **kwargs: Any) -> None:
        if not isinstance(log_dir, str) or not log_dir:
            raise InvalidInputError(f"log_dir must be the path of a folder, it is {log_dir!r}")
        if cluster_update_freq not in ("epoch", "batch") and not (
            isinstance(cluster_update_freq, int) and cluster_update_freq > 0
        ):
            raise InvalidInputError(
                f"cluster_update_freq must be 'epoch', 'batch' or a number of batches, it is {cluster_update_freq!r}"
            )
        super().__init__(log_dir=log_dir, **kwargs)
        import tensorflow

        self._tf_summary = tensorflow.summary
        self.cluster_update_freq: str | int = 1 if cluster_update_freq == "batch" else cluster_update_freq
        self.writer = tensorflow.summary.create_file_writer(log_dir)
        self.continuous_batch = 0  # over all epochs

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Counts."""
        super().on_train_batch_begin(batch, logs)
        self.continuous_batch += 1

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Writes, when it is the turn."""
        super().on_train_batch_end(batch, logs)
        if isinstance(self.cluster_update_freq, int) and self.continuous_batch % self.cluster_update_freq == 0:
            self._write_histograms()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Writes, when it is the turn."""
        super().on_epoch_end(epoch, logs)
        if self.cluster_update_freq == "epoch":
            self._write_histograms()

    def _write_histograms(self) -> None:
        with self.writer.as_default():
            for layer in self.model.layers:
                if isinstance(layer, ClusterWeights) and layer._clustered:
                    for variable in layer.variables:
                        self._tf_summary.histogram(
                            f"clustering/{variable.path}", ops.convert_to_numpy(variable), self.continuous_batch
                        )


def check_number(number_of_clusters: Any, preserve_sparsity: bool) -> None:
    """Raises `InvalidInputError` for fewer than 2 clusters, 3 with `preserve_sparsity`."""
    least = 3 if preserve_sparsity else 2
    if not is_whole(number_of_clusters) or number_of_clusters < least:
        raise InvalidInputError(
            f"number_of_clusters must be a whole number of {least} or more, it is {number_of_clusters!r}"
        )


def _has_enough_weights(layer: Any, number_of_clusters: int, cluster_per_channel: bool) -> bool:
    """Whether a Conv2D has more weights (in each channel) than clusters; warns where not."""
    if not layer.built:
        return True
    shape = layer.kernel.shape
    channels = (shape[1] if layer.data_format == "channels_first" else shape[-1]) if cluster_per_channel else 1
    if math.prod(shape) / channels > number_of_clusters:
        return True
    warnings.warn(f"layer {layer.name!r} has too few weights for {number_of_clusters} clusters: it stays", stacklevel=4)
    return False
