"""Our side of a real runtime: start its server process, ask, wait no longer than allowed, survive its death."""

from __future__ import annotations

import importlib.util
import os
import pickle
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import IO, Any, Literal, TypeVar

import numpy.typing as npt

from refquant.errors import (
    InvalidInputError,
    RuntimeDiedError,
    RuntimeFailedError,
    RuntimeTimeoutError,
    RuntimeUnavailableError,
)
from refquant.runtimes.cut import with_all_outputs
from refquant.runtimes.tf_style import Timings
from refquant.tflite.model import Model

Array = npt.NDArray[Any]
Sample = Sequence[Array]
ServerType = TypeVar("ServerType", bound="Server")

#: name of a runtime: (the module it needs, the PyPI package that has it, the kernel sets that it offers)
RUNTIMES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "tensorflow": ("tensorflow", "tensorflow", ("reference", "optimized", "xnnpack", "calibrator")),
    "litert": ("ai_edge_litert", "ai-edge-litert", ("reference", "optimized", "xnnpack")),
    "micro": ("tflite_micro", "tflite-micro", ("micro",)),
}

_LAST_BYTES = 10_000  # of what the runtime printed, to look for its last words in
_START_SECONDS = 120.0
_GRACE_SECONDS = 30.0  # the server itself ends an answer that takes too long; this is for a server that cannot


def content_of(model: Model | bytes) -> bytes:
    """The bytes of a model's file."""
    return model if isinstance(model, bytes) else model.tobytes()


def is_installed(name: str) -> bool:
    """Whether the runtime `name` can be imported here (without importing it)."""
    return importlib.util.find_spec(RUNTIMES[name][0]) is not None


