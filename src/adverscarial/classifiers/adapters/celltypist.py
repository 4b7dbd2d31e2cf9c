"""CellTypist's models, with CellTypist's arithmetic on private arrays.

``celltypist.annotate`` shrinks the model's own arrays while it runs and puts them back afterwards, so two threads that
share a model break it for good. Nothing here calls it, or touches the model: numbers are copied once, and the same sums
are done on the copy. CellTypist itself need not be installed.

A cell's score for a class is ``min((x - mean) / scale, 10) . coef + intercept``, over the genes that model and data
share; its probability is the sigmoid of that score, class by class, and its label the class with the largest score.
"""

from __future__ import annotations

import copy
import logging
import pickle
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.special import expit

from adverscarial._types import Matrix
from adverscarial.cells.cluster import Cluster
from adverscarial.cells.matrix import layer_of
from adverscarial.classifiers.adapters.linear_parts import dense_coefficients, two_columns
from adverscarial.classifiers.answers import Answer, Answers, Decision, argmax_labels
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.gene_names import USE_SYMBOLS, difference
from adverscarial.classifiers.scorers.base import Scorer
from adverscarial.classifiers.scorers.linear import LinearScorer, gradient_of, logits_of
from adverscarial.classifiers.scorers.linear_moves import LinearMoves
from adverscarial.errors import (
    ClassifierError,
    GeneMismatchError,
    InputRejected,
    MissingDependencyError,
    ParameterError,
    StorageError,
    some,
)

if TYPE_CHECKING:
    from celltypist.models import Model

logger = logging.getLogger(__name__)

#: what CellTypist's input check looks at, and what it allows: log1p of at most 10,000 counts
GUARDED_CELLS, LOWEST, HIGHEST = 1000, 0, 9.22
_CAP = 10.0  # scaled values above it are cut; below there is no such limit


