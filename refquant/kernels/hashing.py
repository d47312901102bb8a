"""Operators of early text models, on hashes and on words: LSH_PROJECTION, SKIP_GRAM."""

from __future__ import annotations

import numpy as np

from refquant.kernels.registry import Array, Operator, Run, kernel
from refquant.numerics.farmhash import fingerprint64
from refquant.tflite.schema import LSHProjectionType, TensorType

_SPACES = b" \t\n\v\f\r"
_MOST_GRAMS = 2**24


@kernel("LSH_PROJECTION")
def lsh_projection(op: Operator) -> Run:
    """A bit for each seed in `hash` [rows, bits]: whether a weighted sum of hashes of the input's items is above zero.

    An item is a row of bytes of the input; its hash is FarmHash's fingerprint of seed and item, as a signed number in
    float64. DENSE gives the bits themselves; SPARSE one int32 for each row, made of its bits, the first on top, plus
    row * 2**bits. Source: kernels/lsh_projection.cc.
    """
    seeds, x, weights, out = op.input(0), op.input(1), op.optional_input(2), op.output()
    if seeds.type != TensorType.FLOAT32 or out.type != TensorType.INT32 or x.dtype == object:
        raise op.unsupported()
    if weights is not None and weights.type != TensorType.FLOAT32:
        raise op.unsupported()
    if len(seeds.dims) != 2 or seeds.dims[1] > 32 or not x.dims or not x.dims[0]:
        raise op.invalid(f"seeds of shape {seeds.dims} and an input of shape {x.dims}")
    if len(op.inputs) == 3 and (weights is None or weights.dims != x.dims[:1]):
        raise op.invalid(f"the weights must be one for each of {x.dims[0]} items")
    rows, bits = seeds.dims
    if op.options.type not in (LSHProjectionType.SPARSE, LSHProjectionType.DENSE):
        raise op.invalid(f"a projection of type {op.options.type}")
    sparse = op.options.type == LSHProjectionType.SPARSE
    out.shape = (rows,) if sparse else (rows * bits,)
    places = np.arange(rows, dtype=np.int64) << (bits % 32)  # counts of 32-bit shifts are taken modulo 32
    tops = np.int64(1) << np.arange(bits - 1, -1, -1, dtype=np.int64)

    def run(seeds: Array, x: Array, weights: Array | None = None) -> Array:
        items = np.ascontiguousarray(x).reshape(len(x), -1).view(np.uint8).reshape(len(x), -1)
        first = np.ascontiguousarray(seeds).reshape(-1, 1).view(np.uint8)
        score = np.zeros(len(first))
        for i, item in enumerate(items):
            keys = np.concatenate([first, np.broadcast_to(item, (len(first), item.size))], axis=1)
            value = fingerprint64(keys).view(np.int64).astype(np.float64)
            score = score + (value if weights is None else np.float64(weights[i]) * value)
        found = (score > 0).astype(np.int32)
        return (found.reshape(rows, bits) @ tops + places).astype(np.int32) if sparse else found

    return run


@kernel("SKIP_GRAM")
def skip_gram(op: Operator) -> Run:
    """All sequences of `ngram_size` words of the first string, joined by spaces.

    Between two words up to `max_skip_size` may be left out. With `include_all_ngrams` shorter sequences count, too; of
    a text of fewer than `ngram_size` words there are none. Source: kernels/skip_gram.cc.
    """
    x, out = op.input(0), op.output()
    if x.type != TensorType.STRING or out.type != TensorType.STRING:
        raise op.unsupported()
    size, skip, shorter = op.options.ngram_size, op.options.max_skip_size, op.options.include_all_ngrams
    out.shape = None

    def grams(words: list[bytes]) -> list[bytes]:
        found: list[bytes] = []
        if len(words) < size or size <= 0:
            return found
        chosen, depth = [0] * size, 1
        while depth >= 0:  # the words chosen[:depth], then in place of the last one those after it
            more = depth < size and chosen[depth] + 1 < len(words)
            if more and (depth == 0 or chosen[depth] - chosen[depth - 1] <= skip):
                chosen[depth] += 1
                depth += 1
                if depth < size:
                    chosen[depth] = chosen[depth - 1]
                continue
            if depth == size or (shorter and depth):
                found.append(b" ".join(words[i] for i in chosen[:depth]))
                if len(found) > _MOST_GRAMS:
                    raise op.invalid(f"more than {_MOST_GRAMS} sequences of {len(words)} words")
            depth -= 1
        return found

    def run(x: Array) -> Array:
        if not x.size:
            raise op.invalid("there is no string to take apart")
        return np.array([*grams(_words(x.reshape(-1)[0])), None], object)[:-1]

    return run


def _words(text: bytes) -> list[bytes]:
    """What stands between single spaces.

    The first byte is never a space to the real kernel: a text that begins with one loses its first word, unless no
    other space follows, in which case that space is part of it.
    """
    words, begin = [], 0
    for i in range(1, len(text)):
        if text[i] in _SPACES:
            if i > begin and text[begin] not in _SPACES:
                words.append(text[begin:i])
            begin = i + 1
    return [*words, text[begin:]] if len(text) > begin else words
