"""Variables that XNNPACK keeps: as the common kernels do, but for other types of handles and changing shapes."""

from __future__ import annotations

from refquant.kernels import state
from refquant.kernels.registry import Operator, Run, kernel
from refquant.tflite.schema import TensorType

kernel("READ_VARIABLE", profile="xnnpack")(state.read_variable)


@kernel("ASSIGN_VARIABLE", profile="xnnpack")
def assign_variable(op: Operator) -> Run:
    """The variable becomes the second input, of the shape that the file says: XNNPACK keeps no other, or dies of it."""
    x = op.input(1)
    if x.dims != x.declared:
        raise op.unsupported(f"a variable of shape {x.dims} instead of {x.declared}")
    return state.assign_variable(op)


@kernel("VAR_HANDLE", profile="xnnpack")
def var_handle(op: Operator) -> Run:
    """The number of the variable that the options name."""
    if op.output().type != TensorType.RESOURCE:
        raise op.unsupported("a handle that is no resource, which XNNPACK refuses,")
    return state.var_handle(op)
