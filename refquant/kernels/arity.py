"""How many inputs and outputs each builtin operator takes: what every real kernel checks first.

An absent optional input counts where the file says -1 for it. Where a number depends on options or on a subgraph the
kernel checks it.
"""

from __future__ import annotations

from refquant.kernels.registry import Operator

# (numbers of inputs, number of outputs): operators; where there is nothing, any number
_GROUPS: dict[tuple[tuple[int, ...], int | None], str] = {
    ((), 1): "ADD_N CONCATENATION PACK",
    ((0,), 0): "CALL_ONCE",
    ((0,), 1): "HASHTABLE VAR_HANDLE",
    ((1,), 1): """
        ABS AVERAGE_POOL_2D BITCAST BUCKETIZE CAST CEIL COMPLEX_ABS COS DENSIFY DEPTH_TO_SPACE DEQUANTIZE ELU EXP
        FAKE_QUANT FLOOR GELU HARD_SWISH HASHTABLE_SIZE IMAG L2_NORMALIZATION L2_POOL_2D LEAKY_RELU
        LOCAL_RESPONSE_NORMALIZATION LOG LOGICAL_NOT LOGISTIC LOG_SOFTMAX MATRIX_DIAG MAX_POOL_2D NEG QUANTIZE
        RANDOM_STANDARD_NORMAL RANDOM_UNIFORM RANK READ_VARIABLE REAL RELU RELU6 RELU_0_TO_1 RELU_N1_TO_1 ROUND RSQRT
        SHAPE SIGN SIN SKIP_GRAM SOFTMAX SPACE_TO_DEPTH SQRT SQUARE SQUEEZE TANH WHERE ZEROS_LIKE""",
    ((1,), None): "UNPACK",
    ((1,), 2): "STABLEHLO_RNG_BIT_GENERATOR UNIQUE",
    ((1, 2), 1): "RESHAPE",
    ((2,), 0): "ASSIGN_VARIABLE",
    ((2,), 1): """
        ADD ARG_MAX ARG_MIN ATAN2 BATCH_MATMUL BITWISE_XOR BROADCAST_ARGS BROADCAST_TO CUMSUM DIV EMBEDDING_LOOKUP EQUAL
        EXPAND_DIMS FILL FLOOR_DIV FLOOR_MOD GATHER GATHER_ND GREATER GREATER_EQUAL LESS LESS_EQUAL LOGICAL_AND
        LOGICAL_OR MATRIX_SET_DIAG MAXIMUM MEAN MINIMUM MIRROR_PAD MUL MULTINOMIAL NOT_EQUAL POW PRELU REDUCE_ALL
        REDUCE_ANY REDUCE_MAX REDUCE_MIN REDUCE_PROD RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR REVERSE_SEQUENCE REVERSE_V2
        RFFT2D RIGHT_SHIFT SEGMENT_SUM SQUARED_DIFFERENCE STABLEHLO_ADD STABLEHLO_AND STABLEHLO_GATHER STABLEHLO_MAXIMUM
        STABLEHLO_MINIMUM STABLEHLO_MULTIPLY STABLEHLO_PAD STABLEHLO_REDUCE_WINDOW STABLEHLO_SHIFT_LEFT SUB SUM TILE
        TRANSPOSE""",
    ((2,), None): "SPLIT",
    ((2,), 2): "TOPK_V2",
    ((2, 3), 1): "CONV_2D CONV_3D DEPTHWISE_CONV_2D LSH_PROJECTION PAD PADV2",
    ((3,), 0): "HASHTABLE_IMPORT",
    ((3,), 1): """
        BATCH_TO_SPACE_ND DILATE DYNAMIC_UPDATE_SLICE HASHTABLE_FIND RANGE SCATTER_ND SELECT SELECT_V2 SLICE
        SPACE_TO_BATCH_ND STABLEHLO_SCATTER UNSORTED_SEGMENT_MAX UNSORTED_SEGMENT_MIN UNSORTED_SEGMENT_PROD
        UNSORTED_SEGMENT_SUM""",
    ((3,), None): "SPLIT_V",
    ((3,), 2): "HASHTABLE_LOOKUP",
    ((3, 4), 1): "CONV_3D_TRANSPOSE TRANSPOSE_CONV",
    ((4,), 1): "ONE_HOT SPARSE_TO_DENSE STRIDED_SLICE",
    ((5,), 1): "EMBEDDING_LOOKUP_SPARSE REDUCE_WINDOW RNN SVDF UNIDIRECTIONAL_SEQUENCE_RNN",
    ((5, 6), 2): "NON_MAX_SUPPRESSION_V4",
    ((5, 6), 3): "NON_MAX_SUPPRESSION_V5",
    ((20, 24), 1): "UNIDIRECTIONAL_SEQUENCE_LSTM",
}

ARITY = {name: numbers for numbers, names in _GROUPS.items() for name in names.split()}


def check_arity(op: Operator) -> None:
    """Raises InvalidModelError where a builtin operator has too many or too few inputs or outputs."""
    if op.is_custom or op.name not in ARITY:
        return
    numbers, outputs = ARITY[op.name]
    if numbers and len(op.inputs) not in numbers:
        raise op.invalid(f"it has {len(op.inputs)} inputs, expected {' or '.join(map(str, numbers))}")
    if outputs is not None and len(op.outputs) != outputs:
        raise op.invalid(f"it has {len(op.outputs)} outputs, expected {outputs}")
