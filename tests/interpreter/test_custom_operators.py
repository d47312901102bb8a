"""Custom operators of the user's: registered, run, replaced, refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from flatbuffers import flexbuffers

import refquant as rq
from refquant.kernels.registry import Operator, Run
from refquant.testing import TensorSpec, single_operator_model
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType

FLOAT32 = TensorType.FLOAT32


def custom(name: str, options: bytes | None = None) -> Model:
    return single_operator_model(name, [TensorSpec(FLOAT32, (2,))], [TensorSpec(FLOAT32)], custom_options=options)


def run(interpreter: rq.Interpreter, x: Any) -> Any:
    interpreter.set_tensor(0, np.float32(x))
    interpreter.invoke()
    return interpreter.get_tensor(1).tolist()


def prepared(model: Model, kernels: str = "reference") -> rq.Interpreter:
    interpreter = rq.Interpreter(model=model, kernels=kernels)
    interpreter.allocate_tensors()
    return interpreter


def scaled(op: Operator) -> Run:
    op.output().shape = op.input(0).dims
    factor = np.float32(op.flexbuffer_options["factor"])
    return lambda x: x * factor


class RunningSum:
    """The sum of all inputs since the last reset."""

    def __init__(self, op: Operator) -> None:
        op.output().shape = op.input(0).dims
        self.reset()

    def reset(self) -> None:
        self.sum = np.float32(0)

    def __call__(self, x: Any) -> Any:
        self.sum = self.sum + x
        return self.sum


@pytest.mark.parametrize("kernels", ["reference", "micro"])
def test_options_come_from_a_flexbuffer(kernels: str) -> None:
    rq.register_custom_operator("Scaled", scaled)
    interpreter = prepared(custom("Scaled", bytes(flexbuffers.Dumps({"factor": 2.5}))), kernels)
    assert run(interpreter, [2, -4]) == [5, -10]


def test_state_lives_from_invoke_to_invoke_until_it_is_reset() -> None:
    rq.register_custom_operator("RunningSum", RunningSum)
    interpreter = prepared(custom("RunningSum"))
    assert run(interpreter, [2, -4]) == [2, -4]
    assert run(interpreter, [1, 1]) == [3, -3]
    interpreter.reset_all_variables()
    assert run(interpreter, [1, 1]) == [1, 1]


def test_a_name_that_is_registered_again_gets_the_new_kernel() -> None:
    rq.register_custom_operator("Again", RunningSum)
    old = prepared(custom("Again"))
    rq.register_custom_operator("Again", scaled)
    assert run(old, [1, 2]) == [1, 2]
    new = prepared(custom("Again", bytes(flexbuffers.Dumps({"factor": -1}))))
    assert run(new, [1, 2]) == [-1, -2]


def test_what_is_wrong_is_named() -> None:
    with pytest.raises(rq.UnsupportedOperatorError, match=r"Nobodys.*rq.register_custom_operator"):
        prepared(custom("Nobodys"))
    rq.register_custom_operator("Scaled", scaled)
    with pytest.raises(rq.InvalidModelError, match=r"operator 0 \(Scaled\).*5 bytes of options are no FlexBuffer"):
        prepared(custom("Scaled", b"\0\1\2\3\5"))
    with pytest.raises(rq.InvalidModelError, match="factor"):
        prepared(custom("Scaled"))
    with pytest.raises(rq.InvalidInputError, match="name of a custom operator"):
        rq.register_custom_operator("", scaled)
    with pytest.raises(rq.InvalidInputError, match="must be a function"):
        rq.register_custom_operator("Scaled", 5)  # type: ignore[arg-type]
    rq.register_custom_operator("Wrong", lambda op: lambda x: x.astype(np.int32))
    with pytest.raises(rq.InvalidModelError, match="should be float32"):
        run(prepared(custom("Wrong")), [1, 2])
