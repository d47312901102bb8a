"""The intermediate tensors of an LSTM, which the converter adds to a float model before it calibrates it."""

from __future__ import annotations

from copy import copy

import numpy as np

from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType

_OPERATORS = ("LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM")
_BASIC_INPUTS = 5  # of the basic LSTM, which has none
_COUNT = 5


def with_intermediate_tensors(model: Model) -> Model:
    """The model with five intermediate tensors, yet without shape, for each LSTM but basic ones.

    The very same model where there is none to add: no such LSTM, or intermediate tensors in the model already. Their
    names, such as "intermediate_3_0", tell operator and position. Source: AddIntermediateTensorsToFusedOp in
    tools/optimize/quantization_wrapper_utils.cc.
    """
    operators = [operator for subgraph in model.subgraphs for operator in subgraph.operators or ()]
    if any(_length(operator.intermediates) for operator in operators) or not any(_takes(model, o) for o in operators):
        return model
    root = copy(model.root)
    root.subgraphs = [_extended(model, subgraph) for subgraph in model.subgraphs]
    return model.with_root(root)


def _takes(model: Model, operator: schema.Operator) -> bool:
    return model.operator_name(operator) in _OPERATORS and _length(operator.inputs) != _BASIC_INPUTS


def _extended(model: Model, subgraph: schema.SubGraph) -> schema.SubGraph:
    subgraph = copy(subgraph)
    subgraph.tensors, subgraph.operators = list(subgraph.tensors or ()), list(subgraph.operators or ())
    for number, operator in enumerate(subgraph.operators):
        if _takes(model, operator):
            first = len(subgraph.tensors)
            subgraph.operators[number] = operator = copy(operator)
            operator.intermediates = np.arange(first, first + _COUNT, dtype=np.int32)
            subgraph.tensors += [
                schema.Tensor(shape=np.zeros(1, np.int32), type=TensorType.FLOAT32, name=f"intermediate_{number}_{i}")
                for i in range(_COUNT)
            ]
    return subgraph


def _length(vector: object) -> int:
    return 0 if vector is None else len(vector)  # type: ignore[arg-type]
