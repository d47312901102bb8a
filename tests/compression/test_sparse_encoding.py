"""Sparse encoding: what `sparsify` makes, `densify` undoes; which weights of a model are encoded, and how."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import refquant as rq
from refquant.compression.pruning.sparse_encoding import decode_sparse, encode_sparse, sparse_choices
from refquant.errors import InvalidInputError
from refquant.testing import sparse
from refquant.testing.build import OperatorSpec, SubgraphSpec, TensorSpec, model_of, single_operator_model
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType
from refquant.tflite.sparsity import densify, sparsify

FLOAT32, FLOAT16, INT8 = TensorType.FLOAT32, TensorType.FLOAT16, TensorType.INT8


@st.composite
def _layouts(draw):  # type: ignore[no-untyped-def]
    rank = draw(st.integers(1, 4))
    shape = [draw(st.sampled_from([1, 2, 3, 4, 6])) for _ in range(rank)]
    blocked = [d for d in range(rank) if shape[d] % 2 == 0 and draw(st.booleans())]
    order = draw(st.permutations(range(rank))) + [rank + i for i in draw(st.permutations(range(len(blocked))))]
    formats = [d < rank and draw(st.booleans()) for d in order]
    values = st.sampled_from([0.0] * 6 + [-0.0, 1.5, -2.0, np.nan, np.inf])
    dense = draw(arrays.arrays(draw(st.sampled_from([np.float32, np.float16])), shape, elements=values))
    return dense, list(order), formats, dict.fromkeys(blocked, 2)


@settings(deadline=None)
@given(_layouts())
def test_densify_undoes_sparsify(layout) -> None:  # type: ignore[no-untyped-def]
    dense, order, formats, blocks = layout
    values, table = sparsify(dense, order, formats, blocks)
    back = densify(values, dense.shape, table, "w")
    np.testing.assert_array_equal(back, dense)
    sure = dense != 0
    unsigned = f"u{dense.itemsize}"
    assert np.array_equal(back[sure].view(unsigned), dense[sure].view(unsigned))


@settings(deadline=None)
@given(_layouts())
def test_sparsify_is_the_encoder_that_goes_level_by_level(layout) -> None:  # type: ignore[no-untyped-def]
    dense, order, formats, blocks = layout
    values, table = sparsify(dense, order, formats, blocks)
    slow, levels = sparse.encode(dense, order, formats, blocks)
    assert values.tobytes() == slow.tobytes()
    assert table.traversal_order.tolist() == order and table.block_map.tolist() == list(blocks)
    for mine, other in zip(table.dim_metadata, levels.dim_metadata):
        assert (mine.format, mine.dense_size) == (other.format, other.dense_size)
        if mine.format:
            assert mine.array_segments.values.tolist() == other.array_segments.values.tolist()
            assert mine.array_indices.values.tolist() == other.array_indices.values.tolist()


def test_indices_are_as_narrow_as_they_can_be() -> None:
    for size, kind in ((256, schema.Uint8Vector), (257, schema.Uint16Vector), (65537, schema.Int32Vector)):
        dense = np.zeros((1, size), np.int8)
        dense[0, -1] = 1
        level = sparsify(dense, [0, 1], [False, True])[1].dim_metadata[1]
        assert type(level.array_indices) is kind and type(level.array_segments) is schema.Uint8Vector


@pytest.mark.parametrize(
    ("order", "formats", "blocks", "why"),
    [
        ([0], [True], {}, "go through 2 dimensions"),
        ([0, 1], [True], {}, "1 formats"),
        ([0, 1, 2], [True] * 3, {1: 4}, "not whole blocks of 4"),
        ([0, 1, 2], [True] * 3, {1: 0}, "not whole blocks of 0"),
        ([0, 1, 2], [True] * 3, {7: 2}, "not of dimensions"),
    ],
)
def test_layouts_that_do_not_fit_are_refused(order, formats, blocks, why) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InvalidInputError, match=why):
        sparsify(np.ones((2, 6), np.float32), order, formats, blocks)


def _dense_layer(weights: np.ndarray, scale: float | None = None) -> Model:
    kind = {np.dtype(np.float32): FLOAT32, np.dtype(np.int8): INT8}[weights.dtype]
    x = TensorSpec(FLOAT32, (1, weights.shape[1]))
    y = TensorSpec(FLOAT32, (1, weights.shape[0]))
    w = TensorSpec(kind, data=weights, scale=scale, name="w")
    return single_operator_model("FULLY_CONNECTED", [x, w, None], [y], schema.FullyConnectedOptions())


def _names(model: Model) -> list[str]:
    return [model.operator_name(operator) for operator in model.subgraphs[0].operators]


def _outputs(model: Model) -> list[np.ndarray]:
    interpreter = rq.Interpreter(model_content=model.tobytes())
    interpreter.allocate_tensors()
    x = interpreter.get_input_details()[0]
    interpreter.set_tensor(x["index"], np.arange(np.prod(x["shape"]), dtype=np.float32).reshape(x["shape"]))
    interpreter.invoke()
    return [interpreter.get_tensor(y["index"]) for y in interpreter.get_output_details()]


def test_three_tenths_of_zeros_are_enough() -> None:
    weights = np.ones((2, 10), np.float32)
    weights[0, :6] = weights[1, 0] = 0
    weights[1, 0] = 1  # six of twenty
    (choice,) = sparse_choices(_dense_layer(weights))
    assert choice.encoded and choice.densify and choice.block == 1
    assert choice.sparsity == np.float32(0.3)
    weights[0, 0] = 1
    model = _dense_layer(weights)
    (choice,) = sparse_choices(model)
    assert not choice.encoded and "three tenths" in choice.reason
    assert encode_sparse(model) is model


@pytest.mark.parametrize(("dtype", "block"), [(np.float32, 4), (np.int8, 16)])
def test_zeros_in_blocks_need_no_densify(dtype, block) -> None:  # type: ignore[no-untyped-def]
    weights = np.ones((2, 2 * block), dtype)
    weights[0, :block] = weights[1, block:] = 0
    model = _dense_layer(weights, 0.5 if dtype == np.int8 else None)
    encoded = encode_sparse(model)
    assert _names(encoded) == ["FULLY_CONNECTED"]
    tensor = encoded.tensor("w")
    assert tensor.sparsity.dim_metadata[1].array_indices.values.tolist() == [1, 0]
    assert encoded.buffer(tensor.buffer).size == 2 * block * weights.itemsize
    np.testing.assert_array_equal(encoded.constant(tensor), weights)
    assert encoded.operator_version(encoded.subgraphs[0].operators[0]) == 8


def test_rows_that_are_not_whole_blocks_are_not_cut() -> None:
    weights = np.zeros((2, 18), np.float32)
    weights[1, 16:] = 3
    model = _dense_layer(weights)
    encoded = encode_sparse(model)
    assert _names(encoded) == ["DENSIFY", "FULLY_CONNECTED"]
    assert _outputs(encoded)[0].tolist() == _outputs(model)[0].tolist() == [[0.0, 99.0]]


def test_weights_of_two_operators_get_one_densify() -> None:
    weights = np.zeros((4, 4), np.float32)
    weights[0] = 2
    tensors = [TensorSpec(FLOAT32, (1, 4)), TensorSpec(FLOAT32, data=weights)]
    tensors += [TensorSpec(FLOAT32, (1, 4)), TensorSpec(FLOAT32, (1, 4))]
    options = schema.FullyConnectedOptions()
    operators = [
        OperatorSpec("FULLY_CONNECTED", [0, 1, -1], [2], options),
        OperatorSpec("FULLY_CONNECTED", [2, 1, -1], [3], options),
    ]
    model = model_of(SubgraphSpec(tensors, operators, [0], [3]))
    before = model.tobytes()
    encoded = Model.read(encode_sparse(model).tobytes())
    assert model.tobytes() == before
    assert _names(encoded) == ["DENSIFY", "FULLY_CONNECTED", "FULLY_CONNECTED"]
    assert _outputs(encoded)[0].tolist() == _outputs(model)[0].tolist() == [[24.0, 0.0, 0.0, 0.0]]
    decoded = decode_sparse(encoded)
    assert _names(decoded) == ["FULLY_CONNECTED", "FULLY_CONNECTED"]
    assert len(decoded.subgraphs[0].tensors) == 4
    np.testing.assert_array_equal(decoded.constant(decoded.subgraphs[0].tensors[1]), weights)
    assert all(not choice.encoded for choice in sparse_choices(encoded))
    assert encode_sparse(encoded) is encoded


def test_weights_of_zeros_only() -> None:
    model = _dense_layer(np.zeros((4, 4), np.float32))
    assert not sparse_choices(model)[0].encoded
    assert encode_sparse(model) is model
