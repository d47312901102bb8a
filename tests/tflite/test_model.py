"""Reading, looking up and writing models, without a real runtime."""

from __future__ import annotations

import io
import os
import stat
import struct
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from refquant.errors import InvalidInputError, InvalidModelError
from refquant.testing.build import TensorSpec, single_operator_model
from refquant.tflite import codec, schema
from refquant.tflite.model import Model
from refquant.tflite.schema import BuiltinOperator, TensorType
from tests.tflite import samples

SMALL = samples.small_models()


@pytest.mark.parametrize("name", SMALL)
def test_what_is_written_is_what_was_read(name: str) -> None:
    model = Model.read(SMALL[name])
    again = Model.read(model.tobytes())
    if name == "outside":  # the places of data outside the FlatBuffer may move, the data not
        for index in range(len(model.root.buffers or ())):
            assert again.buffer(index).tobytes() == model.buffer(index).tobytes()
        operator = (again.subgraphs[0].operators or [])[1]
        assert again.custom_options(operator).tobytes() == b"options"
    else:
        assert again.root == model.root
        assert codec.encode(again.root) == codec.encode(model.root)


@given(
    shape=hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
    type=st.sampled_from([TensorType.INT8, TensorType.INT64, TensorType.FLOAT16, TensorType.COMPLEX64]),
    name=st.text(max_size=9),
    scales=st.lists(st.floats(width=32, allow_nan=True), max_size=4),
)
def test_fields_survive(shape: tuple[int, ...], type: TensorType, name: str, scales: list[float]) -> None:
    tensor = schema.Tensor(
        name=name, shape=list(shape), type=type, quantization=schema.QuantizationParameters(scale=scales)
    )
    root = schema.Model(
        version=3, buffers=[schema.Buffer()], subgraphs=[schema.SubGraph(tensors=[tensor], inputs=[0], outputs=[0])]
    )
    assert Model.read(codec.encode(root)).root == root


def large_model() -> Model:
    """68 convolutions with 3.5 million float weights, as a MobileNetV2 has."""
    root = schema.Model(
        version=3,
        operator_codes=[schema.OperatorCode(deprecated_builtin_code=3, builtin_code=BuiltinOperator.CONV_2D)],
        buffers=[schema.Buffer()],
    )
    tensors = [schema.Tensor(name="x", shape=[1, 7, 7, 51])]
    operators = []
    assert root.buffers is not None
    for i in range(68):
        weights = np.full((1000, 1, 1, 51), i, np.float32)
        root.buffers += [schema.Buffer(data=weights.reshape(-1).view(np.uint8))]
        tensors.append(schema.Tensor(name=f"block_{i}/weights", shape=weights.shape, buffer=i + 1))
        tensors.append(schema.Tensor(name=f"block_{i}/output", shape=[1, 7, 7, 1000]))
        operators.append(
            schema.Operator(inputs=[0, 2 * i + 1], outputs=[2 * i + 2], builtin_options=schema.Conv2DOptions())
        )
    root.subgraphs = [schema.SubGraph(tensors=tensors, inputs=[0], outputs=[136], operators=operators)]
    return Model(root)


def test_a_model_of_14_megabytes_is_read_at_once_and_not_copied(tmp_path: Path) -> None:
    path = tmp_path / "large.tflite"
    large_model().write(path)
    assert path.stat().st_size > 13_800_000
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        Model.read(path)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.02
    tracemalloc.start()
    model = Model.read(path)
    constants = [model.constant(tensor) for tensor in model.subgraphs[0].tensors or ()]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000
    weights = constants[5]
    assert weights is not None and weights.shape == (1000, 1, 1, 51) and weights[0, 0, 0, 0] == 2
    assert np.shares_memory(weights, model.buffer(3))
    assert not weights.flags.writeable


def test_sources() -> None:
    content = SMALL["convolution"]
    expected = Model.read(content).root
    assert Model.read(bytearray(content)).root == expected
    assert Model.read(memoryview(content)).root == expected
    assert Model.read(io.BytesIO(content)).root == expected
    with pytest.raises(InvalidInputError, match="binary mode"):
        Model.read(io.StringIO("text"))  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="not int"):
        Model.read(7)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        Model.read("there is no such file")


