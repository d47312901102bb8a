"""A flaw of XNNPACK's convolutions with SAME padding.

Where windows leave out rows or columns between them, so that the last one ends before the image does, the padding is
less than none, and XNNPACK takes the difference for a number without sign: all windows lie beyond the image then.
Source: xnn_reshape_convolution2d_nhwc in XNNPACK's src/operators/convolution-nhwc.c.
"""

from __future__ import annotations

import numpy as np

from refquant.kernels.convolution import Convolution
from refquant.kernels.registry import Run
from refquant.tflite.schema import Padding


def sees_only_padding(plan: Convolution) -> bool:
    """Whether the sums of a convolution are those of padding alone."""
    is_point = all(axis.filter == 1 for axis in plan.window)
    if plan.op.options.padding != Padding.SAME or is_point or all(axis.stride == 1 for axis in plan.window):
        return False
    return any((a.out - 1) * a.stride + (a.filter - 1) * a.dilation + 1 < a.size for a in plan.window)


def with_flaw_of_padding(plan: Convolution, run: Run, outside: float) -> Run:
    """`run` of images that are `outside` everywhere, where XNNPACK sees only that."""
    if not sees_only_padding(plan):
        return run
    image = np.full(plan.input.dims, outside, plan.input.dtype)
    return lambda x, *others: run(image, *others)
