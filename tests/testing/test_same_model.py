"""Each kind of difference between two models, made by changing one, is found and told in a line."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from refquant.testing import OperatorSpec, SubgraphSpec, TensorSpec, model_of
from refquant.testing.same_model import compare_models, differences
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import AddOptions, BuiltinOperator, SubOptions, TensorType


def sample() -> Model:
    """Two operators with a constant each, quantization, a signature and metadata."""
    tensors = [
        TensorSpec(TensorType.INT8, (1, 4), scale=0.5, zero_point=3, name="x"),
        TensorSpec(TensorType.INT8, data=np.arange(4, dtype=np.int8).reshape(1, 4), scale=[0.25], name="c"),
        TensorSpec(TensorType.INT8, (1, 4), scale=1.0, name="sum"),
        TensorSpec(TensorType.INT8, data=np.full((1, 4), 9, np.int8), scale=0.125, name="d"),
        TensorSpec(TensorType.INT8, (1, 4), scale=2.0, name="y"),
    ]
    operators = [
        OperatorSpec("ADD", [0, 1], [2], AddOptions()),
        OperatorSpec("SUB", [2, 3], [4], SubOptions(), version=2, intermediates=[1]),
    ]
    model = model_of(SubgraphSpec(tensors, operators, [0], [4]))
    model.root.signature_defs = [
        schema.SignatureDef([schema.TensorMap("in", 0)], [schema.TensorMap("out", 4)], "serve")
    ]
    model.root.buffers = [*(model.root.buffers or []), schema.Buffer(data=np.frombuffer(b"1.5.0", np.uint8))]
    model.root.metadata = [schema.Metadata("min_runtime_version", len(model.root.buffers) - 1)]
    model.root.buffers.append(schema.Buffer())
    return model


def tensor(model: Model, index: int) -> schema.Tensor:
    return (model.subgraphs[0].tensors or [])[index]


def operator(model: Model, index: int) -> schema.Operator:
    return (model.subgraphs[0].operators or [])[index]


def code(model: Model, index: int) -> schema.OperatorCode:
    return (model.root.operator_codes or [])[index]


def quantization(model: Model, index: int) -> schema.QuantizationParameters:
    found = tensor(model, index).quantization
    assert found is not None
    return found


def put(holder: Callable[[Model], object], field: str, value: object) -> Callable[[Model], None]:
    return lambda model: setattr(holder(model), field, value)


def buffer(model: Model, index: int) -> schema.Buffer:
    return (model.root.buffers or [])[index]


def add_tensor(model: Model) -> None:
    model.subgraphs[0].tensors = [*(model.subgraphs[0].tensors or []), schema.Tensor(name="more")]


def remove_operator(model: Model) -> None:
    model.subgraphs[0].operators = (model.subgraphs[0].operators or [])[:1]


def add_operator(model: Model) -> None:
    operators = model.subgraphs[0].operators or []
    model.subgraphs[0].operators = [operators[0], operators[0], operators[1]]


def swap_tensors(model: Model) -> None:
    tensors = model.subgraphs[0].tensors or []
    model.subgraphs[0].tensors = [tensors[3], *tensors[1:3], tensors[0], tensors[4]]


def add_subgraph(model: Model) -> None:
    model.root.subgraphs = [*model.subgraphs, schema.SubGraph(name="other")]


def add_buffer(model: Model) -> None:
    model.root.buffers = [*(model.root.buffers or []), schema.Buffer()]


def array(*numbers: float, dtype: str = "int32") -> np.ndarray:
    return np.array(numbers, dtype)


X, C, SUM, Y = "subgraph 0, tensor 0 'x'", "subgraph 0, tensor 1 'c'", "subgraph 0, tensor 2 'sum'", "tensor 4 'y'"
ADD, SUB = "subgraph 0, operator 0 (ADD)", "subgraph 0, operator 1 (SUB)"

CHANGES: list[tuple[Callable[[Model], None], list[str]]] = [
    (put(lambda m: tensor(m, 2), "name", "s"), [f"{SUM}: name: 's', expected 'sum'", f"{ADD}: outputs[0] is tensor 2 's', expected tensor 2 'sum'", f"{SUB}: inputs[0] is tensor 2 's', expected tensor 2 'sum'"]),
    (put(lambda m: tensor(m, 0), "type", TensorType.UINT8), [f"{X}: type: <TensorType.UINT8: 3>, expected <TensorType.INT8: 9>"]),
    (put(lambda m: tensor(m, 0), "shape", array(2, 2)), [f"{X}: shape: 2 of 2 differ, first [0]: np.int32(2), expected np.int32(1)"]),
    (put(lambda m: tensor(m, 0), "shape_signature", array(-1, 4)), [f"{X}: shape_signature: [-1  4], expected none"]),
    (put(lambda m: tensor(m, 0), "is_variable", True), [f"{X}: is_variable: True, expected False"]),
    (put(lambda m: tensor(m, 0), "has_rank", True), [f"{X}: has_rank: True, expected False"]),
    (put(lambda m: tensor(m, 0), "quantization", None), [f"{X}: quantization: none, expected a QuantizationParameters"]),
    (put(lambda m: quantization(m, 0), "scale", array(np.nextafter(np.float32(0.5), np.float32(1)), dtype="float32")), [f"{X}: quantization.scale: 1 of 1 differ, first [0]: np.float32(0.50000006), expected np.float32(0.5)"]),
    (put(lambda m: quantization(m, 0), "zero_point", array(4, dtype="int64")), [f"{X}: quantization.zero_point: 1 of 1 differ, first [0]: np.int64(4), expected np.int64(3)"]),
    (put(lambda m: quantization(m, 0), "quantized_dimension", 1), [f"{X}: quantization.quantized_dimension: 1, expected 0"]),
    (put(lambda m: quantization(m, 0), "min", array(-0.0, dtype="float32")), [f"{X}: quantization.min: [-0.], expected none"]),
    (put(lambda m: quantization(m, 0), "max", array(1, dtype="float32")), [f"{X}: quantization.max: [1.], expected none"]),
    (put(lambda m: tensor(m, 1), "sparsity", schema.SparsityParameters()), [f"{C}: sparsity: a SparsityParameters, expected none"]),
    (put(lambda m: buffer(m, 1), "data", array(0, 1, 7, 3, dtype="uint8")), [f"{C}: constant: 1 of 4 differ, first [0, 2]: np.int8(7), expected np.int8(2)"]),
    (put(lambda m: buffer(m, 1), "data", None), [f"{C}: constant: no data, expected some"]),
    (put(lambda m: tensor(m, 1), "buffer", 2), [f"{C}: buffer: 2, expected 1", f"{C}: constant: 4 of 4 differ, first [0, 0]: np.int8(9), expected np.int8(0)"]),
    (add_tensor, ["subgraph 0: 6 tensors, expected 5", "subgraph 0, tensor 5 'more': is not expected"]),
    (swap_tensors, ["subgraph 0: inputs[0] is tensor 0 'd', expected tensor 0 'x'", f"{X}: has index 3, expected 0", "subgraph 0, tensor 3 'd': has index 0, expected 3", f"{ADD}: inputs[0] is tensor 0 'd', expected tensor 0 'x'", f"{SUB}: inputs[1] is tensor 3 'x', expected tensor 3 'd'"]),
    (remove_operator, ["subgraph 0, operators from 1: none, expected SUB"]),
    (add_operator, ["subgraph 0, operators from 0: ADD, expected none"]),
    (put(lambda m: code(m, 1), "version", 3), ["operator_codes[1].version: 3, expected 2", f"{SUB}: code.version: 3, expected 2"]),
    (put(lambda m: code(m, 1), "builtin_code", BuiltinOperator.MUL), ["operator_codes[1].builtin_code: <BuiltinOperator.MUL: 18>, expected <BuiltinOperator.SUB: 41>", f"{SUB}: code.builtin_code: <BuiltinOperator.MUL: 18>, expected <BuiltinOperator.SUB: 41>"]),
    (put(lambda m: operator(m, 0).builtin_options, "pot_scale_int16", False), [f"{ADD}: builtin_options.pot_scale_int16: False, expected True"]),
    (put(lambda m: operator(m, 0), "builtin_options", None), [f"{ADD}: builtin_options: none, expected a AddOptions"]),
    (put(lambda m: operator(m, 0), "inputs", array(1, 0)), [f"{ADD}: inputs[0] is tensor 1 'c', expected tensor 0 'x'", f"{ADD}: inputs[1] is tensor 0 'x', expected tensor 1 'c'"]),
    (put(lambda m: operator(m, 0), "inputs", array(0, 1, -1)), [f"{ADD}: inputs: 3 of them, expected 2"]),
    (put(lambda m: operator(m, 0), "outputs", array(4)), [f"{ADD}: outputs[0] is {Y}, expected tensor 2 'sum'"]),
    (put(lambda m: operator(m, 1), "intermediates", None), [f"{SUB}: intermediates: none, expected [1]"]),
    (put(lambda m: operator(m, 0), "custom_options", array(1, dtype="uint8")), [f"{ADD}: custom_options: [1], expected none"]),
    (put(lambda m: m.subgraphs[0], "name", "other"), ["subgraph 0: name: 'other', expected 'main'"]),
    (put(lambda m: m.subgraphs[0], "inputs", array(2)), ["subgraph 0: inputs[0] is tensor 2 'sum', expected tensor 0 'x'"]),
    (put(lambda m: m.subgraphs[0], "outputs", array(4, 2)), ["subgraph 0: outputs: 2 of them, expected 1"]),
    (add_subgraph, ["2 subgraphs, expected 1"]),
    (put(lambda m: (m.root.signature_defs or [])[0], "signature_key", "call"), ["signature_defs[0].signature_key: 'call', expected 'serve'"]),
    (put(lambda m: ((m.root.signature_defs or [])[0].outputs or [])[0], "tensor_index", 2), ["signature_defs[0].outputs[0].tensor_index: 2, expected 4"]),
    (put(lambda m: m.root, "signature_defs", None), ["signature_defs: none, expected 1 of them"]),
    (put(lambda m: m.root, "description", "other"), ["description: 'other', expected 'made for a test'"]),
    (put(lambda m: buffer(m, 3), "data", np.frombuffer(b"1.6.0", np.uint8)), ["metadata 'min_runtime_version': 1 of 5 differ, first [2]: np.uint8(54), expected np.uint8(53)"]),
    (put(lambda m: m.root, "metadata", None), ["metadata: none, expected 1 of them"]),
    (add_buffer, ["buffers: 6 of them, expected 5"]),
]  # fmt: skip


@pytest.mark.parametrize("change, lines", CHANGES)
def test_every_change_is_found(change: Callable[[Model], None], lines: list[str]) -> None:
    changed = sample()
    change(changed)
    comparison = compare_models(changed, sample())
    assert comparison.differences == lines
    assert not comparison.same_bytes
    assert differences(sample(), changed), "found from the other side too"


def test_same_model() -> None:
    comparison = compare_models(sample(), sample().tobytes())
    assert comparison.differences == []
    assert comparison.same_bytes
    assert (comparison.tensors, comparison.equal_tensors) == (5, 5)
    assert (comparison.operators, comparison.equal_operators) == (2, 2)


def test_counts() -> None:
    changed = sample()
    tensor(changed, 2).name = "s"
    comparison = compare_models(changed, sample())
    assert (comparison.tensors, comparison.equal_tensors) == (5, 4)
    assert (comparison.operators, comparison.equal_operators) == (2, 0)


def test_nan_and_negative_zero_count_by_their_bits() -> None:
    ours, theirs = sample(), sample()
    quantization(ours, 0).min, quantization(theirs, 0).min = array(0.0, dtype="float32"), array(-0.0, dtype="float32")
    assert len(differences(ours, theirs)) == 1
    quantization(ours, 0).min = np.array([0x7FC00000], np.uint32).view(np.float32)
    quantization(theirs, 0).min = np.array([0x7FC00001], np.uint32).view(np.float32)
    assert differences(ours, theirs) == [f"{X}: quantization.min: other bits of NaN"]
