"""The sparse encoding of a tensor (`SparsityParameters`): the stored values to an array with its zeros, and back.

The dimensions of the tensor, and of the blocks into which some are cut, are gone through in `traversal_order`, like
the levels of a tree. A DENSE level has all its `dense_size` places; of a SPARSE_CSR level, node i has the places
`indices[segments[i] : segments[i + 1]]`. The leaves, in order, are the stored values. `block_map` says which
dimension each block dimension, numbered after those of the tensor, cuts. Source: kernels/internal/utils/
sparsity_format_converter.cc of TensorFlow Lite.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.errors import InvalidInputError, InvalidModelError
from refquant.tflite import schema
from refquant.tflite.schema import DimensionType, SparsityParameters

Array = npt.NDArray[Any]

#: bytes of the largest array that is made of a sparse tensor: a small file can ask for any
MAX_BYTES = 2**30


def densify(values: Array, shape: tuple[int, ...], sparsity: SparsityParameters, name: str) -> Array:
    """The array of `shape` that `values` (one dimension, in stored order) and `sparsity` describe.

    Raises `InvalidModelError`, naming the tensor `name`, where they contradict each other.
    """

    def fail(why: str) -> InvalidModelError:
        return InvalidModelError(f"sparse tensor {name!r} of shape {shape}: {why}")

    if math.prod(shape) * values.itemsize > MAX_BYTES:
        raise fail(f"it would take more than {MAX_BYTES} bytes")
    order = _numbers(sparsity.traversal_order)
    blocks = _numbers(sparsity.block_map)
    levels = sparsity.dim_metadata or []
    rank = len(shape)
    if sorted(order) != list(range(rank + len(blocks))) or len(levels) != len(order):
        raise fail(f"its traversal order {order} and {len(levels)} levels do not fit {len(blocks)} blocked dimensions")
    if len(set(blocks)) != len(blocks) or not all(0 <= d < rank for d in blocks):
        raise fail(f"its block map {blocks} is not of different dimensions")
    nodes = np.zeros(1, np.int64)  # of the level before, numbered from the left
    places: list[Array] = [np.zeros(1, np.int64) for _ in order]  # by dimension, one for each node
    sizes = [0] * len(order)
    for dimension, level in zip(order, levels):
        if level.format == DimensionType.DENSE:
            size = sizes[dimension] = level.dense_size
            if size < 0 or len(nodes) * size > 64 * values.size + 2**20:
                raise fail(f"a level has {len(nodes)} times {size} places, for {values.size} values")
            parents = np.repeat(np.arange(len(nodes)), size)
            place = np.tile(np.arange(size), len(nodes))
            nodes = nodes[parents] * size + place
        else:
            segments, indices = _vector(level.array_segments), _vector(level.array_indices)
            if nodes.max(initial=-1) + 1 >= len(segments) or np.any(np.diff(segments) < 0) or segments[0] != 0:
                raise fail("the segments of a level are not in order or too few")
            if segments[-1] > len(indices):
                raise fail(f"a level has segments up to {segments[-1]}, but {len(indices)} indices")
            counts = segments[nodes + 1] - segments[nodes]
            parents = np.repeat(np.arange(len(nodes)), counts)
            nodes = np.arange(counts.sum()) + np.repeat(segments[nodes] - (counts.cumsum() - counts), counts)
            place = indices[nodes]
        places = [p[parents] for p in places]
        places[dimension] = place
    if len(nodes) != values.size:
        raise fail(f"it has {values.size} values, its levels lead to {len(nodes)}")
    for block, dimension in enumerate(blocks):
        size = sizes[rank + block]
        if size <= 0:
            raise fail("a blocked dimension must be DENSE")
        places[dimension] = places[dimension] * size + places[rank + block]
    for dimension, place in enumerate(places[:rank]):
        if place.size and not 0 <= place.min() <= place.max() < shape[dimension]:
            raise fail(f"it has a value at {place.max()} of dimension {dimension}")
    dense = np.zeros(shape, values.dtype)
    dense[tuple(places[:rank])] = values if rank else values[0]
    return dense


def sparsify(
    dense: Array, order: Sequence[int], sparse: Sequence[bool], blocks: Mapping[int, int] | None = None
) -> tuple[Array, SparsityParameters]:
    """The stored values of `dense` (one dimension) and how they are stored: what `densify` undoes.

    `order` goes through the dimensions of the array and then the block dimensions, which are numbered after them in
    the order of `blocks` (dimension: size of its blocks); `sparse` says of each level whether its places with nothing
    but zeros are left out. Of what is kept every bit is, also NaN and a -0.0 inside a block; a -0.0 that stands alone
    is left out like any zero. Indices are as narrow as they can be.

    Raises `InvalidInputError` where `order`, `sparse` and `blocks` do not fit the array.

    >>> values, table = sparsify(np.float32([[0, 0, 5], [0, 0, 0], [7, 0, 8]]), [0, 1], [False, True])
    >>> values, table.dim_metadata[1].array_segments.values, table.dim_metadata[1].array_indices.values
    (array([5., 7., 8.], dtype=float32), array([0, 1, 1, 3], dtype=uint8), array([2, 0, 2], dtype=uint8))
    """
    blocks = {} if blocks is None else blocks
    rank = dense.ndim
    if sorted(order) != list(range(rank + len(blocks))) or len(sparse) != len(order):
        raise InvalidInputError(
            f"the order {list(order)} and {len(sparse)} formats do not go through {rank} dimensions and "
            f"{len(blocks)} block dimensions, each once"
        )
    shape: list[int] = []
    axes = []  # of the array cut into blocks: the number of the dimension in `order`
    for dimension, size in enumerate(dense.shape):
        block = blocks.get(dimension, 1)
        if block < 1 or size % block:
            raise InvalidInputError(f"dimension {dimension} of {size} places is not whole blocks of {block}")
        shape.append(size // block)
        axes.append(dimension)
        if dimension in blocks:
            shape.append(block)
            axes.append(rank + list(blocks).index(dimension))
    if not all(0 <= dimension < rank for dimension in blocks):
        raise InvalidInputError(f"the blocks {dict(blocks)} are not of dimensions of an array of {rank}")
    levelled = dense.reshape(shape).transpose([axes.index(dimension) for dimension in order])
    filled = [levelled != 0]  # of each level from the last to the first: which places have more than zeros
    while filled[-1].ndim > 1:
        filled.append(filled[-1].any(-1))
    nodes = np.zeros(1, np.int64)  # of the level before: their places, numbered as if all were there
    levels = []
    for is_sparse, size, kept in zip(sparse, levelled.shape, reversed(filled)):
        places = nodes[:, None] * size + np.arange(size)
        if not is_sparse:
            levels.append(schema.DimensionMetadata(dense_size=size))
            nodes = places.reshape(-1)
            continue
        mask = kept.reshape(-1)[places]
        levels.append(
            schema.DimensionMetadata(
                format=DimensionType.SPARSE_CSR,
                array_segments=index_vector(np.concatenate([[0], mask.sum(1).cumsum()])),
                array_indices=index_vector(mask.nonzero()[1]),
            )
        )
        nodes = places[mask]
    table = SparsityParameters(
        traversal_order=np.asarray(order, np.int32), block_map=np.asarray(list(blocks), np.int32), dim_metadata=levels
    )
    return levelled.reshape(-1)[nodes], table


def index_vector(values: Array) -> schema.Uint8Vector | schema.Uint16Vector | schema.Int32Vector:
    """Indices in the narrowest of the vectors that holds them, as flatbuffer_export.cc chooses it."""
    most = int(values.max(initial=0))
    if most <= np.iinfo(np.uint8).max:
        return schema.Uint8Vector(values=values.astype(np.uint8))
    if most <= np.iinfo(np.uint16).max:
        return schema.Uint16Vector(values=values.astype(np.uint16))
    return schema.Int32Vector(values=values.astype(np.int32))


def _numbers(vector: Any) -> list[int]:
    return [] if vector is None else [int(n) for n in vector]


def _vector(table: Any) -> Array:
    """The numbers of one of the union's vectors, whose widths differ."""
    values = getattr(table, "values", None)
    return np.zeros(0, np.int64) if values is None else np.asarray(values).astype(np.int64)
