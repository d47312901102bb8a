"""`rq.explain`: derivations that one can check by hand, the step where profiles part, every element derived, bad input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import refquant as rq
from refquant.audit.explain import Derivation
from refquant.data import DIGITS_FLOAT, DIGITS_INT8
from refquant.errors import InvalidInputError, RefquantError
from refquant.testing import TensorSpec, single_operator_model
from refquant.testing.strategies import Case, cases
from refquant.tflite.model import Model
from refquant.tflite.schema import (
    AddOptions,
    Conv2DOptions,
    FullyConnectedOptions,
    Padding,
    PadOptions,
    TensorType,
    TransposeOptions,
)

FLOAT32, INT8, INT32 = TensorType.FLOAT32, TensorType.INT8, TensorType.INT32


def convolution() -> Model:
    return single_operator_model(
        "CONV_2D",
        [
            TensorSpec(INT8, (1, 2, 2, 1), 0.5, 1),
            TensorSpec(INT8, scale=0.25, data=np.int8([1, 2, 3, 4]).reshape(1, 2, 2, 1)),
            TensorSpec(INT32, scale=0.125, data=np.int32([-2])),
        ],
        [TensorSpec(INT8, (1, 2, 2, 1), 1.0, -5, name="y")],
        Conv2DOptions(stride_h=1, stride_w=1, padding=Padding.SAME),
    )


def numbers(derivation: Derivation) -> dict[str, Any]:
    return {step.name: step.value for step in derivation.steps}


def test_a_convolution_by_hand() -> None:
    """At the lower edge: 3 * 1 + 2 * 1 = 5, less 2 is 3; times 1/8 is 0.375: 1.5 -> 2, 2 / 4 -> 1."""
    x = np.int8([[0, 0], [4, 2]]).reshape(1, 2, 2, 1)
    found = rq.explain(convolution(), "y", (0, 1, 0, 0), [x], profiles=["reference"])
    (derivation,) = found.derivations
    assert [(t.inside, t.x, t.weight, t.product) for t in derivation.terms] == [
        (True, 3, 1, 3),
        (True, 1, 2, 2),
        (False, None, 3, None),
        (False, None, 4, None),
    ]
    assert [t.place for t in derivation.terms][1:3] == ["[0,1,1,0] with [0,0,1,0]", "padding with [0,1,0,0]"]
    assert numbers(derivation) == {
        "sum of products": 5,
        "bias": -2,
        "accumulator": 3,
        "real multiplier": 0.125,
        "accumulator * real multiplier": 0.375,
        "multiplier": 2**30,
        "shift": -2,
        "doubling high multiply, rounded": 2,
        "right shift, rounded, halves away from zero": 1,
        "rounded": 1,
        "zero point added": -4,
        "limited to -128 … 127": -4,
    }
    assert derivation.rule == "double_rounding" and derivation.source.endswith("integer_ops/conv.h")
    assert (derivation.value, derivation.real, derivation.is_derived) == (-4, 1.0, True)
    text = str(found)
    assert "window of 4 products" in text and "2 of them outside the image" in text and "= tensor value" in text


def layer() -> Model:
    return single_operator_model(
        "FULLY_CONNECTED",
        [TensorSpec(INT8, (1, 1), 0.5), TensorSpec(INT8, scale=0.25, data=np.int8([[3]])), None],
        [TensorSpec(INT8, (1, 1), 1.0, name="y")],
        FullyConnectedOptions(),
        version=4,
    )


def test_the_step_where_profiles_part() -> None:
    """3 / 8: the product in float64 rounds to 0; micro rounds 1.5 to 2 and then 2 / 4 to 1."""
    found = rq.explain(layer(), "y", (0, 0), [np.int8([[1]])], profiles=["reference", "micro"])
    assert [d.value for d in found.derivations] == [0, 1] and not found.agree and all(d.is_derived for d in found.ran)
    assert found.parting is not None and found.parting.name == "rounded"
    assert [int(value) for value in found.parting.values] == [0, 1]
    steps = [set(numbers(d)) for d in found.derivations]
    assert "product in float64" in steps[0] - steps[1] and "doubling high multiply, rounded" in steps[1] - steps[0]
    assert found.verdict() == (
        "They part in step 'rounded': 0 in reference (float64_rounding), 1 in micro (double_rounding)."
    )
    assert sum("they part" in line for line in found.lines()) == 1


def test_three_ways_to_round_a_convolution() -> None:
    """0.375 again, in four profiles: 1 by the double roundings, 0 by XNNPACK's product in float32."""
    x = np.int8([[0, 0], [4, 2]]).reshape(1, 2, 2, 1)
    found = rq.explain(convolution(), "y", (0, 1, 0, 0), [x])
    assert {d.profile: (int(d.value), d.is_derived) for d in found.ran} == {
        "reference": (-4, True), "optimized": (-4, True), "xnnpack": (-5, True), "micro": (-4, True)
    }  # fmt: skip
    assert found.parting is not None and found.parting.name == "rounded"


