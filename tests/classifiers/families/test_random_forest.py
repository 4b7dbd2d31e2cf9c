from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from sklearn.ensemble import RandomForestClassifier
from tests.classifiers.scorer_law import check_scorer_law

import adverscarial as adv
from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers import RandomForest
from adverscarial.classifiers.scorers.trees import TreeScorer
from adverscarial.errors import ClassifierError, DataError, GeneMismatchError, ParameterError
from golden_families import attacked, votes_of

NODES = pd.DataFrame(
    {
        "tree": 1, "node": [1, 2, 3, 4, 5], "left": [2, 0, 4, 0, 0], "right": [3, 0, 5, 0, 0],
        "status": [1, -1, 1, -1, -1], "var": [1, 0, 2, 0, 0], "split": [0.5, 0, 1.5, 0, 0], "pred": [0, 1, 0, 2, 1],
    }
)  # fmt: skip


# ---- goldens of the original program


@pytest.fixture(scope="module")
def r_forest(golden: Path) -> RandomForest:
    meta = json.loads((golden / "scrf" / "forest_meta.json").read_text())
    nodes = pd.read_csv(golden / "scrf" / "forest.tsv.gz", sep="\t")
    return RandomForest.from_table(nodes, classes=meta["classes"], genes=meta["variables"])


def test_votes_and_labels_are_those_of_the_original(
    golden: Path, golden_cells: AnnData, r_forest: RandomForest
) -> None:
    wanted = pd.read_csv(golden / "scrf" / "probabilities.csv.gz", index_col=0).T
    found = r_forest.scores(golden_cells)
    assert list(found.columns) == list(wanted.columns)
    np.testing.assert_array_equal(np.rint(found * 500), np.rint(wanted * 500))
    np.testing.assert_allclose(found, wanted, rtol=1e-14)
    labels = pd.read_csv(golden / "scrf" / "cell_labels.tsv", sep="\t", index_col="cell")["cell_type"]
    assert r_forest.predict(golden_cells).to_dict() == labels.to_dict()


def test_cluster_labels_are_those_of_the_original(golden: Path, golden_cells: AnnData, r_forest: RandomForest) -> None:
    for row in pd.read_csv(golden / "scrf" / "cluster_labels.tsv", sep="\t").itertuples():
        found = adv.predict(golden_cells, r_forest, groupby="label", target=row.cluster)
        assert (found.label, found.votes) == (row.prediction, votes_of(row.votes))


@pytest.mark.slow
def test_modified_cells_vote_as_in_the_original(golden: Path, golden_cells: AnnData, r_forest: RandomForest) -> None:
    cases = list(attacked(golden, golden_cells, "scRF"))
    for case in cases:
        answer = r_forest.scorer(case.cluster).together(case.genes, case.values)
        np.testing.assert_allclose(answer.scores, case.scores, rtol=1e-14)
        assert answer.label == case.label
        np.testing.assert_allclose(r_forest.scores(case.changed).iloc[case.cluster.rows], case.scores, rtol=1e-14)
        if len(case.genes) == 1:
            values = np.broadcast_to(case.values, (case.cluster.n_cells, 1))
            alone = r_forest.scorer(case.cluster).each(case.genes, values)
            assert alone.label[0] == case.label
            assert alone.share[0] == answer.share
    assert len(cases) == 24


def made_up_forest() -> tuple[RandomForest, dict[str, Any], AnnData]:
    folder = Path(__file__).parents[2] / "golden"
    described = json.loads((folder / "forest.json").read_text())
    trees = [pd.DataFrame(tree).assign(tree=i + 1) for i, tree in enumerate(described["trees"])]
    nodes = pd.concat([tree.assign(node=np.arange(1, len(tree) + 1)) for tree in trees])
    cells = pd.read_csv(folder / "sim.csv", index_col="cell", float_precision="round_trip")
    adata = AnnData(
        cells.drop(columns="cluster").to_numpy(), obs=cells[["cluster"]], var=pd.DataFrame(index=cells.columns[1:])
    )
    return RandomForest.from_table(nodes, classes=described["classes"], genes=described["genes"]), described, adata


