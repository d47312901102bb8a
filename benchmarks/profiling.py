"""`python -m benchmarks profile [MODEL…]`: where the time of a model goes, and what bounds it.

By operator: its time, beside the time that its multiplications would take at the speed of BLAS, and that its tensors
would take to be read and written once at the speed of a copy. By line: a sampler looks a thousand times a second which
line runs, and counts BLAS, the rest of NumPy, and Python apart.
"""

from __future__ import annotations

import argparse
import math
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt

import refquant as rq
from benchmarks import limits, machine
from benchmarks.chosen import chosen, modes_of, sample_for
from benchmarks.sampler import Sampler, place_of
from benchmarks.sections import PROFILE, markdown_table, replace
from refquant.cli.output import with_progress
from refquant.interpreter.plan import Step, SubgraphPlan, Subgraphs

Array = npt.NDArray[Any]

_SLOWEST = 8  # models that are profiled unless told
_SMALL = 0.01  # share of the time below which an operator is not shown
_LINES = 4  # that are shown
_CALLS = 50e-6  # seconds: an operator that takes less is bound by the calls themselves


@dataclass
class Spent:
    """On the operators of a name: how many, their seconds in the quickest `invoke`, multiplications, bytes."""

    operators: int = 0
    seconds: float = 0.0
    multiplications: int = 0
    bytes: int = 0


@dataclass
class Clock:
    """A watcher of the operators of the main subgraph: the quickest time of each, and the bytes of its tensors."""

    seconds: dict[int, float] = field(default_factory=dict)
    bytes: dict[int, int] = field(default_factory=dict)
    _start: float = 0.0

    def before(self, plan: SubgraphPlan, step: Step) -> None:
        """Starts; an operator of a subgraph that another operator calls is part of that one."""
        if plan.index == 0:
            self._start = time.perf_counter()

    def after(self, plan: SubgraphPlan, step: Step) -> None:
        """Stops."""
        if plan.index == 0:
            seconds = time.perf_counter() - self._start
            number = step.operator.index
            self.seconds[number] = min(seconds, self.seconds.get(number, math.inf))
            tensors = (tensor for tensor in (*step.operator.inputs, *step.operator.outputs) if tensor is not None)
            values = (plan.values[tensor.index] for tensor in tensors)
            self.bytes[number] = sum(value.nbytes for value in values if value is not None)


@dataclass(frozen=True)
class Profile:
    """Of one model in one mode: seconds of the quickest `invoke`, by operator, and what the sampler saw."""

    model: str
    mode: str
    seconds: float
    by_operator: dict[str, Spent]
    sampler: Sampler


def main(arguments: Sequence[str]) -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks profile", description=__doc__)
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", help=f"path, or part of a name; the {_SLOWEST} slowest unless told"
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="for each model")
    parser.add_argument("--write", action="store_true", help="write it into benchmarks/README.md")
    options = parser.parse_args(arguments)
    paths = chosen(options.models)
    if not paths:
        parser.error(f"no model at hand is called {' or '.join(options.models)}")
    profiles = []
    for path in with_progress(paths, len(paths), "Profiling"):
        profiles += _profiles(path, options.seconds if options.models else 0.0)
    if not options.models:
        slowest = sorted(profiles, key=lambda profile: -profile.seconds)[:_SLOWEST]
        names = {profile.model for profile in slowest}
        profiles = [p for path in paths if path.stem in names for p in _profiles(path, options.seconds)]
        profiles = [p for p in profiles if any((p.model, p.mode) == (q.model, q.mode) for q in slowest)]
    text = markdown(sorted(profiles, key=lambda profile: -profile.seconds))
    print(text)
    if options.write:
        replace(PROFILE, "profile", text)


def _profiles(path: Path, seconds: float) -> list[Profile]:
    """A model in each of its modes; nothing of a model that does not run."""
    try:
        model = rq.Model.read(path)
        sample = sample_for(model)
        return [profile(path.stem, model, sample, mode, seconds) for mode in modes_of(model)]
    except rq.RefquantError:
        return []


