"""Which weights of a Keras 3 layer tfmot prunes: by the name of the layer's class, and of its attributes.

Source: sparsity/keras/prune_registry.py and prunable_layer.py of tensorflow_model_optimization.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from operator import attrgetter
from typing import Any

from refquant.errors import InvalidInputError

_WITHOUT_WEIGHTS = """
    Activation ActivityRegularization Add AlphaDropout Average AveragePooling1D AveragePooling2D AveragePooling3D
    BatchNormalization Concatenate Cropping1D Cropping2D Cropping3D DepthwiseConv1D DepthwiseConv2D Dot Dropout ELU
    Flatten GaussianDropout GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D
    GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D GroupNormalization Identity InputLayer Lambda
    LayerNormalization LeakyReLU Masking MaxPooling1D MaxPooling2D MaxPooling3D Maximum Minimum Multiply Normalization
    Permute ReLU RepeatVector Rescaling Reshape Resizing Softmax SpatialDropout1D SpatialDropout2D SpatialDropout3D
    Subtract UnitNormalization UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D
""".split()

#: class of Keras: attributes that hold kernels
_WEIGHTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_WITHOUT_WEIGHTS, ()),
    **dict.fromkeys(
        ("Conv1D", "Conv2D", "Conv3D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", "Dense"), ("kernel",)
    ),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), ("pointwise_kernel",)),
    "Embedding": ("embeddings",),
    "MultiHeadAttention": tuple(f"_{part}_dense.kernel" for part in ("query", "key", "value", "output")),
}
_CELLS = ("GRUCell", "LSTMCell", "SimpleRNNCell")
_RECURRENT = ("GRU", "LSTM", "RNN", "SimpleRNN")


class PrunableLayer(ABC):
    """A layer of your own that tells which of its weights are pruned; inherit from it and from `keras.layers.Layer`."""

    @abstractmethod
    def get_prunable_weights(self) -> list[Any]:
        """The variables, once the layer is built."""


def check_prunable(layer: Any) -> None:
    """Raises `InvalidInputError` for a layer of which nobody says what to prune."""
    if hasattr(layer, "get_prunable_weights"):
        return
    if _is_of_keras(layer, _RECURRENT):
        for cell in _cells(layer):
            if not hasattr(cell, "get_prunable_weights") and not _is_of_keras(cell, _CELLS):
                raise InvalidInputError(
                    f"layer {layer.name!r}: cells of {type(cell).__name__} are not known to pruning"
                )
    elif not _is_of_keras(layer, _WEIGHTS):
        raise InvalidInputError(
            f"layer {layer.name!r}: {type(layer).__name__} is not known to pruning: give it a method "
            "get_prunable_weights() that returns its kernels, or prune the other layers one by one"
        )


def prunable_weights(layer: Any) -> list[Any]:
    """The variables of a built layer that are pruned."""
    if hasattr(layer, "get_prunable_weights"):
        return list(layer.get_prunable_weights())
    if _is_of_keras(layer, _RECURRENT):
        return [variable for cell in _cells(layer) for variable in _of_cell(cell)]
    return [attrgetter(path)(layer) for path in _WEIGHTS[type(layer).__name__]]


def _of_cell(cell: Any) -> list[Any]:
    if hasattr(cell, "get_prunable_weights"):
        return list(cell.get_prunable_weights())
    return [cell.kernel, cell.recurrent_kernel]


def _cells(layer: Any) -> list[Any]:
    return list(getattr(layer.cell, "cells", [layer.cell]))


def _is_of_keras(layer: Any, names: Any) -> bool:
    return type(layer).__module__.partition(".")[0] == "keras" and type(layer).__name__ in names
