"""Models of one operator, built in a line, for tests of kernels and of real runtimes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.numerics.packed import pack
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType
from refquant.tflite.tensor_types import PACKED_BITS


@dataclass(slots=True)
class TensorSpec:
    """One tensor to be: with `data` it is a constant (whose shape it then has), without it a place for data.

    Integers of a packed type are given as int8, one to an element, floats of bfloat16 as their bits in uint16, strings
    as bytes in an array of dtype object.

    `scale` and `zero_point` are numbers for quantization per tensor, sequences for quantization per channel along
    `quantized_dimension`; no scale, no quantization.
    """

    type: TensorType
    shape: Sequence[int] = ()
    scale: float | Sequence[float] | npt.NDArray[Any] | None = None
    zero_point: int | Sequence[int] | npt.NDArray[Any] = 0
    quantized_dimension: int = 0
    data: npt.NDArray[Any] | None = None
    is_variable: bool = False
    name: str = ""


def single_operator_model(
    operator: str,
    inputs: Sequence[TensorSpec | None],
    outputs: Sequence[TensorSpec],
    options: Any = None,
    *,
    version: int = 1,
    custom_options: bytes | None = None,
    intermediates: Sequence[TensorSpec] = (),
) -> Model:
    """A model of one operator: a `BuiltinOperator` by name, or else a custom operator with that code.

    Inputs with neither data nor state become the inputs of the model, all outputs its outputs; None stands for an
    optional input that is absent. `options` is the schema's options table of the operator, or None.
    """
    builtin = schema.BuiltinOperator.__members__.get(operator)
    root = schema.Model(
        version=3,
        operator_codes=[
            schema.OperatorCode(
                builtin_code=schema.BuiltinOperator.CUSTOM if builtin is None else builtin,
                deprecated_builtin_code=int(min(127, schema.BuiltinOperator.CUSTOM if builtin is None else builtin)),
                custom_code=operator if builtin is None else None,
                version=version,
            )
        ],
        buffers=[schema.Buffer()],
        subgraphs=[],
        description="one operator",
    )
    tensors: list[schema.Tensor] = []

    def add(specs: Sequence[TensorSpec | None], kind: str) -> list[int]:
        indices = []
        for position, spec in enumerate(specs):
            if spec is None:
                indices.append(-1)
                continue
            indices.append(len(tensors))
            tensors.append(_tensor(root, spec, spec.name or f"{kind}{position}"))
        return indices

    input_indices = add(inputs, "input")
    output_indices = add(outputs, "output")
    intermediate_indices = add(intermediates, "intermediate")
    open_inputs = [
        index
        for index, spec in zip(input_indices, inputs)
        if spec is not None and spec.data is None and not spec.is_variable
    ]
    root.subgraphs = [
        schema.SubGraph(
            tensors=tensors,
            inputs=np.asarray(open_inputs, np.int32),
            outputs=np.asarray(output_indices, np.int32),
            operators=[
                schema.Operator(
                    opcode_index=0,
                    inputs=np.asarray(input_indices, np.int32),
                    outputs=np.asarray(output_indices, np.int32),
                    intermediates=np.asarray(intermediate_indices, np.int32) if intermediates else None,
                    builtin_options=options,
                    custom_options=None if custom_options is None else np.frombuffer(custom_options, np.uint8),
                )
            ],
            name="main",
        )
    ]
    return Model(root)


def _tensor(root: schema.Model, spec: TensorSpec, name: str) -> schema.Tensor:
    """The table of a tensor; a constant gets a buffer of its own, everything else buffer 0, which is empty."""
    assert root.buffers is not None
    buffer = 0
    if spec.data is not None:
        buffer = len(root.buffers)
        root.buffers.append(schema.Buffer(data=np.frombuffer(_stored(spec.type, spec.data), np.uint8)))
    quantization = None
    if spec.scale is not None:
        scales = np.atleast_1d(np.asarray(spec.scale, np.float32))
        quantization = schema.QuantizationParameters(
            scale=scales,
            zero_point=np.broadcast_to(np.asarray(spec.zero_point, np.int64), scales.shape).copy(),
            quantized_dimension=spec.quantized_dimension,
        )
    return schema.Tensor(
        shape=np.asarray(spec.shape if spec.data is None else spec.data.shape, np.int32),
        type=spec.type,
        buffer=buffer,
        name=name,
        quantization=quantization,
        is_variable=spec.is_variable,
    )


def _stored(type: TensorType, data: npt.NDArray[Any]) -> bytes:
    """The bytes of a constant in a file; of strings: their number, where each begins, and all of them."""
    if type == TensorType.STRING:
        strings = [bytes(item) for item in data.reshape(-1)]
        ends = np.cumsum([4 * (len(strings) + 2), *map(len, strings)])
        return np.array([len(strings), *ends], "<i4").tobytes() + b"".join(strings)
    return (pack(data, PACKED_BITS[type]) if type in PACKED_BITS else np.ascontiguousarray(data)).tobytes()
