"""Files that are not models any more: how to make them from models, and what reading them may do.

`check` is the guarantee: any bytes give a `Model` or an `InvalidModelError` that names a place; all constants of a
model that was read can be asked for, and it can be written and read again.
"""

from __future__ import annotations

import random
import re
import struct
import time
from collections.abc import Iterator

from refquant.errors import InvalidModelError
from refquant.tflite import codec, schema
from refquant.tflite.model import Model
from refquant.tflite.table import Table

#: a byte, a path of fields, or an object by its number or name
PLACE = re.compile(r"byte|[a-z_]+\[\d+\]|tensor|subgraph|slot")


class Recorder(codec._Reader):
    """Reads a model and writes down where its structure is."""

    def __init__(self, content: bytes) -> None:
        super().__init__(codec.np.frombuffer(content, codec.np.uint8))
        self.references: list[int] = []
        self.lengths: list[int] = []
        self.objects: list[int] = []
        self.vtable_distances: list[int] = []
        self.vtable_entries: set[int] = set()
        self.table(self.reference(0), schema.Model)

    def reference(self, place: int) -> int:
        self.references.append(place)
        target = super().reference(place)
        self.objects.append(target)
        return target

    def table(self, place: int, cls: type[codec.T]) -> codec.T:
        self.vtable_distances.append(place)
        vtable = place - struct.unpack_from("<i", self.view, place)[0]
        (size,) = struct.unpack_from("<H", self.view, vtable)
        self.vtable_entries.update(range(vtable, vtable + size, 2))
        return super().table(place, cls)

    def vector(self, place: int, dtype: codec.np.dtype) -> codec.npt.NDArray:  # type: ignore[type-arg]
        self.lengths.append(place)
        return super().vector(place, dtype)

    def tables(self, place: int, cls: type[codec.T]) -> list[codec.T]:
        self.lengths.append(place)
        return super().tables(place, cls)


def truncations(content: bytes) -> Iterator[bytes]:
    """The file cut at every length."""
    return (content[:size] for size in range(len(content)))


def flips(content: bytes, chance: random.Random) -> bytes:
    """One to eight bytes at random places set to random values."""
    data = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 4, 8))):
        data[chance.randrange(len(data))] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
    return bytes(data)


def mutation(content: bytes, structure: Recorder, chance: random.Random) -> bytes:
    """One to three changes of the structure: where references lead, how long vectors are, what vtables say."""
    data = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 3))):
        kind = chance.randrange(4)
        if kind == 0:  # a reference to another object (as a number it may lead back: a cycle), or to nowhere
            place = chance.choice(structure.references)
            aim = chance.choice((chance.choice(structure.objects) - place, 0, 1, 4, 8, len(data) - place - 4, -1, -4))
            struct.pack_into("<I", data, place, aim % 2**32)
        elif kind == 1:  # a length
            place = chance.choice(structure.lengths)
            (old,) = struct.unpack_from("<I", data, place)
            new = chance.choice(
                (0, 1, old + 1, old - 1, old * 2, len(data) // 4, len(data), 2**31 - 1, 2**32 - 1, 2**30)
            )
            struct.pack_into("<I", data, place, new % 2**32)
        elif kind == 2:  # where a table's vtable is
            place = chance.choice(structure.vtable_distances)
            other = chance.choice(sorted(structure.vtable_entries))
            struct.pack_into("<i", data, place, chance.choice((place - other, 0, 4, -4, -(2**31), 2**31 - 1, place)))
        else:  # what a vtable says: its size, the table's size, where a field is
            place = chance.choice(sorted(structure.vtable_entries))
            struct.pack_into(
                "<H", data, place, chance.choice((0, 1, 3, 4, 5, 8, 12, 0x7FFF, 0xFFFE, chance.randrange(64)))
            )
    return bytes(data)


def check(content: bytes, seconds: float = 1.0) -> bool:
    """Whether `content` is a model; fails on any exception but `InvalidModelError`, and when it takes too long."""
    start = time.process_time()
    try:
        model = Model.read(content)
    except InvalidModelError as error:
        assert len(content) < 8 or PLACE.search(str(error)), f"the message names no place: {error}"
        model = None
    taken = time.process_time() - start
    assert taken < seconds, f"reading {len(content)} bytes took {taken:.2f} s"
    if model is not None:
        use(model)
    return model is not None


def use(model: Model) -> None:
    """Asks for all constants and options, writes the model and reads it again."""
    for subgraph in model.subgraphs:
        for tensor in subgraph.tensors or ():
            try:
                model.constant(tensor)
            except InvalidModelError as error:
                assert PLACE.search(str(error))
        for operator in subgraph.operators or ():
            model.operator_name(operator)
            model.custom_options(operator)
    try:
        again = codec.decode(model.tobytes())
    except InvalidModelError as error:
        assert "newer than this schema" in str(error), error
        return
    assert same(again, model.root)


def same(a: schema.Model, b: schema.Model) -> bool:
    """Equal but for where data outside the FlatBuffer are and the padding of unknown fields."""
    return a == b or describe(a) == describe(b)


def describe(table: Table) -> str:
    """All known fields of a table, as text."""
    parts = []
    for field in table.FIELDS:
        value = getattr(table, field.name)
        if "offset" in field.name or value is None:
            continue
        if isinstance(value, codec.np.ndarray):
            value = value.tobytes()
        elif isinstance(value, list):
            value = [describe(item) for item in value]
        elif isinstance(value, Table):
            value = describe(value)
        parts.append(f"{field.name}={value!r}" if not hasattr(value, "tag") else f"{field.name}: tag {value.tag}")
    return f"{type(table).__name__}({', '.join(parts)})"
