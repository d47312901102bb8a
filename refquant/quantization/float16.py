"""Float16 quantization: constants as float16, made float32 again before use.

Sources: converter/transforms/prepare_quantize_dynamic_range.cc (PrepareDynamicRangeQuantizableOp for DT_HALF),
AddDynamicRangeQuantizationPasses in tf_tfl_passes.cc.
"""

from __future__ import annotations

import numpy as np

from refquant.quantization.dynamic_range import finished, imported, remove_statistics
from refquant.quantization.fuse import fuse
from refquant.quantization.ir import Constant, Operation
from refquant.quantization.rewrite import Pattern, Rewriter, rewrite
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType

_LARGEST = np.float32(65504)


def quantize(model: Model, *, accumulation: str = "fp32", within_converter: bool = True) -> Model:
    """The float model with its float32 constants as float16.

    Values beyond the range of float16 become its largest. `accumulation`, "fp32" or "fp16", is noted in the metadata:
    what sums may be computed in. `within_converter` as in `dynamic_range.quantize`.
    """
    module, copies = imported(model, within_converter)
    for function in module.functions:
        remove_statistics(function)
        patterns: list[Pattern] = [_to_float16]
        rewrite(function, {"CONST": patterns})
        fuse(function, lambda operation: False, lambda operation: False)
    if within_converter:
        module.own_metadata["reduced_precision_support"] = f"fp16acc{accumulation}".encode()
    return finished(module, copies)


def _to_float16(constant: Operation, rewriter: Rewriter) -> bool:
    """Has all uses but the model's outputs come from float16."""
    if constant.result.type.element != TensorType.FLOAT32 or not constant.result.is_used:
        return False
    uses = [use for use in constant.result.uses if use[0].name != "RETURN"]
    if not uses:
        return True  # nothing to do, which the converter's own pattern takes for a change
    assert constant.constant is not None
    half = np.clip(constant.constant.array, -_LARGEST, _LARGEST).astype(np.float16)
    kind = constant.result.type.of(TensorType.FLOAT16)
    made = rewriter.insert_after(
        constant, Operation("CONST", [], [kind], constant=Constant(TensorType.FLOAT16, half), names=constant.names)
    )
    dequantize = rewriter.insert_after(
        made, Operation("DEQUANTIZE", [made.result], [constant.result.type], names=constant.names)
    )
    for operation, position in uses:
        operation.set_operand(position, dequantize.result)
    if not constant.result.is_used:
        rewriter.erase(constant)
    return True
