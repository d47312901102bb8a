"""The adapter of TensorFlow's quantization tools: each of its answers, and that it survives a death."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from refquant.errors import RuntimeDiedError, RuntimeFailedError
from refquant.runtimes import Quantizer, open_quantizer
from refquant.testing import OperatorSpec, SubgraphSpec, TensorSpec, model_of
from refquant.tflite.model import Model
from refquant.tflite.schema import FullyConnectedOptions, SignatureDef, TensorMap, TensorType

pytestmark = pytest.mark.oracle


def dense(options: FullyConnectedOptions | None = FullyConnectedOptions()) -> Model:  # noqa: B008
    """x @ identity, with a signature."""
    tensors = [
        TensorSpec(TensorType.FLOAT32, (1, 2), name="x"),
        TensorSpec(TensorType.FLOAT32, data=np.eye(2, dtype=np.float32), name="weights"),
        TensorSpec(TensorType.FLOAT32, (1, 2), name="y"),
    ]
    operator = OperatorSpec("FULLY_CONNECTED", [0, 1, -1], [2], options)
    model = model_of(SubgraphSpec(tensors, [operator], [0], [2]))
    model.root.signature_defs = [SignatureDef([TensorMap("in", 0)], [TensorMap("out", 2)], "serve")]
    return model


SAMPLES = [np.array([[-1, 2]], np.float32), np.array([[0.5, 3]], np.float32)]


def types(content: bytes) -> list[str]:
    return [tensor.type.name for tensor in Model.read(content).subgraphs[0].tensors or ()]


def test_calibrator(quantizer: Quantizer) -> None:
    in_order = quantizer.calibrate(dense(), [[x] for x in SAMPLES])
    by_name = quantizer.calibrate(dense(), [{"in": x} for x in SAMPLES])
    by_signature = quantizer.calibrate(dense(), [("serve", {"in": x}) for x in SAMPLES])
    assert quantizer.calibrate(dense(), [{"in": x} for x in SAMPLES], "serve") == by_signature
    assert in_order == by_name == by_signature
    recorded = Model.read(in_order).tensor("x").quantization
    assert recorded is not None and recorded.min is not None and recorded.max is not None
    assert (recorded.min.tolist(), recorded.max.tolist()) == ([-1], [3])
    assert quantizer.add_intermediate_tensors(dense())


def test_quantizers(quantizer: Quantizer) -> None:
    calibrated = quantizer.calibrate(dense(), [[x] for x in SAMPLES])
    assert types(quantizer.mlir_quantize(calibrated)).count("INT8") == 3
    denylisted = quantizer.mlir_quantize(calibrated, fully_quantize=True, denylisted_ops=["FULLY_CONNECTED"])
    assert types(denylisted) == ["INT8", "FLOAT32", "FLOAT32", "FLOAT32", "INT8"]
    unsigned = quantizer.mlir_quantize(calibrated, input_data_type=np.uint8, output_data_type="int8")
    assert types(unsigned)[0] == "UINT8"
    assert quantizer.deduplicate_buffers(unsigned)
    assert types(quantizer.mlir_quantize(calibrated, inference_type="int16")).count("INT16") == 2

    legacy = quantizer.legacy_quantize(dense(), [[x] for x in SAMPLES], activations_type="int16", bias_type=np.int64)
    assert sorted(types(legacy)) == ["FLOAT32", "FLOAT32", "INT16", "INT16", "INT8"]
    assert sorted(types(quantizer.modify_io_type(legacy, np.int16, np.int16))) == ["INT16", "INT16", "INT8"]


def test_converter(quantizer: Quantizer, tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    path = tmp_path / "model.keras"
    keras.Sequential([keras.Input(batch_shape=(1, 2)), keras.layers.Dense(3)]).save(path)
    assert types(quantizer.convert(path)).count("FLOAT32") == 3
    assert "FLOAT16" in types(quantizer.convert(path, optimizations=["DEFAULT"], supported_types=[np.float16]))
    integer = quantizer.convert(
        path.read_bytes(),
        [[x] for x in SAMPLES],
        optimizations=["DEFAULT"],
        supported_ops=["TFLITE_BUILTINS_INT8"],
        inference_input_type=np.int8,
        inference_output_type="int8",
        _experimental_disable_per_channel=True,
    )
    assert sorted(types(integer)) == ["INT8", "INT8", "INT8"]
    with pytest.raises(RuntimeFailedError, match="no attribute 'optimisations'"):
        quantizer.convert(path, optimisations=["DEFAULT"])


def test_death_and_refusal_cost_one_answer() -> None:
    with open_quantizer() as quantizer:
        with pytest.raises(RuntimeFailedError, match="refused"):
            quantizer.calibrate(b"no model", [[x] for x in SAMPLES])
        with pytest.raises(RuntimeDiedError, match="died"):
            quantizer.mlir_quantize(dense(options=None))
        assert quantizer.calibrate(dense(), [[x] for x in SAMPLES])
