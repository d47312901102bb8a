"""Cases for a runtime that plans no shapes: TFLite Micro takes those in the file."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.errors import RefquantError
from refquant.interpreter import Interpreter
from refquant.runtimes import tf_style
from refquant.tflite.model import Model

Array = npt.NDArray[Any]
Samples = Sequence[Sequence[Array]]


def with_fixed_shapes(model: Model, samples: Samples) -> tuple[Model, Samples]:
    """The model with the shape in the file that each tensor has when it runs on the first sample.

    With it the samples that have the same shapes as the first. A model that the reference profile refuses is left as
    it is.
    """
    kept = [sample for sample in samples if [np.shape(a) for a in sample] == [np.shape(a) for a in samples[0]]]
    interpreter = Interpreter(model=model)
    try:
        tf_style.run(interpreter, samples[:1])
    except RefquantError:
        return model, kept
    root = copy.copy(model.root)
    root.subgraphs = [
        _with_shapes(subgraph, [info.shape for info in interpreter._plans[number].tensors])
        for number, subgraph in enumerate(model.subgraphs)
    ]
    return Model(root), kept


def _with_shapes(subgraph: Any, shapes: Sequence[tuple[int, ...] | None]) -> Any:
    subgraph = copy.copy(subgraph)
    subgraph.tensors = [copy.copy(tensor) for tensor in subgraph.tensors or ()]
    for tensor, shape in zip(subgraph.tensors, shapes, strict=True):
        if shape is not None:
            tensor.shape, tensor.shape_signature = np.array(shape, np.int32), None
    return subgraph
