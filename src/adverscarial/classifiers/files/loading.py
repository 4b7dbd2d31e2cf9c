"""Reading classifiers from files: our own, and those that other packages write.

What a file is, its content says, and where that does not tell, its ending. Only pickles and files of R can run code
when they are read, and only with ``trust=True`` are they read; every other format is numbers and text.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.files import lightgbm, own, pickles, r, skops, xgboost  # noqa: F401  each registers itself
from adverscarial.classifiers.files.formats import FORMATS, ModelFormat, Sample, no_such_file, readable
from adverscarial.classifiers.wrap import wrap
from adverscarial.errors import (
    AdverscarialError,
    MemoryLimitError,
    MissingDependencyError,
    ParameterError,
    StorageError,
)


def load(
    path: str | PathLike[str],
    *,
    trust: bool = False,
    classes: Sequence[str] | None = None,
    genes: Sequence[str] | None = None,
    missing: float | None = None,
    sparse: Literal["zero", "missing"] | None = None,
    rounds: Literal["best", "all"] | int | None = None,
) -> Classifier:
    """Read a classifier from a file.

    ============================== ==================================================================================
    ``.npz``                       what :meth:`Classifier.save` wrote: numbers and text, never needs trust
    ``.skops``                     scikit-learn, stored by skops (``pip install 'adverscarial[skops]'``); needs trust
                                   only where types inside are unknown to skops, which are then listed
    ``.json``, ``.ubj``            XGBoost (``save_model``)
    ``.txt``                       LightGBM (``save_model``)
    ``.pkl .pickle .joblib``       CellTypist, scikit-learn and others as a pickle: needs trust
    ``.R``, ``.rds``               a function or a stored model of R, as ``RClassifier`` takes them: needs trust
    ============================== ==================================================================================

    Parameters
    ----------
    path
        The file.
    trust
        Also read files that can run code (pickles, R), and types that skops does not know. Only for files whose origin
        you know.
    classes, genes
        Names of its classes and of its columns, in order, where the file holds none: as in
        :func:`adverscarial.classifiers.wrap`.
    missing, sparse
        As in :func:`adverscarial.classifiers.wrap`: what "no value" is to an XGBoost model.
    rounds
        How many rounds of a boosted model to use. Left out: those up to the best, if early stopping named one, as
        ``XGBClassifier`` does with such a file.

    Returns
    -------
    The classifier; a foreign object comes wrapped (:func:`adverscarial.classifiers.wrap`).

    Raises
    ------
    StorageError
        If the file is absent, damaged, holds no classifier, or needs `trust`; or if it holds a classifier of another
        package that is not installed, which is then named.
    MissingDependencyError
        If the package that wrote it is not installed.
    ParameterError
        If a setting is given for a file that says it itself.

    Examples
    --------
    >>> model = load("model.skops")  # doctest: +SKIP
    """
    path = Path(path)
    if folder := _folder_of_scvi(path):
        raise StorageError(
            f"'{path}' is a model of scvi-tools, which is read together with its cells: load it with model = "
            f"scvi.model.SCANVI.load('{folder}', adata), and pass adv.classifiers.wrap(model). Where scvi-tools is not "
            "installed: pip install 'adverscarial[scvi]'"
        )
    if not path.is_file():
        raise StorageError(no_such_file(path))
    form = _format_of(path)
    if form is None:
        raise StorageError(f"'{path}' holds no classifier, as far as content and ending tell. {readable()}")
    given = {"classes": classes, "genes": genes, "missing": missing, "sparse": sparse, "rounds": rounds}
    given = {name: value for name, value in given.items() if value is not None}
    if form.complete and given:
        named = ", ".join(f"{name}=" for name in given)
        raise ParameterError(f"'{path}' names its classes and genes itself, and all else: leave out {named}.")
    if form.needs_trust and not trust:
        raise StorageError(
            f"'{path}' was not read: {form.danger} If you know where it comes from, read it with trust=True (command "
            f"line: --trust). {form.instead}".strip()
        )
    return _read(path, form, trust, {**form.settings, **given})


def _read(path: Path, form: ModelFormat, trust: bool, settings: dict[str, Any]) -> Classifier:
    if form.complete:
        found = form.read(path, trust)
        assert isinstance(found, Classifier)  # as `complete` says
        return found
    try:
        return wrap(form.read(path, trust), **settings)
    except (StorageError, MissingDependencyError, MemoryLimitError):
        raise
    except AdverscarialError as error:  # not fitted, or no classifier at all
        raise StorageError(f"'{path}' was read, but cannot be used: {error}") from error
    except Exception as error:  # a foreign file can fail in any way
        reason = "".join(str(error).splitlines()[:1])  # XGBoost's own stack trace follows
        raise StorageError(
            f"'{path}' cannot be read as a classifier of {form.name} ({type(error).__name__}: {reason}). It is "
            "damaged, holds something else, or needs a package that is not installed."
        ) from error


def _folder_of_scvi(path: Path) -> Path | None:
    """Return the folder of a model that scvi-tools stored, given it or its file ``model.pt``; None for all else."""
    folder = path.parent if path.name == "model.pt" else path
    return folder if (folder / "model.pt").is_file() else None


def _format_of(path: Path) -> ModelFormat | None:
    """Return which format a file has; None for none of those that can be read."""
    formats, ending = list(FORMATS.all().values()), path.suffix.lower()
    by_ending = next((form for form in formats if ending in form.endings), None)
    if by_ending is not None and by_ending.complete:
        return by_ending  # whatever is inside: what is not ours is refused there, and never unpickled
    sample = _sample(path)
    return next((form for form in formats if form.recognises(sample)), by_ending)


def _sample(path: Path) -> Sample:
    with path.open("rb") as file:
        start = file.read(64)
    if not zipfile.is_zipfile(path):
        return Sample(start, frozenset())
    try:
        with zipfile.ZipFile(path) as archive:
            return Sample(start, frozenset(archive.namelist()))
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise StorageError(
            f"'{path}' is a zip file that cannot be read ({error}): it is damaged. Copy or write it again."
        ) from error
