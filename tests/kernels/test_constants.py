"""How often something is made of a tensor: of constants once, of what may change in each run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refquant.kernels.constants import made_once, made_once_of_all, once_if_constant
from refquant.kernels.registry import TensorInfo
from refquant.tflite.schema import TensorType

NONE = np.empty(0, np.float32)
X = np.float32([1, 2])


def tensor(**facts: Any) -> TensorInfo:
    return TensorInfo(0, "x", TensorType.FLOAT32, np.dtype(np.float32), (2,), NONE, NONE.astype(np.int64), **facts)


class Doubled:
    """Doubles, and counts how often."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, *arrays: Any) -> Any:
        self.calls += 1
        return [2 * array for array in arrays if array is not None]


@pytest.mark.parametrize(
    ("facts", "planned", "run"),
    [({"value": X}, 1, 1), ({"is_fixed": True}, 0, 1), ({"is_variable": True}, 0, 3), ({}, 0, 3)],
)
def test_of_one_tensor(facts: dict[str, Any], planned: int, run: int) -> None:
    double = Doubled()
    doubled = made_once(tensor(**facts), double)
    assert double.calls == planned
    assert all(doubled(X)[0].tolist() == [2, 4] for _ in range(3)) and double.calls == run


@pytest.mark.parametrize(
    ("facts", "planned", "run"),
    [([{"value": X}, {"value": X}], 1, 1), ([{"value": X}, {"is_fixed": True}], 0, 1), ([{"value": X}, {}], 0, 3)],
)
def test_of_several_tensors(facts: list[dict[str, Any]], planned: int, run: int) -> None:
    double = Doubled()
    doubled = made_once_of_all([*(tensor(**each) for each in facts), None], double)
    assert double.calls == planned
    assert all(len(doubled(X, X, None)) == 2 for _ in range(3)) and double.calls == run


def test_results_of_constants_are_kept() -> None:
    for facts, calls in (({"value": X}, 1), ({"is_fixed": True}, 1), ({}, 3)):
        double = Doubled()
        run = once_if_constant(tensor(**facts), double)
        assert double.calls == 0
        assert all(run(X)[0].tolist() == [2, 4] for _ in range(3)) and double.calls == calls
