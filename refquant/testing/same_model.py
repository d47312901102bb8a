"""Two models, structure and bits: what is not the same, one line for each difference.

The models are walked by the schema's own descriptions of its tables, so that no field can be forgotten. What refers to
something else (operator to its code, tensor to its buffer, operator to its tensors) is compared by what it refers to
and by number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.errors import InvalidModelError
from refquant.testing.conformance import first_difference
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.table import Table

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Comparison:
    """What came of comparing two models; the counts are those of the expected model.

    A tensor or operator is equal when all its fields are, constants to the byte. `same_bytes` is about the files.
    """

    differences: list[str]
    same_bytes: bool
    tensors: int
    equal_tensors: int
    operators: int
    equal_operators: int


def differences(ours: Model | bytes, theirs: Model | bytes) -> list[str]:
    """Every difference between a model and the expected one, a line each; empty where there is none."""
    return compare_models(ours, theirs).differences


def compare_models(ours: Model | bytes, theirs: Model | bytes) -> Comparison:
    """Compares the file of a model with that of the expected one; the file of a `Model` is what it writes."""
    our_bytes, their_bytes = (m if isinstance(m, bytes) else m.tobytes() for m in (ours, theirs))
    our_model, their_model = Model.read(our_bytes), Model.read(their_bytes)
    lines = list(_root(our_model, their_model))
    counts: Counter[str] = Counter()
    if len(our_model.subgraphs) != len(their_model.subgraphs):
        lines.append(f"{len(our_model.subgraphs)} subgraphs, expected {len(their_model.subgraphs)}")
    for number in range(min(len(our_model.subgraphs), len(their_model.subgraphs))):
        lines += _Subgraphs(our_model, their_model, number).compare(counts)
    return Comparison(
        differences=lines,
        same_bytes=our_bytes == their_bytes,
        tensors=sum(len(subgraph.tensors or ()) for subgraph in their_model.subgraphs),
        equal_tensors=counts["equal tensors"],
        operators=sum(len(subgraph.operators or ()) for subgraph in their_model.subgraphs),
        equal_operators=counts["equal operators"],
    )


class _Subgraphs:
    """One subgraph of ours beside the expected one."""

    def __init__(self, ours: Model, theirs: Model, number: int) -> None:
        self.models = ours, theirs
        self.ours, self.theirs = ours.subgraphs[number], theirs.subgraphs[number]
        self.place = f"subgraph {number}"

    def compare(self, counts: Counter[str]) -> list[str]:
        """All differences; counts the equal tensors and operators."""
        apart = ("tensors", "operators", "inputs", "outputs")
        lines = [f"{self.place}: {line}" for line in _fields(self.ours, self.theirs, without=apart)]
        for what in ("inputs", "outputs"):
            lines += [f"{self.place}: {line}" for line in self._references(self.ours, self.theirs, what)]
        for our, their, place in self._paired_tensors(lines):
            found = [f"{place}: {line}" for line in self._tensor(our, their)]
            counts["equal tensors"] += not found
            lines += found
        for our_operator, their_operator, place in self._paired_operators(lines):
            found = [f"{place}: {line}" for line in self._operator(our_operator, their_operator)]
            counts["equal operators"] += not found
            lines += found
        return lines

    def _paired_tensors(self, lines: list[str]) -> Iterator[tuple[schema.Tensor, schema.Tensor, str]]:
        """Tensors of the same name, or else of the same place; what has no counterpart is told to `lines`."""
        our_tensors, their_tensors = self.ours.tensors or [], self.theirs.tensors or []
        if len(our_tensors) != len(their_tensors):
            lines.append(f"{self.place}: {len(our_tensors)} tensors, expected {len(their_tensors)}")
        our_keys, their_keys = _keys(our_tensors), _keys(their_tensors)
        where = {key: i for i, key in enumerate(our_keys)}
        known = set(their_keys)
        for i, key in enumerate(their_keys):
            place = f"{self.place}, tensor {i} {their_tensors[i].name!r}"
            if key in where:
                if where[key] != i:
                    lines.append(f"{place}: has index {where[key]}, expected {i}")
                yield our_tensors[where[key]], their_tensors[i], place
            elif i < len(our_keys) and our_keys[i] not in known:
                yield our_tensors[i], their_tensors[i], place
            else:
                lines.append(f"{place}: is missing")
        for i, key in enumerate(our_keys):
            if key not in known and (i >= len(their_keys) or their_keys[i] in where):
                lines.append(f"{self.place}, tensor {i} {our_tensors[i].name!r}: is not expected")

    def _tensor(self, ours: schema.Tensor, theirs: schema.Tensor) -> Iterator[str]:
        yield from _fields(ours, theirs)
        bytes_differ = first_difference(self.models[0].buffer(ours.buffer), self.models[1].buffer(theirs.buffer))
        if bytes_differ:
            yield f"constant: {self._constants_differ(ours, theirs) or f'bytes: {bytes_differ}'}"

    def _constants_differ(self, ours: schema.Tensor, theirs: schema.Tensor) -> str:
        """How the constants differ as numbers; empty where they are none, or do not."""
        try:
            our, their = self.models[0].constant(ours), self.models[1].constant(theirs)
        except InvalidModelError:
            return ""
        if our is None or their is None:
            return f"{'no data' if our is None else 'data'}, expected {'none' if their is None else 'some'}"
        return first_difference(our, their)

    def _paired_operators(self, lines: list[str]) -> Iterator[tuple[schema.Operator, schema.Operator, str]]:
        """Operators in order, aligned by their names; what has no counterpart is told to `lines`."""
        our_operators, their_operators = self.ours.operators or [], self.theirs.operators or []
        our_names = [self.models[0].operator_name(operator) for operator in our_operators]
        their_names = [self.models[1].operator_name(operator) for operator in their_operators]
        matcher = SequenceMatcher(None, our_names, their_names, autojunk=False)
        for tag, start, stop, their_start, their_stop in matcher.get_opcodes():
            if tag == "equal":
                for our, j in zip(our_operators[start:stop], range(their_start, their_stop)):
                    yield our, their_operators[j], f"{self.place}, operator {j} ({their_names[j]})"
            else:
                expected = ", ".join(their_names[their_start:their_stop]) or "none"
                got = ", ".join(our_names[start:stop]) or "none"
                lines.append(f"{self.place}, operators from {their_start}: {got}, expected {expected}")

    def _operator(self, ours: schema.Operator, theirs: schema.Operator) -> Iterator[str]:
        references = ("inputs", "outputs", "intermediates")
        yield from _fields(ours, theirs, without=references)
        yield from _fields(self.models[0].operator_code(ours), self.models[1].operator_code(theirs), "code")
        for what in references:
            yield from self._references(ours, theirs, what)

    def _references(self, ours: Table, theirs: Table, what: str) -> Iterator[str]:
        """Tensors by index and by name."""
        our_vector, their_vector = getattr(ours, what), getattr(theirs, what)
        if our_vector is None or their_vector is None:
            yield from _fields(our_vector, their_vector, what)
            return
        if len(our_vector) != len(their_vector):
            yield f"{what}: {len(our_vector)} of them, expected {len(their_vector)}"
        for position, (i, j) in enumerate(zip(our_vector, their_vector)):
            our, their = self._named(self.ours, i), self._named(self.theirs, j)
            if our != their:
                yield f"{what}[{position}] is {our}, expected {their}"

    @staticmethod
    def _named(subgraph: schema.SubGraph, index: int) -> str:
        tensors = subgraph.tensors or []
        return f"tensor {index} {tensors[index].name!r}" if 0 <= index < len(tensors) else f"tensor {index}"


def _root(ours: Model, theirs: Model) -> Iterator[str]:
    """Everything outside the subgraphs."""
    yield from _fields(ours.root, theirs.root, without=("subgraphs", "buffers"))
    for our, their in zip(ours.root.metadata or (), theirs.root.metadata or ()):
        difference = first_difference(ours.buffer(our.buffer), theirs.buffer(their.buffer))
        if difference:
            yield f"metadata {their.name!r}: {difference}"
    our_buffers, their_buffers = ours.root.buffers or [], theirs.root.buffers or []
    if len(our_buffers) != len(their_buffers):  # of a buffer that no tensor has, nobody reads the content
        yield f"buffers: {len(our_buffers)} of them, expected {len(their_buffers)}"


def _fields(ours: Any, theirs: Any, path: str = "", without: Sequence[str] = ()) -> Iterator[str]:
    """The differences between two values of a field, or in the fields of two tables."""
    if isinstance(theirs, Table) and type(ours) is type(theirs):
        for name in [field.name for field in theirs.FIELDS] + ["unknown_fields"]:
            if name not in without:
                yield from _fields(getattr(ours, name), getattr(theirs, name), f"{path}.{name}" if path else name)
    elif isinstance(theirs, list) and isinstance(ours, list):
        if len(ours) != len(theirs):
            yield f"{path}: {len(ours)} of them, expected {len(theirs)}"
        for position, (our, their) in enumerate(zip(ours, theirs)):
            yield from _fields(our, their, f"{path}[{position}]")
    elif isinstance(theirs, np.ndarray) and isinstance(ours, np.ndarray):
        if ours.tobytes() != theirs.tobytes():
            yield f"{path}: {first_difference(ours, theirs) or 'other bits of NaN'}"
    elif type(ours) is not type(theirs) or not _same_value(ours, theirs):
        yield f"{path}: {_said(ours)}, expected {_said(theirs)}"


def _same_value(ours: Any, theirs: Any) -> bool:
    if isinstance(theirs, float):
        return np.float64(ours).tobytes() == np.float64(theirs).tobytes()
    return bool(ours == theirs)


def _said(value: Any) -> str:
    if isinstance(value, Table):
        return f"a {type(value).__name__}"
    if isinstance(value, list):
        return f"{len(value)} of them"
    if isinstance(value, np.ndarray):
        return np.array2string(value, threshold=8, edgeitems=2)
    return "none" if value is None else repr(value)


def _keys(tensors: Sequence[schema.Tensor]) -> list[tuple[str | None, int]]:
    """A name for each tensor that no other one has: its own, and how many had it before."""
    seen: Counter[str | None] = Counter()
    keys = []
    for tensor in tensors:
        keys.append((tensor.name, seen[tensor.name]))
        seen[tensor.name] += 1
    return keys
