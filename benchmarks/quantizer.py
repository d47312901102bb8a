"""`python -m benchmarks.quantizer`: time and memory of calibrating and quantizing a float MobileNetV2 1.0/224.

TensorFlow's calibrator and `mlir_quantize` and ours take turns on the same model (random weights, float32, 14 MB) and
the same samples; what is printed are ratios of the best and of the median times of one run, and the peak of the memory
that Python and NumPy took for ours beside the size of the model. That both give the same is checked on the way.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import refquant as rq
from refquant.quantization import integer
from refquant.runtimes import Quantizer, open_quantizer
from refquant.testing.same_model import differences

_SIZE = 224


def save_network(path: str) -> None:
    """Writes a Keras MobileNetV2 with random weights; run in a process of its own, which TensorFlow takes over."""
    import keras

    keras.utils.set_random_seed(0)
    keras.applications.MobileNetV2((_SIZE, _SIZE, 3), weights=None).save(path)


def float_model(quantizer: Quantizer) -> rq.Model:
    """The network as a float .tflite."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network.keras")
        process = multiprocessing.get_context("spawn").Process(target=save_network, args=(str(path),))
        process.start()
        process.join()
        return rq.Model.read(quantizer.convert(path))


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what came of it."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def peak(function: Callable[[], Any]) -> int:
    """The most bytes that were held at a time."""
    tracemalloc.start()
    function()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description="Calibrating and quantizing MobileNetV2, beside TensorFlow.")
    parser.add_argument("--samples", type=int, default=4, help="how many samples calibration runs")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is timed")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    samples = [[rng.uniform(-1, 1, (1, _SIZE, _SIZE, 3)).astype(np.float32)] for _ in range(arguments.samples)]
    table = Table("step", "theirs, s", "ours, s", "ratio of best", "ratio of medians", "peak, MB", box=None)
    with open_quantizer(timeout=600) as quantizer:
        model = float_model(quantizer)
        calibrated = rq.calibrate(model, samples).apply(model).tobytes()
        same_statistics = calibrated == quantizer.calibrate(model, samples)
        quantized = integer.quantize(rq.Model.read(calibrated)).tobytes()
        different = differences(quantized, quantizer.mlir_quantize(calibrated))
        steps: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
            f"calibrate, {len(samples)} samples": (
                lambda: quantizer.calibrate(model, samples),
                lambda: rq.calibrate(model, samples).apply(model).tobytes(),
            ),
            f"calibrate, {len(samples)} samples, float_mode='fast'": (
                lambda: quantizer.calibrate(model, samples),
                lambda: rq.calibrate(model, samples, float_mode="fast").apply(model).tobytes(),
            ),
            "quantize": (
                lambda: quantizer.mlir_quantize(calibrated),
                lambda: integer.quantize(rq.Model.read(calibrated)).tobytes(),
            ),
        }
        for name, (theirs, ours) in steps.items():
            times = [(timed(theirs)[0], timed(ours)[0]) for _ in range(arguments.rounds)]
            best, median = ([f(column) for column in zip(*times)] for f in (min, statistics.median))
            ratios = f"{best[1] / best[0]:.2f}", f"{median[1] / median[0]:.2f}"
            table.add_row(name, f"{best[0]:.3f}", f"{best[1]:.3f}", *ratios, f"{peak(ours) / 1e6:.0f}")
    console = Console(width=120)
    console.print(table)
    console.print(
        f"model {len(model.tobytes()) / 1e6:.1f} MB; calibrated file "
        f"{'equal byte for byte' if same_statistics else 'NOT equal'}; "
        f"{len(different)} differences between the quantized models"
    )


if __name__ == "__main__":
    main()
