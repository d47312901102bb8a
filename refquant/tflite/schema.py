"""The tables and enums of the TensorFlow Lite file format, version 3.

Generated from schema/tflite.fbs by schema/generate.py; change the schema, not this file. A vector of numbers is a
NumPy array (a list will do when building a model), a vector of tables a list; what a file leaves out is None, or
the schema's default for a number. A number that an enum does not know stays a plain int.
"""

# fmt: off

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any, ClassVar

import numpy.typing as npt

from refquant.tflite.table import Field, Kind, Table, UnknownField, UnknownMember

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


class CustomQuantization(Table):
    __slots__ = ("custom",)
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("custom", 0, Kind.VECTOR, "B", align=16),
    )

    def __init__(
        self,
        custom: Vector | None = None,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.custom = custom


class BlockwiseQuantization(Table):
    __slots__ = ("block_size", "scales", "zero_points")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("scales", 0, Kind.SCALAR, "i", 0),
        Field("zero_points", 1, Kind.SCALAR, "i", 0),
        Field("block_size", 2, Kind.SCALAR, "i", 0),
    )

    def __init__(
        self,
        scales: int = 0,
        zero_points: int = 0,
        block_size: int = 0,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.scales = scales
        self.zero_points = zero_points
        self.block_size = block_size


class MultiAxisQuantization(Table):
    __slots__ = ("block_size", "quantized_dimensions", "scales", "zero_points")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("scales", 0, Kind.SCALAR, "i", 0),
        Field("zero_points", 1, Kind.SCALAR, "i", 0),
        Field("block_size", 2, Kind.SCALAR, "i", 0),
        Field("quantized_dimensions", 3, Kind.VECTOR, "i"),
    )

    def __init__(
        self,
        scales: int = 0,
        zero_points: int = 0,
        block_size: int = 0,
        quantized_dimensions: Vector | None = None,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.scales = scales
        self.zero_points = zero_points
        self.block_size = block_size
        self.quantized_dimensions = quantized_dimensions


QuantizationDetails = (
    CustomQuantization,
    BlockwiseQuantization,
    MultiAxisQuantization,
)


class QuantizationParameters(Table):
    __slots__ = ("details", "max", "min", "quantized_dimension", "scale", "zero_point")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("min", 0, Kind.VECTOR, "f"),
        Field("max", 1, Kind.VECTOR, "f"),
        Field("scale", 2, Kind.VECTOR, "f"),
        Field("zero_point", 3, Kind.VECTOR, "q"),
        Field("details", 4, Kind.UNION, QuantizationDetails),
        Field("quantized_dimension", 6, Kind.SCALAR, "i", 0),
    )

    def __init__(
        self,
        min: Vector | None = None,
        max: Vector | None = None,
        scale: Vector | None = None,
        zero_point: Vector | None = None,
        details: Table | UnknownMember | None = None,
        quantized_dimension: int = 0,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.min = min
        self.max = max
        self.scale = scale
        self.zero_point = zero_point
        self.details = details
        self.quantized_dimension = quantized_dimension


class DimensionType(IntEnum):
    DENSE = 0
    SPARSE_CSR = 1


class Int32Vector(Table):
    __slots__ = ("values",)
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("values", 0, Kind.VECTOR, "i"),
    )

    def __init__(
        self,
        values: Vector | None = None,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.values = values


class Uint16Vector(Table):
    __slots__ = ("values",)
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("values", 0, Kind.VECTOR, "H", align=4),
    )

    def __init__(
        self,
        values: Vector | None = None,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.values = values


class Uint8Vector(Table):
    __slots__ = ("values",)
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("values", 0, Kind.VECTOR, "B", align=4),
    )

    def __init__(
        self,
        values: Vector | None = None,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.values = values


SparseIndexVector = (
    Int32Vector,
    Uint16Vector,
    Uint8Vector,
)


class DimensionMetadata(Table):
    __slots__ = ("array_indices", "array_segments", "dense_size", "format")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("format", 0, Kind.SCALAR, "b", DimensionType.DENSE, DimensionType),
        Field("dense_size", 1, Kind.SCALAR, "i", 0),
        Field("array_segments", 2, Kind.UNION, SparseIndexVector),
        Field("array_indices", 4, Kind.UNION, SparseIndexVector),
    )

    def __init__(
        self,
        format: DimensionType = DimensionType.DENSE,
        dense_size: int = 0,
        array_segments: Table | UnknownMember | None = None,
        array_indices: Table | UnknownMember | None = None,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.format = format
        self.dense_size = dense_size
        self.array_segments = array_segments
        self.array_indices = array_indices


class SparsityParameters(Table):
    __slots__ = ("block_map", "dim_metadata", "traversal_order")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("traversal_order", 0, Kind.VECTOR, "i"),
        Field("block_map", 1, Kind.VECTOR, "i"),
        Field("dim_metadata", 2, Kind.TABLES, DimensionMetadata),
    )

    def __init__(
        self,
        traversal_order: Vector | None = None,
        block_map: Vector | None = None,
        dim_metadata: list[DimensionMetadata] | None = None,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.traversal_order = traversal_order
        self.block_map = block_map
        self.dim_metadata = dim_metadata


class VariantSubType(Table):
    __slots__ = ("has_rank", "shape", "type")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("shape", 0, Kind.VECTOR, "i"),
        Field("type", 1, Kind.SCALAR, "b", TensorType.FLOAT32, TensorType),
        Field("has_rank", 2, Kind.SCALAR, "?", False),
    )

    def __init__(
        self,
        shape: Vector | None = None,
        type: TensorType = TensorType.FLOAT32,
        has_rank: bool = False,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.shape = shape
        self.type = type
        self.has_rank = has_rank


class Tensor(Table):
    __slots__ = ("buffer", "external_buffer", "has_rank", "is_variable", "name", "quantization", "shape", "shape_signature", "sparsity", "type", "variant_tensors")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("shape", 0, Kind.VECTOR, "i"),
        Field("type", 1, Kind.SCALAR, "b", TensorType.FLOAT32, TensorType),
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

    def __init__(
        self,
        shape: Vector | None = None,
        type: TensorType = TensorType.FLOAT32,
        buffer: int = 0,
        name: str | None = None,
        quantization: QuantizationParameters | None = None,
        is_variable: bool = False,
        sparsity: SparsityParameters | None = None,
        shape_signature: Vector | None = None,
        has_rank: bool = False,
        variant_tensors: list[VariantSubType] | None = None,
        external_buffer: int = 0,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.shape = shape
        self.type = type
        self.buffer = buffer
        self.name = name
        self.quantization = quantization
        self.is_variable = is_variable
        self.sparsity = sparsity
        self.shape_signature = shape_signature
        self.has_rank = has_rank
        self.variant_tensors = variant_tensors
        self.external_buffer = external_buffer


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


class Conv2DOptions(Table):
    __slots__ = ("dilation_h_factor", "dilation_w_factor", "fused_activation_function", "padding", "quantized_bias_type", "stride_h", "stride_w")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("padding", 0, Kind.SCALAR, "b", Padding.SAME, Padding),
        Field("stride_w", 1, Kind.SCALAR, "i", 0),
        Field("stride_h", 2, Kind.SCALAR, "i", 0),
        Field("fused_activation_function", 3, Kind.SCALAR, "b", ActivationFunctionType.NONE, ActivationFunctionType),
        Field("dilation_w_factor", 4, Kind.SCALAR, "i", 1),
        Field("dilation_h_factor", 5, Kind.SCALAR, "i", 1),
        Field("quantized_bias_type", 6, Kind.SCALAR, "b", TensorType.FLOAT32, TensorType),
    )

    def __init__(
        self,
        padding: Padding = Padding.SAME,
        stride_w: int = 0,
        stride_h: int = 0,
        fused_activation_function: ActivationFunctionType = ActivationFunctionType.NONE,
        dilation_w_factor: int = 1,
        dilation_h_factor: int = 1,
        quantized_bias_type: TensorType = TensorType.FLOAT32,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.padding = padding
        self.stride_w = stride_w
        self.stride_h = stride_h
        self.fused_activation_function = fused_activation_function
        self.dilation_w_factor = dilation_w_factor
        self.dilation_h_factor = dilation_h_factor
        self.quantized_bias_type = quantized_bias_type


class Conv3DOptions(Table):
    __slots__ = ("dilation_d_factor", "dilation_h_factor", "dilation_w_factor", "fused_activation_function", "padding", "stride_d", "stride_h", "stride_w")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("padding", 0, Kind.SCALAR, "b", Padding.SAME, Padding),
        Field("stride_d", 1, Kind.SCALAR, "i", 0),
        Field("stride_w", 2, Kind.SCALAR, "i", 0),
        Field("stride_h", 3, Kind.SCALAR, "i", 0),
        Field("fused_activation_function", 4, Kind.SCALAR, "b", ActivationFunctionType.NONE, ActivationFunctionType),
        Field("dilation_d_factor", 5, Kind.SCALAR, "i", 1),
        Field("dilation_w_factor", 6, Kind.SCALAR, "i", 1),
        Field("dilation_h_factor", 7, Kind.SCALAR, "i", 1),
    )

    def __init__(
        self,
        padding: Padding = Padding.SAME,
        stride_d: int = 0,
        stride_w: int = 0,
        stride_h: int = 0,
        fused_activation_function: ActivationFunctionType = ActivationFunctionType.NONE,
        dilation_d_factor: int = 1,
        dilation_w_factor: int = 1,
        dilation_h_factor: int = 1,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.padding = padding
        self.stride_d = stride_d
        self.stride_w = stride_w
        self.stride_h = stride_h
        self.fused_activation_function = fused_activation_function
        self.dilation_d_factor = dilation_d_factor
        self.dilation_w_factor = dilation_w_factor
        self.dilation_h_factor = dilation_h_factor


class DepthwiseConv2DOptions(Table):
    __slots__ = ("depth_multiplier", "dilation_h_factor", "dilation_w_factor", "fused_activation_function", "padding", "stride_h", "stride_w")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("padding", 0, Kind.SCALAR, "b", Padding.SAME, Padding),
        Field("stride_w", 1, Kind.SCALAR, "i", 0),
        Field("stride_h", 2, Kind.SCALAR, "i", 0),
        Field("depth_multiplier", 3, Kind.SCALAR, "i", 0),
        Field("fused_activation_function", 4, Kind.SCALAR, "b", ActivationFunctionType.NONE, ActivationFunctionType),
        Field("dilation_w_factor", 5, Kind.SCALAR, "i", 1),
        Field("dilation_h_factor", 6, Kind.SCALAR, "i", 1),
    )

    def __init__(
        self,
        padding: Padding = Padding.SAME,
        stride_w: int = 0,
        stride_h: int = 0,
        depth_multiplier: int = 0,
        fused_activation_function: ActivationFunctionType = ActivationFunctionType.NONE,
        dilation_w_factor: int = 1,
        dilation_h_factor: int = 1,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.padding = padding
        self.stride_w = stride_w
        self.stride_h = stride_h
        self.depth_multiplier = depth_multiplier
        self.fused_activation_function = fused_activation_function
        self.dilation_w_factor = dilation_w_factor
        self.dilation_h_factor = dilation_h_factor


class TransposeConvOptions(Table):
    __slots__ = ("fused_activation_function", "padding", "quantized_bias_type", "stride_h", "stride_w")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("padding", 0, Kind.SCALAR, "b", Padding.SAME, Padding),
        Field("stride_w", 1, Kind.SCALAR, "i", 0),
        Field("stride_h", 2, Kind.SCALAR, "i", 0),
        Field("fused_activation_function", 3, Kind.SCALAR, "b", ActivationFunctionType.NONE, ActivationFunctionType),
        Field("quantized_bias_type", 4, Kind.SCALAR, "b", TensorType.FLOAT32, TensorType),
    )

    def __init__(
        self,
        padding: Padding = Padding.SAME,
        stride_w: int = 0,
        stride_h: int = 0,
        fused_activation_function: ActivationFunctionType = ActivationFunctionType.NONE,
        quantized_bias_type: TensorType = TensorType.FLOAT32,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.padding = padding
        self.stride_w = stride_w
        self.stride_h = stride_h
        self.fused_activation_function = fused_activation_function
        self.quantized_bias_type = quantized_bias_type


class Pool2DOptions(Table):
    __slots__ = ("filter_height", "filter_width", "fused_activation_function", "padding", "stride_h", "stride_w")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("padding", 0, Kind.SCALAR, "b", Padding.SAME, Padding),
        Field("stride_w", 1, Kind.SCALAR, "i", 0),
        Field("stride_h", 2, Kind.SCALAR, "i", 0),
        Field("filter_width", 3, Kind.SCALAR, "i", 0),
        Field("filter_height", 4, Kind.SCALAR, "i", 0),
        Field("fused_activation_function", 5, Kind.SCALAR, "b", ActivationFunctionType.NONE, ActivationFunctionType),
    )

    def __init__(
        self,
        padding: Padding = Padding.SAME,
        stride_w: int = 0,
        stride_h: int = 0,
        filter_width: int = 0,
        filter_height: int = 0,
        fused_activation_function: ActivationFunctionType = ActivationFunctionType.NONE,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.padding = padding
        self.stride_w = stride_w
        self.stride_h = stride_h
        self.filter_width = filter_width
        self.filter_height = filter_height
        self.fused_activation_function = fused_activation_function


class FullyConnectedOptionsWeightsFormat(IntEnum):
    DEFAULT = 0
    SHUFFLED4x16INT8 = 1


class FullyConnectedOptions(Table):
    __slots__ = ("asymmetric_quantize_inputs", "fused_activation_function", "keep_num_dims", "quantized_bias_type", "weights_format")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("fused_activation_function", 0, Kind.SCALAR, "b", ActivationFunctionType.NONE, ActivationFunctionType),
        Field("weights_format", 1, Kind.SCALAR, "b", FullyConnectedOptionsWeightsFormat.DEFAULT, FullyConnectedOptionsWeightsFormat),
        Field("keep_num_dims", 2, Kind.SCALAR, "?", False),
        Field("asymmetric_quantize_inputs", 3, Kind.SCALAR, "?", False),
        Field("quantized_bias_type", 4, Kind.SCALAR, "b", TensorType.FLOAT32, TensorType),
    )

    def __init__(
        self,
        fused_activation_function: ActivationFunctionType = ActivationFunctionType.NONE,
        weights_format: FullyConnectedOptionsWeightsFormat = FullyConnectedOptionsWeightsFormat.DEFAULT,
        keep_num_dims: bool = False,
        asymmetric_quantize_inputs: bool = False,
        quantized_bias_type: TensorType = TensorType.FLOAT32,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.fused_activation_function = fused_activation_function
        self.weights_format = weights_format
        self.keep_num_dims = keep_num_dims
        self.asymmetric_quantize_inputs = asymmetric_quantize_inputs
        self.quantized_bias_type = quantized_bias_type


class BatchMatMulOptions(Table):
    __slots__ = ("adj_x", "adj_y", "asymmetric_quantize_inputs")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("adj_x", 0, Kind.SCALAR, "?", False),
        Field("adj_y", 1, Kind.SCALAR, "?", False),
        Field("asymmetric_quantize_inputs", 2, Kind.SCALAR, "?", False),
    )

    def __init__(
        self,
        adj_x: bool = False,
        adj_y: bool = False,
        asymmetric_quantize_inputs: bool = False,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.adj_x = adj_x
        self.adj_y = adj_y
        self.asymmetric_quantize_inputs = asymmetric_quantize_inputs


class RNNOptions(Table):
    __slots__ = ("asymmetric_quantize_inputs", "fused_activation_function")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("fused_activation_function", 0, Kind.SCALAR, "b", ActivationFunctionType.NONE, ActivationFunctionType),
        Field("asymmetric_quantize_inputs", 1, Kind.SCALAR, "?", False),
    )

    def __init__(
        self,
        fused_activation_function: ActivationFunctionType = ActivationFunctionType.NONE,
        asymmetric_quantize_inputs: bool = False,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.fused_activation_function = fused_activation_function
        self.asymmetric_quantize_inputs = asymmetric_quantize_inputs


class SequenceRNNOptions(Table):
    __slots__ = ("asymmetric_quantize_inputs", "fused_activation_function", "time_major")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("time_major", 0, Kind.SCALAR, "?", False),
        Field("fused_activation_function", 1, Kind.SCALAR, "b", ActivationFunctionType.NONE, ActivationFunctionType),
        Field("asymmetric_quantize_inputs", 2, Kind.SCALAR, "?", False),
    )

    def __init__(
        self,
        time_major: bool = False,
        fused_activation_function: ActivationFunctionType = ActivationFunctionType.NONE,
        asymmetric_quantize_inputs: bool = False,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.time_major = time_major
        self.fused_activation_function = fused_activation_function
        self.asymmetric_quantize_inputs = asymmetric_quantize_inputs


class BidirectionalSequenceRNNOptions(Table):
    __slots__ = ("asymmetric_quantize_inputs", "fused_activation_function", "merge_outputs", "time_major")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("time_major", 0, Kind.SCALAR, "?", False),
        Field("fused_activation_function", 1, Kind.SCALAR, "b", ActivationFunctionType.NONE, ActivationFunctionType),
        Field("merge_outputs", 2, Kind.SCALAR, "?", False),
        Field("asymmetric_quantize_inputs", 3, Kind.SCALAR, "?", False),
    )

    def __init__(
        self,
        time_major: bool = False,
        fused_activation_function: ActivationFunctionType = ActivationFunctionType.NONE,
        merge_outputs: bool = False,
        asymmetric_quantize_inputs: bool = False,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.time_major = time_major
        self.fused_activation_function = fused_activation_function
        self.merge_outputs = merge_outputs
        self.asymmetric_quantize_inputs = asymmetric_quantize_inputs


class SVDFOptions(Table):
    __slots__ = ("asymmetric_quantize_inputs", "fused_activation_function", "rank")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("rank", 0, Kind.SCALAR, "i", 0),
        Field("fused_activation_function", 1, Kind.SCALAR, "b", ActivationFunctionType.NONE, ActivationFunctionType),
        Field("asymmetric_quantize_inputs", 2, Kind.SCALAR, "?", False),
    )

    def __init__(
        self,
        rank: int = 0,
        fused_activation_function: ActivationFunctionType = ActivationFunctionType.NONE,
        asymmetric_quantize_inputs: bool = False,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.rank = rank
        self.fused_activation_function = fused_activation_function
        self.asymmetric_quantize_inputs = asymmetric_quantize_inputs


class LSTMKernelType(IntEnum):
    FULL = 0
    BASIC = 1


class LSTMOptions(Table):
    __slots__ = ("asymmetric_quantize_inputs", "cell_clip", "fused_activation_function", "kernel_type", "proj_clip")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("fused_activation_function", 0, Kind.SCALAR, "b", ActivationFunctionType.NONE, ActivationFunctionType),
        Field("cell_clip", 1, Kind.SCALAR, "f", 0.0),
        Field("proj_clip", 2, Kind.SCALAR, "f", 0.0),
        Field("kernel_type", 3, Kind.SCALAR, "b", LSTMKernelType.FULL, LSTMKernelType),
        Field("asymmetric_quantize_inputs", 4, Kind.SCALAR, "?", False),
    )

    def __init__(
        self,
        fused_activation_function: ActivationFunctionType = ActivationFunctionType.NONE,
        cell_clip: float = 0.0,
        proj_clip: float = 0.0,
        kernel_type: LSTMKernelType = LSTMKernelType.FULL,
        asymmetric_quantize_inputs: bool = False,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.fused_activation_function = fused_activation_function
        self.cell_clip = cell_clip
        self.proj_clip = proj_clip
        self.kernel_type = kernel_type
        self.asymmetric_quantize_inputs = asymmetric_quantize_inputs


class UnidirectionalSequenceLSTMOptions(Table):
    __slots__ = ("asymmetric_quantize_inputs", "cell_clip", "diagonal_recurrent_tensors", "fused_activation_function", "proj_clip", "time_major")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("fused_activation_function", 0, Kind.SCALAR, "b", ActivationFunctionType.NONE, ActivationFunctionType),
        Field("cell_clip", 1, Kind.SCALAR, "f", 0.0),
        Field("proj_clip", 2, Kind.SCALAR, "f", 0.0),
        Field("time_major", 3, Kind.SCALAR, "?", False),
        Field("asymmetric_quantize_inputs", 4, Kind.SCALAR, "?", False),
        Field("diagonal_recurrent_tensors", 5, Kind.SCALAR, "?", False),
    )

    def __init__(
        self,
        fused_activation_function: ActivationFunctionType = ActivationFunctionType.NONE,
        cell_clip: float = 0.0,
        proj_clip: float = 0.0,
        time_major: bool = False,
        asymmetric_quantize_inputs: bool = False,
        diagonal_recurrent_tensors: bool = False,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.fused_activation_function = fused_activation_function
        self.cell_clip = cell_clip
        self.proj_clip = proj_clip
        self.time_major = time_major
        self.asymmetric_quantize_inputs = asymmetric_quantize_inputs
        self.diagonal_recurrent_tensors = diagonal_recurrent_tensors


class BidirectionalSequenceLSTMOptions(Table):
    __slots__ = ("asymmetric_quantize_inputs", "cell_clip", "fused_activation_function", "merge_outputs", "proj_clip", "time_major")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("fused_activation_function", 0, Kind.SCALAR, "b", ActivationFunctionType.NONE, ActivationFunctionType),
        Field("cell_clip", 1, Kind.SCALAR, "f", 0.0),
        Field("proj_clip", 2, Kind.SCALAR, "f", 0.0),
        Field("merge_outputs", 3, Kind.SCALAR, "?", False),
        Field("time_major", 4, Kind.SCALAR, "?", True),
        Field("asymmetric_quantize_inputs", 5, Kind.SCALAR, "?", False),
    )

    def __init__(
        self,
        fused_activation_function: ActivationFunctionType = ActivationFunctionType.NONE,
        cell_clip: float = 0.0,
        proj_clip: float = 0.0,
        merge_outputs: bool = False,
        time_major: bool = True,
        asymmetric_quantize_inputs: bool = False,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.fused_activation_function = fused_activation_function
        self.cell_clip = cell_clip
        self.proj_clip = proj_clip
        self.merge_outputs = merge_outputs
        self.time_major = time_major
        self.asymmetric_quantize_inputs = asymmetric_quantize_inputs


class AddOptions(Table):
    __slots__ = ("fused_activation_function", "pot_scale_int16")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("fused_activation_function", 0, Kind.SCALAR, "b", ActivationFunctionType.NONE, ActivationFunctionType),
        Field("pot_scale_int16", 1, Kind.SCALAR, "?", True),
    )

    def __init__(
        self,
        fused_activation_function: ActivationFunctionType = ActivationFunctionType.NONE,
        pot_scale_int16: bool = True,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.fused_activation_function = fused_activation_function
        self.pot_scale_int16 = pot_scale_int16


class SubOptions(Table):
    __slots__ = ("fused_activation_function", "pot_scale_int16")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("fused_activation_function", 0, Kind.SCALAR, "b", ActivationFunctionType.NONE, ActivationFunctionType),
        Field("pot_scale_int16", 1, Kind.SCALAR, "?", True),
    )

    def __init__(
        self,
        fused_activation_function: ActivationFunctionType = ActivationFunctionType.NONE,
        pot_scale_int16: bool = True,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.fused_activation_function = fused_activation_function
        self.pot_scale_int16 = pot_scale_int16


class MulOptions(Table):
    __slots__ = ("fused_activation_function",)
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("fused_activation_function", 0, Kind.SCALAR, "b", ActivationFunctionType.NONE, ActivationFunctionType),
    )

    def __init__(
        self,
        fused_activation_function: ActivationFunctionType = ActivationFunctionType.NONE,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.fused_activation_function = fused_activation_function


class DivOptions(Table):
    __slots__ = ("fused_activation_function",)
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("fused_activation_function", 0, Kind.SCALAR, "b", ActivationFunctionType.NONE, ActivationFunctionType),
    )

    def __init__(
        self,
        fused_activation_function: ActivationFunctionType = ActivationFunctionType.NONE,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.fused_activation_function = fused_activation_function


class LeakyReluOptions(Table):
    __slots__ = ("alpha",)
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("alpha", 0, Kind.SCALAR, "f", 0.0),
    )

    def __init__(
        self,
        alpha: float = 0.0,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.alpha = alpha


class GeluOptions(Table):
    __slots__ = ("approximate",)
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("approximate", 0, Kind.SCALAR, "?", False),
    )

    def __init__(
        self,
        approximate: bool = False,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.approximate = approximate


class CastOptions(Table):
    __slots__ = ("in_data_type", "out_data_type")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("in_data_type", 0, Kind.SCALAR, "b", TensorType.FLOAT32, TensorType),
        Field("out_data_type", 1, Kind.SCALAR, "b", TensorType.FLOAT32, TensorType),
    )

    def __init__(
        self,
        in_data_type: TensorType = TensorType.FLOAT32,
        out_data_type: TensorType = TensorType.FLOAT32,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.in_data_type = in_data_type
        self.out_data_type = out_data_type


class FakeQuantOptions(Table):
    __slots__ = ("max", "min", "narrow_range", "num_bits")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("min", 0, Kind.SCALAR, "f", 0.0),
        Field("max", 1, Kind.SCALAR, "f", 0.0),
        Field("num_bits", 2, Kind.SCALAR, "i", 0),
        Field("narrow_range", 3, Kind.SCALAR, "?", False),
    )

    def __init__(
        self,
        min: float = 0.0,
        max: float = 0.0,
        num_bits: int = 0,
        narrow_range: bool = False,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.min = min
        self.max = max
        self.num_bits = num_bits
        self.narrow_range = narrow_range


class BucketizeOptions(Table):
    __slots__ = ("boundaries",)
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("boundaries", 0, Kind.VECTOR, "f"),
    )

    def __init__(
        self,
        boundaries: Vector | None = None,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.boundaries = boundaries


class CumsumOptions(Table):
    __slots__ = ("exclusive", "reverse")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("exclusive", 0, Kind.SCALAR, "?", False),
        Field("reverse", 1, Kind.SCALAR, "?", False),
    )

    def __init__(
        self,
        exclusive: bool = False,
        reverse: bool = False,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.exclusive = exclusive
        self.reverse = reverse


class SoftmaxOptions(Table):
    __slots__ = ("beta",)
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("beta", 0, Kind.SCALAR, "f", 0.0),
    )

    def __init__(
        self,
        beta: float = 0.0,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.beta = beta


class L2NormOptions(Table):
    __slots__ = ("fused_activation_function",)
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("fused_activation_function", 0, Kind.SCALAR, "b", ActivationFunctionType.NONE, ActivationFunctionType),
    )

    def __init__(
        self,
        fused_activation_function: ActivationFunctionType = ActivationFunctionType.NONE,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.fused_activation_function = fused_activation_function


class LocalResponseNormalizationOptions(Table):
    __slots__ = ("alpha", "beta", "bias", "radius")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("radius", 0, Kind.SCALAR, "i", 0),
        Field("bias", 1, Kind.SCALAR, "f", 0.0),
        Field("alpha", 2, Kind.SCALAR, "f", 0.0),
        Field("beta", 3, Kind.SCALAR, "f", 0.0),
    )

    def __init__(
        self,
        radius: int = 0,
        bias: float = 0.0,
        alpha: float = 0.0,
        beta: float = 0.0,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.radius = radius
        self.bias = bias
        self.alpha = alpha
        self.beta = beta


class ReducerOptions(Table):
    __slots__ = ("keep_dims",)
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("keep_dims", 0, Kind.SCALAR, "?", False),
    )

    def __init__(
        self,
        keep_dims: bool = False,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.keep_dims = keep_dims


class ArgMaxOptions(Table):
    __slots__ = ("output_type",)
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("output_type", 0, Kind.SCALAR, "b", TensorType.FLOAT32, TensorType),
    )

    def __init__(
        self,
        output_type: TensorType = TensorType.FLOAT32,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.output_type = output_type


class ArgMinOptions(Table):
    __slots__ = ("output_type",)
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("output_type", 0, Kind.SCALAR, "b", TensorType.FLOAT32, TensorType),
    )

    def __init__(
        self,
        output_type: TensorType = TensorType.FLOAT32,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.output_type = output_type


class ReduceWindowFunction(IntEnum):
    UNSUPPORTED = 0
    ADD = 1
    MUL = 2
    MINIMUM = 3
    MAXIMUM = 4
    ALL = 5
    ANY = 6


class ReduceWindowOptions(Table):
    __slots__ = ("reduce_function",)
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("reduce_function", 0, Kind.SCALAR, "i", ReduceWindowFunction.UNSUPPORTED, ReduceWindowFunction),
    )

    def __init__(
        self,
        reduce_function: ReduceWindowFunction = ReduceWindowFunction.UNSUPPORTED,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.reduce_function = reduce_function


class ConcatenationOptions(Table):
    __slots__ = ("axis", "fused_activation_function")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("axis", 0, Kind.SCALAR, "i", 0),
        Field("fused_activation_function", 1, Kind.SCALAR, "b", ActivationFunctionType.NONE, ActivationFunctionType),
    )

    def __init__(
        self,
        axis: int = 0,
        fused_activation_function: ActivationFunctionType = ActivationFunctionType.NONE,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.axis = axis
        self.fused_activation_function = fused_activation_function


class PackOptions(Table):
    __slots__ = ("axis", "values_count")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("values_count", 0, Kind.SCALAR, "i", 0),
        Field("axis", 1, Kind.SCALAR, "i", 0),
    )

    def __init__(
        self,
        values_count: int = 0,
        axis: int = 0,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.values_count = values_count
        self.axis = axis


class UnpackOptions(Table):
    __slots__ = ("axis", "num")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("num", 0, Kind.SCALAR, "i", 0),
        Field("axis", 1, Kind.SCALAR, "i", 0),
    )

    def __init__(
        self,
        num: int = 0,
        axis: int = 0,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.num = num
        self.axis = axis


class ReshapeOptions(Table):
    __slots__ = ("new_shape",)
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("new_shape", 0, Kind.VECTOR, "i"),
    )

    def __init__(
        self,
        new_shape: Vector | None = None,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.new_shape = new_shape


class SqueezeOptions(Table):
    __slots__ = ("squeeze_dims",)
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("squeeze_dims", 0, Kind.VECTOR, "i"),
    )

    def __init__(
        self,
        squeeze_dims: Vector | None = None,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.squeeze_dims = squeeze_dims


class SplitOptions(Table):
    __slots__ = ("num_splits",)
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("num_splits", 0, Kind.SCALAR, "i", 0),
    )

    def __init__(
        self,
        num_splits: int = 0,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.num_splits = num_splits


class SplitVOptions(Table):
    __slots__ = ("num_splits",)
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("num_splits", 0, Kind.SCALAR, "i", 0),
    )

    def __init__(
        self,
        num_splits: int = 0,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.num_splits = num_splits


class ShapeOptions(Table):
    __slots__ = ("out_type",)
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("out_type", 0, Kind.SCALAR, "b", TensorType.FLOAT32, TensorType),
    )

    def __init__(
        self,
        out_type: TensorType = TensorType.FLOAT32,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.out_type = out_type


class StridedSliceOptions(Table):
    __slots__ = ("begin_mask", "ellipsis_mask", "end_mask", "new_axis_mask", "offset", "shrink_axis_mask")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("begin_mask", 0, Kind.SCALAR, "i", 0),
        Field("end_mask", 1, Kind.SCALAR, "i", 0),
        Field("ellipsis_mask", 2, Kind.SCALAR, "i", 0),
        Field("new_axis_mask", 3, Kind.SCALAR, "i", 0),
        Field("shrink_axis_mask", 4, Kind.SCALAR, "i", 0),
        Field("offset", 5, Kind.SCALAR, "?", False),
    )

    def __init__(
        self,
        begin_mask: int = 0,
        end_mask: int = 0,
        ellipsis_mask: int = 0,
        new_axis_mask: int = 0,
        shrink_axis_mask: int = 0,
        offset: bool = False,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.begin_mask = begin_mask
        self.end_mask = end_mask
        self.ellipsis_mask = ellipsis_mask
        self.new_axis_mask = new_axis_mask
        self.shrink_axis_mask = shrink_axis_mask
        self.offset = offset


class GatherOptions(Table):
    __slots__ = ("axis", "batch_dims")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("axis", 0, Kind.SCALAR, "i", 0),
        Field("batch_dims", 1, Kind.SCALAR, "i", 0),
    )

    def __init__(
        self,
        axis: int = 0,
        batch_dims: int = 0,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.axis = axis
        self.batch_dims = batch_dims


class ReverseSequenceOptions(Table):
    __slots__ = ("batch_dim", "seq_dim")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("seq_dim", 0, Kind.SCALAR, "i", 0),
        Field("batch_dim", 1, Kind.SCALAR, "i", 0),
    )

    def __init__(
        self,
        seq_dim: int = 0,
        batch_dim: int = 0,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.seq_dim = seq_dim
        self.batch_dim = batch_dim


class SpaceToDepthOptions(Table):
    __slots__ = ("block_size",)
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("block_size", 0, Kind.SCALAR, "i", 0),
    )

    def __init__(
        self,
        block_size: int = 0,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.block_size = block_size


class DepthToSpaceOptions(Table):
    __slots__ = ("block_size",)
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("block_size", 0, Kind.SCALAR, "i", 0),
    )

    def __init__(
        self,
        block_size: int = 0,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.block_size = block_size


class MirrorPadMode(IntEnum):
    REFLECT = 0
    SYMMETRIC = 1


class MirrorPadOptions(Table):
    __slots__ = ("mode",)
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("mode", 0, Kind.SCALAR, "b", MirrorPadMode.REFLECT, MirrorPadMode),
    )

    def __init__(
        self,
        mode: MirrorPadMode = MirrorPadMode.REFLECT,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.mode = mode


class ResizeBilinearOptions(Table):
    __slots__ = ("align_corners", "half_pixel_centers", "new_height", "new_width")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("new_height", 0, Kind.SCALAR, "i", 0),
        Field("new_width", 1, Kind.SCALAR, "i", 0),
        Field("align_corners", 2, Kind.SCALAR, "?", False),
        Field("half_pixel_centers", 3, Kind.SCALAR, "?", False),
    )

    def __init__(
        self,
        new_height: int = 0,
        new_width: int = 0,
        align_corners: bool = False,
        half_pixel_centers: bool = False,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.new_height = new_height
        self.new_width = new_width
        self.align_corners = align_corners
        self.half_pixel_centers = half_pixel_centers


class ResizeNearestNeighborOptions(Table):
    __slots__ = ("align_corners", "half_pixel_centers")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("align_corners", 0, Kind.SCALAR, "?", False),
        Field("half_pixel_centers", 1, Kind.SCALAR, "?", False),
    )

    def __init__(
        self,
        align_corners: bool = False,
        half_pixel_centers: bool = False,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.align_corners = align_corners
        self.half_pixel_centers = half_pixel_centers


class OneHotOptions(Table):
    __slots__ = ("axis",)
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("axis", 0, Kind.SCALAR, "i", 0),
    )

    def __init__(
        self,
        axis: int = 0,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.axis = axis


class SparseToDenseOptions(Table):
    __slots__ = ("validate_indices",)
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("validate_indices", 0, Kind.SCALAR, "?", False),
    )

    def __init__(
        self,
        validate_indices: bool = False,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.validate_indices = validate_indices


class UniqueOptions(Table):
    __slots__ = ("idx_out_type",)
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("idx_out_type", 0, Kind.SCALAR, "b", TensorType.INT32, TensorType),
    )

    def __init__(
        self,
        idx_out_type: TensorType = TensorType.INT32,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.idx_out_type = idx_out_type


class ConcatEmbeddingsOptions(Table):
    __slots__ = ("embedding_dim_per_channel", "num_channels", "num_columns_per_channel")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("num_channels", 0, Kind.SCALAR, "i", 0),
        Field("num_columns_per_channel", 1, Kind.VECTOR, "i"),
        Field("embedding_dim_per_channel", 2, Kind.VECTOR, "i"),
    )

    def __init__(
        self,
        num_channels: int = 0,
        num_columns_per_channel: Vector | None = None,
        embedding_dim_per_channel: Vector | None = None,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.num_channels = num_channels
        self.num_columns_per_channel = num_columns_per_channel
        self.embedding_dim_per_channel = embedding_dim_per_channel


class LSHProjectionType(IntEnum):
    UNKNOWN = 0
    SPARSE = 1
    DENSE = 2


class LSHProjectionOptions(Table):
    __slots__ = ("type",)
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("type", 0, Kind.SCALAR, "b", LSHProjectionType.UNKNOWN, LSHProjectionType),
    )

    def __init__(
        self,
        type: LSHProjectionType = LSHProjectionType.UNKNOWN,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.type = type


class CombinerType(IntEnum):
    SUM = 0
    MEAN = 1
    SQRTN = 2


class EmbeddingLookupSparseOptions(Table):
    __slots__ = ("combiner",)
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("combiner", 0, Kind.SCALAR, "b", CombinerType.SUM, CombinerType),
    )

    def __init__(
        self,
        combiner: CombinerType = CombinerType.SUM,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.combiner = combiner


class SkipGramOptions(Table):
    __slots__ = ("include_all_ngrams", "max_skip_size", "ngram_size")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("ngram_size", 0, Kind.SCALAR, "i", 0),
        Field("max_skip_size", 1, Kind.SCALAR, "i", 0),
        Field("include_all_ngrams", 2, Kind.SCALAR, "?", False),
    )

    def __init__(
        self,
        ngram_size: int = 0,
        max_skip_size: int = 0,
        include_all_ngrams: bool = False,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.ngram_size = ngram_size
        self.max_skip_size = max_skip_size
        self.include_all_ngrams = include_all_ngrams


class CallOptions(Table):
    __slots__ = ("subgraph",)
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("subgraph", 0, Kind.SCALAR, "I", 0),
    )

    def __init__(
        self,
        subgraph: int = 0,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.subgraph = subgraph


class CallOnceOptions(Table):
    __slots__ = ("init_subgraph_index",)
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("init_subgraph_index", 0, Kind.SCALAR, "i", 0),
    )

    def __init__(
        self,
        init_subgraph_index: int = 0,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.init_subgraph_index = init_subgraph_index


class IfOptions(Table):
    __slots__ = ("else_subgraph_index", "then_subgraph_index")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("then_subgraph_index", 0, Kind.SCALAR, "i", 0),
        Field("else_subgraph_index", 1, Kind.SCALAR, "i", 0),
    )

    def __init__(
        self,
        then_subgraph_index: int = 0,
        else_subgraph_index: int = 0,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.then_subgraph_index = then_subgraph_index
        self.else_subgraph_index = else_subgraph_index


class WhileOptions(Table):
    __slots__ = ("body_subgraph_index", "cond_subgraph_index")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("cond_subgraph_index", 0, Kind.SCALAR, "i", 0),
        Field("body_subgraph_index", 1, Kind.SCALAR, "i", 0),
    )

    def __init__(
        self,
        cond_subgraph_index: int = 0,
        body_subgraph_index: int = 0,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.cond_subgraph_index = cond_subgraph_index
        self.body_subgraph_index = body_subgraph_index


class VarHandleOptions(Table):
    __slots__ = ("container", "shared_name")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("container", 0, Kind.STRING),
        Field("shared_name", 1, Kind.STRING),
    )

    def __init__(
        self,
        container: str | None = None,
        shared_name: str | None = None,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.container = container
        self.shared_name = shared_name


class HashtableOptions(Table):
    __slots__ = ("key_dtype", "table_id", "value_dtype")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("table_id", 0, Kind.SCALAR, "i", 0),
        Field("key_dtype", 1, Kind.SCALAR, "b", TensorType.FLOAT32, TensorType),
        Field("value_dtype", 2, Kind.SCALAR, "b", TensorType.FLOAT32, TensorType),
    )

    def __init__(
        self,
        table_id: int = 0,
        key_dtype: TensorType = TensorType.FLOAT32,
        value_dtype: TensorType = TensorType.FLOAT32,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.table_id = table_id
        self.key_dtype = key_dtype
        self.value_dtype = value_dtype


class RandomOptions(Table):
    __slots__ = ("seed", "seed2")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("seed", 0, Kind.SCALAR, "q", 0),
        Field("seed2", 1, Kind.SCALAR, "q", 0),
    )

    def __init__(
        self,
        seed: int = 0,
        seed2: int = 0,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.seed = seed
        self.seed2 = seed2


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


class StablehloGatherOptions(Table):
    __slots__ = ("collapsed_slice_dims", "index_vector_dim", "indices_are_sorted", "offset_dims", "slice_sizes", "start_index_map")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("offset_dims", 0, Kind.VECTOR, "q"),
        Field("collapsed_slice_dims", 1, Kind.VECTOR, "q"),
        Field("start_index_map", 2, Kind.VECTOR, "q"),
        Field("index_vector_dim", 3, Kind.SCALAR, "q", 0),
        Field("slice_sizes", 4, Kind.VECTOR, "q"),
        Field("indices_are_sorted", 5, Kind.SCALAR, "?", False),
    )

    def __init__(
        self,
        offset_dims: Vector | None = None,
        collapsed_slice_dims: Vector | None = None,
        start_index_map: Vector | None = None,
        index_vector_dim: int = 0,
        slice_sizes: Vector | None = None,
        indices_are_sorted: bool = False,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.offset_dims = offset_dims
        self.collapsed_slice_dims = collapsed_slice_dims
        self.start_index_map = start_index_map
        self.index_vector_dim = index_vector_dim
        self.slice_sizes = slice_sizes
        self.indices_are_sorted = indices_are_sorted


class StablehloTransposeOptions(Table):
    __slots__ = ("permutation",)
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("permutation", 0, Kind.VECTOR, "q"),
    )

    def __init__(
        self,
        permutation: Vector | None = None,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.permutation = permutation


class StablehloDotGeneralOptions(Table):
    __slots__ = ("lhs_batching_dimensions", "lhs_contracting_dimensions", "precision_config", "rhs_batching_dimensions", "rhs_contracting_dimensions")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("lhs_batching_dimensions", 0, Kind.VECTOR, "q"),
        Field("rhs_batching_dimensions", 1, Kind.VECTOR, "q"),
        Field("lhs_contracting_dimensions", 2, Kind.VECTOR, "q"),
        Field("rhs_contracting_dimensions", 3, Kind.VECTOR, "q"),
        Field("precision_config", 4, Kind.VECTOR, "I"),
    )

    def __init__(
        self,
        lhs_batching_dimensions: Vector | None = None,
        rhs_batching_dimensions: Vector | None = None,
        lhs_contracting_dimensions: Vector | None = None,
        rhs_contracting_dimensions: Vector | None = None,
        precision_config: Vector | None = None,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.lhs_batching_dimensions = lhs_batching_dimensions
        self.rhs_batching_dimensions = rhs_batching_dimensions
        self.lhs_contracting_dimensions = lhs_contracting_dimensions
        self.rhs_contracting_dimensions = rhs_contracting_dimensions
        self.precision_config = precision_config


class StablehloReduceWindowOptions(Table):
    __slots__ = ("base_dilations", "body_subgraph_index", "padding", "window_dilations", "window_dimensions", "window_strides")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("window_dimensions", 0, Kind.VECTOR, "q"),
        Field("window_strides", 1, Kind.VECTOR, "q"),
        Field("base_dilations", 2, Kind.VECTOR, "q"),
        Field("window_dilations", 3, Kind.VECTOR, "q"),
        Field("padding", 4, Kind.VECTOR, "q"),
        Field("body_subgraph_index", 5, Kind.SCALAR, "i", 0),
    )

    def __init__(
        self,
        window_dimensions: Vector | None = None,
        window_strides: Vector | None = None,
        base_dilations: Vector | None = None,
        window_dilations: Vector | None = None,
        padding: Vector | None = None,
        body_subgraph_index: int = 0,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.window_dimensions = window_dimensions
        self.window_strides = window_strides
        self.base_dilations = base_dilations
        self.window_dilations = window_dilations
        self.padding = padding
        self.body_subgraph_index = body_subgraph_index


class StablehloWhileOptions(Table):
    __slots__ = ("body_subgraph_index", "cond_subgraph_index")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("cond_subgraph_index", 0, Kind.SCALAR, "i", 0),
        Field("body_subgraph_index", 1, Kind.SCALAR, "i", 0),
    )

    def __init__(
        self,
        cond_subgraph_index: int = 0,
        body_subgraph_index: int = 0,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.cond_subgraph_index = cond_subgraph_index
        self.body_subgraph_index = body_subgraph_index


class StablehloSortOptions(Table):
    __slots__ = ("comparator_subgraph_index", "dimension", "is_stable")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("dimension", 0, Kind.SCALAR, "q", 0),
        Field("is_stable", 1, Kind.SCALAR, "?", False),
        Field("comparator_subgraph_index", 2, Kind.SCALAR, "i", 0),
    )

    def __init__(
        self,
        dimension: int = 0,
        is_stable: bool = False,
        comparator_subgraph_index: int = 0,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.dimension = dimension
        self.is_stable = is_stable
        self.comparator_subgraph_index = comparator_subgraph_index


class StablehloConcatenateOptions(Table):
    __slots__ = ("dimension",)
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("dimension", 0, Kind.SCALAR, "q", 0),
    )

    def __init__(
        self,
        dimension: int = 0,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.dimension = dimension


class StablehloBroadcastInDimOptions(Table):
    __slots__ = ("broadcast_dimensions",)
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("broadcast_dimensions", 0, Kind.VECTOR, "q"),
    )

    def __init__(
        self,
        broadcast_dimensions: Vector | None = None,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.broadcast_dimensions = broadcast_dimensions


class StablehloCompareOptions(Table):
    __slots__ = ("compare_type", "comparison_direction")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("comparison_direction", 0, Kind.SCALAR, "I", StablehloComparisonDirection.STABLEHLO_COMPARISON_DIRECTION_EQ, StablehloComparisonDirection),
        Field("compare_type", 1, Kind.SCALAR, "I", StablehloComparisonType.STABLEHLO_COMPARISON_TYPE_NOTYPE, StablehloComparisonType),
    )

    def __init__(
        self,
        comparison_direction: StablehloComparisonDirection = StablehloComparisonDirection.STABLEHLO_COMPARISON_DIRECTION_EQ,
        compare_type: StablehloComparisonType = StablehloComparisonType.STABLEHLO_COMPARISON_TYPE_NOTYPE,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.comparison_direction = comparison_direction
        self.compare_type = compare_type


class StablehloDynamicSliceOptions(Table):
    __slots__ = ("slice_sizes",)
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("slice_sizes", 0, Kind.VECTOR, "q"),
    )

    def __init__(
        self,
        slice_sizes: Vector | None = None,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.slice_sizes = slice_sizes


class StablehloPadOptions(Table):
    __slots__ = ("edge_padding_high", "edge_padding_low", "interior_padding")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("edge_padding_low", 0, Kind.VECTOR, "q"),
        Field("edge_padding_high", 1, Kind.VECTOR, "q"),
        Field("interior_padding", 2, Kind.VECTOR, "q"),
    )

    def __init__(
        self,
        edge_padding_low: Vector | None = None,
        edge_padding_high: Vector | None = None,
        interior_padding: Vector | None = None,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.edge_padding_low = edge_padding_low
        self.edge_padding_high = edge_padding_high
        self.interior_padding = interior_padding


class StablehloIotaOptions(Table):
    __slots__ = ("iota_dimension",)
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("iota_dimension", 0, Kind.SCALAR, "q", 0),
    )

    def __init__(
        self,
        iota_dimension: int = 0,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.iota_dimension = iota_dimension


class StablehloCustomCallOptions(Table):
    __slots__ = ("api_version", "backend_config", "call_target_name", "called_computations", "custom_attributes", "has_side_effect")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("call_target_name", 0, Kind.STRING),
        Field("has_side_effect", 1, Kind.SCALAR, "?", False),
        Field("backend_config", 2, Kind.STRING),
        Field("api_version", 3, Kind.SCALAR, "i", 0),
        Field("called_computations", 4, Kind.VECTOR, "i"),
        Field("custom_attributes", 5, Kind.VECTOR, "B"),
    )

    def __init__(
        self,
        call_target_name: str | None = None,
        has_side_effect: bool = False,
        backend_config: str | None = None,
        api_version: int = 0,
        called_computations: Vector | None = None,
        custom_attributes: Vector | None = None,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.call_target_name = call_target_name
        self.has_side_effect = has_side_effect
        self.backend_config = backend_config
        self.api_version = api_version
        self.called_computations = called_computations
        self.custom_attributes = custom_attributes


class StablehloReduceOptions(Table):
    __slots__ = ("body_subgraph_index", "dimensions")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("dimensions", 0, Kind.VECTOR, "q"),
        Field("body_subgraph_index", 1, Kind.SCALAR, "i", 0),
    )

    def __init__(
        self,
        dimensions: Vector | None = None,
        body_subgraph_index: int = 0,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.dimensions = dimensions
        self.body_subgraph_index = body_subgraph_index


class StablehloSliceOptions(Table):
    __slots__ = ("limit_indices", "start_indices", "strides")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("start_indices", 0, Kind.VECTOR, "q"),
        Field("limit_indices", 1, Kind.VECTOR, "q"),
        Field("strides", 2, Kind.VECTOR, "q"),
    )

    def __init__(
        self,
        start_indices: Vector | None = None,
        limit_indices: Vector | None = None,
        strides: Vector | None = None,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.start_indices = start_indices
        self.limit_indices = limit_indices
        self.strides = strides


class StablehloConvolutionOptions(Table):
    __slots__ = ("batch_group_count", "feature_group_count", "input_batch_dimension", "input_feature_dimension", "input_spatial_dimensions", "kernel_input_feature_dimension", "kernel_output_feature_dimension", "kernel_spatial_dimensions", "lhs_dilation", "output_batch_dimension", "output_feature_dimension", "output_spatial_dimensions", "padding", "precision_config", "rhs_dilation", "window_reversal", "window_strides")
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

    def __init__(
        self,
        window_strides: Vector | None = None,
        padding: Vector | None = None,
        lhs_dilation: Vector | None = None,
        rhs_dilation: Vector | None = None,
        window_reversal: Vector | None = None,
        input_batch_dimension: int = 0,
        input_feature_dimension: int = 0,
        input_spatial_dimensions: Vector | None = None,
        kernel_input_feature_dimension: int = 0,
        kernel_output_feature_dimension: int = 0,
        kernel_spatial_dimensions: Vector | None = None,
        output_batch_dimension: int = 0,
        output_feature_dimension: int = 0,
        output_spatial_dimensions: Vector | None = None,
        feature_group_count: int = 0,
        batch_group_count: int = 0,
        precision_config: Vector | None = None,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.window_strides = window_strides
        self.padding = padding
        self.lhs_dilation = lhs_dilation
        self.rhs_dilation = rhs_dilation
        self.window_reversal = window_reversal
        self.input_batch_dimension = input_batch_dimension
        self.input_feature_dimension = input_feature_dimension
        self.input_spatial_dimensions = input_spatial_dimensions
        self.kernel_input_feature_dimension = kernel_input_feature_dimension
        self.kernel_output_feature_dimension = kernel_output_feature_dimension
        self.kernel_spatial_dimensions = kernel_spatial_dimensions
        self.output_batch_dimension = output_batch_dimension
        self.output_feature_dimension = output_feature_dimension
        self.output_spatial_dimensions = output_spatial_dimensions
        self.feature_group_count = feature_group_count
        self.batch_group_count = batch_group_count
        self.precision_config = precision_config


class StablehloScatterOptions(Table):
    __slots__ = ("index_vector_dim", "indices_are_sorted", "inserted_window_dims", "scatter_dims_to_operand_dims", "unique_indices", "update_computation_subgraph_index", "update_window_dims")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("indices_are_sorted", 0, Kind.SCALAR, "?", False),
        Field("update_window_dims", 1, Kind.VECTOR, "q"),
        Field("inserted_window_dims", 2, Kind.VECTOR, "q"),
        Field("scatter_dims_to_operand_dims", 3, Kind.VECTOR, "q"),
        Field("index_vector_dim", 4, Kind.SCALAR, "q", 0),
        Field("unique_indices", 5, Kind.SCALAR, "?", False),
        Field("update_computation_subgraph_index", 6, Kind.SCALAR, "i", 0),
    )

    def __init__(
        self,
        indices_are_sorted: bool = False,
        update_window_dims: Vector | None = None,
        inserted_window_dims: Vector | None = None,
        scatter_dims_to_operand_dims: Vector | None = None,
        index_vector_dim: int = 0,
        unique_indices: bool = False,
        update_computation_subgraph_index: int = 0,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.indices_are_sorted = indices_are_sorted
        self.update_window_dims = update_window_dims
        self.inserted_window_dims = inserted_window_dims
        self.scatter_dims_to_operand_dims = scatter_dims_to_operand_dims
        self.index_vector_dim = index_vector_dim
        self.unique_indices = unique_indices
        self.update_computation_subgraph_index = update_computation_subgraph_index


class StablehloCaseOptions(Table):
    __slots__ = ("branch_subgraph_indices",)
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("branch_subgraph_indices", 0, Kind.VECTOR, "i"),
    )

    def __init__(
        self,
        branch_subgraph_indices: Vector | None = None,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.branch_subgraph_indices = branch_subgraph_indices


class StablehloRngBitGeneratorOptions(Table):
    __slots__ = ("algorithm",)
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("algorithm", 0, Kind.SCALAR, "b", RngAlgorithm.DEFAULT, RngAlgorithm),
    )

    def __init__(
        self,
        algorithm: RngAlgorithm = RngAlgorithm.DEFAULT,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.algorithm = algorithm


class StableHLOCompositeOptions(Table):
    __slots__ = ("composite_attributes", "composite_attributes_format", "decomposition_subgraph_index", "name", "version")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("name", 0, Kind.STRING),
        Field("decomposition_subgraph_index", 1, Kind.SCALAR, "i", 0),
        Field("composite_attributes", 2, Kind.VECTOR, "B"),
        Field("composite_attributes_format", 3, Kind.SCALAR, "b", CustomOptionsFormat.FLEXBUFFERS, CustomOptionsFormat),
        Field("version", 4, Kind.SCALAR, "i", 0),
    )

    def __init__(
        self,
        name: str | None = None,
        decomposition_subgraph_index: int = 0,
        composite_attributes: Vector | None = None,
        composite_attributes_format: CustomOptionsFormat = CustomOptionsFormat.FLEXBUFFERS,
        version: int = 0,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.name = name
        self.decomposition_subgraph_index = decomposition_subgraph_index
        self.composite_attributes = composite_attributes
        self.composite_attributes_format = composite_attributes_format
        self.version = version


class PadOptions(Table):
    __slots__ = ()


class PadV2Options(Table):
    __slots__ = ()


class SpaceToBatchNDOptions(Table):
    __slots__ = ()


class BatchToSpaceNDOptions(Table):
    __slots__ = ()


class TopKV2Options(Table):
    __slots__ = ()


class TransposeOptions(Table):
    __slots__ = ()


class ExpOptions(Table):
    __slots__ = ()


class CosOptions(Table):
    __slots__ = ()


class LogSoftmaxOptions(Table):
    __slots__ = ()


class DequantizeOptions(Table):
    __slots__ = ()


class MaximumMinimumOptions(Table):
    __slots__ = ()


class TileOptions(Table):
    __slots__ = ()


class GreaterOptions(Table):
    __slots__ = ()


class GreaterEqualOptions(Table):
    __slots__ = ()


class LessOptions(Table):
    __slots__ = ()


class LessEqualOptions(Table):
    __slots__ = ()


class NegOptions(Table):
    __slots__ = ()


class SelectOptions(Table):
    __slots__ = ()


class SliceOptions(Table):
    __slots__ = ()


class ExpandDimsOptions(Table):
    __slots__ = ()


class EqualOptions(Table):
    __slots__ = ()


class NotEqualOptions(Table):
    __slots__ = ()


class RankOptions(Table):
    __slots__ = ()


class PowOptions(Table):
    __slots__ = ()


class LogicalOrOptions(Table):
    __slots__ = ()


class AbsOptions(Table):
    __slots__ = ()


class HardSwishOptions(Table):
    __slots__ = ()


class LogicalAndOptions(Table):
    __slots__ = ()


class LogicalNotOptions(Table):
    __slots__ = ()


class FloorDivOptions(Table):
    __slots__ = ()


class SquareOptions(Table):
    __slots__ = ()


class ZerosLikeOptions(Table):
    __slots__ = ()


class FillOptions(Table):
    __slots__ = ()


class FloorModOptions(Table):
    __slots__ = ()


class RangeOptions(Table):
    __slots__ = ()


class SquaredDifferenceOptions(Table):
    __slots__ = ()


class ReverseV2Options(Table):
    __slots__ = ()


class AddNOptions(Table):
    __slots__ = ()


class GatherNdOptions(Table):
    __slots__ = ()


class WhereOptions(Table):
    __slots__ = ()


class MatrixDiagOptions(Table):
    __slots__ = ()


class QuantizeOptions(Table):
    __slots__ = ()


class MatrixSetDiagOptions(Table):
    __slots__ = ()


class NonMaxSuppressionV4Options(Table):
    __slots__ = ()


class NonMaxSuppressionV5Options(Table):
    __slots__ = ()


class ScatterNdOptions(Table):
    __slots__ = ()


class SelectV2Options(Table):
    __slots__ = ()


class DensifyOptions(Table):
    __slots__ = ()


class SegmentSumOptions(Table):
    __slots__ = ()


class BroadcastToOptions(Table):
    __slots__ = ()


class Rfft2dOptions(Table):
    __slots__ = ()


class HashtableFindOptions(Table):
    __slots__ = ()


class HashtableImportOptions(Table):
    __slots__ = ()


class HashtableSizeOptions(Table):
    __slots__ = ()


class ReadVariableOptions(Table):
    __slots__ = ()


class AssignVariableOptions(Table):
    __slots__ = ()


class DynamicUpdateSliceOptions(Table):
    __slots__ = ()


class UnsortedSegmentProdOptions(Table):
    __slots__ = ()


class UnsortedSegmentMaxOptions(Table):
    __slots__ = ()


class UnsortedSegmentSumOptions(Table):
    __slots__ = ()


class ATan2Options(Table):
    __slots__ = ()


class UnsortedSegmentMinOptions(Table):
    __slots__ = ()


class SignOptions(Table):
    __slots__ = ()


class BitcastOptions(Table):
    __slots__ = ()


class BitwiseXorOptions(Table):
    __slots__ = ()


class RightShiftOptions(Table):
    __slots__ = ()


class DilateOptions(Table):
    __slots__ = ()


class StablehloShiftLeftOptions(Table):
    __slots__ = ()


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


class OperatorCode(Table):
    __slots__ = ("builtin_code", "custom_code", "deprecated_builtin_code", "version")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("deprecated_builtin_code", 0, Kind.SCALAR, "b", 0),
        Field("custom_code", 1, Kind.STRING),
        Field("version", 2, Kind.SCALAR, "i", 1),
        Field("builtin_code", 3, Kind.SCALAR, "i", BuiltinOperator.ADD, BuiltinOperator),
    )

    def __init__(
        self,
        deprecated_builtin_code: int = 0,
        custom_code: str | None = None,
        version: int = 1,
        builtin_code: BuiltinOperator = BuiltinOperator.ADD,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.deprecated_builtin_code = deprecated_builtin_code
        self.custom_code = custom_code
        self.version = version
        self.builtin_code = builtin_code


class Operator(Table):
    __slots__ = ("builtin_options", "builtin_options_2", "custom_options", "custom_options_format", "debug_metadata_index", "inputs", "intermediates", "large_custom_options_offset", "large_custom_options_size", "mutating_variable_inputs", "opcode_index", "outputs")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("opcode_index", 0, Kind.SCALAR, "I", 0),
        Field("inputs", 1, Kind.VECTOR, "i"),
        Field("outputs", 2, Kind.VECTOR, "i"),
        Field("builtin_options", 3, Kind.UNION, BuiltinOptions),
        Field("custom_options", 5, Kind.VECTOR, "B"),
        Field("custom_options_format", 6, Kind.SCALAR, "b", CustomOptionsFormat.FLEXBUFFERS, CustomOptionsFormat),
        Field("mutating_variable_inputs", 7, Kind.VECTOR, "?"),
        Field("intermediates", 8, Kind.VECTOR, "i"),
        Field("large_custom_options_offset", 9, Kind.SCALAR, "Q", 0),
        Field("large_custom_options_size", 10, Kind.SCALAR, "Q", 0),
        Field("builtin_options_2", 11, Kind.UNION, BuiltinOptions2),
        Field("debug_metadata_index", 13, Kind.SCALAR, "i", -1),
    )

    def __init__(
        self,
        opcode_index: int = 0,
        inputs: Vector | None = None,
        outputs: Vector | None = None,
        builtin_options: Table | UnknownMember | None = None,
        custom_options: Vector | None = None,
        custom_options_format: CustomOptionsFormat = CustomOptionsFormat.FLEXBUFFERS,
        mutating_variable_inputs: Vector | None = None,
        intermediates: Vector | None = None,
        large_custom_options_offset: int = 0,
        large_custom_options_size: int = 0,
        builtin_options_2: Table | UnknownMember | None = None,
        debug_metadata_index: int = -1,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.opcode_index = opcode_index
        self.inputs = inputs
        self.outputs = outputs
        self.builtin_options = builtin_options
        self.custom_options = custom_options
        self.custom_options_format = custom_options_format
        self.mutating_variable_inputs = mutating_variable_inputs
        self.intermediates = intermediates
        self.large_custom_options_offset = large_custom_options_offset
        self.large_custom_options_size = large_custom_options_size
        self.builtin_options_2 = builtin_options_2
        self.debug_metadata_index = debug_metadata_index


class SubGraph(Table):
    __slots__ = ("debug_metadata_index", "inputs", "name", "operators", "outputs", "tensors")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("tensors", 0, Kind.TABLES, Tensor),
        Field("inputs", 1, Kind.VECTOR, "i"),
        Field("outputs", 2, Kind.VECTOR, "i"),
        Field("operators", 3, Kind.TABLES, Operator),
        Field("name", 4, Kind.STRING),
        Field("debug_metadata_index", 5, Kind.SCALAR, "i", -1),
    )

    def __init__(
        self,
        tensors: list[Tensor] | None = None,
        inputs: Vector | None = None,
        outputs: Vector | None = None,
        operators: list[Operator] | None = None,
        name: str | None = None,
        debug_metadata_index: int = -1,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.tensors = tensors
        self.inputs = inputs
        self.outputs = outputs
        self.operators = operators
        self.name = name
        self.debug_metadata_index = debug_metadata_index


class Buffer(Table):
    __slots__ = ("data", "offset", "size")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("data", 0, Kind.VECTOR, "B", align=16),
        Field("offset", 1, Kind.SCALAR, "Q", 0),
        Field("size", 2, Kind.SCALAR, "Q", 0),
    )

    def __init__(
        self,
        data: Vector | None = None,
        offset: int = 0,
        size: int = 0,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.data = data
        self.offset = offset
        self.size = size


class ExternalBufferGroup(Table):
    __slots__ = ("name",)
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("name", 0, Kind.STRING),
    )

    def __init__(
        self,
        name: str | None = None,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.name = name


class ExternalBuffer(Table):
    __slots__ = ("group", "id", "length", "offset", "packing")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("id", 0, Kind.SCALAR, "I", 0),
        Field("group", 1, Kind.SCALAR, "I", 0),
        Field("offset", 2, Kind.SCALAR, "Q", 0),
        Field("length", 3, Kind.SCALAR, "Q", 0),
        Field("packing", 4, Kind.STRING),
    )

    def __init__(
        self,
        id: int = 0,
        group: int = 0,
        offset: int = 0,
        length: int = 0,
        packing: str | None = None,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.id = id
        self.group = group
        self.offset = offset
        self.length = length
        self.packing = packing


class Metadata(Table):
    __slots__ = ("buffer", "name")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("name", 0, Kind.STRING),
        Field("buffer", 1, Kind.SCALAR, "I", 0),
    )

    def __init__(
        self,
        name: str | None = None,
        buffer: int = 0,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.name = name
        self.buffer = buffer


class TensorMap(Table):
    __slots__ = ("name", "tensor_index")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("name", 0, Kind.STRING),
        Field("tensor_index", 1, Kind.SCALAR, "I", 0),
    )

    def __init__(
        self,
        name: str | None = None,
        tensor_index: int = 0,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.name = name
        self.tensor_index = tensor_index


class SignatureDef(Table):
    __slots__ = ("deprecated_tag", "inputs", "outputs", "signature_key", "subgraph_index")
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("inputs", 0, Kind.TABLES, TensorMap),
        Field("outputs", 1, Kind.TABLES, TensorMap),
        Field("signature_key", 2, Kind.STRING),
        Field("deprecated_tag", 3, Kind.STRING),
        Field("subgraph_index", 4, Kind.SCALAR, "I", 0),
    )

    def __init__(
        self,
        inputs: list[TensorMap] | None = None,
        outputs: list[TensorMap] | None = None,
        signature_key: str | None = None,
        deprecated_tag: str | None = None,
        subgraph_index: int = 0,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.inputs = inputs
        self.outputs = outputs
        self.signature_key = signature_key
        self.deprecated_tag = deprecated_tag
        self.subgraph_index = subgraph_index


class Model(Table):
    __slots__ = ("buffers", "description", "external_buffer_groups", "external_buffers", "metadata", "metadata_buffer", "operator_codes", "signature_defs", "subgraphs", "version")
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

    def __init__(
        self,
        version: int = 0,
        operator_codes: list[OperatorCode] | None = None,
        subgraphs: list[SubGraph] | None = None,
        description: str | None = None,
        buffers: list[Buffer] | None = None,
        metadata_buffer: Vector | None = None,
        metadata: list[Metadata] | None = None,
        signature_defs: list[SignatureDef] | None = None,
        external_buffer_groups: list[ExternalBufferGroup] | None = None,
        external_buffers: list[ExternalBuffer] | None = None,
        *,
        unknown_fields: tuple[UnknownField, ...] = (),
    ) -> None:
        self.unknown_fields = unknown_fields
        self.version = version
        self.operator_codes = operator_codes
        self.subgraphs = subgraphs
        self.description = description
        self.buffers = buffers
        self.metadata_buffer = metadata_buffer
        self.metadata = metadata
        self.signature_defs = signature_defs
        self.external_buffer_groups = external_buffer_groups
        self.external_buffers = external_buffers
