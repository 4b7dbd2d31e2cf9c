"""The order in which genes are tried, for attacks that go through them one by one."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import overload

import numpy as np
import pandas as pd

from adverscarial._docs import documented
from adverscarial._progress import bar, track
from adverscarial.attacks.phenotype import Phenotype, cell_scores, correlations, gene_scores
from adverscarial.cells.choice import Cells, meant
from adverscarial.cells.cluster import Cluster, check_genes, cluster_labels, cluster_names, gene_positions
from adverscarial.cells.matrix import CellMatrix, layer_of
from adverscarial.cells.ranktests import mean_and_variance, welch, wilcoxon
from adverscarial.classifiers.answers import Answer
from adverscarial.classifiers.base import Classifier
from adverscarial.errors import DataError, ParameterError, did_you_mean, some
from adverscarial.modifications import Modification
from adverscarial.modifications.base import parse

logger = logging.getLogger(__name__)

METHODS = ("wilcoxon", "t-test", "variance", "random", "score", "phenotype")
TESTS = ("wilcoxon", "t-test")

_VALUES = 4_000_000  # made dense at a time
_BLOCK = 256  # genes whose modified values are held at a time
_BAR = "Ranking genes"
_SHIFT = 0.01  # what the R code adds to one cell of a constant group


@dataclass(frozen=True, eq=False)
class GeneRanking(Sequence[str]):
    """Gene names, best first: a sequence, so that ``list(ranking)`` and ``ranking[:500]`` give names.

    Attributes
    ----------
    genes
        Every ranked gene once.
    method
        How they were ranked.
    pairs
        The pairs of clusters that were compared, in the order in which they take turns; empty for other methods.
    table
        What the order was made from, one row per gene, best first: the p-values of each pair (a column
        ``"B vs NK"`` for each of `pairs`), or one column ``variance``, ``change``, ``correlation`` or ``score``; no
        column for ``"random"``.
    """

    genes: list[str]
    method: str
    table: pd.DataFrame = field(repr=False)
    pairs: list[tuple[str, str]] = field(default_factory=list, repr=False)
    _turns: np.ndarray | None = field(default=None, repr=False)  # the pair that brought each gene

    def __len__(self) -> int:
        return len(self.genes)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        return self.genes[index]

    def to_frame(self) -> pd.DataFrame:
        """Return one row per gene: ``gene``, and the number it was ranked by.

        For a test that is its ``p_value`` in the ``pair`` whose turn brought it (R's list of results).
        """
        if self._turns is None:
            return self.table.rename_axis("gene").reset_index()
        names = self.table.columns.to_numpy()[self._turns]
        p = self.table.to_numpy()[np.arange(len(self)), self._turns]
        return pd.DataFrame({"gene": self.genes, "pair": names, "p_value": p})

    def __str__(self) -> str:
        return f"{len(self):,} genes by {self.method}: {', '.join(self.genes[:6])}{', ...' if len(self) > 6 else ''}"


@documented
def rank_genes(  # noqa: PLR0913
    adata: Cells,
    groupby: str,
    *,
    method: str = "wilcoxon",
    mod: str | None = None,
    use_raw: bool = False,
    layer: str | None = None,
    seed: int = 0,
    classifier: object = None,
    target: str | None = None,
    genes: Sequence[str] | None = None,
    modifications: Sequence[str | Modification] = ("perc1", "perc99"),
    phenotype: Phenotype | None = None,
    reference: bool = False,
    progress: bool | None = None,
) -> GeneRanking:
    """Put the genes in the order in which an attack should try them (R: ``getSignGenes``).

    Parameters
    ----------
    adata
        Cells x genes, or a MuData; not changed. Cells without a cluster are left out. The paper ranks the z-scores of
        the test set.
    groupby
        Column of ``adata.obs`` with the clusters.
    method
        ``"wilcoxon"`` (rank sums) or ``"t-test"`` (Welch's): every two clusters are compared, and the pairs take turns
        in bringing their best gene, then their second best, ... that no other pair has brought before. Consecutive
        pairs share no cluster where possible, so the first genes tell all clusters apart.
        ``"variance"``: the most variable first; z-scores all have variance 1, so give the layer of unscaled values.
        ``"phenotype"``: those that go with a feature of the cells, see `phenotype`.
        ``"random"``: depends on the seed and the genes' names alone.
        ``"score"``: how far `classifier`'s answer for `target` moves when the gene is changed alone; this asks it
        once per modification and gene that it reads, so name `genes` where an answer takes long.
    %(values)s
    %(layer_read)s
    seed
        For ``"random"``, and for modifications that draw.
    classifier, target
        For ``"score"``: a classifier of :mod:`adverscarial.classifiers`, and the cluster to change.
    genes
        Names of the genes to rank; all when left out.
    modifications
        For ``"score"``: each gene is changed in each of these ways. The change of an answer is the mean absolute
        change of the scores, over cells and classes; without scores it is the share of cells whose label changes.
        Their mean is what counts. A change that the classifier refuses moves nothing.
    phenotype
        For ``"phenotype"``. The name of a column of ``adata.obs`` with one number per cell (a module score, a stage, a
        dose): genes are ranked by the absolute value of their Pearson correlation with it, over the cells that have a
        cluster and a number. Names of genes, a gene set: the same with the mean z-score of these genes as the number
        of a cell. Or your own number for each gene, as a mapping or a Series: the largest absolute value first; genes
        without a number are left out.
    reference
        The R code's numbers, of a test: a group whose values are all equal gets 0.01 added to one of them first;
        clusters stand in the order of their first cell, not of their names; once every pair that is left shares a
        cluster with the one before, they follow in plain order. (Where R's p-values differ by rounding alone, as the
        t-test's do for genes found in one cell of each cluster, it may put the genes in another order than this.)
    %(progress)s

    Returns
    -------
    A :class:`GeneRanking`. Equal numbers keep the order of the genes in the data; p-values too small for a float (0)
    are ordered by their statistic (not with `reference`).

    Raises
    ------
    DataError
        If the column, layer, a gene or the target is not there, values are NaN or infinite, or a test finds fewer than
        two clusters.
    ParameterError
        If a setting makes no sense, or belongs to another method.

    Notes
    -----
    The rank-sum test is two-sided, exact where both clusters have fewer than 50 cells and no value occurs twice, else
    normal with corrections for ties and continuity. Two clusters with one and the same constant value have p = 1.
    Welch's test needs a variance of each cluster: for one with a single cell, the other's is taken (a cell against a
    sample, m - 1 degrees of freedom); two single cells have p = 1. Two different constants have p = 0.

    Examples
    --------
    >>> import adverscarial as adv
    >>> ranking = rank_genes(adv.datasets.embedded(), "cell_type")
    >>> len(ranking), len(ranking.pairs), len(ranking[:100])
    (765, 45, 100)
    """
    _check_settings(method, seed, classifier, target, reference)
    _check_phenotype(method, phenotype)
    adata = meant(adata, mod=mod, use_raw=use_raw, layer=layer)
    check_genes(adata)
    names = pd.Index(adata.var_names.astype(str))
    chosen = np.arange(len(names)) if genes is None else np.sort(gene_positions(names, genes))
    if not len(chosen):
        raise ParameterError("There is no gene to rank: genes= is empty, or the data has none.")
    ranked = names[chosen]
    labels = cluster_labels(adata, groupby)
    if method == "random":
        alphabetical = np.argsort(np.asarray(ranked, dtype=str), kind="stable")
        order = alphabetical[np.random.default_rng(seed).permutation(len(ranked))]
        return GeneRanking(list(ranked[order]), method, pd.DataFrame(index=ranked[order]))
    if method == "score":
        cluster = Cluster(adata, groupby, str(target), layer=layer, seed=seed)
        return _descending(ranked, method, "change", _changes(cluster, classifier, chosen, modifications, progress))
    if isinstance(phenotype, Mapping | pd.Series):
        numbers = gene_scores(phenotype, names)[chosen]
        scored = np.isfinite(numbers)
        return _descending(ranked[scored], method, "score", numbers[scored])
    matrix = CellMatrix(layer_of(adata, layer))
    matrix.check_finite(adata)
    if method in ("variance", "phenotype"):
        cells = np.flatnonzero([label is not None for label in labels])
        if not len(cells):
            raise DataError(f"No cell has a value in obs['{groupby}']. Choose another column.")
        if phenotype is None:
            return _descending(ranked, method, "variance", _variances(matrix, chosen, cells, progress))
        cells, score = cell_scores(adata, phenotype, matrix, names, cells)
        blocks = _blocks(matrix, chosen, cells, progress)
        found = np.concatenate([correlations(values, score) for _, values in blocks])
        return _descending(ranked, method, "correlation", found)

    clusters = list(pd.unique(labels[labels != None])) if reference else cluster_names(labels)  # noqa: E711
    if len(clusters) < 2:
        raise DataError(
            f"obs['{groupby}'] has {len(clusters)} cluster(s). A test compares two at least: choose another column, "
            "or method='variance'."
        )
    pairs = order_of_pairs(clusters, reference=reference)
    sizes = np.array([np.sum(labels == name) for name in clusters])
    cells = np.concatenate([np.flatnonzero(labels == name) for name in clusters])
    which = np.array([[clusters.index(a), clusters.index(b)] for a, b in pairs])
    test = wilcoxon if method == "wilcoxon" else welch
    keys = np.empty((len(chosen), len(pairs)))
    for part, values in _blocks(matrix, chosen, cells, progress):
        groups = np.split(values, np.cumsum(sizes)[:-1], axis=1)
        for group in groups:
            group.sort(axis=1)
            if reference:
                group[group[:, 0] == group[:, -1], -1] += _SHIFT
        p, statistic = test(values, sizes, which)
        # until they are sorted, p-values of 0 stand as minus their statistic
        keys[part] = p if reference else np.where(p > 0, p, -statistic)
    order, turns = round_robin(keys)
    columns = [f"{a} vs {b}" for a, b in pairs]
    table = pd.DataFrame(np.maximum(keys[order], 0.0), index=ranked[order], columns=columns)
    return GeneRanking(list(ranked[order]), method, table, pairs, turns)


def order_of_pairs(names: Sequence[str], *, reference: bool = False) -> list[tuple[str, str]]:
    """Return all pairs of `names`, consecutive ones without a common name where possible.

    Goes through the pairs again and again, and takes each that shares nothing with the one taken before. When none
    does, the first that is left is taken; with `reference`, all that are left are.

    >>> order_of_pairs(["B", "DC", "NK", "T"])
    [('B', 'DC'), ('NK', 'T'), ('B', 'NK'), ('DC', 'T'), ('B', 'T'), ('DC', 'NK')]
    """
    taken, *left = combinations(names, 2)
    ordered = [taken]
    while left:
        rest = []
        for pair in left:
            if set(pair).isdisjoint(ordered[-1]):
                ordered.append(pair)
            else:
                rest.append(pair)
        if len(rest) == len(left):
            stuck = len(rest) if reference else 1
            ordered += rest[:stuck]
            rest = rest[stuck:]
        left = rest
    return ordered


def round_robin(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Let the columns take turns in naming their smallest row that was not named yet.

    In round i each column, from left to right, names its i-th smallest row, if that one is new.

    Returns
    -------
    The rows in the order in which they are named, and the column that named each.

    >>> round_robin(np.array([[0.1, 0.2], [0.3, 0.1], [0.2, 0.3]]))
    (array([0, 1, 2]), array([0, 1, 0]))
    """
    n_rows, n_columns = keys.shape
    first = np.full(n_rows, n_rows * n_columns)  # each row's first turn
    for k in range(n_columns):
        by_key = np.argsort(keys[:, k], kind="stable")
        first[by_key] = np.minimum(first[by_key], np.arange(n_rows) * n_columns + k)
    order = np.argsort(first)
    return order, first[order] % n_columns


def _blocks(
    matrix: CellMatrix, genes: np.ndarray, cells: np.ndarray, progress: bool | None
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield blocks of genes: which of `genes` they are, and a new array of their values, genes x `cells`, float64."""
    width = max(1, _VALUES // matrix.shape[0])
    starts = range(0, len(genes), width)
    for start in track(starts, _BAR, len(starts), progress):
        part = slice(start, start + width)
        yield part, np.array(matrix.columns(genes[part])[cells].T, dtype=np.float64, order="C")


def _variances(matrix: CellMatrix, genes: np.ndarray, cells: np.ndarray, progress: bool | None) -> np.ndarray:
    return np.concatenate([mean_and_variance(values)[1] for _, values in _blocks(matrix, genes, cells, progress)])


def _changes(
    cluster: Cluster,
    classifier: object,
    genes: np.ndarray,
    modifications: Sequence[str | Modification],
    progress: bool | None,
) -> np.ndarray:
    """Return how far the classifier's answer moves when each gene is changed alone, shape (genes,)."""
    if not isinstance(classifier, Classifier):
        raise ParameterError(
            f"classifier must be one of adverscarial.classifiers, got a {type(classifier).__name__}. "
            "Wrap it first: adverscarial.classifiers.wrap(model)."
        )
    ways = [parse(way) for way in ([modifications] if isinstance(modifications, str | Modification) else modifications)]
    if not ways:
        raise ParameterError("modifications is empty; name at least one, such as 'perc99'.")
    scorer = classifier.scorer(cluster)
    now = scorer.baseline
    read = np.flatnonzero(scorer.reads(genes))
    logger.info("Asking %s about %d of %d genes, %d times each.", classifier, len(read), len(genes), len(ways))
    total = np.zeros(len(genes))
    with bar(_BAR, len(ways) * len(read), progress) as advance:
        for way in ways:
            width = 1 if way.joint else _BLOCK  # a joint modification would see the other genes of the block
            for start in range(0, len(read), width):
                asked = read[start : start + width]
                with np.errstate(over="ignore"):
                    values = way.new_values(cluster, genes[asked]).astype(cluster.dtype)
                for k, place in enumerate(asked):
                    total[place] += _distance(now, scorer.together(genes[[place]], values[:, [k]]))
                advance(len(asked))
    return total / len(ways)


def _distance(now: Answer, then: Answer) -> float:
    """Return how far one answer is from another: by scores, else by labels of cells, else by the cluster's."""
    if then.rejected:
        return 0.0
    if now.scores is not None and then.scores is not None:
        return float(np.abs(then.scores - now.scores).mean())
    if now.labels is not None and then.labels is not None:
        return float((then.labels != now.labels).mean())
    return 1.0 if then.label != now.label else abs(then.share - now.share)


def _descending(genes: pd.Index, method: str, column: str, numbers: np.ndarray) -> GeneRanking:
    order = np.argsort(-np.abs(numbers), kind="stable")
    table = pd.DataFrame({column: numbers[order]}, index=genes[order])
    return GeneRanking(list(genes[order]), method, table)


def _check_settings(method: str, seed: int, classifier: object, target: str | None, reference: bool) -> None:
    if method not in METHODS:
        raise ParameterError(f"There is no method '{method}'.{did_you_mean(method, METHODS)} Choose: {some(METHODS)}.")
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise ParameterError(f"seed must be a whole number and not negative, got {seed!r}.")
    if method == "score" and (classifier is None or target is None):
        raise ParameterError("method='score' needs classifier= and target=: whose answers, for which cluster.")
    if method != "score" and (classifier is not None or target is not None):
        raise ParameterError(f"method='{method}' asks no classifier: leave out classifier= and target=.")
    if reference and method not in TESTS:
        raise ParameterError(f"reference=True is about {' and '.join(TESTS)}; method='{method}' has no other form.")


def _check_phenotype(method: str, phenotype: Phenotype | None) -> None:
    if method == "phenotype" and (phenotype is None or not len(phenotype)):
        raise ParameterError(
            "method='phenotype' needs phenotype=: a column of obs, a list of genes, or a number for each gene."
        )
    if method != "phenotype" and phenotype is not None:
        raise ParameterError(f"method='{method}' looks at no phenotype: leave out phenotype=, or use 'phenotype'.")
