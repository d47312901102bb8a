"""Functions of one tensor, element by element."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from refquant.numerics.lookup import every_value
from refquant.testing.build import TensorSpec, single_operator_model
from refquant.testing.strategies.catalogue import Case, strategy
from refquant.testing.strategies.drawing import Array, generators, numbers, scales, zero_points
from refquant.tflite.schema import TensorType
from refquant.tflite.tensor_types import numpy_dtype

FLOAT32, FLOAT64, FLOAT16, BFLOAT16 = TensorType.FLOAT32, TensorType.FLOAT64, TensorType.FLOAT16, TensorType.BFLOAT16
INT8, UINT8, INT16, INT32, INT64 = (
    TensorType.INT8, TensorType.UINT8, TensorType.INT16, TensorType.INT32, TensorType.INT64,
)  # fmt: skip
Values = Callable[[np.random.Generator, TensorType, Sequence[int]], Array]

#: ranks 0 to 6 with sides 0 to 4, or a vector long enough for every kind of vector instruction
any_shape = st.lists(st.integers(0, 4), max_size=6).map(tuple) | st.tuples(st.integers(0, 300))
#: beyond the usual ones also such as no converter would choose
any_scale = scales | st.builds(
    lambda exponent, factor: float(np.float32(2.0**exponent * factor)), st.integers(-40, 40), st.floats(1, 2)
)


def numbers_or_all(rng: np.random.Generator, type: TensorType, shape: Sequence[int]) -> Array:
    """Random numbers; in a vector long enough for all numbers of an 8-bit type, all of them."""
    if len(shape) == 1 and shape[0] >= 256 and type in (INT8, UINT8):
        return np.resize(every_value(numpy_dtype(type)), shape)
    return numbers(rng, type, shape)


def of_one_tensor(
    draw: st.DrawFn,
    operator: str,
    x: TensorSpec,
    out: TensorSpec,
    options: Any = None,
    shapes: st.SearchStrategy[tuple[int, ...]] = any_shape,
    values: Values = numbers_or_all,
) -> Case:
    """The model of an operator with one input of any shape, now and then a constant, or resized for a second sample."""
    rng = draw(generators)
    x.shape = draw(shapes)
    samples = [[values(rng, x.type, x.shape)]]
    kind = draw(st.integers(0, 9))
    if kind == 0 and samples[0][0].size:
        x.data = samples[0][0]
        samples = [[]]
    elif kind == 1:
        samples.append([values(rng, x.type, draw(shapes))])
    return Case(single_operator_model(operator, [x], [out], options), samples)


def quantized(draw: st.DrawFn, type: TensorType) -> TensorSpec:
    """A tensor of any scale and zero point."""
    return TensorSpec(type, (), draw(any_scale), draw(zero_points(type)))


def tensor_oddly_quantized(draw: st.DrawFn, type: TensorType, shape: Sequence[int]) -> TensorSpec:
    """A tensor without a scale, or with one that is zero or negative, or one for each index of its last dimension."""
    x = quantized(draw, type)
    kind = draw(st.sampled_from(["none", "zero", "negative", "channels", "as usual"]))
    if kind == "none":
        return TensorSpec(type, shape)
    if kind == "channels":
        x.scale = [draw(any_scale) for _ in range(shape[-1])]
    elif kind != "as usual":
        x.scale = 0.0 if kind == "zero" else -draw(any_scale)
    x.shape, x.quantized_dimension = shape, len(shape) - 1
    return x


@strategy("ABS", [FLOAT32, INT16, INT32])
@strategy("NEG", [FLOAT32, FLOAT16, BFLOAT16, INT8, INT16, INT32, INT64])
@strategy("SIGN", [FLOAT32, FLOAT64, INT32])
@strategy("FLOOR", [FLOAT32, FLOAT16, BFLOAT16])
@strategy("CEIL", [FLOAT32], oracle="optimized")
@strategy("ROUND", [FLOAT32, FLOAT16, BFLOAT16], oracle="optimized")
@strategy(("SQRT", "RSQRT", "SQUARE", "EXP", "LOG", "SIN", "COS"), [FLOAT32])
@strategy("ZEROS_LIKE", [FLOAT32, INT32, INT64])
def plain(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """A function of plain numbers, infinities and NaN among them."""
    return of_one_tensor(draw, operator, TensorSpec(type), TensorSpec(type))


@strategy("NEG", {"INT8 quantized": INT8, "INT16 quantized": INT16})
def quantized_plainly(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """A function that does not look at scales and zero points."""
    return of_one_tensor(draw, operator, quantized(draw, type), quantized(draw, type))


@strategy("ABS", {"INT8": INT8, "INT16 quantized": INT16})
@strategy(("EXP", "LOG"), [INT8, INT16])
def of_quantized(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """A function of quantized numbers, with any two scales and zero points, often with one scale for both."""
    x, out = quantized(draw, type), quantized(draw, type)
    if draw(st.integers(0, 3)) == 0:
        out.scale = x.scale
    return of_one_tensor(draw, operator, x, out)


@strategy(("SQRT", "RSQRT"), [INT8, INT16])
def of_not_negative(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """A function of quantized numbers that are not below the zero point."""
    # with any scale, RSQRT of int8 may shift by more than 31 bits, which C++ leaves undefined
    x, out = (TensorSpec(type, (), draw(scales), draw(zero_points(type))) for _ in range(2))
    lowest = np.array(x.zero_point, numpy_dtype(type))
    return of_one_tensor(
        draw, operator, x, out, values=lambda *arguments: np.maximum(numbers_or_all(*arguments), lowest)
    )
