"""Classifiers in R: scripts, and models that ``saveRDS`` wrote. R runs both, so both need trust."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adverscarial.classifiers.adapters.r.classifier import RClassifier
from adverscarial.classifiers.files.formats import FORMATS, ModelFormat, Sample

_SCRIPT, _OBJECTS = "an R script", "an R model"


def _never(sample: Sample) -> bool:
    """Return False: these files are told by their endings, since .rds files may be compressed in any way."""
    return False


def _read_script(path: Path, trust: bool) -> Any:
    return RClassifier(path)


def _read_objects(path: Path, trust: bool) -> Any:
    return RClassifier(rds=path, trust=trust)


for form in (
    ModelFormat(
        _SCRIPT, (".r",), "a function of R", _never, _read_script, needs_trust=True, complete=True,
        danger="it is a program in R, and reading it runs it.",
    ),
    ModelFormat(
        _OBJECTS, (".rds",), "a model of R", _never, _read_objects, needs_trust=True, complete=True,
        danger="it holds R objects, and reading them can run any code that its author put inside.",
    ),
):  # fmt: skip
    FORMATS.add(form.name, form)
