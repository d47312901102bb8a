"""Sums of float32 products in `float_mode="fast"`: NumPy's BLAS adds them up in whatever order it likes.

The results are those of no runtime. A sum of n products x * w is off the real number by at most about n * 2**-24 times
the sum of all |x * w|, as is that of any runtime. Depthwise convolutions are left alone: they are loops anyway.
"""

from __future__ import annotations

from math import prod

import numpy as np

from refquant.kernels.batch_matmul import matrices_of, planned_batch_matmul
from refquant.kernels.convolution import planned_conv_2d
from refquant.kernels.fully_connected import planned_fully_connected, rows_of
from refquant.kernels.fused_activation import clamp_float
from refquant.kernels.optimized_products import conv_2d_by
from refquant.kernels.registry import FAST, Array, Operator, Run, kernel
from refquant.numerics.eigen_products import Product, Read, Sums
from refquant.tflite.schema import BatchMatMulOptions

_BLOCK = 1 << 18  # numbers of vectors that are multiplied at a time, so that they stay in the cache


@kernel("CONV_2D", profile=FAST)
def conv_2d(op: Operator) -> Run:
    """As CONV_2D; sums of float32 are products of matrices, but for groups of filters."""
    return planned_conv_2d(op, lambda plan: conv_2d_by(plan, _product))


def _product(matrix: Array, count: int) -> Product:
    step = max(1, _BLOCK // max(1, matrix.shape[1]))

    def product(read: Read) -> Sums:
        for start in range(0, count, step):
            end = min(start + step, count)
            yield slice(start, end), read(start, end) @ matrix.T

    return product


@kernel("FULLY_CONNECTED", profile=FAST)
def fully_connected(op: Operator) -> Run:
    """As FULLY_CONNECTED; sums of float32 are a product of matrices."""
    return planned_fully_connected(op, _fully_connected)


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
