"""MinChange beside the package's other ways to a set that flips a cluster: same cells, same genes, same new values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import anndata
import numpy as np

import adverscarial as adv
from adverscarial.attacks.cgd import ClusterGradientDescentResult
from adverscarial.cells.cluster import Cluster
from min_change_bars import Row

GRID = 10  # genes of which all combinations are tried
#: steps of CGD that are asked about: the paper's, and small ones, after which many genes have moved
STEPS = ((1.0, 1.0), (0.1, 0.1))


@dataclass(frozen=True, repr=False)
class Moved(adv.modifications.Modification):
    """The values to which CGD has moved each gene in each cell; other genes keep theirs."""

    result: ClusterGradientDescentResult

    def values(self, cluster: Cluster, genes: np.ndarray) -> np.ndarray:
        """Return the new values of genes, by position."""
        new = cluster.values(genes).astype(np.float64)
        moved = np.isin(cluster.genes[genes], self.result.moved)
        new[:, moved] = self.result.changed_values(cluster, genes[moved])
        return new


def judged(name: str, model: adv.classifiers.Classifier, cells: anndata.AnnData, flips: list[Row]) -> Iterator[Row]:
    """Yield a row per cluster and other attack: their fewest genes (`theirs`), and MinChange's on the same question."""
    for case in flips:
        if case["modification"] == "perc99" and case["lower"] != np.inf:
            if 2 <= float(str(case["upper"])) <= GRID - 2:
                yield from _combinations(model, cells, case)
            yield from _steps(model, cells, case)


def _combinations(model: adv.classifiers.Classifier, cells: anndata.AnnData, case: Row) -> Iterator[Row]:
    """Yield Grid's and RandomWalk's rows: on the genes of a small set, and others up to `GRID`."""
    asked = {"groupby": "cell_type", "target": str(case["cluster"])}
    genes = adv.attacks.MinChange("perc99")(cells, model, **asked).genes
    others = [gene for gene in adv.rank_genes(cells, "cell_type") if gene not in genes]
    genes = [*genes, *others[: GRID - len(genes)]]
    ours = adv.attacks.MinChange("perc99", genes=genes)(cells, model, **asked)
    for other in (adv.attacks.Grid, adv.attacks.RandomWalk):
        fewest = other(genes, ["perc99"])(cells, model, **asked).genes_needed
        yield _row(case, other.name, ours, np.inf if fewest is None else fewest)


def _steps(model: adv.classifiers.Classifier, cells: anndata.AnnData, case: Row) -> Iterator[Row]:
    """Yield CGD's rows: it moves gene after gene until the label switches; MinChange may choose among its moves."""
    asked = {"groupby": "cell_type", "target": str(case["cluster"])}
    genes = adv.rank_genes(cells, "cell_type")
    for alpha, epsilon in STEPS:
        theirs = adv.attacks.ClusterGradientDescent(alpha, epsilon, genes=genes)(cells, model, **asked)
        if theirs.success:
            moved = theirs.changed_genes
            ours = adv.attacks.MinChange(Moved(theirs), genes=moved, seconds=60)(cells, model, **asked)
            yield _row(case | {"modification": f"CGD's, {alpha:g}"}, "cgd", ours, len(moved))


def _row(case: Row, question: str, ours: adv.attacks.MinChangeResult, theirs: float) -> Row:
    return case | {
        "question": question, "lower": ours.lower, "upper": np.inf if ours.upper is None else ours.upper,
        "proof": ours.proof, "seconds": 0.0, "theirs": theirs,
    }  # fmt: skip
