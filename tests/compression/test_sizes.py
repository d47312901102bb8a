"""Sizes of files and of constants, against numbers worked out by hand."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
import zstandard

from refquant.compression.sizes import TensorSize, compare_sizes, measure_tensors, sizes_of
from refquant.errors import InvalidModelError
from refquant.testing.build import TensorSpec, single_operator_model
from refquant.tflite.schema import TensorType


def _measured(spec: TensorSpec) -> TensorSize:
    x = TensorSpec(spec.type, (1,), scale=spec.scale)
    return measure_tensors(single_operator_model("ADD", [x, spec], [x]))[0]


def test_sizes_are_those_of_the_compressors() -> None:
    content = np.arange(4000).astype(np.uint16).tobytes()
    raw, zipped, packed = sizes_of(content)
    assert raw == 8000
    assert zipped == len(gzip.compress(content, 9, mtime=0))
    assert packed == len(zstandard.compress(content, 19))
    assert sizes_of(b"").raw == 0


def test_comparison_says_how_many_times_smaller() -> None:
    before, after = bytes(range(256)) * 4, bytes(256)
    rows = compare_sizes(before, after)
    assert [row.what for row in rows] == ["raw", "gzip", "zstd"]
    assert rows[0][1:] == (1024, 256, 4.0)
    assert rows[1].before == sizes_of(before).gzip and rows[1].after == sizes_of(after).gzip


def test_floats() -> None:
    found = _measured(TensorSpec(TensorType.FLOAT32, data=np.float32([0, -0.0, 1, 1, 2, 2, 2, 2])))
    # shares 1/8, 1/8, 1/4, 1/2: 3/8 + 3/8 + 2/4 + 1/2 bits
    assert (found.sparsity, found.unique, found.entropy, found.entropy_bytes) == (0.25, 4, 1.75, 2)
    assert (found.shape, found.dtype, found.operators, found.sizes.raw) == ((8,), "FLOAT32", ("ADD",), 32)
    assert found.unique_per_channel is None


def test_zero_point_of_quantized_values_is_the_zero() -> None:
    data = np.int8([[3, 3, 0, 1], [5, 5, 5, 5]])
    assert _measured(TensorSpec(TensorType.INT8, data=data, scale=0.5, zero_point=3)).sparsity == 0.25
    found = _measured(TensorSpec(TensorType.INT8, data=data, scale=[0.5, 1.0], zero_point=[3, 5]))
    assert (found.sparsity, found.unique, found.unique_per_channel) == (0.75, 4, 3)


def test_packed_integers() -> None:
    found = _measured(TensorSpec(TensorType.INT4, data=np.int8([0, -8, 7, 0, 0]), scale=1.0))
    assert (found.sizes.raw, found.sparsity, found.unique) == (3, 0.6, 3)


def test_strings_have_a_size_only() -> None:
    found = _measured(TensorSpec(TensorType.STRING, data=np.array([b"a", b"bc"], object)))
    assert (found.sizes.raw, found.sparsity, found.unique, found.entropy) == (4 * 4 + 3, None, None, None)


def test_one_value_has_no_entropy() -> None:
    found = _measured(TensorSpec(TensorType.FLOAT64, data=np.zeros(9)))
    assert (found.sparsity, found.unique, found.entropy, found.entropy_bytes) == (1.0, 1, 0.0, 0)


def test_scales_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InvalidModelError, match="3 scales"):
        _measured(TensorSpec(TensorType.INT8, data=np.ones((2, 2), np.int8), scale=[1.0, 1.0, 1.0]))
