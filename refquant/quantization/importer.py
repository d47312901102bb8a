"""From a `Model` to the graph that the quantizer works on, as the converter reads a file.

Source: converter/flatbuffer_import.cc.
"""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass, field

import numpy as np

from refquant.errors import InvalidModelError, UnsupportedOperatorError
from refquant.numerics.packed import unpack
from refquant.quantization.folding import fold_once
from refquant.quantization.ir import Calibrated, Constant, Function, Operation, Quantized, Type, Value
from refquant.quantization.locations import Locations
from refquant.quantization.refusals import require_convertible
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import LSTMKernelType, TensorType
from refquant.tflite.tensor_types import PACKED_BITS, numpy_dtype
from refquant.tflite.vectors import indices_of


@dataclass
class Signature:
    """A named way to call a function: the names of its inputs and outputs with their positions."""

    key: str
    function: Function
    inputs: dict[str, int]
    outputs: dict[str, int]


@dataclass
class Module:
    """A model as functions; the first is the main one. `entries` are those that can be called from outside."""

    functions: list[Function] = field(default_factory=list)
    entries: list[Function] = field(default_factory=list)
    signatures: list[Signature] = field(default_factory=list)
    description: str | None = None
    version: int = 3
    metadata: dict[str, bytes] = field(default_factory=dict)
    own_metadata: dict[str, bytes] = field(default_factory=dict)  # what the quantizer adds, last in the file


#: options that name subgraphs: of each operator the fields, which become attributes that hold functions
SUBGRAPH_FIELDS = {
    "WHILE": ("cond_subgraph_index", "body_subgraph_index"),
    "IF": ("then_subgraph_index", "else_subgraph_index"),
    "CALL_ONCE": ("init_subgraph_index",),
    "CALL": ("subgraph",),
}

#: how many operands an operation has at least: absent ones are added
_OPERANDS = {
    "FULLY_CONNECTED": 3,
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "CONV_3D": 3,
    "TRANSPOSE_CONV": 4,
    "CONV_3D_TRANSPOSE": 4,
    "LSTM": 24,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": 24,
    "BIDIRECTIONAL_SEQUENCE_LSTM": 48,
    "SVDF": 5,
}


def import_model(model: Model, locations: Locations | None = None) -> Module:
    """The functions of a model. Raises as `require_convertible` does for what the converter does not read or write.

    With `locations` it is the graph that the converter wrote the model from, instead of the one that it would read:
    constants stand where their tensors do, and operations are called what they were called.
    """
    require_convertible(model)
    root = model.root
    module = Module(description=root.description, version=root.version)
    for entry in root.metadata or ():
        module.metadata.setdefault(entry.name or "", model.buffer(entry.buffer).tobytes())
    signatures = {signature.subgraph_index: signature for signature in root.signature_defs or ()}
    one_entry = len(signatures) <= 1
    variables = _Counter()
    for index, subgraph in enumerate(model.subgraphs):
        name = "main" if index == 0 and one_entry else subgraph.name or f"fn_{index}"
        function = _Importer(model, subgraph, name, variables, locations).function
        module.functions.append(function)
        if index == 0 if one_entry else index in signatures:
            module.entries.append(function)
        if index in signatures:
            module.signatures += _signature(signatures[index], function, subgraph)
    for function in module.functions:
        for operation in function:
            for option in SUBGRAPH_FIELDS.get(operation.name, ()):
                number = getattr(operation.options, option)
                if not 0 <= number < len(module.functions):
                    raise InvalidModelError(f"{operation.name}: there is no subgraph {number}")
                operation.attributes[option] = module.functions[number]
    return module


class _Counter:
    """Numbers the variables of a model, so that no two are merged."""

    def __init__(self) -> None:
        self.count = 0

    def next(self) -> int:
        self.count += 1
        return self.count - 1


