"""Reading stored classifiers."""

from __future__ import annotations

from os import PathLike

from adverscarial import _store
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.boosting import Boosted
from adverscarial.classifiers.celltypist import CellTypist
from adverscarial.classifiers.chetah import Chetah
from adverscarial.classifiers.markers import Markers
from adverscarial.classifiers.mlp import MLP
from adverscarial.classifiers.random_forest import RandomForest
from adverscarial.classifiers.scannotatr import ScAnnotatR
from adverscarial.classifiers.sctype import ScType
from adverscarial.classifiers.singler import SingleR
from adverscarial.errors import AdverscarialError, StorageError, some

FAMILIES: dict[str, type[Classifier]] = {
    str(family.family): family
    for family in (MLP, Boosted, CellTypist, Chetah, Markers, RandomForest, ScAnnotatR, ScType, SingleR)
}


def load(path: str | PathLike[str], *, trust: bool = False) -> Classifier:
    """Read a classifier that :meth:`Classifier.save` wrote.

    Parameters
    ----------
    path
        The file.
    trust
        Also read formats that can run code (pickles). Our own files hold numbers and text only and never need it.

    Raises
    ------
    StorageError
        If the file is absent, damaged, or not a stored classifier.
    """
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
