"""Where runtimes differ, as data: the rounding rule of each operator, type and profile.

A row says which rule of `refquant.numerics.fixed_point` brings the integer sums of an operator to the scale of its
output, where that is written in the runtime's sources (below tflite/kernels for TensorFlow Lite, below
tensorflow/lite/micro for TensorFlow Lite Micro, below src for XNNPACK), and which test asked the runtime with numbers
on which the rules disagree. Kernels look their rule up::

    rule = profiles.rounding(op)
    multiplier, shift = multiplier_for(rule, real)          # when planning
    y = rule(accumulator, multiplier, shift)                # when running

The type of a row is that of the activations (of the operator's first input of data), `bits` the width of the
accumulator: operators on int16 have two kernels, for biases of 32 and of 64 bits.
"""

from __future__ import annotations

from dataclasses import dataclass

from refquant.kernels import micro
from refquant.kernels.registry import Operator
from refquant.numerics.fixed_point import (
    Requantize,
    double_rounding,
    double_rounding_by_eights,
    double_rounding_by_sixteens,
    double_rounding_upwards,
    float32_rounding,
    float64_rounding,
    wide,
)
from refquant.tflite.schema import TensorType

_INT8, _UINT8, _INT16, _INT32 = TensorType.INT8, TensorType.UINT8, TensorType.INT16, TensorType.INT32


@dataclass(frozen=True, slots=True)
class Rounding:
    """One row: in `profile`, `operator` on activations of `type` requantizes accumulators of `bits` by `rule`.

    `source` is the file of the runtime that holds the kernel, `experiment` the test that confirms the row.
    """

    profile: str
    operator: str
    type: TensorType
    bits: int
    rule: Requantize
    source: str
    experiment: str


_REFERENCE = "internal/reference/"
_CONV = _REFERENCE + "integer_ops/conv.h"
_DEPTHWISE = _REFERENCE + "integer_ops/depthwise_conv.h"
_TRANSPOSE = _REFERENCE + "integer_ops/transpose_conv.h"
_FULLY = _REFERENCE + "integer_ops/fully_connected.h"
_OPTIMIZED = "internal/optimized/"
_OPTIMIZED_TRANSPOSE = _OPTIMIZED + "integer_ops/transpose_conv.h"
_OPTIMIZED_FULLY = _OPTIMIZED + "integer_ops/fully_connected.h"
_TEST = "tests/oracle/test_matrix_kernels.py::test_rounding_rule"
_MICRO = "tests/oracle/test_micro_kernels.py::test_family"
_XNNPACK = "tests/oracle/test_xnnpack_integers.py::test_operator"
_SUMS = "tests/oracle/test_elementwise_kernels.py::test_rounding_rule"