class CellTypist(Classifier, family="celltypist", wraps=20):
    """A CellTypist model, as ``celltypist.annotate(adata, model, majority_voting=False)`` uses it.

    Parameters
    ----------
    model
        A ``celltypist.models.Model``; its numbers are copied, it is never changed.
    report
        What :meth:`scores` gives: ``"probability"`` (CellTypist's probability matrix: one sigmoid per class, so rows do
        not sum to 1), or ``"decision"`` (its decision matrix, which does not saturate). Labels are the same.

    Raises
    ------
    ClassifierError
        If the model's parts do not fit together.

    Notes
    -----
    CellTypist refuses a data set whose values, of all genes and not only of the model's, leave the range 0 to 9.22; but
    it looks at the *first 1,000 cells of the data set* alone. The same rule holds here: a modification out of that
    range is *rejected* if it touches one of these cells, and is scored like any other if the whole cluster lies behind
    them. So the answer depends on where the cells stand, and prediction needs the whole data set. One difference:
    where ``adata.X`` is refused, ``annotate`` looks for ``adata.raw`` and labels that instead, without the
    modification; here the input is rejected, and the message says how to classify ``raw``.

    Examples
    --------
    >>> model = CellTypist(celltypist.models.Model.load("Immune_All_Low.pkl"))  # doctest: +SKIP
    """

    needs_all_cells = True  # for the input check alone
    _in_parts = True  # labels are those of each cell by itself
    genes: pd.Index

    def __init__(self, model: Model, *, report: Literal["probability", "decision"] = "probability") -> None:
        if report not in ("probability", "decision"):
            raise ParameterError(f"CellTypist: report must be 'probability' or 'decision', got {report!r}.")
        self.report = report
        linear, scaler = model.classifier, model.scaler
        self.genes = pd.Index([str(gene) for gene in linear.features])
        self.classes = tuple(str(name) for name in linear.classes_)
        self._weights = dense_coefficients(linear).T.copy()
        self._bias = np.array(linear.intercept_, dtype=np.float64).ravel()
        centred = getattr(scaler, "with_mean", True)
        self._mean = np.array(scaler.mean_, dtype=np.float64) if centred else np.zeros(len(self.genes))
        self._scale = np.array(scaler.scale_, dtype=np.float64)
        n_rows = 1 if len(self.classes) == 2 else len(self.classes)
        shapes = (self._weights.shape, self._bias.shape, self._mean.shape, self._scale.shape)
        n = len(self.genes)
        if shapes != ((n, n_rows), (n_rows,), (n,), (n,)) or len(self.classes) < 2:
            raise ClassifierError(
                f"The CellTypist model does not fit together: {n:,} genes and {len(self.classes)} classes, but weights "
                f"of shape {shapes[0]}, {shapes[1][0]} intercepts, {shapes[2]} means and {shapes[3]} scales."
            )
        if not self.genes.is_unique:
            raise ClassifierError(
                f"The CellTypist model names genes more than once: {some(self.genes[self.genes.duplicated()])}."
            )

    @classmethod
    def recognises(cls, obj: object) -> bool:
        """Return whether an object is a ``celltypist.models.Model``, told by its class alone."""
        return any((kind.__module__, kind.__name__) == ("celltypist.models", "Model") for kind in type(obj).__mro__)

    def __repr__(self) -> str:
        return f"CellTypist({len(self.classes)} classes, {len(self.genes):,} genes, report={self.report!r})"

    def gene_means(self) -> np.ndarray | None:  # noqa: D102
        return self._mean

    def bind(self, genes: pd.Index) -> CellTypist:
        """Return the model of the genes that the data has, in the data's order; the others are left out.

        Raises
        ------
        GeneMismatchError
            If the data has none of them.
        """
        found = self.genes.get_indexer(genes)
        found = found[found >= 0]
        if not len(found):
            raise GeneMismatchError(
                f"None of the {len(self.genes):,} genes of the CellTypist model is in the data: it knows "
                f"{some(self.genes, 3)}, the data has {some(genes, 3)}. "
                + (difference(self.genes, genes) or f"It needs gene symbols: {USE_SYMBOLS}.")
            )
        if len(found) < len(self.genes):
            logger.info("CellTypist: %d of the model's %d genes are in the data.", len(found), len(self.genes))
        bound = copy.copy(self)
        bound.genes = self.genes[found]
        bound._mean, bound._scale = self._mean[found], self._scale[found]
        bound._weights = self._weights[found]
        return bound

    def _scaled(self, columns: np.ndarray, values: np.ndarray) -> np.ndarray:
        scaled: np.ndarray = np.minimum((values - self._mean[columns]) / self._scale[columns], _CAP)
        return scaled

    def _report(self, sums: np.ndarray) -> np.ndarray:
        scores = two_columns(sums)
        return expit(scores) if self.report == "probability" else scores

    def decide(self, X: np.ndarray) -> Decision:
        """Label cells given dense, shape (cells, model's genes), without the input check."""
        scaled = (X - self._mean) / self._scale
        scaled[scaled > _CAP] = _CAP
        decision = two_columns(scaled @ self._weights + self._bias)
        return Decision(
            argmax_labels(self.classes, decision), expit(decision) if self.report == "probability" else decision
        )

    def logits(self, X: np.ndarray) -> np.ndarray:
        """Return the weighted sums behind the probabilities, shape (cells, classes)."""
        return logits_of(self._scaled(np.arange(X.shape[1]), X) @ self._weights + self._bias)

    def gradient(self, X: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the exact gradient of ``sum_k weights[c, k] * logit_k(c)``, shape of `X`; 0 above the cap."""
        below = (X - self._mean) / self._scale < _CAP
        return gradient_of(weights, self._weights) * below / self._scale

    def _decide_all(self, adata: AnnData, layer: str | None, progress: bool | None = False) -> Decision:
        check_input(layer_of(adata, layer))
        return super()._decide_all(adata, layer, progress)

    def scorer(self, cluster: Cluster) -> CellTypistScorer:
        """Return the exact scorer.

        Raises
        ------
        InputRejected
            If CellTypist refuses the data set as it is.
        """
        check_input(cluster.statistics.matrix.X)
        model = self.bind(cluster.genes)
        columns = model.align(cluster.genes)
        linear = LinearScorer(
            cluster.values(columns),
            columns,
            len(cluster.genes),
            model._weights,
            model._bias,
            model.classes,
            transform=model._scaled,
            link=model._report,
        )
        return CellTypistScorer(linear, cluster.rows < GUARDED_CELLS, cluster.dtype)

    def state(self) -> tuple[Mapping[str, object], Mapping[str, np.ndarray]]:
        """Return names and arrays; nothing of scikit-learn's objects."""
        arrays = {"coef": self._weights.T, "intercept": self._bias, "mean": self._mean, "scale": self._scale}
        return {"classes": list(self.classes), "genes": list(self.genes), "report": self.report}, arrays

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:  # noqa: D102
        linear = SimpleNamespace(
            features=meta["genes"], classes_=meta["classes"], coef_=arrays["coef"], intercept_=arrays["intercept"]
        )
        scaler = SimpleNamespace(mean_=arrays["mean"], scale_=arrays["scale"])
        return cls(SimpleNamespace(classifier=linear, scaler=scaler), report=meta["report"])


def check_input(X: Matrix) -> None:
    """Raise InputRejected where CellTypist would refuse the matrix `X`, cells x genes."""
    first = X[:GUARDED_CELLS]
    first = first.compute() if hasattr(first, "compute") else first
    if first.shape[0] and (first.min() < LOWEST or first.max() > HIGHEST):
        raise InputRejected(
            f"CellTypist refuses this matrix: its first {GUARDED_CELLS:,} cells hold values from {first.min():g} to "
            f"{first.max():g}, it expects log1p of counts scaled to 10,000 per cell ({LOWEST} to {HIGHEST}). Choose "
            "such a layer with layer=, or pass adata.raw.to_adata()."
        )


class CellTypistScorer(Scorer):
    """The linear scorer behind CellTypist's input check.

    Parameters
    ----------
    linear
        Scores of the cluster's cells.
    guarded
        Which of the cluster's cells are among the first 1,000 of the data set, shape (cells,).
    dtype
        Of the data: new values are rounded to it before they are checked.
    """

    def __init__(self, linear: LinearScorer, guarded: np.ndarray, dtype: np.dtype) -> None:
        self._linear, self._guarded, self._dtype = linear, guarded, dtype
        self._any_guarded = bool(guarded.any())

    @property
    def baseline(self) -> Answer:  # noqa: D102
        return self._linear.baseline

    def reads(self, genes: np.ndarray) -> np.ndarray:
        """Every gene can lead to rejection, also one that the model does not know, unless no cell is looked at."""
        return np.ones(len(genes), dtype=bool) if self._any_guarded else self._linear.reads(genes)

    def _as_stored(self, values: np.ndarray) -> np.ndarray:
        """Return new values as a changed data set would hold them."""
        with np.errstate(over="ignore"):
            return values.astype(self._dtype)

    def _refused(self, values: np.ndarray) -> np.ndarray:
        """Return for each gene whether its new values are out of range where CellTypist looks."""
        if not self._any_guarded:
            return np.zeros(values.shape[1], dtype=bool)
        checked = values if len(values) == 1 else values[self._guarded]
        refused: np.ndarray = (checked.min(axis=0) < LOWEST) | (checked.max(axis=0) > HIGHEST)
        return refused

    def _reason(self, refused: np.ndarray) -> str:
        return (
            f"CellTypist refuses values below {LOWEST} or above {HIGHEST} among the first {GUARDED_CELLS:,} cells: "
            f"{refused.sum():,} of the {len(refused):,} changed genes hold such values."
        )

    def each(self, genes: np.ndarray, values: np.ndarray) -> Answers:  # noqa: D102
        values = self._as_stored(values)
        answers = self._linear.each(genes, values)
        refused = self._refused(values) | answers.rejected
        label, share = answers.label.copy(), answers.share.copy()
        label[refused], share[refused] = self.baseline.label, 0.0
        return Answers(label, share, refused, answers.lead)

    def together(self, genes: np.ndarray, values: np.ndarray) -> Answer:  # noqa: D102
        values = self._as_stored(values)
        refused = self._refused(values)
        if refused.any():
            return Answer(self.baseline.label, 0.0, rejected=True, reason=self._reason(refused))
        return self._linear.together(genes, values)

    def accept(self, genes: np.ndarray, values: np.ndarray) -> None:
        """Make the change permanent.

        Raises
        ------
        InputRejected
            If CellTypist refuses it; nothing is changed then.
        """
        values = self._as_stored(values)
        refused = self._refused(values)
        if refused.any():
            raise InputRejected(self._reason(refused))
        self._linear.accept(genes, values)

    def refused(self, genes: np.ndarray, values: np.ndarray) -> np.ndarray:  # noqa: D102
        values = self._as_stored(values)
        refused: np.ndarray = self._refused(values) | self._linear.refused(genes, values)
        return refused

    def moves(self, genes: np.ndarray, values: np.ndarray) -> LinearMoves:  # noqa: D102
        return self._linear.moves(genes, self._as_stored(values))

    def fork(self) -> Self:  # noqa: D102
        other = super().fork()
        other._linear = self._linear.fork()
        return other


def load_celltypist(
    path: str | PathLike[str], *, trust: bool = False, report: Literal["probability", "decision"] = "probability"
) -> CellTypist:
    """Read a CellTypist model file (``.pkl``).

    Parameters
    ----------
    path
        The file; CellTypist keeps the models it downloads in ``~/.celltypist/data/models``.
    trust
        Must be True: these files are Python pickles, and reading a pickle runs whatever code its author put inside.
    report
        See :class:`CellTypist`.

    Raises
    ------
    StorageError
        If the file is absent, no CellTypist model, or `trust` is False.
    """
    path = Path(path)
    if not path.is_file():
        raise StorageError(
            f"There is no file '{path}'. CellTypist keeps the models it downloads in ~/.celltypist/data/models."
        )
    if not trust:
        raise StorageError(
            f"'{path}' was not read: CellTypist models are Python pickles, and reading a pickle runs any code that its "
            "author put inside. If you trust where it comes from, use load_celltypist(path, trust=True); then "
            "save() the classifier, which writes plain numbers that can be read without trust."
        )
    try:
        with path.open("rb") as file:
            parts = pickle.load(file)
        model = SimpleNamespace(classifier=parts["Model"], scaler=parts["Scaler_"])
        return CellTypist(model, report=report)
    except ParameterError:
        raise
    except ModuleNotFoundError as error:
        raise needed_by_pickle(path, error) from error
    except Exception as error:  # a pickle can fail in any way
        raise StorageError(
            f"'{path}' cannot be read as a CellTypist model ({type(error).__name__}: {error}). It is damaged, is "
            "something else, or needs a package that is not installed."
        ) from error


#: what pip calls packages whose modules have another name
_PIP = {"sklearn": "scikit-learn", "scvi": "scvi-tools", "skmisc": "scikit-misc"}


def needed_by_pickle(path: PathLike[str], error: ModuleNotFoundError) -> MissingDependencyError:
    """Return the error for a pickle that was written with a package that is not installed here."""
    module = str(error.name or "").partition(".")[0]
    package = _PIP.get(module, module)
    command = "adverscarial[celltypist]" if module == "celltypist" else package
    return MissingDependencyError(
        f"the package '{package}'", "", f"Reading '{path}'",
        f"it was written with it, and it is not installed. Install it with: pip install '{command}'",
    )  # fmt: skip
