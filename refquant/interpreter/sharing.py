"""Which tensors share memory in TensorFlow's interpreter, so that an operator may write over what they held.

Its memory planner gives an output the memory of an input where the operator allows it: RESHAPE and its like then only
have another name for the same numbers, but ADD leaves its sums in the place of a summand. Nobody is to read that
summand any more, yet the calibrator does; and where y = RESHAPE(x) and z = RESHAPE(y) share the memory of x, TensorFlow
does not count who else reads y, so that ADD(z, 1) changes y for the operators to come.

Source: IdentifyInPlaceTensors and CalculateAllocations in arena_planner.cc; which operators allow it: the registrations
in kernels/*.cc.
"""

from __future__ import annotations

import math
from collections import Counter

from refquant.interpreter.plan import Step, SubgraphPlan
from refquant.kernels.registry import Shape, TensorInfo

#: operators that may write over one of these inputs, the first that fits
WRITING = {
    **dict.fromkeys(("ADD", "SUB", "MUL", "DIV"), (0, 1)),
    **dict.fromkeys(("SOFTMAX", "DYNAMIC_UPDATE_SLICE"), (0,)),
}
#: operators whose output may be their first input by another name
RENAMING = ("RESHAPE", "EXPAND_DIMS", "SQUEEZE", "BITCAST")

_SCALAR_BYTES = 4  # what is no larger has memory of its own


class SharedMemory:
    """What shares memory in a subgraph that is planned and has not run yet.

    TensorFlow decides when it first plans the subgraph, by the sizes of that moment: up to the first operator with an
    output whose shape depends on data those of the plan, beyond it those in the file. What turns out otherwise has
    memory of its own.
    """

    def __init__(self, plan: SubgraphPlan) -> None:
        self._plan = plan
        self._readers = Counter(
            [*plan.inputs, *plan.outputs, *(tensor.index for tensor in plan.tensors if tensor.is_variable)]
            + [tensor.index for step in plan.steps for tensor in step.operator.inputs if tensor is not None]
        )
        self._makers = {
            tensor.index: (step, i) for step in plan.steps for i, tensor in enumerate(step.operator.outputs)
        }
        self._dynamic = _dynamic(plan)
        self._sizes = _sizes(plan)
        self._owners: dict[int, int] = {}  # of a tensor without memory of its own: whose it has
        for step in plan.steps:
            self._share(step)

    def overwritten(self, step: Step) -> list[int]:
        """The tensors whose memory holds the first output once this operator has run."""
        if step.operator.is_custom or step.operator.name not in WRITING:
            return []
        output = step.operator.output().index
        owner = self._owners.get(output)
        if owner is None or not self._in_memory_of(output, owner):
            return []
        others = [owner, *(tensor for tensor, of in self._owners.items() if of == owner)]
        earlier = others[: others.index(output)]
        return [tensor for tensor in earlier if self._in_memory_of(tensor, owner)]

    def _share(self, step: Step) -> None:
        operator = step.operator
        if operator.is_custom or not operator.outputs:
            return
        writes = operator.name in WRITING
        for position in WRITING.get(operator.name, (0,) if operator.name in RENAMING else ()):
            given = operator.optional_input(position)
            if given is not None and self._may_share(given.index, operator.outputs[0].index, writes):
                owner = self._owners.get(given.index, given.index)
                if not writes or self._readers[owner] <= 1:
                    self._owners[operator.outputs[0].index] = owner
                return

    def _may_share(self, given: int, output: int, writes: bool) -> bool:
        sizes = self._sizes
        if writes and (sizes[given] != sizes[output] or sizes[given] <= _SCALAR_BYTES or self._readers[given] > 1):
            return False
        if given in self._plan.inputs or output in self._plan.outputs:
            return False
        if given in self._dynamic or not self._is_in_arena(given):
            return given in self._dynamic and output in self._dynamic
        return True

    def _is_in_arena(self, index: int) -> bool:
        tensor = self._plan.tensors[index]
        return tensor.value is None and not tensor.is_variable

    def _in_memory_of(self, index: int, owner: int) -> bool:
        """Whether what was decided also came to be."""
        tensors = [self._plan.tensors[i] for i in (index, owner)]
        if any(_is_dynamic(*self._makers[tensor.index]) for tensor in tensors if tensor.index in self._makers):
            return False
        return _bytes(tensors[0], tensors[0].dims) == _bytes(tensors[1], tensors[1].dims)


def _is_dynamic(step: Step, output: int) -> bool:
    return step.shapes[output] is None


def _dynamic(plan: SubgraphPlan) -> set[int]:
    """The tensors with memory of their own, as their shapes depend on data: of the first operator that has such."""
    for step in plan.steps:
        found = {tensor.index for tensor in step.operator.outputs if tensor.shape is None}
        if found:
            return found
    return set()


def _sizes(plan: SubgraphPlan) -> list[int]:
    sizes = [_bytes(tensor, tensor.declared if tensor.shape is None else tensor.shape) for tensor in plan.tensors]
    is_planned = True
    for step in plan.steps:
        for tensor in step.operator.outputs:
            if not is_planned:
                sizes[tensor.index] = _bytes(tensor, tensor.declared)
            is_planned &= tensor.shape is not None
    return sizes


def _bytes(tensor: TensorInfo, shape: Shape) -> int:
    return tensor.dtype.itemsize * math.prod(shape)
