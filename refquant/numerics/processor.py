"""What float32 results depend on of the processor: the sizes of its caches, and its table of reciprocals.

Everywhere the processor is the one that everything was measured on, whatever the machine: results are the same on all.
`with_processor` chooses another, for the bits that the real kernels have there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from refquant.numerics.reciprocal_estimate import ZEN


@dataclass(frozen=True)
class Caches:
    """The sizes in bytes of the processor's caches, as Eigen asks the processor for them: they decide where sums are
    cut. The first decides it everywhere; the others only in a contraction with more than one thread."""

    first: int = 32 * 1024
    second: int = 1024 * 1024
    third: int = 320 * 1024 * 1024


@dataclass(frozen=True, eq=False)
class Processor:
    """A processor; the default is AMD's Zen 4.

    Intel's since Ice Lake and AMD's Zen 5 have a first level of 48 KiB, and sums of more than 400 products then differ.
    Intel's estimates of a reciprocal are others: `estimates` is a table as
    `refquant.numerics.reciprocal_estimate.ZEN` and `INTEL` are.
    """

    caches: Caches = Caches()
    estimates: npt.NDArray[np.float32] = field(default_factory=lambda: ZEN, repr=False)


_processor = Processor()


def current() -> Processor:
    """The processor whose bits operators that are planned now are to have."""
    return _processor


@contextmanager
def with_processor(processor: Processor) -> Iterator[None]:
    """Operators that are planned in this block have the bits of `processor`; not for several threads at a time.

    An interpreter plans in `allocate_tensors`; what hangs on the shapes of its data, only when it runs. What is
    planned keeps its processor, and so do batches of samples.
    """
    global _processor
    before, _processor = _processor, processor
    try:
        yield
    finally:
        _processor = before
