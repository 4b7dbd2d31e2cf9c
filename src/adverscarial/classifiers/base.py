"""The contract of a classifier. Attacks know it and its scorers, and nothing of any classifier's inside."""

from __future__ import annotations

import inspect
import reprlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from os import PathLike
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial import _store
from adverscarial._docs import documented, documented_own
from adverscarial._html import card
from adverscarial._progress import track
from adverscarial._registry import distribution_of
from adverscarial.cells.choice import Cells, meant
from adverscarial.cells.cluster import Cluster, check_genes
from adverscarial.cells.matrix import CellMatrix, layer_of
from adverscarial.classifiers.answers import Answer, Decision, vote
from adverscarial.classifiers.gene_names import mismatch_message
from adverscarial.classifiers.plain import Plain
from adverscarial.classifiers.registry import ADAPTERS, FAMILIES, Choice, CommandLine
from adverscarial.classifiers.scorers.all_cells import AllCellsScorer, company_test
from adverscarial.classifiers.scorers.base import Scorer
from adverscarial.classifiers.scorers.general import GeneralScorer
from adverscarial.errors import (
    AdverscarialError,
    ClassifierError,
    GeneMismatchError,
    ParameterError,
    did_you_mean,
    some,
)

_CELLS = 4096  # cells made dense at a time
_SHORT = reprlib.Repr()  # settings can be arrays or models
_SHORT.maxother = 60


