"""Reading classifiers from files: our own, and those that other packages write.

What a file is, its content says, and where that does not tell, its ending. Only pickles can run code when they are
read, and only with ``trust=True`` are they read; every other format is numbers and text.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from adverscarial import _store
from adverscarial.classifiers._xgboost import check_model
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.boosting import Boosted
from adverscarial.classifiers.celltypist import CellTypist, load_celltypist
from adverscarial.classifiers.chetah import Chetah
from adverscarial.classifiers.markers import Markers
from adverscarial.classifiers.mlp import MLP
from adverscarial.classifiers.random_forest import RandomForest
from adverscarial.classifiers.scannotatr import ScAnnotatR
from adverscarial.classifiers.sctype import ScType
from adverscarial.classifiers.singler import SingleR
from adverscarial.classifiers.wrap import wrap
from adverscarial.errors import (
    AdverscarialError,
    MemoryLimitError,
    MissingDependencyError,
    ParameterError,
    StorageError,
    did_you_mean,
    some,
)

FAMILIES: dict[str, type[Classifier]] = {
    str(family.family): family
    for family in (MLP, Boosted, CellTypist, Chetah, Markers, RandomForest, ScAnnotatR, ScType, SingleR)
}

READABLE = (
    "Files that can be read: .npz (of Classifier.save), .skops (scikit-learn), .json or .ubj (XGBoost), .txt "
    "(LightGBM), and, where they are trusted, .pkl, .pickle or .joblib (CellTypist, scikit-learn)."
)
_ENDINGS = {
    ".skops": "skops",
    ".json": "xgboost",
    ".ubj": "xgboost",
    ".txt": "lightgbm",
    ".pkl": "pickle",
    ".pickle": "pickle",
    ".joblib": "pickle",
}
# pickle's opcode for protocols 2 to 5, then what joblib compresses with: zlib, gzip, bzip2, xz, lzma, lz4
_PICKLES = (b"\x80", b"\x78", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x5d\x00", b"\x04\x22\x4d\x18")


def load(
    path: str | PathLike[str],
    *,
    trust: bool = False,
    classes: Sequence[str] | None = None,
    genes: Sequence[str] | None = None,
) -> Classifier:
    """Read a classifier from a file.

    ============================== ==================================================================================
    ``.npz``                       what :meth:`Classifier.save` wrote: numbers and text, never needs trust
    ``.skops``                     scikit-learn, stored by skops (``pip install 'adverscarial[skops]'``); needs trust
                                   only where types inside are unknown to skops, which are then listed
    ``.json``, ``.ubj``            XGBoost (``save_model``)
    ``.txt``                       LightGBM (``save_model``)
    ``.pkl .pickle .joblib``       CellTypist, scikit-learn and others as a pickle: needs trust
    ============================== ==================================================================================

    Parameters
    ----------
    path
        The file.
    trust
        Also read files that can run code (pickles), and types that skops does not know. Only for files whose origin
        you know.
    classes, genes
        Names of its classes and of its columns, in order, where the file holds none: as in
        :func:`adverscarial.classifiers.wrap`.

    Returns
    -------
    The classifier; a foreign object comes wrapped (:func:`adverscarial.classifiers.wrap`).

    Raises
    ------
    StorageError
        If the file is absent, damaged, holds no classifier, or needs `trust`.
    MissingDependencyError
        If the package that wrote it is not installed.
    ParameterError
        If `classes` or `genes` are given for a file that we wrote, which names its own.

    Examples
    --------
    >>> model = load("model.skops")  # doctest: +SKIP
    """
    path = Path(path)
    if not path.is_file():
        raise StorageError(f"There is no file '{path}'.{did_you_mean(path.name, files_beside(path))} {READABLE}")
    kind = _kind(path)
    if kind is None:
        raise StorageError(f"'{path}' holds no classifier, as far as content and ending tell. {READABLE}")
    if kind == "npz":
        if classes is not None or genes is not None:
            raise ParameterError(f"'{path}' names its classes and genes itself: leave out classes= and genes=.")
        return _own(path)
    if kind == "pickle" and not trust:
        raise StorageError(
            f"'{path}' was not read: it is a Python pickle, and reading a pickle runs any code that its author put "
            "inside. If you know where it comes from, read it with trust=True (command line: --trust). Better for "
            "scikit-learn: store the model with skops.io.dump(model, 'model.skops'), which needs no trust."
        )
    try:
        return wrap(_READERS[kind](path, trust), classes=classes, genes=genes)
    except (StorageError, MissingDependencyError, MemoryLimitError):
        raise
    except AdverscarialError as error:  # not fitted, or no classifier at all
        raise StorageError(f"'{path}' was read, but cannot be used: {error}") from error
    except Exception as error:  # a foreign file can fail in any way
        reason = "".join(str(error).splitlines()[:1])  # XGBoost's own stack trace follows
        raise StorageError(
            f"'{path}' cannot be read as a classifier of {_WRITERS[kind]} ({type(error).__name__}: {reason}). It is "
            "damaged, holds something else, or needs a package that is not installed."
        ) from error


def files_beside(path: Path) -> list[str]:
    """Return the names of the files in a path's folder, whether or not the path is there: one may be meant."""
    try:
        return sorted(entry.name for entry in path.parent.iterdir() if entry.is_file())
    except OSError:  # no folder, or none that may be read
        return []


