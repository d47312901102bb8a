"""One subgraph made ready to run: every operator's kernel planned, every tensor's value kept.

`plan` walks the operators in order. An operator whose inputs all have a known shape is planned at once; one that
depends on a shape which only data will tell (a dynamic tensor) is planned in `invoke`, each time its turn comes.
"""

from __future__ import annotations

import math
import pkgutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, Protocol

import numpy as np

import refquant.kernels
from refquant.errors import InvalidModelError, RefquantError, UnsupportedOperatorError
from refquant.interpreter.details import shape_of
from refquant.kernels import profiles, registry
from refquant.kernels.arity import check_arity
from refquant.kernels.folding import is_folded
from refquant.kernels.registry import MOST_ELEMENTS, Array, Observer, Operator, Run, Shape, TensorInfo
from refquant.kernels.state import Resources
from refquant.kernels.xnnpack.delegation import delegated
from refquant.kernels.xnnpack.fusion import fusions
from refquant.numerics import processor
from refquant.numerics.packed import unpack
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType
from refquant.tflite.tensor_types import PACKED_BITS, numpy_dtype
from refquant.tflite.vectors import indices_of

for _module in pkgutil.iter_modules(refquant.kernels.__path__):  # importing a module of kernels registers them
    import_module(f"refquant.kernels.{_module.name}")


#: codes that no file should have, and why
_NO_OPERATORS = {
    "DELEGATE": "; it stands for what a delegate had taken over when the model was written: write it from the original",
    "PLACEHOLDER_FOR_GREATER_OP_CODES": "; it stands for a code above 126, which belongs into builtin_code",
}
_TAKING_SPARSE = ("DENSIFY", "FULLY_CONNECTED")  # as inputs
_MAX_DEPTH = 32  # how deep subgraphs may call each other


@dataclass(eq=False, slots=True)
class Step:
    """An operator, its kernel, and once it is planned the function that runs it and the shapes of its outputs.

    A shape is None where it depends on data. `late` is the function of an operator that is planned when its turn comes,
    after the shapes of the inputs for which it was planned. `reads` are the indices of the inputs, None where one is
    absent, `drops` those of the tensors whose values nobody wants once the operator has run.
    """

    operator: Operator
    kernel: registry.Kernel
    reads: Sequence[int | None] = ()
    drops: Sequence[int] = ()
    run: Run | None = None
    shapes: Sequence[Shape | None] = ()
    late: tuple[Sequence[Shape | None], Run] | None = None


class Watcher(Protocol):
    """Is told of each operator that runs, in any subgraph; its arrays are those of `SubgraphPlan.values`."""

    def before(self, plan: SubgraphPlan, step: Step) -> None:
        """The operator is about to run: its inputs are there."""

    def after(self, plan: SubgraphPlan, step: Step) -> None:
        """It has run: its outputs are there, and its variables have changed."""


