"""The graph that the quantizer works on: values in single assignment form, as in the converter's own compiler.

The TFLite converter reads a float model into MLIR, rewrites it there and writes a new file, so what it makes of a graph
follows from the rules of that representation: in which order the uses of a value stand, where a new operation is put,
what becomes of constants. This module has those rules, and nothing about quantization but the types.

A `Function` (a subgraph) holds `Operation`s in a row; an operation has operands (`Value`s, or None for an optional
one that is absent) and results (`Value`s). Constants are operations too: CONST holds a `Constant`, QCONST a quantized
one. Operations that no file has: STATISTICS (the recorded range of a value) and RETURN (the outputs; always the last).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.tflite.schema import TensorType

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Quantized:
    """Integers of `bits` that stand for scale * (q - zero_point); with an `axis`, one scale for each of its indices.

    `minimum` and `maximum` are the integers that may be used: weights leave out the lowest.
    """

    bits: int
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    minimum: int
    maximum: int
    axis: int | None = None
    signed: bool = True

    @property
    def tensor_type(self) -> TensorType:
        """The type of the stored integers."""
        return _STORAGE[self.bits, self.signed]


_STORAGE = {
    (2, True): TensorType.INT2,
    (4, True): TensorType.INT4,
    (4, False): TensorType.UINT4,
    (8, True): TensorType.INT8,
    (8, False): TensorType.UINT8,
    (16, True): TensorType.INT16,
    (16, False): TensorType.UINT16,
    (32, True): TensorType.INT32,
    (64, True): TensorType.INT64,
}


@dataclass(frozen=True, slots=True)
class Calibrated:
    """Floats whose range was recorded: the type of the inner tensors of an LSTM before quantization."""

    minimum: float
    maximum: float


@dataclass(frozen=True, slots=True)
class Type:
    """The type of a value: what its elements are, and its shape (-1: not known; None: not even the rank)."""

    element: TensorType | Quantized | Calibrated
    shape: tuple[int, ...] | None

    @property
    def quantized(self) -> Quantized | None:
        """The quantization of the elements, or None."""
        return self.element if isinstance(self.element, Quantized) else None

    @property
    def is_float(self) -> bool:
        """Whether the elements are floats (of whatever width), not quantized ones."""
        return self.element in (TensorType.FLOAT32, TensorType.FLOAT16, TensorType.FLOAT64, TensorType.BFLOAT16)

    @property
    def is_static(self) -> bool:
        """Whether all dimensions are known."""
        return self.shape is not None and all(n >= 0 for n in self.shape)

    def of(self, element: TensorType | Quantized) -> Type:
        """The same shape with other elements."""
        return Type(element, self.shape)


class Constant:
    """An array that is known; two constants are the same when type, shape and every bit are."""

    __slots__ = ("_key", "array", "type")

    def __init__(self, type: TensorType, array: Array) -> None:
        self.type = type
        self.array = array
        self._key: tuple[Any, ...] | None = None

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells this constant from others."""
        if self._key is None:
            content = tuple(self.array.ravel()) if self.array.dtype == object else self.array.tobytes()
            self._key = (self.type, self.array.shape, content)
        return self._key

    @property
    def is_splat(self) -> bool:
        """Whether all elements are the same bits (and there are any)."""
        flat = self.array.reshape(-1)
        if flat.dtype == object:
            return flat.size > 0 and all(element == flat[0] for element in flat)
        if flat.size == 0:
            return False
        words = flat.view(f"V{flat.itemsize}")
        return bool(np.all(words == words[0]))


@dataclass(eq=False, slots=True)
class Value:
    """What an operation gives, or an argument of a function (then `owner` is None)."""

    type: Type
    owner: Operation | None = None
    index: int = 0
    name: str = ""  # of an argument
    _uses: list[tuple[Operation, int]] = field(default_factory=list)  # the oldest first

    @property
    def uses(self) -> list[tuple[Operation, int]]:
        """The operations that take the value, with the position, the newest use first."""
        return self._uses[::-1]

    @property
    def users(self) -> list[Operation]:
        """The operations that take the value, the newest use first; one that takes it twice stands there twice."""
        return [operation for operation, _ in reversed(self._uses)]

    @property
    def has_one_use(self) -> bool:
        """Whether exactly one operand is this value."""
        return len(self._uses) == 1

    @property
    def is_used(self) -> bool:
        """Whether any operand is this value."""
        return bool(self._uses)

    @property
    def constant(self) -> Constant | None:
        """The constant that the value is, if it is one that is not quantized."""
        return self.owner.constant if self.owner is not None and self.owner.name == "CONST" else None

    @property
    def only_user(self) -> Operation | None:
        """The operation that takes the value, if exactly one operand is this value."""
        return self._uses[0][0] if len(self._uses) == 1 else None

    def turn_uses(self) -> None:
        """Has the oldest use count as the newest, and so on: what becomes of the uses of an operation made anew."""
        self._uses.reverse()

    def replace_all_uses(self, other: Value) -> None:
        """Has all operands that are this value become `other`, from the newest use to the oldest."""
        for operation, position in self.uses:
            operation.set_operand(position, other)