def profile(name: str, model: rq.Model, sample: Sequence[Array], mode: str, seconds: float) -> Profile:
    """Runs a model for so many seconds with the clock, and as long with the sampler."""
    subgraphs = Subgraphs(model, "reference", fast=mode == "fast", preserves=False)
    plan = subgraphs[0]
    plan.plan()
    for index, array in zip(plan.inputs, sample, strict=True):
        plan.values[index] = array
    plan.invoke()
    clock = Clock()
    subgraphs.watch(clock)
    best = _run(plan, seconds)
    subgraphs.watch(None)
    with Sampler() as sampler:
        _run(plan, seconds)
    by_operator: dict[str, Spent] = defaultdict(Spent)
    for step in plan.steps:
        spent = by_operator[step.operator.name]
        spent.operators += 1
        spent.seconds += clock.seconds[step.operator.index]
        spent.multiplications += _multiplications(step)
        spent.bytes += clock.bytes[step.operator.index]
    return Profile(name, mode, best, dict(by_operator), sampler)


def _run(plan: SubgraphPlan, seconds: float) -> float:
    best, end = math.inf, time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        plan.invoke()
        now = time.perf_counter()
        best = min(best, now - start)
        if now >= end:
            return best


def _multiplications(step: Step) -> int:
    """Of weights and inputs, in the operators that have them: each output takes a row of the weights."""
    operator = step.operator
    if operator.name not in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "CONV_3D"):
        return 0
    weights = operator.input(1).dims
    if operator.name == "DEPTHWISE_CONV_2D":
        return math.prod(operator.output().dims) * weights[1] * weights[2]
    if operator.name == "TRANSPOSE_CONV":
        return math.prod(operator.input(2).dims) * math.prod(weights[:3])
    if operator.name == "CONV_3D":
        return math.prod(operator.output().dims) * math.prod(weights[:4])
    return math.prod(operator.output().dims) * math.prod(weights[1:])


def markdown(profiles: Sequence[Profile]) -> str:
    """All profiles, with the machine and its limits."""
    head = (
        f"{machine.sentence(machine.facts())}; on one thread BLAS multiplies {limits.multiplications_per_second():.2g} "
        f"pairs of float32 in a second, and a copy moves {limits.bytes_per_second():.2g} bytes:"
    )
    return "\n\n".join([head, *map(_markdown, profiles)])


def _markdown(found: Profile) -> str:
    total = sum(spent.seconds for spent in found.by_operator.values())
    rows = []
    for name, spent in sorted(found.by_operator.items(), key=lambda item: -item[1].seconds):
        if spent.seconds >= _SMALL * total:
            blas = spent.multiplications / limits.multiplications_per_second()
            copy = spent.bytes / limits.bytes_per_second()
            rows.append(
                (
                    name,
                    str(spent.operators),
                    f"{1e3 * spent.seconds:.2f}",
                    f"{100 * spent.seconds / total:.0f} %",
                    f"{1e3 * blas:.2f}" if blas else "",
                    f"{1e3 * copy:.2f}",
                    _bound(spent, blas, copy),
                )
            )
    headers = ("operator", "number>", "ms>", "share>", "by BLAS at best, ms>", "by copying at best, ms>", "bound by")
    seen = found.sampler.kinds.total()
    shares = ", ".join(f"{kind} {100 * found.sampler.kinds[kind] / max(1, seen):.0f} %" for kind in _KINDS)
    lines = [
        f"* {100 * count / max(1, seen):.0f} %: {place_of(line)}"
        for line, count in found.sampler.lines.most_common(_LINES)
    ]
    title = f"**{found.model}** ({found.mode}), {1e3 * found.seconds:.1f} ms: {shares}"
    return "\n\n".join([title, markdown_table(headers, rows), "\n".join(lines)])


_KINDS = ("BLAS", "NumPy", "Python")


def _bound(spent: Spent, blas: float, copy: float) -> str:
    """What takes most of the time, by a rough rule: half of it, or else passes of NumPy over more than the tensors."""
    if spent.seconds < _CALLS * spent.operators:
        return "calls"
    if blas >= spent.seconds / 2:
        return "BLAS"
    if copy >= spent.seconds / 2:
        return "memory"
    return "passes of NumPy"
