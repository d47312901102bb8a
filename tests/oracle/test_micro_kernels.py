"""Operators of profile "micro" against TFLite Micro itself, bit for bit, and what it refuses.

Whole models are compared in test_models; `refquant verify --kernels micro` compares many more cases.
"""

from __future__ import annotations

import numpy as np
import pytest

from refquant.data import VERIFIED
from refquant.errors import RuntimeFailedError, UnsupportedOperatorError
from refquant.interpreter import Interpreter
from refquant.kernels.micro import TAKEN
from refquant.runtimes import Runtime
from refquant.testing.build import TensorSpec, single_operator_model
from refquant.testing.conformance import Outcome, compare
from refquant.testing.record import read_record
from refquant.testing.strategies import families
from refquant.testing.sweep import check
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType

pytestmark = pytest.mark.oracle

FLOAT32, INT8, INT16, INT32 = TensorType.FLOAT32, TensorType.INT8, TensorType.INT16, TensorType.INT32

#: operators and variants of which TFLite Micro runs at least some cases
RUNNING = {(entry.operator, entry.variant) for entry in read_record(VERIFIED["micro"]) if "EQUAL" in entry.outcomes}
#: variants that are alike in that only the type of what is moved differs: one of them is enough here
MOVING = ("ASSIGN_VARIABLE", "BROADCAST_TO", "CALL_ONCE", "CAST", "IF", "READ_VARIABLE", "RESHAPE", "SHAPE", "SQUEEZE")
FAMILIES = [
    family
    for family in families("micro")
    if (family.operator, family.variant) in RUNNING
    and (family.operator not in (*MOVING, "WHILE") or family.variant.split(" to ")[0] in ("FLOAT32", "INT8"))
]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: f"{family.operator}-{family.variant}")
def test_family(family: object, micro: Runtime) -> None:
    check(family, micro, examples=2)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("operator", "tensor", "reason"),
    [
        ("RELU6", TensorSpec(TensorType.UINT8, (2,), 0.1), "is UINT8, TFLite Micro takes FLOAT32, INT8, INT16"),
        ("GELU", TensorSpec(FLOAT32, (2,)), "does not have this operator"),
        ("RELU", TensorSpec(FLOAT32, (1,) * 7), "7 dimensions, TFLite Micro takes up to 6"),
    ],
)
def test_what_tflite_micro_does_not_take_is_refused(operator: str, tensor: TensorSpec, reason: str) -> None:
    model = single_operator_model(operator, [tensor], [tensor])
    with pytest.raises(UnsupportedOperatorError, match=f"{operator}.*{reason}.*'micro'"):
        Interpreter(model=model, kernels="micro").allocate_tensors()


def test_shapes_are_those_of_the_file(micro: Runtime) -> None:
    """Which TFLite Micro believes: it gives as many numbers as the file says, here beyond those that it computes."""
    model = single_operator_model("ABS", [TensorSpec(FLOAT32, (2,))], [TensorSpec(FLOAT32, (3,))])
    assert micro.run(model, [np.float32([1, -2])])[0].shape == (3,)
    with pytest.raises(UnsupportedOperatorError, match=r"has shape \(3,\) in the file"):
        Interpreter(model=model, kernels="micro").allocate_tensors()


def test_the_first_of_several_scales_counts(micro: Runtime) -> None:
    tensor = TensorSpec(INT8, (2, 3), [0.5, 0.25, 2.0], [3, -4, 0], quantized_dimension=1)
    model = single_operator_model("DEQUANTIZE", [tensor], [TensorSpec(FLOAT32, (2, 3))])
    sample = [np.int8([[1, 2, 3], [-128, 0, 127]])]
    assert compare(model, [sample], micro, "micro").outcome is Outcome.EQUAL


