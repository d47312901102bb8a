"""Float32 matrix products in the order in which Eigen sums them on x86-64: with AVX, without fused multiply-add.

Both kinds of product that TensorFlow Lite has from Eigen are here. `planned_product` is that of plain matrices, to
which almost every optimized kernel comes down; the float LSTM uses it in every resolver. With more threads than
one CONV_2D goes through a tensor contraction instead, `planned_contraction`, which sums in other blocks.

The heart of both is the same ("general block panel", GEBP). A block of columns, small enough for the first-level
cache, is summed up and then added to the result, and within a block the order depends on the place of a row and of a
vector: vectors go by four; rows by 16, one product after another; then by 8 and by 4, with partial sums of even and of
odd products; the last one to three one by one, with eight partial sums. A vector beyond the fours has its products
added one after another by every row.

Sources, below Eigen/src/Core/products: GeneralBlockPanelKernel.h, GeneralMatrixMatrix.h, GeneralMatrixVector.h; and
unsupported/Eigen/CXX11/src/Tensor/TensorContraction.h, TensorContractionThreadPool.h, TensorCostModel.h. A claim about
these holds for the build it was measured with: the tensorflow 2.21.0 wheel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import numpy.typing as npt

from refquant.numerics.eigen import WIDTH, folded, with_rest
from refquant.numerics.ordered_products import in_order
from refquant.numerics.partial_sums import in_partial_sums
from refquant.numerics.processor import Caches, current

Float32s = npt.NDArray[np.float32]
Read = Callable[[int, int], Float32s]  # vectors begin..end, [end - begin, columns]
Sums = Iterator[tuple[slice, Float32s]]  # of some vectors: which they are, and [end - begin, rows]
Product = Callable[[Read], Sums]

_ROWS, _VECTORS = 16, 4  # that the kernel holds in registers: mr and nr in Eigen
_SMALL = 20  # a product below this size is made number by number
_BLOCK = 1 << 15  # numbers of the result that are worked on at a time, for at least so many vectors:
_LEAST_VECTORS = 272
_LONG = 128  # numbers in a row that make an inner loop quick


@dataclass(frozen=True)
class Order:
    """How a product is cut: each `part` of the columns has sums of its own, which are added up at the end; within it
    blocks of `depth` columns are summed one after the other; rows are counted anew after each `height` of them."""

    depth: int
    height: int
    part: int


# --- plain matrices -------------------------------------------------------------------------------------------------


def matrix_product(matrix: Float32s, vectors: Float32s) -> Float32s:
    """The products of a matrix [rows, columns] with each of the vectors [count, columns]; the result [count, rows]."""
    return product_with(matrix)(vectors)


def product_with(matrix: Float32s) -> Callable[[Float32s], Float32s]:
    """`matrix_product` as a function of the vectors, for a matrix that is multiplied again and again."""
    planned = cache(partial(planned_product, matrix))
    return lambda vectors: _collected(planned(len(vectors))(lambda begin, end: vectors[begin:end]))


def planned_product(matrix: Float32s, count: int) -> Product:
    """The function that multiplies `matrix` [rows, columns] with `count` vectors; it gives the sums of some at a time.

    One vector, or one row, is a product of matrix and vector; a small product (rows, columns and count below 20 in sum)
    is made number by number.
    """
    rows, columns = matrix.shape
    if matrix.size == 0 or count == 0:
        return lambda read: iter([(slice(0, count), np.zeros((count, rows), np.float32))])
    if count == 1:
        times = _matrix_vector(matrix)
        return lambda read: iter([(slice(0, 1), times(read(0, 1)[0])[None])])
    if rows == 1:
        return lambda read: _vectors_of_one_row(read, count, matrix[0])
    if rows + columns + count < _SMALL:
        return lambda read: iter([(slice(0, count), _small_sums(read(0, count)[:, None, :] * matrix))])
    depth = _single_depth(max(rows, columns, count), columns, current().caches)
    return _panels(matrix, count, Order(depth, rows, columns))


def _single_depth(largest: int, columns: int, caches: Caches) -> int:
    """How many columns are summed before the sums are added to the result, with one thread."""
    most = _largest_depth(caches)
    if largest < 48 or columns <= most:
        return max(columns, 1)
    rest = columns % most
    return most if rest == 0 else most - 8 * ((most - 1 - rest) // (8 * (columns // most + 1)))


def _largest_depth(caches: Caches) -> int:
    """Columns of `_ROWS` rows and of `_VECTORS` vectors that fit the first-level cache, beside their sums."""
    number = np.dtype(np.float32).itemsize
    return (caches.first - _ROWS * _VECTORS * number) // ((_ROWS + _VECTORS) * number) // 8 * 8


def _matrix_vector(matrix: Float32s) -> Callable[[Float32s], Float32s]:
    """The function that multiplies a matrix [rows, columns] with a vector: product i of a row goes to partial sum i
    modulo 8; the sums are folded by halves (i and i + 4, i and i + 2, i and i + 1); products beyond the last eight are
    added one by one.

    The last of an odd number of rows takes four of those together, and a single row has four registers of eight.
    """
    rows, columns = matrix.shape
    if rows == 1:
        return lambda vector: _inner_product(matrix[0] * vector) + np.float32(0)  # added to a result of 0
    whole = columns - columns % WIDTH
    registers = np.ascontiguousarray(matrix.T[:whole]).reshape(whole // WIDTH, WIDTH, rows)

    def product(vector: Float32s) -> Float32s:
        total = folded(in_partial_sums(registers, vector[:whole].reshape(whole // WIDTH, WIDTH)).T)
        rest = matrix[:, whole:] * vector[whole:]
        if rows % 2 and columns - whole >= 4:
            last = with_rest(total[-1:] + folded(rest[-1:, :4]), rest[-1:, 4:])
            return np.append(with_rest(total[:-1], rest[:-1]), last)
        return with_rest(total, rest)

    return product


def _vectors_of_one_row(read: Read, count: int, row: Float32s) -> Sums:
    """The products of a single row with each vector: the vectors are the matrix then. They are taken by an even number,
    so that a last odd one is the last of all."""
    step = 2 * max(1, _BLOCK // (2 * row.size))
    for start in range(0, count - count % 2, step):
        end = count if start + step >= count - 1 else start + step
        yield slice(start, end), _matrix_vector(read(start, end))(row)[:, None]


# --- tensor contractions --------------------------------------------------------------------------------------------


def planned_contraction(matrix: Float32s, count: int, threads: int, patches: bool) -> Product:
    """As `planned_product`, but as a contraction of tensors on a device of so many threads.

    `patches` says that the vectors are patches of an image that are not stored, which counts in the estimate of costs
    by which Eigen decides how many threads to use.
    """
    rows, columns = matrix.shape
    if matrix.size == 0 or count == 0:
        return lambda read: iter([(slice(0, count), np.zeros((count, rows), np.float32))])
    order = _Contraction(rows, columns, count, threads, patches, current().caches).order()
    if order is None:
        by_column = np.ascontiguousarray(matrix.T)
        return lambda read: iter([(slice(0, 1), _sums_by_columns(by_column, read(0, 1)[0])[None])])
    return _parts(matrix, count, order)


@dataclass(frozen=True)
class _Contraction:
    """Eigen's choice of threads and blocks for a contraction: rows m, columns k, vectors n in its terms."""

    rows: int
    columns: int
    count: int
    threads: int
    patches: bool
    caches: Caches

    def order(self) -> Order | None:
        """How the product is cut; None where a single vector is multiplied column by column."""
        by_vectors = self._cut_by_vectors(2)
        threads = self._threads(*self._blocks(2, by_vectors), by_vectors)
        parts = self._threads_for_parts()
        if self._is_cut_in_parts(threads, parts):
            size = max(12 * WIDTH, _up_to(-(-self.columns // parts), 8))
            blocks = -(-self.columns // size)
            return Order(_depth(min(size, self.columns), self.rows, self.count, blocks, self.caches), self.rows, size)
        if self.count == 1:
            return None
        if threads == 1:
            return Order(_depth(self.columns, self.rows, self.count, 1, self.caches), self.rows, self.columns)
        by_vectors = self._cut_by_vectors(threads)
        height, _, depth = self._blocks(threads, by_vectors)
        return Order(depth, self.rows if by_vectors else height, self.columns)

    def _cut_by_vectors(self, threads: int) -> bool:
        """Whether threads share out the vectors; else the rows."""
        m, n, nr = self.rows, self.count, _VECTORS
        uneven = n // threads < 4 * nr and n % (threads * nr) != 0 and (m % (threads * nr) == 0 or m // n >= 6)
        if m // threads >= nr and (n // threads < nr or uneven):
            return False
        return not (n // threads < 16 * nr and m > n * 32)

    def _blocks(self, threads: int, by_vectors: bool) -> tuple[int, int, int]:
        """Rows, vectors and columns of a block."""
        m, n = (self.rows, self.count) if by_vectors else (self.count, self.rows)
        k = _depth(self.columns, self.rows, self.count, threads, self.caches)
        most = (self.caches.second - self.caches.first) // (_VECTORS * 4 * k)
        share = -(-n // threads)
        n = most - most % _VECTORS if most <= share else min(n, _up_to(share, _VECTORS))
        if self.caches.third > self.caches.second:
            most = (self.caches.third - self.caches.second) // (4 * k * threads)
            share = -(-m // threads)
            m = most - most % _ROWS if _ROWS <= most < share else min(m, _up_to(share, _ROWS))
        return (m, n, k) if by_vectors else (n, m, k)

    def _threads(self, height: int, width: int, depth: int, by_vectors: bool) -> int:
        """As many threads as the work is worth, at most those there are."""
        bandwidth = 4.0 if depth == 1 else 2.0 if height < _VECTORS or width < _ROWS else 1.0
        per_row, per_vector = depth / self.count, depth / self.rows
        loaded = 4.0 * per_vector if by_vectors else 4.0 * per_row
        compute = depth * bandwidth / WIDTH + self._patch_cost() * per_vector
        cost = float(self.count) * self.rows * _cycles(loaded, 4.0, compute)
        return min(self.threads, max(1, int((cost - 100000) / 100000 + 0.9)))

    def _threads_for_parts(self) -> int:
        """How many threads would make the product cheapest if each took a part of the columns."""
        m, n, k = self.rows, self.count, self.columns
        bandwidth = 4.0 if k == 1 else 2.0 if n < _VECTORS or m < _ROWS else 1.0
        compute = bandwidth * m * n / WIDTH + self._patch_cost() * n
        total = k * _cycles(4.0 * n, 4.0, compute)
        reduction = m * n * _cycles(2.0, 1.0, 1.0 / WIDTH)
        best, cheapest = 1, total
        for threads in range(2, self.threads + 1, 2):
            cost = total / threads + (100000 + threads * (reduction + 3000))
            if cost < cheapest:
                best, cheapest = threads, cost
        return best

    def _patch_cost(self) -> float:
        """Cycles for the place of a number in a patch: three divisions of 24, 14 multiplications of 1."""
        return (3 * 24 + 14) / WIDTH if self.patches else 0.0

    def _is_cut_in_parts(self, threads: int, parts: int) -> bool:
        """Whether threads share out the columns."""
        m, n, k = self.rows, self.count, self.columns
        if n == 1 or parts < 2 or parts < threads or m * n * 4 > self.caches.third // parts:
            return False
        if k // parts < 2 * _VECTORS:
            return False
        thin = min(m, n) < 2 * _VECTORS or parts > threads
        return max(m, n) // threads < _VECTORS or (k // parts > 8 * _VECTORS and thin)


def _depth(columns: int, rows: int, count: int, threads: int, caches: Caches) -> int:
    """How many columns are summed before the sums are added to the result."""
    if threads == 1:
        return _single_depth(max(rows, columns, count), columns, caches)
    return min(columns, _largest_depth(caches), 320)


def _cycles(loaded: float, stored: float, compute: float) -> float:
    """The estimated cost of numbers of bytes loaded and stored and of cycles to compute."""
    return 1.0 / 64 * 11 * loaded + 1.0 / 64 * 11 * stored + compute


def _up_to(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def _sums_by_columns(matrix: Float32s, vector: Float32s) -> Float32s:
    """A matrix [columns, rows] times a vector in blocks of columns, whose sums are added to the result."""
    columns, rows = matrix.shape
    block = columns if columns < 128 else 16 if rows * 4 < 32000 else 4
    total = np.zeros(rows, np.float32)
    for start in range(0, columns, block):
        total += in_order(matrix[start : start + block], vector[start : start + block, None])[0]
    return total


# --- the kernel of panels -------------------------------------------------------------------------------------------


def _parts(matrix: Float32s, count: int, order: Order) -> Product:
    """The function that multiplies `matrix` with `count` vectors, each part of the columns on its own."""
    columns = matrix.shape[1]
    if order.part >= columns:
        return _panels(matrix, count, order)
    parts = [slice(start, start + order.part) for start in range(0, columns, order.part)]
    products = [_panels(matrix[:, part], count, order) for part in parts]

    def product(read: Read) -> Sums:
        sums = [_collected(product(_columns_of(read, part))) for product, part in zip(products, parts)]
        yield slice(0, count), _joined(sums)

    return product


def _collected(blocks: Sums) -> Float32s:
    """All sums [count, rows]."""
    sums = [block for _, block in blocks]
    return np.ascontiguousarray(np.concatenate(sums) if len(sums) > 1 else sums[0])


def _columns_of(read: Read, part: slice) -> Read:
    return lambda begin, end: read(begin, end)[:, part]


def _joined(parts: list[Float32s]) -> Float32s:
    """The sum of results: four by four first, then the sums of these."""
    ranges = [parts[i : i + 4] for i in range(0, len(parts), 4)]
    return _joined_by_three([_joined_by_three(range_) for range_ in ranges])


def _joined_by_three(parts: list[Float32s]) -> Float32s:
    """The first result and, three by three, the others."""
    total, *others = parts
    while len(others) >= 3:
        a, b, c, *others = others
        last = total.size - total.size % WIDTH  # what fills no register is added in another order
        tail = total.ravel()[last:] + ((a.ravel()[last:] + b.ravel()[last:]) + c.ravel()[last:])
        total = (total + a) + (b + c)
        total.ravel()[last:] = tail
    return _one_by_one([total, *others])


def _one_by_one(parts: list[Float32s]) -> Float32s:
    total, *others = parts
    for other in others:
        total = total + other
    return total


@dataclass(frozen=True)
class _Rows:
    """Rows that are summed alike: which they are, their numbers [columns, rows], and how."""

    which: npt.NDArray[np.intp]
    numbers: Float32s
    sums: Callable[[Float32s, Float32s], Float32s]

    def times(self, vectors: Float32s, depth: int) -> Float32s:
        """The sums of products with vectors [columns, count]; [count, rows]. The longer of the two is summed along."""
        if self.which.size >= min(vectors.shape[1], _LONG):
            return self._in_blocks(self.numbers, vectors, depth)
        return self._in_blocks(vectors, self.numbers, depth).T

    def _in_blocks(self, a: Float32s, b: Float32s, depth: int) -> Float32s:
        total = self.sums(a[:depth], b[:depth])
        for start in range(depth, len(a), depth):
            total += self.sums(a[start : start + depth], b[start : start + depth])
        return total


def _panels(matrix: Float32s, count: int, order: Order) -> Product:
    """The function that multiplies `matrix` with `count` vectors in panels."""
    rows = len(matrix)
    by_four, depth = count - count % _VECTORS, max(order.depth, 1)
    groups = _alike(matrix, order.height)
    every = _Rows(np.arange(rows), np.ascontiguousarray(matrix.T), in_order)
    # an odd number of cache lines, so that rows of sums do not fall on each other when they are written as columns
    step = max(_LEAST_VECTORS, _BLOCK // rows // 32 * 32 + 16)

    def sums_of(vectors: Float32s) -> Float32s:
        if len(groups) == 1:
            return groups[0].times(vectors, depth)
        sums = np.empty((vectors.shape[1], rows), np.float32)
        for group in groups:
            sums[:, group.which] = group.times(vectors, depth)
        return sums

    def product(read: Read) -> Sums:
        for start in range(0, by_four, step):
            end = min(start + step, by_four)
            yield slice(start, end), sums_of(np.ascontiguousarray(read(start, end).T))
        if by_four < count:
            yield slice(by_four, count), every.times(np.ascontiguousarray(read(by_four, count).T), depth)

    return product


def _alike(matrix: Float32s, height: int) -> list[_Rows]:
    """The rows in groups that are summed alike: of each `height` rows the sixteens, then the fours, then the rest."""
    rows = np.arange(len(matrix))
    place = rows % height
    size = np.minimum(height, len(matrix) - (rows - place))
    left = np.ones(len(matrix), bool)
    groups = []
    for panel, sums in ((_ROWS, in_order), (4, _even_and_odd), (1, _by_eight)):
        which = np.flatnonzero(left & (place < size - size % panel))
        left[which] = False
        if which.size:
            groups.append(_Rows(which, np.ascontiguousarray(matrix[which].T), sums))
    return groups


def _even_and_odd(a: Float32s, b: Float32s) -> Float32s:
    """As `in_order`, but with two partial sums, of even and of odd products, up to the last full eight."""
    whole = len(a) - len(a) % 8
    total = in_order(a[0:whole:2], b[0:whole:2]) + in_order(a[1:whole:2], b[1:whole:2])
    for i in range(whole, len(a)):
        total += a[i] * b[i, :, None]
    return total


def _by_eight(a: Float32s, b: Float32s) -> Float32s:
    """As `in_order`, but with eight partial sums, brought together to an even and an odd one, to which the rest is
    added in pairs."""
    count = len(a)
    whole, pairs = count - count % 8, count - count % 2
    s = [in_order(a[i:whole:8], b[i:whole:8]) for i in range(8)]
    even, odd = (s[0] + s[2]) + (s[4] + s[6]), (s[1] + s[3]) + (s[5] + s[7])
    for i in range(whole, pairs, 2):
        even += a[i] * b[i, :, None]
        odd += a[i + 1] * b[i + 1, :, None]
    total = even + odd
    return total + a[-1] * b[-1, :, None] if count % 2 else total


# --- small sums -----------------------------------------------------------------------------------------------------


def _small_sums(products: Float32s) -> Float32s:
    """Sums over the last axis, of less than 16 numbers: the first eight folded by halves, the rest one by one."""
    flat = products.reshape(-1, products.shape[-1])
    if flat.shape[1] < WIDTH:
        sums = with_rest(flat[:, 0], flat[:, 1:])
    else:
        sums = with_rest(folded(flat[:, :WIDTH]), flat[:, WIDTH:])
    return sums.reshape(products.shape[:-1])


def _inner_product(products: Float32s) -> Float32s:
    """The sum of one row's products: register k of eight goes to accumulator k modulo 4, then 2 + 3, 1 + 2, 0 + 1."""
    whole = products.size - products.size % WIDTH
    registers = products[:whole].reshape(-1, WIDTH)
    total = np.zeros(1, np.float32)
    if len(registers):
        accumulators = [registers[k] for k in range(min(4, len(registers)))]
        for k in range(4, len(registers)):
            accumulators[k % 4] = accumulators[k % 4] + registers[k]
        while len(accumulators) > 1:
            last = accumulators.pop()
            accumulators[-1] = accumulators[-1] + last
        total = folded(accumulators[0][None])
    elif products.size:
        total, whole = products[:1], 1
    return with_rest(total, products[None, whole:])
