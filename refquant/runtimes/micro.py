"""The adapter of TFLite Micro's Python interpreter (package tflite-micro)."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import Any

from refquant.runtimes import tf_style

#: bytes of memory for tensors
_ARENA = 1 << 24


class Adapter:
    """`tflite_micro.runtime.Interpreter`, which runs Micro's reference kernels."""

    def __init__(self) -> None:
        from tflite_micro.python.tflite_micro import runtime

        self._runtime = runtime

    def version(self) -> str:
        """The version of the installed package."""
        return version("tflite-micro")

    def run(self, content: bytes, samples: list[list[Any]]) -> list[list[Any]]:
        """Outputs of each sample, in order; the state goes on from sample to sample."""
        interpreter = self._interpreter(content)
        results = []
        for sample in samples:
            _set(interpreter, sample)
            interpreter.invoke()
            results.append([interpreter.get_output(i).copy() for i in range(_number_of_outputs(content))])
        return results

    def timings(self, content: bytes, sample: list[Any], seconds: float, threads: int) -> tf_style.Timings:
        """How long the interpreter takes to be made, and each `invoke` of a sample, for so many seconds.

        It has one thread, whatever is asked for.
        """
        start = time.perf_counter()
        interpreter = self._interpreter(content)
        planning = time.perf_counter() - start
        _set(interpreter, sample)
        return tf_style.Timings(planning, tf_style.repeated(interpreter.invoke, seconds))

    def details(self, content: bytes) -> dict[str, Any]:
        """Not to be had."""
        raise NotImplementedError("TFLite Micro tells nothing about tensors other than inputs and outputs")

    def _interpreter(self, content: bytes) -> Any:
        arena_size = max(_ARENA, 10 * len(content))  # by default ten times the file, too little for a small one
        return self._runtime.Interpreter.from_bytes(content, arena_size=arena_size)


def _set(interpreter: Any, sample: list[Any]) -> None:
    for position, array in enumerate(sample):
        interpreter.set_input(array, position)


def _number_of_outputs(content: bytes) -> int:
    from refquant.tflite.model import Model

    outputs = Model.read(content).subgraphs[0].outputs
    return 0 if outputs is None else len(outputs)
