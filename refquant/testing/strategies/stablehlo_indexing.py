"""Operators of StableHLO that move numbers."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from refquant.testing.build import OperatorSpec, SubgraphSpec, TensorSpec, model_of
from refquant.testing.strategies.catalogue import Case, strategy
from refquant.testing.strategies.tensors import alike, any_shape, case_of, data, parameter, resized, types_of
from refquant.tflite import schema
from refquant.tflite.schema import TensorType


@strategy("STABLEHLO_PAD", types_of("STABLEHLO_PAD", TensorType.INT4, TensorType.UINT4))
def padding(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """-3 to 3 numbers before and after, 0 to 2 between any two, along 1 to 5 dimensions."""
    shape = any_shape(draw, 1, 5)
    low, high = ([draw(st.integers(-3, 3)) for _ in shape] for _ in range(2))
    between = [draw(st.integers(0, 2)) for _ in shape]
    options = schema.StablehloPadOptions(
        edge_padding_low=np.array(low, np.int64),
        edge_padding_high=np.array(high, np.int64),
        interior_padding=np.array(between, np.int64),
    )
    make = alike(draw, type)
    return resized(draw, case_of(operator, [data(draw, make, shape), data(draw, make, ())], [make()], options))


@strategy("STABLEHLO_GATHER", types_of("STABLEHLO_GATHER"))
def gathering(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Slices of any size from any start that is not negative, with any layout of operand, indices and result."""
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    rank = len(shape)
    sizes = [draw(st.integers(1, n)) for n in shape]
    ones = [d for d in range(rank) if sizes[d] == 1]
    collapsed = sorted(d for d in ones if draw(st.booleans()))
    start_map = draw(st.permutations(range(rank)))[: draw(st.integers(1, rank))]
    batch = draw(st.lists(st.integers(1, 3), max_size=2))
    vector_dim = draw(st.integers(0, len(batch)))
    places = (*batch[:vector_dim], len(start_map), *batch[vector_dim:])
    result_rank = rank - len(collapsed) + len(batch)
    offset_dims = sorted(draw(st.permutations(range(result_rank)))[: rank - len(collapsed)])
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    indices = parameter(draw, rng.integers(0, 6, places), TensorType.INT32, TensorType.INT64)
    options = schema.StablehloGatherOptions(
        offset_dims=np.array(offset_dims, np.int64),
        collapsed_slice_dims=np.array(collapsed, np.int64),
        start_index_map=np.array(start_map, np.int64),
        index_vector_dim=vector_dim,
        slice_sizes=np.array(sizes, np.int64),
        indices_are_sorted=draw(st.booleans()),
    )
    make = alike(draw, type)
    return case_of(operator, [data(draw, make, shape), indices], [make([1] * result_rank)], options)


@strategy("STABLEHLO_SCATTER", types_of("STABLEHLO_SCATTER"))
def scattering(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Windows of any size at any start that is not negative, taken in by each of the five computations."""
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    rank = len(shape)
    inserted = sorted(d for d in range(rank) if draw(st.integers(0, 2)) == 0)
    window = [draw(st.integers(1, n)) for d, n in enumerate(shape) if d not in inserted]
    index_map = draw(st.permutations(range(rank)))[: draw(st.integers(1, rank))]
    batch = draw(st.lists(st.integers(1, 3), max_size=2))
    vector_dim = draw(st.integers(0, len(batch)))
    updates_rank = len(window) + len(batch)
    window_dims = sorted(draw(st.permutations(range(updates_rank)))[: len(window)])
    sides = iter(batch), iter(window)
    updates = [next(sides[d in window_dims]) for d in range(updates_rank)]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    indices = rng.integers(0, 4, (*batch[:vector_dim], len(index_map), *batch[vector_dim:]))
    make = alike(draw, type)
    options = schema.StablehloScatterOptions(
        indices_are_sorted=draw(st.booleans()),
        update_window_dims=np.array(window_dims, np.int64),
        inserted_window_dims=np.array(inserted, np.int64),
        scatter_dims_to_operand_dims=np.array(index_map, np.int64),
        index_vector_dim=vector_dim,
        unique_indices=draw(st.booleans()),
        update_computation_subgraph_index=1,
    )
    inputs = [
        data(draw, make, shape),
        parameter(draw, indices, TensorType.INT32, TensorType.INT64),
        data(draw, make, updates),
    ]
    main = SubgraphSpec(
        [*(spec for spec, _ in inputs), make()],
        [OperatorSpec(operator, [0, 1, 2], [3], options)],
        [i for i, (_, arrays) in enumerate(inputs) if arrays],
        [3],
    )
    computation = draw(st.sampled_from(["", "ADD", "MULTIPLY", "MAXIMUM", "MINIMUM"]))
    scalar = TensorSpec(type)
    body = (
        SubgraphSpec([scalar] * 3, [OperatorSpec(f"STABLEHLO_{computation}", [0, 1], [2])], [0, 1], [2])
        if computation
        else SubgraphSpec([scalar] * 2, [], [0, 1], [1])
    )
    return Case(model_of(main, body), [[array for _, arrays in inputs for array in arrays]])
