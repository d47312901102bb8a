"""All that can run a model, behind one surface: refquant's profiles, real runtimes, a Python function, a command.

A word names one of the first two: `reference`, `optimized`, … is a profile of refquant's own interpreter; `tensorflow`,
`litert` and `tflite-micro` are the real runtimes, each in a process of its own, and `tensorflow:reference` is one with
that kernel set. Without it tensorflow and litert have the kernels that they take by default, XNNPACK's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from refquant.errors import InvalidInputError, RefquantError, RuntimeFailedError
from refquant.interpreter import Interpreter
from refquant.interpreter.interpreter import PROFILES
from refquant.numerics.processor import with_processor
from refquant.runtimes import tf_style
from refquant.runtimes.client import Runtime, Server, is_installed, open_runtime
from refquant.runtimes.command import Command
from refquant.runtimes.function import answers_of
from refquant.runtimes.machine import this_processor
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType
from refquant.tflite.tensor_types import numpy_dtype
from refquant.tflite.vectors import indices_of
from refquant.version import __version__

Array = npt.NDArray[Any]
Sample = Sequence[Array]

#: our own profiles that stand for a runtime which people use; the converter's calibrator is none
OURS = tuple(profile for profile in PROFILES if profile != "calibrator")
#: word: (name in `RUNTIMES`, the kernels that it has by default, all that can be asked for)
REAL = {
    "tensorflow": ("tensorflow", "xnnpack", ("reference", "optimized", "xnnpack")),
    "litert": ("litert", "xnnpack", ("reference", "optimized", "xnnpack")),
    "tflite-micro": ("micro", "micro", ("micro",)),
}

#: what may be given for a participant: a word, a function of the bytes of a model and the arrays of a sample, a
#: command, or a real runtime that is open already and stays so
Given = str | Callable[[bytes, list[Array]], Any] | Command | Runtime


class Participant(Protocol):
    """One that runs models. `description` says what it is; `keeps_state` whether one sample leads to the next.

    A black box may compute otherwise when it is asked for other tensors.
    """

    description: str
    keeps_state: bool
    is_black_box: bool

    def run_sequence(self, model: Model, samples: Sequence[Sample]) -> list[list[Array]]:
        """The outputs of each sample, one after the other; raises an error of ours where it has none."""
        ...

    def close(self) -> None:
        """Ends what runs for it."""
        ...

    def __enter__(self) -> Participant: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class _Base:
    description = ""
    keeps_state = True
    is_black_box = True

    def close(self) -> None:
        """Nothing to end."""

    def __enter__(self: Any) -> Any:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Profile(_Base):
    """refquant's interpreter in one profile, with the bits of this machine's processor."""

    is_black_box = False

    def __init__(self, profile: str) -> None:
        self.description = f"refquant {__version__}, profile {profile}"
        self._profile = profile

    def run_sequence(self, model: Model, samples: Sequence[Sample]) -> list[list[Array]]:
        with with_processor(this_processor()):
            return tf_style.run(Interpreter(model=model, kernels=self._profile), samples)


class _Real(_Base):
    """A real runtime in a process of its own, which ends with this where `close` says so."""

    def __init__(self, runtime: Runtime, *, close: bool) -> None:
        self._runtime, self._close = runtime, close
        self.description = f"{runtime.name} {runtime.version()}, {runtime.kernels} kernels"

    def run_sequence(self, model: Model, samples: Sequence[Sample]) -> list[list[Array]]:
        return self._runtime.run_sequence(model, samples)

    def close(self) -> None:
        if self._close:
            self._runtime.close()


class _Function(_Base):
    """A Python function, called in this process for each sample."""

    keeps_state = False

    def __init__(self, name: str, function: Callable[[bytes, list[Array]], Any]) -> None:
        self.description = f"the function {getattr(function, '__qualname__', type(function).__name__)}"
        self._name, self._function = name, function

    def run_sequence(self, model: Model, samples: Sequence[Sample]) -> list[list[Array]]:
        content = model.tobytes()
        return [checked(self._name, model, self._answer(content, sample)) for sample in samples]

    def _answer(self, content: bytes, sample: Sample) -> list[Array]:
        try:
            return answers_of(self._function(content, [np.array(array) for array in sample]))
        except RefquantError:
            raise
        except Exception as error:  # whatever a foreign function raises is its answer
            raise RuntimeFailedError(f"{self._name} refused: {type(error).__name__}: {error}") from error


class _Served(Server):
    """A Python function by its name, in a process of its own."""

    keeps_state = False
    is_black_box = True

    def __init__(self, name: str, target: str, timeout: float) -> None:
        super().__init__(("function", target), name, timeout)
        self.description = f"the function {target}, version {self.version()}"

    def run_sequence(self, model: Model, samples: Sequence[Sample]) -> list[list[Array]]:
        content = model.tobytes()
        answers = [self._ask(("run", content, [list(sample)])) for sample in samples]
        return [checked(self._title, model, answer) for (answer,) in answers]


class _Commanded(_Base):
    """A command, run for each sample."""

    keeps_state = False

    def __init__(self, name: str, command: Command) -> None:
        self.description = f"the command {command.template}"
        self._name, self._command = name, command

    def run_sequence(self, model: Model, samples: Sequence[Sample]) -> list[list[Array]]:
        try:
            return [checked(self._name, model, self._command(model, sample)) for sample in samples]
        except RefquantError as error:
            raise type(error)(f"{self._name}: {error}") from error


def open_participant(name: str, given: Given, timeout: float = 60.0) -> Participant:
    """A participant, called `name` in messages; `timeout` is in seconds, for each answer of a process of its own.

    A word names a profile or a real runtime, or by `package.module:function` a function, which runs in a process of its
    own (one that is given itself runs in this one, without time limit).

    Raises `InvalidInputError` for a word that names nothing, and `RuntimeUnavailableError`, with the way to install it,
    for a runtime that is not here.
    """
    if isinstance(given, Command):
        return _Commanded(name, given)
    if isinstance(given, Runtime):
        return _Real(given, close=False)
    if not isinstance(given, str):
        return _Function(name, given)
    if given in OURS:
        return _Profile(given)
    word, _, kernels = given.partition(":")
    if word in REAL:
        runtime, default, known = REAL[word]
        if kernels and kernels not in known:
            raise InvalidInputError(f"{word} has no kernels {kernels!r}: choose one of {', '.join(known)}")
        return _Real(open_runtime(runtime, kernels or default, timeout), close=True)
    if kernels:
        return _Served(name, given, timeout)
    raise InvalidInputError(
        f"there is no runtime {given!r}: choose from refquant's profiles {', '.join(OURS)}, the real runtimes "
        f"{', '.join(REAL)} (tensorflow:reference and the like for one of their kernel sets), or a Python function "
        "package.module:function"
    )


def is_word(text: str) -> bool:
    """Whether a text names a profile or a real runtime."""
    word, _, kernels = text.partition(":")
    return text in OURS or (word in REAL and kernels in ("", *REAL[word][2]))


def installed() -> list[str]:
    """The words of the real runtimes that are here."""
    return [word for word, (name, _, _) in REAL.items() if is_installed(name)]


def checked(name: str, model: Model, outputs: Sequence[Array]) -> list[Array]:
    """The outputs if they can be those of the model: as many, of the types that it says; bfloat16 as its bits.

    Raises `RuntimeFailedError`, which names the output, for others.
    """
    indices = indices_of(model.subgraphs[0].outputs)
    if len(outputs) != len(indices):
        raise RuntimeFailedError(f"{name} gave {len(outputs)} outputs, the model has {len(indices)}")
    result = []
    for position, (index, array) in enumerate(zip(indices, outputs)):
        tensor = model.tensor(index)
        dtype = numpy_dtype(tensor.type)
        if array.dtype.name == "bfloat16":
            array = array.view(np.uint16)
        if tensor.type == TensorType.STRING and array.dtype.kind in "SU":
            array = np.char.encode(array).astype(object) if array.dtype.kind == "U" else array.astype(object)
        if array.dtype != dtype:
            raise RuntimeFailedError(
                f"{name}: output {position} ({tensor.name!r}) should be {dtype}, it is {array.dtype}"
            )
        result.append(array)
    return result
