"""From real numbers to integers and back, and from one integer type or scale to another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from flatbuffers import flexbuffers
from hypothesis import strategies as st

from refquant.testing.build import TensorSpec, single_operator_model
from refquant.testing.sparse import encode
from refquant.testing.strategies.catalogue import Case, strategy
from refquant.testing.strategies.drawing import Array, generators, numbers, scales
from refquant.testing.strategies.unary import (
    FLOAT16,
    FLOAT32,
    INT8,
    INT16,
    INT32,
    UINT8,
    any_scale,
    any_shape,
    of_one_tensor,
    tensor_oddly_quantized,
)
from refquant.tflite import schema
from refquant.tflite.schema import TensorType
from refquant.tflite.tensor_types import numpy_dtype

INT4, UINT4, INT2 = TensorType.INT4, TensorType.UINT4, TensorType.INT2
Types = tuple[TensorType, TensorType]


def _zero_points(type: TensorType) -> st.SearchStrategy[int]:
    """Any number that tensors of a type hold, also where a converter would choose 0."""
    low, high = {INT4: (-8, 7), UINT4: (0, 15), INT2: (-2, 1)}.get(type) or (
        int(np.iinfo(numpy_dtype(type)).min),
        int(np.iinfo(numpy_dtype(type)).max),
    )
    return st.just(0) | st.sampled_from([low, high]) | st.integers(low, high)


def _quantized(draw: st.DrawFn, type: TensorType) -> TensorSpec:
    return TensorSpec(type, (), draw(any_scale), draw(_zero_points(type)))


def _per_channel(draw: st.DrawFn, type: TensorType, shape: Sequence[int]) -> TensorSpec:
    """A tensor with a scale for each index of one of its dimensions."""
    axis = draw(st.integers(0, len(shape) - 1))
    count = shape[axis]
    scale = [draw(any_scale) for _ in range(count)]
    return TensorSpec(type, shape, scale, [draw(_zero_points(type)) for _ in range(count)], axis)


def _floats_near_steps(scale: Any) -> Any:
    """Floats among which there are many whole and half multiples of a scale, and their neighbours."""

    def values(rng: np.random.Generator, type: TensorType, shape: Sequence[int]) -> Array:
        largest = 2 ** rng.integers(2, 18)
        halves = (rng.integers(-largest, largest, shape) / 2 * np.float64(rng.choice(scale))).astype(np.float32)
        kind = rng.integers(0, 4, shape)
        neighbours = np.nextafter(halves, np.where(kind == 1, np.float32(0), np.float32(np.inf)))
        return np.where(kind == 0, numbers(rng, type, shape), np.where(kind == 3, halves, neighbours))

    return values


@strategy("QUANTIZE", {f"FLOAT32 to {type.name}": type for type in (INT8, UINT8, INT16, INT4, UINT4)})
def quantize(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Floats to integers of one scale."""
    out = _quantized(draw, type)
    values = _floats_near_steps([out.scale])
    return of_one_tensor(draw, operator, TensorSpec(FLOAT32), out, schema.QuantizeOptions(), values=values)


