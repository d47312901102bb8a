"""Magnitude masks: the smallest weights of a tensor become zero.

Of n weights, k = max(round(n * (1 - sparsity)), 1) stay: in float32, halves to even. The threshold is the k-th largest
magnitude, and every magnitude that reaches it stays, so that ties keep more than k. TensorFlow compares with subnormal
numbers taken as zero: a threshold below the smallest normal number keeps all.

Source: sparsity/keras/pruning_impl.py of tensorflow_model_optimization.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from refquant.compression.pruning.blocks import check_block, expand_blocks, pool_blocks
from refquant.compression.pruning.schedules import check_sparsity
from refquant.errors import InvalidInputError

Array = npt.NDArray[Any]

_BITS: dict[Any, Any] = {np.float16: np.uint16, np.float32: np.uint32, np.float64: np.uint64}


class Mask(NamedTuple):
    """1 where a weight stays and 0 where it goes, in the shape and dtype of the weights; and the threshold."""

    mask: Array
    threshold: Any


def magnitude_mask(
    weights: npt.ArrayLike,
    sparsity: float,
    block_size: tuple[int, int] = (1, 1),
    block_pooling_type: str = "AVG",
    name: str = "weights",
) -> Mask:
    """The mask of tfmot for weights of float16, float32 or float64 (others: float32) in the layout of Keras.

    `sparsity` is in [0, 1). With a `block_size` other than (1, 1), for weights of two dimensions, whole blocks stay or
    go by the mean ("AVG") or the largest ("MAX") of their magnitudes. `name` is for messages.

    Raises `InvalidInputError` for a sparsity out of range, no weights, NaN, and blocks that do not fit.

    >>> magnitude_mask(np.array([0.1, -0.4, 0.3, 0.2], np.float32), 0.5)
    Mask(mask=array([0., 1., 1., 0.], dtype=float32), threshold=np.float32(0.3))
    """
    array = as_weights(weights, name)
    sparsity = check_sparsity(sparsity, "sparsity")
    if block_size in ((1, 1), [1, 1]):
        return _mask(array, sparsity)
    block = check_block(array, block_size, block_pooling_type, name)
    mask, threshold = _mask(pool_blocks(np.abs(array), block, block_pooling_type), sparsity)
    return Mask(expand_blocks(mask, block, array.shape), threshold)


def as_weights(weights: npt.ArrayLike, name: str) -> Array:
    """The weights as an array of float16, float32 or float64; raises `InvalidInputError` for none, and for NaN."""
    array = np.asarray(weights)
    if array.dtype.kind not in "fiu":
        raise InvalidInputError(f"{name} must be real numbers, they are {array.dtype}")
    array = array.astype(array.dtype.newbyteorder("=") if array.dtype.type in _BITS else np.float32, copy=False)
    if not array.size:
        raise InvalidInputError(f"{name} of shape {array.shape} are empty: there is nothing to prune")
    if not array.ndim:
        raise InvalidInputError(f"{name} are one number: a mask is for arrays of one dimension or more")
    if np.isnan(array).any():
        raise InvalidInputError(f"{name} hold NaN: a magnitude cannot be ranked")
    return array


def sparsity_of(weights: npt.ArrayLike) -> float:
    """The share of zeros, of either sign; 0 for no weights.

    >>> sparsity_of([0.0, -0.0, 1.0, 2.0])
    0.5
    """
    array = np.asarray(weights)
    return 1 - int(np.count_nonzero(array)) / array.size if array.size else 0.0


def _mask(array: Array, sparsity: float) -> Mask:
    dtype = array.dtype
    kept = np.float32(array.size) * (np.float32(1) - np.float32(sparsity))
    k = min(max(int(np.rint(kept)), 1), array.size)
    # magnitudes are ordered as their bits are, and integers partition faster than floats
    sign = _BITS[dtype.type](1 << (8 * dtype.itemsize - 1))
    bits = array.view(_BITS[dtype.type]) & ~sign
    threshold = np.partition(bits.ravel(), array.size - k)[array.size - k]
    smallest_normal = np.array(np.finfo(dtype).tiny, dtype).view(bits.dtype)
    if threshold >= smallest_normal or dtype == np.float16:  # float16 is compared in float32, where all are normal
        return Mask((bits >= threshold).astype(dtype), threshold.view(dtype))
    tiny = np.flatnonzero(bits.ravel() < smallest_normal)  # equal to TensorFlow, which keeps their order
    place = tiny[k - 1 - (array.size - tiny.size)]
    return Mask(np.ones(array.shape, dtype), bits.ravel()[place].view(dtype))