# fmt: off
ROUNDING: tuple[Rounding, ...] = tuple(Rounding(*row) for row in (
    # profile      operator             type  bits  rule              source                             experiment
    ("reference", "CONV_2D",           _INT8,  32, double_rounding,  _CONV,                             _TEST),
    ("reference", "CONV_2D",           _UINT8, 32, double_rounding,  _REFERENCE + "conv.h",             _TEST),
    ("reference", "CONV_2D",           _INT16, 32, double_rounding,  _CONV,                             _TEST),
    ("reference", "CONV_2D",           _INT16, 64, wide,             _CONV,                             _TEST),
    ("reference", "DEPTHWISE_CONV_2D", _INT8,  32, double_rounding,  _DEPTHWISE,                        _TEST),
    ("reference", "DEPTHWISE_CONV_2D", _UINT8, 32, double_rounding,  _REFERENCE + "depthwiseconv_uint8.h", _TEST),
    ("reference", "DEPTHWISE_CONV_2D", _INT16, 64, wide,             _DEPTHWISE,                        _TEST),
    ("reference", "TRANSPOSE_CONV",    _INT8,  32, double_rounding,  _TRANSPOSE,                        _TEST),
    ("reference", "TRANSPOSE_CONV",    _UINT8, 32, double_rounding,  _REFERENCE + "transpose_conv.h",   _TEST),
    ("reference", "TRANSPOSE_CONV",    _INT16, 32, double_rounding,  _TRANSPOSE,                        _TEST),
    ("reference", "TRANSPOSE_CONV",    _INT16, 64, wide,             _TRANSPOSE,                        _TEST),
    ("reference", "BATCH_MATMUL",      _INT8,  32, double_rounding,  _REFERENCE + "batch_matmul.h",     _SUMS),
    ("reference", "BATCH_MATMUL",      _INT16, 64, wide,             _REFERENCE + "batch_matmul.h",     _SUMS),
    ("reference", "FULLY_CONNECTED",   _INT8,  32, float64_rounding, _FULLY,                            _TEST),
    ("reference", "FULLY_CONNECTED",   _UINT8, 32, float64_rounding, _REFERENCE + "fully_connected.h",  _TEST),
    ("reference", "FULLY_CONNECTED",   _INT16, 32, float64_rounding, _FULLY,                            _TEST),
    ("reference", "FULLY_CONNECTED",   _INT16, 64, float64_rounding, _FULLY,                            _TEST),
    ("reference", "ADD",               _INT8,  32, double_rounding,  _REFERENCE + "integer_ops/add.h",  _SUMS),
    ("reference", "ADD",               _UINT8, 32, double_rounding,  _REFERENCE + "add.h",              _SUMS),
    ("reference", "ADD",               _INT16, 32, double_rounding,  _REFERENCE + "add.h",              _SUMS),
    ("reference", "SUB",               _INT8,  32, double_rounding,  _REFERENCE + "sub.h",              _SUMS),
    ("reference", "SUB",               _UINT8, 32, double_rounding,  _REFERENCE + "sub.h",              _SUMS),
    ("reference", "SUB",               _INT16, 32, double_rounding,  _REFERENCE + "sub.h",              _SUMS),
    ("reference", "MUL",               _INT8,  32, double_rounding,  _REFERENCE + "integer_ops/mul.h",  _SUMS),
    ("reference", "MUL",               _UINT8, 32, double_rounding,  _REFERENCE + "mul.h",              _SUMS),
    ("reference", "MUL",               _INT16, 32, double_rounding,  _REFERENCE + "integer_ops/mul.h",  _SUMS),
    ("reference", "QUANTIZE",          _INT8,  32, double_rounding,  _REFERENCE + "requantize.h",       _SUMS),
    ("reference", "QUANTIZE",          _UINT8, 32, double_rounding,  _REFERENCE + "requantize.h",       _SUMS),
    ("reference", "QUANTIZE",          _INT16, 32, double_rounding,  _REFERENCE + "requantize.h",       _SUMS),
    ("reference", "QUANTIZE",          _INT32, 32, double_rounding,  _REFERENCE + "requantize.h",       _SUMS),
    ("reference", "MEAN",              _INT8,  32, double_rounding,  _REFERENCE + "reduce.h",           _SUMS),
    ("reference", "MEAN",              _UINT8, 32, double_rounding,  _REFERENCE + "reduce.h",           _SUMS),
    ("reference", "MEAN",              _INT16, 32, double_rounding,  _REFERENCE + "reduce.h",           _SUMS),
    ("reference", "SUM",               _INT8,  32, double_rounding,  _REFERENCE + "reduce.h",           _SUMS),
    ("reference", "SUM",               _UINT8, 32, double_rounding,  _REFERENCE + "reduce.h",           _SUMS),
    ("reference", "SOFTMAX",           _INT16, 32, double_rounding,  _REFERENCE + "softmax.h",          _SUMS),
    ("optimized", "CONV_2D",           _INT8,  32, double_rounding_upwards, _OPTIMIZED + "integer_ops/conv.h", _TEST),
    ("optimized", "CONV_2D",           _UINT8, 32, double_rounding_upwards, _OPTIMIZED + "optimized_ops.h", _TEST),
    ("optimized", "CONV_2D",           _INT16, 32, double_rounding_upwards, _OPTIMIZED + "integer_ops/conv.h", _TEST),
    ("optimized", "CONV_2D",           _INT16, 64, wide,             _CONV,                             _TEST),
    ("optimized", "DEPTHWISE_CONV_2D", _INT8,  32, double_rounding_by_eights, _OPTIMIZED + "optimized_ops.h", _TEST),
    ("optimized", "DEPTHWISE_CONV_2D", _UINT8, 32, double_rounding,  _OPTIMIZED + "depthwiseconv_uint8.h", _TEST),
    ("optimized", "DEPTHWISE_CONV_2D", _INT16, 64, wide,             _DEPTHWISE,                        _TEST),
    ("optimized", "TRANSPOSE_CONV",    _INT8,  32, double_rounding_by_eights, _OPTIMIZED_TRANSPOSE,       _TEST),
    ("optimized", "TRANSPOSE_CONV",    _UINT8, 32, double_rounding_by_sixteens, _OPTIMIZED + "optimized_ops.h", _TEST),
    ("optimized", "TRANSPOSE_CONV",    _INT16, 32, double_rounding_by_eights, _OPTIMIZED_TRANSPOSE,       _TEST),
    ("optimized", "TRANSPOSE_CONV",    _INT16, 64, wide,             _TRANSPOSE,                        _TEST),
    ("optimized", "FULLY_CONNECTED",   _INT8,  32, double_rounding_upwards, _OPTIMIZED_FULLY,           _TEST),
    ("optimized", "FULLY_CONNECTED",   _UINT8, 32, double_rounding_upwards, _OPTIMIZED + "optimized_ops.h", _TEST),
    ("optimized", "FULLY_CONNECTED",   _INT16, 32, double_rounding_upwards, _OPTIMIZED_FULLY,           _TEST),
    ("optimized", "FULLY_CONNECTED",   _INT16, 64, float64_rounding, _FULLY,                            _TEST),
    ("optimized", "QUANTIZE",          _INT8,  32, double_rounding_by_sixteens, _OPTIMIZED + "optimized_ops.h", _SUMS),
    ("optimized", "QUANTIZE",          _UINT8, 32, double_rounding_by_sixteens, _OPTIMIZED + "optimized_ops.h", _SUMS),
    ("optimized", "QUANTIZE",          _INT16, 32, double_rounding,  _REFERENCE + "requantize.h",       _SUMS),
    ("optimized", "QUANTIZE",          _INT32, 32, double_rounding,  _REFERENCE + "requantize.h",       _SUMS),
    ("optimized", "MEAN",              _INT8,  32, double_rounding,  _REFERENCE + "reduce.h",           _SUMS),
    ("optimized", "MEAN",              _UINT8, 32, double_rounding,  _REFERENCE + "reduce.h",           _SUMS),
    ("optimized", "MEAN",              _INT16, 32, double_rounding,  _REFERENCE + "reduce.h",           _SUMS),
    ("optimized", "SOFTMAX",           _INT16, 32, double_rounding,  _REFERENCE + "softmax.h",          _SUMS),
    ("optimized", "BATCH_MATMUL",      _INT8,  32, double_rounding,  _REFERENCE + "batch_matmul.h",     _SUMS),
    ("optimized", "BATCH_MATMUL",      _INT16, 64, wide,             _REFERENCE + "batch_matmul.h",     _SUMS),
    ("optimized", "ADD",               _INT8, 32, double_rounding, _OPTIMIZED + "integer_ops/add.h", _SUMS),
    ("optimized", "ADD",               _UINT8, 32, double_rounding, _OPTIMIZED + "optimized_ops.h", _SUMS),
    ("optimized", "ADD",               _INT16, 32, double_rounding, _OPTIMIZED + "integer_ops/add.h", _SUMS),
    ("optimized", "SUB",               _INT8, 32, double_rounding, _REFERENCE + "sub.h", _SUMS),
    ("optimized", "SUB",               _UINT8, 32, double_rounding, _REFERENCE + "sub.h", _SUMS),
    ("optimized", "SUB",               _INT16, 32, double_rounding, _REFERENCE + "sub.h", _SUMS),
    ("optimized", "MUL",               _INT8, 32, double_rounding, _OPTIMIZED + "integer_ops/mul.h", _SUMS),
    ("optimized", "MUL",               _UINT8, 32, double_rounding, _OPTIMIZED + "optimized_ops.h", _SUMS),
    ("optimized", "MUL",               _INT16, 32, double_rounding, _REFERENCE + "integer_ops/mul.h", _SUMS),
    ("xnnpack",   "CONV_2D",           _INT8,  32, float32_rounding, "qs8-qc8w-igemm/",                  _XNNPACK),
    ("xnnpack",   "CONV_2D",           _UINT8, 32, float32_rounding, "qu8-igemm/",                       _XNNPACK),
    ("xnnpack",   "DEPTHWISE_CONV_2D", _INT8,  32, float32_rounding, "qs8-qc8w-dwconv/",                 _XNNPACK),
    ("xnnpack",   "DEPTHWISE_CONV_2D", _UINT8, 32, float32_rounding, "qu8-dwconv/",                      _XNNPACK),
    ("xnnpack",   "TRANSPOSE_CONV",    _INT8,  32, float32_rounding, "qs8-qc8w-igemm/",                  _XNNPACK),
    ("xnnpack",   "TRANSPOSE_CONV",    _UINT8, 32, float32_rounding, "qu8-igemm/",                       _XNNPACK),
    ("xnnpack",   "FULLY_CONNECTED",   _INT8,  32, float32_rounding, "qs8-qc8w-gemm/",                   _XNNPACK),
    ("xnnpack",   "FULLY_CONNECTED",   _UINT8, 32, float32_rounding, "qu8-gemm/",                        _XNNPACK),
    ("xnnpack",   "BATCH_MATMUL",      _INT8,  32, float32_rounding, "qs8-qc8w-gemm/",                   _XNNPACK),
    ("xnnpack",   "MUL",               _INT8,  32, float32_rounding, "qs8-vmul/",                       _XNNPACK),
    ("xnnpack",   "MUL",               _UINT8, 32, float32_rounding, "qu8-vmul/",                       _XNNPACK),
    ("micro",     "CONV_2D",           _INT8,  32, double_rounding,  _CONV,                             _MICRO),
    ("micro",     "CONV_2D",           _INT16, 32, double_rounding,  _CONV,                             _MICRO),
    ("micro",     "CONV_2D",           _INT16, 64, wide,             _CONV,                             _MICRO),
    ("micro",     "DEPTHWISE_CONV_2D", _INT8,  32, double_rounding,  _DEPTHWISE,                        _MICRO),
    ("micro",     "DEPTHWISE_CONV_2D", _INT16, 64, wide,             _DEPTHWISE,                        _MICRO),
    ("micro",     "TRANSPOSE_CONV",    _INT8,  32, double_rounding,  _TRANSPOSE,                        _MICRO),
    ("micro",     "TRANSPOSE_CONV",    _INT16, 64, wide,             _TRANSPOSE,                        _MICRO),
    ("micro",     "BATCH_MATMUL",      _INT8,  32, double_rounding,  _REFERENCE + "batch_matmul.h",     _MICRO),
    ("micro",     "BATCH_MATMUL",      _INT16, 64, wide,             _REFERENCE + "batch_matmul.h",     _MICRO),
    ("micro",     "FULLY_CONNECTED",   _INT8,  32, double_rounding,  _FULLY,                            _MICRO),
    ("micro",     "FULLY_CONNECTED",   _INT16, 32, double_rounding,  _FULLY,                            _MICRO),
    ("micro",     "FULLY_CONNECTED",   _INT16, 64, wide,             _FULLY,                            _MICRO),
    ("micro",     "ADD",               _INT8,  32, double_rounding,  _REFERENCE + "integer_ops/add.h",  _MICRO),
    ("micro",     "ADD",               _INT16, 32, double_rounding,  _REFERENCE + "add.h",              _MICRO),
    ("micro",     "SUB",               _INT8,  32, double_rounding,  _REFERENCE + "sub.h",              _MICRO),
    ("micro",     "SUB",               _INT16, 32, double_rounding,  _REFERENCE + "sub.h",              _MICRO),
    ("micro",     "MUL",               _INT8,  32, double_rounding,  _REFERENCE + "integer_ops/mul.h",  _MICRO),
    ("micro",     "MUL",               _INT16, 32, double_rounding,  _REFERENCE + "integer_ops/mul.h",  _MICRO),
    ("micro",     "QUANTIZE",          _INT8,  32, double_rounding,  _REFERENCE + "requantize.h",       _MICRO),
    ("micro",     "QUANTIZE",          _UINT8, 32, double_rounding,  _REFERENCE + "requantize.h",       _MICRO),
    ("micro",     "QUANTIZE",          _INT16, 32, double_rounding,  _REFERENCE + "requantize.h",       _MICRO),
    ("micro",     "QUANTIZE",          _INT32, 32, double_rounding,  _REFERENCE + "requantize.h",       _MICRO),
    ("micro",     "MEAN",              _INT8,  32, double_rounding,  _REFERENCE + "reduce.h",           _MICRO),
    ("micro",     "MEAN",              _INT16, 32, double_rounding,  _REFERENCE + "reduce.h",           _MICRO),
    ("micro",     "SUM",               _INT8,  32, double_rounding,  _REFERENCE + "reduce.h",           _MICRO),
    ("micro",     "SUM",               _INT16, 32, double_rounding,  _REFERENCE + "reduce.h",           _MICRO),
    ("micro",     "SOFTMAX",           _INT16, 32, double_rounding,  _REFERENCE + "softmax.h",          _MICRO),
))
# fmt: on

