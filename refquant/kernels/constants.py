"""What a kernel makes of a constant, it makes once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from refquant.kernels.registry import Array, TensorInfo

T = TypeVar("T")


def made_once(tensor: TensorInfo, make: Callable[[Array], T]) -> Callable[[Array], T]:
    """The function that takes the array of `tensor` and returns what `make` makes of it.

    Of a constant that is made now, of what other operators compute from a constant in the first run, and of anything
    else in each run anew.
    """
    return made_once_of_all([tensor], make)


def made_once_of_all(tensors: Sequence[TensorInfo | None], make: Callable[..., T]) -> Callable[..., T]:
    """As `made_once`, of several tensors at a time; `make` gets None for one that is absent."""
    given = [tensor for tensor in tensors if tensor is not None]
    if all(tensor.value is not None for tensor in given):
        made = make(*(None if tensor is None else tensor.value for tensor in tensors))
        return lambda *arrays: made
    return _first_kept(make) if all(t.value is not None or t.is_fixed for t in given) else make


def once_if_constant(tensor: TensorInfo, run: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """`run`, a function of `tensor`; where no input changes that, the first result is kept for all runs."""
    return run if tensor.value is None and not tensor.is_fixed else _first_kept(run)


def _first_kept(make: Callable[..., T]) -> Callable[..., T]:
    kept: list[T] = []

    def first(*arrays: Array | None) -> T:
        if not kept:
            kept.append(make(*arrays))
        return kept[0]

    return first
