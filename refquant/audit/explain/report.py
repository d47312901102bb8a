"""What an explanation says: the element, where it comes from, its steps in each profile, and where they part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import groupby
from typing import Any

import numpy as np

#: a window that is longer is cut in the middle, unless all of it is asked for: so many terms are left at each end
LONG_WINDOW, ENDS = 16, 6
#: what the parts are called whose steps are sums on the way
PARTIAL = "partial sum"
#: longer names are cut at their beginning
LONG_NAME = 48
#: steps that are no numbers of the element: profiles part where its numbers do
SETTINGS = ("real multiplier", "accumulator * real multiplier", "multiplier", "mantissa", "shift")


@dataclass(frozen=True, slots=True)
class Step:
    """One number on the way: in which `part` of the arithmetic, by what `name`; a NumPy number, or a text."""

    part: str
    name: str
    value: Any


@dataclass(frozen=True, slots=True)
class Term:
    """One summand: what meets what, where; `product` is exact for integers, rounded to float32 for floats.

    Beyond the image `inside` is False, and there is no summand.
    """

    place: str
    x: Any
    weight: Any
    product: Any
    inside: bool = True


@dataclass(slots=True)
class Derivation:
    """How a profile comes to its number.

    `kernels` is whose kernel the profile has for the operator, `rule` the rounding or order of summation by name and
    `source` the runtime's file. `is_derived` tells that the last step is the tensor's element, bit for bit; without it
    the steps in between are not known. `refused` says why the profile does not run the operator; it has no steps then.
    """

    profile: str
    kernels: str = ""
    rule: str = ""
    source: str = ""
    about: str = ""
    inputs: list[str] = field(default_factory=list)
    terms: list[Term] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    value: Any = None
    real: float | None = None
    order: str = ""
    is_derived: bool = False
    refused: str = ""

    def is_like(self, other: Derivation) -> bool:
        """Whether all numbers and names are the same, so that one of the two says all."""
        mine, theirs = (
            [(s.part, s.name, bits_of(s.value)) for s in d.steps] + [(d.order, d.refused, bits_of(d.value))]
            for d in (self, other)
        )
        return mine == theirs and self.terms == other.terms


@dataclass(frozen=True, slots=True)
class Row:
    """A step beside the others': a number, or nothing, for each derivation; `parts` marks where they part."""

    part: str
    name: str
    values: tuple[Any, ...]
    parts: bool = False


