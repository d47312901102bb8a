"""FULLY_CONNECTED.

    y[b, o] = activation(bias[o] + sum over i of x[b, i] * w[o, i])

The input, of any rank, is cut into rows of as many elements as a filter has. Quantized, x and w stand for
q - zero_point. Unlike the convolutions the reference kernel multiplies the integer sum by the real number
input_scale * filter_scale / output_scale in float64. Sources, below kernels: fully_connected.cc,
internal/reference/fully_connected.h, internal/reference/integer_ops/fully_connected.h.
"""

from __future__ import annotations

import numpy as np

from refquant.kernels.fused_activation import activation_of_vector, clamp_float
from refquant.kernels.hybrid import matrix_sums
from refquant.kernels.products import (
    add_products_in_order,
    constant_weights,
    exact_type,
    largest_magnitude,
    weight_type,
)
from refquant.kernels.registry import Array, Operator, Run, Shape, TensorInfo, kernel
from refquant.kernels.requantization import check_scales, output_stage
from refquant.numerics.dynamic_range import asymmetric_quantize, symmetric_quantize
from refquant.tflite.schema import (
    ActivationFunctionType,
    FullyConnectedOptions,
    FullyConnectedOptionsWeightsFormat,
    TensorType,
)


@kernel("FULLY_CONNECTED")
def fully_connected(op: Operator) -> Run:
    """Product of x [..., inputs] with filters [outputs, inputs]; y is [rows, outputs], or [..., outputs]."""
    options = op.options
    if not isinstance(options, FullyConnectedOptions):
        raise op.invalid("has no FullyConnectedOptions")
    if options.weights_format != FullyConnectedOptionsWeightsFormat.DEFAULT:
        raise op.unsupported("shuffled weights")
    x, w, bias, y = op.input(0), op.input(1), op.optional_input(2), op.output()
    y.shape = _output_shape(op, x, w, options.keep_num_dims)
    if bias is not None and int(np.prod(bias.dims)) != w.dims[0]:
        raise op.invalid(f"bias {bias.dims} has not one value for each of {w.dims[0]} outputs")
    activation = int(options.fused_activation_function)
    is_hybrid = x.type == TensorType.FLOAT32 != w.type
    if not is_hybrid and activation in (ActivationFunctionType.TANH, ActivationFunctionType.SIGN_BIT):
        raise op.unsupported("an activation that is no range")
    bias_type = None if bias is None else bias.type
    match x.type, weight_type(w), bias_type, y.type:
        case TensorType.FLOAT32, TensorType.FLOAT32, TensorType.FLOAT32 | None, TensorType.FLOAT32:
            return _float(op, activation)
        case (
            (TensorType.UINT8, TensorType.UINT8, TensorType.INT32 | None, TensorType.UINT8 | TensorType.INT16)
            | (TensorType.INT8, TensorType.INT8, TensorType.INT32 | None, TensorType.INT8)
            | (TensorType.INT16, TensorType.INT8, TensorType.INT32, TensorType.INT16)
        ):
            return _quantized(op, activation, 32)
        case TensorType.INT16, TensorType.INT8, TensorType.INT64 | None, TensorType.INT16:
            return _quantized(op, activation, 64)
        case TensorType.FLOAT32, TensorType.INT8, TensorType.FLOAT32 | None, TensorType.FLOAT32:
            return _hybrid(op, activation, options.asymmetric_quantize_inputs)
    raise op.unsupported()


