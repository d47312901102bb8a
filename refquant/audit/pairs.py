"""A float model and the quantized model made from it: which operator is which, which tensor is which.

The converter keeps the order of the operators and adds QUANTIZE and DEQUANTIZE; operators are matched in that order
and by kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from refquant.errors import InvalidInputError
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.vectors import indices_of

CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")


@dataclass(frozen=True, slots=True)
class Pair:
    """One operator in both models: its subgraph, its index in each, and the operator tables."""

    name: str
    subgraph: int
    float_index: int
    quantized_index: int
    float_operator: schema.Operator
    quantized_operator: schema.Operator

    def __str__(self) -> str:
        return f"operator {self.quantized_index} ({self.name})"

    def tensors(self, field: str) -> Iterator[tuple[int, int]]:
        """The tensors in a field ("inputs", "outputs", "intermediates") of the float operator and of the other one."""
        sides = (indices_of(getattr(op, field)) for op in (self.float_operator, self.quantized_operator))
        yield from ((f, q) for f, q in zip(*sides) if f >= 0 and q >= 0)


def pair_operators(float_model: Model, quantized_model: Model, subgraph: int = 0) -> list[Pair]:
    """The operators of a subgraph of both models, matched; raises `InvalidInputError` where they do not match."""
    sides = []
    for model in (float_model, quantized_model):
        operators = list(enumerate(model.subgraphs[subgraph].operators or ()))
        sides.append([(i, op) for i, op in operators if model.operator_name(op) not in CONVERSIONS])
    names = [[model.operator_name(op) for _, op in side] for model, side in zip((float_model, quantized_model), sides)]
    if names[0] != names[1]:
        at = next((i for i, (a, b) in enumerate(zip(*names)) if a != b), min(map(len, names)))
        here = [side[at] if at < len(side) else "nothing" for side in names]
        raise InvalidInputError(
            f"the float model is not the origin of this one: without QUANTIZE and DEQUANTIZE, operator {at} is "
            f"{here[0]} there and {here[1]} here ({len(names[0])} operators against {len(names[1])})"
        )
    return [Pair(name, subgraph, fi, qi, f, q) for name, (fi, f), (qi, q) in zip(names[0], *sides)]
