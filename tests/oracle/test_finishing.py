"""What the converter does to a quantized model in the end: other types at its border, equal constants in one buffer.

TensorFlow does both in Python and writes the file with Python's FlatBuffers; ours is the same file, byte for byte.
"""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from refquant.errors import InvalidInputError, InvalidModelError, RefquantError
from refquant.quantization.buffers import deduplicate_buffers, own_buffers
from refquant.quantization.io_types import modify_io_type
from refquant.quantization.legacy import quantize
from refquant.runtimes import Quantizer
from refquant.runtimes.client import RuntimeFailedError
from refquant.testing import float_graphs as graphs
from refquant.testing.build import OperatorSpec, SubgraphSpec, TensorSpec, model_of
from refquant.testing.float_graphs import statistics
from refquant.testing.strategies.drawing import generators
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType

pytestmark = pytest.mark.oracle

FLOAT32, INT8, UINT8, INT16 = TensorType.FLOAT32, TensorType.INT8, TensorType.UINT8, TensorType.INT16
_BINARY = {"ADD": schema.AddOptions, "MUL": schema.MulOptions}
_UNARY = ("RELU", "ABS", "NEG", "LOGISTIC", "ELU")


@st.composite
def float_models(draw: st.DrawFn) -> Model:
    """Calibrated models of additions, products and functions, with constants that come again and again."""
    rng = draw(generators)
    tensors = [TensorSpec(FLOAT32, [4], name="x"), TensorSpec(FLOAT32, [4], name="y")]
    values = rng.standard_normal((3, 4)).astype(np.float32)
    steps: list[OperatorSpec] = []
    live, fixed = [0, 1], []
    for _ in range(rng.integers(1, 12)):
        inputs = [int(rng.choice(live)), int(rng.choice(live))]
        if rng.random() < 0.6:
            tensors.append(TensorSpec(FLOAT32, data=values[rng.integers(3)], name=f"constant{len(tensors)}"))
            fixed.append(len(tensors) - 1)
            inputs[1] = int(rng.choice(fixed))
        tensors.append(TensorSpec(FLOAT32, [4], name=f"t{len(tensors)}"))
        kind = rng.random()
        if kind < 0.5:
            name = str(rng.choice([*_BINARY]))
            steps.append(OperatorSpec(name, inputs, [len(tensors) - 1], _BINARY[name]()))
        elif kind < 0.7:
            tensors[-1].shape = [8]
            join = OperatorSpec("CONCATENATION", inputs, [len(tensors) - 1], schema.ConcatenationOptions(axis=0))
            half = OperatorSpec("SLICE", [len(tensors) - 1, len(tensors), len(tensors) + 1], [len(tensors) + 2])
            steps += [join, half]
            tensors += [TensorSpec(TensorType.INT32, data=np.int32([n])) for n in (2, 4)]
            tensors.append(TensorSpec(FLOAT32, [4], name=f"t{len(tensors)}"))
        else:
            steps.append(OperatorSpec(str(rng.choice(_UNARY)), inputs[:1], [len(tensors) - 1]))
        live.append(len(tensors) - 1)
    outputs = sorted({live[-1], int(rng.choice(live))})
    model = model_of(SubgraphSpec(tensors, steps, [0, 1], outputs))
    for tensor in model.subgraphs[0].tensors or ():
        if tensor.type == FLOAT32 and not tensor.buffer:
            bounds = np.float32([-1, 1]) * 2.0 ** rng.integers(-3, 3)
            tensor.quantization = schema.QuantizationParameters(min=bounds[:1], max=bounds[1:])
    if rng.random() < 0.5:
        model.root.signature_defs = [
            schema.SignatureDef(
                [schema.TensorMap(f"in{i}", i) for i in (1, 0)],
                [schema.TensorMap(f"out{i}", i) for i in outputs],
                "serving_default",
            )
        ]
    return model