class _Importer:
    """Reads one subgraph."""

    def __init__(
        self, model: Model, subgraph: schema.SubGraph, name: str, variables: _Counter, locations: Locations | None
    ) -> None:
        self.model = model
        self.absent = None if locations is None else locations.absent.get(model.subgraphs.index(subgraph))
        self.locations = locations
        self.tensors = subgraph.tensors or []
        self.variables = variables
        self.function = Function(name)
        self.values: dict[int, Value] = {}
        for index in indices_of(subgraph.inputs):
            tensor = self.tensors[index]
            argument = Value(type_of(tensor), name=tensor.name or "")
            self.function.arguments.append(argument)
            self.values[index] = self._with_statistics(argument, tensor)
        made = {index for operator in subgraph.operators or () for index in indices_of(operator.outputs)}
        self.pending = [i for i in range(len(self.tensors)) if i not in made and i not in self.values][::-1]
        self.used = {index for operator in subgraph.operators or () for index in indices_of(operator.inputs)}
        self.used |= set(indices_of(subgraph.outputs))
        for operator in subgraph.operators or ():
            if locations is not None:
                self._constants_before(min(indices_of(operator.outputs), default=0))
            self._operator(operator)
        outputs: list[Value | None] = [self._value(index) for index in indices_of(subgraph.outputs)]
        names = tuple(self.tensors[index].name or "" for index in indices_of(subgraph.outputs))
        self.function.append(Operation("RETURN", outputs, names=names))
        self._merge_absent_operands()
        _renew_branches(self.function)
        fold_once(self.function)
        for operation in self.function:
            if operation.name == "CONST" and locations is None:
                operation.result.turn_uses()  # the quantizer begins by making constants anew, in another dialect

    def _merge_absent_operands(self) -> None:
        """Forgets the names of absent operands where there are several.

        The converter makes one value of them all, which has no name even when only one of its users is left.
        """
        lacking = [operation for operation in self.function if None in operation.operands]
        if len(lacking) > 1:
            for operation in lacking:
                operation.attributes.pop("implied", None)

    def _constants_before(self, index: int) -> None:
        """Reads the constants whose tensors stand before one."""
        while self.pending and self.pending[-1] < index:
            constant = self.pending.pop()
            if self.tensors[constant].is_variable or self.model.constant(self.tensors[constant]) is not None:
                if self.absent is not None and self.absent.before and constant == self.absent.beside:
                    self.function.append(_absent_operand(self.absent.place))
                value = self._value(constant)
                if self.absent is not None and not self.absent.before and constant == self.absent.beside:
                    self.function.append(_absent_operand(self.absent.place))
                if constant not in self.used and value.owner is not None:
                    value.owner.attributes["kept"] = True  # what a loop used before it became a function of its own

    def _names(self, indices: list[int]) -> tuple[str, ...]:
        """What the operation that makes these tensors is called."""
        tensors = [self.tensors[index] for index in indices]
        if self.locations is not None:
            return self.locations.of(tensors)
        return tuple(tensor.name or "" for tensor in tensors)

    def _operator(self, operator: schema.Operator) -> None:
        name = self.model.operator_name(operator)
        if name == "LSTM" and getattr(operator.builtin_options, "kernel_type", None) == LSTMKernelType.BASIC:
            name = "BASIC_LSTM"  # an operator of its own for the converter
        custom = self.model.is_custom(operator)
        operands = [None if index == -1 else self._value(index) for index in indices_of(operator.inputs)]
        outputs = indices_of(operator.outputs)
        if name == "RESHAPE" and not custom:
            operands = self._reshape_operands(operator, operands)
        implied = max(_OPERANDS.get(name, 0) - len(operands), 0)
        operands += [None] * implied
        operation = self.function.append(
            Operation(
                name,
                operands,
                [type_of(self.tensors[index]) for index in outputs],
                options=copy(operator.builtin_options or operator.builtin_options_2),
                names=self._names(outputs),
                custom=custom,
                custom_options=self.model.custom_options(operator) if custom else None,
            )
        )
        if implied and self.locations is None:
            operation.attributes["implied"] = (implied, operation.names)
        intermediates = indices_of(operator.intermediates)
        if intermediates:
            operation.attributes["intermediates"] = [_intermediate(self.tensors[index]) for index in intermediates]
        for index, result in zip(outputs, operation.results, strict=True):
            self.values[index] = self._with_statistics(result, self.tensors[index])

    def _reshape_operands(self, operator: schema.Operator, operands: list[Value | None]) -> list[Value | None]:
        """The shape of a RESHAPE is an operand of one dimension, also where the file has it in the options."""
        if len(operands) == 1:
            shape = np.asarray(getattr(operator.builtin_options, "new_shape", ()), np.int32)
        else:
            given = operands[1]
            constant = given.owner.constant if given is not None and given.owner is not None else None
            if constant is None or constant.array.ndim <= 1:
                return operands
            shape = constant.array.reshape(-1)
        name = self.tensors[indices_of(operator.outputs)[0]].name or ""
        operation = _constant_operation(Constant(TensorType.INT32, shape), (name,))
        return [operands[0], self.function.append(operation).result]

    def _value(self, index: int) -> Value:
        """The value of a tensor; what nothing has made yet is a constant or a variable."""
        if index not in self.values:
            tensor = self.tensors[index]
            names = self._names([index]) if tensor.name else ()
            operation = self._variable(tensor, names) if tensor.is_variable else self._constant(tensor, names)
            self.function.append(operation)
            value = operation.result
            self.values[index] = self._with_statistics(value, tensor) if tensor.is_variable else value
        return self.values[index]

    def _constant(self, tensor: schema.Tensor, names: tuple[str, ...]) -> Operation:
        if tensor.sparsity is not None:
            return self._sparse_constant(tensor, names)
        array = self.model.constant(tensor)
        shape = _shape(tensor)
        if array is None:
            if 0 not in shape:
                raise InvalidModelError(
                    f"tensor {tensor.name!r} has no data, yet nothing makes it: it is neither an input, "
                    f"nor a constant, nor the output of an operator before its first use"
                )
            array = np.zeros(shape, numpy_dtype(tensor.type))
        elif tensor.type in PACKED_BITS:
            signed = tensor.type != TensorType.UINT4
            array = unpack(array, PACKED_BITS[tensor.type], math.prod(shape), signed).reshape(shape)
        quantized = _quantized(tensor, narrow=True)
        if quantized is None:
            return _constant_operation(Constant(tensor.type, array), names)
        kind = Type(quantized, shape)
        return Operation("QCONST", [], [kind], constant=Constant(tensor.type, array), names=names)

    def _sparse_constant(self, tensor: schema.Tensor, names: tuple[str, ...]) -> Operation:
        if tensor.type in PACKED_BITS or tensor.type == TensorType.STRING:
            raise UnsupportedOperatorError(
                f"sparse tensor {tensor.name!r} of {tensor.type.name}: only whole bytes are read"
            )
        quantized = _quantized(tensor, narrow=True)
        values = self.model.buffer(tensor.buffer).view(numpy_dtype(tensor.type))
        return Operation(
            "SPARSE_CONST" if quantized is None else "SPARSE_QCONST",
            [],
            [Type(quantized or tensor.type, _shape(tensor))],
            constant=Constant(tensor.type, values),
            names=names,
            attributes={"sparsity": tensor.sparsity},
        )

    def _variable(self, tensor: schema.Tensor, names: tuple[str, ...]) -> Operation:
        if self.locations is not None:  # not yet one, but the constant that it begins with
            zeros = np.zeros(_shape(tensor), numpy_dtype(tensor.type))
            return _constant_operation(Constant(tensor.type, zeros), names)
        number = self.variables.next()
        array = np.full(_shape(tensor), np.array(number).astype(numpy_dtype(tensor.type)))
        quantized = _quantized(tensor, narrow=True)
        if quantized is not None:
            kind = Type(quantized, _shape(tensor))
            return Operation("QCONST", [], [kind], constant=Constant(tensor.type, array), names=names)
        operation = _constant_operation(Constant(tensor.type, array), names)
        operation.attributes["variable"] = number
        return operation

    def _with_statistics(self, value: Value, tensor: schema.Tensor) -> Value:
        """The value itself, or where a range was recorded what STATISTICS makes of it."""
        table = tensor.quantization
        if table is None or _quantized(tensor) is not None or not value.type.is_float:
            return value
        low, high = _floats(table.min), _floats(table.max)
        if not low or len(low) != len(high):
            return value
        statistics = Operation("STATISTICS", [value], [value.type], attributes={"min": low, "max": high})
        statistics.attributes["axis"] = table.quantized_dimension if len(low) > 1 else None
        return self.function.append(statistics).result


