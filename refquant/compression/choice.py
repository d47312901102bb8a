"""Which weights of a model are meant: patterns of their names, or kinds of operators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Protocol, TypeVar

from refquant.compression.weights import Skipped
from refquant.errors import InvalidInputError

Value = TypeVar("Value")


class Choosable(Protocol):
    """A weight, by its name and its operator."""

    @property
    def name(self) -> str:
        """Of its tensor."""

    @property
    def operator(self) -> str:
        """The kind, such as CONV_2D."""


Candidate = TypeVar("Candidate", bound=Choosable)


def choose(
    weights: list[Candidate],
    skipped: list[Skipped],
    operators: Sequence[str] | Mapping[str, Value] | None,
    value: Value,
    task: str,
    what: str = "float32 weights",
) -> list[tuple[Candidate, Value]]:
    """The weights that fit a pattern ("*dense*") or whose operator is named ("CONV_2D"), all where `operators` is None.

    Each comes with `value`, or with that of the first pattern that fits it where `operators` is a mapping. What fits
    none is added to `skipped`. Raises `InvalidInputError` for a pattern that fits nothing, and where the model has
    nothing (`what`) to `task` ("prune").
    """
    if not weights:
        why = "".join(f"; {_told(entry)}" for entry in skipped[:3])
        why += f"; and {len(skipped) - 3} more" * (len(skipped) > 3)
        raise InvalidInputError(f"the model has no {what} to {task}{why}")
    if operators is None:
        return [(weight, value) for weight in weights]
    if isinstance(operators, str):
        raise InvalidInputError(f"operators must be a list of patterns: give [{operators!r}]")
    patterns = dict(operators) if isinstance(operators, Mapping) else dict.fromkeys(operators, value)
    for pattern in patterns:
        if not any(_fits(weight, pattern) for weight in weights):
            raise InvalidInputError(f"no weight fits {pattern!r}: {_advice(pattern, weights, skipped)}")
    chosen = []
    for weight in weights:
        fitting = [own for pattern, own in patterns.items() if _fits(weight, pattern)]
        if fitting:
            chosen.append((weight, fitting[0]))
        else:
            skipped.append(Skipped(weight.name, weight.operator, "not chosen"))
    return chosen


def _advice(pattern: str, weights: Sequence[Choosable], skipped: list[Skipped]) -> str:
    left = next((entry for entry in skipped if pattern in (entry.name, entry.operator)), None)
    if left is not None:
        return _told(left)
    close = get_close_matches(pattern, [name for weight in weights for name in (weight.name, weight.operator)], 3, 0.4)
    return f"close are {', '.join(map(repr, close))}" if close else "see refquant inspect"


def _fits(weight: Choosable, pattern: str) -> bool:
    return weight.operator == pattern or fnmatchcase(weight.name, pattern)


def _told(skipped: Skipped) -> str:
    return f"{skipped.name!r} of {skipped.operator}: {skipped.reason}"
