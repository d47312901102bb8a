"""`refquant compare MODEL --runtimes reference,tensorflow`: where do runtimes part, operator by operator?"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from refquant.cli.output import add_row, console, print_json, printable, table, working
from refquant.cli.participants import HELP, others, samples_of, together
from refquant.runtimes.participants import OURS

if TYPE_CHECKING:
    from refquant.audit.report import ComparisonReport


def compare(
    model: Annotated[Path, typer.Argument(help="The .tflite file.", show_default=False)],
    runtimes: Annotated[
        str | None,
        typer.Option(
            metavar="WORD,WORD,…",
            help=HELP.format(ours=", ".join(OURS)) + " Without: reference and the real runtimes that are installed.",
        ),
    ] = None,
    callable: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]MODULE:FUNCTION",
            help="A Python function that takes the bytes of a model and a list of input arrays and returns its "
            "outputs; it runs in a process of its own.",
        ),
    ] = None,
    command: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=COMMAND",
            help="A command that runs one sample, such as 'board=./run.sh {model} {inputs} {outputs}': it is given a "
            ".tflite file and an .npz file of input_0, input_1, … and writes an .npz file of output_0, … (or .npy). "
            "{raw_inputs} and {raw_outputs} are the same as bare bytes.",
        ),
    ] = None,
    against: Annotated[
        str | None, typer.Option(metavar="NAME", help="Compare the others with this one, not with the first.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="An .npz file of real samples by input name, or .npy; random ones without.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="So many samples; of --data at most so many.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="What random samples are drawn by.")] = 0,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds that each answer may take.")] = 60.0,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Run a model in several runtimes on the same inputs: which operators differ, and where it begins.

    For every operator: how many elements differ, by how many steps of the integer (LSB) or units in the last place of
    the float (ULP), and whether that **begins here** (all its inputs are equal), **begins here too** (they are not, but
    the operator alone differs on equal inputs as well) or was **handed down** (alone it is equal). A runtime that
    refuses, dies or hangs is a line of the table.

    Exit status 0 when all are equal, 1 when something differs or gives no answer.
    """
    from refquant.audit.comparison import compare as run_compare
    from refquant.audit.comparison import default_runtimes
    from refquant.tflite.model import Model

    more = others(callable or [], command or [], timeout)
    words = [word.strip() for word in runtimes.split(",")] if runtimes is not None else None
    given = together((["reference"] if more else default_runtimes()) if words is None else words, more)
    read = Model.read(model)
    rows = samples_of(read, data, samples)
    with working("Comparing") as status:
        report = run_compare(
            read,
            given,
            against=against,
            samples=rows,
            number_of_samples=samples,
            seed=seed,
            timeout=timeout,
            progress=lambda doing: status.update(f"Comparing: {printable(doing)}"),
        )
    report.model = str(model)
    if json:
        print_json(report.to_dict())
    else:
        _print(report)
    raise typer.Exit(0 if report.equal else 1)


def _print(report: ComparisonReport) -> None:
    first = report.against
    what = f"{report.samples} sample{'s' * (report.samples != 1)}"
    console.print(Text(f"{printable(report.model)} on {what}, compared with {first}", "bold"), soft_wrap=True)
    console.print(Text(f"  {first}: {printable(report.runtimes[first])}"), soft_wrap=True)
    for name, description in report.runtimes.items():
        if name != first and name not in report.failures:
            _print_runtime(report, name, description)
    for note in report.notes:
        console.print(Text(f"Note: {printable(note)}"), soft_wrap=True)
    console.print()
    summary = table("runtime", "outputs equal>", "differ>", "begins at operator")
    for name in dict.fromkeys((*report.runtimes, *report.failures)):
        if name == first:
            continue
        if name in report.failures:
            add_row(summary, name, "", "", f"no answer: {report.failures[name]}")
            continue
        rows = report.of(name)
        begins = dict.fromkeys(c.index for c in rows if c.verdict.startswith("begins"))
        silent = [c.index for c in rows if c.verdict == "no answer"]
        add_row(
            summary,
            name,
            f"{sum(c.verdict == 'equal' for c in rows)} of {sum(c.verdict != 'not asked' for c in rows)}",
            sum(c.different > 0 for c in rows),
            ", ".join(map(str, begins)) + (f"{'; ' * bool(begins)}no answer from {min(silent)} on" if silent else ""),
        )
    console.print(summary)


def _print_runtime(report: ComparisonReport, name: str, description: str) -> None:
    console.print()
    rows = table("operator", "elements>", "differ>", "by up to>", "verdict")
    rows.title = printable(name if name == description else f"{name}: {description}")
    compared = report.of(name)
    outputs = Counter(c.index for c in compared)
    for c in compared:
        add_row(
            rows,
            c.operator.removeprefix("operator ") + (f" {c.tensor}" if outputs[c.index] > 1 else ""),
            f"{c.elements:,}",
            f"{c.different:,}",
            c.difference.by,
            c.verdict + (f": {c.note}" if c.note else ""),
        )
    console.print(rows)
