"""Pruning step by step in loops of NumPy, PyTorch and JAX."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

import refquant as rq
from refquant.compression.pruning import ConstantSparsity, PolynomialDecay, Pruner
from refquant.errors import InvalidInputError, RuntimeUnavailableError

WEIGHTS = np.array([[4.0, -1.0], [3.0, 2.0]], np.float32)


def test_steps_are_counted_from_one() -> None:
    """Begin 2, frequency 2: steps 2 and 4 prune. At step 3 the mask of step 2 holds, and at 4 weights come back."""
    pruner = Pruner(ConstantSparsity(0.5, begin_step=2, frequency=2))
    assert pruner.step(WEIGHTS).tolist() == WEIGHTS.tolist() and pruner.thresholds == {"weights": 0}
    assert pruner.step(WEIGHTS).tolist() == [[4, 0], [3, 0]] and pruner.thresholds == {"weights": 3}
    other = np.array([[1.0, 9.0], [2.0, 8.0]], np.float32)
    assert pruner.step(other).tolist() == [[1, 0], [2, 0]] and pruner.sparsities == {"weights": 0.5}
    assert pruner.step(other).tolist() == [[0, 9], [0, 8]] and pruner.steps == 4


def test_two_of_four_once() -> None:
    """m-by-n masks are made at step 1 and stay, whatever the schedule says."""
    pruner = Pruner(ConstantSparsity(0.9, begin_step=100), sparsity_m_by_n=(1, 2))
    assert pruner.step(WEIGHTS).tolist() == [[4, 0], [0, 2]]
    assert pruner.step(WEIGHTS[::-1]).tolist() == [[3, 0], [0, -1]]


def test_a_state_goes_on() -> None:
    schedule = PolynomialDecay(0.0, 0.75, begin_step=0, end_step=6, frequency=2)
    first = Pruner(schedule)
    weights = {"a": np.arange(1, 9, dtype=np.float32), "b": np.arange(-8, 8, dtype=np.float32).reshape(4, 4)}
    for _ in range(4):
        first.step(weights)
    second = Pruner(schedule)
    second.restore(first.state())
    for name, array in first.step(weights).items():
        assert array.tobytes() == second.step(weights)[name].tobytes() if name == "a" else True
    assert second.masks.keys() == {"a", "b"}
    for name, array in second.apply(weights).items():
        np.testing.assert_array_equal(array, first.apply(weights)[name])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda p: Pruner(0.5), "must be a PruningSchedule"),
        (lambda p: Pruner(ConstantSparsity(0.5, 0), block_size=(0, 1)), "block_size must be"),
        (lambda p: Pruner(ConstantSparsity(0.5, 0), sparsity_m_by_n=(4, 4)), "m must be below n"),
        (lambda p: Pruner(ConstantSparsity(0.5, 0), block_size=(3, 3)).step(WEIGHTS), "larger than shape"),
        (lambda p: Pruner(ConstantSparsity(0.5, 0), sparsity_m_by_n=(2, 4)).step(WEIGHTS[0]), "two or four dimensions"),
        (lambda p: p.step(WEIGHTS[:1]), "has shape .1, 2., and had .2, 2. before"),
        (lambda p: p.step({"other": WEIGHTS}), "and were"),
        (lambda p: p.step(np.array([["a"]])), "must be real numbers"),
        (lambda p: p.restore({"steps": np.array(1), "mask/a": WEIGHTS}), "threshold/a"),
    ],
)
def test_refused(call: Any, words: str) -> None:
    pruner = Pruner(ConstantSparsity(0.5, 0, frequency=1))
    pruner.step(WEIGHTS)
    with pytest.raises(InvalidInputError, match=words):
        call(pruner)


def test_nan_changes_nothing() -> None:
    pruner = Pruner(ConstantSparsity(0.5, 0, frequency=1))
    pruner.step(WEIGHTS)
    before = pruner.state()
    with pytest.raises(InvalidInputError, match="weights hold NaN"):
        pruner.step(np.full((2, 2), np.nan, np.float32))
    assert {name: array.tolist() for name, array in pruner.state().items()} == {
        name: array.tolist() for name, array in before.items()
    }


def test_recipe_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.Linear(4, 4)
    pruner = Pruner(ConstantSparsity(0.5, 0, frequency=1))
    kernels = {name: p for name, p in model.named_parameters() if p.ndim > 1}
    before = kernels["weight"].detach().clone()
    pruned = pruner.step({name: p.detach().cpu().numpy() for name, p in kernels.items()})
    with torch.no_grad():
        for name, p in kernels.items():
            p.copy_(torch.from_numpy(pruned[name]))
    assert int((model.weight == 0).sum()) == 8
    assert torch.equal(model.weight[model.weight != 0], before[model.weight != 0])


def test_recipe_of_jax() -> None:
    jax = pytest.importorskip("jax")
    params = {"kernel": jax.numpy.asarray(WEIGHTS), "bias": jax.numpy.zeros(2)}
    pruner = Pruner(ConstantSparsity(0.5, 0, frequency=1))

    @jax.jit
    def train_step(params: dict[str, Any]) -> dict[str, Any]:
        gradients = jax.grad(lambda p: ((p["kernel"].sum(0) + p["bias"]) ** 2).sum())(params)
        return {name: value - 0.5 * gradients[name] for name, value in params.items()}

    params = {**params, **pruner.step({name: params[name] for name in ("kernel",)})}
    assert params["kernel"].tolist() == [[4, 0], [3, 0]]
    assert train_step(params)["kernel"].tolist() == [[-3, 0], [-4, 0]]


@pytest.mark.parametrize(("room", "name"), [("pruning", "prune_low_magnitude"), ("clustering", "strip_clustering")])
def test_without_keras_it_is_said_what_is_missing(monkeypatch: pytest.MonkeyPatch, room: str, name: str) -> None:
    monkeypatch.setitem(sys.modules, "keras", None)
    monkeypatch.delitem(sys.modules, f"refquant.compression.{room}.training", raising=False)
    with pytest.raises(RuntimeUnavailableError, match="keras is not installed"):
        getattr(getattr(rq, room), name)
