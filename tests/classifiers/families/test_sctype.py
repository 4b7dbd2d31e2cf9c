from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.classifiers.scorer_law import check_scorer_law

import adverscarial as adv
from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers import ScType
from adverscarial.classifiers.scorers.linear import LinearScorer
from adverscarial.errors import DataError, GeneMismatchError
from golden_families import attacked, votes_of

TABLE = {
    "x": {"positive": ["A", "B", "C"], "negative": ["E"]},
    "y": {"positive": ["B", "D"], "negative": ["A", "F"]},
    "z": {"positive": ["C", "D"]},
}


def cells(X: np.ndarray, genes: list[str], clusters: list[str] | None = None) -> AnnData:
    names = [f"cell{i}" for i in range(len(X))]
    clusters = [f"c{i % 2}" for i in range(len(X))] if clusters is None else clusters
    return AnnData(X, obs=pd.DataFrame({"cluster": clusters}, index=names), var=pd.DataFrame(index=genes))


def by_hand(sets: dict[str, Any], Z: np.ndarray, genes: list[str]) -> pd.DataFrame:
    """scType's score as its description has it, gene by gene, in a loop."""
    upper = [gene.upper() for gene in genes]
    uses: dict[str, int] = {}
    for entry in sets.values():
        for gene in entry["positive"]:
            uses[gene.upper()] = uses.get(gene.upper(), 0) + 1
    scores = {}
    for name, entry in sets.items():
        total = np.zeros(len(Z))
        positive = [gene for gene in upper if gene in {g.upper() for g in entry["positive"]}]
        negative = [gene for gene in upper if gene in {g.upper() for g in entry.get("negative", [])}]
        if not positive:
            continue
        for sign, rows in ((1, positive), (-1, negative)):
            for gene in rows:  # a repeated name stands once per row, and always means the first of them
                weight = (len(sets) - uses[gene]) / (len(sets) - 1) if gene in uses else 1.0
                total = total + sign * weight * Z[:, upper.index(gene)] / np.sqrt(len(rows))
        scores[name] = total
    return pd.DataFrame(scores)


# ---- goldens of the original program


@pytest.fixture(scope="module")
def model(shared: Path) -> ScType:
    return ScType(shared / "data" / "sctype_db.tsv", tissue="Immune system")


def test_scores_are_those_of_the_original(golden: Path, golden_cells: AnnData, model: ScType) -> None:
    wanted = pd.read_csv(golden / "sctype" / "scores.csv.gz", index_col=0).T
    found = model.scores(golden_cells)
    assert list(found.columns) == list(wanted.columns)
    assert list(found.index) == list(wanted.index)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-13)


def test_weights_are_those_of_the_original(golden: Path, golden_cells: AnnData, model: ScType) -> None:
    wanted = pd.read_csv(golden / "sctype" / "weights.tsv", sep="\t").set_index(["cell_type", "gene"])["weight"]
    bound = model.bind(pd.Index(golden_cells.var_names))
    assert bound.genes is not None
    table = pd.DataFrame(bound.weights, index=bound.genes, columns=list(bound.classes)).T.stack()
    found = table[table != 0]
    assert set(found.index) == set(wanted.index)
    np.testing.assert_allclose(found.reindex(wanted.index), wanted, rtol=1e-14)


def test_labels_are_those_of_the_original(golden: Path, golden_cells: AnnData, model: ScType) -> None:
    wanted = pd.read_csv(golden / "sctype" / "cell_labels.tsv", sep="\t", index_col="cell")["cell_type"]
    assert model.predict(golden_cells).to_dict() == wanted.to_dict()


def test_cluster_labels_are_those_of_the_original(golden: Path, golden_cells: AnnData, model: ScType) -> None:
    wanted = pd.read_csv(golden / "sctype" / "cluster_labels.tsv", sep="\t")
    for row in wanted.itertuples():
        found = adv.predict(golden_cells, model, groupby="label", target=row.cluster)
        votes = votes_of(row.votes)
        assert (found.label, found.votes) == (row.prediction, votes)
        assert found.share == votes[row.prediction] / sum(votes.values())


