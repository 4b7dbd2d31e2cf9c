"""rank_genes over all pairs of clusters, against scanpy's rank_genes_groups called pair by pair."""

from __future__ import annotations

import warnings

import anndata
import numpy as np
import scanpy as sc
import scipy.stats

import adverscarial as adv
from common import QUICK, clock, median_seconds, pbmc3k, save, show

PAIRS = 4 if QUICK else 9  # of 36, every fourth: the rest is extrapolated
CHECKED = 200  # genes whose ties are counted by scipy


def theirs(cells: anndata.AnnData, pairs: list[tuple[str, str]], method: str) -> list[np.ndarray]:
    """Return scanpy's scores and p-values of each pair, shape (2, genes), genes in the data's order."""
    out = []
    for a, b in pairs:
        sc.tl.rank_genes_groups(
            cells, "cell_type", groups=[a], reference=b, method=method, tie_correct=method == "wilcoxon"
        )
        found = sc.get.rank_genes_groups_df(cells, a).set_index("names").loc[cells.var_names]
        out.append(found[["scores", "pvals"]].to_numpy().T)
    return out


def agrees(cells: anndata.AnnData, pair: tuple[str, str], method: str, p: np.ndarray, found: np.ndarray) -> bool:
    """Return whether our p-values follow from scanpy's scores by what the two definitions say.

    Welch's test is one and the same. The rank sum is brought half a rank nearer to its mean here (R's continuity
    correction), which scanpy does not do; so z is smaller by half the deviation of the rank sum, which ties determine.
    Scanpy keeps scores in float32.
    """
    if method == "t-test":
        return bool(np.allclose(p, found[1], rtol=1e-3, atol=1e-300))
    genes = np.random.default_rng(0).choice(cells.n_vars, CHECKED, replace=False)
    groups = [cells.layers["lognorm"][(cells.obs["cell_type"] == name).to_numpy()][:, genes].toarray() for name in pair]
    n, m = map(len, groups)
    ties = np.array([scipy.stats.tiecorrect(ranks) for ranks in scipy.stats.rankdata(np.vstack(groups), axis=0).T])
    spread = np.sqrt(n * m * (n + m + 1) / 12 * ties)
    known = spread > 0
    z = np.maximum(np.abs(found[0][genes][known]) - 0.5 / spread[known], 0)
    return bool(np.allclose(p[genes][known], 2 * scipy.stats.norm.sf(z), rtol=1e-3, atol=1e-300)) and bool(
        (p[genes][~known] == 1).all()
    )


def main() -> None:
    warnings.filterwarnings("ignore")
    cells = pbmc3k().copy()
    cells.X = cells.layers["lognorm"]
    rows = []
    for method in ("wilcoxon", "t-test"):
        ranking = adv.rank_genes(cells, "cell_type", method=method)
        pairs = ranking.pairs[:: len(ranking.pairs) // PAIRS]
        ours = median_seconds(lambda method=method: adv.rank_genes(cells, "cell_type", method=method), repeats=3)
        theirs(cells, pairs[:1], method)  # what it compiles or loads
        start = clock()
        found = theirs(cells, pairs, method)
        reference = (clock() - start) * len(ranking.pairs) / len(pairs)
        table = ranking.table.loc[cells.var_names]
        p = [table[f"{a} vs {b}"].to_numpy() for a, b in pairs]
        assert all(agrees(cells, *case) for case in zip(pairs, [method] * len(pairs), p, found, strict=True))
        same_order = [scipy.stats.spearmanr(one, other[1]).statistic for one, other in zip(p, found, strict=True)]
        rows.append(
            {
                "test": method,
                "cells x genes": f"{cells.n_obs:,} x {cells.n_vars:,}",
                "pairs": len(ranking.pairs),
                "pairs by scanpy": len(pairs),
                "order, least rank correlation": f"{min(same_order):.5f}",
                "scanpy, s": f"{reference:.1f}",
                "ours, s": f"{ours:.2f}",
                "ratio": f"{reference / ours:.1f}",
            }
        )
        print(rows[-1], flush=True)
    print(show(rows))
    save("rank_genes", rows)


if __name__ == "__main__":
    main()
