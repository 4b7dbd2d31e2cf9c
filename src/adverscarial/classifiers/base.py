"""What a classifier and its scorer must do. Attacks know these two, and nothing of any classifier's inside.

A :class:`Classifier` labels cells. A :class:`Scorer` is one classifier's state for one cluster: it answers what the
classifier would say if some genes of that cluster were changed, at the cost of what has changed.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial import _store
from adverscarial._matrix import CellMatrix, layer_of
from adverscarial._progress import track
from adverscarial.cluster import Cluster, check_genes
from adverscarial.errors import ClassifierError, GeneMismatchError, some

#: labels that mean "I do not know"; matched in lower case, ``node`` with any number behind it
UNKNOWN_LABELS = ("unassigned", "unknown", "undetermined", "nan", "na", "none", "")

#: what to do where the data's genes are named by other ids than symbols
USE_SYMBOLS = "use datasets.gene_symbols() (command line: adverscarial convert IN OUT --symbols auto)"

_CELLS = 4096  # cells made dense at a time


def is_named(label: str) -> bool:
    """Return whether `label` is a real cell type, not a way to say "I do not know".

    >>> [is_named(label) for label in ("B", "Node3", "Unassigned")]
    [True, False, False]
    """
    low = label.strip().lower()
    return low not in UNKNOWN_LABELS and not (low.startswith("node") and low[4:].isdigit())


class Decision(NamedTuple):
    """Labels of some cells, and their scores where the classifier gives any."""

    labels: np.ndarray  # text, shape (cells,)
    scores: np.ndarray | None  # shape (cells, classes)


@dataclass(frozen=True)
class Answer:
    """What the classifier says of the cluster after one question."""

    label: str
    share: float
    labels: np.ndarray | None = None  # per cell
    scores: np.ndarray | None = None  # cells x classes
    rejected: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Answers:
    """What the classifier says of the cluster after each of several questions, arrays of one length."""

    label: np.ndarray  # text
    share: np.ndarray  # float64
    rejected: np.ndarray  # bool


def vote(labels: np.ndarray) -> tuple[str, float, dict[str, int]]:
    """Return the most frequent label, its share, and all votes; a tie goes to the alphabetically first.

    >>> vote(np.array(["T", "B", "B", "T"]))
    ('B', 0.5, {'B': 2, 'T': 2})
    """
    names, counts = np.unique(np.asarray(labels, dtype=str), return_counts=True)
    best = int(np.argmax(counts))
    votes = {str(names[i]): int(counts[i]) for i in np.argsort(-counts, kind="stable")}
    return str(names[best]), float(counts[best] / counts.sum()), votes


class Ballot:
    """Counts votes given as codes into a fixed list of labels; the fast form of :func:`vote`."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = np.array([str(label) for label in labels])
        self._alphabetical = np.argsort(self.labels, kind="stable")

    def count(self, codes: np.ndarray) -> np.ndarray:
        """Return how often each label was given, shape (labels,)."""
        return np.bincount(codes, minlength=len(self.labels))

    def winners(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the winning label and its share for each row of `counts`, shape (questions, labels)."""
        counts = np.atleast_2d(counts)
        best = self._alphabetical[np.argmax(counts[:, self._alphabetical], axis=1)]
        return self.labels[best], counts[np.arange(len(counts)), best] / counts.sum(axis=1)

    def answer(self, codes: np.ndarray, scores: np.ndarray | None = None) -> Answer:
        """Return the answer that these per-cell codes make."""
        counts = self.count(codes)
        best = self._alphabetical[counts[self._alphabetical].argmax()]
        return Answer(str(self.labels[best]), float(counts[best] / len(codes)), self.labels[codes], scores)


class Scorer(ABC):
    """A classifier's state for the rows of one cluster.

    `genes` are positions in the *data set*; `values` has the shape (cells, genes), or (1, genes) where every cell
    gets the same value. Questions never change the state; :meth:`accept` does.
    """

    #: whether a question about one gene costs less than classifying the cluster again
    incremental: bool = True

    @property
    @abstractmethod
    def baseline(self) -> Answer:
        """The answer for the cluster as it stands now."""

    def reads(self, genes: np.ndarray) -> np.ndarray:
        """Return for which genes a change can make any difference: False is a proof that it cannot."""
        return np.ones(len(genes), dtype=bool)

    @abstractmethod
    def together(self, genes: np.ndarray, values: np.ndarray) -> Answer:
        """Return the answer with all `genes` changed at once."""

    def each(self, genes: np.ndarray, values: np.ndarray) -> Answers:
        """Return one answer per gene, each changed alone."""
        answers = [self.together(genes[[k]], values[:, [k]]) for k in range(len(genes))]
        return Answers(
            np.array([a.label for a in answers], dtype=str),
            np.array([a.share for a in answers], dtype=float),
            np.array([a.rejected for a in answers], dtype=bool),
        )

    @abstractmethod
    def accept(self, genes: np.ndarray, values: np.ndarray) -> None:
        """Make a change permanent; a refused one raises InputRejected and leaves the state as it was."""

    def fork(self) -> Self:
        """Return a copy whose later :meth:`accept` calls leave this one alone.

        The copy shares its arrays with this one: `accept` must replace arrays, never write into them.
        """
        return copy.copy(self)


class Classifier(ABC):
    """Labels cells. Subclasses give `classes`, `genes` and :meth:`decide`; most also :meth:`scorer` and storage."""

    #: whether :meth:`scores` works
    gives_scores: bool = True
    #: whether the label is always the class with the best score
    labels_are_argmax: bool = True
    #: whether a cell's answer depends on the other cells of the data set
    needs_all_cells: bool = False

    classes: tuple[str, ...]
    #: genes read, in the classifier's own order; None means all genes of the data, in the data's order
    genes: pd.Index | None

    @property
    def name(self) -> str:
        """Short name for tables."""
        return type(self).__name__

    @property
    def labels(self) -> tuple[str, ...]:
        """Every label that :meth:`predict` can give: the classes, and those that mean "I do not know"."""
        return tuple(self.classes)

    @abstractmethod
    def decide(self, X: np.ndarray) -> Decision:
        """Label cells given dense, shape (cells, classifier's genes)."""

    def fit(self, adata: AnnData, groupby: str, *, layer: str | None = None) -> Self:
        """Train on labelled cells, and return the classifier itself."""
        raise ClassifierError(f"{self.name} cannot be trained here: it comes ready-made.")

    def align(self, genes: pd.Index) -> np.ndarray:
        """Return the positions in the data of each of the classifier's genes.

        Raises
        ------
        GeneMismatchError
            If one is missing.
        """
        if self.genes is None:
            return np.arange(len(genes))
        positions = genes.get_indexer(self.genes)
        if (positions < 0).any():
            raise GeneMismatchError(mismatch_message(self.name, self.genes, genes))
        return positions

    def bind(self, genes: pd.Index) -> Classifier:
        """Return the classifier as it works on data with these genes; most are the same on all data."""
        return self

    def predict(self, adata: AnnData, *, layer: str | None = None, progress: bool | None = None) -> pd.Series:
        """Return the label of each cell, a Series with index ``obs_names``.

        Parameters
        ----------
        adata, layer
            Cells x genes, and the layer to read; ``X`` when left out.
        progress
            Progress bar; left out, on a terminal only.
        """
        labels = self._decide_all(adata, layer, progress).labels
        return pd.Series(labels, index=adata.obs_names, name=self.name, dtype=object)

    def scores(self, adata: AnnData, *, layer: str | None = None, progress: bool | None = None) -> pd.DataFrame:
        """Return the score of each cell for each class, cells x classes; parameters as for :meth:`predict`.

        Raises
        ------
        ClassifierError
            If the classifier gives labels only.
        """
        scores = self._decide_all(adata, layer, progress).scores if self.gives_scores else None
        if scores is None:
            raise ClassifierError(f"{self.name} gives labels only, no scores.")
        classes = self.bind(pd.Index(adata.var_names.astype(str))).classes
        return pd.DataFrame(scores, index=adata.obs_names, columns=list(classes))

    def _decide_all(self, adata: AnnData, layer: str | None, progress: bool | None = False) -> Decision:
        check_genes(adata)
        matrix = CellMatrix(layer_of(adata, layer))
        matrix.check_finite(adata)  # an argmax over NaN would name the first class, silently
        genes = pd.Index(adata.var_names.astype(str))
        model = self.bind(genes)
        columns = model.align(genes)
        parts = []
        starts = range(0, matrix.shape[0], _CELLS)
        for start in track(starts, self.name, len(starts), progress):
            rows = matrix.rows(np.arange(start, min(start + _CELLS, matrix.shape[0])))
            parts.append(model.decide(rows[:, columns]))
        if not parts:
            return Decision(np.empty(0, dtype=object), np.empty((0, len(model.classes))))
        labels = np.concatenate([np.asarray(part.labels, dtype=object) for part in parts])
        scores = [part.scores for part in parts if part.scores is not None]
        return Decision(labels, np.concatenate(scores) if scores else None)

    def predict_cluster(
        self, adata: AnnData, rows: np.ndarray, cluster: str, labels: np.ndarray, layer: str | None
    ) -> Answer:
        """Return the label of the cells at `rows` from scratch: no scorer, nothing remembered."""
        if self.needs_all_cells:
            decision = self._decide_all(adata, layer)
            cells = decision.labels[rows]
            scores = None if decision.scores is None else decision.scores[rows]
        else:
            cells, scores = self._decide_all(adata[rows], layer)
        label, share, _ = vote(cells)
        return Answer(label, share, np.asarray(cells, dtype=str), scores)

    def scorer(self, cluster: Cluster) -> Scorer:
        """Return the scorer of this classifier for one cluster; the general one unless a family has its own."""
        from adverscarial.classifiers.general import GeneralScorer

        return GeneralScorer(self, cluster)

    #: name of the family in stored files; None where a classifier cannot be stored
    family: ClassVar[str | None] = None

    def state(self) -> tuple[Mapping[str, Any], Mapping[str, np.ndarray]]:
        """Return what must be stored: JSON values, and arrays without objects."""
        raise ClassifierError(f"{self.name} cannot be stored; keep the object that it was made from.")

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        """Rebuild from what :meth:`state` returned."""
        raise ClassifierError(f"{cls.__name__} cannot be read from a file.")

    def save(self, path: str | PathLike[str]) -> None:
        """Store the classifier in one file of plain arrays; read it with :func:`adverscarial.classifiers.load`."""
        meta, arrays = self.state()
        _store.save(path, "classifier", {"family": self.family, **meta}, arrays)

    def summary(self, adata: AnnData, groupby: str, *, layer: str | None = None) -> pd.DataFrame:
        """Return accuracy per cell type on labelled cells: ``cells, correct, accuracy, most_confused_with``."""
        truth = adata.obs[groupby].astype(str)
        said = self.predict(adata, layer=layer).astype(str)
        rows = []
        for cell_type, answers in said.groupby(truth.to_numpy()):
            correct = int((answers == cell_type).sum())
            wrong = answers[answers != cell_type]
            rows.append(
                (cell_type, len(answers), correct, correct / len(answers), vote(wrong)[0] if len(wrong) else "")
            )
        return pd.DataFrame(rows, columns=["cell_type", "cells", "correct", "accuracy", "most_confused_with"])


def argmax_labels(classes: Sequence[str], scores: np.ndarray) -> np.ndarray:
    """Return each cell's best class; a tie goes to the first."""
    return np.array(classes, dtype=object)[np.argmax(scores, axis=1)]


def mismatch_message(name: str, needed: pd.Index, have: pd.Index) -> str:
    """Say how many genes matched, show some that did not, and guess why."""
    missing = needed[~needed.isin(have)]
    matched = len(needed) - len(missing)
    text = f"{name} needs {len(needed):,} genes, {matched:,} of them are in the data. First missing: {some(missing)}."
    have_lower = {gene.lower() for gene in have}
    if len(missing) and all(gene.lower() in have_lower for gene in missing):
        return f"{text} They differ in upper and lower case only: human and mouse symbols are written differently."
    if (
        len(missing)
        and sum(gene.replace(".", "-") in have or gene.replace("-", ".") in have for gene in missing) > len(missing) / 2
    ):
        return f"{text} They differ in '-' and '.' only, as R's table reader writes them: rename var_names."
    ensembl = [sum(str(gene).upper().startswith("ENS") for gene in genes) > len(genes) / 2 for genes in (needed, have)]
    if ensembl[0] != ensembl[1]:
        which = "the data's" if ensembl[1] else "the classifier's"
        return f"{text} {which.capitalize()} names look like Ensembl ids: {USE_SYMBOLS}."
    return f"{text} Was the classifier trained on other genes? Train it on these, or bring the missing genes back."
