"""Float graphs written down operator by operator, for tests of what the converter makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.quantization.options import default_options
from refquant.testing.build import OperatorSpec, SubgraphSpec, TensorSpec, model_of
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType

Array = npt.NDArray[Any]

FLOAT32, INT32, INT64, BOOL = TensorType.FLOAT32, TensorType.INT32, TensorType.INT64, TensorType.BOOL
_TYPES = {"f4": FLOAT32, "i4": INT32, "i8": INT64, "b1": BOOL}


class Sketch:
    """A graph in the making; tensors are named by their indices."""

    def __init__(self, rng: np.random.Generator | None = None) -> None:
        self.rng = rng or np.random.default_rng(0)
        self.tensors: list[TensorSpec] = []
        self.operators: list[OperatorSpec] = []
        self.inputs: list[int] = []

    def _new(self, spec: TensorSpec, name: str) -> int:
        spec.name = f"{name}{len(self.tensors)}"
        self.tensors.append(spec)
        return len(self.tensors) - 1

    def shape(self, tensor: int) -> tuple[int, ...]:
        """The shape of a tensor."""
        spec = self.tensors[tensor]
        return tuple(spec.shape) if spec.data is None else spec.data.shape

    def input(self, *shape: int, type: TensorType = FLOAT32) -> int:
        """A new input."""
        self.inputs.append(self._new(TensorSpec(type, shape), "input"))
        return self.inputs[-1]

    def constant(self, values: npt.ArrayLike) -> int:
        """A new constant; Python's floats become float32, its integers int32."""
        array = np.asarray(values)
        if not isinstance(values, (np.ndarray, np.generic)) and array.dtype.kind in "fi":
            array = array.astype(f"{array.dtype.kind}4")
        return self._new(TensorSpec(_TYPES[array.dtype.str[1:]], data=array), "constant")

    def weights(self, *shape: int) -> int:
        """A new constant of random numbers."""
        return self.constant(self.rng.standard_normal(shape).astype(np.float32))

    def state(self, *shape: int) -> int:
        """A new variable."""
        return self._new(TensorSpec(FLOAT32, shape, is_variable=True), "state")

    def op(
        self, name: str, inputs: Sequence[int], shape: Sequence[int], type: TensorType = FLOAT32, **options: Any
    ) -> int:
        """The output of a new operator with some options."""
        return self.ops(name, inputs, [(shape, type)], **options)[0]

    def ops(
        self, name: str, inputs: Sequence[int], outputs: Sequence[tuple[Sequence[int], TensorType]], **options: Any
    ) -> list[int]:
        """The outputs, by shape and type, of a new operator with some options."""
        found = [self._new(TensorSpec(type, shape), name.lower()) for shape, type in outputs]
        table = default_options(name)
        for option, value in options.items():
            setattr(table, option, value)
        self.operators.append(OperatorSpec(name, inputs, found, table))
        return found

    def custom(
        self, name: str, inputs: Sequence[int], outputs: Sequence[tuple[Sequence[int], TensorType]]
    ) -> list[int]:
        """The outputs, by shape and type, of a new custom operator without options."""
        found = [self._new(TensorSpec(type, shape), name.lower()) for shape, type in outputs]
        self.operators.append(OperatorSpec(name, inputs, found, custom_options=b""))
        return found

    def like(self, name: str, *inputs: int, **options: Any) -> int:
        """The output of a new operator, of the shape of its first input."""
        return self.op(name, inputs, self.shape(inputs[0]), **options)

    def reshape(self, tensor: int, *shape: int) -> int:
        """The tensor in another shape."""
        sides = self.constant(np.array(shape, np.int32))
        return self.op("RESHAPE", [tensor, sides], shape, self.tensors[tensor].type)

    def transpose(self, tensor: int, *order: int) -> int:
        """The tensor with its axes in another order."""
        shape = self.shape(tensor)
        return self.op("TRANSPOSE", [tensor, self.constant(list(order))], [shape[axis] for axis in order])

    def pair(self, tensor: int, scale: npt.ArrayLike, axis: int = 0) -> int:
        """The tensor quantized and back again, as training with quantization in mind leaves it in a file."""
        scales = np.asarray(scale, np.float32)
        spec = TensorSpec(TensorType.INT8, self.shape(tensor), scales, np.zeros(scales.shape, int), axis)
        self.operators.append(OperatorSpec("QUANTIZE", [tensor], [self._new(spec, "quantize")], None))
        return self.like("DEQUANTIZE", len(self.tensors) - 1)

    def model(self, outputs: Sequence[int], *, ranges: bool = False) -> Model:
        """The model with these outputs; with `ranges` each float tensor has a random minimum and maximum."""
        model = model_of(SubgraphSpec(self.tensors, self.operators, self.inputs, outputs))
        for spec, tensor in zip(self.tensors, model.subgraphs[0].tensors or (), strict=True):
            if ranges and spec.data is None and spec.type == FLOAT32:
                low, high = np.sort(3 * self.rng.standard_normal(2)).astype(np.float32)
                tensor.quantization = schema.QuantizationParameters(
                    min=np.array([min(low, 0)], np.float32), max=np.array([max(high, 0)], np.float32)
                )
        return model
