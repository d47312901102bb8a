"""`refquant ops [OPERATOR…]`: which operators run, in which types, by which rounding, and how that was verified."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from refquant.cli.output import add_row, console, print_json, table
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
    Micro. The last column tells whether the kernel was also compared with TFLite Micro's.
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
        variants = ", ".join(entry["variant"] or "see the tests" for entry in entries)
        cases, unequal = (sum(entry[key] for entry in entries) for key in ("cases", "unequal"))
        lines.append(f"| {operator} | {variants} | {cases:,} | {unequal:,} |")
    return "\n".join(lines)


def _rounding(operator: str, variant: str) -> str:
    """The rounding rule of the reference kernels for activations of the variant's type."""
    words = variant.replace("x", " ").split()
    rules = {
        row.rule.__name__
        for row in profiles.ROUNDING
        if row.profile == "reference" and row.operator == operator and words and row.type.name == words[0]
    }
    return " or ".join(sorted(rules))


def _show(rows: Iterable[dict[str, Any]]) -> None:
    lines = table("operator", "variant", "rounding", "kernels", "cases>", "unequal>", "micro")
    flaws: dict[str, str] = {}
    for row in rows:
        micro = "yes" if row["micro"] else ""
        cells = [row[key] for key in ("operator", "variant", "rounding", "kernels", "cases", "unequal")]
        add_row(lines, *cells, micro)
        if row["flaw"]:
            flaws[row["operator"]] = row["flaw"]
    console.print(lines)
    if flaws:
        console.print("\nWhere the real kernels have flaws:", style="bold")
    for operator, flaw in flaws.items():
        console.print(f"{operator}: {flaw}", markup=False)
