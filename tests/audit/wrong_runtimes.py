"""Runtimes that are refquant but for one thing, as functions of a model and a sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import refquant as rq
from refquant.interpreter import Interpreter
from refquant.kernels import registry
from refquant.kernels.registry import Operator, Run
from refquant.runtimes import tf_style

Runtime = Callable[[bytes, list[Any]], list[Any]]


def run(content: bytes, inputs: list[Any]) -> list[Any]:
    """refquant as it is."""
    return tf_style.run(Interpreter(model_content=content), [inputs])[0]


def wrong_in(*operators: str) -> Runtime:
    """These integer operators give the lowest bit of every element the other way round."""

    def runtime(content: bytes, inputs: list[Any]) -> list[Any]:
        kept = dict(registry._KERNELS)
        try:
            for name in operators:
                registry._KERNELS[name, False, None] = _changed(kept[name, False, None])
            return run(content, inputs)
        finally:
            registry._KERNELS.update(kept)

    return runtime


def _changed(kernel: Any) -> Any:
    def planned(op: Operator) -> Run:
        run = kernel(op)

        def wrong(*inputs: Any) -> Any:
            return np.asarray(run(*inputs)) ^ 1

        return wrong

    return planned


def operators_of(content: bytes) -> list[str]:
    """The names of a model's operators."""
    model = rq.Model.read(content)
    return [model.operator_name(operator) for operator in model.subgraphs[0].operators or ()]