def test_profiles_that_agree_stand_in_one_column() -> None:
    found = rq.explain(layer(), "y", (0, 0), [np.int8([[8]])], profiles=["reference", "micro"])
    assert found.agree and found.parting is None
    (both,) = rq.explain(convolution(), 3, (0, 0, 0, 0), profiles=["reference", "micro"]).groups()
    assert [d.profile for d in both] == ["reference", "micro"]


def test_an_addition_by_hand() -> None:
    """1 and 2 at a scale of 1/2, the output's 1: each a quarter of 2**20 steps of it at the common scale."""
    x = TensorSpec(INT8, (1,), 0.5)
    model = single_operator_model("ADD", [x, x], [TensorSpec(INT8, (1,), 1.0, name="y")], AddOptions())
    (derivation,) = rq.explain(model, "y", 0, [np.int8([1]), np.int8([2])], profiles=["reference"]).derivations
    steps = {(step.part, step.name): step.value for step in derivation.steps}
    assert steps["first input", "at the common scale"] == 2**19
    assert steps["second input", "at the common scale"] == 2**20
    assert steps["sum", "accumulator"] == 3 * 2**19
    assert steps["", "rounded"] == 2  # 1.5, halves away from zero
    assert derivation.is_derived and len(derivation.inputs) == 2


def test_where_a_moved_element_comes_from() -> None:
    """A transposed matrix with a frame of zeros: an element of it, and one of the frame."""
    x, order = TensorSpec(INT8, (2, 3), 0.5), TensorSpec(INT32, data=np.int32([1, 0]))
    transposed = single_operator_model("TRANSPOSE", [x, order], [TensorSpec(INT8, (3, 2), 0.5)], TransposeOptions())
    (step,) = rq.explain(transposed, 2, (2, 1), profiles=["reference"]).derivations[0].steps
    assert step.name == "from input 0, tensor 0 [1,2]"
    frame = TensorSpec(INT32, data=np.int32([[1, 1], [1, 1]]))
    padded = single_operator_model("PAD", [TensorSpec(FLOAT32, (2, 3)), frame], [TensorSpec(FLOAT32)], PadOptions())
    names = [rq.explain(padded, 2, at, profiles=["reference"]).derivations[0].steps[0].name for at in ((2, 3), (0, 3))]
    assert names == ["from input 0, tensor 0 [1,2]", "from no input: it is put in"]


def test_what_no_operator_computes() -> None:
    constant = rq.explain(convolution(), "input1", (0, 1, 0, 0))
    assert constant.operator == "no operator: it is a constant of the file"
    assert (constant.derivations[0].value, constant.derivations[0].real) == (3, 0.75)
    given_to = rq.explain(convolution(), "input0", (0, 0, 1, 0), [np.arange(4, dtype=np.int8).reshape(1, 2, 2, 1)])
    assert given_to.derivations[0].value == 1 and "input 0 of the model" in str(given_to)


def test_a_profile_that_refuses_says_why() -> None:
    x = TensorSpec(INT8, (1, 4), 0.5)
    model = single_operator_model("RELU_N1_TO_1", [x], [TensorSpec(INT8, (1, 4), 1 / 128)])
    found = rq.explain(model, 1, (0, 2), profiles=["reference", "micro"])
    assert found.derivations[0].is_derived
    assert "in profile 'micro'" in found.derivations[1].refused and "micro refuses: " in str(found)
    with pytest.raises(RefquantError, match="in profile 'micro'"):
        rq.explain(model, 1, (0, 2), profiles=["micro"])


