"""What R reports as failed, in the errors of this package."""

from __future__ import annotations

from adverscarial.classifiers.adapters.r.process import Ended
from adverscarial.classifiers.adapters.r.program import Program
from adverscarial.classifiers.adapters.r.protocol import Reply, Status
from adverscarial.errors import (
    AdverscarialError,
    ClassifierError,
    InputRejected,
    MissingDependencyError,
    ParameterError,
    did_you_mean,
    some,
)

_TOO_OLD = 4  # status with which bridge.R ends under such an R


def failure(answer: Reply, program: Program) -> AdverscarialError:
    """Return the error that a failed answer stands for.

    Parameters
    ----------
    answer
        Its first field has the kind of failure, R's message, the call that it arose in, and more texts.
    program
        What was asked.
    """
    kind, message, call, *more = answer.texts(0)
    within = f" (in {call})" if call else ""
    what = program.what
    if answer.status is Status.REFUSED:
        return InputRejected(f"{what} refused the input: {message}")
    if kind == "package":
        return _missing_package(more, what)
    if kind == "parse":
        return ParameterError(f"R cannot read {program.script_name or 'predict='}: {message}")
    if kind == "function":
        near = did_you_mean(program.function, more)
        have = f"It defines: {some(more, 10)}." if more else "It defines none."
        return ParameterError(f"In {program.script_name}, {message}.{near} {have} Name one with function=.")
    if kind == "rds":
        return ParameterError(f"'{program.rds}' cannot be used: {message}.")
    if kind == "setting":
        return ParameterError(f"{message}.")
    if kind == "answer":
        return ClassifierError(f"{what} {message}.")
    return ClassifierError(f"{what} failed in R: {message}{within}")


def ended(end: Ended, program: Program, *, asked: bool) -> AdverscarialError:
    """Return the error for an R process that ended before it answered.

    Parameters
    ----------
    end
        How it ended.
    program
        What it ran.
    asked
        Whether it had been asked about cells; else it was still getting ready.
    """
    if end.status == _TOO_OLD and not asked:
        return MissingDependencyError("R 4.0 or newer", "", f"Asking {program.what}", f"{end.said}.")
    doing = "while" if asked else "before"
    return ClassifierError(f"R ended {doing} {program.what} was asked: {end}.")


def _missing_package(more: list[str], what: str) -> MissingDependencyError:
    package, version, *libraries = more
    return MissingDependencyError(
        f"the R package '{package}'",
        "",
        what,
        f"{version} does not find it in {some(libraries)}. Install it in R with install.packages('{package}') or "
        f"BiocManager::install('{package}').",
    )
