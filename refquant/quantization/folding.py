"""Evaluating operations at conversion time, as the converter does where operands are constants.

Source: the folders in converter/ir/tfl_ops.cc.
"""

from __future__ import annotations

from refquant.quantization.ir import Constant, Operation, Value


def fold(operation: Operation) -> list[Value | Constant] | None:
    """What can stand for the results of an operation (a value or a constant for each), or None."""
    return None
