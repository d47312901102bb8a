"""What a kernel is, what it is told, and where it is found.

A kernel is a function that takes the static facts of one operator (`Operator`: options, tensors' types, shapes,
quantization, constants, profile), checks them, sets the shapes of the outputs, does all work that needs no input
data, and returns the function that computes. So planning happens once and running many times::

    @kernel("RELU")
    def relu(op: Operator) -> Run:
        (x,), (y,) = op.inputs, op.outputs
        y.shape = x.shape
        return lambda x: np.maximum(x, 0)

`find` gives the kernel of an operator in a profile. A kernel registered under a profile's own name wins over the
common one, which is how a second algorithm enters; mere differences of rounding are data, in `profiles`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from refquant.errors import InvalidInputError, InvalidModelError, UnsupportedOperatorError
from refquant.tflite.flexbuffer import read_flexbuffer
from refquant.tflite.schema import SparsityParameters, TensorType
from refquant.tflite.tensor_types import numpy_dtype

if TYPE_CHECKING:
    from refquant.kernels.state import Resources

Array = npt.NDArray[Any]
Shape = tuple[int, ...]
Run = Callable[..., "Array | tuple[Array, ...]"]
Kernel = Callable[["Operator"], Run]
Observer = Callable[["Operator", dict[str, Any]], None]

#: so many elements no array may have here: the numbers in a file must not decide over the memory of the machine
MOST_ELEMENTS = 2**28


@dataclass(frozen=True, slots=True)
class Blocks:
    """Blockwise quantization: how many numbers share a scale, and the table of scales, float16."""

    size: int
    scales: npt.NDArray[np.float16]


@dataclass(eq=False, slots=True)
class TensorInfo:
    """The static facts of one tensor, as a kernel sees them.

    `shape` is None while it depends on data that are not there yet; `value` is the array of a constant, else None.
    `scales` (float32) and `zero_points` (int64) are empty for a tensor without affine quantization, have one element
    for quantization per tensor, and one for each index of `quantized_dimension` for quantization per channel.
    `sparsity` is there where the file holds only the values that are not zero; `value` has all. `declared` is the shape
    in the file, which `shape` need not be; with `has_open_sides` the file says that some of its sides may be any.
    `is_folded` marks what TensorFlow computes when it plans, `is_persistent` what it computes from a constant in the
    first run and keeps. `is_fixed` marks what `DENSIFY` and `DEQUANTIZE` make of constants, whether TensorFlow keeps it
    or not: no input changes it.
    `blocks` is there where each so many numbers of a row have a scale of their own. With `first_counts` a kernel that
    wants one scale takes the first of several.
    """

    index: int
    name: str
    type: TensorType
    dtype: np.dtype[Any]
    shape: Shape | None
    scales: npt.NDArray[np.float32]
    zero_points: npt.NDArray[np.int64]
    quantized_dimension: int = 0
    value: Array | None = None
    is_variable: bool = False
    is_folded: bool = False
    is_persistent: bool = False
    is_fixed: bool = False
    sparsity: SparsityParameters | None = None
    declared: Shape = ()
    has_open_sides: bool = False
    blocks: Blocks | None = None
    first_counts: bool = False

    @property
    def place(self) -> str:
        """Which tensor it is, for messages: index and name."""
        return f"tensor {self.index} ({self.name!r})"

    @property
    def dims(self) -> Shape:
        """The shape, where the caller knows that it is known (inputs of a kernel always are)."""
        if self.shape is None:
            raise InvalidModelError(f"the shape of {self.place} is not known at planning time")
        return self.shape

    @property
    def is_sparse(self) -> bool:
        """True when the file holds only the values that are not zero."""
        return self.sparsity is not None

    @property
    def is_quantized(self) -> bool:
        """True when the tensor has at least one scale."""
        return self.scales.size > 0

    @property
    def scale(self) -> np.float32:
        """The one scale of a tensor quantized per tensor."""
        self._require_per_tensor()
        return np.float32(self.scales[0])

    @property
    def zero_point(self) -> int:
        """The one zero point of a tensor quantized per tensor."""
        self._require_per_tensor()
        return int(self.zero_points[0])

    @property
    def params(self) -> tuple[np.float32, int]:
        """Scale and zero point as most real kernels see them: both 0 where the tensor has not just one of each.

        Those of TFLite Micro see the first of several.
        """
        counts = (self.scales.size, self.zero_points.size)
        if 0 in counts or (counts != (1, 1) and not self.first_counts):
            return np.float32(0), 0
        return np.float32(self.scales[0]), int(self.zero_points[0].astype(np.int32))

    def take_type(self, type: TensorType) -> None:
        """Gives the tensor this type, whatever the file says: what some real kernels do with their output."""
        self.type, self.dtype = type, numpy_dtype(type)

    def _require_per_tensor(self) -> None:
        if self.scales.size != 1 or self.zero_points.size != 1:
            raise InvalidModelError(
                f"tensor {self.index} ({self.name!r}, {self.type.name}) must be quantized per tensor: "
                f"it has {self.scales.size} scales and {self.zero_points.size} zero points, expected one of each"
            )


class Subgraphs(Protocol):
    """The subgraphs of the model, for operators that call them, and the state that they share."""

    @property
    def resources(self) -> Resources:
        """The variables and hash tables of the interpreter."""

    def plan(self, op: Operator, index: int, inputs: Sequence[TensorInfo]) -> list[TensorInfo]:
        """Plans subgraph `index`, called by `op`, for inputs of these types and shapes; the facts of its outputs."""

    def operators(self, op: Operator, index: int) -> list[str]:
        """The names of the operators of subgraph `index`, to which `op` refers."""

    def passed_on(self, op: Operator, index: int) -> list[int | None]:
        """For each output of subgraph `index` the position of the input that it is, or None where it is none."""

    def call(self, op: Operator, index: int, inputs: Sequence[Array], *, again: bool = False) -> tuple[Array, ...]:
        """Runs subgraph `index`, called by `op`; its outputs. Its variable tensors start anew, unless `again`."""


@dataclass(eq=False, slots=True)
class Operator:
    """The static facts of one operator: all that its kernel may look at before data come.

    `inputs` holds None where an optional input is absent. `custom_options` is empty but for custom operators. `threads`
    is how many a kernel may use.
    """

    name: str
    index: int
    subgraph: int
    version: int
    options: Any
    custom_options: bytes
    inputs: Sequence[TensorInfo | None]
    outputs: Sequence[TensorInfo]
    intermediates: Sequence[TensorInfo] = ()
    profile: str = "reference"
    is_custom: bool = False
    threads: int = 1
    subgraphs: Subgraphs | None = field(default=None, repr=False)
    observer: Observer | None = field(default=None, repr=False)

    @property
    def place(self) -> str:
        """Where the operator stands, for messages: subgraph, index, name."""
        return f"operator {self.index} ({self.name}) of subgraph {self.subgraph}"

    @property
    def types(self) -> str:
        """The types of inputs and outputs, for messages."""
        inputs = ", ".join("-" if t is None else t.type.name for t in self.inputs)
        return f"({inputs}) -> ({', '.join(t.type.name for t in self.outputs)})"

    @property
    def flexbuffer_options(self) -> Any:
        """The options of a custom operator that keeps them in a FlexBuffer, most often a dict; {} where it has none.

        Raises InvalidModelError for bytes that are no FlexBuffer.
        """
        try:
            return read_flexbuffer(self.custom_options) if self.custom_options else {}
        except InvalidModelError as error:
            raise self.invalid(str(error)) from error

    def input(self, position: int) -> TensorInfo:
        """The input at `position`, which the operator cannot do without."""
        tensor = self.inputs[position] if position < len(self.inputs) else None
        if tensor is None:
            raise self.invalid(f"input {position} is missing")
        return tensor

    def optional_input(self, position: int) -> TensorInfo | None:
        """The input at `position`, or None where it is absent."""
        return self.inputs[position] if position < len(self.inputs) else None

    def output(self, position: int = 0) -> TensorInfo:
        """The output at `position`."""
        if position >= len(self.outputs):
            raise self.invalid(f"output {position} is missing")
        return self.outputs[position]

    def invalid(self, why: str) -> InvalidModelError:
        """The error to raise when the operator contradicts itself."""
        return InvalidModelError(f"{self.place}: {why}")

    def unsupported(self, why: str = "no kernel for these types") -> UnsupportedOperatorError:
        """The error to raise when no kernel here covers what the operator asks for."""
        return UnsupportedOperatorError(
            f"{self.place}, version {self.version}, types {self.types}: {why} in profile {self.profile!r}"
        )

    def observe(self, **numbers: Any) -> None:
        """Hands inner numbers (accumulator, multiplier, shift, …) to the observer; call only when there is one."""
        if self.observer is not None:
            self.observer(self, numbers)


#: profiles that are another one but for the kernels registered under their own names
BASES = {"calibrator": "optimized"}
#: not a profile of a runtime: kernels registered under it come before all others where float32 may be inexact
FAST = "fast"
#: nor is this: kernels registered under it come before those of profile "xnnpack" where all numbers are float32
XNNPACK_FLOATS = "xnnpack float32"
_AMONG_FLOATS = (TensorType.FLOAT32, TensorType.INT32, TensorType.INT64)  # integers are axes, shapes and the like

_KERNELS: dict[tuple[str, bool, str | None], Kernel] = {}
_REGISTERED: dict[str, Kernel] = {}  # custom operators of the user's
_FLAWS: dict[str, str] = {}


def kernel(
    name: str, *, custom: bool = False, profile: str | None = None, flaw: str = ""
) -> Callable[[Kernel], Kernel]:
    """Registers a kernel for the operator `name` (of `BuiltinOperator`, or a custom code), for one profile or all.

    `flaw` says in a sentence what is wrong with the real kernel and what refquant does there; it goes into the table of
    operators.
    """

    def register(function: Kernel) -> Kernel:
        key = (name, custom, profile)
        if key in _KERNELS:
            raise ValueError(f"{name} has a kernel already: {_KERNELS[key].__name__}")
        _KERNELS[key] = function
        if flaw:
            _FLAWS[name] = flaw
        return function

    return register


def register_custom_operator(name: str, kernel: Kernel) -> None:
    """Has every `Interpreter` made from now on run the custom operators called `name` with `kernel`, in all profiles.

    A kernel is called once when the tensors are allocated (and again for other shapes), with the `Operator`: it checks
    what it is given, sets the shape of each output (or None, where that depends on data) and returns the function that
    takes the arrays of the inputs and returns the array of the output, or a tuple of them. An attribute `reset` of that
    function is called where state is to be forgotten. A name that is registered again gets the new kernel, also where
    refquant has one of its own.

    >>> import numpy as np
    >>> import refquant as rq
    >>> from refquant.testing import TensorSpec, single_operator_model
    >>> from refquant.tflite.schema import TensorType
    >>> def clip(op):
    ...     x, y = op.input(0), op.output(0)
    ...     if x.type != TensorType.FLOAT32:
    ...         raise op.unsupported()
    ...     limit = np.float32(op.flexbuffer_options["limit"])
    ...     y.shape = x.shape
    ...     return lambda x: np.minimum(x, limit)
    >>> rq.register_custom_operator("MyClip", clip)

    A model with that operator (the bytes are the FlexBuffer of ``{"limit": 6.0}``):

    >>> model = single_operator_model(
    ...     "MyClip",
    ...     [TensorSpec(TensorType.FLOAT32, [3])],
    ...     [TensorSpec(TensorType.FLOAT32, [3])],
    ...     custom_options=bytes.fromhex("6c696d6974000107010000000100000001000000 0000c0400e052601"),
    ... )
    >>> interpreter = rq.Interpreter(model=model)
    >>> interpreter.allocate_tensors()
    >>> interpreter.set_tensor(0, np.array([1.5, 7, -2], np.float32))
    >>> interpreter.invoke()
    >>> interpreter.get_tensor(1)
    array([ 1.5,  6. , -2. ], dtype=float32)
    """
    if not isinstance(name, str) or not name:
        raise InvalidInputError(f"the name of a custom operator is a text that is not empty, got {name!r}")
    if not callable(kernel):
        raise InvalidInputError(f"the kernel of {name!r} must be a function of an Operator, got {kernel!r}")
    _REGISTERED[name] = kernel


def is_registered(name: str) -> bool:
    """Whether a custom operator of this name has a kernel of the user's."""
    return name in _REGISTERED


