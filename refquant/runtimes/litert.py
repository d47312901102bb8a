"""The adapter of LiteRT's interpreter (package ai-edge-litert)."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from refquant.runtimes import tf_style


class Adapter:
    """`ai_edge_litert.interpreter.Interpreter` with one kernel set, and one thread unless told."""

    def __init__(self, kernels: str) -> None:
        from ai_edge_litert import interpreter

        self._module = interpreter
        self._resolver = getattr(interpreter.OpResolverType, tf_style.RESOLVERS[kernels])

    def version(self) -> str:
        """The version of the installed package."""
        return version("ai-edge-litert")

    def run(self, content: bytes, samples: list[list[Any]]) -> list[list[Any]]:
        """Outputs of each sample, in order; the state goes on from sample to sample."""
        return tf_style.run(self._interpreter(content), samples)

    def timings(self, content: bytes, sample: list[Any], seconds: float, threads: int) -> tf_style.Timings:
        """How long the interpreter takes to be made, and each `invoke` of a sample, for so many seconds."""
        return tf_style.timings(lambda: self._interpreter(content, threads), sample, seconds)

    def details(self, content: bytes) -> dict[str, Any]:
        """What the runtime tells about the tensors of a model."""
        return tf_style.details(self._interpreter(content))

    def delegated(self, content: bytes, sample: list[Any]) -> list[tuple[list[int], list[int]]]:
        """The parts of subgraph 0 that a delegate has taken: the tensors in and out of each."""
        return tf_style.delegated(self._interpreter(content), sample)

    def _interpreter(self, content: bytes, threads: int = 1) -> Any:
        return self._module.Interpreter(
            model_content=content, num_threads=threads, experimental_op_resolver_type=self._resolver
        )