class Server:
    """A process of its own that has a real runtime and answers questions; use it as a context manager.

    It is started by the first question, as `python -m refquant.runtimes.server` with the words of `command` and the
    time limit of an answer. An abort of the runtime costs one answer and some milliseconds. `title` is for messages.
    """

    def __init__(self, command: Sequence[str], title: str, timeout: float) -> None:
        self.timeout = timeout
        self._command = command
        self._title = title
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None

    def version(self) -> str:
        """The version of the installed package."""
        return str(self._ask(("version",)))

    def close(self) -> None:
        """Ends the server process."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)  # the server and its child
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
            self._process = None
        if self._log is not None:
            self._log.close()
            self._log = None

    def __enter__(self: ServerType) -> ServerType:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, question: tuple[Any, ...]) -> Any:
        try:
            if self._process is None:
                self._start()
            self._send(question)
            kind, answer = self._receive(self.timeout + _GRACE_SECONDS)
        except (BrokenPipeError, EOFError, TimeoutError):
            self.close()
            raise RuntimeDiedError(f"{self._title}: its server process ended") from None
        if kind == "died" and answer == -signal.SIGALRM:
            raise RuntimeTimeoutError(f"{self._title} gave no answer in {self.timeout:g} seconds")
        if kind == "died":
            raise RuntimeDiedError(f"{self._title} died: {self._last_words(answer)}")
        if kind == "error":
            raise RuntimeFailedError(f"{self._title} refused: {answer}")
        return answer

    def _start(self) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process, see close()
        environment = {
            **os.environ,
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "CUDA_VISIBLE_DEVICES": "-1",
            "TF_ENABLE_ONEDNN_OPTS": "0",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "refquant.runtimes.server", *self._command, str(self.timeout)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
            start_new_session=True,
        )
        kind, answer = self._receive(_START_SECONDS)
        if kind == "error":
            self.close()
            raise RuntimeUnavailableError(f"{self._title} cannot be started: {answer}")

    def _send(self, question: tuple[Any, ...]) -> None:
        assert self._process is not None and self._process.stdin is not None
        payload = pickle.dumps(question, protocol=5)
        self._process.stdin.write(struct.pack("<Q", len(payload)) + payload)
        self._process.stdin.flush()

    def _receive(self, seconds: float) -> tuple[str, Any]:
        deadline = time.monotonic() + seconds
        (size,) = struct.unpack("<Q", self._read(8, deadline))
        kind, answer = pickle.loads(self._read(size, deadline))
        return kind, answer

    def _read(self, size: int, deadline: float) -> bytes:
        assert self._process is not None and self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        data = bytearray()
        while len(data) < size:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([descriptor], [], [], left)[0]:
                raise TimeoutError
            chunk = os.read(descriptor, min(size - len(data), 1 << 20))
            if not chunk:
                raise EOFError
            data += chunk
        return bytes(data)

    def _last_words(self, code: int) -> str:
        assert self._log is not None
        self._log.seek(max(0, self._log.seek(0, os.SEEK_END) - _LAST_BYTES))
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        how = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        return f"{how}; {lines[-1] if lines else 'no message'}"


class Runtime(Server):
    """A real runtime with one of its kernel sets, in a server process of its own."""

    def __init__(self, name: str, kernels: str, timeout: float) -> None:
        super().__init__((name, kernels), f"{name} ({kernels} kernels)", timeout)
        self.name = name
        self.kernels = kernels

    def run(self, model: Model | bytes, inputs: Sample) -> list[Array]:
        """The outputs of subgraph 0 for one sample, in the order of the model's outputs.

        `inputs` are in the order of the model's inputs; an input of another shape than the model says resizes the
        model first. Raises `RuntimeFailedError` with the runtime's own words where it refuses, dies or hangs.
        """
        return self.run_sequence(model, [inputs])[0]

    def run_sequence(self, model: Model | bytes, samples: Sequence[Sample]) -> list[list[Array]]:
        """As `run`, for several samples in one interpreter, one after the other, so that its state lives on."""
        answer: list[list[Array]] = self._ask(("run", content_of(model), [list(sample) for sample in samples]))
        return answer

    def run_all(self, model: Model | bytes, inputs: Sample) -> dict[int, Array]:
        """Every tensor that an operator of subgraph 0 writes, by tensor index, for one sample."""
        return self.run_all_sequence(model, [inputs])[0]

    def run_all_sequence(self, model: Model | bytes, samples: Sequence[Sample]) -> list[dict[int, Array]]:
        """As `run_all`, for several samples one after the other in one interpreter.

        Asks by declaring every tensor an output of the model, so no debugging mode of the runtime is involved.
        """
        source = Model.read(model) if isinstance(model, bytes) else model
        exposed, indices = with_all_outputs(source)
        return [dict(zip(indices, outputs)) for outputs in self.run_sequence(exposed, samples)]

    def timings(self, model: Model | bytes, inputs: Sample, seconds: float, threads: int = 1) -> Timings:
        """How long `invoke` takes for one sample, measured in the server, over and over for so many seconds.

        TFLite Micro has one thread, whatever is asked for.
        """
        answer: Timings = self._ask(("timings", content_of(model), list(inputs), seconds, threads))
        return answer

    def details(self, model: Model | bytes) -> dict[str, Any]:
        """What the runtime tells about the tensors of a model, see `refquant.runtimes.tf_style.details`."""
        answer: dict[str, Any] = self._ask(("details", content_of(model)))
        return answer

    def delegated(self, model: Model | bytes, inputs: Sample) -> list[tuple[list[int], list[int]]]:
        """The parts of subgraph 0 that a delegate has taken: the tensors in and out of each; `inputs` tell the shapes.

        Not for TFLite Micro, which has no delegates.
        """
        answer: list[tuple[list[int], list[int]]] = self._ask(("delegated", content_of(model), list(inputs)))
        return answer


def open_runtime(
    name: Literal["tensorflow", "litert", "micro"] | str, kernels: str | None = None, timeout: float = 60.0
) -> Runtime:
    """A real runtime by name, with one of its kernel sets (the first of `RUNTIMES` unless told).

    `timeout` is in seconds, for each answer. Raises `InvalidInputError` for a name or kernel set that does not exist
    and `RuntimeUnavailableError` where the package is not installed.
    """
    if name not in RUNTIMES:
        raise InvalidInputError(f"there is no runtime {name!r}: choose one of {', '.join(RUNTIMES)}")
    _, package, kernel_sets = RUNTIMES[name]
    kernels = kernel_sets[0] if kernels is None else kernels
    if kernels not in kernel_sets:
        raise InvalidInputError(f"{name} has no kernels {kernels!r}: choose one of {', '.join(kernel_sets)}")
    if not is_installed(name):
        raise RuntimeUnavailableError(f"{name} is not installed: python -m pip install {package}")
    return Runtime(name, kernels, timeout)
