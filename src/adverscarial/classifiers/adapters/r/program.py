"""What an R process is to run: the user's script or model, and how it is asked. Plain values, which can be pickled."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from adverscarial.classifiers.adapters.r.transport import DEFAULT, Kind
from adverscarial.errors import ClassifierError, MissingDependencyError, ParameterError, did_you_mean

#: environment variable that names the program Rscript
VARIABLE = "ADVERSCARIAL_RSCRIPT"

_CHOICES = {
    "form": ("auto", "cells", "cluster"),
    "expression": ("matrix", "data.frame", "dgCMatrix"),
    "cells_in": ("rows", "columns"),
    "errors": ("raise", "reject"),
}


@dataclass(frozen=True)
class Program:
    """What an R process is to run.

    Attributes
    ----------
    script, script_name
        Text of the user's script, and the name of its file; empty without one.
    function
        Name of the function in it.
    rds, rds_digest
        Path of a stored model, and the SHA-256 of the file; empty without one.
    predict
        Text of an R function of (model, X).
    packages
        Attached first.
    form, expression, cells_in, errors, collate, seed, timeout, vanilla, rscript
        As in :class:`~adverscarial.classifiers.RClassifier`.
    kind
        How Python and R talk.
    """

    script: str = ""
    script_name: str = ""
    function: str = "classify"
    rds: str = ""
    rds_digest: str = ""
    predict: str = ""
    packages: tuple[str, ...] = ()
    form: Literal["auto", "cells", "cluster"] = "auto"
    expression: Literal["matrix", "data.frame", "dgCMatrix"] = "matrix"
    cells_in: Literal["rows", "columns"] = "rows"
    errors: Literal["raise", "reject"] = "raise"
    collate: str = "C"
    seed: int = 0
    timeout: float = 600.0
    vanilla: bool = False
    rscript: str = ""
    kind: Kind = DEFAULT

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if (value := getattr(self, name)) not in allowed:
                raise ParameterError(
                    f"{name}={value!r} is not known.{did_you_mean(value, allowed)} There are: {', '.join(allowed)}."
                )
        if not self.script_name and not self.rds:
            raise ParameterError(
                "RClassifier needs a script, RClassifier('model.R'), or a stored model, RClassifier(rds='model.rds', "
                "trust=True)."
            )
        if self.predict and not self.rds:
            raise ParameterError("predict= is a function of (model, X): name the model, too, with rds=.")
        if not self.timeout > 0:
            raise ParameterError(f"timeout must be more than 0 seconds, got {self.timeout!r}.")
        if not isinstance(self.seed, int) or not 0 <= self.seed < 2**31 - 1:
            raise ParameterError(f"seed must be a whole number from 0 to {2**31 - 2:,}, got {self.seed!r}.")

    @property
    def what(self) -> str:
        """What messages call the user's function."""
        if self.script_name and not self.predict:
            return f"{self.function}() of {self.script_name}"
        return f"predict() of {Path(self.rds).name}"

    @property
    def options(self) -> list[str]:
        """Options of Rscript."""
        return ["--vanilla"] if self.vanilla else ["--no-save", "--no-restore"]

    @property
    def texts(self) -> list[str]:
        """What R is told, in the order in which ``bridge.R`` reads it."""
        return [
            self.script, self.script_name, self.function, self.rds, self.predict, self.form, self.expression,
            self.cells_in, self.collate, self.errors,
        ]  # fmt: skip

    def content(self) -> dict[str, Any]:
        """Return what answers depend on: no path, and nothing that only tells how to talk."""
        names = (
            "script", "function", "rds_digest", "predict", "packages", "form", "expression", "cells_in", "errors",
            "collate", "seed",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}

    def check_model(self) -> None:
        """Raise a ClassifierError when the stored model is no longer the file that it was."""
        if self.rds and digest(self.rds) != self.rds_digest:
            raise ClassifierError(f"'{self.rds}' has changed since this classifier was made: make it anew.")

    def program(self) -> str:
        """Return the path of Rscript.

        Raises
        ------
        MissingDependencyError
            If there is none.
        """
        named = self.rscript or os.environ.get(VARIABLE, "")
        found = shutil.which(named or "Rscript")
        if found is None:
            where = f"'{named}' is no program" if named else "there is no 'Rscript' on the path"
            raise MissingDependencyError(
                "R",
                "",
                f"Asking {self.what}",
                f"{where}. Install R 4.0 or newer (Debian, Ubuntu: apt-get install r-base-core; conda: conda install "
                f"r-base), or name the program with rscript= or the environment variable {VARIABLE}.",
            )
        return found


def digest(path: str) -> str:
    """Return the SHA-256 of a file.

    Raises
    ------
    ParameterError
        If it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ParameterError(f"'{path}' cannot be read ({error.strerror or error}).") from error
