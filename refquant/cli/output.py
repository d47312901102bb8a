"""What the commands have in common: text and tables for people, JSON for programs, progress on standard error."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.status import Status
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from refquant.compression.sizes import SizeChange
    from refquant.compression.weights import Skipped

T = TypeVar("T")

#: how many seconds a loop may take before a progress bar appears
PATIENCE = 1.0

#: standard output: colours on a terminal only, and none where NO_COLOR is set
console = Console(highlight=False, emoji=False)


def table(*headers: str) -> Table:
    """An empty table without lines; a header that ends in ">" stands over numbers, flush right."""
    result = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0), title_justify="left")
    for header in headers:
        result.add_column(header.rstrip(">"), justify="right" if header.endswith(">") else "left", overflow="fold")
    return result


def add_row(to: Table, *cells: Any) -> None:
    """Appends a row of plain text to a table."""
    to.add_row(*(Text(printable(str(cell))) for cell in cells))


def printable(text: str) -> str:
    r"""Text from a file as one line that does a terminal no harm.

    >>> printable("weights\x1b[2J\n")
    'weights\\x1b[2J\\n'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def shape_of(shape: Sequence[int]) -> str:
    """A shape in little room, with ? for a dimension that is open.

    >>> shape_of([-1, 8, 8, 16]), shape_of([])
    ('?x8x8x16', 'scalar')
    """
    return "x".join("?" if n < 0 else str(n) for n in shape) or "scalar"


def size_of(count: int) -> str:
    """A number of bytes for people.

    >>> size_of(900), size_of(15_016), size_of(14_000_000)
    ('900 B', '15.0 kB', '14.0 MB')
    """
    if count < 1000:
        return f"{count} B"
    return f"{count / 1e3:.1f} kB" if count < 1e6 else f"{count / 1e6:.1f} MB"


def count_of(count: int) -> str:
    """A large count for people.

    >>> count_of(512), count_of(53_648), count_of(7_490_000)
    ('512', '53.6 k', '7.49 M')
    """
    for limit, unit, power in ((1e3, "", 1.0), (1e6, " k", 1e3), (1e9, " M", 1e6), (math.inf, " G", 1e9)):
        if count < limit:
            return f"{count / power:.3g}{unit}"
    raise AssertionError


def print_json(value: Any) -> None:
    """Prints a value as JSON: numbers that JSON lacks as "NaN", "Infinity", "-Infinity"; arrays as lists."""
    json.dump(_plain(value), sys.stdout, indent=2, allow_nan=False)
    sys.stdout.write("\n")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, complex):
        return [_plain(value.real), _plain(value.imag)]
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return value


def print_sizes(changes: Iterable[SizeChange]) -> None:
    """Prints the sizes of a file before and after."""
    sizes = table("size", "before>", "after>", "times smaller>")
    for change in changes:
        add_row(sizes, change.what, size_of(change.before), size_of(change.after), f"{change.ratio:.2f}")
    console.print(sizes)


def write_compared(model: Path, output: Path, content: bytes) -> list[SizeChange]:
    """Writes what a command has made of a model, and returns what that does to the sizes of its file."""
    from refquant.compression.sizes import compare_sizes
    from refquant.tflite.model import write_atomically

    with working("Compressing"):
        changes = compare_sizes(model.read_bytes(), content)
    write_atomically(output, content)
    return changes


def facts_of(output: Path, changes: Iterable[SizeChange], skipped: Iterable[Skipped]) -> dict[str, Any]:
    """For JSON: where a model was written, its sizes before and after, and what was left alone and why."""
    return {
        "written_to": str(output),
        "sizes": {change.what: {"before": change.before, "after": change.after} for change in changes},
        "skipped": [{"name": s.name, "operator": s.operator, "reason": s.reason} for s in skipped],
    }


def print_skipped(skipped: Iterable[Skipped]) -> None:
    """Prints what was left alone, and why."""
    for entry in skipped:
        what = f"{printable(entry.name)} of {entry.operator}: {entry.reason}"
        console.print(f"Left alone: {what}", markup=False, soft_wrap=True)


def working(what: str) -> Status:
    """A sign of life on standard error, where that is a terminal, for as long as its block takes."""
    return Console(stderr=True).status(what)


def with_progress(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """The items, with a progress bar on standard error once they take long, where that is a terminal."""
    iterator = iter(items)
    screen = Console(stderr=True)
    start = time.monotonic()
    done = 0
    while not screen.is_terminal or time.monotonic() - start < PATIENCE:
        try:
            item = next(iterator)
        except StopIteration:
            return
        yield item
        done += 1
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen, transient=True) as progress:
        task = progress.add_task(what, total=total, completed=done)
        for item in iterator:
            yield item
            progress.advance(task)
