"""How visible is an attack? The attacked copy of a data set is held against the original."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from threadpoolctl import threadpool_limits

from adverscarial._docs import documented
from adverscarial._progress import Advance, bar
from adverscarial._types import Floats, Ints, Matrix, Untyped
from adverscarial.attacks.start import check_run
from adverscarial.cells.choice import Cells, meant
from adverscarial.cells.cluster import Cluster, check_genes, gene_positions
from adverscarial.cells.matrix import CellMatrix, layer_of
from adverscarial.cells.statistics import GeneStatistics
from adverscarial.errors import DataError, ParameterError

_CELLS = 512  # cells made dense at a time
_REFERENCE = 10_000  # most cells that the PCA is fitted on
_JUDGED = 2_000  # most attacked cells that the small classifiers and the neighbour search look at
_GENES = 200  # most changed genes that the small classifier reads
_COMPONENTS = 30
_USUAL = 60  # untouched cells, below which (if the attacked are more) half of the attacked go to the PCA unjudged
_NEIGHBOURS = 10
_FOLDS = 5
_FEWEST = 4  # attacked cells, below which an AUC says nothing
_MADS = 5
_PCA_STEPS = 10  # of the progress bar: it takes longest
_STEPS = _PCA_STEPS + 6
_FAR = 1e3  # standard deviations; further away is all the same, and numbers stay small


def _part(meaning: str, default: float = 0.0) -> Untyped:
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True, repr=False)
class Detectability:
    """How visible an attack is; every field is one part, and its meaning stands in :meth:`to_frame`.

    ``visibility`` is ``max(0, 2 * (auc - 0.5))``, where ``auc`` is that of a small classifier that tries to tell the
    attacked cells from the same cells before the attack. 0 means that it does no better than chance on held-out cells,
    1 that it is always right. Both are NaN when fewer than 4 cells are attacked.

    ``auc_genes`` is the same for a classifier that knows which genes were changed. It is near 1 for most attacks that
    write one value into many cells, so it does not tell them apart; it shows what a defender can do who knows the
    attack.

    Library size and detected genes are NaN where the original data hold negative values, such as z-scores: their sums
    are no library sizes.
    """

    visibility: float = _part("max(0, 2 * (auc - 0.5)): 0 hidden, 1 obvious")
    auc: float = _part("held-out AUC of an observer who looks at the whole cell: PCA and quality control", 0.5)
    auc_genes: float = _part("held-out AUC of an observer who knows which genes were changed", 0.5)
    cells: int = _part("attacked cells", 0)
    genes: int = _part("genes changed in at least one cell", 0)
    l0_mean: float = _part("genes changed per cell, mean")
    l0_median: float = _part("genes changed per cell, median")
    l0_max: float = _part("genes changed per cell, largest")
    l1_mean: float = _part("sum of absolute changes per cell, mean")
    l1_median: float = _part("sum of absolute changes per cell, median")
    l1_max: float = _part("sum of absolute changes per cell, largest")
    l2_mean: float = _part("Euclidean length of the change per cell, mean")
    l2_median: float = _part("Euclidean length of the change per cell, median")
    l2_max: float = _part("Euclidean length of the change per cell, largest")
    linf_mean: float = _part("largest absolute change per cell, mean")
    linf_median: float = _part("largest absolute change per cell, median")
    linf_max: float = _part("largest absolute change per cell, largest")
    library_shift: float = _part("change of a cell's sum over genes, relative to its size before, mean")
    detected_shift: float = _part("change of the number of genes above 0, relative to before, mean")
    outside_range: float = _part("share of the changed values outside the gene's minimum and maximum in real cells")
    library_outliers: float = _part("share of attacked cells that became outliers in library size (5 MAD)")
    detected_outliers: float = _part("share of attacked cells that became outliers in detected genes (5 MAD)")
    neighbour_distance: float = _part(
        "mean distance to the nearest real cells in PCA, over the same of the cells before the attack; 1: as near", 1.0
    )

    def to_frame(self) -> pd.DataFrame:
        """Return one row per part: ``part, value, meaning``."""
        rows = [(part.name, float(getattr(self, part.name)), part.metadata["meaning"]) for part in fields(self)]
        return pd.DataFrame(rows, columns=["part", "value", "meaning"])

    def __repr__(self) -> str:
        return f"<Detectability {self.visibility:.2f}, {self.cells:,} cells, {self.genes:,} genes>"

    def __str__(self) -> str:
        if not self.cells:
            return "Visibility 0.00: no value differs from the original."
        if np.isnan(self.visibility):
            head = f"Visibility unknown: {self.cells} attacked cells are too few for a held-out AUC"
        else:
            head = f"Visibility {self.visibility:.2f} (AUC {self.auc:.2f}; {self.auc_genes:.2f} if the genes are known)"
        quality = (
            f"library size {_times(self.library_shift)}, detected genes {_times(self.detected_shift)}; "
            f"new outliers {self.library_outliers:.0%} and {self.detected_outliers:.0%}"
        )
        if np.isnan(self.library_shift):
            quality = "not measured: data with negative values have no library size"
        return "\n".join(
            [
                head,
                f"  changed   {self.genes:,} genes in {self.cells:,} cells, {self.l0_mean:,.1f} per cell; "
                f"L2 {self.l2_mean:.3g}, largest change {self.linf_max:.3g}",
                f"  quality   {quality}",
                f"  values    {self.outside_range:.0%} outside the range of real cells; "
                f"{self.neighbour_distance:.3g} x as far from the nearest real cells",
            ]
        )


def _times(shift: float) -> str:
    return f"{shift:+.1%}" if abs(shift) < 10 else f"{shift:+.3g} times"


@documented
def detectability(  # noqa: PLR0913
    adata: Cells,
    attacked: Cells,
    *,
    groupby: str | None = None,
    target: str | None = None,
    mod: str | None = None,
    use_raw: bool = False,
    layer: str | None = None,
    seed: int = 0,
    genes_observed: Sequence[str] | None = None,
    progress: bool | None = None,
) -> Detectability:
    """Measure how visible an attack is to somebody who looks at the data.

    Parameters
    ----------
    adata
        The original, or a MuData with it; read, never written.
    attacked
        Its attacked copy: the same cells and genes in the same order, for example ``result.apply(adata)``.
    groupby, target
        Column of ``adata.obs``, and the attacked cluster in it: all its cells are measured. Left out, those that differ
        are; where an attack switches a gene off, these are the cells that had it, which makes them easier to tell.
    %(values)s
    layer
        Layer that was attacked; ``X`` when left out.
    seed
        Of the folds, and of the subsamples of large data.
    genes_observed
        Names of the genes that the observer can see, such as those of a panel; all genes when left out.
    %(progress)s

    Returns
    -------
    A :class:`Detectability`.

    Raises
    ------
    DataError
        If the two do not have the same cells and genes, or cells outside the cluster differ.
    ParameterError
        If only one of `groupby` and `target` is given.

    Notes
    -----
    The two observers are L2-regularised logistic regressions on standardised values and their magnitudes: the one of
    30 principal components, the distance from their plane, library size and detected genes; the other of at most 200
    changed genes (those that moved furthest, in units of their standard deviation in the training cells). They are
    judged by 5-fold cross-validation over cells; a cell and its attacked copy are always in the same fold. At most
    2,000 attacked cells are judged. The components are fitted on at most 10,000 of the cells that are not attacked;
    where those are fewer than 60 and fewer than the attacked, half of the attacked are not judged, and their originals
    join in. All are drawn by `seed`. So cells swapped for other real cells of their type are hidden, as they should be.
    The nearest real cells of a cell, attacked or not, are 10 originals, never its own. Outliers: further than 5 median
    absolute deviations from the median of the original data, in log(1 + x) (values below 0 mirrored); a cell counts if
    it was none before.

    Examples
    --------
    >>> import adverscarial as adv
    >>> adata = adv.datasets.embedded()
    >>> changed = adv.modify(adata, ["CD3D"], "positive_aberrant", groupby="cell_type", target="Dendritic")
    >>> found = detectability(adata, changed)
    >>> found.genes, found.outside_range, round(found.visibility, 2)
    (1, 1.0, 1.0)
    """
    check_run(None, seed)
    adata = meant(adata, mod=mod, use_raw=use_raw, layer=layer)
    attacked = meant(attacked, mod=mod, use_raw=use_raw, layer=layer)
    _check_pair(adata, attacked)
    if (groupby is None) != (target is None):
        raise ParameterError("Give both groupby= and target=, or neither: then the cells that differ are measured.")
    before, after = _observed(adata, attacked, layer, genes_observed)
    rows = _rows_that_differ(before, after)
    if groupby is not None:
        rows = _rows_of_cluster(adata, groupby, str(target), layer, rows)
    if not len(rows):
        return Detectability()
    with bar("Detectability", _STEPS, progress) as advance:
        parts, genes = _changes(before, after, rows)
        advance()
        parts |= _quality(before, after, rows)
        advance()
        with threadpool_limits(1):  # small problems: threads cost more than they give
            parts |= _observers(before, after, rows, genes, seed, advance)
    return Detectability(cells=len(rows), genes=len(genes), **parts)


def _check_pair(adata: AnnData, attacked: AnnData) -> None:
    check_genes(adata)
    check_genes(attacked)
    for what, left, right in (
        ("cells", adata.obs_names, attacked.obs_names),
        ("genes", adata.var_names, attacked.var_names),
    ):
        if not left.equals(right):
            raise DataError(
                f"The original has {len(left):,} {what}, the attacked copy {len(right):,}, and they must be the same "
                f"in the same order; {len(left.intersection(right)):,} names are in both. Compare with a copy of the "
                "whole original, as result.apply(adata) returns it."
            )


def _observed(
    adata: AnnData, attacked: AnnData, layer: str | None, genes_observed: Sequence[str] | None
) -> tuple[CellMatrix, CellMatrix]:
    """Return both matrices, with the genes only that the observer can see."""
    before, after = CellMatrix(layer_of(adata, layer)), CellMatrix(layer_of(attacked, layer))
    if genes_observed is not None:
        genes = gene_positions(pd.Index(adata.var_names.astype(str)), genes_observed)
        if not len(genes):
            raise ParameterError("genes_observed= is empty; leave it out to observe all genes.")
        before, after = CellMatrix(_columns(before, genes)), CellMatrix(_columns(after, genes))
    before.check_finite()
    after.check_finite()
    return before, after


def _rows_of_cluster(adata: AnnData, groupby: str, target: str, layer: str | None, differ: Ints) -> np.ndarray:
    """Return the positions of the cluster's cells, or none if no cell differs; no other cell may differ."""
    inside = Cluster(adata, groupby, target, layer=layer).rows
    if outside := len(np.setdiff1d(differ, inside)):
        raise DataError(
            f"{outside:,} cells outside cluster '{target}' of obs['{groupby}'] differ from the original. "
            "Name the cluster that was attacked, or leave groupby= and target= out."
        )
    return inside if len(differ) else differ


