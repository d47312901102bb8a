"""`refquant verify [OPERATOR…]`: many random models of one operator each, here and in the real runtime."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from refquant.cli.output import add_row, console, print_json, printable, table, with_progress
from refquant.data import VERIFIED
from refquant.errors import InvalidInputError, RuntimeUnavailableError


def verify(
    operators: Annotated[
        list[str] | None, typer.Argument(metavar="[OPERATOR]...", help="Names such as CONV_2D; without any, all.")
    ] = None,
    kernels: Annotated[
        str,
        typer.Option(help="'reference' (BUILTIN_REF, if it has the operator), 'optimized', 'xnnpack' or 'micro'."),
    ] = "reference",
    examples: Annotated[int, typer.Option(min=1, help="How many models of each operator and variant.")] = 100,
    explore: Annotated[bool, typer.Option("--explore", help="Draw other models than last time.")] = False,
    record: Annotated[
        bool, typer.Option("--record", help="Write the counts into the record that `refquant ops` shows.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Compare operators with TensorFlow's kernels, bit for bit, on random models over all their options.

    Needs the packages tensorflow and hypothesis. Exit status 1 when anything differs.
    """
    try:
        from refquant.testing.strategies import families
        from refquant.testing.sweep import tally
    except ModuleNotFoundError as error:
        raise RuntimeUnavailableError(f"{error.name} is not installed: python -m pip install {error.name}") from error
    from refquant.runtimes import open_runtime
    from refquant.testing.conformance import Outcome
    from refquant.testing.record import Verification, update_record

    if kernels not in VERIFIED:
        raise InvalidInputError(f"there are no kernels {kernels!r}: choose one of {', '.join(VERIFIED)}")
    names = [name.upper() for name in operators or ()]
    chosen = [family for family in families(kernels) if not names or family.operator.upper() in names]
    missing = sorted(set(names) - {family.operator.upper() for family in chosen})
    if missing:
        raise InvalidInputError(f"there are no models of {', '.join(missing)}: `refquant ops` lists the operators")
    runtimes = {
        oracle: open_runtime("micro" if oracle == "micro" else "tensorflow", oracle)
        for oracle in {family.oracle for family in chosen}
    }
    entries, failures = [], []
    for family in with_progress(chosen, len(chosen), "Comparing"):
        runtime = runtimes[family.oracle]
        outcomes, failure = tally(family, runtime, examples, explore)
        if not outcomes:
            continue
        counts = {outcome.name: outcomes[outcome] for outcome in Outcome if outcomes[outcome]}
        entries.append(
            Verification(family.operator, family.variant, f"{runtime.name} {runtime.version()}", family.oracle, counts)
        )
        if failure:
            failures.append(f"{family.operator} {family.variant}: {failure}")
    for runtime in runtimes.values():
        runtime.close()
    if record:
        update_record(entries, VERIFIED[kernels])
    if json:
        print_json([_facts(entry) for entry in entries])
    else:
        _show(entries, failures)
    raise typer.Exit(1 if failures else 0)


def _facts(entry: Any) -> dict[str, Any]:
    return {
        "operator": entry.operator,
        "variant": entry.variant,
        "kernels": entry.kernels,
        "cases": entry.cases,
        "unequal": entry.unequal,
        "outcomes": entry.outcomes,
    }


def _show(entries: list[Any], failures: list[str]) -> None:
    rows = table("operator", "variant", "kernels", "cases>", "unequal>")
    for entry in entries:
        add_row(rows, entry.operator, entry.variant, entry.kernels, entry.cases, entry.unequal)
    console.print(rows)
    for failure in failures:
        console.print(printable(failure), markup=False, soft_wrap=True)
