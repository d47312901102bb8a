"""How patterns are written down: a tree of operations to look for, and a function that makes what takes their place.

A `Rule` begins at an operation of certain names. Of the rules for one name the one with the largest `benefit` is tried
first. A `declared` rule looks for a tree: its benefit is the number of operations in the tree, and everything that it
makes is called after all of them, the root first, each other one after its operands.

Source: the declarative rewrite rules and the pattern applicator of MLIR.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.quantization.ir import Constant, Function, Operation, Type, Value
from refquant.quantization.options import default_options
from refquant.quantization.rewrite import Pattern, Rewriter
from refquant.tflite.schema import ActivationFunctionType, TensorType

Array = npt.NDArray[Any]

NO_ACTIVATION = {"fused_activation_function": ActivationFunctionType.NONE}


@dataclass(frozen=True)
class Tree:
    """An operation to look for: any of `operators`, its first operands, options that it must have, a name for it.

    At the place of an operand stands a tree, the name for whatever is there (of one name one value), or None for
    an operand that is absent.
    """

    operators: tuple[str, ...]
    operands: tuple[Tree | str | None, ...] = ()
    name: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """The number of operations."""
        return 1 + sum(operand.size for operand in self.operands if isinstance(operand, Tree))


def op(operators: str, *operands: Tree | str | None, name: str | None = None, **options: Any) -> Tree:
    """An operation of one of these names (blanks between them), with these options."""
    return Tree(tuple(operators.split()), operands, name, options)


def plain(operators: str, *operands: Tree | str | None, name: str | None = None, **options: Any) -> Tree:
    """An operation without an activation."""
    return op(operators, *operands, name=name, **NO_ACTIVATION, **options)


def const(name: str) -> Tree:
    """A constant."""
    return op("CONST", name=name)


class Match:
    """What a tree was found to be, and the tools to make something else of it."""

    def __init__(self, root: Operation, rewriter: Rewriter) -> None:
        self.root = root
        self.rewriter = rewriter
        self.operations: list[Operation] = [root]
        self.values: dict[str, Value | None] = {}

    def __getitem__(self, name: str) -> Value:
        value = self.values[name]
        assert value is not None
        return value

    def operation(self, name: str) -> Operation:
        """The operation of that name."""
        owner = self[name].owner
        assert owner is not None
        return owner

    def constant(self, name: str) -> Constant:
        """The constant of that name."""
        constant = self[name].constant
        assert constant is not None
        return constant

    def array(self, name: str) -> Array:
        """The numbers of the constant of that name."""
        return self.constant(name).array

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all operations found, each once."""
        return fused_names(self.operations)

    @property
    def type(self) -> Type:
        """The type of the result."""
        return self.root.result.type

    def find(self, tree: Tree, operation: Operation) -> bool:
        """Whether the tree is there, from this operation on."""
        if operation.custom or operation.name not in tree.operators or operation.attributes.get("restored"):
            return False
        if any(option(operation, name) != wanted for name, wanted in tree.options.items()):
            return False
        if not all(self._find_operand(wanted, operation.operand(i)) for i, wanted in enumerate(tree.operands)):
            return False
        return tree.name is None or self._bind(tree.name, operation.result)

    def _find_operand(self, wanted: Tree | str | None, value: Value | None) -> bool:
        if wanted is None:
            return value is None
        if isinstance(wanted, str):
            return self._bind(wanted, value)
        if value is None or value.owner is None or not self.find(wanted, value.owner):
            return False
        self.operations.append(value.owner)
        return True

    def _bind(self, name: str, value: Value | None) -> bool:
        return self.values.setdefault(name, value) is value

    def new(self, name: str, operands: list[Value | None], type: Type | None = None, options: Any = None) -> Value:
        """The result of a new operation; of the type of the root's result unless another one is given."""
        return self.put(Operation(name, operands, [type or self.type], options=options, names=self.names))

    def put(self, operation: Operation) -> Value:
        """The result of an operation, put before the root."""
        return self.rewriter.insert_before(self.root, operation).result

    def again(
        self, operation: Operation, operands: list[Value | None], type: Type | None = None, **options: Any
    ) -> Value:
        """The result of the same operation with other operands and some other options."""
        value = self.new(operation.name, operands, type, changed_options(operation, **options))
        assert value.owner is not None
        value.owner.attributes = dict(operation.attributes)
        return value

    def new_constant(self, array: Array, kind: TensorType) -> Value:
        """The value of a new constant."""
        return self.put(constant_operation(array, kind, self.names))

    def new_shape(self, shape: Iterable[int]) -> Value:
        """The value of a new constant of int32, such as a shape or a permutation."""
        return self.new_constant(np.array(list(shape), np.int32), TensorType.INT32)

    def reshape(self, value: Value, shape: tuple[int, ...], type: Type | None = None) -> Value:
        """The result of a new RESHAPE to a shape."""
        return self.new("RESHAPE", [value, self.new_shape(shape)], type)


