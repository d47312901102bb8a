"""Versions, options and oldest runtime of what the converter writes again, over all operators' strategies.

And that we refuse nothing which it does write again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from refquant.errors import RuntimeFailedError
from refquant.quantization.integer import quantize
from refquant.quantization.options import exported_options
from refquant.quantization.refusals import require_convertible
from refquant.quantization.versions import minimum_runtime_version, update_versions
from refquant.runtimes import Quantizer
from refquant.testing.same_model import differences
from refquant.testing.strategies import Case, Family, families
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType

pytestmark = pytest.mark.oracle

OPERATORS = sorted({family.operator for family in families()})
EXAMPLES = 2


def models(family: Family) -> list[Model]:
    found: list[Model] = []

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(family.cases)
    def collect(case: Case) -> None:
        found.append(Model.read(case.model.tobytes()))

    collect()
    return found


def only(model: Model, name: str) -> Iterator[schema.Operator]:
    """The operator of that name, if the main subgraph has one and no more."""
    found = [op for op in model.subgraphs[0].operators or () if model.operator_name(op) == name]
    if len(found) == 1:
        yield found[0]


@pytest.mark.parametrize("operator", OPERATORS)
def test_what_the_converter_writes(operator: str, quantizer: Quantizer) -> None:
    for family in (family for family in families() if family.operator == operator):
        for model in models(family):
            try:
                written = Model.read(quantizer.mlir_quantize(model))
            except RuntimeFailedError:
                continue
            if not is_folded(operator, family):
                require_convertible(model)
            check_versions(written)
            for before, after in zip(only(model, operator), only(written, operator)):
                types = [(model.subgraphs[0].tensors or [])[index].type for index in before.outputs]
                options = exported_options(operator, before.builtin_options, types)
                assert repr(options) == repr(after.builtin_options)


@pytest.mark.parametrize("operator", OPERATORS)
def test_one_operator_quantized(operator: str, quantizer: Quantizer) -> None:
    """What mlir_quantize makes of one operator of reals, with random ranges and without, and what we make of it."""
    for family in (family for family in families() if family.operator == operator):
        for model in models(family):
            if is_quantized(model) or is_folded(operator, family) or not is_ordinary(model):
                continue
            for calibrated in (model, with_ranges(model)):
                try:
                    written = Model.read(quantizer.mlir_quantize(calibrated))
                except RuntimeFailedError:
                    continue
                assert differences(Model.read(quantize(calibrated).tobytes()), written) == []


def is_ordinary(model: Model) -> bool:
    """Whether it has an input, no tensor without elements, no constant that is not finite, or a small whole number.

    (The converter numbers variables through all models that it reads in a process, and takes one for such a constant.)
    """
    for tensor in (tensor for graph in model.subgraphs for tensor in graph.tensors or ()):
        if tensor.is_variable and any(is_one_whole_number(model.constant(t)) for t in model.subgraphs[0].tensors or ()):
            return False
        constant = model.constant(tensor)
        if tensor.shape is not None and 0 in tensor.shape:
            return False
        if constant is not None and constant.dtype.kind == "f" and not np.isfinite(constant).all():
            return False
    return model.subgraphs[0].inputs is not None and len(model.subgraphs[0].inputs) > 0


def is_one_whole_number(constant: Any) -> bool:
    return (
        constant is not None
        and constant.dtype.kind == "f"
        and len(set(constant.flat)) == 1
        and constant.flat[0] % 1 == 0
    )


def is_quantized(model: Model) -> bool:
    return any(tensor.quantization is not None for graph in model.subgraphs for tensor in graph.tensors or ())


def with_ranges(model: Model) -> Model:
    """The model with a range for each tensor of float32 that is no constant."""
    calibrated, rng = Model.read(model.tobytes()), np.random.default_rng(0)
    for graph in calibrated.subgraphs:
        for tensor in graph.tensors or ():
            if tensor.type == TensorType.FLOAT32 and not calibrated.buffer(tensor.buffer).size:
                low, high = np.sort(rng.normal(size=2) * 10.0 ** rng.integers(-3, 3)).astype(np.float32)
                tensor.quantization = schema.QuantizationParameters(min=[low], max=[high])
    return calibrated


def is_folded(operator: str, family: Family) -> bool:
    """Whether the converter gets rid of what it could not write, or writes it as what no runtime has."""
    return operator == "IF" or (operator in ("SHAPE", "RANK") and family.variant == "UINT4")


def check_versions(written: Model) -> None:
    """Versions and oldest runtime of a model of the converter are what we find for it."""
    versions = [code.version for code in written.root.operator_codes or ()]
    (release,) = (
        bytes(written.buffer(m.buffer)) for m in written.root.metadata or () if m.name == "min_runtime_version"
    )
    update_versions(written)
    assert [code.version for code in written.root.operator_codes or ()] == versions
    assert minimum_runtime_version(written).encode().ljust(16, b"\0") == release
