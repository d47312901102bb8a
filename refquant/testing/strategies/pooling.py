"""One number from each window of an image: pools."""

from __future__ import annotations

from hypothesis import assume
from hypothesis import strategies as st

from refquant.testing.build import TensorSpec, single_operator_model
from refquant.testing.strategies.catalogue import Case, strategy
from refquant.testing.strategies.drawing import QUANTIZED, activations, generators, numbers, scales, zero_points
from refquant.tflite.schema import Padding, Pool2DOptions, TensorType

FLOAT32 = TensorType.FLOAT32


@strategy(["AVERAGE_POOL_2D", "MAX_POOL_2D"], [FLOAT32, *QUANTIZED])
@strategy("L2_POOL_2D", [FLOAT32])
def pool(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Any padding, strides of up to 5, windows of up to 15 x 15 and fused activation, on images of up to 11 x 11.

    Images may be empty. Input and output share a scale and zero point, or have none. An image whose size the model does
    not tell resizes its input.
    """
    options = Pool2DOptions(
        padding=draw(st.sampled_from(Padding)),
        stride_h=draw(st.integers(1, 5)),
        stride_w=draw(st.integers(1, 5)),
        filter_height=draw(st.integers(1, 4) | st.integers(1, 15)),
        filter_width=draw(st.integers(1, 4) | st.integers(1, 15)),
        fused_activation_function=draw(activations),
    )
    shape = [draw(st.integers(1, n)) for n in (2, 11, 11, 6)]
    if draw(st.integers(0, 9)) == 9:
        shape[draw(st.integers(0, 3))] = 0
    if options.padding == Padding.VALID:  # there may be no output, but not less than none
        assume(options.filter_height < shape[1] + 2 * options.stride_h)
        assume(options.filter_width < shape[2] + 2 * options.stride_w)
    said = [draw(st.just(n) | st.integers(1, 9)) for n in shape] if options.padding == Padding.SAME else shape
    x, y = TensorSpec(type, said), TensorSpec(type)
    if type != FLOAT32 and (options.fused_activation_function or draw(st.booleans())):
        x.scale = y.scale = draw(scales)
        x.zero_point = y.zero_point = draw(zero_points(type))
    return Case(single_operator_model(operator, [x], [y], options), [[numbers(draw(generators), type, shape)]])