class Operation:
    """An operation: `name` is that of the builtin operator or of a custom one, or one of the names above.

    `names` are the names of the tensors that it made in the original file: its results are called after them.
    """

    __slots__ = (
        "attributes",
        "constant",
        "custom",
        "custom_options",
        "function",
        "name",
        "names",
        "next",
        "operands",
        "options",
        "previous",
        "results",
        "volatile",
    )

    def __init__(
        self,
        name: str,
        operands: list[Value | None] | None = None,
        types: list[Type] | None = None,
        *,
        options: Any = None,
        names: tuple[str, ...] = (),
        constant: Constant | None = None,
        custom: bool = False,
        custom_options: Array | None = None,
        volatile: bool = False,
        attributes: dict[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.options = options
        self.names = names
        self.constant = constant
        self.custom = custom
        self.custom_options = custom_options
        self.volatile = volatile
        self.attributes = attributes or {}
        self.function: Function | None = None
        self.previous: Operation | None = None
        self.next: Operation | None = None
        self.results = [Value(type, self, i) for i, type in enumerate(types or [])]
        self.operands: list[Value | None] = []
        for operand in operands or []:
            self.operands.append(operand)
            if operand is not None:
                operand._uses.append((self, len(self.operands) - 1))

    @property
    def result(self) -> Value:
        """The first result."""
        return self.results[0]

    def operand(self, position: int) -> Value | None:
        """The operand at a position, None where it is absent or the operation has fewer."""
        return self.operands[position] if position < len(self.operands) else None

    def defining(self, position: int) -> Operation | None:
        """The operation that made the operand at a position, or None."""
        value = self.operand(position)
        return None if value is None else value.owner

    def set_operand(self, position: int, value: Value | None) -> None:
        """Takes another value at a position."""
        old = self.operands[position]
        if old is not None:
            old._uses.remove((self, position))
        self.operands[position] = value
        if value is not None:
            value._uses.append((self, position))

    def copy(
        self, operands: list[Value | None] | None = None, types: list[Type] | None = None, name: str | None = None
    ) -> Operation:
        """The same operation, not yet in a function, perhaps with other operands, types of results or name."""
        return Operation(
            name or self.name,
            list(self.operands) if operands is None else operands,
            [result.type for result in self.results] if types is None else types,
            options=self.options,
            names=self.names,
            constant=self.constant,
            custom=self.custom,
            custom_options=self.custom_options,
            volatile=self.volatile,
            attributes=dict(self.attributes),
        )

    def replace(self, *values: Value) -> None:
        """Has `values` stand where the results stood, and leaves the function."""
        for result, value in zip(self.results, values, strict=True):
            result.replace_all_uses(value)
        self.erase()

    def erase(self) -> None:
        """Leaves the function; the results must have no uses left."""
        for position in range(len(self.operands)):
            self.set_operand(position, None)
        assert self.function is not None
        self.function.remove(self)

    def move_before(self, other: Operation) -> None:
        """Takes its place just before another operation of the same function."""
        assert self.function is not None
        function = self.function
        function.remove(self)
        function.insert_before(other, self)

    def move_after(self, other: Operation) -> None:
        """Takes its place just after another operation of the same function."""
        assert self.function is not None
        function = self.function
        function.remove(self)
        function.insert_after(other, self)


class Function:
    """A subgraph: arguments and a row of operations, the last of which is RETURN."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.arguments: list[Value] = []
        self.first: Operation | None = None
        self.last: Operation | None = None

    def __iter__(self) -> Iterator[Operation]:
        """The operations in order; the one at hand may be erased or moved meanwhile."""
        operation = self.first
        while operation is not None:
            following = operation.next
            yield operation
            operation = following

    @property
    def terminator(self) -> Operation:
        """The RETURN at the end."""
        assert self.last is not None and self.last.name == "RETURN"
        return self.last

    def append(self, operation: Operation) -> Operation:
        """Puts an operation at the end."""
        return self._link(operation, self.last, None)

    def prepend(self, operation: Operation) -> Operation:
        """Puts an operation at the beginning."""
        return self._link(operation, None, self.first)

    def insert_before(self, place: Operation, operation: Operation) -> Operation:
        """Puts an operation just before another one."""
        return self._link(operation, place.previous, place)

    def insert_after(self, place: Operation, operation: Operation) -> Operation:
        """Puts an operation just after another one."""
        return self._link(operation, place, place.next)

    def remove(self, operation: Operation) -> None:
        """Takes an operation out of the row."""
        if operation.previous is None:
            self.first = operation.next
        else:
            operation.previous.next = operation.next
        if operation.next is None:
            self.last = operation.previous
        else:
            operation.next.previous = operation.previous
        operation.previous = operation.next = operation.function = None

    def _link(self, operation: Operation, previous: Operation | None, following: Operation | None) -> Operation:
        operation.function, operation.previous, operation.next = self, previous, following
        if previous is None:
            self.first = operation
        else:
            previous.next = operation
        if following is None:
            self.last = operation
        else:
            following.previous = operation
        return operation
