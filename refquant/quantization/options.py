"""What the TFLite converter makes of an operator's options when it writes a model out again.

The converter reads a model into operations with attributes and writes every options table anew from these: operators
without attributes lose their table, or get an empty one; fields that are no attribute go back to their defaults.

Source: tflite/converter/ir/tfl_ops.td (hasOptions), flatbuffer_operator.cc, converter_gen.cc; found by experiment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from refquant.errors import InvalidModelError
from refquant.tflite import schema
from refquant.tflite.schema import LSTMKernelType, MirrorPadMode
from refquant.tflite.table import Kind, Table

#: The operators that are written with a table of options, by the class of the table; all others are written without.
_WRITTEN: dict[type[Table], str] = {
    schema.AddOptions: "ADD",
    schema.ArgMaxOptions: "ARG_MAX",
    schema.ArgMinOptions: "ARG_MIN",
    schema.BatchMatMulOptions: "BATCH_MATMUL",
    schema.BidirectionalSequenceLSTMOptions: "BIDIRECTIONAL_SEQUENCE_LSTM",
    schema.BucketizeOptions: "BUCKETIZE",
    schema.CallOnceOptions: "CALL_ONCE",
    schema.ConcatenationOptions: "CONCATENATION",
    schema.Conv2DOptions: "CONV_2D",
    schema.Conv3DOptions: "CONV_3D CONV_3D_TRANSPOSE",
    schema.CumsumOptions: "CUMSUM",
    schema.DepthToSpaceOptions: "DEPTH_TO_SPACE",
    schema.DepthwiseConv2DOptions: "DEPTHWISE_CONV_2D",
    schema.DivOptions: "DIV",
    schema.ExpOptions: "EXP",
    schema.ExpandDimsOptions: "EXPAND_DIMS",
    schema.FakeQuantOptions: "FAKE_QUANT",
    schema.FullyConnectedOptions: "FULLY_CONNECTED",
    schema.GatherOptions: "GATHER",
    schema.GeluOptions: "GELU",
    schema.HashtableOptions: "HASHTABLE",
    schema.IfOptions: "IF",
    schema.L2NormOptions: "L2_NORMALIZATION",
    schema.LSTMOptions: "LSTM BASIC_LSTM",
    schema.LeakyReluOptions: "LEAKY_RELU",
    schema.LocalResponseNormalizationOptions: "LOCAL_RESPONSE_NORMALIZATION",
    schema.LogSoftmaxOptions: "LOG_SOFTMAX",
    schema.MirrorPadOptions: "MIRROR_PAD",
    schema.MulOptions: "MUL",
    schema.NegOptions: "NEG",
    schema.OneHotOptions: "ONE_HOT",
    schema.PackOptions: "PACK",
    schema.PadOptions: "PAD",
    schema.PadV2Options: "PADV2",
    schema.Pool2DOptions: "AVERAGE_POOL_2D MAX_POOL_2D",
    schema.RandomOptions: "MULTINOMIAL RANDOM_STANDARD_NORMAL RANDOM_UNIFORM",
    schema.ReducerOptions: "MEAN REDUCE_ALL REDUCE_ANY REDUCE_MAX REDUCE_MIN REDUCE_PROD SUM",
    schema.ResizeBilinearOptions: "RESIZE_BILINEAR",
    schema.ResizeNearestNeighborOptions: "RESIZE_NEAREST_NEIGHBOR",
    schema.ReverseSequenceOptions: "REVERSE_SEQUENCE",
    schema.SVDFOptions: "SVDF",
    schema.ScatterNdOptions: "SCATTER_ND",
    schema.SelectOptions: "SELECT",
    schema.SelectV2Options: "SELECT_V2",
    schema.SequenceRNNOptions: "UNIDIRECTIONAL_SEQUENCE_RNN",
    schema.ShapeOptions: "SHAPE",
    schema.SoftmaxOptions: "SOFTMAX",
    schema.SpaceToDepthOptions: "SPACE_TO_DEPTH",
    schema.SplitOptions: "SPLIT",
    schema.SplitVOptions: "SPLIT_V",
    schema.SquareOptions: "SQUARE",
    schema.SqueezeOptions: "SQUEEZE",
    schema.StridedSliceOptions: "STRIDED_SLICE",
    schema.SubOptions: "SUB",
    schema.TopKV2Options: "TOPK_V2",
    schema.TransposeConvOptions: "TRANSPOSE_CONV",
    schema.UnidirectionalSequenceLSTMOptions: "UNIDIRECTIONAL_SEQUENCE_LSTM",
    schema.UniqueOptions: "UNIQUE",
    schema.UnpackOptions: "UNPACK",
    schema.VarHandleOptions: "VAR_HANDLE",
    schema.WhileOptions: "WHILE",
    schema.ZerosLikeOptions: "ZEROS_LIKE",
}
_TABLE_OF = {name: table for table, names in _WRITTEN.items() for name in names.split()}

#: Fields that are no attribute of any operation.
_FORGOTTEN = {"pot_scale_int16", "quantized_bias_type", "new_height", "new_width"}

#: Fields that name the type of an output, and are written from that output: the field, and which output.
_FROM_OUTPUT = {
    "ARG_MAX": ("output_type", 0),
    "ARG_MIN": ("output_type", 0),
    "SHAPE": ("out_type", 0),
    "UNIQUE": ("idx_out_type", 1),
}

#: Operators that the converter reads without a table of options, as if all its fields had their defaults.
_OPTIONAL = set(
    "ARG_MAX ARG_MIN BATCH_MATMUL CUMSUM EXP EXPAND_DIMS GELU LOG_SOFTMAX MULTINOMIAL NEG PAD PADV2 "
    "RANDOM_STANDARD_NORMAL RANDOM_UNIFORM REDUCE_ALL REDUCE_ANY SCATTER_ND SELECT SELECT_V2 SHAPE SQUARE SQUEEZE "
    "TOPK_V2 UNIQUE ZEROS_LIKE".split()
)


def default_options(name: str) -> Any:
    """A new options table of an operator with all defaults; None for an operator that is written without."""
    table = _TABLE_OF.get(name)
    return None if table is None else table()


def exported_options(name: str, options: Any, output_types: Sequence[object] = ()) -> Any:
    """The options table with which the converter writes an operator of this name (`BuiltinOperator`) that has these.

    A new table, or None; a custom operator has none. `output_types` are the types of the operator's outputs, which four
    operators have among their options. Raises `InvalidModelError` for options that the converter refuses to read:
    those of another operator, and none where it needs some.
    """
    table = _TABLE_OF.get(name)
    if table is None:
        return None
    if options is None:
        if name not in _OPTIONAL:
            raise InvalidModelError(f"{name} without a table of options: it needs {table.__name__}")
        options = table()
    if not isinstance(options, table):
        raise InvalidModelError(f"{name} with {type(options).__name__}: it takes {table.__name__}")
    exported: Any = table()
    for field in table.FIELDS:
        value = getattr(options, field.name)
        if field.kind is Kind.VECTOR:
            value = np.array([] if value is None else value, field.of)
        elif field.kind is Kind.STRING:
            value = value or ""
        if field.name not in _FORGOTTEN and value is not None:
            is_default = field.kind is Kind.SCALAR and value == field.default  # also -0.0, where the default is 0.0
            setattr(exported, field.name, field.default if is_default else value)
    if name == "MIRROR_PAD" and exported.mode != MirrorPadMode.REFLECT:
        exported.mode = MirrorPadMode.SYMMETRIC  # also what is neither
    if table is schema.LSTMOptions and exported.kernel_type == LSTMKernelType.BASIC:
        exported.asymmetric_quantize_inputs = False  # the converter has an operation of its own for these, BASIC_LSTM
    if name in _FROM_OUTPUT and output_types:
        field_name, output = _FROM_OUTPUT[name]
        setattr(exported, field_name, output_types[output])
    return exported
