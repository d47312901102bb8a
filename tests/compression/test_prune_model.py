"""Pruning of whole models: masks in the layout of Keras, what is chosen, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refquant import data
from refquant.compression.pruning import (
    ConstantSparsity,
    PolynomialDecay,
    is_pruned_m_by_n,
    magnitude_mask,
    prune_model,
    sparsity_of,
)
from refquant.compression.weights import find_weights, replace_constants
from refquant.errors import InvalidInputError
from refquant.testing import TensorSpec, single_operator_model
from refquant.tflite.model import Model
from refquant.tflite.schema import GatherOptions, TensorType

DENSE = "functional_1/dense_1/MatMul"


@pytest.fixture
def digits() -> Model:
    return Model.read(data.DIGITS_FLOAT)


def weights(model: Model) -> dict[str, Any]:
    return {weight.name: weight.array for weight in find_weights(model)[0]}


def test_every_weight_has_the_mask_of_its_kernel(digits: Model) -> None:
    result = prune_model(digits, 0.75)
    before, after = weights(digits), weights(Model.read(result.model.tobytes()))
    assert [tensor.operator for tensor in result.tensors] == ["CONV_2D"] * 3 + ["FULLY_CONNECTED"] * 2
    for tensor in result.tensors:
        threshold = np.sort(np.abs(before[tensor.name]).ravel())[::-1][round(before[tensor.name].size * 0.25) - 1]
        assert tensor.threshold == threshold
        kept = np.abs(before[tensor.name]) >= threshold
        assert np.array_equal(after[tensor.name], np.where(kept, before[tensor.name], 0))
        assert tensor.reached == sparsity_of(after[tensor.name])
    assert [(s.operator, s.reason.split()[0]) for s in result.skipped] == [("DEPTHWISE_CONV_2D", "depthwise")]


def test_nothing_else_changes(digits: Model) -> None:
    result = prune_model(digits, 0.5, operators=[DENSE])
    old, new = digits.subgraphs[0].tensors or [], result.model.subgraphs[0].tensors or []
    changed = [
        a.name for a, b in zip(old, new) if not np.array_equal(digits.buffer(a.buffer), result.model.buffer(b.buffer))
    ]
    assert changed == [DENSE]
    assert weights(digits)[DENSE].all(), "the model that was given is as it was"


def test_a_shared_buffer_keeps_its_other_tensor(digits: Model) -> None:
    tensors = digits.subgraphs[0].tensors or []
    first = next(t for t in tensors if t.name == DENSE)
    bias = next(t for t in tensors if t.name != DENSE and digits.buffer(t.buffer).size == 0)
    bias.buffer = first.buffer
    index = next(i for i, t in enumerate(tensors) if t is first)
    result = replace_constants(digits, {(0, index): np.zeros((32, 32), np.float32)})
    assert digits.buffer(first.buffer).any() and result.buffer(bias.buffer).any()
    assert not result.constant((result.subgraphs[0].tensors or [])[index]).any()  # type: ignore[union-attr]


def test_blocks_and_groups_are_those_of_the_kernel(digits: Model) -> None:
    """A block of inputs x outputs: in the file, which is turned round, 4 inputs are 4 columns."""
    pruned = weights(prune_model(digits, 0.5, operators=[DENSE], block_size=(4, 1)).model)[DENSE]
    mask = magnitude_mask(weights(digits)[DENSE].T, 0.5, (4, 1)).mask.T
    assert np.array_equal(pruned != 0, mask != 0)
    blocks = (pruned != 0).reshape(32, 8, 4)
    assert np.array_equal(blocks.all(2), blocks.any(2)) and not blocks.all()
    groups = weights(prune_model(digits, sparsity_m_by_n=(2, 4)).model)
    assert is_pruned_m_by_n(groups[DENSE], (2, 4), "C_IN")


def test_each_its_own_sparsity(digits: Model) -> None:
    result = prune_model(digits, operators={"*dense*": 0.25, "FULLY_CONNECTED": 0.5})
    assert [(t.name, t.reached) for t in result.tensors] == [(DENSE, 0.25), ("functional_1/digit_1/MatMul", 0.5)]
    assert [s.reason for s in result.skipped].count("not chosen") == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "give a sparsity"),
        ({"sparsity": 1.0}, r"sparsity must be in \[0, 1\)"),
        ({"sparsity": float("nan")}, r"sparsity must be in \[0, 1\)"),
        ({"sparsity": 0.5, "operators": ["functional_1/dense_1/Matmul"]}, "close are 'functional_1/dense_1/MatMul'"),
        ({"sparsity": 0.5, "operators": ["DEPTHWISE_CONV_2D"]}, "depthwise filters are left alone"),
        ({"sparsity": 0.5, "operators": DENSE}, "must be a list"),
        ({"operators": {"*": 2.0}}, "the sparsity of"),
        ({"sparsity": 0.5, "operators": [DENSE], "block_size": (33, 1)}, "dense_1/MatMul' of FULLY_CONNECTED: a block"),
        ({"sparsity": 0.5, "operators": ["CONV_2D"], "block_size": (2, 1)}, "two dimensions"),
    ],
)
def test_refused(digits: Model, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        prune_model(digits, **arguments)


def test_nan_is_named(digits: Model) -> None:
    index = next(i for i, t in enumerate(digits.subgraphs[0].tensors or []) if t.name == DENSE)
    broken = replace_constants(digits, {(0, index): np.full((32, 32), np.nan, np.float32)})
    with pytest.raises(InvalidInputError, match=f"weight '{DENSE}' of FULLY_CONNECTED hold NaN"):
        prune_model(broken, 0.5)


def test_a_quantized_model_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"no float32 weights to prune; .*it is INT8.*before quantization"):
        prune_model(Model.read(data.DIGITS_INT8), 0.5)


def test_a_schedule_goes_through_its_steps(digits: Model) -> None:
    """Each step masks what the last one left, up to the final sparsity."""
    schedule = PolynomialDecay(0.2, 0.7, begin_step=0, end_step=4, frequency=2)
    result = prune_model(digits, schedule)
    before, after = (find_weights(model)[0] for model in (digits, result.model))
    for old, new in zip(before, after, strict=True):
        kernel = old.to_keras(old.array)
        for step in (0, 2, 4):
            kernel = kernel * magnitude_mask(kernel, float(schedule(step)[1])).mask
        assert new.to_keras(new.array).tobytes() == kernel.tobytes()
    assert {tensor.sparsity for tensor in result.tensors} == {float(np.float32(0.7))}
    assert prune_model(digits, ConstantSparsity(0.5, 100)).tensors[0].reached == 0.5


def test_a_table_of_words_is_pruned() -> None:
    table = np.arange(1, 13, dtype=np.float32).reshape(4, 3)
    model = single_operator_model(
        "GATHER",
        [TensorSpec(TensorType.FLOAT32, data=table), TensorSpec(TensorType.INT32, (2,))],
        [TensorSpec(TensorType.FLOAT32)],
        GatherOptions(),
    )
    (pruned,) = find_weights(prune_model(model, 0.5).model)[0]
    assert pruned.array.ravel().tolist() == [0] * 6 + [7, 8, 9, 10, 11, 12]


@pytest.mark.parametrize("sparsity", [np.float32(np.nan), PolynomialDecay(0, 0.5, 0, 10**6, frequency=1)])
def test_schedules_refused(digits: Model, sparsity: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"in \[0, 1\)|prunes 1000001 times"):
        prune_model(digits, sparsity)
