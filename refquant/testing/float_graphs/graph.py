"""A float graph in the making: its tensors, what is known of them, and how a step finds the tensors that it needs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from refquant.testing.build import OperatorSpec, SubgraphSpec, TensorSpec
from refquant.tflite import schema
from refquant.tflite.schema import ActivationFunctionType, TensorType

Array = npt.NDArray[Any]
Shape = tuple[int, ...]
T = TypeVar("T")

FLOAT32, INT32, INT64, BOOL = TensorType.FLOAT32, TensorType.INT32, TensorType.INT64, TensorType.BOOL

#: what a step may be: NONE, RELU, RELU_N1_TO_1, RELU6
ACTIVATIONS = list(ActivationFunctionType)[:4]
#: numbers of elements up to which an activation may grow
MOST_ELEMENTS = 1500
#: magnitudes from which on a step first limits its input
LARGE = 1e6


@dataclass
class Shared:
    """What the subgraphs of one model have in common: the numbers, the names, the other subgraphs."""

    rng: np.random.Generator
    special: bool
    allowed: Collection[str]
    names: count[int] = field(default_factory=count)
    others: list[SubgraphSpec] = field(default_factory=list)  # subgraphs 1, 2, …


class Graph:
    """A subgraph, which steps enlarge by an operator or a few.

    Of each tensor that is computed an upper `bound` of its magnitude is known, so that nothing overflows, of each
    integer tensor how many values it may have (`limits`), so that it may be an index.
    """

    def __init__(self, draw: st.DrawFn, shared: Shared, depth: int = 0) -> None:
        self.draw = draw
        self.shared = shared
        self.rng = shared.rng
        self.depth = depth
        self.tensors: list[TensorSpec] = []
        self.operators: list[OperatorSpec] = []
        self.inputs: list[int] = []
        self.pool: list[int] = []  # what a step may read: inputs and results
        self.constants: list[int] = []
        self.bounds: dict[int, float] = {}
        self.limits: dict[int, int] = {}
        self.used: set[int] = set()
        self.any_batch = depth == 0 and self.chance(8)

    # choices, each of which shrinks to the first

    def pick(self, items: Sequence[T]) -> T:
        """One of these."""
        return items[self.draw(st.integers(0, len(items) - 1))] if len(items) > 1 else items[0]

    def number(self, low: int, high: int) -> int:
        """A whole number, `low` and `high` among them."""
        return self.draw(st.integers(low, high)) if high > low else low

    def chance(self, in_so_many: int) -> bool:
        """True once in so many."""
        return self.number(0, in_so_many - 1) == in_so_many - 1

    def activation(self) -> ActivationFunctionType:
        """A fused activation, most often none."""
        return self.pick(ACTIVATIONS) if self.chance(3) else ActivationFunctionType.NONE

    # tensors

    def type(self, x: int) -> TensorType:
        """The type of a tensor."""
        return self.tensors[x].type

    def shape(self, x: int) -> Shape:
        """The shape of a tensor."""
        spec = self.tensors[x]
        return tuple(spec.shape) if spec.data is None else spec.data.shape

    def new(self, spec: TensorSpec, name: str) -> int:
        """The index of a new tensor, whose name no other tensor of the model has."""
        spec.name = f"{name}_{next(self.shared.names)}"
        self.tensors.append(spec)
        return len(self.tensors) - 1

    def input(self, shape: Sequence[int], type: TensorType = FLOAT32, limit: int = 0) -> int:
        """A new input of the subgraph; of integers each is below `limit`."""
        any_batch = self.any_batch and len(shape) > 1
        sides, signature = ((1, *shape[1:]), (-1, *shape[1:])) if any_batch else (tuple(shape), None)
        x = self.new(TensorSpec(type, sides, shape_signature=signature), "input")
        self.inputs.append(x)
        self.pool.append(x)
        if type == FLOAT32:
            self.bounds[x] = 16.0
        else:
            self.limits[x] = limit
        return x

    def constant(self, array: Array, name: str) -> int:
        """A new constant."""
        type = {np.dtype("f4"): FLOAT32, np.dtype("i4"): INT32, np.dtype("i8"): INT64}[array.dtype]
        x = self.new(TensorSpec(type, data=array), name)
        if type == FLOAT32:
            self.constants.append(x)
            with np.errstate(invalid="ignore"):
                self.bounds[x] = float(np.max(np.abs(array), initial=0, where=np.isfinite(array)))
        return x

    def scalar(self, value: float, name: str) -> int:
        """A new constant of one number, without dimensions."""
        return self.constant(np.array(value, np.float32), name)

    def integers(self, values: Any, name: str, type: TensorType = INT32) -> int:
        """A new constant of whole numbers, such as axes or a shape."""
        return self.constant(np.array(values, np.int64 if type == INT64 else np.int32), name)

    def weights(self, shape: Sequence[int], name: str = "weights", axis: int = 0) -> int:
        """Constant weights: a new tensor, or one of that shape that another operator has as well."""
        known = [c for c in self.constants if self.shape(c) == tuple(shape)]
        if known and self.chance(3):
            return self.pick(known)
        return self.constant(self._numbers(tuple(shape), axis), name)

    def _numbers(self, shape: Shape, axis: int) -> Array:
        """Weights as networks have them, and such as make trouble: channels of zeros, tiny ones, outliers."""
        values = self.rng.standard_normal(shape)
        kinds = ["plain", "per channel", "zero channels", "positive", "tiny", "outlier", "equal", "zero", "large"]
        kind = self.pick(kinds + ["special"] * self.shared.special)
        if shape and kind in ("per channel", "zero channels"):
            sides = [n if i == axis % len(shape) else 1 for i, n in enumerate(shape)]
            if kind == "per channel":
                values *= 2.0 ** self.rng.integers(-30, 3, sides)
            else:
                values *= self.rng.random(sides) < 0.7
        elif kind == "positive":
            values = np.abs(values)
        elif kind == "tiny":
            values *= float(self.rng.choice([1e-3, 1e-7, 1e-20, 1e-40]))
        elif kind == "outlier" and values.size:
            values.reshape(-1)[self.rng.integers(values.size)] = 300
        elif kind == "equal":
            values = np.full(shape, self.rng.choice([1.0, -0.25, 3.1]))
        elif kind == "zero":
            values = np.zeros(shape)
        elif kind == "large":
            values *= 50
        elif kind == "special" and values.size:
            values.reshape(-1)[self.rng.integers(values.size)] = self.rng.choice([np.nan, np.inf, -np.inf])
        return np.asarray(values, np.float32)

    def bias(self, size: int, optional: bool = False) -> int:
        """A constant bias, now and then a large one, or, if it is optional, -1: there is none."""
        if optional and self.chance(3):
            return -1
        known = [c for c in self.constants if self.shape(c) == (size,)]
        if known and self.chance(3):
            return self.pick(known)
        extent = self.pick([1.0, 0.0, 1e-6, 1e6])
        return self.constant((self.rng.standard_normal(size) * extent).astype(np.float32), "bias")

    # operators

    def add(
        self,
        operator: str,
        inputs: Sequence[int],
        *shapes: Sequence[int],
        options: Any = None,
        types: Sequence[TensorType] = (),
        bound: float = 1.0,
        limit: int = 0,
    ) -> int:
        """A new operator; the index of its first output, after which come the others.

        Outputs are float32 unless `types` says something else. `options` need not be given where all are default.
        """
        outputs = []
        for i, shape in enumerate(shapes):
            type = types[i] if types else FLOAT32
            signature = (-1, *shape[1:]) if self._keeps_batch(operator, inputs, shape) else None
            y = self.new(TensorSpec(type, tuple(shape), shape_signature=signature), operator.lower())
            outputs.append(y)
            self.pool.append(y)
            if type == FLOAT32:
                self.bounds[y] = max(bound, 1e-30)
            elif type != BOOL:
                self.limits[y] = limit
        if options is None and (table := _options_of(operator)) is not None:
            options = table()
        self.operators.append(OperatorSpec(operator, list(inputs), outputs, options))
        self.used.update(inputs)
        return outputs[0]

    def _keeps_batch(self, operator: str, inputs: Sequence[int], shape: Sequence[int]) -> bool:
        """Whether the first side of an output may be any, as that of the first input."""
        has_any = bool(inputs) and inputs[0] >= 0 and self.tensors[inputs[0]].shape_signature is not None
        return has_any and operator in _KEEP_BATCH and shape[:1] == self.shape(inputs[0])[:1]

    def allows(self, operator: str) -> bool:
        """Whether the caller wants that operator."""
        return operator in self.shared.allowed

    def grow(self, operators: Sequence[str], count: int) -> None:
        """So many steps, each of one of these operators."""
        for _ in range(count if operators else 0):
            operator = self.pick(operators)
            STEPS[operator](self, operator)

    # what a step needs

    def floats(self, fits: Callable[[Shape], bool], make: Callable[[], Sequence[int]]) -> int:
        """A float tensor whose shape fits, most often one of the last, or else a new input of a shape to be made."""
        found = [x for x in self.pool if self.type(x) == FLOAT32 and fits(self.shape(x))]
        if not found or (self.depth == 0 and len(self.inputs) < 3 and self.chance(10)):
            return self.input(make()) if self.depth == 0 else self._reshaped(make())
        return found[-1] if not self.chance(3) else self.pick(found)

    def any(self) -> int:
        """A float tensor of one to four dimensions."""
        return self.floats(lambda shape: 1 <= len(shape) <= 4, lambda: self.sides(self.number(1, 4)))

    def image(self, depth: int = 0, even: bool = False) -> int:
        """A float tensor of batch, height, width, depth."""

        def fits(shape: Shape) -> bool:
            return (
                len(shape) == 4
                and (not depth or shape[3] % depth == 0)
                and (not even or (shape[1] % 2 == 0 and shape[2] % 2 == 0))
            )

        def make() -> Shape:
            height, width, channels = self.number(1, 8), self.number(1, 8), self.pick([3, 1, 4, 8, 16])
            if even:
                height, width = 2 * ((height + 1) // 2), 2 * ((width + 1) // 2)
            return (self.pick([1, 1, 1, 2]), height, width, channels * (depth or 1))

        return self.floats(fits, make)

    def matrix(self) -> int:
        """A float tensor of batch and features."""
        return self.floats(
            lambda shape: len(shape) == 2, lambda: (self.pick([1, 1, 2, 5]), self.pick([4, 1, 8, 17, 32]))
        )

    def sequence(self) -> int:
        """A float tensor of batch, time and features."""
        return self.floats(lambda shape: len(shape) == 3, lambda: self.sides(3))

    def sides(self, rank: int) -> Shape:
        """A small shape."""
        return tuple([self.pick([1, 1, 2, 3]), *(self.number(1, 6) for _ in range(rank - 1))][:rank])

    def tamed(self, x: int, most: float = LARGE) -> int:
        """x, limited by another operator where its numbers may be larger."""
        if self.bounds[x] <= most:
            return x
        if most >= 6:
            return self.add("RELU6", [x], self.shape(x), bound=6.0)
        return self.add("TANH", [x], self.shape(x))

    def positive(self, x: int) -> int:
        """Something made of x that is at least 0.1."""
        size = self.bounds[x]
        absolute = self.add("ABS", [x], self.shape(x), bound=size)
        least = self.scalar(self.pick([0.1, 1.0, 8.0]), "least")
        return self.add("ADD", [absolute, least], self.shape(x), bound=size + 8)

    def indices(self, count: int) -> int:
        """An integer tensor of numbers below `count`: a constant, or one that is computed or an input."""
        found = [x for x in self.pool if self.type(x) in (INT32, INT64) and 0 < self.limits.get(x, 0) <= count]
        found = [x for x in found if len(self.shape(x)) <= 2]
        if found and self.chance(2):
            return self.pick(found)
        shape = self.pick([(3,), (1,), (2, 2), ()])
        if self.depth == 0 and self.chance(3):
            return self.input(shape, INT32, count)
        return self.integers(self.rng.integers(0, count, shape), "indices")

    def _reshaped(self, shape: Sequence[int]) -> int:
        """A tensor of this shape made of one that is there, in a subgraph whose inputs are given."""
        x = self.pool[0]
        flat = self.add("RESHAPE", [x, self.integers([-1], "shape")], (self._size(x),), bound=self.bounds[x])
        wanted = int(np.prod(shape))
        places = self.integers(np.arange(wanted).reshape(shape) % self._size(x), "places")
        return self.add("GATHER", [flat, places], shape, bound=self.bounds[x])

    def _size(self, x: int) -> int:
        return int(np.prod(self.shape(x)))

    # the end

    def finished(self, outputs: Sequence[int]) -> SubgraphSpec:
        """The subgraph with these outputs."""
        return SubgraphSpec(self.tensors, self.operators, self.inputs, outputs)

    def some_outputs(self) -> list[int]:
        """Everything that nothing reads, but seldom; now and then what something reads, or an input."""
        computed = [x for x in self.pool if x not in self.inputs]
        leaves = [x for x in computed if x not in self.used]
        if len(leaves) > 1 and self.chance(8):
            leaves.remove(self.pick(leaves))  # an operator without effect
        inner = [x for x in self.pool if x not in leaves and x not in self.inputs]
        if inner and self.chance(4):
            leaves.insert(self.number(0, len(leaves)), self.pick(inner))
        if self.inputs and self.chance(12):
            leaves.append(self.pick(self.inputs))
        return leaves or computed[-1:] or self.inputs[:1]


#: operators whose result has as many rows as their first input, in all their uses here
_KEEP_BATCH = frozenset(
    """ABS ADD AVERAGE_POOL_2D CONV_2D COS DEPTHWISE_CONV_2D DIV ELU EXP FLOOR GELU HARD_SWISH LEAKY_RELU LOG
    LOG_SOFTMAX LOGISTIC MAX_POOL_2D MAXIMUM MINIMUM MUL NEG PRELU RELU RELU6 RELU_0_TO_1 RELU_N1_TO_1 ROUND RSQRT SIN
    SOFTMAX SQRT SQUARE SQUARED_DIFFERENCE SUB TANH""".split()
)

#: operators whose table of options has another name than theirs
_TABLES = {
    **dict.fromkeys(("MAXIMUM", "MINIMUM"), "MaximumMinimum"),
    **dict.fromkeys(("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "REDUCE_ANY", "REDUCE_ALL"), "Reducer"),
    "L2_NORMALIZATION": "L2Norm",
    "PADV2": "PadV2",
    "TOPK_V2": "TopKV2",
    "BATCH_MATMUL": "BatchMatMul",
    "LOCAL_RESPONSE_NORMALIZATION": "LocalResponseNormalization",
    "BATCH_TO_SPACE_ND": "BatchToSpaceND",
    "SPACE_TO_BATCH_ND": "SpaceToBatchND",
}


def _options_of(operator: str) -> Any:
    """The class of an operator's table of options, or None."""
    name = _TABLES.get(operator) or "".join(word.capitalize() for word in operator.split("_"))
    return getattr(schema, f"{name}Options", None)


Step = Callable[[Graph, str], None]
STEPS: dict[str, Step] = {}


def step(*operators: str) -> Callable[[Step], Step]:
    """Registers a function that enlarges a graph by one of these operators, and by what it needs around it."""

    def register(function: Step) -> Step:
        for operator in operators:
            if operator in STEPS:
                raise ValueError(f"{operator} has a step already")
            STEPS[operator] = function
        return function

    return register
