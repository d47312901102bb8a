"""Turns schema/tflite.fbs into refquant/tflite/schema.py: one IntEnum for each enum, one class for each table.

The classes are written out (slots and `__init__`) because making some 150 dataclasses would take most of the time of
`import refquant`.

    python schema/generate.py            writes the module
    python schema/generate.py --check    exits with 1 if the module is not what would be written
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

SOURCE = Path(__file__).with_name("tflite.fbs")
TARGET = Path(__file__).parents[1] / "refquant" / "tflite" / "schema.py"

#: scalar types of the schema language: (numpy type code, annotation of the field, default)
SCALARS = {
    "bool": ("?", "bool", "False"),
    "byte": ("b", "int", "0"),
    "ubyte": ("B", "int", "0"),
    "short": ("h", "int", "0"),
    "ushort": ("H", "int", "0"),
    "int": ("i", "int", "0"),
    "uint": ("I", "int", "0"),
    "long": ("q", "int", "0"),
    "ulong": ("Q", "int", "0"),
    "float": ("f", "float", "0.0"),
    "double": ("d", "float", "0.0"),
}

HEADER = '''\
"""The tables and enums of the TensorFlow Lite file format, version 3.

Generated from schema/tflite.fbs by schema/generate.py; change the schema, not this file. A vector of numbers is a
NumPy array (a list will do when building a model), a vector of tables a list; what a file leaves out is None, or
the schema's default for a number. A number that an enum does not know stays a plain int.
"""

# fmt: off

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any, ClassVar

import numpy.typing as npt

from refquant.tflite.table import Field, Kind, Table, UnknownField, UnknownMember

Vector = npt.NDArray[Any] | Sequence[int] | Sequence[float] | Sequence[bool]

FILE_IDENTIFIER = b"{identifier}"
'''


class SchemaError(Exception):
    """The schema says something that this generator does not understand."""


DECLARATION = re.compile(r"(enum|table|union)\s+(\w+)\s*(?::\s*(\w+)\s*)?\{(.*?)\}", re.DOTALL)
ENTRY = re.compile(r"(\w+)\s*=\s*(-?\d+)")
FIELD = re.compile(r"(\w+)\s*:\s*(\[?)(\w+)(\]?)\s*(?:=\s*([\w.-]+))?\s*(?:\((?:force_align:\s*(\d+)|deprecated)\))?")


class Generator:
    """Walks the declarations in order; what a declaration uses must stand above it."""

    def __init__(self) -> None:
        self.enums: dict[str, str] = {}  # name: scalar type on the wire
        self.first: dict[str, str] = {}  # name: the entry that is 0, the default of a field without one
        self.tables: set[str] = set()
        self.unions: dict[str, list[str]] = {}

    def module(self, text: str) -> str:
        """The Python module for a schema."""
        text = re.sub(r"//.*", "", text)
        identifier = re.search(r'file_identifier\s+"(\w{4})"', text)
        if identifier is None:
            raise SchemaError("there is no file_identifier of four letters")
        parts = [HEADER.replace("{identifier}", identifier.group(1))]
        make = {"enum": self.enum, "table": self.table, "union": self.union}
        for kind, name, base, body in DECLARATION.findall(text):
            parts.append(make[kind](name, base, body))
        return "\n\n".join(part.rstrip("\n") + "\n" for part in parts)

    def enum(self, name: str, base: str, body: str) -> str:
        """The class of an enum."""
        self.enums[name] = base
        entries = ENTRY.findall(body)
        self.first[name] = next((key for key, value in entries if value == "0"), "")
        return f"class {name}(IntEnum):\n" + "\n".join(f"    {key} = {value}" for key, value in entries)

    def union(self, name: str, _: str, body: str) -> str:
        """The tuple of classes of a union, in the order of their tags."""
        members = [member.strip() for member in body.split(",") if member.strip()]
        for member in members:
            if member not in self.tables:
                raise SchemaError(f"union {name} names {member}, which is not a table above it")
        self.unions[name] = members
        return f"{name} = (\n" + "".join(f"    {member},\n" for member in members) + ")\n"

    def table(self, name: str, _: str, body: str) -> str:
        """The class of a table."""
        self.tables.add(name)
        names, descriptions, parameters, slot = [], [], [], 0
        for statement in filter(None, map(str.strip, body.split(";"))):
            match = FIELD.fullmatch(statement)
            if match is None:
                raise SchemaError(f"table {name}: cannot read {statement!r}")
            field, opening, of, _closing, default, align = match.groups()
            description, parameter = self.field(name, field, of, bool(opening), default, align, slot)
            names.append(field)
            descriptions.append(f"        {description},\n")
            parameters.append(f"        {field}: {parameter},\n")
            slot += 2 if of in self.unions else 1
        if not names:
            return f"class {name}(Table):\n    __slots__ = ()\n"
        slots = ", ".join(f'"{field}"' for field in sorted(names))
        return (
            f"class {name}(Table):\n"
            f"    __slots__ = ({slots}{',' if len(names) == 1 else ''})\n"
            f"    FIELDS: ClassVar[tuple[Field, ...]] = (\n{''.join(descriptions)}    )\n\n"
            f"    def __init__(\n        self,\n{''.join(parameters)}        *,\n"
            "        unknown_fields: tuple[UnknownField, ...] = (),\n    ) -> None:\n"
            "        self.unknown_fields = unknown_fields\n"
            + "".join(f"        self.{field} = {field}\n" for field in names)
        )

    def field(
        self, table: str, name: str, of: str, vector: bool, default: str | None, align: str | None, slot: int
    ) -> tuple[str, str]:
        """The description of a field for the codec, and its annotation and default as a parameter."""
        start = f'Field("{name}", {slot}, Kind.'
        if of == "string" and not vector:
            return start + "STRING)", "str | None = None"
        if of in self.tables:
            if vector:
                return start + f"TABLES, {of})", f"list[{of}] | None = None"
            return start + f"TABLE, {of})", f"{of} | None = None"
        if of in self.unions and not vector:
            return start + f"UNION, {of})", "Table | UnknownMember | None = None"
        wire = self.enums.get(of, of)
        if wire not in SCALARS:
            raise SchemaError(f"table {table}: field {name} is of type {of}, which is not declared above it")
        code, annotation, zero = SCALARS[wire]
        if vector:
            return start + f'VECTOR, "{code}"' + (f", align={align})" if align else ")"), "Vector | None = None"
        if of in self.enums:
            first = f"{of}.{default or self.first[of]}"
            return start + f'SCALAR, "{code}", {first}, {of})', f"{of} = {first}"
        value = {"true": "True", "false": "False"}.get(default or "", default or zero)
        return start + f'SCALAR, "{code}", {value})', f"{annotation} = {value}"


def main() -> int:
    """Writes or checks the module; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, exit with 1 if the module is stale")
    check = parser.parse_args().check
    text = Generator().module(SOURCE.read_text(encoding="utf-8"))
    if check:
        if not TARGET.exists() or TARGET.read_text(encoding="utf-8") != text:
            print(f"{TARGET.name} is stale: run python schema/generate.py", file=sys.stderr)
            return 1
        return 0
    TARGET.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