class SubgraphPlan:
    """Tensors, steps and values of one subgraph in one profile.

    `tensors[i]` holds the facts of tensor i and `values[i]` its array: constants from the start, variables from
    `plan` on, inputs when they are set, the rest after `invoke`, which overwrites no value that it has not computed.
    Without `preserves`, `invoke` lets go of each intermediate after the last operator that reads it, so that its memory
    serves the operators to come.
    """

    def __init__(
        self,
        model: Model,
        subgraph: int,
        profile: str,
        subgraphs: Subgraphs,
        *,
        fast: bool = False,
        preserves: bool = True,
    ) -> None:
        self.model = model
        self.profile = profile
        self.fast = fast
        self.subgraphs = subgraphs
        self.index = subgraph
        self.table = model.subgraphs[subgraph]
        self.inputs = indices_of(self.table.inputs)
        self.outputs = indices_of(self.table.outputs)
        self.tensors = [
            _tensor_info(model, subgraph, i, tensor, profile) for i, tensor in enumerate(self.table.tensors or ())
        ]
        self._fill_empty_constants()
        self.values: list[Array | None] = [tensor.value for tensor in self.tensors]
        self._undecided = profile == "xnnpack"
        own = "optimized" if self._undecided else profile
        self.steps = [self._step(i, op, own) for i, op in enumerate(self.table.operators or ())]
        self.observer: Observer | None = None
        self.watcher: Watcher | None = None
        self.processor = processor.current()
        self._planned_for: Sequence[Shape] | None = None
        self._check_order()
        if not preserves:
            self._drop_intermediates()

    def plan(self) -> None:
        """Plans every operator that can be planned without data, and sets all variables to their first value."""
        self._delegate()
        self._planned_for = None
        self.processor = processor.current()
        computed = {index for step in self.steps for index in _written(step)}
        for index in computed:
            self.values[index] = None
        self.reset_variables()
        for step in self.steps:
            step.run = step.late = None
            if all(tensor is None or tensor.shape is not None for tensor in step.operator.inputs):
                self.plan_step(step)
            else:
                for output in step.operator.outputs:
                    output.shape = None
        self._planned_for = [self.tensors[i].dims for i in self.inputs]

    def plan_for(self, shapes: Sequence[Shape]) -> None:
        """Plans for inputs of these shapes, unless that is how it is planned already."""
        if self._planned_for == shapes:
            return
        self._delegate()
        for i, shape in zip(self.inputs, shapes, strict=True):
            self.tensors[i].shape = shape
        self.plan()

    def _delegate(self) -> None:
        """In profile "xnnpack", gives the operators that XNNPACK takes its kernels: once, before any shape is computed.

        Raises UnsupportedOperatorError where it takes one whose kernel is not here.
        """
        if not self._undecided:
            return
        operators = [step.operator for step in self.steps]
        delegation = delegated(operators)
        for position in delegation.unpacks:
            operator = self.steps[position].operator
            if operator.output().index in self.outputs:
                raise operator.unsupported("the delegate unpacks it, but never writes it to an output of the model,")
            if operator.name == "DENSIFY" and operator.output().type in (TensorType.FLOAT16, TensorType.FLOAT32):
                raise operator.unsupported("sparse weights of floats, of which XNNPACK skips the zeros,")
        for position in delegation.computes:
            step = self.steps[position]
            step.operator.profile = "xnnpack"
            kernel = registry.find_delegated(step.operator)
            if kernel is None:
                raise step.operator.unsupported("XNNPACK takes this operator, and refquant has no kernel of XNNPACK's")
            step.kernel = kernel
        for position, kernel, inputs in [*fusions(operators, delegation.computes, self.outputs)]:
            self._fuse(position, kernel, inputs)
        self._undecided = False

    def _fuse(self, position: int, kernel: registry.Kernel, inputs: list[TensorInfo]) -> None:
        """Has the operator compute with other inputs, which are not dropped before."""
        step, reads = self.steps[position], [tensor.index for tensor in inputs]
        step.kernel, step.operator.inputs, step.reads = kernel, inputs, reads
        for earlier in self.steps[:position]:
            dropped = [index for index in earlier.drops if index in reads]
            earlier.drops = [index for index in earlier.drops if index not in reads]
            step.drops = [*step.drops, *dropped]

    def invoke(self) -> None:
        """Computes every operator in order from `values`; floats overflow without a word, as in the real runtimes."""
        with np.errstate(all="ignore"):
            self._invoke()

    def _invoke(self) -> None:
        for step in self.steps:
            if self.watcher is not None:
                self.watcher.before(self, step)
            self.compute(step)
            if self.watcher is not None:
                self.watcher.after(self, step)
            for index in step.drops:
                self.values[index] = None

    def compute(self, step: Step) -> None:
        """Computes one operator, from `values` into `values`."""
        values, operator = self.values, step.operator
        arguments = [None if index is None else values[index] for index in step.reads]
        run = step.run or self._planned_late(step, arguments)
        operator.observer = self.observer
        try:
            results = run(*arguments)
        except Exception:
            with placed(operator, "run"):
                raise
        if not isinstance(results, tuple):
            results = (results,)
        if len(results) != len(operator.outputs):
            raise operator.invalid(f"it has {len(operator.outputs)} outputs, its kernel gives {len(results)}")
        for tensor, shape, result in zip(operator.outputs, step.shapes, results):
            if result.dtype is not tensor.dtype or result.shape != shape:  # most often neither
                self.check_result(operator, tensor, shape, result)
                tensor.shape = result.shape
            values[tensor.index] = result

    def _planned_late(self, step: Step, arguments: Sequence[Array | None]) -> Run:
        """The function of an operator whose shapes depend on data, planned anew where one of them has changed."""
        shapes = [None if value is None else value.shape for value in arguments]
        if step.late is None or step.late[0] != shapes:
            for tensor, value in zip(step.operator.inputs, arguments):
                if tensor is not None and value is not None:
                    tensor.shape = value.shape
            step.late = shapes, self.plan_step(step)
            step.run = None
        return step.late[1]

    def reset_variables(self) -> None:
        """Sets every variable to its first value."""
        for tensor in self.tensors:
            if tensor.is_variable and tensor.value is None:
                self.values[tensor.index] = first_value(tensor)
        for step in self.steps:
            reset = getattr(step.run, "reset", None)
            if reset is not None:
                reset()

    def _step(self, index: int, table: schema.Operator, profile: str) -> Step:
        model = self.model
        name = model.operator_name(table)
        operator = Operator(
            name=name,
            index=index,
            subgraph=self.index,
            version=model.operator_version(table),
            options=table.builtin_options if table.builtin_options is not None else table.builtin_options_2,
            custom_options=b""
            if table.custom_options is None
            else np.asarray(table.custom_options, np.uint8).tobytes(),
            inputs=[None if i < 0 else self.tensors[i] for i in indices_of(table.inputs)],
            outputs=[self.tensors[i] for i in indices_of(table.outputs)],
            intermediates=[self.tensors[i] for i in indices_of(table.intermediates)],
            profile=registry.BASES.get(profile, profile),
            threads=self.subgraphs.threads,
            is_custom=model.is_custom(table),
            subgraphs=self.subgraphs,
        )
        fast = self.fast and all(tensor is None or tensor.type == TensorType.FLOAT32 for tensor in operator.inputs[:2])
        kernel = registry.find(name, custom=model.is_custom(table), profile=profile, fast=fast)
        if kernel is None:
            advice = (
                "; rq.register_custom_operator takes one" if model.is_custom(table) else _NO_OPERATORS.get(name, "")
            )
            raise UnsupportedOperatorError(
                f"{operator.place}, version {operator.version}, types {operator.types}: refquant has no kernel of "
                f"this operator in profile {profile!r}{advice}"
            )
        return Step(operator, kernel, [None if tensor is None else tensor.index for tensor in operator.inputs])

    def plan_step(self, step: Step) -> Run:
        """Calls the kernel; numbers that no kernel foresaw become an error with a place, not a bare one."""
        check_arity(step.operator)
        profiles.check_compared(step.operator, self.profile)
        if step.operator.name not in _TAKING_SPARSE and any(
            t is not None and t.is_sparse for t in step.operator.inputs
        ):
            raise step.operator.unsupported(f"no kernel with sparse inputs, which {' and '.join(_TAKING_SPARSE)} take,")
        with np.errstate(all="ignore"), placed(step.operator, "planned"):
            step.run = step.kernel(step.operator)
        profiles.check_planned(step.operator)
        step.shapes = [output.shape for output in step.operator.outputs]
        folded = is_folded(step.operator, lambda tensor: tensor.value is not None or tensor.is_folded)
        for output in step.operator.outputs:
            output.is_folded = folded
        for shape in step.shapes:
            if shape is not None and math.prod(shape) >= MOST_ELEMENTS:
                raise step.operator.invalid(
                    f"an output of shape {shape} has too many elements, {MOST_ELEMENTS} or more"
                )
        return step.run

    def _fill_empty_constants(self) -> None:
        """A tensor of no elements that nobody writes is a constant without bytes, such as the shape of a scalar."""
        filled = set(self.inputs).union(*(indices_of(operator.outputs) for operator in self.table.operators or ()))
        for tensor in self.tensors:
            if tensor.value is None and 0 in tensor.dims and tensor.index not in filled and not tensor.is_variable:
                tensor.value = np.empty(tensor.dims, tensor.dtype)

    def _check_order(self) -> None:
        """Each operator may only read what is there by then: inputs, constants, variables, earlier outputs."""
        known = {t.index for t in self.tensors if t.value is not None or t.is_variable} | set(self.inputs)
        for step in self.steps:
            for tensor in step.operator.inputs:
                if tensor is not None and tensor.index not in known:
                    raise step.operator.invalid(f"reads {tensor.place} before any operator has written it")
            for tensor in step.operator.outputs:
                if tensor in step.operator.inputs:
                    raise step.operator.invalid(f"{tensor.place} is both an input and an output")
                if tensor.value is not None:
                    raise step.operator.invalid(f"writes to {tensor.place}, a constant")
                known.add(tensor.index)
        for index in self.outputs:
            if index not in known:
                raise InvalidModelError(
                    f"output tensor {index} ({self.tensors[index].name!r}) of subgraph {self.index} is never written"
                )

    def _drop_intermediates(self) -> None:
        """Notes with each operator the computed tensors that it is the last one to read or write, but for outputs."""
        last: dict[int, Step] = {}
        for step in self.steps:
            last.update((index, step) for index in (*step.reads, *_written(step)) if index is not None)
        written = {index for step in self.steps for index in _written(step) if not self.tensors[index].is_variable}
        for index in written.difference(self.inputs, self.outputs):
            last[index].drops = (*last[index].drops, index)

    def is_dropped(self, index: int) -> bool:
        """Whether `invoke` lets go of the value of this tensor."""
        return any(index in step.drops for step in self.steps)

    def value(self, index: int, operator: Operator) -> Array:
        """The array of a tensor that `operator` asks for."""
        value = self.values[index]
        if value is None:
            raise operator.invalid(f"tensor {index} ({self.tensors[index].name!r}) has no value yet")
        return value

    def check_result(self, operator: Operator, tensor: TensorInfo, shape: Shape | None, result: Array) -> None:
        """Raises InvalidModelError where a kernel gave an output another dtype or shape than was planned."""
        if result.dtype != tensor.dtype or (shape is not None and result.shape != shape):
            raise operator.invalid(
                f"{tensor.place} should be {tensor.dtype} {shape}, the kernel gave {result.dtype} {result.shape}"
            )


