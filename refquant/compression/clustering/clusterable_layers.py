"""Which weights of which Keras layers are clustered.

Source: clustering/keras/clustering_registry.py and clusterable_layer.py of tensorflow_model_optimization.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from refquant.errors import InvalidInputError

#: Keras layer: its clustered weights. Depthwise kernels are left out, since accuracy suffers beyond repair.
WEIGHTS: dict[str, tuple[str, ...]] = {
    "Conv1D": ("kernel",),
    "Conv1DTranspose": ("kernel",),
    "Conv2D": ("kernel",),
    "Conv2DTranspose": ("kernel",),
    "Conv3D": ("kernel",),
    "Conv3DTranspose": ("kernel",),
    "DepthwiseConv2D": (),
    "SeparableConv1D": ("pointwise_kernel",),
    "SeparableConv2D": ("pointwise_kernel",),
    "Dense": ("kernel",),
    "Embedding": ("embeddings",),
    "BatchNormalization": (),
    "LayerNormalization": (),
}
RECURRENT_LAYERS = ("RNN", "GRU", "LSTM", "SimpleRNN", "Bidirectional")
RECURRENT_CELLS = ("GRUCell", "LSTMCell", "SimpleRNNCell")
ATTENTION_LAYERS = ("MultiHeadAttention",)
ATTENTION_DENSE = ("_query_dense", "_key_dense", "_value_dense", "_output_dense")


class ClusterableLayer(ABC):
    """A base for layers of your own: derive from this and from `keras.layers.Layer`."""

    @abstractmethod
    def get_clusterable_weights(self) -> list[tuple[str, Any]]:
        """(name, variable) of each weight to cluster, once the layer is built."""

    def get_clusterable_algorithm(self, weight_name: str) -> Any:
        """A class derived from `ClusteringAlgorithm` that finds the centroids of this weight; None: that class."""
        return None


def check_clusterable(layer: Any) -> None:
    """Raises `InvalidInputError` for a layer with weights to train that is neither known nor a `ClusterableLayer`."""
    if not _is_known(layer) and not isinstance(layer, ClusterableLayer) and layer.trainable_weights:
        raise InvalidInputError(
            f"layer {layer.name!r} ({type(layer).__name__}) is not known to clustering: cluster the other layers one by"
            " one, or derive it from ClusterableLayer"
        )


def clusterable_weights(layer: Any) -> list[tuple[str, Any]]:
    """(name, variable) of each clustered weight of a built layer; the names are tfmot's, 'kernel/1' that of cell 1."""
    if isinstance(layer, ClusterableLayer):
        return list(layer.get_clusterable_weights())
    check_clusterable(layer)
    name = type(layer).__name__
    if not layer.trainable_weights or not _is_known(layer):
        return []
    if name in RECURRENT_LAYERS:
        return [
            (f"{kind}/{index}", getattr(cell, kind))
            for index, cell in enumerate(_cells(layer))
            for kind in ("kernel", "recurrent_kernel")
        ]
    if name in ATTENTION_LAYERS:
        return [(f"{dense}.kernel", getattr(layer, dense).kernel) for dense in ATTENTION_DENSE]
    return [(weight, getattr(layer, weight)) for weight in WEIGHTS[name]]


def _is_known(layer: Any) -> bool:
    """A subclass is another layer, whose weights may mean something else."""
    name = type(layer).__name__
    if not type(layer).__module__.startswith("keras."):
        return False
    if name in RECURRENT_LAYERS:
        return all(
            type(cell).__name__ in RECURRENT_CELLS and type(cell).__module__.startswith("keras.")
            for cell in _cells(layer)
        )
    return name in WEIGHTS or name in ATTENTION_LAYERS


def _cells(layer: Any) -> list[Any]:
    if type(layer).__name__ == "Bidirectional":
        return [getattr(side, "cell", side) for side in (layer.forward_layer, layer.backward_layer)]
    return list(getattr(layer.cell, "cells", [layer.cell]))
