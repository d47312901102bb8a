"""XNNPACK's sums of products of 8-bit numbers: CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV, FULLY_CONNECTED,
BATCH_MATMUL.

The sums are exact, and `requantization` finishes them. Sources: delegates/xnnpack/xnnpack_delegate.cc; of XNNPACK
src/operators/convolution-nhwc.c, deconvolution-nhwc.c, fully-connected-nc.c and the kernels of qs8-qc8w-gemm, -igemm
and -dwconv, and of qu8-gemm, -igemm and -dwconv.
"""

from __future__ import annotations

from math import prod

import numpy as np

from refquant.kernels import batch_matmul, convolution, fully_connected
from refquant.kernels.convolution import Arithmetic, Convolution, planned_conv_2d, planned_depthwise_conv_2d
from refquant.kernels.registry import Array, Operator, Run, TensorInfo, kernel
from refquant.kernels.requantization import OutputStage
from refquant.kernels.transpose_convolution import planned_transpose_conv
from refquant.kernels.xnnpack.hybrid import (
    batch_matmul_hybrid,
    convolution_hybrid,
    fully_connected_hybrid,
    transpose_conv_hybrid,
)
from refquant.kernels.xnnpack.padding import with_flaw_of_padding
from refquant.kernels.xnnpack.requantization import output_stage
from refquant.kernels.xnnpack.transposed import with_made_shape
from refquant.tflite.schema import ActivationFunctionType, TensorType, TransposeConvOptions

_INT8, _UINT8, _INT4, _INT2 = TensorType.INT8, TensorType.UINT8, TensorType.INT4, TensorType.INT2


@kernel("CONV_2D", profile="xnnpack")
def conv_2d(op: Operator) -> Run:
    """As CONV_2D; filters of int8 must have zero points of 0."""
    _check_filter(op, op.input(0), op.input(1), op.input(2))
    return planned_conv_2d(op, _EXACT)


@kernel("DEPTHWISE_CONV_2D", profile="xnnpack")
def depthwise_conv_2d(op: Operator) -> Run:
    """As DEPTHWISE_CONV_2D; filters of int8 must have zero points of 0, depth_multiplier must be right."""
    x, w = op.input(0), op.input(1)
    _check_filter(op, x, w, op.input(2))
    if x.dims[3] * op.options.depth_multiplier != w.dims[3]:
        raise op.invalid(f"depth_multiplier is {op.options.depth_multiplier} for {x.dims[3]} to {w.dims[3]} channels")
    return planned_depthwise_conv_2d(op, _EXACT)


def _unknown(plan: Convolution) -> Run:
    raise _unsupported(plan.op)


def _unsupported(op: Operator) -> Exception:
    return op.unsupported("no kernel of XNNPACK's for these types")


def _integers(plan: Convolution, bits: int) -> Run:
    stage = output_stage(plan.op, (plan.input, plan.filter), plan.op.output(), plan.activation)
    run = convolution.quantized_by(plan, stage, _zero_point(plan.filter))
    return with_flaw_of_padding(plan, run, plan.input.zero_point)


_EXACT = Arithmetic(_unknown, _integers, convolution_hybrid)


def _zero_point(w: TensorInfo) -> int:
    """That of weights of uint8; those of signed types have none, or it is disregarded."""
    return w.zero_point if w.type == _UINT8 else 0


def _check_filter(op: Operator, x: TensorInfo, w: TensorInfo, bias: TensorInfo | None) -> None:
    if w.type == _INT8 and np.any(w.zero_points):
        raise op.invalid(f"XNNPACK refuses filters with zero points {w.zero_points}")
    if x.type != TensorType.FLOAT32 and x.type != w.type:
        raise op.invalid(f"XNNPACK refuses filters of {w.type.name} for {x.type.name}")
    _check_bias(op, w, bias)


def _check_bias(op: Operator, w: TensorInfo, bias: TensorInfo | None) -> None:
    """Integer biases have one scale where the weights have, many where those have many."""
    if bias is None or bias.type != TensorType.INT32:
        return
    if (bias.scales.size > 1) != (w.scales.size > 1 or w.type in (_INT4, _INT2)):
        raise op.invalid(f"XNNPACK refuses {w.scales.size} scales of weights with {bias.scales.size} scales of biases")


@kernel("TRANSPOSE_CONV", profile="xnnpack")
def transpose_conv(op: Operator) -> Run:
    """As TRANSPOSE_CONV; filters of int8 must have zero points of 0."""
    w, x = op.input(1), op.input(2)
    _check_filter(op, x, w, op.optional_input(3))

    def stage(op: Operator, bits: int) -> OutputStage:
        return output_stage(op, (x, w), op.output(), op.options.fused_activation_function)

    def unknown(op: Operator, options: TransposeConvOptions) -> Run:
        raise _unsupported(op)

    return with_made_shape(op, lambda op: planned_transpose_conv(op, unknown, stage, transpose_conv_hybrid))


@kernel("FULLY_CONNECTED", profile="xnnpack")
def fully_connected_(op: Operator) -> Run:
    """As FULLY_CONNECTED; the input must fill whole rows, and a zero point of int8 weights is disregarded."""
    x, w, bias, y = op.input(0), op.input(1), op.optional_input(2), op.output()
    if x.type == TensorType.FLOAT32 != w.type and (bias is None or bias.type == TensorType.FLOAT32):
        return fully_connected_hybrid(op)
    known = ((_INT8, _INT8), (_INT8, _INT4), (_INT8, _INT2), (_UINT8, _UINT8))
    if (x.type, w.type) not in known or (bias is not None and bias.type != TensorType.INT32):
        raise _unsupported(op)
    if w.scales.size > 1 and np.any(w.zero_points):
        raise op.invalid(f"XNNPACK refuses weights with zero points {w.zero_points}")
    if w.is_sparse:
        raise op.unsupported("XNNPACK takes the stored values of sparse weights for dense ones and reads beyond them,")
    _check_bias(op, w, bias)
    y.shape = fully_connected.output_shape(op, x, w, op.options.keep_num_dims)
    if prod(x.dims) % w.dims[1]:
        raise op.invalid(f"XNNPACK refuses an input of shape {x.dims} for rows of {w.dims[1]}")
    stage = output_stage(op, (x, w), y, op.options.fused_activation_function)
    return fully_connected.quantized_by(op, stage, (x.dtype, w.dtype), (x.zero_point, _zero_point(w)))


@kernel("BATCH_MATMUL", profile="xnnpack")
def batch_matmul_(op: Operator) -> Run:
    """As BATCH_MATMUL of int8; the zero point of the second input is disregarded."""
    a, b, y = op.input(0), op.input(1), op.output()
    if (a.type, b.type, y.type) == (TensorType.FLOAT32, _INT8, TensorType.FLOAT32):
        return batch_matmul_hybrid(op)
    if not a.type == b.type == y.type == _INT8 or b.scales.size != 1:
        raise _unsupported(op)
    if 0 in (*a.dims, *b.dims):
        raise op.unsupported(f"matrices of shapes {a.dims} and {b.dims}, without numbers,")
    options = op.options
    y.shape = batch_matmul.shape_of(op, a.dims, b.dims)
    finish = output_stage(op, (a, b), y, ActivationFunctionType.NONE)

    def run(x: Array, w: Array) -> Array:
        sums, bound = batch_matmul.sums_of(options, x, a.zero_point, w, 0)
        return finish(sums, bound=bound)

    return run
