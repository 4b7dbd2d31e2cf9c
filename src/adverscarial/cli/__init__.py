"""The command line: one small file per command."""

from __future__ import annotations

import sys

from adverscarial.cli.app import app
from adverscarial.cli.exits import exit_code
from adverscarial.cli.streams import steady

_DEBUG = "--debug"


def main() -> None:
    """Run the command line, and end the program with its exit code; see :mod:`adverscarial.cli.exits`."""
    arguments = sys.argv[1:]
    with steady():  # --debug is taken out here, so that it may stand before or after the command
        code = exit_code(lambda: app([word for word in arguments if word != _DEBUG]), debug=_DEBUG in arguments)
    sys.exit(code)


__all__ = ["app", "main"]
