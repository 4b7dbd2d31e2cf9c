"""What Fig. 3 and Fig. 4 share: which classifiers can be descended, on which cluster, through which genes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal

import pandas as pd

from adverscarial._progress import track
from adverscarial.attacks import ClusterGradientDescent
from adverscarial.attacks.ranking import rank_genes
from adverscarial.errors import ParameterError, did_you_mean, some
from adverscarial.evaluation import sweep
from adverscarial.reproduce.protocol import Execution, Setting

#: the cluster of PBMC3k that the paper's Fig. 4 is about
TARGET = "FCGR3A+ Mono"
#: genes of the ranking that the paper's sweeps go through
GENES = 500


def scored(setting: Setting) -> list[str]:
    """Return the classifiers that give scores, which a gradient descent follows: all but CHETAH."""
    names = [name for name, model in setting.models.items() if model.gives_scores]
    if not names:
        raise ParameterError("None of the classifiers gives scores, and a gradient descent follows scores.")
    return names


def chosen_cluster(setting: Setting, target: str | None) -> str:
    """Return the cluster asked for; else the paper's, where the data have it; else the largest.

    Raises
    ------
    ParameterError
        If there is no such cluster.
    """
    sizes = setting.test.obs[setting.groupby].astype(str).value_counts()
    if target is None:
        return TARGET if TARGET in sizes.index else str(sizes.index[0])
    if target not in sizes.index:
        raise ParameterError(
            f"There is no cluster '{target}'.{did_you_mean(target, setting.clusters)} "
            f"There are: {some(setting.clusters, 20)}."
        )
    return target


def ranked(setting: Setting, how: Execution) -> list[str]:
    """Return the genes in the paper's order: of the cells under attack, by rank sums between clusters."""
    how.say("Ranking the genes ...")
    return list(rank_genes(setting.test, setting.groupby, progress=how.progress))


def swept(
    setting: Setting,
    targets: Sequence[str],
    genes: Sequence[str],
    strengths: Sequence[float],
    kinds: Sequence[Literal["alpha", "epsilon", "both"]],
    how: Execution,
    *,
    names: Sequence[str] | None = None,
    reference: bool = False,
) -> pd.DataFrame:
    """Return the tables of :func:`adverscarial.evaluation.sweep` for each classifier and cluster, below each other.

    Parameters
    ----------
    how
        Seed, progress, and who is told.
    names
        Classifiers; all with scores, when left out.
    reference
        Step as the published runs did, by the R code instead of the paper's equation (4).
    """
    tables = []
    attack = ClusterGradientDescent(genes=genes, reference=reference)
    for name in scored(setting) if names is None else names:
        start = time.perf_counter()
        for target in track(targets, f"Gradient descents · {name}", len(targets), how.progress):
            table = sweep(
                setting.test, setting.models[name], groupby=setting.groupby, target=target, attack=attack,
                strengths=strengths, kinds=kinds, layer=setting.layers[name], seed=how.seed,
            )  # fmt: skip
            tables.append(table.assign(classifier=name))  # the name in the paper
        n = len(targets) * len(strengths) * len(kinds)
        how.say(f"{name}: {n:,} gradient descents in {time.perf_counter() - start:.1f} s")
    return pd.concat(tables, ignore_index=True)