def test_modified_cells_score_as_in_the_original(golden: Path, golden_cells: AnnData, model: ScType) -> None:
    """Both the scorer and the full prediction, after each of the original's attack cases."""
    cases = list(attacked(golden, golden_cells, "scType"))
    for case in cases:
        answer = model.scorer(case.cluster).together(case.genes, case.values)
        wanted = case.scores.to_numpy()
        full = model.scores(case.changed).iloc[case.cluster.rows]
        allowed = 1e-13 * np.maximum(np.abs(wanted).max(axis=1, keepdims=True), 1)
        assert np.all(np.abs(full.to_numpy() - wanted) <= allowed)
        assert np.all(np.abs(answer.scores - wanted) <= allowed)
        target = str(case.changed.obs["label"].iloc[case.cluster.rows[0]])
        assert adv.predict(case.changed, model, groupby="label", target=target).votes == case.votes
        assert answer.label == case.label
    assert len(cases) == 24


@pytest.fixture(scope="module")
def pbmc3k(shared: Path) -> AnnData:
    return adv.datasets.preprocess(adv.datasets.pbmc3k())


def test_pbmc3k_labels(shared: Path, pbmc3k: AnnData, model: ScType) -> None:
    wanted = pd.read_csv(shared / "golden" / "classifiers" / "pbmc3k_sctype" / "clusters.tsv", sep="\t")
    for row in wanted.itertuples():
        found = adv.predict(pbmc3k, model, groupby="cell_type", target=row.label)
        votes = votes_of(row.votes)
        assert (found.label, found.votes) == (row.sctype_prediction, votes)


@pytest.mark.slow
def test_pbmc3k_single_genes(shared: Path, pbmc3k: AnnData, model: ScType) -> None:
    """Labels that scType calls the same are one cluster; every flip of an exhaustive test, and no other."""
    folder = shared / "golden" / "classifiers" / "pbmc3k_sctype"
    merged = pd.read_csv(folder / "clusters.tsv", sep="\t").set_index("label")["sctype_prediction"]
    wanted = pd.read_csv(folder / "single_gene_exhaustive.tsv", sep="\t")
    adata = AnnData(pbmc3k.X, obs=pd.DataFrame({"c": pbmc3k.obs["cell_type"].astype(str).map(merged)}), var=pbmc3k.var)
    names = {"perc1": "perc1", "perc99": "perc99"} | {
        f"{sign}_aberrant": f"{sign}_aberrant:reference" for sign in ("positive", "negative")
    }
    assert set(wanted["modification"]) == set(names)
    attacks = [adv.attacks.SingleGene(text) for text in names.values()]
    found = adv.survey(adata, model, attacks=attacks, groupby="c").flipping()
    found["modification"] = found["modification"].str.removesuffix(":reference")
    assert set(map(tuple, found[["cluster", "modification", "gene", "label"]].to_numpy())) == set(
        map(tuple, wanted[["cluster", "modification", "gene", "new_type"]].to_numpy())
    )


# ---- the rule itself


@pytest.mark.parametrize(
    "genes",
    [
        list("ABCDEFG"),
        list("GFEDCBA"),
        ["a", "B", "A", "c", "C", "d", "E"],  # names that repeat in upper case: the first stands for all of them
        ["e", "E", "F", "D", "b", "f", "F2"],
        ["C", "D", "other", "E", "F", "G", "H"],  # x keeps one marker, y too
    ],
)
def test_scores_follow_the_description(genes: list[str]) -> None:
    Z = np.random.default_rng(0).normal(size=(9, len(genes)))
    wanted = by_hand(TABLE, Z, genes)
    found = ScType(TABLE).scores(cells(Z, genes))
    pd.testing.assert_frame_equal(found.reset_index(drop=True), wanted, rtol=1e-12)


