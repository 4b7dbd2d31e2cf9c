"""Gradient descents whose numbers were published one by one: each made again by the steps of the R code."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from adverscarial.attacks import ClusterGradientDescent
from adverscarial.reproduce.descents import GENES, ranked
from adverscarial.reproduce.protocol import Execution, Setting

_ABOUT = ["dataset", "classifier", "cluster", "attack", "modification", "alpha", "epsilon"]
#: what is read of the path, at its start and at its end -> as the published table calls it
_STANDING = {
    "original_share": "frac_orig", "new_share": "frac_target",
    "original_score": "mean_orig_score", "new_score": "mean_target_score",
}  # fmt: skip


def descents(published: pd.DataFrame, setting: Setting, how: Execution) -> Iterator[tuple[tuple[str, ...], float]]:
    """Make each descent again of which shares or scores were published, and yield its numbers by what they are about.

    Parameters
    ----------
    published
        Columns of :data:`adverscarial.reproduce.numbers.KEYS`, as text.
    setting
        Cells and classifiers.
    how
        Seed, progress, and who is told.
    """
    asked = published[(published["attack"] == "CGD") & published["metric"].str.startswith("frac_")]
    chosen = [
        about
        for about in asked[_ABOUT].drop_duplicates().itertuples(index=False, name=None)
        if about[1] in setting.models and about[2] in setting.clusters
    ]
    if not chosen:
        return
    genes = ranked(setting, how)[:GENES]
    for about in chosen:
        _, name, cluster, _, _, alpha, epsilon = about
        attack = ClusterGradientDescent(float(alpha or 0), float(epsilon or 0), genes=genes, reference=True)
        result = attack(
            setting.test, setting.models[name], groupby=setting.groupby, target=cluster, layer=setting.layers[name],
            seed=how.seed,
        )  # fmt: skip
        path = result.trajectory()
        yield (*about, "cluster_size"), result.n_cells
        yield (*about, "n_modified_genes"), len(result.modified_genes)
        yield (*about, "n_tested_genes"), len(result.tested_genes)
        for column, called in _STANDING.items():
            yield (*about, f"{called}_start"), float(path[column].iloc[0])
            yield (*about, f"{called}_end"), float(path[column].iloc[-1])
