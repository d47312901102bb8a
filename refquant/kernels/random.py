"""Random numbers: RANDOM_UNIFORM, RANDOM_STANDARD_NORMAL, MULTINOMIAL, STABLEHLO_RNG_BIT_GENERATOR.

The first three take their words from one stream for each operator, which begins anew when the tensors are allocated and
goes on from invoke to invoke. Of each seed only the lowest 32 bits count, with their sign. Without seeds the real
kernels take some from the system, and so do these: such numbers differ from run to run.
"""

from __future__ import annotations

import math
import secrets

import numpy as np

from refquant.kernels.moving import checked_shape, whole_numbers
from refquant.kernels.registry import MOST_ELEMENTS, Array, Operator, Run, Shape, kernel
from refquant.numerics import philox
from refquant.tflite.schema import RngAlgorithm, TensorType

_SKIPPED = 2 * 256  # how far MULTINOMIAL goes on for each sample, whatever it used


def _stream(op: Operator) -> philox.Philox:
    seed, seed2 = (int(np.int64(s).astype(np.int32)) for s in (op.options.seed, op.options.seed2))
    if seed == 0 and seed2 == 0:
        seed, seed2 = secrets.randbits(64), secrets.randbits(64)
    return philox.Philox(seed, seed2)


def _check_random(op: Operator) -> None:
    shape, out = op.input(0), op.output()
    if shape.type != TensorType.INT32 or out.type != TensorType.FLOAT32:
        raise op.unsupported()
    if len(shape.dims) != 1:
        raise op.invalid(f"the shape is a vector, it has shape {shape.dims}")
    out.shape = None if shape.value is None else checked_shape(op, whole_numbers(shape.value))


@kernel("RANDOM_UNIFORM")
def random_uniform(op: Operator) -> Run:
    """Numbers from 0 up to 1, each from the low 23 bits of a word of Philox. Source: kernels/random_ops.cc."""
    _check_random(op)
    stream = _stream(op)

    def run(numbers: Array) -> Array:
        shape = checked_shape(op, whole_numbers(numbers))
        return philox.uniform(stream.words(math.prod(shape))).reshape(shape)

    return run


@kernel(
    "RANDOM_STANDARD_NORMAL",
    flaw="for an odd count of numbers tensorflow 2.21.0 writes one more, behind the output; refquant does not",
)
def random_standard_normal(op: Operator) -> Run:
    """Normally distributed numbers, two from each two words of Philox. Source: kernels/random_ops.cc."""
    _check_random(op)
    stream = _stream(op)

    def run(numbers: Array) -> Array:
        shape = checked_shape(op, whole_numbers(numbers))
        count = math.prod(shape)
        words = stream.words(count + count % 2).reshape(-1, 2)
        return philox.standard_normal(words).reshape(-1)[:count].reshape(shape)

    return run


@kernel("MULTINOMIAL")
def multinomial(op: Operator) -> Run:
    """For each row of logits, indices drawn with probabilities in the ratio of exp(logit).

    The sums of exp(logit - largest logit) in float64, in order, are searched for a random part of the whole; logits
    that are not finite have no probability. NumPy's exp of float64 may be a unit beside the C library's; that moves a
    boundary between two indices by 1e-16 of the whole. Source: kernels/random_ops.cc.
    """
    logits, count, out = op.input(0), op.input(1), op.output()
    if (logits.type, count.type) != (TensorType.FLOAT32, TensorType.INT32):
        raise op.unsupported()
    if out.type not in (TensorType.INT32, TensorType.INT64):
        raise op.unsupported()
    if len(logits.dims) != 2 or logits.dims[1] == 0 or count.dims:
        raise op.invalid(f"logits of shape {logits.dims} and a number of samples of shape {count.dims}")
    stream = _stream(op)

    def shape_for(rows: int, samples: int) -> Shape:
        if not 0 <= samples * max(1, rows) < MOST_ELEMENTS:
            raise op.invalid(f"{samples} samples of {rows} rows are negative or too many")
        return rows, samples

    def run(logits: Array, count: Array) -> Array:
        rows, samples = shape_for(len(logits), int(count))
        here = stream.copy()
        stream.skip(rows * ((samples + 3) // 4 * 4) * _SKIPPED)
        finite = np.isfinite(logits)
        largest = np.where(finite, logits, np.finfo(np.float32).min).max(axis=1, keepdims=True)
        odds = np.where(finite, np.exp(logits.astype(np.float64) - largest), 0.0)
        sums = np.add.accumulate(odds, axis=1)
        parts = philox.uniform_double(here.words(2 * rows * samples).reshape(rows, samples, 2)) * sums[:, -1:]
        found = [np.searchsorted(row, part, side="right") for row, part in zip(sums, parts)]
        return np.asarray(found, out.dtype).reshape(rows, samples)

    out.shape = None if count.value is None else shape_for(logits.dims[0], int(count.value))
    return run


@kernel("STABLEHLO_RNG_BIT_GENERATOR")
def rng_bit_generator(op: Operator) -> Run:
    """Words of Philox or Threefry from a state of key and counter, and the state to go on from.

    The state is 64-bit words: the key, then one of counter (Threefry) or one or two (Philox; with one, the key is the
    other). Only the lower half of the counter's words goes into the new state, as it is only that which is counted up.
    Source: kernels/rng_bit_generator.cc.
    """
    state, new_state, out = op.input(0), op.output(0), op.output(1)
    if state.type != TensorType.UINT64 or new_state.type != TensorType.UINT64:
        raise op.unsupported()
    if out.type not in (TensorType.INT32, TensorType.INT64, TensorType.UINT32, TensorType.UINT64):
        raise op.unsupported()
    is_threefry = op.options.algorithm == RngAlgorithm.THREEFRY
    if op.options.algorithm not in tuple(RngAlgorithm):
        raise op.invalid(f"algorithm {op.options.algorithm} does not exist")
    if state.dims != (2,) and (is_threefry or state.dims != (3,)):
        raise op.invalid(f"the state is two words of 64 bits{'' if is_threefry else ' or three'}, not {state.dims}")
    if new_state.shape != state.shape:
        raise op.invalid(f"the new state has shape {new_state.shape}, expected {state.shape}")
    shape = out.dims
    width = 2 if is_threefry else 4
    blocks = -(-math.prod(shape) * out.dtype.itemsize // (4 * width))

    def run(state: Array) -> tuple[Array, Array]:
        words = state.view(np.uint32)
        first = int(words[2]) | int(words[3]) << 32
        counters = philox.counters_from(first, blocks, 4)
        if not is_threefry:
            counters[:, 2:] = words[4:6] if len(words) == 6 else words[0:2]
        random = philox.threefry(words[:2], counters[:, :2]) if is_threefry else philox.philox(words[:2], counters)
        result = random.reshape(-1).view(out.dtype)[: math.prod(shape)].reshape(shape)
        new = words.copy()
        new[2:4] = philox.words_of(first + blocks, 2)
        return new.view(np.uint64), result

    return run
