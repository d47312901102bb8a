"""The table of constraints beside the published specification of 8-bit quantization, and where the two part ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import refquant as rq
from refquant.quantization.constraints import CONSTRAINTS, DEPARTURES, Bias, Constraint, Weight, constraint_of
from refquant.testing import TensorSpec, single_operator_model
from refquant.tflite import schema
from refquant.tflite.schema import TensorType

FLOAT32, INT8, INT32 = TensorType.FLOAT32, TensorType.INT8, TensorType.INT32


@dataclass(frozen=True)
class Demand:
    """What the specification asks of an operator with int8 operands."""

    same_scale: bool = False
    output: tuple[float, int] | None = None  # scale and zero point of the result
    weight: Weight | None = None
    bias: Bias | None = None


# tensorflow/lite/g3doc/performance/quantization_spec.md, in our own order. QUANTIZE is left out: it is what the
# quantizer puts between operators, not one that it finds.
SPECIFICATION: dict[str, Demand] = {
    **dict.fromkeys("ADD SUB MUL MEAN SUM ARG_MAX SHAPE".split(), Demand()),
    **dict.fromkeys("EQUAL NOT_EQUAL LESS LESS_EQUAL GREATER GREATER_EQUAL".split(), Demand()),
    **dict.fromkeys(
        "AVERAGE_POOL_2D MAX_POOL_2D CONCATENATION RESHAPE SQUEEZE TRANSPOSE SLICE GATHER PAD PADV2 SPACE_TO_DEPTH "
        "SPACE_TO_BATCH_ND BATCH_TO_SPACE_ND RESIZE_BILINEAR MAXIMUM MINIMUM".split(),
        Demand(same_scale=True),
    ),
    "LOGISTIC": Demand(output=(1 / 256, -128)),
    "SOFTMAX": Demand(output=(1 / 256, -128)),
    "TANH": Demand(output=(1 / 128, 0)),
    "L2_NORMALIZATION": Demand(output=(1 / 128, 0)),
    "LOG_SOFTMAX": Demand(output=(16 / 256, 127)),
    "CONV_2D": Demand(weight=Weight(1, 0), bias=Bias(2, (0, 1))),
    "DEPTHWISE_CONV_2D": Demand(weight=Weight(1, 3), bias=Bias(2, (0, 1))),
    "FULLY_CONNECTED": Demand(weight=Weight(1, None), bias=Bias(2, (0, 1))),
}

#: not in the specification, but in the sources of the converter that was released, with the trait of one scale for all
SOURCE = {"DYNAMIC_UPDATE_SLICE": Demand(same_scale=True)}

BIASED = [name for name, demand in SPECIFICATION.items() if demand.bias is not None]


def is_met(demand: Demand, row: Constraint) -> bool:
    output = None if row.output is None else row.output.int8
    found = Demand(row.same_scale, output, row.weight, row.bias)
    return row.quantized and found == demand


def floats(*shape: int, **settings: Any) -> TensorSpec:
    return TensorSpec(FLOAT32, shape, **settings)


def integers(*numbers: int) -> TensorSpec:
    return TensorSpec(INT32, data=np.array(numbers, np.int32))


def with_bias(name: str, size: float) -> rq.Model:
    """The operator with two outputs, weights of 1 and -1 and a bias of `size` for each."""
    bias = floats(data=np.full(2, size, np.float32))
    if name == "FULLY_CONNECTED":
        weight = floats(data=np.array([[1, -1, 1], [-1, 1, 1]], np.float32))
        return single_operator_model(name, [floats(1, 3), weight, bias], [floats(1, 2)], schema.FullyConnectedOptions())
    depthwise = name == "DEPTHWISE_CONV_2D"
    weight = floats(data=np.resize(np.array([1, -1, -1], np.float32), (1, 1, 2, 2) if depthwise else (2, 1, 2, 2)))
    options: Any = (
        schema.DepthwiseConv2DOptions(stride_w=1, stride_h=1, depth_multiplier=1, padding=schema.Padding.VALID)
        if depthwise
        else schema.Conv2DOptions(stride_w=1, stride_h=1, padding=schema.Padding.VALID)
    )
    return single_operator_model(name, [floats(1, 1, 3, 2), weight, bias], [floats(1, 1, 2, 2)], options)


def quantized(model: rq.Model) -> rq.Model:
    """The model in int8, with the range -1 to 1 at its inputs."""
    subgraph = model.subgraphs[0]
    assert subgraph.inputs is not None and subgraph.tensors is not None
    inputs = [subgraph.tensors[index] for index in subgraph.inputs]
    samples = [[np.full([int(n) for n in t.shape], sign, np.float32) for t in inputs] for sign in (-1, 1)]
    converter = rq.Converter.from_tflite(model)
    converter.optimizations = [rq.Optimize.DEFAULT]
    converter.representative_dataset = samples
    return rq.Model.read(converter.convert())


def operands(model: rq.Model, name: str) -> list[schema.Tensor]:
    """The operands and then the results of the only operator of that name."""
    subgraph = model.subgraphs[0]
    (operator,) = (op for op in subgraph.operators or () if model.operator_name(op) == name)
    indices = [*operator.inputs, *operator.outputs]
    return [(subgraph.tensors or [])[int(index)] for index in indices]


def scales(tensor: schema.Tensor) -> np.ndarray[Any, Any]:
    assert tensor.quantization is not None and tensor.quantization.scale is not None
    return tensor.quantization.scale


def gives_bias_more_room(name: str) -> bool:
    """Whether a large bias makes the scales of an operator other than the specification says."""
    x, weight, bias, _ = operands(quantized(with_bias(name, 2.0**18)), name)
    return not np.allclose(scales(weight), 1 / 127) and np.allclose(scales(bias), scales(x) * scales(weight))


def test_departures_are_all_there_is() -> None:
    """Each disagreement has its sentence, and each sentence a disagreement."""
    demands = {**SPECIFICATION, **SOURCE}
    in_the_table = {name for name, demand in demands.items() if not is_met(demand, constraint_of(name))}
    in_what_is_made = {name for name in BIASED if gives_bias_more_room(name)}
    assert in_the_table | in_what_is_made == set(DEPARTURES)
    assert in_the_table == {"FULLY_CONNECTED", "NOT_EQUAL", "DYNAMIC_UPDATE_SLICE"}


def test_departures_are_sentences() -> None:
    for sentence in DEPARTURES.values():
        assert 40 < len(sentence) < 500 and not sentence.endswith(".")
    assert "one scale for all weights" in DEPARTURES["FULLY_CONNECTED"]
    assert "2**30" in DEPARTURES["CONV_2D"]


def test_there_is_more_than_the_specification_has() -> None:
    assert set(SPECIFICATION) - set(CONSTRAINTS) == {"NOT_EQUAL"}
    assert len(CONSTRAINTS) > 2 * len(SPECIFICATION)


@pytest.mark.parametrize("name", BIASED)
def test_weights_and_biases_that_are_made(name: str) -> None:
    """Weights have no zero point and end at 127; the bias has 32 bits and the scale of the products."""
    model = quantized(with_bias(name, 0.5))
    x, weight, bias, _ = operands(model, name)
    axis = constraint_of(name).weight.axis  # type: ignore[union-attr]
    assert [x.type, weight.type, bias.type] == [INT8, INT8, INT32]
    assert weight.quantization is not None and weight.quantization.quantized_dimension == axis
    assert len(scales(weight)) == 2 == len(scales(bias))
    assert np.allclose(scales(weight), 1 / 127) and np.allclose(scales(bias), scales(x) * scales(weight), rtol=1e-6)
    numbers = model.constant(weight)
    assert numbers is not None and set(numbers.flat) == {-127, 127}
    for tensor in (weight, bias):
        assert tensor.quantization is not None and not np.any(tensor.quantization.zero_point)


@pytest.mark.parametrize("name", BIASED)
def test_a_bias_never_reaches_two_to_the_thirtieth(name: str) -> None:
    model = quantized(with_bias(name, 2.0**18))
    _, weight, bias, _ = operands(model, name)
    of_bias, of_weight = model.constant(bias), model.constant(weight)
    assert of_bias is not None and of_weight is not None
    assert 2**30 - 100 < of_bias.min() == of_bias.max() <= 2**30
    assert 0 < np.abs(of_weight).max() < 127


@pytest.mark.parametrize("name", [name for name, demand in SPECIFICATION.items() if demand.output is not None])
def test_scales_of_results_that_are_known_beforehand(name: str) -> None:
    options = {"SOFTMAX": schema.SoftmaxOptions(beta=1.0), "L2_NORMALIZATION": schema.L2NormOptions()}.get(name)
    *_, result = operands(quantized(single_operator_model(name, [floats(1, 4)], [floats(1, 4)], options)), name)
    assert result.type == INT8 and result.quantization is not None
    assert (float(scales(result)[0]), int(result.quantization.zero_point[0])) == SPECIFICATION[name].output


@pytest.mark.parametrize("name", ["NOT_EQUAL", "DYNAMIC_UPDATE_SLICE"])
def test_operators_that_stay_in_float(name: str) -> None:
    if name == "NOT_EQUAL":
        model = single_operator_model(
            name, [floats(1, 4), floats(1, 4)], [TensorSpec(TensorType.BOOL, (1, 4))], schema.NotEqualOptions()
        )
    else:
        model = single_operator_model(name, [floats(1, 4), floats(1, 2), integers(0, 1)], [floats(1, 4)])
    assert {t.type for t in operands(quantized(model), name)} & {FLOAT32, INT8} == {FLOAT32}


def test_one_scale_for_operands_and_results() -> None:
    model = single_operator_model(
        "MAXIMUM", [floats(1, 4), floats(data=np.full((1, 4), 3, np.float32))], [floats(1, 4)]
    )
    tensors = operands(quantized(model), "MAXIMUM")
    assert len({(float(scales(t)[0]), int(t.quantization.zero_point[0])) for t in tensors if t.quantization}) == 1
