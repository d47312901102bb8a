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
from refquant.kernels.folding import is_folded
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
        self._owners: dict[int, int] = {}  # of a tensor without memory of its own: whose it has
        self._apart = _known(plan) | {tensor.index for tensor in plan.tensors if tensor.is_variable}
        self._sizes, self._dynamic = _as_planned(plan)
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
        if given in self._dynamic:
            return output in self._dynamic
        return given not in self._apart and output not in self._apart

    def _in_memory_of(self, index: int, owner: int) -> bool:
        """Whether what was decided also came to be."""
        tensors = [self._plan.tensors[i] for i in (index, owner)]
        if any(self._is_dynamic(tensor.index) for tensor in tensors):
            return False
        return _bytes(tensors[0], tensors[0].dims) == _bytes(tensors[1], tensors[1].dims)

    def _is_dynamic(self, index: int) -> bool:
        """RESHAPE to a shape that depends on data has dynamic memory only if it cannot share."""
        if index not in self._makers:
            return False
        step, output = self._makers[index]
        return step.shapes[output] is None and not (step.operator.name == "RESHAPE" and index in self._owners)


def _known(plan: SubgraphPlan) -> set[int]:
    """Constants, and what is computed from them when the subgraph is planned."""
    known = {tensor.index for tensor in plan.tensors if tensor.value is not None}
    for step in plan.steps:
        if is_folded(step.operator, lambda tensor: tensor.index in known):
            known.update(tensor.index for tensor in step.operator.outputs)
    return known


def _as_planned(plan: SubgraphPlan) -> tuple[list[int], set[int]]:
    """The sizes at the moment of the decision, and the tensors that have dynamic memory by then."""
    sizes = [_bytes(tensor, tensor.declared if tensor.shape is None else tensor.shape) for tensor in plan.tensors]
    dynamic: set[int] = set()
    is_planned = True
    for step in plan.steps:
        outputs = step.operator.outputs
        if not is_planned:
            for tensor in outputs:
                sizes[tensor.index] = _bytes(tensor, tensor.declared)
        elif any(tensor.shape is None for tensor in outputs):
            is_planned = False
            if step.operator.name == "RESHAPE":
                sizes[outputs[0].index] = sizes[step.operator.input(0).index]
            else:
                dynamic = {tensor.index for tensor in outputs if tensor.shape is None}
    return sizes, dynamic


def _bytes(tensor: TensorInfo, shape: Shape) -> int:
    return tensor.dtype.itemsize * math.prod(shape)
