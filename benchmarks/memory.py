"""How much memory `invoke` takes, beside what no interpreter can do without."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

import refquant as rq
from refquant.interpreter.plan import Subgraphs
from refquant.tflite.vectors import indices_of

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Memory:
    """Bytes: the largest sum of live tensors, the most that `invoke` held, what planning keeps, constants."""

    live: int
    peak: int
    planned: int
    constants: int

    @property
    def ratio(self) -> float:
        """The peak of `invoke` as a multiple of the live tensors."""
        return self.peak / max(1, self.live)


def measure(model: rq.Model, sample: Sequence[Array], **settings: Any) -> Memory:
    """The memory of the first `invoke` of an interpreter with these settings.

    The peak counts the inputs and everything that is allocated in `invoke`, of NumPy and of Python alike; constants,
    and what planning makes of them, are counted apart.
    """
    live, constants = tensor_bytes(model, sample, settings.get("kernels", "reference"))
    tracemalloc.start()
    try:
        interpreter = rq.Interpreter(model=model, **settings)
        interpreter.allocate_tensors()
        planned = tracemalloc.get_traced_memory()[0]
        for detail, array in zip(interpreter.get_input_details(), sample, strict=True):
            interpreter.set_tensor(detail["index"], array)
        tracemalloc.reset_peak()
        interpreter.invoke()
        peak = tracemalloc.get_traced_memory()[1] - planned
    finally:
        tracemalloc.stop()
    return Memory(live, peak, planned, constants)


def tensor_bytes(model: rq.Model, sample: Sequence[Array], kernels: str = "reference") -> tuple[int, int]:
    """The largest sum of the tensors of the main subgraph that are alive at a time, and the sum of its constants.

    Inputs and variables are alive all the time, any other tensor from the operator that writes it to the last one that
    reads it, and an output to the end.
    """
    plan = Subgraphs(model, kernels)[0]
    plan.plan()
    for index, array in zip(plan.inputs, sample, strict=True):
        plan.values[index] = array
    plan.invoke()
    sizes = {index: value.nbytes for index, value in enumerate(plan.values) if value is not None}
    constants = {tensor.index for tensor in plan.tensors if tensor.value is not None}
    born: dict[int, int] = {}
    dies: dict[int, int] = {}
    operators = plan.table.operators or ()
    for number, operator in enumerate(operators):
        for index in indices_of(operator.inputs):
            dies[index] = number
        for index in indices_of(operator.outputs):
            born[index] = dies[index] = number
    for index in plan.outputs:
        dies[index] = len(operators)
    always = sum(size for index, size in sizes.items() if index not in born and index not in constants)
    live = [
        sum(sizes.get(index, 0) for index, start in born.items() if start <= number <= dies[index])
        for number in range(len(operators))
    ]
    return always + max(live, default=0), sum(sizes[index] for index in constants)
