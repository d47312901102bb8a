"""Strategies of hypothesis that make float models to be quantized, and statistics for them.

`float_models()` draws graphs of many operators: chains, branches, shared weights and biases, constants on either side,
results used twice, recurrent cells, control flow, several subgraphs and signatures. Every model is valid: the real
interpreter runs it. `statistics(model)` draws a min and a max for each tensor, as a calibrator would write them.

The modules here register a step for each operator (`refquant.testing.float_graphs.graph`): a function that looks for
tensors that fit, makes what is missing, and adds the operator.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Collection
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from refquant.errors import InvalidInputError
from refquant.quantization.versions import update_versions
from refquant.testing.build import SubgraphSpec, model_of
from refquant.testing.float_graphs.graph import FLOAT32, STEPS, Graph, Shared
from refquant.testing.float_graphs.statistics import activations, statistics, with_statistics
from refquant.testing.strategies.catalogue import Case
from refquant.testing.strategies.drawing import generators
from refquant.tflite import schema

Array = npt.NDArray[Any]

for _module in pkgutil.iter_modules(__path__):  # importing a module registers its steps
    import_module(f"{__name__}.{_module.name}")

#: every operator that has a step
OPERATORS = tuple(sorted(STEPS))
#: those of them that the TFLite converter cannot read or write, so that `float_models` has them only where told to
UNREADABLE = ("BIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_RNN", "L2_POOL_2D", "RANK", "RNN")
#: those with variable tensors, with which TensorFlow runs no second signature
_STATEFUL = ("LSTM", "SVDF", "UNIDIRECTIONAL_SEQUENCE_LSTM", "UNIDIRECTIONAL_SEQUENCE_RNN")


@dataclass(slots=True)
class FloatCase(Case):
    """A float model, samples to run its main subgraph on, and what a calibrator is to be given.

    `dataset` is the samples, or, for a model with signatures, pairs of a signature's key and arrays by name.
    """

    dataset: list[Any]


@st.composite
def float_models(
    draw: st.DrawFn,
    operators: Collection[str] | None = None,
    most_steps: int = 8,
    special: bool = False,
) -> FloatCase:
    """Float models of up to so many steps, each of one of these operators.

    Unless told these are all `OPERATORS` but those `UNREADABLE`. A step may add other operators beside its own, such as
    ABS before SQRT. With `special`, weights may hold NaN and infinities. Raises `InvalidInputError` for an operator
    that has no step.
    """
    unknown = sorted(set(operators or ()) - set(OPERATORS))
    if unknown:
        raise InvalidInputError(f"there are no float graphs of {', '.join(unknown)}: see OPERATORS")
    allowed = set(operators or OPERATORS) - set(() if operators else UNREADABLE)
    shared = Shared(draw(generators), special, allowed)
    mains = [_main(draw, shared, most_steps)]
    has_state = any(spec.is_variable for spec in mains[0].tensors)
    if mains[0].inputs and not has_state and allowed - set(_STATEFUL) and draw(st.integers(0, 9)) == 9:
        shared.allowed = allowed - set(_STATEFUL)
        mains.append(_main(draw, shared, 3))
        if not mains[1].inputs:
            mains[1].input((1, 2))
    specs = [graph.finished(graph.some_outputs()) for graph in mains]
    model = model_of(specs[0], *shared.others, *specs[1:])
    update_versions(model)
    samples = [_sample(mains[0]) for _ in range(2)]
    if not mains[0].inputs or (len(mains) == 1 and draw(st.integers(0, 2))):
        return FloatCase(model, samples, [list(sample) for sample in samples])
    dataset = []
    model.root.signature_defs = []
    for graph, spec, number in zip(mains, specs, (0, len(model.subgraphs) - 1)):
        key = f"serve{number}"
        model.root.signature_defs.append(_signature(key, spec, number))
        dataset += [(key, dict(zip(_names("in", spec.inputs), _sample(graph)))) for _ in range(2)]
    return FloatCase(model, samples, dataset)


def _main(draw: st.DrawFn, shared: Shared, most_steps: int) -> Graph:
    """A subgraph of some steps, with at least one operator."""
    graph = Graph(draw, shared)
    usual = [name for name in ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "ADD") if graph.allows(name)]
    names = [str(name) for name in shared.rng.permutation([n for n in OPERATORS if graph.allows(n)])]
    for _ in range(graph.number(1, most_steps)):
        graph.grow(usual if usual and graph.chance(3) else names, 1)
    return graph


def _sample(graph: Graph) -> list[Array]:
    """Numbers for the inputs of a graph."""
    arrays = []
    for x in graph.inputs:
        shape = graph.shape(x)
        if graph.type(x) == FLOAT32:
            numbers = graph.rng.standard_normal(shape) * graph.rng.choice([0.1, 1.0, 2.0])
            arrays.append(np.clip(numbers, -16, 16).astype(np.float32))
        else:
            arrays.append(graph.rng.integers(0, graph.limits[x], shape, np.int32))
    return arrays


def _names(word: str, tensors: Any) -> list[str]:
    return [f"{word}{position}" for position in range(len(tensors))]


def _signature(key: str, spec: SubgraphSpec, number: int) -> schema.SignatureDef:
    inputs, outputs = (
        [schema.TensorMap(name, index) for name, index in zip(_names(word, tensors), tensors)]
        for word, tensors in (("in", spec.inputs), ("out", spec.outputs))
    )
    return schema.SignatureDef(inputs, outputs, key, subgraph_index=number)


__all__ = ["OPERATORS", "UNREADABLE", "FloatCase", "activations", "float_models", "statistics", "with_statistics"]
