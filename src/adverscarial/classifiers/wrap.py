"""``wrap``: whatever labels cells, as a classifier that attacks understand."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.boosting import Boosted, boosting_package
from adverscarial.classifiers.callables import CellFunction, ClusterFunction
from adverscarial.classifiers.celltypist import CellTypist, is_celltypist
from adverscarial.classifiers.estimators import Estimator
from adverscarial.classifiers.preprocessed import preprocessed
from adverscarial.classifiers.scanvi import Scanvi, is_scanvi
from adverscarial.classifiers.torch_module import TorchModule
from adverscarial.errors import ParameterError


def wrap(
    obj: Any,
    *,
    classes: Sequence[str] | None = None,
    genes: Sequence[str] | None = None,
    preprocess: str | Callable[[np.ndarray], np.ndarray] | None = None,
) -> Classifier:
    """Return `obj` as a classifier.

    Parameters
    ----------
    obj
        A fitted scikit-learn estimator or pipeline; an XGBoost or LightGBM classifier or ``Booster``; a
        ``torch.nn.Module``; a CellTypist ``Model``; an scvi-tools ``SCANVI``; or a function:
        ``X -> labels``, ``X -> scores`` (cells x classes), or the R package's form
        ``f(expression, clusters, target) -> (label, share)``. (An XGBoost model that was trained on a sparse matrix
        needs :class:`~adverscarial.classifiers.boosting.Boosted` with ``missing=0``.)
    classes
        Names of the score columns, where the object does not know them.
    genes
        Names of its input columns, in order, where it does not know them; the data's own genes otherwise.

    preprocess
        What happens to counts before the object sees them: ``"log1p"`` (10,000 counts per cell, then log1p),
        ``"scale"`` (the same, then z-scores over all cells of the data, capped at 10), or a function of cells x genes.
        Attacks then change counts, and the library size closes again around each change.

    Raises
    ------
    ParameterError
        If `obj` is nothing that can label cells.

    Examples
    --------
    >>> import numpy as np
    >>> model = wrap(lambda X: np.where(X[:, 0] > 1, "B", "T"), classes=["B", "T"])
    >>> model.decide(np.array([[0.0], [2.0]])).labels.tolist()
    ['T', 'B']
    """
    model = _wrapped(obj, classes, genes)
    return model if preprocess is None else preprocessed(model, preprocess)


def _wrapped(obj: Any, classes: Sequence[str] | None, genes: Sequence[str] | None) -> Classifier:
    if isinstance(obj, Classifier):
        _nothing_given(f"The classifier {obj.name}", classes, genes)
        return obj
    if isinstance(obj, type):
        raise ParameterError(f"wrap got the class {obj.__name__} itself; pass a fitted object of it.")
    if boosting_package(obj):
        return Boosted(obj, classes=classes, genes=genes)
    if is_celltypist(obj):
        _nothing_given("A CellTypist model", classes, genes)
        return CellTypist(obj)
    if is_scanvi(obj):
        _nothing_given("A SCANVI model", classes, genes)
        return Scanvi(obj)
    if hasattr(obj, "forward") and hasattr(obj, "state_dict"):
        if classes is None:
            raise ParameterError(
                "A torch module does not know its classes: name its outputs with wrap(module, classes=[...])."
            )
        return TorchModule(obj, classes=classes, genes=genes)
    if hasattr(obj, "predict") and hasattr(obj, "get_params"):
        return Estimator(obj, classes=classes, genes=genes)
    if callable(obj) and _wants_three(obj):
        _nothing_given("A function of a whole cluster", classes, genes)
        return ClusterFunction(obj)
    if callable(obj):
        return CellFunction(obj, classes=classes, genes=genes)
    raise ParameterError(
        f"wrap cannot use a {type(obj).__name__}: pass a fitted scikit-learn estimator, an XGBoost, LightGBM or "
        "CellTypist model, a torch module, or a function of cells x genes."
    )


def _nothing_given(what: str, classes: Sequence[str] | None, genes: Sequence[str] | None) -> None:
    if classes is not None or genes is not None:
        raise ParameterError(f"{what} knows its classes and genes: leave out classes= and genes=.")


def _wants_three(function: Any) -> bool:
    """Return whether a function has the R form, with three arguments that must be given."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in positional and p.default is p.empty for p in parameters) == 3