_ROUNDING = {(row.profile, row.operator, row.type, row.bits): row.rule for row in ROUNDING}

_FLOAT32 = TensorType.FLOAT32

#: operators that in profile "calibrator" may have tensors with a scale that are not float32
QUANTIZED_IN_CALIBRATOR = frozenset(("DEQUANTIZE", "EMBEDDING_LOOKUP", "QUANTIZE"))


_ESTIMATE = "Eigen refines the estimate of a processor: here that of AMD's Zen, unless `with_processor` says otherwise"
_OF_RECIPROCAL = ("4 units in the last place of the reciprocal", _ESTIMATE)
_ADDRESS = "over the last axes the order of the sum hangs on the address of a tensor whose shape depends on data"
#: operators of profile "optimized" whose float32 results are the real kernel's only on a condition: by how much they
#: may differ where it does not hold, and what it is
INEXACT: dict[str, tuple[str, str]] = {
    "GELU": _OF_RECIPROCAL,
    "L2_POOL_2D": _OF_RECIPROCAL,
    "LOCAL_RESPONSE_NORMALIZATION": _OF_RECIPROCAL,
    "MEAN": ("the rounding of a sum", _ADDRESS),
}

_ROOT = "a step of Newton's method refines the estimate of a processor: here that of AMD's Zen 4"
#: the same of profile "xnnpack", which is that of processors with AVX-512F and of tensorflow 2.21.0
INEXACT_IN_XNNPACK: dict[str, tuple[str, str]] = dict.fromkeys(("RSQRT", "SQRT"), ("4 units in the last place", _ROOT))


