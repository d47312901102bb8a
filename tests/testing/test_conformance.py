"""`compare`: how often it asks a runtime that does not answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from refquant.errors import RuntimeDiedError, RuntimeTimeoutError
from refquant.testing.build import TensorSpec, single_operator_model
from refquant.testing.conformance import Outcome, compare
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType

X = np.float32([1, -2])
RELU = single_operator_model("RELU", [TensorSpec(TensorType.FLOAT32, (2,))], [TensorSpec(TensorType.FLOAT32)])


class Failing:
    """Raises these errors, one after the other, then answers."""

    def __init__(self, *errors: RuntimeDiedError) -> None:
        self.errors, self.asked = list(errors), 0

    def run_sequence(self, model: Model, samples: Sequence[Sequence[Any]]) -> list[list[Any]]:
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)
        return [[np.float32([1, 0])]]


@pytest.mark.parametrize(
    "errors, outcome, asked",
    [
        ([], Outcome.EQUAL, 1),
        ([RuntimeDiedError("of an earlier model")], Outcome.EQUAL, 2),
        ([RuntimeDiedError("of this"), RuntimeDiedError("of this")], Outcome.DIED, 2),
        ([RuntimeTimeoutError("gave no answer")], Outcome.DIED, 1),
    ],
)
def test_a_crash_is_asked_for_twice_but_not_a_timeout(
    errors: list[RuntimeDiedError], outcome: Outcome, asked: int
) -> None:
    peer = Failing(*errors)
    assert compare(RELU, [[X]], peer).outcome is outcome
    assert peer.asked == asked
