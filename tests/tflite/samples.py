"""Models for the tests of the file room, built with our own writer."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import refquant
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import ActivationFunctionType, BuiltinOperator, Padding, TensorType

DATA = Path(refquant.__file__).parent / "data"


def convolution() -> Model:
    """A quantized convolution: per-channel scales, constants, a signature, metadata."""
    weights = np.arange(2 * 3 * 3 * 1, dtype=np.int8)
    bias = np.array([5, -7], np.int32)
    quantization = schema.QuantizationParameters
    return Model(
        schema.Model(
            version=3,
            operator_codes=[
                schema.OperatorCode(deprecated_builtin_code=3, builtin_code=BuiltinOperator.CONV_2D, version=3)
            ],
            description="one convolution",
            buffers=[
                schema.Buffer(),
                schema.Buffer(data=weights.view(np.uint8)),
                schema.Buffer(data=bias.view(np.uint8)),
                schema.Buffer(data=np.frombuffer(b"1.5.0", np.uint8)),
            ],
            metadata=[schema.Metadata(name="min_runtime_version", buffer=3)],
            signature_defs=[
                schema.SignatureDef(
                    signature_key="serving_default",
                    inputs=[schema.TensorMap(name="x", tensor_index=0)],
                    outputs=[schema.TensorMap(name="y", tensor_index=3)],
                )
            ],
            subgraphs=[
                schema.SubGraph(
                    name="main",
                    inputs=[0],
                    outputs=[3],
                    tensors=[
                        schema.Tensor(
                            name="x",
                            shape=[1, 5, 5, 1],
                            shape_signature=[-1, 5, 5, 1],
                            type=TensorType.INT8,
                            quantization=quantization(scale=[0.5], zero_point=[-3]),
                        ),
                        schema.Tensor(
                            name="weights",
                            shape=[2, 3, 3, 1],
                            type=TensorType.INT8,
                            buffer=1,
                            quantization=quantization(scale=[0.25, 0.125], zero_point=[0, 0]),
                        ),
                        schema.Tensor(
                            name="bias",
                            shape=[2],
                            type=TensorType.INT32,
                            buffer=2,
                            quantization=quantization(scale=[0.125, 0.0625], zero_point=[0, 0]),
                        ),
                        schema.Tensor(
                            name="y",
                            shape=[1, 3, 3, 2],
                            type=TensorType.INT8,
                            quantization=quantization(scale=[9.5], zero_point=[4]),
                        ),
                    ],
                    operators=[
                        schema.Operator(
                            inputs=[0, 1, 2],
                            outputs=[3],
                            builtin_options=schema.Conv2DOptions(
                                padding=Padding.VALID,
                                stride_w=1,
                                stride_h=1,
                                fused_activation_function=ActivationFunctionType.RELU6,
                            ),
                        )
                    ],
                )
            ],
        )
    )


def everything() -> Model:
    """A model that no runtime runs, with something of each kind that a file can hold."""
    return Model(
        schema.Model(
            version=3,
            operator_codes=[
                schema.OperatorCode(
                    deprecated_builtin_code=32, builtin_code=BuiltinOperator.CUSTOM, custom_code="Mine"
                ),
                schema.OperatorCode(deprecated_builtin_code=127, builtin_code=BuiltinOperator.STABLEHLO_REDUCE),
                schema.OperatorCode(deprecated_builtin_code=BuiltinOperator.IF),
            ],
            metadata_buffer=[1],
            metadata=[schema.Metadata(name="notes", buffer=1)],
            buffers=[
                schema.Buffer(),
                schema.Buffer(data=list(b"some words")),
                schema.Buffer(data=np.array([2, 16, 19, 22], "<i4").view(np.uint8).tolist() + list(b"onetwo")),
            ],
            signature_defs=[
                schema.SignatureDef(
                    signature_key=key,
                    subgraph_index=index,
                    inputs=[schema.TensorMap(name="in", tensor_index=0)],
                    outputs=[schema.TensorMap(name="out", tensor_index=1)],
                )
                for index, key in enumerate(("first", "second"))
            ],
            subgraphs=[
                schema.SubGraph(
                    name=name,
                    inputs=[0],
                    outputs=[1],
                    tensors=[
                        schema.Tensor(name="in", shape=[], type=TensorType.BOOL, has_rank=True),
                        schema.Tensor(
                            name="ärmel",
                            shape=[4],
                            is_variable=True,
                            quantization=schema.QuantizationParameters(
                                min=[-1.0],
                                max=[1.0],
                                details=schema.CustomQuantization(custom=[1, 2, 3]),
                                quantized_dimension=0,
                            ),
                        ),
                        schema.Tensor(name="words", shape=[2], type=TensorType.STRING, buffer=2),
                        schema.Tensor(
                            shape=[2, 8],
                            type=TensorType.VARIANT,
                            variant_tensors=[schema.VariantSubType(shape=[3], type=TensorType.INT64, has_rank=True)],
                            sparsity=schema.SparsityParameters(
                                traversal_order=[0, 1],
                                dim_metadata=[
                                    schema.DimensionMetadata(dense_size=2),
                                    schema.DimensionMetadata(
                                        format=schema.DimensionType.SPARSE_CSR,
                                        array_segments=schema.Uint8Vector(values=[0, 1, 2]),
                                        array_indices=schema.Uint16Vector(values=[3, 5]),
                                    ),
                                ],
                            ),
                        ),
                    ],
                    operators=[
                        schema.Operator(inputs=[0, -1], outputs=[1], custom_options=list(range(9))),
                        schema.Operator(
                            opcode_index=1,
                            inputs=[1],
                            outputs=[1],
                            builtin_options_2=schema.StablehloReduceOptions(dimensions=[1], body_subgraph_index=1),
                        ),
                        schema.Operator(
                            opcode_index=2,
                            inputs=[0],
                            outputs=[1],
                            builtin_options=schema.IfOptions(then_subgraph_index=1, else_subgraph_index=1),
                        ),
                    ],
                )
                for name in ("main", "branch")
            ],
        )
    )


def outside() -> Model:
    """The convolution with its weights, its bias and an operator's options outside the FlatBuffer."""
    model = convolution()
    root = model.root
    assert root.buffers and root.subgraphs and root.subgraphs[0].operators and root.operator_codes
    root.operator_codes.append(schema.OperatorCode(deprecated_builtin_code=32, builtin_code=32, custom_code="Mine"))
    root.subgraphs[0].operators.append(schema.Operator(opcode_index=1, inputs=[3], outputs=[3]))
    operator = root.subgraphs[0].operators[1]
    pieces = [bytes(16)]
    for buffer in root.buffers[1:3]:
        data = np.asarray(buffer.data).tobytes()
        buffer.offset, buffer.size, buffer.data = sum(map(len, pieces)), len(data), None
        pieces.append(data + bytes(-len(data) % 16))
    operator.large_custom_options_offset, operator.large_custom_options_size = sum(map(len, pieces)), 7
    pieces.append(b"options")
    return Model.read(Model(root, np.frombuffer(b"".join(pieces), np.uint8)).tobytes())


def small_models() -> dict[str, bytes]:
    """Models of 1 to 3 kB by name."""
    return {make.__name__: make().tobytes() for make in (convolution, everything, outside)}


def bundled_models() -> dict[str, bytes]:
    """The models that the package brings, by name."""
    return {path.stem: path.read_bytes() for path in sorted(DATA.glob("*.tflite"))}
