"""Asking one participant about the tensors of a model, in whatever way it can answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.audit.differences import difference
from refquant.errors import RefquantError, RuntimeUnavailableError
from refquant.runtimes.cut import Cut, Graph, cut_out, with_outputs
from refquant.runtimes.participants import Participant

Array = npt.NDArray[Any]
Sample = Sequence[Array]


class Asked:
    """What a participant says of all tensors that operators write, for groups of samples.

    `failed` holds the tensors that it does not give and why; of those that hang on one that failed the reason is empty.
    `notes` are for the user. A failure lasts: what has failed in one group is not asked for in the next.
    """

    def __init__(self, name: str, participant: Participant, graph: Graph, groups: Sequence[Sequence[Sample]]) -> None:
        self.name = name
        self.failed: dict[int, str] = {}
        self.notes: list[str] = []
        self._participant = participant
        self._graph = graph
        self._groups = groups
        self._one_by_one = False
        self._exposed = with_outputs(graph.model, graph.asked)
        self._latest: tuple[int, list[dict[int, Array]]] | None = None

    @property
    def has_answered(self) -> bool:
        """Whether there is a tensor that it gives."""
        return any(t not in self.failed for t in self._graph.asked)

    def first_failure(self) -> str:
        """Why it does not give the first tensor that it does not give."""
        return next((self.failed[t] for t in self._graph.asked if t in self.failed), f"{self.name}: no tensors")

    def tensors(self, group: int) -> list[dict[int, Array]]:
        """For each sample of a group the tensors that it gives."""
        if self._latest is None or self._latest[0] != group:
            self._latest = group, self._ask(self._groups[group])
        return self._latest[1]

    def alone(self, cut: Cut, group: int, source: Asked) -> list[dict[int, Array]]:
        """The outputs of a cut for each sample of a group, on inputs as `source` has them in the whole model."""
        rows = [
            [values[t] if t in values else sample[self._graph.inputs.index(t)] for t in cut.inputs]
            for values, sample in zip(source.tensors(group), self._groups[group])
        ]
        return [dict(zip(cut.outputs, answer)) for answer in self._participant.run_sequence(cut.model, rows)]

    def _ask(self, samples: Sequence[Sample]) -> list[dict[int, Array]]:
        if not self._one_by_one:
            try:
                answers = self._participant.run_sequence(self._exposed, samples)
            except RuntimeUnavailableError as error:
                self.failed = dict.fromkeys(self._graph.asked, str(error))
            except RefquantError as error:
                self._one_by_one = True
                self.notes.append(f"{self.name} was asked for each tensor by a model of its own, since: {error}")
            else:
                found = [dict(zip(self._graph.asked, answer)) for answer in answers]
                if self._participant.is_black_box:
                    self._check_whole(samples, found)
                return found
        return self._ask_one_by_one(samples)

    def _ask_one_by_one(self, samples: Sequence[Sample]) -> list[dict[int, Array]]:
        """Each tensor from a model that is cut off after it; one that hangs on a failed one is not asked for."""
        graph = self._graph
        found: list[dict[int, Array]] = [{} for _ in samples]
        for t in graph.asked:
            if t in self.failed:
                continue
            cut = cut_out(graph.model, graph.leading_to([graph.writer[t]]), [t])
            rows = [[sample[graph.inputs.index(i)] for i in cut.inputs] for sample in samples]
            try:
                answers = self._participant.run_sequence(cut.model, rows)
            except RefquantError as error:
                self._fail(t, str(error))
            else:
                for values, (answer,) in zip(found, answers):
                    values[t] = answer
        return found

    def _fail(self, tensor: int, why: str) -> None:
        operator = self._graph.writer[tensor]
        for t in self._graph.asked:
            if operator in self._graph.leading_to([self._graph.writer[t]]):
                self.failed.setdefault(t, "")
        self.failed[tensor] = why

    def _check_whole(self, samples: Sequence[Sample], found: list[dict[int, Array]]) -> None:
        """Notes where a runtime gives other bits when it is asked for the outputs alone: it has other kernels then."""
        note = f"{self.name} gives other outputs when no intermediate tensors are asked for"
        if any(note in n for n in self.notes):
            return
        try:
            answers = self._participant.run_sequence(self._graph.model, samples)
        except RefquantError as error:
            self.notes.append(f"{self.name} shows all tensors, but refuses the model as it is: {error}")
            return
        for values, answer in zip(found, answers):
            for t, array in zip(self._graph.outputs, answer):
                if t in values and difference(values[t], np.asarray(array)).different:
                    self.notes.append(f"{note}: {difference(values[t], np.asarray(array))}")
                    return


def say(count: int, what: str) -> str:
    """A number of things: "1 array", "2 arrays"."""
    return f"{count} {what}{'s' * (count != 1)}"
