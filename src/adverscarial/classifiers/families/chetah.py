"""CHETAH: a tree of cell types, walked down by rank correlation with the types' profiles.

De Kanter et al. 2019, Nucleic Acids Research 47:e95. At each node a cell is compared with every type of the node over
the genes that set this type apart from the other branch. A cell that is not sure enough of a branch stays where it is:
``Unassigned`` at the first node, ``Node1``, ``Node2``, ... further down. Those are labels like any other in a vote.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial._progress import track
from adverscarial.cells.choice import Cells, meant
from adverscarial.cells.cluster import Cluster, check_genes, cluster_labels
from adverscarial.cells.columns import positions_among
from adverscarial.cells.matrix import CellMatrix, layer_of
from adverscarial.classifiers.answers import Answer, Answers, Ballot, Decision
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.families.chetah_tree import distances, opposites, tree_of
from adverscarial.classifiers.registry import Choice, CommandLine
from adverscarial.classifiers.scorers import rank_labels, rank_lists, rank_moves, rank_together
from adverscarial.classifiers.scorers import ranks as rank_scores
from adverscarial.classifiers.scorers.base import Scorer
from adverscarial.classifiers.scorers.needs import Needs
from adverscarial.classifiers.scorers.rank_bounds import SIZES, fewest_for_labels
from adverscarial.classifiers.scorers.rank_levels import Levels, Numbered
from adverscarial.classifiers.scorers.rank_pulls import pulls, way_to
from adverscarial.classifiers.scorers.ranks import Model
from adverscarial.errors import ClassifierError, DataError, ParameterError, some

log = logging.getLogger(__name__)

_CELLS = 512  # reference cells made dense at a time
_WIDTH = 0.5
_GUIDES = 48  # cells by which a search is guided
_MANY = 64  # genes, beyond which lists are counted anew rather than each gene moved in them


class Chetah(
    Classifier,
    family="chetah",
    command_line=CommandLine(
        "chetah",
        "CHETAH: a tree of cell types, by rank correlations.",
        unsuited=("scale", "counts", "lognorm"),
        note="CHETAH is meant for raw counts: use data that hold counts, with --preprocess none.",
        place=40,
    ),
):
    """CHETAH, trained once instead of at every call.

    Ranks make a cell's own scaling irrelevant; the profiles, means over the reference cells, do depend on it. The
    article trains and predicts on raw counts.

    Parameters
    ----------
    n_genes
        Genes in the list of each type at each node.
    threshold
        Confidence, -2 to 2, below which a cell stays at a node. The article uses 0.01, CHETAH's own default is 0.1.
    cap_genes
        Use all genes when the reference has fewer than `n_genes`, instead of raising.
    %(progress_trained)s

    Attributes
    ----------
    classes
        The cell types, in order of first appearance. Predictions may also be ``Unassigned`` and ``NodeK``.
    genes
        The genes in any list, in the reference's order. No other gene can change an answer.
    nodes
        One row per type at a node: ``node, label, type, branch``; `label` is what a cell stuck there is called.

    Examples
    --------
    >>> from anndata import AnnData
    >>> counts = np.random.default_rng(0).poisson(np.repeat([[1, 5, 1, 5], [5, 1, 5, 1]], 10, axis=0))
    >>> adata = AnnData(counts.astype(float), obs=pd.DataFrame({"type": list("A" * 10 + "B" * 10)}))
    >>> model = Chetah(n_genes=4).fit(adata, "type")
    >>> model.predict(adata).value_counts().to_dict()
    {'A': 10, 'B': 10}
    """

    gives_scores = False

    def __init__(
        self, n_genes: int = 200, *, threshold: float = 0.01, cap_genes: bool = False, progress: bool | None = None
    ) -> None:
        self.n_genes, self.threshold, self.cap_genes, self.progress = n_genes, threshold, cap_genes, progress
        self.classes = ()
        self.genes = None
        self._model: Model | None = None

    @classmethod
    def from_command_line(cls, choice: Choice) -> Self:
        """Return it for data with any number of genes."""
        return cls(cap_genes=True)

    def _check_settings(self) -> None:
        n_genes, threshold = self.n_genes, self.threshold
        if isinstance(n_genes, bool) or not isinstance(n_genes, int | np.integer) or n_genes < 2:
            raise ParameterError(
                f"Chetah: n_genes must be a whole number from 2 up (a rank correlation), got {n_genes!r}."
            )
        number = isinstance(threshold, int | float | np.number) and not isinstance(threshold, bool)
        if not number or not np.isfinite(threshold):
            raise ParameterError(f"Chetah: threshold must be a number (0.01 in the article), got {threshold!r}.")

    def __repr__(self) -> str:
        shown = [f"n_genes={self.n_genes}"] if self.n_genes != 200 else []
        shown += [f"threshold={self.threshold!r}"] if self.threshold != 0.01 else []
        shown += ["cap_genes=True"] if self.cap_genes else []
        return f"Chetah({', '.join(shown)})"

    def _train(self, adata: AnnData, groupby: str, layer: str | None) -> None:
        """Build the tree, the gene lists and the two correlation distributions of each type at each node."""
        check_genes(adata)
        labels = cluster_labels(adata, groupby)
        classes = list(dict.fromkeys(label for label in labels if label is not None))
        _check_types(classes, groupby)
        matrix = CellMatrix(layer_of(adata, layer))
        matrix.check_finite(adata)
        n = self._list_length(matrix.shape[1])

        kinds = np.array([classes.index(label) if label is not None else -1 for label in labels])
        profiles = np.stack([_mean_like_r(matrix, np.flatnonzero(kinds == k)) for k in range(len(classes))])
        nodes, child = tree_of(distances(profiles))
        pairs = [pair for branches in nodes for pair in opposites(branches)]
        pair_type = np.array([t for t, _ in pairs])
        differences = [profiles[t] - _mean_like_r(CellMatrix(profiles), np.array(opposite)) for t, opposite in pairs]
        lists = np.stack([np.argsort(-np.abs(difference), kind="stable")[:n] for difference in differences])
        read = np.unique(lists)
        ranks = rank_scores.centred_ranks(profiles[pair_type[:, None], lists])
        node_start = np.cumsum([0, *(len(first) + len(second) for first, second in nodes)])
        model = Model(
            lists=np.searchsorted(read, lists),
            ranks=ranks,
            power=(ranks**2).sum(axis=1),
            pair_type=pair_type,
            node_start=node_start,
            node_split=node_start[:-1] + np.array([len(first) for first, _ in nodes]),
            child=child,
            **_joined("own", [np.empty(0)]),  # filled below: the same routine must correlate reference and input
            **_joined("other", [np.empty(0)]),
        )
        rho = np.full((len(kinds), len(pairs)), np.nan)
        reference = np.flatnonzero(kinds >= 0)
        starts = range(0, len(reference), _CELLS)
        for start in track(starts, "Training Chetah", len(starts), self.progress):
            part = reference[start : start + _CELLS]
            rho[part] = rank_scores.correlate(matrix.rows(part)[:, read], np.arange(len(pairs)), model)
        own = [np.sort(rho[kinds == t, i]) for i, (t, _) in enumerate(pairs)]
        other = [np.sort(rho[np.isin(kinds, opposite), i]) for i, (_, opposite) in enumerate(pairs)]

        self._model = model._replace(**_joined("own", own), **_joined("other", other))
        self.classes = tuple(classes)
        self.genes = pd.Index(adata.var_names.astype(str))[read]
        log.info(
            "Chetah: %d types, %d nodes, %d of %d genes read", len(classes), len(nodes), len(read), matrix.shape[1]
        )

    def _list_length(self, available: int) -> int:
        if available >= self.n_genes:
            return self.n_genes
        if self.cap_genes and available >= 2:
            return available
        raise DataError(
            f"Chetah takes {self.n_genes:,} genes for each type at each node; the reference has {available:,}. "
            "Bring more genes, lower n_genes, or use cap_genes=True to take all there are (two at least)."
        )

    def _fitted(self) -> Model:
        if self._model is None:
            raise ClassifierError("This Chetah is not trained: call fit(adata, groupby) first.")
        return self._model

    @property
    def nodes(self) -> pd.DataFrame:
        """The tree: ``node, label, type, branch``, one row per type at a node."""
        model = self._fitted()
        node, types = self._columns(model)
        branch = np.where(np.arange(len(node)) < model.node_split[node - 1], 1, 2)
        stuck = np.array(self.labels[len(self.classes) :], dtype=object)
        return pd.DataFrame({"node": node, "label": stuck[node - 1], "type": types, "branch": branch})

    @property
    def labels(self) -> tuple[str, ...]:
        """Every label that a prediction may give: the classes, ``Unassigned``, ``Node1``, ``Node2``, ..."""
        stuck = ["Unassigned", *(f"Node{k}" for k in range(1, len(self._fitted().node_split)))]
        return (*self.classes, *stuck)

    def gene_lists(self) -> pd.DataFrame:
        """Return the genes of each type at each node, largest difference first: ``node, type, rank, gene``."""
        model = self._fitted()
        node, types = self._columns(model)
        n = model.lists.shape[1]
        assert self.genes is not None
        return pd.DataFrame(
            {
                "node": np.repeat(node, n),
                "type": np.repeat(types, n),
                "rank": np.tile(np.arange(1, n + 1), len(node)),
                "gene": self.genes[model.lists.ravel()],
            }
        )

    def _columns(self, model: Model) -> tuple[np.ndarray, np.ndarray]:
        """Return the node (from 1) and the type of each pair."""
        node = np.repeat(np.arange(1, len(model.node_split) + 1), np.diff(model.node_start))
        return node, np.array(self.classes, dtype=object)[model.pair_type]

    def _checked(self, X: np.ndarray) -> Model:
        """Return the trained model, if these values are what it reads."""
        model = self._fitted()
        assert self.genes is not None
        if X.ndim != 2 or X.shape[1] != len(self.genes):
            raise DataError(f"Chetah got shape {X.shape}, expected (cells, {len(self.genes):,}): its genes, in order.")
        _check_numbers(X)
        return model

    def _scores(self, X: np.ndarray) -> np.ndarray:
        model = self._checked(X)
        pairs = np.arange(len(model.power))
        return rank_scores.profile_scores(rank_scores.correlate(X, pairs, model), pairs, model)

    def decide(self, X: np.ndarray) -> Decision:
        """Label cells given dense, shape (cells, genes of the classifier).

        Raises
        ------
        DataError
            If the shape is another, or a value is NaN.
        ClassifierError
            Before :meth:`fit`.
        """
        model, values = self._checked(X), np.ascontiguousarray(X, dtype=np.float64)
        codes = rank_labels.codes(values, model, float(self.threshold), len(self.classes))
        return Decision(np.array(self.labels, dtype=object)[codes], None)

    def scores(
        self, adata: Cells, *, mod: str | None = None, use_raw: bool = False, layer: str | None = None,
        progress: bool | None = None,
    ) -> pd.DataFrame:  # fmt: skip
        """Return the profile score of each cell for each type at each node, columns (node, type).

        CHETAH has no score per class, which is what :attr:`gives_scores` and attacks that follow scores speak of: a
        type is scored at every node above it, against the opposite branch. See :meth:`profile_scores`. Parameters as
        for :meth:`predict`.
        """
        adata = meant(adata, mod=mod, use_raw=use_raw, layer=layer)
        check_genes(adata)
        matrix = CellMatrix(layer_of(adata, layer))
        matrix.check_finite(adata)
        columns, header = self.align(pd.Index(adata.var_names.astype(str))), self._header()
        starts = range(0, matrix.shape[0], _CELLS)
        found = np.empty((matrix.shape[0], len(header)))
        for start in track(starts, self.name, len(starts), progress):
            rows = np.arange(start, min(start + _CELLS, matrix.shape[0]))
            found[rows] = self._scores(matrix.rows(rows)[:, columns])
        return pd.DataFrame(found, index=adata.obs_names, columns=header)

    def profile_scores(self, X: np.ndarray) -> pd.DataFrame:
        """Return F_A(rho) + F_B(rho) - 1, from -1 to 1, for each cell of `X` and each (node, type).

        rho is the Spearman correlation with the type's profile; F_A and F_B say which share of the type's own reference
        cells, and of those in the opposite branch, correlate at most as well.
        """
        return pd.DataFrame(self._scores(X), columns=self._header())

    def confidences(self, X: np.ndarray) -> pd.DataFrame:
        """Return each profile score minus the mean score of the opposite branch's types, per (node, type)."""
        return pd.DataFrame(rank_scores.confidences(self._scores(X), self._fitted()), columns=self._header())

    def _header(self) -> pd.MultiIndex:
        return pd.MultiIndex.from_arrays(self._columns(self._fitted()), names=["node", "type"])

    def with_threshold(self, threshold: float) -> Self:
        """Return the same trained classifier with another threshold."""
        changed = copy.copy(self)
        changed.threshold = threshold
        changed._check_settings()
        return changed

    def scorer(self, cluster: Cluster) -> ChetahScorer:
        """Return the incremental scorer of one cluster."""
        return ChetahScorer(self, cluster)

    def state(self) -> tuple[Mapping[str, object], Mapping[str, np.ndarray]]:
        """Return settings and classes, and the trained arrays."""
        arrays = {"genes": np.array(self.genes, dtype=str), **self._fitted()._asdict()}
        meta = {"n_genes": int(self.n_genes), "threshold": float(self.threshold), "cap_genes": bool(self.cap_genes)}
        return {**meta, "classes": list(self.classes)}, arrays

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        """Rebuild from what :meth:`state` returned."""
        made = cls(meta["n_genes"], threshold=meta["threshold"], cap_genes=meta["cap_genes"])
        made._check_settings()
        made.classes = tuple(meta["classes"])
        made.genes = pd.Index(arrays["genes"].astype(object))
        made._model = Model(*(arrays[field] for field in Model._fields))
        return made


