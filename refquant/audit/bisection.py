"""The first operator where a runtime leaves another one, found from outside: by running models cut off earlier."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.audit.comparison import RANDOM_SAMPLES, Progress, converted_samples
from refquant.audit.differences import Difference, difference
from refquant.audit.reproduction import Reproduction
from refquant.errors import InvalidInputError, RefquantError, RuntimeUnavailableError
from refquant.runtimes import Command, Runtime
from refquant.runtimes.cut import Cut, Graph, cut_out
from refquant.runtimes.participants import Given, Participant, is_word, open_participant
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType

Array = npt.NDArray[Any]
Sample = Sequence[Array]


@dataclass(slots=True)
class Bisection:
    """What `bisect` has found: where `runtime` leaves `oracle` first, if it does.

    `index` is that operator, None where all tensors of all samples are equal, of the first `compared` operators at
    least: from there on the oracle has no answer. `tensor` its output that differs,
    `sample` the number of the sample; `difference` says how far, `failure` what the runtime said instead of an answer.
    `runs` counts the runs of the runtime. `reproduction` is the smallest model that shows the difference again.
    """

    model: str
    runtime: str
    oracle: str
    runtimes: dict[str, str]
    samples: int
    operators: int
    compared: int = 0
    index: int | None = None
    operator: str = ""
    tensor: str = ""
    sample: int = 0
    difference: Difference | None = None
    failure: str = ""
    runs: int = 0
    notes: list[str] = field(default_factory=list)
    reproduction: Reproduction | None = None

    @property
    def equal(self) -> bool:
        """Whether all operators were compared, and no difference was found."""
        return self.index is None and self.compared == self.operators

    def to_dict(self) -> dict[str, Any]:
        """All but the arrays, as plain dictionaries and lists."""
        plain = {name: getattr(self, name) for name in self.__slots__ if name not in ("difference", "reproduction")}
        if self.difference is not None:
            plain["difference"] = {name: getattr(self.difference, name) for name in self.difference.__slots__}
        if self.reproduction is not None:
            plain["reproduction"] = {
                "operators": list(self.reproduction.operators),
                "reproduces": self.reproduction.reproduces,
                "difference": str(self.reproduction.found),
            }
        return {"equal": self.equal, **plain}


def bisect(
    model: Model | str | PathLike[str] | bytes,
    runtime: Given,
    *,
    oracle: Given = "reference",
    name: str | None = None,
    samples: Sequence[Sample] | None = None,
    number_of_samples: int = RANDOM_SAMPLES,
    seed: int = 0,
    timeout: float = 60.0,
    progress: Progress | None = None,
    title: str | None = None,
) -> Bisection:
    """Finds the first operator whose output `runtime` and `oracle` do not agree upon, to the bit.

    Both are what `rq.compare` takes: a word, a function, a `refquant.runtimes.Command`; `name` is what the runtime is
    called, `title` the model. The runtime is asked for nothing but the outputs of models cut from this one, so it may
    be a black box. The cuts are halved between one whose tensors at the edge are all equal and one where they are not:
    at the operator in between a difference begins. As an earlier difference may have vanished on its way (in a RELU, in
    a branch), all tensors before that operator are then asked for, at once or, where the runtime cannot do that, one by
    one; so what is found is the first, over all samples. A runtime that refuses, dies or hangs leaves the oracle where
    it does.

    The operator is then cut out and run alone in both; where that shows no difference (the runtime has fused it with
    its neighbours), those before it are added, the nearest first, until it does. `Bisection.reproduction` holds the
    smallest such model; its `save` writes that, its inputs, both outputs and a text for a bug report into a folder.
    Each sample starts with fresh state.

    Raises as `rq.compare` does; where the oracle has no answer at all, what
    it raises (operators from which on it has none are not compared, as `notes` say).
    """
    title = title or (str(model) if isinstance(model, (str, PathLike)) else "model")
    model = model if isinstance(model, Model) else Model.read(model)
    names = (name or _name(runtime), _name(oracle))
    if names[0] == names[1]:
        raise InvalidInputError(f"{names[0]} cannot leave itself: name two runtimes")
    rows = converted_samples(model, samples, number_of_samples, seed)
    with (
        open_participant(names[0], runtime, timeout) as asked,
        open_participant(names[1], oracle, timeout) as truth,
    ):
        search = _Search(Graph(model), asked, truth, progress or (lambda what: None))
        result = Bisection(
            title,
            *names,
            {names[0]: asked.description, names[1]: truth.description},
            len(rows),
            len(search.graph.writes),
        )
        first, where = len(search.graph.writes), None
        result.compared = first
        for number, row in enumerate(rows):
            answered = search.answered(row, first)
            if answered < first:
                result.compared = min(result.compared, answered)
            found = search.first(row, min(first, answered))
            if found is not None:
                first, where = found, number
        if where is not None:
            tensor, what = search.at(rows[where], first)
            result.index, result.sample = first, where
            result.operator = f"operator {first} ({model.operator_name((model.subgraphs[0].operators or [])[first])})"
            result.tensor = search.graph.tensors[tensor].name or f"tensor {tensor}"
            result.difference, result.failure = (None, what) if isinstance(what, str) else (what, "")
            made = search.reproduction(rows[where], first, tensor, result.runtimes, title)
            result.reproduction = replace(made, again=_again({names[1]: oracle, names[0]: runtime}))
        result.runs, result.notes = search.runs, search.notes
    return result


def _again(participants: Mapping[str, Given]) -> str:
    """The command that compares them on the files of a reproduction; empty where one is a function of Python's."""
    words, options = [], []
    for name, given in participants.items():
        word = name if isinstance(given, Runtime) else given
        if isinstance(word, str) and is_word(word):
            words.append(word)
        elif isinstance(word, str) and ":" in word:
            options.append(f"--callable {shlex.quote(f'{name}={word}')}")
        elif isinstance(given, Command):
            options.append(f"--command {shlex.quote(f'{name}={given.template}')}")
        else:
            return ""
    if words:
        options.insert(0, f"--runtimes {','.join(words)}")
    return " ".join(["refquant compare model.tflite --data inputs.npz", *options])


