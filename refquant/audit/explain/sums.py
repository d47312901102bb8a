"""The order in which a kernel adds float32 products, found by asking the kernel.

Which of two sums comes first shows in what gets lost: with 2**100 for one product, -2**100 for another and 1 for all
others, whatever is added before the two meet is swallowed, and whatever is added afterwards is still there. So the
result tells how many products lie below the node of the tree of sums at which the two meet, and enough of these numbers
tell the whole tree (the idea is that of FPRev: Xie et al., Revealing Floating-Point Accumulation Orders, 2025). Whether
a product is rounded before it is added shows in a product whose last bit is lost when it is.

No order is believed: the tree is computed with the real numbers, and has to give the bits that the kernel gave.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from refquant.audit.explain.observe import Observed, alone
from refquant.audit.explain.report import PARTIAL, Step
from refquant.audit.explain.windows import Window
from refquant.errors import RefquantError
from refquant.interpreter.plan import SubgraphPlan, Subgraphs
from refquant.kernels.registry import Array
from refquant.numerics.fused import fused_float32
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import ActivationFunctionType
from refquant.tflite.vectors import indices_of

Place = tuple[int, ...]

#: the leaf that is the bias; the others are places in the window
BIAS = -1
#: so many products are asked about, unless all are wanted, and for so many seconds
MOST_PRODUCTS, PATIENCE = 256, 20.0

_ONE, _LARGE = np.float32(1), np.float32(2.0**100)
#: the square of the first lies in the middle of two float32 numbers, of which rounding takes the second
_ODD, _ROUNDED_SQUARE = np.float32(1 + 2.0**-12), np.float32(1 + 2.0**-11)


@dataclass(frozen=True, slots=True)
class Node:
    """The sum of two trees."""

    left: Tree
    right: Tree


Tree: TypeAlias = "int | Node"


@dataclass(frozen=True, slots=True)
class FoundOrder:
    """The steps of a sum as the kernel adds it, its result before the activation, and the order in words."""

    steps: list[Step]
    result: np.float32
    words: str


def order_of(
    model: Model,
    number: int,
    profile: str,
    observed: Observed,
    window: Window,
    places: Sequence[str],
    index: Place,
    total: np.float32 | None,
    *,
    all: bool,
) -> FoundOrder | str:
    """The order of the sum behind element `index` of operator `number`, or why it is not known.

    `places` are the names of the products of the window. The order must give `total`, or if that is None what the
    kernel gives without its activation. Where there are no weights the kernel may divide the sum by how many there are.
    """
    leaves = [i for i, pair in enumerate(window.pairs) if pair.x is not None]
    if not leaves:
        return "not found: there are no products"
    if len(leaves) > MOST_PRODUCTS and not all:
        return f"not asked for {len(leaves)} products; --all asks"
    try:
        probe = _Probe(model, number, profile, observed, window, index, None if all else PATIENCE)
        tree = probe.tree(leaves)
        is_fused = probe.is_fused(tree)
        bias = probe.bias
        numbers = probe.real_numbers()
        expected = probe.real() if total is None else total
    except (RefquantError, _NoTreeError, TimeoutError) as error:
        return f"not found: {error}"
    walk = _Walk(numbers, bias, is_fused, places)
    result = walk.result(tree)
    if np.isinf(result) and abs(expected) == np.finfo(np.float32).max:  # kernels without activation limit it, too
        walk.steps.append(Step("", "limited to the largest number", expected))
        result = expected
    if result.tobytes() != expected.tobytes():
        return f"not found: that of the tests gives {result}, the kernel {expected}"
    return FoundOrder(walk.steps, result, walk.words())


class _NoTreeError(Exception):
    """The kernel does not sum as a tree of sums of two would."""


class _Probe:
    """The kernel of a profile with numbers of our choice in the window of one element, without its activation."""

    def __init__(
        self, model: Model, number: int, profile: str, observed: Observed, window: Window, index: Place,
        patience: float | None,
    ) -> None:  # fmt: skip
        self._model, self._profile, self._observed = alone(model, number), profile, observed
        self._window, self._index = window, index
        self._until = None if patience is None else time.monotonic() + patience
        given = observed.inputs
        data = given[window.data]
        assert data is not None
        self._data = data
        self._weights = None if window.weights is None else given[window.weights]
        self._biases = given[window.bias] if window.bias is not None and window.bias < len(given) else None
        self._plans: dict[tuple[str, float], SubgraphPlan] = {}
        self.bias = None if self._biases is None else self._biases.reshape(-1)[window.channel]

    def real_numbers(self) -> dict[int, tuple[Any, Any]]:
        """The number and the weight of each product."""
        pairs = self._window.pairs
        return {
            i: (self._data[pair.x], _ONE if self._weights is None else self._weights[pair.weight])
            for i, pair in enumerate(pairs)
            if pair.x is not None
        }

    def real(self) -> np.float32:
        """The element with the real numbers."""
        return self._run("real", self._weights, self._data, self.bias)

    def tree(self, leaves: Sequence[int]) -> Tree:
        """The tree of sums of all products and the bias."""
        return self._tree([*([] if self.bias is None else [BIAS]), *leaves])

    def _tree(self, leaves: Sequence[int]) -> Tree:
        first, *others = leaves
        below: dict[int, list[int]] = {}
        for other in others:
            below.setdefault(self._below(leaves, first, other), []).append(other)
        tree: Tree = first
        size = 1
        for count, group in sorted(below.items()):
            size += len(group)
            if size != count:
                raise _NoTreeError(f"{size} products below a sum where there should be {count}")
            tree = Node(tree, self._tree(group))
        return tree

    def _below(self, leaves: Sequence[int], first: int, second: int) -> int:
        """How many of the leaves lie below the sum at which two of them meet."""
        numbers = dict.fromkeys(leaves, np.float32(1))
        numbers[first], numbers[second] = _LARGE, -_LARGE
        bias = numbers.pop(BIAS, np.float32(0))
        left = self._run("ones", self._ones(), self._filled(numbers), bias)
        if self._weights is None and self._observed.operator.name != "SUM":  # the mean of all of them
            left = np.rint(left * np.float32(sum(pair.x is not None for pair in self._window.pairs)))
        if not 0 <= left < len(leaves) or left != int(left):
            raise _NoTreeError(f"{left} of {len(leaves)} ones are left")
        return len(leaves) - int(left)

    def is_fused(self, tree: Tree) -> bool:
        """Whether products are added unrounded, as the first tells that is added to another number."""
        node = tree if self._weights is not None else BIAS
        while isinstance(node, Node):
            node, leaf = (node.left, node.right) if _is_product(node.right) else (node.right, node.left)
            if _is_product(leaf) and isinstance(leaf, int):
                below = _leaves(node)
                tests = [(leaf, below[0])]
                if len(below) == 1 and below[0] != BIAS:
                    tests.append((below[0], leaf))
                return any(self._adds_unrounded(product, other) for product, other in tests)
        return False

    def _adds_unrounded(self, product: int, other: int) -> bool:
        weights = self._ones()
        place = self._window.pairs[product].weight
        assert place is not None and weights is not None
        weights[place] = _ODD
        numbers = {product: _ODD}
        bias = np.float32(0)
        if other == BIAS:
            bias = -_ROUNDED_SQUARE
        else:
            numbers[other] = -_ROUNDED_SQUARE
        return bool(self._run(f"odd {product}", weights, self._filled(numbers), bias) != 0)

    def _ones(self) -> Array | None:
        return None if self._weights is None else np.ones_like(self._weights)

    def _filled(self, numbers: Mapping[int, Any]) -> Array:
        """The data with these numbers at places of the window, and zeros elsewhere."""
        data = np.zeros_like(self._data)
        for leaf, number in numbers.items():
            data[self._window.pairs[leaf].x] = number
        return data

    def _run(self, name: str, weights: Array | None, data: Array, bias: Any) -> np.float32:
        if self._until is not None and time.monotonic() > self._until:
            raise TimeoutError("it takes too long; --all waits")
        key = (name, 0.0 if bias is None else float(bias))
        biases = None if self._biases is None else np.full_like(self._biases, bias)
        if key not in self._plans:
            self._plans[key] = self._planned(weights, biases)
        plan = self._plans[key]
        step = plan.steps[0]
        changed = {self._window.data: data, self._window.weights: weights, self._window.bias: biases}
        for position, (tensor, array) in enumerate(zip(step.operator.inputs, self._observed.inputs)):
            if tensor is not None and tensor.value is None:
                plan.values[tensor.index] = changed.get(position, array)
        with np.errstate(all="ignore"):
            plan.compute(step)
        result: np.float32 = plan.value(step.operator.outputs[0].index, step.operator)[self._index]
        return result

    def _planned(self, weights: Array | None, biases: Array | None) -> SubgraphPlan:
        """The operator with these constants and no activation, planned."""
        root = copy.copy(self._model.root)
        root.subgraphs, root.buffers = list(root.subgraphs or []), list(root.buffers or [])
        graph = root.subgraphs[0] = copy.copy(root.subgraphs[0])
        graph.tensors = list(graph.tensors or [])
        operator = copy.copy((graph.operators or [])[0])
        if hasattr(operator.builtin_options, "fused_activation_function"):
            options: Any = copy.copy(operator.builtin_options)
            options.fused_activation_function = ActivationFunctionType.NONE
            operator.builtin_options = options
        graph.operators = [operator]
        inputs = self._observed.operator.inputs
        for position, array in ((self._window.weights, weights), (self._window.bias, biases)):
            tensor = inputs[position] if position is not None and position < len(inputs) else None
            if (
                tensor is not None
                and array is not None
                and self._model.constant(graph.tensors[tensor.index]) is not None
            ):
                root.buffers.append(schema.Buffer(data=np.frombuffer(array.tobytes(), np.uint8)))
                table = graph.tensors[tensor.index] = copy.copy(graph.tensors[tensor.index])
                table.buffer = len(root.buffers) - 1
        read = dict(zip((None if t is None else t.index for t in inputs), self._observed.inputs))
        plan = Subgraphs(self._model.with_root(root), self._profile)[0]
        plan.plan_for([_shape(read[i]) for i in indices_of(graph.inputs)])
        if plan.steps[0].operator.profile != self._observed.operator.profile:
            raise _NoTreeError("the operator alone has the kernel of another profile")
        return plan


def _shape(array: Array | None) -> tuple[int, ...]:
    return () if array is None else array.shape


def _is_product(tree: Tree) -> bool:
    return isinstance(tree, int) and tree != BIAS


def _leaves(tree: Tree) -> list[int]:
    """The leaves of a tree, without recursion along its deep side."""
    found, waiting = [], [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, int):
            found.append(node)
        else:
            waiting += [node.left, node.right]
    return sorted(found)


class _Walk:
    """A tree of sums computed with the real numbers, step by step."""

    def __init__(
        self, numbers: Mapping[int, tuple[Any, Any]], bias: Any, is_fused: bool, places: Sequence[str]
    ) -> None:
        self.steps: list[Step] = []
        self._numbers, self._bias, self._is_fused, self._places = numbers, bias, is_fused, places
        self._chains: list[list[int]] = []

    def result(self, tree: Tree) -> np.float32:
        """The sum; `steps` are what led to it."""
        with np.errstate(all="ignore"):
            return self._sum(tree)[1]

    def words(self) -> str:
        """The order in words."""
        products = [leaf for chain in self._chains for leaf in chain if leaf != BIAS]
        rounding = "fused multiply-add" if self._is_fused else "each product rounded, each sum rounded"
        if all(weight is _ONE for _, weight in self._numbers.values()):
            rounding = "each sum rounded"
        if len(self._chains) == 1:
            ordered = products == sorted(products)
            how = (
                "one after another in the order of the weights"
                if ordered
                else "one after another in another order than the weights"
            )
        else:
            how = f"in {len(self._chains)} partial sums"
        if self._bias is None:
            return f"{how}; {rounding}; no bias"
        first, last = self._chains[0], self._last
        where = "from the bias on" if first[0] == BIAS else "the bias last" if last == BIAS else "the bias in between"
        return f"{how}, {where}; {rounding}"

    def _sum(self, tree: Tree) -> tuple[str, np.float32]:
        spine: list[Tree] = []
        while isinstance(tree, Node):
            tree, other = self._turned(tree)
            spine.append(other)
        chain = [tree]
        self._chains.append(chain)
        part = label = f"{PARTIAL} {len(self._chains)}"
        total = self._value(tree)
        self.steps.append(Step(part, self._name(tree), total))
        self._last: int | None = tree
        for other in reversed(spine):
            if isinstance(other, Node):
                name, added = self._sum(other)
                total, part, label = total + added, f"{PARTIAL}s joined", f"{label} + {name}"
                self.steps.append(Step(part, f"{label}", total))
                label = f"({label.replace(f'{PARTIAL} ', '')})"
                self._last = None
                continue
            chain.append(other)
            self._last = other
            if self._is_fused and other != BIAS:
                total = np.float32(fused_float32(*self._numbers[other], total))
            else:
                total = total + self._value(other)
            self.steps.append(Step(part, f"+ {self._name(other)}", total))
        return label, total

    def _turned(self, node: Node) -> tuple[Tree, Tree]:
        """The side that is summed first, and the one that is added to it."""
        left, right = node.left, node.right
        if isinstance(left, int) and isinstance(right, int):
            return (left, right) if left < right else (right, left)
        if isinstance(left, int):
            return right, left
        if isinstance(right, int):
            return left, right
        return (left, right) if _leaves(left)[-1] < 0 or _leaves(left) < _leaves(right) else (right, left)

    def _value(self, leaf: int) -> np.float32:
        if leaf == BIAS:
            return np.float32(self._bias)
        x, weight = self._numbers[leaf]
        return np.float32(x * weight)

    def _name(self, leaf: int) -> str:
        return "bias" if leaf == BIAS else self._places[leaf]
