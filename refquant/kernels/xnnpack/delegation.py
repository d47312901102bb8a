"""Which operators of a subgraph XNNPACK takes: the delegate's rules, by types, declared shapes, scales and options.

The delegate looks at a subgraph once, before any shape is computed: it sees the shapes of the file (of inputs: those
they were resized to), and constants. What DEQUANTIZE and DENSIFY make of constants is a constant to it as well, and
such operators are taken where nobody but operators that are taken reads them.

Source: tflite/delegates/xnnpack/xnnpack_delegate.cc, PrepareOpsToDelegate and the Visit… functions, with the flags that
the Python wheel sets: signed and unsigned 8-bit types, variables, and no FULLY_CONNECTED with computed weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from refquant.kernels.registry import Operator, Shape, TensorInfo
from refquant.tflite.schema import ActivationFunctionType, FullyConnectedOptionsWeightsFormat, Padding, TensorType

_FLOAT16, _FLOAT32, _INT8, _UINT8 = TensorType.FLOAT16, TensorType.FLOAT32, TensorType.INT8, TensorType.UINT8
_INT2, _INT4, _INT32, _INT64 = TensorType.INT2, TensorType.INT4, TensorType.INT32, TensorType.INT64
_FLOATS = (_FLOAT16, _FLOAT32)
_MOST_DIMENSIONS = 6
_SMALLEST_NORMAL = float(np.finfo(np.float32).tiny)
_ACTIVATIONS = (
    ActivationFunctionType.NONE,
    ActivationFunctionType.RELU,
    ActivationFunctionType.RELU_N1_TO_1,
    ActivationFunctionType.RELU6,
)


class Subgraph:
    """The operators of a subgraph and what the delegate has noticed so far about their tensors."""

    def __init__(self, operators: Sequence[Operator]) -> None:
        self.operators = operators
        self.unpacked: dict[int, int] = {}  # tensor made of a constant: the operator that makes it
        self.halves: set[int] = set()  # those of them that stay float16
        self.variables: dict[int, _Variable] = {}

    def is_fixed(self, tensor: TensorInfo) -> bool:
        """Whether it is a constant, or made of one."""
        return is_constant(tensor) or tensor.index in self.unpacked

    def type_of(self, tensor: TensorInfo) -> TensorType:
        """The type that the delegate sees."""
        return _FLOAT16 if tensor.index in self.halves else tensor.type


class _Variable:
    """A resource: the operator that names it, and the first tensor that is read from it or written to it."""

    def __init__(self, handle: int) -> None:
        self.handle = handle
        self.like: TensorInfo | None = None

    def takes(self, tensor: TensorInfo) -> bool:
        if self.like is None:
            self.like = tensor
        return self.like.type == tensor.type and self.like.dims == tensor.dims


Rule = Callable[[Operator, Subgraph], bool]
_RULES: dict[str, Rule] = {}


@dataclass(frozen=True, slots=True)
class Delegation:
    """The positions of the operators that XNNPACK takes: those that it `computes`, and those that make numbers of
    constants, which the delegate itself unpacks when it is applied, with the kernels that TensorFlow has for them.
    """

    computes: Collection[int]
    unpacks: Collection[int]

    @property
    def takes(self) -> set[int]:
        """All of them."""
        return {*self.computes, *self.unpacks}


def delegated(operators: Sequence[Operator]) -> Delegation:
    """What XNNPACK takes of a subgraph; called when the shapes of all tensors are those of the file."""
    subgraph = Subgraph(operators)
    unpackers: set[int] = set()
    found: set[int] = set()
    for position, op in enumerate(operators):
        if _unpacks(op, subgraph):
            unpackers.add(position)
            subgraph.unpacked[op.output().index] = position
            if op.name == "DEQUANTIZE" and op.input(0).type == _FLOAT16 and _feeds_products(op, subgraph):
                subgraph.halves.add(op.output().index)
        elif op.name == "VAR_HANDLE":
            subgraph.variables[op.output().index] = _Variable(position)
        elif _is_composite(op) or (not op.is_custom and op.name in _RULES and _RULES[op.name](op, subgraph)):
            found.add(position)
        else:
            for tensor in op.inputs:
                if tensor is not None and tensor.index in subgraph.unpacked:
                    unpackers.discard(subgraph.unpacked[tensor.index])
    handles = {variable.handle for variable in subgraph.variables.values() if variable.like is not None}
    return Delegation(found | handles, unpackers)


#: composites and custom operators that the delegate has kernels for, whatever their tensors
_COMPOSITES = ("odml.scaled_dot_product_attention",)
_CUSTOM = (*_COMPOSITES, "Convolution2DTransposeBias", "MaxPoolingWithArgmax2D", "MaxUnpooling2D")


def _is_composite(op: Operator) -> bool:
    if op.is_custom:
        return op.name in _CUSTOM
    return op.name == "STABLEHLO_COMPOSITE" and getattr(op.options, "name", None) in _COMPOSITES


def _rule(*names: str) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        _RULES.update(dict.fromkeys(names, rule))
        return rule

    return register


def is_constant(tensor: TensorInfo) -> bool:
    """Whether the file holds its value, if only that of a tensor of no elements."""
    return tensor.value is not None


def _unpacks(op: Operator, subgraph: Subgraph) -> bool:
    """Whether it makes numbers of a constant that the delegate unpacks when it is applied."""
    if len(op.inputs) != 1 or len(op.outputs) != 1:
        return False
    x, y = op.input(0), op.output()
    if op.name == "DEQUANTIZE":
        is_known = x.type == _FLOAT16 or (x.type == _INT8 and x.is_quantized)
        return is_known and not x.is_sparse and subgraph.is_fixed(x) and y.type == _FLOAT32
    return (
        op.name == "DENSIFY"
        and is_constant(x)
        and x.is_sparse
        and x.type in (_FLOAT16, _INT8, _FLOAT32)
        and y.type == x.type
    )


def _feeds_products(op: Operator, subgraph: Subgraph) -> bool:
    """Whether only layers read it, and as weights or bias: these take float16 themselves."""
    index = op.output().index
    readers = [reader for reader in subgraph.operators for t in reader.inputs if t is not None and t.index == index]
    return all(
        reader.name in ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D") and reader.input(0).index != index
        for reader in readers
    )


# What the rules ask of tensors


def _has_scale(tensor: TensorInfo) -> bool:
    """Whether an 8-bit tensor has one scale."""
    return tensor.scales.size == 1 and tensor.quantized_dimension == 0


def _is_8bit(tensor: TensorInfo) -> bool:
    return tensor.type in (_INT8, _UINT8) and _has_scale(tensor)


def _is_number(tensor: TensorInfo) -> bool:
    """Float32, or 8-bit with one scale."""
    return tensor.type == _FLOAT32 or _is_8bit(tensor)


def _is_float(*tensors: TensorInfo) -> bool:
    return all(tensor.type == _FLOAT32 for tensor in tensors)


def _has_rank(tensor: TensorInfo, least: int, most: int = _MOST_DIMENSIONS) -> bool:
    """Whether it has so many dimensions, none of them empty."""
    return least <= len(tensor.dims) <= most and all(n > 0 for n in tensor.dims)


def _is_normal(*numbers: float | np.float32) -> bool:
    return all(math.isfinite(n) and abs(float(n)) >= _SMALLEST_NORMAL for n in numbers)


def _has_valid_scales(tensor: TensorInfo, least: int, most: int) -> bool:
    scales = tensor.scales
    zero_point = int(tensor.zero_points[0])
    return least <= zero_point <= most and bool(np.all(scales > 0)) and _is_normal(*scales)


def _is_filter(tensor: TensorInfo, channel: int) -> bool:
    """Whether its scales are those of a filter: one, or of int8 one for each index of dimension `channel`."""
    if tensor.type == _FLOAT32:
        return True
    if tensor.type == _UINT8:
        return _has_scale(tensor) and _has_valid_scales(tensor, 0, 255)
    if tensor.type != _INT8 or not tensor.is_quantized:
        return False
    per_channel = tensor.scales.size > 1
    return not (per_channel and tensor.quantized_dimension != channel) and _has_valid_scales(tensor, -128, 127)


def _is_bias(tensor: TensorInfo) -> bool:
    if tensor.type in _FLOATS:
        return True
    is_quantized = tensor.type == _INT32 and tensor.is_quantized and tensor.quantized_dimension == 0
    return is_quantized and _has_valid_scales(tensor, 0, 0)


def _has_types_alike(filter: TensorInfo, bias: TensorInfo, subgraph: Subgraph) -> bool:
    type = subgraph.type_of(filter)
    return type not in _FLOATS or type == subgraph.type_of(bias)


def _has_activation(op: Operator) -> bool:
    return op.options is None or op.options.fused_activation_function in _ACTIVATIONS


def _is_vector(tensor: TensorInfo, *types: TensorType) -> bool:
    """Whether it is a constant with one dimension, of one of these types."""
    return tensor.type in (types or (_INT32,)) and len(tensor.dims) == 1 and is_constant(tensor)


def _has_counts(op: Operator, inputs: int | tuple[int, int], outputs: int | tuple[int, int] = 1) -> bool:
    """Whether it has so many inputs and outputs, where a pair is the least and the most."""
    (a, b), (c, d) = (n if isinstance(n, tuple) else (n, n) for n in (inputs, outputs))
    return a <= len(op.inputs) <= b and c <= len(op.outputs) <= d


def _ratio(x: TensorInfo, y: TensorInfo) -> np.float32:
    with np.errstate(all="ignore"):
        return np.float32(x.scales[0] / y.scales[0])


# The rules


@_rule(
    *"ABS CEIL COS EXP FLOOR GELU HARD_SWISH NEG RELU_N1_TO_1 RELU RELU6 ROUND RSQRT SIN SQRT SQUARE".split(),
    *"DEQUANTIZE ELU LOGISTIC TANH LEAKY_RELU QUANTIZE".split(),
)
def _unary(op: Operator, subgraph: Subgraph) -> bool:
    if not _has_counts(op, 1) or not _has_rank(op.input(0), 0):
        return False
    x, y = op.input(0), op.output()
    match op.name:
        case "DEQUANTIZE":
            return _is_8bit(x) and _is_float(y)
        case "ELU":
            return _is_number(x) and _is_number(y) and _UINT8 not in (x.type, y.type)
        case "LOGISTIC" | "TANH":
            return _is_number(x) and _is_number(y)
        case "LEAKY_RELU":
            return _is_number(x) and _is_number(y) and _has_slopes(op.options.alpha, x, y)
        case "QUANTIZE":
            return _is_number(x) and _is_8bit(y) and (_is_float(x) or _rescales(x, y))
        case _:
            return x.type in _FLOATS and y.type in _FLOATS


def _has_slopes(alpha: float, x: TensorInfo, y: TensorInfo) -> bool:
    """Whether the factors of LEAKY_RELU, above and below zero, are such as XNNPACK has."""
    if not _is_normal(alpha):
        return False
    if not (_is_8bit(x) and _is_8bit(y) and _is_normal(x.scales[0], y.scales[0])):
        return True
    above = _ratio(x, y)
    below = above * np.float32(alpha)
    return bool(1 / 256 <= above <= 128 and -127.99609375 <= below <= 128 and abs(below) >= 1 / 256)


def _rescales(x: TensorInfo, y: TensorInfo) -> bool:
    return x.type == y.type and bool(1 / 256 <= _ratio(x, y) <= 128)


@_rule(*"ADD SUB MUL DIV MAXIMUM MINIMUM PRELU SQUARED_DIFFERENCE".split())
def _binary(op: Operator, subgraph: Subgraph) -> bool:
    if not _has_counts(op, 2):
        return False
    a, b, y = op.input(0), op.input(1), op.output()
    if not (_has_rank(a, 0) and _has_rank(b, 0)):
        return False
    if op.name in ("ADD", "SUB", "MUL"):
        is_valid = all(map(_is_number, (a, b, y))) and a.type == b.type == y.type
        return is_valid and (_is_float(a) or _has_factors(op, a, b, y)) and _has_activation(op)
    is_valid = _is_float(a, b, y)
    if op.name == "PRELU":
        return is_valid and subgraph.is_fixed(b)
    return is_valid and (op.name != "DIV" or _has_activation(op))


def _has_factors(op: Operator, a: TensorInfo, b: TensorInfo, y: TensorInfo) -> bool:
    """Whether the scales of the summands or the product are not too far from that of the output."""
    if op.name != "MUL":
        return all(1 / 1024 <= _ratio(x, y) < 256 for x in (a, b))
    with np.errstate(all="ignore"):
        factor = a.scales[0] * b.scales[0] / y.scales[0]
    return bool(1 / 65536 <= factor < 256)


@_rule("CONV_2D", "DEPTHWISE_CONV_2D")
def _convolution(op: Operator, subgraph: Subgraph) -> bool:
    if not _has_counts(op, 3) or op.inputs[2] is None:
        return False
    x, filter, bias, y = op.input(0), op.input(1), op.input(2), op.output()
    depthwise = op.name == "DEPTHWISE_CONV_2D"
    dynamic = not depthwise and x.type == _FLOAT32 and filter.type == _INT8
    return (
        _has_positive(op, "stride_w", "stride_h", "dilation_w_factor", "dilation_h_factor")
        and _is_number(x)
        and _is_number(y)
        and _is_filter(filter, channel=3 if depthwise else 0)
        and all(_has_rank(tensor, 4, 4) for tensor in (x, filter, y))
        and _has_rank(bias, 1, 1)
        and subgraph.is_fixed(filter)
        and subgraph.is_fixed(bias)
        and _is_bias(bias)
        and _has_types_alike(filter, bias, subgraph)
        and x.type == y.type
        and (x.type == filter.type or dynamic)
        and (_has_multiplier(op, filter) if depthwise else x.dims[3] >= filter.dims[3])
        and _has_activation(op)
    )


def _has_positive(op: Operator, *names: str) -> bool:
    return all(getattr(op.options, name) > 0 for name in names)


def _has_multiplier(op: Operator, filter: TensorInfo) -> bool:
    return op.options.depth_multiplier > 0 and filter.dims[3] % op.options.depth_multiplier == 0


@_rule("FULLY_CONNECTED")
def _fully_connected(op: Operator, subgraph: Subgraph) -> bool:
    if not _has_counts(op, (2, 3)) or op.version == 8:
        return False
    x, filter, bias, y = op.input(0), op.input(1), op.optional_input(2), op.output()
    packed = (_INT2, _INT4, _INT8)
    return (
        op.options.weights_format == FullyConnectedOptionsWeightsFormat.DEFAULT
        and _is_number(x)
        and _is_number(y)
        and _has_rank(filter, 2, 2)
        and _is_matrix(filter)
        and subgraph.is_fixed(filter)
        and (bias is None or _is_bias_of(filter, bias, subgraph))
        and x.type == y.type
        and (x.type == filter.type or (x.type in (_FLOAT32, _INT8) and filter.type in packed))
        and filter.dims[1] % {_INT4: 2, _INT2: 4}.get(filter.type, 1) == 0
        and _has_activation(op)
    )


def _is_matrix(tensor: TensorInfo) -> bool:
    """Whether weights of FULLY_CONNECTED have a type and scales that XNNPACK takes."""
    if tensor.type in _FLOATS:
        return True
    if tensor.type == _UINT8:
        return _has_scale(tensor)
    if tensor.type not in (_INT2, _INT4, _INT8):
        return False
    if tensor.blocks is not None:
        return tensor.blocks.size % 32 == 0
    if not tensor.is_quantized:
        return True
    if tensor.scales.size > 1 and tensor.quantized_dimension != 0:
        return False
    return tensor.type == _INT8 or tensor.scales.size == tensor.dims[tensor.quantized_dimension]


def _is_bias_of(filter: TensorInfo, bias: TensorInfo, subgraph: Subgraph) -> bool:
    return (
        math.prod(bias.dims) == filter.dims[0]
        and _is_bias(bias)
        and subgraph.is_fixed(bias)
        and _has_types_alike(filter, bias, subgraph)
    )


@_rule("TRANSPOSE_CONV")
def _transpose_conv(op: Operator, subgraph: Subgraph) -> bool:
    if not _has_counts(op, (3, 4)):
        return False
    shape, filter, x, bias, y = op.input(0), op.input(1), op.input(2), op.optional_input(3), op.output()
    return (
        _is_vector(shape)
        and shape.dims == (4,)
        and all(_has_rank(tensor, 4, 4) for tensor in (x, filter, y))
        and subgraph.is_fixed(filter)
        and _is_number(x)
        and _is_number(y)
        and _is_filter(filter, channel=0)
        and (bias is None or (_is_bias(bias) and _has_rank(bias, 1, 1) and subgraph.is_fixed(bias)))
        and filter.dims[0] == shape.value[3]  # type: ignore[index]
        and filter.dims[3] == x.dims[3]
        and _has_paddings(op, x.dims, filter.dims, tuple(shape.value))  # type: ignore[arg-type]
        and _has_activation(op)
    )


def _has_paddings(op: Operator, x: Shape, filter: Shape, y: Shape) -> bool:
    """Whether XNNPACK has the paddings of TRANSPOSE_CONV for an output of shape `y`."""
    strides = (op.options.stride_h, op.options.stride_w)
    if op.options.padding == Padding.VALID:
        return all(filter[i] <= y[i] for i in (1, 2))
    return all(x[i] == -(-y[i] // s) and filter[i] >= s for i, s in zip((1, 2), strides))


@_rule("AVERAGE_POOL_2D", "MAX_POOL_2D")
def _pool(op: Operator, subgraph: Subgraph) -> bool:
    if not _has_counts(op, 1):
        return False
    x, y, options = op.input(0), op.output(), op.options
    filter, stride = (options.filter_height, options.filter_width), (options.stride_h, options.stride_w)
    return (
        (_is_float(x, y) if op.name == "AVERAGE_POOL_2D" else _is_number(x) and _is_number(y))
        and min(filter + stride) > 0
        and all(s <= f for s, f in zip(stride, filter))
        and _has_activation(op)
    )


@_rule("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN")
def _reduction(op: Operator, subgraph: Subgraph) -> bool:
    if not _has_counts(op, 2):
        return False
    axes = op.input(1)
    return (
        _is_number(op.input(0))
        and _is_number(op.output())
        and axes.type == _INT32
        and len(axes.dims) <= 1
        and is_constant(axes)
        and axes.dims != (0,)
    )


@_rule("BATCH_MATMUL")
def _batch_matmul(op: Operator, subgraph: Subgraph) -> bool:
    a, b, y = op.input(0), op.input(1), op.output()
    if not (_is_number(a) and _is_number(y) and len(b.dims) >= 2 and len(a.dims) >= 2):
        return False
    if not _is_filter(b, channel=len(b.dims) - (2 if op.options.adj_y else 1)):
        return False
    return (a.type == b.type and b.scales.size <= 1) or (a.type == _FLOAT32 and b.type == _INT8)


@_rule("SOFTMAX")
def _softmax(op: Operator, subgraph: Subgraph) -> bool:
    return _has_counts(op, 1) and op.options.beta == 1 and _is_float(op.input(0), op.output())


@_rule("CONCATENATION")
def _concatenation(op: Operator, subgraph: Subgraph) -> bool:
    if not _has_counts(op, (2, 5)):
        return False
    inputs, y = [op.input(i) for i in range(len(op.inputs))], op.output()
    return all(map(_is_number, (*inputs, y))) and (y.type != _UINT8 or all(x.params == y.params for x in inputs))


@_rule("SPLIT")
def _split(op: Operator, subgraph: Subgraph) -> bool:
    if not _has_counts(op, 2, (2, 4)):
        return False
    axis = op.input(0)
    return axis.type == _INT32 and is_constant(axis) and all(map(_is_number, (op.input(1), *op.outputs)))


@_rule("DEPTH_TO_SPACE", "SPACE_TO_DEPTH")
def _blocks(op: Operator, subgraph: Subgraph) -> bool:
    if not _has_counts(op, 1) or op.options.block_size <= 1:
        return False
    x, size = op.input(0), op.options.block_size
    fits = op.name == "DEPTH_TO_SPACE" or all(n % size == 0 for n in x.dims[1:3])
    return _is_number(x) and _is_number(op.output()) and fits


@_rule("PAD")
def _pad(op: Operator, subgraph: Subgraph) -> bool:
    if not _has_counts(op, 2):
        return False
    x, sides, y = op.input(0), op.input(1), op.output()
    return (
        _is_number(x)
        and _is_number(y)
        and _has_rank(x, 1)
        and _has_rank(y, 1)
        and sides.type == _INT32
        and sides.dims == (len(x.dims), 2)
        and is_constant(sides)
        and bool(np.all(sides.value >= 0))  # type: ignore[operator]
    )


@_rule("RESHAPE")
def _reshape(op: Operator, subgraph: Subgraph) -> bool:
    if not _has_counts(op, (1, 2)):
        return False
    x, shape, y = op.input(0), op.optional_input(1), op.output()
    return (
        _is_number(x)
        and _is_number(y)
        and _has_rank(x, 0)
        and _has_rank(y, 0)
        and (y.type == _FLOAT32 or x.params == y.params)
        and (shape is None or (shape.type == _INT32 and is_constant(shape) and math.prod(shape.dims[:-1]) == 1))
    )


@_rule("RESIZE_BILINEAR")
def _resize_bilinear(op: Operator, subgraph: Subgraph) -> bool:
    if not _has_counts(op, 2):
        return False
    x, size, y = op.input(0), op.input(1), op.output()
    return (
        _is_number(x)
        and _is_number(y)
        and _has_rank(x, 4, 4)
        and _has_rank(y, 4, 4)
        and _is_vector(size)
        and bool(size.value[0] > 0)  # type: ignore[index]
    )


@_rule("SLICE")
def _slice(op: Operator, subgraph: Subgraph) -> bool:
    begin, size = op.input(1), op.input(2)
    return (
        _is_number(op.input(0))
        and _is_number(op.output())
        and _is_vector(begin, _INT32, _INT64)
        and _is_vector(size, _INT32, _INT64)
        and begin.dims == size.dims
        and bool(np.all(size.value > 0))  # type: ignore[operator]
    )


@_rule("STRIDED_SLICE")
def _strided_slice(op: Operator, subgraph: Subgraph) -> bool:
    x, options = op.input(0), op.options
    bounds = [op.input(i) for i in (1, 2, 3)]
    return (
        _is_number(x)
        and _is_number(op.output())
        and not (options.ellipsis_mask or options.new_axis_mask or options.shrink_axis_mask)
        and all(_is_vector(tensor) and tensor.dims == (len(x.dims),) for tensor in bounds)
        and bool(np.all(bounds[2].value == 1))
    )


@_rule("TRANSPOSE")
def _transpose(op: Operator, subgraph: Subgraph) -> bool:
    x = op.input(0)
    return (
        _has_counts(op, 2)
        and _is_number(x)
        and _is_number(op.output())
        and _has_rank(x, 1)
        and is_constant(op.input(1))
    )


@_rule("ASSIGN_VARIABLE")
def _assign_variable(op: Operator, subgraph: Subgraph) -> bool:
    variable, x = subgraph.variables.get(op.input(0).index), op.input(1)
    return _is_number(x) and variable is not None and variable.takes(x)


@_rule("READ_VARIABLE")
def _read_variable(op: Operator, subgraph: Subgraph) -> bool:
    variable, y = subgraph.variables.get(op.input(0).index), op.output()
    return bool(y.dims) and _is_number(y) and variable is not None and variable.takes(y)
