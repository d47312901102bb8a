"""What the commands have in common: tables and JSON on standard output, progress on standard error."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import numpy as np
from rich.console import Console
from rich.progress import track

T = TypeVar("T")

console = Console(highlight=False)


def print_json(value: Any) -> None:
    """Prints a value as JSON: arrays as lists, enums as names, bytes as text, NaN and infinities as strings."""
    json.dump(_plain(value), sys.stdout, indent=2, allow_nan=False)
    sys.stdout.write("\n")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    return value


def with_progress(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """The items, with a progress bar on standard error where that is a terminal."""
    terminal = Console(stderr=True)
    return iter(track(items, what, total, console=terminal, transient=True, disable=not terminal.is_terminal or total < 2))


def size_of(count: int) -> str:
    """A number of bytes for people.

    >>> size_of(900), size_of(15_016), size_of(14_000_000)
    ('900 B', '15.0 kB', '14.0 MB')
    """
    if count < 1000:
        return f"{count} B"
    return f"{count / 1e3:.1f} kB" if count < 1e6 else f"{count / 1e6:.1f} MB"
