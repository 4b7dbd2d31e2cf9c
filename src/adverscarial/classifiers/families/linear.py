"""Logistic regression whose weights are held small, so that no gene decides alone."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any, Self

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial._docs import documented
from adverscarial.classifiers.families.linear_model import LinearModel
from adverscarial.classifiers.families.robust_training import robust_weights
from adverscarial.classifiers.families.training import training_matrix
from adverscarial.classifiers.registry import CommandLine
from adverscarial.errors import ClassifierError, DataError, ParameterError


@documented
class Linear(
    LinearModel,
    family="linear",
    command_line=CommandLine("linear", "Logistic regression, each type counting as much as any other.", place=35),
):
    """Logistic regression, each type counting as much as any other; the best weighted sum of genes wins.

    The smaller `strength`, the smaller and the more even the weights, and the more genes must change for another label.
    On z-scores clipped at 1 (:class:`Clipped`), 0.1 costs little accuracy. More is won by training `against` an
    attacker who may change so many genes of each cell: see :doc:`/hardening`. It is meant for z-scores, or for
    log-normalised values.

    Parameters
    ----------
    strength
        Of the fit: what the mean loss of a cell is multiplied by, beside half the sum of squared weights. It is
        scikit-learn's ``C`` times the number of cells, so that one value means the same for few cells and for many.
    against
        Genes of each training cell that an attacker may set to their 1st, or to their 99th percentile over the training
        cells. The training counts each cell as if, for each other type, those were changed that serve that type most.
        0: none, which is plain logistic regression.
    max_iter
        Steps of training at most.

    Attributes
    ----------
    weights, bias
        Shapes (genes, classes) and (classes,), float64.

    Examples
    --------
    >>> import adverscarial as adv
    >>> from adverscarial.classifiers import Clipped
    >>> train, test = adv.datasets.split(adv.datasets.embedded(), "cell_type", seed=0)
    >>> model = Linear().fit(train, "cell_type")
    >>> model.predict(test).shape
    (347,)

    Trained against 20 changed genes, cells need more of them for another label:

    >>> needed = []
    >>> for against in (0, 20):
    ...     model = Clipped(Linear(against=against)).fit(train, "cell_type")
    ...     found = adv.fragility(test, model, modification="perc99", copy=True, progress=False)
    ...     needed.append(found.obs["fragility_lower"].median())
    >>> bool(needed[1] > 1.3 * needed[0])
    True

    Notes
    -----
    With `against`, what is made smallest is the cross-entropy of the attacked cells, a mean over both percentiles,
    beside the squared weights. The genes that serve a type most add the k largest of their single gains to its lead, so
    the worst attack is found by sorting; a sum of k largest is convex in the weights, and so is the whole loss. It has
    one optimum, which L-BFGS approaches from zero. Minimising the worst case in this way is robust optimisation: D.
    Bertsimas and M. Sim, The price of robustness, Operations Research 52 (2004), bounds the number of values that an
    adversary may change as `against` does. Whoever changes values further than the percentiles is not foreseen;
    :class:`Clipped` leaves little beyond them.
    """

    def __init__(self, strength: float = 10.0, *, against: int = 0, max_iter: int = 300) -> None:
        self.strength, self.against, self.max_iter = strength, against, max_iter
        self.classes, self.genes = (), None
        self._learnt: tuple[np.ndarray, np.ndarray] | None = None

    def __repr__(self) -> str:
        against = f", against={self.against}" if self.against else ""
        return f"Linear(strength={self.strength!r}{against})"

    @property
    def name(self) -> str:  # noqa: D102
        return type(self).__name__

    def _trained(self) -> tuple[np.ndarray, np.ndarray]:
        if self._learnt is None:
            raise ClassifierError("This Linear is not trained yet: call fit(adata, groupby) first.")
        return self._learnt

    @property
    def weights(self) -> np.ndarray:  # type: ignore[override]
        """What each gene adds to each class, shape (genes, classes)."""
        return self._trained()[0]

    @property
    def bias(self) -> np.ndarray:  # type: ignore[override]
        """What each sum starts from, shape (classes,)."""
        return self._trained()[1]

    def _check_settings(self) -> None:
        if not 0 < self.strength < np.inf or self.max_iter < 1:
            raise ParameterError(
                "Linear: strength must be a number above 0 and max_iter at least 1, got "
                f"{self.strength!r} and {self.max_iter!r}."
            )
        if not isinstance(self.against, Integral) or isinstance(self.against, bool) or self.against < 0:
            raise ParameterError(f"Linear: against must be a whole number of genes, 0 or more, got {self.against!r}.")

    def _train(self, adata: AnnData, groupby: str, layer: str | None) -> None:
        X, labels, genes = training_matrix(adata, groupby, layer, None, 0)
        names, codes = np.unique(labels, return_inverse=True)
        if self.against:
            self._learnt = robust_weights(X, codes, self.against, self.strength, self.max_iter)
        else:
            self._learnt = self._plain_weights(X, labels)
        self.classes, self.genes = tuple(map(str, names)), genes

    def _plain_weights(self, X: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the weights and biases of logistic regression."""
        from sklearn.linear_model import LogisticRegression  # here and not above: importing the package stays quick

        C = self.strength / len(X)
        fitted = LogisticRegression(C=C, max_iter=self.max_iter, class_weight="balanced")
        fitted.fit(X.astype(np.float64), labels)
        weights, bias = fitted.coef_.T.astype(np.float64), fitted.intercept_.astype(np.float64)
        if len(fitted.classes_) == 2:  # one sum, positive for the second class
            weights, bias = np.hstack([-weights / 2, weights / 2]), np.concatenate([-bias / 2, bias / 2])
        return weights, bias

    def state(self) -> tuple[Mapping[str, object], Mapping[str, np.ndarray]]:  # noqa: D102
        weights, bias = self._trained()
        assert self.genes is not None
        meta = {"classes": self.classes, "genes": list(self.genes), "settings": self.get_params()}
        return meta, {"weights": weights, "bias": bias}

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:  # noqa: D102
        model = cls(**meta["settings"])
        model.classes, model.genes = tuple(map(str, meta["classes"])), pd.Index([str(g) for g in meta["genes"]])
        weights, bias = (np.asarray(arrays[name], dtype=np.float64) for name in ("weights", "bias"))
        if weights.shape != (len(model.genes), len(model.classes)) or bias.shape != weights.shape[1:]:
            raise DataError("The weights are not those of the genes and classes that are named.")
        model._learnt = weights, bias
        return model
