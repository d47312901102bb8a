"""Random numbers with seeds."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from refquant.testing.build import TensorSpec, single_operator_model
from refquant.testing.strategies.catalogue import Case, strategy
from refquant.testing.strategies.drawing import constant_or_input, generators, numbers
from refquant.tflite import schema
from refquant.tflite.schema import RngAlgorithm, TensorType

INT32, FLOAT32, UINT64 = TensorType.INT32, TensorType.FLOAT32, TensorType.UINT64
#: of which only the lowest 32 bits count, which must not all be zero
SEEDS = st.builds(lambda high, low: high << 32 | low, st.integers(-2, 2), st.integers(1, 2**32 - 1))


def _options(draw: st.DrawFn) -> schema.RandomOptions:
    """Two seeds, not both zero, which would be other numbers each time."""
    return schema.RandomOptions(seed=draw(SEEDS), seed2=draw(SEEDS | st.just(0)))


@strategy(["RANDOM_UNIFORM", "RANDOM_STANDARD_NORMAL"], [FLOAT32])
def plain(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Arrays of any shape, a constant or not, several times from one stream."""
    shape = draw(st.lists(st.integers(1, 7), min_size=0, max_size=4))
    if operator == "RANDOM_STANDARD_NORMAL" and np.prod(shape) % 2:
        shape.append(2)  # the real kernel writes one number more than there is room for
    spec, given = constant_or_input(draw, INT32, np.array(shape, np.int32))
    model = single_operator_model(operator, [spec], [TensorSpec(type)], _options(draw))
    return Case(model, [given] * draw(st.integers(1, 3)))


@strategy("MULTINOMIAL", {"INT32": INT32, "INT64": TensorType.INT64})
def multinomial(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Rows of logits, with infinities and NaN among them, and any number of samples."""
    rng = draw(generators)
    rows, classes = draw(st.integers(1, 4)), draw(st.integers(1, 30))
    logits = (rng.standard_normal((rows, classes)) * draw(st.sampled_from([0.1, 1.0, 30.0]))).astype(np.float32)
    if draw(st.booleans()):
        logits = numbers(rng, FLOAT32, logits.shape)
    count, given = constant_or_input(draw, INT32, draw(st.integers(1, 40)))
    fixed = draw(st.booleans())
    spec = TensorSpec(FLOAT32, data=logits) if fixed else TensorSpec(FLOAT32, logits.shape)
    model = single_operator_model(operator, [spec, count], [TensorSpec(type)], _options(draw))
    return Case(model, [[*([] if fixed else [logits]), *given]] * draw(st.integers(1, 3)))


@strategy("STABLEHLO_RNG_BIT_GENERATOR", [INT32, TensorType.INT64, TensorType.UINT32, UINT64])
def bits(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Both algorithms, states of two and three words, counters that overflow their first word."""
    algorithm = draw(st.sampled_from(list(RngAlgorithm)))
    words = 2 if algorithm == RngAlgorithm.THREEFRY else draw(st.sampled_from([2, 3]))
    state = numbers(draw(generators), UINT64, (words,))
    if draw(st.booleans()):
        state[1] = draw(st.sampled_from([2**32 - 1, 2**64 - 1, 0]))
    shape = draw(st.lists(st.integers(0, 7), min_size=0, max_size=3))
    model = single_operator_model(
        operator,
        [TensorSpec(UINT64, state.shape)],
        [TensorSpec(UINT64, state.shape), TensorSpec(type, shape)],
        schema.StablehloRngBitGeneratorOptions(algorithm=algorithm),
    )
    return Case(model, [[state]])
