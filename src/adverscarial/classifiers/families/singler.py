"""SingleR: a cell is of the type whose reference cells it correlates with best, by ranks.

Calculations are those of BiocPy's package ``singler``; genes stand in its rows, in our columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers.answers import Answers, Ballot, Decision
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.families.training import training_matrix
from adverscarial.classifiers.registry import CommandLine
from adverscarial.classifiers.scorers.general import GeneralScorer
from adverscarial.classifiers.scorers.lead import lead_of_answer
from adverscarial.classifiers.scorers.needs import Needs
from adverscarial.classifiers.scorers.neighbour_bounds import fewest_for_classes
from adverscarial.classifiers.scorers.rank_bounds import SIZES
from adverscarial.classifiers.scorers.rank_neighbours import Level, cell_ranks, level_of, scores_each, scores_of
from adverscarial.errors import ClassifierError, DataError, InputRejected, MissingDependencyError, ParameterError

if TYPE_CHECKING:
    from singler import TrainedSingleReference

#: scores that differ by less are the same within rounding: the package decides
_DOUBT = 1e-9
#: fewer changes than these are asked of the package at once
_FEW = 4
#: cells that the package is asked about at once
_TOGETHER = 10_000
#: sets of classes whose part of the reference is kept
_LEVELS = 100


class SingleR(
    Classifier,
    family="singler",
    command_line=CommandLine(
        "singler",
        "SingleR: rank correlations with reference cells.",
        unsuited=("scale", "counts"),
        note="SingleR compares genes within a cell, which z-scores spoil: give it log-normalised values "
        "(of counts: --preprocess lognorm).",
        place=60,
        needs=("singler", "singler"),
    ),
):
    """SingleR (Aran et al. 2019), trained on labelled cells.

    :meth:`fit` finds markers by differences of medians, and keeps the cells as a reference: they should be
    log-normalised.

    The score of a type is the `quantile` of a cell's Spearman correlations with the type's reference cells, over the
    marker genes of all pairs of types. Fine-tuning then repeats this among the types close to the best, with their
    markers only: the label may therefore be another than that of the best score (``labels_are_argmax``).

    Parameters
    ----------
    num_de
        Markers of each pair of types (those with the largest difference of medians); SingleR's own rule when left out.
    quantile
        Of the correlations within a type, 0 to 1.
    fine_tune
        Whether to fine-tune.
    fine_tune_threshold
        Types whose score is within this of the best take part in fine-tuning.
    balance
        Cells of each type to train on (see :func:`adverscarial.datasets.balance`); None trains on all cells.
        Classifying takes time in proportion to them.
    seed
        Of the balanced draw; nothing else is random.

    Examples
    --------
    >>> import adverscarial as adv
    >>> train, test = adv.datasets.split(adv.datasets.embedded(), "cell_type", seed=0)
    >>> model = SingleR().fit(train, "cell_type")  # doctest: +SKIP
    >>> model.predict(test).shape  # doctest: +SKIP
    (347,)

    Notes
    -----
    Only the ranks of the marker genes within a cell matter: any value above a cell's largest means the same as any
    other. Genes that mark nothing are not read. One thread is used.
    """

    def __init__(
        self,
        *,
        num_de: int | None = None,
        quantile: float = 0.8,
        fine_tune: bool = True,
        fine_tune_threshold: float = 0.05,
        balance: int | None = None,
        seed: int = 0,
    ) -> None:
        self.num_de, self.quantile, self.balance, self.seed = num_de, quantile, balance, seed
        self.fine_tune, self.fine_tune_threshold = fine_tune, fine_tune_threshold
        self.classes = ()
        self.genes = None
        self._reference: np.ndarray | None = None  # reference cells x markers
        self._labels: list[str] = []  # of the reference cells
        self._markers: dict[str, dict[str, list[str]]] = {}  # of one type against another
        self._built: TrainedSingleReference | None = None

    def _check_settings(self) -> None:
        if self.num_de is not None and self.num_de < 1:
            raise ParameterError(f"SingleR: num_de must be at least 1, got {self.num_de}.")
        if not 0 <= self.quantile <= 1:
            raise ParameterError(f"SingleR: quantile must be between 0 and 1, got {self.quantile}.")
        if not self.fine_tune_threshold >= 0:
            raise ParameterError(f"SingleR: fine_tune_threshold must not be negative, got {self.fine_tune_threshold}.")

    @property
    def labels_are_argmax(self) -> bool:  # type: ignore[override]
        """Whether the label is always that of the best score: not with fine-tuning."""
        return not self.fine_tune

    def __repr__(self) -> str:
        default = SingleR().get_params()
        shown = [f"{name}={value!r}" for name, value in self.get_params().items() if value != default[name]]
        return f"SingleR({', '.join(shown)})"

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_built": None}  # a pointer into the package; made again when needed

    def _train(self, adata: AnnData, groupby: str, layer: str | None) -> None:
        X, labels, genes = training_matrix(adata, groupby, layer, self.balance, self.seed)
        built = _package().train_single(_genes_in_rows(X), list(labels), list(genes), num_de=self.num_de, num_threads=1)
        self._keep(built, X[:, _marker_rows(built)], labels)

    @classmethod
    def from_prebuilt(
        cls,
        prebuilt: TrainedSingleReference,
        *,
        quantile: float = 0.8,
        fine_tune: bool = True,
        fine_tune_threshold: float = 0.05,
    ) -> Self:
        """Return the classifier of a reference that ``singler.train_single`` made (one with `aggregate`, for instance).

        Parameters
        ----------
        prebuilt
            A ``singler.TrainedSingleReference``. Its marker genes and reference profiles are copied; neighbours are
            searched exactly, whatever its ``nn_parameters``.
        quantile, fine_tune, fine_tune_threshold
            As above; they belong to classifying, not to the reference.
        """
        package = _package()
        if not isinstance(prebuilt, package.TrainedSingleReference):
            raise ParameterError(
                f"SingleR.from_prebuilt needs what singler.train_single returns, got a {type(prebuilt).__name__}."
            )
        import delayedarray

        made = cls(quantile=quantile, fine_tune=fine_tune, fine_tune_threshold=fine_tune_threshold)
        made._check_settings()
        rows = _marker_rows(prebuilt)
        # the reference itself has no public name, though the package's own train_integrated reads it just so
        profiles = delayedarray.DelayedArray(prebuilt._full_data)[rows.tolist(), :]
        names = np.array([str(label) for label in prebuilt.labels])
        made._keep(prebuilt, delayedarray.to_dense_array(profiles).T, names[prebuilt._full_label_codes])
        return made

    def _keep(self, built: TrainedSingleReference, reference: np.ndarray, labels: np.ndarray) -> None:
        """Keep what is needed of a trained reference: its markers, and their values in the reference cells."""
        self.classes = tuple(str(label) for label in built.labels)
        self.genes = pd.Index([str(built.features[row]) for row in _marker_rows(built)])
        self._reference = np.array(reference)
        self._labels = [str(label) for label in labels]
        self._markers = {
            str(a): {str(b): [str(gene) for gene in genes] for b, genes in against.items()}
            for a, against in built.markers.items()
        }
        self._built = None

    @property
    def markers(self) -> dict[str, dict[str, list[str]]]:
        """Markers of each type against each other type: ``markers[type][other]``."""
        self._fitted()
        return self._markers

    def _fitted(self) -> TrainedSingleReference:
        """Return the package's own form of the reference, with the marker genes as its only rows."""
        if self._reference is None or self.genes is None:
            raise ClassifierError("This SingleR is not trained yet: call fit(adata, groupby) first.")
        if self._built is None:
            built = _package().train_single(
                _genes_in_rows(self._reference), self._labels, list(self.genes), markers=self._markers, num_threads=1
            )
            _marker_rows(built)  # refuses a damaged reference
            self._built = built
        return self._built

    def align(self, genes: pd.Index) -> np.ndarray:  # noqa: D102
        self._fitted()
        return super().align(genes)

    def decide(self, X: np.ndarray) -> Decision:
        """Label cells given the marker genes, shape (cells, genes).

        Raises
        ------
        InputRejected
            If a value is NaN: it has no rank.
        """
        built = self._fitted()
        if np.ndim(X) != 2 or X.shape[1] != len(built.features):  # the package would read past the end
            raise DataError(f"SingleR needs cells x {len(built.features):,} marker genes, got shape {np.shape(X)}.")
        values = _genes_in_rows(X)
        if np.isnan(values).any():
            raise InputRejected(f"SingleR ranks genes; {int(np.isnan(values).sum()):,} values are NaN.")
        answer = _package().classify_single(
            values,
            built,
            quantile=self.quantile,
            use_fine_tune=self.fine_tune,
            fine_tune_threshold=self.fine_tune_threshold,
            num_threads=1,
        )
        scores = np.column_stack([answer["scores"].column(name) for name in self.classes])
        return Decision(np.array([str(label) for label in answer["best"]], dtype=object), scores)

    def scorer(self, cluster: Cluster) -> SingleRScorer:  # noqa: D102
        self._fitted()
        return SingleRScorer(self, cluster)

    def state(self) -> tuple[Mapping[str, object], Mapping[str, np.ndarray]]:  # noqa: D102
        self._fitted()
        assert self.genes is not None
        assert self._reference is not None
        codes = np.array([self.classes.index(label) for label in self._labels])
        meta = {
            "settings": self.get_params(),
            "classes": self.classes,
            "genes": list(self.genes),
            "markers": self._markers,
        }
        return meta, {"reference": self._reference, "codes": codes}

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:  # noqa: D102
        reference, codes = arrays["reference"], arrays["codes"]
        if reference.shape != (len(codes), len(meta["genes"])):
            raise DataError(
                f"The stored reference has the shape {reference.shape}, expected {len(codes)} cells x "
                f"{len(meta['genes'])} markers."
            )
        made = cls(**meta["settings"])
        made._check_settings()
        made.classes, made.genes = tuple(meta["classes"]), pd.Index(meta["genes"])
        made._reference, made._markers = reference, meta["markers"]
        made._labels = [made.classes[code] for code in codes]
        return made


