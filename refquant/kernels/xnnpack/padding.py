"""What convolutions give that by XNNPACK's flaw see nothing of the image: see `float_products.sees_nothing`."""

from __future__ import annotations

import numpy as np

from refquant.kernels.convolution import Convolution
from refquant.kernels.registry import Run
from refquant.kernels.xnnpack.float_products import sees_nothing


def with_flaw_of_padding(plan: Convolution, run: Run, outside: float) -> Run:
    """`run` of images that are `outside` everywhere, where XNNPACK sees only that."""
    if not sees_nothing(plan):
        return run
    image = np.full(plan.input.dims, outside, plan.input.dtype)
    return lambda x, *others: run(image, *others)
