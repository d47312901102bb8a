"""Which operators TensorFlow computes when it plans, once and for all, if their inputs are known by then.

Sources: the calls of SetTensorToPersistentRo below kernels.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from refquant.kernels.registry import Operator, TensorInfo

#: operators that are computed then if all their inputs are known, …
_IF_KNOWN = frozenset("BROADCAST_ARGS CONCATENATION GATHER MUL RANGE REDUCE_PROD RESHAPE STRIDED_SLICE TILE".split())
#: … or in any case; their output has memory of its own
_ALWAYS = frozenset(("SHAPE", "RANK"))
_MOST_PRODUCTS = 8


def is_folded(op: Operator, is_known: Callable[[TensorInfo], bool]) -> bool:
    """Whether `op`, planned where its inputs are known, is computed when TensorFlow plans."""
    if op.name in _ALWAYS:
        return True
    if op.name not in _IF_KNOWN or not all(tensor is None or is_known(tensor) for tensor in op.inputs):
        return False
    return op.name != "REDUCE_PROD" or math.prod(op.output().dims) <= _MOST_PRODUCTS
