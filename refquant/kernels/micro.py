"""What TFLite Micro takes: the operators of its Python package, the types and the constants that its kernels ask for.

Micro plans no shapes: it takes those in the file. Its kernels are those of TensorFlow's reference profile but for those
registered under the profile's name. Sources: python/tflite_micro/python_ops_resolver.cc and the Prepare and Eval of
each kernel below tensorflow/lite/micro/kernels; `refquant verify --kernels micro` asks the real one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from refquant.kernels import registry
from refquant.kernels.registry import Operator, TensorInfo
from refquant.tflite.schema import TensorType

Types = tuple[TensorType, ...]

_F32, _BOOL = TensorType.FLOAT32, TensorType.BOOL
_I4, _I8, _I16, _I32, _I64 = TensorType.INT4, TensorType.INT8, TensorType.INT16, TensorType.INT32, TensorType.INT64
_U8, _U32, _U64 = TensorType.UINT8, TensorType.UINT32, TensorType.UINT64
_INDEX: Types = (_I32, _I64)
_FLOAT: Types = (_F32,)
_8_BITS: Types = (_F32, _I8)
_16_BITS: Types = (_F32, _I8, _I16)
_32_BITS: Types = (_F32, _I8, _I16, _I32)
_64_BITS: Types = (_F32, _I8, _I16, _I32, _I64)
_CASTS: Types = (_F32, _I8, _I16, _I32, _U32, _BOOL)
#: types that inputs and outputs of a model can have
_ANY: Types = (
    *_64_BITS, _U8, _U32, _U64, _BOOL, TensorType.FLOAT16, TensorType.FLOAT64, TensorType.COMPLEX64,
    TensorType.COMPLEX128,
)  # fmt: skip
_HANDLES: Types = (TensorType.RESOURCE, _I32)
_KNOWN: Types = (*_ANY, TensorType.RESOURCE)


@dataclass(frozen=True, slots=True)
class Taken:
    """Which tensors an operator takes: for each input and output its types, all where none are given.

    `constants` are the positions of inputs that must be constants, `most` is the largest number of dimensions of any
    tensor.
    """

    inputs: tuple[Types, ...]
    outputs: tuple[Types, ...] = ()
    constants: tuple[int, ...] = ()
    most: int = 6


def _of(types: Types, *others: Types, constants: tuple[int, ...] = (), most: int = 6) -> Taken:
    return Taken((types, *others), constants=constants, most=most)


_BOTH_BOOL = Taken((_BOTH := (_BOOL,), _BOTH), (_BOTH,))
_COMPARED: Types = (_F32, _I8, _I32, _I64)

#: the operators that TFLite Micro has
TAKEN: Mapping[str, Taken] = {
    "ABS": _of(_16_BITS),
    "ADD": _of(_32_BITS),
    "ADD_N": _of(_8_BITS),
    **dict.fromkeys(("ARG_MAX", "ARG_MIN"), Taken((_8_BITS, (_I32,)), ((_I32,),))),
    "ASSIGN_VARIABLE": _of(_HANDLES, _ANY),
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D"), _of(_16_BITS)),
    "BATCH_MATMUL": Taken((_16_BITS, _16_BITS), (_16_BITS,), most=5),
    "BATCH_TO_SPACE_ND": _of(_8_BITS, (_I32,), (_I32,)),
    "BROADCAST_ARGS": _of(_INDEX, _INDEX),
    "BROADCAST_TO": _of(_ANY, _INDEX, constants=(1,), most=5),
    "CALL_ONCE": Taken(()),
    "CAST": Taken((_CASTS,), (_CASTS,)),
    **dict.fromkeys(("CEIL", "COS", "EXP", "FLOOR", "LOG", "NEG", "ROUND", "SIN", "SQRT", "SQUARE"), _of(_FLOAT)),
    "CONCATENATION": _of((*_64_BITS, _BOOL)),
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"), _of(_16_BITS, (_F32, _I8, _I4))),
    "CUMSUM": _of(_8_BITS, (_I32,)),
    **dict.fromkeys(("DEPTH_TO_SPACE", "SPACE_TO_DEPTH"), _of(_8_BITS)),
    "DEQUANTIZE": _of((_I8, _U8, _I16)),
    "DIV": _of((_F32, _I8, _I32)),
    "DYNAMIC_UPDATE_SLICE": _of(_32_BITS, _32_BITS, _INDEX),
    "ELU": _of(_8_BITS),
    "EMBEDDING_LOOKUP": _of((_I32,), _8_BITS),
    **dict.fromkeys(("EQUAL", "NOT_EQUAL"), _of((*_COMPARED, _BOOL))),
    **dict.fromkeys(("GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL"), _of(_COMPARED)),
    "EXPAND_DIMS": _of(_16_BITS, (_I32,), constants=(1,)),
    "FILL": _of((_I8, _I16, _I32, _I64), (_F32, _I8, _I32), constants=(0,)),
    **dict.fromkeys(("FLOOR_DIV", "FLOOR_MOD"), _of(_FLOAT)),
    **dict.fromkeys(("GATHER", "GATHER_ND"), _of(_8_BITS, (_I32,))),
    "HARD_SWISH": _of(_8_BITS),
    "IF": _of((_BOOL,)),
    **dict.fromkeys(("L2_NORMALIZATION", "LOG_SOFTMAX"), _of(_8_BITS)),
    "L2_POOL_2D": _of(_FLOAT),
    **dict.fromkeys(("LEAKY_RELU", "LOGISTIC", "RELU", "RELU6", "RSQRT", "TANH"), _of(_16_BITS)),
    **dict.fromkeys(("LOGICAL_AND", "LOGICAL_OR"), _BOTH_BOOL),
    "LOGICAL_NOT": _of((_BOOL,)),
    **dict.fromkeys(("MAXIMUM", "MINIMUM"), _of(_64_BITS)),
    **dict.fromkeys(("MEAN", "SUM"), _of(_16_BITS, (_I32,))),
    "MIRROR_PAD": _of(_8_BITS, _INDEX),
    "MUL": Taken((_32_BITS, _32_BITS), (_32_BITS,)),
    "PACK": _of(_64_BITS),
    **dict.fromkeys(("PAD", "PADV2"), _of(_32_BITS, (_I32,), constants=(1,))),
    "PRELU": _of(_16_BITS, most=4),
    "QUANTIZE": Taken(((_F32, _I8, _U8, _I16, _I32),), ((_I8, _U8, _I16, _I32),)),
    "READ_VARIABLE": Taken((_HANDLES,), (_ANY,)),
    "REDUCE_ALL": _of((_BOOL,), (_I32,)),
    **dict.fromkeys(("REDUCE_MAX", "REDUCE_MIN"), _of(_8_BITS, (_I32,))),
    "RESHAPE": _of(_ANY, (_I32,)),
    "RESIZE_BILINEAR": _of(_8_BITS, (_I32,), constants=(1,)),
    "RESIZE_NEAREST_NEIGHBOR": _of(_16_BITS, (_I32,), constants=(1,)),
    "REVERSE_V2": _of((*_64_BITS, _U8, _BOOL), (_I32,)),
    "SELECT_V2": _of((_BOOL,), _16_BITS, _16_BITS),
    "SHAPE": Taken((_ANY,), ((_I32,),)),
    "SLICE": _of((*_32_BITS, _BOOL), _INDEX, _INDEX, most=5),
    "SOFTMAX": _of(_16_BITS),
    "SPACE_TO_BATCH_ND": _of(_8_BITS, (_I32,), (_I32,)),
    "SPLIT": _of((_I32,), _32_BITS, constants=(0,)),
    "SPLIT_V": _of(_32_BITS, (_I32,), (_I32,), constants=(2,)),
    "SQUARED_DIFFERENCE": _of(_32_BITS),
    "SQUEEZE": _of(_ANY),
    "STRIDED_SLICE": _of((*_32_BITS, _BOOL), (_I32,), (_I32,), (_I32,), constants=(1, 2, 3), most=4),
    "SUB": _of(_32_BITS),
    "SVDF": _of(_8_BITS),
    "TRANSPOSE": _of(_16_BITS, (_I32,), constants=(1,), most=5),
    "TRANSPOSE_CONV": _of((_I32,), (_F32, _I8), _16_BITS),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _of(_16_BITS),
    "UNPACK": _of(_32_BITS),
    "VAR_HANDLE": Taken((), (_HANDLES,)),
    "WHILE": Taken(()),
    "ZEROS_LIKE": _of((_F32, _I8, _I32, _I64)),
}

#: custom operators that refquant has and Micro has not
_NOT_IN_MICRO = frozenset(("AudioSpectrogram", "Mfcc", "NumericVerify"))

Condition = Callable[[Operator], bool]


def check_taken(op: Operator) -> None:
    """Raises UnsupportedOperatorError, naming the reason, where TFLite Micro has no kernel for what `op` asks for."""
    if op.is_custom:
        if op.name in _NOT_IN_MICRO and not registry.is_registered(op.name):
            raise op.unsupported("TFLite Micro does not have this operator: no kernel")
        return
    if op.name not in TAKEN:
        raise op.unsupported("TFLite Micro does not have this operator: no kernel")
    taken = TAKEN[op.name]
    for tensors, types in ((op.inputs, taken.inputs), (op.outputs, taken.outputs)):
        for tensor, allowed in zip(tensors, types):
            if tensor is not None and tensor.type not in allowed:
                raise op.unsupported(f"{tensor.place} is {tensor.type.name}, TFLite Micro takes {_named(allowed)}")
    for tensor in (*op.inputs, *op.outputs):
        if tensor is not None:
            _check_tensor(op, tensor, taken.most)
    for position in taken.constants:
        value = op.input(position).value
        if value is None or not value.size:
            raise op.unsupported(f"input {position} is not constant, as TFLite Micro wants it,")
    for tensor in op.intermediates:
        if prod(tensor.declared):
            raise op.unsupported(
                f"{tensor.place}, an intermediate one, has numbers, which TFLite Micro does not allow,"
            )
    for holds, reason in _CONDITIONS.get(op.name, ()):
        if not holds(op):
            raise op.unsupported(f"TFLite Micro takes {reason} only: no kernel")


def check_shapes(op: Operator) -> None:
    """Raises UnsupportedOperatorError where a planned output has another shape than the file says, or no numbers.

    An output whose shape depends on data gets that in the file. Kernels of the user's may do as they like.
    """
    if op.is_custom and registry.is_registered(op.name):
        return
    for output in op.outputs:
        if output.shape is None:
            output.shape = output.declared
        if output.shape != output.declared:
            raise op.unsupported(
                f"{output.place} has shape {output.declared} in the file, which TFLite Micro takes, instead of "
                f"{output.shape}: no kernel"
            )
        if 0 in output.shape and output.shape != (0,):
            raise op.unsupported(f"{output.place} has no numbers, which TFLite Micro does not allow,")


def _check_tensor(op: Operator, tensor: TensorInfo, most: int) -> None:
    if tensor.is_sparse or tensor.blocks is not None:
        raise op.unsupported(f"{tensor.place} is sparse or quantized in blocks, at which TFLite Micro does not look,")
    if len(tensor.declared) > most:
        raise op.unsupported(f"{tensor.place} has {len(tensor.declared)} dimensions, TFLite Micro takes up to {most}:")
    if tensor.type not in _KNOWN and (tensor.type != _I4 or tensor.value is None):
        raise op.unsupported(f"{tensor.place} is {tensor.type.name}, which TFLite Micro does not take here,")


def _named(types: Collection[TensorType]) -> str:
    return ", ".join(type.name for type in types)


def _weights_fit(op: Operator) -> bool:
    weights = {_F32: (_F32,), _I8: (_I8, _I4), _I16: (_I8,)}[op.input(0).type]
    return op.input(1).type in weights and op.output().type == op.input(0).type


def _of_one_type(op: Operator) -> bool:
    return len({tensor.type for tensor in (*op.inputs, *op.outputs) if tensor is not None}) == 1


def _multiplies_depth(op: Operator) -> bool:
    """The kernels believe depth_multiplier."""
    x, w = op.input(0), op.input(1)
    return bool(x.dims and w.dims and op.options.depth_multiplier * x.dims[-1] == w.dims[-1])


def _scales_below_one(op: Operator) -> bool:
    """Where multipliers are not below 1 the real kernel aborts."""
    return op.input(0).type != _I8 or all(op.input(i).params[0] < 1 for i in (0, 1))


def _int32_without_scale(op: Operator) -> bool:
    return op.input(0).type != _I32 or not any(op.input(i).is_quantized for i in (0, 1))


def _one_scale(op: Operator) -> bool:
    return op.output().scales.size == 1


def _counts_from_the_front(op: Operator) -> bool:
    value = op.input(1).value
    return value is not None and not np.any(value < 0)


def _has_wide_bias(op: Operator) -> bool:
    bias = op.optional_input(3)
    return op.input(2).type != _I16 or bias is None or bias.type == _I64


def _softmax_fits(op: Operator) -> bool:
    """Of int8 a probability has one of two scales."""
    x, out = op.input(0), op.output()
    scale, zero_point = out.params
    if x.type != _I8:
        return True
    if out.type == _I8:
        return bool(scale == 1 / 256) and zero_point == -128
    return bool(abs(scale - np.float32(2**-16)) <= np.float32(0.001 * 2**-16)) and zero_point == -32768


_ALIKE = (_of_one_type, "tensors of one type")
_WEIGHTS = (_weights_fit, "float32, int8 with weights of int8 or int4, and int16 with weights of int8")
_COMPARING = ((_scales_below_one, "int8 scales below 1"),)
_PLAIN_INT32 = ((_int32_without_scale, "int32 without a scale"),)


def _has_no_new_axis(op: Operator) -> bool:
    options = op.options
    return options is None or not (options.ellipsis_mask or options.new_axis_mask or options.offset)


#: what else must hold for an operator, and how it is said
_CONDITIONS: Mapping[str, tuple[tuple[Condition, str], ...]] = {
    "ADD": _PLAIN_INT32,
    "BATCH_MATMUL": (_ALIKE,),
    "CONCATENATION": (
        (lambda op: len(op.inputs) <= 10, "up to ten tensors"),
        (lambda op: all(op.input(i).dims != () for i in range(len(op.inputs))), "tensors of one dimension or more"),
        (lambda op: op.options.fused_activation_function == 0, "no activation"),
    ),
    "CONV_2D": (_WEIGHTS,),
    "DEPTHWISE_CONV_2D": (_WEIGHTS, (_multiplies_depth, "the depth_multiplier of its filters")),
    "DIV": _PLAIN_INT32,
    "DYNAMIC_UPDATE_SLICE": ((lambda op: op.input(0).dims != (), "tensors of one dimension or more"),),
    **dict.fromkeys(("EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL"), _COMPARING),
    "FULLY_CONNECTED": (
        _WEIGHTS,
        (lambda op: op.input(1).type != _I4 or op.input(1).scales.size == 1, "int4 weights with one scale"),
    ),
    "QUANTIZE": ((_one_scale, "an output with one scale"),),
    "SOFTMAX": ((_softmax_fits, "int8 to int8 of 1/256 from -128 on, or to int16 of 1/65536 from -32768 on"),),
    "STRIDED_SLICE": (
        (lambda op: op.input(1).dims == (len(op.input(0).dims),), "an entry for each dimension"),
        (_has_no_new_axis, "no ellipsis, new dimensions or lengths"),
    ),
    "SUB": _PLAIN_INT32,
    "TRANSPOSE": ((_counts_from_the_front, "permutations that count from the front"),),
    "TRANSPOSE_CONV": (
        (lambda op: op.input(1).type == (_I8 if op.input(2).type == _I16 else op.input(2).type), "filters of one type"),
        (_has_wide_bias, "int16 with a bias of int64"),
    ),
}
