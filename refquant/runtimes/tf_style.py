"""How to run a model in an interpreter that has the surface of `tf.lite.Interpreter`."""

from __future__ import annotations

from typing import Any

import numpy as np

#: our names of the kernel sets: names in OpResolverType
RESOLVERS = {"reference": "BUILTIN_REF", "optimized": "BUILTIN_WITHOUT_DEFAULT_DELEGATES", "xnnpack": "AUTO"}


def run(interpreter: Any, samples: list[list[Any]]) -> list[list[Any]]:
    """Outputs of each sample, in order; the interpreter's state goes on from sample to sample."""
    results = []
    allocated = False
    for sample in samples:
        for detail, array in zip(interpreter.get_input_details(), sample, strict=True):
            if tuple(detail["shape"]) != np.shape(array):
                interpreter.resize_tensor_input(detail["index"], np.shape(array))
                allocated = False
        if not allocated:
            interpreter.allocate_tensors()
            allocated = True
        for detail, array in zip(interpreter.get_input_details(), sample, strict=True):
            interpreter.set_tensor(detail["index"], array)
        interpreter.invoke()
        results.append([interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()])
    return results
