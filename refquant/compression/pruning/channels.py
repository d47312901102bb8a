"""Which filter each channel of a graph comes from, followed from the filters to everything that reads them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.compression.weights import Skipped
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType
from refquant.tflite.tensor_types import PACKED_BITS
from refquant.tflite.vectors import indices_of

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Producer:
    """An operator whose filters are channels: `ids` of them, along `axis` of its weight, a constant."""

    name: str
    operator: str
    weight: int
    axis: int
    ids: Array


@dataclass(frozen=True)
class Step:
    """An operator on its way through the graph."""

    position: int
    kind: str
    options: Any
    inputs: list[int]
    output: int


@dataclass
class Pack:
    """A shape made of its sides: where, of what, whose shape it is, and the channels that its last side counts."""

    position: int
    sides: list[int]
    users: set[int] = field(default_factory=set)
    ids: Array | None = None


class Channels:
    """The channels of a model of one subgraph.

    A channel is a number, and the last axis of an activation has one at each place (`labels`), as have those axes of
    constants that go with it (`cuts`). Channels that can only go together are one (`root_of`); those that must stay
    are in `kept`, with the reason.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.graph = model.subgraphs[0]
        self.tensors = list(self.graph.tensors or ())
        self.labels: dict[int, Array] = {}
        self.cuts: dict[int, dict[int, Array]] = {}
        self.producers: dict[int, Producer] = {}  # by weight
        self.refused: list[Skipped] = []
        self.shapes: list[tuple[int, int, int]] = []  # operators, and which input of theirs states the output's shape
        self.multipliers: list[Step] = []  # depthwise convolutions
        self.kept: dict[int, str] = {}
        self.shape_of: dict[int, int] = {}  # what SHAPE makes: of which activation
        self.packs: dict[int, Pack] = {}  # shapes that PACK makes of their sides
        self._parent: list[int] = []
        self._stored: dict[int, tuple[int, int]] = {}  # what DEQUANTIZE makes of a constant: the constant, and where
        self._readers: dict[int, set[int]] = {}
        self._cutters: dict[int, set[int]] = {}
        steps = [self._step(position, operator) for position, operator in enumerate(self.graph.operators or ())]
        for step in steps:
            for index in step.inputs:
                self._readers.setdefault(index, set()).add(step.position)
        for step in steps:
            self._follow(step)
        outputs = set(indices_of(self.graph.outputs))
        for index in outputs:
            self.keep(self.labels.get(index), "its channels reach a model output")
            self.keep(self.labels.get(self.shape_of.get(index, -1)), "the shape of its output is a model output")
        for index, axes in self.cuts.items():
            others = sorted(self._readers.get(index, set()) - self._cutters[index])
            if others or index in outputs:
                reader = f"{steps[others[0]].kind} also reads" if others else "a model output is"
                for ids in axes.values():
                    self.keep(ids, f"{reader} the constant {self.name(index)!r}, which would be cut")
        for index, pack in self.packs.items():
            if index in outputs or self._readers.get(index, set()) - pack.users:
                self.keep(pack.ids, f"more than RESHAPE and TRANSPOSE_CONV reads the shape {self.name(index)!r}")

    def name(self, index: int) -> str:
        """The name of a tensor."""
        return str(self.tensors[index].name or "")

    def shape(self, index: int) -> tuple[int, ...]:
        """The shape of a tensor as the file has it."""
        return tuple(indices_of(self.tensors[index].shape))

    def roots(self) -> Array:
        """Of each channel, the one that stands for all that go together with it."""
        return np.array([self.root_of(channel) for channel in range(len(self._parent))], np.int64)

    def root_of(self, channel: int) -> int:
        """The channel that stands for all that go together with this one."""
        while self._parent[channel] != channel:
            self._parent[channel] = channel = self._parent[self._parent[channel]]
        return channel

    def keep(self, ids: Array | None, why: str) -> None:
        """These channels stay."""
        for channel in () if ids is None else ids.tolist():
            self.kept.setdefault(channel, why)

    def of(self, index: int) -> Array:
        """The channels of an activation; those that are nobody's filters stay."""
        if index not in self.labels:
            self.labels[index] = self.new(self.shape(index)[-1] if self.shape(index) else 0)
            self.keep(self.labels[index], _joined(self.name(index)))
        return self.labels[index]

    def new(self, count: int) -> Array:
        """So many new channels."""
        ids = np.arange(len(self._parent), len(self._parent) + count)
        self._parent.extend(ids.tolist())
        return ids

    def tie(self, some: Array, others: Array) -> None:
        """These channels go with those."""
        for a, b in zip(some.tolist(), others.tolist(), strict=True):
            self._parent[self.root_of(a)] = self.root_of(b)

    def stored(self, index: int) -> int:
        """The constant of which a tensor is the real numbers, else the tensor itself."""
        return self._stored[index][0] if index in self._stored else index

    def unfit(self, index: int) -> str | None:
        """Why a tensor cannot be cut, or None."""
        base = self.stored(index)
        tensor = self.tensors[base]
        if self.model.buffer(tensor.buffer).size == 0:
            return f"{self.name(index)!r} is no constant"
        if self.shape(base) != self.shape(index):
            return f"{self.name(index)!r} has another shape than {self.name(base)!r}"
        if tensor.sparsity is not None:
            return f"{self.name(base)!r} is stored sparsely"
        if tensor.type in PACKED_BITS or tensor.type == TensorType.STRING:
            return f"{self.name(base)!r} is {TensorType(tensor.type).name}"
        if tensor.quantization is not None and tensor.quantization.details is not None:
            return f"{self.name(base)!r} has scales in blocks"
        return None

    def constant(self, index: int) -> Array | None:
        """The numbers of a constant as they are stored."""
        return None if index < 0 or self.stored(index) != index else self.model.constant(self.tensors[index])

    def cut(self, step: Step, index: int, axis: int, ids: Array) -> None:
        """This axis of a constant that `step` reads has these channels."""
        places = [(index, step.position)]
        if index in self._stored:
            places.append(self._stored[index])
        for tensor, position in places:
            axes = self.cuts.setdefault(tensor, {})
            if axis in axes:
                self.tie(axes[axis], ids)
            axes.setdefault(axis, ids)
            self._cutters.setdefault(tensor, set()).add(position)

    def _step(self, position: int, operator: schema.Operator) -> Step:
        outputs = indices_of(operator.outputs)
        kind, inputs = self.model.operator_name(operator), indices_of(operator.inputs)
        one = len(outputs) == 1 and not self.model.buffer(self.tensors[outputs[0]].buffer).size  # and no constant
        return Step(position, kind, operator.builtin_options, inputs, outputs[0] if one else -1)

    def _follow(self, step: Step) -> None:
        if step.kind in PRODUCERS:
            why = PRODUCERS[step.kind](self, step) if _is_whole(step) else "an input or its output is missing"
            weight = self.stored(step.inputs[1]) if len(step.inputs) > 1 else -1
            if why is not None and weight not in self.producers:
                self.refused.append(Skipped(self.name(weight) if weight >= 0 else "", step.kind, why))
        elif step.kind == "DEQUANTIZE" and _is_whole(step) and self.unfit(step.inputs[0]) is None:
            self._stored[step.output] = step.inputs[0], step.position
            return
        elif step.kind in SHAPES and _is_whole(step):
            why = SHAPES[step.kind](self, step)
        elif step.kind not in FOLLOWED or not _is_whole(step):
            why = ""
        else:
            why = FOLLOWED[step.kind](self, step)
        if why is not None:
            reason = f"its channels reach {step.kind}" + (
                f": {why}" if why else ", through which they are not followed"
            )
            for index in step.inputs:
                self.keep(self.labels.get(index), reason)
            self.keep(self.labels.pop(step.output, None), reason)
        if why is not None or step.kind not in SHAPES:
            for index in step.inputs:
                counted = self.labels.get(self.shape_of.get(index, -1))
                self.keep(counted, f"{step.kind} reads the shape of its output, and with it the number of channels")


