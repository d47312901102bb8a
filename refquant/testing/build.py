"""Models built in a line, most often of one operator, for tests of kernels and of real runtimes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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

    `shape_signature` is the shape with -1 for each side that may be any, where the file says so.

    Of a sparse constant `data` are the stored values and `shape` is that of the tensor.

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
    sparsity: schema.SparsityParameters | None = None
    name: str = ""
    shape_signature: Sequence[int] | None = None


@dataclass(slots=True)
class OperatorSpec:
    """One operator to be: a `BuiltinOperator` by name, or else a custom operator with that code.

    Its tensors are given by their indices in the subgraph, -1 for an optional input that is absent. `options` is the
    schema's options table of the operator, or None.
    """

    name: str
    inputs: Sequence[int]
    outputs: Sequence[int]
    options: Any = None
    version: int = 1
    custom_options: bytes | None = None
    intermediates: Sequence[int] = ()


@dataclass(slots=True)
class SubgraphSpec:
    """One subgraph to be: its tensors, its operators, and which tensors are its inputs and outputs."""

    tensors: Sequence[TensorSpec]
    operators: Sequence[OperatorSpec]
    inputs: Sequence[int]
    outputs: Sequence[int]


def model_of(*subgraphs: SubgraphSpec) -> Model:
    """A model of these subgraphs; the first is the main one."""
    root = schema.Model(
        version=3, operator_codes=[], buffers=[schema.Buffer()], subgraphs=[], description="made for a test"
    )
    for number, spec in enumerate(subgraphs):
        subgraph = schema.SubGraph(
            tensors=[_tensor(root, tensor, tensor.name or f"tensor{i}") for i, tensor in enumerate(spec.tensors)],
            inputs=np.asarray(spec.inputs, np.int32),
            outputs=np.asarray(spec.outputs, np.int32),
            operators=[_operator(root, operator) for operator in spec.operators],
            name="main" if number == 0 else f"subgraph{number}",
        )
        root.subgraphs = [*(root.subgraphs or []), subgraph]
    return Model(root)


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
    tensors: list[TensorSpec] = []

    def add(specs: Sequence[TensorSpec | None], kind: str) -> list[int]:
        indices = []
        for position, spec in enumerate(specs):
            indices.append(-1 if spec is None else len(tensors))
            if spec is not None:
                tensors.append(replace(spec, name=spec.name or f"{kind}{position}"))
        return indices

    input_indices, output_indices = add(inputs, "input"), add(outputs, "output")
    intermediate_indices = add(intermediates, "intermediate")
    open_inputs = [i for i in input_indices if i >= 0 and tensors[i].data is None and not tensors[i].is_variable]
    spec = OperatorSpec(operator, input_indices, output_indices, options, version, custom_options, intermediate_indices)
    return model_of(SubgraphSpec(tensors, [spec], open_inputs, output_indices))


def scale_in_blocks(model: Model, index: int, table: npt.NDArray[np.float16], size: int) -> None:
    """Gives tensor `index` the scales of `table`, a new constant, one for each `size` numbers of a row."""
    tensors, buffers = model.subgraphs[0].tensors, model.root.buffers
    assert tensors is not None and buffers is not None
    buffers.append(schema.Buffer(data=np.frombuffer(table.tobytes(), np.uint8)))
    shape = np.array(table.shape, np.int32)
    tensors.append(schema.Tensor(shape=shape, type=TensorType.FLOAT16, buffer=len(buffers) - 1, name="scales"))
    details = schema.BlockwiseQuantization(scales=len(tensors) - 1, zero_points=-1, block_size=size)
    tensors[index].quantization = schema.QuantizationParameters(details=details)


def _operator(root: schema.Model, spec: OperatorSpec) -> schema.Operator:
    """The table of an operator; the model gets its operator code unless it is there."""
    assert root.operator_codes is not None
    number = schema.BuiltinOperator.__members__.get(spec.name, schema.BuiltinOperator.CUSTOM)
    code = schema.OperatorCode(
        builtin_code=number,
        deprecated_builtin_code=min(127, int(number)),
        custom_code=spec.name if number == schema.BuiltinOperator.CUSTOM else None,
        version=spec.version,
    )
    if code not in root.operator_codes:
        root.operator_codes.append(code)
    slot = "builtin_options_2" if isinstance(spec.options, schema.BuiltinOptions2) else "builtin_options"
    return schema.Operator(
        opcode_index=root.operator_codes.index(code),
        inputs=np.asarray(spec.inputs, np.int32),
        outputs=np.asarray(spec.outputs, np.int32),
        intermediates=np.asarray(spec.intermediates, np.int32) if spec.intermediates else None,
        custom_options=None if spec.custom_options is None else np.frombuffer(spec.custom_options, np.uint8),
        **{slot: spec.options},
    )


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
        shape=np.asarray(spec.shape if spec.data is None or spec.sparsity else spec.data.shape, np.int32),
        type=spec.type,
        buffer=buffer,
        name=name,
        quantization=quantization,
        is_variable=spec.is_variable,
        sparsity=spec.sparsity,
        shape_signature=None if spec.shape_signature is None else np.asarray(spec.shape_signature, np.int32),
    )


def _stored(type: TensorType, data: npt.NDArray[Any]) -> bytes:
    """The bytes of a constant in a file; of strings: their number, where each begins, and all of them."""
    if type == TensorType.STRING:
        strings = [bytes(item) for item in data.reshape(-1)]
        ends = np.cumsum([4 * (len(strings) + 2), *map(len, strings)])
        return np.array([len(strings), *ends], "<i4").tobytes() + b"".join(strings)
    return (pack(data, PACKED_BITS[type]) if type in PACKED_BITS else np.ascontiguousarray(data)).tobytes()
