"""The other side: a process that imports one real runtime and answers questions on its standard streams.

Started by `refquant.runtimes.client`; not for use by hand. A message is its length (8 bytes, little endian) and a
pickle. What the runtime prints goes to standard error, so it cannot mix with the answers.

Real runtimes abort on some models, and importing one takes seconds. So this process imports it once and then only
forks: its child answers, and when the child dies (or is ended by the alarm that limits each answer's time), the parent
says so and forks the next.
"""

from __future__ import annotations

import math
import os
import pickle
import signal
import struct
import sys
from typing import IO, Any, Protocol

from refquant.runtimes import function, litert, micro, model_optimization, quantizer, tensorflow


class Adapter(Protocol):
    """What the adapter of an interpreter offers; the quantizer's has questions of its own."""

    def version(self) -> str:
        """The version of the installed package."""
        ...

    def run(self, content: bytes, samples: list[list[Any]]) -> list[list[Any]]:
        """Outputs of each sample, in order; the state goes on from sample to sample."""
        ...

    def details(self, content: bytes) -> dict[str, Any]:
        """What the runtime tells about the tensors of a model."""
        ...


def main() -> None:
    """Serves until standard input ends."""
    name, kernels, seconds = sys.argv[1:4]
    questions = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        adapter: Adapter | quantizer.Adapter | model_optimization.Adapter
        if name == "micro":
            adapter = micro.Adapter()
        elif name == "litert":
            adapter = litert.Adapter(kernels)
        elif name == "function":
            adapter = function.Adapter(kernels)
        elif name == "quantizer":
            adapter = quantizer.Adapter()
        elif name == "model_optimization":
            adapter = model_optimization.Adapter()
        else:
            adapter = tensorflow.Adapter(kernels)
    except Exception as error:  # whatever a foreign package raises at import is its answer
        _answer(answers, "error", f"{type(error).__name__}: {error}")
        return
    _answer(answers, "ready", None)
    while True:
        child = os.fork()
        if child == 0:
            _serve(adapter, questions, answers, max(1, math.ceil(float(seconds))))
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status == 0:
            return
        _answer(answers, "died", status)


def _serve(
    adapter: Adapter | quantizer.Adapter | model_optimization.Adapter,
    questions: IO[bytes],
    answers: IO[bytes],
    seconds: int,
) -> None:
    while header := questions.read(8):
        question, *arguments = pickle.loads(questions.read(struct.unpack("<Q", header)[0]))
        signal.alarm(seconds)
        try:
            answer = "result", getattr(adapter, question)(*arguments)
        except Exception as error:  # whatever a foreign package raises is its answer
            answer = "error", f"{type(error).__name__}: {error}"
        signal.alarm(0)
        _answer(answers, *answer)


def _answer(answers: IO[bytes], kind: str, content: Any) -> None:
    payload = pickle.dumps((kind, content), protocol=5)
    answers.write(struct.pack("<Q", len(payload)) + payload)
    answers.flush()


if __name__ == "__main__":
    main()
