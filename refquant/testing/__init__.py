"""For other people's tests: models built in a line, strategies that make them, comparison with other runtimes."""

from refquant.testing.build import OperatorSpec, SubgraphSpec, TensorSpec, model_of, single_operator_model

__all__ = ["OperatorSpec", "SubgraphSpec", "TensorSpec", "model_of", "single_operator_model"]
