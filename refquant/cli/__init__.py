"""The command line: `refquant inspect | run | audit`, one module for each command.

Exit status: 0 fine, 1 the audit found something, 2 bad usage or bad input (with one line on standard error).
"""

from __future__ import annotations

import sys

import click
import typer
from typer.core import TyperGroup

from refquant.cli.audit import audit
from refquant.cli.inspect import inspect
from refquant.cli.run import run
from refquant.errors import RefquantError

app = typer.Typer(
    cls=TyperGroup,
    help="The executable specification of TensorFlow Lite: look into .tflite files, run them bit for bit, audit them.",
    epilog="Exit status: 0 fine, 1 the audit found something, 2 bad usage or bad input.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command()(inspect)
app.command()(run)
app.command()(audit)


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line and exits with its status; an error of ours or of the file system is one line."""
    try:
        status = app(arguments, standalone_mode=False)
    except click.exceptions.Abort:
        status = 130
    except click.ClickException as error:
        error.show()
        status = 2
    except (RefquantError, OSError) as error:
        print(f"refquant: {error}", file=sys.stderr)
        status = 2
    sys.exit(status if isinstance(status, int) else 0)
