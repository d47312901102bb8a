"""Functions of one tensor, element by element."""

from __future__ import annotations

from hypothesis import strategies as st

from refquant.testing.build import TensorSpec, single_operator_model
from refquant.testing.strategies.catalogue import Case, strategy
from refquant.testing.strategies.drawing import arrays
from refquant.tflite.schema import TensorType

FLOAT32, INT32, INT64 = TensorType.FLOAT32, TensorType.INT32, TensorType.INT64


@strategy("NEG", [FLOAT32, INT32, INT64])
def negation(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """-x of any shape."""
    x = draw(arrays(type))
    return Case(single_operator_model(operator, [TensorSpec(type, x.shape)], [TensorSpec(type)]), [[x]])
