"""Runtimes side by side, operator by operator: who differs, by how much, and where it begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.audit.accuracy import for_input
from refquant.audit.asking import Asked, say
from refquant.audit.differences import Difference, difference
from refquant.audit.report import Comparison, ComparisonReport
from refquant.errors import InvalidInputError, RefquantError, RuntimeFailedError
from refquant.interpreter import Interpreter
from refquant.runtimes.cut import Cut, Graph, cut_out, inputs_alone
from refquant.runtimes.participants import OURS, Given, Participant, installed, open_participant
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType
from refquant.tflite.tensor_types import PACKED_BITS, numpy_dtype

Array = npt.NDArray[Any]
Sample = Sequence[Array]
#: is told what is being done
Progress = Callable[[str], None]

#: how many random samples are drawn where nobody gives or asks for any
RANDOM_SAMPLES = 4

#: what is said of an operator's output, from the worst to the best; of several samples the worst counts
VERDICTS = ("no answer", "begins here", "begins here too", "unclear", "handed down", "equal", "not asked")


def default_runtimes() -> list[str]:
    """refquant's reference profile beside every real runtime that is installed; without any, all our profiles."""
    return ["reference", *installed()] if installed() else list(OURS)


def compare(
    model: Model | str | PathLike[str] | bytes,
    runtimes: Sequence[str] | Mapping[str, Given] | None = None,
    *,
    against: str | None = None,
    samples: Sequence[Sample] | None = None,
    number_of_samples: int = RANDOM_SAMPLES,
    seed: int = 0,
    timeout: float = 60.0,
    progress: Progress | None = None,
) -> ComparisonReport:
    """Runs a model on the same inputs in several runtimes, and says of every operator where they part.

    `runtimes` are words (see `refquant.runtimes.participants`: "reference", "tensorflow", "tensorflow:optimized",
    "tflite-micro", "package.module:function", …), or by name a word, a `refquant.runtimes.Command`, or a function that
    takes the bytes of a model and a list of arrays, one for each of its inputs, and returns its outputs. The others are
    compared with the first of them, or with `against`. `samples` hold an array for each input of the model; without
    them random ones are drawn, `number_of_samples` by `seed`. `timeout` is in seconds, for each answer.

    Runtimes keep intermediate tensors to themselves, so they are given the model with all tensors as outputs, and where
    one cannot have that, the model cut off after each tensor in turn. A difference begins at an operator whose inputs
    are equal and whose output is not. Where its inputs differ already, the operator is cut out and given the first
    runtime's inputs in both: it begins there too, or it was handed down, if both runtimes also give alone what they
    gave within the model. Operators of subgraph 0 are compared; one that calls other subgraphs is one operator. A
    runtime that refuses, dies or hangs is a result. The state of a model lives on from sample to sample, unless a
    participant cannot have that.

    Raises `InvalidModelError`, `InvalidInputError` for names and samples that do not fit, and what the first runtime
    raises where that has no answer at all.
    """
    name = str(model) if isinstance(model, (str, PathLike)) else "model"
    model = model if isinstance(model, Model) else Model.read(model)
    given = named(default_runtimes() if runtimes is None else runtimes)
    first = next(iter(given)) if against is None else against
    if first not in given:
        raise InvalidInputError(f"{first!r} is none of the runtimes: {', '.join(given)}")
    if len(given) < 2:
        raise InvalidInputError(f"give at least two runtimes to compare, not only {first}")
    rows = converted_samples(model, samples, number_of_samples, seed)
    report = ComparisonReport(name, first, samples=len(rows))
    advice = " (on random inputs, which a model may not take: give samples)" if samples is None else ""
    tell = progress or (lambda doing: None)
    with ExitStack() as stack:
        opened: dict[str, Participant] = {}
        for key, what in given.items():
            tell(f"starting {key}")
            try:
                opened[key] = stack.enter_context(open_participant(key, what, timeout))
            except InvalidInputError:
                raise
            except RefquantError as error:  # not installed, or dead before it has said its version
                if key == first:
                    raise
                report.failures[key] = str(error)
        report.runtimes = {key: participant.description for key, participant in opened.items()}
        if len(opened) > 1:
            _Comparison(model, first, opened, rows, advice).fill(report, tell)
    return report


