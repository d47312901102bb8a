"""Planning and running a model: the drop-in `Interpreter`."""

from refquant.interpreter.interpreter import Interpreter, SignatureRunner

__all__ = ["Interpreter", "SignatureRunner"]
