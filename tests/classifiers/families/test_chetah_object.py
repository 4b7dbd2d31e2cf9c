"""CHETAH as an object: what it needs, stores, refuses, and how well it labels real cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers.families.chetah import Chetah
from adverscarial.classifiers.scorers import ranks
from adverscarial.errors import ClassifierError, DataError, GeneMismatchError, ParameterError
from classifiers.families.test_chetah import GENES, again, changed, toy, trained
from classifiers.read_back import read_back

# --- the classifier as an object -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_only_listed_genes_are_needed_and_read() -> None:
    adata, model = toy(5), trained()
    assert model.genes is not None
    assert set(model.genes) == set(model.gene_lists()["gene"])
    assert list(model.genes) == [g for g in adata.var_names if g in set(model.genes)]
    assert len(model.genes) < GENES
    shuffled = adata[:, list(model.genes[::-1])]
    assert list(model.predict(shuffled)) == list(model.predict(adata))
    read = model.scorer(Cluster(adata, "cluster", "c0")).reads(np.arange(GENES))
    assert list(adata.var_names[read]) == list(model.genes)
    with pytest.raises(GeneMismatchError, match="First missing"):
        model.predict(adata[:, list(model.genes[1:])])


def test_constant_cells_and_constant_profiles_have_correlation_zero() -> None:
    adata = toy(2, types=3)
    adata.X[adata.obs["type"] == "t1"] = 4.0
    model = Chetah(8).fit(adata, "type")
    constant = np.flatnonzero(model.nodes["type"] == "t1")
    assert model._model is not None
    X = np.ones((1, len(model.genes)))  # type: ignore[arg-type]
    pairs = np.arange(len(model.nodes))
    assert (ranks.correlate(X, pairs, model._model) == 0).all()
    cells = adata[:, model.genes].X
    assert (ranks.correlate(cells, pairs, model._model)[:, constant] == 0).all()


def test_mean_of_equal_scores_is_that_score() -> None:
    # at threshold 0 a rounding error of the mean would turn "as good as the other branch" into "worse"
    for value in np.random.default_rng(0).uniform(-1, 1, size=50):
        for n in range(1, 25):
            assert ranks._mean(np.full(n, value), 0, n) == value


@pytest.mark.slow
def test_cells_without_a_type_and_layers_and_sparse_input() -> None:
    adata = toy(6)
    whole = Chetah(8).fit(adata, "type")
    more = AnnData(
        sp.csr_matrix((adata.n_obs + 2, GENES)),
        obs=pd.DataFrame({"type": [None, *adata.obs["type"], np.nan]}, index=[str(i) for i in range(adata.n_obs + 2)]),
        var=adata.var,
        layers={"counts": sp.csr_matrix(np.vstack([np.full(GENES, 9.0), adata.X, np.zeros(GENES)]))},
    )
    other = Chetah(8).fit(more, "type", layer="counts")
    assert other.classes == whole.classes
    pd.testing.assert_frame_equal(other.gene_lists(), whole.gene_lists())
    pd.testing.assert_frame_equal(
        other.confidences(adata[:, other.genes].X), whole.confidences(adata[:, whole.genes].X)
    )


def test_state_and_save_round_trip(tmp_path: Path) -> None:
    model, adata = trained(), toy(8)
    assert Chetah.family == "chetah"
    loaded = read_back(model, tmp_path)
    assert list(loaded.genes) == list(model.genes)  # type: ignore[arg-type]
    assert list(loaded.predict(adata)) == list(model.predict(adata))
    pd.testing.assert_frame_equal(loaded.nodes, model.nodes)
    genes, values = np.arange(GENES), np.full((1, GENES), 3.0)
    one, two = (m.scorer(Cluster(adata, "cluster", "c0")).each(genes, values) for m in (loaded, model))
    assert (one.label == two.label).all()
    assert (one.share == two.share).all()


def test_repr_rebuilds_the_settings() -> None:
    assert repr(Chetah()) == "Chetah()"
    for model in (Chetah(), Chetah(50, threshold=0.1), Chetah(threshold=-0.5, cap_genes=True)):
        again = eval(repr(model))
        assert (again.n_genes, again.threshold, again.cap_genes) == (model.n_genes, model.threshold, model.cap_genes)


def test_another_threshold_leaves_the_first_alone() -> None:
    model = trained()
    strict = model.with_threshold(2.0)
    assert set(strict.predict(toy())) == {"Unassigned"}
    assert model.threshold == 0.05
    assert set(model.predict(toy())) != {"Unassigned"}
    assert set(model.with_threshold(-2).predict(toy())) <= set(model.classes)


def test_too_few_genes() -> None:
    with pytest.raises(DataError, match=r"200 genes.*reference has 40.*cap_genes"):
        Chetah().fit(toy(), "type")
    model = Chetah(cap_genes=True).fit(toy(), "type")
    assert len(model.gene_lists()) == GENES * len(model.nodes)
    with pytest.raises(DataError, match="two at least"):
        Chetah(cap_genes=True).fit(toy()[:, :1].copy(), "type")


@pytest.mark.parametrize("name", ["Node 7 cell", "Unassigned", "my Node", "", " "])
def test_type_names_of_its_own(name: str) -> None:
    adata = toy()
    adata.obs["type"] = adata.obs["type"].replace("t2", name)
    with pytest.raises(ParameterError, match="rename"):
        Chetah(8).fit(adata, "type")


def test_bad_input_is_refused() -> None:
    assert not Chetah.gives_scores
    with pytest.raises(ClassifierError, match="call fit"):
        Chetah().predict(toy())
    with pytest.raises(ClassifierError, match="call fit"):
        Chetah().state()
    one = toy()
    one.obs["type"] = "t0"
    with pytest.raises(DataError, match="at least two cell types"):
        Chetah(8).fit(one, "type")
    holes = toy()
    holes.X[0, 0] = np.nan
    with pytest.raises(DataError, match="NaN"):
        Chetah(8).fit(holes, "type")
    model = trained()
    with pytest.raises(DataError, match="NaN"):
        model.decide(np.full((2, len(model.genes)), np.nan))  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"expected \(cells"):
        model.decide(np.zeros((2, 3)))
    with pytest.raises(DataError, match="NaN"):
        model.scorer(Cluster(toy(), "cluster", "c0")).together(np.arange(GENES), np.full((1, GENES), np.nan))


@pytest.mark.parametrize(
    "settings", [{"n_genes": 1}, {"n_genes": 2.5}, {"n_genes": True}, {"threshold": np.nan}, {"threshold": "0.1"}]
)
def test_impossible_settings_are_refused(settings: dict) -> None:
    with pytest.raises(ParameterError, match=next(iter(settings))):
        Chetah(**settings).fit(toy(), "type")


@pytest.mark.slow
def test_pbmc3k_halves(shared: Path) -> None:
    import anndata

    adata = anndata.read_h5ad(shared / "data" / "pbmc3k.h5ad")
    adata = adata[adata.obs["cell_type"] != "UNDETERMINED"].copy()
    rng = np.random.default_rng(0)
    half = np.zeros(adata.n_obs, dtype=bool)
    for cells in adata.obs.groupby("cell_type", observed=True).indices.values():
        half[rng.permutation(cells)[: len(cells) // 2]] = True
    model = Chetah().fit(adata[half], "cell_type")
    assert model.summary(adata[~half], "cell_type")["accuracy"].mean() > 0.75

    cluster = Cluster(adata[~half], "cell_type", "B")
    scorer = model.scorer(cluster)
    genes = cluster.positions(model.genes[::40])
    values = cluster.statistics.quantile(genes, 0.99)[None, :]
    answers = scorer.each(genes, values)
    for k in range(len(genes)):
        assert (answers.label[k], answers.share[k]) == again(
            model, cluster, changed(cluster.X, genes[[k]], values[:, [k]])
        )[:2]


def walked(scores: np.ndarray, model: Chetah) -> int:
    tree, node = model._fitted(), 0
    while True:
        start, split, end = tree.node_start[node], tree.node_split[node], tree.node_start[node + 1]
        best = start + int(np.argmax(scores[start:end]))
        opposite = scores[split:end] if best < split else scores[start:split]
        if scores[best] - opposite.mean() < model.threshold:
            return len(model.classes) + node
        node = tree.child[node, int(best >= split)]
        if node < 0:
            return int(tree.pair_type[best])


@pytest.mark.parametrize("values", ["counts", "few ties", "equal"])
def test_counted_ranks_give_the_labels_of_sorted_ones(values: str) -> None:
    """Labels are counted, profile scores sorted; with lists of 2 genes, cells of many values are sorted in both."""
    X = toy(7, 8, 80).X
    if values == "few ties":
        X = X + np.random.default_rng(0).choice([0.0, 0.25, 1e-9], X.shape) * np.arange(X.shape[1])
    X = X if values != "equal" else np.full(X.shape, 3.0)
    for n_genes in (2, 8, 30):
        model = trained(0, 8, n_genes)
        cells = X[:, [int(str(gene)[1:]) for gene in model.genes]]
        codes = [walked(scores, model) for scores in model._scores(cells)]
        np.testing.assert_array_equal(model.decide(cells).labels, np.array(model.labels, dtype=object)[codes])
