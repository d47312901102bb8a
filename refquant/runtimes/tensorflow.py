"""The adapter of `tf.lite.Interpreter` (package tensorflow)."""

from __future__ import annotations

from typing import Any

from refquant.runtimes import tf_style


class Adapter:
    """`tf.lite.Interpreter` with one kernel set, and one thread unless told.

    Kernel set "calibrator" is "optimized" with four threads, which is how the converter's calibrator runs CONV_2D (it
    asks for no number of threads, so kernels/eigen_support.cc takes four): its sums have another order then. ADD_N runs
    on one thread in the calibrator, which this kernel set does not show.
    """

    def __init__(self, kernels: str) -> None:
        import tensorflow as tf

        self._tf = tf
        self._threads = 4 if kernels == "calibrator" else 1
        self._resolver = getattr(tf.lite.experimental.OpResolverType, tf_style.RESOLVERS[kernels])

    def version(self) -> str:
        """The version of the installed package."""
        return str(self._tf.__version__)

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

    def _interpreter(self, content: bytes, threads: int | None = None) -> Any:
        return self._tf.lite.Interpreter(
            model_content=content, num_threads=threads or self._threads, experimental_op_resolver_type=self._resolver
        )
