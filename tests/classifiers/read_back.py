"""Storing a classifier and reading it back."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from adverscarial import _store
from adverscarial.classifiers import Classifier

C = TypeVar("C", bound=Classifier)


def read_back(model: C, folder: Path) -> C:
    """Return what the file of a classifier holds; its family, settings and classes are those that were stored."""
    model.save(folder / "model.npz")
    meta, arrays = _store.load(folder / "model.npz", "classifier")
    assert meta["family"] == model.family
    again = type(model).from_state(meta, arrays)
    assert (repr(again), again.classes) == (repr(model), model.classes)
    return again
