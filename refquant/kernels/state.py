"""What outlives an invocation: resource variables, hash tables, and subgraphs that run once.

A resource is known by a number. All subgraphs of an interpreter share them; they live as long as the interpreter, and
nothing resets them. Sources: kernels/var_handle.cc, read_variable.cc, assign_variable.cc, call_once.cc, hashtable.cc,
hashtable_import.cc, hashtable_find.cc, hashtable_size.cc, experimental/resource/.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from refquant.kernels.registry import Array, Operator, Run, Subgraphs, TensorInfo, kernel
from refquant.tflite.schema import TensorType

_RESOURCE, _INT32, _INT64, _STRING = TensorType.RESOURCE, TensorType.INT32, TensorType.INT64, TensorType.STRING
_TABLES = ((_INT64, _STRING), (_STRING, _INT64))


@dataclass(slots=True)
class Variable:
    """A tensor that operators assign and read."""

    type: TensorType
    value: Array


@dataclass(slots=True)
class Table:
    """A hash table; `entries` is None until something has been imported."""

    types: tuple[TensorType, TensorType]
    entries: dict[Any, Any] | None = None


@dataclass(slots=True)
class Resources:
    """The resources of an interpreter by number, and the subgraphs that have had their one run."""

    numbers: dict[tuple[str, str], int] = field(default_factory=dict)
    found: dict[int, Variable | Table] = field(default_factory=dict)
    initialized: set[object] = field(default_factory=set)

    def number(self, container: str | None, name: str | None) -> int:
        """The number of the variable with this name: they are counted as they are met."""
        return self.numbers.setdefault((container or "", name or ""), len(self.numbers))

    def variable(self, op: Operator, number: int) -> Variable:
        """The variable with this number, for `op`, which needs it."""
        found = self.found.get(number)
        if not isinstance(found, Variable):
            raise op.invalid(f"resource {number} is no variable that has been assigned")
        return found

    def table(self, op: Operator, number: int) -> Table:
        """The hash table with this number, for `op`, which needs it."""
        found = self.found.get(number)
        if not isinstance(found, Table):
            raise op.invalid(f"resource {number} is no hash table")
        return found


def _subgraphs(op: Operator) -> Subgraphs:
    if op.subgraphs is None:
        raise op.unsupported("no interpreter to keep state in")
    return op.subgraphs


def _handle(op: Operator, *types: TensorType) -> TensorInfo:
    """The input that holds the number of a resource."""
    handle = op.input(0)
    if handle.type not in types:
        raise op.invalid(f"input 0 must be {' or '.join(type.name for type in types)}, it is {handle.type.name}")
    if np.prod(handle.dims) != 1:
        raise op.invalid(f"input 0 must hold one resource, its shape is {handle.dims}")
    return handle


def _only(handle: Array) -> int:
    return int(handle.reshape(-1)[0])


@kernel("VAR_HANDLE")
def var_handle(op: Operator) -> Run:
    """The number of the variable that the options name."""
    out = op.output()
    if out.type not in (_RESOURCE, _INT32):
        raise op.unsupported()
    number = _subgraphs(op).resources.number(op.options.container, op.options.shared_name)
    out.shape = out.declared
    handle = np.full(out.declared, number, np.int32)
    return lambda: handle


@kernel("ASSIGN_VARIABLE")
def assign_variable(op: Operator) -> Run:
    """The variable becomes the second input, whatever its type and shape; its first assignment makes it."""
    resources = _subgraphs(op).resources
    _handle(op, _RESOURCE, _INT32)
    type = op.input(1).type

    def run(handle: Array, value: Array) -> tuple[()]:
        number = _only(handle)
        if isinstance(resources.found.get(number), Table):
            raise op.invalid(f"resource {number} is a hash table")
        resources.found[number] = Variable(type, value.copy())
        return ()

    return run


@kernel(
    "READ_VARIABLE",
    flaw="with strings, tensorflow 2.21.0 allocates no output and crashes when it is read; an output declared with "
    "more elements than the variable has reads past its end. refquant gives the strings, and refuses the other",
)
def read_variable(op: Operator) -> Run:
    """The value of the variable: in its own shape where the output is declared with rank 0, else in the output's.

    An output with fewer elements gets the first ones. Strings always come in the variable's own shape.
    """
    resources = _subgraphs(op).resources
    _handle(op, _RESOURCE, _INT32)
    out = op.output()
    out.shape = None if out.declared == () or out.type == _STRING else out.declared
    shape, elements = out.shape, int(np.prod(out.declared))

    def run(handle: Array) -> Array:
        variable = resources.variable(op, _only(handle))
        value = variable.value
        if variable.type != out.type:
            raise op.invalid(f"it reads {out.type.name} from a variable of {variable.type.name}")
        if shape is None:
            return value.copy()
        if value.size < elements:
            raise op.invalid(f"it reads shape {shape} from a variable of shape {value.shape}")
        return value.reshape(-1)[:elements].reshape(shape).copy()

    return run


@kernel("READ_VARIABLE", profile="micro")
def micro_read_variable(op: Operator) -> Run:
    """As READ_VARIABLE of as many bytes as the variable has; other numbers damage the memory of the real kernel.

    Source: tensorflow/lite/micro/micro_resource_variable.cc.
    """
    resources = _subgraphs(op).resources
    _handle(op, _RESOURCE, _INT32)
    out = op.output()
    out.shape = out.declared

    def run(handle: Array) -> Array:
        variable = resources.variable(op, _only(handle))
        if variable.type != out.type or variable.value.size != np.prod(out.declared):
            raise op.unsupported(f"a variable of {variable.type.name} and shape {variable.value.shape}: no kernel")
        return variable.value.reshape(out.declared).copy()

    return run


@kernel("CALL_ONCE")
def call_once(op: Operator) -> Run:
    """Runs a subgraph without inputs and outputs, unless an operator of this interpreter has run it before."""
    return _called_once(op, op.options.init_subgraph_index)


@kernel("CALL_ONCE", profile="micro")
def micro_call_once(op: Operator) -> Run:
    """As CALL_ONCE, but each operator runs its subgraph once. Source: tensorflow/lite/micro/kernels/call_once.cc."""
    return _called_once(op, (op.subgraph, op.index))


def _called_once(op: Operator, key: object) -> Run:
    """Runs the subgraph unless that has happened under the same key."""
    subgraphs = _subgraphs(op)
    index = op.options.init_subgraph_index
    if subgraphs.plan(op, index, ()):
        raise op.invalid(f"subgraph {index}, which it calls, must have no outputs")

    def run() -> tuple[()]:
        if key not in subgraphs.resources.initialized:
            subgraphs.call(op, index, ())
            subgraphs.resources.initialized.add(key)
        return ()

    return run


@kernel("HASHTABLE")
def hashtable(op: Operator) -> Run:
    """The number of a hash table from INT64 to STRING or from STRING to INT64, which is made if it is not there."""
    resources = _subgraphs(op).resources
    number, types = op.options.table_id, (op.options.key_dtype, op.options.value_dtype)
    out = op.output()
    if types not in _TABLES or out.type != _RESOURCE:
        raise op.unsupported("no hash table but from INT64 to STRING and from STRING to INT64")
    out.shape = (1,)
    handle = np.array([number], np.int32)

    def run() -> Array:
        if isinstance(resources.found.setdefault(number, Table(types)), Variable):
            raise op.invalid(f"resource {number} is a variable")
        return handle

    return run


def _table_types(op: Operator, keys: TensorInfo, values: TensorInfo) -> tuple[TensorType, TensorType]:
    if _handle(op, _RESOURCE).dims != (1,):
        raise op.invalid(f"input 0 must have shape (1,), it has {op.input(0).dims}")
    if (keys.type, values.type) not in _TABLES:
        raise op.unsupported()
    return keys.type, values.type


def _check_types(op: Operator, table: Table, types: tuple[TensorType, TensorType]) -> None:
    if table.types != types:
        names = [f"from {key.name} to {value.name}" for key, value in (types, table.types)]
        raise op.invalid(f"it works on a hash table {names[0]}, but is given one {names[1]}")


@kernel("HASHTABLE_IMPORT")
def hashtable_import(op: Operator) -> Run:
    """Fills a table: of equal keys the first counts, and so does the first import."""
    resources = _subgraphs(op).resources
    keys, values = op.input(1), op.input(2)
    types = _table_types(op, keys, values)
    if keys.dims != values.dims:
        raise op.invalid(f"its keys have shape {keys.dims}, its values {values.dims}")

    def run(handle: Array, keys: Array, values: Array) -> tuple[()]:
        table = resources.table(op, _only(handle))
        _check_types(op, table, types)
        if table.entries is None:
            table.entries = {}
            for key, value in zip(keys.reshape(-1), values.reshape(-1)):
                table.entries.setdefault(key, value)
        return ()

    return run


@kernel("HASHTABLE_FIND")
def hashtable_find(op: Operator) -> Run:
    """The value of each key, or the first element of the third input where the table has no such key."""
    resources = _subgraphs(op).resources
    keys, default, out = op.input(1), op.input(2), op.output()
    types = _table_types(op, keys, out)
    if default.type != out.type or 0 in default.dims:
        raise op.invalid(f"input 2 must hold a default value of {out.type.name}: {default.type.name} {default.dims}")
    out.shape = keys.dims

    def run(handle: Array, keys: Array, default: Array) -> Array:
        table = resources.table(op, _only(handle))
        _check_types(op, table, types)
        if table.entries is None:
            raise op.invalid("nothing has been imported into its hash table")
        values = np.empty(keys.size, out.dtype)
        for i, key in enumerate(keys.reshape(-1)):
            values[i] = table.entries.get(key, default.reshape(-1)[0])
        return values.reshape(keys.shape)

    return run


@kernel("HASHTABLE_SIZE")
def hashtable_size(op: Operator) -> Run:
    """How many keys a table has."""
    resources = _subgraphs(op).resources
    if _handle(op, _RESOURCE).dims != (1,) or op.output().type != _INT64:
        raise op.unsupported()
    op.output().shape = (1,)
    return lambda handle: np.array([len(resources.table(op, _only(handle)).entries or ())], np.int64)