def flaw_of(name: str) -> str:
    """What is wrong with the real kernel of an operator and what refquant does there; empty where nothing is known."""
    return _FLAWS.get(name, "")


def find(name: str, *, custom: bool, profile: str, fast: bool = False) -> Kernel | None:
    """The kernel of an operator in a profile, or None; a `fast` one if there is."""
    if custom and name in _REGISTERED:
        return _REGISTERED[name]
    for holder in (FAST if fast else profile, profile, BASES.get(profile), None):
        if (name, custom, holder) in _KERNELS:
            return _KERNELS[name, custom, holder]
    return None


def holder_in_xnnpack(name: str, *, has_floats: bool) -> str | None:
    """Under what the kernel of XNNPACK's for a builtin operator is registered, or None; one for float32 comes first."""
    holders = (XNNPACK_FLOATS, "xnnpack") if has_floats else ("xnnpack",)
    return next((holder for holder in holders if (name, False, holder) in _KERNELS), None)


def find_delegated(op: Operator) -> Kernel | None:
    """The kernel of XNNPACK's for an operator that it takes, or None."""
    tensors = [tensor for tensor in (*op.inputs, *op.outputs) if tensor is not None]
    has_floats = all(tensor.type in _AMONG_FLOATS for tensor in tensors)
    has_floats = has_floats and any(tensor.type == TensorType.FLOAT32 for tensor in op.outputs)
    holder = holder_in_xnnpack(op.name, has_floats=has_floats)
    return None if holder is None else _KERNELS[op.name, False, holder]


def known_operators() -> list[tuple[str, bool]]:
    """Name and whether it is custom, of every operator that has a kernel, sorted."""
    return sorted({(name, custom) for name, custom, _ in _KERNELS})
