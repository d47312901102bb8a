"""Full integer quantization of a model whose tensors carry the ranges that calibration recorded.

The steps, each in a module of its own: ranges become pairs of QUANTIZE and DEQUANTIZE (`prepare`), the constraints of
the operators spread them (`propagate`), operators take them in (`fuse`), what is left over goes (`finish`), and the
result is simplified (`optimize`).

Sources: QuantizeModel in converter/quantization/lite/quantize_model.cc, AddQuantizationPasses in
converter/tf_tfl_passes.cc.
"""

from __future__ import annotations

from collections.abc import Collection

from refquant.quantization import finish
from refquant.quantization.exporter import export_model
from refquant.quantization.fuse import fuse
from refquant.quantization.importer import import_model
from refquant.quantization.ir import Operation
from refquant.quantization.optimize import optimize
from refquant.quantization.prepare import prepare
from refquant.quantization.propagate import Options, Order, in_order, propagate
from refquant.quantization.variables import quantize_variables
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType


def quantize(
    model: Model,
    *,
    activations: TensorType = TensorType.INT8,
    input_type: TensorType = TensorType.FLOAT32,
    output_type: TensorType = TensorType.FLOAT32,
    fully: bool = False,
    per_channel: bool = True,
    per_channel_dense: bool = True,
    denied_operators: Collection[str] = (),
    denied_nodes: Collection[str] = (),
    variables: bool = False,
    order: Order = in_order,
) -> Model:
    """The quantized model of a float model whose tensors carry min and max.

    `activations` is INT8 or INT16; `fully` has inputs and outputs in that type too. `denied_operators` are names of
    operators that stay in float, `denied_nodes` names of output tensors of such operations, of which TensorFlow 2.21.0
    overlooks those with several outputs and those made of several operations. `variables` has variables hold integers.
    `order` tells in which order conversions behind an operator of several results are put, which the real quantizer
    leaves to chance.
    """

    def denied(operation: Operation) -> bool:
        by_node = len(operation.names) == 1 and operation.names[0] in denied_nodes
        return operation.name in denied_operators or by_node

    module = import_model(model)
    options = Options(8 if activations == TensorType.INT8 else 16, per_channel, per_channel_dense, order)
    if fully:
        input_type = output_type = activations
    for function in module.functions:
        prepare(function, options.bits)
        propagate(function, options)
        fuse(function, denied)
        finish.remove_superfluous(function)
    if variables:
        quantize_variables(module)
        for function in module.functions:
            fuse(function, denied)
            finish.remove_superfluous(function)
    for function in module.functions:
        finish.move_dequantize_down(function)
        optimize(function)
        if function in module.entries:
            finish.set_input_type(function, input_type)
            finish.set_output_type(function, output_type)
        finish.remove_remaining_pairs(function)
    return export_model(module)