def _joined(name: str) -> str:
    return f"its channels are joined with those of {name!r}, which are no filters"


Rule = Callable[[Channels, Step], str | None]


def _produced(
    graph: Channels,
    step: Step,
    source: int,
    weight: int,
    bias: int,
    axes: tuple[int, int | None],
) -> str | None:
    """New channels from `axes[0]` of a weight whose `axes[1]` reads those of the source; why not, or None."""
    out, into = axes
    why = graph.unfit(weight) or (graph.unfit(bias) if bias >= 0 else None)
    if why is not None:
        return why
    shape = graph.shape(weight)
    if len(shape) <= max(out, into or 0) or not shape[out] or graph.shape(step.output)[-1:] != (shape[out],):
        return f"the shape {graph.shape(step.output)} of its output is not that of {shape[out : out + 1]} filters"
    if bias >= 0 and graph.shape(bias) != (shape[out],):
        return f"its bias has shape {graph.shape(bias)}"
    read = None
    if into is not None and source in graph.labels:
        read = _reshaped(graph, graph.labels[source], shape[into]) if step.kind == "FULLY_CONNECTED" else None
        read = graph.labels[source] if len(graph.labels[source]) == shape[into] else read
        if read is None:
            return "it is a grouped convolution" if step.kind == "CONV_2D" else "its weight does not fit its input"
    elif into is not None and step.kind != "FULLY_CONNECTED" and graph.shape(source)[-1:] != (shape[into],):
        return "it is a grouped convolution" if step.kind == "CONV_2D" else "its weight does not fit its input"
    ids = graph.new(shape[out])
    graph.labels[step.output] = ids
    graph.cut(step, weight, out, ids)
    if into is not None and read is not None:
        graph.cut(step, weight, into, read)
    elif into is not None:  # another operator may read this weight too
        own = graph.new(shape[into])
        graph.keep(own, _joined(graph.name(source)))
        graph.cut(step, weight, into, own)
    if bias >= 0:
        graph.cut(step, bias, 0, ids)
    base = graph.stored(weight)
    graph.producers.setdefault(base, Producer(graph.name(base), step.kind, base, out, ids))
    return None


