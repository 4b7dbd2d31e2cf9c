"""A survey written into an AnnData: per classifier, what each cluster's cells and each gene were found to be."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial.attacks.annotating import cell_columns, gene_columns, spread, write
from adverscarial.attacks.judge import Judge
from adverscarial.attacks.outcome import Outcome
from adverscarial.attacks.result import Result
from adverscarial.cells.cluster import Cluster
from adverscarial.surveys.plan import data_identity

if TYPE_CHECKING:
    from adverscarial.surveys.table import Survey

logger = logging.getLogger(__name__)

#: columns of the verdicts that are written for each cell, by the name of the column
_VERDICTS = {"verdict": "verdict", "flipping_genes": "flipping", "genes_needed": "fewest"}
_HELD = ("fragility_lower", "fragility_upper")


def annotate(
    survey: Survey, adata: AnnData, out: AnnData, verdicts: pd.DataFrame, models: Mapping[str, object], key: str
) -> None:
    """Write a survey to ``obs``, ``var`` and ``uns``.

    Parameters
    ----------
    survey, verdicts
        The survey, and its verdicts, one row per classifier and cluster.
    adata, out
        The cells that were attacked, and what holds them, to which columns are added: itself, or what has it as raw.
    models
        Classifiers to ask about each cell, by their names in the survey.
    key
        Start of the names.
    """
    groupby, layer = survey.plan["data"]["groupby"], survey.plan["data"]["layer"]
    if data_identity(adata, groupby, layer) != survey.plan["data"]["fingerprint"]:
        logger.warning(
            "These are not exactly the data that were attacked: values, names, their order or clusters differ. What is "
            "written holds for the data that were attacked."
        )
    clusters = {
        name: Cluster(adata, groupby, name, layer=layer, seed=survey.plan["seed"]) for name in survey.plan["clusters"]
    }
    genes = next(iter(clusters.values())).genes
    obs: dict[str, pd.Categorical | np.ndarray] = {}
    var: dict[str, pd.Categorical | np.ndarray] = {}
    for classifier in survey.plan["classifiers"]:
        start, own = classifier.replace("/", "_"), verdicts[verdicts["classifier"] == classifier]
        cells = _of_cells(survey, classifier, clusters, adata, models.get(classifier))
        for name, column in _VERDICTS.items():
            for target, value in zip(own["cluster"], own[column], strict=True):
                if not pd.isna(value):
                    cells.setdefault(name, []).append((clusters[target], np.full(clusters[target].n_cells, value)))
        obs |= {f"{start}_{name}": _joined(parts, adata.n_obs) for name, parts in cells.items()}
        found = _of_genes([result for task, result in _results(survey) if task == classifier])
        if found is not None:
            var |= {f"{start}_{name}": column for name, column in gene_columns(found, genes).items()}
    write(out, key, obs, var, _plan_and_table(survey), raw="use_raw" in survey.source)


def _results(survey: Survey) -> list[tuple[str, Result]]:
    pairs = zip(survey.tasks, survey.results, strict=True)
    return [(task.classifier, result) for task, result in pairs if result is not None]


Parts = dict[str, list[tuple[Cluster, np.ndarray]]]


def _of_cells(survey: Survey, classifier: str, clusters: Mapping[str, Cluster], adata: AnnData, model: object) -> Parts:
    """Return for each column the clusters that have it, with the values of their cells."""
    parts: Parts = {}
    for target, cluster in clusters.items():
        own = [result for name, result in _results(survey) if name == classifier and result.target == target]
        if not own:
            continue
        strongest = min(own, key=_strength)
        judge = None if model is None else Judge(adata, model, strongest)
        found = cell_columns(strongest, cluster.cells, judge)
        if judge is None:  # else the strongest attack tells; labels that only some attacks keep would be mixed
            found = {name: values for name, values in found.items() if name not in ("before", "after")}
        for result in own:
            held = cell_columns(result, cluster.cells, None)
            for name in _HELD:
                if name in held:
                    known = found.get(name, held[name]) if result is not strongest else held[name]
                    found[name] = np.fmin(known, held[name])
        for name, values in found.items():
            parts.setdefault(name, []).append((cluster, values))
    return parts


def _strength(result: Result) -> tuple[bool, bool, float, float]:
    """Return what sorts attacks: those that flip first, with possible values first, then by genes and share."""
    needed = result.genes_needed
    return needed is None, result.attack.impossible, float(needed or 0), -result.share


def _joined(parts: Sequence[tuple[Cluster, np.ndarray]], length: int) -> pd.Categorical | np.ndarray:
    rows = np.concatenate([cluster.rows for cluster, _ in parts])
    return spread(np.concatenate([values for _, values in parts]), rows, length)


def _of_genes(results: Sequence[Result]) -> pd.DataFrame | None:
    """Return over all clusters and modifications: the strongest outcome, clusters flipped, the nearest distance."""
    tables = [(result.target, result.of_genes()) for result in results]
    tables = [(target, table) for target, table in tables if "distance" in table]  # each gene was changed alone
    if not tables:
        return None
    told = pd.concat([table.assign(cluster=target, gene=table.index) for target, table in tables], ignore_index=True)
    told["flips"] = told["outcome"] == Outcome.FLIPPED.text
    by_gene = told.groupby("gene", sort=False)
    flipped, held = by_gene["flips"].any(), (told["outcome"] == Outcome.HELD.text).groupby(told["gene"]).any()
    outcome = np.where(flipped, "flipped", np.where(held[flipped.index], "held", "rejected"))
    hit = told[told["flips"]].groupby("gene")["cluster"].nunique().reindex(flipped.index, fill_value=0)
    return pd.DataFrame({"outcome": outcome, "clusters_flipped": hit, "distance": by_gene["distance"].min()})


def _plan_and_table(survey: Survey) -> dict[str, object]:
    """Return what was asked, and the table, in types that every format can hold."""
    plan, table = survey.plan, survey.to_frame()
    for name in table:
        column = table[name]
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            table[name] = column.astype("float64")
        else:
            table[name] = ["" if pd.isna(value) else str(value) for value in column]
    table.index = table.index.astype(str)
    return {
        "groupby": plan["data"]["groupby"], "layer": plan["data"]["layer"] or "X", **survey.source,
        "seed": plan["seed"],
        "fingerprint": plan["data"]["fingerprint"], "classifiers": np.array(list(plan["classifiers"]), dtype=str),
        "clusters": np.array(plan["clusters"], dtype=str),
        "attacks": np.array([json.dumps(attack, sort_keys=True) for attack in plan["attacks"]], dtype=str),
        "versions": dict(plan["versions"]), "table": table,
    }  # fmt: skip
