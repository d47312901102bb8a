"""Small networks in which channels go many ways, and for each what a reader's weight has to be without some of them.

The network is drawn operator by operator; beside it runs a book of which filters each channel of each activation is
made of, kept by hand here and not by what is tested.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from refquant.compression.weights import replace_constants
from refquant.testing.build import OperatorSpec, SubgraphSpec, TensorSpec, model_of
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType

Array = npt.NDArray[Any]
Kind = Literal["float32", "int8", "float16", "hybrid"]
#: the filters that a channel is made of: the weight's tensor, and which
Origin = frozenset[tuple[int, int]]
NOBODY: Origin = frozenset()


@dataclass
class Place:
    """An activation: its tensor, its shape, and the origin of each of its channels."""

    tensor: int
    shape: list[int]
    origins: list[Origin]


@dataclass
class Network:
    """A network of one input and one output, in one of the kinds of arithmetic."""

    kind: Kind
    rng: np.random.Generator
    #: shapes begin with the batch that an activation has, as the converter makes them where it may be any
    any_batch: bool = False
    tensors: list[TensorSpec] = field(default_factory=list)
    operators: list[OperatorSpec] = field(default_factory=list)
    #: weights that read channels: the tensor, and the origins along its axis of inputs
    readers: list[tuple[int, int, list[Origin]]] = field(default_factory=list)
    #: constants that have a number for each channel (of producers and of what lies between)
    others: list[tuple[int, int, list[Origin]]] = field(default_factory=list)
    producers: dict[int, list[Origin]] = field(default_factory=dict)
    input: int = -1
    output: int = -1

    def model(self) -> Model:
        return model_of(SubgraphSpec(self.tensors, self.operators, [self.input], [self.output]))

    @property
    def quantized(self) -> bool:
        return self.kind == "int8"

    def place(self, shape: list[int], origins: list[Origin], scale: float = 0.05, zero: int = 3) -> Place:
        spec = (
            TensorSpec(TensorType.INT8, shape, scale, zero) if self.quantized else TensorSpec(TensorType.FLOAT32, shape)
        )
        self.tensors.append(spec)
        return Place(len(self.tensors) - 1, shape, origins)

    def constant(self, spec: TensorSpec) -> int:
        self.tensors.append(spec)
        return len(self.tensors) - 1

    def integers(self, values: Any) -> int:
        """Equal constants are one, as the converter makes them."""
        data = np.asarray(values, np.int32)
        for index, spec in enumerate(self.tensors):
            if spec.type == TensorType.INT32 and spec.scale is None and np.array_equal(spec.data, data):  # type: ignore[arg-type]
                return index
        return self.constant(TensorSpec(TensorType.INT32, data=data))

    def shape(self, of: Place, shape: list[int]) -> int:
        """A shape whose first side is that of an activation."""
        if not self.any_batch:
            return self.integers(shape)
        whole, side, packed = (
            self.constant(TensorSpec(TensorType.INT32, sides)) for sides in ([len(of.shape)], [], [len(shape)])
        )
        self.operators.append(OperatorSpec("SHAPE", [of.tensor], [whole], schema.ShapeOptions(TensorType.INT32)))
        bounds = [self.integers([0]), self.integers([1]), self.integers([1])]
        options = schema.StridedSliceOptions(shrink_axis_mask=1)
        self.operators.append(OperatorSpec("STRIDED_SLICE", [whole, *bounds], [side], options))
        sides = [side, *(self.integers(n) for n in shape[1:])]
        options = schema.PackOptions(values_count=len(sides))
        self.operators.append(OperatorSpec("PACK", sides, [packed], options))
        return packed

    def weight(self, shape: tuple[int, ...], axis: int | None) -> tuple[int, int]:
        """A weight, per channel along an axis: the constant, and what the operator reads."""
        if self.kind in ("int8", "hybrid"):
            count = 1 if axis is None else shape[axis]
            scale = self.rng.uniform(0.005, 0.01, count).astype(np.float32)
            data = self.rng.integers(-127, 128, shape).astype(np.int8)
            spec = TensorSpec(
                TensorType.INT8, data=data, scale=scale, zero_point=[0] * count, quantized_dimension=axis or 0
            )
            index = self.constant(spec)
            return index, index
        data = (self.rng.normal(size=shape) * 0.4).astype(np.float32)
        if self.kind == "float16":
            stored = self.constant(TensorSpec(TensorType.FLOAT16, data=data.astype(np.float16)))
            read = self.constant(TensorSpec(TensorType.FLOAT32, shape))
            self.operators.append(OperatorSpec("DEQUANTIZE", [stored], [read], schema.DequantizeOptions(), version=3))
            return stored, read
        index = self.constant(TensorSpec(TensorType.FLOAT32, data=data))
        return index, index

    def bias(self, size: int, weight: int) -> int:
        if not self.quantized:
            return self.constant(TensorSpec(TensorType.FLOAT32, data=self.rng.normal(size=size).astype(np.float32)))
        scale = np.float32(0.05) * np.asarray(self.tensors[weight].scale, np.float32)
        data = self.rng.integers(-99, 99, size).astype(np.int32)
        return self.constant(TensorSpec(TensorType.INT32, data=data, scale=scale, zero_point=[0] * len(scale)))

    def run(self, name: str, inputs: list[int], out: Place, options: Any = None, version: int = 1) -> Place:
        self.operators.append(OperatorSpec(name, inputs, [out.tensor], options, version))
        return out

    # the operators

    def convolve(self, x: Place, count: int, size: int = 1) -> Place:
        stored, weight = self.weight((count, size, size, x.shape[3]), 0)
        bias = self.bias(count, stored)
        own = self.produced(stored, count, 0, bias)
        self.readers.append((stored, 3, x.origins))
        options = schema.Conv2DOptions(stride_w=1, stride_h=1, fused_activation_function=self.relu())
        return self.run("CONV_2D", [x.tensor, weight, bias], self.place([*x.shape[:3], count], own), options, 3)

    def transpose_convolve(self, x: Place, count: int) -> Place:
        stored, weight = self.weight((count, 2, 2, x.shape[3]), 0)
        shape = [1, x.shape[1] * 2, x.shape[2] * 2, count]
        own = self.produced(stored, count, 0, None)
        self.readers.append((stored, 3, x.origins))
        options = schema.TransposeConvOptions(stride_w=2, stride_h=2)
        out = self.place(shape, own)
        return self.run("TRANSPOSE_CONV", [self.shape(x, shape), weight, x.tensor], out, options, 2)

    def dense(self, x: Place, count: int, flattens: bool = False) -> Place:
        inputs = int(np.prod(x.shape[1:]))
        origins = x.origins * (inputs // len(x.origins))
        if not flattens:
            shape = self.shape(x, [1, inputs])
            options = None if self.any_batch else schema.ReshapeOptions(new_shape=np.array([1, inputs], np.int32))
            x = self.run("RESHAPE", [x.tensor, shape], self.place([1, inputs], origins), options)
        stored, weight = self.weight((count, inputs), None)
        bias = self.bias(count, stored)
        own = self.produced(stored, count, 0, bias)
        self.readers.append((stored, 1, origins))
        options = schema.FullyConnectedOptions()
        version = 3 if self.kind == "hybrid" else 4 if self.quantized else 1
        return self.run("FULLY_CONNECTED", [x.tensor, weight, bias], self.place([1, count], own), options, version)

    def depthwise(self, x: Place, multiplier: int) -> Place:
        count = x.shape[3] * multiplier
        kind, self.kind = self.kind, "float32" if self.kind == "hybrid" else self.kind
        stored, weight = self.weight((1, 3, 3, count), 3)
        bias = self.bias(count, stored)
        self.kind = kind
        if x.shape[3] == 1:
            origins = self.produced(stored, count, 3, bias)
        else:
            origins = [origin for origin in x.origins for _ in range(multiplier)]
            self.others += [(stored, 3, origins), (bias, 0, origins)]
        options = schema.DepthwiseConv2DOptions(
            stride_w=1, stride_h=1, depth_multiplier=multiplier, fused_activation_function=self.relu()
        )
        out = self.place([*x.shape[:3], count], origins)
        return self.run("DEPTHWISE_CONV_2D", [x.tensor, weight, bias], out, options, 3)

    def produced(self, weight: int, count: int, axis: int, bias: int | None) -> list[Origin]:
        own = [frozenset([(weight, i)]) for i in range(count)]
        self.producers[weight] = own
        self.others.append((weight, axis, own))
        if bias is not None:
            self.others.append((bias, 0, own))
        return own

    def relu(self) -> schema.ActivationFunctionType:
        return schema.ActivationFunctionType.RELU

    def arithmetic(self, name: str, x: Place, y: Place) -> Place:
        origins = [a | b for a, b in zip(x.origins, y.origins, strict=True)]
        options = getattr(schema, f"{name.title()}Options")()
        return self.run(name, [x.tensor, y.tensor], self.place(x.shape, origins), options, 2 if self.quantized else 1)

    def scaled(self, name: str, x: Place) -> Place:
        """With a constant for each channel."""
        shape = [(x.shape[3],), (1, 1, 1, x.shape[3]), (1, 1, x.shape[3])][0 if name != "PRELU" else 2]
        if self.quantized:
            spec = TensorSpec(
                TensorType.INT8, data=self.rng.integers(-99, 99, shape).astype(np.int8), scale=0.01, zero_point=0
            )
        else:
            spec = TensorSpec(TensorType.FLOAT32, data=self.rng.normal(size=shape).astype(np.float32))
        constant = self.constant(spec)
        self.others.append((constant, len(shape) - 1, x.origins))
        options = None if name == "PRELU" else getattr(schema, f"{name.title()}Options")()
        version = 2 if self.quantized and name != "PRELU" else 1
        return self.run(name, [x.tensor, constant], self.place(x.shape, x.origins), options, version)

    def activation(self, name: str, x: Place) -> Place:
        if name == "LEAKY_RELU":
            out, options = self.place(x.shape, x.origins), schema.LeakyReluOptions(alpha=0.1)
            return self.run(name, [x.tensor], out, options, 2 if self.quantized else 1)
        if name in ("LOGISTIC", "TANH") and self.quantized:
            y = self.place(x.shape, x.origins, *((1 / 256, -128) if name == "LOGISTIC" else (1 / 128, 0)))
            self.run(name, [x.tensor], y, None, 2)
            return self.run("QUANTIZE", [y.tensor], self.place(x.shape, x.origins), schema.QuantizeOptions(), 2)
        return self.run(
            name, [x.tensor], self.place(x.shape, x.origins), None, 2 if self.quantized and name != "HARD_SWISH" else 1
        )

    def pool(self, name: str, x: Place) -> Place:
        options = schema.Pool2DOptions(stride_w=2, stride_h=2, filter_width=2, filter_height=2)
        shape = [1, -(-x.shape[1] // 2), -(-x.shape[2] // 2), x.shape[3]]
        return self.run(name, [x.tensor], self.place(shape, x.origins), options, 2 if self.quantized else 1)

    def mean(self, x: Place) -> Place:
        out = self.place([1, 1, 1, x.shape[3]], x.origins)
        options = schema.ReducerOptions(keep_dims=True)
        return self.run("MEAN", [x.tensor, self.integers([1, 2])], out, options, 2 if self.quantized else 1)

    def pad(self, x: Place, channels: int) -> Place:
        sides = self.integers([[0, 0], [1, 0], [0, 1], [0, channels]])
        shape = [1, x.shape[1] + 1, x.shape[2] + 1, x.shape[3] + channels]
        out = self.place(shape, x.origins + [NOBODY] * channels)
        return self.run("PAD", [x.tensor, sides], out, schema.PadOptions(), 2 if self.quantized else 1)

    def resize(self, x: Place) -> Place:
        out = self.place([1, x.shape[1] + 1, x.shape[2] + 2, x.shape[3]], x.origins)
        options = schema.ResizeNearestNeighborOptions()
        size = self.integers(out.shape[1:3])
        return self.run("RESIZE_NEAREST_NEIGHBOR", [x.tensor, size], out, options, 2 if self.quantized else 1)

    def concatenation(self, x: Place, y: Place, axis: int) -> Place:
        shape = list(x.shape)
        shape[axis] += y.shape[axis]
        origins = x.origins + y.origins if axis == 3 else [a | b for a, b in zip(x.origins, y.origins, strict=True)]
        options = schema.ConcatenationOptions(axis=axis - 4 * (axis == 3))
        out = self.place(shape, origins)
        return self.run("CONCATENATION", [x.tensor, y.tensor], out, options, 2 if self.quantized else 1)

    def excited(self, x: Place) -> Place:
        """Squeeze and excite: each channel by a number of its own."""
        gate = self.activation("LOGISTIC", self.convolve(self.mean(x), x.shape[3]))
        return self.run(
            "MUL",
            [x.tensor, gate.tensor],
            self.place(x.shape, [a | b for a, b in zip(x.origins, gate.origins, strict=True)]),
            schema.MulOptions(),
            2 if self.quantized else 1,
        )

    def masked(self, removed: set[tuple[int, int]], everywhere: bool = False) -> Model:
        """The model whose readers' weights, and `everywhere` all constants, are zero at the removed channels."""
        arrays: dict[tuple[int, int], Array] = {}
        for index, axis, origins in self.readers + self.others * everywhere:
            gone = [not origin.isdisjoint(removed) for origin in origins]
            array = arrays.get((0, index), np.array(self.tensors[index].data))
            np.moveaxis(array, axis, 0)[gone] = 0
            arrays[0, index] = array
        return replace_constants(self.model(), arrays)

    def without(self, removed: set[tuple[int, int]]) -> dict[int, tuple[int, ...]]:
        """The shape of every constant that has channels, without these."""
        shapes = {index: list(np.shape(self.tensors[index].data)) for index, *_ in self.readers + self.others}
        for index, axis, origins in self.readers + self.others:
            shapes[index][axis] = sum(origin.isdisjoint(removed) for origin in origins)
        return {index: tuple(shape) for index, shape in shapes.items()}


