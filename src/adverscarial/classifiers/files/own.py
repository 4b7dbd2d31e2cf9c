"""Files that :meth:`Classifier.save` writes: numbers and text."""

from __future__ import annotations

from pathlib import Path

from adverscarial import _store
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.files.formats import FORMATS, ModelFormat
from adverscarial.classifiers.registry import FAMILIES
from adverscarial.errors import AdverscarialError, MissingDependencyError, StorageError, some


def _read(path: Path, trust: bool) -> Classifier:
    meta, arrays = _store.load(path, "classifier")
    name = str(meta.get("family"))
    family = FAMILIES.find(name)
    if family is None:
        raise StorageError(_unknown(path, name, str(meta.get("distribution", ""))))
    try:
        model = family.from_state(meta, arrays)
        model.trained_on = str(meta.get("trained_on", ""))
        return model
    except MissingDependencyError:
        raise
    except (AdverscarialError, KeyError, TypeError, ValueError, IndexError) as error:
        raise StorageError(
            f"'{path}' is damaged: {type(error).__name__}: {error}. Save the classifier again."
        ) from error


def _unknown(path: Path, family: str, distribution: str) -> str:
    """Say what is needed to read a family that is not here."""
    if distribution == "__main__":
        return (
            f"'{path}' holds a '{family}', whose class was defined in a script or a notebook. "
            "Run its class statement first, then read the file."
        )
    if distribution not in ("", "adverscarial"):
        return (
            f"'{path}' holds a '{family}', a classifier of the package '{distribution}', which is not installed. "
            f"Install it with: pip install {distribution}"
        )
    return f"'{path}' holds a '{family}'; this version reads {some(FAMILIES, 20)}."


FORMATS.add(
    "adverscarial",
    ModelFormat(
        "adverscarial", (".npz",), "of Classifier.save", lambda sample: "meta.npy" in sample.members, _read,
        complete=True,
    ),
)  # fmt: skip
