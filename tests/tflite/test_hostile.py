"""Hostile files: only a `Model` or an `InvalidModelError` that names the place, in bounded time and memory.

REFQUANT_HOSTILE_FILES sets how many files are made beside the truncations; a long run is

    REFQUANT_HOSTILE_FILES=1000000 python -m pytest tests/tflite/test_hostile.py
"""

from __future__ import annotations

import contextlib
import gc
import os
import random
import struct
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from refquant.errors import InvalidModelError
from refquant.tflite import codec, schema
from refquant.tflite.model import Model
from tests.conftest import model_files
from tests.tflite import hostile, samples

FILES = int(os.environ.get("REFQUANT_HOSTILE_FILES", "20000"))
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


def file(**parts: Any) -> bytes:
    """A model of one subgraph."""
    subgraphs = [schema.SubGraph(**parts)]
    return codec.encode(
        schema.Model(subgraphs=subgraphs, buffers=[schema.Buffer()], operator_codes=[schema.OperatorCode()])
    )


def shared(content: bytes, count: int) -> bytes:
    """All references of the vector of `count` tables lead to its first table."""
    data = bytearray(content)
    for place in hostile.Recorder(content).lengths:
        if struct.unpack_from("<I", data, place)[0] == count:
            target = place + 4 + struct.unpack_from("<I", data, place + 4)[0]
            for i in range(1, count):
                struct.pack_into("<I", data, place + 4 + 4 * i, target - (place + 4 + 4 * i))
    return bytes(data)


EMPTY = schema.QuantizationParameters(scale=[], zero_point=[], min=[], max=[])
TENSOR, OPERATOR = schema.Tensor(), schema.Operator()
#: files of about n bytes that ask for as much work as they can
GREEDY: dict[str, Callable[[int], bytes]] = {
    "tensors of 8 bytes": lambda n: file(tensors=[TENSOR] * (n // 8)),
    "operators of 8 bytes": lambda n: file(tensors=[TENSOR], operators=[OPERATOR] * (n // 8)),
    "empty vectors": lambda n: file(tensors=[schema.Tensor(quantization=EMPTY)] * (n // 54)),
    "one long shape": lambda n: file(tensors=[schema.Tensor(shape=np.zeros(n // 4, np.int32))]),
    "one long input list": lambda n: file(tensors=[TENSOR], operators=[schema.Operator(inputs=[0] * (n // 4))]),
    "one long name": lambda n: file(tensors=[schema.Tensor(name="\udcff" * n)]),
    "one tensor everywhere": lambda n: shared(
        file(tensors=[schema.Tensor(shape=[1] * 32, name="n" * (n // 99)), *[TENSOR] * (n // 8 - 1)]), n // 8
    ),
    "one operator everywhere": lambda n: shared(
        file(tensors=[TENSOR], operators=[schema.Operator(inputs=[0] * (n // 99)), *[OPERATOR] * (n // 8 - 1)]), n // 8
    ),
    "one subgraph everywhere": lambda n: shared(
        codec.encode(
            schema.Model(
                subgraphs=[schema.SubGraph(tensors=[TENSOR] * (n // 16)), *[schema.SubGraph()] * (n // 32 - 1)]
            )
        ),
        n // 32,
    ),
    "zeros": lambda n: b"\x08\0\0\0TFL3" + bytes(n),
    "ones": lambda n: b"\x08\0\0\0TFL3" + b"\xff" * n,
    "references to the next word": lambda n: b"\x08\0\0\0TFL3" + b"\4\0\0\0" * (n // 4),
}
#: those that are models; the others ask for more than they may
MODELS = {"tensors of 8 bytes", "operators of 8 bytes", "empty vectors", "one long input list", "one long name"}


@pytest.mark.parametrize("name", GREEDY)
def test_a_megabyte_takes_no_second(name: str) -> None:
    content = GREEDY[name](1_000_000)
    gc.collect()
    gc.freeze()  # what other tests have left is not looked through
    for _ in range(3):  # on a busy machine it may be another that is in time
        start = time.thread_time()
        try:
            Model.read(content)
            read = True
        except InvalidModelError:
            read = False
        seconds = time.thread_time() - start
        if seconds < 1.5:  # it takes half of that on an idle machine
            break
    gc.unfreeze()
    assert read == (name in MODELS)
    assert seconds < 1.5


@pytest.mark.parametrize("name", GREEDY)
def test_memory_is_a_small_multiple_of_the_file(name: str) -> None:
    content = GREEDY[name](100_000)
    tracemalloc.start()
    with contextlib.suppress(InvalidModelError):
        Model.read(content)
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
