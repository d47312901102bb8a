"""What may come of comparing a family's cases with kernels other than the reference ones, besides equal bits.

For each kernel set and each operator and variant, the outcomes that are expected and why. `TAKES` tells of which cases
a profile runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from refquant.interpreter.plan import Subgraphs
from refquant.kernels.profiles import FLOAT_IN_OPTIMIZED
from refquant.kernels.xnnpack.delegation import taken
from refquant.testing.conformance import Outcome
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType

Expected = Mapping[tuple[str, str], Mapping[Outcome, str]]

_NOT_OF_BOOL = {Outcome.BOTH_REFUSE: "the optimized kernel takes no bool but for axes of size 1"}
_DIES_WITHOUT_BIAS = {Outcome.DIED: "tensorflow 2.21.0 dies without a bias"}
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
    ("FULLY_CONNECTED", "FLOAT32 hybrid INT4"): {Outcome.BOTH_REFUSE: "wide int4 weights must have a scale"},
    ("FULLY_CONNECTED", "FLOAT32 sparse"): dict.fromkeys(
        (Outcome.ONLY_THEIRS, Outcome.BOTH_REFUSE), "sparse weights of float32 are refused"
    ),
    ("LOCAL_RESPONSE_NORMALIZATION", "FLOAT32"): {Outcome.DIED: "tensorflow 2.21.0 dies of a negative radius"},
    ("REDUCE_MAX", "BOOL"): _NOT_OF_BOOL,
    ("REDUCE_MIN", "BOOL"): _NOT_OF_BOOL,
    ("REDUCE_PROD", "BOOL"): _NOT_OF_BOOL,
    ("SOFTMAX", "FLOAT32"): {Outcome.DIED: "tensorflow 2.21.0 dies of rows of no numbers"},
    ("SUM", "BOOL"): _NOT_OF_BOOL,
    ("TRANSPOSE_CONV", "FLOAT32"): _BEYOND,
}

_UNWRITTEN = "XNNPACK leaves reductions of nothing as they were in memory"
_NO_SUMS = {Outcome.ONLY_THEIRS: _UNWRITTEN, Outcome.BOTH_REFUSE: "XNNPACK refuses an axis that is named twice"}
_NO_WINDOWS = {
    Outcome.ONLY_THEIRS: "XNNPACK reads beyond an image that is smaller than the window",
    Outcome.BOTH_REFUSE: "XNNPACK refuses images of no numbers",
}
_XNNPACK: Expected = {
    ("AVERAGE_POOL_2D", "FLOAT32"): _NO_WINDOWS,
    ("BATCH_MATMUL", "FLOAT32"): {Outcome.BOTH_REFUSE: "XNNPACK refuses matrices of no numbers"},
    ("DEPTHWISE_CONV_2D", "FLOAT32"): {Outcome.DIED: "tensorflow 2.21.0 dies without a bias"},
    ("FULLY_CONNECTED", "FLOAT32"): {Outcome.BOTH_REFUSE: "XNNPACK refuses a row that is not full"},
    ("FULLY_CONNECTED", "FLOAT32 sparse"): dict.fromkeys(
        (Outcome.ONLY_THEIRS, Outcome.BOTH_REFUSE), "sparse weights of float32 are refused"
    ),
    ("MAX_POOL_2D", "FLOAT32"): _NO_WINDOWS,
    ("MEAN", "FLOAT32"): _NO_SUMS,
    ("REDUCE_MAX", "FLOAT32"): _NO_SUMS,
    ("REDUCE_MIN", "FLOAT32"): _NO_SUMS,
    ("SOFTMAX", "FLOAT32"): {
        Outcome.DIED: "tensorflow 2.21.0 dies of rows of no numbers",
        Outcome.BOTH_REFUSE: "XNNPACK refuses rows of no numbers",
    },
    ("SUM", "FLOAT32"): _NO_SUMS,
    ("TRANSPOSE_CONV", "FLOAT32"): _BEYOND,
}

_MICRO: Expected = {}

EXPECTED: Mapping[str, Expected] = {"optimized": _OPTIMIZED, "xnnpack": _XNNPACK, "micro": _MICRO}


def _runs_in_optimized(operator: str, model: Model) -> bool:
    return operator not in FLOAT_IN_OPTIMIZED or _has_no_scales(model)


def _has_no_scales(model: Model) -> bool:
    """Whether no tensor of the model has a scale, but for those of float32."""
    tensors = [tensor for subgraph in model.subgraphs for tensor in subgraph.tensors or ()]
    quantized = [tensor.quantization for tensor in tensors if tensor.type != TensorType.FLOAT32]
    return all(q is None or (q.details is None and (q.scale is None or not len(q.scale))) for q in quantized)


def _runs_in_xnnpack(operator: str, model: Model) -> bool:
    return _runs_in_optimized(operator, model) or _is_taken(model)


def _is_taken(model: Model) -> bool:
    """Whether XNNPACK takes all operators of a model of one subgraph."""
    operators = [step.operator for step in Subgraphs(model, "xnnpack")[0].steps]
    return len(taken(operators)) == len(operators)


#: which cases of an operator a profile runs; all where there is no entry
TAKES: Mapping[str, Callable[[str, Model], bool]] = {"optimized": _runs_in_optimized, "xnnpack": _runs_in_xnnpack}
