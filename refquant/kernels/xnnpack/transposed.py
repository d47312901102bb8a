"""The output of XNNPACK's TRANSPOSE_CONV, which has the shape that inputs and filter make.

With VALID padding that need not be the one that is asked for: it gives no more than what strides leave over. Source:
CalculateTransposeConvPaddings in delegates/xnnpack/xnnpack_delegate.cc.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from refquant.kernels.registry import Operator, Run
from refquant.tflite.schema import Padding


def with_made_shape(op: Operator, planned: Callable[[Operator], Run]) -> Run:
    """What `planned` makes of TRANSPOSE_CONV where the shape of the output is the one that is made."""
    made = np.array(_made_shape(op), np.int32)
    run = planned(replace(op, inputs=[replace(op.input(0), value=made), *op.inputs[1:]]))
    return lambda sizes, *arrays: run(made, *arrays)


def _made_shape(op: Operator) -> tuple[int, ...]:
    sizes, w, x, options = op.input(0).value, op.input(1), op.input(2), op.options
    assert sizes is not None  # as the delegate wants it
    if options.padding == Padding.SAME:
        return (x.dims[0], int(sizes[1]), int(sizes[2]), w.dims[0])
    strides = (options.stride_h, options.stride_w)
    sides = (s * (x.dims[i] - 1) + w.dims[i] + (int(sizes[i]) - w.dims[i]) % s for i, s in zip((1, 2), strides))
    return (x.dims[0], *sides, w.dims[0])
