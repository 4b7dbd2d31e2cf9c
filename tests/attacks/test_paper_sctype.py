"""scType on PBMC3k: what the paper published, gene by gene (goldens: paper_sctype, with its README)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import adverscarial as adv
from adverscarial.attacks import MaxChange, MaxChangeResult, SingleGene, SingleGeneResult
from adverscarial.classifiers import ScType

pytestmark = pytest.mark.slow  # all clusters of PBMC3k, gene by gene

#: the published name of a modification, and the string that means the same here
EXACT = {"perc1": "perc1", "perc99": "perc99", "decile+5": "decile+5:reference"}
ABERRANT = {name: f"{name}:reference" for name in ("positive_aberrant", "negative_aberrant")}
MODIFICATIONS = EXACT | ABERRANT
#: signature genes over all eight clusters that a maximal search must not exceed
MOST = {"perc1": 20, "perc99": 105, "positive_aberrant": 160, "negative_aberrant": 50}


@pytest.fixture(scope="module")
def published(shared: Path) -> dict[str, Any]:
    return json.loads((shared / "golden" / "paper_sctype" / "attacks.json").read_text())


@pytest.fixture(scope="module")
def counted(shared: Path) -> pd.DataFrame:
    """Published numbers of genes, rows (cluster, attack), columns modifications; all eight clusters."""
    return pd.read_csv(shared / "specs" / "results_folder_counts.tsv", sep="\t", index_col=["cluster", "attack"])


@pytest.fixture(scope="module")
def model(shared: Path) -> ScType:
    return ScType(shared / "data" / "sctype_db.tsv", tissue="Immune system")


@pytest.fixture(scope="module")
def cells(shared: Path) -> AnnData:
    adata = adv.datasets.preprocess(adv.datasets.pbmc3k())
    clusters = pd.read_csv(shared / "golden" / "paper_sctype" / "pbmc3k_clusters.csv", index_col="cell")
    adata.obs["sctype_label"] = clusters["sctype_label"].reindex(adata.obs_names)
    assert adata.obs["sctype_label"].notna().all()
    del adata.layers["counts"], adata.layers["lognorm"]
    return adata


class Surveyed(dict[tuple[str, str, str], Any]):
    """(Kind, published modification, cluster) -> result; the first to ask for an attack makes it on every cluster."""

    def __init__(self, cells: AnnData, model: ScType) -> None:
        super().__init__()
        self.cells, self.model = cells, model

    def __missing__(self, key: tuple[str, str, str]) -> Any:
        kind, name, _ = key
        text = MODIFICATIONS[name]
        attack = SingleGene(text) if kind == "SingleGene" else MaxChange(text, restarts=10)
        found = adv.survey(self.cells, self.model, attacks=attack, groupby="sctype_label")
        assert not found.errors
        for task, result in zip(found.tasks, found.results, strict=True):
            self[kind, name, task.target] = result
        return self[key]


@pytest.fixture(scope="module")
def survey(cells: AnnData, model: ScType) -> Surveyed:
    return Surveyed(cells, model)


@pytest.fixture(scope="module")
def weights(shared: Path, cells: AnnData) -> pd.DataFrame:
    """scType's weights, genes x types, written from its description."""
    table = pd.read_csv(shared / "data" / "sctype_db.tsv", sep="\t", keep_default_na=False)
    table = table[table["tissue"] == "Immune system"].set_index("cell_type")
    lists = {sign: table[f"{sign}_hgnc"].str.split(",") for sign in ("positive", "negative")}
    uses = lists["positive"].explode().value_counts().drop("", errors="ignore")
    rarity = (len(table) - uses) / (len(table) - 1)
    W = pd.DataFrame(0.0, index=cells.var_names, columns=table.index)
    for sign, factor in (("positive", 1), ("negative", -1)):
        for cell_type, listed in lists[sign].items():
            present = cells.var_names.intersection(pd.Index(listed).unique())
            W.loc[present, cell_type] += factor * rarity.reindex(present).fillna(1.0) / np.sqrt(max(len(present), 1))
    return W[(W != 0).any(axis=1)]


def flips(result: SingleGeneResult) -> dict[str, str]:
    hits = result.to_frame().query("outcome == 'flipped'")
    return dict(zip(hits["gene"], hits["label"], strict=True))


@pytest.mark.parametrize("modification", EXACT)
def test_single_gene_finds_exactly_the_published_attacks(modification: str, survey: Any, published: Any) -> None:
    for target, by_modification in published.items():
        found = flips(survey["SingleGene", modification, target])
        assert found == by_modification[modification]["single_gene"], target


@pytest.mark.parametrize("modification", EXACT)
def test_single_gene_finds_the_published_number_in_all_clusters(modification: str, survey: Any, counted: Any) -> None:
    clusters = counted.index.get_level_values("cluster").unique()
    assert len(clusters) == 8
    found = {target: len(survey["SingleGene", modification, target].genes) for target in clusters}
    assert found == counted.xs("single-gene n genes", level="attack")[modification].to_dict()


