"""Which tensors can be read after `invoke`, and whose memory serves the operators to come."""

from __future__ import annotations

import weakref
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

import refquant as rq
from refquant.data import DIGITS_FLOAT, DIGITS_INT8
from refquant.interpreter.plan import Step, SubgraphPlan, Subgraphs
from refquant.testing import OperatorSpec, SubgraphSpec, TensorSpec, model_of
from refquant.tflite import schema
from refquant.tflite.schema import TensorType

F32 = TensorSpec(TensorType.FLOAT32, (2,))
INPUT, NEGATED, SUM, UNREAD, ROOT, PRODUCT, ABSOLUTE = range(7)


def diamond() -> rq.Model:
    """-x is read twice, the second time by MUL; |x| by nobody; x + -x is an output that is read as well."""
    operators = [
        OperatorSpec("NEG", [INPUT], [NEGATED]),
        OperatorSpec("ADD", [INPUT, NEGATED], [SUM], schema.AddOptions()),
        OperatorSpec("ABS", [INPUT], [UNREAD]),
        OperatorSpec("SQRT", [SUM], [ROOT]),
        OperatorSpec("MUL", [NEGATED, ROOT], [PRODUCT], schema.MulOptions()),
        OperatorSpec("ABS", [PRODUCT], [ABSOLUTE]),
    ]
    return model_of(SubgraphSpec([F32] * 7, operators, [INPUT], [SUM, ABSOLUTE]))


class Alive:
    """A watcher that notes after each operator which of the arrays that the operators have made are in memory."""

    def __init__(self) -> None:
        self.arrays: dict[int, weakref.ref[Any]] = {}
        self.seen: list[set[int]] = []

    def before(self, plan: SubgraphPlan, step: Step) -> None:
        """Only what an operator leaves is looked at."""

    def after(self, plan: SubgraphPlan, step: Step) -> None:
        for tensor in step.operator.outputs:
            self.arrays[tensor.index] = weakref.ref(plan.values[tensor.index])
        self.seen.append({index for index, array in self.arrays.items() if array() is not None})


def test_without_preservation_an_intermediate_lives_until_its_last_reader_has_run() -> None:
    plan, watcher = Subgraphs(diamond(), "reference", preserves=False)[0], Alive()
    plan.watcher = watcher
    plan.plan()
    plan.values[INPUT] = np.ones(2, np.float32)
    plan.invoke()
    assert watcher.seen == [
        {NEGATED},
        {NEGATED, SUM},
        {NEGATED, SUM, UNREAD},
        {NEGATED, SUM, ROOT},
        {NEGATED, SUM, ROOT, PRODUCT},
        {SUM, PRODUCT, ABSOLUTE},
    ]
    assert [i for i, value in enumerate(plan.values) if value is not None] == [INPUT, SUM, ABSOLUTE]


def test_what_is_dropped_cannot_be_read_and_the_rest_can() -> None:
    interpreter = rq.Interpreter(model=diamond(), experimental_preserve_all_tensors=False)
    interpreter.allocate_tensors()
    for _ in range(2):
        interpreter.set_tensor(INPUT, np.array([1, -2], np.float32))
        interpreter.invoke()
        assert interpreter.get_tensor(ABSOLUTE).tolist() == [0, 0] == interpreter.get_tensor(SUM).tolist()
        assert interpreter.get_tensor(INPUT).tolist() == [1, -2]
        for index in (NEGATED, UNREAD, ROOT, PRODUCT):
            with pytest.raises(rq.InvalidInputError, match=rf"tensor {index} .*experimental_preserve_all_tensors=True"):
                interpreter.get_tensor(index)
    interpreter.resize_tensor_input(INPUT, [3])
    interpreter.allocate_tensors()
    with pytest.raises(rq.InvalidInputError, match=r"tensor 0 .* no value yet"):
        interpreter.get_tensor(INPUT)


@pytest.mark.parametrize("path", [DIGITS_FLOAT, DIGITS_INT8])
def test_outputs_and_constants_are_the_same_either_way(path: Any) -> None:
    results = []
    for preserves in (True, False):
        interpreter = rq.Interpreter(path, experimental_preserve_all_tensors=preserves)
        interpreter.allocate_tensors()
        (place,) = interpreter.get_input_details()
        image = np.random.default_rng(1).integers(-100, 100, place["shape"]).astype(place["dtype"])
        interpreter.set_tensor(place["index"], image)
        interpreter.invoke()
        readable = {}
        for detail in interpreter.get_tensor_details():
            with suppress(rq.InvalidInputError):
                readable[detail["index"]] = interpreter.get_tensor(detail["index"])
        results.append(readable)
    everything, few = results
    plan = interpreter._plans[0]
    assert len(everything) == len(plan.tensors)
    assert set(few) == {t.index for t in plan.tensors if t.value is not None} | {*plan.inputs, *plan.outputs}
    assert all(np.array_equal(few[i], everything[i]) for i in few)


def test_a_variable_that_an_operator_writes_is_kept() -> None:
    variable = TensorSpec(TensorType.FLOAT32, (2,), is_variable=True)
    operators = [OperatorSpec("NEG", [0], [1]), OperatorSpec("ABS", [1], [2])]
    model = model_of(SubgraphSpec([F32, variable, F32], operators, [0], [2]))
    interpreter = rq.Interpreter(model=model, experimental_preserve_all_tensors=False)
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, np.array([1, -2], np.float32))
    interpreter.invoke()
    assert interpreter.get_tensor(1).tolist() == [-1, 2]