def named(runtimes: Sequence[str] | Mapping[str, Given]) -> dict[str, Given]:
    """The participants by name; a word is its own name. Raises `InvalidInputError` where one comes twice."""
    if isinstance(runtimes, Mapping):
        return dict(runtimes)
    if isinstance(runtimes, str):
        raise InvalidInputError(f"runtimes are a sequence of words, not {runtimes!r}")
    twice = {word for word in runtimes if list(runtimes).count(word) > 1}
    if twice:
        raise InvalidInputError(f"named twice: {', '.join(sorted(twice))}")
    return {word: word for word in runtimes}


class _Comparison:
    """One first runtime, the others, and what they have said of each tensor so far."""

    def __init__(
        self, model: Model, first: str, participants: Mapping[str, Participant], rows: list[Sample], advice: str
    ) -> None:
        self._advice = advice
        self._graph = Graph(model)
        keep = self._graph.has_state and all(p.keeps_state for p in participants.values())
        self._groups = [rows] if keep else [[row] for row in rows]  # one at a time needs less memory
        self._asked = {name: Asked(name, p, self._graph, self._groups) for name, p in participants.items()}
        self._first = self._asked[first]
        self._others = [asked for name, asked in self._asked.items() if name != first]
        self._cuts: dict[int, Cut] = {}
        self._found: dict[tuple[str, int], tuple[Difference, str, str]] = {}

    def fill(self, report: ComparisonReport, tell: Progress) -> None:
        """Compares everything, and puts it into a report."""
        operators = self._graph.model.subgraphs[0].operators or []
        for g, asked in ((g, asked) for g in range(len(self._groups)) for asked in self._others):
            self._state_differs = False
            for i in range(len(operators)):
                tell(f"{asked.name}, sample {g + 1} of {len(self._groups)}, operator {i + 1} of {len(operators)}")
                self._judge(g, asked, i)
        if not self._first.has_answered:
            raise RuntimeFailedError(f"nothing to compare with: {self._first.first_failure()}{self._advice}")
        for asked in self._asked.values():
            report.notes += asked.notes
            if not asked.has_answered:
                report.failures[asked.name] = asked.first_failure()
        for asked in self._others:
            for i, operator in enumerate(operators):
                for t in self._graph.writes[i]:
                    if (asked.name, t) in self._found:
                        found, verdict, note = self._found[asked.name, t]
                        report.comparisons.append(
                            Comparison(
                                runtime=asked.name,
                                index=i,
                                operator=f"operator {i} ({self._graph.model.operator_name(operator)})",
                                tensor=self._graph.tensors[t].name or "",
                                elements=found.elements,
                                different=found.different,
                                largest=found.absolute,
                                steps=found.steps,
                                unit=found.unit,
                                verdict=verdict,
                                note=note or found.mismatch,
                            )
                        )

    def _judge(self, g: int, asked: Asked, i: int) -> None:
        """Compares the outputs of operator i in one group of samples, and merges that with what is known of others."""
        graph = self._graph
        expected, actual = self._first.tensors(g), asked.tensors(g)
        differ = self._inputs_differ(i, expected, actual)
        for t in graph.writes[i]:
            if graph.is_handle(t):
                continue
            if t not in graph.asked:
                self._found[asked.name, t] = Difference(), "not asked", "computed from constants alone"
                continue
            silent = next((a for a in (asked, self._first) if t in a.failed), None)
            if silent is not None:
                why = silent.failed[t]
                now = Difference(), "no answer", f"{silent.name}: {why}" if why and silent is self._first else why
            else:
                total = self._difference(t, expected, actual)
                before = self._found.get((asked.name, t), (total, "equal", ""))[1]
                if not total.different:
                    now = total, "equal", ""
                elif not differ:
                    now = total, "begins here", ""
                elif VERDICTS.index(before) <= VERDICTS.index("begins here too"):
                    now = total, before, ""  # nothing worse can come
                else:
                    now = total, *self._alone(g, asked, i, t)
            self._merge(asked.name, t, now)

    def _merge(self, name: str, tensor: int, now: tuple[Difference, str, str]) -> None:
        if (name, tensor) in self._found:
            before = self._found[name, tensor]
            worst = min(before, now, key=lambda entry: VERDICTS.index(entry[1]))
            now = before[0] + now[0], worst[1], worst[2]
        self._found[name, tensor] = now

    def _difference(self, tensor: int, expected: list[dict[int, Array]], actual: list[dict[int, Array]]) -> Difference:
        is_bfloat16 = self._graph.tensors[tensor].type == TensorType.BFLOAT16
        found = Difference()
        for e, a in zip(expected, actual):
            found += difference(e[tensor], a[tensor], bfloat16=is_bfloat16)
        return found

    def _inputs_differ(self, i: int, expected: list[dict[int, Array]], actual: list[dict[int, Array]]) -> bool:
        """Whether operator i has other inputs in one runtime than in the other, what resources hold included."""
        graph = self._graph
        answered = [t for t in graph.reads[i] if t in graph.writer and all(t in row for row in (*expected, *actual))]
        differ = any(self._difference(t, expected, actual).different for t in answered)
        if any(graph.is_handle(t) for t in graph.reads[i]):
            differ = self._state_differs = self._state_differs or differ
        return differ

    def _alone(self, g: int, asked: Asked, i: int, tensor: int) -> tuple[str, str]:
        """Whether a difference begins at operator i too: it runs alone in both, on the inputs of the first."""
        try:
            if i not in self._cuts:
                shown = [t for t in self._graph.writes[i] if not self._graph.is_handle(t)]
                self._cuts[i] = cut_out(self._graph.model, [i], shown)
            cut = self._cuts[i]
            expected = self._first.alone(cut, g, self._first)
            actual = asked.alone(cut, g, self._first)
            if self._difference(tensor, expected, actual).different:
                return "begins here too", ""
            again = asked.alone(cut, g, asked)
        except RefquantError as error:
            return "unclear", f"alone: {error}"
        for one, alone in ((self._first, expected), (asked, again)):  # kernels that only the whole model has
            if self._difference(tensor, one.tensors(g), alone).different:
                return "unclear", f"alone the operator gives other bits in {one.name} than within the model"
        return "handed down", ""


