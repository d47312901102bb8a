"""Which signatures the converter keeps: those that name every input and every output."""

from __future__ import annotations

import pytest

from refquant.quantization import integer
from refquant.runtimes import Quantizer
from refquant.testing.same_model import differences
from refquant.tflite.model import Model
from refquant.tflite.schema import SignatureDef, TensorMap
from tests.oracle.sketch import Sketch

pytestmark = pytest.mark.oracle


def with_signature(inputs: str, outputs: str, returned: str) -> Model:
    """a = x + y and b = x - y; each letter is a tensor, of the signature or returned."""
    s = Sketch()
    x, y = s.input(3), s.input(3)
    tensors = {"x": x, "y": y, "a": s.like("ADD", x, y), "b": s.like("SUB", x, y)}
    model = s.model([tensors[name] for name in returned])
    maps = [[TensorMap(f"{name}{i}", tensors[name]) for i, name in enumerate(names)] for names in (inputs, outputs)]
    model.root.signature_defs = [SignatureDef(maps[0], maps[1], "serve")]
    return model


@pytest.mark.parametrize(
    "inputs, outputs, returned, kept",
    [
        ("xy", "ab", "ab", True),
        ("yx", "ba", "ab", True),
        ("xy", "a", "ab", False),
        ("x", "ab", "ab", False),
        ("xy", "", "ab", False),
        ("", "ab", "ab", False),
        ("", "", "ab", False),
        ("xyx", "ab", "ab", True),
        ("xxy", "ab", "ab", True),
        ("xx", "ab", "ab", False),
        ("xya", "ab", "ab", False),
        ("xy", "abx", "ab", False),
        ("xy", "abb", "ab", False),
        ("xy", "aba", "aba", True),
        ("xy", "aab", "aba", True),
        ("xy", "ab", "aba", False),
    ],
)
def test_kept(quantizer: Quantizer, inputs: str, outputs: str, returned: str, kept: bool) -> None:
    model = with_signature(inputs, outputs, returned)
    expected = Model.read(quantizer.mlir_quantize(model))
    assert bool(expected.root.signature_defs) == kept
    assert not differences(integer.quantize(model), expected.tobytes())
