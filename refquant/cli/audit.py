"""`refquant audit [MODEL]`: is this quantized model what it should be?"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from refquant import data as bundled
from refquant.audit import audit as run_audit
from refquant.audit.report import SEVERITIES, Report
from refquant.cli.arrays import load
from refquant.cli.output import add_row, console, print_json, printable, table, with_progress

_VERDICTS = {True: "equal", False: "DIFFERENT", None: "not used"}

#: a name that is longer is cut at its beginning, which says less
_LONG_NAME = 24

_STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def audit(
    model: Annotated[
        Path | None, typer.Argument(help="The quantized .tflite file; without it, the bundled model.")
    ] = None,
    float_model: Annotated[
        Path | None, typer.Option("--float", help="The float .tflite file that it was made from.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="An .npz file of real samples by input name, with `labels` if known.")
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="Compare with a real runtime: tensorflow, litert or micro.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Use at most so many samples.")] = 360,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Check a quantized model: the file, its float origin, its accuracy, a real runtime.

    Checks the file against the TensorFlow Lite quantization specification; with --float quantizes the float model
    again, says which rule explains each tensor and reports the first bit that differs; with --data as well says which
    samples the ranges come from, where these gave them, and measures each tensor's error and the accuracy; with
    --against runs a real runtime and reports where bits differ first.

    Exit status 1 when there is an error or a warning.
    """
    if model is None:
        model = bundled.DIGITS_INT8
        float_model = float_model or bundled.DIGITS_FLOAT
        data = data or bundled.DIGITS_SAMPLES
    arrays = None
    if data is not None:
        loaded = load(data)
        if not isinstance(loaded, dict):
            loaded = {"samples": loaded}
        arrays = loaded

    def progress(items: Iterable[int], total: int) -> Iterable[int]:
        return with_progress(items, total, "running samples")

    report = run_audit(
        model, float_model=float_model, samples=arrays, limit=samples, against_runtime=against, progress=progress
    )
    if json:
        print_json(report.to_dict())
    else:
        _print(report)
    raise typer.Exit(0 if report.clean else 1)


def _print(report: Report) -> None:
    console.print(Text(f"Audit of {printable(report.model)}", "bold"), soft_wrap=True)
    console.print("Checked: " + ", ".join(f"{count:,} {what}" for what, count in report.checks.items()))
    if report.accuracy is not None:
        a = report.accuracy
        console.print(
            f"Accuracy on {a.samples} samples: float {a.float_model:.2%}, quantized {a.quantized_model:.2%}, "
            f"same answer {a.agreement:.2%}"
        )
    if report.derivations:
        _print_derivations(report)
    if report.tensors:
        _print_tensors(report)
    if report.comparisons:
        _print_comparisons(report)
    _print_findings(report)


def _print_derivations(report: Report) -> None:
    rows = table("tensor", "type", "rule", "bits")
    rows.title = "How each tensor follows from the float model"
    for d in report.derivations:
        number = d.place.partition(" (")[0].removeprefix("tensor ")
        name = d.tensor if len(d.tensor) <= _LONG_NAME else "…" + d.tensor[-_LONG_NAME:]
        add_row(rows, f"{number} {name}", d.type, d.rule, _VERDICTS[d.equal])
    console.print(rows)


def _print_tensors(report: Report) -> None:
    rows = table("operator", "SQNR dB>", "at min>", "at max>", "worst: float, dequantized")
    rows.title = "Error of each tensor against the float model"
    for t in report.tensors:
        sample, index, real, quantized = t.worst
        worst = f"{real:.5g}, {quantized:.5g} (sample {sample}, [{index}])"
        add_row(
            rows, t.operator.removeprefix("operator "), f"{t.sqnr:.1f}", f"{t.at_low:.1%}", f"{t.at_high:.1%}", worst
        )
    console.print(rows)


def _print_comparisons(report: Report) -> None:
    rows = table("operator", "elements>", "different>", "by up to>", "verdict")
    rows.title = f"Against {report.runtime}"
    for c in report.comparisons:
        add_row(
            rows,
            c.operator.removeprefix("operator "),
            f"{c.elements:,}",
            f"{c.different:,}",
            c.difference.by,
            c.verdict,
        )
    console.print(rows)


def _print_findings(report: Report) -> None:
    for finding in sorted(report.findings, key=lambda f: SEVERITIES.index(f.severity)):
        head = f" {finding.rule}: {printable(finding.place)}"
        console.print(Text.assemble((finding.severity, _STYLES[finding.severity]), head), soft_wrap=True)
        for label, line in (("found", finding.found), ("expected", finding.expected), ("so", finding.advice)):
            console.print(Text(f"  {label:9} {printable(line)}"), soft_wrap=True)
    counts = {s: sum(f.severity == s for f in report.findings) for s in SEVERITIES}
    words = ", ".join(f"{count} {severity}{'s' if count != 1 else ''}" for severity, count in counts.items())
    console.print(Text(f"Findings: {words}", "bold green" if report.clean else "bold red"))
