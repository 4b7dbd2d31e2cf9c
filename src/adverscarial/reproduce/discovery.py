"""Section 4: what attacks find in several data sets that statistics do not, and how much of it is the same."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import pandas as pd
from anndata import AnnData

from adverscarial._docs import documented
from adverscarial.attacks import Attack, ClusterGradientDescent, MaxChange, Result, SingleGene
from adverscarial.cells.cluster import cluster_labels
from adverscarial.cells.matrix import CellMatrix, layer_of
from adverscarial.evaluation import Discovery, discover
from adverscarial.evaluation.expression import expression_tests
from adverscarial.reproduce import genes
from adverscarial.reproduce.descents import GENES, ranked
from adverscarial.reproduce.fig2 import joined
from adverscarial.reproduce.findings import MEDIUM
from adverscarial.reproduce.protocol import Executed, Execution, Setting
from adverscarial.reproduce.writing import Outcome, figure_of
from adverscarial.surveys import Survey, survey

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LISTED = 20  # genes of the README's table
_LAYER = "lognorm"
_ALPHA = 0.05


@documented
def discovery(
    settings: Setting | Sequence[Setting], *, out: str | PathLike[str] | None = None, restarts: int = 1,
    quick: bool = False, n_jobs: int = 1, **execution: Unpack[Executed],
) -> Outcome:  # fmt: skip
    """Attack every cluster at values that cells have, and list the genes that decide labels beside their statistics.

    Parameters
    ----------
    settings
        Cells and classifiers of one data set or several, of :func:`~adverscarial.reproduce.setting`.
    out
        Folder that keeps each attack's result, so that an interrupted run goes on.
    restarts
        Random orders of each max-change attack; the shortest signature counts.
    quick
        The 1st percentile alone, and 50 genes of the gradient descents.
    n_jobs
        Processes; -1 for all cores.
    %(execution)s

    Returns
    -------
    Tables, findings and a figure: see :class:`~adverscarial.reproduce.Outcome`.
    """
    chosen = [settings] if isinstance(settings, Setting) else list(settings)
    how = Execution(**execution)
    surveys, cells = {}, {}
    for one in chosen:
        folder = None if out is None else Path(out) / "runs" / one.name
        surveys[one.name], cells[one.name] = _attacked(one, folder, restarts, quick, n_jobs, how), one.test
    how.say("Comparing with differential expression ...")
    found = discover(surveys, cells, layer=_LAYER)
    names = ", ".join(surveys)
    return Outcome(
        title=f"Discovery on {names}: what attacks find and statistics do not",
        tables={
            "summary": found.summary(),
            "overlap": overlap_summary(found),
            "missed": found.missed.drop_duplicates(["attack", "gene"]).head(_LISTED)[
                ["attack", "gene", "clusters", "classifiers", "datasets", "p_adjusted"]
            ],
        },
        beside=pd.DataFrame(columns=["what", "here", "paper", "dataset", "where"]),
        findings=[genes.attacks_find_more(found), genes.examples_differ(_p_of_examples(chosen))],
        figures=_figures(found, names),
        notes=_notes(chosen),
        shown=["summary", "overlap", "missed"],
    )


def _attacked(one: Setting, folder: Path | None, restarts: int, quick: bool, n_jobs: int, how: Execution) -> Survey:
    """Return single genes, signatures and descents of every classifier and cluster of one data set."""
    order = ranked(one, how)[: 50 if quick else GENES]
    surveys = []
    for name, model in one.models.items():
        changes = ["perc1"] if quick else MEDIUM
        attacks: list[Attack[Result]] = [SingleGene(change, search="exact") for change in changes]
        attacks += [MaxChange(change, restarts=restarts) for change in changes]
        attacks += [ClusterGradientDescent(1, 1, genes=order)] if model.gives_scores else []
        how.say(f"{one.name}: attacking {name}: {len(one.clusters)} clusters, {len(attacks)} attacks each ...")
        surveys.append(
            survey(
                one.test, {name: model}, attacks=attacks, groupby=one.groupby, layer=one.layers[name], seed=how.seed,
                n_jobs=n_jobs, out=None if folder is None else folder / name, progress=how.progress,
            )
        )  # fmt: skip
    return joined(surveys)


def overlap_summary(found: Discovery) -> pd.DataFrame:
    """Return one row per kind of pair: ``across, attack, pairs, jaccard`` (the median), ``alike`` (q below 5%)."""
    grouped = found.overlaps.assign(alike=found.overlaps["q_value"] < _ALPHA).groupby(["across", "attack"], sort=True)
    return grouped.agg(pairs=("jaccard", "size"), jaccard=("jaccard", "median"), alike=("alike", "sum")).reset_index()


def _p_of_examples(settings: Sequence[Setting]) -> dict[tuple[str, str, str], float]:
    """Return the adjusted p-values of the paper's examples, of the first data set that has them all."""
    wanted = [one for one in genes.EXAMPLES if one.against]
    for setting in settings:
        data = setting.test
        if {name for one in wanted for name in (one.cluster, one.against)} <= set(setting.clusters) and {
            one.gene for one in wanted
        } <= set(data.var_names):
            return {(one.gene, one.cluster, one.against): _p(data, setting.groupby, one) for one in wanted}
    return {}


def _p(data: AnnData, groupby: str, one: genes.Example) -> float:
    labels, matrix = cluster_labels(data, groupby), CellMatrix(layer_of(data, _LAYER))
    return float(expression_tests(matrix, data, labels, one.cluster, one.against).loc[one.gene, "p_adjusted"])


def _figures(found: Discovery, names: str) -> dict[str, tuple[Figure, str]]:
    from adverscarial import pl

    if not len(found.summary()):
        return {}
    caption = f"Genes that attacks single out on {names}, those that statistics miss in orange; what sets share"
    return {"discovery": (figure_of(pl.discovery(found)[0]), caption)}


def _notes(settings: Sequence[Setting]) -> list[str]:
    notes = [f"{one.name}: {note}" for one in settings for note in one.all_notes()]
    return [
        *notes,
        "Single genes and signatures by the 1st and 99th percentile and decile+5; gradient descents with alpha = "
        "epsilon = 1 through the first 500 genes of the ranking, where the label switched. Statistics: Wilcoxon's "
        "rank-sum test on log-normalised values of the attacked half, between the cluster and the type it becomes (all "
        "other cells for signatures and for labels that no cluster has), adjusted over all genes.",
        "jaccard: the median over pairs. alike: pairs that share more genes than by chance, hypergeometric, FDR 5% "
        "over all pairs. Across data sets: unions over clusters, names of genes in capitals.",
        "missed: the first genes by data sets, classifiers and clusters in which they were singled out. Cells count "
        "as independent, so p-values are rather too small.",
    ]
