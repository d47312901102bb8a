"""What the converter knows of each operator before it quantizes: the traits of its dialect, as one table.

Source: converter/ir/tfl_ops.td. The rules of quantization proper are in `refquant.quantization.constraints`.
"""

from __future__ import annotations

from refquant.quantization.ir import Operation

#: Operators with an effect besides their results: they stay though nobody uses the results. All others are pure.
WITH_EFFECTS = frozenset(
    """
    LSTM UNIDIRECTIONAL_SEQUENCE_LSTM BIDIRECTIONAL_SEQUENCE_LSTM UNIDIRECTIONAL_SEQUENCE_RNN
    BIDIRECTIONAL_SEQUENCE_RNN RNN SVDF POLY_CALL IF WHILE CALL_ONCE VAR_HANDLE ASSIGN_VARIABLE READ_VARIABLE HASHTABLE
    HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE RANDOM_UNIFORM RANDOM_STANDARD_NORMAL MULTINOMIAL CALL
    STABLEHLO_COMPOSITE STABLEHLO_CUSTOM_CALL STATISTICS RETURN
    """.split()
)

#: Operators whose operands may change places: constants are moved behind the others.
COMMUTATIVE = frozenset("ADD ADD_N EQUAL NOT_EQUAL MAXIMUM MINIMUM MUL BITWISE_XOR".split())

#: The operands that hold state between calls: their tensors are variables.
STATEFUL_OPERANDS: dict[str, tuple[int, ...]] = {
    "LSTM": (18, 19),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (18, 19),
    "BIDIRECTIONAL_SEQUENCE_LSTM": (35, 36, 37, 38),
    "UNIDIRECTIONAL_SEQUENCE_RNN": (4,),
    "SVDF": (4,),
}


def is_pure(operation: Operation) -> bool:
    """Whether the operation does nothing but make its results, so that it can go when nobody wants them."""
    return operation.name not in WITH_EFFECTS and not operation.custom


def is_dead(operation: Operation) -> bool:
    """Whether the operation can go."""
    used = any(result.is_used for result in operation.results)
    return is_pure(operation) and not used and "kept" not in operation.attributes
