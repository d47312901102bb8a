"""Which layers of a Keras 3 model are pruned: a policy of your own, or that of XNNPACK's sparse inference.

XNNPACK runs a part of a network sparse that goes from a 3x3 convolution of an RGB image, with strides of 2, to a global
mean, through operators that know its layout, and gains in the 1x1 convolutions of it.

Source: sparsity/keras/pruning_policy.py of tensorflow_model_optimization.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

from refquant.errors import InvalidInputError

_ALWAYS = ("Add", "Multiply", "Subtract", "ZeroPadding2D", "ReLU", "LeakyReLU", "ELU", "Dropout")
_ACTIVATIONS = ("relu", "relu6", "leaky_relu", "elu", "sigmoid")


class PruningPolicy(ABC):
    """Says which layers of a model `prune_low_magnitude` wraps, and whether the model will do."""

    @abstractmethod
    def allow_pruning(self, layer: Any) -> bool:
        """Whether the layer is pruned."""

    @abstractmethod
    def ensure_model_supports_pruning(self, model: Any) -> None:
        """Raises where the model will not do."""


class PruneForLatencyOnXNNPack(PruningPolicy):
    """Prunes the 1x1 Conv2D of a model that XNNPACK can run sparse."""

    def allow_pruning(self, layer: Any) -> bool:
        """Whether it is a Conv2D of 1x1."""
        return _kind(layer) == "Conv2D" and tuple(layer.kernel_size) == (1, 1)

    def ensure_model_supports_pruning(self, model: Any) -> None:
        """Raises `InvalidInputError` where there is no part that XNNPACK runs sparse, or a layer in it that it does not
        take."""
        if not hasattr(model, "inputs") or not getattr(model, "built", False):
            raise InvalidInputError(
                f"model {model.name!r} has no graph: it must be Sequential or Functional, and built"
            )
        starts = _search([tensor._keras_history.operation for tensor in model.inputs], _is_start, _consumers)
        if not starts:
            raise InvalidInputError(
                f"model {model.name!r}: XNNPACK's sparse inference begins with a Conv2D of 3x3 over 3 channels with "
                "strides of 2 and VALID padding, behind a ZeroPadding2D of 1, in every branch of the inputs"
            )
        ends = _search([tensor._keras_history.operation for tensor in model.outputs], _is_end, _producers)
        if not ends:
            raise InvalidInputError(
                f"model {model.name!r}: XNNPACK's sparse inference ends with a GlobalAveragePooling2D in every "
                "branch of the outputs"
            )

        def end_or_supported(layer: Any) -> bool:
            if layer not in ends and not _is_supported(layer):
                raise InvalidInputError(f"XNNPACK's sparse inference does not take {_kind(layer)} {layer.name!r}")
            return layer in ends

        _search([consumer for start in starts for consumer in _consumers(start)], end_or_supported, _consumers)


def _search(first: Iterable[Any], is_wanted: Callable[[Any], bool], following: Callable[[Any], list[Any]]) -> list[Any]:
    """The layers that are wanted on all ways from the first ones; none where a way ends without one."""
    to_visit = list(first)
    seen = {id(layer) for layer in to_visit}
    found = []
    while to_visit:
        layer = to_visit.pop()
        if is_wanted(layer):
            found.append(layer)
            continue
        more = following(layer)
        if not more:
            return []
        to_visit += [other for other in more if id(other) not in seen]
        seen |= {id(other) for other in more}
    return found


def _producers(layer: Any) -> list[Any]:
    return list({id(p.operation): p.operation for node in layer._inbound_nodes for p in node.parent_nodes}.values())


def _consumers(layer: Any) -> list[Any]:
    return [node.operation for node in layer._outbound_nodes]


def _is_start(layer: Any) -> bool:
    return (
        _kind(layer) == "Conv2D"
        and tuple(layer.kernel.shape[:3]) == (3, 3, 3)
        and tuple(layer.strides) == (2, 2)
        and layer.padding == "valid"
        and _padding_before(layer) == ((1, 1), (1, 1))
    )


def _is_end(layer: Any) -> bool:
    return _kind(layer) == "GlobalAveragePooling2D"


def _is_supported(layer: Any) -> bool:
    kind = _kind(layer)
    if kind in _ALWAYS:
        return True
    if kind == "PruneLowMagnitude":
        return _is_supported(layer.layer)
    if kind == "DepthwiseConv2D":
        return _is_supported_depthwise(layer)
    if kind == "Conv2D":
        ones = (1, 1)
        return (
            layer.groups == 1 and tuple(layer.dilation_rate) == tuple(layer.kernel_size) == tuple(layer.strides) == ones
        )
    if kind == "GlobalAveragePooling2D":
        return bool(layer.keepdims)
    if kind == "BatchNormalization":
        return layer.axis in (3, -1, [3])
    if kind == "UpSampling2D":
        return bool(layer.interpolation == "bilinear")
    return kind == "Activation" and getattr(layer.activation, "__name__", "") in _ACTIVATIONS


def _is_supported_depthwise(layer: Any) -> bool:
    size, strides = tuple(layer.kernel_size), tuple(layer.strides)
    if layer.depth_multiplier != 1 or tuple(layer.dilation_rate) != (1, 1) or size not in ((3, 3), (5, 5)):
        return False
    if layer.padding == "same":
        return strides == (1, 1)
    half = size[0] // 2
    return strides in ((1, 1), (2, 2)) and _padding_before(layer) == ((half, half), (half, half))


def _padding_before(layer: Any) -> Any:
    """What a ZeroPadding2D that is the only producer pads, or None."""
    producers = _producers(layer)
    if len(producers) == 1 and _kind(producers[0]) == "ZeroPadding2D":
        return tuple(tuple(side) for side in producers[0].padding)
    return None


def _kind(layer: Any) -> str:
    return type(layer).__name__