@pytest.mark.parametrize("out_type", [INT16, INT32])
def test_int8_becomes_wider(out_type: TensorType, micro: Runtime) -> None:
    """Which no kernel of TensorFlow does."""
    x = np.arange(-128, 128).astype(np.int8)
    model = single_operator_model(
        "QUANTIZE", [TensorSpec(INT8, x.shape, 0.31, 7)], [TensorSpec(out_type, x.shape, 0.0007, 0)]
    )
    assert compare(model, [[x]], micro, "micro").outcome is Outcome.EQUAL


@pytest.mark.parametrize("count", [2, 3, 7])
def test_add_n_of_int8(count: int, micro: Runtime) -> None:
    rng = np.random.default_rng(count)
    specs = [TensorSpec(INT8, (5, 9), 0.043, -11) for _ in range(count)]
    model = single_operator_model("ADD_N", specs, [TensorSpec(INT8, (5, 9), 0.19, 4)], schema.AddNOptions())
    sample = [rng.integers(-128, 128, (5, 9)).astype(np.int8) for _ in range(count)]
    assert compare(model, [sample], micro, "micro").outcome is Outcome.EQUAL


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("reverse", [True, False])
def test_cumsum_of_int8(exclusive: bool, reverse: bool, micro: Runtime) -> None:
    axis = TensorSpec(INT32, data=np.array(1, np.int32))
    tensors = [TensorSpec(INT8, (2, 50, 9), 0.043, -11), axis]
    options = schema.CumsumOptions(exclusive=exclusive, reverse=reverse)
    model = single_operator_model("CUMSUM", tensors, [TensorSpec(INT8, (2, 50, 9), 0.61, 4)], options)
    sample = [np.random.default_rng(0).integers(-128, 128, (2, 50, 9)).astype(np.int8)]
    assert compare(model, [sample], micro, "micro").outcome is Outcome.EQUAL


@pytest.mark.parametrize("operator", ["ABS", "RELU", "LEAKY_RELU"])
def test_scales_are_divided_in_float64(operator: str, micro: Runtime) -> None:
    """Here float32 makes the quotient a power of two; what lies below shows in ties."""
    x = np.arange(-32768, 32768).astype(np.int16)
    for scale in np.float32(np.random.default_rng(1).uniform(0.01, 0.2, 8)):
        below = np.nextafter(scale, np.float32(0))
        options = schema.LeakyReluOptions(alpha=0.13) if operator == "LEAKY_RELU" else None
        model = single_operator_model(
            operator,
            [TensorSpec(INT16, x.shape, float(below))],
            [TensorSpec(INT16, x.shape, 2 * float(scale))],
            options,
        )
        assert compare(model, [[x]], micro, "micro").outcome is Outcome.EQUAL


def test_every_entry_of_the_tables_of_int16_softmax(micro: Runtime) -> None:
    """Which are made in float32; those of TensorFlow, made in float64, differ in a few entries."""
    lower = np.arange(-32768, 32768).astype(np.int16)
    x = np.stack([np.full_like(lower, 32767), lower], axis=1)
    model = single_operator_model(
        "SOFTMAX",
        [TensorSpec(INT16, x.shape, 1 / 32768)],
        [TensorSpec(INT16, x.shape, 1 / 32768)],
        schema.SoftmaxOptions(beta=0.7),
    )
    assert compare(model, [[x]], micro, "micro").outcome is Outcome.EQUAL


def softmax_from_int8(out_type: TensorType, scale: float, zero_point: int) -> Model:
    return single_operator_model(
        "SOFTMAX",
        [TensorSpec(INT8, (50, 20), 0.06, 4)],
        [TensorSpec(out_type, (50, 20), scale, zero_point)],
        schema.SoftmaxOptions(beta=1.0),
    )


def test_softmax_from_int8_to_int16(micro: Runtime) -> None:
    x = np.random.default_rng(0).integers(-128, 128, (50, 20)).astype(np.int8)
    model = softmax_from_int8(INT16, 1 / 65536, -32768)
    assert compare(model, [[x]], micro, "micro").outcome is Outcome.EQUAL
    refused = compare(softmax_from_int8(INT16, 1 / 32768, 0), [[x]], micro, "micro")
    assert refused.outcome is Outcome.BOTH_REFUSE


