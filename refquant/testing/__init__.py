"""For other people's tests: models built in a line. (Strategies and the conformance suite will live here too.)"""

from refquant.testing.build import TensorSpec, single_operator_model

__all__ = ["TensorSpec", "single_operator_model"]
