"""`refquant cluster MODEL --clusters 16 -o OUT`: few distinct values in each weight of a float model."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from refquant.cli.output import (
    add_row,
    console,
    facts_of,
    print_json,
    print_sizes,
    print_skipped,
    printable,
    shape_of,
    table,
    with_progress,
    write_compared,
)

if TYPE_CHECKING:
    from refquant.compression.clustering import CentroidInitialization


class Init(str, Enum):
    """Where centroids begin, by short names."""

    LINEAR = "linear"
    RANDOM = "random"
    DENSITY = "density"
    KMEANS = "kmeans++"

    @property
    def initialization(self) -> CentroidInitialization:
        """tfmot's name."""
        from refquant.compression.clustering import CentroidInitialization

        return {
            Init.LINEAR: CentroidInitialization.LINEAR,
            Init.RANDOM: CentroidInitialization.RANDOM,
            Init.DENSITY: CentroidInitialization.DENSITY_BASED,
            Init.KMEANS: CentroidInitialization.KMEANS_PLUS_PLUS,
        }[self]


def cluster(
    model: Annotated[Path, typer.Argument(help="The float .tflite file.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Write the clustered model here.", show_default=False)],
    clusters: Annotated[int, typer.Option(help="Distinct values of each weight.", show_default=False)],
    init: Annotated[Init, typer.Option(help="Where the centroids begin.")] = Init.KMEANS,
    keep_sparsity: Annotated[
        bool, typer.Option("--keep-sparsity", help="One of the values is zero, and zeros stay zeros.")
    ] = False,
    per_channel: Annotated[
        bool, typer.Option("--per-channel", help="So many values in each output of a CONV_2D.")
    ] = False,
    converge: Annotated[
        bool, typer.Option("--converge", help="Move the centroids by k-means until none moves; tfmot does not.")
    ] = False,
    seed: Annotated[
        int | None,
        typer.Option(help="Of random: as after tf.random.set_seed. Of kmeans++: TensorFlow's.", show_default="0 and 9"),
    ] = None,
    operator: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help="Cluster only weights whose name fits the pattern, or of this kind of operator; may be repeated.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Cluster a float model as tensorflow_model_optimization does before its training, to the bit.

    Every weight becomes the nearest of a few centroids: the file is as large as before, but compresses well. An
    existing output file is replaced in one step, or not at all.
    """
    from refquant.cli.arrays import check_place
    from refquant.compression.clustering import cluster_model
    from refquant.tflite.model import Model

    check_place(output)
    result = cluster_model(
        Model.read(model),
        clusters,
        init.initialization,
        operators=operator,
        preserve_sparsity=keep_sparsity,
        cluster_per_channel=per_channel,
        seed=seed,
        to_convergence=converge,
        progress=lambda weights, count: with_progress(weights, count, "Clustering"),
    )
    content = result.model.tobytes()
    changes = write_compared(model, output, content)
    if json:
        print_json(
            {
                **facts_of(output, changes, result.skipped),
                "clustered": [
                    {
                        "name": t.name,
                        "operator": t.operator,
                        "shape": t.shape,
                        "values": t.values,
                        "sparsity": t.sparsity,
                        "centroids": t.centroids.tolist(),
                    }
                    for t in result.tensors
                ],
            }
        )
        return
    rows = table("weight", "operator", "shape", "values>", "zeros>", "least>", "largest>")
    for t in result.tensors:
        ends = (f"{t.centroids.min():.6g}", f"{t.centroids.max():.6g}")
        add_row(rows, t.name, t.operator, shape_of(t.shape), str(t.values), f"{t.sparsity:.2%}", *ends)
    console.print(rows)
    print_skipped(result.skipped)
    print_sizes(changes)
    console.print(f"Written to {printable(str(output))}", markup=False, soft_wrap=True)
