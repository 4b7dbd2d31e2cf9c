"""Classifiers in R on the command line: ``model.R``, ``model.R:function`` and ``model.rds``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from adverscarial.classifiers import Classifier, RClassifier, load
from adverscarial.classifiers.files.formats import files_beside
from adverscarial.cli.options import Reading
from adverscarial.errors import ParameterError, did_you_mean, some


class Script(NamedTuple):
    """A file with R code, and the function that is meant; None for the usual one."""

    path: Path
    function: str | None


def script_of(spec: str) -> Script | None:
    """Return the script that a specification names; None if it names none.

    >>> script_of("r:sub/model.R:chetah")
    Script(path=PosixPath('sub/model.R'), function='chetah')
    >>> script_of("model.R").function is script_of("random-forest") is None
    True
    """
    spec = spec.removeprefix("r:")
    file, colon, function = spec.rpartition(":")
    if not colon or Path(file).suffix.lower() != ".r":
        file, function = spec, ""
    return Script(Path(file), function or None) if Path(file).suffix.lower() == ".r" else None


def is_r(spec: str) -> bool:
    """Return whether a specification names a classifier in R."""
    return script_of(spec) is not None or Path(spec).suffix.lower() == ".rds"


def check_r(reading: Reading, specs: Sequence[str]) -> None:
    """Raise a ParameterError when options of R are given for other classifiers, or those of others for R alone."""
    of_r = [is_r(spec) for spec in specs]
    if any(value is not None for value in (reading.r_rds, reading.r_form, reading.r_timeout)) and not any(of_r):
        raise ParameterError(
            f"--r-rds, --r-form and --r-timeout are for classifiers in R; leave them out for {some(specs)}."
        )
    if any(value is not None for value in (reading.missing, reading.sparse, reading.rounds)) and all(of_r):
        raise ParameterError("--missing, --sparse and --rounds are for boosted models, not for classifiers in R.")


def r_classifier(spec: str, reading: Reading, *, classes: list[str] | None, genes: list[str] | None) -> Classifier:
    """Return the classifier in R that a specification names. A script is the user's own, and is run.

    Raises
    ------
    ParameterError
        If there is no such file, or a setting does not go with it.
    """
    script, rds = script_of(spec), reading.r_rds
    path = Path(spec) if script is None else script.path
    if not path.is_file():
        raise ParameterError(f"There is no file '{path}'.{did_you_mean(path.name, files_beside(path))}")
    if script is None and rds is not None:
        raise ParameterError(f"--r-rds is for a script that asks the model: --classifier model.R --r-rds {spec}.")
    if script is None and not reading.trust:
        return load(path)  # says why not
    settings: dict[str, Any] = {
        "classes": classes, "genes": genes, "form": reading.r_form, "timeout": reading.r_timeout,
        "function": None if script is None else script.function,
    }  # fmt: skip
    settings = {name: value for name, value in settings.items() if value is not None}
    if script is None:
        return RClassifier(rds=path, trust=True, **settings)
    return RClassifier(script.path, rds=rds, trust=reading.trust, **settings)