class Subgraphs:
    """The plans of all subgraphs of a model, each made when it is first asked for, and the state that they share."""

    def __init__(
        self, model: Model, profile: str, *, fast: bool = False, preserves: bool = True, threads: int = 1
    ) -> None:
        self.model = model
        self.resources = _resources(model)
        self._profile, self._fast, self._preserves = profile, fast, preserves
        self.threads = threads
        self._plans: dict[int, SubgraphPlan] = {}
        self._observer: Observer | None = None
        self._watcher: Watcher | None = None
        self._busy: set[int] = set()

    def __getitem__(self, index: int) -> SubgraphPlan:
        if index not in self._plans:
            self._plans[index] = SubgraphPlan(
                self.model, index, self._profile, self, fast=self._fast, preserves=self._preserves
            )
            self._plans[index].observer = self._observer
            self._plans[index].watcher = self._watcher
        return self._plans[index]

    def observe(self, observer: Observer | None) -> None:
        """Has the kernels of all subgraphs hand their inner numbers to `observer`."""
        self._observer = observer
        for plan in self._plans.values():
            plan.observer = observer

    def watch(self, watcher: Watcher | None) -> None:
        """Tells `watcher` of each operator that runs, in all subgraphs."""
        self._watcher = watcher
        for plan in self._plans.values():
            plan.watcher = watcher

    def reset_variables(self) -> None:
        """Sets the variable tensors of all subgraphs to their first values; resources stay."""
        for plan in self._plans.values():
            plan.reset_variables()

    def plan(self, op: Operator, index: int, inputs: Sequence[TensorInfo]) -> list[TensorInfo]:
        """Plans a subgraph for the inputs with which `op` calls it; the facts of its outputs."""
        with self._entered(op, index) as plan:
            own = [plan.tensors[i] for i in plan.inputs]
            if [tensor.type for tensor in own] != [tensor.type for tensor in inputs]:
                raise op.invalid(
                    f"it gives subgraph {index} inputs of types {[tensor.type.name for tensor in inputs]}, "
                    f"expected {[tensor.type.name for tensor in own]}"
                )
            plan.plan_for([given.dims for given in inputs])
            return [replace(plan.tensors[i]) for i in plan.outputs]

    def operators(self, op: Operator, index: int) -> list[str]:
        """The names of the operators of a subgraph to which `op` refers."""
        self._check_index(op, index)
        return [self.model.operator_name(operator) for operator in self.model.subgraphs[index].operators or ()]

    def passed_on(self, op: Operator, index: int) -> list[int | None]:
        """For each output of a subgraph the position of the input that it is, or None where it is none."""
        with self._entered(op, index) as plan:
            return [plan.inputs.index(i) if i in plan.inputs else None for i in plan.outputs]

    def call(self, op: Operator, index: int, inputs: Sequence[Array], *, again: bool = False) -> tuple[Array, ...]:
        """Runs a subgraph that is planned, anew where the inputs have other shapes; its outputs.

        Its variable tensors start anew, unless it is called `again` for inputs of the same shapes.
        """
        with self._entered(op, index) as plan:
            plan.plan_for([array.shape for array in inputs])
            if not again:
                plan.reset_variables()
            for i, array in zip(plan.inputs, inputs, strict=True):
                plan.values[i] = array
            plan.invoke()
            return tuple(plan.value(i, op) for i in plan.outputs)

    def _check_index(self, op: Operator, index: int) -> None:
        if not 0 <= index < len(self.model.subgraphs):
            raise op.invalid(f"calls subgraph {index}, the model has {len(self.model.subgraphs)}")

    @contextmanager
    def _entered(self, op: Operator, index: int) -> Iterator[SubgraphPlan]:
        self._check_index(op, index)
        if index in self._busy:
            raise op.invalid(f"calls subgraph {index}, which is calling it")
        if len(self._busy) == _MAX_DEPTH:
            raise op.invalid(f"subgraphs call each other more than {_MAX_DEPTH} deep")
        self._busy.add(index)
        try:
            yield self[index]
        finally:
            self._busy.remove(index)


