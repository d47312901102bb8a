"""Dynamic-range quantization: weights as int8, everything else in float, nothing recorded.

Every constant that a row of the table names in its column `dynamic`, and that is large enough, becomes int8: symmetric,
per channel where the operator has scales per channel. Hybrid kernels take the integers as they are; before the other
operators a DEQUANTIZE makes them float again.

Sources: converter/transforms/prepare_quantize_dynamic_range.cc, TFLDynamicRangeQuantization in quantize.cc,
AddDynamicRangeQuantizationPasses in tf_tfl_passes.cc.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from refquant.quantization import finish
from refquant.quantization.constants import affine
from refquant.quantization.constraints import Dynamic, constraint_of
from refquant.quantization.exporter import export_model
from refquant.quantization.fuse import fuse
from refquant.quantization.importer import Module, import_model
from refquant.quantization.ir import Constant, Function, Operation, Quantized
from refquant.quantization.locations import Locations
from refquant.quantization.loop_constants import Copies, put_back, take_out
from refquant.quantization.optimize import optimize
from refquant.quantization.parameters import of_values
from refquant.quantization.rewrite import Pattern, Rewriter, rewrite
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType
from refquant.tflite.table import Table
from refquant.tflite.tensor_types import numpy_dtype

#: a weight with fewer elements stays float
MINIMUM_ELEMENTS = 1024

_ASYMMETRIC_OPTIONS: dict[str, type[Table]] = {
    "FULLY_CONNECTED": schema.FullyConnectedOptions,
    "BATCH_MATMUL": schema.BatchMatMulOptions,
    "LSTM": schema.LSTMOptions,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": schema.UnidirectionalSequenceLSTMOptions,
    "BIDIRECTIONAL_SEQUENCE_LSTM": schema.BidirectionalSequenceLSTMOptions,
    "UNIDIRECTIONAL_SEQUENCE_RNN": schema.SequenceRNNOptions,
    "SVDF": schema.SVDFOptions,
}


@dataclass(frozen=True, slots=True)
class _Options:
    per_channel: bool
    per_channel_dense: bool
    minimum_elements: int


def quantize(
    model: Model,
    *,
    per_channel: bool = True,
    per_channel_dense: bool = True,
    minimum_elements: int = MINIMUM_ELEMENTS,
    weight_only: bool = False,
    denied_operators: Collection[str] = (),
    within_converter: bool = True,
) -> Model:
    """The float model with its weights as int8.

    Without `per_channel` (for FULLY_CONNECTED: `per_channel_dense`) each weight has one scale. With `weight_only` no
    kernel computes with integers, which for single operators is what `denied_operators` (their names) asks for.
    `within_converter` gives what the converter makes of a program whose float model this is; without it, what
    `mlir::lite::QuantizeWeights` makes of the file: order and names of some tensors differ.
    """

    def hybrid(operation: Operation) -> bool:
        dynamic = _dynamic(operation)
        return dynamic is not None and dynamic.hybrid and not weight_only and operation.name not in denied_operators

    options = _Options(per_channel, per_channel_dense, minimum_elements)
    module, copies = imported(model, within_converter)
    for function in module.functions:
        remove_statistics(function)
        _insert_pairs(function, options)
        fuse(function, lambda operation: False, hybrid, _integers)
    return finished(module, copies)


def imported(model: Model, within_converter: bool) -> tuple[Module, Copies | None]:
    """The graph of a float model: the one that the converter wrote it from, or the one that it would read."""
    if not within_converter:
        return import_model(model), None
    module = import_model(model, Locations(model))
    module.metadata.pop("CONVERSION_METADATA", None)  # the converter puts it into the finished file
    return module, take_out(module)


def finished(module: Module, copies: Copies | None) -> Model:
    """The model of a module whose weights are quantized: what is superfluous goes."""
    for function in module.functions:
        finish.remove_superfluous(function)
        finish.move_dequantize_down(function)
        optimize(function)
        if copies is not None:
            finish.split_states(function)
    put_back(copies or {})
    return export_model(module)


def remove_statistics(function: Function) -> None:
    """Forgets the ranges of a calibrated model: where activations stay in float, nothing has a use for them."""
    for operation in function:
        if operation.name == "STATISTICS":
            value = operation.operands[0]
            assert value is not None
            operation.replace(value)


def _dynamic(operation: Operation) -> Dynamic | None:
    return None if operation.custom else constraint_of(operation.name).dynamic


def _insert_pairs(function: Function, options: _Options) -> None:
    """Puts a QUANTIZE and DEQUANTIZE pair between each weight and the operators that can have it quantized."""
    too_small: set[Operation] = set()

    def pattern(constant: Operation, rewriter: Rewriter) -> bool:
        if constant.result.type.element != TensorType.FLOAT32:
            return False
        uses = [use for use in constant.result.uses if _takes_integers(*use, options, too_small)]
        changed = [_surround(constant, rewriter, *use, options) for use in uses]
        if not any(changed):
            return False
        asymmetric = [_ask_for_asymmetric_inputs(operation) for operation, _ in uses]
        return not any(asymmetric)  # the converter's own pattern says so

    patterns: list[Pattern] = [pattern]
    rewrite(function, {"CONST": patterns})


def _takes_integers(operation: Operation, position: int, options: _Options, too_small: set[Operation]) -> bool:
    """Whether the operand can be int8; of a UNIDIRECTIONAL_SEQUENCE_LSTM all weights are, or none."""
    dynamic = _dynamic(operation)
    if dynamic is None or position not in dynamic.operands or operation in too_small:
        return False
    if operation.name == "UNIDIRECTIONAL_SEQUENCE_LSTM":
        weights = [operation.defining(i) for i in dynamic.operands]
        if any(w is not None and w.name == "CONST" and _size(w) < options.minimum_elements for w in weights):
            too_small.add(operation)
            return False
    return True


def _size(constant: Operation) -> int:
    assert constant.constant is not None
    return constant.constant.array.size


def _surround(constant: Operation, rewriter: Rewriter, operation: Operation, position: int, options: _Options) -> bool:
    """Has an operand come through a pair; False where it stays, or where another operand has the same pair already."""
    quantized = _quantization(constant, operation, position, options)
    if quantized is None:
        return False
    kind = constant.result.type.of(quantized)
    for user in constant.result.users:
        if user.name == "QUANTIZE" and user.result.type == kind:
            operation.set_operand(position, user.result.uses[0][0].result)
            return False
    quantize = rewriter.insert_after(constant, Operation("QUANTIZE", [constant.result], [kind], names=constant.names))
    dequantize = rewriter.insert_after(
        quantize, Operation("DEQUANTIZE", [quantize.result], [constant.result.type], names=constant.names)
    )
    operation.set_operand(position, dequantize.result)
    return True


def _quantization(constant: Operation, operation: Operation, position: int, options: _Options) -> Quantized | None:
    if _size(constant) < options.minimum_elements:
        return None
    assert constant.constant is not None
    array = constant.constant.array
    row = constraint_of(operation.name)
    assert row.dynamic is not None
    axis = row.weight.axis if row.weight is not None and row.weight.operand == position else row.dynamic.axis
    if not options.per_channel or (operation.name == "FULLY_CONNECTED" and not options.per_channel_dense):
        axis = None
    if axis is not None and axis >= array.ndim:
        return None
    return of_values(array, weight=True, axis=axis, single=False)


def _ask_for_asymmetric_inputs(operation: Operation) -> bool:
    dynamic = _dynamic(operation)
    if dynamic is None or not dynamic.asymmetric:
        return False
    if operation.options is None:
        operation.options = _ASYMMETRIC_OPTIONS[operation.name]()
    operation.options.asymmetric_quantize_inputs = True
    return True


def _integers(values: npt.NDArray[np.float32], quantized: Quantized) -> Constant:
    integers = affine(values, quantized)
    return Constant(quantized.tensor_type, integers.astype(numpy_dtype(quantized.tensor_type)))
