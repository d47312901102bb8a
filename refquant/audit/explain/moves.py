"""Where an element was before an operator moved it, found by asking the kernel.

The kernel is run on arrays of two numbers, as many times as the places of all elements have bits: in run k an element
holds the second number where bit k of its place is set. So what arrives spells the place from which it comes.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from refquant.audit.explain.observe import Observed
from refquant.audit.explain.report import bits_of
from refquant.kernels.registry import Array, Operator

Place = tuple[int, ...]

_FIRST = (
    "RESHAPE SQUEEZE EXPAND_DIMS TRANSPOSE SLICE STRIDED_SLICE GATHER GATHER_ND TILE BROADCAST_TO REVERSE_V2 UNPACK"
)
_ALSO = "SPACE_TO_DEPTH DEPTH_TO_SPACE SPACE_TO_BATCH_ND BATCH_TO_SPACE_ND MIRROR_PAD PAD RESIZE_NEAREST_NEIGHBOR"
#: the inputs that an operator moves; () stands for all
_MOVES: dict[str, tuple[int, ...]] = {
    **dict.fromkeys([*_FIRST.split(), *_ALSO.split(), "SPLIT_V", "REVERSE_SEQUENCE", "MATRIX_DIAG"], (0,)),
    **dict.fromkeys(("SPLIT", "FILL"), (1,)),
    **dict.fromkeys(("CONCATENATION", "PACK"), ()),
    **dict.fromkeys(("SELECT", "SELECT_V2"), (1, 2)),
    **dict.fromkeys(("DYNAMIC_UPDATE_SLICE", "STABLEHLO_PAD", "MATRIX_SET_DIAG"), (0, 1)),
    "PADV2": (0, 2),
}


def origin_of(observed: Observed, output: int, index: Place) -> str | None:
    """Which input and place an element of the output comes from, or that it comes from none; None where it does not
    tell: the operator moves nothing, or changes what it moves.
    """
    op = observed.operator
    if op.name not in _MOVES:
        return None
    positions = _MOVES[op.name] or tuple(range(len(op.inputs)))
    given = [(p, observed.inputs[p]) for p in positions if p < len(observed.inputs)]
    data = [(p, array) for p, array in given if array is not None]
    value = observed.outputs[output][index]
    if any(array.dtype == object or array.dtype != observed.outputs[output].dtype for _, array in data):
        return None
    total = sum(array.size for _, array in data)
    places = np.arange(total)
    none, all = (_moved(observed, data, np.full(total, bit), output, index) for bit in (False, True))
    if bits_of(none) == bits_of(all):
        return "from no input: it is put in"
    place = 0
    for bit in range(max(1, total - 1).bit_length()):
        if bits_of(_moved(observed, data, places >> bit & 1 != 0, output, index)) == bits_of(all):
            place |= 1 << bit
    for position, array in data:
        if place < array.size:
            at = tuple(int(n) for n in np.unravel_index(place, array.shape))
            if bits_of(array[at]) != bits_of(value):
                return None
            return f"from input {position}, {_name(op, position)}[{','.join(map(str, at))}]"
        place -= array.size
    return None


def _moved(observed: Observed, data: list[tuple[int, Array]], bits: Array, output: int, index: Place) -> Any:
    """The element that comes of inputs which hold one number where a bit is set and another elsewhere."""
    plan, step = observed.plan, observed.step
    start = 0
    for position, array in data:
        tensor = observed.operator.inputs[position]
        assert tensor is not None
        some = bits[start : start + array.size].reshape(array.shape)
        plan.values[tensor.index] = some.astype(array.dtype)
        start += prod(array.shape)
    try:
        plan.compute(step)
        return plan.value(observed.operator.outputs[output].index, observed.operator)[index]
    finally:
        for position, array in data:
            tensor = observed.operator.inputs[position]
            assert tensor is not None
            plan.values[tensor.index] = array


def _name(op: Operator, position: int) -> str:
    tensor = op.inputs[position]
    return "" if tensor is None else f"tensor {tensor.index} "
