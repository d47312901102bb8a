"""Where a sliding window lies: the geometry that convolutions and pools share.

Along one axis, output o looks with tap t at input o * stride - before + t * dilation; what falls outside the image is
skipped. Source: ComputeOutSize and ComputePaddingWithOffset in kernels/padding.h.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

from refquant.kernels.registry import Operator
from refquant.tflite.schema import Padding

INT32_MAX = 2**31 - 1

Slices = tuple[slice, ...]


@dataclass(frozen=True, slots=True)
class Axis:
    """A window of `filter` taps moving along `size` inputs to `out` places, the first at input `-before`."""

    size: int
    filter: int
    stride: int
    dilation: int
    before: int
    out: int

    def overlap(self, tap: int, begin: int = 0, end: int | None = None) -> tuple[slice, slice]:
        """Of the outputs begin..end those whose `tap` lies inside the image, and the inputs that it meets there.

        The slice of outputs counts from `begin`.

        >>> Axis(size=5, filter=3, stride=2, dilation=1, before=1, out=3).overlap(0)    # looks at -1, 1, 3
        (slice(1, 3, None), slice(1, 4, 2))
        """
        start = tap * self.dilation - self.before
        first = max(begin, -(start // self.stride))
        last = min((self.out if end is None else end) - 1, (self.size - 1 - start) // self.stride)
        if last < first:
            return slice(0, 0), slice(0, 0)
        inputs = slice(start + first * self.stride, start + last * self.stride + 1, self.stride)
        return slice(first - begin, last + 1 - begin), inputs

    def taps(self) -> range:
        """The taps that meet the image at any output; filters far larger than the image have others.

        >>> Axis(size=2, filter=9, stride=1, dilation=1, before=4, out=2).taps()
        range(3, 6)
        """
        first = max(0, -((self.stride * (self.out - 1) - self.before) // self.dilation))
        last = min(self.filter - 1, (self.size - 1 + self.before) // self.dilation)
        return range(first, last + 1) if self.out > 0 else range(0)

    def without_idle_taps(self) -> Axis:
        """The same window with only the filter's `taps()`; `before` may become negative."""
        taps = self.taps()
        return replace(self, filter=len(taps), before=self.before - taps.start * self.dilation)

    @property
    def after(self) -> int:
        """How far the last window reaches beyond the image (not negative)."""
        reach = (self.out - 1) * self.stride + (self.filter - 1) * self.dilation + 1
        return max(0, reach - self.before - self.size)


def axis(op: Operator, name: str, size: int, filter: int, stride: int, dilation: int, padding: int) -> Axis:
    """The window of `op` along the axis called `name` in messages.

    Raises InvalidModelError for numbers that make no window.
    """
    window = _axis(op, name, size, filter, stride, dilation, padding)
    if window.out < 0:
        raise op.invalid(f"a window of {(filter - 1) * dilation + 1} does not fit into {size} inputs along {name}")
    return window


def transposed_axis(
    op: Operator, name: str, size: int, filter: int, stride: int, dilation: int, padding: int, inputs: int
) -> Axis:
    """The window by which `inputs` meet `size` outputs of a transposed convolution, the image being the output.

    The padding is that of the forward convolution, even if the forward convolution had another number of outputs.
    """
    return replace(_axis(op, name, size, filter, stride, dilation, padding), out=inputs)


def _axis(op: Operator, name: str, size: int, filter: int, stride: int, dilation: int, padding: int) -> Axis:
    for what, number, least in (("filter", filter, 0), ("stride", stride, 1), ("dilation", dilation, 1)):
        if number < least:
            raise op.invalid(f"{what} along {name} is {number}, expected at least {least}")
    reach = (filter - 1) * dilation + 1
    if padding == Padding.SAME:
        out = -(-size // stride)
    elif padding == Padding.VALID:
        steps = size + stride - reach
        out = steps // stride if steps >= 0 else -(-steps // stride)  # towards zero, as C divides
    else:
        raise op.invalid(f"padding {padding} is neither SAME nor VALID")
    if max(size + stride, (out - 1) * stride + reach) > INT32_MAX:
        raise op.invalid(f"window, stride and padding along {name} exceed 32 bits")
    total = max(0, (out - 1) * stride + reach - size)
    return Axis(size, filter, stride, dilation, total // 2, out)


def taps(*axes: Axis, backwards: bool = False) -> Iterator[tuple[tuple[int, ...], Slices, Slices]]:
    """The taps of a window of several axes that meet the image, in the order of the filter (or backwards).

    For each: its place in the filter, the outputs that have it inside the image, and the inputs that they meet.
    """
    met = [[(tap, *axis.overlap(tap)) for tap in axis.taps()] for axis in axes]
    for combination in product(*(reversed(along) if backwards else along for along in met)):
        places, outputs, inputs = zip(*combination)
        yield places, outputs, inputs
