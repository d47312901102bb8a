"""The other side: a process that imports one real runtime and answers questions on its standard streams.

Started by `refquant.runtimes.client`; not for use by hand. A message is its length (8 bytes, little endian) and a
pickle. What the runtime prints goes to standard error, so it cannot mix with the answers.
"""

from __future__ import annotations

import os
import pickle
import struct
import sys
from typing import Any, Protocol

from refquant.runtimes import litert, micro, tensorflow


class Adapter(Protocol):
    """What each adapter module offers."""

    def version(self) -> str:
        """The version of the installed package."""
        ...

    def run(self, content: bytes, samples: list[list[Any]]) -> list[list[Any]]:
        """Outputs of each sample, in order; the state goes on from sample to sample."""
        ...


def main() -> None:
    """Serves until standard input ends."""
    name, kernels = sys.argv[1:3]
    questions = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def answer(kind: str, content: Any) -> None:
        payload = pickle.dumps((kind, content), protocol=5)
        answers.write(struct.pack("<Q", len(payload)) + payload)
        answers.flush()

    try:
        adapter: Adapter
        if name == "micro":
            adapter = micro.Adapter()
        elif name == "litert":
            adapter = litert.Adapter(kernels)
        else:
            adapter = tensorflow.Adapter(kernels)
    except Exception as error:  # whatever a foreign package raises at import is its answer
        answer("error", f"{type(error).__name__}: {error}")
        return
    answer("ready", None)
    while header := questions.read(8):
        question, *arguments = pickle.loads(questions.read(struct.unpack("<Q", header)[0]))
        try:
            answer("result", adapter.version() if question == "version" else adapter.run(*arguments))
        except Exception as error:  # whatever a foreign package raises is its answer
            answer("error", f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
