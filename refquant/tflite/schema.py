"""The tables and enums of the TensorFlow Lite file format, version 3.

Generated from schema/tflite.fbs by schema/generate.py; change the schema, not this file. A vector of numbers is a
NumPy array (a list will do when building a model), a vector of tables a list; what a file leaves out is None, or
the schema's default for a number. A number that an enum does not know stays a plain int.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar

import numpy.typing as npt

from refquant.tflite.table import Field, Kind, Table, UnknownMember

Vector = npt.NDArray[Any] | Sequence[int] | Sequence[float] | Sequence[bool]

FILE_IDENTIFIER = b"TFL3"


class TensorType(IntEnum):
    FLOAT32 = 0
    FLOAT16 = 1
    INT32 = 2
    UINT8 = 3
    INT64 = 4
    STRING = 5
    BOOL = 6
    INT16 = 7
    COMPLEX64 = 8
    INT8 = 9
    FLOAT64 = 10
    COMPLEX128 = 11
    UINT64 = 12
    RESOURCE = 13
    VARIANT = 14
    UINT32 = 15
    UINT16 = 16
    INT4 = 17
    BFLOAT16 = 18
    INT2 = 19
    UINT4 = 20
    FLOAT8_E4M3FN = 21
    FLOAT8_E5M2 = 22


@dataclass(slots=True, eq=False, repr=False)
class CustomQuantization(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("custom", 0, Kind.VECTOR, "B", align=16),
    )
    custom: Vector | None = None


@dataclass(slots=True, eq=False, repr=False)
class BlockwiseQuantization(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("scales", 0, Kind.SCALAR, "i", 0),
        Field("zero_points", 1, Kind.SCALAR, "i", 0),
        Field("block_size", 2, Kind.SCALAR, "i", 0),
    )
    scales: int = 0
    zero_points: int = 0
    block_size: int = 0


@dataclass(slots=True, eq=False, repr=False)
class MultiAxisQuantization(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("scales", 0, Kind.SCALAR, "i", 0),
        Field("zero_points", 1, Kind.SCALAR, "i", 0),
        Field("block_size", 2, Kind.SCALAR, "i", 0),
        Field("quantized_dimensions", 3, Kind.VECTOR, "i"),
    )
    scales: int = 0
    zero_points: int = 0
    block_size: int = 0
    quantized_dimensions: Vector | None = None


QuantizationDetails = (
    CustomQuantization,
    BlockwiseQuantization,
    MultiAxisQuantization,
)


@dataclass(slots=True, eq=False, repr=False)
class QuantizationParameters(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("min", 0, Kind.VECTOR, "f"),
        Field("max", 1, Kind.VECTOR, "f"),
        Field("scale", 2, Kind.VECTOR, "f"),
        Field("zero_point", 3, Kind.VECTOR, "q"),
        Field("details", 4, Kind.UNION, QuantizationDetails),
        Field("quantized_dimension", 6, Kind.SCALAR, "i", 0),
    )
    min: Vector | None = None
    max: Vector | None = None
    scale: Vector | None = None
    zero_point: Vector | None = None
    details: Table | UnknownMember | None = None
    quantized_dimension: int = 0


class DimensionType(IntEnum):
    DENSE = 0
    SPARSE_CSR = 1


@dataclass(slots=True, eq=False, repr=False)
class Int32Vector(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("values", 0, Kind.VECTOR, "i"),
    )
    values: Vector | None = None


@dataclass(slots=True, eq=False, repr=False)
class Uint16Vector(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("values", 0, Kind.VECTOR, "H", align=4),
    )
    values: Vector | None = None


@dataclass(slots=True, eq=False, repr=False)
class Uint8Vector(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("values", 0, Kind.VECTOR, "B", align=4),
    )
    values: Vector | None = None


SparseIndexVector = (
    Int32Vector,
    Uint16Vector,
    Uint8Vector,
)


@dataclass(slots=True, eq=False, repr=False)
class DimensionMetadata(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("format", 0, Kind.SCALAR, "b", DimensionType(0), DimensionType),
        Field("dense_size", 1, Kind.SCALAR, "i", 0),
        Field("array_segments", 2, Kind.UNION, SparseIndexVector),
        Field("array_indices", 4, Kind.UNION, SparseIndexVector),
    )
    format: DimensionType = DimensionType(0)
    dense_size: int = 0
    array_segments: Table | UnknownMember | None = None
    array_indices: Table | UnknownMember | None = None


@dataclass(slots=True, eq=False, repr=False)
class SparsityParameters(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("traversal_order", 0, Kind.VECTOR, "i"),
        Field("block_map", 1, Kind.VECTOR, "i"),
        Field("dim_metadata", 2, Kind.TABLES, DimensionMetadata),
    )
    traversal_order: Vector | None = None
    block_map: Vector | None = None
    dim_metadata: list[DimensionMetadata] | None = None


@dataclass(slots=True, eq=False, repr=False)
class VariantSubType(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("shape", 0, Kind.VECTOR, "i"),
        Field("type", 1, Kind.SCALAR, "b", TensorType(0), TensorType),
        Field("has_rank", 2, Kind.SCALAR, "?", False),
    )
    shape: Vector | None = None
    type: TensorType = TensorType(0)
    has_rank: bool = False


@dataclass(slots=True, eq=False, repr=False)
class Tensor(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("shape", 0, Kind.VECTOR, "i"),
        Field("type", 1, Kind.SCALAR, "b", TensorType(0), TensorType),
        Field("buffer", 2, Kind.SCALAR, "I", 0),
        Field("name", 3, Kind.STRING),
        Field("quantization", 4, Kind.TABLE, QuantizationParameters),
        Field("is_variable", 5, Kind.SCALAR, "?", False),
        Field("sparsity", 6, Kind.TABLE, SparsityParameters),
        Field("shape_signature", 7, Kind.VECTOR, "i"),
        Field("has_rank", 8, Kind.SCALAR, "?", False),
        Field("variant_tensors", 9, Kind.TABLES, VariantSubType),
        Field("external_buffer", 10, Kind.SCALAR, "I", 0),
    )
    shape: Vector | None = None
    type: TensorType = TensorType(0)
    buffer: int = 0
    name: str | None = None
    quantization: QuantizationParameters | None = None
    is_variable: bool = False
    sparsity: SparsityParameters | None = None
    shape_signature: Vector | None = None
    has_rank: bool = False
    variant_tensors: list[VariantSubType] | None = None
    external_buffer: int = 0


class BuiltinOperator(IntEnum):
    ADD = 0
    AVERAGE_POOL_2D = 1
    CONCATENATION = 2
    CONV_2D = 3
    DEPTHWISE_CONV_2D = 4
    DEPTH_TO_SPACE = 5
    DEQUANTIZE = 6
    EMBEDDING_LOOKUP = 7
    FLOOR = 8
    FULLY_CONNECTED = 9
    HASHTABLE_LOOKUP = 10
    L2_NORMALIZATION = 11
    L2_POOL_2D = 12
    LOCAL_RESPONSE_NORMALIZATION = 13
    LOGISTIC = 14
    LSH_PROJECTION = 15
    LSTM = 16
    MAX_POOL_2D = 17
    MUL = 18
    RELU = 19
    RELU_N1_TO_1 = 20
    RELU6 = 21
    RESHAPE = 22
    RESIZE_BILINEAR = 23
    RNN = 24
    SOFTMAX = 25
    SPACE_TO_DEPTH = 26
    SVDF = 27
    TANH = 28
    CONCAT_EMBEDDINGS = 29
    SKIP_GRAM = 30
    CALL = 31
    CUSTOM = 32
    EMBEDDING_LOOKUP_SPARSE = 33
    PAD = 34
    UNIDIRECTIONAL_SEQUENCE_RNN = 35
    GATHER = 36
    BATCH_TO_SPACE_ND = 37
    SPACE_TO_BATCH_ND = 38
    TRANSPOSE = 39
    MEAN = 40
    SUB = 41
    DIV = 42
    SQUEEZE = 43
    UNIDIRECTIONAL_SEQUENCE_LSTM = 44
    STRIDED_SLICE = 45
    BIDIRECTIONAL_SEQUENCE_RNN = 46
    EXP = 47
    TOPK_V2 = 48
    SPLIT = 49
    LOG_SOFTMAX = 50
    DELEGATE = 51
    BIDIRECTIONAL_SEQUENCE_LSTM = 52
    CAST = 53
    PRELU = 54
    MAXIMUM = 55
    ARG_MAX = 56
    MINIMUM = 57
    LESS = 58
    NEG = 59
    PADV2 = 60
    GREATER = 61
    GREATER_EQUAL = 62
    LESS_EQUAL = 63
    SELECT = 64
    SLICE = 65
    SIN = 66
    TRANSPOSE_CONV = 67
    SPARSE_TO_DENSE = 68
    TILE = 69
    EXPAND_DIMS = 70
    EQUAL = 71
    NOT_EQUAL = 72
    LOG = 73
    SUM = 74
    SQRT = 75
    RSQRT = 76
    SHAPE = 77
    POW = 78
    ARG_MIN = 79
    FAKE_QUANT = 80
    REDUCE_PROD = 81
    REDUCE_MAX = 82
    PACK = 83
    LOGICAL_OR = 84
    ONE_HOT = 85
    LOGICAL_AND = 86
    LOGICAL_NOT = 87
    UNPACK = 88
    REDUCE_MIN = 89
    FLOOR_DIV = 90
    REDUCE_ANY = 91
    SQUARE = 92
    ZEROS_LIKE = 93
    FILL = 94
    FLOOR_MOD = 95
    RANGE = 96
    RESIZE_NEAREST_NEIGHBOR = 97
    LEAKY_RELU = 98
    SQUARED_DIFFERENCE = 99
    MIRROR_PAD = 100
    ABS = 101
    SPLIT_V = 102
    UNIQUE = 103
    CEIL = 104
    REVERSE_V2 = 105
    ADD_N = 106
    GATHER_ND = 107
    COS = 108
    WHERE = 109
    RANK = 110
    ELU = 111
    REVERSE_SEQUENCE = 112
    MATRIX_DIAG = 113
    QUANTIZE = 114
    MATRIX_SET_DIAG = 115
    ROUND = 116
    HARD_SWISH = 117
    IF = 118
    WHILE = 119
    NON_MAX_SUPPRESSION_V4 = 120
    NON_MAX_SUPPRESSION_V5 = 121
    SCATTER_ND = 122
    SELECT_V2 = 123
    DENSIFY = 124
    SEGMENT_SUM = 125
    BATCH_MATMUL = 126
    PLACEHOLDER_FOR_GREATER_OP_CODES = 127
    CUMSUM = 128
    CALL_ONCE = 129
    BROADCAST_TO = 130
    RFFT2D = 131
    CONV_3D = 132
    IMAG = 133
    REAL = 134
    COMPLEX_ABS = 135
    HASHTABLE = 136
    HASHTABLE_FIND = 137
    HASHTABLE_IMPORT = 138
    HASHTABLE_SIZE = 139
    REDUCE_ALL = 140
    CONV_3D_TRANSPOSE = 141
    VAR_HANDLE = 142
    READ_VARIABLE = 143
    ASSIGN_VARIABLE = 144
    BROADCAST_ARGS = 145
    RANDOM_STANDARD_NORMAL = 146
    BUCKETIZE = 147
    RANDOM_UNIFORM = 148
    MULTINOMIAL = 149
    GELU = 150
    DYNAMIC_UPDATE_SLICE = 151
    RELU_0_TO_1 = 152
    UNSORTED_SEGMENT_PROD = 153
    UNSORTED_SEGMENT_MAX = 154
    UNSORTED_SEGMENT_SUM = 155
    ATAN2 = 156
    UNSORTED_SEGMENT_MIN = 157
    SIGN = 158
    BITCAST = 159
    BITWISE_XOR = 160
    RIGHT_SHIFT = 161
    STABLEHLO_LOGISTIC = 162
    STABLEHLO_ADD = 163
    STABLEHLO_DIVIDE = 164
    STABLEHLO_MULTIPLY = 165
    STABLEHLO_MAXIMUM = 166
    STABLEHLO_RESHAPE = 167
    STABLEHLO_CLAMP = 168
    STABLEHLO_CONCATENATE = 169
    STABLEHLO_BROADCAST_IN_DIM = 170
    STABLEHLO_CONVOLUTION = 171
    STABLEHLO_SLICE = 172
    STABLEHLO_CUSTOM_CALL = 173
    STABLEHLO_REDUCE = 174
    STABLEHLO_ABS = 175
    STABLEHLO_AND = 176
    STABLEHLO_COSINE = 177
    STABLEHLO_EXPONENTIAL = 178
    STABLEHLO_FLOOR = 179
    STABLEHLO_LOG = 180
    STABLEHLO_MINIMUM = 181
    STABLEHLO_NEGATE = 182
    STABLEHLO_OR = 183
    STABLEHLO_POWER = 184
    STABLEHLO_REMAINDER = 185
    STABLEHLO_RSQRT = 186
    STABLEHLO_SELECT = 187
    STABLEHLO_SUBTRACT = 188
    STABLEHLO_TANH = 189
    STABLEHLO_SCATTER = 190
    STABLEHLO_COMPARE = 191
    STABLEHLO_CONVERT = 192
    STABLEHLO_DYNAMIC_SLICE = 193
    STABLEHLO_DYNAMIC_UPDATE_SLICE = 194
    STABLEHLO_PAD = 195
    STABLEHLO_IOTA = 196
    STABLEHLO_DOT_GENERAL = 197
    STABLEHLO_REDUCE_WINDOW = 198
    STABLEHLO_SORT = 199
    STABLEHLO_WHILE = 200
    STABLEHLO_GATHER = 201
    STABLEHLO_TRANSPOSE = 202
    DILATE = 203
    STABLEHLO_RNG_BIT_GENERATOR = 204
    REDUCE_WINDOW = 205
    STABLEHLO_COMPOSITE = 206
    STABLEHLO_SHIFT_LEFT = 207
    STABLEHLO_CBRT = 208
    STABLEHLO_CASE = 209


class Padding(IntEnum):
    SAME = 0
    VALID = 1


class ActivationFunctionType(IntEnum):
    NONE = 0
    RELU = 1
    RELU_N1_TO_1 = 2
    RELU6 = 3
    TANH = 4
    SIGN_BIT = 5


@dataclass(slots=True, eq=False, repr=False)
class Conv2DOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("padding", 0, Kind.SCALAR, "b", Padding(0), Padding),
        Field("stride_w", 1, Kind.SCALAR, "i", 0),
        Field("stride_h", 2, Kind.SCALAR, "i", 0),
        Field("fused_activation_function", 3, Kind.SCALAR, "b", ActivationFunctionType(0), ActivationFunctionType),
        Field("dilation_w_factor", 4, Kind.SCALAR, "i", 1),
        Field("dilation_h_factor", 5, Kind.SCALAR, "i", 1),
        Field("quantized_bias_type", 6, Kind.SCALAR, "b", TensorType(0), TensorType),
    )
    padding: Padding = Padding(0)
    stride_w: int = 0
    stride_h: int = 0
    fused_activation_function: ActivationFunctionType = ActivationFunctionType(0)
    dilation_w_factor: int = 1
    dilation_h_factor: int = 1
    quantized_bias_type: TensorType = TensorType(0)


@dataclass(slots=True, eq=False, repr=False)
class Conv3DOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("padding", 0, Kind.SCALAR, "b", Padding(0), Padding),
        Field("stride_d", 1, Kind.SCALAR, "i", 0),
        Field("stride_w", 2, Kind.SCALAR, "i", 0),
        Field("stride_h", 3, Kind.SCALAR, "i", 0),
        Field("fused_activation_function", 4, Kind.SCALAR, "b", ActivationFunctionType(0), ActivationFunctionType),
        Field("dilation_d_factor", 5, Kind.SCALAR, "i", 1),
        Field("dilation_w_factor", 6, Kind.SCALAR, "i", 1),
        Field("dilation_h_factor", 7, Kind.SCALAR, "i", 1),
    )
    padding: Padding = Padding(0)
    stride_d: int = 0
    stride_w: int = 0
    stride_h: int = 0
    fused_activation_function: ActivationFunctionType = ActivationFunctionType(0)
    dilation_d_factor: int = 1
    dilation_w_factor: int = 1
    dilation_h_factor: int = 1


@dataclass(slots=True, eq=False, repr=False)
class DepthwiseConv2DOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("padding", 0, Kind.SCALAR, "b", Padding(0), Padding),
        Field("stride_w", 1, Kind.SCALAR, "i", 0),
        Field("stride_h", 2, Kind.SCALAR, "i", 0),
        Field("depth_multiplier", 3, Kind.SCALAR, "i", 0),
        Field("fused_activation_function", 4, Kind.SCALAR, "b", ActivationFunctionType(0), ActivationFunctionType),
        Field("dilation_w_factor", 5, Kind.SCALAR, "i", 1),
        Field("dilation_h_factor", 6, Kind.SCALAR, "i", 1),
    )
    padding: Padding = Padding(0)
    stride_w: int = 0
    stride_h: int = 0
    depth_multiplier: int = 0
    fused_activation_function: ActivationFunctionType = ActivationFunctionType(0)
    dilation_w_factor: int = 1
    dilation_h_factor: int = 1


@dataclass(slots=True, eq=False, repr=False)
class TransposeConvOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("padding", 0, Kind.SCALAR, "b", Padding(0), Padding),
        Field("stride_w", 1, Kind.SCALAR, "i", 0),
        Field("stride_h", 2, Kind.SCALAR, "i", 0),
        Field("fused_activation_function", 3, Kind.SCALAR, "b", ActivationFunctionType(0), ActivationFunctionType),
        Field("quantized_bias_type", 4, Kind.SCALAR, "b", TensorType(0), TensorType),
    )
    padding: Padding = Padding(0)
    stride_w: int = 0
    stride_h: int = 0
    fused_activation_function: ActivationFunctionType = ActivationFunctionType(0)
    quantized_bias_type: TensorType = TensorType(0)


@dataclass(slots=True, eq=False, repr=False)
class Pool2DOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("padding", 0, Kind.SCALAR, "b", Padding(0), Padding),
        Field("stride_w", 1, Kind.SCALAR, "i", 0),
        Field("stride_h", 2, Kind.SCALAR, "i", 0),
        Field("filter_width", 3, Kind.SCALAR, "i", 0),
        Field("filter_height", 4, Kind.SCALAR, "i", 0),
        Field("fused_activation_function", 5, Kind.SCALAR, "b", ActivationFunctionType(0), ActivationFunctionType),
    )
    padding: Padding = Padding(0)
    stride_w: int = 0
    stride_h: int = 0
    filter_width: int = 0
    filter_height: int = 0
    fused_activation_function: ActivationFunctionType = ActivationFunctionType(0)


class FullyConnectedOptionsWeightsFormat(IntEnum):
    DEFAULT = 0
    SHUFFLED4x16INT8 = 1


@dataclass(slots=True, eq=False, repr=False)
class FullyConnectedOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("fused_activation_function", 0, Kind.SCALAR, "b", ActivationFunctionType(0), ActivationFunctionType),
        Field("weights_format", 1, Kind.SCALAR, "b", FullyConnectedOptionsWeightsFormat(0), FullyConnectedOptionsWeightsFormat),
        Field("keep_num_dims", 2, Kind.SCALAR, "?", False),
        Field("asymmetric_quantize_inputs", 3, Kind.SCALAR, "?", False),
        Field("quantized_bias_type", 4, Kind.SCALAR, "b", TensorType(0), TensorType),
    )
    fused_activation_function: ActivationFunctionType = ActivationFunctionType(0)
    weights_format: FullyConnectedOptionsWeightsFormat = FullyConnectedOptionsWeightsFormat(0)
    keep_num_dims: bool = False
    asymmetric_quantize_inputs: bool = False
    quantized_bias_type: TensorType = TensorType(0)


@dataclass(slots=True, eq=False, repr=False)
class BatchMatMulOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("adj_x", 0, Kind.SCALAR, "?", False),
        Field("adj_y", 1, Kind.SCALAR, "?", False),
        Field("asymmetric_quantize_inputs", 2, Kind.SCALAR, "?", False),
    )
    adj_x: bool = False
    adj_y: bool = False
    asymmetric_quantize_inputs: bool = False


@dataclass(slots=True, eq=False, repr=False)
class RNNOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("fused_activation_function", 0, Kind.SCALAR, "b", ActivationFunctionType(0), ActivationFunctionType),
        Field("asymmetric_quantize_inputs", 1, Kind.SCALAR, "?", False),
    )
    fused_activation_function: ActivationFunctionType = ActivationFunctionType(0)
    asymmetric_quantize_inputs: bool = False


@dataclass(slots=True, eq=False, repr=False)
class SequenceRNNOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("time_major", 0, Kind.SCALAR, "?", False),
        Field("fused_activation_function", 1, Kind.SCALAR, "b", ActivationFunctionType(0), ActivationFunctionType),
        Field("asymmetric_quantize_inputs", 2, Kind.SCALAR, "?", False),
    )
    time_major: bool = False
    fused_activation_function: ActivationFunctionType = ActivationFunctionType(0)
    asymmetric_quantize_inputs: bool = False


@dataclass(slots=True, eq=False, repr=False)
class BidirectionalSequenceRNNOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("time_major", 0, Kind.SCALAR, "?", False),
        Field("fused_activation_function", 1, Kind.SCALAR, "b", ActivationFunctionType(0), ActivationFunctionType),
        Field("merge_outputs", 2, Kind.SCALAR, "?", False),
        Field("asymmetric_quantize_inputs", 3, Kind.SCALAR, "?", False),
    )
    time_major: bool = False
    fused_activation_function: ActivationFunctionType = ActivationFunctionType(0)
    merge_outputs: bool = False
    asymmetric_quantize_inputs: bool = False


@dataclass(slots=True, eq=False, repr=False)
class SVDFOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("rank", 0, Kind.SCALAR, "i", 0),
        Field("fused_activation_function", 1, Kind.SCALAR, "b", ActivationFunctionType(0), ActivationFunctionType),
        Field("asymmetric_quantize_inputs", 2, Kind.SCALAR, "?", False),
    )
    rank: int = 0
    fused_activation_function: ActivationFunctionType = ActivationFunctionType(0)
    asymmetric_quantize_inputs: bool = False


class LSTMKernelType(IntEnum):
    FULL = 0
    BASIC = 1


@dataclass(slots=True, eq=False, repr=False)
class LSTMOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("fused_activation_function", 0, Kind.SCALAR, "b", ActivationFunctionType(0), ActivationFunctionType),
        Field("cell_clip", 1, Kind.SCALAR, "f", 0.0),
        Field("proj_clip", 2, Kind.SCALAR, "f", 0.0),
        Field("kernel_type", 3, Kind.SCALAR, "b", LSTMKernelType(0), LSTMKernelType),
        Field("asymmetric_quantize_inputs", 4, Kind.SCALAR, "?", False),
    )
    fused_activation_function: ActivationFunctionType = ActivationFunctionType(0)
    cell_clip: float = 0.0
    proj_clip: float = 0.0
    kernel_type: LSTMKernelType = LSTMKernelType(0)
    asymmetric_quantize_inputs: bool = False


@dataclass(slots=True, eq=False, repr=False)
class UnidirectionalSequenceLSTMOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("fused_activation_function", 0, Kind.SCALAR, "b", ActivationFunctionType(0), ActivationFunctionType),
        Field("cell_clip", 1, Kind.SCALAR, "f", 0.0),
        Field("proj_clip", 2, Kind.SCALAR, "f", 0.0),
        Field("time_major", 3, Kind.SCALAR, "?", False),
        Field("asymmetric_quantize_inputs", 4, Kind.SCALAR, "?", False),
        Field("diagonal_recurrent_tensors", 5, Kind.SCALAR, "?", False),
    )
    fused_activation_function: ActivationFunctionType = ActivationFunctionType(0)
    cell_clip: float = 0.0
    proj_clip: float = 0.0
    time_major: bool = False
    asymmetric_quantize_inputs: bool = False
    diagonal_recurrent_tensors: bool = False


@dataclass(slots=True, eq=False, repr=False)
class BidirectionalSequenceLSTMOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("fused_activation_function", 0, Kind.SCALAR, "b", ActivationFunctionType(0), ActivationFunctionType),
        Field("cell_clip", 1, Kind.SCALAR, "f", 0.0),
        Field("proj_clip", 2, Kind.SCALAR, "f", 0.0),
        Field("merge_outputs", 3, Kind.SCALAR, "?", False),
        Field("time_major", 4, Kind.SCALAR, "?", True),
        Field("asymmetric_quantize_inputs", 5, Kind.SCALAR, "?", False),
    )
    fused_activation_function: ActivationFunctionType = ActivationFunctionType(0)
    cell_clip: float = 0.0
    proj_clip: float = 0.0
    merge_outputs: bool = False
    time_major: bool = True
    asymmetric_quantize_inputs: bool = False


@dataclass(slots=True, eq=False, repr=False)
class AddOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("fused_activation_function", 0, Kind.SCALAR, "b", ActivationFunctionType(0), ActivationFunctionType),
        Field("pot_scale_int16", 1, Kind.SCALAR, "?", True),
    )
    fused_activation_function: ActivationFunctionType = ActivationFunctionType(0)
    pot_scale_int16: bool = True


@dataclass(slots=True, eq=False, repr=False)
class SubOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("fused_activation_function", 0, Kind.SCALAR, "b", ActivationFunctionType(0), ActivationFunctionType),
        Field("pot_scale_int16", 1, Kind.SCALAR, "?", True),
    )
    fused_activation_function: ActivationFunctionType = ActivationFunctionType(0)
    pot_scale_int16: bool = True


@dataclass(slots=True, eq=False, repr=False)
class MulOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("fused_activation_function", 0, Kind.SCALAR, "b", ActivationFunctionType(0), ActivationFunctionType),
    )
    fused_activation_function: ActivationFunctionType = ActivationFunctionType(0)


@dataclass(slots=True, eq=False, repr=False)
class DivOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("fused_activation_function", 0, Kind.SCALAR, "b", ActivationFunctionType(0), ActivationFunctionType),
    )
    fused_activation_function: ActivationFunctionType = ActivationFunctionType(0)


@dataclass(slots=True, eq=False, repr=False)
class LeakyReluOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("alpha", 0, Kind.SCALAR, "f", 0.0),
    )
    alpha: float = 0.0


@dataclass(slots=True, eq=False, repr=False)
class GeluOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("approximate", 0, Kind.SCALAR, "?", False),
    )
    approximate: bool = False


@dataclass(slots=True, eq=False, repr=False)
class CastOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("in_data_type", 0, Kind.SCALAR, "b", TensorType(0), TensorType),
        Field("out_data_type", 1, Kind.SCALAR, "b", TensorType(0), TensorType),
    )
    in_data_type: TensorType = TensorType(0)
    out_data_type: TensorType = TensorType(0)


@dataclass(slots=True, eq=False, repr=False)
class FakeQuantOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("min", 0, Kind.SCALAR, "f", 0.0),
        Field("max", 1, Kind.SCALAR, "f", 0.0),
        Field("num_bits", 2, Kind.SCALAR, "i", 0),
        Field("narrow_range", 3, Kind.SCALAR, "?", False),
    )
    min: float = 0.0
    max: float = 0.0
    num_bits: int = 0
    narrow_range: bool = False


@dataclass(slots=True, eq=False, repr=False)
class BucketizeOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("boundaries", 0, Kind.VECTOR, "f"),
    )
    boundaries: Vector | None = None


@dataclass(slots=True, eq=False, repr=False)
class CumsumOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("exclusive", 0, Kind.SCALAR, "?", False),
        Field("reverse", 1, Kind.SCALAR, "?", False),
    )
    exclusive: bool = False
    reverse: bool = False


@dataclass(slots=True, eq=False, repr=False)
class SoftmaxOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("beta", 0, Kind.SCALAR, "f", 0.0),
    )
    beta: float = 0.0


@dataclass(slots=True, eq=False, repr=False)
class L2NormOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("fused_activation_function", 0, Kind.SCALAR, "b", ActivationFunctionType(0), ActivationFunctionType),
    )
    fused_activation_function: ActivationFunctionType = ActivationFunctionType(0)


@dataclass(slots=True, eq=False, repr=False)
class LocalResponseNormalizationOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("radius", 0, Kind.SCALAR, "i", 0),
        Field("bias", 1, Kind.SCALAR, "f", 0.0),
        Field("alpha", 2, Kind.SCALAR, "f", 0.0),
        Field("beta", 3, Kind.SCALAR, "f", 0.0),
    )
    radius: int = 0
    bias: float = 0.0
    alpha: float = 0.0
    beta: float = 0.0


@dataclass(slots=True, eq=False, repr=False)
class ReducerOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("keep_dims", 0, Kind.SCALAR, "?", False),
    )
    keep_dims: bool = False


@dataclass(slots=True, eq=False, repr=False)
class ArgMaxOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("output_type", 0, Kind.SCALAR, "b", TensorType(0), TensorType),
    )
    output_type: TensorType = TensorType(0)


@dataclass(slots=True, eq=False, repr=False)
class ArgMinOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("output_type", 0, Kind.SCALAR, "b", TensorType(0), TensorType),
    )
    output_type: TensorType = TensorType(0)


class ReduceWindowFunction(IntEnum):
    UNSUPPORTED = 0
    ADD = 1
    MUL = 2
    MINIMUM = 3
    MAXIMUM = 4
    ALL = 5
    ANY = 6


@dataclass(slots=True, eq=False, repr=False)
class ReduceWindowOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("reduce_function", 0, Kind.SCALAR, "i", ReduceWindowFunction(0), ReduceWindowFunction),
    )
    reduce_function: ReduceWindowFunction = ReduceWindowFunction(0)


@dataclass(slots=True, eq=False, repr=False)
class ConcatenationOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("axis", 0, Kind.SCALAR, "i", 0),
        Field("fused_activation_function", 1, Kind.SCALAR, "b", ActivationFunctionType(0), ActivationFunctionType),
    )
    axis: int = 0
    fused_activation_function: ActivationFunctionType = ActivationFunctionType(0)


@dataclass(slots=True, eq=False, repr=False)
class PackOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("values_count", 0, Kind.SCALAR, "i", 0),
        Field("axis", 1, Kind.SCALAR, "i", 0),
    )
    values_count: int = 0
    axis: int = 0


@dataclass(slots=True, eq=False, repr=False)
class UnpackOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("num", 0, Kind.SCALAR, "i", 0),
        Field("axis", 1, Kind.SCALAR, "i", 0),
    )
    num: int = 0
    axis: int = 0


@dataclass(slots=True, eq=False, repr=False)
class ReshapeOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("new_shape", 0, Kind.VECTOR, "i"),
    )
    new_shape: Vector | None = None


@dataclass(slots=True, eq=False, repr=False)
class SqueezeOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("squeeze_dims", 0, Kind.VECTOR, "i"),
    )
    squeeze_dims: Vector | None = None


@dataclass(slots=True, eq=False, repr=False)
class SplitOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("num_splits", 0, Kind.SCALAR, "i", 0),
    )
    num_splits: int = 0


@dataclass(slots=True, eq=False, repr=False)
class SplitVOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("num_splits", 0, Kind.SCALAR, "i", 0),
    )
    num_splits: int = 0


@dataclass(slots=True, eq=False, repr=False)
class ShapeOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("out_type", 0, Kind.SCALAR, "b", TensorType(0), TensorType),
    )
    out_type: TensorType = TensorType(0)


@dataclass(slots=True, eq=False, repr=False)
class StridedSliceOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("begin_mask", 0, Kind.SCALAR, "i", 0),
        Field("end_mask", 1, Kind.SCALAR, "i", 0),
        Field("ellipsis_mask", 2, Kind.SCALAR, "i", 0),
        Field("new_axis_mask", 3, Kind.SCALAR, "i", 0),
        Field("shrink_axis_mask", 4, Kind.SCALAR, "i", 0),
        Field("offset", 5, Kind.SCALAR, "?", False),
    )
    begin_mask: int = 0
    end_mask: int = 0
    ellipsis_mask: int = 0
    new_axis_mask: int = 0
    shrink_axis_mask: int = 0
    offset: bool = False


@dataclass(slots=True, eq=False, repr=False)
class GatherOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("axis", 0, Kind.SCALAR, "i", 0),
        Field("batch_dims", 1, Kind.SCALAR, "i", 0),
    )
    axis: int = 0
    batch_dims: int = 0


@dataclass(slots=True, eq=False, repr=False)
class ReverseSequenceOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("seq_dim", 0, Kind.SCALAR, "i", 0),
        Field("batch_dim", 1, Kind.SCALAR, "i", 0),
    )
    seq_dim: int = 0
    batch_dim: int = 0


@dataclass(slots=True, eq=False, repr=False)
class SpaceToDepthOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("block_size", 0, Kind.SCALAR, "i", 0),
    )
    block_size: int = 0


@dataclass(slots=True, eq=False, repr=False)
class DepthToSpaceOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("block_size", 0, Kind.SCALAR, "i", 0),
    )
    block_size: int = 0


class MirrorPadMode(IntEnum):
    REFLECT = 0
    SYMMETRIC = 1


@dataclass(slots=True, eq=False, repr=False)
class MirrorPadOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("mode", 0, Kind.SCALAR, "b", MirrorPadMode(0), MirrorPadMode),
    )
    mode: MirrorPadMode = MirrorPadMode(0)


@dataclass(slots=True, eq=False, repr=False)
class ResizeBilinearOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("new_height", 0, Kind.SCALAR, "i", 0),
        Field("new_width", 1, Kind.SCALAR, "i", 0),
        Field("align_corners", 2, Kind.SCALAR, "?", False),
        Field("half_pixel_centers", 3, Kind.SCALAR, "?", False),
    )
    new_height: int = 0
    new_width: int = 0
    align_corners: bool = False
    half_pixel_centers: bool = False


@dataclass(slots=True, eq=False, repr=False)
class ResizeNearestNeighborOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("align_corners", 0, Kind.SCALAR, "?", False),
        Field("half_pixel_centers", 1, Kind.SCALAR, "?", False),
    )
    align_corners: bool = False
    half_pixel_centers: bool = False


@dataclass(slots=True, eq=False, repr=False)
class OneHotOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("axis", 0, Kind.SCALAR, "i", 0),
    )
    axis: int = 0


@dataclass(slots=True, eq=False, repr=False)
class SparseToDenseOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("validate_indices", 0, Kind.SCALAR, "?", False),
    )
    validate_indices: bool = False


@dataclass(slots=True, eq=False, repr=False)
class UniqueOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("idx_out_type", 0, Kind.SCALAR, "b", TensorType.INT32, TensorType),
    )
    idx_out_type: TensorType = TensorType.INT32


@dataclass(slots=True, eq=False, repr=False)
class ConcatEmbeddingsOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("num_channels", 0, Kind.SCALAR, "i", 0),
        Field("num_columns_per_channel", 1, Kind.VECTOR, "i"),
        Field("embedding_dim_per_channel", 2, Kind.VECTOR, "i"),
    )
    num_channels: int = 0
    num_columns_per_channel: Vector | None = None
    embedding_dim_per_channel: Vector | None = None


class LSHProjectionType(IntEnum):
    UNKNOWN = 0
    SPARSE = 1
    DENSE = 2


@dataclass(slots=True, eq=False, repr=False)
class LSHProjectionOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("type", 0, Kind.SCALAR, "b", LSHProjectionType(0), LSHProjectionType),
    )
    type: LSHProjectionType = LSHProjectionType(0)


class CombinerType(IntEnum):
    SUM = 0
    MEAN = 1
    SQRTN = 2


@dataclass(slots=True, eq=False, repr=False)
class EmbeddingLookupSparseOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("combiner", 0, Kind.SCALAR, "b", CombinerType(0), CombinerType),
    )
    combiner: CombinerType = CombinerType(0)


@dataclass(slots=True, eq=False, repr=False)
class SkipGramOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("ngram_size", 0, Kind.SCALAR, "i", 0),
        Field("max_skip_size", 1, Kind.SCALAR, "i", 0),
        Field("include_all_ngrams", 2, Kind.SCALAR, "?", False),
    )
    ngram_size: int = 0
    max_skip_size: int = 0
    include_all_ngrams: bool = False


@dataclass(slots=True, eq=False, repr=False)
class CallOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("subgraph", 0, Kind.SCALAR, "I", 0),
    )
    subgraph: int = 0


@dataclass(slots=True, eq=False, repr=False)
class CallOnceOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("init_subgraph_index", 0, Kind.SCALAR, "i", 0),
    )
    init_subgraph_index: int = 0


@dataclass(slots=True, eq=False, repr=False)
class IfOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("then_subgraph_index", 0, Kind.SCALAR, "i", 0),
        Field("else_subgraph_index", 1, Kind.SCALAR, "i", 0),
    )
    then_subgraph_index: int = 0
    else_subgraph_index: int = 0


@dataclass(slots=True, eq=False, repr=False)
class WhileOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("cond_subgraph_index", 0, Kind.SCALAR, "i", 0),
        Field("body_subgraph_index", 1, Kind.SCALAR, "i", 0),
    )
    cond_subgraph_index: int = 0
    body_subgraph_index: int = 0


@dataclass(slots=True, eq=False, repr=False)
class VarHandleOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("container", 0, Kind.STRING),
        Field("shared_name", 1, Kind.STRING),
    )
    container: str | None = None
    shared_name: str | None = None


@dataclass(slots=True, eq=False, repr=False)
class HashtableOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("table_id", 0, Kind.SCALAR, "i", 0),
        Field("key_dtype", 1, Kind.SCALAR, "b", TensorType(0), TensorType),
        Field("value_dtype", 2, Kind.SCALAR, "b", TensorType(0), TensorType),
    )
    table_id: int = 0
    key_dtype: TensorType = TensorType(0)
    value_dtype: TensorType = TensorType(0)


@dataclass(slots=True, eq=False, repr=False)
class RandomOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("seed", 0, Kind.SCALAR, "q", 0),
        Field("seed2", 1, Kind.SCALAR, "q", 0),
    )
    seed: int = 0
    seed2: int = 0


class CustomOptionsFormat(IntEnum):
    FLEXBUFFERS = 0


class StablehloPrecisionConfig(IntEnum):
    DEFAULT = 0
    HIGH = 1
    HIGHEST = 2


class StablehloComparisonDirection(IntEnum):
    STABLEHLO_COMPARISON_DIRECTION_EQ = 0
    STABLEHLO_COMPARISON_DIRECTION_NE = 1
    STABLEHLO_COMPARISON_DIRECTION_GE = 2
    STABLEHLO_COMPARISON_DIRECTION_GT = 3
    STABLEHLO_COMPARISON_DIRECTION_LE = 4
    STABLEHLO_COMPARISON_DIRECTION_LT = 5


class StablehloComparisonType(IntEnum):
    STABLEHLO_COMPARISON_TYPE_NOTYPE = 0
    STABLEHLO_COMPARISON_TYPE_FLOAT = 1
    STABLEHLO_COMPARISON_TYPE_FLOAT_TOTAL_ORDER = 2
    STABLEHLO_COMPARISON_TYPE_SIGNED = 3
    STABLEHLO_COMPARISON_TYPE_UNSIGNED = 4


class RngAlgorithm(IntEnum):
    DEFAULT = 0
    PHILOX = 1
    THREEFRY = 2


@dataclass(slots=True, eq=False, repr=False)
class StablehloGatherOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("offset_dims", 0, Kind.VECTOR, "q"),
        Field("collapsed_slice_dims", 1, Kind.VECTOR, "q"),
        Field("start_index_map", 2, Kind.VECTOR, "q"),
        Field("index_vector_dim", 3, Kind.SCALAR, "q", 0),
        Field("slice_sizes", 4, Kind.VECTOR, "q"),
        Field("indices_are_sorted", 5, Kind.SCALAR, "?", False),
    )
    offset_dims: Vector | None = None
    collapsed_slice_dims: Vector | None = None
    start_index_map: Vector | None = None
    index_vector_dim: int = 0
    slice_sizes: Vector | None = None
    indices_are_sorted: bool = False


@dataclass(slots=True, eq=False, repr=False)
class StablehloTransposeOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("permutation", 0, Kind.VECTOR, "q"),
    )
    permutation: Vector | None = None


@dataclass(slots=True, eq=False, repr=False)
class StablehloDotGeneralOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("lhs_batching_dimensions", 0, Kind.VECTOR, "q"),
        Field("rhs_batching_dimensions", 1, Kind.VECTOR, "q"),
        Field("lhs_contracting_dimensions", 2, Kind.VECTOR, "q"),
        Field("rhs_contracting_dimensions", 3, Kind.VECTOR, "q"),
        Field("precision_config", 4, Kind.VECTOR, "I"),
    )
    lhs_batching_dimensions: Vector | None = None
    rhs_batching_dimensions: Vector | None = None
    lhs_contracting_dimensions: Vector | None = None
    rhs_contracting_dimensions: Vector | None = None
    precision_config: Vector | None = None


@dataclass(slots=True, eq=False, repr=False)
class StablehloReduceWindowOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("window_dimensions", 0, Kind.VECTOR, "q"),
        Field("window_strides", 1, Kind.VECTOR, "q"),
        Field("base_dilations", 2, Kind.VECTOR, "q"),
        Field("window_dilations", 3, Kind.VECTOR, "q"),
        Field("padding", 4, Kind.VECTOR, "q"),
        Field("body_subgraph_index", 5, Kind.SCALAR, "i", 0),
    )
    window_dimensions: Vector | None = None
    window_strides: Vector | None = None
    base_dilations: Vector | None = None
    window_dilations: Vector | None = None
    padding: Vector | None = None
    body_subgraph_index: int = 0


@dataclass(slots=True, eq=False, repr=False)
class StablehloWhileOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("cond_subgraph_index", 0, Kind.SCALAR, "i", 0),
        Field("body_subgraph_index", 1, Kind.SCALAR, "i", 0),
    )
    cond_subgraph_index: int = 0
    body_subgraph_index: int = 0


@dataclass(slots=True, eq=False, repr=False)
class StablehloSortOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("dimension", 0, Kind.SCALAR, "q", 0),
        Field("is_stable", 1, Kind.SCALAR, "?", False),
        Field("comparator_subgraph_index", 2, Kind.SCALAR, "i", 0),
    )
    dimension: int = 0
    is_stable: bool = False
    comparator_subgraph_index: int = 0


@dataclass(slots=True, eq=False, repr=False)
class StablehloConcatenateOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("dimension", 0, Kind.SCALAR, "q", 0),
    )
    dimension: int = 0


@dataclass(slots=True, eq=False, repr=False)
class StablehloBroadcastInDimOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("broadcast_dimensions", 0, Kind.VECTOR, "q"),
    )
    broadcast_dimensions: Vector | None = None


@dataclass(slots=True, eq=False, repr=False)
class StablehloCompareOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("comparison_direction", 0, Kind.SCALAR, "I", StablehloComparisonDirection(0), StablehloComparisonDirection),
        Field("compare_type", 1, Kind.SCALAR, "I", StablehloComparisonType(0), StablehloComparisonType),
    )
    comparison_direction: StablehloComparisonDirection = StablehloComparisonDirection(0)
    compare_type: StablehloComparisonType = StablehloComparisonType(0)


@dataclass(slots=True, eq=False, repr=False)
class StablehloDynamicSliceOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("slice_sizes", 0, Kind.VECTOR, "q"),
    )
    slice_sizes: Vector | None = None


@dataclass(slots=True, eq=False, repr=False)
class StablehloPadOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("edge_padding_low", 0, Kind.VECTOR, "q"),
        Field("edge_padding_high", 1, Kind.VECTOR, "q"),
        Field("interior_padding", 2, Kind.VECTOR, "q"),
    )
    edge_padding_low: Vector | None = None
    edge_padding_high: Vector | None = None
    interior_padding: Vector | None = None


@dataclass(slots=True, eq=False, repr=False)
class StablehloIotaOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("iota_dimension", 0, Kind.SCALAR, "q", 0),
    )
    iota_dimension: int = 0


@dataclass(slots=True, eq=False, repr=False)
class StablehloCustomCallOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("call_target_name", 0, Kind.STRING),
        Field("has_side_effect", 1, Kind.SCALAR, "?", False),
        Field("backend_config", 2, Kind.STRING),
        Field("api_version", 3, Kind.SCALAR, "i", 0),
        Field("called_computations", 4, Kind.VECTOR, "i"),
        Field("custom_attributes", 5, Kind.VECTOR, "B"),
    )
    call_target_name: str | None = None
    has_side_effect: bool = False
    backend_config: str | None = None
    api_version: int = 0
    called_computations: Vector | None = None
    custom_attributes: Vector | None = None


@dataclass(slots=True, eq=False, repr=False)
class StablehloReduceOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("dimensions", 0, Kind.VECTOR, "q"),
        Field("body_subgraph_index", 1, Kind.SCALAR, "i", 0),
    )
    dimensions: Vector | None = None
    body_subgraph_index: int = 0


@dataclass(slots=True, eq=False, repr=False)
class StablehloSliceOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("start_indices", 0, Kind.VECTOR, "q"),
        Field("limit_indices", 1, Kind.VECTOR, "q"),
        Field("strides", 2, Kind.VECTOR, "q"),
    )
    start_indices: Vector | None = None
    limit_indices: Vector | None = None
    strides: Vector | None = None


@dataclass(slots=True, eq=False, repr=False)
class StablehloConvolutionOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("window_strides", 0, Kind.VECTOR, "q"),
        Field("padding", 1, Kind.VECTOR, "q"),
        Field("lhs_dilation", 2, Kind.VECTOR, "q"),
        Field("rhs_dilation", 3, Kind.VECTOR, "q"),
        Field("window_reversal", 4, Kind.VECTOR, "?"),
        Field("input_batch_dimension", 5, Kind.SCALAR, "q", 0),
        Field("input_feature_dimension", 6, Kind.SCALAR, "q", 0),
        Field("input_spatial_dimensions", 7, Kind.VECTOR, "q"),
        Field("kernel_input_feature_dimension", 8, Kind.SCALAR, "q", 0),
        Field("kernel_output_feature_dimension", 9, Kind.SCALAR, "q", 0),
        Field("kernel_spatial_dimensions", 10, Kind.VECTOR, "q"),
        Field("output_batch_dimension", 11, Kind.SCALAR, "q", 0),
        Field("output_feature_dimension", 12, Kind.SCALAR, "q", 0),
        Field("output_spatial_dimensions", 13, Kind.VECTOR, "q"),
        Field("feature_group_count", 14, Kind.SCALAR, "q", 0),
        Field("batch_group_count", 15, Kind.SCALAR, "q", 0),
        Field("precision_config", 16, Kind.VECTOR, "I"),
    )
    window_strides: Vector | None = None
    padding: Vector | None = None
    lhs_dilation: Vector | None = None
    rhs_dilation: Vector | None = None
    window_reversal: Vector | None = None
    input_batch_dimension: int = 0
    input_feature_dimension: int = 0
    input_spatial_dimensions: Vector | None = None
    kernel_input_feature_dimension: int = 0
    kernel_output_feature_dimension: int = 0
    kernel_spatial_dimensions: Vector | None = None
    output_batch_dimension: int = 0
    output_feature_dimension: int = 0
    output_spatial_dimensions: Vector | None = None
    feature_group_count: int = 0
    batch_group_count: int = 0
    precision_config: Vector | None = None


@dataclass(slots=True, eq=False, repr=False)
class StablehloScatterOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("indices_are_sorted", 0, Kind.SCALAR, "?", False),
        Field("update_window_dims", 1, Kind.VECTOR, "q"),
        Field("inserted_window_dims", 2, Kind.VECTOR, "q"),
        Field("scatter_dims_to_operand_dims", 3, Kind.VECTOR, "q"),
        Field("index_vector_dim", 4, Kind.SCALAR, "q", 0),
        Field("unique_indices", 5, Kind.SCALAR, "?", False),
        Field("update_computation_subgraph_index", 6, Kind.SCALAR, "i", 0),
    )
    indices_are_sorted: bool = False
    update_window_dims: Vector | None = None
    inserted_window_dims: Vector | None = None
    scatter_dims_to_operand_dims: Vector | None = None
    index_vector_dim: int = 0
    unique_indices: bool = False
    update_computation_subgraph_index: int = 0


@dataclass(slots=True, eq=False, repr=False)
class StablehloCaseOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("branch_subgraph_indices", 0, Kind.VECTOR, "i"),
    )
    branch_subgraph_indices: Vector | None = None


@dataclass(slots=True, eq=False, repr=False)
class StablehloRngBitGeneratorOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("algorithm", 0, Kind.SCALAR, "b", RngAlgorithm(0), RngAlgorithm),
    )
    algorithm: RngAlgorithm = RngAlgorithm(0)


@dataclass(slots=True, eq=False, repr=False)
class StableHLOCompositeOptions(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("name", 0, Kind.STRING),
        Field("decomposition_subgraph_index", 1, Kind.SCALAR, "i", 0),
        Field("composite_attributes", 2, Kind.VECTOR, "B"),
        Field("composite_attributes_format", 3, Kind.SCALAR, "b", CustomOptionsFormat(0), CustomOptionsFormat),
        Field("version", 4, Kind.SCALAR, "i", 0),
    )
    name: str | None = None
    decomposition_subgraph_index: int = 0
    composite_attributes: Vector | None = None
    composite_attributes_format: CustomOptionsFormat = CustomOptionsFormat(0)
    version: int = 0


@dataclass(slots=True, eq=False, repr=False)
class PadOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class PadV2Options(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class SpaceToBatchNDOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class BatchToSpaceNDOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class TopKV2Options(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class TransposeOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class ExpOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class CosOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class LogSoftmaxOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class DequantizeOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class MaximumMinimumOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class TileOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class GreaterOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class GreaterEqualOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class LessOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class LessEqualOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class NegOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class SelectOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class SliceOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class ExpandDimsOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class EqualOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class NotEqualOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class RankOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class PowOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class LogicalOrOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class AbsOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class HardSwishOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class LogicalAndOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class LogicalNotOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class FloorDivOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class SquareOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class ZerosLikeOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class FillOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class FloorModOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class RangeOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class SquaredDifferenceOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class ReverseV2Options(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class AddNOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class GatherNdOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class WhereOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class MatrixDiagOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class QuantizeOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class MatrixSetDiagOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class NonMaxSuppressionV4Options(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class NonMaxSuppressionV5Options(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class ScatterNdOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class SelectV2Options(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class DensifyOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class SegmentSumOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class BroadcastToOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class Rfft2dOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class HashtableFindOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class HashtableImportOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class HashtableSizeOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class ReadVariableOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class AssignVariableOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class DynamicUpdateSliceOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class UnsortedSegmentProdOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class UnsortedSegmentMaxOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class UnsortedSegmentSumOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class ATan2Options(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class UnsortedSegmentMinOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class SignOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class BitcastOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class BitwiseXorOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class RightShiftOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class DilateOptions(Table):
    pass


@dataclass(slots=True, eq=False, repr=False)
class StablehloShiftLeftOptions(Table):
    pass


BuiltinOptions = (
    Conv2DOptions,
    DepthwiseConv2DOptions,
    ConcatEmbeddingsOptions,
    LSHProjectionOptions,
    Pool2DOptions,
    SVDFOptions,
    RNNOptions,
    FullyConnectedOptions,
    SoftmaxOptions,
    ConcatenationOptions,
    AddOptions,
    L2NormOptions,
    LocalResponseNormalizationOptions,
    LSTMOptions,
    ResizeBilinearOptions,
    CallOptions,
    ReshapeOptions,
    SkipGramOptions,
    SpaceToDepthOptions,
    EmbeddingLookupSparseOptions,
    MulOptions,
    PadOptions,
    GatherOptions,
    BatchToSpaceNDOptions,
    SpaceToBatchNDOptions,
    TransposeOptions,
    ReducerOptions,
    SubOptions,
    DivOptions,
    SqueezeOptions,
    SequenceRNNOptions,
    StridedSliceOptions,
    ExpOptions,
    TopKV2Options,
    SplitOptions,
    LogSoftmaxOptions,
    CastOptions,
    DequantizeOptions,
    MaximumMinimumOptions,
    ArgMaxOptions,
    LessOptions,
    NegOptions,
    PadV2Options,
    GreaterOptions,
    GreaterEqualOptions,
    LessEqualOptions,
    SelectOptions,
    SliceOptions,
    TransposeConvOptions,
    SparseToDenseOptions,
    TileOptions,
    ExpandDimsOptions,
    EqualOptions,
    NotEqualOptions,
    ShapeOptions,
    PowOptions,
    ArgMinOptions,
    FakeQuantOptions,
    PackOptions,
    LogicalOrOptions,
    OneHotOptions,
    LogicalAndOptions,
    LogicalNotOptions,
    UnpackOptions,
    FloorDivOptions,
    SquareOptions,
    ZerosLikeOptions,
    FillOptions,
    BidirectionalSequenceLSTMOptions,
    BidirectionalSequenceRNNOptions,
    UnidirectionalSequenceLSTMOptions,
    FloorModOptions,
    RangeOptions,
    ResizeNearestNeighborOptions,
    LeakyReluOptions,
    SquaredDifferenceOptions,
    MirrorPadOptions,
    AbsOptions,
    SplitVOptions,
    UniqueOptions,
    ReverseV2Options,
    AddNOptions,
    GatherNdOptions,
    CosOptions,
    WhereOptions,
    RankOptions,
    ReverseSequenceOptions,
    MatrixDiagOptions,
    QuantizeOptions,
    MatrixSetDiagOptions,
    HardSwishOptions,
    IfOptions,
    WhileOptions,
    DepthToSpaceOptions,
    NonMaxSuppressionV4Options,
    NonMaxSuppressionV5Options,
    ScatterNdOptions,
    SelectV2Options,
    DensifyOptions,
    SegmentSumOptions,
    BatchMatMulOptions,
    CumsumOptions,
    CallOnceOptions,
    BroadcastToOptions,
    Rfft2dOptions,
    Conv3DOptions,
    HashtableOptions,
    HashtableFindOptions,
    HashtableImportOptions,
    HashtableSizeOptions,
    VarHandleOptions,
    ReadVariableOptions,
    AssignVariableOptions,
    RandomOptions,
    BucketizeOptions,
    GeluOptions,
    DynamicUpdateSliceOptions,
    UnsortedSegmentProdOptions,
    UnsortedSegmentMaxOptions,
    UnsortedSegmentMinOptions,
    UnsortedSegmentSumOptions,
    ATan2Options,
    SignOptions,
    BitcastOptions,
    BitwiseXorOptions,
    RightShiftOptions,
)


BuiltinOptions2 = (
    StablehloConcatenateOptions,
    StablehloBroadcastInDimOptions,
    StablehloSliceOptions,
    StablehloConvolutionOptions,
    StablehloCustomCallOptions,
    StablehloReduceOptions,
    StablehloScatterOptions,
    StablehloCompareOptions,
    StablehloDynamicSliceOptions,
    StablehloPadOptions,
    StablehloIotaOptions,
    StablehloDotGeneralOptions,
    StablehloReduceWindowOptions,
    StablehloSortOptions,
    StablehloWhileOptions,
    StablehloGatherOptions,
    StablehloTransposeOptions,
    DilateOptions,
    StablehloRngBitGeneratorOptions,
    ReduceWindowOptions,
    StableHLOCompositeOptions,
    StablehloShiftLeftOptions,
    StablehloCaseOptions,
)


@dataclass(slots=True, eq=False, repr=False)
class OperatorCode(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("deprecated_builtin_code", 0, Kind.SCALAR, "b", 0),
        Field("custom_code", 1, Kind.STRING),
        Field("version", 2, Kind.SCALAR, "i", 1),
        Field("builtin_code", 3, Kind.SCALAR, "i", BuiltinOperator(0), BuiltinOperator),
    )
    deprecated_builtin_code: int = 0
    custom_code: str | None = None
    version: int = 1
    builtin_code: BuiltinOperator = BuiltinOperator(0)


@dataclass(slots=True, eq=False, repr=False)
class Operator(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("opcode_index", 0, Kind.SCALAR, "I", 0),
        Field("inputs", 1, Kind.VECTOR, "i"),
        Field("outputs", 2, Kind.VECTOR, "i"),
        Field("builtin_options", 3, Kind.UNION, BuiltinOptions),
        Field("custom_options", 5, Kind.VECTOR, "B"),
        Field("custom_options_format", 6, Kind.SCALAR, "b", CustomOptionsFormat(0), CustomOptionsFormat),
        Field("mutating_variable_inputs", 7, Kind.VECTOR, "?"),
        Field("intermediates", 8, Kind.VECTOR, "i"),
        Field("large_custom_options_offset", 9, Kind.SCALAR, "Q", 0),
        Field("large_custom_options_size", 10, Kind.SCALAR, "Q", 0),
        Field("builtin_options_2", 11, Kind.UNION, BuiltinOptions2),
        Field("debug_metadata_index", 13, Kind.SCALAR, "i", -1),
    )
    opcode_index: int = 0
    inputs: Vector | None = None
    outputs: Vector | None = None
    builtin_options: Table | UnknownMember | None = None
    custom_options: Vector | None = None
    custom_options_format: CustomOptionsFormat = CustomOptionsFormat(0)
    mutating_variable_inputs: Vector | None = None
    intermediates: Vector | None = None
    large_custom_options_offset: int = 0
    large_custom_options_size: int = 0
    builtin_options_2: Table | UnknownMember | None = None
    debug_metadata_index: int = -1


@dataclass(slots=True, eq=False, repr=False)
class SubGraph(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("tensors", 0, Kind.TABLES, Tensor),
        Field("inputs", 1, Kind.VECTOR, "i"),
        Field("outputs", 2, Kind.VECTOR, "i"),
        Field("operators", 3, Kind.TABLES, Operator),
        Field("name", 4, Kind.STRING),
        Field("debug_metadata_index", 5, Kind.SCALAR, "i", -1),
    )
    tensors: list[Tensor] | None = None
    inputs: Vector | None = None
    outputs: Vector | None = None
    operators: list[Operator] | None = None
    name: str | None = None
    debug_metadata_index: int = -1


@dataclass(slots=True, eq=False, repr=False)
class Buffer(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("data", 0, Kind.VECTOR, "B", align=16),
        Field("offset", 1, Kind.SCALAR, "Q", 0),
        Field("size", 2, Kind.SCALAR, "Q", 0),
    )
    data: Vector | None = None
    offset: int = 0
    size: int = 0


@dataclass(slots=True, eq=False, repr=False)
class ExternalBufferGroup(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("name", 0, Kind.STRING),
    )
    name: str | None = None


@dataclass(slots=True, eq=False, repr=False)
class ExternalBuffer(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("id", 0, Kind.SCALAR, "I", 0),
        Field("group", 1, Kind.SCALAR, "I", 0),
        Field("offset", 2, Kind.SCALAR, "Q", 0),
        Field("length", 3, Kind.SCALAR, "Q", 0),
        Field("packing", 4, Kind.STRING),
    )
    id: int = 0
    group: int = 0
    offset: int = 0
    length: int = 0
    packing: str | None = None


@dataclass(slots=True, eq=False, repr=False)
class Metadata(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("name", 0, Kind.STRING),
        Field("buffer", 1, Kind.SCALAR, "I", 0),
    )
    name: str | None = None
    buffer: int = 0


@dataclass(slots=True, eq=False, repr=False)
class TensorMap(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("name", 0, Kind.STRING),
        Field("tensor_index", 1, Kind.SCALAR, "I", 0),
    )
    name: str | None = None
    tensor_index: int = 0


@dataclass(slots=True, eq=False, repr=False)
class SignatureDef(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("inputs", 0, Kind.TABLES, TensorMap),
        Field("outputs", 1, Kind.TABLES, TensorMap),
        Field("signature_key", 2, Kind.STRING),
        Field("deprecated_tag", 3, Kind.STRING),
        Field("subgraph_index", 4, Kind.SCALAR, "I", 0),
    )
    inputs: list[TensorMap] | None = None
    outputs: list[TensorMap] | None = None
    signature_key: str | None = None
    deprecated_tag: str | None = None
    subgraph_index: int = 0


@dataclass(slots=True, eq=False, repr=False)
class Model(Table):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("version", 0, Kind.SCALAR, "I", 0),
        Field("operator_codes", 1, Kind.TABLES, OperatorCode),
        Field("subgraphs", 2, Kind.TABLES, SubGraph),
        Field("description", 3, Kind.STRING),
        Field("buffers", 4, Kind.TABLES, Buffer),
        Field("metadata_buffer", 5, Kind.VECTOR, "i"),
        Field("metadata", 6, Kind.TABLES, Metadata),
        Field("signature_defs", 7, Kind.TABLES, SignatureDef),
        Field("external_buffer_groups", 8, Kind.TABLES, ExternalBufferGroup),
        Field("external_buffers", 9, Kind.TABLES, ExternalBuffer),
    )
    version: int = 0
    operator_codes: list[OperatorCode] | None = None
    subgraphs: list[SubGraph] | None = None
    description: str | None = None
    buffers: list[Buffer] | None = None
    metadata_buffer: Vector | None = None
    metadata: list[Metadata] | None = None
    signature_defs: list[SignatureDef] | None = None
    external_buffer_groups: list[ExternalBufferGroup] | None = None
    external_buffers: list[ExternalBuffer] | None = None
