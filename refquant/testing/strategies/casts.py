"""Numbers of one type as numbers of another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from refquant.testing.build import OperatorSpec, SubgraphSpec, TensorSpec, model_of, single_operator_model
from refquant.testing.strategies.catalogue import Case, strategy
from refquant.testing.strategies.drawing import Array, constant_or_input, generators, numbers, shapes
from refquant.tflite import schema
from refquant.tflite.schema import TensorType
from refquant.tflite.tensor_types import numpy_dtype

Pair = tuple[TensorType, TensorType]

FLOAT32, INT2 = TensorType.FLOAT32, TensorType.INT2
PACKED = (TensorType.INT4, INT2, TensorType.UINT4)
NUMBERS = (
    FLOAT32, TensorType.FLOAT64, TensorType.FLOAT16, TensorType.BFLOAT16, TensorType.COMPLEX64, TensorType.BOOL,
    TensorType.INT8, TensorType.INT16, TensorType.INT32, TensorType.INT64,
    TensorType.UINT8, TensorType.UINT16, TensorType.UINT32,
)  # fmt: skip
PAIRS = [
    *((source, target) for source in NUMBERS for target in NUMBERS),
    *((FLOAT32, packed) for packed in PACKED if packed != INT2),
    *((packed, FLOAT32) for packed in PACKED),
]


def _of_any_size(rng: np.random.Generator, type: TensorType, shape: Sequence[int]) -> Array:
    """Numbers of which many floats are beyond what integers can hold."""
    x = numbers(rng, type, shape)
    if type == TensorType.BFLOAT16:
        return np.where(rng.random(shape) < 0.5, x, rng.integers(0, 2**16, shape)).astype(np.uint16)
    if x.dtype.kind in "fc":
        with np.errstate(all="ignore"):
            return (x * 2.0 ** rng.choice([0, 0, 6, 14, 22, 30, 62], shape)).astype(x.dtype)
    return x


@strategy("CAST", {f"{source.name} to {target.name}": (source, target) for source, target in PAIRS})
def cast(draw: st.DrawFn, operator: str, pair: Pair) -> Case:
    """Any numbers of up to four dimensions, or some hundred in a row; now and then of a constant."""
    source, target = pair
    shape = draw(shapes | st.tuples(st.integers(1, 140)))
    x = _of_any_size(draw(generators), source, shape)
    spec, given = TensorSpec(source, x.shape), [x]
    if source in PACKED[1:]:  # Python cannot set such inputs
        spec, given = TensorSpec(source, data=x), []
    elif source in (FLOAT32, TensorType.INT8, TensorType.INT32):
        spec, given = constant_or_input(draw, source, x)
    options = schema.CastOptions(in_data_type=source, out_data_type=target)
    return Case(single_operator_model(operator, [spec], [TensorSpec(target)], options), [given])


@strategy("CAST", {"FLOAT32 to INT2 to FLOAT32": INT2})
def there_and_back(draw: st.DrawFn, operator: str, packed: TensorType) -> Case:
    """Two operators, as Python cannot read such outputs."""
    x = _of_any_size(draw(generators), FLOAT32, draw(shapes))
    tensors = [TensorSpec(FLOAT32, x.shape), TensorSpec(packed, x.shape), TensorSpec(FLOAT32, x.shape)]
    steps = [OperatorSpec(operator, [0], [1], schema.CastOptions(FLOAT32, packed))]
    steps.append(OperatorSpec(operator, [1], [2], schema.CastOptions(packed, FLOAT32)))
    return Case(model_of(SubgraphSpec(tensors, steps, [0], [2])), [[x]])


@strategy("BITCAST", [*NUMBERS, TensorType.UINT64])
def bitcast(draw: st.DrawFn, operator: str, source: TensorType) -> Case:
    """The bytes of any numbers as any type that is as large, smaller, or as large as the last dimension together."""
    target = draw(st.sampled_from([*NUMBERS, TensorType.UINT64]))
    ratio = numpy_dtype(target).itemsize // numpy_dtype(source).itemsize
    shape = draw(shapes)
    x = numbers(draw(generators), source, (*shape, ratio) if ratio > 1 else shape)
    return Case(
        single_operator_model(operator, [TensorSpec(source, x.shape)], [TensorSpec(target)], schema.BitcastOptions()),
        [[x]],
    )
