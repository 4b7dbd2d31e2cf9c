"""Published numbers beside ours, one row each: whatever a table of numbers asks for and the figures have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path

import pandas as pd

from adverscarial.errors import DataError, some
from adverscarial.reproduce.protocol import Execution, Setting
from adverscarial.reproduce.published_descents import descents

#: what a number is about, in the order of the table's columns
KEYS = ("dataset", "classifier", "cluster", "attack", "modification", "alpha", "epsilon", "metric")
_ABERRANT = ("positive_aberrant", "negative_aberrant")
#: halves of the data and the undivided data, as the table of published numbers calls them
TEST, TRAIN, WHOLE = "PBMC3k_test", "PBMC3k_train", "PBMC3k_undivided"
#: how a count of genes that lead to one label is called, before the label
_TO = "n_genes_to:"
Key = tuple[str, ...]


def read_numbers(path: str | PathLike[str]) -> pd.DataFrame:
    """Read a table of published numbers: CSV with the columns of :data:`KEYS` and ``value``, as text.

    Raises
    ------
    DataError
        If there is no such file, or columns are missing.
    """
    try:
        table = pd.read_csv(Path(path), dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise DataError(f"'{path}' cannot be read as a CSV table ({type(error).__name__}: {error}).") from error
    if lacking := [name for name in (*KEYS, "value") if name not in table]:
        raise DataError(f"'{path}' lacks the column(s) {some(lacking)}; it needs {some((*KEYS, 'value'), 10)}.")
    return table


def beside_published(
    published: pd.DataFrame, tables: Mapping[str, Mapping[str, pd.DataFrame]], setting: Setting, how: Execution
) -> pd.DataFrame:
    """Return one row per published number that there is one of here.

    Parameters
    ----------
    published
        Of :func:`read_numbers`.
    tables
        Tables of the figures, by the figure's name and their own.
    setting
        Cells and classifiers.
    how
        Seed, progress, and who is told.

    Returns
    -------
    DataFrame with the columns of :data:`KEYS`, ``published``, ``here``, and ``ratio`` (here over published).
    """
    ours = dict(_ours(tables, setting))
    wanted = published[[*KEYS, "value"]].drop_duplicates()
    ours |= dict(descents(wanted, setting, how))
    rows = []
    for *key, value in wanted.itertuples(index=False):
        number, here = _number(value), ours.get(tuple(key))
        if here is None and key[-1].startswith(_TO) and (*key[:-1], "n_success_genes") in ours:
            here = 0.0  # that cluster was attacked in this way, and no gene leads to this label
        if number is not None and here is not None:
            rows.append((*key, value, here, here / number if number else float("nan")))
    return pd.DataFrame(rows, columns=[*KEYS, "published", "here", "ratio"])


def _number(text: str) -> float | None:
    """Return the number in a text such as "about 200000", "> 1500" or "7"; None where there is none, or several."""
    try:
        return float(text.replace("about", "").replace(">", "").strip())
    except ValueError:
        return None


def _ours(tables: Mapping[str, Mapping[str, pd.DataFrame]], setting: Setting) -> Iterator[tuple[Key, float]]:
    """Yield our numbers by what they are about."""
    yield from _of_cells(setting)
    yield from _of_sctype(tables["sctype"]["counts"], tables["sctype"]["single_genes"], setting.test.n_vars)
    yield from _of_survey(tables["fig2"]["attacks"])
    yield from _of_sweep(tables["fig4"]["sweep"])
    yield from _of_table1(tables["table1"]["attacks"], setting.test.n_vars)


def _of_cells(setting: Setting) -> Iterator[tuple[Key, float]]:
    for name, cells in ((TEST, setting.test), (TRAIN, setting.train)):
        yield (name, "", "", "", "", "", "", "n_cells"), cells.n_obs
        yield (name, "", "", "", "", "", "", "n_genes"), cells.n_vars
        for cluster, n in cells.obs[setting.groupby].astype(str).value_counts().items():
            yield (name, "", str(cluster), "", "", "", "", "n_cells"), int(n)


def _of_sctype(counts: pd.DataFrame, genes: pd.DataFrame, n_genes: int) -> Iterator[tuple[Key, float]]:
    """Yield the numbers of scType on undivided data: genes, signatures, new labels, means, and their correlation."""
    for row in counts.itertuples():
        about = (WHOLE, "scType", str(row.cluster))
        yield (*about, "single-gene", row.modification, "", "", "n_success_genes"), int(row.single_genes)
        yield (*about, "max-change", row.modification, "", "", "signature_length"), int(row.signature)
        yield (*about, "max-change", row.modification, "", "", "n_modifiable_genes"), n_genes - int(row.signature)
    here = genes[genes["status"] != "not found here"]
    for (cluster, modification, label), n in here.groupby(["cluster", "modification", "label"]).size().items():
        yield (WHOLE, "scType", cluster, "single-gene", modification, "", "", f"{_TO}{label}"), int(n)
    many = f"all {counts['cluster'].nunique()} types"
    for modification, mean in counts.groupby("modification")["single_genes"].mean().items():
        yield (WHOLE, "scType", many, "single-gene", str(modification), "", "", "mean_n_success_genes"), float(mean)
    rho = counts["signature"].astype(float).corr(counts["single_genes"].astype(float), method="spearman")
    yield (WHOLE, "scType", "all", "both", "", "", "", "spearman_rho(signature length, n single-gene)"), float(rho)


def _of_survey(attacks: pd.DataFrame) -> Iterator[tuple[Key, float]]:
    """Yield flips and signatures of every cluster, and the sums over clusters that the paper's text has."""
    done = attacks[attacks["complete"].astype(bool)]
    single, most = done[done["attack"] == "SingleGene"], done[done["attack"] == "MaxChange"]
    for row in single.itertuples():
        about = (TEST, row.classifier, row.cluster, "single-gene", row.modification, "", "")
        yield (*about, "n_success_genes"), int(row.flipped)
    for row in most.itertuples():
        about = (TEST, row.classifier, row.cluster, "max-change", row.modification, "", "")
        yield (*about, "signature_length"), int(row.signature)
        yield (*about, "n_modifiable_genes"), int(row.modifiable)
    many = f"all {attacks['cluster'].nunique()} types"
    sums = single.groupby(["classifier", "modification"])["flipped"].sum()
    for name in single["classifier"].unique():
        mine = sums[name]
        summed = {"all five": mine.sum(), "aberrant +/-": mine.reindex(_ABERRANT).sum(), **mine.to_dict()}
        for modifications, n in summed.items():
            whole = (TEST, name, many, "single-gene", str(modifications), "", "")
            yield (*whole, "n_success_genes_total"), int(n)


