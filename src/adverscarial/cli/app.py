"""The application: its commands, each in a file that is loaded when the command is used."""

from __future__ import annotations

import logging
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup

from adverscarial.cli.exits import EndedBy
from adverscarial.errors import did_you_mean


class _Notes(logging.Handler):
    """Shows what is logged as a note, where somebody looks."""

    def emit(self, record: logging.LogRecord) -> None:
        """Show one line."""
        from adverscarial import _progress
        from adverscarial.cli.output import note

        if _progress.shown(None):
            note(record.getMessage())


class Command(NamedTuple):
    """Where a command is defined, the line that ``adverscarial --help`` shows of it, and if it runs attacks.

    A command that runs attacks has an option for each of their settings.
    """

    module: str
    function: str
    help: str
    settings: bool = False


#: loading a command's file takes a second or more, since it needs the whole package; the list of commands does not
COMMANDS = {
    "demo": Command("demo", "demo", "Attack three classifiers on 700 real blood cells, and write a report."),
    "attack": Command("attack", "attack", "Attack one cluster.", settings=True),
    "survey": Command("survey", "survey", "Attack every cluster, and write a table and a report.", True),
    "stress": Command(
        "stress", "stress", "Change all clusters as laboratories do, and say when their labels are lost."
    ),
    "train": Command("train", "train", "Train a classifier on one half of the cells, and save it."),
    "classify": Command("classify", "classify", "Label every cell with a classifier that needs no training any more."),
    "convert": Command("convert", "convert", "Read data of any known format and write it as .h5ad or .zarr."),
    "fetch": Command("fetch", "fetch", "Fetch a data set of CELLxGENE, the paper's among them, and write it as .h5ad."),
    "report": Command("report", "report", "Write the HTML report of a finished survey again."),
    "transfer": Command("transfer", "transfer", "Try the flips that a survey found on other classifiers."),
    "reproduce": Command("reproduce", "reproduce", "Reproduce a figure of the paper, and say which findings hold."),
    "verify-certificate": Command("certificates", "verify", "Check the proof of a lower bound of min-change."),
    "list": Command("listing", "list_", "List attacks, modifications and classifiers."),
}

_SETTINGS: dict[str, Any] = {
    "pretty_exceptions_enable": False,
    "rich_markup_mode": "rich",
    "context_settings": {"help_option_names": ["-h", "--help"]},
}


class Commands(TyperGroup):
    """A group of commands that loads the one that is used."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that is asked for, loaded, and its arguments."""
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            # said here, since typer names near ones only in its newer versions
            ctx.fail(f"No such command '{args[0]}'.{did_you_mean(args[0], list(self.commands))}")
        name, command, rest = super().resolve_command(ctx, args)
        return name, loaded(str(name)) if command is not None else None, rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command; neither of these exceptions is to be taken for typer's own, which end without a word."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise ConnectionError(f"a process or a reader is gone, {error}") from error
        except SystemExit as end:
            raise EndedBy(end.code) from end


def loaded(name: str) -> Any:
    """Return a command, ready to run."""
    command = COMMANDS[name]
    from adverscarial.cli.options import with_groups

    function = getattr(import_module(f"adverscarial.cli.{command.module}"), command.function)
    function = with_groups(function)
    if command.settings:
        from adverscarial.cli.settings import with_settings

        function = with_settings(function)
    single = typer.Typer(add_completion=False, **_SETTINGS)
    single.command(name)(function)
    return typer.main.get_command(single)


app = typer.Typer(
    name="adverscarial",
    help="How easily can a cell-type label be flipped? Start with: adverscarial demo",
    no_args_is_help=True,
    cls=Commands,
    **_SETTINGS,
)


def _listed() -> None:
    """Stand in the list of commands until the command is loaded."""


for _name, _command in COMMANDS.items():
    app.command(_name, help=_command.help)(_listed)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"adverscarial {version('adverscarial')}")
        raise typer.Exit


@app.callback()
def options(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show what the library logs.")] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show where in the program an error arose. May stand anywhere.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """How easily can a cell-type label be flipped?"""
    if verbose:
        logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
        return
    compiling = logging.getLogger("adverscarial._compiled")  # named, not imported: that would load numba
    if not compiling.handlers:
        compiling.addHandler(_Notes(level=logging.INFO))
        compiling.setLevel(logging.INFO)
