"""Strategies of hypothesis that make valid models of one operator, over all options, shapes and scales of it.

`families()` lists them, one for each operator and variant (type of activations, most often); `cases("ADD", "INT8")` is
one of them, a strategy of `Case`: a model and samples to run it on. `families("optimized")` has the same cases for the
optimized kernels, and so have "xnnpack" and "micro". Together with `refquant.testing.conformance` they
test any runtime, not only those that refquant knows. The modules here are grouped as those of `refquant.kernels`.
"""

import pkgutil
from importlib import import_module

from hypothesis import strategies as st

from refquant.errors import InvalidInputError
from refquant.testing.strategies.catalogue import Case, Family, families, strategy

for _module in pkgutil.iter_modules(__path__):  # importing a module registers its strategies
    import_module(f"{__name__}.{_module.name}")


def cases(operator: str, variant: str) -> st.SearchStrategy[Case]:
    """The strategy of an operator and variant; raises InvalidInputError, naming those there are, for another."""
    found = {family.variant: family.cases for family in families() if family.operator == operator}
    if variant not in found:
        raise InvalidInputError(f"there are no cases of {operator!r} {variant!r}: variants are {sorted(found)}")
    return found[variant]


__all__ = ["Case", "Family", "cases", "families", "strategy"]
