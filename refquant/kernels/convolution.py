"""CONV_2D and DEPTHWISE_CONV_2D.

    y[n, oy, ox, c] = activation(bias[c] + sum over ky, kx, i of x[n, iy, ix, group(c) + i] * w[c, ky, kx, i])
    iy = oy * stride - before + ky * dilation,  ix alike;  taps outside the image are skipped

A convolution whose filters see only x channels / g channels has g groups, each with its own share of the filters. A
depthwise convolution is the extreme case: a group for each channel, with `depth_multiplier` filters that see one
channel. So both are planned by the same code, on weights arranged as [ky, kx, input, group, output].

Quantized, x and w stand for q - zero_point, the sum is an integer, and `requantization` brings it to the scale of y.
The multiplier is input_scale * filter_scale / output_scale in float64, but for uint8 the product of the two scales
is rounded to float32 first. Sources, below kernels: conv.cc, depthwise_conv.cc, internal/reference/conv.h,
internal/reference/depthwiseconv_float.h, …_uint8.h, internal/reference/integer_ops/conv.h, …/depthwise_conv.h, and
PopulateConvolutionQuantizationParams in kernel_util.cc.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np

from refquant.kernels.blocks import Block, for_each
from refquant.kernels.constants import made_once, made_once_of_all
from refquant.kernels.float_convolution import float_in_order
from refquant.kernels.fused_activation import clamp_float
from refquant.kernels.hybrid import flaws
from refquant.kernels.products import largest_magnitude
from refquant.kernels.registry import Array, Operator, Run, TensorInfo, kernel
from refquant.kernels.requantization import Finish, OutputStage, check_bias_scale, check_scales, output_stage
from refquant.kernels.window_sums import ChannelSums, MatrixSums, Windows
from refquant.kernels.windows import Axis, axis
from refquant.numerics.dynamic_range import asymmetric_quantize, symmetric_quantize
from refquant.numerics.fixed_point import Requantize
from refquant.numerics.steps import QUANTIZED, SUM_OF_QUANTIZED, noted
from refquant.tflite.schema import Conv2DOptions, DepthwiseConv2DOptions, TensorType

_FLOAT32, _INT8, _UINT8, _INT16 = TensorType.FLOAT32, TensorType.INT8, TensorType.UINT8, TensorType.INT16
_INT4, _INT32, _INT64 = TensorType.INT4, TensorType.INT32, TensorType.INT64

#: Types of input and filter, and what the kernel takes each element of the filter for: it does not ask for the sign.
_READ_AS: dict[str, dict[tuple[TensorType, TensorType], type[np.generic]]] = {
    "DEPTHWISE_CONV_2D": {
        (_FLOAT32, _FLOAT32): np.float32,
        (_FLOAT32, _INT8): np.int8,
        (_INT8, _INT8): np.int8,
        (_INT8, _INT4): np.int8,
        (_UINT8, _UINT8): np.uint8,
        (_INT16, _INT8): np.int8,
        (_INT16, _UINT8): np.int8,
    }
}
_READ_AS["CONV_2D"] = {
    **_READ_AS["DEPTHWISE_CONV_2D"],
    (_FLOAT32, _UINT8): np.int8,
    (_FLOAT32, _INT4): np.int8,
    (_UINT8, _INT8): np.uint8,
    (_UINT8, _INT4): np.uint8,
    (_INT16, _INT4): np.int8,
}

#: Types of a bias for each type of input.
BIASES = {_FLOAT32: (_FLOAT32,), _INT8: (_INT32,), _UINT8: (_INT32,), _INT16: (_INT32, _INT64)}


@dataclass(eq=False, slots=True)
class Convolution:
    """The facts that both kinds of convolution share once they are checked.

    `window` has all taps of the filter, `rows` and `columns` those that meet the image, which are at `taps`.
    """

    op: Operator
    input: TensorInfo
    filter: TensorInfo
    window: tuple[Axis, Axis]
    rows: Axis
    columns: Axis
    channels: int
    groups: int
    outputs: int
    activation: int
    arrange: Callable[[Array], Array]
    taps: tuple[slice, slice]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the output."""
        return (self.input.dims[0], self.rows.out, self.columns.out, self.outputs)

    def all_taps(self, filter: Array | None) -> Array:
        """The weights, constant or given at run time, as [ky, kx, input, group, output]."""
        given = self.filter.value if self.filter.value is not None else filter
        assert given is not None
        return self.arrange(given.view(_READ_AS[self.op.name][self.input.type, self.filter.type]))

    def arranged(self, filter: Array | None) -> Array:
        """As `all_taps`, without the taps that never meet the image."""
        return self.all_taps(filter)[self.taps]

    def sums(self, w: Array, largest: int, outside: int) -> MatrixSums | ChannelSums:
        """What sums products of integers |x| <= `largest` and arranged weights, x being `outside` around images."""
        windows = Windows(self.input.dims[0], self.rows, self.columns, self.channels, outside, self.op.threads)
        by_channel = self.groups > 1 and self.channels == self.groups
        return (ChannelSums if by_channel else MatrixSums)(windows, w, largest)


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """What computes a convolution: of float32, of integers (told the width of their accumulator), of both."""

    floats: Callable[[Convolution], Run]
    integers: Callable[[Convolution, int], Run]
    hybrid: Callable[[Convolution], Run]


