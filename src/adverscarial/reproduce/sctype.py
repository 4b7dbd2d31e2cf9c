"""scType on undivided data: the published gene sets beside an exhaustive search, and what the published one missed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import TypeVar, Unpack

import pandas as pd
from anndata import AnnData

from adverscarial._docs import documented
from adverscarial.attacks import Attack, MaxChange, Result, SingleGene, SingleGeneResult
from adverscarial.cells.cluster import cluster_labels, cluster_names
from adverscarial.classifiers import ScType
from adverscarial.classifiers.prediction import predict
from adverscarial.errors import DataError, some
from adverscarial.modifications.base import parse
from adverscarial.reproduce import findings, resistance
from adverscarial.reproduce.cells import prepared
from adverscarial.reproduce.facts import beside, facts
from adverscarial.reproduce.findings import FIVE, MISSED, OPEN, Finding
from adverscarial.reproduce.protocol import Executed, Execution, Markers, usual_tissue
from adverscarial.reproduce.writing import Outcome
from adverscarial.surveys import Survey, survey
from adverscarial.surveys.plan import Task

R = TypeVar("R", bound=Result)

_CLUSTER = "sctype_cluster"
_PUBLISHED_SHAPE = (2_700, 13_714)  # the undivided PBMC3k
#: modifications as the published runs made them, that is as the R code does
AS_PUBLISHED = {name: name if name.startswith("perc") else f"{name}:reference" for name in FIVE}
#: cluster -> modification -> gene -> label it leads to
Published = dict[str, dict[str, dict[str, str]]]


@documented
def sctype(  # noqa: PLR0913
    adata: AnnData,
    *,
    groupby: str,
    name: str,
    markers: Markers = None,
    tissue: str | None = None,
    clusters: pd.Series | None = None,
    published: Published | None = None,
    out: str | PathLike[str] | None = None,
    restarts: int = 10,
    n_jobs: int = 1,
    **execution: Unpack[Executed],
) -> Outcome:
    """Attack scType's own clusters in every way the paper did, and compare with what was published.

    Parameters
    ----------
    adata
        All cells x genes, nothing filtered; counts or log-normalised values.
    groupby, name
        Column of ``obs`` with clusters; what the data set is called. Clusters that scType gives one label are one.
    markers, tissue
        For scType, as in :func:`~adverscarial.reproduce.setting`.
    clusters
        Cluster of each cell, by the cell's name, already called by scType's labels: used instead of `groupby`.
    published
        Published single-gene attacks, of :func:`read_published`; numbers alone are compared when left out.
    out
        Folder that keeps each attack's result, so that an interrupted run goes on.
    restarts
        Random orders of the max-change attack.
    n_jobs
        Processes; -1 for all cores.
    %(execution)s

    Raises
    ------
    DataError
        If fewer than two clusters are left.
    """
    model = ScType(markers, tissue=usual_tissue(markers) if tissue is None else tissue)
    cells, notes = _named_cells(adata, groupby, clusters, model)
    found = _surveyed(cells, model, out, restarts, n_jobs, Execution(**execution))
    counts = count(found)
    attacked, by_bisect = single_genes(found, published), bisect_missed(found)
    notes += [
        f"{len(found.tasks)} attacks took {found.seconds:,.0f} s. Single genes: every gene alone. Signatures: maximal, "
        f"the shortest of {restarts} random orders.",
        f"The paper's bisection, run here, misses {len(by_bisect):,} of the {int(counts['single_genes'].sum()):,} "
        "attacks that testing every gene finds (missed_by_bisect.csv).",
    ]
    tables = {"counts": counts, "single_genes": attacked, "missed_by_bisect": by_bisect}
    if published is not None:
        tables["missed_by_the_published_search"] = attacked[attacked["status"] == MISSED].drop(columns="status")
    return Outcome(
        title=f"scType on {name}, undivided: the published gene sets",
        tables=tables,
        beside=beside(_totals(counts)),
        findings=_judge(found, counts, attacked, published, cells),
        figures={},
        notes=notes,
        shown=[table for table in ("counts", "missed_by_the_published_search") if table in tables],
    )


def _surveyed(
    cells: AnnData, model: ScType, out: str | PathLike[str] | None, restarts: int, n_jobs: int, how: Execution
) -> Survey:
    """Attack every cluster in every way."""
    how.say(f"Attacking {cells.obs[_CLUSTER].nunique()} clusters, {2 * len(FIVE)} attacks each ...")
    attacks: list[Attack[Result]] = [SingleGene(text, search="both") for text in AS_PUBLISHED.values()]
    attacks += [MaxChange(text, restarts=restarts) for text in AS_PUBLISHED.values()]
    return survey(
        cells, {"scType": model}, attacks=attacks, groupby=_CLUSTER, seed=how.seed, n_jobs=n_jobs,
        out=None if out is None else Path(out) / "runs", progress=how.progress,
    )  # fmt: skip


def _named_cells(adata: AnnData, groupby: str, clusters: pd.Series | None, model: ScType) -> tuple[AnnData, list[str]]:
    """Return the prepared cells, with scType's name of each one's cluster, and notes."""
    if clusters is None:
        cells, notes = prepared(adata, groupby)
        cells.obs[_CLUSTER] = _called(cells, groupby, model)
        notes.append(f"Clusters: those of '{groupby}', each called by scType's label; those of one label are one.")
        return cells, notes
    adata = adata.copy()
    adata.obs[_CLUSTER] = clusters.reindex(adata.obs_names)
    if adata.obs[_CLUSTER].isna().all():
        raise DataError(
            f"None of the {len(clusters):,} cells with a cluster ({some(clusters.index, 2)}) is among the data's "
            f"({some(adata.obs_names, 2)}). Give the clusters of these cells."
        )
    return prepared(adata, _CLUSTER)


def read_published(path: str | PathLike[str]) -> Published:
    """Read published single-gene attacks: JSON, ``{cluster: {modification: {"single_gene": {gene: label}}}}``.

    Raises
    ------
    DataError
        If there is no such file, or it is something else.
    """
    try:
        content = json.loads(Path(path).read_text())
        return {
            str(cluster): {
                str(modification): {str(gene): str(label) for gene, label in found["single_gene"].items()}
                for modification, found in by_modification.items()
            }
            for cluster, by_modification in content.items()
        }
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise DataError(
            f"'{path}' cannot be read as published attacks ({type(error).__name__}: {error}). Expected JSON: "
            '{cluster: {modification: {"single_gene": {gene: new label}}}}.'
        ) from error


def _called(cells: AnnData, groupby: str, model: ScType) -> pd.Categorical:
    """Return for each cell what scType calls its cluster."""
    labels = cluster_labels(cells, groupby)
    called = {name: predict(cells, model, groupby=groupby, target=name).label for name in cluster_names(labels)}
    return pd.Categorical([called[label] for label in labels])


def _named(found: Iterable[tuple[Task, R]]) -> list[tuple[str, str, R]]:
    """Return cluster, published name of the modification, and result of each attack."""
    name_of = {str(parse(text)): name for name, text in AS_PUBLISHED.items()}
    return [(task.target, name_of[result.attack.changes_text], result) for task, result in found]


def count(found: Survey) -> pd.DataFrame:
    """Return one row per cluster and modification: flipping genes and signature, here and published ("" if not)."""
    rows: dict[tuple[str, str], dict[str, object]] = {}
    names = {"flipped": "single_genes", "signature": "signature"}
    done = ((task, one) for task, one in zip(found.tasks, found.results, strict=True) if one is not None)
    for cluster, modification, result in _named(done):
        row = rows.setdefault((cluster, modification), {"cluster": cluster, "modification": modification})
        row |= {names[column]: value for column, value in result.row().items() if column in names}
    known = facts()["value"]
    for (cluster, modification), row in rows.items():
        for kind in ("single", "max"):
            value = known.get(f"sctype.{kind}.{cluster}.{modification}")
            row[f"published_{'single_genes' if kind == 'single' else 'signature'}"] = (
                None if value is None else int(value)
            )
    columns = ["cluster", "modification", "single_genes", "published_single_genes", "signature", "published_signature"]
    return pd.DataFrame(rows.values(), columns=columns).astype({name: "Int64" for name in columns[2:]})


def single_genes(found: Survey, published: Published | None) -> pd.DataFrame:
    """Return one row per flipping gene: ``cluster, modification, gene, label, status``.

    Statuses: ``published`` (with the same new label), ``published with another label``, ``missed by the published
    search``, ``not found here``; empty for clusters of which nothing was published.
    """
    rows: list[tuple[str, str, str, str, str]] = []
    for cluster, modification, result in _named(found.of(SingleGeneResult)):
        hits = result.to_frame().query("outcome == 'flipped'")
        here = dict(zip(hits["gene"], hits["label"], strict=True))
        wanted = None if published is None else published.get(cluster, {}).get(modification)
        for gene, label in here.items():
            if wanted is None:
                status = ""
            elif gene not in wanted:
                status = MISSED
            else:
                status = "published" if wanted[gene] == label else f"published with another label, {wanted[gene]}"
            rows.append((cluster, modification, gene, label, status))
        rows += [
            (cluster, modification, g, label, "not found here") for g, label in (wanted or {}).items() if g not in here
        ]
    return pd.DataFrame(rows, columns=["cluster", "modification", "gene", "label", "status"])


def bisect_missed(found: Survey) -> pd.DataFrame:
    """Return the flipping genes that the paper's bisection, run here, misses: ``cluster, modification, gene``."""
    rows = [
        (cluster, modification, gene)
        for cluster, modification, result in _named(found.of(SingleGeneResult))
        for gene in result.missed_by_bisect or ()
    ]
    return pd.DataFrame(rows, columns=["cluster", "modification", "gene"])