@dataclass(slots=True)
class Explanation:
    """One element of a tensor and its derivations. `str` of it is what `refquant explain` prints."""

    model: str
    tensor: str
    tensor_index: int
    type: str
    data: str
    shape: tuple[int, ...] = ()
    index: tuple[int, ...] = ()
    operator: str = ""
    handed: str = ""
    derivations: list[Derivation] = field(default_factory=list)

    @property
    def ran(self) -> list[Derivation]:
        """The derivations of the profiles that run the operator."""
        return [d for d in self.derivations if not d.refused]

    @property
    def operator_runs(self) -> bool:
        """Whether an operator computes the element; else it is a constant or an input."""
        return not self.operator.startswith("no operator")

    @property
    def agree(self) -> bool:
        """Whether all profiles that run the operator have the same number."""
        return len({bits_of(d.value) for d in self.ran}) <= 1

    def groups(self) -> list[list[Derivation]]:
        """The derivations that say the same, together."""
        groups: list[list[Derivation]] = []
        for derivation in self.ran:
            like = next((group for group in groups if group[0].is_like(derivation)), None)
            if like is None:
                groups.append([derivation])
            else:
                like.append(derivation)
        return groups

    def rows(self) -> list[Row]:
        """The steps of all groups side by side, in order; the first whose numbers differ is marked."""
        groups = self.groups()
        columns = [dict(_keyed(group[0].steps)) for group in groups]
        sums = [[key for key in column if key[0].startswith(PARTIAL)] for column in columns]
        if any(keys != sums[0] for keys in sums):  # partial sums of different products cannot be compared
            columns = [{_of(key, group): s for key, s in column.items()} for column, group in zip(columns, groups)]
        keys: list[tuple[str, str, int]] = []
        for column in columns:
            keys = _merged(keys, list(column))
        rows, parted = [], False
        for key in keys:
            values = tuple(column[key].value if key in column else None for column in columns)
            numbers = {_comparable(value) for value in values if value is not None}
            differ = len(numbers) > 1 and key[1] not in SETTINGS
            rows.append(Row(key[0], key[1], values, differ and not parted))
            parted = parted or differ
        return rows

    @property
    def parting(self) -> Row | None:
        """The first step at which two profiles have different numbers; None where they never part."""
        return next((row for row in self.rows() if row.parts), None)

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain dictionaries and lists, for JSON."""
        parting = self.parting
        return {
            "model": self.model,
            "tensor": self.tensor,
            "tensor_index": self.tensor_index,
            "type": self.type,
            "shape": list(self.shape),
            "index": list(self.index),
            "operator": self.operator,
            "data": self.data,
            "handed": self.handed,
            "agree": self.agree,
            "parting": None if parting is None else {"part": parting.part, "step": parting.name},
            "derivations": [_derivation(d) for d in self.derivations],
        }

    def lines(self, *, all: bool = False) -> Iterator[str]:
        """The text of it, line by line; with `all`, long windows too."""
        at, groups = f"[{', '.join(map(str, self.index))}]", self.groups()
        yield f"{short(self.tensor)}{at}  (tensor {self.tensor_index}, {self.type} {self.shape})"
        yield f"written by {self.operator}; {self.data}{'; ' + self.handed if self.handed else ''}"
        for group in groups:
            yield ""
            yield f"{_names(group)}: {_headline(group[0])}"
            if group is groups[0] or group[0].inputs != groups[0][0].inputs:
                yield from (f"  {line}" for line in group[0].inputs)
            if group is groups[0] or group[0].terms != groups[0][0].terms:
                yield from (f"  {line}" for line in _window(group[0].terms, all))
            if group[0].order:
                yield f"  order of the sum: {group[0].order}"
        yield ""
        yield from self._side_by_side(all)
        yield ""
        for group in groups:
            value, derived = group[0].value, group[0].is_derived
            real = "" if group[0].real is None else f", stands for {shown(np.float32(group[0].real))}"
            told = "the last steps are not told" if len(group[0].steps) > 1 else "its kernel tells no steps"
            check = " = tensor value" if derived else f", the tensor's value; {told}"
            yield f"{_names(group)}: {exactly(value)}{real}{check}"
        for derivation in self.derivations:
            if derivation.refused:
                yield f"{derivation.profile} refuses: {derivation.refused}"
        if self.operator_runs:
            yield self.verdict()

    def verdict(self) -> str:
        """In a sentence, whether the profiles part, and where."""
        if len(self.ran) < 2:
            return "No two profiles to compare."
        row = self.parting
        where = "" if row is None else self._sides(row)
        if self.agree:
            found = "All profiles that run it have the same number"
            return f"{found}; on the way they differ in {where}." if where else f"{found}."
        return f"They part in {where}." if where else "They part."

    def _sides(self, row: Row) -> str:
        """A step in which profiles differ, and the number of each."""
        sides = [
            f"{shown(value)} in {_names(group)}{f' ({group[0].rule})' if group[0].rule else ''}"
            for group, value in zip(self.groups(), row.values)
            if value is not None
        ]
        return f"step {row.part + ': ' if row.part else ''}{row.name!r}: {', '.join(sides)}"

    def _side_by_side(self, all: bool) -> Iterator[str]:
        groups, rows = self.groups(), self.rows() if all else _shortened(self.rows())
        cells = [["", *(_names(group) for group in groups), ""]]
        part = ""
        for row in rows:
            if row.part != part:
                part = row.part
                cells.append([f"{part}:" if part else "", *[""] * len(groups), ""])
            name = f"  {row.name}" if row.part and not row.name.startswith("…") else row.name
            cells.append([name, *("" if v is None else shown(v) for v in row.values), "◄ they part" * row.parts])
        widths = [max(len(line[i]) for line in cells) for i in range(len(groups) + 2)]
        for line in cells:
            numbers = "  ".join(cell.rjust(width) for cell, width in zip(line[1:-1], widths[1:]))
            yield f"{line[0].ljust(widths[0])}  {numbers}  {line[-1]}".rstrip()

    def __str__(self) -> str:
        return "\n".join(self.lines())


def _shortened(rows: Sequence[Row]) -> list[Row]:
    """The rows without the middle of long sums; where profiles part stays."""
    result: list[Row] = []
    for part, group in groupby(rows, key=lambda row: row.part):
        lines = list(group)
        at = next((i for i, row in enumerate(lines) if row.parts), 0)
        if not part or len(lines) <= LONG_WINDOW:
            result += lines
            continue
        kept = {*range(ENDS), *range(len(lines) - ENDS, len(lines)), at - 1, at, at + 1}
        for is_kept, places in groupby(range(len(lines)), key=kept.__contains__):
            some = [lines[i] for i in places]
            result += some if is_kept else [Row(part, f"… {len(some)} more", (None,) * len(lines[0].values))]
    return result


def short(name: str) -> str:
    """A name, or the end of a long one, which says most."""
    return name if len(name) <= LONG_NAME else "…" + name[-LONG_NAME:]


def shown(value: Any) -> str:
    """A number in few characters that tell it from all others of its type."""
    if isinstance(value, (str, bytes)):
        return str(value)
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    return str(value)


def exactly(value: Any) -> str:
    """A number; a float with its bits and the real number that they stand for.

    >>> exactly(np.float32(0.1))
    '0.1 (0x3dcccccd, exactly 0.100000001490116119384765625)'
    """
    if not isinstance(value, np.floating) or not np.isfinite(value):
        return shown(value)
    bits = value.view(f"u{value.dtype.itemsize}")
    exact = Fraction(float(value))
    places = exact.denominator.bit_length() - 1
    digits = f"{abs(exact.numerator) * 10**places // exact.denominator:0{places + 1}d}"
    text = f"{digits[: len(digits) - places]}.{digits[len(digits) - places :]}".rstrip(".") if places else digits
    text = text if places <= 40 else f"{float(value).hex()}"
    sign = "-" if exact < 0 and places <= 40 else ""
    return f"{shown(value)} (0x{int(bits):0{2 * value.dtype.itemsize}x}, exactly {sign}{text})"


def bits_of(value: Any) -> Any:
    """What is equal for the same number of the same kind: the bits of a float."""
    if isinstance(value, (float, np.floating)):
        return (np.asarray(value).dtype.str, np.asarray(value).tobytes()) if not np.isnan(value) else "NaN"
    return value.item() if isinstance(value, np.generic) else value


def _comparable(value: Any) -> Any:
    """As `bits_of`, but the same number of whatever type is the same."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return "NaN" if np.isnan(value) else (value, bool(np.signbit(value)) and value == 0)
    return (value, False) if isinstance(value, int) else value


