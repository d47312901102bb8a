"""The caches of this processor, as Eigen asks for them: the sums of the optimized kernels are cut by their sizes.

Source: queryCacheSizes_amd and queryCacheSizes_intel in Eigen/src/Core/util/Memory.h. The operating system's figures
will not do: of a shared third level they give one processor's part, where AMD's instruction gives that of the package.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
import struct
import sys
from collections.abc import Callable
from functools import cache
from itertools import count

from refquant.numerics.eigen_products import Caches

# The function f(leaf, subleaf, out) of the System V convention: out[0:4] = eax, ebx, ecx, edx of the instruction CPUID.
_CODE = bytes.fromhex("53 4989d0 89f8 89f1 0fa2 418900 41895804 41894808 4189500c 5b c3")
_AMD = struct.unpack("<III", b"AuthcAMDenti")  # "AuthenticAMD" in the order of ebx, ecx, edx
_INSTRUCTIONS = 2  # the kind of cache in Intel's leaf 4 that holds no data

Registers = tuple[int, ...]  # eax, ebx, ecx, edx


@cache
def caches_of_this_machine() -> Caches:
    """What Eigen sees here; the default of `Caches` where this is no Linux on x86-64, or the processor does not tell.

    `refquant.numerics.eigen_products.with_caches` takes it, to have the sums of a runtime on this machine.
    """
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return Caches()
    with mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC) as page:
        page.write(_CODE)
        start = ctypes.c_char.from_buffer(page)
        function = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p)(ctypes.addressof(start))

        def cpuid(leaf: int, subleaf: int = 0) -> Registers:
            registers = (ctypes.c_uint32 * 4)()
            function(leaf, subleaf, ctypes.addressof(registers))
            return tuple(registers)

        maker = cpuid(0)[1:]
        sizes = _amd(cpuid) if maker == _AMD else _intel(cpuid)
        del start  # the page is closed only when nothing points into it
    return Caches(*sizes) if all(sizes) else Caches()


def _amd(cpuid: Callable[[int], Registers]) -> tuple[int, int, int]:
    first, (_, _, second, third) = cpuid(0x80000005)[2], cpuid(0x80000006)
    return (first >> 24) << 10, (second >> 16) << 10, (third >> 18 & 0x3FFF) << 19


def _intel(cpuid: Callable[[int, int], Registers]) -> tuple[int, int, int]:
    sizes = {1: 0, 2: 0, 3: 0}
    for subleaf in count():
        kind, shape, sets, _ = cpuid(4, subleaf)
        if not kind & 31:
            return sizes[1], sizes[2], sizes[3]
        if kind & 31 != _INSTRUCTIONS:
            ways, partitions, line = shape >> 22, shape >> 12 & 0x3FF, shape & 0xFFF
            sizes[kind >> 5 & 7] = (ways + 1) * (partitions + 1) * (line + 1) * (sets + 1)
    raise AssertionError("count() has no end")