@pytest.mark.parametrize("modification", ABERRANT)
def test_single_gene_finds_every_published_aberrant_attack(modification: str, survey: Any, published: Any) -> None:
    for target, by_modification in published.items():
        found = flips(survey["SingleGene", modification, target])
        wanted = by_modification[modification]["single_gene"]
        assert {gene: found.get(gene) for gene in wanted} == wanted, target


@pytest.mark.parametrize("modification", MODIFICATIONS)
def test_single_gene_agrees_with_an_exhaustive_test(
    modification: str, survey: Any, counted: Any, cells: AnnData, weights: pd.DataFrame
) -> None:
    """Every marker is changed alone in every cluster, and the cells are scored by a sum of the test's own."""
    Z = marker_values(cells, weights)
    extra = 0
    for target, n in counted.xs("single-gene n genes", level="attack")[modification].items():
        inside = (cells.obs["sctype_label"] == target).to_numpy()
        new = modified(Z, inside, modification)
        wanted = {}
        for j, gene in enumerate(weights.index):
            X = Z[inside]
            X[:, j] = new[:, j]
            label = majority(X @ weights.to_numpy(), weights.columns)
            if label != target:
                wanted[gene] = label
        assert flips(survey["SingleGene", modification, target]) == wanted, target
        assert len(wanted) >= n
        extra += len(wanted) - n
    # what the two-step search of the published run missed
    assert extra == {"positive_aberrant": 7, "negative_aberrant": 5}.get(modification, 0)


@pytest.mark.parametrize("modification", ABERRANT)
def test_unpublished_aberrant_attacks_verify(
    modification: str, survey: Any, published: Any, cells: AnnData, model: ScType
) -> None:
    for target, by_modification in published.items():
        result = survey["SingleGene", modification, target]
        new = sorted(set(result.genes) - set(by_modification[modification]["single_gene"]))
        assert result.verify(cells, model, genes=new), target


@pytest.mark.parametrize("modification", MODIFICATIONS)
def test_signatures_are_never_longer_than_published(
    modification: str, survey: Any, counted: Any, published: Any
) -> None:
    for target, n in counted.xs("max-change signature", level="attack")[modification].items():
        result: MaxChangeResult = survey["MaxChange", modification, target]
        assert result.maximal
        assert len(result.genes) + len(result.signature) == 13_714
        assert len(result.signature) <= n, target
    for target, by_modification in published.items():
        assert len(survey["MaxChange", modification, target].signature) <= len(
            by_modification[modification]["max_change_signature"]
        )


@pytest.mark.parametrize("modification", MOST)
def test_signatures_are_short_in_all(modification: str, survey: Any, counted: Any) -> None:
    clusters = counted.index.get_level_values("cluster").unique()
    assert sum(len(survey["MaxChange", modification, target].signature) for target in clusters) <= MOST[modification]


@pytest.mark.parametrize("modification", MODIFICATIONS)
def test_signatures_are_maximal(modification: str, survey: Any, cells: AnnData, weights: pd.DataFrame) -> None:
    """With all modifiable genes changed the label holds; with any signature gene in addition it flips.

    Judged by a sum of its own over scType's weights, without a scorer, a modification object or a cluster.
    """
    Z = marker_values(cells, weights)
    for target in cells.obs["sctype_label"].unique():
        result = survey["MaxChange", modification, target]
        inside = (cells.obs["sctype_label"] == target).to_numpy()
        new = modified(Z, inside, modification)
        free = weights.index.isin(result.genes)
        X = np.where(free, new, Z[inside])
        assert majority(X @ weights.to_numpy(), weights.columns) == result.baseline == target
        assert set(result.signature) <= set(weights.index)
        for gene in result.signature:
            one_more = np.where(free | (weights.index == gene), new, Z[inside])
            assert majority(one_more @ weights.to_numpy(), weights.columns) != target, (target, gene)


def marker_values(cells: AnnData, weights: pd.DataFrame) -> np.ndarray:
    return np.asarray(cells.X)[:, cells.var_names.get_indexer(weights.index)].astype(np.float64)


def modified(Z: np.ndarray, inside: np.ndarray, modification: str) -> np.ndarray:
    """Return the cluster's new values, as the float32 data hold them."""
    if modification.startswith("perc"):
        new = np.quantile(Z, int(modification[4:]) / 100, axis=0)
    elif modification == "decile+5":  # five tenths of the cells further, one place lower, at most the maximum
        ordered = np.sort(Z, axis=0)
        new = np.empty((inside.sum(), Z.shape[1]))
        for j in range(Z.shape[1]):
            place = np.searchsorted(ordered[:, j], Z[inside, j]) + round(len(Z) / 2) - 1
            new[:, j] = ordered[np.clip(place, 0, len(Z) - 1), j]
    else:
        new = (1 if modification.startswith("positive") else -1) * 1e4 * Z.max(axis=0)
    return np.broadcast_to(new, (inside.sum(), Z.shape[1])).astype(np.float32).astype(np.float64)


def majority(scores: np.ndarray, types: pd.Index) -> str:
    names, votes = np.unique(np.asarray(types)[scores.argmax(axis=1)], return_counts=True)
    return str(names[votes.argmax()])
