"""From recorded ranges to QUANTIZE and DEQUANTIZE pairs around the values that have one.

Ranges that something else decides are dropped first: those of values that the file quantizes itself, those of results
whose scale is fixed, those of a result that must have the scale of its only operand, and those of the operands of an
operator that has several and one scale for all.

Source: converter/transforms/prepare_quantize.cc, RemoveRedundantStatsOps in quantization_utils.cc.
"""

from __future__ import annotations

from refquant.quantization.constraints import constraint_of
from refquant.quantization.ir import Function, Operation, Quantized, Value
from refquant.quantization.parameters import of_statistics
from refquant.quantization.recurrent import LSTMS, quantize_operands, share_output_range
from refquant.quantization.rewrite import Rewriter, rewrite


def prepare(function: Function, bits: int) -> None:
    """Replaces all STATISTICS of a function, or removes them."""
    remove_redundant_statistics(function)
    rewrite(function, {name: [share_output_range] for name in LSTMS})

    def quantize_range(operation: Operation, rewriter: Rewriter) -> bool:
        return _quantize_range(operation, rewriter, bits)

    operands = quantize_operands(bits)
    rewrite(function, {"STATISTICS": [quantize_range], **{name: [operands] for name in (*LSTMS, "SVDF")}})
    _return_quantized(function)


def remove_redundant_statistics(function: Function) -> None:
    """Drops the ranges that a QUANTIZE of the file or the constraints of the operators make superfluous."""
    for quantize in function:
        statistics = quantize.defining(0)
        if quantize.name == "QUANTIZE" and statistics is not None and statistics.name == "STATISTICS":
            quantize.set_operand(0, statistics.operands[0])
            if not statistics.result.is_used:
                statistics.erase()
    every = [operation for operation in function if operation.name == "STATISTICS"]
    redundant: dict[Operation, None] = {}
    work = list(every)
    while work:  # forward: over operators with one float operand
        statistics = work.pop()
        maker = statistics.defining(0)
        if maker is not None and constraint_of(maker.name).output is not None:
            redundant[statistics] = None
        for user in statistics.result.users:
            if not constraint_of(user.name).same_scale or _float_operands(user) > 1:
                continue
            for result in user.results:
                following = result.only_user
                if following is not None and following.name == "STATISTICS":
                    redundant[following] = None
                    work.append(following)
    work = [statistics for statistics in every if statistics not in redundant]
    while work:  # backward: over operators with several
        maker = work.pop().defining(0)
        if maker is None or not constraint_of(maker.name).same_scale:
            continue
        for position in range(len(maker.operands)):
            earlier = maker.defining(position)
            if earlier is not None and earlier.name == "STATISTICS":
                redundant[earlier] = None
                work.append(earlier)
    for statistics in redundant:
        inner = statistics.operands[0]
        assert inner is not None
        statistics.replace(inner)


def _float_operands(operation: Operation) -> int:
    return sum(value is not None and value.type.is_float for value in operation.operands)


def _quantize_range(statistics: Operation, rewriter: Rewriter, bits: int) -> bool:
    low, high, axis = (statistics.attributes[key] for key in ("min", "max", "axis"))
    if axis is None:
        quantized = of_statistics(low[0], high[0], bits)
    else:
        ranges = [of_statistics(a, b, bits) for a, b in zip(low, high, strict=True)]
        quantized = Quantized(
            bits,
            tuple(q.scales[0] for q in ranges),
            tuple(q.zero_points[0] for q in ranges),
            ranges[0].minimum,
            ranges[0].maximum,
            axis,
        )
    value = statistics.operands[0]
    assert value is not None
    quantize = rewriter.insert_after(
        statistics, Operation("QUANTIZE", [value], [value.type.of(quantized)], names=statistics.names, volatile=True)
    )
    dequantize = rewriter.insert_after(
        quantize, Operation("DEQUANTIZE", [quantize.result], [statistics.result.type], names=statistics.names)
    )
    rewriter.replace(statistics, dequantize.result)
    return True


def _return_quantized(function: Function) -> None:
    """A value that is returned and also quantized is returned through its quantization."""
    terminator = function.terminator
    for position, value in enumerate(terminator.operands):
        if value is None:
            continue
        pairs = [pair for user in value.users if (pair := _dequantized(user)) is not None]
        if len(pairs) == 1:
            terminator.set_operand(position, pairs[0])


def _dequantized(user: Operation) -> Value | None:
    if user.name != "QUANTIZE":
        return None
    following = user.result.users[0] if user.result.is_used else None
    return following.result if following is not None and following.name == "DEQUANTIZE" else None
