"""Rows of tables, hashes and words."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from refquant.testing.build import TensorSpec, scale_in_blocks, single_operator_model
from refquant.testing.strategies.catalogue import Case, strategy
from refquant.testing.strategies.drawing import (
    Array,
    constant_or_input,
    generators,
    numbers,
    quantized,
    scales,
)
from refquant.tflite.schema import (
    CombinerType,
    EmbeddingLookupSparseOptions,
    LSHProjectionOptions,
    LSHProjectionType,
    SkipGramOptions,
    TensorType,
)
from refquant.tflite.tensor_types import numpy_dtype

FLOAT32, FLOAT16, INT32, STRING = TensorType.FLOAT32, TensorType.FLOAT16, TensorType.INT32, TensorType.STRING
INT8, UINT8, INT4, INT2 = TensorType.INT8, TensorType.UINT8, TensorType.INT4, TensorType.INT2
PLAIN = [
    FLOAT32,
    INT8,
    UINT8,
    TensorType.INT16,
    INT32,
    TensorType.INT64,
    TensorType.BOOL,
    FLOAT16,
    TensorType.FLOAT64,
    TensorType.UINT16,
    TensorType.UINT32,
    TensorType.UINT64,
    TensorType.COMPLEX64,
    TensorType.BFLOAT16,
]


def _table(draw: st.DrawFn, max_rank: int = 4) -> tuple[int, ...]:
    return (draw(st.integers(1, 6)), *draw(st.lists(st.integers(1, 5), min_size=1, max_size=max_rank - 1)))


def _ids(draw: st.DrawFn, rows: int) -> tuple[TensorSpec, list[Array]]:
    return constant_or_input(draw, INT32, draw(st.lists(st.integers(0, rows - 1), max_size=7)))


@strategy("EMBEDDING_LOOKUP", [*PLAIN, INT4])
def embedding_lookup(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Rows as they are, of a table of 2 to 4 dimensions, constant or not; int8 and uint8 quantized or not.

    Rows of int4 are whole bytes.
    """
    shape = _table(draw)
    if type == INT4:
        shape = (*shape, 2)
    ids, given = _ids(draw, shape[0])
    values = numbers(draw(generators), type, shape)
    table = draw(quantized(type)) if type in (INT8, UINT8) and draw(st.booleans()) else TensorSpec(type)
    out = TensorSpec(type, (), table.scale, table.zero_point)
    if draw(st.booleans()):
        table.data = values
    else:
        table.shape = shape
        given = [*given, values]
    return Case(single_operator_model(operator, [ids, table], [out]), [given])


@strategy(
    "EMBEDDING_LOOKUP",
    {f"{table.name} to {out.name}": (table, out) for table in (INT8, UINT8, INT4, INT2) for out in (FLOAT32, FLOAT16)},
)
def embedding_lookup_to_float(draw: st.DrawFn, operator: str, types: tuple[TensorType, TensorType]) -> Case:
    """Rows of a constant table with one scale, or one for each row, as floats."""
    type, out = types
    shape = _table(draw)
    ids, given = _ids(draw, shape[0])
    scale: Any = [draw(scales) for _ in range(shape[0])] if draw(st.booleans()) else draw(scales)
    table = TensorSpec(type, (), scale, data=numbers(draw(generators), type, shape))
    return Case(single_operator_model(operator, [ids, table], [TensorSpec(out)]), [given])


@strategy("EMBEDDING_LOOKUP", {"INT4 blocks to FLOAT32": FLOAT32, "INT4 blocks to FLOAT16": FLOAT16})
def embedding_lookup_in_blocks(draw: st.DrawFn, operator: str, out: TensorType) -> Case:
    """Rows of a constant matrix of int4 with a scale for each block of 1 to 32 numbers in a row, as floats."""
    rows, blocks, size = draw(st.integers(1, 5)), draw(st.integers(1, 3)), draw(st.sampled_from([1, 2, 3, 4, 7, 32]))
    ids, given = _ids(draw, rows)
    rng = draw(generators)
    table = TensorSpec(INT4, data=numbers(rng, INT4, (rows, blocks * size)))
    model = single_operator_model(operator, [ids, table], [TensorSpec(out)])
    scale_in_blocks(model, 1, numbers(rng, FLOAT16, (rows, blocks)), size)
    return Case(model, [given])