@strategy("QUANTIZE", {f"FLOAT32 to {type.name} per channel": type for type in (INT8, UINT8, INT16)})
def quantize_per_channel(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Floats to integers with a scale and zero point for each index of a dimension."""
    shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=5))
    out = _per_channel(draw, type, shape)
    x = _floats_near_steps(out.scale)(draw(generators), FLOAT32, shape)
    model = single_operator_model(operator, [TensorSpec(FLOAT32, shape)], [out], schema.QuantizeOptions())
    return Case(model, [[x]])


_PAIRS = (
    (INT8, INT8), (INT8, UINT8), (UINT8, INT8), (UINT8, UINT8),
    (INT16, INT8), (INT16, INT16), (INT16, INT32), (INT32, INT8), (INT32, INT16),
)  # fmt: skip


@strategy("QUANTIZE", {f"{a.name} to {b.name}": (a, b) for a, b in _PAIRS})
def requantize(draw: st.DrawFn, operator: str, types: Types) -> Case:
    """Integers to those of another scale or type; int16 to int16 with zero points of 0."""
    x, out = (_quantized(draw, type) for type in types)
    if types == (INT16, INT16):
        x.zero_point = out.zero_point = 0
    if draw(st.integers(0, 3)) == 0:
        out.scale = x.scale
    return of_one_tensor(draw, operator, x, out, schema.QuantizeOptions())


@strategy("QUANTIZE", {f"{a.name} to {b.name} oddly quantized": (a, b) for a, b in _PAIRS if a != b})
def requantize_oddly(draw: st.DrawFn, operator: str, types: Types) -> Case:
    """Integers without a scale, with several, one of zero or a negative one, to those that have some scale."""
    shape = draw(st.lists(st.integers(2, 6), min_size=1, max_size=3).map(tuple))
    x, out = (tensor_oddly_quantized(draw, type, shape) for type in types)
    if out.scale is None:
        out.scale = draw(any_scale)
    return of_one_tensor(draw, operator, x, out, schema.QuantizeOptions(), st.just(shape))


@strategy("DEQUANTIZE", {f"{type.name} oddly quantized": type for type in (INT8, UINT8, INT4)})
def dequantize_oddly(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Integers without a scale, or with one that is zero or negative, or one for each index of the last dimension."""
    shape = draw(st.lists(st.integers(2, 6), min_size=1, max_size=3).map(tuple))
    x = tensor_oddly_quantized(draw, type, shape)
    return of_one_tensor(draw, operator, x, TensorSpec(FLOAT32), schema.DequantizeOptions(), st.just(shape))


@strategy("DEQUANTIZE", [INT8, UINT8, INT16, INT4, FLOAT16])
def dequantize(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Integers of one scale, or float16, to float32."""
    x = TensorSpec(FLOAT16) if type == FLOAT16 else _quantized(draw, type)
    if type == INT16:
        x.zero_point = 0
    return of_one_tensor(draw, operator, x, TensorSpec(FLOAT32), schema.DequantizeOptions())


@strategy("DEQUANTIZE", {"INT2 constant": INT2, "INT4 constant": INT4})
def dequantize_packed(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Constants of a packed type, of one scale or with one for each index of a dimension."""
    shape = draw(any_shape.filter(lambda shape: 0 not in shape))
    x = _per_channel(draw, type, shape) if shape and len(shape) > 1 and draw(st.booleans()) else _quantized(draw, type)
    x.data = numbers(draw(generators), type, shape)
    return Case(single_operator_model(operator, [x], [TensorSpec(FLOAT32)], schema.DequantizeOptions()), [[], []])


@strategy("DEQUANTIZE", {f"{type.name} per channel": type for type in (INT8, UINT8, INT4)})
def dequantize_per_channel(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Integers with a scale and zero point for each index of a dimension."""
    shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=5))
    x = _per_channel(draw, type, shape)
    samples = [[numbers(draw(generators), type, shape)]]
    if draw(st.booleans()):
        x.data = samples[0].pop()
    return Case(single_operator_model(operator, [x], [TensorSpec(FLOAT32)], schema.DequantizeOptions()), samples)


@strategy("FAKE_QUANT", [FLOAT32])
def fake_quant(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Ranges that hold zero, and others; up to 16 bits, as converters choose, or 31."""
    ends = [
        draw(st.sampled_from([0.0, -1.0, 1.0, 6.0, -0.5]) | st.floats(-1000, 1000, width=32) | scales) for _ in range(2)
    ]
    options = schema.FakeQuantOptions(
        min=min(ends), max=max(ends), num_bits=draw(st.integers(2, 16) | st.integers(1, 31)), narrow_range=False
    )
    with np.errstate(all="ignore"):
        step = np.float32(options.max - options.min) / np.float32(2**options.num_bits - 1)
    return of_one_tensor(draw, operator, TensorSpec(type), TensorSpec(type), options, values=_floats_near_steps([step]))


@strategy("NumericVerify", [INT8, UINT8, INT16, FLOAT16])
def numeric_verify(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """A quantized tensor, constant or not, and the floats that it stands for, within the tolerance or not looked at."""
    rng = draw(generators)
    shape = draw(any_shape)
    x = TensorSpec(FLOAT16, shape) if type == FLOAT16 else _quantized(draw, type)
    x.shape = shape
    if type == INT16:
        x.zero_point = 0
    tolerance, log_if_failed = draw(st.floats(0, 5, width=32)), draw(st.booleans())
    samples: list[list[Array]] = []
    for _ in range(2):
        q = numbers(rng, type, shape)
        if type == FLOAT16:
            q, scale, zero_point = np.where(np.isfinite(q), q, np.float16(1)), 0.0, 0
        else:
            scale, zero_point = float(x.scale), int(x.zero_point)  # type: ignore[arg-type]
        real = q.astype(np.float64) if type == FLOAT16 else (q.astype(np.float64) - zero_point) * scale
        error = tolerance * scale * 0.99 if log_if_failed and tolerance >= 0.1 else 1.0
        samples.append([q, (real + error * rng.uniform(-1, 1, shape)).astype(np.float32)])
    if draw(st.booleans()) and samples[0][0].size:
        x.data = samples[0][0]
        samples = [[expected] for _, expected in samples]
    custom_options = bytes(flexbuffers.Dumps({"tolerance": tolerance, "log_if_failed": log_if_failed}))
    model = single_operator_model(
        operator, [x, TensorSpec(FLOAT32, shape)], [TensorSpec(FLOAT32)], custom_options=custom_options
    )
    return Case(model, samples)


@strategy("DENSIFY", [FLOAT32, FLOAT16, INT8])
def densify(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Sparse constants of 1 to 3 dimensions: any order of them, any of them sparse but at least one, any in blocks."""
    rank = draw(st.integers(1, 3))
    shape = [draw(st.sampled_from([1, 2, 4, 6])) for _ in range(rank)]
    blocked = [d for d in range(rank) if shape[d] % 2 == 0 and draw(st.booleans())]
    order = draw(st.permutations(range(rank))) + [rank + i for i in draw(st.permutations(range(len(blocked))))]
    formats = [d < rank and draw(st.booleans()) for d in order]
    formats[draw(st.integers(0, rank - 1))] = True
    rng = draw(generators)
    dense = np.where(rng.random(shape) < 0.4, numbers(rng, type, shape), 0).astype(numpy_dtype(type))
    dense[(0,) * rank] = 1
    values, sparsity = encode(dense, list(order), formats, dict.fromkeys(blocked, 2))
    x = TensorSpec(type, shape, data=values, sparsity=sparsity)
    return Case(single_operator_model(operator, [x], [TensorSpec(type, shape)], schema.DensifyOptions()), [[], []])
