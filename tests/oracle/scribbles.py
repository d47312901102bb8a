"""Random graphs of what the converter simplifies: much reshaping, constants on every side, few shapes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from hypothesis import strategies as st

from refquant.testing.strategies.drawing import generators
from refquant.tflite.model import Model
from refquant.tflite.schema import ActivationFunctionType as Activation
from refquant.tflite.schema import Padding
from tests.oracle.sketch import BOOL, FLOAT32, INT32, Sketch

T = TypeVar("T")

#: numbers that patterns look for
_SPECIAL = (0.0, 1.0, -1.0, 2.0, 0.5, 3.0, 6.0, 1 / 6, 0.2)
_STARTS = ((1, 4, 4, 2), (3, 4), (2, 3, 4), (1, 3, 4), (4,), (1, 6), (6, 1))
_MOST = 300
_ACTIVATIONS = (Activation.NONE, Activation.NONE, Activation.NONE, Activation.RELU, Activation.RELU6)
_ARITHMETIC = ("ADD", "SUB", "MUL", "DIV")
_UNARY = "ABS CEIL EXP FLOOR NEG RELU RELU6 RELU_N1_TO_1 ROUND TANH SQRT RSQRT SQUARE LOGISTIC LOG COS SIN".split()


class _Scribble(Sketch):
    """A graph whose steps take what fits at random."""

    def __init__(self, rng: np.random.Generator) -> None:
        super().__init__(rng)
        self.pool = [self.input(*self.pick(_STARTS)) for _ in range(rng.integers(1, 3))]

    def pick(self, items: Sequence[T]) -> T:
        """One of these."""
        return items[self.rng.integers(len(items))]

    def any(self, *ranks: int) -> int:
        """One of the last results, of one of these ranks if any are given."""
        found = [t for t in self.pool[-3:] if not ranks or len(self.shape(t)) in ranks]
        if not found:
            self.pool.append(self.input(*self.pick([s for s in _STARTS if len(s) in ranks] or [(2, 3, 4, 1, 1)])))
            found = self.pool[-1:]
        return self.pick(found)

    def number(self, shape: Sequence[int]) -> int:
        """A constant that goes with a shape: one number or many, special or not, perhaps computed of constants."""
        sides = self.pick([(), (1,), tuple(shape[-1:]), (*[1] * (len(shape) - 1), *shape[-1:]), tuple(shape)])
        special = self.rng.random() < 0.5
        value = np.full(sides, self.pick(_SPECIAL), np.float32) if special else self.rng.standard_normal(sides)
        constant = self.constant(np.asarray(value, np.float32))
        if self.rng.random() < 0.2:
            return self.like(self.pick(["EXP", "NEG", "ABS", "TANH", "SQUARE", "RELU"]), constant)
        if self.rng.random() < 0.2:
            return self.like(self.pick(_ARITHMETIC), constant, self.constant(float(self.pick(_SPECIAL[1:]))))
        return constant


def _arithmetic(s: _Scribble) -> int:
    x = s.any()
    alike = [t for t in s.pool if s.shape(t) == s.shape(x)]
    other = s.pick(alike) if s.rng.random() < 0.3 else s.number(s.shape(x))
    inputs = [x, other] if s.rng.random() < 0.8 or s.shape(other) == s.shape(x) else [other, x]
    return s.op(s.pick(_ARITHMETIC), inputs, s.shape(x), fused_activation_function=s.pick(_ACTIVATIONS))


def _limited(s: _Scribble) -> int:
    x = s.any()
    return s.like(s.pick(["MAXIMUM", "MINIMUM"]), x, s.number(s.shape(x)))


def _power(s: _Scribble) -> int:
    return s.like("POW", s.any(), s.constant(float(s.pick((1, 2, 0.5, -0.5, 3)))))


def _unary(s: _Scribble) -> int:
    return s.like(s.pick(_UNARY), s.any())


def _reshaped(s: _Scribble) -> int:
    x = s.any()
    shape = s.shape(x)
    size = math.prod(shape)
    half = 2 if size % 2 == 0 else 1
    shapes = [(size,), (1, size), (size // half, half), (1, *shape), (half, size // half), (1, half, size // half)]
    inner = tuple(n for n in shape if n != 1)
    return s.reshape(x, *s.pick([*shapes, shape, inner or (1,), (math.prod(shape[:-1]), *shape[-1:])]))


def _transposed(s: _Scribble) -> int:
    x = s.any(2, 3, 4)
    rank = len(s.shape(x))
    swapped = [*range(rank - 2), rank - 1, rank - 2]
    order = swapped if s.rng.random() < 0.5 else s.rng.permutation(rank)
    return s.transpose(x, *(int(axis) for axis in order))


def _squeezed(s: _Scribble) -> int:
    x = s.any()
    shape = s.shape(x)
    ones = [axis for axis, n in enumerate(shape) if n == 1]
    if not ones or len(shape) < 2:
        return s.op("EXPAND_DIMS", [x, s.constant(0)], (1, *shape))
    axis = s.pick(ones)
    return s.op("SQUEEZE", [x], [*shape[:axis], *shape[axis + 1 :]], squeeze_dims=np.array([axis], np.int32))


def _dense(s: _Scribble) -> int:
    x = s.any(2, 3)
    shape = s.shape(x)
    outputs = s.pick([1, 4, 6])
    bias = s.pick([-1, s.weights(outputs), s.constant(np.zeros(outputs, np.float32))])
    keep = s.rng.random() < 0.4
    sides = (*shape[:-1], outputs) if keep else (math.prod(shape[:-1]), outputs)
    inputs = [x, s.weights(outputs, shape[-1]), bias]
    activation = s.pick(_ACTIVATIONS)
    return s.op("FULLY_CONNECTED", inputs, sides, keep_num_dims=keep, fused_activation_function=activation)


def _convolution(s: _Scribble) -> int:
    x = s.any(4)
    shape = s.shape(x)
    if s.rng.random() < 0.3 and math.prod(shape) < _MOST:
        after = s.pick([0, 1])
        amounts = [[0, 0], [1, 1], [1, 1], [0, 0]] if after else [[0, 0], [0, 1], [0, 1], [0, 0]]
        shape = (shape[0], shape[1] + 1 + after, shape[2] + 1 + after, shape[3])
        x = s.op("PAD", [x, s.constant(amounts)], shape)
    size = s.pick([1, 3]) if min(shape[1:3]) > 2 else 1
    stride = s.pick([1, 1, 2])
    same = s.rng.random() < 0.5
    sides = [-(-n // stride) if same else (n - size) // stride + 1 for n in shape[1:3]]
    deep = s.rng.random() < 0.4
    channels = shape[3] if deep else s.pick([1, 2])
    weights = s.weights(1, size, size, channels) if deep else s.weights(channels, size, size, shape[3])
    options: dict[str, Any] = {
        "padding": Padding.SAME if same else Padding.VALID,
        "stride_h": stride,
        "stride_w": stride,
    }
    if deep:
        options["depth_multiplier"] = 1
    name = "DEPTHWISE_CONV_2D" if deep else "CONV_2D"
    bias = s.weights(channels)
    options["fused_activation_function"] = s.pick(_ACTIVATIONS)
    return s.op(name, [x, weights, bias], (shape[0], *sides, channels), **options)


def _product(s: _Scribble) -> int:
    x = s.any(2, 3)
    shape = s.shape(x)
    inner = shape[-1]
    kind = s.rng.integers(4)
    if kind == 0:
        y, columns = s.weights(inner, 3), 3
    elif kind == 1:
        y, columns = s.input(inner, 5), 5
    elif kind == 2:
        y, columns = s.transpose(s.input(3, inner), 1, 0), 3
    else:
        rank = len(shape)
        y, columns = s.transpose(s.input(*shape[:-2], 2, inner), *range(rank - 2), rank - 1, rank - 2), 2
    return s.op("BATCH_MATMUL", [x, y], (*shape[:-1], columns))


def _reduced(s: _Scribble) -> int:
    x = s.any()
    shape = s.shape(x)
    axis = int(s.rng.integers(len(shape)))
    name = s.pick(["MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD"])
    if len(shape) == 1 or s.rng.random() < 0.5:
        sides = [1 if i == axis else n for i, n in enumerate(shape)]
        return s.op(name, [x, s.constant([axis])], sides, keep_dims=True)
    reduced = s.op(name, [x, s.constant([axis])], [*shape[:axis], *shape[axis + 1 :]], keep_dims=False)
    s.pool.append(reduced)
    return s.reshape(reduced, *shape[:axis], 1, *shape[axis + 1 :]) if s.rng.random() < 0.6 else reduced


def _sliced(s: _Scribble) -> int:
    x = s.any()
    shape = s.shape(x)
    begins = [int(s.rng.integers(n)) if s.rng.random() < 0.3 else 0 for n in shape]
    sizes = [n - begin for n, begin in zip(shape, begins, strict=True)]
    dtype = s.pick([np.int32, np.int32, np.int64])
    if s.rng.random() < 0.5:
        return s.op("SLICE", [x, *(s.constant(np.array(values, dtype)) for values in (begins, sizes))], sizes)
    parts = [s.constant(values) for values in (begins, list(shape), [1] * len(shape))]
    return s.op("STRIDED_SLICE", [x, *parts], sizes)


def _packed(s: _Scribble) -> int:
    x = s.any(2, 3)
    shape = s.shape(x)
    parts = s.ops("UNPACK", [x], [(shape[1:], FLOAT32)] * shape[0], num=shape[0], axis=0)
    if s.rng.random() < 0.5:
        return s.op("PACK", parts, shape, values_count=len(parts), axis=0)
    return s.op("CONCATENATION", parts, [shape[0] * shape[1], *shape[2:]], axis=0)


def _repeated(s: _Scribble) -> int:
    x = s.any()
    shape = s.shape(x)
    if s.rng.random() < 0.5:
        return s.op("BROADCAST_TO", [x, s.constant([1, *shape])], (1, *shape))
    times = [2 if n == 1 and math.prod(shape) < _MOST else 1 for n in shape]
    sides = [n * t for n, t in zip(shape, times, strict=True)]
    return s.op(s.pick(["ADD", "MUL"]), [s.op("TILE", [x, s.constant(times)], sides), s.input(*sides)], sides)


def _chosen(s: _Scribble) -> int:
    x = s.any()
    other = s.number(s.shape(x))
    condition = s.op(s.pick(["LESS", "GREATER_EQUAL", "EQUAL"]), [x, other], s.shape(x), BOOL)
    if s.rng.random() < 0.4:
        condition = s.op("LOGICAL_NOT", [condition], s.shape(x), BOOL)
    if s.rng.random() < 0.3:
        truth = s.constant(np.full(s.shape(x), s.rng.random() < 0.5))
        condition = s.op(s.pick(["LOGICAL_AND", "LOGICAL_OR"]), [condition, truth], s.shape(x), BOOL)
    if s.rng.random() < 0.3:
        number = s.op("CAST", [condition], s.shape(x), INT32)
        condition = s.op(s.pick(["GREATER", "NOT_EQUAL", "LESS_EQUAL"]), [number, s.constant(0)], s.shape(x), BOOL)
    y = s.pick([x, s.weights(*s.shape(x))])
    return s.op(s.pick(["SELECT", "SELECT_V2"]), [condition, y, x], s.shape(x))


def _normalized(s: _Scribble) -> int:
    x = s.any()
    shape = s.shape(x)
    kind = s.rng.integers(3)
    sides = (*shape[:-1], 1)
    axes = s.constant([len(shape) - 1])
    if kind == 0:
        exp = s.like("EXP", s.like("SUB", x, s.op("REDUCE_MAX", [x, axes], sides, keep_dims=True)))
        return s.like("DIV", exp, s.op("SUM", [exp, axes], sides, keep_dims=True))
    if kind == 1:
        length = s.op("SUM", [s.like("SQUARE", x), axes], sides, keep_dims=True)
        return s.like("MUL", x, s.like("RSQRT", s.like("ADD", length, s.constant(1e-6))))
    cut = s.like("ADD", x, s.constant(3.0), fused_activation_function=Activation.RELU6)
    return s.like("MUL", s.like("MUL", x, cut), s.constant(1 / 6))


_STEPS: tuple[Callable[[_Scribble], int], ...] = (
    *(_arithmetic, _arithmetic, _arithmetic, _reshaped, _reshaped, _dense, _dense, _convolution, _convolution),
    *(_limited, _power, _unary, _unary, _transposed, _transposed, _squeezed, _product, _reduced, _sliced),
    *(_packed, _repeated, _chosen, _normalized),
)


@st.composite
def scribbles(draw: st.DrawFn, ranges: bool = False, most_steps: int = 8) -> Model:
    """Models of up to so many steps, whose leaves, and now and then other results, are the outputs."""
    rng = draw(generators)
    scribble = _Scribble(rng)
    for _ in range(rng.integers(1, most_steps + 1)):
        result = scribble.pick(_STEPS)(scribble)
        if math.prod(scribble.shape(result)) <= 4 * _MOST:
            scribble.pool.append(result)
    read = {tensor for operator in scribble.operators for tensor in operator.inputs}
    made = [tensor for operator in scribble.operators for tensor in operator.outputs]
    outputs = [tensor for tensor in made if tensor not in read or rng.random() < 0.05]
    return scribble.model(outputs, ranges=ranges)