def test_markers_listed_twice_count_in_the_weight_only() -> None:
    table = pd.DataFrame(
        {"cell_type": ["x", "y", "z"], "positive_hgnc": ["A,A,B", "B", "C"], "negative_hgnc": ["", "A", "B"]}
    )
    model = ScType(table)
    assert model.sensitivity() == {"A": 0.5, "B": 0.5, "C": 1.0}
    Z = np.random.default_rng(1).normal(size=(5, 3))
    found = model.scores(cells(Z, list("ABC")))
    np.testing.assert_allclose(found["x"], (0.5 * Z[:, 0] + 0.5 * Z[:, 1]) / np.sqrt(2))
    np.testing.assert_allclose(found["y"], 0.5 * Z[:, 1] - 0.5 * Z[:, 0])
    # listed by their own names, repeats are one marker
    assert ScType(table.set_axis(["cell_type", "positive", "negative"], axis=1)).sensitivity()["A"] == 1.0


def test_types_without_markers_in_the_data_are_left_out() -> None:
    adata = cells(np.ones((2, 2)), ["A", "E"])
    model = ScType(TABLE)
    assert list(model.scores(adata).columns) == ["x"]
    assert set(model.predict(adata)) == {"x"}
    assert model.classes == ("x", "y", "z")


def test_all_zero_cells_get_the_first_type() -> None:
    assert set(ScType(TABLE).predict(cells(np.zeros((3, 6)), list("ABCDEF")))) == {"x"}


def test_one_type_alone_weighs_its_markers_fully() -> None:
    found = ScType({"x": ["A", "B"]}).scores(cells(np.array([[3.0, 1.0]]), ["A", "B"]))
    np.testing.assert_allclose(found, [[4 / np.sqrt(2)]])


def test_dotted_names_lose_their_markers(shared: Path, model: ScType) -> None:
    """As R's table reader writes them; the article's train and test sets were read that way."""
    genes = pd.Index(adv.datasets.pbmc3k().var_names)
    dashed, dotted = model.bind(genes), model.bind(genes.str.replace("-", "."))
    assert dashed.genes is not None
    assert dotted.genes is not None
    lost = set(dashed.genes) - set(dotted.genes)
    assert (len(dashed.genes), len(dotted.genes)) == (161, 156)
    assert lost
    assert all("-" in gene for gene in lost)


def test_no_marker_in_the_data_is_an_error() -> None:
    ensembl = cells(np.ones((4, 2)), ["ENSG00000000003", "ENSG00000000005"])
    for model in (ScType(TABLE), ScType(TABLE, scaled=False)):
        with pytest.raises(GeneMismatchError, match=r"none of the 4 positive markers.*gene_symbols"):
            model.predict(ensembl)
    with pytest.raises(GeneMismatchError, match="bind"):
        ScType(TABLE).decide(np.ones((1, 6)))


@pytest.mark.parametrize("scaled", [True, False])
def test_cells_without_numbers_and_repeated_genes_are_refused(scaled: bool) -> None:
    broken = cells(np.array([[np.nan, 1.0], [0.0, 1.0]]), ["A", "B"])
    with pytest.raises(DataError, match="NaN"):
        ScType(TABLE, scaled=scaled).predict(broken)
    with pytest.raises(DataError, match="more than once"):
        ScType(TABLE, scaled=scaled).predict(cells(np.ones((2, 2)), ["A", "A"]))
    assert not len(ScType(TABLE, scaled=scaled).predict(cells(np.empty((0, 2)), ["A", "B"])))


# ---- scaled=False


def test_unscaled_is_scaled_after_scaling() -> None:
    rng = np.random.default_rng(3)
    X = rng.gamma(0.5, 2, size=(30, 6))
    X[:, 2] = 0.1  # constant: rounding must not make its spread more than 0
    Z = (X - X.mean(axis=0)) / np.where(X.max(axis=0) > X.min(axis=0), X.std(axis=0, ddof=1), 1)
    Z[:, 2] = 0
    wanted = ScType(TABLE).scores(cells(Z, list("ABCDEF")))
    np.testing.assert_allclose(ScType(TABLE, scaled=False).scores(cells(X, list("ABCDEF"))), wanted, atol=1e-12)


