"""`refquant bisect MODEL --runtime WORD`: the first operator where a runtime leaves the oracle."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from refquant.cli.output import console, print_json, printable, working
from refquant.cli.participants import HELP, others, samples_of, together
from refquant.errors import InvalidInputError
from refquant.runtimes.participants import OURS

if TYPE_CHECKING:
    from refquant.audit.bisection import Bisection


def bisect(
    model: Annotated[Path, typer.Argument(help="The .tflite file.", show_default=False)],
    runtime: Annotated[
        str | None, typer.Option(metavar="WORD", help="The runtime in question. " + HELP.format(ours=", ".join(OURS)))
    ] = None,
    callable: Annotated[
        str | None,
        typer.Option(metavar="[NAME=]MODULE:FUNCTION", help="Instead of --runtime: a function, see refquant compare."),
    ] = None,
    command: Annotated[
        str | None, typer.Option(metavar="NAME=COMMAND", help="Instead of --runtime: a command, see refquant compare.")
    ] = None,
    oracle: Annotated[str, typer.Option(metavar="WORD", help="Whose bits are right.")] = "reference",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the smallest reproduction into this new folder.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write into the folder even if it is there.")] = False,
    data: Annotated[
        Path | None, typer.Option(help="An .npz file of real samples by input name, or .npy; random ones without.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="So many samples; of --data at most so many.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="What random samples are drawn by.")] = 0,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds that each answer may take.")] = 60.0,
    json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Find the first operator where a runtime leaves the oracle, from outside: by running models cut off earlier.

    The runtime is asked for nothing but outputs, so it may be a board over a cable. With -o the smallest model that
    shows the difference is written, its inputs, what was expected, what came, and a text for a bug report.

    Exit status 0 when all tensors are equal, 1 when a difference was found or not all could be compared.
    """
    from refquant.audit.bisection import bisect as run_bisect
    from refquant.tflite.model import Model

    given = others([callable] if callable else [], [command] if command else [], timeout)
    given = together([runtime] if runtime else [], given)
    if len(given) != 1:
        raise InvalidInputError("give one runtime: --runtime, --callable or --command")
    ((name, what),) = given.items()
    if output is not None and os.path.lexists(output) and not force:
        raise InvalidInputError(f"--output {output}: is there already; --force writes into it")
    if output is not None and not output.parent.is_dir():
        raise InvalidInputError(f"--output {output}: there is no directory {output.parent}")
    read = Model.read(model)
    rows = samples_of(read, data, samples)
    with working("Bisecting") as status:
        found = run_bisect(
            read,
            what,
            oracle=oracle,
            name=name,
            samples=rows,
            number_of_samples=samples,
            seed=seed,
            timeout=timeout,
            progress=lambda doing: status.update(f"Bisecting: {printable(doing)}"),
            title=str(model),
        )
    if output is not None and found.reproduction is not None:
        found.reproduction.save(output, force=force)
    if json:
        written = {} if output is None or found.reproduction is None else {"written_to": str(output)}
        print_json(found.to_dict() | written)
    else:
        _print(found, output)
    raise typer.Exit(0 if found.equal else 1)


def _print(found: Bisection, output: Path | None) -> None:
    def say(text: str, style: str = "") -> None:
        console.print(Text(printable(text), style), soft_wrap=True)

    samples = f"{found.samples} sample{'s' * (found.samples != 1)}"
    say(f"{found.model} on {samples}: {found.runtime} against {found.oracle}", "bold")
    for name, description in found.runtimes.items():
        say(f"  {name}: {description}")
    if found.equal:
        say(f"All {found.operators} operators give the same bits ({found.runs} runs).", "bold green")
    elif found.index is None:
        say(f"The first {found.compared} of {found.operators} operators give the same bits ({found.runs} runs).")
    else:
        say(f"{found.runtime} leaves {found.oracle} at {found.operator}, output {found.tensor}", "bold red")
        say(f"  {found.failure or found.difference}, on sample {found.sample}")
        say(f"  all outputs of operators before it are equal, on all samples ({found.runs} runs)")
    made = found.reproduction
    if made is not None:
        which = ", ".join(map(str, made.operators))
        what = str(made.found) if made.reproduces else "NOT reproduced"
        say(f"  operator{'s' * (len(made.operators) > 1)} {which} alone: {what}")
        if output is not None:
            say(f"Written to {output}: {', '.join(made.files())}")
    for note in found.notes:
        say(f"Note: {note}")
