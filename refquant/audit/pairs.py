"""A float model and the quantized model made from it: which operator is which, which tensor is which.

The converter keeps the order of the operators and adds QUANTIZE and DEQUANTIZE; operators are matched in that order
and by kind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refquant.errors import InvalidInputError
from refquant.tflite import schema
from refquant.tflite.model import Model

_CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")


@dataclass(frozen=True, slots=True)
class Pair:
    """One operator in both models: its index in each, and the operator tables."""

    name: str
    float_index: int
    quantized_index: int
    float_operator: schema.Operator
    quantized_operator: schema.Operator

    def __str__(self) -> str:
        return f"operator {self.quantized_index} ({self.name})"


def pair_operators(float_model: Model, quantized_model: Model) -> list[Pair]:
    """The operators of subgraph 0 of both models, matched; raises `InvalidInputError` where they do not match."""
    sides = []
    for model in (float_model, quantized_model):
        operators = list(enumerate(model.subgraphs[0].operators or ()))
        sides.append([(i, op) for i, op in operators if model.operator_name(op) not in _CONVERSIONS])
    names = [[model.operator_name(op) for _, op in side] for model, side in zip((float_model, quantized_model), sides)]
    if names[0] != names[1]:
        at = next((i for i, (a, b) in enumerate(zip(*names)) if a != b), min(map(len, names)))
        here = [side[at] if at < len(side) else "nothing" for side in names]
        raise InvalidInputError(
            f"the float model is not the origin of this one: without QUANTIZE and DEQUANTIZE, operator {at} is "
            f"{here[0]} there and {here[1]} here ({len(names[0])} operators against {len(names[1])})"
        )
    return [Pair(name, fi, qi, f, q) for name, (fi, f), (qi, q) in zip(names[0], *sides)]


def tensor_of(model: Model, indices: object, position: int) -> schema.Tensor | None:
    """The tensor at a position of an operator's inputs or outputs, None where it is absent."""
    numbers = np.asarray(() if indices is None else indices, np.int64)
    if position >= len(numbers) or numbers[position] < 0:
        return None
    return (model.subgraphs[0].tensors or [])[numbers[position]]
