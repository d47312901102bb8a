"""What the processor of this machine says, and what others would."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from refquant.numerics.reciprocal_estimate import INTEL, ZEN, reciprocal_estimate
from refquant.runtimes import machine

#: vendor, family and model of the processors whose tables are known
TABLES = {("GenuineIntel", 6, 85): INTEL, ("AuthenticAMD", 25, 17): ZEN}

needs_x86_64 = pytest.mark.skipif(not machine.can_ask(), reason="RCPPS is asked on x86-64 Linux alone")


@pytest.mark.oracle
@needs_x86_64
def test_estimates_of_every_mantissa_have_the_same_first_bits() -> None:
    """4096 entries are the whole table, and each holds for the 2048 numbers up to the next."""
    x = np.arange(0x3F800000, 0x40000000, dtype=np.uint32).view(np.float32)
    expected = np.repeat(machine.this_processor().estimates, 2048)
    np.testing.assert_array_equal(machine.estimates_of(x), expected)
    np.testing.assert_array_equal(reciprocal_estimate(x, machine.this_processor().estimates), expected)


@pytest.mark.oracle
@needs_x86_64
def test_estimates_of_every_exponent() -> None:
    """Both signs, powers of two, subnormal numbers, and those whose reciprocal is one; a NaN is a NaN."""
    high = np.arange(512, dtype=np.uint32)[:, None] << np.uint32(23)
    low = np.array([0, 1, 0x7FF, 0x800, 0x3FFFFF, 0x400000, 0x7FF000, 0x7FFFFF], np.uint32)
    x = (high | low).view(np.float32).reshape(-1)
    expected = machine.estimates_of(x)
    with np.errstate(all="ignore"):
        ours = reciprocal_estimate(x, machine.this_processor().estimates)
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(expected))
    number = ~np.isnan(x)
    np.testing.assert_array_equal(ours[number].view(np.uint32), expected[number].view(np.uint32))


@pytest.mark.oracle
@needs_x86_64
def test_table_of_this_model() -> None:
    fields = dict(
        (part.strip() for part in line.split(":", 1))
        for line in Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    )
    name = fields["vendor_id"], int(fields["cpu family"]), int(fields["model"])
    if name not in TABLES:
        pytest.skip(f"nobody has measured {name}")
    np.testing.assert_array_equal(machine.this_processor().estimates, TABLES[name])


def test_numbers_go_by_four() -> None:
    with pytest.raises(ValueError, match="6 numbers are not a multiple of 4"):
        machine.estimates_of(np.ones(6, np.float32))


def test_elsewhere_it_is_the_processor_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "can_ask", lambda: False)
    assert machine.this_processor.__wrapped__().estimates is ZEN


@pytest.mark.parametrize(
    ("leaves", "sizes"),
    [
        # EPYC of Zen 4: 32 KiB, 1 MiB, 640 times 512 KiB
        (
            {0x80000005: (0, 0, 0x20080140, 0), 0x80000006: (0, 0, 0x04008140, 640 << 18)},
            (32 << 10, 1 << 20, 320 << 20),
        ),
    ],
)
def test_what_a_processor_of_amd_says(leaves: dict[int, tuple[int, ...]], sizes: tuple[int, ...]) -> None:
    assert machine._amd(lambda leaf: leaves[leaf]) == sizes


def test_what_a_processor_of_intel_says() -> None:
    """Ice Lake: 12 ways of 64 lines of 64 bytes; instructions are left out; 20 ways of 1024; 12 ways of 40960 sets."""
    leaves = {
        0: (0x21, 11 << 22 | 63, 63, 0),
        1: (0x22, 7 << 22 | 63, 63, 0),
        2: (0x43, 19 << 22 | 63, 1023, 0),
        3: (0x63, 11 << 22 | 63, 40959, 0),
        4: (0, 0, 0, 0),
    }
    sizes = machine._intel(lambda leaf, subleaf: leaves[subleaf])
    assert sizes == (48 << 10, 20 * 64 << 10, 12 * 40960 * 64)


@pytest.mark.skipif(not machine.has_avx512(), reason="this processor does not have AVX-512F, and so no VRSQRT14PS")
def test_estimates_of_roots_are_within_their_promise() -> None:
    """1/sqrt(x) within 2**-14, the exact one of powers of 4; as many numbers as the instruction takes at a time."""
    x = np.geomspace(1e-30, 1e30, 160, dtype=np.float32)
    estimates = machine.root_estimates_of(x).astype(np.float64)
    assert np.all(np.abs(estimates * np.sqrt(x.astype(np.float64)) - 1) < 2.0**-14)
    np.testing.assert_array_equal(
        machine.root_estimates_of(np.float32(4.0 ** np.arange(16))), np.float32(2.0 ** -np.arange(16))
    )
    with pytest.raises(ValueError, match="4 numbers are not a multiple of 16"):
        machine.root_estimates_of(x[:4])