def converted_samples(model: Model, samples: Sequence[Sample] | None, count: int, seed: int) -> list[Sample]:
    """The samples as the model's inputs take them (real numbers are quantized where inputs are), or random ones.

    Raises `InvalidInputError` for none at all, and for a sample that does not hold an array for each input.
    """
    if samples is None:
        if count < 1:
            raise InvalidInputError(f"at least one sample is needed, not {count}")
        return list(random_samples(model, count, seed))
    if not samples:
        raise InvalidInputError("there are no samples")
    details = Interpreter(model=inputs_alone(model)).get_input_details()
    for n, sample in enumerate(samples):
        if len(sample) != len(details):
            raise InvalidInputError(
                f"sample {n} holds {say(len(sample), 'array')}, the model has {len(details)} inputs"
            )
    return [[for_input(np.asarray(row), detail) for row, detail in zip(sample, details)] for sample in samples]


def random_samples(model: Model, count: int, seed: int) -> list[list[Array]]:
    """Inputs from the whole range of integer types, normal numbers for float ones, short strings."""
    generator = np.random.default_rng(seed)
    alone = inputs_alone(model)
    places = Interpreter(model=alone).get_input_details()
    inputs = [(alone.tensor(detail["index"]).type, tuple(detail["shape"])) for detail in places]
    return [[_random(generator, type, shape) for type, shape in inputs] for _ in range(count)]


def _random(generator: np.random.Generator, type: TensorType, shape: tuple[int, ...]) -> Array:
    """Random values of a tensor type; of bfloat16 their bits."""
    dtype = numpy_dtype(type)
    if type == TensorType.STRING:
        return np.array([b"", b"a", b"tflite"], object)[generator.integers(0, 3, shape)].reshape(shape)
    if type == TensorType.BFLOAT16:
        return (generator.standard_normal(shape).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    if type in PACKED_BITS:
        return generator.integers(
            0, 2 ** (PACKED_BITS[type] - 1), shape, np.uint8 if type == TensorType.UINT4 else np.int8
        )
    if dtype.kind == "f":
        return generator.standard_normal(shape).astype(dtype)
    if dtype.kind == "c":
        return (generator.standard_normal(shape) + 1j * generator.standard_normal(shape)).astype(dtype)
    if dtype == np.bool_:
        return generator.integers(0, 2, shape).astype(dtype)
    limits = np.iinfo(dtype)
    return generator.integers(limits.min, limits.max, shape, dtype, endpoint=True)
