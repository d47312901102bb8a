"""The older, flatbuffer quantizer of the TFLite converter, pass by pass.

TFLiteConverter uses it for int16 activations with int8 weights, and for int8 with `experimental_new_quantizer=False`.
Source: QuantizeModel in tools/optimize/quantize_model.cc; what it knows of each operator is in
`refquant.quantization.operator_property`.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from refquant.errors import InvalidInputError, InvalidModelError
from refquant.quantization.draft import Draft, without_empty
from refquant.quantization.legacy.biases import duplicate_shared_biases, make_room_for_biases, quantize_biases
from refquant.quantization.legacy.interface import set_interface
from refquant.quantization.legacy.operators import (
    allow_any_int16_scale,
    quantize_intermediates,
    quantize_operators,
    raise_versions,
    record_ranges_of_constants,
    requantize_joined_inputs,
    set_bias_types,
    share_ranges,
)
from refquant.quantization.legacy.plan import Plan, Settings
from refquant.quantization.legacy.variables import share_ranges_of_variables
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType

_ACTIVATIONS = (TensorType.INT8, TensorType.INT16)
_BIASES = {TensorType.INT8: (TensorType.INT32,), TensorType.INT16: (TensorType.INT64, TensorType.INT32)}
_INTERFACE = (TensorType.FLOAT32, TensorType.INT8, TensorType.UINT8, TensorType.INT16)


def quantize(
    model: Model,
    *,
    activations_type: TensorType = TensorType.INT8,
    bias_type: TensorType | None = None,
    input_type: TensorType = TensorType.FLOAT32,
    output_type: TensorType = TensorType.FLOAT32,
    allow_float: bool = False,
    disable_per_channel: bool = False,
    disable_per_channel_for_dense_layers: bool = False,
    operators: Collection[str] | None = None,
) -> Model:
    """A quantized copy of a calibrated float model, one whose activations carry min and max.

    `activations_type` is INT8 or INT16. Biases are INT32; with int16 activations they are INT64 unless `bias_type` says
    INT32. The inputs and outputs become `input_type` and `output_type`: FLOAT32, INT8, UINT8 or INT16; where an input
    is quantized but to the other integer type, it stays. `allow_float` leaves operators float that cannot be
    quantized, with QUANTIZE and DEQUANTIZE around them. `operators` names the first outputs of the operators to
    quantize, all unless given.

    Raises `UnsupportedOperatorError` for operators that would have to stay float, naming each, `InvalidModelError` for
    a tensor without range, a model quantized already or constants that are not finite, and `InvalidInputError` for
    settings that exclude each other.
    """
    bias_type = _BIASES.get(activations_type, (TensorType.INT32,))[0] if bias_type is None else bias_type
    _check_settings(activations_type, bias_type, input_type, output_type)
    if len(model.subgraphs) == 1 and not model.subgraphs[0].operators:
        return model
    chosen = None if operators is None else frozenset(operators)
    per_channel = (disable_per_channel, disable_per_channel_for_dense_layers)
    settings = Settings(activations_type, bias_type, allow_float, *per_channel, chosen)
    draft = Draft(model)
    _check_statistics(draft)
    plan = Plan(draft, settings)
    duplicate_shared_biases(plan)
    record_ranges_of_constants(plan)
    make_room_for_biases(plan)
    quantize_intermediates(plan)
    share_ranges(plan)
    share_ranges_of_variables(plan)
    quantize_operators(plan)
    requantize_joined_inputs(plan)
    set_bias_types(plan)
    quantize_biases(plan)
    raise_versions(plan)
    set_interface(draft, settings, input_type, output_type)
    allow_any_int16_scale(plan)
    return without_empty(draft.model())


def _check_settings(
    activations_type: TensorType, bias_type: TensorType, input_type: TensorType, output_type: TensorType
) -> None:
    if activations_type not in _ACTIVATIONS:
        raise InvalidInputError(f"activations are INT8 or INT16, not {activations_type.name}")
    if bias_type not in _BIASES[activations_type]:
        choice = " or ".join(kind.name for kind in _BIASES[activations_type])
        raise InvalidInputError(f"with {activations_type.name} activations biases are {choice}, not {bias_type.name}")
    for kind, what in ((input_type, "input"), (output_type, "output")):
        if kind not in _INTERFACE:
            choice = ", ".join(kind.name for kind in _INTERFACE)
            raise InvalidInputError(f"the type of {what}s is one of {choice}, not {kind.name}")


def _check_statistics(draft: Draft) -> None:
    for tensor in (tensor for graph in draft.graphs for tensor in graph.tensors):
        quantization = tensor.quantization
        for bound in (quantization.min, quantization.max) if quantization else ():
            if bound is not None and not np.isfinite(bound).all():
                raise InvalidModelError(
                    f"tensor {tensor.name!r} reached {np.asarray(bound).tolist()} in the calibration: NaN and infinity "
                    "have no scale. Look for the sample that leads to it"
                )
