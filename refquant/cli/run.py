"""`refquant run MODEL --input x.npy`: run a model on arrays from files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from refquant.cli.output import add_row, console, print_json, printable, table, with_progress

if TYPE_CHECKING:
    from refquant.kernels.registry import Array

#: how many samples and how many values of each the summary shows
SAMPLES_SHOWN, VALUES_SHOWN = 8, 5


def run(
    model: Annotated[Path, typer.Argument(help="The .tflite file.", show_default=False)],
    input: Annotated[
        list[str] | None,
        typer.Option("--input", "-i", metavar="[NAME=]FILE", help="A .npy or .npz file; give one for each input."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write the outputs here: .npz, or .npy for a single output."),
    ] = None,
    kernels: Annotated[
        str, typer.Option(help="Whose bits: 'reference' (BUILTIN_REF), 'optimized', 'xnnpack' or 'micro'.")
    ] = "reference",
    signature: Annotated[str | None, typer.Option(metavar="KEY", help="Run this signature of the model.")] = None,
    quantize_inputs: Annotated[
        bool, typer.Option("--quantize-inputs", help="Quantize float files for integer inputs.")
    ] = False,
    dequantize_outputs: Annotated[
        bool, typer.Option("--dequantize-outputs", help="Give quantized outputs as float32.")
    ] = False,
    keep_state: Annotated[
        bool, typer.Option("--keep-state", help="Let variables live on from sample to sample.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print JSON: the outputs, or just their shapes with --output.")
    ] = False,
) -> None:
    """Run a model on arrays from files; write its outputs, or show the first of them.

    Files are taken in the order of the model's inputs or by NAME: the signature's names, where the model has one, or
    those of the tensors. An .npz file without NAME may hold several inputs by name, or one array by any name.

    An array shaped as an input is one sample. With one more dimension in front, or N rows where the input has one, it
    is many samples, whose outputs are joined in the same way. Variables (the state of
    streaming models) go back to their first values before each sample unless --keep-state is given.
    """
    from refquant.cli.arrays import check_output, load_inputs, save
    from refquant.cli.samples import Batch, Entry, joined
    from refquant.interpreter import Interpreter

    entry = Entry(Interpreter(model, kernels=kernels), signature)
    if output is not None:
        check_output(output, len(entry.outputs))
    arrays = load_inputs(input or [], [place.names for place in entry.inputs])
    batch = Batch(entry.inputs, arrays, quantize_inputs)
    for note in batch.notes:
        remark(note)
    results = list(with_progress(entry.run(batch, reset=not keep_state), len(batch), "Running samples"))
    outputs = joined(entry.outputs, results, batch, dequantize_outputs)
    if output is not None:
        save(output, outputs)
    if json:
        print_json(_facts(outputs, len(batch), kernels, output))
    else:
        _show(outputs, batch.many, len(batch))
        if output is not None:
            console.print(f"Written to {printable(str(output))}", markup=False, soft_wrap=True)


def remark(note: str) -> None:
    """A remark on standard error."""
    typer.echo(f"refquant: {printable(note)}", err=True)


def _facts(outputs: dict[str, Array], samples: int, kernels: str, output: Path | None) -> dict[str, Any]:
    facts: dict[str, Any] = {"samples": samples, "kernels": kernels, "outputs": {}}
    if output is not None:
        facts["written_to"] = str(output)
    for name, array in outputs.items():
        facts["outputs"][name] = {"type": str(array.dtype), "shape": list(array.shape)}
        if output is None:
            facts["outputs"][name]["values"] = array
    return facts


def _show(outputs: dict[str, Array], many: bool, samples: int) -> None:
    for name, array in outputs.items():
        console.print(f"{printable(name)}  {array.dtype} {array.shape}", style="bold", markup=False, soft_wrap=True)
        rows = table("sample>", "values", "argmax>")
        for i, values in enumerate(array[:SAMPLES_SHOWN] if many else [array]):
            flat = values.reshape(-1)
            numbers = [f"{v:.4g}" if array.dtype.kind == "f" else str(v) for v in flat[:VALUES_SHOWN].tolist()]
            largest = flat.argmax() if flat.size and array.dtype.kind != "S" else ""
            add_row(rows, i, printable(" ".join(numbers)) + " …" * (flat.size > VALUES_SHOWN), largest)
        console.print(rows)
        if many and samples > SAMPLES_SHOWN:
            console.print(f"… and {samples - SAMPLES_SHOWN} more samples")