def _resources(model: Model) -> Resources:
    """No resources yet, but the numbers of all that the model names."""
    resources = Resources()
    for subgraph in model.subgraphs:
        for operator in subgraph.operators or ():
            options = operator.builtin_options
            if isinstance(options, schema.VarHandleOptions):
                resources.number(options.container, options.shared_name)
    return resources


def first_value(tensor: TensorInfo) -> Array:
    """What a variable holds first: zeros, or of int8 the byte of the zero point, as in the real interpreter."""
    if tensor.type == TensorType.STRING:
        return np.full(shape_of(tensor), b"", object)
    zero = tensor.zero_points[0] if tensor.type == TensorType.INT8 and tensor.zero_points.size == 1 else 0
    return np.full(shape_of(tensor), np.array(zero).astype(tensor.dtype), tensor.dtype)


@contextmanager
def placed(operator: Operator, what: str) -> Iterator[None]:
    """What no kernel foresaw (missing options, impossible numbers) becomes an error with a place, not a bare one."""
    try:
        yield
    except RefquantError:
        raise
    except AttributeError as error:
        if error.obj is not operator.options:
            raise
        raise operator.invalid(f"its options are missing or another operator's: {error}") from error
    except (ArithmeticError, LookupError, TypeError, ValueError, MemoryError) as error:
        raise operator.invalid(f"cannot be {what}: {type(error).__name__}: {error}") from error


