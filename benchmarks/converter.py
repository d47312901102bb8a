"""`python -m benchmarks.converter`: Keras networks through TFLiteConverter and through refquant, in every mode.

Each network is converted to float by TensorFlow's converter, and to each mode by TensorFlow's and by ours, which is
given the float file and the same samples. A cell of the table says how many tensors are equal in everything (name,
type, shape, scale and zero point to the bit, constants byte for byte), and marks with = the files that are equal byte
for byte. Where operators of several results take part (SPLIT, UNPACK), TensorFlow's own file is another one from run to
run; so what is unequal is converted ten times more, and a cell is marked with ~ if one of these files is ours.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

import refquant as rq
from refquant.runtimes import open_quantizer
from refquant.testing.same_model import compare_models
from tests.oracle.keras_models import MODES, NETWORKS, Converted, convert, convert_again

_TRIES = 10

QUANTIZED = [mode for mode in MODES if mode != "float"]


def ours(float_model: bytes, samples: list[Any], mode: str) -> bytes:
    """What refquant makes of a float model in a mode."""
    converter = rq.Converter.from_tflite(float_model)
    for name, value in MODES[mode].items():
        if name == "optimizations":
            converter.optimizations = [rq.Optimize[entry] for entry in value]
        elif name == "supported_ops":
            converter.target_spec.supported_ops = [rq.OpsSet[entry] for entry in value]
        elif name == "supported_types":
            converter.target_spec.supported_types = value
        else:
            setattr(converter, name, value)
    if "int" in mode or mode == "calibrated":
        converter.representative_dataset = samples
    return converter.convert()


def compare(converted: Converted, mode: str) -> dict[str, Any]:
    """How the two results of a mode compare."""
    theirs = converted.by_mode[mode]
    if isinstance(theirs, Exception):
        return {"outcome": "refused by TensorFlow", "details": str(theirs)}
    try:
        mine = ours(converted.float_model, converted.samples, mode)
    except rq.RefquantError as error:
        return {"outcome": "refused by refquant", "details": str(error)}
    found = compare_models(mine, theirs)
    return {
        "outcome": "equal" if not found.differences else "unequal",
        "tensors": found.tensors,
        "equal tensors": found.equal_tensors,
        "same file": mine == theirs,
        "details": "; ".join(found.differences[:3]),
    }


def main() -> None:
    """Converts, compares, prints."""
    parser = argparse.ArgumentParser(description="Keras networks through TFLiteConverter and through refquant.")
    parser.add_argument("networks", nargs="*", default=list(NETWORKS), metavar="NETWORK", help="which; all unless told")
    parser.add_argument("--json", type=Path, help="write the results here too")
    parser.add_argument("--markdown", action="store_true", help="print the README's table: both of a network in one")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.networks) - set(NETWORKS))
    if unknown:
        parser.error(f"no such network: {', '.join(unknown)}; there are {', '.join(NETWORKS)}")
    results: dict[str, dict[str, Any]] = {}
    with open_quantizer(timeout=600) as quantizer:
        for name in track(arguments.networks, "Converting", console=Console(stderr=True), transient=True):
            for trained in (False, True):
                converted = convert(quantizer, NETWORKS[name], trained=trained)
                found = {mode: compare(converted, mode) for mode in QUANTIZED}
                for mode in [mode for mode in QUANTIZED if found[mode]["outcome"] == "unequal"]:
                    again = convert_again(quantizer, NETWORKS[name], _TRIES, trained=trained, modes=[mode])
                    equal = [result for result in (compare(c, mode) for c in again) if result["outcome"] == "equal"]
                    if equal:
                        found[mode] = {**equal[0], "outcome": f"equal in {len(equal)} of {_TRIES} conversions"}
                results[f"{name}, trained" if trained else name] = found
    (_show_markdown if arguments.markdown else _show)(results)
    _show_totals(results)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))


def _show(results: dict[str, dict[str, dict[str, Any]]]) -> None:
    table = Table(box=None, header_style="bold")
    table.add_column("network")
    for mode in QUANTIZED:
        table.add_column(mode, justify="right")
    for name, by_mode in results.items():
        table.add_row(name, *(_cell(by_mode[mode]) for mode in QUANTIZED))
    Console(width=200).print(table)


def _show_markdown(results: dict[str, dict[str, dict[str, Any]]]) -> None:
    """One row for each network, of which both are summed up."""
    print("| network | " + " | ".join(QUANTIZED) + " |")
    print("|---|" + "--:|" * len(QUANTIZED))
    for name, by_mode in results.items():
        if not name.endswith(", trained"):
            both = [by_mode, results[f"{name}, trained"]]
            cells = [_sum([found[mode] for found in both]) for mode in QUANTIZED]
            print(f"| {name} | " + " | ".join(_cell(cell) for cell in cells) + " |")


def _sum(results: list[dict[str, Any]]) -> dict[str, Any]:
    if not all("tensors" in result for result in results):
        return next(result for result in results if "tensors" not in result)
    return {
        "outcome": next((r["outcome"] for r in results if "conversions" in r["outcome"]), results[0]["outcome"]),
        "tensors": sum(r["tensors"] for r in results),
        "equal tensors": sum(r["equal tensors"] for r in results),
        "same file": all(r["same file"] for r in results),
    }


def _show_totals(results: dict[str, dict[str, dict[str, Any]]]) -> None:
    every = [result for by_mode in results.values() for result in by_mode.values() if "tensors" in result]
    print(
        f"{sum(r['equal tensors'] for r in every)} of {sum(r['tensors'] for r in every)} tensors equal, "
        f"{sum(r['same file'] for r in every)} of {len(every)} files equal byte for byte, "
        f"{sum('conversions' in r['outcome'] for r in every)} of them files that vary from run to run"
    )
    for name, by_mode in results.items():
        for mode, result in by_mode.items():
            if result["outcome"] in ("unequal", "refused by refquant"):
                print(f"{name}, {mode}: {result['outcome']}: {result['details'][:400]}")


def _cell(result: dict[str, Any]) -> str:
    if "tensors" not in result:
        return "TF refuses" if result["outcome"] == "refused by TensorFlow" else "refused"
    varying = " ~" if "conversions" in result["outcome"] else ""
    return f"{result['equal tensors']}/{result['tensors']}" + (" =" if result["same file"] else "") + varying


if __name__ == "__main__":
    main()
