"""What was compared with the real kernels: the record behind `refquant ops` and the README's table of operators.

`refquant verify --record` writes it, into the package's data. One entry for each family of cases (see
`refquant.testing.strategies`): which kernel set of TensorFlow was asked, and how many comparisons had which outcome.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from refquant.data import VERIFIED
from refquant.tflite.model import write_atomically


@dataclass(frozen=True, slots=True)
class Verification:
    """How one operator in one variant was verified: `outcomes` counts comparisons by the name of their Outcome."""

    operator: str
    variant: str
    runtime: str
    kernels: str
    outcomes: dict[str, int]

    @property
    def cases(self) -> int:
        """How many models were compared."""
        return sum(self.outcomes.values())

    @property
    def unequal(self) -> int:
        """How many of them gave different bits, or were run by one side only."""
        return sum(self.outcomes.get(name, 0) for name in ("DIFFERENT", "ONLY_OURS", "ONLY_THEIRS"))


def read_record(path: Path = VERIFIED["reference"]) -> list[Verification]:
    """The record, sorted by operator and variant; empty where there is none."""
    if not path.exists():
        return []
    return [Verification(**entry) for entry in json.loads(path.read_text())]


def update_record(entries: Iterable[Verification], path: Path = VERIFIED["reference"]) -> None:
    """Replaces the entries of these operators and variants, or adds them."""
    known = {(entry.operator, entry.variant): entry for entry in read_record(path)}
    known.update({(entry.operator, entry.variant): entry for entry in entries})
    lines = [json.dumps(asdict(known[key])) for key in sorted(known)]
    write_atomically(path, ("[\n" + ",\n".join(lines) + "\n]\n").encode())
