"""Our schema against the one that TensorFlow ships: every table, slot, type, default and enum value, both ways.

TensorFlow's module is generated Python. A table is a class with an accessor for each field; a function
`<Table>Add<Field>` tells the field's slot, wire type and default; enums and unions are classes of numbers.
"""

from __future__ import annotations

import inspect
import re
from enum import IntEnum
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from refquant.tflite import schema
from refquant.tflite.table import Kind, Table

pytestmark = pytest.mark.oracle

theirs: ModuleType = pytest.importorskip(
    "tensorflow.lite.python.schema_py_generated", reason="tensorflow is not installed: no schema to compare with"
)

CODES = {
    "Bool": "?",
    "Int8": "b",
    "Uint8": "B",
    "Int16": "h",
    "Uint16": "H",
    "Int32": "i",
    "Uint32": "I",
    "Int64": "q",
    "Uint64": "Q",
    "Float32": "f",
    "Float64": "d",
}

#: what we have and TensorFlow 2.21.0 has not: it stands in the schema of the LiteRT repository, which is newer
NEWER_TABLES = {"MultiAxisQuantization"}
#: fields that the official schema calls deprecated: its generated code has no access to them, but old files have them
DEPRECATED = {
    ("ResizeBilinearOptions", 0): "new_height",
    ("ResizeBilinearOptions", 1): "new_width",
    ("SignatureDef", 3): "deprecated_tag",
}
NEWER_MEMBERS: dict[str, set[str]] = {
    "TensorType": {"FLOAT8_E4M3FN", "FLOAT8_E5M2"},
    "QuantizationDetails": {"MultiAxisQuantization"},
}


class Slot(NamedTuple):
    """One field as either side describes it; `of` is a type code, a table's name, or names of a union's members."""

    name: str
    kind: Kind
    of: Any
    default: Any


def plain(name: str) -> str:
    return name.replace("_", "").lower()


def their_tables() -> dict[str, type]:
    return {name: cls for name, cls in vars(theirs).items() if inspect.isclass(cls) and hasattr(cls, "GetRootAs")}


def their_numbers() -> dict[str, dict[str, int]]:
    """Enums and unions: name and numbers of each."""
    found = {}
    for name, cls in vars(theirs).items():
        if inspect.isclass(cls) and not hasattr(cls, "GetRootAs") and not hasattr(cls, "InitFromBuf"):
            found[name] = {key: value for key, value in vars(cls).items() if isinstance(value, int) and key[0] != "_"}
    return found


def their_slots(name: str, cls: type) -> dict[int, Slot]:
    slots: dict[int, Slot] = {}
    adders = {f: getattr(theirs, f"{name}Add{f}", None) for f in vars(cls) if hasattr(theirs, f"{name}Add{f}")}
    for field, adder in adders.items():
        match = re.search(r"Prepend(\w+)Slot\((\d+), .*, ([^,]+)\)\n", inspect.getsource(adder))  # type: ignore[arg-type]
        assert match is not None, f"cannot read {name}Add{field}"
        wire, slot, default = match.group(1), int(match.group(2)), match.group(3)
        accessor = inspect.getsource(getattr(cls, field))
        if wire != "UOffsetTRelative":
            slots[slot] = Slot(field, Kind.SCALAR, CODES[wire], float(eval(default)))
            continue
        number = re.search(r"Get\(flatbuffers\.number_types\.(\w+)Flags, a \+", accessor)
        table = re.search(r"obj = (\w+)\(\)", accessor)
        if "_tab.String(" in accessor:
            slots[slot] = Slot(field, Kind.STRING, None, None)
        elif "_tab.Union(" in accessor:
            slots[slot] = Slot(field, Kind.UNION, None, None)
        elif number is not None:
            slots[slot] = Slot(field, Kind.VECTOR, CODES[number.group(1)], None)
        else:
            assert table is not None, f"cannot read the accessor of {name}.{field}"
            kind = Kind.TABLES if hasattr(cls, f"{field}Length") else Kind.TABLE
            slots[slot] = Slot(field, kind, table.group(1), None)
    start = re.search(r"StartObject\((\d+)\)", inspect.getsource(getattr(theirs, f"{name}Start")))
    assert start is not None
    missing = set(range(int(start.group(1)))) - set(slots)
    assert missing == {slot for table, slot in DEPRECATED if table == name}, f"{name}: slots {missing} were not found"
    return slots


def our_slots(cls: type[Table]) -> dict[int, Slot]:
    slots: dict[int, Slot] = {}
    for field in cls.FIELDS:
        if field.kind is Kind.UNION:
            slots[field.slot] = Slot(field.name + "_type", Kind.SCALAR, "B", 0.0)
            slots[field.slot + 1] = Slot(field.name, Kind.UNION, None, None)
        elif field.kind is Kind.SCALAR:
            slots[field.slot] = Slot(field.name, Kind.SCALAR, field.of, float(field.default))
        else:
            slots[field.slot] = Slot(field.name, field.kind, getattr(field.of, "__name__", field.of), None)
    return slots


def our_tables() -> dict[str, type[Table]]:
    return {n: c for n, c in vars(schema).items() if inspect.isclass(c) and issubclass(c, Table) and c is not Table}


def our_numbers() -> dict[str, dict[str, int]]:
    enums = {
        n: {entry.name: int(entry) for entry in c}
        for n, c in vars(schema).items()
        if inspect.isclass(c) and issubclass(c, IntEnum) and c is not IntEnum
    }
    unions = {
        n: {"NONE": 0, **{member.__name__: tag for tag, member in enumerate(members, 1)}}
        for n, members in vars(schema).items()
        if isinstance(members, tuple) and members and inspect.isclass(members[0])
    }
    return enums | unions


def test_the_same_tables() -> None:
    assert set(their_tables()) <= set(our_tables()), "tables that we do not have"
    assert set(our_tables()) - set(their_tables()) == NEWER_TABLES


@pytest.mark.parametrize("name", sorted(their_tables()))
def test_the_same_fields(name: str) -> None:
    expected, ours = their_slots(name, their_tables()[name]), our_slots(our_tables()[name])
    for slot, their in expected.items():
        our = ours[slot]
        assert plain(our.name) == plain(their.name), f"slot {slot}"
        assert our[1:] == their[1:], f"slot {slot}, {their.name}"
    beyond = {(name, slot): ours[slot].name for slot in set(ours) - set(expected)}
    assert beyond == {place: field for place, field in DEPRECATED.items() if place[0] == name}


def test_the_same_enums_and_unions() -> None:
    assert set(their_numbers()) == set(our_numbers())


@pytest.mark.parametrize("name", sorted(their_numbers()))
def test_the_same_numbers(name: str) -> None:
    expected, ours = their_numbers()[name], our_numbers()[name]
    assert expected.items() <= ours.items()
    assert set(ours) - set(expected) == NEWER_MEMBERS.get(name, set())


def test_enum_fields_name_their_enum() -> None:
    """A scalar with an enum has a default that is a member of it; the codec relies on it."""
    for name, cls in our_tables().items():
        for field in cls.FIELDS:
            if field.enum is not None:
                assert isinstance(field.default, field.enum), f"{name}.{field.name}"
