"""FarmHash against values that TensorFlow's own Fingerprint operator gave, one for each formula and seam."""

from __future__ import annotations

import numpy as np
import pytest

from refquant.numerics.farmhash import fingerprint64

#: the fingerprint of the bytes 0, 7, 14, … of so many bytes
KNOWN = {
    1: 0xBE6056EDF5E94B54,
    3: 0x6CC1A093E8224428,
    4: 0x05112B9E6277F665,
    7: 0x0F95C16A7544A65B,
    8: 0xDC480BBCE8C737A7,
    16: 0xFBB2740319962D9B,
    17: 0xA55B9970B7B70074,
    32: 0x0A9D86AA8D37DA5C,
    33: 0xFB43F626C43B2047,
    64: 0xE0446DD71A78F98A,
    65: 0x184A25714B2CE96B,
    128: 0xA7B5B6228208C47B,
    129: 0xECB25D796437D25B,
    200: 0x18FBA3B01506F414,
}


@pytest.mark.parametrize("length", KNOWN)
def test_fingerprint(length: int) -> None:
    string = (np.arange(length) * 7 % 256).astype(np.uint8)
    others = np.random.default_rng(length).integers(0, 256, (2, length)).astype(np.uint8)
    prints = fingerprint64(np.stack([others[0], string, others[1]]))
    assert int(prints[1]) == KNOWN[length]
    assert prints[0] == fingerprint64(others[:1])[0]