@kernel(
    "CONV_2D",
    flaw="with int16 activations and a bias of 32 bits that quantized_bias_type does not mention, tensorflow 2.21.0 "
    "takes two numbers of the bias for one and reads beyond its end; filters of a wider type than it expects it takes "
    "for bytes; where groups do not divide the outputs it reads beyond the input; refquant refuses",
)
def conv_2d(op: Operator) -> Run:
    """Convolution of x [n, h, w, channels] with filters [outputs, ky, kx, channels / groups]."""
    return planned_conv_2d(op, IN_ORDER)


def planned_conv_2d(op: Operator, sums: Arithmetic) -> Run:
    """CONV_2D whose numbers are those of `sums`."""
    options = op.options
    if not isinstance(options, Conv2DOptions):
        raise op.invalid("has no Conv2DOptions")
    x, w = _image_and_filter(op)
    outputs, height, width, depth = w.dims
    channels = x.dims[3]
    if channels % depth != 0 or outputs % (channels // depth) != 0:
        raise op.invalid(f"filters {w.dims} do not divide {channels} input channels into groups")
    groups = channels // depth

    def arrange(filter: Array) -> Array:
        return filter.reshape(groups, outputs // groups, height, width, depth).transpose(2, 3, 4, 0, 1)

    return _convolution(op, options, x, w, height, width, channels, groups, outputs, arrange, sums)


@kernel(
    "DEPTHWISE_CONV_2D",
    flaw="on int16 activations or int8 filters with float ones, tensorflow 2.21.0 believes depth_multiplier and leaves "
    "outputs unwritten or reads beyond the filters where it is wrong; refquant refuses",
)
def depthwise_conv_2d(op: Operator) -> Run:
    """Convolution of each channel of x [n, h, w, channels] with its own filters [1, ky, kx, channels * multiplier]."""
    return planned_depthwise_conv_2d(op, IN_ORDER)


def planned_depthwise_conv_2d(op: Operator, sums: Arithmetic) -> Run:
    """DEPTHWISE_CONV_2D whose numbers are those of `sums`."""
    options = op.options
    if not isinstance(options, DepthwiseConv2DOptions):
        raise op.invalid("has no DepthwiseConv2DOptions")
    x, w = _image_and_filter(op)
    one, height, width, outputs = w.dims
    channels = x.dims[3]
    if one != 1 or outputs % channels != 0:
        raise op.invalid(f"filters {w.dims} do not fit {channels} input channels")
    believes = x.type == _INT16 or (x.type == _FLOAT32 and w.type == _INT8)  # the other kernels do not look
    if believes and options.depth_multiplier != outputs // channels:
        raise op.invalid(f"depth_multiplier is {options.depth_multiplier}, expected {outputs // channels}")

    def arrange(filter: Array) -> Array:
        return filter.reshape(height, width, 1, channels, outputs // channels)

    return _convolution(op, options, x, w, height, width, channels, channels, outputs, arrange, sums)


def _image_and_filter(op: Operator) -> tuple[TensorInfo, TensorInfo]:
    """The first two inputs, of rank 4, with input channels; other dimensions may be empty."""
    x, w = op.input(0), op.input(1)
    if len(x.dims) != 4 or len(w.dims) != 4:
        raise op.invalid(f"input {x.dims} and filters {w.dims} must have four dimensions each")
    if x.dims[3] == 0 or (w.dims[3] == 0 and op.name == "CONV_2D"):
        raise op.invalid(f"input {x.dims} or filters {w.dims} have no input channels")
    return x, w


def _convolution(
    op: Operator,
    options: Conv2DOptions | DepthwiseConv2DOptions,
    x: TensorInfo,
    w: TensorInfo,
    height: int,
    width: int,
    channels: int,
    groups: int,
    outputs: int,
    arrange: Callable[[Array], Array],
    sums: Arithmetic,
) -> Run:
    """Checks what both kinds have in common and chooses the arithmetic by the types."""
    bias = op.optional_input(2)
    if bias is None and (len(op.inputs) > 2 or (op.name == "CONV_2D" and op.profile != "micro")):
        raise op.invalid("input 2, the bias, is missing")
    if bias is not None and op.name == "DEPTHWISE_CONV_2D" and len(bias.dims) != 1:
        raise op.invalid(f"bias {bias.dims} must have one dimension")
    if bias is not None and int(np.prod(bias.dims)) != outputs:
        raise op.invalid(f"bias {bias.dims} has not one value for each of {outputs} output channels")
    rows = axis(op, "y", x.dims[1], height, options.stride_h, options.dilation_h_factor, options.padding)
    columns = axis(op, "x", x.dims[2], width, options.stride_w, options.dilation_w_factor, options.padding)
    plan = Convolution(
        op=op,
        input=x,
        filter=w,
        window=(rows, columns),
        rows=rows.without_idle_taps(),
        columns=columns.without_idle_taps(),
        channels=channels,
        groups=groups,
        outputs=outputs,
        activation=int(options.fused_activation_function),
        arrange=arrange,
        taps=(_slice(rows.taps()), _slice(columns.taps())),
    )
    y = op.output()
    if y.type != x.type:
        raise op.invalid(f"input of type {x.type.name}, but output of type {y.type.name}")
    y.shape = plan.shape
    if (x.type, w.type) not in _READ_AS[op.name] or (bias is not None and bias.type not in BIASES[x.type]):
        raise op.unsupported()
    bits = accumulator_bits(op, x, bias)
    if x.type == _FLOAT32:
        return sums.floats(plan) if w.type == _FLOAT32 else sums.hybrid(plan)
    return sums.integers(plan, bits)


def check_integers(op: Operator, x: TensorInfo, bias: TensorInfo | None) -> None:
    """Biases have a zero point of 0, so have int16 activations; uint8 ones want a bias at their scale."""
    w, y = op.input(1), op.output()
    if bias is not None and bias.zero_points.size == 1 and bias.zero_points[0]:
        raise op.invalid(f"the zero point of the bias is {bias.zero_points[0]}, expected 0")
    if x.type == _INT16 and (x.zero_point or y.zero_point):
        raise op.invalid("the zero points of int16 tensors must be 0")
    if x.type == _UINT8:
        check_bias_scale(op, x, w, bias, y)


def accumulator_bits(op: Operator, x: TensorInfo, bias: TensorInfo | None) -> int:
    """32; for int16 activations as many as quantized_bias_type says, 64 where it says nothing (FLOAT32)."""
    stated = getattr(op.options, "quantized_bias_type", _FLOAT32)
    if stated not in (_FLOAT32, _INT32, _INT64):
        raise op.invalid(f"quantized_bias_type is {stated!r}")
    if x.type != _INT16:
        return 32
    if bias is not None and bias.type != (_INT64 if stated == _FLOAT32 else stated):
        raise op.invalid(f"the bias is {bias.type.name}, quantized_bias_type {stated.name}")
    return 32 if stated == _INT32 else 64


def _slice(span: range) -> slice:
    return slice(span.start, span.stop)


def filter_multipliers(op: Operator, x: TensorInfo, w: TensorInfo, outputs: int) -> Array:
    """input_scale * filter_scale / output_scale in float64, for each output channel."""
    y = op.output()
    if x.type == _UINT8:
        return np.full(outputs, np.float64(x.scale * w.scale) / np.float64(y.scale))
    if w.scales.size not in (1, outputs):
        raise op.invalid(f"{w.scales.size} filter scales for {outputs} output channels")
    if w.scales.size > 1 and w.type == _UINT8:
        raise op.invalid("filters of type UINT8 have a scale for each channel")
    if op.name == "CONV_2D" and np.any(w.zero_points):
        raise op.invalid("filters of a signed type have zero points other than 0")
    return np.float64(x.scale) * np.broadcast_to(w.scales.astype(np.float64), outputs) / np.float64(y.scale)


def hybrid(plan: Convolution) -> Run:
    """float32 in and out, integer weights: each image is quantized on the fly, and the integer sums scaled back.

    CONV_2D without groups, its filter scales all the same, quantizes images symmetrically and multiplies the sum by
    the product of the two scales; if its outputs are no multiple of four, sums have the flaws of `hybrid`. Otherwise
    images have a zero point. Which scale meets the sum first differs, too.
    """
    if not check_hybrid(plan):
        return hybrid_with_one_scale(plan)
    depthwise = plan.op.name == "DEPTHWISE_CONV_2D"

    def scaled(sums: Array, scales: Array, image_scale: Array) -> Array:
        return sums * (scales * image_scale) if depthwise else sums * scales * image_scale

    return hybrid_with_scales(plan, scaled, lambda y: clamp_float(y, plan.activation))


def check_hybrid(plan: Convolution) -> bool:
    """Checks what float32 with integer weights needs; whether filters count as having a scale each."""
    op, w = plan.op, plan.filter
    check_scales(op, w)
    scales = w.scales
    per_channel = op.name == "DEPTHWISE_CONV_2D" or (w.type != _UINT8 and bool(np.any(scales != scales[:1])))
    if plan.groups > 1 and not per_channel:
        raise op.unsupported("groups of filters that share their scale")
    if per_channel and scales.size != plan.outputs:
        raise op.invalid(f"{scales.size} filter scales for {plan.outputs} output channels")
    if plan.input.dims[0] == 0:
        raise op.invalid("a batch of no images cannot be quantized on the fly")
    return per_channel


def hybrid_with_one_scale(plan: Convolution) -> Run:
    """Images without a zero point: the sum is multiplied by the product of the two scales."""
    w, scale_of_filters = plan.filter, plan.filter.scales[0]

    def weights(filter: Array) -> tuple[MatrixSums | ChannelSums, MatrixSums | ChannelSums | None]:
        """What sums the products, and their flaws."""
        complete = plan.all_taps(filter)
        products = complete.reshape(int(np.prod(complete.shape[:3])), plan.outputs)
        flawed = None if plan.outputs % 4 == 0 else flaws(products)
        if flawed is not None:
            flawed = flawed.reshape(complete.shape)[plan.taps]
        return plan.sums(complete[plan.taps], 255, 0), None if flawed is None else plan.sums(flawed, 128, 0)

    sums_with = made_once(w, weights)

    def run(x: Array, filter: Array, bias: Array | None = None) -> Array:
        products, flawed = sums_with(filter)
        q, scale = symmetric_quantize(x.reshape(len(x), -1))
        centred = q.reshape(x.shape)
        total = all_sums(plan, products, centred)
        if flawed is not None:
            total += all_sums(plan, flawed, np.minimum(centred, 0))
        image_scale = scale.reshape(-1, 1, 1, 1)
        (
            noted(QUANTIZED, centred),
            noted("scale of the image", image_scale),
            noted("scale of the weights", scale_of_filters),
        )
        sums = noted(SUM_OF_QUANTIZED, total.reshape(plan.shape)).astype(np.float32)
        y = noted("times both scales, in float32", sums * (image_scale * scale_of_filters))
        total = noted("plus the bias", y if bias is None else y + bias.reshape(-1))
        return noted("after the activation", clamp_float(total, plan.activation))

    return run


def hybrid_with_scales(
    plan: Convolution,
    scaled: Callable[[Array, Array, Array], Array],
    activate: Callable[[Array], Array],
    errors: Callable[[Array], Array] | None = None,
) -> Run:
    """Images with a zero point: `scaled` multiplies sums by the scales of the filters and of their images.

    `errors` tells, of the filters, by how much a kernel that takes (zero point) * (sum of the filter) off each sum
    mistakes the sum of each filter.
    """
    sums_with = made_once(plan.filter, lambda filter: plan.sums(plan.arranged(filter), 255, 0))

    def run(x: Array, filter: Array, bias: Array | None = None) -> Array:
        q, scale, zero_point = asymmetric_quantize(x.reshape(len(x), -1))
        centred = (q.astype(np.int16) - zero_point[:, None].astype(np.int16)).reshape(x.shape)
        total = all_sums(plan, sums_with(filter), centred)
        noted(QUANTIZED, centred), noted("zero point of the image", zero_point.reshape(-1, 1, 1, 1))
        sums = noted(SUM_OF_QUANTIZED, total.reshape(plan.shape))
        if errors is not None:
            sums = sums - zero_point.reshape(-1, 1, 1, 1) * errors(filter)
        image_scale = scale.reshape(-1, 1, 1, 1)
        noted("scale of the image", image_scale), noted("scale of the weights", plan.filter.scales)
        y = noted("times both scales, in float32", scaled(sums.astype(np.float32), plan.filter.scales, image_scale))
        y = noted("plus the bias", y if bias is None else y + bias.reshape(-1))
        return noted("after the activation", activate(y))

    return run


def all_sums(plan: Convolution, products: MatrixSums | ChannelSums, x: Array) -> Array:
    """The sums of the whole output, float64."""
    total = np.empty((prod(plan.shape[:3]), plan.outputs))
    sums = products(x)

    def add(block: Block) -> None:
        total[block.places] = sums(block)

    for_each(add, products.blocks, plan.op.threads)
    return total


def quantized(plan: Convolution, bits: int, rule: Requantize | None = None, filter_zero: int | None = None) -> Run:
    """Integers: exact sums, then the rounding of the profile; `bits` is the width of the accumulator.

    `rule` is for kernels that round otherwise than the profile says, `filter_zero` for those that read another zero
    point.
    """
    op, x, w, y = plan.op, plan.input, plan.filter, plan.op.output()
    check_integers(op, x, op.optional_input(2))
    check_scales(op, x, w, y)
    stage = output_stage(op, filter_multipliers(op, x, w, plan.outputs), y, plan.activation, bits, rule)
    if filter_zero is None:
        filter_zero = w.zero_point if x.type == _UINT8 else 0  # depthwise kernels disregard that of signed types
    return quantized_by(plan, stage, filter_zero)


def quantized_by(plan: Convolution, stage: OutputStage, filter_zero: int) -> Run:
    """Integers: exact sums, which `stage` finishes."""
    op, x, w = plan.op, plan.input, plan.filter
    input_zero = x.zero_point
    is_padded = any(axis.before or axis.after for axis in plan.window)
    if is_padded and input_zero != int(np.array(input_zero).astype(x.dtype)):
        raise op.unsupported(f"{x.place} is padded with the zero point {input_zero}, which its type cannot hold,")

    def planned(filter: Array, bias: Array | None) -> tuple[MatrixSums | ChannelSums, Finish]:
        """What sums the products of weights less their zero point, and what finishes them.

        What the input's zero point adds to each sum goes with the bias.
        """
        arranged = plan.arranged(filter).astype(np.int32) - np.int32(filter_zero)
        products = plan.sums(arranged, largest_magnitude(x.dtype, 0), input_zero)
        offset = -input_zero * arranged.sum(axis=(0, 1, 2), dtype=np.int64).reshape(-1)
        if bias is not None:
            offset += bias.reshape(-1)
        return products, stage.finish(plan.outputs, offset, products.bounds)

    sums_with = made_once_of_all([w, op.optional_input(2)], planned)
    places, shape, dtype = prod(plan.shape[:3]), plan.shape, x.dtype

    def run(q: Array, filter: Array, bias: Array | None = None) -> Array:
        products, finish = sums_with(filter, bias)
        sums = products(q)
        result = np.empty((places, plan.outputs), dtype)

        def write(block: Block) -> None:
            finish(sums(block), result[block.places])

        for_each(write, products.blocks, op.threads)
        if op.observer is not None:
            finish.observe(all_sums(plan, products, q).reshape(shape))
        return result.reshape(shape)

    return run


#: that of profile "reference": products of float32 are summed in order
IN_ORDER = Arithmetic(float_in_order, quantized, hybrid)
