"""m-by-n sparsity: m zeros in every n weights that follow each other, as sparse matrix units want it.

The weights are taken in the layout of TFLite, input channels last, and each row is cut into blocks of n. In each the
n - m largest magnitudes stay; of equal ones the first.

Source: sparsity/keras/pruning_utils.py of tensorflow_model_optimization.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.compression.pruning.blocks import flushed
from refquant.compression.pruning.masks import as_weights
from refquant.compression.pruning.schedules import is_whole
from refquant.errors import InvalidInputError

Array = npt.NDArray[Any]


def m_by_n_mask(weights: npt.ArrayLike, m_by_n: tuple[int, int] = (2, 4), name: str = "weights") -> Array:
    """The mask for a kernel in the layout of Keras, [inputs, outputs] or [height, width, inputs, outputs].

    float32 ones and zeros in the shape of the kernel. Raises `InvalidInputError` for another rank, NaN, or an m that is
    not below n.

    >>> m_by_n_mask(np.array([[4.0], [1.0], [3.0], [2.0]])).ravel()
    array([1., 0., 1., 0.], dtype=float32)
    """
    m, n = check_m_by_n(m_by_n)
    array = as_weights(weights, name)
    rows = np.abs(_rows(array, name))
    blocks = np.zeros((len(rows), -(-rows.shape[1] // n) * n), rows.dtype)
    blocks[:, : rows.shape[1]] = rows
    magnitudes = flushed(blocks).reshape(-1, n)
    order = np.argsort(-magnitudes, axis=1, kind="stable")[:, : n - m]
    mask = np.zeros(magnitudes.shape, np.float32)
    np.put_along_axis(mask, order, 1, axis=1)
    mask = mask.reshape(len(rows), -1)[:, : rows.shape[1]]
    if array.ndim == 2:
        return np.ascontiguousarray(mask.T)
    height, width, inputs, outputs = array.shape
    return np.ascontiguousarray(mask.reshape(outputs, height, width, inputs).transpose(1, 2, 3, 0))


def is_pruned_m_by_n(weights: npt.ArrayLike, m_by_n: tuple[int, int] = (2, 4), last_channel: str = "C_OUT") -> bool:
    """Whether every n weights along the input channels have m zeros or more.

    `last_channel` is the last dimension of the kernel: "C_OUT" as in Keras, "C_IN" as in TFLite.
    """
    m, n = check_m_by_n(m_by_n)
    if last_channel not in ("C_OUT", "C_IN"):
        raise InvalidInputError(f"last_channel must be 'C_OUT' or 'C_IN', it is {last_channel!r}")
    array = np.asarray(weights)
    if not array.ndim or not array.size:
        raise InvalidInputError(f"weights of shape {array.shape} have no input channels")
    rows = _rows(array, "weights") if last_channel == "C_OUT" else array.reshape(-1, array.shape[-1])
    kept = np.add.reduceat(rows != 0, np.arange(0, rows.shape[1], n), axis=1, dtype=np.int64)
    return bool((kept <= n - m).all())


def check_m_by_n(m_by_n: tuple[int, int]) -> tuple[int, int]:
    """m and n; raises `InvalidInputError` unless they are whole numbers and m is below n."""
    pair = tuple(m_by_n) if isinstance(m_by_n, (tuple, list)) else ()
    if len(pair) != 2 or not all(is_whole(n) for n in pair):
        raise InvalidInputError(f"m_by_n must be two whole numbers, it is {m_by_n!r}")
    if not 0 <= pair[0] < pair[1]:
        raise InvalidInputError(f"m_by_n: {pair[0]} zeros in {pair[1]} weights cannot be: m must be below n")
    return int(pair[0]), int(pair[1])


def _rows(array: Array, name: str) -> Array:
    if array.ndim == 2:
        return array.T
    if array.ndim == 4:
        return array.transpose(3, 0, 1, 2).reshape(-1, array.shape[2])
    raise InvalidInputError(f"{name}: m-by-n is for kernels of two or four dimensions, these have shape {array.shape}")