def _written(step: Step) -> list[int]:
    return [tensor.index for tensor in step.operator.outputs]


def _tensor_info(model: Model, subgraph: int, index: int, tensor: schema.Tensor, profile: str) -> TensorInfo:
    quantization = tensor.quantization
    scales: Any = quantization.scale if quantization is not None and quantization.scale is not None else ()
    zero_points: Any = quantization.zero_point if quantization is not None else None
    if quantization is not None and isinstance(quantization.details, schema.BlockwiseQuantization):
        scales = zero_points = ()  # the blocks take their place
    if zero_points is None:
        zero_points = np.zeros(len(scales), np.int64)
    shape: Shape = () if tensor.shape is None else tuple(int(n) for n in tensor.shape)
    dimension = 0 if quantization is None else quantization.quantized_dimension
    exists = dimension >= 0 and (not shape or dimension < len(shape))
    fits = exists and (len(scales) == 1 or not shape or shape[dimension] == len(scales))
    if len(scales) and not fits and profile != "micro":
        raise InvalidModelError(
            f"tensor {index} ({tensor.name!r}) of shape {shape} cannot have {len(scales)} scales along dimension "
            f"{dimension}; TFLite Micro (kernels='micro') does not look at the dimension"
        )
    if len(zero_points) != len(scales):
        raise InvalidModelError(
            f"tensor {index} ({tensor.name!r}) has {len(scales)} scales, but {len(zero_points)} zero points"
        )
    return TensorInfo(
        index=index,
        name=tensor.name or "",
        type=tensor.type,
        dtype=numpy_dtype(tensor.type),
        shape=shape,
        scales=np.asarray(scales, np.float32),
        zero_points=np.asarray(zero_points, np.int64).astype(np.int32).astype(np.int64),  # the runtimes keep 32 bits
        quantized_dimension=dimension,
        value=None if tensor.is_variable else _constant(model, tensor, shape),
        is_variable=bool(tensor.is_variable),
        sparsity=tensor.sparsity,
        declared=shape,
        has_open_sides=tensor.shape_signature is not None and -1 in tensor.shape_signature,
        blocks=_blocks(model, subgraph, tensor),
        first_counts=profile == "micro",
    )


def _blocks(model: Model, subgraph: int, tensor: schema.Tensor) -> registry.Blocks | None:
    details = None if tensor.quantization is None else tensor.quantization.details
    tensors = model.subgraphs[subgraph].tensors or ()
    if not isinstance(details, schema.BlockwiseQuantization) or not 0 <= details.scales < len(tensors):
        return None
    scales = model.constant(tensors[details.scales])
    if scales is None or scales.dtype != np.float16:
        return None
    return registry.Blocks(details.block_size, scales)


def _constant(model: Model, tensor: schema.Tensor, shape: Shape) -> Array | None:
    """The value of a constant; integers of packed types one to an int8."""
    value = model.constant(tensor)
    if value is None or tensor.type not in PACKED_BITS:
        return value
    signed = tensor.type != TensorType.UINT4
    return unpack(value, PACKED_BITS[tensor.type], math.prod(shape), signed).reshape(shape)
