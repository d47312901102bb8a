"""The Fourier transform of images and the parts of complex numbers: RFFT2D, REAL, IMAG, COMPLEX_ABS."""

from __future__ import annotations

import math

import numpy as np

from refquant.kernels.registry import MOST_ELEMENTS, Array, Operator, Run, Shape, kernel
from refquant.numerics.hypotenuse import hypotenuse
from refquant.numerics.split_radix import complex_transform, packed_real_transform
from refquant.tflite.schema import TensorType

_PARTS = {TensorType.COMPLEX64: TensorType.FLOAT32, TensorType.COMPLEX128: TensorType.FLOAT64}


@kernel("RFFT2D")
def rfft2d(op: Operator) -> Run:
    """The transform of real images, cut or filled with zeros to `fft_length`: frequencies 0 to width/2 of each row.

    In float64 (see `refquant.numerics.split_radix`), rows first, then columns; rounded to float32 at the end. The sign
    of the imaginary parts is that of exp(-2 pi i j k / n). Source: kernels/rfft2d.cc.
    """
    x, length, out = op.input(0), op.input(1), op.output()
    if (x.type, length.type, out.type) != (TensorType.FLOAT32, TensorType.INT32, TensorType.COMPLEX64):
        raise op.unsupported()
    if len(x.dims) < 2 or length.dims != (2,):
        raise op.invalid(f"an image of shape {x.dims} and a length of shape {length.dims}, expected (…, h, w) and (2,)")

    def shape_for(length: Array) -> Shape:
        height, width = (int(n) for n in length)
        if height < 1 or width < 2 or height & (height - 1) or width & (width - 1):
            raise op.invalid(f"the lengths {height} and {width} must be powers of two, the second 2 or more")
        shape = (*x.dims[:-2], height, width // 2 + 1)
        if math.prod(shape) >= MOST_ELEMENTS or height * width >= MOST_ELEMENTS:
            raise op.invalid(f"an output of shape {shape} is too large")
        return shape

    def run(x: Array, length: Array) -> Array:
        shape = shape_for(length)
        height, width = (int(n) for n in length)
        image = np.zeros((*shape[:-2], height, width))
        rows, columns = min(height, x.shape[-2]), min(width, x.shape[-1])
        image[..., :rows, :columns] = x[..., :rows, :columns]
        re, im = packed_real_transform(image)
        re, im = (np.swapaxes(part, -1, -2) for part in (re, im))  # columns last
        re, im = (np.swapaxes(part, -1, -2) for part in complex_transform((re, im)))
        result = np.empty(shape, np.complex64)
        result.real[..., :-1], result.imag[..., :-1] = re, -im
        _take_apart(result, re[..., 0], im[..., 0])
        return result

    out.shape = None if length.value is None else shape_for(length.value)
    return run


def _take_apart(result: Array, re: Array, im: Array) -> None:
    """The first and the last column, from the transform of one as real part and the other as imaginary part."""
    height = re.shape[-1]
    half = height // 2
    first, last = result[..., 0], result[..., -1]
    i = np.arange(1, half)
    j = height - i
    real_odd = 0.5 * (re[..., i] - re[..., j])
    imaginary_even = 0.5 * (im[..., i] + im[..., j])
    real_even, imaginary_odd = re[..., i] - real_odd, im[..., i] - imaginary_even
    for rows, sign in ((i, 1), (j, -1)):
        first.real[..., rows], first.imag[..., rows] = real_even, -(sign * imaginary_odd)
        last.real[..., rows], last.imag[..., rows] = imaginary_even, sign * real_odd
    for row in {0, half}:
        first.real[..., row], first.imag[..., row] = re[..., row], -0.0
        last.real[..., row], last.imag[..., row] = im[..., row], -0.0


@kernel("REAL")
def real(op: Operator) -> Run:
    """The real parts. Source: kernels/complex_support.cc."""
    _check_parts(op)
    return lambda x: x.real.copy()


@kernel("IMAG")
def imag(op: Operator) -> Run:
    """The imaginary parts. Source: kernels/complex_support.cc."""
    _check_parts(op)
    return lambda x: x.imag.copy()


@kernel("COMPLEX_ABS")
def complex_abs(op: Operator) -> Run:
    """The absolute values, as the C library's hypot. Source: kernels/complex_support.cc."""
    _check_parts(op)
    return lambda x: hypotenuse(x.real, x.imag)


def _check_parts(op: Operator) -> None:
    x, out = op.input(0), op.output()
    if x.type not in _PARTS or out.type != _PARTS[x.type]:
        raise op.unsupported()
    out.shape = x.shape
