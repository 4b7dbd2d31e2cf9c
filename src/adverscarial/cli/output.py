"""What people and programs read: results on standard output, notes on standard error."""

from __future__ import annotations

import json
import sys

from rich.console import Console
from rich.status import Status
from rich.text import Text

from adverscarial import _progress

#: results; names of clusters, genes and files are printed as they are, never as markup or emoji
console = Console(markup=False, emoji=False, highlight=False)
#: notes; the same console as that of the progress bars, so that notes stand above them
notes: Console = _progress.console()


def note(text: str) -> None:
    """Print a note on standard error."""
    notes.print(Text.assemble(("Note:", "yellow"), " ", text), soft_wrap=True)


def alarm(text: str) -> None:
    """Print on standard error what makes the exit code 1 or 2."""
    notes.print(Text(text, style="bold red"), soft_wrap=True)


def say(text: str) -> None:
    """Print plain text on standard output, without breaking its lines."""
    sys.stdout.write(text + "\n")


def working(text: str) -> Status:
    """Show on a terminal that something goes on: ``with working("Reading ..."):``."""
    return notes.status(Text(text))


def print_json(value: object) -> None:
    """Print JSON on standard output; letters that its encoding does not have are written by their numbers."""
    text = json.dumps(value, indent=1, ensure_ascii=False, default=str)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=1, default=str)
    say(text)