class SingleRScorer(GeneralScorer):
    """SingleR's state for one cluster: scans of single genes move ranks, all else asks the package.

    Each cell's genes are sorted once for all classes, and once more for each set of classes that fine-tuning comes to.
    Where two scores, or a score and the threshold of fine-tuning, differ by no more than rounding may, the package
    itself is asked about that cell.
    """

    incremental = True

    def __init__(self, classifier: SingleR, cluster: Cluster) -> None:
        super().__init__(classifier, cluster)
        self._model = classifier
        assert classifier.genes is not None
        assert classifier._reference is not None
        self._gene_place = {gene: k for k, gene in enumerate(classifier.genes)}
        self._code = {label: k for k, label in enumerate(classifier.classes)}
        self._codes = self._codes_of(classifier._labels)
        self._ballot = Ballot(classifier.classes)
        self._levels: dict[bytes, Level] = {}

    def each(self, genes: np.ndarray, values: np.ndarray) -> Answers:  # noqa: D102
        todo = np.flatnonzero(self.reads(genes))
        new = np.asarray(values[:, todo], dtype=self._X.dtype).astype(np.float64)  # as they are in the package
        if len(todo) < _FEW or np.isnan(new).any():
            return super().each(genes, values)
        columns = self._place[genes[todo]]
        codes, gaps = self._answers(columns, np.broadcast_to(new, (len(self._X), len(todo))))
        assert self._baseline.labels is not None
        votes = np.tile(self._ballot.count(self._codes_of(self._baseline.labels)), (len(genes), 1))
        votes[todo] = np.apply_along_axis(self._ballot.count, 1, codes.T)
        label, share = self._ballot.winners(votes)
        lead = lead_of_answer(self._baseline)
        taken = np.zeros(len(genes))
        if lead is not None:
            taken[todo] = lead.taken(gaps.mean(axis=0))
        return Answers(label, share, np.zeros(len(genes), dtype=bool), None if lead is None else taken)

    def needs(self, genes: np.ndarray, values: np.ndarray) -> Needs:
        """See :meth:`Scorer.needs`, and :mod:`adverscarial.classifiers.scorers.neighbour_bounds` for the proof."""
        X = self._X.astype(np.float64)
        changed = X.copy()
        changed[:, self._place[genes]] = np.asarray(values, dtype=self._X.dtype)
        level, sizes = self._level(np.arange(len(self._model.classes))), np.array(SIZES)
        threshold = self._model.fine_tune_threshold if self._model.fine_tune else 0.0
        fewest = np.ones((len(X), len(self._model.classes)), dtype=np.int64)
        for k in range(len(X)):
            cell = cell_ranks(X[k, level.columns], level)
            best = int(scores_of(cell, level).argmax())
            fewest[k] = fewest_for_classes(cell, level, changed[k, level.columns], threshold, best, sizes)
        assert self._baseline.labels is not None
        return Needs(self._ballot.labels, self._codes_of(self._baseline.labels), fewest)

    def _codes_of(self, labels: Iterable[str]) -> np.ndarray:
        return np.array([self._code[str(label)] for label in labels], dtype=np.int64)

    def _answers(self, columns: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return codes and the lead of each cell after each change alone, both of shape (cells, changes)."""
        lead = lead_of_answer(self._baseline)
        codes, gaps = np.empty(new.shape, dtype=np.int64), np.zeros(new.shape)
        whole = np.arange(len(self._model.classes))
        doubtful: list[tuple[int, int]] = []
        for cell, X in enumerate(self._X.astype(np.float64)):
            scores, codes[cell], doubts = self._resolve(X, whole, columns, new[cell])
            doubtful += [(cell, int(k)) for k in np.flatnonzero(doubts)]
            if lead is not None:
                gaps[cell] = lead.gaps(scores)
        for start in range(0, len(doubtful), _TOGETHER):
            cells, changes = np.array(doubtful[start : start + _TOGETHER]).T
            X = self._X[cells].astype(np.float64)
            X[np.arange(len(cells)), columns[changes]] = new[cells, changes]
            codes[cells, changes] = self._codes_of(self._model.decide(X).labels)
        return codes, gaps

    def _resolve(
        self, X: np.ndarray, labels: np.ndarray, columns: np.ndarray, new: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return of one cell, with each change alone, scores and label among some classes, and where to ask again."""
        level = self._level(labels)
        cell = cell_ranks(X[level.columns], level)
        markers = level.place[columns]
        scores = np.tile(scores_of(cell, level), (len(columns), 1))
        inside = np.flatnonzero(markers >= 0)
        scores[inside] = scores_each(cell, level, markers[inside], new[inside])
        best = scores.max(axis=1, keepdims=True)
        behind = best - scores
        codes = labels[behind.argmin(axis=1)]
        doubts = (behind <= _DOUBT).sum(axis=1) > 1
        if not self._model.fine_tune:
            return scores, codes, doubts
        threshold = self._model.fine_tune_threshold
        doubts |= (np.abs(behind - threshold) <= _DOUBT).any(axis=1)
        close = behind <= threshold
        further = np.flatnonzero(~doubts & (close.sum(axis=1) > 1) & ~close.all(axis=1))
        for kept in np.unique(close[further], axis=0):
            rows = further[(close[further] == kept).all(axis=1)]
            codes[rows], doubts[rows] = self._resolve(X, labels[kept], columns[rows], new[rows])[1:]
        return scores, codes, doubts

    def _level(self, labels: np.ndarray) -> Level:
        """Return the reference as it is asked about some classes; the last ones are kept."""
        key = labels.tobytes()
        if key not in self._levels:
            names = [self._model.classes[label] for label in labels]
            markers = {gene for a in names for b in names for gene in self._model.markers.get(a, {}).get(b, ())}
            columns = np.array(sorted(self._gene_place[gene] for gene in markers), dtype=np.int64)
            if len(names) == len(self._model.classes):
                columns = np.arange(len(self._gene_place))
            if len(self._levels) >= _LEVELS:
                del self._levels[next(iter(self._levels))]
            assert self._model._reference is not None
            self._levels[key] = level_of(labels, columns, self._model._reference, self._codes, self._model.quantile)
        return self._levels[key]


def _package() -> ModuleType:
    try:
        import singler
    except ImportError as error:
        raise MissingDependencyError("singler", "singler", "SingleR") from error
    module: ModuleType = singler
    return module


def _genes_in_rows(X: np.ndarray) -> np.ndarray:
    """Return a transposed copy; a copy, as the package knows an array that was read from a file by no type."""
    return X.T.astype(np.float64, order="C")


def _marker_rows(built: TrainedSingleReference) -> np.ndarray:
    """Return where the markers stand in the reference's features, refusing a reference without any."""
    rows = np.asarray(built.marker_subset(indices_only=True), dtype=np.int64)
    if not len(rows):  # the package would crash when it classifies
        raise DataError(
            "SingleR found no marker: no gene's median differs between any two types. Are the values log-normalised, "
            "and the types real?"
        )
    return rows
