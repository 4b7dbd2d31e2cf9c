"""The package's facts are those of the specification, number by number."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from adverscarial.reproduce.facts import beside, facts, published

_KEYS = ["dataset", "attack", "modification", "alpha", "epsilon"]
_METRICS = {"n_success_genes_total": "n_success_genes", "spearman_rho(signature length, n single-gene)": "spearman_rho"}
_MODIFICATIONS = {
    "perc1 and perc99": "perc1+perc99",
    "aberrant +/-": "positive_aberrant+negative_aberrant",
}


@pytest.fixture(scope="module")
def specified(shared: Path) -> pd.DataFrame:
    table = pd.read_csv(shared / "specs" / "paper_numbers.csv", dtype=str, keep_default_na=False)
    return table.assign(
        metric=table["metric"].replace(_METRICS),
        modification=table["modification"].replace(_MODIFICATIONS),
        classifier=table["classifier"].where(table["metric"] != "spearman_rho", "scType"),
    )


@pytest.mark.parametrize("fact", facts().index)
def test_every_fact_is_in_the_specification(fact: str, specified: pd.DataFrame) -> None:
    row = facts().loc[fact]
    same = (specified["metric"] == row["metric"]) & specified["exp"].isin(
        ["paper_text", "paper_table1", "scType_overview"]
    )
    for key in _KEYS:
        same &= specified[key] == row[key]
    same &= specified["classifier"].map(lambda names: row["classifier"] in names.split("+"))
    if row["cluster"] not in ("all", ""):
        same &= specified["cluster"] == row["cluster"]
    found = specified[same]
    written = found["value"].unique()
    assert len(written) == 1
    number = written[0]
    if ";" in number:  # one for each classifier, in their order
        number = number.split(";")[found["classifier"].iloc[0].split("+").index(row["classifier"])]
    sign = {">": ">", "about": "about ", "=": ""}[row["relation"]]
    assert f"{sign}{row['value']}" == number.strip()


def test_the_counts_of_every_cluster_are_there(shared: Path) -> None:
    counts = pd.read_csv(shared / "specs" / "results_folder_counts.tsv", sep="\t", index_col=["cluster", "attack"])
    kinds = {"single-gene n genes": "single", "max-change signature": "max"}
    for (cluster, attack), row in counts.drop(columns="random").iterrows():
        if attack in kinds:
            for modification, n in row.items():
                assert published(f"sctype.{kinds[attack]}.{cluster}.{modification}") == f"{n:,}"


def test_ids_are_different_and_say_where() -> None:
    table = facts()
    assert table.index.is_unique
    assert (table["where"] != "").all()
    assert set(table["relation"]) == {"=", ">", "about"}


def test_numbers_stand_beside_those_of_the_paper() -> None:
    table = beside([("scType", "fig2.single.scType.aberrant", 1654), ("time", "", 0.123), ("none", "no such", None)])
    assert table["here"].tolist() == ["1,654", "0.12", ""]
    assert table["paper"].tolist() == ["> 1,500", "", ""]
    assert table["dataset"].tolist() == ["PBMC3k", "", ""]


def test_facts_cannot_be_changed_from_outside() -> None:
    mine = facts()
    mine.loc["fig2.single.scRF.all", "value"] = "7"
    assert published("fig2.single.scRF.all") == "0"


def test_no_gene_lists_of_the_paper_in_the_package() -> None:
    """Numbers are facts; the authors' gene lists are theirs."""
    assert not facts()["value"].map(lambda text: bool(re.search(r"[A-Z]{2,}\d", text.replace("CD4", "")))).any()
