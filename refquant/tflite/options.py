"""The options of an operator as plain values, for people and for JSON."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np

from refquant.tflite import schema
from refquant.tflite.table import Table, UnknownMember


def options_of(operator: schema.Operator) -> dict[str, Any]:
    """The options that differ from the schema's defaults, and the padding in any case; enums by name."""
    table = operator.builtin_options if operator.builtin_options is not None else operator.builtin_options_2
    if isinstance(table, UnknownMember):
        return {"unknown_options": table.tag}
    if table is None:
        return {}
    values = {field.name: (getattr(table, field.name), field.default) for field in table.FIELDS}
    return {
        name: _plain(value)
        for name, (value, default) in values.items()
        if value is not None and (isinstance(value, (np.ndarray, list)) or value != default or name == "padding")
    }


def name_of(value: Any) -> str:
    """The name of an enum's member, or the number of one that the schema does not know."""
    return value.name if isinstance(value, IntEnum) else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Table):
        return {field.name: _plain(getattr(value, field.name)) for field in value.FIELDS}
    if isinstance(value, (np.ndarray, list)):
        return [_plain(item) for item in (value.tolist() if isinstance(value, np.ndarray) else value)]
    return name_of(value) if isinstance(value, IntEnum) else value
