"""Images in another size: RESIZE_BILINEAR, RESIZE_NEAREST_NEIGHBOR."""

from __future__ import annotations

import numpy as np

from refquant.kernels.registry import Array, Operator, Run, Shape, TensorInfo, kernel
from refquant.tflite.schema import TensorType

_SCALE = 1 << 10  # fixed-point positions have ten bits behind the point


def _sizes(op: Operator) -> tuple[TensorInfo, tuple[int, int] | None]:
    """The image and the new height and width, None where they are only known at run time."""
    x, size, out = op.input(0), op.input(1), op.output()
    if len(x.dims) != 4 or size.type != TensorType.INT32 or size.dims != (2,) or x.type != out.type:
        raise op.invalid(f"wants an image of 4 dimensions and 2 int32 sizes, got {x.dims} and {size.dims}")
    if op.options.align_corners and op.options.half_pixel_centers:
        raise op.invalid("align_corners and half_pixel_centers exclude each other")
    if 0 in x.dims[1:3]:
        raise op.invalid(f"an image of shape {x.dims} has no pixel to take")
    out.shape = None
    if size.value is None:
        return x, None
    height, width = _checked(op, size.value)
    out.shape = (x.dims[0], height, width, x.dims[3])
    return x, (height, width)


def _checked(op: Operator, size: Array) -> tuple[int, int]:
    height, width = (int(n) for n in size)
    if height <= 0 or width <= 0:
        raise op.invalid(f"a size of {height} x {width}")
    return height, width


@kernel("RESIZE_BILINEAR")
def resize_bilinear(op: Operator) -> Run:
    """Each output pixel lies between four input pixels, weighted by how near they are.

    float32 and uint8: positions and weights in float32, four products of pixel, row weight and column weight, added
    in that order; uint8 adds a half and drops the fraction. int8 and int16: positions with ten bits behind the point,
    products with twenty, halves away from zero. Source: internal/reference/resize_bilinear.h.
    """
    x, size = _sizes(op)
    if x.type in (TensorType.FLOAT32, TensorType.UINT8):
        make = _bilinear_float
    elif x.type in (TensorType.INT8, TensorType.INT16):
        make = _bilinear_integer
    else:
        raise op.unsupported()
    if size is None:
        return lambda x, size: make(op, x.shape, _checked(op, size))(x)
    run = make(op, x.dims, size)
    return lambda x, _: run(x)


def _bilinear_float(op: Operator, dims: Shape, size: tuple[int, int]) -> Run:
    f = np.float32

    def positions(old: int, new: int) -> tuple[Array, Array, Array]:
        scale = f(old) / f(new)
        if op.options.align_corners and new > 1:
            scale = f(old - 1) / f(new - 1)
        place = np.arange(new).astype(f)
        place = (place + f(0.5)) * scale - f(0.5) if op.options.half_pixel_centers else place * scale
        low = np.maximum(np.floor(place).astype(np.int64), 0)
        return low, np.minimum(np.ceil(place).astype(np.int64), old - 1), place - low.astype(f)

    y0, y1, dy = positions(dims[1], size[0])
    x0, x1, dx = positions(dims[2], size[1])
    dy, dx = dy[:, None, None], dx[:, None]
    rounding = f(0) if op.output().dtype.kind == "f" else f(0.5)

    def run(x: Array) -> Array:
        result: Array = x[:, y0][:, :, x0] * (f(1) - dy) * (f(1) - dx)
        result += x[:, y1][:, :, x0] * dy * (f(1) - dx)
        result += x[:, y0][:, :, x1] * (f(1) - dy) * dx
        result += x[:, y1][:, :, x1] * dy * dx
        return (result + rounding).astype(x.dtype)

    return run


def _bilinear_integer(op: Operator, dims: Shape, size: tuple[int, int]) -> Run:
    def positions(old: int, new: int) -> tuple[Array, Array, Array]:
        scale = (_SCALE * old + new // 2) // new
        if op.options.align_corners and new > 1:
            scale = (_SCALE * (old - 1) + (new - 1) // 2) // (new - 1)
        place = np.arange(new) * scale
        if op.options.half_pixel_centers:
            place = place + scale // 2 - _SCALE // 2
        low = np.maximum(_divide(place, _SCALE), 0)
        return low, np.minimum(_divide(place + _SCALE - 1, _SCALE), old - 1), place - _SCALE * low

    y0, y1, dy = positions(dims[1], size[0])
    x0, x1, dx = positions(dims[2], size[1])
    dy, dx = dy[:, None, None], dx[:, None]

    def run(x: Array) -> Array:
        wide = x.astype(np.int64)
        total = wide[:, y0][:, :, x0] * ((_SCALE - dy) * (_SCALE - dx))
        total += wide[:, y1][:, :, x0] * (dy * (_SCALE - dx))
        total += wide[:, y0][:, :, x1] * ((_SCALE - dy) * dx)
        total += wide[:, y1][:, :, x1] * (dy * dx)
        half = _SCALE**2 // 2
        return _divide(total + np.where(total > 0, half, -half), _SCALE**2).astype(x.dtype)

    return run


def _divide(a: Array, b: int) -> Array:
    """a / b towards zero, as C divides."""
    return np.where(a < 0, -(-a // b), a // b)


@kernel("RESIZE_NEAREST_NEIGHBOR")
def resize_nearest_neighbor(op: Operator) -> Run:
    """Each output pixel is an input pixel: the one below its position, or the nearest with align_corners.

    Positions are float32. Source: internal/reference/resize_nearest_neighbor.h.
    """
    x, size = _sizes(op)
    f = np.float32

    def indices(old: int, new: int) -> Array:
        aligned = op.options.align_corners and new > 1
        scale = f(old - 1) / f(new - 1) if aligned else f(old) / f(new)
        offset = f(0.5) if op.options.half_pixel_centers else f(0)
        place = (np.arange(new).astype(f) + offset) * scale
        if op.options.align_corners:
            whole = np.trunc(place)
            place = whole + np.trunc(2 * (place - whole))
        chosen = np.minimum(np.floor(place).astype(np.int64), old - 1)
        return np.maximum(chosen, 0) if op.options.half_pixel_centers else chosen

    if size is None:

        def run(x: Array, size: Array) -> Array:
            height, width = _checked(op, size)
            return x[:, indices(x.shape[1], height)][:, :, indices(x.shape[2], width)]

        return run
    rows, columns = indices(x.dims[1], size[0]), indices(x.dims[2], size[1])
    return lambda x, _: x[:, rows][:, :, columns]