def test_whole_run_and_handed_inputs() -> None:
    """Tensor 20 of the bundled model sees other inputs in micro where a rounding before it differs."""
    model = Model.read(DIGITS_INT8)
    handed = rq.explain(model, 20, (0, 1), profiles=["reference", "micro"])
    own = rq.explain(model, 20, (0, 1), profiles=["reference", "micro"], whole_run=True)
    assert "reference" in handed.handed and "own run" in own.handed
    assert handed.derivations[0].terms == handed.derivations[1].terms == own.derivations[0].terms


def float_layer(count: int, outputs: int = 1, bias: float | None = 1.0) -> Model:
    w = np.ones((outputs, count), np.float32)
    return single_operator_model(
        "FULLY_CONNECTED",
        [
            TensorSpec(FLOAT32, (1, count)),
            TensorSpec(FLOAT32, data=w),
            None if bias is None else TensorSpec(FLOAT32, data=np.full(outputs, bias, np.float32)),
        ],
        [TensorSpec(FLOAT32, (1, outputs), name="y")],
        FullyConnectedOptions(),
    )


def test_a_float_sum_by_hand() -> None:
    """2**24 + 1 is 2**24, and -2**24 + 1 is not rounded: from left to right 0 + 1 = 1, the bias last gives 2."""
    x = np.float32([[2**24, 1, -(2**24), 1]])
    (derivation,) = rq.explain(float_layer(4), "y", (0, 0), [x], profiles=["reference"]).derivations
    partial = [float(step.value) for step in derivation.steps if step.part == "partial sum 1"]
    assert partial == [2**24, 2**24, 0, 1, 2]
    assert derivation.order.startswith(
        "one after another in the order of the weights, the bias last; each product rounded"
    )
    assert derivation.is_derived and derivation.value == 2
    assert "2.0 (0x40000000, exactly 2) = tensor value" in str(
        derivation and rq.explain(float_layer(4), "y", (0, 0), [x])
    )


def test_eight_partial_sums() -> None:
    """The optimized kernel adds products i and i + 8; then it folds the eight sums by halves."""
    x = np.arange(1, 18, dtype=np.float32)[None]
    found = rq.explain(float_layer(17, 2, None), "y", (0, 1), [x], profiles=["optimized", "reference"])
    optimized, reference = found.derivations
    assert optimized.order == "in 8 partial sums; each product rounded, each sum rounded; no bias"
    parts: dict[str, list[str]] = {}
    for step in optimized.steps:
        parts.setdefault(step.part, []).append(step.name.split(" with")[0])
    assert parts["partial sum 1"] == ["[0,0]", "+ [0,8]"] and parts["partial sum 2"] == ["[0,4]", "+ [0,12]"]
    assert parts["partial sums joined"][0] == "partial sum 1 + partial sum 2"
    assert found.agree and optimized.value == reference.value == 153


FLOATS = [("CONV_2D", "FLOAT32"), ("DEPTHWISE_CONV_2D", "FLOAT32"), ("FULLY_CONNECTED", "FLOAT32"), ("MEAN", "FLOAT32")]


@pytest.mark.parametrize("profile", ["reference", "optimized"])
@pytest.mark.parametrize(("operator", "variant"), FLOATS)
def test_orders_give_the_bits_of_the_kernel(operator: str, variant: str, profile: str) -> None:
    derived = []
    for derivation in derivations(operator, variant, profile, 4):
        assert derivation.is_derived or "not" in derivation.order or not derivation.terms, derivation.order
        derived.append(derivation.is_derived)
    assert any(derived)


