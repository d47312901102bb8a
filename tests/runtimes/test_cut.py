"""Models cut out of others give the bits of the whole."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from refquant.errors import RefquantError
from refquant.runtimes.cut import Graph, cut_out
from refquant.testing.conformance import bits, run
from refquant.testing.strategies import Case, Family, families
from refquant.tflite.model import Model

#: whose models have subgraphs, variables, blocks of scales, sparse constants or intermediates
TRICKY = ("WHILE", "IF", "CALL_ONCE", "STABLEHLO_COMPOSITE", "UNIDIRECTIONAL_SEQUENCE_LSTM", "SVDF", "DENSIFY")
CHOSEN = {f.operator: f for f in families() if f.operator in TRICKY or "BLOCK" in f.variant.upper()}.values()


@pytest.mark.parametrize("family", CHOSEN, ids=lambda family: f"{family.operator} {family.variant}")
def test_a_cut_of_all_operators_is_the_model(family: Family) -> None:
    @settings(max_examples=2)
    @given(family.cases)
    def check(case: Case) -> None:
        try:
            expected = run(case.model, case.samples)
        except RefquantError:
            return
        graph = Graph(case.model)
        outputs = [t for t in graph.outputs if t in graph.writer]
        cut = cut_out(case.model, range(len(graph.writes)), outputs)
        rows = [[sample[graph.inputs.index(t)] for t in cut.inputs] for sample in case.samples]
        found = run(Model.read(cut.model.tobytes()), rows)
        for before, after in zip(expected, found):
            by_tensor = dict(zip(graph.outputs, before))
            assert all((bits(by_tensor[t]) == bits(array)).all() for t, array in zip(outputs, after))

    check()