@strategy("EMBEDDING_LOOKUP_SPARSE", [FLOAT32])
def embedding_lookup_sparse(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Buckets of 1 to 3 dimensions, most often sorted, combined in each of the three ways."""
    shape = _table(draw)
    rng = draw(generators)
    dense = draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    count = draw(st.integers(0, 8))
    ids = rng.integers(0, shape[0], count).astype(np.int32)
    indices = rng.integers(0, dense, (count, len(dense))).astype(np.int32)
    if draw(st.integers(0, 3)):
        indices = indices[np.lexsort(indices.T[::-1])]
    options = EmbeddingLookupSparseOptions(combiner=draw(st.sampled_from(list(CombinerType))))
    tensors = [
        constant_or_input(draw, kind, value)
        for kind, value in (
            (INT32, ids),
            (INT32, indices),
            (INT32, dense),
            (FLOAT32, numbers(rng, FLOAT32, (count,))),
            (FLOAT32, numbers(rng, FLOAT32, shape)),
        )
    ]
    model = single_operator_model(operator, [spec for spec, _ in tensors], [TensorSpec(type)], options)
    return Case(model, [[array for _, given in tensors for array in given]])


@strategy("HASHTABLE_LOOKUP", [*PLAIN, STRING])
def hashtable_lookup(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Sorted keys, some of them equal, with rows of 0 to 3 dimensions."""
    keys = np.array(sorted(draw(st.lists(st.integers(-9, 9), min_size=1, max_size=8))), np.int32)
    wanted = draw(st.lists(st.integers(-10, 10), min_size=1, max_size=8))
    shape = [len(keys), *([] if type == STRING else draw(st.lists(st.integers(1, 3), max_size=3)))]
    values = numbers(draw(generators), type, shape)
    tensors = [
        constant_or_input(draw, INT32, wanted),
        constant_or_input(draw, INT32, keys),
        (TensorSpec(type, data=values), []) if draw(st.booleans()) else (TensorSpec(type, shape), [values]),
    ]
    outputs = [TensorSpec(type), TensorSpec(UINT8)]
    model = single_operator_model(operator, [spec for spec, _ in tensors], outputs)
    return Case(model, [[array for _, given in tensors for array in given]])


@strategy("LSH_PROJECTION", PLAIN)
def lsh_projection(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Items of 1 to some 150 bytes, with weights or without, to bits (DENSE) or numbers made of them (SPARSE)."""
    rng = draw(generators)
    seeds = numbers(rng, FLOAT32, (draw(st.integers(1, 4)), draw(st.integers(1, 32))))
    shape = [draw(st.integers(1, 4)), *draw(st.lists(st.integers(1, 6), max_size=2))]
    if draw(st.integers(0, 3)) == 0:
        shape = [2, draw(st.integers(1, 150)) // numpy_dtype(type).itemsize + 1]
    x = numbers(rng, type, shape)
    kind = draw(st.sampled_from([LSHProjectionType.SPARSE, LSHProjectionType.DENSE]))
    inputs, given = [TensorSpec(FLOAT32, data=seeds), TensorSpec(type, shape)], [x]
    if draw(st.booleans()):
        inputs.append(TensorSpec(FLOAT32, shape[:1]))
        given.append(rng.standard_normal(shape[0]).astype(np.float32))
    model = single_operator_model(operator, inputs, [TensorSpec(INT32)], LSHProjectionOptions(type=kind))
    return Case(model, [given])


@strategy("SKIP_GRAM", [STRING])
def skip_gram(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Sentences with spaces of all kinds, also first, last and several in a row."""
    pieces = st.sampled_from([b"a", b"bc", b"def", "ü".encode(), b" ", b"  ", b"\t", b"\n", b"\x0b", b"\xa0", b" "])
    sentence = b"".join(draw(st.lists(pieces, max_size=16)))
    options = SkipGramOptions(
        ngram_size=draw(st.integers(0, 4)),
        max_skip_size=draw(st.integers(-1, 3)),
        include_all_ngrams=draw(st.booleans()),
    )
    model = single_operator_model(operator, [TensorSpec(type, (1,))], [TensorSpec(type)], options)
    return Case(model, [[np.array([sentence], object)]])