def _kind(path: Path) -> str | None:
    """Return which format a file has; None for none of those that can be read."""
    ending = path.suffix.lower()
    if ending == ".npz":  # whatever is inside: what is not ours is refused there, and never unpickled
        return "npz"
    if zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as archive:
                names = set(archive.namelist())
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise StorageError(
                f"'{path}' is a zip file that cannot be read ({error}): it is damaged. Copy or write it again."
            ) from error
        if "schema.json" in names:
            return "skops"
        if "meta.npy" in names:
            return "npz"
    with path.open("rb") as file:
        start = file.read(64)
    if start.startswith(b"{"):  # JSON and its binary form both
        return "xgboost"
    if start.startswith(b"tree"):
        return "lightgbm"
    if start.startswith(_PICKLES):
        return "pickle"
    return _ENDINGS.get(ending)


def _own(path: Path) -> Classifier:
    meta, arrays = _store.load(path, "classifier")
    family = FAMILIES.get(str(meta.get("family")))
    if family is None:
        raise StorageError(f"'{path}' holds a '{meta.get('family')}'; this version reads {some(FAMILIES, 20)}.")
    try:
        return family.from_state(meta, arrays)
    except (AdverscarialError, KeyError, TypeError, ValueError, IndexError) as error:
        raise StorageError(
            f"'{path}' is damaged: {type(error).__name__}: {error}. Save the classifier again."
        ) from error


def _pickled(path: Path, trust: bool) -> Any:
    import joblib

    obj = joblib.load(path)  # reads plain pickles too; only reached with trust
    if isinstance(obj, dict) and {"Model", "Scaler_"} <= set(obj):
        return load_celltypist(path, trust=trust)
    return obj


def _skops(path: Path, trust: bool) -> Any:
    try:
        from skops import io
    except ImportError as error:
        raise MissingDependencyError("skops", "skops", "Reading .skops files") from error
    _store.check_unpacked_size(path)
    unknown = io.get_untrusted_types(file=path)
    if unknown and not trust:
        raise StorageError(
            f"'{path}' was not read: it holds {len(unknown)} type(s) that skops does not know to be harmless: "
            f"{some(unknown, 20)}. If you know them and where the file comes from, read it with trust=True "
            "(command line: --trust)."
        )
    return io.load(path, trusted=unknown)


def _xgboost(path: Path, trust: bool) -> Any:
    try:
        import xgboost
    except ImportError as error:
        raise MissingDependencyError("xgboost", "boosting", "Reading XGBoost models") from error
    content = path.read_bytes()
    check_model(content)
    booster = xgboost.Booster()
    booster.load_model(bytearray(content))
    return booster


def _lightgbm(path: Path, trust: bool) -> Any:
    try:
        import lightgbm
    except ImportError as error:
        raise MissingDependencyError("lightgbm", "boosting", "Reading LightGBM models") from error
    text = path.read_text(encoding="utf-8")
    if not text.startswith("tree") or "end of trees" not in text:
        raise StorageError(f"'{path}' is no LightGBM model, or one that was cut short. {READABLE}")
    # with tree_sizes, LightGBM reads trees in threads, and over a damaged one ends the process; without, it raises
    text = "\n".join(line for line in text.splitlines() if not line.startswith("tree_sizes="))
    return lightgbm.Booster(model_str=text)


_READERS: dict[str, Callable[[Path, bool], Any]] = {
    "skops": _skops,
    "pickle": _pickled,
    "xgboost": _xgboost,
    "lightgbm": _lightgbm,
}
_WRITERS = {"skops": "skops", "pickle": "a pickle", "xgboost": "XGBoost", "lightgbm": "LightGBM"}
