"""Images in another size: RESIZE_BILINEAR, RESIZE_NEAREST_NEIGHBOR."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from refquant.kernels.registry import Array, Operator, Run, Shape, kernel
from refquant.numerics.steps import is_heard, noted, told_of_part
from refquant.tflite.schema import TensorType

_TYPES = (TensorType.FLOAT32, TensorType.INT8, TensorType.UINT8, TensorType.INT16)
Line = tuple[Array, Array, Array]
_SCALE = 1 << 10  # fixed-point positions have ten bits behind the point
_BLOCK = 1 << 15  # numbers that are worked on at a time, so that they stay in the cache


def planned_resize(op: Operator, make: Callable[[Shape, tuple[int, int]], Run]) -> Run:
    """Checks image and size, and plans with `make`, from the shape of the image and the new size, when both are known.

    Sets the shape of the output, None where the size is only known at run time.
    """
    x, size, out = op.input(0), op.input(1), op.output()
    if len(x.dims) != 4 or size.type != TensorType.INT32 or size.dims != (2,) or x.type != out.type:
        raise op.invalid(f"wants an image of 4 dimensions and 2 int32 sizes, got {x.dims} and {size.dims}")
    if x.type not in _TYPES:
        raise op.unsupported()

    def checked(size: Array) -> tuple[int, int]:
        height, width = (int(n) for n in size)
        if min(height, width) < 0 or (0 in (height, width) and op.name == "RESIZE_BILINEAR"):
            raise op.invalid(f"a size of {height} x {width}")
        if 0 in x.dims[1:3] and height and width:
            raise op.invalid(f"an image of shape {x.dims} has no pixel to take")
        if x.dims[0] * height * width * x.dims[3] >= 2**31:
            raise op.invalid(f"a size of {height} x {width} is too large")
        return height, width

    if size.value is None:
        out.shape = None
        return lambda x, size: make(x.shape, checked(size))(x)
    height, width = checked(size.value)
    out.shape = (x.dims[0], height, width, x.dims[3])
    run = make(x.dims, (height, width))
    return lambda x, _: run(x)


@kernel(
    "RESIZE_BILINEAR",
    flaw="where int8 and int16 images become far larger (1 pixel to 70, for example), a position can be rounded to one "
    "beyond the last pixel, and tensorflow 2.21.0 reads memory that is not the image's; refquant refuses",
)
def resize_bilinear(op: Operator) -> Run:
    """Each output pixel lies between four input pixels, weighted by how near they are.

    float32 and uint8: positions and weights in float32, four products of pixel, row weight and column weight, added
    in that order; uint8 adds a half and drops the fraction. int8 and int16: positions with ten bits behind the point,
    products with twenty, halves away from zero. Source: internal/reference/resize_bilinear.h.
    """
    align_corners, half_pixel_centers = flags_of(op)
    if align_corners and half_pixel_centers and op.input(1).value is not None:
        raise op.invalid("align_corners and half_pixel_centers exclude each other where the size is a constant")
    make = _bilinear_integer if op.input(0).type in (TensorType.INT8, TensorType.INT16) else _bilinear_float
    return planned_resize(op, lambda dims, size: make(op, dims, size))


@kernel("RESIZE_BILINEAR", profile="optimized")
def optimized_resize_bilinear(op: Operator) -> Run:
    """As RESIZE_BILINEAR, float32 and uint8 with the products of row and column weight taken first.

    float32 twice as large, with neither flag: means of two and of four pixels. uint8 eight times as large has a kernel
    of its own, whose integers are those of float32 all the same. Source: internal/optimized/resize_bilinear.h.
    """
    if op.input(0).type not in (TensorType.FLOAT32, TensorType.UINT8):
        return resize_bilinear(op)
    resize_bilinear(op)
    return planned_resize(op, lambda dims, size: _bilinear_optimized(op, dims, size))


def flags_of(op: Operator) -> tuple[bool, bool]:
    """align_corners and half_pixel_centers, both false where options are missing."""
    return (False, False) if op.options is None else (op.options.align_corners, op.options.half_pixel_centers)


def _bilinear_float(op: Operator, dims: Shape, size: tuple[int, int]) -> Run:
    f = np.float32
    (y0, y1, dy), (x0, x1, dx) = _positions(op, dims, size)
    channels = dims[3]
    left, right = np.repeat(f(1) - dx, channels), np.repeat(dx, channels)
    rounding = f(0) if op.output().dtype.kind == "f" else f(0.5)

    def between(image: Array, rows: slice) -> Array:
        above = image[y0[rows]].astype(f) * (f(1) - dy[rows])
        below = image[y1[rows]].astype(f) * dy[rows]
        total = _columns(above, x0)
        total *= left
        for lines, columns, weights in ((below, x0, left), (above, x1, right), (below, x1, right)):
            part = _columns(lines, columns)
            part *= weights
            total += part
        if is_heard():
            for name, pixels in (("above", y0), ("below", y1)):
                for side, places in (("left", x0), ("right", x1)):
                    noted(f"pixel {name} on the {side}", _columns(image[pixels[rows]], places))
            noted("weight of the row below", np.repeat(dy[rows].ravel(), right.size))
            noted("weight on the right", np.tile(right, len(total)))
            noted("sum of weighted pixels", total.copy())
        total += rounding
        return total

    return _in_blocks(dims, size, between)


def _in_blocks(dims: Shape, size: tuple[int, int], between: Callable[[Array, slice], Array]) -> Run:
    """Image by image, some rows of the output at a time: `between` gives them, pixels and channels in one axis."""
    step = max(1, _BLOCK // max(1, size[1] * dims[3]))

    def run(x: Array) -> Array:
        y = np.empty((dims[0], size[0], size[1] * dims[3]), x.dtype)
        for number, (image, resized) in enumerate(zip(x, y)):
            for start in range(0, size[0], step):
                rows = slice(start, start + step)
                first, width = number * size[0] + start, size[1] * dims[3]
                with told_of_part(y.shape, slice(first * width, (first + len(resized[rows])) * width)):
                    np.copyto(resized[rows], between(image, rows), casting="unsafe")
                    noted("cut off to the output's type", resized[rows])
        return y.reshape(dims[0], *size, dims[3])

    return run


def _columns(lines: Array, places: Array) -> Array:
    """These pixels of each line [lines, pixels, channels], pixels and channels in one axis."""
    return lines.take(places, axis=1).reshape(len(lines), -1)


def _bilinear_optimized(op: Operator, dims: Shape, size: tuple[int, int]) -> Run:
    f, dtype = np.float32, op.output().dtype
    if dtype == f and size == (2 * dims[1], 2 * dims[2]) and flags_of(op) == (False, False):
        return _doubled
    (y0, y1, dy), (x0, x1, dx) = _positions(op, dims, size)
    dx = dx[:, None]
    weights: tuple[Array, ...] = ((f(1) - dy) * (f(1) - dx), (f(1) - dy) * dx, dy * (f(1) - dx), dy * dx)

    def run(x: Array) -> Array:
        above, below = (x.take(y, axis=1).astype(f, copy=False) for y in (y0, y1))
        pixels = (image.take(columns, axis=2) for image in (above, below) for columns in (x0, x1))
        result = np.zeros((x.shape[0], *size, x.shape[3]), f)
        for place, image, weight in zip(("above left", "above right", "below left", "below right"), pixels, weights):
            noted(f"pixel {place}", image), noted(f"weight {place}", weight)
            result += image * weight
        noted("sum of weighted pixels", result)
        return result if dtype == f else noted("a half added, cut off", (result + f(0.5)).astype(dtype))

    return run


def _doubled(x: Array) -> Array:
    """Each pixel, and between it and the next ones their means; the last has itself as the next one."""
    half = np.float32(0.5)
    right = np.concatenate([x[:, :, 1:], x[:, :, -1:]], axis=2)
    below, across = (np.concatenate([image[:, 1:], image[:, -1:]], axis=1) for image in (x, right))
    result = np.empty((x.shape[0], 2 * x.shape[1], 2 * x.shape[2], x.shape[3]), np.float32)
    result[:, ::2, ::2] = x
    result[:, ::2, 1::2] = (x + right) * half
    result[:, 1::2, ::2] = between = (x + below) * half
    result[:, 1::2, 1::2] = (between + (right + across) * half) * half
    return result


def _positions(op: Operator, dims: Shape, size: tuple[int, int]) -> tuple[Line, Line]:
    """Along each axis the pixels below and above each position, and how far it is from the one below, in float32."""
    f = np.float32
    align_corners, half_pixel_centers = flags_of(op)

    def positions(old: int, new: int) -> tuple[Array, Array, Array]:
        scale = f(old) / f(new)
        if align_corners and new > 1:
            scale = f(old - 1) / f(new - 1)
        place = np.arange(new).astype(f)
        place = (place + f(0.5)) * scale - f(0.5) if half_pixel_centers else place * scale
        low = _inside(op, np.maximum(np.floor(place).astype(np.int64), 0), old)
        return low, np.minimum(np.ceil(place).astype(np.int64), old - 1), place - low.astype(f)

    (y0, y1, dy), (x0, x1, dx) = positions(dims[1], size[0]), positions(dims[2], size[1])
    return (y0, y1, dy[:, None, None]), (x0, x1, dx)


def _bilinear_integer(op: Operator, dims: Shape, size: tuple[int, int]) -> Run:
    align_corners, half_pixel_centers = flags_of(op)

    def positions(old: int, new: int) -> tuple[Array, Array, Array]:
        scale = (_SCALE * old + new // 2) // new
        if align_corners and new > 1:
            scale = (_SCALE * (old - 1) + (new - 1) // 2) // (new - 1)
        place = np.arange(new) * scale
        if half_pixel_centers:
            place = place + scale // 2 - _SCALE // 2
        low = _inside(op, np.maximum(_divide(place, _SCALE), 0), old)
        return low, np.minimum(_divide(place + _SCALE - 1, _SCALE), old - 1), place - _SCALE * low

    y0, y1, dy = positions(dims[1], size[0])
    x0, x1, dx = positions(dims[2], size[1])
    dy = dy[:, None, None]
    left, right = (np.repeat(weights, dims[3]).astype(np.float64) for weights in (_SCALE - dx, dx))

    def between(image: Array, rows: slice) -> Array:
        """In float64, which holds all sums exactly."""
        lines = image[y0[rows]] * (_SCALE - dy[rows]).astype(np.float64) + image[y1[rows]] * dy[rows].astype(np.float64)
        if is_heard():
            for name, pixels, weights in (("above", y0, _SCALE - dy), ("below", y1, dy)):
                noted(f"weight of the row {name}, in 1/1024", np.repeat(weights[rows].ravel(), left.size))
                for side, columns in (("left", x0), ("right", x1)):
                    noted(f"pixel {name} on the {side}", _columns(image[pixels[rows]], columns))
            noted("weight on the right, in 1/1024", np.tile(right, len(lines)))
        total = _columns(lines, x0)
        total *= left
        part = _columns(lines, x1)
        part *= right
        total += part
        if is_heard():
            noted("sum of weighted pixels", total.copy())
        total /= _SCALE**2
        if is_heard():
            noted("over 1024 * 1024", total.copy())
        total += np.copysign(0.5, total)
        return total

    return _in_blocks(dims, size, between)


def _inside(op: Operator, pixels: Array, size: int) -> Array:
    """The pixels, after it is checked that there are so many."""
    if pixels.max() >= size:
        raise op.invalid(f"position {pixels.max()} lies beyond the image's {size} pixels")
    return pixels


def _divide(a: Array, b: int) -> Array:
    """a / b towards zero, as C divides."""
    return np.where(a < 0, -(-a // b), a // b)


@kernel("RESIZE_NEAREST_NEIGHBOR")
def resize_nearest_neighbor(op: Operator) -> Run:
    """Each output pixel is an input pixel: the one below its position, or the nearest with align_corners.

    With half_pixel_centers positions are half a pixel further, also with both. They are float32.
    Source: internal/reference/resize_nearest_neighbor.h.
    """
    f = np.float32
    align_corners, half_pixel_centers = flags_of(op)

    def indices(old: int, new: int) -> Array:
        aligned = align_corners and new > 1
        scale = f(old - 1) / f(new - 1) if aligned else f(old) / f(new)
        offset = f(0.5) if half_pixel_centers else f(0)
        place = (np.arange(new).astype(f) + offset) * scale
        if align_corners:
            whole = np.trunc(place)
            place = whole + np.trunc(2 * (place - whole))
        chosen = np.minimum(np.floor(place).astype(np.int64), old - 1)
        return np.maximum(chosen, 0) if half_pixel_centers else chosen

    def make(dims: Shape, size: tuple[int, int]) -> Run:
        if 0 in size:
            return lambda x: np.empty((dims[0], *size, dims[3]), x.dtype)
        rows, columns = indices(dims[1], size[0]), indices(dims[2], size[1])
        return lambda x: x[:, rows][:, :, columns]

    return planned_resize(op, make)
