"""`refquant ops [OPERATOR…]`: which operators run, in which types, by which rounding, and how that was verified."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from refquant.cli.output import add_row, console, print_json, table
from refquant.data import VERIFIED
from refquant.errors import InvalidInputError
from refquant.kernels import profiles, registry
from refquant.testing.record import Verification, read_record


def ops(
    operators: Annotated[
        list[str] | None, typer.Argument(metavar="[OPERATOR]...", help="Names such as CONV_2D; without any, all.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print a line for each operator, as in the README.")
    ] = False,
) -> None:
    """List the operators: variants, rounding, how many models were compared with the real kernels, known flaws.

    A variant is the type of the activations, as a rule. `kernels` tells who was asked: `reference` is BUILTIN_REF,
    `optimized` TensorFlow's other kernels, where BUILTIN_REF does not have the operator or the type, `micro` TFLite
    Micro. The last columns tell how many models without scales gave equal bits in profile `optimized`, and
    whether the kernel was also compared with TFLite Micro's.
    """
    rows = operator_table()
    names = [name.upper() for name in operators or ()]
    missing = sorted(set(names) - {row["operator"].upper() for row in rows})
    if missing:
        raise InvalidInputError(f"there is no operator {', '.join(missing)}: `refquant ops` lists all")
    chosen = [row for row in rows if not names or row["operator"].upper() in names]
    if json:
        print_json(chosen)
    elif markdown:
        print(markdown_table(chosen))
    else:
        _show(chosen)


def operator_table() -> list[dict[str, Any]]:
    """A row for each operator and variant that was verified, and one for each kernel that was not."""
    import refquant.interpreter  # whose kernels register themselves  # noqa: F401

    optimized = {
        (entry.operator, entry.variant): entry.outcomes.get("EQUAL", 0) for entry in read_record(VERIFIED["optimized"])
    }
    verified: dict[str, list[Verification]] = {}
    for entry in read_record():
        verified.setdefault(entry.operator, []).append(entry)
    rows = []
    for name, is_custom in registry.known_operators():
        micro = {types[0].name for types in profiles.COMPARED_WITH_MICRO.get(name, ())}
        for entry in verified.get(name, [Verification(name, "", "", "", {})]):
            rows.append(
                {
                    "operator": name,
                    "custom": is_custom,
                    "variant": entry.variant,
                    "rounding": _rounding(name, entry.variant),
                    "runtime": entry.runtime,
                    "kernels": entry.kernels,
                    "cases": entry.cases,
                    "unequal": entry.unequal,
                    "optimized": optimized.get((name, entry.variant)),
                    "micro": entry.variant in micro,
                    "flaw": registry.flaw_of(name),
                }
            )
    return rows


def markdown_table(rows: Iterable[dict[str, Any]]) -> str:
    """A line for each operator: its variants, how many models were compared, how many of them were unequal."""
    operators: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        operators.setdefault(row["operator"], []).append(row)
    lines = ["| operator | variants | models compared | unequal |", "|---|---|--:|--:|"]
    for operator, entries in operators.items():
        variants = _in_short([entry["variant"] for entry in entries])
        cases, unequal = (sum(entry[key] for entry in entries) for key in ("cases", "unequal"))
        lines.append(f"| {operator} | {variants} | {cases:,} | {unequal:,} |")
    return "\n".join(lines)


def _in_short(variants: list[str]) -> str:
    """Variants in a line; those from one type to another together where they lead to the same types.

    >>> _in_short(["INT8", "INT8 to INT16", "INT8 to INT32", "UINT8 to INT16", "UINT8 to INT32"])
    'INT8; INT8, UINT8 to INT16, INT32'
    """
    targets: dict[str, list[str]] = {}
    for variant in variants:
        source, _, target = variant.partition(" to ")
        targets.setdefault(source, []).append(target)
    sources: dict[tuple[str, ...], list[str]] = {}
    for source, reached in targets.items():
        if "" in reached:
            sources.setdefault((), []).append(source)
        if any(reached):
            sources.setdefault(tuple(filter(None, reached)), []).append(source)
    parts = [", ".join(names) + (f" to {', '.join(reached)}" if reached else "") for reached, names in sources.items()]
    return "; ".join(parts)


def _rounding(operator: str, variant: str) -> str:
    """The rounding rule of the reference kernels for the variant's type and the width of its bias."""
    type = variant.replace("x", " ").split(" ")[0]
    rows = [r for r in profiles.ROUNDING if (r.profile, r.operator, r.type.name) == ("reference", operator, type)]
    bits = 64 if "INT64" in variant else 32
    fitting = [row for row in rows if row.bits == bits] or rows
    return " or ".join(sorted({row.rule.__name__ for row in fitting}))


def _show(rows: Iterable[dict[str, Any]]) -> None:
    lines = table("operator", "variant", "rounding", "kernels", "cases>", "unequal>", "optimized>", "micro")
    flaws: dict[str, str] = {}
    for row in rows:
        micro = "yes" if row["micro"] else ""
        cells = [row[key] for key in ("operator", "variant", "rounding", "kernels", "cases", "unequal")]
        add_row(lines, *cells, row["optimized"] or "", micro)
        if row["flaw"]:
            flaws[row["operator"]] = row["flaw"]
    console.print(lines)
    if flaws:
        console.print("\nWhere the real kernels have flaws:", style="bold")
    for operator, flaw in flaws.items():
        console.print(f"{operator}: {flaw}", markup=False)
