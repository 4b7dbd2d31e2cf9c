"""Exit codes: 0 all was tested and is within the limit, 1 more than allowed, or a proof is wrong, 2 anything else.

This is the one place that turns exceptions into a message and a code.
"""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Callable

from adverscarial.errors import AdverscarialError

WITHIN, OVER, FAILED, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143


class LimitExceeded(Exception):
    """More was found than ``--fail-over`` allows, or a certificate does not hold; it was said already."""


class NotDecided(Exception):
    """Something that was asked for was not tested; it was said already."""


class EndedBy(Exception):
    """Something that a command called asked the whole program to end, as a classifier may do."""

    def __init__(self, code: object) -> None:
        super().__init__(code)
        self.code = code


def exit_code(run: Callable[[], object], *, debug: bool = False) -> int:
    """Call `run`, say on standard error what went wrong, and return the exit code.

    Parameters
    ----------
    run
        The command line; it may end itself by :class:`SystemExit`, as typer's applications do.
    debug
        Whether to show the traceback of an error, too.
    """
    try:
        _finish(run)
    except LimitExceeded:
        return OVER
    except NotDecided:
        return FAILED
    except KeyboardInterrupt:
        return _ended(INTERRUPTED)
    except SystemExit as end:  # of typer: 2 for a wrong command, which it has described, 130 for Ctrl-C
        return _ended(INTERRUPTED) if end.code == INTERRUPTED else FAILED
    except EndedBy as end:
        return _ended(TERMINATED) if end.code == TERMINATED else _failed(end, debug)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is not a pass
        return _failed(error, debug)
    return WITHIN


def _finish(run: Callable[[], object]) -> None:
    """Call `run`, and see that all of its output has left; typer ends its applications by a SystemExit, also well."""
    try:
        run()
    except SystemExit as end:
        if end.code not in (None, WITHIN):
            raise
    sys.stdout.flush()


def _ended(code: int) -> int:
    sys.stderr.write("adverscarial: ended; a survey started again on its folder goes on where it was.\n")
    return code


def _failed(error: BaseException, debug: bool) -> int:
    if debug:
        traceback.print_exception(error, file=sys.stderr)
    sys.stderr.write(f"adverscarial: {message(error)}\n")
    return FAILED


#: arguments of functions, as messages name them, and the options that stand for them
_OPTIONS = {
    "groupby": "--groupby", "target": "--target", "targets": "--target", "layer": "--layer", "n_jobs": "--jobs",
    "tissue": "--tissue", "seed": "--seed", "budget": "--budget", "time_limit": "--time-limit",
}  # fmt: skip
_ARGUMENT = re.compile(rf"(?<![\w.(])({'|'.join(_OPTIONS)})=(\d+\b|(?=[\s,:;]|\.(?!\.)|$))")


def in_shell_words(text: str) -> str:
    """Return a message with options in place of arguments, where they stand by themselves, not in a call.

    >>> in_shell_words("choose another column with groupby=, or use n_jobs=1")
    'choose another column with --groupby, or use --jobs 1'
    """
    return _ARGUMENT.sub(lambda found: f"{_OPTIONS[found[1]]} {found[2]}".rstrip(), text)


def message(error: BaseException) -> str:
    """Return what to tell about an error, and what to do."""
    if isinstance(error, AdverscarialError):
        return in_shell_words(str(error))
    if isinstance(error, EndedBy):
        return (
            f"Something that was called, most likely the classifier, asked the program to end (exit code {error.code}),"
            " so the work was not finished. Run it again with --debug to see where."
        )
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, MemoryError):
        return f"There is not enough memory ({what}). Attack fewer cells or genes at a time, with fewer --jobs."
    if isinstance(error, OSError):
        return f"A file cannot be read or written ({what}). Check the path, your rights, and the space on the disk."
    return f"{what}. The program did not expect this error. Run the command again with --debug to see where it arose."
