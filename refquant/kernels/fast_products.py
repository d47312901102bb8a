"""Sums of float32 products in `float_mode="fast"`: NumPy's BLAS adds them up in whatever order it likes.

The results are those of no runtime. A sum of n products x * w is off the real number by at most about n * 2**-24 times
the sum of all |x * w|, as is that of any runtime. Where filters see one channel there is no matrix to multiply by: such
sums are those of the reference kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod

import numpy as np

from refquant.kernels import convolution
from refquant.kernels import fully_connected as dense
from refquant.kernels.batch_matmul import matrices_of, planned_batch_matmul
from refquant.kernels.blocks import Block, blocks_of
from refquant.kernels.convolution import Convolution, planned_conv_2d, planned_depthwise_conv_2d
from refquant.kernels.float_convolution import convolved_by, sums_in_order, windows_of
from refquant.kernels.fully_connected import planned_fully_connected, rows_of
from refquant.kernels.fused_activation import clamp_float
from refquant.kernels.registry import FAST, Array, Operator, Run, kernel
from refquant.kernels.window_sums import Windows, filter_matrices
from refquant.tflite.schema import BatchMatMulOptions

_BLOCK = 1 << 17  # numbers of patches and sums in a block, so that they stay in the cache
_FEWEST = 256  # places in a block if there are as many: BLAS copies the filters anew each time


@kernel("CONV_2D", profile=FAST)
def conv_2d(op: Operator) -> Run:
    """As CONV_2D; sums of float32 are products of matrices, but where filters see one channel."""
    return planned_conv_2d(op, replace(convolution.IN_ORDER, floats=_convolved))


@kernel("DEPTHWISE_CONV_2D", profile=FAST)
def depthwise_conv_2d(op: Operator) -> Run:
    """As DEPTHWISE_CONV_2D in profile "reference", whatever the profile."""
    return planned_depthwise_conv_2d(op, replace(convolution.IN_ORDER, floats=_convolved))


def _convolved(plan: Convolution) -> Run:
    return convolved_by(plan, lambda w: sums_in_order(plan, w) if w.shape[2] == 1 else _MatrixSums(windows_of(plan), w))


class _MatrixSums:
    """For filters [ky, kx, input, group, output]: the patches of a block times the filters of a group."""

    def __init__(self, windows: Windows, w: Array) -> None:
        self._windows, self._terms, self._filters = windows, prod(w.shape[:3]), filter_matrices(w)
        # the same for any number of threads: BLAS may sum otherwise where a matrix has other rows
        self.blocks = blocks_of(*windows.places, max(_FEWEST, _BLOCK // max(1, self._terms + w.shape[4])))

    def __call__(self, x: Array) -> Callable[[Block, Array], None]:
        windows, groups = self._windows, len(self._filters)
        patches = windows.patches(windows.padded(x))
        depth = windows.channels // groups

        def sums(block: Block, out: Array) -> None:
            seen = patches[block.images, block.rows]
            for g, w in enumerate(self._filters):
                vectors = seen[..., g * depth : (g + 1) * depth].reshape(len(out), self._terms)
                np.matmul(vectors, w, out=out[:, g * w.shape[1] : (g + 1) * w.shape[1]])

        return sums


@kernel("FULLY_CONNECTED", profile=FAST)
def fully_connected(op: Operator) -> Run:
    """As FULLY_CONNECTED; sums of float32 are a product of matrices."""
    return planned_fully_connected(op, replace(dense.IN_ORDER, floats=_fully_connected))


def _fully_connected(op: Operator, activation: int) -> Run:
    inputs, shape = op.input(1).dims[1], op.output().dims

    def run(x: Array, filter: Array, bias: Array | None = None) -> Array:
        y = (rows_of(x, prod(shape[:-1]), inputs, np.float32) @ filter.T).reshape(shape)
        return clamp_float(y if bias is None else y + bias.reshape(-1), activation)

    return run


@kernel("BATCH_MATMUL", profile=FAST)
def batch_matmul(op: Operator) -> Run:
    """As BATCH_MATMUL; sums of float32 are products of matrices."""
    return planned_batch_matmul(op, _batch_matmul)


def _batch_matmul(options: BatchMatMulOptions) -> Run:
    return lambda a, b: np.matmul(*matrices_of(options, a, b))
