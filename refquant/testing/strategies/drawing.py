"""What the strategies draw from: numbers that are difficult for their type, shapes, scales, zero points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from refquant.testing.build import TensorSpec
from refquant.tflite.schema import ActivationFunctionType, TensorType
from refquant.tflite.tensor_types import PACKED_BITS, numpy_dtype

Array = npt.NDArray[Any]

QUANTIZED = (TensorType.INT8, TensorType.UINT8, TensorType.INT16)

#: random numbers by the thousand come from NumPy; hypothesis draws the seed
generators = st.integers(0, 2**32 - 1).map(np.random.default_rng)
#: NONE, RELU, RELU_N1_TO_1, RELU6: those that are ranges
activations = st.sampled_from(list(ActivationFunctionType)[:4])
#: powers of two make ties, others do not
scales = st.builds(
    lambda exponent, factor: float(np.float32(2.0**exponent * factor)),
    st.integers(-14, 6),
    st.just(1.0) | st.floats(1, 2, exclude_max=True),
)
SPECIAL = np.array(
    [0.0, -0.0, 0.5, -0.5, 1, -1, 6, 6.0000005, 1.5, 2.5, np.inf, -np.inf, np.nan, 1e-45, -1e-40, 1e38, -3.4e38],
    np.float32,
)
#: ranks 0 to 4, sides 0 to 4
shapes = st.lists(st.integers(0, 4), min_size=0, max_size=4).map(tuple)


def zero_points(type: TensorType) -> st.SearchStrategy[int]:
    """Any integer of the type, often one of its ends; int16 must be symmetric."""
    if type not in (TensorType.INT8, TensorType.UINT8):
        return st.just(0)
    low, high = int(np.iinfo(numpy_dtype(type)).min), int(np.iinfo(numpy_dtype(type)).max)
    return st.sampled_from([low, high]) | st.integers(low, high)


def quantized(type: TensorType, shape: Sequence[int] = ()) -> st.SearchStrategy[TensorSpec]:
    """A tensor quantized per tensor with any scale and zero point."""
    return st.builds(lambda s, z: TensorSpec(type, shape, s, z), scales, zero_points(type))


def numbers(rng: np.random.Generator, type: TensorType, shape: Sequence[int]) -> Array:
    """Random numbers of a type, its ends and the difficult floats among them.

    Floats of bfloat16 come as their bits, uint16, integers of packed types one to an element, as int8, of UINT4 as
    uint8. Strings are short, some empty, some with bytes above 127.
    """
    dtype = numpy_dtype(type)
    if type == TensorType.STRING:
        words = np.array([b"", b"a", b"tflite", "ü".encode(), b"\x00x"], object)
        return np.asarray(words[rng.integers(0, len(words), shape)], object).reshape(shape)
    if dtype == np.bool_:
        return rng.random(shape) < 0.5
    if type == TensorType.BFLOAT16:
        return (numbers(rng, TensorType.FLOAT32, shape).view(np.uint32) >> 16).astype(np.uint16)
    if type in PACKED_BITS:
        bits = PACKED_BITS[type]
        low = 0 if type == TensorType.UINT4 else -(2 ** (bits - 1))
        return rng.integers(low, low + 2**bits, shape, np.uint8 if type == TensorType.UINT4 else np.int8)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        values = rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
        ends = rng.choice(np.array([limits.min, limits.max, 0, 1], dtype), shape)
        small = rng.integers(0, 9, shape).astype(dtype)
        kind = rng.random(shape)
        return np.where(kind < 0.1, ends, np.where(kind < 0.3, small, values)).astype(dtype)
    if dtype.kind == "c":
        values = np.empty(shape, dtype)
        values.real, values.imag = (numbers(rng, TensorType.FLOAT32, shape) for _ in range(2))
        return values
    values = rng.standard_normal(shape) * 2.0 ** rng.integers(-8, 8, shape)
    with np.errstate(over="ignore"):
        return np.where(rng.random(shape) < 0.2, rng.choice(SPECIAL, shape), values).astype(dtype)


@st.composite
def arrays(
    draw: st.DrawFn, type: TensorType, min_rank: int = 0, max_rank: int = 4, min_side: int = 0, max_side: int = 4
) -> Array:
    """An array of `numbers` of any shape within these limits."""
    shape = draw(st.lists(st.integers(min_side, max_side), min_size=min_rank, max_size=max_rank))
    return numbers(draw(generators), type, shape)


@st.composite
def broadcast_shapes(draw: st.DrawFn, rank: int = 4, count: int = 2) -> tuple[tuple[int, ...], ...]:
    """Shapes that fit together: dimensions of some of them may be 1 or absent."""
    full = draw(st.lists(st.integers(1, 4), min_size=0, max_size=rank))
    together = []
    for _ in range(count):
        dims = [n if draw(st.integers(0, 3)) else 1 for n in full]
        together.append(tuple(dims[draw(st.integers(0, len(dims))) if draw(st.booleans()) else 0 :]))
    return tuple(together)


def constant_or_input(draw: st.DrawFn, type: TensorType, value: Any) -> tuple[TensorSpec, list[Array]]:
    """A tensor of these numbers as a constant, or as an input of the model together with its value."""
    array = np.array(value, numpy_dtype(type))
    return (TensorSpec(type, data=array), []) if draw(st.booleans()) else (TensorSpec(type, array.shape), [array])