class ChetahScorer(Scorer):
    """CHETAH's state for one cluster: a query costs the lists that hold the changed genes, where a cell walks.

    It keeps each value as a number, and those profile scores that were needed so far.
    """

    leads = False

    def __init__(self, classifier: Chetah, cluster: Cluster) -> None:
        self._model, self._threshold = classifier._fitted(), float(classifier.threshold)
        self._n_classes = len(classifier.classes)
        columns = classifier.align(cluster.genes)
        self._column = positions_among(columns, len(cluster.genes))
        self._dtype = cluster.dtype
        values = np.ascontiguousarray(cluster.values(columns), dtype=np.float64)
        _check_numbers(values)
        self._cells = Numbered(values)
        self._tree = rank_lists.tree_of(self._model, len(columns), self._threshold, self._n_classes)
        self._ballot = Ballot(classifier.labels)
        self._scores = np.full((len(values), len(self._model.power)), np.nan)
        self._codes = np.zeros(len(values), dtype=np.int64)
        self._kept: tuple[Levels, rank_lists.Lists] | None = None
        self._tried: tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]] | None = None
        rank_together.walked(self._state, self._tree)

    @property
    def baseline(self) -> Answer:  # noqa: D102
        return self._ballot.answer(self._codes)

    def reads(self, genes: np.ndarray) -> np.ndarray:  # noqa: D102
        reads: np.ndarray = self._column[genes] >= 0
        return reads

    def each(self, genes: np.ndarray, values: np.ndarray) -> Answers:  # noqa: D102
        votes = np.tile(self._ballot.count(self._codes), (len(genes), 1))
        read, columns, new = self._read(genes, values)
        if len(columns):
            to = self._cells.to(columns, new)
            votes[read] = rank_moves.votes_each(self._state, self._tree, columns, to)
        label, share = self._ballot.winners(votes)
        return Answers(label, share, np.zeros(len(genes), dtype=bool))

    @property
    def _state(self) -> rank_moves.State:
        """The cells as they stand; what is kept of their lists is made anew when their levels have become others."""
        levels = self._cells.levels
        if self._kept is None or self._kept[0] is not levels:
            self._kept = levels, rank_lists.counted(self._cells.numbers, levels.sizes, self._tree)
        return rank_moves.State(self._cells.numbers, self._scores, self._codes, levels.sizes, self._kept[1])

    def together(self, genes: np.ndarray, values: np.ndarray) -> Answer:  # noqa: D102
        _, columns, new = self._read(genes, values)
        self._tried = columns, new, self._changed(columns, new)
        return self._ballot.answer(self._tried[2][1])

    def accept(self, genes: np.ndarray, values: np.ndarray) -> None:  # noqa: D102
        _, columns, new = self._read(genes, values)
        tried, self._tried = self._tried, None
        if tried is not None and np.array_equal(tried[0], columns) and np.array_equal(tried[1], new):
            found = tried[2]  # a search accepts what it has just asked about
        else:
            found = self._changed(columns, new)
        to = self._cells.to(columns, new)
        if len(columns) > _MANY:
            self._kept = None
        else:
            rank_together.shift(self._state, self._tree, columns, to)
        self._scores, self._codes = found
        self._cells.accept(columns, to)

    def _changed(self, columns: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return scores and codes with columns changed."""
        to = self._cells.to(columns, new)
        return rank_together.changed(self._state, self._tree, columns, to)

    def needs(self, genes: np.ndarray, values: np.ndarray) -> Needs:
        """See :meth:`Scorer.needs`, and :mod:`adverscarial.classifiers.scorers.rank_bounds` for the proof."""
        _, columns, new = self._read(genes, values)
        now = self._cells.values
        changed = now.copy()
        changed[:, columns] = new
        sizes = np.array(SIZES)
        fewest = fewest_for_labels(now, changed, self._model, self._threshold, self._n_classes, sizes)
        return Needs(self._ballot.labels, self._codes, fewest)

    def pulls(self, genes: np.ndarray, values: np.ndarray, label: str) -> np.ndarray | None:
        """See :meth:`Scorer.pulls`; by some of the cells where there are many."""
        code = np.flatnonzero(self._ballot.labels == label)
        if not len(code):  # it is what somebody else calls the cells
            return None
        read, columns, new = self._read(genes, values)
        to = self._cells.to(columns, new)
        some = np.linspace(0, len(self._codes) - 1, min(len(self._codes), _GUIDES)).astype(np.int64)
        state = self._state
        kept = rank_lists.Lists(*(array[some if len(array) else some[:0]] for array in state.kept))
        numbers, scores, codes, tops = state.numbers[some], state.scores[some], state.codes[some], state.tops[some]
        state = rank_moves.State(numbers, scores, codes, tops, kept)
        way = way_to(self._model, int(code[0]), self._n_classes)
        found = np.zeros(len(genes))
        found[read] = pulls(state, self._tree, columns, to[some], way, _WIDTH)
        return found

    def fork(self) -> Self:  # noqa: D102
        other = copy.copy(self)
        other._cells, other._tried = self._cells.fork(), None
        if self._kept is not None:  # changed in place
            other._kept = self._kept[0], rank_lists.Lists(*(array.copy() for array in self._kept[1]))
        return other

    def _read(self, genes: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return which of `genes` are read, their columns, and their values as the data set would hold them."""
        read = self.reads(genes)
        # A value that equals another one only after rounding to float32 is a tie in the modified data: round here too.
        new = np.ascontiguousarray(np.asarray(values)[:, read].astype(self._dtype), dtype=np.float64)
        _check_numbers(new)
        return read, self._column[genes[read]], new


def _check_numbers(values: np.ndarray) -> None:
    if np.isnan(values).any():
        raise DataError(
            f"Chetah got {int(np.isnan(values).sum()):,} NaN values, which have no rank. Fill or drop them."
        )


def _check_types(classes: Sequence[str], groupby: str) -> None:
    if len(classes) < 2:
        raise DataError(
            f"Chetah needs at least two cell types in obs['{groupby}'], found {len(classes)}: {some(classes)}."
        )
    bad = [name for name in classes if not name.strip() or "Node" in name or "Unassigned" in name]
    if bad:
        raise ParameterError(
            f"Cell types in obs['{groupby}'] are called {some(bad)}. CHETAH itself answers 'Unassigned' and 'Node1', "
            "'Node2', ..., so a type's name may not hold 'Node' or 'Unassigned', nor be empty: rename it."
        )


def _mean_like_r(matrix: CellMatrix, rows: np.ndarray) -> np.ndarray:
    """Return the mean over some rows with R's rounding: extended precision, and a second pass over the residuals.

    Genes whose differences tie in R then tie here, so that the lists come out the same. Where the platform has no
    extended precision, genes that tie up to rounding may swap places.
    """

    def total(shift: np.ndarray) -> np.ndarray:
        parts = (matrix.rows(rows[start : start + _CELLS]) for start in range(0, len(rows), _CELLS))
        return sum(((part - shift).sum(axis=0) for part in parts), start=np.zeros_like(shift))

    mean = total(np.zeros(matrix.shape[1], dtype=np.longdouble)) / len(rows)
    return (mean + total(mean) / len(rows)).astype(np.float64)


def _joined(name: str, samples: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Return samples of different lengths end to end, and where each starts."""
    return {name: np.concatenate(samples), f"{name}_start": np.cumsum([0, *(len(sample) for sample in samples)])}
