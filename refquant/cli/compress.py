"""`refquant compress MODEL --sparsity 0.8 --clusters 16 --mode int8 -d SAMPLES -o OUT`: prune, cluster and quantize."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from refquant.cli.cluster import Init
from refquant.cli.output import add_row, console, print_json, printable, size_of, table, with_progress
from refquant.quantization.modes import ModeName

if TYPE_CHECKING:
    from refquant.audit.compress import Step


def compress(
    model: Annotated[Path, typer.Argument(help="The float .tflite file.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Write the last model here.", show_default=False)],
    sparsity: Annotated[float | None, typer.Option(help="Prune: the share of zeros in each weight, in [0, 1).")] = None,
    clusters: Annotated[int | None, typer.Option(help="Cluster: distinct values of each weight.")] = None,
    mode: Annotated[ModeName | None, typer.Option("--mode", "-m", help="Quantize, as in `refquant quantize`.")] = None,
    samples: Annotated[
        Path | None,
        typer.Option(
            "--samples",
            "-s",
            metavar="FILE.npz",
            help="N samples for each input by its name, and their `labels` if they are known.",
        ),
    ] = None,
    calibration: Annotated[int, typer.Option(help="How many of the samples calibrate the integer modes.")] = 100,
    init: Annotated[Init, typer.Option(help="Where the centroids begin.")] = Init.KMEANS,
    seed: Annotated[int | None, typer.Option(help="The seed of random and kmeans++.", show_default="0 and 9")] = None,
    per_channel: Annotated[
        bool, typer.Option("--per-channel", help="So many values in each output of a CONV_2D.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Prune, cluster and quantize a float model one after the other, and show what each step did to it.

    Each of --sparsity, --clusters and --mode may be left out. After pruning, clustering keeps the zeros. The table has
    the size of the file, the least that gzip and zstd make of it, the share of zeros and the most values in one weight
    (in one channel, where it has a scale for each), and the accuracy where the samples have labels. An existing output
    file is replaced in one step, or not at all.
    """
    from refquant.audit.compress import compress as steps_of
    from refquant.cli.arrays import check_place, load
    from refquant.tflite.model import write_atomically

    check_place(output)
    arrays: dict[str, Any] | None = None
    if samples is not None:
        loaded = load(samples)
        arrays = dict(loaded) if isinstance(loaded, dict) else {"samples": loaded}
    steps = steps_of(
        model,
        sparsity=sparsity,
        number_of_clusters=clusters,
        cluster_centroids_init=init.initialization,
        seed=seed,
        cluster_per_channel=per_channel,
        mode=mode,
        samples=arrays,
        calibration_samples=calibration,
        progress=lambda items, count: with_progress(items, count, "Running"),
    )
    write_atomically(output, steps[-1].content)
    if json:
        print_json({"written_to": str(output), "steps": [_facts(step) for step in steps]})
        return
    labelled = steps[0].accuracy is not None
    rows = table("model", "size>", "gzip>", "zstd>", "zeros>", "values>", *["accuracy>"] * labelled)
    for step in steps:
        sizes = (size_of(step.sizes.raw), size_of(step.sizes.gzip), size_of(step.sizes.zstd))
        accuracy = [] if step.accuracy is None else [f"{step.accuracy:.2%}"]
        add_row(rows, step.name, *sizes, f"{step.sparsity:.2%}", str(step.clusters), *accuracy)
    console.print(rows)
    for step in steps:
        for note in step.notes:
            console.print(printable(note), markup=False, soft_wrap=True)
    console.print(f"Written to {printable(str(output))}", markup=False, soft_wrap=True)


def _facts(step: Step) -> dict[str, Any]:
    return {
        "model": step.name,
        "sizes": step.sizes._asdict(),
        "sparsity": step.sparsity,
        "values": step.clusters,
        "accuracy": step.accuracy,
        "notes": step.notes,
        "weights": [
            {
                "name": w.name,
                "elements": w.elements,
                "zeros": w.zeros,
                "values": w.values,
                "values_of_channel": w.values_of_channel,
            }
            for w in step.weights
        ],
    }
