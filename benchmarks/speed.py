"""`python -m benchmarks [MODEL…]`: how long `invoke` takes here and in TensorFlow Lite, model by model.

All run the same inputs, in turns of a fraction of the time each, so that whatever else the machine does hits all alike;
what counts is the quickest `invoke` of all turns (the JSON has the median too). Before that the outputs of refquant are
compared with those of the reference kernels.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import refquant as rq
from benchmarks import machine, memory, speed_table
from benchmarks.chosen import chosen, is_convolutional, modes_of, sample_for
from benchmarks.sections import PROFILE, README, replace
from refquant.cli.output import with_progress
from refquant.numerics.processor import with_processor
from refquant.runtimes import Runtime, Timings, is_installed, open_runtime, tf_style
from refquant.runtimes.machine import this_processor
from refquant.testing.conformance import bits
from refquant.tflite.model import write_atomically

Array = npt.NDArray[Any]

THEIRS = ("reference", "optimized", "xnnpack")
_TIMEOUT = 600.0


@dataclass(frozen=True)
class Measured:
    """Seconds: of the quickest and of the median `invoke`, and of the quickest planning, from bytes to `invoke`."""

    best: float
    median: float
    planning: float
    invokes: int


@dataclass
class Row:
    """A model in one of our modes: "integer", "exact" or "fast"; what a runtime says that refuses it.

    `kernels` names the runtime whose bits refquant gives, "reference" or "micro".
    """

    model: str
    mode: str
    kernels: str
    convolutional: bool
    bytes: int
    threads: int
    equal: str = ""
    ours: Measured | None = None
    theirs: dict[str, Measured] = field(default_factory=dict)
    refusals: dict[str, str] = field(default_factory=dict)
    memory: memory.Memory | None = None

    @property
    def reference(self) -> Measured | None:
        """What the runtime takes whose bits refquant gives."""
        return self.theirs.get(self.kernels)


@dataclass(frozen=True)
class Settings:
    """Of a measurement: seconds of each runtime for each model, in how many turns, on how many threads."""

    seconds: float
    rounds: int
    threads: int


def main(arguments: Sequence[str]) -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="path, or part of a name; all at hand unless told")
    parser.add_argument("--against", nargs="*", choices=THEIRS, default=THEIRS, help="kernels of TensorFlow Lite")
    parser.add_argument("--threads", type=int, default=1, help="of refquant and of TensorFlow Lite")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each model and runtime")
    parser.add_argument("--rounds", type=int, default=5, help="how many turns each takes")
    parser.add_argument("--json", type=Path, help="write everything that was measured here")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--write", action="store_true", help="write the tables into README.md and benchmarks/README.md")
    options = parser.parse_args(arguments)
    paths = chosen(options.models)
    if not paths:
        parser.error(f"no model at hand is called {' or '.join(options.models)}")
    if options.write and options.models:
        parser.error("--write is for all models")
    settings = Settings(options.seconds, options.rounds, options.threads)
    rows: list[Row] = []
    with ExitStack() as stack:
        stack.enter_context(with_processor(this_processor()))
        names = options.against if is_installed("tensorflow") else ()
        runtimes = {name: stack.enter_context(open_runtime("tensorflow", name, _TIMEOUT)) for name in names}
        if "reference" in runtimes and is_installed("micro"):
            runtimes["micro"] = stack.enter_context(open_runtime("micro", timeout=_TIMEOUT))
        for path in with_progress(paths, len(paths), "Measuring"):
            rows += measure(path, runtimes, settings)
    head = f"{machine.sentence(machine.facts())}, threads: {settings.threads}"
    summary = speed_table.summary(rows)
    if options.json:
        result = {"machine": machine.facts(), "settings": asdict(settings), "summary": summary}
        content = json.dumps({**result, "rows": [asdict(row) for row in rows]}, indent=1)
        write_atomically(options.json, content.encode())
    if options.write:
        large = [row for row in rows if speed_table.is_large(row)]
        replace(README, "speed", speed_table.markdown(large, head, summary))
        replace(PROFILE, "speed", speed_table.markdown(rows, head, summary))
    if options.markdown:
        print(speed_table.markdown(rows, head, summary))
    else:
        speed_table.show(rows, head, summary)


def measure(path: Path, runtimes: dict[str, Runtime], settings: Settings) -> list[Row]:
    """The rows of a model: one for each of our modes, with the same measurements of the runtimes beside each.

    A model that only TFLite Micro takes is compared with that.
    """
    tensorflow = {name: runtime for name, runtime in runtimes.items() if name != "micro"}
    rows = _rows(path, "reference", tensorflow, settings)
    if "micro" in runtimes and not any(row.ours and row.reference for row in rows):
        in_micro = _rows(path, "micro", {"micro": runtimes["micro"]}, settings)
        if any(row.ours and row.reference for row in in_micro):
            for row in in_micro:
                row.refusals |= rows[0].refusals
            return in_micro
    return rows


def _rows(path: Path, kernels: str, runtimes: dict[str, Runtime], settings: Settings) -> list[Row]:
    """The rows of a model whose outputs should be those of the runtime called `kernels`."""
    content = path.read_bytes()
    row_of = partial(Row, path.stem, kernels=kernels, bytes=len(content), threads=settings.threads)
    try:
        model = rq.Model.read(content)
        sample = sample_for(model, kernels)
        rows = [row_of(mode=mode, convolutional=is_convolutional(model)) for mode in modes_of(model)]
    except rq.RefquantError as error:
        return [row_of(mode="", convolutional=False, refusals={"refquant": str(error)})]
    refusals: dict[str, str] = {}
    contestants: dict[str, Callable[[float], Timings]] = {}
    expected = None
    if kernels in runtimes:
        try:
            expected = runtimes[kernels].run(content, sample)
        except rq.RefquantError as error:
            refusals[kernels] = str(error)
    for row in rows:
        try:
            outputs = tf_style.run(_interpreter(content, row), [sample])[0]
            row.memory = memory.measure(model, sample, **_settings(row))
        except rq.RefquantError as error:
            row.refusals["refquant"] = str(error)
            continue
        contestants[row.mode] = partial(tf_style.timings, partial(_interpreter, content, row), sample)
        row.equal = "" if expected is None else _equality(outputs, expected, row.mode)
    for name, runtime in runtimes.items():
        if name not in refusals:
            contestants[name] = partial(runtime.timings, content, sample, threads=settings.threads)
    found = in_turns(contestants, settings, refusals)
    for row in rows:
        row.ours = found.get(row.mode)
        row.theirs = {name: found[name] for name in runtimes if name in found}
        row.refusals |= {name: text for name, text in refusals.items() if name in runtimes}
    return rows


def in_turns(
    contestants: dict[str, Callable[[float], Timings]], settings: Settings, refusals: dict[str, str]
) -> dict[str, Measured]:
    """What each measures, in turns; one that refuses gets no further turn, and its words go to `refusals`."""
    timings: dict[str, list[Timings]] = {name: [] for name in contestants}
    for _ in range(settings.rounds):
        for name, contestant in contestants.items():
            if name not in refusals:
                try:
                    timings[name].append(contestant(settings.seconds / settings.rounds))
                except rq.RefquantError as error:
                    refusals[name] = str(error)
    return {name: _measured(of) for name, of in timings.items() if name not in refusals}


def _measured(timings: Sequence[Timings]) -> Measured:
    invoke = [seconds for timing in timings for seconds in timing.invoke]
    planning = min(timing.planning for timing in timings)
    return Measured(min(invoke), statistics.median(invoke), planning, len(invoke))


def _interpreter(content: bytes, row: Row) -> rq.Interpreter:
    return rq.Interpreter(model_content=content, **_settings(row))


def _settings(row: Row) -> dict[str, Any]:
    """Of our interpreter; no more than TensorFlow's does it keep intermediate tensors."""
    return {
        "kernels": row.kernels,
        "float_mode": "fast" if row.mode == "fast" else "exact",
        "num_threads": row.threads,
        "experimental_preserve_all_tensors": False,
    }


def _equality(ours: Sequence[Array], theirs: Sequence[Array], mode: str) -> str:
    """ "yes" if all outputs have the same bits; in mode "fast" the largest difference, beside the largest number."""
    if all(a.shape == b.shape and np.array_equal(bits(a), bits(b)) for a, b in zip(ours, theirs, strict=True)):
        return "yes"
    if mode != "fast":
        return "NO"
    pairs = [(np.asarray(a, np.float64), np.asarray(b, np.float64)) for a, b in zip(ours, theirs)]
    return f"{max(np.abs(a - b).max(initial=0) / max(np.abs(b).max(initial=0), 1e-300) for a, b in pairs):.0e}"