def _of_sweep(sweep: pd.DataFrame) -> Iterator[tuple[Key, float]]:
    for row in sweep[sweep["kind"] == "both"].itertuples():
        about = (TEST, row.classifier, row.cluster, "CGD", "", f"{row.alpha:g}", f"{row.epsilon:g}")
        yield (*about, "n_tested_genes"), int(row.tested)
        yield (*about, "n_modified_genes"), int(row.modified)


#: an attack of Table 1, as its table calls it -> attack, modification, alpha = epsilon
_TABLE1 = {
    "single genes, perc1": ("single-gene", "perc1", "", "n_success_genes"),
    "max-change decile+5, as published, groups from 1,000 genes": ("max-change", "decile+5", "", "signature_length"),
    "max-change perc99, as published, groups from 50 genes": ("max-change", "perc99", "", "signature_length"),
    "CGD, alpha = epsilon = 0.5": ("CGD", "", "0.5", "n_modified_genes"),
    "CGD, alpha = epsilon = 10": ("CGD", "", "10", "n_modified_genes"),
}


def _of_table1(attacks: pd.DataFrame, n_genes: int) -> Iterator[tuple[Key, float]]:
    """Yield the numbers of Table 1; they take the place of the survey's, which are of maximal sets."""
    for row in attacks[attacks["attack"].isin(_TABLE1)].itertuples():
        attack, modification, step, metric = _TABLE1[row.attack]
        about = (TEST, row.classifier, row.cluster, attack, modification, step, step)
        yield (*about, metric), int(row.genes)
        yield (*about, "n_cells"), int(row.cells)
        yield (*about, "run_time"), float(row.seconds)
        if attack == "max-change":
            yield (*about, "n_modifiable_genes"), n_genes - int(row.genes)