def _keyed(steps: Sequence[Step]) -> Iterator[tuple[tuple[str, str, int], Step]]:
    """Steps with keys; the number tells steps of one name apart."""
    seen: dict[tuple[str, str], int] = {}
    for step in steps:
        name = (step.part, step.name)
        seen[name] = seen.get(name, 0) + 1
        yield (*name, seen[name]), step


def _of(key: tuple[str, str, int], group: Sequence[Derivation]) -> tuple[str, str, int]:
    """The key of a partial sum that one group alone has; other keys as they are."""
    part, *rest = key
    return (f"{part}, {_names(group)}" if part.startswith(PARTIAL) else part, *rest)  # type: ignore[return-value]


def _merged(first: list[Any], second: list[Any]) -> list[Any]:
    """Both lists in one, each in its order; what only the second has follows what it follows there."""
    result = list(first)
    at = 0
    for key in second:
        if key in result[at:]:
            at = result.index(key, at) + 1
        elif key not in result:
            result.insert(at, key)
            at += 1
    return result


def _names(group: Sequence[Derivation]) -> str:
    return ", ".join(d.profile for d in group)


def _headline(derivation: Derivation) -> str:
    kernels = f"kernel of profile {derivation.kernels}" if derivation.kernels != derivation.profile else ""
    return "; ".join(filter(None, (kernels, derivation.about, derivation.rule, derivation.source)))


def _window(terms: Sequence[Term], all: bool) -> Iterator[str]:
    """The window as a table; of a long one its ends, unless `all` is wanted."""
    if not terms:
        return
    outside = sum(not term.inside for term in terms)
    beyond = f", {outside} of them outside the image" if outside else ""
    what = "elements" if terms[0].weight is None else "products"
    shifted = ", numbers less their zero points" if any(isinstance(t.product, int) for t in terms) else ""
    yield f"window of {len(terms)} {what}{shifted}{beyond}:"
    cut = len(terms) - 2 * ENDS if len(terms) > LONG_WINDOW and not all else 0
    chosen = [*terms[:ENDS], *terms[ENDS + cut :]] if cut else list(terms)
    if terms[0].weight is None:
        texts = [f"{t.place} {shown(t.x)}" if t.inside else "padding" for t in chosen]
        yield "  " + ", ".join([*texts[:ENDS], f"… {cut} more", *texts[ENDS:]] if cut else texts)
        return
    cells = [
        (t.place, shown(t.x), shown(t.weight), shown(t.product))
        if t.inside
        else (t.place, "outside", shown(t.weight), "")
        for t in chosen
    ]
    widths = [max(len(cell[i]) for cell in cells) for i in range(4)]
    for i, (place, x, weight, product) in enumerate(cells):
        if cut and i == ENDS:
            yield f"  … {cut} more"
        line = f"  {place.ljust(widths[0])}  {x.rjust(widths[1])} * {weight.rjust(widths[2])}"
        yield f"{line} = {product.rjust(widths[3])}" if product else line


def _plain(value: Any) -> Any:
    """A NumPy number as one of Python's."""
    return value.item() if isinstance(value, np.generic) else value


def _derivation(d: Derivation) -> dict[str, Any]:
    return {
        "profile": d.profile,
        "refused": d.refused or None,
        "kernels": d.kernels,
        "rule": d.rule,
        "source": d.source,
        "about": d.about,
        "inputs": d.inputs,
        "terms": [
            {
                "place": t.place,
                "x": _plain(t.x),
                "weight": _plain(t.weight),
                "product": _plain(t.product),
                "inside": t.inside,
            }
            for t in d.terms
        ],
        "order": d.order,
        "steps": [{"part": s.part, "name": s.name, "value": _plain(s.value)} for s in d.steps],
        "value": _plain(d.value),
        "bits": f"0x{int.from_bytes(d.value.tobytes(), 'little'):x}" if isinstance(d.value, np.floating) else None,
        "real": d.real,
        "is_tensor_value": d.is_derived,
    }
