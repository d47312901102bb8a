"""What a kernel makes of a constant, it makes once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from refquant.kernels.registry import Array, TensorInfo

T = TypeVar("T")


def made_once(tensor: TensorInfo, make: Callable[[Array], T]) -> Callable[[Array], T]:
    """The function that takes the array of `tensor` and returns what `make` makes of it.

    Of a constant that is made now, of what another operator computes from a constant in the first run and keeps in that
    run, and of anything else in each run anew.
    """
    if tensor.value is not None:
        made = make(tensor.value)
        return lambda array: made
    return _first_kept(make) if tensor.is_persistent else make


def once_if_constant(tensor: TensorInfo, run: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """`run`, a function of `tensor`; where that is a constant, the first result is kept for all runs."""
    if tensor.value is None:
        return run
    return _first_kept(run)


def _first_kept(make: Callable[[Array], T]) -> Callable[[Array], T]:
    kept: list[T] = []

    def first(array: Array) -> T:
        if not kept:
            kept.append(make(array))
        return kept[0]

    return first
