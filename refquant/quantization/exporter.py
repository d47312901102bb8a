"""From the graph back to a `Model`, as the converter writes a file.

Tensors are numbered in the order of the operations that make them (arguments first), called after the tensors of the
original file that they come from, and numbered where a name is taken. Each tensor has a buffer of its own, but
constants that are equal share one.

Source: converter/flatbuffer_export.cc; the names from compiler/mlir/op_or_arg_name_mapper.cc.
"""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np

from refquant.numerics.packed import pack
from refquant.quantization.importer import SUBGRAPH_FIELDS, Module
from refquant.quantization.ir import Calibrated, Constant, Function, Operation, Quantized, Type, Value
from refquant.quantization.operators import STATEFUL_OPERANDS
from refquant.quantization.options import exported_options
from refquant.quantization.recurrent import LSTMS
from refquant.quantization.sparse_constants import SPARSE_CONSTANTS, exported_sparsity
from refquant.quantization.versions import minimum_runtime_version, update_versions
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import BuiltinOperator, TensorType
from refquant.tflite.tensor_types import PACKED_BITS

#: what the converter's compiler calls operations whose own name is not that of their operator
_COMPILER_NAMES = {
    "CONST": "arith.constant",
    "QCONST": "tfl.pseudo_qconst",
    "SPARSE_CONST": "tfl.pseudo_sparse_const",
    "SPARSE_QCONST": "tfl.pseudo_sparse_qconst",
}

_INTERMEDIATES = (
    "input_to_input_intermediate",
    "input_to_forget_intermediate",
    "input_to_cell_intermediate",
    "input_to_output_intermediate",
    "effective_hidden_scale_intermediate",
)


def export_model(module: Module) -> Model:
    """The model of a module, with the versions of its operators and the lowest runtime version that runs it."""
    return _Exporter(module).model()


