"""Float32 operators in profile "xnnpack", against TensorFlow with its delegate. Equal means every bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refquant.runtimes import Runtime
from refquant.testing import TensorSpec, single_operator_model
from refquant.testing.conformance import first_difference, run
from refquant.testing.strategies import Family, families
from refquant.testing.sweep import check
from refquant.tflite import schema
from refquant.tflite.schema import TensorType

pytestmark = pytest.mark.oracle

F32 = TensorType.FLOAT32
OPERATORS = (
    "ABS ADD AVERAGE_POOL_2D BATCH_MATMUL CEIL CONV_2D COS DEPTHWISE_CONV_2D DIV ELU EXP FLOOR FULLY_CONNECTED GELU "
    "HARD_SWISH LEAKY_RELU LOGISTIC MAXIMUM MAX_POOL_2D MEAN MINIMUM MUL NEG PRELU REDUCE_MAX REDUCE_MIN RELU RELU6 "
    "RELU_N1_TO_1 RESIZE_BILINEAR ROUND RSQRT SIN SOFTMAX SQRT SQUARE SQUARED_DIFFERENCE SUB SUM TANH TRANSPOSE_CONV"
).split()
FAMILIES = [family for family in families("xnnpack") if family.operator in OPERATORS and family.variant == "FLOAT32"]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.operator)
def test_family(family: Family, xnnpack: Runtime) -> None:
    assert check(family, xnnpack, 2)


def equal(model: Any, xnnpack: Runtime, *inputs: Any) -> None:
    (ours,), theirs = run(model, [inputs], "xnnpack"), xnnpack.run(model, inputs)
    assert not [found for pair in zip(ours, theirs, strict=True) if (found := first_difference(*pair))]


FUNCTIONS = {
    "COS": schema.CosOptions(),
    "ELU": None,
    "EXP": schema.ExpOptions(),
    "GELU": schema.GeluOptions(),
    "HARD_SWISH": schema.HardSwishOptions(),
    "LOGISTIC": None,
    "RSQRT": None,
    "SIN": None,
    "SQRT": None,
    "TANH": None,
}


@pytest.mark.parametrize("operator", FUNCTIONS)
def test_functions_of_any_bits(operator: str, xnnpack: Runtime) -> None:
    rng = np.random.default_rng(1)
    any_bits = rng.integers(0, 2**32, 4000, np.uint64).astype(np.uint32).view(np.float32)
    x = np.concatenate([any_bits, *(rng.normal(0, scale, 2000).astype(np.float32) for scale in (0.01, 1, 10, 100))])
    tensors = [TensorSpec(F32, x.shape)]
    equal(single_operator_model(operator, tensors, tensors, FUNCTIONS[operator]), xnnpack, x)
