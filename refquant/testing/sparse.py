"""Sparse tensors: an encoder that follows the format (see `refquant.tflite.sparsity`) level by level."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.tflite import schema
from refquant.tflite.schema import DimensionType

Array = npt.NDArray[Any]


def encode(dense: Array, order: list[int], formats: list[bool], blocks: dict[int, int]) -> tuple[Array, Any]:
    """The stored values of `dense` and how they are stored.

    `order` goes through the dimensions and then the block dimensions (`blocks`: dimension to size of block), and
    `formats` says of each level whether it is sparse.
    """
    split: list[int] = []
    inner = []
    for dimension, size in enumerate(dense.shape):
        split += [size // blocks[dimension], blocks[dimension]] if dimension in blocks else [size]
        inner += [dimension, dense.ndim + list(blocks).index(dimension)] if dimension in blocks else [dimension]
    blocked = dense.reshape(split).transpose([inner.index(d) for d in order])
    nodes = [blocked]
    levels: list[schema.DimensionMetadata] = []
    for sparse in formats:
        size = blocked.shape[len(levels)]
        if not sparse:
            levels.append(schema.DimensionMetadata(dense_size=size))
            nodes = [node[i] for node in nodes for i in range(size)]
            continue
        kept = [[i for i in range(size) if np.any(node[i])] for node in nodes]
        segments = np.cumsum([0] + [len(k) for k in kept])
        levels.append(
            schema.DimensionMetadata(
                format=DimensionType.SPARSE_CSR,
                array_segments=schema.Int32Vector(values=segments.astype(np.int32)),
                array_indices=schema.Uint8Vector(values=np.array([i for k in kept for i in k], np.uint8)),
            )
        )
        nodes = [node[i] for node, k in zip(nodes, kept) for i in k]
    table = schema.SparsityParameters(traversal_order=order, block_map=list(blocks), dim_metadata=levels)
    return np.array(nodes, dense.dtype), table
