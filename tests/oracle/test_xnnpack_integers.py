"""XNNPACK's kernels of 8-bit numbers, against the default interpreter on models of one operator.

`refquant verify --kernels xnnpack` has many more cases.
"""

import pytest

from refquant.runtimes import open_runtime
from refquant.testing.conformance import Outcome
from refquant.testing.strategies import families
from refquant.testing.sweep import check

pytestmark = pytest.mark.oracle
_OPERATORS = "ADD CONV_2D DEPTHWISE_CONV_2D ELU FULLY_CONNECTED LEAKY_RELU LOGISTIC MUL QUANTIZE RESHAPE SUB TRANSPOSE_CONV".split()
_FAMILIES = [
    family
    for family in families("xnnpack")
    if family.operator in _OPERATORS and family.variant in ("INT8", "UINT8", "FLOAT32 to INT8", "INT8 to INT8")
]


@pytest.fixture(scope="module")
def runtime():
    with open_runtime("tensorflow", "xnnpack") as runtime:
        yield runtime


@pytest.mark.parametrize("family", _FAMILIES, ids=lambda family: f"{family.operator}-{family.variant}")
def test_operator(runtime, family):
    assert check(family, runtime, 60)[Outcome.EQUAL] > 5
