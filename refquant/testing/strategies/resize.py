"""Images in another size."""

from __future__ import annotations

from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from refquant.testing.build import TensorSpec, single_operator_model
from refquant.testing.strategies.catalogue import Case, strategy
from refquant.testing.strategies.drawing import QUANTIZED, constant_or_input, generators, numbers, quantized
from refquant.tflite.schema import ResizeBilinearOptions, ResizeNearestNeighborOptions, TensorType

FLOAT32 = TensorType.FLOAT32

_sides = st.integers(1, 6) | st.integers(1, 60)


@strategy(["RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"], [FLOAT32, *QUANTIZED])
def resize(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Images of up to 60 x 60 pixels, smaller or larger, positions counted in any way, the size a constant or not.

    Batch and channels may be empty. The image may have another size than the model says.
    """
    nearest = operator == "RESIZE_NEAREST_NEIGHBOR"
    size = [draw(_sides), draw(_sides)]
    shape = [draw(st.integers(1, 2)), draw(_sides), draw(_sides), draw(st.integers(1, 3))]
    if draw(st.integers(0, 9)) == 9:
        shape[draw(st.sampled_from([0, 3]))] = 0
    if nearest and draw(st.integers(0, 19)) == 19:
        size[0] = 0
    table = ResizeNearestNeighborOptions if nearest else ResizeBilinearOptions
    options = table(align_corners=draw(st.booleans()), half_pixel_centers=draw(st.booleans()))
    # Python cannot read an output whose shape was unknown and that has no elements
    new, given = constant_or_input(draw, TensorType.INT32, size)
    assume(not given or 0 not in [*size, *shape])
    if not nearest:
        assume(given or not (options.align_corners and options.half_pixel_centers))  # a constant size is refused then
        assume(all(_fits(old, new, options, type) for old, new in zip(shape[1:3], size)))
    x = TensorSpec(FLOAT32) if type == FLOAT32 else draw(quantized(type))
    y = TensorSpec(type, (), x.scale, x.zero_point)
    x.shape = [n if draw(st.integers(0, 4)) < 4 else 1 for n in shape]
    model = single_operator_model(operator, [x, new], [y], options)
    return Case(model, [[numbers(draw(generators), type, shape), *given]])


def _fits(old: int, new: int, options: Any, type: TensorType) -> bool:
    """False where the last position lies beyond the last pixel: the real kernels read whatever is there."""
    if type not in (TensorType.INT8, TensorType.INT16):
        return not (options.align_corners and options.half_pixel_centers) or new == 1 or new >= old
    steps, pixels = (new - 1, old - 1) if options.align_corners and new > 1 else (new, old)
    scale = (1024 * pixels + steps // 2) // steps
    offset = scale // 2 - 512 if options.half_pixel_centers else 0
    return (new - 1) * scale + offset < 1024 * old
