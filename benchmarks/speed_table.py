"""The measurements of `benchmarks.speed` as a table, and what they come to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console

from benchmarks.sections import markdown_table
from refquant.cli.output import add_row, printable, table

if TYPE_CHECKING:
    from benchmarks.speed import Measured, Row

_WIDTH = 200
_LARGE = 1e-3  # seconds that the reference kernels take for a model that the README shows
_SLOW = 2e-3  # and for one on which refquant should not be slower
_LEAST_LIVE = 1 << 16  # bytes of live tensors beside which the objects of Python do not count
_MUCH = 3.0  # times the live tensors: more than `invoke` should take

_HEADERS = (
    "model",
    "mode",
    "equal",
    "refquant ms>",
    "reference ms>",
    "optimized ms>",
    "XNNPACK ms>",
    "ref. / refquant>",
    "refquant / opt.>",
    "refquant / XNN.>",
    "planning ms>",
    "memory / live>",
    "threads>",
)


def show(rows: Sequence[Row], head: str, summary: dict[str, Any]) -> None:
    """Prints the table for people."""
    console = Console(width=_WIDTH, highlight=False, emoji=False)
    console.print(head, soft_wrap=True)
    result = table(*_HEADERS)
    for row in rows:
        add_row(result, *_cells(row))
    console.print(result)
    for line in _sentences(summary):
        console.print(line, soft_wrap=True, markup=False)
    for row in rows:
        for text in row.refusals.values():
            console.print(f"{row.model}: {printable(text)}", soft_wrap=True, markup=False)


def markdown(rows: Sequence[Row], head: str, summary: dict[str, Any]) -> str:
    """The table and what it comes to, in Markdown."""
    lines = "\n".join(f"* {line}" for line in _sentences(summary))
    return f"{head}:\n\n{markdown_table(_HEADERS, [_cells(row) for row in rows])}\n\n{lines}"


def summary(rows: Iterable[Row]) -> dict[str, Any]:
    """Geometric means over the convolutional models, and where refquant is slower or larger than it should be.

    The means are by mode: of all such models, and of those that the reference kernels take over 1 ms for.
    """
    rows = list(rows)
    means: dict[str, Any] = {}
    for mode in ("integer", "exact", "fast"):
        of_mode = [row for row in rows if row.mode == mode and row.convolutional]
        means[mode] = _means(of_mode)
        means[f"{mode}, over 1 ms"] = _means([row for row in of_mode if is_large(row)])
    result: dict[str, Any] = {"geometric means": {group: found for group, found in means.items() if found}}
    result["slower than the reference"] = sorted(
        f"{row.model} ({row.mode})"
        for row in rows
        if is_large(row, _SLOW) and (quotient(row.reference, row.ours) or 1.0) < 1.0
    )
    result["memory"] = sorted(
        f"{row.model} ({row.mode}) {row.memory.ratio:.1f}"
        for row in rows
        if row.memory is not None and row.memory.live >= _LEAST_LIVE and row.memory.ratio > _MUCH
    )
    result["unequal"] = sorted(row.model for row in rows if row.equal == "NO")
    return result


def _means(rows: Sequence[Row]) -> dict[str, Any]:
    """How refquant compares with each of the runtimes that ran any of these."""
    ratios = {
        "reference / refquant": [quotient(row.reference, row.ours) for row in rows],
        "refquant / optimized": [quotient(row.ours, row.theirs.get("optimized")) for row in rows],
        "refquant / XNNPACK": [quotient(row.ours, row.theirs.get("xnnpack")) for row in rows],
    }
    known = {name: [ratio for ratio in of if ratio is not None] for name, of in ratios.items()}
    return {name: {"geometric mean": _geometric_mean(of), "models": len(of)} for name, of in known.items() if of}


def is_large(row: Row, seconds: float = _LARGE) -> bool:
    """Whether the reference kernels take that long."""
    return row.reference is not None and row.reference.best >= seconds


def quotient(a: Measured | None, b: Measured | None) -> float | None:
    """How many times as long a takes as b."""
    return None if a is None or b is None else a.best / b.best


def _geometric_mean(numbers: Sequence[float]) -> float:
    return math.exp(sum(map(math.log, numbers)) / len(numbers))


def _sentences(summary: dict[str, Any]) -> list[str]:
    lines = []
    for group, means in summary["geometric means"].items():
        ratios = [f"{name} {found['geometric mean']:.2f} ({found['models']} models)" for name, found in means.items()]
        lines.append(f"convolutional models, {group}, geometric means: {', '.join(ratios)}")
    for what, key in (
        ("slower than reference kernels that take over 2 ms", "slower than the reference"),
        ("memory over three times the live tensors", "memory"),
        ("outputs unequal to those of the reference kernels", "unequal"),
    ):
        lines.append(f"{what}: {', '.join(summary[key]) or 'none'}")
    return lines


def _cells(row: Row) -> list[str]:
    optimized, xnnpack = row.theirs.get("optimized"), row.theirs.get("xnnpack")
    ratios = (quotient(row.reference, row.ours), quotient(row.ours, optimized), quotient(row.ours, xnnpack))
    return [
        row.model,
        f"{row.mode}, Micro" if row.kernels == "micro" else row.mode,
        row.equal,
        _time(row, "refquant", row.ours),
        _time(row, row.kernels, row.reference),
        _time(row, "optimized", optimized),
        _time(row, "xnnpack", xnnpack),
        *("" if ratio is None else f"{ratio:.3g}" for ratio in ratios),
        "" if row.ours is None else f"{1e3 * row.ours.planning:.1f}",
        "" if row.memory is None or row.memory.live < _LEAST_LIVE else f"{row.memory.ratio:.1f}",
        str(row.threads),
    ]


def _time(row: Row, name: str, measured: Measured | None) -> str:
    if measured is not None:
        return f"{1e3 * measured.best:.3f}"
    return "refuses" if name in row.refusals else ""
