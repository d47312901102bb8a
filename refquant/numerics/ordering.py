"""Heaps and sorting step by step as the C++ library of GCC (libstdc++) does them.

Where an order is not strict (equal keys, NaN among the numbers), what comes out depends on every step. `less(a, b)` is
the comparison that C++ calls `comp`; the front of a heap is its largest item. Source: bits/stl_heap.h, bits/stl_algo.h.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
Less = Callable[[T, T], bool]

_SMALL = 16


def push_heap(heap: list[T], item: T, less: Less[T]) -> None:
    """Adds an item, which rises from the end."""
    heap.append(item)
    _rise(heap, len(heap) - 1, 0, item, less)


def pop_heap(heap: list[T], less: Less[T]) -> T:
    """Takes the front out; the last item finds a place from there."""
    front, last = heap[0], heap.pop()
    if heap:
        _settle(heap, 0, len(heap), last, less)
    return front


def make_heap(items: list[T], less: Less[T]) -> None:
    """Makes a heap of a list."""
    for parent in range(len(items) // 2 - 1, -1, -1):
        _settle(items, parent, len(items), items[parent], less)


def sort_heap(heap: list[T], less: Less[T]) -> None:
    """Sorts a heap."""
    for size in range(len(heap) - 1, 0, -1):
        last, heap[size] = heap[size], heap[0]
        _settle(heap, 0, size, last, less)


def partial_sort(items: list[T], count: int, less: Less[T]) -> list[T]:
    """std::partial_sort: the `count` first items in order, from a heap that takes in what comes before its last.

    >>> partial_sort([1, 3, 2, 3], 2, lambda a, b: a > b)
    [3, 3]
    """
    heap = items[:count]
    make_heap(heap, less)
    for item in items[count:]:
        if less(item, heap[0]):
            _settle(heap, 0, count, item, less)
    sort_heap(heap, less)
    return heap


def sort(items: list[T], less: Less[T]) -> None:
    """std::sort: quicksort down to parts of 16, then insertion. Raises IndexError where C++ would leave the array."""
    _quicksort(items, 0, len(items), 2 * (len(items).bit_length() - 1), less)
    for i in range(1, len(items)):
        begin = 0 if i < _SMALL and less(items[i], items[0]) else None
        item, hole = items[i], i
        while hole != begin and (begin == 0 or less(item, items[_inside(hole - 1)])):
            items[hole] = items[hole - 1]
            hole -= 1
        items[hole] = item


def _rise(heap: list[T], hole: int, top: int, item: T, less: Less[T]) -> None:
    while hole > top and less(heap[(hole - 1) // 2], item):
        heap[hole] = heap[(hole - 1) // 2]
        hole = (hole - 1) // 2
    heap[hole] = item


def _settle(heap: list[T], top: int, size: int, item: T, less: Less[T]) -> None:
    """Fills a hole at `top` from below, all the way down; there the item rises."""
    hole = child = top
    while child < (size - 1) // 2:
        child = 2 * (child + 1)
        if less(heap[child], heap[child - 1]):
            child -= 1
        heap[hole] = heap[child]
        hole = child
    if size % 2 == 0 and child == (size - 2) // 2:
        child = 2 * child + 1
        heap[hole] = heap[child]
        hole = child
    _rise(heap, hole, top, item, less)


def _quicksort(items: list[T], first: int, last: int, depth: int, less: Less[T]) -> None:
    while last - first > _SMALL:
        if depth == 0:
            part = items[first:last]
            make_heap(part, less)
            sort_heap(part, less)
            items[first:last] = part
            return
        depth -= 1
        _median_to_front(items, first, first + 1, first + (last - first) // 2, last - 1, less)
        cut = _partition(items, first + 1, last, items[first], less)
        _quicksort(items, cut, last, depth, less)
        last = cut


def _median_to_front(items: list[T], front: int, a: int, b: int, c: int, less: Less[T]) -> None:
    if less(items[a], items[b]):
        median = b if less(items[b], items[c]) else c if less(items[a], items[c]) else a
    else:
        median = a if less(items[a], items[c]) else c if less(items[b], items[c]) else b
    items[front], items[median] = items[median], items[front]


def _partition(items: list[T], low: int, high: int, pivot: T, less: Less[T]) -> int:
    while True:
        while less(items[low], pivot):
            low += 1
        high -= 1
        while less(pivot, items[_inside(high)]):
            high -= 1
        if low >= high:
            return low
        items[low], items[high] = items[high], items[low]
        low += 1


def _inside(index: int) -> int:
    if index < 0:
        raise IndexError("the order is not one that can be sorted by")
    return index
