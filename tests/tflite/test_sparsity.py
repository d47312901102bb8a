"""Sparse tensors: what their encoding means, and what contradicts itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refquant.errors import InvalidModelError, UnsupportedOperatorError
from refquant.interpreter import Interpreter
from refquant.testing import sparse
from refquant.testing.build import TensorSpec, single_operator_model
from refquant.tflite import schema
from refquant.tflite.schema import TensorType
from refquant.tflite.sparsity import densify


def test_a_matrix_by_hand() -> None:
    """Rows dense, columns sparse: 3 values in row 0, none in row 1, one in row 2."""
    table = schema.SparsityParameters(
        traversal_order=[0, 1],
        dim_metadata=[
            schema.DimensionMetadata(dense_size=3),
            schema.DimensionMetadata(
                format=schema.DimensionType.SPARSE_CSR,
                array_segments=schema.Uint8Vector(values=[0, 3, 3, 4]),
                array_indices=schema.Uint8Vector(values=[0, 1, 3, 2]),
            ),
        ],
    )
    dense = densify(np.int8([5, 6, 7, 8]), (3, 4), table, "w")
    assert dense.tolist() == [[5, 6, 0, 7], [0, 0, 0, 0], [0, 0, 8, 0]]


@st.composite
def sparse_tensors(draw: st.DrawFn) -> tuple[Any, Any, Any]:
    """A tensor, its stored values and their encoding: any order, any levels, blocks in any dimensions."""
    rank = draw(st.integers(1, 3))
    shape = [draw(st.sampled_from([1, 2, 4, 6])) for _ in range(rank)]
    blocked = [d for d in range(rank) if shape[d] % 2 == 0 and draw(st.booleans())]
    order = draw(st.permutations(range(rank))) + [rank + i for i in draw(st.permutations(range(len(blocked))))]
    formats = [d < rank and draw(st.booleans()) for d in order]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dense = rng.integers(-9, 10, shape) * (rng.random(shape) < 0.4)
    return dense, list(order), (formats, dict.fromkeys(blocked, 2))


@given(case=sparse_tensors())
def test_what_was_encoded(case: tuple[Any, Any, Any]) -> None:
    dense, order, (formats, blocks) = case
    values, table = sparse.encode(dense, order, formats, blocks)
    np.testing.assert_array_equal(densify(values, dense.shape, table, "w"), dense)


def _matrix() -> Any:
    return sparse.encode(np.eye(4, dtype=np.int8), [0, 1], [False, True], {})


def _csr(table: Any) -> Any:
    return table.dim_metadata[1]


CONTRADICTIONS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "order": (lambda t: setattr(t, "traversal_order", [0, 0]), "traversal order"),
    "levels": (lambda t: t.dim_metadata.pop(), "1 levels do not fit"),
    "no order": (lambda t: setattr(t, "traversal_order", None), "traversal order"),
    "blocks": (lambda t: (setattr(t, "block_map", [7]), setattr(t, "traversal_order", [0, 1, 2])), "do not fit"),
    "dense": (lambda t: setattr(t.dim_metadata[0], "dense_size", 2**31 - 1), "1 times 2147483647 places"),
    "negative": (lambda t: setattr(t.dim_metadata[0], "dense_size", -1), "1 times -1 places"),
    "few segments": (lambda t: setattr(_csr(t).array_segments, "values", [0, 1]), "too few"),
    "no segments": (lambda t: setattr(_csr(t), "array_segments", None), "too few"),
    "falling": (lambda t: setattr(_csr(t).array_segments, "values", [0, 3, 2, 3, 4]), "not in order"),
    "beyond": (lambda t: setattr(_csr(t).array_segments, "values", [0, 1, 2, 3, 9]), "segments up to 9, but 4"),
    "outside": (lambda t: setattr(_csr(t).array_indices, "values", [0, 1, 2, 4]), "a value at 4 of dimension 1"),
    "below": (lambda t: setattr(_csr(t), "array_indices", schema.Int32Vector(values=[0, -1, 2, 3])), "a value at 3"),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_contradictions_are_named(name: str) -> None:
    change, message = CONTRADICTIONS[name]
    values, table = _matrix()
    change(table)
    with pytest.raises(InvalidModelError, match=f"sparse tensor 'w' .*{message}"):
        densify(values, (4, 4), table, "w")


def test_a_small_file_cannot_ask_for_all_memory() -> None:
    values, table = _matrix()
    with pytest.raises(InvalidModelError, match="more than 1073741824 bytes"):
        densify(values, (2**20, 2**20), table, "w")


def test_other_operators_refuse_sparse_inputs() -> None:
    values, table = _matrix()
    model = single_operator_model(
        "RELU", [TensorSpec(TensorType.INT8, (4, 4), 1.0, data=values, sparsity=table)], [TensorSpec(TensorType.INT8)]
    )
    with pytest.raises(UnsupportedOperatorError, match="sparse inputs"):
        Interpreter(model=model).allocate_tensors()
