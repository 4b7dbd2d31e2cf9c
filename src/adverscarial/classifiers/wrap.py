"""``wrap``: whatever labels cells, as a classifier that attacks understand."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from adverscarial.classifiers.adapters.given import Takes
from adverscarial.classifiers.adapters.preprocessing import preprocessed
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.registry import ADAPTERS
from adverscarial.errors import ParameterError


def wrap(  # noqa: PLR0913
    obj: object,
    *,
    classes: Sequence[str] | None = None,
    genes: Sequence[str] | None = None,
    preprocess: str | Callable[[np.ndarray], np.ndarray] | None = None,
    missing: float | None = None,
    sparse: Literal["zero", "missing"] | None = None,
    rounds: Literal["best", "all"] | int | None = None,
    batch: object = None,
    needs_all_cells: bool | None = None,
    takes: Takes | None = None,
) -> Classifier:
    """Return `obj` as a classifier.

    Parameters
    ----------
    obj
        A fitted scikit-learn estimator or pipeline, or any object with ``classes_`` and ``predict_proba`` (or
        ``predict``), which is taken as it is; an XGBoost or LightGBM classifier or ``Booster``; a
        ``torch.nn.Module``; a CellTypist ``Model``; an scvi-tools ``SCANVI``; or a function:
        ``X -> labels``, ``X -> scores`` (cells x classes), or the R package's form
        ``f(expression, clusters, target) -> (label, share)``. Other packages can add objects of their own.
    classes
        Names of the score columns, where the object does not know them.
    genes
        Names of its input columns, in order, where it does not know them; the data's own genes otherwise.
    preprocess
        What happens to counts before the object sees them: ``"log1p"`` (10,000 counts per cell, then log1p),
        ``"scale"`` (the same, then z-scores over all cells of the data, capped at 10), or a function of cells x genes.
        Attacks then change counts, and the normalisation is computed again with the cell's new library size.
    missing
        XGBoost: the value that means "no value" to the model.
    sparse
        XGBoost, and estimators that hold it or another package's model: what entries mean to the model that a sparse
        matrix leaves out. ``"missing"`` for a model that was trained on a sparse matrix, ``"zero"`` for one that was
        trained on a dense array. It must be said only where the data are sparse and the two give other answers.
    rounds
        XGBoost and LightGBM: how many rounds of trees to use after early stopping, ``"best"``, ``"all"`` or a number;
        as the object itself does when left out.
    batch
        SCANVI: the batch that all cells are taken to come from.
    needs_all_cells
        Functions of cells: True where a cell's label depends on the cells beside it. The function is then always asked
        about all cells of the data at once. False says that it does not, and no test is made.
    takes
        Functions of cells: what they are given, ``"array"`` (cells x genes, when left out), ``"frame"`` (a DataFrame
        with named genes as columns) or ``"adata"`` (an AnnData with these values as ``X``, named genes, and nothing
        else).

    Raises
    ------
    ParameterError
        If `obj` is nothing that can label cells, or does not take one of the settings.

    Examples
    --------
    >>> import numpy as np
    >>> model = wrap(lambda X: np.where(X[:, 0] > 1, "B", "T"), classes=["B", "T"])
    >>> model.decide(np.array([[0.0], [2.0]])).labels.tolist()
    ['T', 'B']
    >>> import adverscarial as adv
    >>> named = wrap(lambda cells: np.where(cells.to_df()["CD79A"] > 1, "B", "other"), takes="adata")
    >>> adv.predict(adv.datasets.embedded(), named, groupby="cell_type", target="CD19+ B").label
    'B'
    """
    settings = {
        "classes": classes, "genes": genes, "missing": missing, "sparse": sparse, "rounds": rounds, "batch": batch,
        "needs_all_cells": needs_all_cells, "takes": takes,
    }  # fmt: skip
    model = _adapted(obj, {name: value for name, value in settings.items() if value is not None})
    return model if preprocess is None else preprocessed(model, preprocess)


def _adapted(obj: object, settings: dict[str, object]) -> Classifier:
    if isinstance(obj, Classifier):
        _refuse(f"The classifier {obj.name}", settings)
        return obj
    if isinstance(obj, type):
        raise ParameterError(f"wrap got the class {obj.__name__} itself; pass a fitted object of it.")
    adapter = _adapter_of(obj)
    if adapter is None:
        raise ParameterError(
            f"wrap cannot use a {type(obj).__name__}: pass a fitted scikit-learn estimator, an XGBoost, LightGBM or "
            "CellTypist model, a torch module, or a function of cells x genes."
        )
    known = inspect.signature(adapter).parameters
    _refuse(
        f"{adapter.__name__}, which wraps a {type(obj).__name__},",
        {name: value for name, value in settings.items() if name not in known},
    )
    return adapter(obj, **settings)


def _adapter_of(obj: object) -> Callable[..., Classifier] | None:
    """Return the first adapter that recognises an object."""
    adapters = sorted(ADAPTERS.all().values(), key=lambda adapter: adapter.wraps or 0)
    return next((adapter for adapter in adapters if adapter.recognises(obj)), None)


def _refuse(what: str, settings: dict[str, object]) -> None:
    """Raise a ParameterError for settings that would be dropped without a word."""
    if settings:
        given = ", ".join(f"{name}=" for name in settings)
        raise ParameterError(f"{what} takes no {given}: leave out {given}.")
