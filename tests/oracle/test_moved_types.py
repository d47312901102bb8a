"""Which types of tensors an operator moves: those of the table, and no others."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from refquant.kernels.moving import MOVED_TYPES
from refquant.runtimes import Runtime
from refquant.testing.conformance import Outcome, compare
from refquant.testing.strategies import Case, rearrangement, shape, slicing, stablehlo_indexing
from refquant.tflite.schema import TensorType

pytestmark = pytest.mark.oracle

#: resources and variants are no numbers; tf.lite reads no file with float8 and its set_tensor takes no int2
OUTSIDE = {
    TensorType.RESOURCE, TensorType.VARIANT, TensorType.FLOAT8_E4M3FN, TensorType.FLOAT8_E5M2, TensorType.INT2,
}  # fmt: skip
DRAWN: dict[str, Callable[..., Case]] = {
    "TRANSPOSE": shape.transposition,
    "PACK": shape.packing,
    "UNPACK": shape.unpacking,
    "CONCATENATION": shape.concatenation,
    "PAD": shape.padding,
    "PADV2": shape.padding,
    "SLICE": slicing.slicing,
    "STRIDED_SLICE": slicing.strided_slicing,
    "SPLIT": slicing.splitting,
    "SPLIT_V": slicing.splitting_by_sizes,
    "GATHER": slicing.gathering,
    "GATHER_ND": slicing.gathering_by_coordinates,
    "DYNAMIC_UPDATE_SLICE": slicing.overwriting,
    "FILL": rearrangement.filling,
    "TILE": rearrangement.tiling,
    "BROADCAST_TO": rearrangement.broadcasting,
    "MIRROR_PAD": rearrangement.mirroring,
    "REVERSE_V2": rearrangement.reversal,
    "REVERSE_SEQUENCE": rearrangement.sequence_reversal,
    "SPACE_TO_DEPTH": rearrangement.space_to_depth,
    "DEPTH_TO_SPACE": rearrangement.depth_to_space,
    "SPACE_TO_BATCH_ND": rearrangement.space_to_batch,
    "BATCH_TO_SPACE_ND": rearrangement.batch_to_space,
    "STABLEHLO_GATHER": stablehlo_indexing.gathering,
    "STABLEHLO_SCATTER": stablehlo_indexing.scattering,
}


def outcomes_of(cases: st.SearchStrategy[Case], runtime: Runtime) -> set[Outcome]:
    outcomes = set()

    @settings(
        max_examples=4,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases)
    def one(case: Case) -> None:
        outcomes.add(compare(case.model, case.samples, runtime).outcome)

    one()
    return outcomes


@pytest.mark.parametrize("operator", DRAWN)
def test_no_other_types(reference: Runtime, operator: str) -> None:
    for type in set(TensorType) - OUTSIDE - set(MOVED_TYPES[operator]):
        outcomes = outcomes_of(st.composite(DRAWN[operator])(operator, type), reference)
        # without elements, some real kernels return before they look at the type
        assert Outcome.BOTH_REFUSE in outcomes, type
        assert outcomes <= {Outcome.BOTH_REFUSE, Outcome.ONLY_THEIRS}, type
