"""Cases as a converter would write them, such as delegates want: shapes in the file, constants, scales of biases."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.errors import RefquantError
from refquant.interpreter import Interpreter
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType
from refquant.tflite.tensor_types import PACKED_BITS
from refquant.tflite.vectors import indices_of

#: operators whose weights are constants: the position of the input, and those of filter and bias
LAYERS = {
    "CONV_2D": (0, 1, 2),
    "DEPTHWISE_CONV_2D": (0, 1, 2),
    "FULLY_CONNECTED": (0, 1, 2),
    "TRANSPOSE_CONV": (2, 1, 3),
}
#: of other operators, the positions of inputs that are constants in converted models
PARAMETERS = {
    **dict.fromkeys("MEAN PAD PRELU REDUCE_MAX REDUCE_MIN RESHAPE RESIZE_BILINEAR SUM TRANSPOSE".split(), (1,)),
    "SLICE": (1, 2),
    "SPLIT": (0,),
    "STRIDED_SLICE": (1, 2, 3),
}
_8BIT = (TensorType.INT8, TensorType.UINT8)


def as_converted(model: Model, samples: list[list[Any]]) -> tuple[Model, list[list[Any]]]:
    """The model of one operator with the shapes of its outputs, parameters such as axes as constants, scales of 8-bit
    numbers, and of layers the weights as constants, a bias with the scales that the sums have, and depth_multiplier.

    Constants are those of the first sample; the samples are left without them.

    As it is, where the reference kernels refuse it.
    """
    try:
        interpreter = Interpreter(model=model)
        interpreter.allocate_tensors()
    except RefquantError:
        return model, samples
    root = copy.deepcopy(model.root)
    result = Model(root)
    subgraph = result.subgraphs[0]
    tensors, operators = subgraph.tensors or [], subgraph.operators or []
    if len(operators) != 1:
        return model, samples
    for detail in interpreter.get_output_details():
        if detail["shape"].min(initial=1) > 0:
            tensors[detail["index"]].shape = detail["shape"].astype(np.int32)
    name, inputs = model.operator_name(operators[0]), [*indices_of(operators[0].inputs), -1, -1]
    image, *weights = (inputs[position] for position in LAYERS.get(name, (0, *PARAMETERS.get(name, ()))))
    given = indices_of(subgraph.inputs)
    for index in weights:
        value = samples[0][given.index(index)] if index in given and samples else np.empty(0)
        if value.size and tensors[index].type not in PACKED_BITS:
            _make_constant(root, tensors[index], value)
    kept = [position for position, index in enumerate(given) if result.constant(tensors[index]) is None]
    subgraph.inputs = np.array([given[position] for position in kept], np.int32)
    samples = [[sample[position] for position in kept] for sample in samples]
    moved = [tensor for tensor in tensors if tensor.type in _8BIT]
    if all(tensor.quantization is None for tensor in moved):
        for tensor in moved:
            tensor.quantization = schema.QuantizationParameters(scale=[0.5], zero_point=[3])
    if name not in LAYERS:
        return result, samples
    options = operators[0].builtin_options
    if isinstance(options, schema.DepthwiseConv2DOptions):
        depth, outputs = (int(np.asarray(tensors[i].shape)[3]) for i in (image, weights[0]))
        options.depth_multiplier = outputs // depth
        quantization = tensors[weights[0]].quantization
        if quantization is not None and tensors[weights[0]].type == TensorType.UINT8:
            quantization.quantized_dimension = 0
    if weights[1] < 0 and name in ("CONV_2D", "DEPTHWISE_CONV_2D") and tensors[image].type != TensorType.INT16:
        weights[1] = _add_bias(result, operators[0], tensors[image].type, detail["shape"][-1:])
    if weights[1] >= 0:
        _give_scale(tensors[image], tensors[weights[0]], tensors[weights[1]])
    return result, samples


def _make_constant(root: schema.Model, tensor: schema.Tensor, value: Any) -> None:
    assert root.buffers is not None
    root.buffers.append(schema.Buffer(data=np.frombuffer(np.ascontiguousarray(value).tobytes(), np.uint8)))
    tensor.buffer, tensor.shape = len(root.buffers) - 1, np.array(value.shape, np.int32)


def _add_bias(model: Model, operator: schema.Operator, type: TensorType, shape: npt.NDArray[np.integer[Any]]) -> int:
    """A bias of zeros; its index."""
    tensors = model.subgraphs[0].tensors
    assert tensors is not None
    dtype, bias_type = (np.float32, TensorType.FLOAT32) if type == TensorType.FLOAT32 else (np.int32, TensorType.INT32)
    tensors.append(schema.Tensor(type=bias_type, name="bias"))
    _make_constant(model.root, tensors[-1], np.zeros(shape, dtype))
    operator.inputs = np.array([*indices_of(operator.inputs)[:2], len(tensors) - 1], np.int32)
    return len(tensors) - 1


def _give_scale(image: schema.Tensor, filter: schema.Tensor, bias: schema.Tensor) -> None:
    """Of an integer bias: those of the image times those of the filter."""
    scales = [None if t.quantization is None else t.quantization.scale for t in (image, filter)]
    if bias.type != TensorType.INT32 or any(scale is None or not len(scale) for scale in scales):
        return
    product = np.asarray(scales[0], np.float32)[0] * np.asarray(scales[1], np.float32)
    if np.all(product >= np.finfo(np.float32).tiny) and np.all(np.isfinite(product)):
        bias.quantization = schema.QuantizationParameters(scale=product, zero_point=np.zeros(product.size, np.int64))
