"""TensorFlow's own quantization tools, file to file: calibrator, quantizers old and new, and the whole converter.

`open_quantizer` starts a server process, as `open_runtime` does, because the calibrator and the converter die of some
models. Types are NumPy dtypes or their names; models go in as `Model` or bytes and come out as bytes.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.errors import RuntimeUnavailableError
from refquant.runtimes.client import Sample, Server, content_of, is_installed
from refquant.runtimes.quantize_weights import quantize_weights
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType

Array = npt.NDArray[Any]

#: one sample of a representative dataset: arrays in the order of the inputs, or by the names of a signature's inputs,
#: or the key of a signature and its arrays by name
CalibrationSample = Sample | Mapping[str, Array] | tuple[str, Mapping[str, Array]]


def open_quantizer(timeout: float = 120.0) -> Quantizer:
    """TensorFlow's quantization tools; `timeout` is in seconds, for each answer.

    Raises `RuntimeUnavailableError` where TensorFlow is not installed.
    """
    if not is_installed("tensorflow"):
        raise RuntimeUnavailableError("tensorflow is not installed: python -m pip install tensorflow")
    return Quantizer(timeout)


class Quantizer(Server):
    """TensorFlow's quantization tools in a server process of their own; use it as a context manager.

    Every method raises `RuntimeFailedError` with TensorFlow's own words where it refuses, and `RuntimeDiedError` where
    it dies or hangs, which costs one answer and some milliseconds.
    """

    def __init__(self, timeout: float) -> None:
        super().__init__(("quantizer", ""), "TensorFlow's quantizer", timeout)

    def calibrate(
        self, model: Model | bytes, samples: Sequence[CalibrationSample], signature: str | None = None
    ) -> bytes:
        """The model with the min and max of its tensors over these samples (`Calibrator.calibrate`).

        With `signature` the samples are arrays by name for that signature.
        """
        return self._ask(("calibrate", content_of(model), [_plain(sample, signature) for sample in samples]))

    def add_intermediate_tensors(self, model: Model | bytes) -> bytes:
        """The model with the tensors inside LSTM operators that are to be calibrated, as the converter adds them."""
        return self._ask(("add_intermediate_tensors", content_of(model)))

    def mlir_quantize(
        self,
        calibrated: Model | bytes,
        *,
        disable_per_channel: bool = False,
        fully_quantize: bool = False,
        inference_type: npt.DTypeLike = "int8",
        input_data_type: npt.DTypeLike = "float32",
        output_data_type: npt.DTypeLike = "float32",
        enable_numeric_verify: bool = False,
        enable_whole_model_verify: bool = False,
        denylisted_ops: Sequence[str] = (),
        denylisted_nodes: Sequence[str] = (),
        enable_variable_quantization: bool = False,
        disable_per_channel_for_dense_layers: bool = False,
    ) -> bytes:
        """The model quantized by the MLIR quantizer (`tensorflow.lite.python.convert.mlir_quantize`).

        `calibrated` carries min and max in the quantization tables of its tensors. Inputs and outputs that are to be
        int16 stay float32, unless `fully_quantize`.
        """
        options = {
            "disable_per_channel": disable_per_channel,
            "fully_quantize": fully_quantize,
            "enable_numeric_verify": enable_numeric_verify,
            "enable_whole_model_verify": enable_whole_model_verify,
            "denylisted_ops": set(denylisted_ops),
            "denylisted_nodes": set(denylisted_nodes),
            "enable_variable_quantization": enable_variable_quantization,
            "disable_per_channel_for_dense_layers": disable_per_channel_for_dense_layers,
        }
        types = {
            "inference_type": np.dtype(inference_type).name,
            "input_data_type": np.dtype(input_data_type).name,
            "output_data_type": np.dtype(output_data_type).name,
        }
        return self._ask(("mlir_quantize", content_of(calibrated), options, types))

    def legacy_quantize(
        self,
        model: Model | bytes,
        samples: Sequence[CalibrationSample],
        *,
        input_type: npt.DTypeLike = "float32",
        output_type: npt.DTypeLike = "float32",
        allow_float: bool = True,
        activations_type: npt.DTypeLike = "int8",
        bias_type: npt.DTypeLike = "int32",
        resize_input: bool = True,
        disable_per_channel: bool = False,
        disable_per_channel_quantization_for_dense_layers: bool = False,
    ) -> bytes:
        """The model calibrated and quantized by the older quantizer (`Calibrator.calibrate_and_quantize`)."""
        types = {
            "input_type": np.dtype(input_type).name,
            "output_type": np.dtype(output_type).name,
            "activations_type": np.dtype(activations_type).name,
            "bias_type": np.dtype(bias_type).name,
        }
        options = {
            "allow_float": allow_float,
            "resize_input": resize_input,
            "disable_per_channel": disable_per_channel,
            "disable_per_channel_quantization_for_dense_layers": disable_per_channel_quantization_for_dense_layers,
        }
        plain = [_plain(sample) for sample in samples]
        return self._ask(("legacy_quantize", content_of(model), plain, options, types))

    def quantize_weights(
        self,
        model: Model | bytes,
        *,
        inference_type: npt.DTypeLike = "int8",
        minimum_elements: int = 1024,
        disable_per_channel: bool = False,
        weight_only: bool = False,
        legacy_float_scale: bool = False,
    ) -> bytes:
        """The model with its weights as "int8" or "float16" (`mlir::lite::QuantizeWeights`).

        These are the passes that the converter runs for dynamic-range and float16 quantization.
        """
        options = {
            "tensor_type": int({"int8": TensorType.INT8, "float16": TensorType.FLOAT16}[np.dtype(inference_type).name]),
            "minimum_elements": minimum_elements,
            "disable_per_channel": disable_per_channel,
            "weight_only": weight_only,
            "legacy_float_scale": legacy_float_scale,
        }
        return self._ask(("quantize_weights", content_of(model), options))

    def modify_io_type(
        self,
        model: Model | bytes,
        input_type: npt.DTypeLike = "float32",
        output_type: npt.DTypeLike = "float32",
    ) -> bytes:
        """The quantized model with inputs and outputs of other types (`util.modify_model_io_type`)."""
        return self._ask(("modify_io_type", content_of(model), np.dtype(input_type).name, np.dtype(output_type).name))

    def deduplicate_buffers(self, model: Model | bytes) -> bytes:
        """The model with equal constants in one buffer, the converter's last step but one."""
        return self._ask(("deduplicate_buffers", content_of(model)))

    def convert(
        self,
        source: bytes | str | os.PathLike[str],
        samples: Sequence[CalibrationSample] | None = None,
        **settings: Any,
    ) -> bytes:
        """What the whole `TFLiteConverter` makes of a .keras file (path or bytes) or of a folder with a SavedModel.

        `samples` is the representative dataset; `settings` are attributes of the converter by name, also the private
        ones: `optimizations` and `supported_ops` as names (``["DEFAULT"]``, ``["TFLITE_BUILTINS_INT8"]``),
        `supported_types`, `inference_input_type` and `inference_output_type` as dtypes or their names.
        """
        plain = {name: _names(value) for name, value in settings.items()}
        path = source if isinstance(source, bytes) else os.fspath(source)
        return self._ask(("convert", path, None if samples is None else [_plain(s) for s in samples], plain))