def test_unscaled_z_scores_move_with_the_attack() -> None:
    """The cluster's new value counts in the mean and the spread of the whole gene."""
    X = np.random.default_rng(4).gamma(0.5, 2, size=(20, 6))
    adata = cells(X, list("ABCDEF"))
    model = ScType(TABLE, scaled=False)
    cluster = Cluster(adata, "cluster", "c0")
    changed = X.copy()
    changed[::2, 1] = 50.0
    Z = (changed - changed.mean(axis=0)) / changed.std(axis=0, ddof=1)
    wanted = by_hand(TABLE, Z, list("ABCDEF")).to_numpy()[::2]
    answer = model.scorer(cluster).together(np.array([1]), np.array([[50.0]]))
    np.testing.assert_allclose(answer.scores, wanted, rtol=1e-9, atol=1e-12)


# ---- the scorer


@pytest.mark.fast(2)
@pytest.mark.parametrize("target", ["CD19+ B", "Dendritic"])
@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_law_on_real_cells(shared: Path, pbmc_small: AnnData, target: str, scaled: bool, dtype: type) -> None:
    adata = pbmc_small[:, ::3].copy()
    adata.X = adata.X.toarray().astype(dtype)
    model = ScType(shared / "data" / "sctype_db.tsv", tissue="Immune system", scaled=scaled)
    scorer = check_scorer_law(model, adata, groupby="cell_type", target=target, games=2)
    assert isinstance(scorer, LinearScorer)


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), scaled=st.booleans(), target=st.sampled_from(["c0", "lone"]))
def test_law_with_ties(seed: int, scaled: bool, target: str) -> None:
    """Small whole numbers tie often, and are answered as from scratch all the same."""
    X = np.random.default_rng(seed).integers(0, 3, size=(25, 7)).astype(float)
    adata = cells(X, list("ABCDEFG"), [f"c{i % 3}" for i in range(24)] + ["lone"])
    check_scorer_law(ScType(TABLE, scaled=scaled), adata, groupby="cluster", target=target, seed=seed, games=2)


def test_huge_values_taken_back_leave_no_rounding() -> None:
    X = np.random.default_rng(5).normal(size=(6, 6))
    model = ScType(TABLE)
    cluster = Cluster(cells(X, list("ABCDEF")), "cluster", "c0")
    scorer = model.scorer(cluster)
    clean = scorer.baseline.scores
    genes = np.array([0, 1])
    scorer.accept(genes, np.array([[1e12, -1e12]]))
    np.testing.assert_array_equal(scorer.together(genes, cluster.X[:, genes]).scores, clean)
    answers = scorer.each(genes, cluster.X[:, genes])
    assert set(answers.label) <= set(model.classes)
    scorer.accept(genes, cluster.X[:, genes])
    np.testing.assert_array_equal(scorer.baseline.scores, clean)
    third, value = np.array([2]), np.array([[0.5]])
    untouched = model.scorer(cluster).together(third, value)
    np.testing.assert_allclose(scorer.together(third, value).scores, untouched.scores, rtol=1e-12)


def test_only_markers_are_read(pbmc_small: AnnData) -> None:
    model = ScType()
    cluster = Cluster(pbmc_small, "cell_type", "Dendritic")
    bound = model.bind(cluster.genes)
    assert bound.genes is not None
    reads = model.scorer(cluster).reads(np.arange(len(cluster.genes)))
    assert set(cluster.genes[reads]) == set(bound.genes)
    assert 0 < reads.sum() < 765


def test_repr_rebuilds_where_it_can(shared: Path) -> None:
    path = shared / "data" / "sctype_db.tsv"
    model = ScType(path, tissue="Liver", scaled=False)
    again = eval(repr(model), {"ScType": ScType})
    assert (again.markers, again.scaled, again.tissue) == (model.markers, False, "Liver")
    assert eval(repr(ScType()), {"ScType": ScType}).markers == ScType().markers
    assert repr(ScType(TABLE)) == "ScType(...)"
