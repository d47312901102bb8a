"""Images in blocks that stay in the cache, and blocks on several threads.

A block is some rows of one image, or several small images; its places lie one after another in the output. NumPy
releases the interpreter's lock while it works on arrays, so threads help; each block is computed by itself and written
to a place of its own, so the results do not depend on their number.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of images: `images` and `rows` cut the first two axes of an output, `places` its pixels taken together."""

    images: slice
    rows: slice
    places: slice


def blocks_of(batch: int, rows: int, columns: int, most: int) -> list[Block]:
    """The blocks of an output [batch, rows, columns, …], each of about `most` places, but at least a row.

    >>> [block.places for block in blocks_of(2, 3, 10, 20)]
    [slice(0, 20, None), slice(20, 30, None), slice(30, 50, None), slice(50, 60, None)]
    >>> [block.images for block in blocks_of(5, 3, 10, 60)]
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    pixels = rows * columns
    if not batch * pixels:
        return []
    if pixels <= most:
        images = most // pixels
        starts = range(0, batch, images)
        ends = [min(start + images, batch) for start in starts]
        return [Block(slice(a, b), slice(0, rows), slice(a * pixels, b * pixels)) for a, b in zip(starts, ends)]
    step = max(1, most // columns)
    blocks = []
    for image in range(batch):
        for start in range(0, rows, step):
            end = min(start + step, rows)
            first = image * pixels
            places = slice(first + start * columns, first + end * columns)
            blocks.append(Block(slice(image, image + 1), slice(start, end), places))
    return blocks


def for_each(work: Callable[[Block], None], blocks: Sequence[Block], threads: int) -> None:
    """Does the work on all blocks, on so many threads."""
    if threads == 1 or len(blocks) < 2:
        for block in blocks:
            work(block)
        return

    def quietly(block: Block) -> None:
        with np.errstate(all="ignore"):  # each thread has a state of its own
            work(block)

    for _ in _pool(threads).map(quietly, blocks):
        pass  # an error in a thread comes out here


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="refquant")


def number_of_threads(wanted: int | None) -> int:
    """How many threads `num_threads` asks for: 1 where it does not say, as many as there are processors for -1."""
    if wanted == -1:
        return os.cpu_count() or 1
    return max(1, wanted or 1)