def check_compared(op: Operator, profile: str) -> None:
    """Raises UnsupportedOperatorError where the real kernels of its profile do not run `op`, or nobody compared them.

    Profile "micro" runs what `refquant.kernels.micro` says. In a model run with profile "calibrator", which is one of
    floats, no tensor may be quantized but those of `QUANTIZED_IN_CALIBRATOR`; of operators in profile "optimized" not
    those of `FLOAT_IN_OPTIMIZED`.
    """
    if op.profile == "micro":
        micro.check_taken(op)
    if profile == "calibrator" and op.name not in QUANTIZED_IN_CALIBRATOR:
        for tensor in (*op.inputs, *op.outputs):
            if tensor is not None and tensor.type != _FLOAT32 and (tensor.is_quantized or tensor.blocks is not None):
                raise op.unsupported(f"{tensor.place} is quantized, and only float models run")


def check_planned(op: Operator) -> None:
    """Raises UnsupportedOperatorError where the runtime of its profile has not the shapes that a kernel planned."""
    if op.profile == "micro":
        micro.check_shapes(op)


def rounding(op: Operator, bits: int = 32, type: TensorType | None = None) -> Requantize:
    """The rule by which `op` requantizes accumulators of `bits`: by its profile, name and type of activations.

    That is the type of its first input unless `type` says otherwise.

    Raises UnsupportedOperatorError when the table has no row for it.
    """
    rule = _ROUNDING.get((op.profile, op.name, op.input(0).type if type is None else type, bits))
    if rule is None:
        raise op.unsupported("no rounding rule is known")
    return rule
