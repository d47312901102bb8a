"""Versions of operators by hand, for what no model of the strategies shows."""

from __future__ import annotations

import pytest

from refquant.errors import InvalidModelError, UnsupportedOperatorError
from refquant.quantization.versions import minimum_runtime_version, operator_version, update_versions
from refquant.testing import OperatorSpec, SubgraphSpec, TensorSpec, model_of, single_operator_model
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType

FLOAT32, INT8, INT16 = TensorType.FLOAT32, TensorType.INT8, TensorType.INT16


def version_of(model: Model) -> int:
    (operator,) = model.subgraphs[0].operators or ()
    return operator_version(model, model.subgraphs[0], operator)


def test_a_code_has_the_highest_version_that_its_operators_need() -> None:
    tensors = [TensorSpec(type, (2,), 0.5) for type in (FLOAT32, FLOAT32, INT8, INT8, INT16, INT16)]
    operators = [OperatorSpec("RELU", [i], [i + 1], version=7) for i in (0, 2)] + [OperatorSpec("Mine", [4], [5])]
    model = model_of(SubgraphSpec(tensors, operators, [0, 2, 4], [1, 3, 5]))
    update_versions(model)
    assert [code.version for code in model.root.operator_codes or ()] == [2, 1]
    assert minimum_runtime_version(model) == "2.1.0"


def test_minimum_runtime_version_compares_numbers() -> None:
    tensors = [TensorSpec(FLOAT32, (2,)) for _ in range(3)]
    model = model_of(SubgraphSpec(tensors, [OperatorSpec("SIGN", [0], [1]), OperatorSpec("REAL", [0], [2])], [0], [1]))
    assert minimum_runtime_version(model) == "2.11.0"  # and not 2.5.0
    assert minimum_runtime_version(single_operator_model("Mine", [], [])) == ""


def test_what_has_no_version() -> None:
    x = TensorSpec(INT16, (1, 2, 2, 1), 0.5)
    with pytest.raises(UnsupportedOperatorError, match="CONV_2D with input and weights of int16"):
        version_of(single_operator_model("CONV_2D", [x, x], [x], schema.Conv2DOptions()))
    with pytest.raises(InvalidModelError, match="RELU with 0 inputs"):
        version_of(single_operator_model("RELU", [], [x]))