def _renew_branches(function: Function) -> None:
    """Has the uses that IF makes of values count as the newest.

    The converter reads IF as an operation of another dialect than all others. The real quantizer asks it before all
    others that use a value whether they take integers.
    """
    for operation in function:
        if operation.name == "IF":
            for position, value in enumerate(operation.operands):
                operation.set_operand(position, value)


def type_of(tensor: schema.Tensor) -> Type:
    """The type of the value that a tensor is."""
    element = _quantized(tensor) or tensor.type
    shape = _shape(tensor)
    if not shape:
        return Type(element, () if tensor.has_rank else None)
    signature = () if tensor.shape_signature is None else tuple(int(n) for n in tensor.shape_signature)
    return Type(element, signature or shape)


def _intermediate(tensor: schema.Tensor) -> Type:
    quantized = _quantized(tensor)
    if quantized is not None:
        return Type(quantized, _shape(tensor))
    table = tensor.quantization
    if table is None or not _floats(table.min) or not _floats(table.max):
        return Type(tensor.type, _shape(tensor))
    return Type(Calibrated(_floats(table.min)[0], _floats(table.max)[0]), _shape(tensor))


def _quantized(tensor: schema.Tensor, *, narrow: bool = False) -> Quantized | None:
    """The quantization that a tensor states, or None; of an 8-bit constant the lowest integer is left out."""
    table = tensor.quantization
    if table is None or table.zero_point is None or not len(table.zero_point):
        return None
    bits = _BITS.get(tensor.type)
    if bits is None or table.scale is None:
        raise InvalidModelError(f"tensor {tensor.name!r} has a zero point, but {tensor.type.name} cannot be quantized")
    signed = tensor.type not in (TensorType.UINT8, TensorType.UINT4)
    low = -(1 << (bits - 1)) if signed else 0
    scales = tuple(float(scale) or float(np.finfo(np.float32).tiny) for scale in table.scale)
    return Quantized(
        bits,
        scales,
        tuple(int(zero_point) for zero_point in table.zero_point),
        low + int(narrow and bits == 8),
        low + (1 << bits) - 1,
        table.quantized_dimension if len(scales) != 1 else None,
        signed,
    )


