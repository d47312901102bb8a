"""`Converter`: what `tf.lite.TFLiteConverter` does after its conversion to a float model, under the same names.

The attributes decide the mode, as in TensorFlow:

| mode | attributes |
|---|---|
| dynamic range | `optimizations = [Optimize.DEFAULT]` |
| float16 | and `target_spec.supported_types = [np.float16]` |
| integer, float where needed | and `representative_dataset`, or a model that is calibrated already |
| integer only | and `target_spec.supported_ops = [OpsSet.TFLITE_BUILTINS_INT8]` |
| int16 activations, int8 weights | and `OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8` there, |
| | with float where needed if `OpsSet.TFLITE_BUILTINS` is among them too |

Source: lite/python/lite.py of tensorflow 2.21.0 (QuantizationMode, _optimize_tflite_model).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from copy import copy, deepcopy
from enum import Enum
from typing import Any, BinaryIO

import numpy as np

from refquant.errors import InvalidInputError, UnsupportedOperatorError
from refquant.quantization import dynamic_range, float16, integer, legacy
from refquant.quantization.buffers import deduplicate_buffers, own_buffers
from refquant.quantization.calibration import Samples, Statistics, calibrate
from refquant.quantization.intermediates import with_intermediate_tensors
from refquant.quantization.io_types import modify_io_type
from refquant.tflite import schema
from refquant.tflite.conversion_metadata import NAME as METADATA_NAME
from refquant.tflite.conversion_metadata import (
    ConversionMetadata,
    OptimizationMode,
    conversion_metadata,
    with_conversion_metadata,
)
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType
from refquant.tflite.vectors import indices_of


class Optimize(Enum):
    """What to optimize for; all that quantize mean the same."""

    DEFAULT = "DEFAULT"
    OPTIMIZE_FOR_SIZE = "OPTIMIZE_FOR_SIZE"
    OPTIMIZE_FOR_LATENCY = "OPTIMIZE_FOR_LATENCY"


class OpsSet(Enum):
    """Which operators the target runs: those of float, those of int8 alone, those of int16 with int8 weights."""

    TFLITE_BUILTINS = "TFLITE_BUILTINS"
    SELECT_TF_OPS = "SELECT_TF_OPS"
    TFLITE_BUILTINS_INT8 = "TFLITE_BUILTINS_INT8"
    EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8 = (
        "EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8"
    )


class RepresentativeDataset:
    """A function that gives samples, in the wrapping that TensorFlow knows too."""

    def __init__(self, input_gen: Callable[[], Iterable[Any]]) -> None:
        self.input_gen = input_gen


class TargetSpec:
    """What the target runs: sets of operators and types."""

    def __init__(self, supported_ops: Collection[OpsSet] | None = None, supported_types: Collection[Any] = ()) -> None:
        self.supported_ops = {OpsSet.TFLITE_BUILTINS} if supported_ops is None else supported_ops
        self.supported_types = supported_types


class Mode(Enum):
    """How a model is quantized; the value is the name for people."""

    NONE = "none"
    DYNAMIC_RANGE = "dynamic range"
    FLOAT16 = "float16"
    INT8 = "int8"
    INT16 = "int16 activations, int8 weights"


_METADATA_MODES = {
    Mode.DYNAMIC_RANGE: OptimizationMode.PTQ_DYNAMIC_RANGE,
    Mode.FLOAT16: OptimizationMode.PTQ_FLOAT16,
    Mode.INT8: OptimizationMode.PTQ_FULL_INTEGER,
    Mode.INT16: OptimizationMode.PTQ_INT16,
}

_INTERFACE_TYPES = {
    Mode.INT8: (TensorType.FLOAT32, TensorType.INT8, TensorType.UINT8),
    Mode.INT16: (TensorType.FLOAT32, TensorType.INT16),
}

_INT8_OPS = OpsSet.TFLITE_BUILTINS_INT8
_INT16_OPS = OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8


class Converter:
    """Quantizes a float model; set the attributes, then call `convert`.

    The attributes are those of `tf.lite.TFLiteConverter` that matter after the conversion to a float model:
    `optimizations`, `representative_dataset`, `target_spec`, `inference_input_type` and `inference_output_type` (types
    of NumPy or of TensorFlow, or their names), `experimental_new_quantizer` (False: the older quantizer also for int8),
    `exclude_conversion_metadata`, and of the private ones `_experimental_disable_per_channel`,
    `_experimental_disable_per_channel_quantization_for_dense_layers`,
    `_experimental_full_integer_quantization_bias_type`, `_experimental_variable_quantization` and
    `_experimental_calibrate_only`. `denylisted_ops` are names of operators that stay in float, `denylisted_nodes` names
    of output tensors of such. Any other attribute is an `AttributeError`.
    """

    __slots__ = (  # so that an attribute of TensorFlow's that is none here is an error and not forgotten
        "_experimental_calibrate_only",
        "_experimental_disable_per_channel",
        "_experimental_disable_per_channel_quantization_for_dense_layers",
        "_experimental_full_integer_quantization_bias_type",
        "_experimental_variable_quantization",
        "_model",
        "denylisted_nodes",
        "denylisted_ops",
        "exclude_conversion_metadata",
        "experimental_new_quantizer",
        "inference_input_type",
        "inference_output_type",
        "optimizations",
        "representative_dataset",
        "target_spec",
    )

    def __init__(self, model: Model) -> None:
        self._model = model
        self.optimizations: Collection[Optimize] = ()
        self.representative_dataset: Samples | RepresentativeDataset | None = None
        self.target_spec = TargetSpec()
        self.inference_input_type: Any = np.float32
        self.inference_output_type: Any = np.float32
        self.experimental_new_quantizer = True
        self.exclude_conversion_metadata = False
        self.denylisted_ops: Collection[str] = ()
        self.denylisted_nodes: Collection[str] = ()
        self._experimental_disable_per_channel = False
        self._experimental_disable_per_channel_quantization_for_dense_layers = False
        self._experimental_full_integer_quantization_bias_type: Any = None
        self._experimental_calibrate_only = False
        self._experimental_variable_quantization = False

    @classmethod
    def from_tflite(cls, model: Model | str | os.PathLike[str] | bytes | BinaryIO) -> Converter:
        """A converter for a float model: one read already, or a file by path, bytes or open file.

        The model may be calibrated (`Statistics.apply`, or TensorFlow's calibrator): its tensors carry min and max.
        """
        return cls(model if isinstance(model, Model) else Model.read(model))

    def convert(self) -> bytes:
        """The bytes of the quantized model; without optimizations those of the float model.

        Raises `InvalidInputError` for attributes that do not go together, a representative dataset that is missing or
        wrong, and a model that is quantized already; `UnsupportedOperatorError` for operators that have no integer form
        where only integers are wanted, before the samples are run; `InvalidModelError` for a model that contradicts
        itself.
        """
        mode = self.mode()
        if mode is Mode.NONE:  # as TensorFlow's Python code has written the float file, byte for byte
            return (without_metadata(self._model) if self.exclude_conversion_metadata else self._model).tobytes(
                "python"
            )
        model = without_metadata(self._model)
        refuse_quantized(model)
        refuse_unknown(model, self.denylisted_ops, self.denylisted_nodes)
        if mode is Mode.DYNAMIC_RANGE:
            quantized = dynamic_range.quantize(
                model,
                per_channel=not self._experimental_disable_per_channel,
                per_channel_dense=not self._experimental_disable_per_channel_quantization_for_dense_layers,
                denied_operators=self.denylisted_ops,
            )
        elif mode is Mode.FLOAT16:
            quantized = float16.quantize(model)
        else:
            quantized = self._calibrated(own_buffers(model), mode)
            if not self._experimental_calibrate_only:
                quantized = self._quantize_integer(quantized, mode)
        return self._finished(quantized, mode)

    def mode(self) -> Mode:
        """How the attributes say to quantize. Raises `InvalidInputError` where they contradict each other."""
        for optimization in self.optimizations:
            if not isinstance(optimization, Optimize):
                raise InvalidInputError(f"{optimization!r} is no optimization: use refquant.Optimize.DEFAULT")
        ops = set(self.target_spec.supported_ops)
        if not ops or not ops <= set(OpsSet):
            raise InvalidInputError(f"target_spec.supported_ops must be of refquant.OpsSet, got {ops or 'nothing'}")
        types = {tensor_type(kind) for kind in self.target_spec.supported_types}
        if not types <= {TensorType.FLOAT32, TensorType.FLOAT16, TensorType.INT8}:
            raise InvalidInputError("target_spec.supported_types can have float32, float16 and int8")
        if _INT8_OPS in ops and _INT16_OPS in ops:
            raise InvalidInputError(f"target_spec.supported_ops has {_INT8_OPS.name} and {_INT16_OPS.name}: choose one")
        if ops == {_INT8_OPS} and types - {TensorType.INT8}:
            raise InvalidInputError(
                f"supported_ops of {_INT8_OPS.name} alone goes with supported_types of int8 or none, not "
                + ", ".join(sorted(kind.name for kind in types))
            )
        if not self.optimizations:
            if self._has_ranges_or_dataset or ops & {_INT8_OPS, _INT16_OPS} or types - {TensorType.FLOAT32}:
                raise InvalidInputError("set optimizations = [refquant.Optimize.DEFAULT] to have the model quantized")
            return Mode.NONE
        mode = self._mode_of(ops, types)
        self._check_interface(mode)
        return mode

    def _mode_of(self, ops: set[OpsSet], types: set[TensorType]) -> Mode:
        if TensorType.FLOAT16 in types and TensorType.INT8 not in types:
            return Mode.FLOAT16
        if types == {TensorType.FLOAT32}:
            return Mode.NONE
        if self._has_ranges_or_dataset:
            return Mode.INT16 if _INT16_OPS in ops else Mode.INT8
        if ops & {_INT8_OPS, _INT16_OPS} or types == {TensorType.INT8}:
            raise InvalidInputError(
                "integer quantization needs the ranges of the activations: set representative_dataset, "
                "or give a model that is calibrated (Statistics.apply)"
            )
        return Mode.DYNAMIC_RANGE

    @property
    def _has_ranges_or_dataset(self) -> bool:
        return self.representative_dataset is not None or is_calibrated(self._model)

    def _check_interface(self, mode: Mode) -> None:
        allowed = _INTERFACE_TYPES.get(mode, (TensorType.FLOAT32,))
        for name in ("inference_input_type", "inference_output_type"):
            kind = tensor_type(getattr(self, name))
            if kind not in allowed:
                raise InvalidInputError(
                    f"{name} cannot be {kind.name} in mode {mode.value}: "
                    f"use {' or '.join(allowed_type.name for allowed_type in allowed)}"
                )

    @property
    def _allow_float(self) -> bool:
        ops = set(self.target_spec.supported_ops)
        types = {tensor_type(kind) for kind in self.target_spec.supported_types}
        return bool(ops & {OpsSet.TFLITE_BUILTINS, OpsSet.SELECT_TF_OPS}) and types != {TensorType.INT8}

    def _calibrated(self, model: Model, mode: Mode) -> Model:
        """The model with ranges. What cannot be quantized is told before the samples run, by trying with any ranges."""
        model = with_intermediate_tensors(model)
        dataset = self.representative_dataset
        if dataset is None:
            return model
        if not self._allow_float:
            self._quantize_integer(with_any_ranges(model), mode)
        statistics = self.calibrate(dataset, model)
        refuse_infinite(statistics, model)
        return statistics.apply(model)

    def calibrate(self, dataset: Samples | RepresentativeDataset, model: Model | None = None) -> Statistics:
        """The ranges that the samples give; `refquant.calibrate` of the model."""
        samples = dataset.input_gen if hasattr(dataset, "input_gen") else dataset
        return calibrate(self._model if model is None else model, samples)

    def _quantize_integer(self, model: Model, mode: Mode) -> Model:
        input_type, output_type = tensor_type(self.inference_input_type), tensor_type(self.inference_output_type)
        per_channel = not self._experimental_disable_per_channel
        per_channel_dense = not self._experimental_disable_per_channel_quantization_for_dense_layers
        if mode is Mode.INT8 and self.experimental_new_quantizer:
            quantized = integer.quantize(
                model,
                input_type=input_type,
                output_type=output_type,
                per_channel=per_channel,
                per_channel_dense=per_channel_dense,
                denied_operators=self.denylisted_ops,
                denied_nodes=self.denylisted_nodes,
                variables=self._experimental_variable_quantization,
            )
            if not self._allow_float:
                refuse_float(quantized)
            return quantized
        bias = self._experimental_full_integer_quantization_bias_type
        at_once = mode is Mode.INT16  # int8 models get the types of their inputs and outputs at the end
        quantized = legacy.quantize(
            model,
            activations_type=TensorType.INT16 if mode is Mode.INT16 else TensorType.INT8,
            bias_type=None if bias is None else tensor_type(bias),
            allow_float=self._allow_float,
            disable_per_channel=not per_channel,
            disable_per_channel_for_dense_layers=not per_channel_dense,
            input_type=input_type if at_once else TensorType.FLOAT32,
            output_type=output_type if at_once else TensorType.FLOAT32,
        )
        if self.experimental_new_quantizer and {input_type, output_type} <= set(_INTERFACE_TYPES[Mode.INT8]):
            return quantized
        return modify_io_type(quantized, input_type, output_type)

    def _finished(self, quantized: Model, mode: Mode) -> bytes:
        """Equal constants share a buffer, and the file tells what was done, where the float file told of itself."""
        model = deduplicate_buffers(quantized)
        metadata: ConversionMetadata | None = conversion_metadata(self._model)
        if metadata is not None and not self.exclude_conversion_metadata:
            model = with_conversion_metadata(model, metadata, [_METADATA_MODES[mode]])
        return model.tobytes("python")


def tensor_type(kind: Any) -> TensorType:
    """The type that a type of NumPy, TensorFlow or refquant, or the name of one, means."""
    if isinstance(kind, TensorType):
        return kind
    try:
        if kind is None:  # which NumPy takes for float64
            raise TypeError
        dtype = np.dtype(getattr(kind, "as_numpy_dtype", kind))
        return TensorType[dtype.name.upper()]
    except (TypeError, KeyError):
        raise InvalidInputError(f"{kind!r} is not the type of a tensor: use numpy.int8, 'float32', …") from None


def refuse_unknown(model: Model, operators: Collection[str], nodes: Collection[str]) -> None:
    """Raises `InvalidInputError` for denied names that no operator, or no output of one, in the model has."""
    known_operators: set[str] = set()
    known_nodes: set[str | None] = set()
    for subgraph in model.subgraphs:
        tensors = subgraph.tensors or []
        for operator in subgraph.operators or ():
            known_operators.add(model.operator_name(operator))
            known_nodes.update(tensors[index].name for index in indices_of(operator.outputs))
    for name in operators:
        if name not in known_operators:
            raise InvalidInputError(
                f"denylisted_ops: the model has no operator {name!r}, it has {', '.join(sorted(known_operators))}"
            )
    for name in nodes:
        if name not in known_nodes:
            raise InvalidInputError(f"denylisted_nodes: no operator of the model makes a tensor {name!r}")


def is_calibrated(model: Model) -> bool:
    """Whether tensors of the model carry a range."""
    return any(
        tensor.quantization is not None and tensor.quantization.min is not None and len(tensor.quantization.min)
        for subgraph in model.subgraphs
        for tensor in subgraph.tensors or ()
        if tensor.type == TensorType.FLOAT32
    )


def refuse_quantized(model: Model) -> None:
    """Raises `InvalidInputError`, naming the first such tensor, where a model is quantized already."""
    for number, subgraph in enumerate(model.subgraphs):
        for index, tensor in enumerate(subgraph.tensors or ()):
            quantization = tensor.quantization
            if quantization is not None and quantization.scale is not None and len(quantization.scale):
                raise InvalidInputError(
                    f"the model is quantized already: tensor {index} ({tensor.name!r}) of subgraph {number} is "
                    f"{TensorType(tensor.type).name} with a scale; give the float model that it was made from"
                )


def without_metadata(model: Model) -> Model:
    """The model without what it tells of its conversion, which is not true of what is made of it."""
    if conversion_metadata(model) is None:
        return model
    root = copy(model.root)
    root.metadata, root.buffers = list(root.metadata or ()), list(root.buffers or ())
    entry = next(entry for entry in root.metadata if entry.name == METADATA_NAME)
    root.metadata.remove(entry)
    if entry.buffer == len(root.buffers) - 1:
        root.buffers.pop()
    return model.with_root(root)


def with_any_ranges(model: Model) -> Model:
    """The model as if it were calibrated, with the range -1 to 1 everywhere: to see what would become of it."""
    root = copy(model.root)
    root.subgraphs = deepcopy(root.subgraphs)
    for subgraph in root.subgraphs or ():
        for tensor in subgraph.tensors or ():
            if tensor.type == TensorType.FLOAT32 and not model.buffer(tensor.buffer).size:
                tensor.quantization = schema.QuantizationParameters(
                    min=np.array([-1], np.float32), max=np.array([1], np.float32)
                )
    return model.with_root(root)


def refuse_infinite(statistics: Statistics, model: Model) -> None:
    """Raises `InvalidInputError`, naming the first such tensor, where samples made a range infinite."""
    for (subgraph, index), found in sorted(statistics.ranges.items()):
        if np.isinf(found.min) or np.isinf(found.max):
            name = (model.subgraphs[subgraph].tensors or [])[index].name
            sample = found.min_sample if np.isinf(found.min) else found.max_sample
            raise InvalidInputError(
                f"sample {sample} of the representative dataset makes tensor {index} ({name!r}) of subgraph {subgraph} "
                "infinite, which has no scale: scale the samples as in training, or leave it out"
            )


def refuse_float(model: Model) -> None:
    """Raises `UnsupportedOperatorError`, naming them, where operators compute with floats."""
    found = []
    for subgraph in model.subgraphs:
        tensors = subgraph.tensors or []
        for operator in subgraph.operators or ():
            name = model.operator_name(operator)
            outputs = indices_of(operator.outputs)
            indices = [] if name in _CONVERSIONS else [*indices_of(operator.inputs), *outputs]
            if any(index >= 0 and tensors[index].type == TensorType.FLOAT32 for index in indices):
                found.append(f"{name} ({tensors[outputs[0]].name!r})" if outputs else name)
    if found:
        raise UnsupportedOperatorError(
            f"no form on integers, or no recorded ranges, for {_listed(found)}; "
            "add OpsSet.TFLITE_BUILTINS to target_spec.supported_ops to leave what has none in float"
        )


_CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
