"""The command line: `refquant COMMAND`, one module for each command, imported when it is asked for.

Exit status: 0 fine, 1 something was found or differs, 2 bad usage or bad input, with one line on standard error.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from refquant.errors import RefquantError

COMMANDS = (
    "inspect",
    "run",
    "quantize",
    "prune",
    "cluster",
    "compress",
    "audit",
    "compare",
    "bisect",
    "explain",
    "ops",
    "verify",
)


class LazyCommands(TyperGroup):
    """The commands by name: the function `NAME` of the module `refquant.cli.NAME`."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        alone = typer.Typer(add_completion=False, rich_markup_mode="markdown")
        alone.command(cmd_name)(getattr(import_module(f"refquant.cli.{cmd_name}"), cmd_name))
        return typer.main.get_command(alone)


app = typer.Typer(
    cls=LazyCommands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 fine, 1 something was found or differs, 2 bad usage or bad input.",
)


def _version(wanted: bool) -> None:
    if wanted:
        from refquant import __version__

        print(f"refquant {__version__}")
        raise typer.Exit


@app.callback()
def refquant(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """The executable specification of TensorFlow Lite: look into .tflite files, run them to the bit, audit them."""


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line and exits with its status; bad input is one line on standard error, and status 2."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(arguments, prog_name="refquant")
    except RefquantError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}" if error.filename is not None else str(error))
    except MemoryError:
        _fail("not enough memory")


def _fail(message: str) -> None:
    from refquant.cli.output import printable

    print(f"refquant: {printable(message)}", file=sys.stderr)
    sys.exit(2)
