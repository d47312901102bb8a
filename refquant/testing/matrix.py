"""The matrix of operators: what each profile does for each operator and variant, and how that was verified.

Nothing here is written by hand: the kernel and what it says of itself come from the registry, the rounding from
`refquant.kernels.profiles`, the counts from the records of `refquant verify --record`.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass

import refquant.interpreter  # whose kernels register themselves  # noqa: F401
from refquant.data import VERIFIED
from refquant.kernels import profiles, registry
from refquant.testing.record import Verification, read_record

#: the profiles that the matrix shows
PROFILES = tuple(VERIFIED)


@dataclass(frozen=True, slots=True)
class Rule:
    """What one profile does for one operator and variant.

    `kernel` is the function that plans it (empty where there is none), `about` its documentation, `rounding` the rule
    by which it requantizes and `source` the file of the runtime that has that rule; both are empty where `profiles` has
    no row. `verified` are the comparisons with the real kernels, None where there were none.
    """

    kernel: str
    about: str
    rounding: str
    source: str
    verified: Verification | None

    @property
    def equal(self) -> int:
        """How many random models gave the same bits as the real kernel."""
        return 0 if self.verified is None else self.verified.outcomes.get("EQUAL", 0)


@dataclass(frozen=True, slots=True)
class Row:
    """One operator in one variant; the `rules` are by profile."""

    operator: str
    is_custom: bool
    variant: str
    rules: Mapping[str, Rule]
    flaw: str


def operator_matrix() -> list[Row]:
    """A row for each operator and variant that was verified, and one without a variant for each kernel that was not."""
    records = {
        profile: {(entry.operator, entry.variant): entry for entry in read_record(VERIFIED[profile])}
        for profile in PROFILES
    }
    variants: dict[str, set[str]] = {}
    for record in records.values():
        for operator, variant in record:
            variants.setdefault(operator, set()).add(variant)
    return [
        Row(
            name,
            is_custom,
            variant,
            {
                profile: _rule(name, is_custom, variant, profile, records[profile].get((name, variant)))
                for profile in PROFILES
            },
            registry.flaw_of(name),
        )
        for name, is_custom in registry.known_operators()
        for variant in sorted(variants.get(name, {""}))
    ]


def _rule(name: str, is_custom: bool, variant: str, profile: str, verified: Verification | None) -> Rule:
    holder = profile
    if profile == "xnnpack":
        holder = registry.holder_in_xnnpack(name, has_floats=variant.startswith("FLOAT32")) or "optimized"
    kernel = registry.find(name, custom=is_custom, profile=holder)
    rounding = _rounding(name, variant, holder)
    return Rule(
        "" if kernel is None else f"{kernel.__module__}.{kernel.__name__}",
        "" if kernel is None else " ".join((inspect.getdoc(kernel) or "").split()),
        " or ".join(sorted({row.rule.__name__ for row in rounding})),
        " or ".join(sorted({row.source for row in rounding})),
        verified,
    )


def _rounding(operator: str, variant: str, profile: str) -> list[profiles.Rounding]:
    """The rows of `profiles` for the variant's type and the width of its bias."""
    if "without scale" in variant:
        return []
    type = variant.replace("x", " ").split(" ")[0]
    rows = [r for r in profiles.ROUNDING if (r.profile, r.operator, r.type.name) == (profile, operator, type)]
    bits = 64 if "INT64" in variant else 32
    return [row for row in rows if row.bits == bits] or rows
