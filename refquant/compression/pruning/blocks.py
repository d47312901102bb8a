"""Blocks of weights that stay or go together: their magnitudes pooled, and the mask of the blocks spread again.

Pooling is done along one dimension and then the other, with SAME padding: where a dimension is no multiple of the
block, the windows begin before the first weight, while the mask is spread from the first weight on. So the last blocks,
and not the first, are cut. That is how tfmot has it, and so it is here.

Source: sparsity/keras/pruning_utils.py of tensorflow_model_optimization; kernels/avgpooling_op.cc of TensorFlow.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.compression.pruning.schedules import is_whole
from refquant.errors import InvalidInputError

Array = npt.NDArray[Any]


def check_block_size(block_size: tuple[int, int], pooling_type: str) -> tuple[int, int]:
    """The block's height and width; raises `InvalidInputError` for what is none, and for an unknown pooling."""
    if pooling_type not in ("AVG", "MAX"):
        raise InvalidInputError(f"block_pooling_type must be 'AVG' or 'MAX', it is {pooling_type!r}")
    sizes = list(block_size) if isinstance(block_size, (tuple, list)) else []
    if len(sizes) != 2 or not all(is_whole(n) and n >= 1 for n in sizes):
        raise InvalidInputError(f"block_size must be two whole numbers of 1 or more, it is {block_size!r}")
    return int(sizes[0]), int(sizes[1])


def check_block(weights: Array, block_size: tuple[int, int], pooling_type: str, name: str) -> tuple[int, int]:
    """The block's height and width; raises `InvalidInputError` where they do not suit the weights."""
    sizes = check_block_size(block_size, pooling_type)
    if weights.ndim != 2:
        raise InvalidInputError(f"{name}: blocks are for weights of two dimensions, these have shape {weights.shape}")
    if sizes[0] > weights.shape[0] or sizes[1] > weights.shape[1]:
        raise InvalidInputError(f"{name}: a block of {sizes[0]} x {sizes[1]} is larger than shape {weights.shape}")
    return sizes


def pool_blocks(magnitudes: Array, block: tuple[int, int], pooling_type: str) -> Array:
    """The mean or the largest of each block's magnitudes, columns first, in the dtype of the magnitudes.

    >>> pool_blocks(np.array([[1, 2, 3], [5, 6, 7]], np.float32), (2, 2), "AVG")
    array([[3.5, 5. ]], dtype=float32)
    """
    down = _pool(flushed(magnitudes), block[0], pooling_type)
    return _pool(down.T, block[1], pooling_type).T


def expand_blocks(mask: Array, block: tuple[int, int], shape: tuple[int, ...]) -> Array:
    """Each element of the mask as a block, cut to `shape`."""
    return np.repeat(np.repeat(mask, block[0], 0), block[1], 1)[: shape[0], : shape[1]].copy()


def _pool(rows: Array, size: int, pooling_type: str) -> Array:
    """Pools `size` rows at a time: [n, m] to [ceil(n / size), m]."""
    if size == 1:
        return rows
    count = -(-len(rows) // size)
    before = (count * size - len(rows)) // 2  # SAME padding: the smaller half in front
    padded = np.zeros((count * size, rows.shape[1]), rows.dtype)  # magnitudes: zero changes neither sum nor maximum
    padded[before : before + len(rows)] = rows
    windows = padded.reshape(count, size, -1)
    if pooling_type == "MAX":
        return windows.max(1)
    total = windows[:, 0].copy()
    for place in range(1, size):  # in order, as TensorFlow adds them
        with np.errstate(over="ignore"):  # to infinity, as there
            total += windows[:, place]
    starts = np.arange(count) * size - before
    counts = np.minimum(starts + size, len(rows)) - np.maximum(starts, 0)
    return flushed(total / counts.astype(rows.dtype)[:, None])


def flushed(magnitudes: Array) -> Array:
    """Subnormal numbers as zero, as TensorFlow computes; those of float16 are normal numbers in its float32."""
    if magnitudes.dtype == np.float16:
        return magnitudes
    return np.where(magnitudes < np.finfo(magnitudes.dtype).tiny, magnitudes.dtype.type(0), magnitudes)
