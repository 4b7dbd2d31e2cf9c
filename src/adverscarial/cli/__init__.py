"""The command line: one small file per command."""

from __future__ import annotations

import sys

import typer

from adverscarial.cli.app import app
from adverscarial.cli.attack import attack
from adverscarial.cli.classify import classify
from adverscarial.cli.convert import convert
from adverscarial.cli.demo import demo
from adverscarial.cli.listing import list_
from adverscarial.cli.report import report
from adverscarial.cli.reproduce import reproduce
from adverscarial.cli.survey import survey
from adverscarial.cli.train import train
from adverscarial.errors import AdverscarialError

app.command()(demo)
app.command()(attack)
app.command()(survey)
app.command()(train)
app.command()(classify)
app.command()(convert)
app.command()(report)
app.command()(reproduce)
app.command("list")(list_)


def main() -> None:
    """Run the command line. Bad input ends with one clear message and exit code 2."""
    try:
        app()
    except AdverscarialError as error:
        typer.echo(f"adverscarial: {error}", err=True)
        sys.exit(2)
    except SystemExit as stop:
        if stop.code in (130, 143):  # SIGINT, which typer turns into an exit, and SIGTERM
            typer.echo("adverscarial: ended; a survey started again on its folder goes on where it was.", err=True)
        raise


__all__ = ["app", "main"]
