"""`python -m benchmarks.compression`: masks and clustering of ten million weights, beside tfmot.

Each is measured in a process of its own, with the threads that it takes by itself; the time of ours is that of the
call, tfmot's that inside its process. The best of three.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from refquant.cli.output import add_row, console, table
from refquant.compression.clustering import CentroidInitialization, cluster_weights
from refquant.compression.pruning import m_by_n_mask, magnitude_mask
from refquant.runtimes import open_model_optimization

_SHAPE = (4000, 2500)
_CLUSTERS = 16


def main() -> None:
    """Prints seconds of both, and the ratio."""
    weights = np.random.default_rng(0).normal(size=_SHAPE).astype(np.float32)
    rows = table("10,000,000 weights", "refquant, s>", "tfmot, s>", "times as fast>")
    with open_model_optimization(timeout=600) as tfmot:
        for name, ours, question in _cases(weights):
            mine, theirs = min(_seconds(ours) for _ in range(3)), min(tfmot.seconds(*question) for _ in range(3))
            add_row(rows, name, f"{mine:.3f}", f"{theirs:.3f}", f"{theirs / mine:.1f}")
    console.print(rows)


def _cases(weights: Any) -> list[tuple[str, Callable[[], Any], tuple[Any, ...]]]:
    masks: list[tuple[str, Callable[[], Any], tuple[Any, ...]]] = [
        ("magnitude mask, 80 %", lambda: magnitude_mask(weights, 0.8), ("pruning_mask", weights, 0.8)),
        (
            "blocks of 1x4, 80 %",
            lambda: magnitude_mask(weights, 0.8, (1, 4)),
            ("pruning_mask", weights, 0.8, (1, 4)),
        ),
        (
            "2 of 4",
            lambda: m_by_n_mask(weights, (2, 4)),
            ("pruning_mask", weights, 0.5, (1, 1), "AVG", (2, 4)),
        ),
    ]
    clusterings: list[tuple[str, Callable[[], Any], tuple[Any, ...]]] = [
        (
            f"{_CLUSTERS} clusters, {init.name}",
            lambda init=init: cluster_weights(weights, _CLUSTERS, init),
            ("cluster", weights, _CLUSTERS, init.name, False),
        )
        for init in CentroidInitialization
    ]
    return masks + clusterings


def _seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