Move = Callable[[Any, Network, list[Place]], Place]


@st.composite
def networks(draw: st.DrawFn, kind: Kind) -> Network:
    """A network of a convolution, up to six more operators that take what they like of what is there, and neurons."""
    network = Network(kind, np.random.default_rng(draw(st.integers(0, 2**32 - 1))), draw(st.booleans()))
    channels = draw(st.integers(1, 3))
    x = network.place([1, 4, 3, channels], [NOBODY] * channels)
    network.input = x.tensor
    there = [network.depthwise(x, 4) if channels == 1 else network.convolve(x, draw(st.integers(1, 6)), 3)]
    moves = draw(st.lists(st.sampled_from(MOVES[:4] if kind == "hybrid" else MOVES), min_size=1, max_size=6))
    for move in moves:
        there.append(move(draw, network, there))
    last = there[-1]
    if draw(st.booleans()):
        last = network.mean(last)
    hidden = network.dense(last, draw(st.integers(1, 6)), flattens=draw(st.booleans()))
    network.output = network.dense(hidden, 2).tensor
    return network


def _any(draw: st.DrawFn, there: list[Place]) -> Place:
    return draw(st.sampled_from(there))


def _alike(draw: st.DrawFn, network: Network, there: list[Place]) -> tuple[Place, Place]:
    """An activation and another of its shape, a new one where there is none."""
    x = _any(draw, there)
    others = [place for place in there if place.shape == x.shape and place is not x]
    return x, draw(st.sampled_from(others)) if others else network.convolve(x, x.shape[3])