@pytest.mark.parametrize(
    "operator", ["FULLY_CONNECTED", "BATCH_MATMUL", "MUL", "PRELU", "SUB", "ADD", "SQUARED_DIFFERENCE"]
)
def test_scales_are_multiplied_in_float64(operator: str, micro: Runtime) -> None:
    """Here float32 makes the product, or the quotient, a power of two; what lies below shows in overflows and ties."""
    rng = np.random.default_rng(1)
    for _ in range(8):
        a = np.float32(rng.uniform(0.01, 0.2))
        b = np.float32(2.0**-7 / np.float64(a))
        below, weights = np.float64(a) * np.float64(b) < 2.0**-7, operator in ("FULLY_CONNECTED", "BATCH_MATMUL")
        if operator in ("SUB", "ADD", "SQUARED_DIFFERENCE"):
            b, scale = a, 2 * float(a) * (1 + 2.0**-24.6)
        else:
            scale = 2.0**-7 / 2 ** (16 if weights else 18)
        x, y = TensorSpec(INT8, (60, 26), float(a)), TensorSpec(INT8, (26, 26) if weights else (60, 26), float(b))
        model = single_operator_model(operator, [x, y], [TensorSpec(INT8, (60, 26), scale)])
        sample = [rng.integers(-128, 128, tensor.shape).astype(np.int8) for tensor in (x, y)]
        result = compare(model, [sample], micro, "micro")
        assert result.outcome is Outcome.EQUAL, (below, result)


def test_svdf_with_a_state_of_int8(micro: Runtime) -> None:
    rng = np.random.default_rng(3)

    def weights(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int8]]:
        return rng.integers(-128, 128, shape).astype(np.int8)

    bias = rng.integers(-900, 900, 3).astype(np.int32)
    tensors = [
        TensorSpec(INT8, (2, 7), 0.03, 5),
        TensorSpec(INT8, data=weights(6, 7), scale=0.02),
        TensorSpec(INT8, data=weights(6, 4), scale=0.04),
        TensorSpec(INT32, data=bias, scale=float(np.float32(0.05) * np.float32(0.04))),
        TensorSpec(INT8, (2, 24), 0.05, -9, is_variable=True),
    ]
    options = schema.SVDFOptions(rank=2, fused_activation_function=schema.ActivationFunctionType.RELU)
    model = single_operator_model("SVDF", tensors, [TensorSpec(INT8, (2, 3), 0.05, -3)], options)
    samples = [[weights(2, 7)] for _ in range(5)]
    assert compare(model, samples, micro, "micro").outcome is Outcome.EQUAL


def test_squared_differences_of_int16(micro: Runtime) -> None:
    rng, shape = np.random.default_rng(4), (40, 50)
    scales = [TensorSpec(INT16, shape, scale) for scale in (0.001, 0.0007, 0.05)]
    model = single_operator_model("SQUARED_DIFFERENCE", scales[:2], scales[2:])
    sample = [rng.integers(-32768, 32768, shape).astype(np.int16) for _ in range(2)]
    assert compare(model, [sample], micro, "micro").outcome is Outcome.EQUAL


@pytest.mark.parametrize("operator", sorted(set(schema.BuiltinOperator.__members__) - set(TAKEN)))
def test_no_other_operator_is_there(operator: str, micro: Runtime) -> None:
    if operator in ("CUSTOM", "DELEGATE", "PLACEHOLDER_FOR_GREATER_OP_CODES"):
        pytest.skip("no operator")
    model: Model = single_operator_model(operator, [TensorSpec(FLOAT32, (1,))], [TensorSpec(FLOAT32, (1,))])
    with pytest.raises(RuntimeFailedError):
        micro.run(model, [np.zeros(1, np.float32)])
