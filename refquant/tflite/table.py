"""What every table of the schema has in common: the description of its fields, equality, unknown fields."""

from __future__ import annotations

from enum import Enum
from typing import Any, ClassVar, NamedTuple

import numpy as np


class Kind(Enum):
    """How a field stands on the wire."""

    SCALAR = "scalar"  # in the table itself
    STRING = "string"  # reference to UTF-8 bytes
    VECTOR = "vector"  # reference to numbers
    TABLE = "table"  # reference to a table
    TABLES = "tables"  # reference to a vector of references to tables
    UNION = "union"  # a tag (which table), and in the next slot a reference to it


class Field(NamedTuple):
    """One field of a table: its name, its slot, how it stands on the wire, and of what.

    `of` is the numpy type code of a scalar or a vector's element, the class of a table, or the classes of a union,
    whose tag is the place in the tuple, from 1. `align` is what a vector asks for beyond its element's size.
    """

    name: str
    slot: int
    kind: Kind
    of: Any = None
    default: Any = None
    enum: Any = None
    align: int = 1


class UnknownField(NamedTuple):
    """A field that the schema does not know, as it stands in the table; `is_scalar` if it cannot be a reference."""

    slot: int
    data: bytes
    is_scalar: bool


class Table:
    """The base of the schema's tables. Two are equal when all their fields are; vectors count by their numbers."""

    __slots__ = ("unknown_fields",)
    FIELDS: ClassVar[tuple[Field, ...]] = ()
    #: how many slots the schema knows; a union takes two
    SLOTS: ClassVar[int] = 0

    def __init__(self, *, unknown_fields: tuple[UnknownField, ...] = ()) -> None:
        self.unknown_fields = unknown_fields

    def __init_subclass__(cls) -> None:
        if cls.FIELDS:
            last = cls.FIELDS[-1]
            cls.SLOTS = last.slot + (2 if last.kind is Kind.UNION else 1)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Table) or type(self) is not type(other):
            return NotImplemented
        return self.unknown_fields == other.unknown_fields and all(
            _same(getattr(self, field.name), getattr(other, field.name)) for field in self.FIELDS
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        parts = [f"{f.name}={getattr(self, f.name)!r}" for f in self.FIELDS if getattr(self, f.name) is not None]
        return f"{type(self).__name__}({', '.join(parts)})"


class UnknownMember(NamedTuple):
    """The value of a union whose tag the schema does not know: a table of which all fields are unknown."""

    tag: int
    table: Table


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return a is not None and b is not None and np.array_equal(a, b, equal_nan=True)
    return bool(a == b or (a != a and b != b))