def _is_whole(step: Step) -> bool:
    """Whether an operator has one output and all inputs that its rule reads."""
    one = {*_CHANNELWISE.split(), "CONCATENATION", "PACK", "RESHAPE", "SHAPE", "SQUEEZE"}
    needed = 1 if step.kind in one else {"TRANSPOSE_CONV": 3, "STRIDED_SLICE": 4}.get(step.kind, 2)
    return step.output >= 0 and len(step.inputs) >= needed and min(step.inputs[:needed]) >= 0


def _input(step: Step, place: int) -> int:
    return step.inputs[place] if place < len(step.inputs) else -1


def _conv(graph: Channels, step: Step) -> str | None:
    return _produced(graph, step, step.inputs[0], step.inputs[1], _input(step, 2), (0, 3))


def _fully_connected(graph: Channels, step: Step) -> str | None:
    if getattr(step.options, "weights_format", 0):
        return "its weight is shuffled"
    return _produced(graph, step, step.inputs[0], step.inputs[1], _input(step, 2), (0, 1))


def _transpose_conv(graph: Channels, step: Step) -> str | None:
    if not _is_stated(graph, step.inputs[0]):
        return "the shape of its output is no constant"
    why = _produced(graph, step, step.inputs[2], step.inputs[1], _input(step, 3), (0, 3))
    return why or _state(graph, step, 0)


