"""FULLY_CONNECTED.

    y[b, o] = activation(bias[o] + sum over i of x[b, i] * w[o, i])

The input, of any rank, is cut into rows of as many elements as a filter has. Quantized, x and w stand for
q - zero_point. Unlike the convolutions the reference kernel multiplies the integer sum by the real number
input_scale * filter_scale / output_scale in float64. Sources, below kernels: fully_connected.cc,
internal/reference/fully_connected.h, internal/reference/integer_ops/fully_connected.h.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.kernels.constants import made_once, made_once_of_all
from refquant.kernels.fused_activation import activation_of_vector, clamp_float, quantized_range
from refquant.kernels.hybrid import matrix_sums, row_sums
from refquant.kernels.products import IntegerProduct, largest_magnitude
from refquant.kernels.registry import Array, Operator, Run, Shape, TensorInfo, kernel
from refquant.kernels.requantization import Finish, OutputStage, check_bias_scale, check_scales, output_stage
from refquant.numerics.dynamic_range import asymmetric_quantize, symmetric_quantize
from refquant.numerics.fixed_point import Requantize, double_rounding, quantize_multiplier
from refquant.numerics.ordered_products import product_in_order
from refquant.numerics.steps import QUANTIZED, SUM_OF_QUANTIZED, noted
from refquant.tflite.schema import (
    ActivationFunctionType,
    DimensionType,
    FullyConnectedOptions,
    FullyConnectedOptionsWeightsFormat,
    TensorType,
)

_FLOAT32, _INT32, _INT64 = TensorType.FLOAT32, TensorType.INT32, TensorType.INT64
_UINT8, _INT8, _INT16 = TensorType.UINT8, TensorType.INT8, TensorType.INT16
_PACKED = (TensorType.INT4, TensorType.INT2)
_BLOCK = 16  # weights in a row that the sparse kernels of int8 take together

Floats = npt.NDArray[np.float32]


@kernel(
    "FULLY_CONNECTED",
    flaw="tensorflow 2.21.0 dies of uint8 to int16 without a bias, which refquant takes for 0, and reads beyond an "
    "int32 bias of int16 products that the options do not state, which refquant refuses. What it does wrong in a "
    "defined way refquant does, too: its reference kernels know nothing of blockwise scales and give the bias alone, "
    "and keep the sums of weights that change from one invoke to the next",
)
def fully_connected(op: Operator) -> Run:
    """Product of x [..., inputs] with filters [outputs, inputs]; y is [rows, outputs], or [..., outputs].

    Elements of x beyond the last full row are left out.
    """
    return planned_fully_connected(op, IN_ORDER)


@dataclass(frozen=True, slots=True)
class Requantization:
    """How the sums of integers are made and brought to the output: the width of the accumulators, the real multiplier,
    one or one for each output, and the zero points that count. Without a `rule` they are rounded as the profile says.
    """

    bits: int
    real: Array
    rule: Requantize | None
    input_zero: int
    filter_zero: int
    output_zero: int


Planned = Callable[[Operator, int], Run]


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """What computes a fully connected layer, given the operator and its activation: of float32, of float32 and weights
    of integers, of shuffled weights.

    `requantizing` is for integers: of the operator, the width of its accumulators, and the scales and the zero point of
    its weights it makes how to finish sums.
    """

    floats: Planned
    hybrid: Planned
    shuffled: Planned
    requantizing: Callable[[Operator, int, Array, int], Requantization]


def in_float64(op: Operator, bits: int, scales: Array, filter_zero: int) -> Requantization:
    """What the reference kernels do. Those of sparse weights round twice, and the product of two scales to float32."""
    x, w, y = op.input(0), op.input(1), op.output()
    products = np.float64(x.scale) * scales
    if w.is_sparse and scales.size == 1:
        products = products.astype(np.float32).astype(np.float64)
    rule = double_rounding if w.is_sparse else None
    return Requantization(bits, products / np.float64(y.scale), rule, x.zero_point, filter_zero, y.zero_point)


@kernel("FULLY_CONNECTED", profile="micro")
def micro_fully_connected(op: Operator) -> Run:
    """As FULLY_CONNECTED, but integer sums are rounded twice; of nothing to add up the bias is left.

    Source: tensorflow/lite/micro/kernels/fully_connected.cc.
    """
    return planned_fully_connected(op, IN_ORDER, nothing_is_zero=False)


def planned_fully_connected(op: Operator, sums: Arithmetic, *, nothing_is_zero: bool = True) -> Run:
    """FULLY_CONNECTED whose numbers are those of `sums`; of nothing to add up `nothing_is_zero` makes zeros."""
    options = _options(op)
    if options.weights_format not in list(FullyConnectedOptionsWeightsFormat):
        raise op.invalid(f"there is no weights format {options.weights_format}")
    if options.quantized_bias_type not in list(TensorType):
        raise op.invalid(f"there is no type {options.quantized_bias_type}, which the bias should have")
    shuffled = options.weights_format == FullyConnectedOptionsWeightsFormat.SHUFFLED4x16INT8
    if len(op.inputs) not in (2, 3) or len(op.outputs) != 1 + shuffled:
        raise op.invalid(f"has {len(op.inputs)} inputs and {len(op.outputs)} outputs")
    x, w, bias, y = op.input(0), op.input(1), op.optional_input(2), op.output()
    run = _find(op, x, w, bias, y, shuffled, sums)
    activation = int(options.fused_activation_function)
    is_hybrid = x.type == _FLOAT32 != w.type
    if not is_hybrid and activation in (ActivationFunctionType.TANH, ActivationFunctionType.SIGN_BIT):
        raise op.unsupported("an activation that is no range")
    if w.type in _PACKED and np.any(w.zero_points):
        raise op.invalid(f"{w.type.name} weights must have a zero point of 0")
    y.shape = output_shape(op, x, w, options.keep_num_dims)
    if nothing_is_zero and w.dims[1] == 0:  # the sums of nothing are written before anything else is looked at
        zeros = np.zeros(y.dims, y.dtype)
        return lambda x, filter, bias=None: zeros
    if bias is not None and prod(bias.dims) != w.dims[0]:
        raise op.invalid(f"bias {bias.dims} has not one value for each of {w.dims[0]} outputs")
    return run(op, activation)


def _options(op: Operator) -> FullyConnectedOptions:
    """The options; where they are missing all have their defaults."""
    return op.options if isinstance(op.options, FullyConnectedOptions) else FullyConnectedOptions()


def _find(
    op: Operator,
    x: TensorInfo,
    w: TensorInfo,
    bias: TensorInfo | None,
    y: TensorInfo,
    shuffled: bool,
    sums: Arithmetic,
) -> Planned:
    """The kernel for these types, or an error."""
    if x.is_sparse or (bias is not None and bias.is_sparse):
        raise op.unsupported("only the weights may be sparse")
    bias_type = None if bias is None else bias.type
    match x.type, w.type, bias_type, y.type:
        case TensorType.FLOAT32, TensorType.FLOAT32, TensorType.FLOAT32 | None, TensorType.FLOAT32 if not shuffled:
            return sums.floats
        case (
            TensorType.FLOAT32,
            TensorType.UINT8 | TensorType.INT8 | TensorType.INT4 | TensorType.INT2,
            TensorType.FLOAT32 | None,
            TensorType.FLOAT32,
        ) if not shuffled:
            return _sparse_hybrid if w.is_sparse else sums.hybrid
        case TensorType.UINT8, TensorType.UINT8, TensorType.INT32 | TensorType.INT64 | None, TensorType.INT16 if (
            shuffled
        ):
            return sums.shuffled
        case (
            TensorType.UINT8 | TensorType.INT8 | TensorType.INT16,
            TensorType.UINT8 | TensorType.INT8 | TensorType.INT4 | TensorType.INT2,
            TensorType.INT32 | TensorType.INT64 | None,
            TensorType.UINT8 | TensorType.INT8 | TensorType.INT16,
        ) if not shuffled:
            return lambda op, activation: _quantized(op, activation, sums)
    raise op.unsupported()


def output_shape(op: Operator, x: TensorInfo, w: TensorInfo, keep_num_dims: bool) -> Shape:
    """[rows, outputs], or with `keep_num_dims` the shape of x with the last dimension exchanged."""
    if len(w.dims) != 2:
        raise op.invalid(f"filters {w.dims} must have two dimensions")
    outputs, inputs = w.dims
    if keep_num_dims:
        if not x.dims or (inputs and x.dims[-1] != inputs):
            raise op.invalid(f"the last dimension of input {x.dims} is not {inputs}, as that of filters {w.dims}")
        return (*x.dims[:-1], outputs)
    return (prod(x.dims) // inputs if inputs else prod(x.dims[:-1]), outputs)


def rows_of(x: Array, count: int, inputs: int, dtype: Any) -> Array:
    """The first rows of x, its bytes read as of `dtype`."""
    return np.ascontiguousarray(x).reshape(-1).view(dtype)[: count * inputs].reshape(count, inputs)


# --- float32 --------------------------------------------------------------------------------------------------------


def _float(op: Operator, activation: int) -> Run:
    """float32: from 0, products added in order, the bias last. Sparse weights are multiplied with their zeros."""
    w, shape = op.input(1), op.output().dims
    rows = prod(shape[:-1])
    arranged = made_once(w, lambda filter: np.ascontiguousarray(filter.T))

    def run(x: Array, filter: Array, bias: Array | None = None) -> Array:
        read = rows_of(x, rows, w.dims[1], np.float32)
        total = product_in_order(np.ascontiguousarray(read.T), arranged(filter)).reshape(shape)
        return clamp_float(total + (np.float32(0) if bias is None else bias.reshape(-1)), activation)

    return run


# --- integers -------------------------------------------------------------------------------------------------------


def _quantized(op: Operator, activation: int, sums: Arithmetic) -> Run:
    """Integers: exact sums, then the rounding of the profile.

    The type of the output decides how the bytes of the other tensors are read, whatever their types say: as uint8 for
    uint8, as int8 for int8; for int16 as int16 with weights of int8 where the input is int16, else as uint8. A bias of
    64 bits that is read as one of 32 gives its halves.
    """
    x, w, bias, y = op.input(0), op.input(1), op.optional_input(2), op.output()
    x_dtype, w_dtype = read_as(op, x, w, y)
    bits = _accumulator_bits(op, x, bias, y)
    scales, filter_zero = _filter_quantization(op, x, w, bias, y)
    if w.is_sparse:
        _check_blocks(op, w)
        if y.type != _INT8 or filter_zero:
            raise op.unsupported("sparse weights of integers go with an int8 output and a zero point of 0 alone")
    made = sums.requantizing(op, bits, scales, filter_zero)
    stage = output_stage(op, made.real, y, activation, made.bits, made.rule, made.output_zero)
    return quantized_by(op, stage, (x_dtype, w_dtype), (made.input_zero, made.filter_zero))


def quantized_by(op: Operator, stage: OutputStage, dtypes: tuple[Any, Any], zeros: tuple[int, int]) -> Run:
    """Integers: exact sums of x and w, read as of these dtypes, less these zero points, which `stage` finishes."""
    w, bias, y = op.input(1), op.optional_input(2), op.output()
    (x_dtype, w_dtype), (input_zero, filter_zero) = dtypes, zeros
    shape, (outputs, inputs) = y.dims, w.dims
    rows = prod(shape[:-1])
    bias_dtype = np.int32 if stage.bits == 32 else np.int64

    def planned(filter: Array, bias: Array | None) -> tuple[IntegerProduct, Finish]:
        """The product with weights less their zero point, and what finishes it.

        What the input's zero point adds to each sum goes with the bias.
        """
        shifted = filter.view(w_dtype).T.astype(np.int32) - np.int32(filter_zero)
        product = IntegerProduct(shifted, largest_magnitude(np.dtype(x_dtype), 0))
        offset = -input_zero * shifted.sum(axis=0, dtype=np.int64)
        if bias is not None:
            offset += bias.reshape(-1).view(bias_dtype)[:outputs]
        return product, stage.finish(outputs, offset, None if w.is_sparse else product.bounds)

    product_with = made_once_of_all([w, bias], planned)
    errors = overflows(w.value) if w.is_sparse and w.value is not None else None

    def run(x: Array, filter: Array, bias: Array | None = None) -> Array:
        product, finish = product_with(filter, bias)
        read = rows_of(x, rows, inputs, x_dtype)
        total = product(read.astype(product.dtype))
        if errors is not None:
            total = total + errors(read)
        if op.observer is not None:
            finish.observe(total.reshape(shape))
        result = np.empty((rows, outputs), y.dtype)
        finish(total, result)
        return result.reshape(shape)

    return run


def read_as(op: Operator, x: TensorInfo, w: TensorInfo, y: TensorInfo) -> tuple[Any, Any]:
    """The dtypes as which the bytes of x and w are read."""
    if y.type == _INT8:
        return np.int8, np.int8
    if y.type == x.type == _INT16:
        return np.int16, np.int8
    if w.type in _PACKED or (y.type == _INT16 and x.type == _UINT8 != w.type):
        raise op.unsupported()
    if y.type == _INT16 and not all(-(2**15) + 255 < zero < 2**15 for t in (x, w, y) for zero in t.zero_points):
        raise op.unsupported("zero points beyond 16 bits")
    return np.uint8, np.uint8


def _accumulator_bits(op: Operator, x: TensorInfo, bias: TensorInfo | None, y: TensorInfo) -> int:
    """32, but for int16 to int16 what the options say of the bias, and 64 where they say nothing."""
    if x.type != _INT16 or y.type != _INT16:
        return 32
    stated = _options(op).quantized_bias_type
    if op.options is None or stated not in (_FLOAT32, _INT32, _INT64):
        raise op.invalid("the options do not say which type a bias of int16 products has")
    if bias is not None and bias.type != (_INT64 if stated == _FLOAT32 else stated):
        raise op.invalid(f"the bias is {bias.type.name}, the options say {stated.name}, and FLOAT32 stands for INT64")
    if x.zero_point or y.zero_point:
        raise op.invalid("the zero points of int16 tensors must be 0")
    return 32 if stated == _INT32 else 64


def _filter_quantization(
    op: Operator, x: TensorInfo, w: TensorInfo, bias: TensorInfo | None, y: TensorInfo
) -> tuple[Array, int]:
    """The filter's scales in float64, one or one for each output, and its zero point, which is 0 for many scales.

    Kernels that read uint8 know one scale only: of many they make 0.
    """
    check_scales(op, x, w, y)
    if w.scales.size == 1:
        check_bias_scale(op, x, w, bias, y)
        return w.scales.astype(np.float64), w.zero_point
    if x.type == _UINT8 or w.type == _UINT8 or w.quantized_dimension != 0 or w.scales.size != w.dims[0]:
        raise op.invalid(f"{w.scales.size} scales along dimension {w.quantized_dimension} for {w.dims[0]} outputs")
    one_scale = y.type == _UINT8 or (y.type == _INT16 != x.type)
    return np.zeros(1) if one_scale else w.scales.astype(np.float64), 0


# --- uint8 weights in shuffled order --------------------------------------------------------------------------------


def shuffled(op: Operator, activation: int) -> Run:
    """uint8 to int16 with weights in the order in which a vector unit wants them: sums are exact."""
    return planned_shuffled(op, quantized_range(op, activation, op.output()), wraps=False)


def planned_shuffled(op: Operator, limits: tuple[int, int], *, wraps: bool) -> Run:
    """uint8 to int16 with weights in the order in which a vector unit wants them; one row of input, or four.

    Weights lie in blocks of four outputs by sixteen inputs. They, and the input in the second output, which is a
    workspace, have their highest bits flipped: bytes are read as int8 and the zero points are 128, whatever the tensors
    say. Rounded twice. A kernel `wraps` that adds two products in 16 bits: see `overflows`. Source:
    ShuffledFullyConnected in internal/reference/fully_connected.h.
    """
    x, w, bias, y, workspace = op.input(0), op.input(1), op.optional_input(2), op.output(), op.output(1)
    check_scales(op, x, w, y)
    if w.scales.size != 1:
        raise op.invalid("shuffled weights must be quantized per tensor")
    check_bias_scale(op, x, w, bias, y)
    shape, (outputs, inputs) = y.dims, w.dims
    rows = prod(shape[:-1])
    if rows not in (1, 4) or inputs % 16 or outputs % 4:
        raise op.unsupported(
            f"shuffled weights {w.dims} and {rows} rows: 1 or 4 rows, multiples of 4 and 16 are wanted"
        )
    if workspace.type != _UINT8 or prod(workspace.dims) != rows * inputs:
        raise op.unsupported(f"the workspace must be uint8 of {rows * inputs} elements")
    multiplier, shift = quantize_multiplier(np.float64(x.scale * w.scale) / np.float64(y.scale))
    workspace_shape = workspace.dims

    def run(x: Array, filter: Array, bias: Array | None = None) -> tuple[Array, Array]:
        flipped = rows_of(x, rows, inputs, np.uint8) ^ np.uint8(128)
        stored = filter.view(np.int8).reshape(outputs // 4, inputs // 16, 4, 16)
        arranged = stored.transpose(1, 3, 0, 2).reshape(inputs, outputs)
        total = (flipped.view(np.int8).astype(np.float64) @ arranged.astype(np.float64)).astype(np.int64)
        errors = overflows(arranged.T) if wraps else None
        if errors is not None:
            total += errors(flipped.view(np.int8)).astype(np.int64)
        if bias is not None:
            total += bias.reshape(-1).view(np.int32)[:outputs]
        result = np.clip(double_rounding(total.astype(np.int32), multiplier, shift), *limits).astype(np.int16)
        blocks = flipped.reshape(rows, inputs // 16, 16).transpose(1, 0, 2)
        return result.reshape(shape), blocks.reshape(workspace_shape)

    return run


# --- float32 with weights of integers -------------------------------------------------------------------------------


def hybrid(op: Operator, activation: int) -> Run:
    """float32 in and out, weights of integers: each row is quantized on the fly, its sums, scaled back, join the bias.

    Weights of uint8 are read as int8, and no zero point counts. An input of zeros leaves the bias as it is. The sums of
    the weights, for asymmetric rows, are those of the first invoke, even where the weights change later.
    """
    w, shape = op.input(1), op.output().dims
    scales = hybrid_scales(op, w)
    activate = activation_of_vector(activation)
    asymmetric = _options(op).asymmetric_quantize_inputs
    rows, (outputs, inputs) = prod(shape[:-1]), w.dims
    kept: Array | None = None

    def run(x: Array, filter: Array, bias: Array | None = None) -> Array:
        nonlocal kept
        total = np.zeros((rows, outputs), np.float32)
        if bias is not None:
            total[:] = bias.reshape(-1)
        if np.any(x):
            filter, read = filter.view(np.int8), rows_of(x, rows, inputs, np.float32)
            if asymmetric:
                q, scale, zero_point = asymmetric_quantize(read)
                if kept is None:
                    kept = row_sums(filter)
                noted(QUANTIZED, q), noted("zero point of the row", zero_point[:, None])
                products = noted(SUM_OF_QUANTIZED, matrix_sums(q, filter.T))
                sums = noted("less zero point * sum of the weights", products - zero_point[:, None] * kept)
            else:
                q, scale = symmetric_quantize(read)
                noted(QUANTIZED, q)
                sums = noted(SUM_OF_QUANTIZED, matrix_sums(q, filter.T))
            # the products before the bias: of two NaNs the first stays, and SIGN_BIT shows its sign
            noted("scale of the row", scale[:, None]), noted("scale of the weights", scales)
            products = noted("times both scales, in float32", sums.astype(np.float32) * (scales * scale[:, None]))
            total = noted("plus the bias", products + total)
        return noted("after the activation", activate(total.reshape(shape)))

    return run


def hybrid_scales(op: Operator, w: TensorInfo) -> Floats:
    """The scales of the weights: one, or one for each output; 0 where there is none."""
    if w.scales.size <= 1:
        return w.scales if w.scales.size else np.zeros(1, np.float32)
    if w.scales.size < w.dims[0]:
        raise op.invalid(f"{w.scales.size} filter scales for {w.dims[0]} outputs")
    return w.scales[: w.dims[0]]


def _sparse_hybrid(op: Operator, activation: int) -> Run:
    """As `hybrid`, but the zero points are paid for first, in float32, and then come the sums.

    Source: EvalSparseHybridImpl in fully_connected.cc.
    """
    w, shape = op.input(1), op.output().dims
    if w.type != _INT8 or w.value is None:
        raise op.unsupported("sparse weights of this type")
    _check_blocks(op, w)
    if w.dims[1] > 256 * _BLOCK:
        raise op.unsupported("sparse rows of more than 256 blocks")
    scales = hybrid_scales(op, w)
    activate = activation_of_vector(activation)
    asymmetric = _options(op).asymmetric_quantize_inputs
    rows, (outputs, inputs) = prod(shape[:-1]), w.dims
    weights = w.value.T
    sums_of_weights = w.value.sum(axis=1, dtype=np.int64).astype(np.float32)

    def run(x: Array, filter: Array, bias: Array | None = None) -> Array:
        total = np.zeros((rows, outputs), np.float32)
        if bias is not None:
            total[:] = bias.reshape(-1)
        read = rows_of(x, rows, inputs, np.float32)
        if np.any(read):
            if asymmetric:
                q, scale, zero_point = asymmetric_quantize(read)
                per_row = scale if w.scales.size > 1 else scale * scales
                offset = (per_row * zero_point.astype(np.float32))[:, None]
                total -= (offset * scales if w.scales.size > 1 else offset) * sums_of_weights
            else:
                q, scale = symmetric_quantize(read)
            total = matrix_sums(q, weights).astype(np.float32) * (scales * scale[:, None]) + total
        return activate(total.reshape(shape))

    return run


# --- sparse weights of int8 -----------------------------------------------------------------------------------------


def _check_blocks(op: Operator, w: TensorInfo) -> None:
    """Raises UnsupportedOperatorError unless sparse weights are blocks of one row by sixteen, the only ones known."""
    table = w.sparsity
    levels = [] if table is None else table.dim_metadata or []
    formats = [level.format for level in levels]
    order = [] if table is None or table.traversal_order is None else [int(n) for n in table.traversal_order]
    blocked = [] if table is None or table.block_map is None else [int(n) for n in table.block_map]
    known = [DimensionType.DENSE, DimensionType.SPARSE_CSR, DimensionType.DENSE]
    if formats != known or levels[2].dense_size != _BLOCK or order != [0, 1, 2] or blocked != [1]:
        raise op.unsupported(f"sparse weights that are not blocks of 1 x {_BLOCK}")


def overflows(w: Array) -> Callable[[Array], Array] | None:
    """Of input rows, the error of the sums with sparse weights [outputs, inputs]; None where there is none.

    The products of numbers i and i + 8 of a block are added in 16 bits, where twice 128 * 128 becomes negative.
    Source: NeonSparseMatrixBatchVectorMultiplyAccumulate1x16 in internal/optimized/neon_tensor_utils.cc.
    """

    def pairs(numbers: Array) -> Array:
        count, blocks = len(numbers), numbers.shape[1] // _BLOCK
        lowest = (numbers == -128).reshape(count, blocks, 2, _BLOCK // 2)
        return (lowest[:, :, 0] & lowest[:, :, 1]).reshape(count, blocks * _BLOCK // 2).astype(np.float64)

    flawed = pairs(w).T
    return (lambda x: -65536.0 * (pairs(x) @ flawed)) if flawed.any() else None


#: that of profile "reference": products of float32 are summed in order
IN_ORDER = Arithmetic(_float, hybrid, shuffled, in_float64)
