"""`python -m benchmarks.overhead`: what one small operator costs, in a chain of many of its kind.

The tensors have a few numbers only, so that the time is that of the interpreter and of the Python around NumPy's calls.
"An operator" is the shortest of many runs of the chain, divided by its length.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import refquant as rq
from refquant.testing import OperatorSpec, SubgraphSpec, TensorSpec, model_of
from refquant.tflite import schema
from refquant.tflite.schema import TensorType

_LENGTH = 200
_RUNS = 30

_FLOAT32 = TensorSpec(TensorType.FLOAT32, (1, 2, 2, 4))
_INT8 = TensorSpec(TensorType.INT8, (1, 2, 2, 4), scale=0.05, zero_point=3)
_ROW_FLOAT32 = TensorSpec(TensorType.FLOAT32, (1, 4))
_ROW_INT8 = TensorSpec(TensorType.INT8, (1, 4), scale=0.05, zero_point=3)
_UNIT_INT8 = TensorSpec(TensorType.INT8, (1, 4), scale=1 / 256, zero_point=-128)


def _weights(spec: TensorSpec, *shape: int, per_channel: bool = True) -> list[TensorSpec]:
    """Weights and a bias for numbers like `spec`."""
    numbers = np.arange(np.prod(shape)).reshape(shape) % 7 - 3
    if spec.type == TensorType.FLOAT32:
        floats = TensorSpec(TensorType.FLOAT32, data=numbers.astype(np.float32) / 4)
        return [floats, TensorSpec(TensorType.FLOAT32, data=np.zeros(4, np.float32))]
    scale: Any = [0.25] * 4 if per_channel else 0.25
    axis = shape.index(4) if shape[0] == 1 else 0
    return [
        TensorSpec(TensorType.INT8, data=numbers.astype(np.int8), scale=scale, zero_point=0, quantized_dimension=axis),
        TensorSpec(TensorType.INT32, data=np.zeros(4, np.int32), scale=0.0125),
    ]


def _convolution(spec: TensorSpec) -> rq.Model:
    options = schema.Conv2DOptions(stride_w=1, stride_h=1, dilation_w_factor=1, dilation_h_factor=1)
    return chain("CONV_2D", spec, _weights(spec, 4, 1, 1, 4), options)


def _depthwise(spec: TensorSpec) -> rq.Model:
    options = schema.DepthwiseConv2DOptions(
        stride_w=1, stride_h=1, depth_multiplier=1, dilation_w_factor=1, dilation_h_factor=1
    )
    weights, bias = _weights(spec, 1, 3, 3, 4)
    weights.quantized_dimension = 3
    return chain("DEPTHWISE_CONV_2D", spec, [weights, bias], options)


def _pooling(spec: TensorSpec) -> rq.Model:
    return chain(
        "AVERAGE_POOL_2D", spec, [], schema.Pool2DOptions(stride_w=1, stride_h=1, filter_width=2, filter_height=2)
    )


def _fully_connected(spec: TensorSpec) -> rq.Model:
    return chain("FULLY_CONNECTED", spec, _weights(spec, 4, 4, per_channel=False), schema.FullyConnectedOptions())


#: what is measured: the operator with its type, and the model
CHAINS: dict[str, Callable[[], rq.Model]] = {
    "RESHAPE float32": lambda: chain(
        "RESHAPE", _FLOAT32, [TensorSpec(TensorType.INT32, data=np.array([1, 2, 2, 4], np.int32))]
    ),
    "ADD float32": lambda: chain("ADD", _FLOAT32, [TensorSpec(TensorType.FLOAT32, data=np.ones(4, np.float32))]),
    "MAXIMUM float32": lambda: chain(
        "MAXIMUM", _FLOAT32, [TensorSpec(TensorType.FLOAT32, data=np.ones(4, np.float32))]
    ),
    "RELU float32": lambda: chain("RELU", _FLOAT32, []),
    "LOGISTIC float32": lambda: chain("LOGISTIC", _FLOAT32, []),
    "TANH float32": lambda: chain("TANH", _FLOAT32, []),
    "SOFTMAX float32": lambda: chain("SOFTMAX", _ROW_FLOAT32, [], schema.SoftmaxOptions(beta=1.0)),
    "AVERAGE_POOL_2D float32": lambda: _pooling(_FLOAT32),
    "CONV_2D float32": lambda: _convolution(_FLOAT32),
    "DEPTHWISE_CONV_2D float32": lambda: _depthwise(_FLOAT32),
    "FULLY_CONNECTED float32": lambda: _fully_connected(_ROW_FLOAT32),
    "ADD int8": lambda: chain("ADD", _INT8, [TensorSpec(TensorType.INT8, data=np.ones(4, np.int8), scale=0.1)]),
    "MUL int8": lambda: chain("MUL", _INT8, [TensorSpec(TensorType.INT8, data=np.ones(4, np.int8), scale=0.1)]),
    "RELU int8": lambda: chain("RELU", _INT8, []),
    "LOGISTIC int8": lambda: chain("LOGISTIC", _UNIT_INT8, []),
    "SOFTMAX int8": lambda: chain("SOFTMAX", _UNIT_INT8, [], schema.SoftmaxOptions(beta=1.0)),
    "AVERAGE_POOL_2D int8": lambda: _pooling(_INT8),
    "CONV_2D int8": lambda: _convolution(_INT8),
    "DEPTHWISE_CONV_2D int8": lambda: _depthwise(_INT8),
    "FULLY_CONNECTED int8": lambda: _fully_connected(_ROW_INT8),
    "QUANTIZE int8": lambda: chain("QUANTIZE", _INT8, []),
    "TRANSPOSE int8": lambda: chain(
        "TRANSPOSE", _INT8, [TensorSpec(TensorType.INT32, data=np.array([0, 2, 1, 3], np.int32))]
    ),
    "MEAN int8": lambda: chain(
        "MEAN",
        _INT8,
        [TensorSpec(TensorType.INT32, data=np.array([1], np.int32))],
        schema.ReducerOptions(keep_dims=True),
        result=(1, 1, 2, 4),
    ),
    "CONCATENATION int8": lambda: chain("CONCATENATION", _INT8, [], schema.ConcatenationOptions(axis=1)),
    "PAD int8": lambda: chain("PAD", _INT8, [TensorSpec(TensorType.INT32, data=np.zeros((4, 2), np.int32))]),
}


def chain(
    operator: str,
    spec: TensorSpec,
    constants: list[TensorSpec],
    options: Any = None,
    *,
    result: tuple[int, ...] | None = None,
    length: int = _LENGTH,
) -> rq.Model:
    """A model of one operator many times, each with the result of the one before it and the same constants.

    All tensors between are as `spec`; where an operator gives another shape, `result`, each reads the input instead.
    """
    between = [spec] * (length + 1) if result is None else [spec, *[_reshaped(spec, result)] * length]
    first = len(between)
    operators = [
        OperatorSpec(operator, [i if result is None else 0, *range(first, first + len(constants))], [i + 1], options)
        for i in range(length)
    ]
    return model_of(SubgraphSpec([*between, *constants], operators, [0], [length]))


def seconds(model: rq.Model, runs: int = _RUNS) -> float:
    """The shortest time of `invoke`."""
    interpreter = rq.Interpreter(model=model)
    interpreter.allocate_tensors()
    (place,) = interpreter.get_input_details()
    numbers = np.arange(np.prod(place["shape"])).reshape(place["shape"]) % 5
    interpreter.set_tensor(place["index"], numbers.astype(place["dtype"]))
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        interpreter.invoke()
        times.append(time.perf_counter() - start)
    return min(times)


def _reshaped(spec: TensorSpec, shape: tuple[int, ...]) -> TensorSpec:
    return TensorSpec(spec.type, shape, spec.scale, spec.zero_point)


def main() -> None:
    """Measures and prints."""
    print(f"| a chain of {_LENGTH} | µs an operator |")
    print("|---|--:|")
    for name, build in CHAINS.items():
        print(f"| {name} | {1e6 * seconds(build()) / _LENGTH:.1f} |")


if __name__ == "__main__":
    main()