def test_made_up_forest_votes_as_in_r() -> None:
    forest, described, adata = made_up_forest()
    found = forest.scores(adata[described["check_cells"]])
    np.testing.assert_allclose(found, np.array(described["check_prob"], dtype=float), rtol=1e-14)


@pytest.mark.fast(1)
@pytest.mark.parametrize("target", ["T1", "T3"])
def test_law_of_a_made_up_forest(target: str) -> None:
    forest, _, adata = made_up_forest()
    scorer = check_scorer_law(forest, adata, groupby="cluster", target=target, games=3, moves=8)
    assert isinstance(scorer, TreeScorer)


# ---- against scikit-learn


@pytest.fixture(scope="module")
def trained(pbmc_small: AnnData) -> RandomForest:
    return RandomForest(40, balance=None, seed=3).fit(pbmc_small[:, ::3].copy(), "cell_type")


@pytest.mark.slow
def test_each_tree_votes_as_scikit_learn_predicts(pbmc_small: AnnData, trained: RandomForest) -> None:
    """The same trees, grown by scikit-learn from the same seed: one vote for each tree's own prediction."""
    adata = pbmc_small[:, ::3].copy()
    X, y = adata.X.toarray(), adata.obs["cell_type"].astype(str).to_numpy()
    forest = RandomForestClassifier(40, max_features="sqrt", random_state=3).fit(X, y)
    votes = np.zeros((len(X), len(forest.classes_)))
    for tree in forest.estimators_:
        votes[np.arange(len(X)), tree.predict(X).astype(int)] += 1
    assert trained.classes == tuple(forest.classes_)
    np.testing.assert_array_equal(trained.scores(adata), votes / 40)
    # fully grown trees have pure leaves, so that their votes are their probabilities
    np.testing.assert_allclose(trained.scores(adata), forest.predict_proba(X), rtol=1e-12)


def test_balance_trains_on_as_many_cells_of_each_type(pbmc_small: AnnData) -> None:
    adata = pbmc_small[:, ::10].copy()
    labels = adata.obs["cell_type"].astype(object)
    labels[:5] = None  # cells without a label are left out
    adata.obs["cell_type"] = labels
    drawn = adv.datasets.balance(adata[5:].copy(), "cell_type", 20, seed=7)
    assert set(drawn.obs["cell_type"].value_counts()) == {20}
    one, same, other = (RandomForest(5, balance=20, seed=seed).fit(adata, "cell_type") for seed in (7, 7, 8))
    np.testing.assert_array_equal(one.trees.threshold, same.trees.threshold)
    assert not np.array_equal(one.trees.threshold, other.trees.threshold)
    everything = RandomForest(5, balance=None, seed=7).fit(adata, "cell_type")
    assert not np.array_equal(one.trees.threshold, everything.trees.threshold)


def test_fit_reads_a_layer_and_returns_itself(pbmc_small: AnnData) -> None:
    adata = pbmc_small[:, ::40].copy()
    adata.layers["reversed"] = -adata.X
    model = RandomForest(5)
    assert model.fit(adata, "cell_type", layer="reversed") is model
    np.testing.assert_array_equal(
        model.predict(adata, layer="reversed"), model.predict(AnnData(-adata.X, obs=adata.obs, var=adata.var))
    )


def test_genes_are_found_by_name(pbmc_small: AnnData, trained: RandomForest) -> None:
    shuffled = pbmc_small[:, np.random.default_rng(0).permutation(765)]
    np.testing.assert_array_equal(trained.predict(shuffled), trained.predict(pbmc_small))
    with pytest.raises(GeneMismatchError, match=r"needs 255 genes, 254 of them are in the data\. First missing"):
        trained.predict(pbmc_small[:, 1:])


@pytest.mark.fast(1)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("target", ["CD19+ B", "Dendritic"])
def test_law_on_real_cells(pbmc_small: AnnData, trained: RandomForest, dtype: type, target: str) -> None:
    adata = pbmc_small[:, pbmc_small.var_names.isin(trained.genes) | (np.arange(765) % 5 == 1)].copy()
    adata.X = adata.X.toarray().astype(dtype)
    scorer = check_scorer_law(trained, adata, groupby="cell_type", target=target, games=2, moves=8)
    assert isinstance(scorer, TreeScorer)
    reads = scorer.reads(np.arange(adata.n_vars))
    tested = {trained.genes[j] for j in np.unique(trained.trees.feature) if j >= 0}
    assert set(adata.var_names[reads]) == tested