#: attributes of the converter that are a dtype
_TYPES = ("inference_input_type", "inference_output_type", "_experimental_full_integer_quantization_bias_type")


class Adapter:
    """The side that has TensorFlow: each question of `Quantizer` answered by TensorFlow's own functions."""

    def __init__(self) -> None:
        from importlib import import_module

        import tensorflow as tf

        self._tf = tf
        # `tensorflow.lite` is the public module by now, so that `from tensorflow.lite.python import …` fails
        self._calibrator = import_module("tensorflow.lite.python.optimize.calibrator")
        self._convert = import_module("tensorflow.lite.python.convert")
        self._util = import_module("tensorflow.lite.python.util")

    def version(self) -> str:
        """The version of the installed package."""
        return str(self._tf.__version__)

    def calibrate(self, content: bytes, samples: list[Any]) -> bytes:
        """`Calibrator.calibrate`."""
        return bytes(self._calibrator.Calibrator(content).calibrate(lambda: iter(samples)))

    def add_intermediate_tensors(self, content: bytes) -> bytes:
        """`calibrator.add_intermediate_tensors`."""
        return bytes(self._calibrator.add_intermediate_tensors(content))

    def mlir_quantize(self, content: bytes, options: dict[str, Any], types: dict[str, str]) -> bytes:
        """`convert.mlir_quantize`."""
        kinds = {name: self._tf.as_dtype(type) for name, type in types.items()}
        inference = self._convert.convert_inference_tf_type_to_tflite_type(kinds.pop("inference_type"))
        return bytes(self._convert.mlir_quantize(content, inference_type=inference, **kinds, **options))

    def legacy_quantize(
        self, content: bytes, samples: list[Any], options: dict[str, Any], types: dict[str, str]
    ) -> bytes:
        """`Calibrator.calibrate_and_quantize`."""
        kinds = {name: self._tf.as_dtype(type) for name, type in types.items()}
        calibrator = self._calibrator.Calibrator(content)
        return bytes(calibrator.calibrate_and_quantize(lambda: iter(samples), **kinds, **options))

    def quantize_weights(self, content: bytes, options: dict[str, Any]) -> bytes:
        """`mlir::lite::QuantizeWeights`."""
        return quantize_weights(content, Path(self._tf.__file__).parent, **options)

    def modify_io_type(self, content: bytes, input_type: str, output_type: str) -> bytes:
        """`util.modify_model_io_type`."""
        kinds = self._tf.as_dtype(input_type), self._tf.as_dtype(output_type)
        return bytes(self._util.modify_model_io_type(content, *kinds))

    def deduplicate_buffers(self, content: bytes) -> bytes:
        """`convert.deduplicate_readonly_buffers`."""
        return bytes(self._convert.deduplicate_readonly_buffers(content))

    def convert(self, source: bytes | str, samples: list[Any] | None, settings: dict[str, Any]) -> bytes:
        """`TFLiteConverter.convert`."""
        converter = self._converter(source)
        if samples is not None:
            converter.representative_dataset = lambda: iter(samples)
        for name, value in settings.items():
            if name == "optimizations":
                value = [getattr(self._tf.lite.Optimize, item) for item in value]
            elif name == "supported_ops":
                value = [getattr(self._tf.lite.OpsSet, item) for item in value]
            elif name == "supported_types":
                value = [self._tf.as_dtype(item) for item in value]
            elif name in _TYPES:
                value = self._tf.as_dtype(value)
            owner = converter.target_spec if hasattr(converter.target_spec, name) else converter
            if not hasattr(owner, name):
                raise AttributeError(f"TFLiteConverter has no attribute {name!r}")
            setattr(owner, name, value)
        return bytes(converter.convert())

    def _converter(self, source: bytes | str) -> Any:
        if isinstance(source, bytes):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "model.keras"
                path.write_bytes(source)
                return self._converter(str(path))
        if Path(source).is_dir():
            return self._tf.lite.TFLiteConverter.from_saved_model(source)
        return self._tf.lite.TFLiteConverter.from_keras_model(self._tf.keras.models.load_model(source))


def _plain(sample: CalibrationSample, signature: str | None = None) -> Any:
    """A sample in the types that the calibrator looks for: list, dict, or tuple of a signature's key and a dict."""
    if signature is not None:
        assert isinstance(sample, Mapping)
        return signature, dict(sample)
    if isinstance(sample, Mapping):
        return dict(sample)
    if isinstance(sample, tuple) and len(sample) == 2 and isinstance(sample[0], str):
        return sample[0], dict(sample[1])
    return list(sample)


def _names(value: Any) -> Any:
    """NumPy's types as their names, also inside a list; everything else as it is."""
    if isinstance(value, (list, tuple)):
        return [_names(item) for item in value]
    return np.dtype(value).name if isinstance(value, (type, np.dtype)) else value
