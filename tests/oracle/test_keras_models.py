"""The networks that quantization is compared on are such as the whole TFLiteConverter converts in every mode."""

from __future__ import annotations

import pytest

from refquant.runtimes import Quantizer
from refquant.tflite.model import Model
from tests.oracle.keras_models import MODES, NETWORKS, convert

pytestmark = pytest.mark.oracle


@pytest.mark.parametrize("name, trained", [("dense", True), ("residual", False), ("LSTM, fused", False)])
def test_every_mode(quantizer: Quantizer, name: str, trained: bool) -> None:
    pytest.importorskip("keras")
    converted = convert(quantizer, NETWORKS[name], trained=trained)
    types = {}
    for mode, result in converted.by_mode.items():
        if isinstance(result, bytes):
            types[mode] = {tensor.type.name for tensor in Model.read(result).subgraphs[0].tensors or ()}
    refused = {"int16x8"} if name == "LSTM, fused" else set()
    assert set(types) == set(MODES) - refused
    assert "FLOAT16" in types["float16"]
    assert "UINT8" in types["uint8"]
    assert "INT8" in types["int8"]
    assert "INT16" in types["int16x8, fallback to float"]
