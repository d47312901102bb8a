"""What becomes of tables that TensorFlow's tools read and write again."""

from __future__ import annotations

from copy import copy
from typing import TypeVar

from refquant.tflite.table import Kind, Table

T = TypeVar("T", bound=Table)


def repacked(table: T) -> T:
    """A copy without vectors and strings of no elements and fields that the schema does not know, -0.0 being zero.

    This is what FlatBuffers' object API leaves of a table, through which TensorFlow's tools take a model. Vectors of
    numbers are shared with `table`, not copied.
    """
    result = copy(table)
    result.unknown_fields = ()
    for field in table.FIELDS:
        value = getattr(table, field.name)
        if field.kind in (Kind.STRING, Kind.VECTOR, Kind.TABLES) and value is not None and not len(value):
            value = None
        elif field.kind is Kind.TABLES and value is not None:
            value = [repacked(entry) for entry in value]
        elif field.kind in (Kind.TABLE, Kind.UNION) and isinstance(value, Table):
            value = repacked(value)
        elif field.kind is Kind.SCALAR and value == field.default:
            value = field.default
        setattr(result, field.name, value)
    return result
