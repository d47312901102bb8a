"""Which rule of the converter explains each tensor of a quantized model, in words.

The rules are those of the table `refquant.quantization.constraints`; which of them applies follows from who makes a
tensor and who takes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.audit.again import is_quantized, type_name, zero_points_of
from refquant.quantization.constraints import Constraint, constraint_of
from refquant.quantization.converter import Mode
from refquant.quantization.dynamic_range import MINIMUM_ELEMENTS
from refquant.quantization.recorder import Range
from refquant.quantization.recurrent import LSTMS
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType
from refquant.tflite.vectors import indices_of, scales_of

Array = npt.NDArray[Any]

_BITS = {TensorType.INT2: 2, TensorType.INT4: 4, TensorType.INT8: 8, TensorType.INT16: 16}


@dataclass(frozen=True, slots=True)
class _Use:
    """An operator that makes or takes a tensor, and at which position."""

    name: str
    operator: schema.Operator
    position: int


class Rules:
    """The rules for one subgraph of a quantized model.

    `recorded` has the ranges that samples gave, by tensor of this subgraph, where samples are at hand.
    """

    def __init__(self, model: Model, subgraph: int, mode: Mode, recorded: Mapping[int, Range]) -> None:
        self.model, self.mode, self.recorded = model, mode, recorded
        self.tensors = model.subgraphs[subgraph].tensors or []
        self.inputs = set(indices_of(model.subgraphs[subgraph].inputs))
        self.makers: dict[int, _Use] = {}
        self.users: dict[int, list[_Use]] = {}
        self.inner: dict[int, _Use] = {}
        for operator in model.subgraphs[subgraph].operators or ():
            name = model.operator_name(operator)
            for position, index in enumerate(indices_of(operator.inputs)):
                self.users.setdefault(index, []).append(_Use(name, operator, position))
            for position, index in enumerate(indices_of(operator.outputs)):
                self.makers[index] = _Use(name, operator, position)
            for position, index in enumerate(indices_of(operator.intermediates)):
                self.inner[index] = _Use(name, operator, position)

    def of(self, index: int) -> str:
        """The rule for one tensor."""
        tensor = self.tensors[index]
        if self.model.buffer(tensor.buffer).size:
            return self._constant(index, tensor)
        if index in self.inner:
            return f"inside {self.inner[index].name}: the range of a partial sum{self._recorded(index)}"
        if tensor.is_variable:
            return (
                "a state that lives from run to run: the scale of what it is joined to"
                if is_quantized(tensor)
                else ("a state in float")
            )
        return self._activation(index, tensor) if is_quantized(tensor) else self._plain(index, tensor)

    # constants

    def _constant(self, index: int, tensor: schema.Tensor) -> str:
        user = self.users.get(index, [None])[0]
        if tensor.type == TensorType.FLOAT16:
            return "constant rounded to the nearest float16, made float32 again before use"
        if not is_quantized(tensor):
            return self._plain_constant(tensor, user)
        if user is None:
            return "a constant that no operator takes"
        constraint = constraint_of(user.name)
        if tensor.type in (TensorType.INT32, TensorType.INT64):
            return self._bias(index, tensor, user, constraint)
        if self._is_symmetric(tensor, user, constraint):
            return self._weights(tensor)
        if constraint.same_scale:
            return f"constant in the scale that {user.name} has for all it takes and gives"
        return f"constant over the range of its values with zero, all of {_limits(tensor)}"

    def _plain_constant(self, tensor: schema.Tensor, user: _Use | None) -> str:
        if tensor.type != TensorType.FLOAT32:
            return "whole numbers, not quantized"
        if user is None or self.mode is not Mode.DYNAMIC_RANGE:
            return "constant left in float: no form on integers where it is used"
        dynamic = constraint_of(user.name).dynamic
        if dynamic is None or user.position not in dynamic.operands:
            return f"constant left in float: {user.name} takes no int8 there"
        size = int(np.prod(indices_of(tensor.shape), dtype=np.int64))
        return (
            f"weights left in float: {size} elements, fewer than {MINIMUM_ELEMENTS}"
            if size < MINIMUM_ELEMENTS
            else (f"weights left in float by {user.name}")
        )

    def _bias(self, index: int, tensor: schema.Tensor, user: _Use, constraint: Constraint) -> str:
        bits = 32 if tensor.type == TensorType.INT32 else 64
        bias = constraint.bias
        if bias is None or bias.operand != user.position:
            return f"{bits}-bit bias: the scale of what it is added to"
        factors = [self._scales(user, position) for position in bias.of]
        scales = scales_of(tensor)
        fits = all(factor.size in (1, scales.size) for factor in factors)
        equal = fits and bool(np.all((factors[0].astype(np.float64) * factors[1]).astype(np.float32) == scales))
        rule = f"{bits}-bit bias: scale = input scale × weight scale, zero point 0"
        return rule if equal else rule + ", but not exactly here"

    def _weights(self, tensor: schema.Tensor) -> str:
        bits = _BITS.get(tensor.type, 8)
        most = 2 ** (bits - 1) - 1
        channels = scales_of(tensor).size
        rule = (
            "weights symmetric, one scale"
            if channels == 1
            else (f"weights symmetric per channel, axis {_axis(tensor)}")
        )
        rule += f": scale = max |w| / {most}"
        enlarged = self._enlarged(tensor, most) if bits == 8 else 0
        return f"{rule}; larger in {enlarged} of {channels} so that the bias fits" if enlarged else rule

    def _enlarged(self, tensor: schema.Tensor, most: int) -> int:
        """How many scales are larger than the weights ask for: no integer reaches the end."""
        values = self.model.constant(tensor)
        if values is None or not values.size:
            return 0
        others = tuple(i for i in range(values.ndim) if i != _axis(tensor)) if scales_of(tensor).size > 1 else None
        largest = np.abs(values.astype(np.int64)).max(axis=others)
        return int(np.count_nonzero((largest < most) & (largest > 0)))

    def _is_symmetric(self, tensor: schema.Tensor, user: _Use, constraint: Constraint) -> bool:
        weight = constraint.weight
        is_weight = weight is not None and weight.operand == user.position
        dynamic = self.mode is Mode.DYNAMIC_RANGE
        recurrent = user.name in (*LSTMS, "SVDF")
        return is_weight or dynamic or recurrent or self.mode is Mode.INT16

    # activations

    def _activation(self, index: int, tensor: schema.Tensor) -> str:
        maker = self.makers.get(index)
        if maker is None:
            return f"input of the model: range{self._range(index, tensor)}"
        inputs = indices_of(maker.operator.inputs)
        if maker.name == "QUANTIZE":
            if is_quantized(self.tensors[inputs[0]]):
                return f"requantized for {self._users(index)}"
            return f"quantized for {self._users(index)}: range{self._range(index, tensor)}"
        constraint = constraint_of(maker.name)
        if constraint.output is not None:
            return f"scale and zero point that {maker.name} always has"
        if constraint.same_scale:
            sources = [self.tensors[i] for i in inputs if i >= 0 and is_quantized(self.tensors[i])]
            if sources and all(_same_scale(source, tensor) for source in sources):
                return f"the scale of what {maker.name} takes, which only moves or chooses numbers"
        return f"output of {maker.name}: range{self._range(index, tensor)}"

    def _plain(self, index: int, tensor: schema.Tensor) -> str:
        maker = self.makers.get(index)
        if tensor.type != TensorType.FLOAT32:
            return f"{type_name(tensor)}: nothing to quantize"
        if self.mode in (Mode.DYNAMIC_RANGE, Mode.FLOAT16):
            return (
                "activation in float, as all are in this mode"
                if maker is None or maker.name != "DEQUANTIZE"
                else ("a constant made float again")
            )
        if maker is None:
            return "input of the model, left in float"
        if maker.name == "DEQUANTIZE":
            return f"made float again for {self._users(index)}"
        if not constraint_of(maker.name).quantized:
            return f"float: {maker.name} has no form on integers"
        return f"float: {maker.name} has no ranges or stands among float operators"

    def _users(self, index: int) -> str:
        users = self.users.get(index, [])
        return users[0].name if users else "the outputs"

    def _range(self, index: int, tensor: schema.Tensor) -> str:
        low, high = _ends(tensor)
        return f" {low:.6g} to {high:.6g}{self._recorded(index)}"

    def _recorded(self, index: int) -> str:
        found = self.recorded.get(index)
        if found is None:
            return ""
        low, high = found.min_sample, found.max_sample
        samples = f"sample {low}" if low == high else f"samples {low} (min) and {high} (max)"
        return f", recorded by {samples}"

    def _scales(self, user: _Use, position: int) -> Array:
        inputs = indices_of(user.operator.inputs)
        tensor = self.tensors[inputs[position]] if position < len(inputs) and inputs[position] >= 0 else None
        if tensor is None or not is_quantized(tensor):
            return np.zeros(0, np.float32)
        return scales_of(tensor)


def _same_scale(a: schema.Tensor, b: schema.Tensor) -> bool:
    return scales_of(a).tolist() == scales_of(b).tolist() and zero_points_of(a) == zero_points_of(b)


def _axis(tensor: schema.Tensor) -> int:
    return 0 if tensor.quantization is None else int(tensor.quantization.quantized_dimension)


def _limits(tensor: schema.Tensor) -> str:
    bits = _BITS.get(tensor.type, 8)
    return f"-{2 ** (bits - 1)} to {2 ** (bits - 1) - 1}"


def _ends(tensor: schema.Tensor) -> tuple[float, float]:
    """The real numbers that the lowest and the highest integer stand for."""
    scale, zero_point = float(scales_of(tensor)[0]), zero_points_of(tensor)[0]
    low, high = (0, 255) if tensor.type == TensorType.UINT8 else (-128, 127)
    if tensor.type == TensorType.INT16:
        low, high = -32767, 32767
    return scale * (low - zero_point), scale * (high - zero_point)