_BITS = {
    TensorType.INT2: 2,
    TensorType.INT4: 4,
    TensorType.UINT4: 4,
    TensorType.INT8: 8,
    TensorType.UINT8: 8,
    TensorType.INT16: 16,
    TensorType.INT32: 32,
    TensorType.INT64: 64,
}


def _constant_operation(constant: Constant, names: tuple[str, ...]) -> Operation:
    return Operation("CONST", [], [Type(constant.type, constant.array.shape)], constant=constant, names=names)


def _absent_operand(place: str) -> Operation:
    """The constant that stands for operands that are absent; it has a place among the others, but no tensor."""
    operation = _constant_operation(Constant(TensorType.INT32, np.zeros(0, np.int32)), (place,))
    operation.attributes |= {"absent": True, "kept": True, "variable": -1}
    return operation


def _signature(table: schema.SignatureDef, function: Function, subgraph: schema.SubGraph) -> list[Signature]:
    """The signature, or none where the converter drops it: one that does not name all inputs and outputs, each once.

    Of several names for one input the last is kept.
    """
    arguments: dict[int, str] = {}
    outputs: dict[int, str] = {}
    for entries, tensors, names in (
        (table.inputs, indices_of(subgraph.inputs), arguments),
        (table.outputs, indices_of(subgraph.outputs), outputs),
    ):
        for entry in entries or ():
            left = (i for i, tensor in enumerate(tensors) if tensor == entry.tensor_index)
            place = next((i for i in left if names is arguments or i not in outputs), None)
            if place is None:
                return []
            names[place] = entry.name or ""
        if len(names) != len(tensors):
            return []
    if not arguments and not outputs:
        return []
    by_name = ({name: place for place, name in sorted(names.items())} for names in (arguments, outputs))
    return [Signature(table.signature_key or "", function, *by_name)]


def _shape(tensor: schema.Tensor) -> tuple[int, ...]:
    return () if tensor.shape is None else tuple(int(n) for n in tensor.shape)


def _floats(vector: object) -> list[float]:
    return [] if vector is None else [float(number) for number in vector]  # type: ignore[attr-defined]
