"""Simplifications that the converter applies after quantization, to float and to quantized operations alike.

The patterns are in `refquant.quantization.optimization`; here stands which of them are tried together. Patterns of the
converter that are left out, because nothing in a file leads to them:

| pattern | why |
|---|---|
| MatchGelu, MatchGeluWithErfc | begin at tf.Erf and tf.Erfc; custom operators ("Erf", "FlexErf") stay what they are |
| FuseAffinOpAndMulWithQDQs | by then no constant is left in a pair, be it one of the file or of a denied operator |
| DropFakeQuant | looks for an attribute "minmax" of the users of FAKE_QUANT, which no file has |

Of RemoveLSTMOpZeroBias the half about the input gate is left out: the converter refuses the LSTM that it makes. The
patterns on the bodies of loops are left out as well.

Source: converter/transforms/optimize_pass.cc, optimize_patterns.td.
"""

from __future__ import annotations

from refquant.quantization.fuse import drop_pair
from refquant.quantization.ir import Function, Operation
from refquant.quantization.optimization import (
    activations,
    arithmetic,
    convolutions,
    dense,
    functions,
    logic,
    moving,
    products,
)
from refquant.quantization.optimization.rules import Rule, native, table
from refquant.quantization.rewrite import Rewriter, rewrite


@native("QUANTIZE", benefit=2)
def _same_again(quantize: Operation, rewriter: Rewriter) -> bool:
    """QUANTIZE of a DEQUANTIZE of the same quantization."""
    return drop_pair(quantize, rewriter)


@native("QUANTIZE")
def _any_pair(quantize: Operation, rewriter: Rewriter) -> bool:
    """The same of any quantization, unless it is that of another QUANTIZE."""
    dequantize = quantize.defining(0)
    if dequantize is None or dequantize.name != "DEQUANTIZE" or not quantize.result.is_used:
        return False
    value = dequantize.operands[0]
    assert value is not None
    first = value.owner
    if first is not None and first.name == "QUANTIZE" and value.type.element != quantize.result.type.element:
        return False
    quantize.result.replace_all_uses(value)
    return True


@native("CONST")
def _plain_constant(constant: Operation, rewriter: Rewriter) -> bool:
    """A constant that quantization had taken apart and put together again is one as all others."""
    value = constant.constant
    if not constant.attributes.get("restored") or value is None or constant.result.type.shape != value.array.shape:
        return False
    plain = constant.copy()
    del plain.attributes["restored"]
    rewriter.replace(constant, rewriter.insert_before(constant, plain).result)
    return True


_DECLARED = [
    rule
    for family in (activations, arithmetic, convolutions, dense, functions, logic, moving, products)
    for rule in family.RULES
]

#: of the declared rules, those that are tried before all others
_EARLY = (
    "FuseOutputReshape_BatchMatMulWithFlattenedContractingDims",
    "FuseSqueezingLhsReshapeIntoFC_Output",
    "FuseReshapesAroundBatchMatMulLHS",
    "FuseReshapesAroundBatchMatMulLHS1",
    "FuseInputReshape_BatchMatMulWithFlattenedRhsDims",
)

_BEFORE_OTHERS: list[Rule] = [
    moving.squeeze_around_broadcast,
    dense.remove_reshape_after,
    dense.remove_reshape_before,
    *(rule for name in _EARLY for rule in _DECLARED if rule.name == name),
    moving.transpose_after_squeeze,
]

_AROUND_DENSE = [
    dense.fuse_add_after,
    dense.fuse_add_before,
    dense.fuse_mul_after,
    activations.fuse_into_fully_connected,
]

_CANONICAL = [
    moving.broadcast_as_reshape,
    dense.remove_zero_bias,
    dense.remove_zero_bias_of_projection,
    moving.unpacked_before,
    moving.pack_of_one,
    moving.narrow_paddings,
    _plain_constant,
    moving.merge_reshapes,
    moving.narrow_slice,
    moving.decrease_rank,
    moving.remove_transpose,
]

_PHASES = [
    table([], _BEFORE_OTHERS),
    table(_DECLARED, [_same_again, moving.twice_as_large, *_AROUND_DENSE, dense.fuse_mul_before, *_CANONICAL]),
    table(
        _DECLARED,
        [
            _same_again,
            functions.log_softmax,
            *_AROUND_DENSE,
            convolutions.fuse_scalar_before,
            dense.remove_reshape_after,
            dense.remove_reshape_before,
            moving.concatenated_rows,
            moving.fewer_of_top,
            moving.end_as_offset,
            products.fuse_around_product,
            products.fuse_before_product,
            dense.move_reshape_before,
            dense.keep_dims_before_reshape,
            moving.reshape_before_transposes,
            dense.constant_to_weights,
            dense.fuse_mul_before,
            *_CANONICAL,
            _any_pair,
        ],
    ),
]


def optimize(function: Function) -> None:
    """Simplifies a function."""
    for phase in _PHASES:
        rewrite(function, phase)
