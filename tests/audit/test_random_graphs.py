"""compare and bisect on random graphs, whose differences are worked out by hand in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import refquant as rq
from refquant.testing.build import OperatorSpec, SubgraphSpec, TensorSpec, model_of
from refquant.tflite.schema import (
    AddOptions,
    MaximumMinimumOptions,
    MulOptions,
    SubOptions,
    TensorType,
)
from tests.audit.wrong_runtimes import run, wrong_in

KINDS: dict[str, tuple[Any, Callable[..., Any]]] = {
    "ADD": (AddOptions, np.add),
    "SUB": (SubOptions, np.subtract),
    "MUL": (MulOptions, np.multiply),
    "MAXIMUM": (MaximumMinimumOptions, np.maximum),
    "MINIMUM": (MaximumMinimumOptions, np.minimum),
}
CONSTANTS = (0, 1, -7)  # a product with 0 and a maximum with -7 make differences vanish
FIRST = 2 + len(CONSTANTS)


class Graph:
    """Inputs 0 and 1, constants, then what each operator makes of two tensors before it; some are outputs."""

    def __init__(self, rng: np.random.Generator) -> None:
        count = int(rng.integers(3, 10))
        self.kinds = [str(kind) for kind in rng.choice(list(KINDS), count)]
        self.reads = [self._two(rng, FIRST + i) for i in range(count)]
        outputs = rng.choice(count, int(rng.integers(1, 3)), replace=False)
        x = TensorSpec(TensorType.INT32, (3,))
        constants = [TensorSpec(TensorType.INT32, data=np.full(3, n, np.int32)) for n in CONSTANTS]
        operators = [
            OperatorSpec(kind, reads, [FIRST + i], KINDS[kind][0]())
            for i, (kind, reads) in enumerate(zip(self.kinds, self.reads))
        ]
        tensors = [x, x, *constants, *[x] * count]
        self.model = model_of(SubgraphSpec(tensors, operators, [0, 1], [FIRST + int(i) for i in outputs]))

    @staticmethod
    def _two(rng: np.random.Generator, end: int) -> list[int]:
        first = rng.choice([i for i in range(end) if not 2 <= i < FIRST])
        pair = [int(first), int(rng.integers(end))]
        return pair if rng.integers(2) else pair[::-1]

    def values(self, sample: Sequence[Any], wrong: Sequence[str]) -> list[Any]:
        """All tensors, with the lowest bit of what these operators make the other way round."""
        values = [*sample, *(np.full(3, n, np.int32) for n in CONSTANTS)]
        for kind, (a, b) in zip(self.kinds, self.reads):
            values.append(KINDS[kind][1](values[a], values[b]) ^ (kind in wrong))
        return values

    def verdicts(self, sample: Sequence[Any], wrong: Sequence[str]) -> list[str]:
        right, other = self.values(sample, ()), self.values(sample, wrong)
        same = [np.array_equal(a, b) for a, b in zip(right, other)]
        found = []
        for i, (kind, reads) in enumerate(zip(self.kinds, self.reads)):
            begins = "begins here" if all(same[t] for t in reads) else "begins here too" if kind in wrong else ""
            found.append("equal" if same[FIRST + i] else begins or "handed down")
        return found


@pytest.mark.parametrize("seed", range(25))
def test_verdicts_and_first_operators(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = Graph(rng)
    sample = [rng.integers(-9, 9, 3).astype(np.int32) for _ in range(2)]
    wrong = [str(kind) for kind in rng.choice(list(KINDS), int(rng.integers(1, 3)), replace=False)]
    expected = graph.verdicts(sample, wrong)
    report = rq.compare(graph.model, {"reference": "reference", "other": wrong_in(*wrong)}, samples=[sample])
    assert [c.verdict for c in report.comparisons] == expected

    def one_output(content: bytes, inputs: list[Any]) -> list[Any]:
        outputs = rq.Model.read(content).subgraphs[0].outputs
        if outputs is None or len(outputs) > 1:
            raise ValueError("one output only")
        return wrong_in(*wrong)(content, inputs)

    first = next((i for i, verdict in enumerate(expected) if verdict != "equal"), None)
    for runtime in (wrong_in(*wrong), one_output):
        found = rq.bisect(graph.model, runtime, name="other", samples=[sample])
        assert found.index == first
        if first is not None:
            assert found.reproduction is not None and list(found.reproduction.operators) == [first]
    assert rq.bisect(graph.model, run, samples=[sample]).equal
