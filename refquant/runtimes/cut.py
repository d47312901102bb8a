"""Models rewritten so that a runtime shows what it would keep to itself."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np

from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType


def with_outputs(model: Model, outputs: Sequence[int]) -> Model:
    """The same model, but with these tensors (indices in subgraph 0) as its outputs, and without signatures.

    Constants are shared with `model`, not copied.
    """
    root = copy.copy(model.root)
    root.subgraphs = list(model.subgraphs)
    root.subgraphs[0] = copy.copy(root.subgraphs[0])
    root.subgraphs[0].outputs = np.asarray(outputs, np.int32)
    root.signature_defs = None
    return Model(root)


def with_all_outputs(model: Model) -> tuple[Model, list[int]]:
    """The model with every tensor that an operator of subgraph 0 writes as an output, and their indices in order.

    Without resources, which no runtime shows.
    """
    indices: list[int] = []
    tensors = model.subgraphs[0].tensors or []
    for operator in model.subgraphs[0].operators or ():
        for index in np.asarray(operator.outputs if operator.outputs is not None else (), np.int64):
            if index not in indices and tensors[index].type not in (TensorType.RESOURCE, TensorType.VARIANT):
                indices.append(int(index))
    return with_outputs(model, indices), indices
