"""`refquant ops [OPERATOR…]`: which operators run in which profile, by which rule, and how that was verified."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer

from refquant.cli.output import add_row, console, print_json, table
from refquant.errors import InvalidInputError
from refquant.testing.matrix import PROFILES, Row, Rule, operator_matrix


def ops(
    operators: Annotated[
        list[str] | None, typer.Argument(metavar="[OPERATOR]...", help="Names such as CONV_2D; without any, all.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print a line for each operator, as in the README.")
    ] = False,
) -> None:
    """List the operators: in each profile the rounding rule, and how many models had the bits of the real kernel.

    A variant is the type of the activations, as a rule. The real kernels are BUILTIN_REF for `reference` (and others
    where it does not have the operator), TensorFlow's optimized kernels, its default interpreter with XNNPACK, and
    TFLite Micro. For operators that are named, each profile's kernel says what it computes.
    """
    rows = operator_matrix()
    names = [name.upper() for name in operators or ()]
    missing = sorted(set(names) - {row.operator.upper() for row in rows})
    if missing:
        raise InvalidInputError(f"there is no operator {', '.join(missing)}: `refquant ops` lists all")
    chosen = [row for row in rows if not names or row.operator.upper() in names]
    if json:
        print_json([_facts(row) for row in chosen])
    elif markdown:
        print(markdown_table(chosen))
    else:
        _show(chosen)
        if names:
            _explain(chosen)


def markdown_table(rows: Iterable[Row]) -> str:
    """A line for each operator: its variants, for each profile how many models were equal, and what of the others."""
    operators: dict[str, list[Row]] = {}
    for row in rows:
        operators.setdefault(row.operator, []).append(row)
    lines = [f"| operator | variants | {' | '.join(PROFILES)} |", f"|---|---|{'--:|' * len(PROFILES)}"]
    for operator, entries in operators.items():
        counts = (_in_all([entry.rules[profile] for entry in entries]) for profile in PROFILES)
        lines.append(f"| {operator} | {_in_short([entry.variant for entry in entries])} | {' | '.join(counts)} |")
    return "\n".join(lines)


def _in_all(rules: Iterable[Rule]) -> str:
    verified = [rule.verified for rule in rules if rule.verified is not None]
    outcomes = sum((Counter(entry.outcomes) for entry in verified), Counter[str]())
    return _counts(outcomes) if verified else ""


def _counts(outcomes: Mapping[str, int]) -> str:
    """How many were equal, and how many, if any, were different, or run by one of the two alone.

    >>> _counts({"EQUAL": 1200, "BOTH_REFUSE": 4, "ONLY_THEIRS": 3})
    '1,200, 3 refused here'
    """
    others = {"DIFFERENT": "different", "ONLY_OURS": "run here alone", "ONLY_THEIRS": "refused here"}
    found = [f"{outcomes[name]:,} {what}" for name, what in others.items() if outcomes.get(name)]
    return ", ".join([f"{outcomes.get('EQUAL', 0):,}", *found])


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


def _facts(row: Row) -> dict[str, Any]:
    return {
        "operator": row.operator,
        "custom": row.is_custom,
        "variant": row.variant,
        "profiles": {profile: _facts_of(rule) for profile, rule in row.rules.items()},
        "flaw": row.flaw,
    }


def _facts_of(rule: Rule) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "kernel": rule.kernel,
        "about": rule.about,
        "rounding": rule.rounding,
        "source": rule.source,
        "equal": rule.equal,
    }
    if rule.verified is not None:
        facts |= {
            "runtime": rule.verified.runtime,
            "kernels": rule.verified.kernels,
            "cases": rule.verified.cases,
            "unequal": rule.verified.unequal,
            "outcomes": rule.verified.outcomes,
        }
    return facts


def _show(rows: Iterable[Row]) -> None:
    lines = table("operator", "variant", *(f"{profile}>" for profile in PROFILES))
    flaws: dict[str, str] = {}
    for row in rows:
        add_row(lines, row.operator, row.variant, *(_in_brief(row.rules[profile]) for profile in PROFILES))
        if row.flaw:
            flaws[row.operator] = row.flaw
    console.print(lines)
    if flaws:
        console.print("\nWhere the real kernels have flaws:", style="bold")
    for operator, flaw in flaws.items():
        console.print(f"{operator}: {flaw}", markup=False)


def _in_brief(rule: Rule) -> str:
    """The rounding, how many models were equal and how many were not; what else there is to say in a word."""
    entry = rule.verified
    if entry is None:
        return ""
    if not rule.equal:
        refused = entry.outcomes.get("BOTH_REFUSE", 0)
        return "refused" if refused == entry.cases else "dies" if entry.outcomes.get("DIED") == entry.cases else "none"
    return f"{rule.rounding.replace('_rounding', '')} {_counts(entry.outcomes)}".strip()


def _explain(rows: list[Row]) -> None:
    """For each operator and profile the kernel and what it says of itself, where each rounding is, who confirmed it."""
    for operator in dict.fromkeys(row.operator for row in rows):
        of_operator = [row for row in rows if row.operator == operator]
        console.print(f"\n{operator}", style="bold")
        seen: dict[str, str] = {}
        for profile in PROFILES:
            rules = {row.variant: row.rules[profile] for row in of_operator}
            kernel = next(iter(rules.values()))
            runtimes = sorted({rule.verified.runtime for rule in rules.values() if rule.verified is not None})
            console.print(f"{profile}, {' and '.join(runtimes) or 'not compared'}:", style="bold", markup=False)
            first = seen.setdefault(kernel.kernel, profile)
            console.print(f"  {kernel.about if first == profile else f'the kernel of {first}'}", markup=False)
            for variant, rule in rules.items():
                if rule.source:
                    console.print(f"  {variant}: {rule.rounding}, {rule.source}", markup=False)