@settings(max_examples=150, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(
    float_models(),
    st.sampled_from([INT8, INT16]),
    st.sampled_from([FLOAT32, INT8, UINT8, INT16]),
    st.sampled_from([FLOAT32, INT8, UINT8, INT16]),
    st.booleans(),
)
def test_types_at_the_border(
    quantizer: Quantizer,
    model: Model,
    inside: TensorType,
    input_type: TensorType,
    output_type: TensorType,
    already: bool,
) -> None:
    """Of models with float32 at the border, and of such as have the types `already`, where they can."""
    quantized = quantize(model, activations_type=inside, allow_float=True)
    with suppress(InvalidInputError):
        if already:
            types = {"input_type": input_type, "output_type": output_type}
            quantized = quantize(model, activations_type=inside, allow_float=True, **types)
    try:
        expected = quantizer.modify_io_type(quantized, input_type.name.lower(), output_type.name.lower())
    except RuntimeFailedError:
        with pytest.raises(RefquantError):
            modify_io_type(quantized, input_type, output_type)
        return
    ours = modify_io_type(quantized, input_type, output_type)
    layout = "c++" if input_type == output_type == FLOAT32 else "python"
    assert ours.tobytes(layout) == expected


@pytest.mark.parametrize("is_signed", [False, True])
def test_a_round_trip_in_front_of_an_output_goes(quantizer: Quantizer, is_signed: bool) -> None:
    """ELU, which stays float, then QUANTIZE and DEQUANTIZE: the output is what ELU made."""
    types = [FLOAT32, INT8, INT8, FLOAT32, FLOAT32, INT8, FLOAT32]
    tensors = [TensorSpec(type, [4], scale=0.1 if type == INT8 else None, name=f"t{i}") for i, type in enumerate(types)]
    names = ["QUANTIZE", "RELU", "DEQUANTIZE", "ELU", "QUANTIZE", "DEQUANTIZE"]
    model = model_of(
        SubgraphSpec(tensors, [OperatorSpec(name, [i], [i + 1]) for i, name in enumerate(names)], [0], [6])
    )
    if is_signed:
        maps = [schema.TensorMap("in", 0)], [schema.TensorMap("out", 6)]
        model.root.signature_defs = [schema.SignatureDef(*maps, "serving_default")]
    ours = modify_io_type(model, INT8, FLOAT32)
    assert ours.tobytes("python") == quantizer.modify_io_type(model, "int8", "float32")
    assert [ours.operator_name(o) for o in ours.subgraphs[0].operators or ()] == ["RELU", "DEQUANTIZE", "ELU"]


@settings(max_examples=40, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(st.data())
def test_graphs(quantizer: Quantizer, data: st.DataObject) -> None:
    """Models of many operators, with signatures and subgraphs: other types at the border, then equal constants."""
    model = data.draw(statistics(data.draw(graphs.float_models()).model, missing=False))
    try:
        quantized = quantize(model, activations_type=data.draw(st.sampled_from([INT8, INT16])), allow_float=True)
    except RefquantError:
        return
    types = data.draw(st.sampled_from([(INT8, FLOAT32), (UINT8, INT8), (INT16, INT16), (FLOAT32, UINT8)]))
    try:
        expected = quantizer.modify_io_type(quantized, *(type.name.lower() for type in types))
    except RuntimeFailedError:
        with pytest.raises(RefquantError):
            modify_io_type(quantized, *types)
        expected = quantized.tobytes()
    else:
        assert modify_io_type(quantized, *types).tobytes("python") == expected
    assert deduplicate_buffers(Model.read(expected)).tobytes("python") == quantizer.deduplicate_buffers(expected)


@settings(max_examples=60, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(float_models(), st.booleans())
def test_equal_constants_share_a_buffer(quantizer: Quantizer, model: Model, is_quantized: bool) -> None:
    model = quantize(model, allow_float=True) if is_quantized else model
    assert deduplicate_buffers(model).tobytes("python") == quantizer.deduplicate_buffers(model)


def test_own_buffers_undo_sharing(quantizer: Quantizer) -> None:
    """A model whose constants share buffers is refused by the quantizer, with a word of what to do."""
    data = np.float32([1, -2, 3, 4])
    tensors = [TensorSpec(FLOAT32, [4], name=name) for name in "abcde"]
    tensors[1].data = tensors[3].data = data
    steps = [
        OperatorSpec("ADD", [0, 1], [2], schema.AddOptions()),
        OperatorSpec("MUL", [2, 3], [4], schema.MulOptions()),
    ]
    model = model_of(SubgraphSpec(tensors, steps, [0], [4]))
    for index, high in ((0, 1), (2, 5), (4, 20)):
        bounds = np.float32([-high, high])
        model.tensor(index).quantization = schema.QuantizationParameters(min=bounds[:1], max=bounds[1:])
    shared = deduplicate_buffers(model)
    assert shared.tensor("b").buffer == shared.tensor("d").buffer
    with pytest.raises(InvalidModelError, match=r"'b' and 'd' share buffer 1, .*own_buffers"):
        quantize(shared)
    ours = quantize(own_buffers(shared))
    expected = quantizer.legacy_quantize(own_buffers(shared), [], allow_float=False)
    assert ours.tobytes() == expected
    for name in "bd":
        assert np.array_equal(ours.constant(ours.tensor(name)), np.int8([32, -64, 95, 127]))


def test_refusals() -> None:
    floats = model_of(
        SubgraphSpec([TensorSpec(FLOAT32, [4], name=n) for n in "ab"], [OperatorSpec("RELU", [0], [1])], [0], [1])
    )
    with pytest.raises(InvalidInputError, match="input 'a' is float32 and the model has no QUANTIZE"):
        modify_io_type(floats, INT8, FLOAT32)
    for index in (0, 1):
        floats.tensor(index).quantization = schema.QuantizationParameters(min=np.float32([-1]), max=np.float32([1]))
    with pytest.raises(
        InvalidInputError, match="'a' is INT8 inside the model, so its type is FLOAT32 or INT8 or UINT8"
    ):
        modify_io_type(quantize(floats), INT16, FLOAT32)
