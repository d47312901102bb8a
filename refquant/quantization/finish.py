"""What is done to the graph once its operators work on integers: superfluous conversions go, inputs and outputs get
the types that the caller wants.

Sources: converter/transforms/post_quantize.cc, optimize_op_order.cc, modify_io_nodes.cc.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from refquant.errors import InvalidInputError, UnsupportedOperatorError
from refquant.quantization.constraints import constraint_of
from refquant.quantization.ir import Constant, Function, Operation, Type, Value
from refquant.quantization.operators import STATEFUL_OPERANDS
from refquant.quantization.propagate import is_quantizable
from refquant.quantization.rewrite import Rewriter, by_name, rewrite
from refquant.tflite import schema
from refquant.tflite.schema import TensorType

_STATE_OPERATORS = ("LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM", "SVDF")


def remove_superfluous(function: Function) -> None:
    """Removes pairs that only the quantizer had put there and that fused with nothing, but at inputs and outputs."""
    rewrite(
        function,
        by_name([("QUANTIZE", _fold_requantization), *((name, _remove_unused) for name in _STATE_OPERATORS)]),
    )
    rewrite(
        function,
        by_name(
            [
                ("QUANTIZE", _fold_requantization),
                ("DEQUANTIZE", _remove_inner_pair),
                ("TRANSPOSE", _transpose_constant),
                ("RESHAPE", _reshape_constant),
            ]
        ),
    )


def remove_remaining_pairs(function: Function) -> None:
    """Removes pairs that only the quantizer had put there, also at inputs and outputs."""
    rewrite(function, {"DEQUANTIZE": [_remove_pair]})


def split_states(function: Function) -> None:
    """Gives every state between calls a constant of its own, perhaps with its DEQUANTIZE.

    States that begin with the same numbers were one constant until here.
    Source: converter/transforms/tflite_passes/split_merged_operands_pass.cc.
    """
    taken: set[Value] = set()
    for operation in function:
        for position in STATEFUL_OPERANDS.get(operation.name, ()):
            value = operation.operand(position)
            if value is None or value.owner is None:
                continue
            if value in taken:
                copies = _constant_again(value.owner)
                for copy in copies:
                    function.insert_before(operation, copy)
                operation.set_operand(position, copies[-1].result)
            taken.add(value)


def _constant_again(maker: Operation) -> list[Operation]:
    if maker.name != "DEQUANTIZE":
        return [maker.copy()]
    constant = maker.defining(0)
    assert constant is not None
    again = constant.copy()
    return [again, maker.copy([again.result])]


def move_dequantize_down(function: Function) -> None:
    """Moves DEQUANTIZE behind an operator of one scale whose result is smaller than what it takes."""
    rewrite(function, {"DEQUANTIZE": [_move_down]})


def _fold_requantization(operation: Operation, rewriter: Rewriter) -> bool:
    """QUANTIZE right after an operator that is free in its scale: the operator gives the other scale at once."""
    value = operation.operands[0]
    assert value is not None
    maker = value.owner
    if value.type.quantized is None or maker is None or not value.has_one_use:
        return False
    constraint = constraint_of(maker.name)
    if constraint.output is not None or constraint.same_scale or maker.name == "CONST" or not is_quantizable(maker):
        return False
    types = [operation.result.type if result.only_user is operation else result.type for result in maker.results]
    rewriter.replace(operation, value)
    again = rewriter.insert_after(maker, maker.copy(types=types))
    rewriter.replace(maker, *again.results)
    return True


def _remove_unused(operation: Operation, rewriter: Rewriter) -> bool:
    if any(result.is_used for result in operation.results):
        return False
    rewriter.erase(operation)
    return True


def _remove_inner_pair(operation: Operation, rewriter: Rewriter) -> bool:
    quantize = operation.defining(0)
    if quantize is not None and quantize.name == "QCONST":
        return _spell_out(operation, quantize, rewriter)
    if quantize is None or quantize.name != "QUANTIZE" or not quantize.volatile or quantize.defining(0) is None:
        return False
    user = operation.result.only_user
    if user is not None and user.name == "RETURN":
        return False
    return _remove_pair(operation, rewriter)


def _remove_pair(operation: Operation, rewriter: Rewriter) -> bool:
    quantize = operation.defining(0)
    if quantize is not None and quantize.name == "QCONST":
        return _spell_out(operation, quantize, rewriter)
    if quantize is None or quantize.name != "QUANTIZE" or not quantize.volatile:
        return False
    value = quantize.operands[0]
    assert value is not None
    if value.type.quantized is not None:  # a requantization: take what was before it
        again = Operation("DEQUANTIZE", [value], [operation.result.type], names=operation.names)
        rewriter.insert_before(operation, again)
        rewriter.replace(operation, again.result)
        return True
    if not operation.result.is_used:
        return False
    rewriter.replace_uses(operation.result, value)
    return True


def _spell_out(operation: Operation, source: Operation, rewriter: Rewriter) -> bool:
    """DEQUANTIZE of a constant becomes (number - zero point) * scale, which is evaluated where the shape is known."""
    quantized, constant = source.result.type.quantized, source.constant
    if not source.volatile or quantized is None or constant is None:
        return False
    shape = [1] * constant.array.ndim
    if quantized.axis is not None:
        shape[quantized.axis] = -1
    dims = () if quantized.axis is None else shape
    names, kind = operation.names, operation.result.type
    if kind.element != TensorType.FLOAT32:
        raise UnsupportedOperatorError(
            f"constant {next(iter(source.names), '')!r} is not of FLOAT32, but quantized for one of its users and left "
            f"real for another: the converter fails on it; make it FLOAT32"
        )

    def put(name: str, operands: list[Value | None], options: Any) -> Value:
        return rewriter.insert_before(operation, Operation(name, operands, [kind], names=names, options=options)).result

    def constant_of(kind: TensorType, array: np.ndarray) -> Value:
        made = Operation("CONST", [], [Type(kind, array.shape)], names=names, constant=Constant(kind, array))
        return rewriter.insert_before(operation, made).result

    integers = constant_of(constant.type, constant.array)
    zero_points = constant_of(TensorType.FLOAT32, np.array(quantized.zero_points, np.float32).reshape(dims))
    scales = constant_of(TensorType.FLOAT32, np.array(quantized.scales, np.float32).reshape(dims))
    reals = put("CAST", [integers], schema.CastOptions())
    differences = put("SUB", [reals, zero_points], schema.SubOptions())
    product = put("MUL", [differences, scales], schema.MulOptions())
    rewriter.replace(operation, product)
    return True


def _transpose_constant(operation: Operation, rewriter: Rewriter) -> bool:
    source, order = operation.defining(0), operation.defining(1)
    if source is None or source.name != "QCONST" or order is None or order.constant is None:
        return False
    if operation.result.type.quantized is None or source.constant is None:
        return False
    array = np.ascontiguousarray(source.constant.array.transpose(order.constant.array))
    return _replace_constant(operation, rewriter, source.constant.type, array)


def _reshape_constant(operation: Operation, rewriter: Rewriter) -> bool:
    source = operation.defining(0)
    if source is None or source.name != "QCONST" or operation.result.type.quantized is None:
        return False
    shape = operation.result.type.shape
    if source.constant is None or shape is None or not operation.result.type.is_static:
        return False
    return _replace_constant(operation, rewriter, source.constant.type, source.constant.array.reshape(shape))


def _replace_constant(operation: Operation, rewriter: Rewriter, kind: TensorType, array: np.ndarray) -> bool:
    made = Operation("QCONST", [], [operation.result.type], constant=Constant(kind, array), names=operation.names)
    rewriter.insert_before(operation, made)
    rewriter.replace(operation, made.result)
    return True


def _move_down(operation: Operation, rewriter: Rewriter) -> bool:
    user = operation.result.only_user
    if user is None or user.name == "RETURN" or len(user.results) != 1 or not constraint_of(user.name).same_scale:
        return False
    before, after = operation.result.type, user.result.type
    if before.shape is None or after.shape is None or _elements(before) <= _elements(after):
        return False
    value = operation.operands[0]
    assert value is not None
    quantized = value.type.quantized
    if quantized is None:
        return False
    position = next(i for i, operand in enumerate(user.operands) if operand is operation.result)
    operation.result.type = after
    user.result.replace_all_uses(operation.result)
    user.result.type = after.of(quantized)
    user.set_operand(position, value)
    operation.set_operand(0, user.result)
    operation.move_after(user)
    rewriter.modified(operation)
    return True


def _elements(kind: Type) -> int:
    return math.prod(n for n in kind.shape or () if n >= 0)


def set_input_type(function: Function, kind: TensorType) -> None:
    """Has the inputs that are quantized first come as integers of this type."""
    if kind == TensorType.FLOAT32:
        return
    for argument in function.arguments:
        user = argument.only_user
        if user is None or user.name != "QUANTIZE":
            continue
        quantized = user.result.type.quantized
        assert quantized is not None
        if kind == quantized.tensor_type:
            argument.type = user.result.type
            user.result.replace_all_uses(argument)
            user.erase()
        else:
            argument.type = _unsigned(user.result.type, kind, "input")


def set_output_type(function: Function, kind: TensorType) -> None:
    """Has the outputs that are dequantized last go out as integers of this type."""
    if kind == TensorType.FLOAT32:
        return
    terminator = function.terminator
    for position, value in enumerate(terminator.operands):
        maker = None if value is None else value.owner
        if maker is None or maker.name != "DEQUANTIZE":
            continue
        inner = maker.operands[0]
        assert inner is not None and inner.type.quantized is not None
        if kind == inner.type.quantized.tensor_type:
            outgoing = inner
        else:
            types = [_unsigned(inner.type, kind, "output")]
            quantize = Operation("QUANTIZE", [inner], types, names=maker.names)
            outgoing = function.insert_before(terminator, quantize).result
        terminator.set_operand(position, outgoing)
        if not maker.result.is_used:
            maker.erase()


def _unsigned(kind: Type, wanted: TensorType, what: str) -> Type:
    """The type of unsigned integers with the scale of signed ones."""
    quantized = kind.quantized
    assert quantized is not None
    if wanted != TensorType.UINT8 or quantized.tensor_type != TensorType.INT8:
        raise InvalidInputError(
            f"the {what} type {wanted.name} does not go with activations of {quantized.tensor_type.name}: "
            f"use FLOAT32, {quantized.tensor_type.name}" + (" or UINT8" if quantized.bits == 8 else "")
        )
    return kind.of(
        replace(
            quantized,
            zero_points=tuple(zero_point + 128 for zero_point in quantized.zero_points),
            minimum=quantized.minimum + 128,
            maximum=quantized.maximum + 128,
            signed=False,
        )
    )
