"""What may come of comparing a family's cases with kernels other than the reference ones, besides equal bits.

For each kernel set and each operator and variant, the outcomes that are expected and why. `TAKES` tells of which cases
a profile runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from refquant.testing.conformance import Outcome
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType

Expected = Mapping[tuple[str, str], Mapping[Outcome, str]]

_NOT_OF_BOOL = {Outcome.BOTH_REFUSE: "the optimized kernel takes no bool but for axes of size 1"}
_DIES_WITHOUT_BIAS = {Outcome.DIED: "tensorflow 2.21.0 dies without a bias, and of an output without elements"}
_OF_ONE = dict.fromkeys(
    (Outcome.ONLY_THEIRS, Outcome.DIED), "over no axis longer than 1 tensorflow 2.21.0 dies, or gives what is in memory"
)
_OF_NOTHING = {Outcome.ONLY_THEIRS: "of a sum of nothing tensorflow 2.21.0 gives what is in memory"}
_BEYOND = {Outcome.ONLY_THEIRS: "the optimized kernel reads beyond its sums"}
_OPTIMIZED: Expected = {
    ("CONV_3D", "FLOAT32"): {
        Outcome.ONLY_THEIRS: "dilated filters damage the memory of tensorflow 2.21.0",
        Outcome.DIED: "dilated filters damage the memory of tensorflow 2.21.0",
    },
    ("CONV_3D_TRANSPOSE", "FLOAT32"): _BEYOND,
    ("DEPTHWISE_CONV_2D", "FLOAT32"): _DIES_WITHOUT_BIAS,
    ("DEPTHWISE_CONV_2D", "FLOAT32 hybrid INT8"): _DIES_WITHOUT_BIAS,
    ("DEPTHWISE_CONV_2D", "INT8"): _DIES_WITHOUT_BIAS,
    ("DEPTHWISE_CONV_2D", "INT8xINT4"): _DIES_WITHOUT_BIAS,
    ("DEPTHWISE_CONV_2D", "UINT8"): _DIES_WITHOUT_BIAS,
    ("FULLY_CONNECTED", "FLOAT32 hybrid INT4"): {
        Outcome.BOTH_REFUSE: "wide int4 weights must have a scale",
        Outcome.ONLY_THEIRS: "of odd rows of int4 weights, where numbers are left over, the real kernel misreads some",
    },
    ("FULLY_CONNECTED", "FLOAT32 sparse"): dict.fromkeys(
        (Outcome.ONLY_THEIRS, Outcome.BOTH_REFUSE), "sparse weights of float32 are refused"
    ),
    ("LOCAL_RESPONSE_NORMALIZATION", "FLOAT32"): {Outcome.DIED: "tensorflow 2.21.0 dies of a negative radius"},
    ("REDUCE_MAX", "BOOL"): _NOT_OF_BOOL,
    ("REDUCE_MIN", "BOOL"): _NOT_OF_BOOL,
    ("REDUCE_PROD", "BOOL"): _NOT_OF_BOOL,
    ("REDUCE_PROD", "INT16"): _OF_ONE,
    ("REDUCE_PROD", "INT8"): _OF_ONE,
    ("SOFTMAX", "FLOAT32"): {Outcome.DIED: "tensorflow 2.21.0 dies of rows of no numbers"},
    ("SUM", "BOOL"): _NOT_OF_BOOL,
    **dict.fromkeys([("SUM", "INT16"), ("SUM", "INT8"), ("SUM", "UINT8")], _OF_NOTHING),
    **dict.fromkeys(
        [("TRANSPOSE_CONV", v) for v in ("FLOAT32", "INT16", "INT8", "INT8xUINT8", "UINT8", "UINT8xINT8")], _BEYOND
    ),
}

_UNWRITTEN = "XNNPACK leaves reductions of nothing as they were in memory"
_NO_SUMS = {
    Outcome.ONLY_THEIRS: _UNWRITTEN,
    Outcome.BOTH_REFUSE: "XNNPACK refuses an axis that is named twice",
    Outcome.DIED: "tensorflow 2.21.0 dies of more than 6 axes",
}
_NO_WINDOWS = {
    Outcome.ONLY_THEIRS: "XNNPACK reads beyond an image that is smaller than the window",
    Outcome.BOTH_REFUSE: "XNNPACK refuses images of no numbers",
}
_NAN_OR_NOTHING = "refquant refuses NaN among numbers that are quantized on the fly, and tensors of no numbers"
_INTEGERS = ("INT8", "UINT8")
_HANDLES = {
    Outcome.BOTH_REFUSE: "XNNPACK refuses handles of another type",
    Outcome.ONLY_THEIRS: "XNNPACK keeps the first shape of a variable",
    Outcome.DIED: "XNNPACK dies of a variable that grows",
}
_BEYOND_32_BITS = {Outcome.ONLY_THEIRS: "refquant refuses accumulators that leave 32 bits once they are scaled"}
_NO_NUMBERS = {Outcome.DIED: "tensorflow 2.21.0 dies of tensors of no numbers that are broadcast"}
_XNNPACK: Expected = {
    **{(operator, type): _BEYOND_32_BITS for operator in ("CONV_2D", "FULLY_CONNECTED") for type in _INTEGERS},
    **{(operator, type): _NO_NUMBERS for operator in ("ADD", "SUB", "MUL") for type in (*_INTEGERS, "FLOAT32")},
    ("ASSIGN_VARIABLE", "FLOAT32"): _HANDLES,
    ("READ_VARIABLE", "FLOAT32"): _HANDLES,
    ("VAR_HANDLE", "INT32"): _HANDLES,
    ("AVERAGE_POOL_2D", "FLOAT32"): _NO_WINDOWS,
    ("BATCH_MATMUL", "FLOAT32"): {Outcome.BOTH_REFUSE: "XNNPACK refuses matrices of no numbers"},
    ("DEPTHWISE_CONV_2D", "FLOAT32"): {Outcome.DIED: "tensorflow 2.21.0 dies without a bias"},
    ("FULLY_CONNECTED", "FLOAT32"): {Outcome.BOTH_REFUSE: "XNNPACK refuses a row that is not full"},
    ("FULLY_CONNECTED", "FLOAT32 sparse"): dict.fromkeys(
        (Outcome.ONLY_THEIRS, Outcome.BOTH_REFUSE), "sparse weights of float32 are refused"
    ),
    ("MAX_POOL_2D", "FLOAT32"): _NO_WINDOWS,
    ("MEAN", "FLOAT32"): _NO_SUMS,
    ("PRELU", "FLOAT32"): {Outcome.DIED: "tensorflow 2.21.0 dies of tensors of no numbers"},
    ("REDUCE_MAX", "FLOAT32"): _NO_SUMS,
    ("REDUCE_MIN", "FLOAT32"): _NO_SUMS,
    ("SOFTMAX", "FLOAT32"): {
        Outcome.DIED: "tensorflow 2.21.0 dies of rows of no numbers",
        Outcome.BOTH_REFUSE: "XNNPACK refuses rows of no numbers",
    },
    ("SUM", "FLOAT32"): _NO_SUMS,
    **dict.fromkeys(
        [("TRANSPOSE_CONV", v) for v in ("FLOAT32", "INT16", "INT8", "INT8xUINT8", "UINT8", "UINT8xINT8")], _BEYOND
    ),
    **{
        ("BATCH_MATMUL", type): {
            Outcome.ONLY_THEIRS: _NAN_OR_NOTHING,
            Outcome.DIED: "tensorflow 2.21.0 dies of constant matrices",
        }
        for type in ("INT8", "FLOAT32 hybrid INT8")
    },
    **{
        (operator, f"FLOAT32 hybrid {type}"): {Outcome.ONLY_THEIRS: _NAN_OR_NOTHING}
        for operator in ("CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
        for type in ("INT8", "INT4", "INT2")
    },
    ("FULLY_CONNECTED", "FLOAT32 hybrid INT4 blockwise"): {Outcome.ONLY_THEIRS: "no kernel for blockwise scales"},
    **{
        ("FULLY_CONNECTED", variant): {
            Outcome.ONLY_THEIRS: "XNNPACK takes stored values of sparse weights for all and reads beyond them"
        }
        for variant in ("INT8 sparse", "FLOAT32 hybrid sparse INT8")
    },
    **{
        ("DEPTHWISE_CONV_2D", type): {Outcome.DIED: "tensorflow 2.21.0 dies without a bias", **_BEYOND_32_BITS}
        for type in _INTEGERS
    },
    **{("MAX_POOL_2D", type): _NO_WINDOWS for type in _INTEGERS},
    **{
        ("QUANTIZE", f"{types} oddly quantized"): {
            Outcome.DIED: "tensorflow 2.21.0 dies when its delegate looks at scales or zero points that are none"
        }
        for types in ("INT8 to UINT8", "UINT8 to INT8")
    },
    **{(operator, type): _NO_SUMS for operator in ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN") for type in _INTEGERS},
}


def _refused(reason: str) -> Mapping[Outcome, str]:
    return {Outcome.ONLY_THEIRS: reason}


_NO_TYPES = "types that no array of TFLite Micro's Python package has"
_SPARSE = _refused("TFLite Micro reads the stored values of sparse weights as if they were all")
_SCALARS = _refused("TFLite Micro copies numbers from a tensor of one shape to one of another, such as (1,) and ()")
_SIZES = _refused("TFLite Micro damages its memory where a variable has more or fewer numbers than the output")
_NEAR_ZERO = _refused("TFLite Micro shifts by more bits than there are, for very small and very large scales")
_INDICES = _refused("TFLite Micro takes indices of another type for int32, whatever numbers that gives")
_MICRO: Expected = {
    **{("ASSIGN_VARIABLE", type.name): _SIZES for type in TensorType},
    **{("READ_VARIABLE", type.name): _SIZES for type in TensorType},
    **{(operator, type.name): _SCALARS for operator in ("IF", "WHILE") for type in TensorType},
    **{
        (operator, f"{type} sparse"): _SPARSE
        for operator in ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D")
        for type in ("FLOAT32", "INT8")
    },
    **{
        ("DEPTHWISE_CONV_2D", variant): _refused("TFLite Micro believes a depth_multiplier that is wrong")
        for variant in ("FLOAT32", "INT8", "INT8xINT4")
    },
    **{
        ("CONCATENATION", type.name): _refused(
            "TFLite Micro gives whatever is in its memory for tensors of no dimension"
        )
        for type in TensorType
    },
    ("GREATER", "INT16"): _refused("TFLite Micro compares int16 numbers by scales that it never sets"),
    ("MUL", "INT16 to UINT8"): _refused("TFLite Micro writes int16 numbers to an output of 8 bits"),
    ("MUL", "INT16 to INT8"): _refused("TFLite Micro writes int16 numbers to an output of 8 bits"),
    **{
        ("SPACE_TO_BATCH_ND", type): _refused("TFLite Micro fills paddings with whatever is in its memory")
        for type in ("FLOAT32", "INT8")
    },
    **{
        ("STRIDED_SLICE", type.name): _refused("TFLite Micro does not look at ellipses, new dimensions and lengths")
        for type in TensorType
    },
    ("TANH", "INT8"): _NEAR_ZERO,
    ("TANH", "INT8 oddly quantized"): _NEAR_ZERO,
    ("LOGISTIC", "INT8"): _NEAR_ZERO,
    ("TFLite_Detection_PostProcess", "FLOAT32"): _refused("TFLite Micro leaves rows beyond the last detection unset"),
    **{
        ("UNIDIRECTIONAL_SEQUENCE_LSTM", f"FLOAT32 hybrid {type}"): _refused(
            "TFLite Micro reads weights of 8 bits as if they were float32, beyond their end"
        )
        for type in ("INT8", "UINT8")
    },
    ("TRANSPOSE_CONV", "INT16"): _refused("TFLite Micro reads a bias of int32 as one of int64"),
    **{
        (operator, type): _INDICES
        for operator in ("PAD", "PADV2", "SPLIT", "SPLIT_V")
        for type in ("FLOAT32", "INT8", "INT16", "INT32")
    },
    **{(operator, "UINT16"): _refused(_NO_TYPES) for operator in ("BROADCAST_TO", "IF", "WHILE", "SQUEEZE", "RESHAPE")},
    **{("SHAPE", type): _refused(_NO_TYPES) for type in ("UINT16", "BFLOAT16")},
    **{(operator, "INT4"): _refused(_NO_TYPES) for operator in ("IF", "WHILE", "SQUEEZE", "RESHAPE", "SHAPE")},
    **{
        ("VAR_HANDLE", type): {Outcome.ONLY_OURS: "TFLite Micro's Python package counts the variables wrongly"}
        for type in ("INT32", "RESOURCE")
    },
}

#: what may come of any family
ALWAYS: Mapping[str, Mapping[Outcome, str]] = {
    "micro": {
        Outcome.BOTH_REFUSE: "TFLite Micro has no kernel for these types, shapes or constants",
        Outcome.DIED: "TFLite Micro aborts where a check in one of its kernels fails",
    },
    "xnnpack": {Outcome.BOTH_REFUSE: "the delegate takes operators that XNNPACK refuses when tensors are allocated"},
}

EXPECTED: Mapping[str, Expected] = {"optimized": _OPTIMIZED, "xnnpack": _XNNPACK, "micro": _MICRO}


def _has_shapes_of_micro(operator: str, model: Model) -> bool:
    """Whether no tensor has more than 6 dimensions: with more TFLite Micro writes beyond its own shapes."""
    tensors = [tensor for subgraph in model.subgraphs for tensor in subgraph.tensors or ()]
    return all(tensor.shape is None or len(tensor.shape) <= 6 for tensor in tensors)


#: which cases of an operator a profile runs; all where there is no entry
TAKES: Mapping[str, Callable[[str, Model], bool]] = {"micro": _has_shapes_of_micro}
