"""From QUANTIZE and DEQUANTIZE pairs to operators on integers.

An operator becomes one on integers where all its float operands come from a DEQUANTIZE and each of its float results
goes to one QUANTIZE and nowhere else. What is left of the pairs around constants goes; then constants become integers.

Source: converter/transforms/quantize.cc, QuantizationPattern in quantization_utils.h.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy.typing as npt

from refquant.quantization.constants import quantize_constant
from refquant.quantization.constraints import constraint_of
from refquant.quantization.ir import Constant, Function, Operation, Quantized, Type, Value
from refquant.quantization.parameters import reals
from refquant.quantization.propagate import is_quantizable
from refquant.quantization.rewrite import Pattern, Rewriter, by_name, constant_of, rewrite

#: Whether an operation has some property.
Predicate = Callable[[Operation], bool]


#: The integers of a constant.
Integers = Callable[[npt.NDArray[Any], Quantized], Constant]


def fuse(
    function: Function,
    denied: Predicate,
    hybrid: Predicate | None = None,
    integers: Integers = quantize_constant,
) -> None:
    """Makes operators on integers of those that the pairs allow, and integers of the constants.

    Operations that are `denied` stay in float. With `hybrid`, activations do so where the operator's row has a
    `dynamic` column: it takes integer weights if it is `hybrid`, else what DEQUANTIZE makes of them.
    """

    def from_dequantize(operation: Operation, rewriter: Rewriter) -> bool:
        return all(_quantize(user, rewriter, denied, hybrid) for user in operation.result.users)

    def from_quantize(operation: Operation, rewriter: Rewriter) -> bool:
        value = operation.operands[0]
        assert value is not None
        if value.type.quantized is not None or constant_of(value) is not None:
            return False
        return value.owner is None or _quantize(value.owner, rewriter, denied, hybrid)

    def constant(operation: Operation, rewriter: Rewriter) -> bool:
        return _quantize_constant(operation, rewriter, integers)

    patterns: list[tuple[str, Pattern]] = [
        ("DEQUANTIZE", from_dequantize),
        *([] if hybrid else [("QUANTIZE", from_quantize)]),
        ("QUANTIZE", drop_pair),
        ("DEQUANTIZE", _restore_constant),
        ("TRANSPOSE_CONV", _take_quantized_weights),
        ("EMBEDDING_LOOKUP", _take_quantized_table),
    ]
    rewrite(function, by_name(patterns))
    rewrite(function, {"QUANTIZE": [constant]})


def _quantize(operation: Operation, rewriter: Rewriter, denied: Predicate, hybrid: Predicate | None) -> bool:
    """Puts beside an operation the one on integers that takes its place; False where that cannot be."""
    if operation.name in ("QUANTIZE", "DEQUANTIZE", "RETURN") or not is_quantizable(operation) or denied(operation):
        return False
    stays_float = hybrid is not None and not operation.custom and constraint_of(operation.name).dynamic is not None
    if hybrid is not None and stays_float and not hybrid(operation):
        return True
    operands: list[Value | None] = []
    for operand in operation.operands:
        maker = None if operand is None else operand.owner
        if maker is not None and maker.name == "DEQUANTIZE":
            operands.append(maker.operands[0])
        elif operand is None or stays_float or not _is_float32(operand.type):
            operands.append(operand)
        else:
            return False
    replaced: list[tuple[Value, int]] = []
    types: list[Type] = []
    for result in operation.results:
        user = result.only_user
        if user is not None and user.name == "QUANTIZE":
            replaced.append((user.result, result.index))
        elif stays_float or not _is_float32(result.type):
            replaced.append((result, result.index))
        else:
            return False
        types.append(replaced[-1][0].type)
    quantized = rewriter.insert_after(operation, operation.copy(operands, types))
    for value, index in replaced:
        value.replace_all_uses(quantized.results[index])  # behind the back of the rewriter, as the real one does
    return True


def _is_float32(kind: Type) -> bool:
    return kind.is_float and kind.element.name == "FLOAT32"  # type: ignore[union-attr]


def drop_pair(operation: Operation, rewriter: Rewriter) -> bool:
    """QUANTIZE of a DEQUANTIZE of the same quantization is what it began with."""
    maker = operation.defining(0)
    if maker is None or maker.name != "DEQUANTIZE":
        return False
    value = maker.operands[0]
    assert value is not None
    if value.type != operation.result.type:
        return False
    rewriter.replace(operation, value)
    return True


def _restore_constant(operation: Operation, rewriter: Rewriter) -> bool:
    """A constant that nothing takes as integers stays as it was."""
    quantize = operation.defining(0)
    if quantize is None or quantize.name != "QUANTIZE":
        return False
    maker = quantize.defining(0)
    if maker is None or maker.name != "CONST" or maker.attributes.get("restored") or not _is_float32(maker.result.type):
        return False
    names = tuple(dict.fromkeys((*operation.names, *maker.names, *quantize.names)))
    restored = Operation("CONST", [], [maker.result.type], constant=maker.constant, names=names)
    restored.attributes["restored"] = True
    rewriter.insert_before(operation, restored)
    rewriter.replace(operation, restored.result)
    return True


def _take_quantized_weights(operation: Operation, rewriter: Rewriter) -> bool:
    return _take_quantized(operation, rewriter, 1, (8, 16))


def _take_quantized_table(operation: Operation, rewriter: Rewriter) -> bool:
    return _is_float32(operation.result.type) and _take_quantized(operation, rewriter, 1, (4, 8))


def _take_quantized(operation: Operation, rewriter: Rewriter, position: int, bits: tuple[int, ...]) -> bool:
    """Operators that compute with integer weights and float activations take the weights as they are."""
    dequantize = operation.defining(position)
    if dequantize is None or dequantize.name != "DEQUANTIZE":
        return False
    value = dequantize.operands[0]
    assert value is not None
    quantized = value.type.quantized
    if quantized is None or quantized.bits not in bits:
        return False
    operands = list(operation.operands)
    operands[position] = value
    fused = rewriter.insert_before(operation, operation.copy(operands))
    fused.names = tuple(dict.fromkeys([*operation.names, *dequantize.names]))
    rewriter.replace(operation, *fused.results)
    return True


def _quantize_constant(operation: Operation, rewriter: Rewriter, integers: Integers) -> bool:
    constant = constant_of(operation.operands[0])
    quantized = operation.result.type.quantized
    if constant is None or quantized is None or not operation.operands[0].type.is_float:  # type: ignore[union-attr]
        return False
    made = Operation(
        "QCONST",
        [],
        [operation.result.type],
        constant=integers(reals(constant), quantized),
        names=operation.names,
        volatile=operation.volatile,
    )
    rewriter.insert_before(operation, made)
    rewriter.replace(operation, made.result)
    return True
