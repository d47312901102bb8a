"""Rewriting a function by patterns until none applies, as the converter's compiler does.

`rewrite` walks the operations from the last to the first, and again over what changed: it removes what nobody uses,
evaluates what has constant operands, and applies the first pattern of the operation's name that fits. Each run
begins by moving all constants to the front of the function, the later ones first, and merges equal ones: this is what
gives the constants of a converted file their order.

Source: the greedy pattern driver and the operation folder of MLIR.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from refquant.quantization.folding import fold, move_constants_back
from refquant.quantization.ir import Constant, Function, Operation, Value
from refquant.quantization.operators import is_dead

#: Looks at an operation and changes the function around it; says whether it did.
Pattern = Callable[[Operation, "Rewriter"], bool]

_MOST_ROUNDS = 10


def rewrite(function: Function, patterns: Mapping[str, Sequence[Pattern]]) -> None:
    """Applies `patterns`, by the name of the operation they begin at, until nothing changes."""
    Rewriter(function, patterns).run()


def constant_of(value: Value | None) -> Constant | None:
    """The constant that a value is, or None."""
    return None if value is None else value.constant


class Rewriter:
    """The state of one run; patterns make, replace and erase operations through it, so that it knows what changed."""

    def __init__(self, function: Function, patterns: Mapping[str, Sequence[Pattern]]) -> None:
        self.function = function
        self.patterns = patterns
        self._work: dict[Operation, None] = {}  # an ordered set: the last is taken first

    def run(self) -> None:
        """Rewrites until nothing changes, ten rounds at the most."""
        for _ in range(_MOST_ROUNDS):
            self._work.clear()
            constants: dict[tuple[Any, ...], Operation] = {}
            in_place: set[Operation] = set()
            for operation in self.function:
                if not (operation.name == "CONST" and self._merge(operation, constants)):
                    self._work[operation] = None
                if operation.name == "CONST" and operation.function is not None:
                    self._move_to_front(operation, in_place)
            changed = False
            while self._work:
                changed |= self._visit(self._work.popitem()[0])
            changed |= self._remove_dead()
            if not changed:
                return

    # what patterns call

    def insert_before(self, place: Operation, operation: Operation) -> Operation:
        """Puts a new operation before another one."""
        self.function.insert_before(place, operation)
        self._add(operation)
        return operation

    def insert_after(self, place: Operation, operation: Operation) -> Operation:
        """Puts a new operation after another one."""
        self.function.insert_after(place, operation)
        self._add(operation)
        return operation

    def replace(self, operation: Operation, *values: Value) -> None:
        """Has `values` stand for the results of an operation, which goes."""
        for result, value in zip(operation.results, values, strict=True):
            self.replace_uses(result, value)
        self.erase(operation)

    def replace_uses(self, value: Value, other: Value) -> None:
        """Has `other` stand where `value` stood."""
        for user in value.users:
            self._add(user)
        value.replace_all_uses(other)

    def modified(self, operation: Operation) -> None:
        """Says that an operation was changed in its place."""
        self._add(operation)

    def erase(self, operation: Operation) -> None:
        """Removes an operation whose results nobody uses."""
        self._work.pop(operation, None)
        makers = [
            value.owner
            for value in operation.operands
            if value is not None and len(set(value.users) - {operation}) <= 1
        ]
        operation.erase()
        for maker in makers:
            if maker is not None:
                self._add(maker)

    # how it works

    def _add(self, operation: Operation) -> None:
        self._work.setdefault(operation)

    def _merge(self, operation: Operation, constants: dict[tuple[Any, ...], Operation]) -> bool:
        """Has an equal constant from further up stand for this one, which goes; False for the first of its kind."""
        first = constants.setdefault(_key(operation), operation)
        if first is operation:
            return False
        self.replace(operation, first.result)
        first.names = ()  # it stands for more than one now
        return True

    def _move_to_front(self, operation: Operation, in_place: set[Operation]) -> None:
        """Moves a constant to the front unless it is there or stands behind one that is `in_place`."""
        first = self.function.first
        assert first is not None
        if operation.previous is not None and operation.previous not in in_place:
            operation.move_before(first)
        in_place.add(operation)

    def _visit(self, operation: Operation) -> bool:
        if is_dead(operation):
            self.erase(operation)
            return True
        changed = False
        if operation.name != "CONST":
            changed = move_constants_back(operation)
            replacement = fold(operation)
            if replacement is not None:
                self._replace_folded(operation, replacement)
                return True
        return any(pattern(operation, self) for pattern in self.patterns.get(operation.name, ())) or changed

    def _replace_folded(self, operation: Operation, replacement: list[Value | Constant]) -> None:
        values = []
        for result, folded in zip(operation.results, replacement, strict=True):
            if isinstance(folded, Value):
                values.append(folded)
                continue
            constant = Operation("CONST", [], [result.type], constant=folded, names=operation.names)
            if result.type.shape != folded.array.shape:  # of a result whose shape is not known
                constant.attributes["restored"] = True
            values.append(self.insert_before(operation, constant).result)
        self.replace(operation, *values)

    def _remove_dead(self) -> bool:
        """Removes whatever does not lead to an effect, the last operations first."""
        changed = False
        for operation in reversed(list(self.function)):
            if is_dead(operation):
                self.erase(operation)
                changed = True
        return changed


def _key(operation: Operation) -> tuple[Any, ...]:
    constant = operation.constant
    assert constant is not None
    dialect = operation.attributes.get("restored")  # constants that were restored are of another kind than others
    return (constant.key, operation.result.type, operation.attributes.get("variable"), dialect)


def by_name(patterns: Sequence[tuple[str, Pattern]]) -> dict[str, list[Pattern]]:
    """Patterns by the name of the operation they begin at, in the order given."""
    table: dict[str, list[Pattern]] = {}
    for name, pattern in patterns:
        table.setdefault(name, []).append(pattern)
    return table


def users_of(operation: Operation) -> Iterator[Operation]:
    """The operations that take any result of this one."""
    for result in operation.results:
        yield from result.users
