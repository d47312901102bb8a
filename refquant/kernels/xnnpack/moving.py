"""XNNPACK's operators that move numbers about, of float32 or 8 bits: as the common kernels, but for bounds of slices.

XNNPACK refuses them where types, scales or zero points of input and output differ. Sources: the functions
xnn_define_… below XNNPACK's src/subgraph.
"""

from __future__ import annotations

from functools import wraps

from refquant.kernels import rearrangement, shape, slicing
from refquant.kernels.registry import Kernel, Operator, Run, TensorInfo, kernel
from refquant.kernels.xnnpack.requantization import check_quantized
from refquant.tflite.schema import TensorType

#: operators that XNNPACK refuses on tensors without elements
_OF_ELEMENTS = ("DEPTH_TO_SPACE", "SPACE_TO_DEPTH")


def _of_tensors_alike(common: Kernel) -> Kernel:
    """The common kernel, where all tensors of data are alike."""

    @wraps(common)
    def planned(op: Operator) -> Run:
        data = [op.input(1)] if op.name == "SPLIT" else [op.input(0)]
        if op.name == "CONCATENATION":
            data = [op.input(i) for i in range(len(op.inputs))]
        check_alike(op, *data, *op.outputs)
        is_empty = op.name in _OF_ELEMENTS and 0 in data[0].dims
        if is_empty or (op.name == "CONCATENATION" and not data[0].dims):
            raise op.invalid(f"XNNPACK refuses inputs of shapes {[tensor.dims for tensor in data]}")
        return common(op)

    return planned


def check_alike(op: Operator, *tensors: TensorInfo) -> None:
    """Raises InvalidModelError unless all have one type and, of 8 bits, one scale and zero point."""
    first = tensors[0]
    for tensor in tensors:
        if tensor.type != TensorType.FLOAT32:
            check_quantized(op, tensor)
        if tensor.type != first.type or (tensor.type != TensorType.FLOAT32 and tensor.params != first.params):
            raise op.invalid(f"XNNPACK refuses types or scales that differ: {first.place} and {tensor.place}")


for _name, _common in {
    "CONCATENATION": shape.concatenation,
    "DEPTH_TO_SPACE": rearrangement.depth_to_space,
    "PAD": shape.pad,
    "RESHAPE": shape.reshape,
    "SPACE_TO_DEPTH": rearrangement.space_to_depth,
    "SPLIT": slicing.split,
    "TRANSPOSE": shape.transpose,
}.items():
    kernel(_name, profile="xnnpack")(_of_tensors_alike(_common))


@kernel("SLICE", profile="xnnpack")
def slice_(op: Operator) -> Run:
    """x[begin : begin + size] along every dimension, see `_sliced`."""
    begins = _numbers(op, 1)
    return _sliced(op, begins, [begin + size for begin, size in zip(begins, _numbers(op, 2))])


@kernel("STRIDED_SLICE", profile="xnnpack")
def strided_slice(op: Operator) -> Run:
    """x[begin:end] along every dimension, with the masks of begins and ends; an `offset` is a length. See `_sliced`."""
    begins, ends, options = _numbers(op, 1), _numbers(op, 2), op.options
    begins = [0 if options.begin_mask >> i & 1 else begin for i, begin in enumerate(begins)]
    if options.offset:
        ends = [begin + length for begin, length in zip(begins, ends)]
    return _sliced(op, begins, [0 if options.end_mask >> i & 1 else end for i, end in enumerate(ends)])


def _numbers(op: Operator, position: int) -> list[int]:
    value = op.input(position).value
    assert value is not None  # as the delegate wants it
    return [int(n) for n in value]


def _sliced(op: Operator, begins: list[int], ends: list[int]) -> Run:
    """The numbers from begin to end; below 0 they count from the other end, where an end of 0 is the end itself."""
    x, y = op.input(0), op.output()
    check_alike(op, x, y)
    if len(begins) != len(x.dims) or not begins:
        raise op.invalid(f"{len(begins)} bounds for an input of shape {x.dims}")
    parts = []
    for n, begin, end in zip(x.dims, begins, ends):
        first = max(0, n + begin) if begin < 0 else begin
        last = max(0, n + end) if end <= 0 else end
        parts.append(slice(min(first, n), max(min(first, n), min(last, n))))
    y.shape = tuple(part.stop - part.start for part in parts)
    return lambda x, *_: x[tuple(parts)]
