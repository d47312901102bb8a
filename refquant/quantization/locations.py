"""What the operations of a converted model were called before the converter wrote it.

The converter names the tensors of a file after the places in the original program that the operations come from,
several places joined by semicolons, and puts a number behind a name that is taken. Quantizing inside the converter
gives other numbers, so the names have to be told from the numbers: a name that ends in the very number which was due is
that name and a number.

Source: compiler/mlir/op_or_arg_name_mapper.cc, as flatbuffer_export.cc uses it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from refquant.tflite import schema
from refquant.tflite.model import Model

#: what constants are called that come from nowhere in the program
_NOWHERE = ("arith.constant", "tfl.pseudo_qconst")


class Locations:
    """The places that the tensors of a converted model were named after."""

    def __init__(self, model: Model) -> None:
        self._counts: Counter[str] = Counter()
        self._places: dict[int, str] = {}  # by the identity of the tensor; interfaces have none
        signatures = {signature.subgraph_index for signature in model.root.signature_defs or ()}
        entries = signatures if len(signatures) > 1 else {0}
        for number, subgraph in enumerate(model.subgraphs):
            tensors = subgraph.tensors or []
            inputs, outputs = _tensors(subgraph, subgraph.inputs), _tensors(subgraph, subgraph.outputs)
            given = {id(tensor) for tensor in inputs}
            if number in entries:
                self._counts.update(tensor.name or "" for tensor in [*inputs, *outputs])
                given.update(id(tensor) for tensor in outputs)
            for tensor in tensors:
                if id(tensor) not in given:
                    self._places[id(tensor)] = self._place(tensor.name or "")

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


def _tensors(subgraph: schema.SubGraph, indices: object) -> list[schema.Tensor]:
    return [] if indices is None else [subgraph.tensors[int(i)] for i in indices]  # type: ignore[index,attr-defined]
