"""Blocks cover an output once, and threads change no bit."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refquant.errors import InvalidInputError
from refquant.interpreter import Interpreter
from refquant.kernels.blocks import Block, blocks_of, for_each, number_of_threads
from refquant.testing.build import TensorSpec, single_operator_model
from refquant.tflite.schema import Conv2DOptions, DepthwiseConv2DOptions, TensorType

INT8, INT32 = TensorType.INT8, TensorType.INT32


@given(st.integers(0, 5), st.integers(0, 9), st.integers(0, 9), st.integers(1, 100))
def test_blocks_cover_every_place_once_and_in_order(batch: int, rows: int, columns: int, most: int) -> None:
    places = np.arange(batch * rows * columns)
    image = places.reshape(batch, rows, columns)
    blocks = blocks_of(batch, rows, columns, most)
    assert [n for block in blocks for n in places[block.places]] == places.tolist()
    for block in blocks:
        assert image[block.images, block.rows].reshape(-1).tolist() == places[block.places].tolist()
        assert len(places[block.places]) <= max(most, columns)


@pytest.mark.parametrize("name", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_the_bits_do_not_depend_on_threads(name: str) -> None:
    rng = np.random.default_rng(1)
    depthwise = name == "DEPTHWISE_CONV_2D"
    w = rng.integers(-127, 127, (1, 3, 3, 24) if depthwise else (24, 3, 3, 24)).astype(np.int8)
    specs: list[TensorSpec | None] = [
        TensorSpec(INT8, (2, 41, 43, 24), 0.05, 3),
        TensorSpec(INT8, (), 0.02, 0, 0, w),
        TensorSpec(INT32, (), 0.001, 0, 0, rng.integers(-9999, 9999, 24).astype(np.int32)),
    ]
    options = (DepthwiseConv2DOptions if depthwise else Conv2DOptions)(stride_h=1, stride_w=1)
    model = single_operator_model(name, specs, [TensorSpec(INT8, (1,), 3.0, -5)], options)
    x = rng.integers(-128, 127, (2, 41, 43, 24)).astype(np.int8)
    results = []
    for threads in (None, 1, 2, 5, -1):
        interpreter = Interpreter(model=model, num_threads=threads)
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
        interpreter.invoke()
        results.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).tobytes())
    assert len(set(results)) == 1 and len(set(results[0])) > 30


def test_blocks_are_shared_out_and_errors_come_back() -> None:
    blocks = blocks_of(1, 8, 1, 1)
    started = threading.Barrier(2, timeout=20)
    names = set()

    def work(block: Block) -> None:
        names.add(threading.current_thread().name)
        if block.rows.start < 2:
            started.wait()  # two blocks are at work at the same time
        if block.rows.start == 7:
            raise InvalidInputError("the eighth")

    with pytest.raises(InvalidInputError, match="the eighth"):
        for_each(work, blocks, 2)
    assert len(names) == 2


def test_how_many_threads() -> None:
    assert [number_of_threads(n) for n in (None, 0, 1, 3)] == [1, 1, 1, 3]
    assert number_of_threads(-1) >= 1
    with pytest.raises(InvalidInputError, match="num_threads must be -1 or more"):
        Interpreter(model_content=b"", num_threads=-2)
