"""Models that the TFLite converter cannot read, or not write again, and so cannot quantize: each refused with a reason.

What it demands of the options of an operator stands in `_FIELDS`; everything was found by giving it such models.

Source: tflite/converter/ir/tfl_ops.td (constraints of attributes), flatbuffer_import.cc, flatbuffer_export.cc, as of
TensorFlow 2.21.0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import IntEnum
from typing import Any

from refquant.errors import InvalidModelError, UnsupportedOperatorError
from refquant.quantization.options import exported_options
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import (
    ActivationFunctionType,
    FullyConnectedOptionsWeightsFormat,
    LSTMKernelType,
    Padding,
    TensorType,
)

#: Operators that no operation of the converter's compiler stands for.
_UNKNOWN = set(
    "BIDIRECTIONAL_SEQUENCE_RNN CALL CONCAT_EMBEDDINGS DELEGATE EMBEDDING_LOOKUP_SPARSE HASHTABLE_LOOKUP L2_POOL_2D "
    "LSH_PROJECTION PLACEHOLDER_FOR_GREATER_OP_CODES REDUCE_WINDOW RNN SKIP_GRAM".split()
)

#: Types that it does not write, or dies of; a quantized UINT4 is no such type.
_TYPES = {TensorType.UINT4, TensorType.FLOAT8_E4M3FN, TensorType.FLOAT8_E5M2}

_LSTMS = {"LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM"}

Demand = tuple[str, Callable[[Any], bool]]

_POSITIVE: Demand = ("a positive number", lambda value: value > 0)
_NOT_NEGATIVE: Demand = ("a number that is not negative", lambda value: value >= 0)
_UNSIGNED: Demand = ("a number without a minus sign", lambda value: math.copysign(1, value) > 0)


def _one_of(members: type[IntEnum]) -> Demand:
    names = ", ".join(member.name for member in members)
    return f"one of {names}", lambda value: value in set(members)


#: What fields of options must be, in every operator that has them, or in those that are named.
_FIELDS: dict[str, Demand] = {
    "fused_activation_function": _one_of(ActivationFunctionType),
    "padding": _one_of(Padding),
    "weights_format": _one_of(FullyConnectedOptionsWeightsFormat),
    "kernel_type": _one_of(LSTMKernelType),
    "cell_clip": _UNSIGNED,
    "proj_clip": _UNSIGNED,
    "block_size": _POSITIVE,
    "num_splits": _POSITIVE,
    "values_count": _POSITIVE,
    "rank": _POSITIVE,
    "seq_dim": _NOT_NEGATIVE,
    "batch_dim": _NOT_NEGATIVE,
    "num": _NOT_NEGATIVE,
    "num_bits": ("from 2 to 16", lambda value: 2 <= value <= 16),
    "narrow_range": ("false", lambda value: not value),
    "TRANSPOSE_CONV.stride_w": _POSITIVE,
    "TRANSPOSE_CONV.stride_h": _POSITIVE,
}

#: Fields of options that say how many inputs or outputs there are.
_COUNTS = {"PACK": ("values_count", "inputs"), "UNPACK": ("num", "outputs"), "SPLIT": ("num_splits", "outputs")}
_COUNTS["SPLIT_V"] = _COUNTS["SPLIT"]


def require_convertible(model: Model) -> None:
    """Raises an error for the first thing in a model that the converter cannot read or write again.

    `UnsupportedOperatorError` for an operator or a type of tensor that it does not have, or dies of, and
    `InvalidModelError` for options that it refuses; the message names the place.
    """
    for number, subgraph in enumerate(model.subgraphs):
        for tensor in subgraph.tensors or ():
            if tensor.type in _TYPES and not _is_quantized(tensor):
                raise UnsupportedOperatorError(
                    f"tensor {tensor.name!r} of subgraph {number}: the converter does not write {tensor.type.name}"
                )
        for place, operator in enumerate(subgraph.operators or ()):
            if not model.is_custom(operator):
                name = model.operator_name(operator)
                where = f"operator {place} of subgraph {number}, {name}"
                _require_operation(model, subgraph, operator, name, where)
                _require_options(operator, name, where)


def _is_quantized(tensor: schema.Tensor) -> bool:
    table = tensor.quantization
    return table is not None and table.scale is not None and len(table.scale) > 0


def _require_operation(
    model: Model, subgraph: schema.SubGraph, operator: schema.Operator, name: str, where: str
) -> None:
    tensors = subgraph.tensors or []
    inputs = [] if operator.inputs is None else [tensors[int(i)] if i >= 0 else None for i in operator.inputs]
    if name in _UNKNOWN:
        raise UnsupportedOperatorError(f"{where}: the converter does not know it")
    if name.startswith("STABLEHLO_"):
        raise UnsupportedOperatorError(f"{where}: the converter reads StableHLO operators, but does not write them")
    if name == "BIDIRECTIONAL_SEQUENCE_LSTM":
        raise UnsupportedOperatorError(f"{where}: the converter dies of it; use two UNIDIRECTIONAL_SEQUENCE_LSTM")
    if name == "IF" and inputs and inputs[0] is not None and model.buffer(inputs[0].buffer).size:
        raise UnsupportedOperatorError(
            f"{where}: of a constant condition the converter makes a custom operator that no runtime has"
        )
    count = 0 if operator.intermediates is None else len(operator.intermediates)
    if name in _LSTMS and count not in (0, 5):
        raise UnsupportedOperatorError(f"{where}: the converter dies of {count} intermediate tensors, it needs 0 or 5")


def _require_options(operator: schema.Operator, name: str, where: str) -> None:
    options = operator.builtin_options
    try:
        exported_options(name, options)
    except InvalidModelError as error:
        raise InvalidModelError(f"{where}: {error}") from None
    for field, (words, holds) in _FIELDS.items():
        only, _, attribute = field.rpartition(".")
        if only in ("", name) and hasattr(options, attribute) and not holds(getattr(options, attribute)):
            value = getattr(options, attribute)
            raise InvalidModelError(f"{where}: {attribute} is {value}, the converter demands {words}")
    if name in _COUNTS:
        attribute, side = _COUNTS[name]
        count, stated = len(getattr(operator, side)), getattr(options, attribute)
        if count != stated:
            raise InvalidModelError(f"{where}: {attribute} is {stated}, but there are {count} {side}")