def _columns(matrix: CellMatrix, genes: Ints) -> Matrix:
    return sp.csr_array(matrix.csc()[:, genes]) if matrix.sparse else matrix.columns(genes)


def _blocks(rows: np.ndarray) -> list[np.ndarray]:
    return [rows[start : start + _CELLS] for start in range(0, len(rows), _CELLS)]


def _rows_that_differ(before: CellMatrix, after: CellMatrix) -> Ints:
    if sp.issparse(before.X) and sp.issparse(after.X):
        return np.unique((before.X != after.X).tocoo().row).astype(np.int64)
    every = _blocks(np.arange(before.shape[0]))
    differ = [(before.rows(block) != after.rows(block)).any(axis=1) for block in every]
    return np.flatnonzero(np.concatenate(differ)) if differ else np.empty(0, dtype=np.int64)


def _changes(before: CellMatrix, after: CellMatrix, rows: np.ndarray) -> tuple[dict[str, float], Ints]:
    """Return the sizes of the changes, and the positions of the genes that changed."""
    statistics = GeneStatistics(before)
    norms: dict[str, list[np.ndarray]] = {"l0": [], "l1": [], "l2": [], "linf": []}
    moved = np.zeros(before.shape[1], dtype=bool)
    outside = 0
    for block in _blocks(rows):
        old, new = before.rows(block).astype(np.float64), after.rows(block).astype(np.float64)
        moved |= (changed := old != new).any(axis=0)
        genes = np.flatnonzero(changed.any(axis=0))
        size = np.abs(new[:, genes] - old[:, genes])
        largest = size.max(axis=1, initial=0.0)
        norms["l0"].append(changed.sum(axis=1))
        norms["l1"].append(size.sum(axis=1))
        # in units of the largest, so that the square of an aberrant value cannot overflow
        norms["l2"].append(largest * np.sqrt(((size / np.where(largest > 0, largest, 1)[:, None]) ** 2).sum(axis=1)))
        norms["linf"].append(largest)
        beyond = (new[:, genes] < statistics.minimum(genes)) | (new[:, genes] > statistics.maximum(genes))
        outside += int((beyond & changed[:, genes]).sum())
    parts: dict[str, float] = {}
    for name, pieces in norms.items():
        values = np.concatenate(pieces)
        parts |= {f"{name}_mean": float(values.mean()), f"{name}_median": float(np.median(values))}
        parts[f"{name}_max"] = float(values.max())
    parts["outside_range"] = outside / int(np.concatenate(norms["l0"]).sum())
    return parts, np.flatnonzero(moved)