def _depthwise(graph: Channels, step: Step) -> str | None:
    """Of n channels each has m filters of its own; those of a single channel are as those of CONV_2D."""
    source, weight, bias = step.inputs[0], step.inputs[1], _input(step, 2)
    why = graph.unfit(weight) or (graph.unfit(bias) if bias >= 0 else None)
    if why is not None:
        return why
    if graph.shape(source)[-1:] == (1,):
        why = _produced(graph, step, source, weight, bias, (3, None))
        if why is None:
            graph.multipliers.append(step)
        return why
    ids, filters = graph.of(source), (0, *graph.shape(weight))[-1]
    if len(graph.shape(weight)) != 4 or not len(ids) or filters % len(ids):
        return "its weight does not fit its input"
    if graph.shape(step.output)[-1:] != (filters,) or (bias >= 0 and graph.shape(bias) != (filters,)):
        return "its weight does not fit its input"
    ids = np.repeat(ids, filters // len(ids))
    graph.cut(step, weight, 3, ids)
    if bias >= 0:
        graph.cut(step, bias, 0, ids)
    return _labelled(graph, step, ids)


def _labelled(graph: Channels, step: Step, ids: Array) -> str | None:
    if graph.shape(step.output)[-1:] != (len(ids),):
        return f"its output has the shape {graph.shape(step.output)}"
    graph.labels[step.output] = ids
    return None


def _channelwise(graph: Channels, step: Step) -> str | None:
    """Each channel by itself, wherever it is."""
    return _labelled(graph, step, graph.of(step.inputs[0]))


def _elementwise(graph: Channels, step: Step) -> str | None:
    """Channels that meet are one; a constant or activation with one channel meets them all."""
    size = graph.shape(step.output)[-1] if graph.shape(step.output) else 0
    last = {index: (1, *graph.shape(index))[-1] for index in step.inputs}
    constants = [index for index in step.inputs if graph.unfit(index) is None]
    activations = [index for index in step.inputs if index not in constants]
    wide = [index for index in activations if last[index] == size]
    if not wide or any(n not in (1, size) for n in last.values()):
        return f"its inputs have the shapes {', '.join(str(graph.shape(index)) for index in step.inputs)}"
    if any(graph.model.buffer(graph.tensors[index].buffer).size for index in activations):
        return next(why for index in activations if (why := graph.unfit(index)))
    ids = graph.of(wide[0])
    for index in wide[1:]:
        graph.tie(graph.of(index), ids)
    for index in activations:
        if index not in wide:
            graph.keep(graph.labels.get(index), "it is one channel that meets all of another")
    for index in constants:
        if graph.shape(index) and last[index] == size:
            graph.cut(step, index, len(graph.shape(index)) - 1, ids)
    return _labelled(graph, step, ids)


def _concatenation(graph: Channels, step: Step) -> str | None:
    """Along the channels one after the other, along another axis the same."""
    rank = len(graph.shape(step.output))
    axis = getattr(step.options, "axis", 0)
    axis += rank * (axis < 0)
    if not 0 <= axis < rank:
        return f"its axis is {axis}"
    if axis == rank - 1:
        return _labelled(graph, step, np.concatenate([graph.of(index) for index in step.inputs]))
    activations = [index for index in step.inputs if graph.unfit(index) is not None]
    shapes = {(len(graph.shape(index)), *graph.shape(index)[-1:]) for index in step.inputs}
    if shapes != {(rank, graph.shape(step.output)[-1])} or not activations:
        return "its inputs have other channels"
    ids = graph.of(activations[0])
    for index in step.inputs:
        if index in activations:
            graph.tie(graph.of(index), ids)
        else:
            graph.cut(step, index, rank - 1, ids)
    return _labelled(graph, step, ids)


def _pad(graph: Channels, step: Step) -> str | None:
    """Where channels are padded, what is added stays."""
    sides = graph.constant(step.inputs[1])
    if sides is None or sides.shape != (len(graph.shape(step.output)), 2):
        return "its paddings are no constant"
    before, after = (graph.new(int(n)) for n in sides[-1])
    if step.kind == "MIRROR_PAD" and len(before) + len(after):
        return "it mirrors channels"
    for ids in (before, after):
        graph.keep(ids, "its channels are joined with padding")
    return _labelled(graph, step, np.concatenate([before, graph.of(step.inputs[0]), after]))


def _reduction(graph: Channels, step: Step) -> str | None:
    axes, rank = graph.constant(step.inputs[1]), len(graph.shape(step.inputs[0]))
    if axes is None or not rank:
        return "its axes are no constant"
    if (rank - 1) in np.atleast_1d(axes) % rank:
        return "it runs over channels"
    return _channelwise(graph, step)


def _reshape(graph: Channels, step: Step) -> str | None:
    shape = graph.shape(step.output)
    if _input(step, 1) >= 0 and not _is_stated(graph, step.inputs[1]):
        return "its shape is no constant"
    ids = _reshaped(graph, graph.of(step.inputs[0]), shape[-1]) if shape else None
    if ids is None:
        return f"it makes {graph.shape(step.inputs[0])} to {shape}"
    return _labelled(graph, step, ids) or _state(graph, step, 1)


def _reshaped(graph: Channels, ids: Array, size: int) -> Array | None:
    """The channels of rows of `size` elements, made of rows that have these: one side must divide the other."""
    if not len(ids) or not size:
        return None
    if size % len(ids) == 0:
        return np.tile(ids, size // len(ids))
    if len(ids) % size:
        return None
    first, *rest = ids.reshape(-1, size)
    for row in rest:
        graph.tie(row, first)
    return np.asarray(first)


def _is_stated(graph: Channels, index: int) -> bool:
    """Whether a shape is a constant, or its last side is and all others are packed with it."""
    pack = graph.packs.get(index)
    return graph.constant(index) is not None or (pack is not None and graph.constant(pack.sides[-1]) is not None)


def _state(graph: Channels, step: Step, place: int) -> str | None:
    """The output's shape, which an input states, is to have the channels that stay."""
    graph.shapes.append((step.position, place, step.output))
    pack = graph.packs.get(_input(step, place))
    if pack is None:
        return None
    ids = graph.labels[step.output]
    if pack.ids is not None and len(pack.ids) != len(ids):
        return "its shape is also that of other channels"
    if pack.ids is not None:
        graph.tie(pack.ids, ids)
    pack.ids = ids
    pack.users.add(step.position)
    graph.shapes.append((pack.position, len(pack.sides) - 1, step.output))
    return None


def _shape(graph: Channels, step: Step) -> str | None:
    graph.shape_of[step.output] = step.inputs[0]
    return None


def _strided_slice(graph: Channels, step: Step) -> str | None:
    """Sides of a shape without the last one say nothing of channels."""
    begin, end, stride = (graph.constant(index) for index in step.inputs[1:4])
    options = step.options
    if step.inputs[0] not in graph.shape_of or begin is None or end is None or stride is None:
        return ""
    if any(getattr(options, name, 0) for name in ("ellipsis_mask", "new_axis_mask", "offset")) or begin.size != 1:
        return ""
    sides = np.arange(graph.shape(step.inputs[0])[0])
    if getattr(options, "shrink_axis_mask", 0):
        read = sides[int(begin[0]) :][:1]
    else:
        first = None if getattr(options, "begin_mask", 0) else int(begin[0])
        last = None if getattr(options, "end_mask", 0) else int(end[0])
        read = sides[first : last : int(stride[0]) or 1]
    return "it reads the number of channels" if len(sides) - 1 in read else None


def _pack(graph: Channels, step: Step) -> str | None:
    """Sides that are a shape together."""
    if len(graph.shape(step.output)) != 1 or any(i in graph.labels or i in graph.shape_of for i in step.inputs):
        return ""
    graph.packs[step.output] = Pack(step.position, step.inputs)
    return None


def _expand_dims(graph: Channels, step: Step) -> str | None:
    axis, rank = graph.constant(step.inputs[1]), len(graph.shape(step.output))
    if axis is None or axis.size != 1 or int(axis.flat[0]) in (-1, rank - 1):
        return "it may move channels"
    return _channelwise(graph, step)


def _squeeze(graph: Channels, step: Step) -> str | None:
    """Sides of one go, that of the channels not."""
    if graph.shape(step.inputs[0])[-1:] == (1,):
        return "it has one channel"
    return _channelwise(graph, step)


#: operators that have filters, and the rule that makes channels of them
PRODUCERS: dict[str, Rule] = {
    "CONV_2D": _conv,
    "FULLY_CONNECTED": _fully_connected,
    "TRANSPOSE_CONV": _transpose_conv,
}

_CHANNELWISE = """
    RELU RELU6 RELU_N1_TO_1 RELU_0_TO_1 LEAKY_RELU ELU GELU HARD_SWISH LOGISTIC TANH ABS NEG EXP LOG SQRT RSQRT SQUARE
    SIN COS CEIL FLOOR ROUND CAST QUANTIZE DEQUANTIZE AVERAGE_POOL_2D MAX_POOL_2D L2_POOL_2D RESIZE_BILINEAR
    RESIZE_NEAREST_NEIGHBOR SPACE_TO_BATCH_ND BATCH_TO_SPACE_ND
"""

#: operators through which channels are followed, and how
FOLLOWED: dict[str, Rule] = {
    **dict.fromkeys(_CHANNELWISE.split(), _channelwise),
    **dict.fromkeys(["ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "PRELU"], _elementwise),
    **dict.fromkeys(["PAD", "PADV2", "MIRROR_PAD"], _pad),
    **dict.fromkeys(["MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"], _reduction),
    "CONCATENATION": _concatenation,
    "DEPTHWISE_CONV_2D": _depthwise,
    "EXPAND_DIMS": _expand_dims,
    "RESHAPE": _reshape,
    "SQUEEZE": _squeeze,
}

#: operators that make the shape of a RESHAPE or TRANSPOSE_CONV where sides such as the batch may be any
SHAPES: dict[str, Rule] = {"SHAPE": _shape, "STRIDED_SLICE": _strided_slice, "PACK": _pack}
