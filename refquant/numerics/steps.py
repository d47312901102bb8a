"""Showing the steps of an arithmetic while it runs: what `refquant explain` prints is what the code computed.

A function that computes in steps names each of them as it goes::

    high = noted("doubling high multiply", high_multiply(x, multiplier))
    return noted("right shift, rounded", divide_by_power_of_two(high, exponent))

`noted` returns the value as it is. Nobody listens as a rule; within `listening` each value, or heading, is told to
the listener, in the order in which they are computed. Functions that are kept as tables (`lookup.tabulate`) compute
then, so that their steps are heard, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")
Listener = Callable[[str, Any], None]

#: names of steps that many operators have, so that they stand side by side
ROUNDED, ZERO_POINT_ADDED = "rounded", "zero point added"
#: the sum of floats before it is divided or limited
SUM_OF_FLOATS = "sum of the elements"
#: of hybrid operators: the data as integers, and the sum of their products with the weights
QUANTIZED, SUM_OF_QUANTIZED = "input, quantized on the fly", "sum of the products of integers"

_LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)


def noted(name: str, value: T) -> T:
    """The value; who listens is told it by its name."""
    listener = _LISTENER.get()
    if listener is not None:
        listener(name, value)
    return value


def headed(title: str) -> None:
    """Whoever listens is told that the next steps are of this part of the arithmetic."""
    noted(title, None)


def is_heard() -> bool:
    """Whether somebody listens in this thread."""
    return _LISTENER.get() is not None


@contextmanager
def listening(listener: Listener | None) -> Iterator[None]:
    """Tells `listener(name, value)` every step computed meanwhile in this thread; the value of a heading is None.

    Without a listener steps are silent, within another `listening` too.

    >>> heard = []
    >>> with listening(lambda name, value: heard.append((name, value))):
    ...     headed("sum")
    ...     total = noted("total", 2 + 3)
    >>> total, heard
    (5, [('sum', None), ('total', 5)])
    """
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


@dataclass(frozen=True, slots=True)
class Part:
    """A step of some elements of an array of `shape` only: of flat places, or of one index along the first axis."""

    shape: tuple[int, ...]
    where: slice | int
    value: Any


@contextmanager
def told_of_part(shape: tuple[int, ...], where: slice | int) -> Iterator[None]:
    """For who computes some elements of an array of `shape` apart from the others: what it notes meanwhile is told as
    `Part`.

    >>> heard = []
    >>> with listening(lambda name, value: heard.append(value)), told_of_part((2, 2), slice(1, 3)):
    ...     _ = noted("total", 5)
    >>> heard
    [Part(shape=(2, 2), where=slice(1, 3, None), value=5)]
    """
    listener = _LISTENER.get()
    if listener is None:
        yield
        return

    def tell(name: str, value: Any) -> None:
        assert listener is not None
        listener(name, None if value is None else Part(shape, where, value))

    with listening(tell):
        yield