def _totals(matrix: CellMatrix, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    """Return the sum and the number of values above 0 of each cell, and whether any value is negative."""
    sums, counts, negative = [], [], False
    for block in _blocks(rows):
        piece = matrix.rows(block)
        sums.append(piece.sum(axis=1, dtype=np.float64))
        counts.append((piece > 0).sum(axis=1).astype(np.float64))
        negative |= bool((piece < 0).any())
    return np.concatenate(sums), np.concatenate(counts), negative


def _quality(before: CellMatrix, after: CellMatrix, rows: np.ndarray) -> dict[str, float]:
    parts: dict[str, float] = {}
    *everything, negative = _totals(before, np.arange(before.shape[0]))
    changed = _totals(after, rows)[:2]
    for name, whole, new in zip(("library", "detected"), everything, changed, strict=True):
        if negative:
            parts |= {f"{name}_shift": np.nan, f"{name}_outliers": np.nan}
            continue
        old = whole[rows]
        some = old != 0  # of nothing, no change is relative
        shift = (new[some] - old[some]) / np.abs(old[some])
        parts[f"{name}_shift"] = float(shift.mean()) if some.any() else 0.0
        middle = np.median(_log(whole))
        limit = _MADS * np.median(np.abs(_log(whole) - middle))
        fresh = (np.abs(_log(new) - middle) > limit) & (np.abs(_log(old) - middle) <= limit)
        parts[f"{name}_outliers"] = float(fresh.mean())
    return parts


def _log(totals: np.ndarray) -> Floats:
    return np.asarray(np.sign(totals) * np.log1p(np.abs(totals)))  # sums of scaled values can be negative


def _observers(
    before: CellMatrix, after: CellMatrix, rows: np.ndarray, genes: np.ndarray, seed: int, advance: Advance
) -> dict[str, float]:
    """Return what needs principal components or a classifier."""
    rng = np.random.default_rng([seed, 0])
    every = np.arange(before.shape[0])
    # components fit the cells that they were made of better than any others, attacked or not: judge none of those
    usual = np.setdiff1d(every, rows)
    if len(usual) < min(_USUAL, len(rows)):
        half = rng.permutation(rows)
        usual, rows = np.sort([*usual, *half[: len(rows) // 2]]), np.sort(half[len(rows) // 2 :])
    judged, known = _some(rng, rows, _JUDGED), _some(rng, every, _REFERENCE)
    pca = _fit_pca(before, _some(rng, usual, _REFERENCE), seed)
    advance(_PCA_STEPS)
    parts = {"neighbour_distance": 1.0}
    old, new = _features(pca, before, judged), _features(pca, after, judged)
    if pca is not None:
        n = pca.n_components_
        real = _features(pca, before, known)[:, :n]
        parts["neighbour_distance"] = _distance_ratio(real, known, old[:, :n], new[:, :n], judged)
    advance(2)
    parts["auc"] = held_out_auc(old, new, seed=seed)
    advance()
    parts["visibility"] = max(0.0, 2 * (parts["auc"] - 0.5)) if len(judged) >= _FEWEST else float("nan")
    old = np.concatenate([before.rows(block)[:, genes] for block in _blocks(judged)])
    new = np.concatenate([after.rows(block)[:, genes] for block in _blocks(judged)])
    parts["auc_genes"] = held_out_auc(old, new, seed=seed)
    advance()
    return parts


def _some(rng: np.random.Generator, cells: np.ndarray, most: int) -> np.ndarray:
    return cells if len(cells) <= most else np.sort(rng.choice(cells, most, replace=False))


def _fit_pca(matrix: CellMatrix, cells: np.ndarray, seed: int) -> Untyped:
    """Return principal components of these cells; None where there are none to find."""
    from sklearn.decomposition import PCA

    n = min(_COMPONENTS, len(cells) - 1, matrix.shape[1] - 1)
    if sp.issparse(matrix.X):
        X = sp.csr_array(matrix.X[cells], dtype=np.float64)
        varies = bool((X.max(axis=0) != X.min(axis=0)).nnz)
    else:
        X = matrix.rows(cells).astype(np.float64)
        varies = bool((X.max(axis=0) != X.min(axis=0)).any())
    return PCA(n, svd_solver="arpack", random_state=seed).fit(X) if n > 0 and varies else None


def _features(pca: Untyped, matrix: CellMatrix, cells: np.ndarray) -> Floats:
    """Return what an observer knows of whole cells: components, distance from their plane, library, detected genes."""
    pieces = []
    for block in _blocks(cells):
        X = matrix.rows(block).astype(np.float64)
        quality = [_log(X.sum(axis=1)), _log((X > 0).sum(axis=1))]
        if pca is None:
            pieces.append(np.stack(quality, axis=1))
            continue
        centred = X - pca.mean_
        place = centred @ pca.components_.T
        off = np.abs(centred - place @ pca.components_)
        unit = np.maximum(off.max(axis=1), 1e-300)  # as for the L2 norm: no overflow
        quality.append(_log(unit * np.sqrt(((off / unit[:, None]) ** 2).sum(axis=1))))
        pieces.append(np.column_stack([place, *quality]))
    return np.concatenate(pieces)


def _distance_ratio(real: np.ndarray, known: np.ndarray, old: np.ndarray, new: np.ndarray, judged: np.ndarray) -> float:
    """Return how much further the attacked cells lie from their nearest real cells than they did before."""
    from sklearn.neighbors import NearestNeighbors

    k = min(_NEIGHBOURS, len(known) - 1)
    means = []
    for cells in (old, new):
        scale = max(1.0, float(np.abs(cells).max()) / 1e100)  # so that no square overflows
        distances, found = NearestNeighbors(n_neighbors=k + 1).fit(real / scale).kneighbors(cells / scale)
        own = known[found] == judged[:, None]
        own[~own.any(axis=1), -1] = True  # itself is not among them: leave out the furthest instead
        means.append(distances[~own].mean() * scale)
    return float(means[1] / means[0]) if means[0] > 0 else float("nan")


def held_out_auc(real: np.ndarray, attacked: np.ndarray, *, seed: int = 0) -> float:
    """Return how well a regularised logistic regression tells attacked cells from real ones it has not seen.

    Parameters
    ----------
    real, attacked
        The same cells before and after, each shape (cells, features).
    seed
        Of the folds.

    Returns
    -------
    Area under the ROC curve of the decisions on held-out pairs, 0 to 1; 0.5 is chance. NaN below 4 cells.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import KFold

    n = len(real)
    if n < _FEWEST:
        return float("nan")
    real, attacked = real.astype(np.float64), attacked.astype(np.float64)
    truth = np.repeat([0, 1], n)
    decisions = np.empty(2 * n)
    for train, test in KFold(min(_FOLDS, n), shuffle=True, random_state=seed).split(real):
        centre, spread = real[train].mean(axis=0), real[train].std(axis=0)
        spread = np.where(spread > 0, spread, 1.0)
        shift = np.abs((attacked[train] - real[train]) / spread).mean(axis=0)
        best = np.sort(np.argsort(-shift, kind="stable")[:_GENES])
        z = [np.clip((X[:, best] - centre[best]) / spread[best], -_FAR, _FAR) for X in (real, attacked)]
        # magnitudes too: values that all lie in the middle are as conspicuous as values that lie outside
        whole = np.concatenate([np.hstack([part, np.abs(part)]) for part in z])
        learnt, held = np.concatenate([train, train + n]), np.concatenate([test, test + n])
        model = LogisticRegression(max_iter=2_000).fit(whole[learnt], truth[learnt])
        decisions[held] = model.decision_function(whole[held])
    return float(roc_auc_score(truth, decisions))
