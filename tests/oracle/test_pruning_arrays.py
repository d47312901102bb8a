"""Schedules and masks against tensorflow_model_optimization, to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from refquant.compression.pruning import ConstantSparsity, PolynomialDecay, m_by_n_mask, magnitude_mask
from refquant.runtimes import ModelOptimization

pytestmark = pytest.mark.oracle

SPARSITIES = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 0.75, 0.9, 0.999]), st.floats(0, 1, exclude_max=True, width=32))
#: ties, zeros of both signs, subnormal numbers, infinities, the largest and the smallest
VALUES = st.one_of(
    st.sampled_from(
        [0.0, -0.0, 1.0, -1.0, 2.0, 1e-40, -3e-39, 1.1754943508222875e-38, np.inf, -np.inf, 3.4028234663852886e38]
    ),
    st.floats(-2, 2, width=32),
)


def kernels(shapes: Any, dtype: type = np.float32) -> Any:
    values = VALUES if dtype is np.float32 else st.floats(-2, 2, width=16)
    return arrays.arrays(dtype, shapes, elements=values.map(dtype), fill=st.nothing())


def same(ours: Any, theirs: Any) -> bool:
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    return ours.dtype == theirs.dtype and ours.shape == theirs.shape and ours.tobytes() == theirs.tobytes()


@settings(max_examples=60)
@given(
    SPARSITIES,
    SPARSITIES,
    st.integers(0, 60),
    st.integers(0, 2000),
    st.one_of(st.sampled_from([3, 2, 1, 0, 0.5, 7, -1]), st.floats(0, 8)),
    st.integers(1, 9),
    st.lists(st.integers(0, 2100), min_size=1, max_size=30),
)
def test_polynomial_decay(
    model_optimization: ModelOptimization,
    initial: float,
    final: float,
    begin: int,
    length: int,
    power: float,
    frequency: int,
    steps: list[int],
) -> None:
    ours = PolynomialDecay(initial, final, begin, begin + length, power, frequency)
    theirs = model_optimization.schedule("PolynomialDecay", ours.get_config()["config"], steps)
    for step, (prunes, sparsity) in zip(steps, theirs, strict=True):
        assert ours(step)[0] == prunes
        assert same(ours(step)[1], sparsity)


@settings(max_examples=30)
@given(SPARSITIES, st.integers(0, 60), st.one_of(st.just(-1), st.integers(60, 200)), st.integers(1, 9))
def test_constant_sparsity(
    model_optimization: ModelOptimization, target: float, begin: int, end: int, frequency: int
) -> None:
    ours = ConstantSparsity(target, begin, end, frequency)
    steps = list(range(0, 220, 7))
    theirs = model_optimization.schedule("ConstantSparsity", ours.get_config()["config"], steps)
    assert [(p, s.tobytes()) for p, s in map(ours, steps)] == [(p, s.tobytes()) for p, s in theirs]


@settings(max_examples=150)
@given(kernels(arrays.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=9)), SPARSITIES)
def test_masks(model_optimization: ModelOptimization, weights: Any, sparsity: float) -> None:
    ours = magnitude_mask(weights, sparsity)
    mask, threshold = model_optimization.pruning_mask(weights, sparsity)
    assert same(ours.mask, mask)
    assert same(ours.threshold, threshold)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_masks_of_other_types(model_optimization: ModelOptimization, dtype: type) -> None:
    @settings(max_examples=30)
    @given(kernels(arrays.array_shapes(min_dims=2, max_dims=2, max_side=9), dtype), SPARSITIES)
    def check(weights: Any, sparsity: float) -> None:
        ours = magnitude_mask(weights, sparsity)
        mask, threshold = model_optimization.pruning_mask(weights, sparsity)
        assert same(ours.mask, mask)
        assert same(ours.threshold, threshold)

    check()


@settings(max_examples=60)
@given(st.data(), SPARSITIES, st.sampled_from(["AVG", "MAX"]))
def test_blocks(model_optimization: ModelOptimization, data: Any, sparsity: float, pooling: str) -> None:
    shape = data.draw(st.tuples(st.integers(2, 9), st.integers(2, 9)))
    block = data.draw(st.tuples(st.integers(1, shape[0] - 1), st.integers(1, shape[1] - 1)))
    assume(block != (1, 1))
    weights = data.draw(kernels(st.just(shape)))
    ours = magnitude_mask(weights, sparsity, block, pooling)
    mask, threshold = model_optimization.pruning_mask(weights, sparsity, block, pooling)
    assert same(ours.threshold, threshold)
    assert same(ours.mask, mask)


@settings(max_examples=60)
@given(st.data())
def test_m_by_n(model_optimization: ModelOptimization, data: Any) -> None:
    n = data.draw(st.integers(2, 9))
    m = data.draw(st.integers(0, n - 1))
    shape = data.draw(
        st.one_of(
            st.tuples(st.integers(1, 12), st.integers(1, 5)),
            st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 9), st.integers(1, 4)),
        )
    )
    weights = data.draw(kernels(st.just(shape)))
    mask, _ = model_optimization.pruning_mask(weights, 0.5, sparsity_m_by_n=(m, n))
    assert same(m_by_n_mask(weights, (m, n)), mask)