def _totals(counts: pd.DataFrame) -> list[tuple[str, str, object]]:
    """Return the mean numbers per cluster beside those of section 3.2."""
    rho = float(counts["signature"].astype(float).corr(counts["single_genes"].astype(float), method="spearman"))
    return [("rank correlation of signature and single genes", "sctype.rho", rho)]


def _judge(
    found: Survey, counts: pd.DataFrame, attacked: pd.DataFrame, published: Published | None, cells: AnnData
) -> list[Finding]:
    frame = found.to_frame()
    name_of = {str(parse(text)): name for name, text in AS_PUBLISHED.items()}
    frame["modification"] = frame["modification"].map(name_of)
    same = cells.shape == _PUBLISHED_SHAPE and bool(counts["published_single_genes"].notna().all())
    rho = float(counts["signature"].astype(float).corr(counts["single_genes"].astype(float), method="spearman"))
    judged = [] if published is None else [findings.every_published(attacked)]
    if same:
        judged += [findings.no_fewer(counts), findings.no_longer(counts)]
    else:
        why = f"The published counts are of eight clusters of PBMC3k; these {counts['cluster'].nunique()} are others."
        judged.append(Finding("The published numbers of genes come out", OPEN, why))
    return [
        *judged,
        findings.order_of_impact(frame, "flipped"),
        findings.order_of_impact(frame, "signature"),
        findings.correlated(rho),
        resistance.most_resistant(counts),
        resistance.means_as_published(counts, same),
    ]
