"""Running one operator while it tells its steps: in each profile, on the same inputs or on those of its own run."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from refquant.errors import RefquantError
from refquant.interpreter.plan import Step, SubgraphPlan, Subgraphs
from refquant.kernels.registry import Array, Kernel, Operator
from refquant.numerics.steps import Part, listening
from refquant.tflite.model import Model
from refquant.tflite.vectors import indices_of

#: operators that run whole subgraphs, whose steps are those of other operators
CALLING = ("CALL_ONCE", "CASE", "IF", "STABLEHLO_CASE", "STABLEHLO_COMPOSITE", "STABLEHLO_WHILE", "WHILE")


@dataclass(eq=False, slots=True)
class Observed:
    """What an operator was given, what it gave, and what it told on the way; a heading has the value None."""

    step: Step
    plan: SubgraphPlan
    inputs: list[Array | None]
    outputs: list[Array]
    told: list[tuple[str, Any]] = field(default_factory=list)

    @property
    def operator(self) -> Operator:
        """The operator."""
        return self.step.operator

    @property
    def kernel(self) -> Kernel:
        """What planned it."""
        return self.step.kernel


def run_model(model: Model, number: int, profile: str, inputs: Sequence[Array]) -> Observed:
    """Runs operator `number` of the main subgraph, and all before it, in a profile.

    Raises what `SubgraphPlan` raises; operators after it count only where they keep the model from being planned.
    """
    plan = _planned([model, _first(model, number + 1)], profile, inputs)
    for index, array in zip(plan.inputs, inputs):
        plan.values[index] = array
    with np.errstate(all="ignore"):
        for step in plan.steps[:number]:
            plan.compute(step)
        return _observed(plan, plan.steps[number])


def run_operator(
    model: Model, number: int, profile: str, inputs: Sequence[Array], given: Sequence[Array | None]
) -> Observed:
    """Runs operator `number` alone, on what it is `given`; the model's `inputs` say for which shapes to plan."""
    try:
        plan = _planned([model, _first(model, number + 1)], profile, inputs)
        step = plan.steps[number]
    except RefquantError:
        single = alone(model, number)
        read = dict(zip(indices_of((single.subgraphs[0].operators or [])[0].inputs), given))
        plan = _planned([single], profile, [read[i] for i in indices_of(single.subgraphs[0].inputs)])
        step = plan.steps[0]
    for index, array in zip(step.reads, given):
        if index is not None:
            plan.values[index] = None if array is None else array.copy()
    with np.errstate(all="ignore"):
        return _observed(plan, step)


def _planned(models: Sequence[Model], profile: str, inputs: Sequence[Array | None]) -> SubgraphPlan:
    """The main subgraph of the first model that can be planned; the error of the last one."""
    shapes = [() if array is None else array.shape for array in inputs]
    for model in models[:-1]:
        try:
            plan = Subgraphs(model, profile)[0]
            plan.plan_for(shapes)
            return plan
        except RefquantError:
            continue
    plan = Subgraphs(models[-1], profile)[0]
    plan.plan_for(shapes)
    return plan


def _observed(plan: SubgraphPlan, step: Step) -> Observed:
    given = [None if index is None else plan.values[index] for index in step.reads]
    inputs = [None if array is None else array.copy() for array in given]
    told: list[tuple[str, Any]] = []

    def observer(operator: Operator, numbers: dict[str, Any]) -> None:
        if operator is step.operator:
            told.extend((name, _kept(value)) for name, value in numbers.items() if not isinstance(value, tuple))

    plan.observer = observer
    try:
        with listening(lambda name, value: told.append((name, _kept(value)))):
            plan.compute(step)
    finally:
        plan.observer = None
    outputs = [plan.value(tensor.index, step.operator) for tensor in step.operator.outputs]
    return Observed(step, plan, inputs, outputs, [] if step.operator.name in CALLING else told)


def _kept(value: Any) -> Any:
    if isinstance(value, Part):
        return replace(value, value=_kept(value.value))
    return value.copy() if isinstance(value, np.ndarray) else value


def _first(model: Model, count: int) -> Model:
    """The model without the operators after the first `count`."""
    operators = (model.subgraphs[0].operators or [])[:count]
    return with_operators(model, operators, indices_of(model.subgraphs[0].inputs), indices_of(operators[-1].outputs))


def alone(model: Model, number: int) -> Model:
    """The model with one operator alone: what it reads is given, unless it is a constant or a variable."""
    operator = (model.subgraphs[0].operators or [])[number]
    tensors = model.subgraphs[0].tensors or []
    read = [i for i in dict.fromkeys(indices_of(operator.inputs)) if i >= 0]
    given = [i for i in read if model.constant(tensors[i]) is None and not tensors[i].is_variable]
    return with_operators(model, [operator], given, indices_of(operator.outputs))


def with_operators(model: Model, operators: Sequence[Any], inputs: Sequence[int], outputs: Sequence[int]) -> Model:
    """The model with these operators in its main subgraph, from these inputs to these outputs."""
    root = copy.copy(model.root)
    root.subgraphs = list(model.subgraphs)
    graph = root.subgraphs[0] = copy.copy(root.subgraphs[0])
    graph.operators = list(operators)
    graph.inputs, graph.outputs = (np.asarray(indices, np.int32) for indices in (inputs, outputs))
    root.signature_defs = None
    return model.with_root(root)
