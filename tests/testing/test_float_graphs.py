"""The strategies of float models: each operator occurs, names are unique, ranges are as a calibrator writes them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

import refquant as rq
from refquant.testing.conformance import run
from refquant.testing.float_graphs import (
    OPERATORS,
    FloatCase,
    activations,
    float_models,
    statistics,
    with_statistics,
)
from refquant.tflite.model import Model

#: the first that is found, however large
QUICK = settings(database=None, derandomize=True, phases=[Phase.generate], max_examples=2000)


def operators(model: Model) -> list[str]:
    return [model.operator_name(op) for subgraph in model.subgraphs for op in subgraph.operators or ()]


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_operator_occurs(operator: str) -> None:
    found = find(
        float_models([operator], most_steps=1),
        lambda case: operator in operators(case.model),
        settings=QUICK,
    )
    assert run(found.model, found.samples)


@settings(max_examples=100)
@given(float_models())
def test_names_and_dataset(case: FloatCase) -> None:
    names = [tensor.name for subgraph in case.model.subgraphs for tensor in subgraph.tensors or ()]
    assert len(names) == len(set(names))
    for sample in case.dataset:
        assert isinstance(sample, list if case.model.root.signature_defs is None else tuple)


@settings(max_examples=100)
@given(st.data())
def test_statistics(data: st.DataObject) -> None:
    model = data.draw(statistics(data.draw(float_models()).model, missing=False))
    for number, index in activations(model):
        table = model.tensor(index, number).quantization
        assert table is not None and table.min is not None and table.max is not None
        assert table.min.dtype == table.max.dtype == np.float32
        assert table.min.shape == table.max.shape == (1,)
        assert table.min[0] <= table.max[0]


def test_given_statistics() -> None:
    case = find(float_models(["TANH"], most_steps=1), lambda _: True, settings=QUICK)
    model = with_statistics(case.model, {(0, 0): (-1.5, 2.5)})
    table = model.tensor(0).quantization
    assert table is not None and (table.min, table.max) == (np.float32(-1.5), np.float32(2.5))
    assert case.model.tensor(0).quantization is None
    with pytest.raises(rq.InvalidInputError, match="tensor 99"):
        with_statistics(case.model, {(0, 99): (0, 1)})


def test_unknown_operator() -> None:
    with pytest.raises(rq.InvalidInputError, match="no float graphs of HASHTABLE"):
        find(float_models(["HASHTABLE"]), lambda _: True)


@settings(max_examples=50)
@given(float_models(["FULLY_CONNECTED"], special=False))
def test_weights_are_finite(case: FloatCase) -> None:
    for tensor in case.model.subgraphs[0].tensors or ():
        constant = case.model.constant(tensor)
        assert constant is None or np.isfinite(constant).all()


def test_special_weights() -> None:
    def has_nan(case: FloatCase) -> bool:
        constants = [case.model.constant(tensor) for tensor in case.model.subgraphs[0].tensors or ()]
        return any(constant is not None and np.isnan(constant).any() for constant in constants)

    find(float_models(["FULLY_CONNECTED"], special=True), has_nan, settings=QUICK)