INTEGERS = [
    ("CONV_2D", "INT8"), ("DEPTHWISE_CONV_2D", "UINT8"), ("FULLY_CONNECTED", "INT8"), ("TRANSPOSE_CONV", "INT8"),
    ("BATCH_MATMUL", "INT8"), ("ADD", "INT16"), ("SUB", "INT8"), ("MUL", "UINT8"), ("QUANTIZE", "FLOAT32 to INT8"),
    ("QUANTIZE", "INT16 to INT8"), ("MEAN", "INT8"), ("SUM", "UINT8"), ("SOFTMAX", "INT8"), ("SOFTMAX", "INT16"),
    ("LOGISTIC", "INT8"), ("TANH", "INT8"), ("RSQRT", "INT8"), ("LEAKY_RELU", "INT8"), ("HARD_SWISH", "INT8"),
    ("AVERAGE_POOL_2D", "INT8"), ("RELU", "UINT8"), ("STRIDED_SLICE", "INT16"), ("TANH", "INT16"), ("SVDF", "INT8"), ("CONCATENATION", "UINT8"),
    ("CONV_2D", "FLOAT32 hybrid INT8"), ("RESIZE_BILINEAR", "INT8"), ("UNIDIRECTIONAL_SEQUENCE_LSTM", "INT8"),
]  # fmt: skip


@pytest.mark.parametrize(("operator", "variant"), INTEGERS)
def test_every_element_is_derived(operator: str, variant: str) -> None:
    """The last step that was told is the element that the interpreter has, for models over all options."""
    assert all(derivation.is_derived for derivation in derivations(operator, variant, "reference", 3))


def derivations(operator: str, variant: str, profile: str, examples: int) -> list[Derivation]:
    """Those of one element of each of some models; every value is the interpreter's."""
    found = []

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(cases(operator, variant), st.randoms(use_true_random=False))
    def one(case: Case, random: Any) -> None:
        sample = list(case.samples[0])
        output = int((case.model.subgraphs[0].outputs or [0])[0])
        try:
            expected = outputs_of(case.model, sample, output, profile)
        except RefquantError:
            return
        if expected.size == 0 or any(array.size == 0 for array in sample):
            return
        index = [random.randrange(n) for n in expected.shape]
        (derivation,) = rq.explain(case.model, output, index, sample, profiles=[profile]).derivations
        np.testing.assert_equal(derivation.value, expected[tuple(index)])
        found.append(derivation)

    one()
    return found


def outputs_of(model: Model, sample: Sequence[Any], output: int, profile: str) -> Any:
    interpreter = rq.Interpreter(model=model, kernels=profile)
    for details, array in zip(interpreter.get_input_details(), sample):
        interpreter.resize_tensor_input(details["index"], np.shape(array))
    interpreter.allocate_tensors()
    for details, array in zip(interpreter.get_input_details(), sample):
        interpreter.set_tensor(details["index"], array)
    interpreter.invoke()
    return interpreter.get_tensor(output)


def test_the_quick_way_gives_what_the_steps_give() -> None:
    """All elements of a layer: its steps are told by the exact way, while the tensor comes from the quick one."""
    found = [rq.explain(DIGITS_INT8, 15, (0, 4, 4, c), seed=c, profiles=["reference"]) for c in range(16)]
    assert all(d.is_derived for explanation in found for d in explanation.derivations)


@pytest.mark.parametrize(
    ("tensor", "index", "message"),
    [
        ("relu", (0, 0, 0, 0), "the nearest are 'functional_1/"),
        ("nothing of the kind", (0,), "there is no tensor 'nothing of the kind'"),
        (99, (0,), "the model has tensors 0 to 21"),
        (13, (0, 3, 9, 1), r"valid are \[0, 0, 0, 0\] to \[0, 7, 7, 15\]"),
        (13, (0, -1, 0, 1), r"valid are \[0, 0, 0, 0\]"),
        (13, (0, 3), "an index has 4 numbers, got 2"),
        (1, (), "an index has 1 numbers, got 0"),
    ],
)
def test_bad_tensors_and_indices(tensor: Any, index: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        rq.explain(DIGITS_INT8, tensor, index)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "data for 0 inputs, the model has 1"),
        ([np.zeros((1, 8, 8), np.int8)], r"takes shape \(1, 8, 8, 1\)"),
        ({"picture": np.zeros((1, 8, 8, 1), np.int8)}, "no data for input 'serving_default_image:0'"),
        ([np.zeros((1, 8, 8, 1), np.complex64)], "the samples are complex64"),
    ],
)
def test_bad_data(data: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        rq.explain(DIGITS_INT8, 13, (0, 0, 0, 0), data)


def test_bad_profiles() -> None:
    with pytest.raises(InvalidInputError, match="there is no profile 'fast': choose from reference"):
        rq.explain(DIGITS_FLOAT, 1, (), profiles=["fast"])
