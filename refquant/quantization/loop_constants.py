"""Constants that a loop shares with what is around it.

While the converter works, the body of a loop stands inside the function that has the loop and uses its constants. At
the end the body becomes a function of its own; the constants from outside are copied to its beginning, and the
originals stay although nothing may use them any more. So in a converted model the first constants of a loop's function
are such copies where the function around the loop has them too.

Source: converter/transforms/while_loop_outline.cc.
"""

from __future__ import annotations

from itertools import takewhile

from refquant.errors import UnsupportedOperatorError
from refquant.quantization.importer import Module
from refquant.quantization.ir import Function, Operation
from refquant.tflite.schema import TensorType

#: of functions the copies at their beginning
Copies = dict[Function, list[Operation]]


def take_out(module: Module) -> Copies:
    """Takes the copies out of their functions. Raises `UnsupportedOperatorError` for floats, which can change."""
    outside = {
        function: {other.constant.key for other in around if other.constant is not None}
        for around in module.functions
        for operation in around
        for function in operation.attributes.values()
        if operation.name == "WHILE"
    }
    copies: Copies = {}
    for function in module.functions:
        known = outside.get(function, set())
        leading = takewhile(lambda operation: operation.constant is not None, function)
        for operation in list(leading):
            assert operation.constant is not None
            if operation.constant.key not in known:
                break
            if operation.constant.type == TensorType.FLOAT32:
                raise UnsupportedOperatorError(
                    f"the float constant {';'.join(operation.names) or 'without name'} of loop {function.name!r} "
                    f"is used inside and outside of it: the converter's way with those is not known"
                )
            copies.setdefault(function, []).append(operation)
            function.remove(operation)
    return copies


def put_back(copies: Copies) -> None:
    """Puts the copies where they were."""
    for function, operations in copies.items():
        for operation in reversed(operations):
            function.prepend(operation)
