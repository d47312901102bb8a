"""The processor of this machine, as the real kernels have it: its caches by CPUID, its estimates by two instructions.

The sums of the optimized kernels are cut by the sizes of the caches, which Eigen asks the processor for. The operating
system's figures will not do: of a shared third level they give one processor's part, where AMD's instruction gives that
of the package. Source: queryCacheSizes_amd and queryCacheSizes_intel in Eigen/src/Core/util/Memory.h.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.numerics.processor import Caches, Processor

# f(leaf, subleaf, out) of the System V convention: out[0:4] = eax, ebx, ecx, edx of the instruction CPUID
_CPUID = bytes.fromhex("53 4989d0 89f8 89f1 0fa2 418900 41895804 41894808 4189500c 5b c3")
# f(n, x, out): for n times four float32 numbers, movups, rcpps, movups; then both addresses move on by 16
_RCPPS = bytes.fromhex("0f1006 0f53c0 0f1102 4883c610 4883c210 48ffcf 75ea c3")
# the same for n times sixteen: vmovups, vrsqrt14ps of AVX-512F; vzeroupper at the end
_VRSQRT14PS = bytes.fromhex("62f27d484e06 62f17c481102 4883c640 4883c240 48ffcf 75e7 c5f877 c3")
_AMD = struct.unpack("<III", b"AuthcAMDenti")  # "AuthenticAMD" in the order of ebx, ecx, edx
_INSTRUCTIONS = 2  # the kind of cache in Intel's leaf 4 that holds no data

Float32s = npt.NDArray[np.float32]
Registers = tuple[int, ...]  # eax, ebx, ecx, edx


def can_ask() -> bool:
    """Whether this is Linux on x86-64, for which the machine code here is."""
    return sys.platform == "linux" and platform.machine() == "x86_64"


def processor_name() -> str:
    """What the processor is called, for people."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


@cache
def this_processor() -> Processor:
    """What the real kernels compute with here; `Processor()` where `can_ask` is false.

    `refquant.numerics.processor.with_processor` takes it, to have the bits of a runtime on this machine.
    """
    if not can_ask():
        return Processor()
    one_and_more = (1 + np.arange(4096) / 4096).astype(np.float32)
    return Processor(_caches(), estimates_of(one_and_more))


def estimates_of(x: Float32s) -> Float32s:
    """The instruction RCPPS on every number of `x`, whose count is a multiple of four; only where `can_ask`."""
    return _of_each(_RCPPS, 4, x)


def has_avx512() -> bool:
    """Whether the processor has AVX-512F, for which profile "xnnpack" is; False where `can_ask` is."""
    if not can_ask():
        return False
    with _cpuid() as cpuid:
        return bool(cpuid(7, 0)[1] >> 16 & 1)


def root_estimates_of(x: Float32s) -> Float32s:
    """The instruction VRSQRT14PS on every number of `x`, a multiple of sixteen; only where `has_avx512`."""
    return _of_each(_VRSQRT14PS, 16, x)


def _of_each(code: bytes, width: int, x: Float32s) -> Float32s:
    """A function that takes `width` numbers at a time, on all of `x`."""
    x = np.ascontiguousarray(x, np.float32)
    if x.size % width:
        raise ValueError(f"{x.size} numbers are not a multiple of {width}")
    result = np.empty_like(x)
    with _function(code, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p) as function:
        if x.size:
            function(x.size // width, x.ctypes.data, result.ctypes.data)
    return result


@contextmanager
def _function(code: bytes, *types: Any) -> Iterator[Callable[..., None]]:
    """Machine code as a function of these types; it can be called as long as the block lasts."""
    with mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC) as page:
        page.write(code)
        start = ctypes.c_char.from_buffer(page)
        try:
            yield ctypes.CFUNCTYPE(None, *types)(ctypes.addressof(start))
        finally:
            del start  # the page is closed only when nothing points into it


@contextmanager
def _cpuid() -> Iterator[Callable[..., Registers]]:
    """The instruction CPUID, of a leaf and its part, as long as the block lasts."""
    with _function(_CPUID, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p) as function:

        def cpuid(leaf: int, subleaf: int = 0) -> Registers:
            registers = (ctypes.c_uint32 * 4)()
            function(leaf, subleaf, ctypes.addressof(registers))
            return tuple(registers)

        yield cpuid


def _caches() -> Caches:
    """What Eigen sees here; the default where the processor does not tell."""
    with _cpuid() as cpuid:
        sizes = _amd(cpuid) if cpuid(0)[1:] == _AMD else _intel(cpuid)
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
