"""The exceptions of the package.

Every error that refquant raises on purpose derives from `RefquantError`, so one ``except`` clause is enough for a
caller; the message names the place (tensor, operator, byte offset) and says what to do.
"""


class RefquantError(Exception):
    """The base of every exception of this package."""


class InvalidModelError(RefquantError, ValueError):
    """The bytes are not a model, or the model contradicts itself; the message names the place."""


class UnsupportedOperatorError(RefquantError):
    """The model uses an operator, or a type of one, that has no kernel here; raised at planning time."""


class InvalidInputError(RefquantError, ValueError):
    """An argument (an array, an index, a name, a shape) is not what the call expects; the message says what is."""


class RuntimeUnavailableError(RefquantError):
    """A real runtime was asked for that is not installed; the message says which package to install."""


class RuntimeFailedError(RefquantError):
    """A real runtime refused the model, failed, timed out or died; the message repeats its own words."""


class RuntimeDiedError(RuntimeFailedError):
    """A real runtime aborted, crashed or gave no answer in time."""


class RuntimeTimeoutError(RuntimeDiedError):
    """A real runtime gave no answer in time."""