# ---- node tables


def test_a_node_table_by_hand() -> None:
    forest = RandomForest.from_table(NODES, classes=["a", "b"], genes=["g", "h"])
    X = np.array([[0.5, 9], [0.6, 1.5], [0.6, 1.6]])  # a value at the threshold goes left
    assert forest.decide(X).labels.tolist() == ["a", "b", "a"]
    again = RandomForest.from_table(NODES.sample(frac=1, random_state=0), classes=["a", "b"], genes=["g", "h"])
    assert again.decide(X).labels.tolist() == ["a", "b", "a"]


def test_thresholds_of_a_node_table_stay_float64() -> None:
    """R compares in double precision: a threshold just below a value is below it."""
    nodes = NODES.assign(split=[0.1, 0, 1.5, 0, 0])
    forest = RandomForest.from_table(nodes, classes=["a", "b"], genes=["g", "h"])
    assert forest.decide(np.array([[0.1, 0.0], [np.nextafter(0.1, 1), 0.0]])).labels.tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"pred": [0, 3, 0, 2, 1]}, "names a class or a gene"),
        ({"pred": [0, 0, 0, 2, 1]}, "names a class or a gene"),
        ({"var": [3, 0, 2, 0, 0]}, "names a class or a gene"),
        ({"var": [0, 0, 2, 0, 0]}, "inner nodes that test no gene"),
        ({"left": [1, 0, 4, 0, 0]}, "damaged"),
        ({"right": [9, 0, 5, 0, 0]}, "damaged"),
        ({"split": [np.nan, 0, 1.5, 0, 0]}, "damaged"),
    ],
)
def test_damaged_node_tables_are_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError, match=says):
        RandomForest.from_table(NODES.assign(**change), classes=["a", "b"], genes=["g", "h"])


def test_incomplete_node_tables_are_refused() -> None:
    with pytest.raises(DataError, match=r"lacks the columns \['split'\]"):
        RandomForest.from_table(NODES.drop(columns="split"), classes=["a", "b"], genes=["g", "h"])
    with pytest.raises(DataError, match="damaged"):
        RandomForest.from_table(NODES.iloc[:0], classes=["a", "b"], genes=["g", "h"])


# ---- misuse


def test_untrained_forests_say_so(pbmc_small: AnnData, tmp_path: Path) -> None:
    for use in (
        lambda model: model.predict(pbmc_small),
        lambda model: model.scores(pbmc_small),
        lambda model: model.save(tmp_path / "forest.npz"),
        lambda model: model.scorer(Cluster(pbmc_small, "cell_type", "Dendritic")),
    ):
        with pytest.raises(ClassifierError, match="not trained yet: call fit"):
            use(RandomForest())


def test_impossible_training_is_refused(pbmc_small: AnnData) -> None:
    with pytest.raises(ParameterError, match="at least 1"):
        RandomForest(0).fit(pbmc_small, "cell_type")
    one = pbmc_small[pbmc_small.obs["cell_type"] == "Dendritic"].copy()
    with pytest.raises(DataError, match=r"1 cell type\(s\); training needs at least two"):
        RandomForest(2).fit(one, "cell_type")
    broken = pbmc_small[:, :5].copy()
    broken.X = broken.X.toarray()
    broken.X[3, 2] = np.inf
    with pytest.raises(DataError, match="1 NaN or infinite"):
        RandomForest(2).fit(broken, "cell_type")


def test_the_repr_rebuilds_the_object() -> None:
    for model in (RandomForest(), RandomForest(7, seed=4), RandomForest(7, balance=None), RandomForest(balance=20)):
        again = eval(repr(model), {"RandomForest": RandomForest})
        assert (again.n_estimators, again.balance, again.seed) == (model.n_estimators, model.balance, model.seed)
