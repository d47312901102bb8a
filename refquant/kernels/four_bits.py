"""FULLY_CONNECTED of float32 with constant weights of int4 in profile "optimized": a kernel of its own for wide ones.

Weights are stored as w + 7 in four bits without a sign, so that the sums of products have to be corrected by -7 times
the sum of the input, which is done in float32. A weight of -8 does not fit: it becomes 15, and damages its neighbours.
With a scale for each block of weights the sums are plain ones. Sources, below kernels: fully_connected.cc,
internal/optimized/4bit/fully_connected_common.h and sse_fully_connected.cc.
"""

from __future__ import annotations

from math import prod

import numpy as np
import numpy.typing as npt

from refquant.kernels.fully_connected import hybrid_scales, rows_of
from refquant.kernels.fused_activation import activation_of_vector
from refquant.kernels.registry import Array, Blocks, Operator, Run, TensorInfo
from refquant.numerics.dynamic_range import asymmetric_quantize
from refquant.numerics.fixed_point import to_int32
from refquant.numerics.lookup import round_half_away
from refquant.tflite.schema import TensorType

Floats = npt.NDArray[np.float32]

_OUTPUTS, _COLUMNS = 4, 32  # the fewest that this kernel takes
_PACKED = 32  # weights that are packed at a time
_ZERO_POINT = -7


def takes(op: Operator) -> bool:
    """Whether the kernel takes these weights: by how many numbers of the input there are for each row, of which some
    may be left over."""
    w = op.input(1)
    if w.type != TensorType.INT4 or w.value is None or w.is_sparse or 0 in op.output().dims:
        return False
    outputs, inputs = w.dims
    columns = prod(op.input(0).dims) // prod(op.output().dims[:-1])
    if outputs < _OUTPUTS or columns < _COLUMNS or columns % 2:
        return False
    if inputs % 2:
        raise op.unsupported("rows of an odd number of int4 weights, and an input with numbers left over by the rows,")
    return True


def fully_connected(op: Operator, activation: int) -> Run:
    """The kernel for weights that it `takes`."""
    w = op.input(1)
    if w.blocks is not None:
        return _blockwise(op, w, w.blocks)
    if not w.scales.size:
        raise op.invalid(f"{w.place} has no scale, which int4 weights {w.dims} must have")
    assert w.value is not None
    shape, inputs = op.output().dims, w.dims[1]
    scales, activate = hybrid_scales(op, w), activation_of_vector(activation)
    stored = _stored(w.value).T.astype(np.float64)  # exact: products are below 2**11

    def run(x: Array, filter: Array, bias: Array | None = None) -> Array:
        q, scale = _quantized(rows_of(x, prod(shape[:-1]), inputs, np.float32))
        offset = (_ZERO_POINT * q.sum(axis=1, dtype=np.int64)).astype(np.float32) * scale
        total = offset[:, None] * scales
        if bias is not None:
            total = total + bias.reshape(-1)
        total = total + (q.astype(np.float64) @ stored).astype(np.float32) * scale[:, None] * scales
        return activate(total.reshape(shape))

    return run


def _quantized(rows: Floats) -> tuple[npt.NDArray[np.int8], Floats]:
    """Each row by its largest magnitude, which is 127; numbers that do not fit int32 become 0."""
    extent = np.fmax.reduce(np.abs(rows), axis=1, initial=0)
    extent = np.where(extent == 0, np.float32(127), extent).astype(np.float64)
    factor = (127 / extent).astype(np.float32)
    q = to_int32(round_half_away(rows * factor[:, None])).astype(np.int8)
    return q, (extent / 127).astype(np.float32)


def _stored(w: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """The numbers of four bits that stand for weights [outputs, inputs].

    Of 32 inputs, number k has the upper half of byte k and number k + 16 the lower one. The -1 that -8 becomes has
    all bits set: as a lower half it fills its byte, and as the upper half of byte 4n or 4n + 1 it fills the lower half
    of the byte after the next one, too, where all 32 inputs are packed at a time.
    """
    outputs, inputs = w.shape
    padded = np.zeros((outputs, -(-inputs // _PACKED) * _PACKED), np.int8)
    padded[:, :inputs] = w
    upper, lower = np.moveaxis(padded.reshape(outputs, -1, 2, _PACKED // 2), 2, 0)
    stored = (padded + 7) & 15
    high, low = np.moveaxis(stored.reshape(outputs, -1, 2, _PACKED // 2), 2, 0)
    high[lower == -8] = 15
    whole = inputs // _PACKED
    spills = (upper[:, :whole, :-2] == -8) & (np.arange(_PACKED // 2 - 2) % 4 < 2)
    low[:, :whole, 2:][spills] = 15
    return stored[:, :inputs]


def _blockwise(op: Operator, w: TensorInfo, blocks: Blocks) -> Run:
    """A scale for each block of a row: sums of blocks are added up in float32, and there is no activation."""
    assert w.value is not None
    shape, (outputs, inputs) = op.output().dims, w.dims
    count = inputs // blocks.size
    weights = w.value[:, : count * blocks.size].reshape(outputs, count, blocks.size).astype(np.int64)
    scales = blocks.scales.astype(np.float32).reshape(outputs, count)
    correction = np.zeros(outputs, np.float32)
    for block in range(count):
        correction += scales[:, block] * weights[:, block].sum(axis=1).astype(np.float32)

    def run(x: Array, filter: Array, bias: Array | None = None) -> Array:
        q, scale, zero_point = asymmetric_quantize(rows_of(x, prod(shape[:-1]), inputs, np.float32))
        total = np.zeros((len(q), outputs), np.float32)
        for block in range(count):
            part = q[:, block * blocks.size : (block + 1) * blocks.size].astype(np.int64) @ weights[:, block].T
            total += part.astype(np.float32) * scales[:, block]
        total -= zero_point.astype(np.float32)[:, None] * correction
        total *= scale[:, None]
        return (total if bias is None else total + bias.reshape(-1)).reshape(shape)

    return run
