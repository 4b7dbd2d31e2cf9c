"""scAnnotatR: one linear SVM per cell type, on z-scores of about twenty marker genes.

A cell's z-scores depend on all cells of the data set: an aberrant value in a few cells also moves all the others.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.special import expit, logit

from adverscarial._docs import documented
from adverscarial._progress import track
from adverscarial.cells.choice import Cells, meant
from adverscarial.cells.cluster import Cluster, check_genes, cluster_labels
from adverscarial.cells.columns import positions_among
from adverscarial.cells.matrix import CellMatrix, layer_of
from adverscarial.cells.zscores import deviation, standardised
from adverscarial.classifiers.answers import Answer, Answers, Ballot, Decision
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.families.svm import (
    TypeModel,
    ancestors,
    check_sizes,
    checked_parents,
    cluster_codes,
    deal_folds,
    descendants,
    down_sample,
    fit_svm,
    is_left_out,
    models_of,
    plain_markers,
    plain_parents,
    rank_markers,
    stored_models,
    type_model,
    zscore,
)
from adverscarial.classifiers.gene_names import mismatch_message
from adverscarial.classifiers.registry import CommandLine
from adverscarial.classifiers.scorers.base import StatefulScorer
from adverscarial.classifiers.scorers.linear_moves import LinearMoves
from adverscarial.errors import ClassifierError, DataError, GeneMismatchError, ParameterError, did_you_mean, some

logger = logging.getLogger(__name__)

UNKNOWN = "unknown"
#: coarseness of probabilities near 1, over the share of their size that linear moves take for rounding
_COARSE = 1e-15 / 4e-12
_GENES, _FIT = 64, 2**17  # whole genes made dense at a time; decision values that fit the cache


class ScAnnotatR(
    Classifier,
    family="scannotatr",
    command_line=CommandLine(
        "scannotatr",
        "scAnnotatR: one linear SVM per cell type.",
        unsuited=("scale", "counts"),
        note="scAnnotatR takes z-scores itself: give it log-normalised values (of counts: --preprocess lognorm).",
        place=50,
    ),
):
    """One linear SVM per cell type (Nguyen and Griss 2022), trained as in the adverSCarial article.

    A type is predicted where its probability reaches the threshold; among several the most probable one is the label
    (the first on ties), with none the label is ``"unknown"``. Underscores in labels become blanks, as in the original.

    Parameters
    ----------
    n_markers
        Marker genes per type, when ranked from the data (see
        :func:`~adverscarial.classifiers.families.svm.rank_markers`).
    ranking
        ``"original"``: a gene's p-value is the smallest of the type against all others and against each other cluster.
        ``"rest"``: against all others only, as marker genes are usually ranked.
    threshold
        Probability from which a type is predicted.
    markers
        Marker genes of some types, ``{type: genes}``; the other types' are ranked.
    parents
        ``{type: parent type}``. The child is considered only in cells where its parent was predicted, and
        trained on the cells of its parent; the parent is trained to recognise its descendants too.
    keep_ambiguous
        Train also on labels with a part such as "/", "," or "(", which the original leaves out.
    seed
        Of the down-sampling and of the folds behind the probabilities.
    %(progress_trained)s

    Attributes
    ----------
    models
        One :class:`TypeModel` per type, in the order of first appearance in the training data.

    Notes
    -----
    The article trains on log-normalised and predicts on scaled values; both are z-scored first. scAnnotatR itself skips
    a type whose markers are missing, and the article's adapter then fails; here it is a GeneMismatchError. The 10-fold
    cross-validation that only reports its own accuracy is left out.

    Examples
    --------
    >>> import adverscarial as adv
    >>> train, test = adv.datasets.split(adv.datasets.embedded(), "cell_type", seed=0)
    >>> model = ScAnnotatR(keep_ambiguous=True).fit(train, "cell_type")
    >>> model.predict(test).shape == (test.n_obs,)
    True
    """

    needs_all_cells = True
    labels_are_argmax = False  # thresholds and parents have a say

    def __init__(
        self,
        n_markers: int = 20,
        *,
        ranking: Literal["original", "rest"] = "original",
        threshold: float = 0.5,
        markers: Mapping[str, Sequence[str]] | None = None,
        parents: Mapping[str, str] | None = None,
        keep_ambiguous: bool = False,
        seed: int = 0,
        progress: bool | None = None,
    ) -> None:
        self.n_markers, self.threshold, self.keep_ambiguous, self.seed = n_markers, threshold, keep_ambiguous, seed
        self.ranking, self.progress = ranking, progress
        self.markers, self.parents = markers, parents
        self.models: tuple[TypeModel, ...] = ()
        self.genes = None

    def _check_settings(self) -> None:
        if self.n_markers < 1:
            raise ParameterError(f"ScAnnotatR: n_markers must be at least 1, got {self.n_markers}.")
        if self.ranking not in ("original", "rest"):
            raise ParameterError(f"ScAnnotatR: ranking must be 'original' or 'rest', got {self.ranking!r}.")
        if not 0 <= self.threshold <= 1:
            raise ParameterError(f"ScAnnotatR: threshold is a probability, from 0 to 1, got {self.threshold}.")

    def _settings(self) -> dict[str, object]:
        """Return the settings as a file holds them: the progress bar is none of them, and names are text."""
        settings = {name: value for name, value in self.get_params().items() if name != "progress"}
        return {**settings, "markers": plain_markers(self.markers), "parents": plain_parents(self.parents)}

    def __repr__(self) -> str:
        default = type(self)()._settings()
        shown = [f"{name}={value!r}" for name, value in self._settings().items() if value != default[name]]
        return f"ScAnnotatR({', '.join(shown)})"

    @property
    def labels(self) -> tuple[str, ...]:
        """Every label that a prediction may give: the classes, and ``unknown``."""
        return self.classes if UNKNOWN in self.classes else (*self.classes, UNKNOWN)

    @documented
    def fit(
        self, adata: Cells, groupby: str, *, mod: str | None = None, use_raw: bool = False, layer: str | None = None,
        markers_layer: str | None = None,
    ) -> Self:  # fmt: skip
        """Train on labelled cells (cells without a label are left out; cells labelled "unknown" are of no type).

        Parameters
        ----------
        adata
            Cells x genes.
        %(groupby_types)s
        %(values)s
        layer
            Layer to train on; ``X`` when left out. The article: log-normalised values.
        markers_layer
            Layer to rank marker genes on; `layer` when left out, and ``"X"`` means ``adata.X``. The article: scaled
            values, whose means the ranking compares with a fixed 0.5.

        Raises
        ------
        DataError
            If a type, or its contrary, has fewer than two cells, or no gene marks it.
        GeneMismatchError
            If given markers are not in the data.
        ParameterError
            If a setting is impossible, or `markers` or `parents` name a type that is not trained.
        """
        self._check_settings()
        adata = meant(adata, mod=mod, use_raw=use_raw, layer=markers_layer or layer)
        check_genes(adata)
        labels = cluster_labels(adata, groupby)
        clusters = list(dict.fromkeys(label for label in labels if label is not None))
        types = [name for name in clusters if name != UNKNOWN and (self.keep_ambiguous or not is_left_out(name))]
        used = np.isin(labels, [*types, UNKNOWN])
        if dropped := sorted(set(clusters) - {*types, UNKNOWN}):
            logger.warning("scAnnotatR trains on no cells labelled %s; keep_ambiguous=True does", some(dropped))
        if any("_" in name for name in types):
            logger.warning(
                "scAnnotatR answers with blanks for the underscores in %s", some(n for n in types if "_" in n)
            )
        parents = checked_parents(plain_parents(self.parents) or {}, types)
        members = {name: np.isin(labels, [name, *descendants(name, parents)]) for name in types}
        scopes = {name: members[parents[name]] if name in parents else labels != None for name in types}  # noqa: E711
        check_sizes(members, scopes, used, groupby)
        if not types:
            raise DataError(f"ScAnnotatR: obs['{groupby}'] holds no label to train on (found: {some(clusters)}).")

        matrix = CellMatrix(layer_of(adata, layer))
        matrix.check_finite(adata)
        ranking = matrix
        if markers_layer is not None and markers_layer != layer:
            by_name = None if markers_layer == "X" and "X" not in adata.layers else markers_layer
            ranking = CellMatrix(layer_of(adata, by_name))
            ranking.check_finite(adata)
        genes = pd.Index(adata.var_names.astype(str))
        codes = {name: cluster_codes(labels, clusters, members[name], scopes[name]) for name in types}
        positions = self._markers(ranking, genes, codes)
        models = []
        for name in track(types, "Training ScAnnotatR", len(types), self.progress):
            Z = zscore(matrix.columns(positions[name])[used])[scopes[name][used]]
            yes = members[name][used & scopes[name]]
            generator = np.random.default_rng([self.seed, zlib.crc32(name.encode())])
            kept = down_sample(yes, generator)
            svm = fit_svm(Z[kept], yes[kept], deal_folds(yes[kept], generator))
            models.append(TypeModel(name, tuple(genes[positions[name]]), svm, self.threshold, parents.get(name)))
        self._set_models(models)
        return self

    def _markers(self, matrix: CellMatrix, genes: pd.Index, codes: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the positions of each type's marker genes: those given, else ranked."""
        given = plain_markers(self.markers) or {}
        if strange := [name for name in given if name not in codes]:
            raise ParameterError(
                f"ScAnnotatR: markers= names {some(strange)}, which is no type of the training data."
                f"{did_you_mean(strange[0], list(codes))} Types: {some(codes, 20)}."
            )
        positions = {}
        for name, markers in given.items():
            wanted = pd.Index(dict.fromkeys(markers))
            positions[name] = genes.get_indexer(wanted)
            if (positions[name] < 0).any() or len(wanted) == 0:
                raise GeneMismatchError(mismatch_message(f"ScAnnotatR: type '{name}'", wanted, genes))
        ranked = [name for name in codes if name not in given]
        if ranked:
            # without the single clusters, all others are one
            against = [np.minimum(codes[name], 1) if self.ranking == "rest" else codes[name] for name in ranked]
            found = rank_markers(matrix, against, self.n_markers, progress=self.progress)
            positions.update(zip(ranked, found, strict=True))
        for name, markers_found in positions.items():
            if len(markers_found) == 0:
                raise DataError(
                    f"ScAnnotatR: no gene marks type '{name}': no mean differs by more than 0.5 from that of the other "
                    "cells. Rank on scaled values (markers_layer=), or name genes with markers=."
                )
            if len(markers_found) < self.n_markers and name not in given:
                logger.warning("scAnnotatR: type '%s' has %d marker genes only", name, len(markers_found))
        return positions

    @classmethod
    def from_models(cls, models: Iterable[Mapping[str, Any]]) -> Self:
        """Build a trained classifier from models of the R package.

        Parameters
        ----------
        models
            One mapping per type: ``cell_type, feature_order`` (genes), ``center, scale, w`` (one number per gene),
            ``b, platt_A, platt_B``; optional ``p_thres`` (0.5) and ``parent``.

        Raises
        ------
        DataError
            If a model lacks a part, or its parts do not fit together.
        """
        classifier = cls()
        classifier._set_models([type_model(model) for model in models])
        return classifier

    def _set_models(self, models: Sequence[TypeModel]) -> None:
        """Take over models, and lay their machines side by side: ``f = Z @ weights + offset``, (cells, types)."""
        if not models:
            raise DataError("ScAnnotatR: there are no models; it needs one per cell type.")
        types = [model.cell_type for model in models]
        parents = checked_parents({m.cell_type: m.parent for m in models if m.parent is not None}, types)
        self.classes = tuple(name.replace("_", " ") for name in types)
        if len(set(self.classes)) < len(self.classes):
            raise DataError(f"ScAnnotatR: types are the same once '_' is read as a blank: {some(sorted(types), 20)}.")
        self.models = tuple(models)
        self.genes = pd.Index(list(dict.fromkeys(gene for model in models for gene in model.markers)), dtype=object)
        self.weights = np.zeros((len(self.genes), len(models)))
        for t, model in enumerate(models):
            self.weights[self.genes.get_indexer(pd.Index(model.markers)), t] = model.svm.w / model.svm.scale
        self.offset = np.array([-m.svm.b - m.svm.w @ (m.svm.center / m.svm.scale) for m in models])
        self._platt = np.array([[m.svm.platt_a, m.svm.platt_b] for m in models])
        self._thresholds = np.array([m.threshold for m in models])
        self._above = {types.index(name): [types.index(n) for n in ancestors(name, parents)] for name in parents}

    def align(self, genes: pd.Index) -> np.ndarray:  # noqa: D102
        if self.genes is None:
            raise ClassifierError("This ScAnnotatR is not trained yet: call fit(adata, groupby) first.")
        positions: np.ndarray = genes.get_indexer(self.genes)
        if (positions < 0).any():
            missing = set(self.genes[positions < 0])
            affected = [model.cell_type for model in self.models if missing.intersection(model.markers)]
            message = mismatch_message(self.name, self.genes, genes)
            raise GeneMismatchError(f"{message} They mark the types {some(affected, 20)}.")
        return positions

    def judge(self, f: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return codes into :attr:`labels`, shape (cells,), and probabilities, given decision values (cells, types)."""
        if not np.isfinite(f).all():
            raise DataError("ScAnnotatR: marker genes hold NaN, infinite or too large values. Fill or drop them.")
        p = expit(f * self._platt[:, 0] + self._platt[:, 1])
        said = p >= self._thresholds
        predicted = said.copy()
        for child, above in self._above.items():
            predicted[:, child] &= said[:, above].all(axis=1)
        best = np.argmax(np.where(predicted, p, -1.0), axis=1)
        return np.where(predicted.any(axis=1), best, self.labels.index(UNKNOWN)), p

    def decide(self, X: np.ndarray) -> Decision:
        """Label the cells of `X` (cells, classifier's genes), taken as the whole data set; scores are probabilities."""
        if self.genes is None:
            raise ClassifierError("This ScAnnotatR is not trained yet: call fit(adata, groupby) first.")
        return self._decision(zscore(X) @ self.weights + self.offset)

    def _decision(self, f: np.ndarray) -> Decision:
        codes, p = self.judge(f)
        return Decision(np.array(self.labels, dtype=object)[codes], p)

    def _decide_all(self, adata: AnnData, layer: str | None, progress: bool | None = False) -> Decision:
        check_genes(adata)
        matrix = CellMatrix(layer_of(adata, layer))
        columns = self.align(pd.Index(adata.var_names.astype(str)))
        f = np.tile(self.offset, (matrix.shape[0], 1))
        starts = range(0, len(columns), _GENES)  # whole genes, some at a time: z-scores need all cells
        for start in track(starts, self.name, len(starts), progress):
            part = slice(start, start + _GENES)
            f += zscore(matrix.columns(columns[part])) @ self.weights[part]
        return self._decision(f)

    def scorer(self, cluster: Cluster) -> ScAnnotatRScorer:  # noqa: D102
        return ScAnnotatRScorer(self, cluster)

    def state(self) -> tuple[Mapping[str, object], Mapping[str, np.ndarray]]:  # noqa: D102
        if not self.models:
            raise ClassifierError("This ScAnnotatR is not trained yet: there is nothing to store.")
        types, arrays = stored_models(self.models)
        return {"settings": self._settings(), "types": types}, arrays

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:  # noqa: D102
        classifier = cls(**meta["settings"])
        classifier._check_settings()
        classifier._set_models(models_of(meta["types"], arrays))
        return classifier


class ScAnnotatRScorer(StatefulScorer):
    """State: z-scores of the marker genes in the cluster's cells, and the decision values made of them.

    The other cells enter through three numbers per gene: how many there are, their mean, and their sum of squared
    deviations. With those a new mean and sd over all cells takes a pass over the cluster's cells alone. Values are
    kept relative to a pivot, one of the other cells' values: so nothing is lost when large values differ little, and a
    gene that becomes constant has sd 0 exactly. Every query starts from the stored state; nothing is undone.
    """

    def __init__(self, classifier: ScAnnotatR, cluster: Cluster) -> None:
        columns = classifier.align(cluster.genes)
        self._classifier = classifier
        self._ballot = Ballot(classifier.labels)
        self._place = positions_among(columns, len(cluster.genes))
        self._dtype = cluster.dtype
        others = np.ones(cluster.statistics.n_cells, dtype=bool)
        others[cluster.rows] = False
        self._n_others = int(others.sum())
        self._pivot, self._mean, self._squares = np.empty((3, len(columns)))
        for start in range(0, len(columns), _GENES):
            part = slice(start, start + _GENES)
            values = cluster.statistics.columns(columns[part])[others].astype(np.float64)
            self._pivot[part] = values[0]
            values -= values[0]
            self._mean[part] = values.mean(axis=0)
            self._squares[part] = ((values - self._mean[part]) ** 2).sum(axis=0)
        self._X = cluster.values(columns).astype(np.float64)
        self._settle()

    def _settle(self) -> None:
        """Compute the clean state from the cluster's values."""
        self._Z = self._zscores(np.arange(self._X.shape[1]), self._X)
        self._f = self._Z @ self._classifier.weights + self._classifier.offset
        self._codes, p = self._classifier.judge(self._f)
        self._baseline = self._ballot.answer(self._codes, p)

    def _zscores(self, columns: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return z-scores over all cells of the data set, for the cluster's cells, shape (cells, len(columns))."""
        relative, spread = self._spread(columns, values)
        return standardised(relative, np.zeros(1), spread)

    def _spread(self, columns: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return values less their means over all cells of the data set, and the standard deviations."""
        others, n = self._n_others, self._n_others + len(values)
        relative = values - self._pivot[columns]
        mean = (others * self._mean[columns] + relative.sum(axis=0)) / n
        relative -= mean
        squares = self._squares[columns] + others * (self._mean[columns] - mean) ** 2 + (relative**2).sum(axis=0)
        return relative, deviation(squares, n)

    def logits(self) -> np.ndarray:
        """Return the logit of each type's probability as the cells stand, shape (cells, types)."""
        scale, shift = self._classifier._platt.T
        return np.asarray(self._f * scale + shift)

    def slopes(self, genes: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the slope of ``sum_k weights[c, k] * logit_k(c)`` by each value of `genes`, shape (cells, genes).

        Of a cell's own value alone: its mean and deviation over all cells are held, which one cell moves little.
        """
        asked, columns, _ = self._read(genes, np.zeros((1, len(genes))))
        _, spread = self._spread(columns, self._X[:, columns])
        by_z = (weights * self._classifier._platt[:, 0]) @ self._classifier.weights[columns].T
        found = np.zeros((len(weights), len(genes)))
        found[:, asked] = np.divide(by_z, spread, out=np.zeros_like(by_z), where=spread > 0)
        return found

    def _answer(self, f: np.ndarray) -> Answer:
        return self._ballot.answer(*self._classifier.judge(f))

    def reads(self, genes: np.ndarray) -> np.ndarray:
        """Return which genes mark some type; the others are not looked at."""
        return self._place[np.asarray(genes, dtype=np.int64)] >= 0

    def _read(self, genes: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return which queries matter, the columns of their genes, and new values as the data would hold them."""
        asked = np.flatnonzero(self.reads(genes))
        new = np.asarray(values)[:, asked].astype(self._dtype).astype(np.float64)
        columns = self._place[np.asarray(genes, dtype=np.int64)[asked]]
        return asked, columns, np.broadcast_to(new, (len(self._X), len(asked)))

    def together(self, genes: np.ndarray, values: np.ndarray) -> Answer:  # noqa: D102
        asked, columns, new = self._read(genes, values)
        if len(asked) == 0:
            return self._baseline
        change = self._zscores(columns, new) - self._Z[:, columns]
        return self._answer(self._f + change @ self._classifier.weights[columns])

    def each(self, genes: np.ndarray, values: np.ndarray) -> Answers:  # noqa: D102
        label = np.full(len(genes), self._baseline.label, dtype=self._ballot.labels.dtype)
        share = np.full(len(genes), self._baseline.share)
        asked, columns, new = self._read(genes, values)
        if len(asked):
            steps = (self._zscores(columns, new) - self._Z[:, columns]).T[:, :, None]
            counts = np.empty((len(asked), len(self._ballot.labels)), dtype=np.int64)
            for part in np.array_split(np.arange(len(asked)), min(len(asked), 1 + len(asked) * self._f.size // _FIT)):
                f = self._f + steps[part] * self._classifier.weights[columns[part], None]
                codes = self._classifier.judge(f.reshape(-1, f.shape[2]))[0].reshape(f.shape[:2])
                counts[part] = [self._ballot.count(own) for own in codes]
            label[asked], share[asked] = self._ballot.winners(counts)
        return Answers(label, share, np.zeros(len(genes), dtype=bool))

    def accept(self, genes: np.ndarray, values: np.ndarray) -> None:  # noqa: D102
        asked, columns, new = self._read(genes, values)
        if len(asked):
            self._X = self._X.copy()  # forks may hold the old one
            self._X[:, columns] = new
            self._settle()

    def moves(self, genes: np.ndarray, values: np.ndarray) -> LinearMoves | None:
        """Return the logits of the types as weighted sums, beside an "unknown" that always scores the threshold.

        A gene's z-scores depend on the values of that gene in all cells, and on no other gene. A query changes a
        gene in the whole cluster, so its z-scores go to fixed new values, whatever else is changed: their change times
        the weights is all that the gene adds to a type's decision value. A type's logit is a decision value times a
        number plus a number; the label is the type with the largest logit, if that reaches the logit of the threshold.
        So nothing is approximated. With thresholds that differ, or with parents, the label is no largest score: None.
        """
        classifier = self._classifier
        scale, shift = classifier._platt.T
        threshold = classifier._thresholds[0]
        alike = bool((classifier._thresholds == threshold).all()) and 0 < threshold < 1
        if not alike or classifier._above or UNKNOWN in classifier.classes:
            return None
        asked, columns, new = self._read(genes, values)
        steps, weights = np.zeros((len(self._X), len(genes))), np.zeros((len(genes), len(scale) + 1))
        steps[:, asked] = self._zscores(columns, new) - self._Z[:, columns]
        weights[asked, :-1] = classifier.weights[columns] * scale
        cut = float(logit(threshold))
        scores = np.column_stack([self._f * scale + shift, np.full(len(self._f), cut)])
        if not (np.isfinite(steps).all() and np.isfinite(scores).all()):
            return None
        added = (np.abs(self._Z) @ np.abs(classifier.weights) + np.abs(classifier.offset)) * np.abs(scale)
        size = (added + np.abs(shift)).max(axis=1) + (np.abs(steps) @ np.abs(weights)).max(axis=1) + abs(cut)
        # Probabilities are compared, and near 1 they are coarse: logits that differ by less than about 1e-16 * exp(the
        # smaller one) may give equal ones, from 36 on all do. What is hidden so counts as rounding.
        highest = scores + np.stack([np.maximum(steps * column, 0.0).sum(axis=1) for column in weights.T], axis=1)
        second = np.sort(highest, axis=1)[:, -2]
        size = np.maximum(size, np.where(second < 33, _COARSE * np.exp(np.minimum(second, 33.0)), 1e30))
        found = LinearMoves(scores, steps, weights, size, self._codes)
        found.labels = self._ballot.labels
        return found