class _Names:
    """Names for values, each given once: a name that is taken gets a number behind it."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.given: dict[Value, str] = {}

    def reserve(self, value: Value, name: str) -> None:
        """Gives a value a name whether that is taken or not; a value that has one keeps it."""
        self.counts[name] = self.counts.get(name, 0) + 1
        self.given.setdefault(value, name)

    def of(self, value: Value, prefix: str) -> str:
        """The name of a value, made from `prefix` when it has none yet."""
        if value not in self.given:
            self.given[value] = self.unique(prefix)
        return self.given[value]

    def unique(self, prefix: str) -> str:
        """`prefix`, or where that is taken `prefix` with the next number that makes it new."""
        if prefix not in self.counts:
            self.counts[prefix] = 1
            return prefix
        while True:
            candidate = f"{prefix}{self.counts[prefix]}"
            self.counts[prefix] += 1
            if candidate not in self.counts:
                self.counts[candidate] = 1
                return candidate


class _Exporter:
    def __init__(self, module: Module) -> None:
        self.module = module
        self.names = _Names()
        self.root = schema.Model(version=3, operator_codes=[], subgraphs=[], buffers=[schema.Buffer()])
        self.buffers: dict[tuple[Any, ...], int] = {}
        self.codes: dict[tuple[str, bool], int] = {}
        self.indices: dict[Value, int] = {}
        others = [function for function in module.functions if function not in module.entries]
        self.functions = [*module.entries, *others]

    def model(self) -> Model:
        root = self.root
        assert root.subgraphs is not None
        for function in self.functions:
            root.subgraphs.append(self._subgraph(function))
        root.description = self.module.description or "MLIR Converted."
        self._metadata()
        self._signatures()
        model = Model(root)
        update_versions(model)
        self._set_runtime_version(model)
        return model

    def _subgraph(self, function: Function) -> schema.SubGraph:
        self._reserve_names(function)
        tensors: list[schema.Tensor] = []
        operators: list[schema.Operator] = []
        for number, argument in enumerate(function.arguments):
            default = f"arg{number}" if function.name == "main" else f"{function.name}_arg{number}"
            self._tensor(tensors, argument, self.names.given.get(argument) or default)
        self._name_absent_operands(function)
        for operation in function:
            if operation.name in ("RETURN", "STATISTICS"):
                continue
            if "absent" in operation.attributes:
                self.names.of(operation.result, _prefix(operation.result))
                continue
            intermediates = self._intermediates(tensors, operation)
            for result in operation.results:
                self._tensor(tensors, result, self.names.of(result, _prefix(result)))
            if operation.name not in _COMPILER_NAMES:
                operators.append(self._operator(operation, intermediates))
        return schema.SubGraph(
            tensors=tensors,
            inputs=np.array([self.indices[argument] for argument in function.arguments], np.int32),
            outputs=np.array(self._numbers(function.terminator), np.int32),
            operators=operators,
            name=function.name,
        )

    def _reserve_names(self, function: Function) -> None:
        """Inputs and outputs of functions that can be called keep the names that they had."""
        if function not in self.module.entries:
            return
        for argument in function.arguments:
            self.names.reserve(argument, argument.name)
        for value, name in zip(function.terminator.operands, function.terminator.names, strict=True):
            if value is not None and value.owner is not None:
                self.names.reserve(value, name)

    def _name_absent_operands(self, function: Function) -> None:
        """An absent operand is a value for the converter's compiler, and takes a name that no tensor gets then.

        That is the name of the operation which did not mention it, unless there are several of those, or others that
        did mention it. Several copies of one operation share the value.
        """
        absent = [operation for operation in function if None in operation.operands]
        counts = {
            (operation.attributes.get("implied", (0, ())), operation.operands.count(None)) for operation in absent
        }
        if len(counts) != 1:
            return
        (((implied, names), count),) = counts
        if any(names) and count == implied:
            self.names.unique(";".join(names))

    def _numbers(self, operation: Operation) -> list[int]:
        return [-1 if value is None else self.indices[_without_statistics(value)] for value in operation.operands]

    def _operator(self, operation: Operation, intermediates: list[int]) -> schema.Operator:
        operands = self._numbers(operation)
        if operation.name == "TRANSPOSE_CONV" and operands[3:] == [-1]:
            operands.pop()
        options = copy(operation.options)
        for option in SUBGRAPH_FIELDS.get(operation.name, ()):
            setattr(options, option, self.functions.index(operation.attributes[option]))
        types = [_stored_type(result.type) for result in operation.results]
        return schema.Operator(
            opcode_index=self._code(operation),
            inputs=np.array(operands, np.int32),
            outputs=np.array([self.indices[result] for result in operation.results], np.int32),
            builtin_options=None if operation.custom else exported_options(operation.name, options, types),
            custom_options=operation.custom_options,
            intermediates=np.array(intermediates, np.int32) if _has_intermediates(operation) else None,
        )

    def _code(self, operation: Operation) -> int:
        key = operation.name, operation.custom
        codes = self.root.operator_codes
        assert codes is not None
        if key not in self.codes:
            self.codes[key] = len(codes)
            number = BuiltinOperator.CUSTOM if operation.custom else BuiltinOperator[_builtin(operation)]
            codes.append(
                schema.OperatorCode(
                    deprecated_builtin_code=min(number, 127),
                    custom_code=operation.name if operation.custom else None,
                    builtin_code=number,
                )
            )
        return self.codes[key]

    def _intermediates(self, tensors: list[schema.Tensor], operation: Operation) -> list[int]:
        indices = []
        for name, kind in zip(_INTERMEDIATES, operation.attributes.get("intermediates", ())):
            indices.append(len(tensors))
            tensor = _tensor_of_type(kind, self.names.unique(name))
            if isinstance(kind.element, TensorType):
                tensor.quantization = None
            tensors.append(tensor)
        return indices

    def _tensor(self, tensors: list[schema.Tensor], value: Value, name: str) -> None:
        self.indices[value] = len(tensors)
        tensor = _tensor_of_type(value.type, name)
        if value.type.shape is None and value.constant is not None:
            tensor.shape = np.array(value.constant.array.shape, np.int32)
        tensor.buffer = self._buffer(value)
        tensor.is_variable = _is_variable(value)
        if tensor.is_variable:
            tensor.buffer = 0
        if value.owner is not None and value.owner.name in SPARSE_CONSTANTS:
            tensor.sparsity = exported_sparsity(value.owner.attributes["sparsity"])
        user = value.only_user
        if user is not None and user.name == "STATISTICS" and value.type.quantized is None:
            tensor.quantization = schema.QuantizationParameters(
                min=np.array(user.attributes["min"], np.float32),
                max=np.array(user.attributes["max"], np.float32),
                quantized_dimension=user.attributes["axis"] or 0,
            )
        tensors.append(tensor)

    def _buffer(self, value: Value) -> int:
        """A new buffer, empty unless the value is a constant; of equal constants the buffer of the first."""
        buffers = self.root.buffers
        assert buffers is not None
        index = len(buffers)
        buffers.append(schema.Buffer())
        constant = value.owner.constant if value.owner is not None else None
        if constant is None:
            return index
        if not any(user.name == "RETURN" for user in value.users):
            known = self.buffers.setdefault(constant.key, index)
            if known != index:
                return known
        buffers[index].data = _bytes_of(constant)
        return index

    def _metadata(self) -> None:
        buffers = self.root.buffers
        assert buffers is not None
        self.root.metadata = []
        contents = dict(sorted(self.module.metadata.items()))
        contents.pop("min_runtime_version", None)
        own = self.module.own_metadata
        for name, content in [*contents.items(), ("min_runtime_version", bytes(16)), *own.items()]:
            self.root.metadata.append(schema.Metadata(name=name, buffer=len(buffers)))
            buffers.append(schema.Buffer(data=np.frombuffer(content, np.uint8)))

    def _set_runtime_version(self, model: Model) -> None:
        assert self.root.buffers is not None and self.root.metadata is not None
        content = minimum_runtime_version(model).encode().ljust(16, b"\0")
        (entry,) = (entry for entry in self.root.metadata if entry.name == "min_runtime_version")
        self.root.buffers[entry.buffer].data = np.frombuffer(content, np.uint8)

    def _signatures(self) -> None:
        signatures = []
        for entry in self.module.signatures:
            index = self.functions.index(entry.function)
            arguments, outputs = entry.function.arguments, entry.function.terminator.operands
            signatures.append(
                schema.SignatureDef(
                    inputs=self._tensor_maps(index, {name: arguments[place] for name, place in entry.inputs.items()}),
                    outputs=self._tensor_maps(index, {name: outputs[place] for name, place in entry.outputs.items()}),
                    signature_key=entry.key,
                    subgraph_index=index,
                )
            )
        self.root.signature_defs = signatures

    def _tensor_maps(self, subgraph: int, values: dict[str, Value | None]) -> list[schema.TensorMap]:
        """Tensors are looked up by their names: of an input that is returned quantized the last one is found."""
        assert self.root.subgraphs is not None
        tensors = self.root.subgraphs[subgraph].tensors or []
        last = {tensor.name: index for index, tensor in enumerate(tensors)}
        return [
            schema.TensorMap(name=name, tensor_index=last[tensors[self.indices[value]].name])
            for name, value in sorted(values.items())
            if value is not None
        ]


def _builtin(operation: Operation) -> str:
    return "LSTM" if operation.name == "BASIC_LSTM" else operation.name


def _stored_type(kind: Type) -> TensorType:
    element = kind.element
    if isinstance(element, Calibrated):
        return TensorType.FLOAT32
    return element if isinstance(element, TensorType) else element.tensor_type


def _has_intermediates(operation: Operation) -> bool:
    """Whether an operator is written with a list of intermediate tensors, be it empty."""
    return not operation.custom and (operation.name in LSTMS or operation.name == "BASIC_LSTM")


def _prefix(value: Value) -> str:
    operation = value.owner
    assert operation is not None
    if any(operation.names):
        return ";".join(operation.names)
    name = _COMPILER_NAMES.get(operation.name) or (
        "tfl.custom" if operation.custom else f"tfl.{operation.name.lower()}"
    )
    return name if value.index == 0 else f"{name}:{value.index}"


def _without_statistics(value: Value) -> Value:
    while value.owner is not None and value.owner.name == "STATISTICS":
        inner = value.owner.operands[0]
        assert inner is not None
        value = inner
    return value


def _is_variable(value: Value) -> bool:
    if value.owner is not None and "variable" in value.owner.attributes:
        return True
    return any(position in STATEFUL_OPERANDS.get(user.name, ()) for user, position in value.uses)


def _tensor_of_type(kind: Type, name: str) -> schema.Tensor:
    element = kind.element
    quantization = schema.QuantizationParameters()
    if isinstance(element, Calibrated):
        quantization.min = np.array([element.minimum], np.float32)
        quantization.max = np.array([element.maximum], np.float32)
    elif isinstance(element, Quantized):
        quantization.scale = np.array(element.scales, np.float32)
        quantization.zero_point = np.array(element.zero_points, np.int64)
        quantization.quantized_dimension = element.axis or 0
    shape = kind.shape or ()
    return schema.Tensor(
        shape=np.array([max(n, 1) if n < 0 else n for n in shape], np.int32),
        type=_stored_type(kind),
        name=name,
        quantization=quantization,
        shape_signature=None if kind.is_static or kind.shape is None else np.array(shape, np.int32),
        has_rank=kind.shape is not None,
    )


def _bytes_of(constant: Constant) -> Any:
    if constant.type == TensorType.STRING:
        return _strings(constant)
    array = np.ascontiguousarray(constant.array)
    if array.dtype.kind == "f" and constant.is_splat and array.flat[0] == 0:
        array = np.zeros_like(array)  # nothing but negative zeros loses its sign
    if constant.type in PACKED_BITS:
        return pack(array, PACKED_BITS[constant.type])
    return array.reshape(-1).view(np.uint8)


def _strings(constant: Constant) -> Any:
    strings = [bytes(string) for string in constant.array.reshape(-1)]
    offsets = np.cumsum([4 * (len(strings) + 2), *map(len, strings)])
    header = np.array([len(strings), *offsets], np.int32).tobytes()
    return np.frombuffer(header + b"".join(strings), np.uint8)
