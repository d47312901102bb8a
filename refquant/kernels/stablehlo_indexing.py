"""Operators of StableHLO that move numbers: STABLEHLO_PAD, STABLEHLO_GATHER, STABLEHLO_SCATTER."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from refquant.kernels.moving import INT32, INT64, checked_shape, moved, require_type
from refquant.kernels.registry import Array, Operator, Run, kernel

_Numbers = Sequence[int]


def _numbers(vector: Any) -> list[int]:
    """The numbers of a vector of the options, which may be absent."""
    return [] if vector is None else [int(n) for n in vector]


@kernel("STABLEHLO_PAD", flaw="with INT4 and UINT4, tensorflow 2.21.0 takes elements for bytes; refquant pads them")
def stablehlo_pad(op: Operator) -> Run:
    """The second input, one number, before, after and between the numbers of x; below zero, numbers are taken away.

    Where nothing is left along one dimension, no dimension has any. Source: kernels/stablehlo_pad.cc.
    """
    x, out = moved(op)
    number = require_type(op, 1, x.type)
    options = op.options
    low, high, between = (
        _numbers(v) for v in (options.edge_padding_low, options.edge_padding_high, options.interior_padding)
    )
    rank = len(x.dims)
    if not 1 <= rank <= 8 or not len(low) == len(high) == len(between) == rank or math.prod(number.dims) != 1:
        raise op.invalid(f"paddings {low}, {high} and {between} do not fit an input of shape {x.dims}")
    if min(between) < 0:
        raise op.invalid(f"paddings {between} between numbers are below 0")
    sides = [n + (n - 1) * gap + before + after for n, gap, before, after in zip(x.dims, between, low, high)]
    shape = out.shape = checked_shape(op, sides) if min(sides) > 0 else (0,) * rank
    source, place = [], []
    for n, gap, before, after in zip(x.dims, between, low, high):
        step = gap + 1
        first = -(min(before, 0) // step)
        end = n + min(after, 0) // step
        start = before + first * step
        source.append(slice(first, max(first, end)))
        place.append(slice(start, start + max(0, end - first) * step, step))

    def run(x: Array, number: Array) -> Array:
        padded = np.full(shape, number.reshape(()), x.dtype)
        if padded.size:
            padded[tuple(place)] = x[tuple(source)]
        return padded

    return run


@kernel(
    "STABLEHLO_GATHER",
    flaw="with a start below 0, tensorflow 2.21.0 reads what lies before; refquant refuses it",
)
def stablehlo_gather(op: Operator) -> Run:
    """Slices of the operand, of given sizes, at starts that `start_indices` holds along `index_vector_dim`.

    Starts are moved to where the slice fits. `start_index_map` tells the dimension of the operand that each part of a
    start belongs to, `offset_dims` the dimensions of the result that the slice takes, without those of its dimensions
    that are `collapsed_slice_dims`. Source: kernels/stablehlo_gather.cc.
    """
    x, out = moved(op)
    indices = require_type(op, 1, INT32, INT64)
    options = op.options
    sizes, collapsed = _numbers(options.slice_sizes), _numbers(options.collapsed_slice_dims)
    offset_dims, start_map = _numbers(options.offset_dims), _numbers(options.start_index_map)
    rank, vector_dim = len(x.dims), int(options.index_vector_dim)
    kept = [d for d in range(rank) if d not in collapsed]
    result_rank = len(offset_dims) + len(indices.dims) - 1
    fits = (
        len(sizes) == rank
        and all(0 <= s <= n for s, n in zip(sizes, x.dims))
        and all(0 <= d < rank and sizes[d] == 1 for d in collapsed)
        and len(set(collapsed)) == len(collapsed)
        and len(set(offset_dims)) == len(offset_dims) == len(kept)
        and all(0 <= d < result_rank for d in offset_dims)
        and 0 <= vector_dim < len(indices.dims)
        and len(start_map) == indices.dims[vector_dim]
        and all(0 <= d < rank for d in start_map)
        and len(out.declared) == result_rank
    )
    if not fits:
        raise op.invalid(
            f"its options do not fit shapes {x.dims} and {indices.dims} and a result of {len(out.declared)} axes"
        )
    batch_dims = [d for d in range(result_rank) if d not in offset_dims]
    batch_shape = indices.dims[:vector_dim] + indices.dims[vector_dim + 1 :]
    sides = dict(zip(batch_dims, batch_shape)) | dict(zip(sorted(offset_dims), (sizes[d] for d in kept)))
    out.shape = checked_shape(op, [sides[d] for d in range(result_rank)])
    room = [n - s for n, s in zip(x.dims, sizes)]

    def run(x: Array, indices: Array) -> Array:
        if indices.min(initial=0) < 0:
            raise op.invalid(f"a start of {indices.min()} is below 0")
        starts = _spread(np.moveaxis(indices, vector_dim, -1), start_map, rank)
        places = tuple(
            np.minimum(starts[..., d], room[d]).reshape((*batch_shape, *[1] * rank))
            + np.arange(sizes[d]).reshape([-1 if i == d else 1 for i in range(rank)])
            for d in range(rank)
        )
        slices = x[places].reshape((*batch_shape, *(sizes[d] for d in kept)))
        return np.moveaxis(slices, range(result_rank), [*batch_dims, *sorted(offset_dims)]).copy()

    return run


def _spread(vectors: Array, dimensions: _Numbers, rank: int) -> Array:
    """Index vectors of `rank` numbers, with the given ones at these dimensions and 0 elsewhere."""
    full = np.zeros((*vectors.shape[:-1], rank), np.int64)
    for i, dimension in enumerate(dimensions):
        full[..., dimension] = vectors[..., i]
    return full


_COMPUTATIONS: dict[str, Callable[[Array, Array], Array]] = {
    "STABLEHLO_ADD": np.add,
    "STABLEHLO_MULTIPLY": np.multiply,
    "STABLEHLO_MAXIMUM": lambda old, new: np.where(old < new, new, old),
    "STABLEHLO_MINIMUM": lambda old, new: np.where(new < old, new, old),
}


@kernel(
    "STABLEHLO_SCATTER",
    flaw="with a place below 0, tensorflow 2.21.0 writes to what lies before; refquant refuses it",
)
def stablehlo_scatter(op: Operator) -> Run:
    """The input with each number of the updates put or taken into its place, in their order.

    The place is a start, which `scatter_indices` holds along `index_vector_dim`, plus the index within the window: its
    dimensions in the updates are `update_window_dims`, and it has one place along `inserted_window_dims`. Places
    outside are left out. The computation is the only operator of a subgraph, of sums, products, maxima or minima; no
    operator at all means the update itself. Source: kernels/stablehlo_scatter.cc.
    """
    x, out = moved(op)
    indices, updates = require_type(op, 1, INT32, INT64), require_type(op, 2, x.type)
    options = op.options
    window, inserted = _numbers(options.update_window_dims), _numbers(options.inserted_window_dims)
    index_map, vector_dim = _numbers(options.scatter_dims_to_operand_dims), int(options.index_vector_dim)
    rank, updates_rank = len(x.dims), len(updates.dims)
    scattered = [d for d in range(updates_rank) if d not in window]
    fits = (
        0 <= vector_dim < len(indices.dims)
        and tuple(updates.dims[d] for d in scattered) == indices.dims[:vector_dim] + indices.dims[vector_dim + 1 :]
        and len(index_map) == indices.dims[vector_dim]
        and all(0 <= d < rank for d in index_map)
        and len(set(window)) == len(window)
        and all(0 <= d < updates_rank for d in window)
        and len(set(inserted)) == len(inserted)
        and all(0 <= d < rank for d in inserted)
        and len(window) + len(inserted) == rank
    )
    if not fits:
        raise op.invalid(f"its options do not fit shapes {x.dims}, {indices.dims} and {updates.dims}")
    compute = _computation(op, int(options.update_computation_subgraph_index))
    out.shape = x.dims
    kept = [d for d in range(rank) if d not in inserted]

    def run(x: Array, indices: Array, updates: Array) -> Array:
        starts = _spread(np.moveaxis(indices, vector_dim, -1), index_map, rank)
        within = _spread(np.moveaxis(np.indices(updates.shape)[window], 0, -1), kept, rank)
        spread = starts.reshape([n if d in scattered else 1 for d, n in enumerate(updates.shape)] + [rank])
        places = (spread + within).reshape(-1, rank)
        if places.min(initial=0) < 0:
            raise op.invalid(f"a place of {places.min()} is below 0")
        inside = np.flatnonzero(np.all(places < x.shape, axis=1))
        result = x.copy()
        if inside.size:
            flat = np.ravel_multi_index(tuple(places[inside].T), x.shape) if rank else np.zeros(1, np.int64)
            _take_in(result.reshape(-1), flat, updates.reshape(-1)[inside], compute)
        return result

    return run


def _computation(op: Operator, subgraph: int) -> Callable[[Array, Array], Array]:
    if op.subgraphs is None:
        raise op.invalid("it stands in no model that could have its computation")
    names = op.subgraphs.operators(op, subgraph)
    if not names:
        return lambda old, new: new
    if len(names) > 1 or names[0] not in _COMPUTATIONS:
        raise op.unsupported(f"no kernel with the computation {', '.join(names)}")
    return _COMPUTATIONS[names[0]]


def _take_in(result: Array, places: Array, updates: Array, compute: Callable[[Array, Array], Array]) -> None:
    """Takes each update into its place, one after the other where several have the same."""
    while places.size:
        _, first = np.unique(places, return_index=True)
        result[places[first]] = compute(result[places[first]], updates[first])
        places, updates = np.delete(places, first), np.delete(updates, first)
