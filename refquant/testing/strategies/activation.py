"""Activation functions, element by element, and softmax."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from refquant.testing.build import TensorSpec, single_operator_model
from refquant.testing.strategies.catalogue import Case, strategy
from refquant.testing.strategies.drawing import Array, generators, numbers, scales, zero_points
from refquant.testing.strategies.unary import (
    BFLOAT16,
    FLOAT16,
    FLOAT32,
    INT8,
    INT16,
    UINT8,
    any_scale,
    of_one_tensor,
    quantized,
    tensor_oddly_quantized,
)
from refquant.tflite import schema
from refquant.tflite.schema import TensorType
from refquant.tflite.tensor_types import numpy_dtype

_FLOATS = (FLOAT32, FLOAT16, BFLOAT16)


def _tensor(draw: st.DrawFn, type: TensorType, scale: st.SearchStrategy[float] = any_scale) -> TensorSpec:
    """A tensor with a scale and zero point where its type is one of integers."""
    return TensorSpec(type) if type in _FLOATS else TensorSpec(type, (), draw(scale), draw(zero_points(type)))


@strategy(("RELU", "RELU6"), [FLOAT32, INT8, UINT8, INT16])
@strategy(("RELU_N1_TO_1", "RELU_0_TO_1"), [FLOAT32, INT8, UINT8])
def rectifier(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """x limited to an interval. The output's scale is not so small that the ends of the interval leave 32 bits."""
    return of_one_tensor(draw, operator, _tensor(draw, type), _tensor(draw, type, scales))