# --- writing --------------------------------------------------------------------------------------------------------


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(b"old")

    def broken(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="disk full"):
        samples.convolution().write(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_written_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    samples.convolution().write(path)
    assert path.stat().st_mode & stat.S_IRUSR
    path.chmod(0o600)
    samples.convolution().write(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes() == SMALL["convolution"]


def test_a_model_can_be_written_over_the_file_it_was_read_from(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(SMALL["outside"])
    model = Model.read(path)
    model.write(path)
    again = Model.read(path)
    assert again.buffer(1).tobytes() == Model.read(SMALL["outside"]).buffer(1).tobytes()


# --- looking things up ----------------------------------------------------------------------------------------------


def test_operator_codes_old_and_new() -> None:
    model = samples.everything()
    names = [model.operator_name(operator) for operator in model.subgraphs[0].operators or ()]
    assert names == ["Mine", "STABLEHLO_REDUCE", "IF"]  # custom, beyond the 8 bits, of 8 bits alone
    assert [model.is_custom(operator) for operator in model.subgraphs[0].operators or ()] == [True, False, False]


def test_operators_of_a_future_schema_have_a_name() -> None:
    model = samples.convolution()
    assert model.root.operator_codes
    model.root.operator_codes[0].builtin_code = 999
    assert model.operator_name((model.subgraphs[0].operators or [])[0]) == "BUILTIN_999"


def test_tensors_by_name() -> None:
    model = samples.convolution()
    assert model.tensor("weights") is model.tensor(1)
    with pytest.raises(InvalidInputError, match="0 tensors of subgraph 0 are named 'nothing'"):
        model.tensor("nothing")
    with pytest.raises(InvalidInputError, match="tensor 99 does not exist"):
        model.tensor(99)
    with pytest.raises(InvalidInputError, match="subgraph 3 does not exist"):
        model.tensor(0, subgraph=3)


def test_constants_of_every_kind() -> None:
    model = samples.everything()
    words = model.constant(model.tensor("words"))
    assert words is not None and words.tolist() == [b"one", b"two"]
    assert model.constant(model.tensor("in")) is None

    def constant(type: TensorType, shape: list[int], data: bytes) -> Any:
        root = schema.Model(buffers=[schema.Buffer(), schema.Buffer(data=np.frombuffer(data, np.uint8))])
        return Model(root).constant(schema.Tensor(name="t", shape=shape, type=type, buffer=1))

    assert constant(TensorType.INT16, [2], struct.pack("<hh", 3, -4)).tolist() == [3, -4]
    assert constant(TensorType.BOOL, [3], b"\0\1\7").tolist() == [False, True, True]
    assert constant(TensorType.INT4, [3], b"\x21\x03").tolist() == [0x21, 3]
    with pytest.raises(InvalidModelError, match=r"tensor 't' \(FLOAT32, shape \(3,\)\) needs 12 bytes.*buffer 1 has 8"):
        constant(TensorType.FLOAT32, [3], bytes(8))
    for broken in (b"\2\0\0\0", struct.pack("<iiii", 2, 16, 15, 16), struct.pack("<iiii", 2, 16, 16, 99)):
        with pytest.raises(InvalidModelError, match="string tensor 't'"):
            constant(TensorType.STRING, [2], broken)


# --- what does not hang together ------------------------------------------------------------------------------------


def _operator(root: schema.Model) -> Any:
    assert root.subgraphs
    return (root.subgraphs[0].operators or [])[0]


def _tensors(root: schema.Model) -> Any:
    assert root.subgraphs
    return root.subgraphs[0].tensors


DISORDER: dict[str, tuple[Callable[[Any], Any], str]] = {
    "no subgraph": (lambda root: root.subgraphs.clear(), "no subgraph"),
    "opcode": (lambda root: setattr(_operator(root), "opcode_index", 5), r"operators\[0\].opcode_index: 5 is out of"),
    "input": (lambda root: setattr(_operator(root), "inputs", [0, 44]), r"operators\[0\].inputs: 44 is out of range"),
    "below absent": (lambda root: setattr(_operator(root), "inputs", [0, -2]), r"inputs: -2 is out of range"),
    "output": (lambda root: setattr(_operator(root), "outputs", [-1]), r"outputs: -1 is out of range"),
    "buffer": (lambda root: setattr(_tensors(root)[1], "buffer", 9), r"'weights'\).buffer: 9 .* there are 4 buffers"),
    "shape": (lambda root: setattr(_tensors(root)[0], "shape", [1, -5]), r"tensors\[0\] \('x'\): a shape of \[1, -5\]"),
    "huge": (lambda root: setattr(_tensors(root)[0], "shape", [2**20] * 3), "cannot be"),
    "rank": (lambda root: setattr(_tensors(root)[0], "shape", [1] * 33), "cannot be"),
    "model input": (lambda root: setattr(root.subgraphs[0], "inputs", [4]), r"subgraphs\[0\].inputs: 4 is out"),
    "signature": (lambda root: setattr(root.signature_defs[0], "subgraph_index", 1), r"signature_defs\[0\].subgraph"),
    "metadata": (lambda root: setattr(root.metadata[0], "buffer", 4), r"metadata\[0\].buffer: 4 is out of range"),
    "outside": (lambda root: root.buffers.append(schema.Buffer(offset=2**40, size=1)), r"buffers\[4\] lies at"),
}


@pytest.mark.parametrize("name", DISORDER)
def test_disorder_is_named(name: str) -> None:
    change, message = DISORDER[name]
    root = Model.read(SMALL["convolution"]).root
    change(root)
    with pytest.raises(InvalidModelError, match=message):
        Model.read(codec.encode(root))


def test_what_cannot_be_written_is_named() -> None:
    model = single_operator_model("RELU", [TensorSpec(TensorType.FLOAT32, (1,))], [TensorSpec(TensorType.FLOAT32)])
    (model.subgraphs[0].tensors or [])[0].name = 7  # type: ignore[assignment]
    with pytest.raises(InvalidModelError, match=r"subgraphs\[0\]\.tensors\[0\]\.name"):
        model.tobytes()