def _output_shape(op: Operator, x: TensorInfo, w: TensorInfo, keep_num_dims: bool) -> Shape:
    """[rows, outputs], or with `keep_num_dims` the shape of x with the last dimension exchanged."""
    if len(w.dims) != 2:
        raise op.invalid(f"filters {w.dims} must have two dimensions")
    outputs, inputs = w.dims
    if keep_num_dims:
        if not x.dims or x.dims[-1] != inputs:
            raise op.invalid(f"the last dimension of input {x.dims} is not {inputs}, as that of filters {w.dims}")
        return (*x.dims[:-1], outputs)
    elements = int(np.prod(x.dims, dtype=np.int64))
    if inputs == 0 or elements % inputs != 0:
        raise op.invalid(f"input {x.dims} cannot be cut into rows of {inputs}")
    return (elements // inputs, outputs)


def _float(op: Operator, activation: int) -> Run:
    """float32: from 0, products added in order, the bias last."""
    w, shape = op.input(1), op.output().dims
    rows = int(np.prod(shape[:-1]))
    constant = None if w.value is None else np.ascontiguousarray(w.value.T)[:, None, :]

    def run(x: Array, filter: Array, bias: Array | None = None) -> Array:
        arranged = constant if constant is not None else filter.T[:, None, :]
        total = np.zeros((rows, 1, shape[-1]), np.float32)
        add_products_in_order(total, x.reshape(rows, 1, len(arranged)), arranged)
        total = total.reshape(shape)
        return clamp_float(total if bias is None else total + bias.reshape(-1), activation)

    return run


def _quantized(op: Operator, activation: int, bits: int) -> Run:
    """Integers: exact sums, then the rounding of the profile; `bits` is the width of the accumulator."""
    x, w, y = op.input(0), op.input(1), op.output()
    check_scales(op, x, w, y)
    scales = w.scales.astype(np.float64)
    if scales.size not in (1, w.dims[0]):
        raise op.invalid(f"{scales.size} filter scales for {w.dims[0]} outputs")
    real = np.float64(x.scale) * scales / np.float64(y.scale)
    finish = output_stage(op, real, y, activation, bits)
    input_zero = x.zero_point
    filter_zero = int(w.zero_points[0]) if scales.size == 1 else 0
    largest = largest_magnitude(x.dtype, input_zero)
    shape, inputs = y.dims, w.dims[1]
    rows = int(np.prod(shape[:-1]))

    def weights(filter: Array) -> Array:
        """The weights less their zero point, [inputs, outputs], in a type in which all sums are exact."""
        shifted = filter.T.astype(np.int64) - filter_zero
        bound = largest * int(np.abs(shifted).sum(axis=0).max(initial=0))
        return shifted.astype(exact_type(bound), order="C")

    given = constant_weights(w)
    constant = None if given is None else weights(given)

    def run(x: Array, filter: Array, bias: Array | None = None) -> Array:
        arranged = constant if constant is not None else weights(filter)
        centred = np.subtract(x.reshape(rows, inputs), input_zero, dtype=arranged.dtype)
        return finish(centred @ arranged, bias).reshape(shape)

    return run


def _hybrid(op: Operator, activation: int, asymmetric: bool) -> Run:
    """float32 in and out, int8 weights: each row is quantized on the fly, its sums, scaled back, join the bias."""
    w, shape = op.input(1), op.output().dims
    check_scales(op, w)
    scales = w.scales
    if scales.size not in (1, w.dims[0]):
        raise op.invalid(f"{scales.size} filter scales for {w.dims[0]} outputs")
    activate = activation_of_vector(op, activation)
    constant = constant_weights(w)

    def run(x: Array, filter: Array, bias: Array | None = None) -> Array:
        filter = constant if constant is not None else filter
        rows = x.reshape(int(np.prod(shape[:-1])), filter.shape[1])
        total = np.zeros((len(rows), shape[-1]), np.float32)
        if bias is not None:
            total[:] = bias.reshape(-1)
        if np.any(rows):
            if asymmetric:
                q, scale, zero_point = asymmetric_quantize(rows)
                sums = matrix_sums(q, filter.T) - zero_point[:, None] * filter.sum(axis=1, dtype=np.int64)
            else:
                q, scale = symmetric_quantize(rows)
                sums = matrix_sums(q, filter.T)
            total += sums.astype(np.float32) * (scales * scale[:, None])
        return activate(total.reshape(shape))

    return run
