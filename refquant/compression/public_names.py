"""Public names that are imported when they are first used, so that only those who train import a framework."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from refquant.errors import RuntimeUnavailableError


def lookup(name: str, homes: Mapping[str, str], room: str) -> Any:
    """What `homes` says a module has under this name; `room` is for the message.

    Raises AttributeError for an unknown name, `RuntimeUnavailableError` where its module needs Keras and there is none.
    """
    if name not in homes:
        raise AttributeError(f"module {room!r} has no attribute {name!r}")
    try:
        return getattr(import_module(homes[name]), name)
    except ModuleNotFoundError as error:
        if error.name != "keras":
            raise
        raise RuntimeUnavailableError("keras is not installed: python -m pip install keras, and a backend") from error
