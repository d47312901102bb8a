"""Parts of Markdown files that a command writes: what stands between `<!-- NAME -->` and `<!-- end -->`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from refquant.tflite.model import write_atomically

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PROFILE = ROOT / "benchmarks" / "README.md"


def replace(path: Path, name: str, text: str) -> None:
    """Puts a text in the place of the one between the marks; raises `ValueError` where there are none."""
    found, count = re.subn(
        rf"(<!-- {re.escape(name)} -->\n).*?(<!-- end -->)",
        lambda match: match[1] + text.strip("\n") + "\n" + match[2],
        path.read_text(),
        flags=re.DOTALL,
    )
    if count != 1:
        raise ValueError(f"{path} has {count} sections {name!r}, expected one")
    write_atomically(path, found.encode())


def markdown_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; a header that ends in ">" stands over numbers, flush right.

    >>> print(markdown_table(["model", "ms>"], [["digits", "0.1"]]))
    | model | ms |
    |---|--:|
    | digits | 0.1 |
    """
    lines = ["| " + " | ".join(header.rstrip(">") for header in headers) + " |"]
    lines.append("|" + "|".join("--:" if header.endswith(">") else "---" for header in headers) + "|")
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)
