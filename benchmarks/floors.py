"""How far each family's exact scan is from its floor: what must be read and computed, at this machine's own rates."""

from __future__ import annotations

import itertools

import anndata
import numpy as np
from numba import njit

import adverscarial as adv
from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers.scorers.linear import LinearScorer
from adverscarial.classifiers.scorers.tree_walks import walk_all
from adverscarial.classifiers.scorers.trees import TreeScorer
from common import four_models, halves, median_seconds, save, show
from single_gene import MODIFICATION, TARGET


def bandwidth(test: anndata.AnnData) -> float:
    """Return bytes per second: numpy sums the matrix under attack."""
    X = np.ascontiguousarray(test.X)
    return float(X.nbytes / median_seconds(X.sum))


def product_rate(rows: int, widths: tuple[int, ...]) -> float:
    """Return operations per second of float64 matrix products of these shapes, one after the other."""
    random = np.random.default_rng(0)
    shapes = list(itertools.pairwise(widths))
    pairs = [(random.standard_normal((rows, a)), random.standard_normal((a, b))) for a, b in shapes]
    outs = [np.empty((rows, b)) for _, b in shapes]

    def products() -> None:
        for _ in range(20):
            for (A, B), out in zip(pairs, outs, strict=True):
                np.matmul(A, B, out=out)

    operations = 20 * 2 * rows * sum(a * b for a, b in shapes)
    return operations / median_seconds(products)


@njit
def nodes_visited(nodes: np.ndarray, roots: np.ndarray, X: np.ndarray, new: np.ndarray) -> tuple[int, int]:
    """Return how many inner nodes lie on the cells' paths, and how many below those where one changed gene turns."""
    on_path, below = 0, 0
    met = np.full(X.shape[1], -1, dtype=np.int64)
    for c in range(len(X)):
        for t in range(len(roots)):
            node = nodes[roots[t]]
            while node.feature >= 0:
                on_path += 1
                gene = node.feature
                left = X[c, gene] <= node.threshold
                if met[gene] != c * len(roots) + t and (new[0, gene] <= node.threshold) != left:
                    met[gene] = c * len(roots) + t
                    other = nodes[node.right if left else node.left]
                    while other.feature >= 0:
                        below += 1
                        x = new[0, gene] if other.feature == gene else X[c, other.feature]
                        other = nodes[other.left if x <= other.threshold else other.right]
                node = nodes[node.left if left else node.right]
    return on_path, below


def forest_floor(model: adv.classifiers.RandomForest, cluster: Cluster) -> tuple[str, float]:
    """Return what a forest must do, and the seconds it takes at the rate of the compiled walk of all trees."""
    trees, tested = model.trees.narrowed
    nodes = trees.nodes
    columns = model.align(cluster.genes)[tested]
    X = np.ascontiguousarray(cluster.values(columns))
    new = MODIFICATION.values(cluster, columns).astype(X.dtype)
    on_path, below = nodes_visited(nodes, trees.roots, X, new)
    rate = on_path / median_seconds(lambda: walk_all(nodes, trees.roots, X))
    what = f"{on_path / 1e6:.1f} M nodes on paths, {below / 1e6:.1f} M below turns, {rate / 1e6:.0f} M/s"
    return what, (on_path + below) / rate


def network_floor(model: adv.classifiers.MLP, cluster: Cluster, genes: np.ndarray) -> tuple[str, float]:
    """Return what a network must do for the cells that its bound does not hold, and the seconds at this BLAS's rate."""
    scorer = model.scorer(cluster)
    changes = MODIFICATION.values(cluster, genes) - cluster.X[:, genes]
    pairs = int((~scorer._unmoved(changes, scorer._row[genes])).sum())
    widths = tuple(W.shape[1] for W, _ in model.layers)
    rate = product_rate(4096, widths)
    each = 2 * widths[0] + 2 * sum(a * b for a, b in itertools.pairwise(widths))
    what = f"{pairs / 1e3:,.0f} k of {changes.size / 1e3:,.0f} k answers not proven, {each / 1e3:.1f} kflop each"
    return f"{what}, {rate / 1e9:.0f} Gflop/s", pairs * each / rate


def linear_floor(scorer: LinearScorer, cluster: Cluster, genes: np.ndarray) -> tuple[str, float]:
    """Return the multiply-adds of one new score per cell, gene and class, and their seconds at this BLAS's rate."""
    classes = scorer._weights.shape[1]
    operations = 2 * cluster.n_cells * len(genes) * classes
    rate = product_rate(4096, (classes, classes))
    return f"{operations / 1e6:,.1f} Mflop, {rate / 1e9:.0f} Gflop/s", operations / rate


def row(family: str, model: adv.classifiers.Classifier, test: anndata.AnnData, rate: float) -> dict[str, object]:
    """Return one row of the table: questions, and the whole attack, each beside its floor."""
    cluster = Cluster(test, "cell_type", TARGET)
    scorer = model.scorer(cluster)
    genes = np.arange(test.n_vars)
    genes = genes[scorer.reads(genes)]
    values = MODIFICATION.values(cluster, genes).astype(cluster.dtype)
    if isinstance(scorer, TreeScorer):
        what, floor = forest_floor(model, cluster)
    elif isinstance(scorer, LinearScorer):
        what, floor = linear_floor(scorer, cluster, genes)
    else:
        what, floor = network_floor(model, cluster, genes)
    questions = median_seconds(lambda: scorer.each(genes, values))
    attack = adv.attacks.SingleGene(MODIFICATION)
    whole = median_seconds(lambda: attack(test, model, groupby="cell_type", target=TARGET))
    read = cluster.X.nbytes + test.n_obs * len(genes) * cluster.dtype.itemsize
    filled = {
        "family": family,
        "what a scan must do": what,
        "floor": f"{1000 * floor:.1f} ms",
        "all queries": f"{1000 * questions:.1f} ms",
        "ratio": f"{questions / floor:.1f}",
        "data to read": f"{read / 1e6:.0f} MB",
        "with it": f"{1000 * (floor + read / rate):.1f} ms",
        "whole attack": f"{1000 * whole:.1f} ms",
        "its ratio": f"{whole / (floor + read / rate):.1f}",
    }
    print(filled, flush=True)
    return filled


def main() -> None:
    train, test = halves()
    rate = bandwidth(test)
    print(f"numpy.sum of float32: {rate / 1e9:.1f} GB/s")
    rows = [row(name, model, test, rate) for name, model in four_models(train).items()]
    print(show(rows))
    save("floors", rows)


if __name__ == "__main__":
    main()