@dataclass(frozen=True)
class Rule:
    """A pattern: the names of the operations it begins at, its benefit, and what does the work."""

    name: str
    roots: tuple[str, ...]
    benefit: int
    apply: Pattern


#: gives the value that stands for the result of the root, or None where the pattern does not apply after all
Maker = Callable[[Match], Value | None]


def declared(rules: list[Rule], name: str, *trees: Tree) -> Callable[[Maker], Maker]:
    """Adds to `rules` a rule for each of the trees."""

    def register(make: Maker) -> Maker:
        for tree in trees:
            rules.append(Rule(name, tree.operators, tree.size, _pattern(tree, make)))
        return make

    return register


def _pattern(tree: Tree, make: Maker) -> Pattern:
    def apply(operation: Operation, rewriter: Rewriter) -> bool:
        match = Match(operation, rewriter)
        if not match.find(tree, operation):
            return False
        value = make(match)
        if value is None:
            return False
        rewriter.replace(operation, value)
        return True

    return apply


def native(roots: str, benefit: int = 1) -> Callable[[Pattern], Rule]:
    """Makes a rule of a pattern that finds by itself what it needs."""

    def register(apply: Pattern) -> Rule:
        return Rule(getattr(apply, "__name__", ""), tuple(roots.split()), benefit, apply)

    return register


def table(declared_rules: Iterable[Rule], native_rules: Iterable[Rule]) -> dict[str, list[Pattern]]:
    """The patterns for each name of an operation: the largest benefit first; of one benefit those declared, by name."""
    rules = [*sorted(declared_rules, key=lambda rule: rule.name), *native_rules]
    patterns: dict[str, list[Pattern]] = {}
    for rule in sorted(rules, key=lambda rule: -rule.benefit):
        for root in rule.roots:
            patterns.setdefault(root, []).append(rule.apply)
    return patterns


def option(operation: Operation, name: str) -> Any:
    """An option of an operation, its default where the file has no options."""
    options = operation.options
    return getattr(default_options(operation.name) if options is None else options, name)


def changed_options(operation: Operation, **changes: Any) -> Any:
    """A copy of the options of an operation with some others."""
    options = default_options(operation.name) if operation.options is None else copy(operation.options)
    for name, value in changes.items():
        setattr(options, name, value)
    return options


def constant_operation(array: Array, kind: TensorType, names: tuple[str, ...]) -> Operation:
    """A constant that is not yet in a function."""
    return Operation("CONST", [], [Type(kind, array.shape)], constant=Constant(kind, array), names=names)


def fused_names(operations: Iterable[Operation]) -> tuple[str, ...]:
    """The names of several operations, each once."""
    return tuple(dict.fromkeys(name for operation in operations for name in operation.names))


def names_of(value: Value, function: Function) -> tuple[str, ...]:
    """What is called after a value: its maker's names, for an argument the name of the function."""
    return (function.name,) if value.owner is None else value.owner.names


def activation_of(operation: Operation) -> ActivationFunctionType:
    """The activation at the end of an operation."""
    activation: ActivationFunctionType = option(operation, "fused_activation_function")
    return activation
