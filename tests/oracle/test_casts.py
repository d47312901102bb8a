"""CAST of whole domains against TensorFlow's kernel: every number of 8 and 16 bits, many of all others, to every type."""

from __future__ import annotations

import numpy as np
import pytest

from refquant.runtimes import Runtime
from refquant.testing.build import TensorSpec, single_operator_model
from refquant.testing.conformance import Outcome, compare
from refquant.testing.strategies.casts import NUMBERS
from refquant.tflite import schema
from refquant.tflite.schema import TensorType
from refquant.tflite.tensor_types import numpy_dtype

pytestmark = pytest.mark.oracle


@pytest.mark.parametrize("type", NUMBERS, ids=lambda type: type.name)
def test_cast_of_the_whole_domain(reference: Runtime, type: TensorType) -> None:
    """In one tensor, where the real kernel converts several numbers at once, and one by one in tensors of seven."""
    dtype = numpy_dtype(type)
    if dtype == np.bool_:
        x = np.array([False, True] * 8)
    elif dtype.itemsize <= 2:
        x = np.arange(2 ** (8 * dtype.itemsize)).astype(f"u{dtype.itemsize}").view(dtype)
    else:
        bits = np.random.default_rng(0).integers(0, 2**64, 400_000, np.uint64)
        x = bits.view(np.uint32).view(dtype) if dtype.itemsize == 4 else bits.view(dtype)
    for target in NUMBERS:
        options = schema.CastOptions(in_data_type=type, out_data_type=target)
        for samples in ([x], list(x[: len(x) // 7 * 7].reshape(-1, 7)[::1001])):
            model = single_operator_model("CAST", [TensorSpec(type, samples[0].shape)], [TensorSpec(target)], options)
            result = compare(model, [[sample] for sample in samples], reference)
            assert result.outcome is Outcome.EQUAL, f"to {target.name}: {result.details}"
