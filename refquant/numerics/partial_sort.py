"""The order in which the C++ library's partial_sort leaves equal numbers.

`std::partial_sort` keeps a heap of the best so far, takes in what is better than its worst, and sorts the heap by
taking out the worst again and again. Equal numbers come out in an order that only these steps explain. Source:
bits/stl_heap.h and bits/stl_algo.h of libstdc++.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def descending(values: npt.NDArray[np.float32], count: int) -> list[int]:
    """The indices of the `count` largest of a vector, largest first, as std::partial_sort with `>` orders them.

    >>> descending(np.float32([1, 3, 3, 2]), 2)
    [1, 2]
    """
    numbers = values.tolist()
    if len(set(numbers)) == len(numbers):
        return [int(i) for i in np.argsort(-values, kind="stable")[:count]]
    heap = list(range(count))

    def before(i: int, j: int) -> bool:
        return bool(numbers[i] > numbers[j])

    def push(hole: int, top: int, item: int) -> None:
        """Moves an item up from a hole to where its parent comes after it no more."""
        while hole > top and before(heap[(hole - 1) // 2], item):
            heap[hole] = heap[(hole - 1) // 2]
            hole = (hole - 1) // 2
        heap[hole] = item

    def adjust(hole: int, size: int, item: int) -> None:
        """Moves a hole down along the later children to the bottom, then the item up from there."""
        top = hole
        while (hole + 1) * 2 < size:
            child = 2 * (hole + 1)
            if before(heap[child], heap[child - 1]):
                child -= 1
            heap[hole] = heap[child]
            hole = child
        if size % 2 == 0 and hole == (size - 2) // 2:
            heap[hole] = heap[2 * hole + 1]
            hole = 2 * hole + 1
        push(hole, top, item)

    for parent in range((count - 2) // 2, -1, -1):
        adjust(parent, count, heap[parent])
    for i in range(count, len(numbers)):
        if before(i, heap[0]):
            adjust(0, count, i)
    for last in range(count - 1, 0, -1):
        item = heap[last]
        heap[last] = heap[0]
        adjust(0, last, item)
    return heap
