"""`refquant prune MODEL --sparsity 0.8 -o OUT`: the smallest weights of a float model become zero.

With `--filters 0.25` the smallest filters of any model go.
"""

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
    write_compared,
)

if TYPE_CHECKING:
    from refquant.compression.pruning import PruningSchedule


class Schedule(str, Enum):
    """How the sparsity is reached."""

    CONSTANT = "constant"
    POLYNOMIAL = "polynomial"


def prune(
    model: Annotated[Path, typer.Argument(help="The float .tflite file.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Write the pruned model here.", show_default=False)],
    sparsity: Annotated[float | None, typer.Option(help="The share of zeros in each weight, in [0, 1).")] = None,
    filters: Annotated[
        float | None,
        typer.Option(help="Instead remove this share of the filters and neurons of each operator, in [0, 1)."),
    ] = None,
    operator: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN[=SHARE]",
            help="Prune only weights whose name fits the pattern, or of this kind of operator; may be repeated.",
        ),
    ] = None,
    block: Annotated[
        str | None, typer.Option(metavar="HxW", help="Prune blocks: inputs x outputs of a FULLY_CONNECTED.")
    ] = None,
    pooling: Annotated[str, typer.Option(metavar="AVG|MAX", help="What ranks a block: its mean or largest.")] = "AVG",
    m_by_n: Annotated[
        str | None, typer.Option("--m-by-n", metavar="M:N", help="M zeros in every N weights, such as 2:4.")
    ] = None,
    schedule: Annotated[
        Schedule,
        typer.Option(help="Go to the sparsity at once, or in --steps, each of which prunes what the last one left."),
    ] = Schedule.CONSTANT,
    steps: Annotated[int, typer.Option(min=1, help="The last step of the polynomial schedule; it begins at 0.")] = 10,
    initial_sparsity: Annotated[float, typer.Option(help="The sparsity of step 0 of the polynomial schedule.")] = 0.0,
    power: Annotated[float, typer.Option(help="The power of the polynomial schedule.")] = 3.0,
    sparse_encoding: Annotated[
        bool,
        typer.Option(
            "--sparse-encoding", help="Store the weights without their zeros, where TensorFlow's converter does."
        ),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Prune a float model by magnitude as tensorflow_model_optimization does, to the bit, without training.

    With --filters, make any model smaller by whole filters, those of the smallest L1 norms: their channels are followed
    to all that reads them, and filters stay where that cannot be done.

    The table says for each weight what share is zero now and from which magnitude on weights stayed, and what was left
    alone and why. An existing output file is replaced in one step, or not at all.
    """
    from refquant.cli.arrays import check_place
    from refquant.compression.pruning import PolynomialDecay, encode_sparse, prune_model, sparse_choices
    from refquant.errors import InvalidInputError
    from refquant.tflite.model import Model

    if filters is not None:
        others = {"--sparsity": sparsity, "--m-by-n": m_by_n, "--block": block}
        others |= {"--schedule": None if schedule is Schedule.CONSTANT else schedule}
        others |= {"--sparse-encoding": sparse_encoding or None}
        wrong = [name for name, value in others.items() if value is not None]
        if wrong:
            raise InvalidInputError(f"--filters removes whole filters: leave {wrong[0]} out")
        _prune_filters(model, output, filters, operator, json)
        return
    if (sparsity is None) == (m_by_n is None) and not any("=" in entry for entry in operator or ()):
        raise InvalidInputError("give either --sparsity or --m-by-n")
    if m_by_n is not None and schedule is not Schedule.CONSTANT:
        raise InvalidInputError("--m-by-n prunes once, whatever the schedule: leave --schedule out")

    def scheduled(final: float) -> float | PruningSchedule:
        if schedule is Schedule.CONSTANT:
            return final
        return PolynomialDecay(initial_sparsity, final, 0, steps, power, frequency=1)

    check_place(output)
    before = Model.read(model)
    patterns = None if operator is None else _patterns(operator, sparsity, m_by_n is not None)
    result = prune_model(
        before,
        None if sparsity is None else scheduled(sparsity),
        operators={p: scheduled(own) for p, own in patterns.items()} if isinstance(patterns, dict) else patterns,
        block_size=(1, 1) if block is None else _two(block, "x", "--block"),
        block_pooling_type=pooling.upper(),
        sparsity_m_by_n=None if m_by_n is None else _two(m_by_n, ":", "--m-by-n"),
    )
    choices = sparse_choices(result.model) if sparse_encoding else []
    content = (encode_sparse(result.model) if sparse_encoding else result.model).tobytes()
    changes = write_compared(model, output, content)
    if json:
        print_json(
            {
                **facts_of(output, changes, result.skipped),
                "pruned": [
                    {
                        name: getattr(t, name)
                        for name in ("name", "operator", "shape", "sparsity", "reached", "threshold")
                    }
                    for t in result.tensors
                ],
                "encoded": [choice._asdict() for choice in choices],
            }
        )
        return
    rows = table("weight", "operator", "shape", "zeros>", "threshold>")
    for t in result.tensors:
        threshold = "" if t.threshold is None else f"{t.threshold:.6g}"
        add_row(rows, t.name, t.operator, shape_of(t.shape), f"{t.reached:.2%}", threshold)
    console.print(rows)
    print_skipped(result.skipped)
    for choice in choices:
        how = "encoded" if choice.encoded else "stays dense"
        console.print(f"{printable(choice.name)} {how}: {choice.reason}", markup=False, soft_wrap=True)
    print_sizes(changes)
    console.print(f"Written to {printable(str(output))}", markup=False, soft_wrap=True)


def _prune_filters(model: Path, output: Path, fraction: float, operator: list[str] | None, json: bool) -> None:
    from refquant.cli.arrays import check_place
    from refquant.compression.pruning import prune_filters
    from refquant.tflite.model import Model

    check_place(output)
    operators = None if operator is None else _patterns(operator, fraction, False)
    result = prune_filters(Model.read(model), fraction, operators=operators)
    content = result.model.tobytes()
    changes = write_compared(model, output, content)
    if json:
        names = ("name", "operator", "before", "after", "removed", "norms")
        print_json(
            {
                **facts_of(output, changes, result.skipped),
                "pruned": [{name: getattr(entry, name) for name in names} for entry in result.filters],
            }
        )
        return
    rows = table("weight", "operator", "filters before>", "after>")
    for entry in result.filters:
        add_row(rows, entry.name, entry.operator, str(entry.before), str(entry.after))
    console.print(rows)
    print_skipped(result.skipped)
    print_sizes(changes)
    console.print(f"Written to {printable(str(output))}", markup=False, soft_wrap=True)


def _patterns(entries: list[str], share: float | None, m_by_n: bool) -> list[str] | dict[str, float]:
    """Patterns, or patterns with a share of their own where any has one."""
    from refquant.errors import InvalidInputError

    if m_by_n or not any("=" in entry for entry in entries):
        return entries
    patterns: dict[str, float] = {}
    for entry in entries:
        pattern, equals, own = entry.rpartition("=")
        try:
            value = float(own) if equals else share
        except ValueError:
            raise InvalidInputError(f"--operator {entry}: {own!r} is not a number") from None
        if value is None:
            raise InvalidInputError(f"--operator {entry}: give it a sparsity, or --sparsity for all")
        patterns[pattern if equals else entry] = value
    return patterns


def _two(text: str, separator: str, option: str) -> tuple[int, int]:
    from refquant.errors import InvalidInputError

    try:
        first, second = (int(part) for part in text.split(separator))
    except ValueError:
        raise InvalidInputError(f"{option} {text}: give two whole numbers, such as 1{separator}4") from None
    return first, second
