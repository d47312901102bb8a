"""Many samples at once: a planned subgraph that runs operator by operator on a batch of samples.

Every sample gets the bits that it gets alone. An operator runs on all samples of a batch together where
`refquant.interpreter.together` allows it, which saves the cost of calling it once for each; else on one after the
other, by the function that also runs it alone; and once for all where nothing that it reads varies.

What varies is kept as one array for each tensor, the samples along a new first axis, or as a list of arrays, whichever
its operator gives, and becomes the other where the next one asks for it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice, repeat
from typing import Any, TypeGuard

import numpy as np

from refquant.interpreter.plan import Step, SubgraphPlan, placed
from refquant.interpreter.together import RENAMING, step_for_stack
from refquant.kernels.registry import Array, TensorInfo
from refquant.numerics.processor import with_processor
from refquant.tflite.schema import TensorType

#: the arrays of a tensor, by sample: [samples, …], or one for each
Samples = Array | list[Array]

#: is called after each operator of a batch with what the tensors hold now: `Samples`, or None for those that are gone
AfterStep = Callable[[Step, list[Any]], None]

#: the samples of a batch are as many as have tensors of so many bytes in all …
_BYTES = 32 << 20
#: … but no more than this, beyond which there is nothing left to save
_MOST = 128

#: planning takes about as long as so many samples alone
_WORTH = 16

#: operators that call other subgraphs or give other numbers each time
_OTHERWISE = frozenset(
    "IF WHILE CALL_ONCE STABLEHLO_CASE STABLEHLO_COMPOSITE "
    "MULTINOMIAL RANDOM_STANDARD_NORMAL RANDOM_UNIFORM STABLEHLO_RNG_BIT_GENERATOR".split()
)


class Batches:
    """Runs a planned subgraph on samples, in batches where it can be; `reset` sets all variables to their first values.

    It is good until the subgraph is planned anew.
    """

    def __init__(self, plan: SubgraphPlan, reset: Callable[[], None]) -> None:
        self._plan = plan
        self._reset = reset
        self._planned: dict[int, Batch] = {}
        self._asked: Counter[int] = Counter()  # samples, by the number that came at once
        self.size = batch_size(plan)

    def each(
        self, samples: Iterable[Sequence[Array]], tensors: Collection[int], keep_state: bool
    ) -> Iterator[dict[int, Array]]:
        """The arrays of some tensors for each sample in turn, which is one array for each input.

        Variables start anew with each sample unless `keep_state`. The subgraph is left as the last sample leaves it.
        """
        source = iter(samples)
        is_watched = self._plan.observer is not None or self._plan.watcher is not None
        while chunk := list(islice(source, 1 if is_watched else self.size)):
            batch = self.planned(len(chunk))
            if batch is None:
                yield from (self._alone(sample, tensors, keep_state) for sample in chunk)
            else:
                found = batch.run([list(arrays) for arrays in zip(*chunk)], tensors)
                columns = {index: _separate(found[index]) for index in found}
                yield from ({index: column[i] for index, column in columns.items()} for i in range(len(chunk)))

    def _alone(self, sample: Sequence[Array], tensors: Collection[int], keep_state: bool) -> dict[int, Array]:
        plan = self._plan
        if not keep_state:
            self._reset()
        for index, array in zip(plan.inputs, sample, strict=True):
            plan.values[index] = array
        plan.invoke()
        return {index: np.array(plan.values[index]) for index in tensors}

    def planned(self, count: int) -> Batch | None:
        """What runs so many samples at once; None where planning it is not yet worth it.

        The last two are kept: one for full batches, one for what is left of the samples.
        """
        self._asked[count] += count
        if count not in self._planned and count > 1 and self._asked[count] >= _WORTH:
            self._planned = dict([*self._planned.items()][-1:])
            with with_processor(self._plan.processor):
                self._planned[count] = Batch(self._plan, count)
        return self._planned.get(count)


def batch_size(plan: SubgraphPlan) -> int:
    """How many samples are to go through a planned subgraph at once.

    One, where something lives on from sample to sample (variables, resources, custom operators that may have a memory
    of their own), where other subgraphs are called, and where a shape depends on data.
    """
    if any(tensor.is_variable for tensor in plan.tensors) or any(_runs_otherwise(step) for step in plan.steps):
        return 1
    varying = varying_tensors(plan)
    size = sum(t.dtype.itemsize * math.prod(t.dims) for t in plan.tensors if t.index in varying)
    return max(1, min(_MOST, _BYTES // max(1, size)))


def _runs_otherwise(step: Step) -> bool:
    op = step.operator
    return (
        op.is_custom
        or op.name in _OTHERWISE
        or step.run is None
        or None in step.shapes
        or any(t is not None and t.type in (TensorType.RESOURCE, TensorType.VARIANT) for t in (*op.inputs, *op.outputs))
    )


def varying_tensors(plan: SubgraphPlan) -> set[int]:
    """The inputs of a subgraph, and all that is computed from them."""
    varying = set(plan.inputs)
    for step in plan.steps:
        if any(tensor is not None and tensor.index in varying for tensor in step.operator.inputs):
            varying.update(tensor.index for tensor in step.operator.outputs)
    return varying


class Batch:
    """A planned subgraph, ready for `count` samples at once; what does not vary is computed here, once for all."""

    def __init__(self, plan: SubgraphPlan, count: int) -> None:
        self._plan = plan
        self._count = count
        self._varying = varying_tensors(plan)
        self._same = {tensor.index: tensor.value for tensor in plan.tensors if tensor.value is not None}
        self._steps: list[tuple[Step, Step | None]] = []  # and the one for all samples together, where there is one
        for step in plan.steps:
            step.operator.observer = None
            if any(self._varies(tensor) for tensor in step.operator.inputs):
                self._steps.append((step, step_for_stack(plan, step, self._varying, count)))
            else:
                with np.errstate(all="ignore"), placed(step.operator, "run"):
                    inputs = [self._constant(tensor) for tensor in step.operator.inputs]
                    self._same.update(zip(_written(step), self._results(step, inputs)))
        self._last_read = self._freed()
        self._dropped = {index for step in plan.steps for index in step.drops}

    def run(
        self, inputs: Sequence[Samples], tensors: Collection[int], after: AfterStep | None = None
    ) -> dict[int, Samples]:
        """The arrays of some tensors for `count` samples, which are given by input.

        Arrays that no operator will read any more are let go, but for those of these tensors. The plan is left with the
        values of the last sample.
        """
        values: list[Any] = [None] * len(self._plan.tensors)
        for index, array in self._same.items():
            values[index] = np.broadcast_to(array, (self._count, *array.shape))
            self._plan.values[index] = None if index in self._dropped else array
        for index, samples in zip(self._plan.inputs, inputs, strict=True):
            values[index] = samples
            self._leave(index, samples)
        with np.errstate(all="ignore"):
            for (step, together), read in zip(self._steps, self._last_read):
                with placed(step.operator, "run"):
                    results = self._computed(step, together, values)
                for tensor, samples in zip(step.operator.outputs, results):
                    values[tensor.index] = samples
                if after is not None:
                    after(step, values)
                for index in read:
                    self._leave(index, values[index])
                    if index not in tensors:
                        values[index] = None
        return {index: values[index] for index in tensors}

    def _leave(self, index: int, samples: Samples) -> None:
        """Leaves the last sample to the plan."""
        last = samples[-1] if isinstance(samples, list) else samples[-1, ...].copy()
        self._plan.values[index] = None if index in self._dropped else last

    def _freed(self) -> list[list[int]]:
        """For each operator what varies and is read by no later one."""
        last = {
            tensor.index: number
            for number, (step, _) in enumerate(self._steps)
            for tensor in (*step.operator.inputs, *step.operator.outputs)
            if self._varies(tensor)
        }
        freed: list[list[int]] = [[] for _ in self._steps]
        for index, number in last.items():
            freed[number].append(index)
        return freed

    def _computed(self, step: Step, together: Step | None, values: list[Any]) -> Sequence[Samples]:
        """The outputs of one operator for all samples."""
        inputs = step.operator.inputs
        if step.operator.name in RENAMING and not any(self._varies(tensor) for tensor in inputs[1:]):
            return [self._stack(step.operator.input(0), values).reshape(self._count, *step.operator.output().dims)]
        if together is None:
            columns = [_separate(values[t.index]) if self._varies(t) else repeat(self._constant(t)) for t in inputs]
            rows = [self._results(step, arguments) for arguments in zip(*columns)]
            return [list(column) for column in zip(*rows)]
        stacks = [
            self._stack(t, values).reshape(n.dims) if n is not None and self._varies(t) else self._constant(t)
            for t, n in zip(inputs, together.operator.inputs)
        ]
        results = self._results(together, stacks)
        return [array.reshape(self._count, *t.dims) for t, array in zip(step.operator.outputs, results)]

    def _results(self, step: Step, arguments: Sequence[Array | None]) -> tuple[Array, ...]:
        """What an operator gives, checked."""
        results = step.run(*arguments)  # type: ignore[misc] # it is planned
        results = results if isinstance(results, tuple) else (results,)
        for tensor, shape, array in zip(step.operator.outputs, step.shapes, results, strict=True):
            self._plan.check_result(step.operator, tensor, shape, array)
        return results

    def _varies(self, tensor: TensorInfo | None) -> TypeGuard[TensorInfo]:
        return tensor is not None and tensor.index in self._varying

    def _constant(self, tensor: TensorInfo | None) -> Array | None:
        return None if tensor is None else self._same[tensor.index]

    def _stack(self, tensor: TensorInfo, values: list[Any]) -> Array:
        """The samples of a tensor as one array, which they are from now on."""
        samples = values[tensor.index]
        if isinstance(samples, list):
            samples = values[tensor.index] = np.stack(samples)
        return samples


def _separate(samples: Samples) -> list[Array]:
    return samples if isinstance(samples, list) else [samples[i, ...] for i in range(len(samples))]


def _written(step: Step) -> list[int]:
    return [tensor.index for tensor in step.operator.outputs]
