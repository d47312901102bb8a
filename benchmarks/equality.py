"""`python -m benchmarks.equality [MODEL…]`: how equal each profile is to its runtime on real models, tensor by tensor.

Each model runs on random inputs in refquant and in the real runtime, with every tensor as an output, as in
`refquant compare`. A model counts as equal when all its tensors have the same bits. Differences are those that begin
at an operator; what is handed down from there is counted, but not told.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import track

import refquant as rq
from benchmarks.chosen import chosen, sample_for
from benchmarks.sections import markdown_table
from refquant.audit.report import ComparisonReport
from refquant.numerics.processor import with_processor
from refquant.runtimes.machine import this_processor

#: the runtime that each profile is to equal
RUNTIMES = {
    "reference": "tensorflow:reference",
    "optimized": "tensorflow:optimized",
    "xnnpack": "tensorflow:xnnpack",
    "micro": "tflite-micro",
}


@dataclass
class Count:
    """What came of all models in one profile."""

    models: int = 0
    equal_models: int = 0
    tensors: int = 0
    equal_tensors: int = 0
    elements: int = 0
    equal_elements: int = 0
    told: list[str] = field(default_factory=list)

    def add(self, name: str, report: ComparisonReport, profile: str) -> None:
        """Counts the tensors of a model, and notes where differences begin."""
        if report.failures:
            self.told += [f"{name}: {who}: {why}" for who, why in report.failures.items()]
            return
        rows = [row for row in report.comparisons if row.runtime == profile and row.verdict != "not asked"]
        self.models += 1
        self.equal_models += all(row.verdict == "equal" for row in rows)
        for row in rows:
            self.tensors += 1
            self.equal_tensors += row.verdict == "equal"
            self.elements += row.elements
            self.equal_elements += row.elements - row.different
            if row.verdict not in ("equal", "handed down"):
                amount = f"{row.different} of {row.elements} by up to {row.steps:g} {row.unit}"
                self.told.append(f"{name}: {row.operator}: {row.verdict}, {amount} {row.note}".rstrip())


def counted(models: list[Path], profile: str) -> Count:
    """All models in one profile, beside its runtime."""
    count = Count()
    for path in track(models, profile, console=Console(stderr=True)):
        try:
            sample = sample_for(rq.Model.read(path), "micro" if profile == "micro" else "reference")
            report = rq.compare(path, [RUNTIMES[profile], profile], samples=[sample])
        except rq.RefquantError as error:
            count.told.append(f"{path.stem}: no comparison: {str(error).splitlines()[0]}")
            continue
        count.add(path.stem, report, profile)
    return count


def main() -> None:
    """Reads the arguments, compares, prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.equality", description=__doc__)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="path, or part of a name; all at hand unless told")
    parser.add_argument("--profiles", nargs="*", choices=RUNTIMES, default=list(RUNTIMES))
    arguments = parser.parse_args()
    rows = []
    with with_processor(this_processor()):
        for profile in arguments.profiles:
            count = counted(chosen(arguments.models), profile)
            rows.append(
                [
                    profile,
                    f"{count.equal_models} of {count.models}",
                    f"{count.equal_tensors:,} of {count.tensors:,}",
                    f"{count.equal_elements:,} of {count.elements:,}",
                ]
            )
            for line in count.told:
                print(f"{profile}: {line}")
    print(markdown_table(["profile", "models equal>", "tensors equal>", "elements equal>"], rows))


if __name__ == "__main__":
    main()
