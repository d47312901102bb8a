"""What the operations of a converted model were called before the converter wrote it.

The converter names the tensors of a file after the places in the original program that the operations come from,
several places joined by semicolons, and puts a number behind a name that is taken. Quantizing inside the converter
gives other numbers, so the names have to be told from the numbers: a name that ends in the very number which was due is
that name and a number.

Source: compiler/mlir/op_or_arg_name_mapper.cc, as flatbuffer_export.cc uses it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

from refquant.tflite import schema
from refquant.tflite.model import Model

#: what constants are called that come from nowhere in the program
_NOWHERE = ("arith.constant", "tfl.pseudo_qconst")


@dataclass(frozen=True, slots=True)
class Absent:
    """The bias that an operator does not have: a constant for the converter, with a place and thus a name.

    It comes from the place where another constant does, tensor `beside`, and stands `before` or after that.
    """

    place: str
    beside: int
    before: bool


class Locations:
    """The places that the tensors of a converted model were named after.

    `absent` has of subgraphs, by number, the operand that is absent, if exactly one is.
    """

    def __init__(self, model: Model) -> None:
        self.absent: dict[int, Absent] = {}
        self._counts: Counter[str] = Counter()
        self._places: dict[int, str] = {}  # by the identity of the tensor; interfaces have none
        names = {tensor.name for subgraph in model.subgraphs for tensor in subgraph.tensors or ()}
        signatures = {signature.subgraph_index for signature in model.root.signature_defs or ()}
        entries = signatures if len(signatures) > 1 else {0}
        for number, subgraph in enumerate(model.subgraphs):
            tensors = subgraph.tensors or []
            inputs, outputs = _tensors(subgraph, subgraph.inputs), _tensors(subgraph, subgraph.outputs)
            given = {id(tensor) for tensor in inputs}
            absent = None
            if number in entries:
                self._counts.update(tensor.name or "" for tensor in [*inputs, *outputs])
                given.update(id(tensor) for tensor in outputs)
                absent = _absent(model, subgraph, names)
            if absent is not None:
                self.absent[number] = absent
            for index, tensor in enumerate(tensors):
                if absent is not None and absent.before and index == absent.beside:
                    self._counts[absent.place] += 1
                if id(tensor) not in given:
                    self._places[id(tensor)] = self._place(tensor.name or "")
                if absent is not None and not absent.before and index == absent.beside:
                    self._take(absent.place)

    def of(self, tensors: Sequence[schema.Tensor]) -> tuple[str, ...]:
        """The places that the operation which makes these tensors comes from; empty for none."""
        for tensor in tensors:
            place = self._places.get(id(tensor))
            if place is not None:
                return () if place in _NOWHERE else tuple(place.split(";"))
        return tuple(tensor.name or "" for tensor in tensors[:1])

    def _place(self, name: str) -> str:
        for place, number in _splits(name):
            if self._counts[place] and self._next(place) == number:
                self._counts[place] = number + 1
                self._counts[name] = 1
                return place
        self._counts[name] += 1
        return name

    def _take(self, place: str) -> None:
        """Gives a place's next name to something that is not to be seen."""
        number = self._next(place)
        self._counts[place] = number + 1
        self._counts[f"{place}{number}"] = 1

    def _next(self, place: str) -> int:
        number = self._counts[place]
        while f"{place}{number}" in self._counts:
            number += 1
        return number


def _splits(name: str) -> Iterator[tuple[str, int]]:
    """The ways to read a name as another one and a number, the longest number first."""
    first = len(name.rstrip("0123456789"))
    for start in range(max(first, 1), len(name)):
        if name[start] != "0":
            yield name[:start], int(name[start:])


#: operators whose bias may be absent: how many operands they have with it, and which one is from the same place
_WITH_BIAS = {"FULLY_CONNECTED": (3, 1), "TRANSPOSE_CONV": (4, 0)}


def _absent(model: Model, subgraph: schema.SubGraph, names: Set[str | None]) -> Absent | None:
    """The only absent operand of a subgraph, if that is a bias."""
    missing = [operator for operator in subgraph.operators or () if _lacks_operand(model, operator)]
    if len(missing) != 1 or missing[0].inputs is None:
        return None
    _, position = _WITH_BIAS.get(model.operator_name(missing[0]), (0, None))
    if position is None:
        return None
    beside = int(missing[0].inputs[position])
    tensor = (subgraph.tensors or [])[beside]
    name = tensor.name or ""
    if model.constant(tensor) is None or not name or name.startswith(_NOWHERE):
        return None
    if name.endswith("1") and name[-2:-1].isalpha() and name[:-1] not in names:
        return Absent(name[:-1], beside, before=True)
    return Absent(name, beside, before=False)


def _lacks_operand(model: Model, operator: schema.Operator) -> bool:
    inputs = [] if operator.inputs is None else list(operator.inputs)
    expected, _ = _WITH_BIAS.get(model.operator_name(operator), (0, None))
    return -1 in inputs or len(inputs) < expected


def _tensors(subgraph: schema.SubGraph, indices: object) -> list[schema.Tensor]:
    return [] if indices is None else [subgraph.tensors[int(i)] for i in indices]  # type: ignore[index,attr-defined]
