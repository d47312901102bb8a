"""Complex numbers and Fourier transforms."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from refquant.testing.build import TensorSpec, single_operator_model
from refquant.testing.strategies.catalogue import Case, strategy
from refquant.testing.strategies.drawing import arrays, constant_or_input, generators
from refquant.tflite import schema
from refquant.tflite.schema import TensorType

COMPLEX64, COMPLEX128 = TensorType.COMPLEX64, TensorType.COMPLEX128
PARTS = {COMPLEX64: TensorType.FLOAT32, COMPLEX128: TensorType.FLOAT64}


@strategy(["REAL", "IMAG", "COMPLEX_ABS"], [COMPLEX64, COMPLEX128])
def parts(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Complex numbers of all magnitudes, infinities and NaN among them, of any shape."""
    x = draw(arrays(type, max_side=20))
    with np.errstate(all="ignore"):
        x = (x * 2.0 ** draw(st.sampled_from([0, 0, 40, -40] if type == COMPLEX64 else [0, 0, 900, -900]))).astype(
            x.dtype
        )
    return Case(single_operator_model(operator, [TensorSpec(type, x.shape)], [TensorSpec(PARTS[type])]), [[x]])


@strategy("RFFT2D", [TensorType.FLOAT32])
def rfft2d(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Images, a few at a time, of random numbers, of small integers or nearly empty; lengths up to 256."""
    height, width = 2 ** draw(st.integers(0, 6)), 2 ** draw(st.integers(1, 8))
    lead = draw(st.sampled_from([(), (1,), (2,), (2, 2)]))
    sides = [max(1, n + draw(st.integers(-3, 3))) if draw(st.booleans()) else n for n in (height, width)]
    rng = draw(generators)
    kind = draw(st.sampled_from(["numbers", "integers", "sparse"]))
    x = rng.standard_normal((*lead, *sides)).astype(np.float32)
    if kind == "integers":
        x = rng.integers(-3, 4, x.shape).astype(np.float32)
    elif kind == "sparse":
        x = np.where(rng.random(x.shape) < 0.05, x, np.float32(0))
    length, given = constant_or_input(draw, TensorType.INT32, [height, width])
    model = single_operator_model(
        operator, [TensorSpec(type, x.shape), length], [TensorSpec(COMPLEX64)], schema.Rfft2dOptions()
    )
    return Case(model, [[x, *given]])
