"""`pytest benchmarks --benchmark-only`: the parts that an `invoke` is made of, each by itself.

Sizes are those of a layer in the middle of a MobileNet. Each part says what it should be, so that a change which takes
another way (a product in float64 for one in float32) is seen.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import refquant as rq
from benchmarks import overhead
from benchmarks.made import convolution, dense, depthwise
from refquant.interpreter.plan import Subgraphs
from refquant.kernels.patches import reader
from refquant.kernels.products import EXACT, IntegerProduct
from refquant.kernels.requantization import output_stage
from refquant.kernels.windows import Axis
from refquant.numerics.lookup import every_value, tabulate

_ROWS, _OUTPUTS = 784, 64


@pytest.mark.parametrize(
    ("terms", "largest", "dtype"),
    [(500, 255, np.float32), (1000, 255, np.float32), (500, 1 << 16, np.float64), (500, 1 << 40, np.int64)],
    ids=("float32", "float32 in pieces", "float64", "int64"),
)
def test_product(benchmark: BenchmarkFixture, terms: int, largest: int, dtype: Any) -> None:
    """Sums of integer products, by the type in which they are exact; of 1000 terms in float32 they are not at once."""
    generator = np.random.default_rng(0)
    product = IntegerProduct(generator.integers(-127, 128, (terms, _OUTPUTS), np.int8), largest)
    in_one = product.bounds.max() < EXACT[product.dtype.name] if product.dtype.kind == "f" else True
    assert product.dtype == dtype and in_one == (terms != 1000)
    x = generator.integers(-128, 128, (_ROWS, terms)).astype(dtype)
    assert benchmark(product, x).shape == (_ROWS, _OUTPUTS)


@pytest.mark.parametrize("bound", [1 << 24, None], ids=("quick", "int64"))
def test_requantization(benchmark: BenchmarkFixture, bound: int | None) -> None:
    """From accumulators to int8: with a bound on the sums, and without."""
    plan = Subgraphs(convolution(8, _OUTPUTS), "reference")[0]
    plan.plan()
    operator = plan.steps[0].operator
    stage = output_stage(operator, np.full(_OUTPUTS, 0.0005), operator.output(), activation=0)
    generator = np.random.default_rng(0)
    sums = generator.integers(-(1 << 20), 1 << 20, (_ROWS, _OUTPUTS)).astype(np.float32)
    bias = generator.integers(-1000, 1000, _OUTPUTS, np.int32)
    assert benchmark(stage, sums, bias, bound).dtype == np.int8


def test_patches(benchmark: BenchmarkFixture) -> None:
    """What a 3x3 window sees at each place of 28x28."""
    axis = Axis(size=28, filter=3, stride=1, dilation=1, before=1, out=28)
    read = reader([axis, axis], 1, _OUTPUTS)
    x = np.ones((1, 28, 28, _OUTPUTS), np.float32)
    assert benchmark(lambda: read(x)(0, 784)).shape == (784, 9 * _OUTPUTS)


@pytest.mark.parametrize("dtype", [np.int8, np.int16], ids=("int8", "int16"))
def test_table(benchmark: BenchmarkFixture, dtype: Any) -> None:
    """A function of 8 or 16 bits, looked up."""
    look_up = tabulate(lambda x: (x // 2).astype(dtype), dtype)
    x = np.random.default_rng(0).choice(every_value(dtype), (_ROWS, _OUTPUTS))
    assert np.array_equal(benchmark(look_up, x), x // 2)


@pytest.mark.parametrize("name", ["CONV_2D", "DEPTHWISE_CONV_2D"])
@pytest.mark.parametrize("mode", ["int8", "exact", "fast"])
def test_layer(benchmark: BenchmarkFixture, name: str, mode: str) -> None:
    """A whole layer of 28x28 images."""
    make = convolution if name == "CONV_2D" else depthwise
    model = make(28, _OUTPUTS, floats=mode != "int8")
    interpreter = rq.Interpreter(model=model, float_mode="fast" if mode == "fast" else "exact")
    interpreter.allocate_tensors()
    interpreter.tensor(interpreter.get_input_details()[0]["index"])()[...] = 1
    benchmark(interpreter.invoke)


@pytest.mark.parametrize("name", overhead.CHAINS)
def test_overhead(benchmark: BenchmarkFixture, name: str) -> None:
    """A chain of small operators; `extra_info` has the microseconds of each."""
    interpreter = rq.Interpreter(model=overhead.CHAINS[name]())
    interpreter.allocate_tensors()
    interpreter.tensor(interpreter.get_input_details()[0]["index"])()[...] = 1
    benchmark(interpreter.invoke)
    operators = len(interpreter.model.subgraphs[0].operators or ())
    if benchmark.stats is not None:  # as it is with --benchmark-disable
        benchmark.extra_info["microseconds of an operator"] = 1e6 * benchmark.stats["min"] / operators


@pytest.mark.parametrize("name", ["convolution", "weights of 4 MB"])
def test_planning(benchmark: BenchmarkFixture, name: str) -> None:
    """From a model to allocated tensors."""
    model = convolution(28, _OUTPUTS) if name == "convolution" else dense(1 << 22)
    benchmark(lambda: rq.Interpreter(model=model).allocate_tensors())


@pytest.mark.parametrize("name", ["weights of 4 MB", "200 operators"])
def test_read(benchmark: BenchmarkFixture, name: str) -> None:
    """From bytes to a model."""
    model = dense(1 << 22) if name == "weights of 4 MB" else overhead.CHAINS["ADD int8"]()
    assert benchmark(rq.Model.read, model.tobytes()).subgraphs
