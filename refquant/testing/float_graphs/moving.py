"""Steps that move numbers: shapes, slices, padding, gathering, joining and splitting."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from refquant.testing.float_graphs.graph import FLOAT32, INT32, INT64, MOST_ELEMENTS, Graph, step
from refquant.tflite import schema
from refquant.tflite.schema import MirrorPadMode


def _moved(graph: Graph, operator: str, inputs: Sequence[int], shape: Sequence[int], options: object = None) -> int:
    """An operator whose output has the numbers of its float inputs."""
    bound = max(graph.bounds[x] for x in inputs if graph.type(x) == FLOAT32)
    return graph.add(operator, inputs, shape, options=options, bound=bound)


def _axis(graph: Graph, shape: Sequence[int]) -> int:
    return graph.number(0, len(shape) - 1)


@step("RESHAPE", "EXPAND_DIMS", "SQUEEZE")
def reshaped(graph: Graph, operator: str) -> None:
    """The same numbers in the same order, in another shape."""
    x = graph.any()
    shape = list(graph.shape(x))
    if operator == "EXPAND_DIMS" and len(shape) < 5:
        axis = graph.number(0, len(shape))
        shape.insert(axis, 1)
        _moved(graph, operator, [x, graph.integers(axis, "axis")], shape)
        return
    if operator == "SQUEEZE":
        x = graph.floats(lambda s: 1 in s and len(s) > 1, lambda: (1, graph.number(1, 6)))
        shape = list(graph.shape(x))
        axes = [i for i, n in enumerate(shape) if n == 1]
        axes = axes[: graph.number(1, len(axes))]
        rest = [n for i, n in enumerate(shape) if i not in axes]
        _moved(graph, operator, [x], rest, schema.SqueezeOptions(np.array(axes, np.int32)))
        return
    size = int(np.prod(shape))
    factor = next((n for n in (2, 3, 5) if size % n == 0), 1)
    new = graph.pick([[size], [1, size], [size // factor, factor], [1, size // factor, 1, factor], shape])
    written = new if graph.chance(2) else [-1, *new[1:]]
    options = schema.ReshapeOptions(np.array(written, np.int32))
    _moved(graph, "RESHAPE", [x, graph.integers(written, "shape")], new, options)


@step("TRANSPOSE")
def transposed(graph: Graph, operator: str) -> None:
    """Axes in any order."""
    x = graph.any()
    shape = graph.shape(x)
    order = [int(i) for i in graph.rng.permutation(len(shape))]
    _moved(graph, operator, [x, graph.integers(order, "permutation")], [shape[i] for i in order])


@step("SLICE", "STRIDED_SLICE")
def sliced(graph: Graph, operator: str) -> None:
    """A part of each axis; with strides also backwards, with masks, with axes that vanish."""
    x = graph.any()
    shape = graph.shape(x)
    begins = [graph.number(0, n - 1) for n in shape]
    ends = [begin + graph.number(1, n - begin) for begin, n in zip(begins, shape)]
    if operator == "SLICE":
        type = graph.pick([INT32, INT64])
        sizes = [end - begin for begin, end in zip(begins, ends)]
        inputs = [x, graph.integers(begins, "begin", type), graph.integers(sizes, "size", type)]
        _moved(graph, operator, inputs, sizes)
        return
    strides = [graph.pick([1, 1, 2, -1]) for _ in shape]
    options = schema.StridedSliceOptions()
    sides = []
    for i, n in enumerate(shape):
        if strides[i] < 0:  # the whole axis, backwards
            begins[i], ends[i] = n - 1, 0
            options.end_mask |= 1 << i
            sides.append(n)
        elif len(shape) > 1 and graph.chance(6):
            ends[i], strides[i] = begins[i] + 1, 1
            options.shrink_axis_mask |= 1 << i
        else:
            if graph.chance(4):
                options.begin_mask, begins[i] = options.begin_mask | 1 << i, 0
            sides.append(-(-(ends[i] - begins[i]) // strides[i]))
    parts = zip(("begin", "end", "strides"), (begins, ends, strides))
    _moved(graph, operator, [x, *(graph.integers(values, name) for name, values in parts)], sides, options)


@step("PAD", "PADV2", "MIRROR_PAD")
def padded(graph: Graph, operator: str) -> None:
    """More numbers before and after: zeros, others, or the first and last mirrored."""
    x = graph.any()
    shape = graph.shape(x)
    least = 1 if operator == "MIRROR_PAD" else 0
    mode = graph.pick(list(MirrorPadMode))
    most = [min(2, n - 1 if mode == MirrorPadMode.REFLECT else n) if least else 2 for n in shape]
    amounts = [(graph.number(0, m), graph.number(0, m)) for m in most]
    sides = [n + before + after for n, (before, after) in zip(shape, amounts)]
    if np.prod(sides) > MOST_ELEMENTS:
        amounts, sides = [(0, 0)] * len(shape), list(shape)
    inputs = [x, graph.integers(amounts, "paddings", graph.pick([INT32, INT32, INT64]))]
    if operator == "PADV2":
        inputs.append(graph.scalar(graph.pick([0.0, 1.5, -30.0]), "value"))
    options = schema.MirrorPadOptions(mode) if operator == "MIRROR_PAD" else None
    _moved(graph, operator, inputs, sides, options)


@step("TILE", "BROADCAST_TO")
def repeated(graph: Graph, operator: str) -> None:
    """The numbers several times."""
    x = graph.any()
    shape = graph.shape(x)
    if operator == "TILE":
        times = [graph.pick([1, 1, 2]) for _ in shape]
        if np.prod(shape) * np.prod(times) > MOST_ELEMENTS:
            times = [1] * len(shape)
        _moved(graph, operator, [x, graph.integers(times, "multiples")], [n * t for n, t in zip(shape, times)])
        return
    sides = [graph.number(1, 3) if n == 1 else n for n in shape]
    if len(sides) < 4 and graph.chance(2):
        sides = [graph.number(1, 2), *sides]
    if np.prod(sides) > MOST_ELEMENTS:
        sides = list(shape)
    _moved(graph, operator, [x, graph.integers(sides, "shape")], sides)


@step("GATHER")
def gathered(graph: Graph, operator: str) -> None:
    """Slices along an axis, by indices that are constant, computed or given."""
    x = graph.any() if graph.chance(4) else graph.weights(graph.sides(graph.number(1, 3)), "table")
    shape = graph.shape(x)
    axis = _axis(graph, shape)
    indices = graph.indices(shape[axis])
    sides = [*shape[:axis], *graph.shape(indices), *shape[axis + 1 :]]
    if np.prod(sides) > MOST_ELEMENTS:
        indices = graph.integers([0], "indices")
        sides = [*shape[:axis], 1, *shape[axis + 1 :]]
    _moved(graph, operator, [x, indices], sides, schema.GatherOptions(axis))


@step("GATHER_ND", "SCATTER_ND")
def by_rows(graph: Graph, operator: str) -> None:
    """Rows taken from, or brought to, places that are constant."""
    x = graph.any()
    shape = graph.shape(x)
    count = shape[0]
    if operator == "GATHER_ND":
        places = graph.rng.integers(0, count, (graph.number(1, 4), 1))
        _moved(graph, operator, [x, graph.integers(places, "indices")], [len(places), *shape[1:]])
        return
    rows = count + graph.number(0, 3)
    indices = graph.integers(graph.rng.permutation(rows)[:count].reshape(count, 1), "indices")
    sides = [rows, *shape[1:]]
    _moved(graph, operator, [indices, x, graph.integers(sides, "shape")], sides)


@step("PACK", "CONCATENATION")
def joined(graph: Graph, operator: str) -> None:
    """Several tensors as one: others, constants, the same one twice."""
    x = graph.any()
    shape = list(graph.shape(x))
    axis = _axis(graph, shape)
    parts = [x]
    for _ in range(graph.number(0, 2)):
        alike = [y for y in graph.pool if graph.type(y) == FLOAT32 and _joins(graph, operator, y, shape, axis)]
        constant = graph.chance(3)
        parts.append(graph.weights(shape, "constant", axis=-1) if constant else graph.pick(alike[::-1]))
    if graph.chance(3):
        parts.reverse()
    if sum(int(np.prod(graph.shape(y))) for y in parts) > MOST_ELEMENTS:
        parts = [x]
    if operator == "PACK":
        axis = graph.number(0, len(shape))
        sides = [*shape[:axis], len(parts), *shape[axis:]]
        _moved(graph, operator, parts, sides, schema.PackOptions(len(parts), axis))
        return
    sides = [*shape[:axis], sum(graph.shape(y)[axis] for y in parts), *shape[axis + 1 :]]
    given = axis - len(shape) if graph.chance(3) else axis
    _moved(graph, operator, parts, sides, schema.ConcatenationOptions(given))


def _joins(graph: Graph, operator: str, y: int, shape: Sequence[int], axis: int) -> bool:
    other = list(graph.shape(y))
    if operator == "CONCATENATION" and len(other) == len(shape):
        other[axis] = shape[axis]
    return other == list(shape)


@step("SPLIT", "SPLIT_V", "UNPACK")
def divided(graph: Graph, operator: str) -> None:
    """One tensor as several."""
    x = graph.any()
    shape = list(graph.shape(x))
    axis = max(range(len(shape)), key=lambda i: (shape[i] % 2 == 0, shape[i])) if graph.chance(2) else len(shape) - 1
    count = shape[axis]
    bound = graph.bounds[x]
    if operator == "UNPACK":
        if count > 6:
            axis = min(range(len(shape)), key=lambda i: shape[i])
            count = shape[axis]
        parts = [[*shape[:axis], *shape[axis + 1 :]]] * min(count, 6)
        if count > 6:
            return
        graph.add(operator, [x], *parts, options=schema.UnpackOptions(count, axis), bound=bound)
        return
    pieces = next((n for n in (2, 3) if count % n == 0), 1)
    sizes = [count // pieces] * pieces
    place = graph.integers(axis, "axis")
    if operator == "SPLIT_V" and count > 1 and graph.chance(2):
        sizes = [1, count - 1]
    parts = [[*shape[:axis], n, *shape[axis + 1 :]] for n in sizes]
    if operator == "SPLIT":
        graph.add(operator, [place, x], *parts, options=schema.SplitOptions(pieces), bound=bound)
    else:
        lengths = graph.integers(sizes, "sizes")
        graph.add(operator, [x, lengths, place], *parts, options=schema.SplitVOptions(len(sizes)), bound=bound)


@step("SPACE_TO_DEPTH", "DEPTH_TO_SPACE")
def space_and_depth(graph: Graph, operator: str) -> None:
    """Blocks of an image as channels, and back."""
    if operator == "SPACE_TO_DEPTH":
        x = graph.image(even=True)
        batch, height, width, depth = graph.shape(x)
        sides = (batch, height // 2, width // 2, depth * 4)
        _moved(graph, operator, [x], sides, schema.SpaceToDepthOptions(2))
    else:
        x = graph.image(depth=4)
        batch, height, width, depth = graph.shape(x)
        sides = (batch, height * 2, width * 2, depth // 4)
        _moved(graph, operator, [x], sides, schema.DepthToSpaceOptions(2))


@step("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND")
def space_and_batch(graph: Graph, operator: str) -> None:
    """Blocks of an image as more images, and now and then back again."""
    x = graph.image()
    batch, height, width, depth = graph.shape(x)
    block = [graph.pick([2, 1]), graph.pick([2, 1])]
    paddings = [[0, -height % block[0]], [0, -width % block[1]]]
    padded = height + paddings[0][1], width + paddings[1][1]
    sides = (batch * block[0] * block[1], padded[0] // block[0], padded[1] // block[1], depth)
    there = _moved(
        graph, "SPACE_TO_BATCH_ND", [x, graph.integers(block, "block"), graph.integers(paddings, "paddings")], sides
    )
    if operator == "BATCH_TO_SPACE_ND":
        inputs = [there, graph.integers(block, "block"), graph.integers(paddings, "crops")]
        _moved(graph, operator, inputs, (batch, height, width, depth))


@step("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")
def resized(graph: Graph, operator: str) -> None:
    """An image in another size."""
    x = graph.image()
    batch, height, width, depth = graph.shape(x)
    size = [graph.pick([2 * height, height, 3]), graph.pick([2 * width, 5, 1])]
    if batch * size[0] * size[1] * depth > MOST_ELEMENTS:
        size = [1, 2]
    align, half_pixel = graph.pick([(False, False), (True, False), (False, True)])
    options = (
        schema.ResizeBilinearOptions(align_corners=align, half_pixel_centers=half_pixel)
        if operator == "RESIZE_BILINEAR"
        else schema.ResizeNearestNeighborOptions(align, half_pixel)
    )
    _moved(graph, operator, [x, graph.integers(size, "size")], (batch, *size, depth), options)


@step("REVERSE_V2", "REVERSE_SEQUENCE")
def reversed_(graph: Graph, operator: str) -> None:
    """An axis backwards, or the beginning of it."""
    x = graph.floats(lambda shape: len(shape) >= 2, lambda: graph.sides(graph.number(2, 3)))
    shape = graph.shape(x)
    if operator == "REVERSE_V2":
        _moved(graph, operator, [x, graph.integers([_axis(graph, shape)], "axis")], shape)
        return
    lengths = graph.rng.integers(1, shape[1], shape[0], endpoint=True)
    options = schema.ReverseSequenceOptions(1, 0)
    _moved(graph, operator, [x, graph.integers(lengths, "lengths")], shape, options)


@step("DYNAMIC_UPDATE_SLICE")
def updated(graph: Graph, operator: str) -> None:
    """Part of a tensor replaced by a constant or another tensor."""
    x = graph.any()
    shape = graph.shape(x)
    sides = [graph.number(1, n) for n in shape]
    alike = [y for y in graph.pool if graph.type(y) == FLOAT32 and len(graph.shape(y)) == len(shape)]
    alike = [y for y in alike if all(m <= n for m, n in zip(graph.shape(y), shape))]
    update = graph.pick(alike) if graph.chance(2) else graph.weights(sides, "update", axis=-1)
    begins = [graph.number(0, n - m) for n, m in zip(shape, graph.shape(update))]
    _moved(graph, operator, [x, update, graph.integers(begins, "begin")], shape)


@step("MATRIX_DIAG", "MATRIX_SET_DIAG")
def diagonal(graph: Graph, operator: str) -> None:
    """Rows as diagonals, of new matrices or of those that are there."""
    if operator == "MATRIX_DIAG":
        x = graph.floats(lambda s: 1 <= len(s) <= 3 and s[-1] <= 8, lambda: graph.sides(2))
        shape = graph.shape(x)
        _moved(graph, operator, [x], (*shape, shape[-1]))
        return
    x = graph.floats(lambda s: len(s) >= 2, lambda: graph.sides(3))
    shape = graph.shape(x)
    sides = (*shape[:-2], min(shape[-2:]))
    _moved(graph, operator, [x, graph.weights(sides, "diagonal", axis=-1)], shape)


@step("FILL")
def filled(graph: Graph, operator: str) -> None:
    """One number many times: the mean of something."""
    x = graph.any()
    axes = graph.integers(list(range(len(graph.shape(x)))), "axes")
    mean = graph.add("MEAN", [x, axes], (), options=schema.ReducerOptions(False), bound=graph.bounds[x])
    sides = graph.sides(graph.number(1, 3))
    _moved(graph, operator, [graph.integers(sides, "shape"), mean], sides)


@step("ONE_HOT")
def one_hot(graph: Graph, operator: str) -> None:
    """Integers as rows with one number that is another."""
    count = graph.number(2, 5)
    indices = graph.indices(count)
    on, off = (graph.scalar(graph.pick(values), "value") for values in ([1.0, 3.5], [0.0, -1.0]))
    inputs = [indices, graph.integers(count, "depth"), on, off]
    _moved(graph, operator, inputs, (*graph.shape(indices), count), schema.OneHotOptions(-1))


@step("SPARSE_TO_DENSE")
def dense(graph: Graph, operator: str) -> None:
    """A vector brought to places that are constant."""
    x = graph.floats(lambda shape: len(shape) == 1 and shape[0] <= 8, lambda: (graph.number(1, 4),))
    count = graph.shape(x)[0]
    size = count + graph.number(0, 4)
    places = np.sort(graph.rng.permutation(size)[:count])
    default = graph.scalar(graph.pick([0.0, 2.5]), "default")
    inputs = [graph.integers(places, "indices"), graph.integers([size], "shape"), x, default]
    _moved(graph, operator, inputs, (size,), schema.SparseToDenseOptions(True))