def _beside(draw: st.DrawFn, network: Network, there: list[Place]) -> Place:
    x = _any(draw, there)
    others = [place for place in there if place.shape[:3] == x.shape[:3]]
    return network.concatenation(x, draw(st.sampled_from(others)), 3)


MOVES: list[Move] = [
    lambda draw, n, there: n.convolve(_any(draw, there), draw(st.integers(1, 6)), draw(st.sampled_from([1, 3]))),
    lambda draw, n, there: n.depthwise(_any(draw, there), draw(st.integers(1, 2))),
    lambda draw, n, there: n.arithmetic("ADD", *_alike(draw, n, there)),
    _beside,
    lambda draw, n, there: n.arithmetic(draw(st.sampled_from(["SUB", "MUL"])), *_alike(draw, n, there)),
    lambda draw, n, there: n.concatenation(*_alike(draw, n, there), draw(st.sampled_from([1, 2]))),
    lambda draw, n, there: n.scaled(draw(st.sampled_from(["ADD", "SUB", "MUL", "PRELU"])), _any(draw, there)),
    lambda draw, n, there: n.activation(
        draw(st.sampled_from(["RELU", "RELU6", "LEAKY_RELU", "LOGISTIC", "TANH", "HARD_SWISH"])), _any(draw, there)
    ),
    lambda draw, n, there: n.pool(draw(st.sampled_from(["AVERAGE_POOL_2D", "MAX_POOL_2D"])), _any(draw, there)),
    lambda draw, n, there: n.pad(_any(draw, there), draw(st.integers(0, 2))),
    lambda draw, n, there: n.resize(_any(draw, there)),
    lambda draw, n, there: n.excited(_any(draw, there)),
    lambda draw, n, there: n.transpose_convolve(_any(draw, there), draw(st.integers(1, 5))),
]
