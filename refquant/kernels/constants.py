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
    if not tensor.is_persistent:
        return make
    kept: list[T] = []

    def of_first(array: Array) -> T:
        if not kept:
            kept.append(make(array))
        return kept[0]

    return of_first
