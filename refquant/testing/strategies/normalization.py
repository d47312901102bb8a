"""Rows brought to a common size."""

from __future__ import annotations

from hypothesis import strategies as st

from refquant.testing.build import TensorSpec
from refquant.testing.strategies.catalogue import Case, strategy
from refquant.testing.strategies.drawing import scales
from refquant.testing.strategies.unary import FLOAT32, INT8, UINT8, of_one_tensor, quantized
from refquant.tflite import schema
from refquant.tflite.schema import TensorType

_rows = st.builds(lambda lead, depth: (*lead, depth), st.lists(st.integers(0, 4), max_size=3), st.integers(0, 40))


@strategy("L2_NORMALIZATION", [FLOAT32, INT8, UINT8])
def l2_normalization(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Rows of any length, of tensors of 1 to 4 dimensions."""
    x, out = TensorSpec(type), TensorSpec(type)
    if type != FLOAT32:
        x = quantized(draw, type)
        out = TensorSpec(type, (), 1 / 128, 0 if type == INT8 else 128)
    return of_one_tensor(draw, operator, x, out, schema.L2NormOptions(), _rows)


@strategy("LOG_SOFTMAX", [FLOAT32, INT8, UINT8])
def log_softmax(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Rows of 1 to 40 or up to 2000 numbers, of tensors of 1 to 5 dimensions; input scales of 2**-26 or more."""
    x, out = TensorSpec(type), TensorSpec(type)
    if type != FLOAT32:
        x = quantized(draw, type)
        x.scale = draw(scales)
        out = TensorSpec(type, (), 1 / 16, 127 if type == INT8 else 255)
    depth = st.integers(1, 40) | st.integers(1, 40) | st.integers(1, 2000)
    shapes = st.builds(lambda lead, depth: (*lead, depth), st.lists(st.integers(0, 4), max_size=4), depth)
    return of_one_tensor(draw, operator, x, out, shapes=shapes)


@strategy("LOCAL_RESPONSE_NORMALIZATION", [FLOAT32])
def local_response_normalization(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Any radius; bias, alpha and beta mostly positive, as they are meant to be."""
    numbers = st.sampled_from([0.0, 0.5, 0.75, 1.0, 2.0]) | st.floats(0, 10, width=32) | st.floats(-10, 10, width=32)
    options = schema.LocalResponseNormalizationOptions(
        radius=draw(st.integers(0, 8) | st.integers(-3, 50)),
        bias=draw(numbers),
        alpha=draw(numbers),
        beta=draw(numbers),
    )
    shapes = st.tuples(*(st.integers(0, 3) for _ in range(3)), st.integers(0, 20))
    return of_one_tensor(draw, operator, TensorSpec(type), TensorSpec(type), options, shapes)
