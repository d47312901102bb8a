"""Ranges around LSTM and SVDF, whose kernels want each tensor in a way of its own.

States have 16 bits, the time weights of SVDF ten, biases the scale of a product that may take in an inner tensor, and
the output of an LSTM has the range of its output state too. The rules come from the table of the older quantizer,
`refquant.quantization.operator_property`.

Source: converter/transforms/prepare_quantize_helper.h.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from refquant.errors import UnsupportedOperatorError
from refquant.quantization.constraints import Bias, constraint_of
from refquant.quantization.ir import Calibrated, Operation, Quantized, Type, Value
from refquant.quantization.operator_property import OperatorProperty, TensorProperty, operator_property
from refquant.quantization.parameters import from_range, of_values
from refquant.quantization.rewrite import Pattern, Rewriter

LSTMS = ("LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM")
_WITHOUT_INPUT_GATE = (1, 5, 9, 12, 20)
_HIDDEN = 4
_LEAST_SCALE = float(np.finfo(np.float32).smallest_subnormal)


def property_of(operation: Operation) -> OperatorProperty:
    """The row of the older quantizer's table for an LSTM or SVDF, without the gate that it does not have."""
    inputs = [-1 if value is None else position for position, value in enumerate(operation.operands)]
    row = operator_property(operation.name, inputs)
    assert row is not None
    if operation.name in LSTMS and operation.operand(1) is None:
        kept = {position: kind for position, kind in row.inputs.items() if position not in _WITHOUT_INPUT_GATE}
        inner = {position: kind for position, kind in row.intermediates.items() if position != 0}
        row = replace(row, inputs=kept, intermediates=inner)
    return row


def share_output_range(operation: Operation, rewriter: Rewriter) -> bool:
    """The output of an LSTM and the state that it becomes get the range of both."""
    state_position, output_position = property_of(operation).shared_range or (0, 0)
    state, output = operation.defining(state_position), operation.results[output_position].only_user
    if state is None or output is None or {state.name, output.name} != {"STATISTICS"}:
        return False
    low = min(state.attributes["min"][0], output.attributes["min"][0])
    high = max(state.attributes["max"][0], output.attributes["max"][0])
    if all(range_.attributes["min"][0] == low and range_.attributes["max"][0] == high for range_ in (state, output)):
        return False
    for range_ in (state, output):
        range_.attributes.update(min=[low], max=[high], axis=None)
        rewriter.modified(range_)
    return True


def quantize_operands(bits: int) -> Pattern:
    """The pattern that turns the ranges of the operands of an LSTM or SVDF, and its weights, into pairs."""

    def pattern(operation: Operation, rewriter: Rewriter) -> bool:
        row = property_of(operation)
        if operation.name in LSTMS and not _quantize_intermediates(operation, row, bits):
            return False
        changed = False
        for position, kind in row.inputs.items():
            maker = operation.defining(position)
            if maker is None or (kind.derived is not None and maker.name == "CONST"):
                continue
            if maker.name == "STATISTICS":
                _insert_pair(maker, _of_range(maker, kind), rewriter)
            elif maker.name == "CONST" and maker.result.type.is_float:
                quantized = _of_weight(maker, kind)
                if quantized is None:
                    break  # the converter leaves the operands that follow to others, too
                operation.set_operand(position, _insert_pair(maker, quantized, rewriter))
            elif maker.name in ("CONST", "DEQUANTIZE") or _gives_scale(maker):
                continue
            else:
                break
            changed = True
        return changed

    return pattern


def _gives_scale(maker: Operation) -> bool:
    """Whether an operation has a scale from elsewhere, so that no range is missing."""
    constraint = constraint_of(maker.name)
    return constraint.same_scale or constraint.output is not None


def biases_of(operation: Operation) -> tuple[Bias, ...]:
    """The biases of an LSTM: which operand, the operands whose scales are multiplied, and a factor."""
    inner = operation.attributes.get("intermediates", ())
    biases = []
    for position, kind in property_of(operation).inputs.items():
        if kind.derived is None:
            continue
        factor = 1.0
        for index in kind.derived.intermediates:
            quantized = inner[index].quantized if index < len(inner) else None
            factor *= quantized.scales[0] if quantized is not None else 1.0
        if kind.derived.factor is not None:
            factor *= kind.derived.factor
        biases.append(Bias(position, kind.derived.inputs, factor))
    return tuple(biases)


def _quantize_intermediates(operation: Operation, row: OperatorProperty, bits: int) -> bool:
    """Gives the inner tensors that are used their quantization: the normalized gates 16 bits, the hidden state 8.

    False where one has no range; only the hidden state may do without. With a projection all must have one.
    """
    inner: list[Type] = operation.attributes.get("intermediates", [])
    normalized, projected = operation.operand(21) is not None, operation.operand(16) is not None
    for index, kind in row.intermediates.items():
        if index != _HIDDEN and not normalized:
            continue
        element = inner[index].element if index < len(inner) else None
        if isinstance(element, Quantized):
            continue
        if not isinstance(element, Calibrated):
            if projected:
                name = next(iter(operation.names), "")
                raise UnsupportedOperatorError(
                    f"{operation.name} {name!r}: the converter dies of a projection where no ranges of the inner "
                    f"tensors were recorded; calibrate the model"
                )
            return index == _HIDDEN
        if kind.bits == 16:
            largest = max(abs(element.minimum), abs(element.maximum))
            if 2 * largest < np.finfo(np.float64).eps:
                quantized = Quantized(16, (1.0,), (-32767,), -32767, 32767)
            else:
                quantized = Quantized(16, (2 * largest / 65534,), (0,), -32767, 32767)
        else:
            quantized = from_range(element.minimum, element.maximum, bits=bits)
        inner[index] = Type(quantized, inner[index].shape)
    return True


def _of_weight(constant: Operation, kind: TensorProperty) -> Quantized | None:
    """The quantization of a constant operand, symmetric; None where it has none."""
    assert constant.constant is not None
    values = constant.constant.array
    if kind.bits != 10:
        return of_values(values, weight=True, bits=kind.bits)
    largest = float(np.abs(values).max(initial=np.float32(0)))
    scale = largest / 512
    return Quantized(16, (scale,), (0,), -512, 512) if _LEAST_SCALE <= scale < np.inf else None


def _of_range(statistics: Operation, kind: TensorProperty) -> Quantized:
    """The quantization of an operand whose range was recorded."""
    low = min(statistics.attributes["min"][0], 0.0)
    high = max(statistics.attributes["max"][0], 0.0)
    largest = max(abs(low), abs(high))
    if kind.power_of_two:
        bound = 2.0 ** float(np.ceil(np.log2(largest))) if largest > 0 else 1.0
        return Quantized(16, (bound / 32768,), (0,), -32768, 32767)
    if kind.bits == 16:
        return from_range(-largest, largest, bits=16, narrow=True)
    return from_range(low, high, bits=kind.bits)


def _insert_pair(maker: Operation, quantized: Quantized, rewriter: Rewriter) -> Value:
    """QUANTIZE and DEQUANTIZE behind a constant, or in the place of a range; what comes out of them."""
    value = maker.result if maker.name == "CONST" else maker.operands[0]
    assert value is not None
    kind = maker.result.type
    quantize = rewriter.insert_after(maker, Operation("QUANTIZE", [value], [kind.of(quantized)], names=maker.names))
    dequantize = rewriter.insert_after(quantize, Operation("DEQUANTIZE", [quantize.result], [kind], names=maker.names))
    if maker.name == "STATISTICS":
        rewriter.replace(maker, dequantize.result)
    return dequantize.result
