"""Hostile files: only a `Model` or an `InvalidModelError` that names the place, in bounded time and memory.

REFQUANT_HOSTILE_FILES sets how many files are made beside the truncations; a long run is

    REFQUANT_HOSTILE_FILES=1000000 python -m pytest tests/tflite/test_hostile.py
"""

from __future__ import annotations

import contextlib
import os
import random
import struct
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

from refquant.errors import InvalidModelError
from refquant.tflite import codec, schema
from refquant.tflite.model import Model
from tests.conftest import model_files
from tests.tflite import hostile, samples

FILES = int(os.environ.get("REFQUANT_HOSTILE_FILES", "50000"))
SMALL = samples.small_models()
#: name of a model: its share of the files; the larger ones get few
SHARES = {**dict.fromkeys(SMALL, 0.32), **dict.fromkeys(samples.bundled_models(), 0.02)}


@pytest.mark.parametrize("name", SMALL)
def test_truncated_at_every_length(name: str) -> None:
    content = SMALL[name]
    models = sum(hostile.check(cut) for cut in hostile.truncations(content))
    assert models < 16, "only padding at the end may be missing"


@pytest.mark.parametrize("name", SHARES)
def test_mutated(name: str) -> None:
    content = (SMALL | samples.bundled_models())[name]
    files = int(FILES * SHARES[name])
    structure = hostile.Recorder(content)
    chance = random.Random(name)
    models = 0
    for i in range(files):
        made = hostile.mutation(content, structure, chance) if i % 2 else hostile.flips(content, chance)
        try:
            models += hostile.check(made)
        except BaseException as error:
            raise AssertionError(f"file {i} of seed {name!r}: {error!r}") from error
    print(f"{name}: {files} files, {models} of them models")
    assert 0 < models < files


@pytest.mark.skipif(not model_files(), reason="REFQUANT_MODELS is not set: no real model is mutated")
def test_mutated_real_models() -> None:
    paths = [path for path in model_files() if path.stat().st_size < 400_000]
    chance = random.Random(1)
    files = FILES // 100
    for i in range(files):
        path = chance.choice(paths)
        content = path.read_bytes()
        hostile.check(hostile.flips(content[: 1 << 16], chance) + content[1 << 16 :])
        if i % 4 == 0:
            hostile.check(hostile.mutation(content, hostile.Recorder(content), chance))
    print(f"{files} files of {len(paths)} models")


def megabytes() -> Iterator[tuple[str, bytes]]:
    """Files of about 1 MB that ask for as much work as they can."""

    def file(**parts: object) -> bytes:
        root = schema.Model(version=3, subgraphs=[schema.SubGraph(**parts)], buffers=[schema.Buffer()])  # type: ignore[arg-type]
        root.operator_codes = [schema.OperatorCode()]
        return codec.encode(root)

    empty = schema.QuantizationParameters(scale=[], zero_point=[], min=[], max=[])
    yield "tensors of 8 bytes", file(tensors=[schema.Tensor()] * 125_000)
    yield "operators of 8 bytes", file(operators=[schema.Operator()] * 125_000)
    yield "empty vectors", file(tensors=[schema.Tensor(quantization=empty)] * 20_000)
    yield "one long shape", file(tensors=[schema.Tensor(shape=np.zeros(250_000, np.int32))])
    yield "one long input list", file(tensors=[schema.Tensor()], operators=[schema.Operator(inputs=[0] * 250_000)])
    yield "one long name", file(tensors=[schema.Tensor(name="\udcff" * 1_000_000)])

    def shared(content: bytes, filler: int) -> bytes:
        """All elements of the root's vectors of tables, and of the first subgraph's, refer to their first element."""
        data = bytearray(content)
        for place in hostile.Recorder(content).lengths:
            (count,) = struct.unpack_from("<I", data, place)
            if count == filler:
                target = place + 4 + struct.unpack_from("<I", data, place + 4)[0]
                for i in range(1, count):
                    struct.pack_into("<I", data, place + 4 + 4 * i, target - (place + 4 + 4 * i))
        return bytes(data)

    tensor = schema.Tensor(shape=[1] * 5000, name="n" * 5000)
    yield "one tensor 100,000 times", shared(file(tensors=[tensor, *[schema.Tensor()] * 99_999]), 100_000)
    operator = schema.Operator(inputs=[0] * 5000)
    parts = {"tensors": [schema.Tensor()], "operators": [operator, *[schema.Operator()] * 99_999]}
    yield "one operator 100,000 times", shared(file(**parts), 100_000)
    subgraph = schema.SubGraph(tensors=[schema.Tensor()] * 50_000)
    root = schema.Model(buffers=[schema.Buffer()], subgraphs=[subgraph, *[schema.SubGraph()] * 49_999])
    yield "one subgraph 50,000 times", shared(codec.encode(root), 50_000)
    yield "zeros", b"\x08\0\0\0TFL3" + bytes(1_000_000)
    yield "ones", b"\x08\0\0\0TFL3" + b"\xff" * 1_000_000
    yield "references to the next word", b"\x08\0\0\0TFL3" + b"\4\0\0\0" * 250_000


MEGABYTES = dict(megabytes())


@pytest.mark.parametrize("name", MEGABYTES)
def test_a_megabyte_takes_no_second(name: str) -> None:
    hostile.check(MEGABYTES[name], seconds=1.5)


@pytest.mark.parametrize("name", MEGABYTES)
def test_a_megabyte_takes_a_small_multiple_of_memory(name: str) -> None:
    content = MEGABYTES[name][:300_000] if "times" not in name else MEGABYTES[name]
    tracemalloc.start()
    with contextlib.suppress(InvalidModelError):
        codec.decode(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 * len(content) + 100_000, f"{peak / len(content):.1f} bytes for each byte of the file"


def test_a_message_names_path_and_byte() -> None:
    content = bytearray(samples.convolution().tobytes())
    recorder = hostile.Recorder(bytes(content))
    scale = content.index(struct.pack("<Iff", 2, 0.25, 0.125))
    assert scale in recorder.lengths
    struct.pack_into("<I", content, scale, 2**30)
    with pytest.raises(
        InvalidModelError, match=rf"subgraphs\[0\]\.tensors\[1\]\.quantization\.scale at byte {scale + 4}:"
    ):
        Model.read(bytes(content))


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (b"", "0 bytes"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"PK\x03\x04" + bytes(20), "keras"),
        (b"\x89HDF\r\n\x1a\n" + bytes(20), "HDF5"),
        (b"\x1f\x8b\x08" + bytes(20), "gzip"),
        (b"version https://git-lfs.github.com/spec/v1", "LFS"),
        (b"\x08\x07\x12\x07pytorch", "ONNX"),
        (b"1234567890123456", "expected b'TFL3'"),
    ],
)
def test_other_content_gets_a_hint(content: bytes, hint: str) -> None:
    with pytest.raises(InvalidModelError, match=hint):
        Model.read(content)
