"""Variables (VAR_HANDLE, READ_VARIABLE, ASSIGN_VARIABLE) that hold integers.

A variable takes the quantization in which its content is read, or else assigned; what is assigned in another one is
quantized again. The converter does so where `_experimental_variable_quantization` says so.

Source: converter/transforms/quantize_variables.cc.
"""

from __future__ import annotations

from refquant.quantization.importer import Module
from refquant.quantization.ir import Function, Operation, Type


def quantize_variables(module: Module) -> None:
    """Has the variables of a module hold integers, where a quantization is known for them."""
    handles: dict[tuple[str, str], list[Operation]] = {}
    for function in module.functions:
        for operation in function:
            if operation.name == "VAR_HANDLE":
                key = operation.options.container or "", operation.options.shared_name or ""
                handles.setdefault(key, []).append(operation)
    for same in handles.values():
        kinds = (kind for handle in same for kind in (_read_as(handle), _assigned_as(handle)) if kind is not None)
        kind = next(kinds, None)
        if kind is not None:
            for handle in same:
                _quantize(handle, kind)


def _read_as(handle: Operation) -> Type | None:
    """The quantized type that the first reading of a variable is turned into."""
    for read in handle.result.users:
        if read.name == "READ_VARIABLE":
            for user in read.result.users:
                if user.name == "QUANTIZE":
                    return user.result.type
    return None


def _assigned_as(handle: Operation) -> Type | None:
    """The quantized type that the first assigned value has been."""
    for assign in handle.result.users:
        source = assign.defining(1) if assign.name == "ASSIGN_VARIABLE" else None
        if source is not None and source.name == "DEQUANTIZE":
            value = source.operands[0]
            assert value is not None
            return value.type
    return None


def _quantize(handle: Operation, kind: Type) -> None:
    function = handle.function
    assert function is not None
    for read in handle.result.users:
        if read.name == "READ_VARIABLE":
            integers = function.insert_after(read, read.copy(types=[kind]))
            types = [read.result.type]
            floats = function.insert_after(
                integers, Operation("DEQUANTIZE", [integers.result], types, names=read.names)
            )
            read.replace(floats.result)
    for assign in handle.result.users:
        if assign.name == "ASSIGN_VARIABLE":
            _assign_integers(function, assign, kind)
    handle.result.type = Type(handle.result.type.element, None)


def _assign_integers(function: Function, assign: Operation, kind: Type) -> None:
    source = assign.defining(1)
    value = assign.operands[1]
    assert value is not None
    pair = source is not None and source.name == "DEQUANTIZE"
    if pair:
        assert source is not None
        value = source.operands[0]
        assert value is not None
    if not pair or value.type.quantized != kind.quantized:
        value = function.insert_before(assign, Operation("QUANTIZE", [value], [kind], names=assign.names)).result
    function.insert_before(assign, assign.copy([assign.operands[0], value]))
    assign.erase()
    if pair and source is not None and not source.result.is_used:
        source.erase()
