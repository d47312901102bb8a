"""`refquant explain MODEL --tensor NAME --index 0,3,4,1`: how one number comes about, in every profile side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from refquant.cli.output import console, print_json, printable, working
from refquant.errors import InvalidInputError

if TYPE_CHECKING:
    from refquant.kernels.registry import Array
    from refquant.tflite.model import Model


def explain(
    model: Annotated[Path, typer.Argument(help="The .tflite file.", show_default=False)],
    tensor: Annotated[
        str, typer.Option("--tensor", "-t", metavar="NAME|NUMBER", help="The tensor.", show_default=False)
    ],
    index: Annotated[
        str, typer.Option("--index", metavar="N,N,…", help="Which element of it; empty for a scalar.")
    ] = "",
    data: Annotated[
        list[str] | None,
        typer.Option(metavar="[NAME=]FILE", help="A .npy or .npz file of inputs; give one for each input."),
    ] = None,
    sample: Annotated[int, typer.Option(min=0, help="Which sample of the files.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Without --data: the seed of random inputs.")] = 0,
    profiles: Annotated[
        str, typer.Option(metavar="NAME,…", help="The profiles, the first of which gives the operator its inputs.")
    ] = "reference,optimized,xnnpack,micro",
    whole_run: Annotated[
        bool, typer.Option("--whole-run", help="Give each profile the inputs of its own run.")
    ] = False,
    all: Annotated[bool, typer.Option("--all", help="Show long windows and sums wholly.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the explanation as JSON.")] = False,
) -> None:
    """Derive one element of a tensor: its window, accumulator, multiplier, each rounding step, zero point, limits.

    The profiles stand side by side, with a mark at the step where they part. All are handed the same inputs of the
    operator, so that a difference is this operator's own, unless --whole-run is given. Files are taken as by
    `refquant run`; real numbers are quantized for integer inputs.
    """
    from refquant.audit.explain import explain as derive
    from refquant.tflite.model import Model

    numbers = _index(index)
    read = Model.read(model)
    arrays = None if data is None else _sample(read, data, sample)
    with working("Explaining"):
        found = derive(
            read,
            tensor,
            numbers,
            arrays,
            profiles=[name.strip() for name in profiles.split(",") if name.strip()],
            whole_run=whole_run,
            seed=seed,
            long_sums=all,
        )
    found.model = str(model)
    if data is not None:
        found.data = f"inputs of sample {sample}"
    if json:
        print_json(found.to_dict())
        return
    for line in found.lines(all=all):
        console.print(Text(printable(line), "bold red" if line.endswith("they part") else ""), soft_wrap=True)


def _index(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",")) if text.strip() else ()
    except ValueError:
        raise InvalidInputError(f"--index {text!r}: give whole numbers with commas, such as 0,3,4,1") from None


def _sample(model: Model, files: list[str], number: int) -> list[Array]:
    """The arrays of one sample, in the order of the inputs."""
    from refquant.audit.explain.given import inputs_alone
    from refquant.cli.arrays import load_inputs
    from refquant.cli.run import remark
    from refquant.cli.samples import Batch, Entry
    from refquant.interpreter import Interpreter

    entry = Entry(Interpreter(model=inputs_alone(model)))
    batch = Batch(entry.inputs, load_inputs(files, [place.names for place in entry.inputs], "--data"), True)
    if number >= len(batch):
        raise InvalidInputError(f"--sample {number}: the files hold samples 0 to {len(batch) - 1}")
    for note in batch.notes:
        remark(note)
    return next(arrays for i, arrays in enumerate(batch) if i == number)
