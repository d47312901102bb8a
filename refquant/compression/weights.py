"""The weights of a `.tflite` model: which constants they are, and what they look like to Keras.

tfmot sees a kernel as Keras has it. The converter turns it round; `to_keras` and `from_keras` turn it back and again,
so that blocks, ties and m-by-n groups are those of the layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType
from refquant.tflite.vectors import indices_of

Array = npt.NDArray[Any]

#: operator: the input that is its weight, and the order of the weight's dimensions in Keras
KERNELS: dict[str, tuple[int, tuple[int, ...]]] = {
    "CONV_2D": (1, (1, 2, 3, 0)),  # [out, height, width, in] is [height, width, in, out]
    "CONV_3D": (1, (0, 1, 2, 3, 4)),
    "EMBEDDING_LOOKUP": (1, (0, 1)),
    "FULLY_CONNECTED": (1, (1, 0)),  # [out, in] is [in, out]
    "GATHER": (0, (0, 1)),  # an Embedding: [words, numbers]
    "TRANSPOSE_CONV": (1, (1, 2, 0, 3)),  # [out, height, width, in] is [height, width, out, in]
}


@dataclass(frozen=True)
class Weight:
    """The weight of an operator: where it is, its array as the file has it, and its order of dimensions in Keras."""

    subgraph: int
    index: int
    name: str
    operator: str
    array: Array
    order: tuple[int, ...]

    def to_keras(self, array: Array) -> Array:
        """An array in the file's layout, in that of Keras."""
        return array.transpose(self.order)

    def from_keras(self, array: Array) -> Array:
        """An array in the layout of Keras, in the file's."""
        return array.transpose(np.argsort(self.order))


@dataclass(frozen=True)
class Skipped:
    """A constant that an operator has for a weight and that is left alone, and why."""

    name: str
    operator: str
    reason: str


def find_weights(model: Model) -> tuple[list[Weight], list[Skipped]]:
    """The float32 weights of a model, each once, in the order of its operators; and those that are left alone.

    Raises `InvalidModelError` where the data of a weight do not fit its shape.
    """
    weights: dict[tuple[int, int], Weight] = {}
    skipped: dict[tuple[int, int], Skipped] = {}
    for number, index, operator in _candidates(model):
        tensor = (model.subgraphs[number].tensors or [])[index]
        name, key = str(tensor.name or ""), (number, index)
        order = KERNELS[operator][1] if operator in KERNELS else ()
        reason = _reason(model, tensor, operator, order)
        if reason:
            skipped.setdefault(key, Skipped(name, operator, reason))
        elif key not in weights:
            array = model.constant(tensor)
            if array is not None:  # else it is no constant, and no weight
                weights[key] = Weight(number, index, name, operator, array, order)
    return list(weights.values()), list(skipped.values())


def replace_constants(model: Model, arrays: dict[tuple[int, int], Array]) -> Model:
    """The model with other values in these tensors, by subgraph and index; nothing else changes.

    Tensors that share a buffer and get the same bytes go on sharing one; one that keeps its values keeps the buffer. A
    buffer that nothing refers to any more is emptied.
    """
    root = copy(model.root)
    root.buffers, root.subgraphs = list(root.buffers or ()), [copy(subgraph) for subgraph in root.subgraphs or ()]
    staying = {0, *(int(entry.buffer) for entry in root.metadata or ())}
    for number, subgraph in enumerate(root.subgraphs):
        subgraph.tensors = list(subgraph.tensors or ())
        staying.update(int(t.buffer) for i, t in enumerate(subgraph.tensors) if (number, i) not in arrays)
    written: dict[tuple[int, bytes], int] = {}  # by the buffer that was, and what is in it now
    for (number, index), array in arrays.items():
        tensors = root.subgraphs[number].tensors or []
        tensor = tensors[index] = copy(tensors[index])
        old, content = int(tensor.buffer), np.ascontiguousarray(array).tobytes()
        if (old, content) not in written:
            buffer = schema.Buffer(data=np.frombuffer(content, np.uint8))
            if old in staying:
                root.buffers.append(buffer)
            else:
                root.buffers[old] = buffer
                staying.add(old)
            written[old, content] = len(root.buffers) - 1 if root.buffers[old] is not buffer else old
        tensor.buffer = written[old, content]
    return model.with_root(root)


_TYPES = (TensorType.FLOAT32, TensorType.FLOAT16, TensorType.INT8)  # of weights

#: operators whose weights are the parts of one kernel of Keras, which is why no part is taken alone
_RECURRENT = {
    "BIDIRECTIONAL_SEQUENCE_LSTM": range(1, 35),
    "LSTM": range(1, 9),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": range(1, 9),
    "UNIDIRECTIONAL_SEQUENCE_RNN": range(1, 3),
}


def _candidates(model: Model) -> Iterator[tuple[int, int, str]]:
    for number, subgraph in enumerate(model.subgraphs):
        for operator in subgraph.operators or ():
            name = model.operator_name(operator)
            inputs = indices_of(operator.inputs)
            if name in _RECURRENT:
                places: Iterable[int] = _RECURRENT[name]
            else:
                places = [1] if name == "DEPTHWISE_CONV_2D" else [KERNELS[name][0]] if name in KERNELS else []
            for place in places:
                if place < len(inputs) and inputs[place] >= 0:
                    if name == "GATHER" and (subgraph.tensors or [])[inputs[place]].type not in _TYPES:
                        continue  # a table of something else
                    yield number, inputs[place], name


def _reason(model: Model, tensor: schema.Tensor, operator: str, order: tuple[int, ...]) -> str | None:
    """Why a candidate is left alone, or None."""
    matrix = len(indices_of(tensor.shape)) > 1
    if not model.buffer(tensor.buffer).size:
        return None
    if operator == "DEPTHWISE_CONV_2D":
        return "depthwise filters are left alone, as by tfmot"
    if operator in _RECURRENT:
        return "recurrent kernels are left alone: each is a part of one that Keras has whole" if matrix else None
    if tensor.type != TensorType.FLOAT32:
        return f"it is {tensor.type.name}: float32 weights alone are taken, so do this before quantization"
    if tensor.sparsity is not None:
        return "it is sparse already"
    if len(indices_of(tensor.shape)) != len(order):
        return f"its shape {indices_of(tensor.shape)} is not that of a kernel"
    return None