@strategy("LEAKY_RELU", [FLOAT32, INT8, UINT8, INT16])
def leaky_relu(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """A slope of any size and sign below zero."""
    alpha = draw(st.sampled_from([0.0, 0.01, 0.2, 0.5, 1.0, -1.0]) | st.floats(-8, 8, width=32))
    options = schema.LeakyReluOptions(alpha=alpha)
    return of_one_tensor(draw, operator, _tensor(draw, type), _tensor(draw, type), options)


@strategy("PRELU", [FLOAT32, INT8, UINT8, INT16])
def prelu(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """A slope for each element, or broadcast over dimensions that it lacks or has as 1; constant or an input."""
    rng = draw(generators)
    shape = draw(st.lists(st.integers(1, 5) | st.integers(0, 4), max_size=4).map(tuple))
    alpha_type = INT8 if type == INT16 else type
    x, alpha = _tensor(draw, type), _tensor(draw, alpha_type)
    kept = shape if draw(st.booleans()) else shape[draw(st.integers(0, len(shape))) :]
    alpha.shape = tuple(1 if n and draw(st.integers(0, 2)) == 0 else n for n in kept)
    x.shape = shape
    slopes = numbers(rng, alpha_type, alpha.shape)
    samples = [[numbers(rng, type, shape), slopes]]
    if draw(st.booleans()) and slopes.size:
        alpha.data = samples[0].pop()
    return Case(single_operator_model(operator, [x, alpha], [_tensor(draw, type)]), samples)


@strategy("ELU", [FLOAT32, INT8], oracle="optimized")
def elu(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """exp(x) - 1 below zero; int8 with any scales and zero points."""
    return of_one_tensor(draw, operator, _tensor(draw, type), _tensor(draw, type))


@strategy("HARD_SWISH", [FLOAT32, INT8, UINT8])
def hard_swish(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Integers with an output scale of at least 1/128 of the input's, as the kernel demands."""
    x, out = _tensor(draw, type, scales), _tensor(draw, type, scales)
    if type != FLOAT32:
        out.scale = max(float(out.scale), float(x.scale) / 127)  # type: ignore[arg-type]
    return of_one_tensor(draw, operator, x, out)


@strategy("GELU", [FLOAT32, INT8, UINT8, INT16])
def gelu(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """The exact one, so called, or the approximation by tanh."""
    options = schema.GeluOptions(approximate=draw(st.booleans()))
    return of_one_tensor(draw, operator, _tensor(draw, type), _tensor(draw, type), options)


@strategy("LOGISTIC", [FLOAT32, FLOAT16, BFLOAT16, INT8, UINT8, INT16])
def logistic(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Integers of 8 bits with the output scale 1/256 and any zero point, int16 with 1/32768."""
    out = _tensor(draw, type)
    if type not in _FLOATS:
        out.scale = 1 / 32768 if type == INT16 else 1 / 256
    return of_one_tensor(draw, operator, _tensor(draw, type), out)


@strategy("TANH", [FLOAT32, FLOAT16, BFLOAT16, INT8, UINT8, INT16])
def tanh(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Integers of 8 bits with any output scale, int16 with one of 1/32768, as exactly as the kernel demands."""
    out = _tensor(draw, type)
    if type == INT16:
        out.scale = draw(st.sampled_from([1.0, 1.0, 1.0004, 0.9995])) / 32768
    x = _tensor(draw, type)
    if type == INT16 and draw(st.booleans()):  # scales of powers of two, or nearly, have a way of their own
        x.scale = 2.0 ** draw(st.integers(-14, -9)) * draw(st.sampled_from([1.0, 1.0005, 0.9996, 1.0008]))
    return of_one_tensor(draw, operator, x, out)


_rows = st.lists(st.integers(0, 4), max_size=4).map(tuple)


@strategy("SOFTMAX", [FLOAT32])
def softmax(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Rows of any length, of tensors of 1 to 5 dimensions; any beta."""
    beta = draw(st.sampled_from([1.0, 0.0, -1.0, 0.1, 10.0]) | st.floats(-100, 100, width=32))
    shapes = st.builds(lambda lead, depth: (*lead, depth), _rows, st.integers(0, 40))
    return of_one_tensor(draw, operator, TensorSpec(type), TensorSpec(type), schema.SoftmaxOptions(beta=beta), shapes)


@strategy(
    "SOFTMAX",
    {
        "INT8": (INT8, INT8),
        "UINT8": (UINT8, UINT8),
        "INT16": (INT16, INT16),
        "INT8 to INT16": (INT8, INT16),
        "UINT8 to INT16": (UINT8, INT16),
    },
)
def quantized_softmax(draw: st.DrawFn, operator: str, types: tuple[TensorType, TensorType]) -> Case:
    """Any beta and input scale that are not too small together; the output scales and zero points that are allowed.

    Rows are so short that the sum of exponentials is one that the kernel can hold: 511 and 4095 for outputs of 8 and of
    16 bits.
    """
    type, out_type = types
    x, out = quantized(draw, type), quantized(draw, out_type)
    beta = draw(st.sampled_from([1.0, 1.0, 0.5, 2.0, 0.1, 10.0]) | st.floats(2.0**-10, 100, width=32))
    x.scale = draw(scales)
    if type == out_type != UINT8:
        out.scale = (1 / 256 if type == INT8 else 1 / 32768) * draw(st.sampled_from([1, 0.9995, 1.0005]))
        out.zero_point = -128 if type == INT8 else 0
    longest = 511 if out_type in (INT8, UINT8) else 2000
    least = 1 if out_type == INT16 else 0  # an empty row kills the process when the output is int16
    depth = st.integers(least, 40) | st.integers(least, 40) | st.integers(least, longest)
    lead = st.lists(st.integers(0, 4), max_size=3).map(tuple) if type == INT16 else _rows
    shapes = st.builds(lambda lead, depth: (*lead, depth), lead, depth)
    spread = draw(st.sampled_from([1, 1, 4, 16, 64]))  # numbers close to each other give long sums

    def values(rng: np.random.Generator, type: TensorType, shape: Sequence[int]) -> Array:
        return (numbers(rng, type, shape) // spread).astype(numpy_dtype(type))

    return of_one_tensor(draw, operator, x, out, schema.SoftmaxOptions(beta=beta), shapes, values)


@strategy(("RELU", "RELU6", "LEAKY_RELU", "GELU"), {f"{t.name} oddly quantized": t for t in (INT8, UINT8, INT16)})
@strategy(("RELU_N1_TO_1", "RELU_0_TO_1", "TANH"), {f"{t.name} oddly quantized": t for t in (INT8, UINT8)})
@strategy("EXP", {f"{t.name} oddly quantized": t for t in (INT8, INT16)})
@strategy("ELU", {"INT8 oddly quantized": INT8}, oracle="optimized")
def oddly_quantized(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Input and output with such scales as no converter writes, but the kernels take."""
    options = {"LEAKY_RELU": schema.LeakyReluOptions(alpha=0.3), "GELU": schema.GeluOptions(approximate=False)}
    shape = draw(st.lists(st.integers(2, 6), min_size=1, max_size=3).map(tuple))
    x, out = (tensor_oddly_quantized(draw, type, shape) for _ in range(2))
    return of_one_tensor(draw, operator, x, out, options.get(operator), st.just(shape))
