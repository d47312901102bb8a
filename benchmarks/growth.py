"""`python -m benchmarks growth [PART…]`: how the time grows with a model, beside the reference kernels of TensorFlow.

Each part makes models that differ in one number, and fits time = constant * number ** exponent to the quickest runs of
the larger half of them, where the costs that do not grow weigh least.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import refquant as rq
from benchmarks import machine
from benchmarks.made import convolution, dense
from benchmarks.overhead import chain
from benchmarks.sections import PROFILE, markdown_table, replace
from benchmarks.speed import Measured, Settings, in_turns
from refquant.cli.output import add_row, console, table, with_progress
from refquant.data import DIGITS_INT8
from refquant.runtimes import Timings, is_installed, open_runtime, tf_style
from refquant.testing import TensorSpec
from refquant.tflite.model import write_atomically
from refquant.tflite.schema import TensorType

Array = npt.NDArray[Any]
Case = tuple[rq.Model, list[Array]]
Contestant = Callable[[float], Timings]

_TIMEOUT = 600.0


@dataclass(frozen=True)
class Part:
    """One way to grow: what the number is, its values, the model and inputs of each, and what of it is timed.

    Where the number is one of `samples`, the model runs that often: at once by `run_samples`, and one by one.
    """

    number: str
    values: Sequence[int]
    make: Callable[[int], Case]
    timed: Callable[[Measured], float] = lambda measured: measured.best
    samples: bool = False


class Together(rq.Interpreter):
    """An interpreter whose `invoke` runs some samples at once."""

    def __init__(self, path: Path, samples: Sequence[Array]) -> None:
        super().__init__(path)
        self._samples = samples

    def invoke(self) -> None:
        """Runs all samples, whatever the inputs are set to."""
        self.run_samples(self._samples)


def _image(size: int, channels: int, batch: int, floats: bool = False) -> Case:
    return convolution(size, channels, floats=floats), [_random((batch, size, size, channels), floats)]


def _chain(length: int) -> Case:
    spec = TensorSpec(TensorType.INT8, (1, 8), scale=0.05, zero_point=3)
    return chain("RELU", spec, [], length=length), [_random(spec.shape)]


def _digits() -> Case:
    return rq.Model.read(DIGITS_INT8), [_random((1, 8, 8, 1))]


def _random(shape: Sequence[int], floats: bool = False) -> Array:
    generator = np.random.default_rng(1)
    if floats:
        return generator.standard_normal(shape).astype(np.float32)
    return generator.integers(-128, 128, shape, np.int8)


PARTS: dict[str, Part] = {
    "input size": Part("height and width", (8, 16, 32, 64, 128), lambda n: _image(n, 16, 1)),
    "input size, float32": Part("height and width", (8, 16, 32, 64), lambda n: _image(n, 16, 1, floats=True)),
    "channels": Part("channels", (8, 16, 32, 64, 128, 256), lambda n: _image(16, n, 1)),
    "operators": Part("operators", (1, 4, 16, 64, 256), _chain),
    "batch": Part("images in the input", (1, 2, 4, 8, 16, 32), lambda n: _image(16, 16, n)),
    "samples": Part("samples", (1, 4, 16, 64, 256), lambda n: _digits(), samples=True),
    "file": Part(
        "bytes of weights",
        tuple(1 << n for n in (16, 18, 20, 22, 24)),
        lambda n: (dense(n), [_random((1, 1024))]),
        lambda measured: measured.planning,
    ),
}


def main(arguments: Sequence[str]) -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks growth", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all unless told")
    parser.add_argument("--seconds", type=float, default=0.5, help="for each model and runtime")
    parser.add_argument("--rounds", type=int, default=3, help="how many turns each takes")
    parser.add_argument("--json", type=Path, help="write everything that was measured here")
    parser.add_argument("--write", action="store_true", help="write the tables into benchmarks/README.md")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.parts) - set(PARTS))
    if unknown:
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    if options.write and options.parts:
        parser.error("--write is for all parts")
    settings = Settings(options.seconds, options.rounds, threads=1)
    names = options.parts or list(PARTS)
    found = {name: measure(PARTS[name], settings) for name in with_progress(names, len(names), "Measuring")}
    head = machine.sentence(machine.facts())
    console.print(head, soft_wrap=True)
    for name, by_value in found.items():
        rows = table(*_headers(name, by_value))
        rows.title = name
        for row in _rows(name, by_value):
            add_row(rows, *row)
        console.print(rows)
    if options.json:
        content = {"machine": machine.facts(), "settings": asdict(settings), "parts": {}}
        for name, by_value in found.items():
            content["parts"][name] = [
                {"value": value, **{who: asdict(measured) for who, measured in by_name.items()}}
                for value, by_name in by_value.items()
            ]
        write_atomically(options.json, json.dumps(content, indent=1).encode())
    if options.write:
        tables = [
            f"**{name}**\n\n{markdown_table(_headers(name, found[name]), _rows(name, found[name]))}" for name in found
        ]
        replace(PROFILE, "growth", "\n\n".join([f"{head}:", *tables]))


def measure(part: Part, settings: Settings) -> dict[int, dict[str, Measured]]:
    """By number: what "refquant" takes, and "reference" where TensorFlow is installed."""
    found = {}
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        reference = is_installed("tensorflow") and stack.enter_context(
            open_runtime("tensorflow", "reference", _TIMEOUT)
        )
        for value in part.values:
            model, sample = part.make(value)
            path = Path(folder, f"{value}.tflite")
            model.write(path)
            times = value if part.samples else 1
            ours: Contestant = partial(tf_style.timings, partial(rq.Interpreter, path), sample)
            contestants = {"refquant": ours}
            if part.samples:
                samples = [np.stack([array] * value) for array in sample]
                contestants["refquant"] = partial(tf_style.timings, partial(Together, path, samples), sample)
                contestants["refquant one by one"] = partial(_repeated, times, ours)
            if reference:
                theirs = partial(reference.timings, path.read_bytes(), sample)
                contestants["reference"] = partial(_repeated, times, theirs)
            refusals: dict[str, str] = {}
            found[value] = in_turns(contestants, settings, refusals)
            if refusals:
                raise RuntimeError(f"{value} {part.number}: {refusals}")
    return found


def exponent(values: Sequence[float], times: Sequence[float]) -> float:
    """The slope of the straight line through the logarithms that is nearest to them.

    >>> exponent([1, 2, 4], [3, 12, 48])
    2.0
    """
    x, y = np.log2(values), np.log2(times)
    return round(float(np.polyfit(x, y, 1)[0]), 2)


def _repeated(times: int, contestant: Contestant, seconds: float) -> Timings:
    """What it takes to run as many times as long."""
    found = contestant(seconds)
    return Timings(found.planning, [times * seconds for seconds in found.invoke])


def _headers(name: str, found: dict[int, dict[str, Measured]]) -> Sequence[str]:
    return f"{PARTS[name].number}>", *(f"{who}, ms>" for who in _columns(found)), "reference / refquant>"


def _columns(found: dict[int, dict[str, Measured]]) -> list[str]:
    return list(next(iter(found.values())))


def _rows(name: str, found: dict[int, dict[str, Measured]]) -> list[Sequence[str]]:
    """A row for each number, and one for the exponents."""
    timed = PARTS[name].timed
    times = {who: [timed(by_name[who]) for by_name in found.values()] for who in _columns(found)}
    rows: list[Sequence[str]] = []
    for number, value in enumerate(found):
        cells = [f"{1e3 * of[number]:.3f}" for of in times.values()]
        ratio = f"{times['reference'][number] / times['refquant'][number]:.3g}" if "reference" in times else ""
        rows.append((f"{value:,}", *cells, ratio))
    half = len(found) // 2
    exponents = [f"{exponent(list(found)[half:], of[half:]):.2f}" for of in times.values()]
    rows.append(("exponent", *exponents, ""))
    return rows