class Classifier(ABC):
    """Labels cells: the contract that attacks build on.

    A subclass gives `classes`, `genes` and :meth:`decide`. It registers itself with the keywords of its class
    statement; only `family` is needed to store it, together with :meth:`state` and :meth:`from_state`.

    Parameters
    ----------
    family
        Keyword of the class statement: the name that stored files carry. A class without a family of its own cannot
        be stored.
    command_line
        Keyword of the class statement: how the command line offers it, see
        :class:`~adverscarial.classifiers.CommandLine`. A classifier that is trained needs :meth:`fit` too.
    wraps
        Keyword of the class statement, for adapters: a number that says when :func:`adverscarial.classifiers.wrap` asks
        :meth:`recognises`; adapters with smaller numbers are asked first. The adapters of this package use 10 to 90.

    Examples
    --------
    >>> class Threshold(Classifier, family="example-threshold"):
    ...     classes, genes = ("high", "low"), None
    ...
    ...     def __init__(self, limit=1.0):
    ...         self.limit = limit
    ...
    ...     def decide(self, X):
    ...         return Decision(np.where(X[:, 0] > self.limit, "high", "low").astype(object), None)
    >>> Threshold(limit=2.0).get_params()
    {'limit': 2.0}
    """

    #: whether :meth:`scores` works
    gives_scores: bool = True
    #: whether the label is always the class with the best score
    labels_are_argmax: bool = True
    #: whether a cell's answer depends on the other cells of the data set
    needs_all_cells: bool = False
    #: whether it labels whole clusters, not cells
    of_clusters: bool = False
    #: number type in which it computes, for the estimate of memory; None for the data's own
    number_type: ClassVar[np.dtype[np.generic] | None] = None
    #: kind of values that it was trained on, such as ``"z-scores"``, where that is known; stored with it
    trained_on: str = ""
    #: whether labels of all cells may be asked in parts all the same; None: unless it needs all cells
    _in_parts: ClassVar[bool | None] = None

    #: name of the family in stored files; None where a classifier cannot be stored
    family: ClassVar[str | None] = None
    #: how the command line offers the family; None where it does not
    command_line: ClassVar[CommandLine | None] = None
    #: when :func:`adverscarial.classifiers.wrap` asks :meth:`recognises`; None for classes that are no adapters
    wraps: ClassVar[int | None] = None

    classes: tuple[str, ...]
    #: genes read, in the classifier's own order; None means all genes of the data, in the data's order
    genes: pd.Index | None

    def __init_subclass__(
        cls,
        *,
        family: str | None = None,
        command_line: CommandLine | None = None,
        wraps: int | None = None,
        **keywords: object,
    ) -> None:
        super().__init_subclass__(**keywords)
        documented_own(cls)
        # not inherited: what a subclass answers may differ, and a file of its parent's name would forget that
        cls.family, cls.command_line, cls.wraps = family or cls.__dict__.get("family"), command_line, wraps
        if cls.family is not None:
            FAMILIES.add(cls.family, cls)
        if wraps is not None:
            ADAPTERS.add(cls.__qualname__, cls)

    @classmethod
    def recognises(cls, obj: object) -> bool:
        """Return whether an adapter can wrap an object; `wrap` then calls its class with it and the settings."""
        return False

    @classmethod
    def from_command_line(cls, choice: Choice) -> Self:
        """Return a new classifier for the command line; from the seed, where the constructor takes one."""
        settings: dict[str, Any] = {"seed": choice.seed} if "seed" in _parameters(cls) else {}
        return cls(**settings)

    def get_params(self, deep: bool = True) -> dict[str, object]:
        """Return the settings by name, as scikit-learn's estimators do: ``sklearn.base.clone(model)`` works.

        Parameters
        ----------
        deep
            Without effect here; scikit-learn passes it.
        """
        return {name: getattr(self, name) for name in _parameters(type(self))}

    def set_params(self, **settings: object) -> Self:
        """Change settings, and return the classifier itself. They are checked when it is trained.

        Raises
        ------
        ParameterError
            If a setting has another name.
        """
        known = _parameters(type(self))
        for name, value in settings.items():
            if name not in known:
                raise ParameterError(
                    f"{type(self).__name__} has no setting '{name}'.{did_you_mean(name, known)} "
                    f"It has: {some(known, 20)}."
                )
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        known = {name: getattr(self, name) for name in _parameters(type(self)) if hasattr(self, name)}
        return f"{type(self).__name__}({', '.join(f'{name}={_SHORT.repr(value)}' for name, value in known.items())})"

    def _repr_html_(self) -> str:
        """Return it as a notebook shows it."""
        try:
            classes, genes = some(self.labels, 12), self.genes
        except (AdverscarialError, AttributeError):
            return card(self.name, f"{self!r}\nnot trained yet")
        read = "all genes of the data, or those of them that it knows" if genes is None else f"{len(genes):,} genes"
        lines = [repr(self), f"classes     {classes or 'none known yet'}", f"reads       {read}"]
        lines += [f"trained on  {self.trained_on}"] if self.trained_on else []
        lines += [] if self.gives_scores else ["gives labels, no scores"]
        lines += ["looks at all cells of the data at once"] if self.needs_all_cells else []
        return card(self.name, "\n".join(lines))

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

    @documented
    def fit(
        self, adata: Cells, groupby: str, *, mod: str | None = None, use_raw: bool = False, layer: str | None = None
    ) -> Self:
        """Train on labelled cells, and return the classifier itself; cells without a label are left out.

        Parameters
        ----------
        adata
            Cells x genes. Which values a classifier is meant for, its class says.
        %(groupby_types)s
        %(values)s
        %(layer_trained)s

        Raises
        ------
        ParameterError
            If a setting makes no sense.
        DataError
            If fewer than two types are named, or values are NaN or infinite.
        ClassifierError
            If the classifier comes ready-made, or training fails.
        """
        self._check_settings()
        self._train(meant(adata, mod=mod, use_raw=use_raw, layer=layer), groupby, layer)
        return self

    @classmethod
    def is_trained_here(cls) -> bool:
        """Return whether :meth:`fit` trains it; a classifier that comes ready-made refuses."""
        return cls.fit is not Classifier.fit or cls._train is not Classifier._train

    def _check_settings(self) -> None:  # noqa: B027
        """Raise a ParameterError for settings that make no sense; asked before training."""

    def _train(self, adata: AnnData, groupby: str, layer: str | None) -> None:
        """Train on cells x genes, with checked settings: what :meth:`fit` leaves to each family."""
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
        positions: np.ndarray = genes.get_indexer(self.genes)
        if (positions < 0).any():
            raise GeneMismatchError(mismatch_message(self.name, self.genes, genes))
        return positions

    def gene_means(self) -> np.ndarray | None:
        """Return the mean of each of its genes in the training data; None where it keeps none."""
        return None

    def bind(self, genes: pd.Index) -> Classifier:
        """Return the classifier as it works on data with these genes; most are the same on all data."""
        return self

    @documented
    def predict(
        self, adata: Cells, *, mod: str | None = None, use_raw: bool = False, layer: str | None = None,
        progress: bool | None = None,
    ) -> pd.Series:  # fmt: skip
        """Return the label of each cell, a Series with index ``obs_names``.

        Parameters
        ----------
        %(adata)s
        %(values)s
        %(layer_read)s
        %(progress)s
        """
        adata = meant(adata, mod=mod, use_raw=use_raw, layer=layer)
        labels = self._decide_all(adata, layer, progress).labels
        return pd.Series(labels, index=adata.obs_names, name=self.name, dtype=object)

    def scores(
        self, adata: Cells, *, mod: str | None = None, use_raw: bool = False, layer: str | None = None,
        progress: bool | None = None,
    ) -> pd.DataFrame:  # fmt: skip
        """Return the score of each cell for each class, cells x classes; parameters as for :meth:`predict`.

        Raises
        ------
        ClassifierError
            If the classifier gives labels only.
        """
        adata = meant(adata, mod=mod, use_raw=use_raw, layer=layer)
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
        in_parts = not model.needs_all_cells if model._in_parts is None else model._in_parts
        size = _CELLS if in_parts else max(matrix.shape[0], 1)
        starts = range(0, matrix.shape[0], size)
        for start in track(starts, self.name, len(starts), progress):
            rows = matrix.rows(np.arange(start, min(start + size, matrix.shape[0])))
            parts.append(model.decide(rows[:, columns]))
        if not parts:
            return Decision(np.empty(0, dtype=object), np.empty((0, len(model.classes))))
        labels = np.concatenate([np.asarray(part.labels, dtype=object) for part in parts])
        scores = [part.scores for part in parts if part.scores is not None]
        return Decision(labels, np.concatenate(scores) if scores else None)

    def own_answer(self, adata: AnnData, *, layer: str | None = None) -> Decision | None:
        """Return what a wrapped estimator's own ``predict`` says of the cells as the data hold them.

        :func:`adverscarial.classifiers.check` compares it with this classifier's answer; None where nothing is wrapped.
        """
        return None

    def check_cluster(self, cluster: Cluster) -> None:  # noqa: B027
        """Raise a ClassifierError where it cannot be told how these cells are to be read.

        A survey asks before its first attack; by default nothing is unclear.
        """

    def plain(self, cluster: Cluster) -> Plain | None:
        """Return all numbers that decide about this cluster's cells, for proofs and those who check them.

        None where it has no form of those that can be checked.
        """
        return None

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
        if self.needs_all_cells:
            return AllCellsScorer(self, cluster)
        scorer = GeneralScorer(self, cluster)
        scorer.company = company_test(self, cluster, scorer.baseline)
        return scorer

    def state(self) -> tuple[Mapping[str, object], Mapping[str, np.ndarray]]:
        """Return what must be stored: JSON values, and arrays without objects."""
        raise ClassifierError(f"{self.name} cannot be stored; keep the object that it was made from.")

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        """Rebuild from what :meth:`state` returned."""
        raise ClassifierError(f"{cls.__name__} cannot be read from a file.")

    def save(self, path: str | PathLike[str]) -> None:
        """Store the classifier in one file of plain arrays; read it with :func:`adverscarial.classifiers.load`."""
        meta, arrays = self.state()
        if self.family is None:
            raise ClassifierError(
                f"{self.name} cannot be stored: its class has no family of its own. Name it in the class statement: "
                f"class {type(self).__name__}(..., family='...')."
            )
        about = {"family": self.family, "distribution": distribution_of(type(self))}
        about |= {"trained_on": self.trained_on} if self.trained_on else {}
        _store.save(path, "classifier", {**about, **meta}, arrays)

    def summary(
        self, adata: Cells, groupby: str, *, mod: str | None = None, use_raw: bool = False, layer: str | None = None
    ) -> pd.DataFrame:
        """Return accuracy per cell type on labelled cells: ``cells, correct, accuracy, most_confused_with``."""
        adata = meant(adata, mod=mod, use_raw=use_raw, layer=layer)
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


def _parameters(cls: type) -> list[str]:
    """Return the names of a constructor's arguments."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]  # type: ignore[misc]
    return [parameter.name for parameter in parameters if parameter.kind in kinds]
