"""Fixtures that several rooms' tests share: the folder of real models, and the real runtimes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.internal.conjecture import providers

from refquant.errors import RuntimeUnavailableError
from refquant.kernels import products, requantization
from refquant.numerics.processor import with_processor
from refquant.runtimes import (
    ModelOptimization,
    Quantizer,
    Runtime,
    is_installed,
    open_model_optimization,
    open_quantizer,
    open_runtime,
)
from refquant.runtimes.machine import has_avx512, this_processor

#: the same examples in every run, others in each with REFQUANT_EXPLORE=1
settings.register_profile(
    "refquant", deadline=None, print_blob=True, derandomize=not os.environ.get("REFQUANT_EXPLORE")
)
settings.load_profile("refquant")
# hypothesis also draws numbers that it finds in the modules that are loaded, and these differ from process to process
setattr(providers, "_get_local_constants", providers.Constants)  # noqa: B010 - a name of its own, for one purpose

#: how many cases of each family of models are drawn; `refquant verify` records many more
EXAMPLES = int(os.environ.get("REFQUANT_EXAMPLES", "10"))


@pytest.fixture(autouse=True, scope="session")
def this_machine() -> Iterator[None]:
    """The optimized kernels beside us give the bits of the processor that runs them, and so do we."""
    with with_processor(this_processor()):
        yield


#: for each way of computing what BLAS and float64 are quick at, the limits that leave it alone
WAYS = {
    "quickest": {},
    "split": {"float32": 2**17},
    "float64": {"float32": 0},
    "integers": {"float32": 0, "float64": 0},
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--way",
        choices=WAYS,
        action="append",
        help="how sums of integers are computed: the quickest way that is proved exact, or only one that is slower; "
        "given several times, each test runs in each way",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if ways := metafunc.config.getoption("--way"):
        metafunc.parametrize("way", ways, indirect=True, scope="session")


@pytest.fixture(autouse=True, scope="session")
def way(request: pytest.FixtureRequest) -> Iterator[None]:
    """How sums of integers are computed."""
    way = getattr(request, "param", "quickest")
    with pytest.MonkeyPatch.context() as patch:
        for type, limit in WAYS[way].items():
            patch.setitem(products.EXACT, type, limit)
        if way == "split":
            patch.setattr(products, "MOST_PIECES", 1000)
        patch.setattr(requantization, "QUICK", way != "integers")
        yield


def model_files(pattern: str = "**/*.tflite") -> list[Path]:
    """The real models in the folder that REFQUANT_MODELS names; none where it is not set."""
    folder = os.environ.get("REFQUANT_MODELS")
    return sorted(Path(folder).glob(pattern)) if folder else []


def pytest_report_header(config: pytest.Config) -> list[str]:
    folder = os.environ.get("REFQUANT_MODELS")
    models = f"{len(model_files())} models" if folder else "not set: the tests of real models are skipped"
    ways = ", ".join(config.getoption("--way") or ["quickest"])
    return [f"REFQUANT_MODELS: {models}", f"sums of integers: {ways}"]


def _runtime(name: str, kernels: str) -> Iterator[Runtime]:
    if not is_installed(name):
        pytest.skip(f"{name} is not installed: python -m pip install 'refquant[runtimes]'")
    with open_runtime(name, kernels, timeout=30) as runtime:  # some invalid models make them run for ever
        yield runtime


@pytest.fixture(scope="session")
def reference() -> Iterator[Runtime]:
    """TensorFlow's interpreter with its reference kernels (BUILTIN_REF), in a process of its own."""
    yield from _runtime("tensorflow", "reference")


@pytest.fixture(scope="session")
def optimized() -> Iterator[Runtime]:
    """TensorFlow's interpreter with its optimized kernels, for operators that BUILTIN_REF does not have."""
    yield from _runtime("tensorflow", "optimized")


@pytest.fixture(scope="session")
def xnnpack() -> Iterator[Runtime]:
    """TensorFlow's interpreter as it is by default, with XNNPACK, in a process of its own."""
    if not has_avx512():
        pytest.skip("profile xnnpack is that of processors with AVX-512F, which this one does not have")
    yield from _runtime("tensorflow", "xnnpack")


@pytest.fixture(scope="session")
def calibrator_kernels() -> Iterator[Runtime]:
    """TensorFlow's interpreter with its optimized kernels on four threads, as the calibrator has them."""
    yield from _runtime("tensorflow", "calibrator")


@pytest.fixture(scope="session")
def micro() -> Iterator[Runtime]:
    """TFLite Micro's interpreter, in a process of its own."""
    yield from _runtime("micro", "micro")


@pytest.fixture(scope="session")
def quantizer() -> Iterator[Quantizer]:
    """TensorFlow's calibrator, quantizers and converter, in a process of their own."""
    if not is_installed("tensorflow"):
        pytest.skip("tensorflow is not installed: python -m pip install 'refquant[runtimes]'")
    with open_quantizer() as tools:
        yield tools


@pytest.fixture(scope="session")
def model_optimization() -> Iterator[ModelOptimization]:
    """tensorflow_model_optimization, in a process of its own."""
    try:
        tools = open_model_optimization()
    except RuntimeUnavailableError as error:
        pytest.skip(str(error))
    with tools:
        yield tools


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """For each operator, how many cases were compared with the real kernels and what came of them."""
    counts: dict[str, Counter[str]] = {}
    variants: Counter[str] = Counter()
    for report in terminalreporter.getreports("passed"):
        properties = dict(report.user_properties)
        if "family" in properties:
            operator = properties["family"][0]
            variants[operator] += 1
            counts.setdefault(operator, Counter()).update(properties["outcomes"])
    if counts:
        terminalreporter.section("operators against the real kernels: variants, cases")
    for operator, outcomes in sorted(counts.items()):
        cases = ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items()))
        terminalreporter.line(f"{operator}: {variants[operator]}, {cases}")
