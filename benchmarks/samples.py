"""`python -m benchmarks.samples [MODEL…]`: many samples by `run_samples` and `calibrate`, beside one after the other.

Models are chosen as by `python -m benchmarks`. Samples are random numbers, one BLAS thread is best
(`OPENBLAS_NUM_THREADS=1`). Each time is the quickest of five turns, in which all kinds of runs take part. "first": the
first call of an interpreter, which plans for the batch; "later": the third. Calibration is of float models alone,
of 64 samples, and includes planning.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track

import refquant as rq
from benchmarks.chosen import chosen
from benchmarks.machine import facts, sentence
from refquant.audit.comparison import random_samples
from refquant.interpreter import batches

Array = npt.NDArray[Any]
COUNTS = (2, 8, 32, 128)
_MOST = batches._MOST
_CALIBRATED = 64
_TURNS = 5


def row(path: Path) -> list[str]:
    """The cells of one model: one sample alone, and what many take of as many times that."""
    model = rq.Model.read(path)
    samples = random_samples(model, max(COUNTS), seed=0)
    calibrates = _calibrates(model, samples)
    best: dict[object, float] = defaultdict(lambda: float("inf"))

    def timed(what: object, call: Callable[..., object], *arguments: object) -> None:
        start = time.perf_counter()
        call(*arguments)
        best[what] = min(best[what], time.perf_counter() - start)

    for _ in range(_TURNS):
        for count in COUNTS:
            interpreter = rq.Interpreter(model=model)
            interpreter.allocate_tensors()
            stacked = [np.stack(arrays[:count]) for arrays in zip(*samples)]
            timed((count, "alone"), _alone, interpreter, samples[:count])
            timed((count, "first"), interpreter.run_samples, stacked)
            interpreter.run_samples(stacked)
            timed((count, "later"), interpreter.run_samples, stacked)
        for most in (1, _MOST) if calibrates else ():
            with patch.object(batches, "_MOST", most):
                timed(most, rq.calibrate, model, samples[:_CALIBRATED])
    alone = best[max(COUNTS), "alone"] / max(COUNTS)
    shares = [f"{best[n, 'first'] / best[n, 'alone']:.2f} / {best[n, 'later'] / best[n, 'alone']:.2f}" for n in COUNTS]
    return [path.stem, f"{alone * 1e3:.2f} ms", *shares, f"{best[_MOST] / best[1]:.2f}" if calibrates else ""]


def _calibrates(model: rq.Model, samples: Sequence[list[Array]]) -> bool:
    try:
        rq.calibrate(model, samples[:1])
    except rq.RefquantError:
        return False
    return True


def _alone(interpreter: rq.Interpreter, samples: Sequence[Sequence[Array]]) -> None:
    outputs = [detail["index"] for detail in interpreter.get_output_details()]
    for sample in samples:
        for detail, array in zip(interpreter.get_input_details(), sample):
            interpreter.set_tensor(detail["index"], array)
        interpreter.invoke()
        for index in outputs:
            interpreter.get_tensor(index)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description="Many samples together, beside one after the other.")
    parser.add_argument("models", nargs="*", metavar="MODEL", help="paths or parts of names; all at hand unless told")
    paths = chosen(parser.parse_args().models)
    rows = [row(path) for path in track(paths, "Running samples", console=Console(stderr=True), transient=True)]
    print(f"{sentence(facts())}\n")
    print("| model | one alone | " + " | ".join(f"{n} samples, first / later" for n in COUNTS) + " | calibration |")
    print("|---|--:|" + "--:|" * (len(COUNTS) + 1))
    for cells in rows:
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
