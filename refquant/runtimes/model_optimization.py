"""tensorflow_model_optimization (tfmot) on arrays: its masks, schedules, centroids and clustered weights.

tfmot works with the older Keras alone (`TF_USE_LEGACY_KERAS=1`), which must be chosen before TensorFlow is imported: so
`open_model_optimization` starts a server process of its own, as `open_runtime` does.
"""

from __future__ import annotations

import importlib.util
import os
from typing import Any

from refquant.errors import RuntimeUnavailableError
from refquant.runtimes.client import Server


def open_model_optimization(timeout: float = 120.0) -> ModelOptimization:
    """tensorflow_model_optimization; `timeout` is in seconds, for each answer.

    Raises `RuntimeUnavailableError` where it is not installed.
    """
    for module, package in (
        ("tensorflow_model_optimization", "tensorflow-model-optimization"),
        ("tf_keras", "tf_keras"),
    ):
        if importlib.util.find_spec(module) is None:
            raise RuntimeUnavailableError(f"{module} is not installed: python -m pip install {package}")
    return ModelOptimization(timeout)


class ModelOptimization(Server):
    """tensorflow_model_optimization in a server process of its own; use it as a context manager.

    Every method raises `RuntimeFailedError` with tfmot's own words where it refuses.
    """

    def __init__(self, timeout: float) -> None:
        super().__init__(("model_optimization", ""), "tensorflow_model_optimization", timeout)


class Adapter:
    """The side of the server."""

    def __init__(self) -> None:
        os.environ["TF_USE_LEGACY_KERAS"] = "1"
        import tensorflow
        import tensorflow_model_optimization

        self._tf: Any = tensorflow
        self._tfmot: Any = tensorflow_model_optimization

    def version(self) -> str:
        """The version of the installed package."""
        return str(self._tfmot.__version__)
