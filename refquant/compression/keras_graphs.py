"""Keras 3 models with other layers in the same graph, for the wrappers of pruning and of clustering."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import keras

from refquant.errors import InvalidInputError


def with_layers(model: Any, clone_layer: Callable[[Any], Any]) -> Any:
    """A model of the same graph, in which `clone_layer` gives the layer in the place of each.

    Raises `InvalidInputError` for a subclassed model.
    """
    if isinstance(model, keras.Sequential):
        return keras.models.clone_model(model, clone_function=clone_layer)
    if not hasattr(model, "operations"):
        raise InvalidInputError(f"model {model.name!r} is neither Sequential nor Functional: it has no graph to follow")
    return keras.models.clone_model(model, clone_function=clone_layer, call_function=_call)


def _call(layer: Any, *args: Any, **kwargs: Any) -> Any:
    # Keras noted the mask that a wrapper takes; a stripped layer may take none
    if "mask" in kwargs and "mask" not in inspect.signature(layer.call).parameters:
        del kwargs["mask"]
    return layer(*args, **kwargs)