def _name(given: Given) -> str:
    return given if isinstance(given, str) else getattr(given, "__name__", type(given).__name__.lower())


class _Search:
    """Runs cuts in both and compares; `runs` counts those of the runtime."""

    def __init__(self, graph: Graph, runtime: Participant, oracle: Participant, progress: Progress) -> None:
        self.graph = graph
        self.runs = 0
        self.notes: list[str] = []
        self._runtime, self._oracle, self._progress = runtime, oracle, progress
        self._one_by_one = False
        self._equal: dict[int, set[int]] = {}  # by the identity of a sample: tensors that were equal in some cut
        self._answer: tuple[tuple[Any, ...], Sample, list[Array]] | None = None
        self._latest: tuple[int, int, dict[int, Difference | str]] | None = None

    def first(self, row: Sample, end: int) -> int | None:
        """The first operator before `end` that differs on a sample, None where none does."""
        low, high = -1, end - 1
        if high < 0:
            return None
        found = self._edge(row, high)
        candidate: int | None = None
        if found:
            while high - low > 1:
                middle = (low + high) // 2
                now = self._edge(row, middle)
                if now:
                    high, found = middle, now
                else:
                    low = middle
            candidate = min(self.graph.writer[t] for t in found)
            if candidate < high:
                self.notes.append(
                    f"operator {candidate} differs in a model of operators 0 to {high}, not of 0 to {low}"
                )
        hidden = self._hidden(row, end if candidate is None else candidate)
        return candidate if hidden is None else hidden

    def answered(self, row: Sample, end: int) -> int:
        """For how many operators, at most `end`, the oracle has an answer; raises what it does where for none."""
        if end == 0 or self._refusal(row, end - 1) is None:
            return end
        low, high = -1, end - 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._refusal(row, middle) is None else (low, middle)
        refusal = self._refusal(row, high)
        assert refusal is not None
        if low < 0:
            raise refusal
        self.notes.append(f"not compared from operator {high} on, where the oracle has no answer: {refusal}")
        return high

    def _refusal(self, row: Sample, last: int) -> RefquantError | None:
        """What the oracle says instead of an answer to a model cut off after operator `last`."""
        edge = self.graph.frontier(last)
        if not edge:
            return None
        cut = cut_out(self.graph.model, self._operators(edge), edge)
        try:
            self._oracle_answer(cut, self._inputs(row, cut))
        except RefquantError as error:
            return error
        return None

    def _inputs(self, row: Sample, cut: Cut) -> list[Array]:
        return [np.asarray(row[self.graph.inputs.index(t)]) for t in cut.inputs]

    def at(self, row: Sample, index: int) -> tuple[int, Difference | str]:
        """The first output of an operator that differs, and how, in a model cut off there."""
        outputs = [t for t in self.graph.writes[index] if not self.graph.is_handle(t)]
        found = self._compare(row, outputs) or self._edge(row, index) or dict.fromkeys(outputs, Difference())
        tensor = next((t for t in outputs if t in found), next(iter(found)))
        return tensor, found[tensor]

    def reproduction(self, row: Sample, index: int, tensor: int, runtimes: dict[str, str], title: str) -> Reproduction:
        """The smallest model of the operator and those before it that shows the difference, with its arrays."""
        nearest = sorted(self.graph.leading_to([index]), reverse=True)
        tried: Cut | None = None
        for size in range(1, len(nearest) + 1):
            try:
                cut = cut_out(self.graph.model, nearest[:size], [tensor])
            except InvalidInputError:  # a resource that an operator before makes
                continue
            if tried is not None and cut.operators == tried.operators:
                continue
            tried = cut
            self._progress(f"reproducing with {len(cut.operators)} operators")
            made = self._reproduced(row, cut, index, runtimes, title)
            if made.reproduces:
                return made
        edge = self.graph.frontier(index)
        whole = cut_out(self.graph.model, self._operators(edge), edge)
        last = self._reproduced(row, whole, index, runtimes, title)
        if not last.reproduces:
            self.notes.append("the difference did not show again: the runtime does not give the same bits every time")
        return last

    def _reproduced(self, row: Sample, cut: Cut, index: int, runtimes: dict[str, str], title: str) -> Reproduction:
        values = self._values(row, cut.inputs)
        inputs = [values[t] for t in cut.inputs]
        expected, actual = self._ask(cut, inputs)
        if isinstance(actual, str):
            found: Difference | str = actual
        else:
            found = Difference()
            for t, e, a in zip(cut.outputs, expected, actual):
                found += self._difference(t, e, a)
        return Reproduction(
            title,
            cut.model,
            cut.operators,
            index,
            inputs,
            expected,
            None if isinstance(actual, str) else actual,
            found,
            runtimes,
        )

    def _edge(self, row: Sample, last: int) -> dict[int, Difference | str]:
        """What differs of the tensors that later operators need, in a model cut off after operator `last`."""
        if self._latest is None or self._latest[:2] != (id(row), last):
            self._progress(f"operators 0 to {last}")
            self._latest = id(row), last, self._compare(row, self.graph.frontier(last))
        return self._latest[2]

    def _hidden(self, row: Sample, end: int) -> int | None:
        """The first operator before `end` whose own output differs though nothing later shows it."""
        equal = self._equal.setdefault(id(row), set())
        before = [t for t in self.graph.asked if self.graph.writer[t] < end and t not in equal]
        if before and not self._one_by_one:
            self._progress(f"all tensors of operators 0 to {end - 1}")
            before = list(self._compare(row, before))  # those that differ in sight of the others
        for t in before:
            self._progress(f"tensor {t} of operators 0 to {end - 1}")
            if self._compare(row, [t]):
                return self.graph.writer[t]
        return None

    def _compare(self, row: Sample, tensors: Sequence[int]) -> dict[int, Difference | str]:
        """What differs of these tensors in a model with them as outputs, or in one for each where that fails."""
        if not tensors:
            return {}
        equal = self._equal.setdefault(id(row), set())
        found: dict[int, Difference | str] = {}
        if len(tensors) == 1 or not self._one_by_one:
            cut = cut_out(self.graph.model, self._operators(tensors), tensors)
            expected, actual = self._ask(cut, self._inputs(row, cut))
            if not isinstance(actual, str):
                for t, e, a in zip(tensors, expected, actual):
                    here = self._difference(t, e, a)
                    if here.different:
                        found[t] = here
                    else:
                        equal.add(t)
                return found
            if len(tensors) == 1:
                return {tensors[0]: actual}
        for t in tensors:
            found |= self._compare(row, [t])
        if not found and not self._one_by_one:
            self._one_by_one = True
            self.notes.append("the runtime was asked for one tensor at a time, since it refuses several outputs")
        return found

    def _operators(self, tensors: Iterable[int]) -> list[int]:
        return self.graph.leading_to(self.graph.writer[t] for t in tensors)

    def _difference(self, tensor: int, expected: Array, actual: Array) -> Difference:
        return difference(expected, actual, bfloat16=self.graph.tensors[tensor].type == TensorType.BFLOAT16)

    def _ask(self, cut: Cut, inputs: Sample) -> tuple[list[Array], list[Array] | str]:
        """The outputs of a cut in the oracle and in the runtime, or what it said instead."""
        expected = self._oracle_answer(cut, inputs)
        self.runs += 1
        try:
            return expected, self._runtime.run_sequence(cut.model, [inputs])[0]
        except RuntimeUnavailableError:
            raise
        except RefquantError as error:
            return expected, str(error)

    def _oracle_answer(self, cut: Cut, inputs: Sample) -> list[Array]:
        """The oracle's outputs, remembered until the next question."""
        question = (tuple(cut.operators), tuple(cut.outputs))
        if self._answer is not None:
            same = self._answer[0] == question and len(self._answer[1]) == len(inputs)
            if same and all(a is b for a, b in zip(self._answer[1], inputs)):
                return self._answer[2]
        self._answer = question, inputs, self._new_oracle_answer(cut, inputs)
        return self._answer[2]

    def _new_oracle_answer(self, cut: Cut, inputs: Sample) -> list[Array]:
        """The oracle's outputs; of one that refuses several, by one model for each."""
        try:
            return self._oracle.run_sequence(cut.model, [inputs])[0]
        except RefquantError:
            if len(cut.outputs) < 2:
                raise
        given = dict(zip(cut.inputs, inputs))
        answers = []
        for t in cut.outputs:
            part = cut_out(self.graph.model, [i for i in self._operators([t]) if i in cut.operators], [t])
            answers += self._oracle.run_sequence(part.model, [[given[i] for i in part.inputs]])[0]
        return answers

    def _values(self, row: Sample, tensors: Sequence[int]) -> dict[int, Array]:
        """Inputs of the model and tensors as the oracle has them."""
        values = {t: np.asarray(row[self.graph.inputs.index(t)]) for t in tensors if t in self.graph.inputs}
        made = [t for t in tensors if t not in values]
        if made:
            cut = cut_out(self.graph.model, self._operators(made), made)
            answers = self._oracle_answer(cut, self._inputs(row, cut))
            values |= dict(zip(made, answers))
        return values
