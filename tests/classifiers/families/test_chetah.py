from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.sparse as sp
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers.answers import vote
from adverscarial.classifiers.families.chetah import Chetah
from adverscarial.classifiers.scorers import ranks
from adverscarial.modifications.base import with_values

GENES = 40
VALUES = [0.0, 1.0, 2.0, 3.0, 0.1, 0.5, -1.0, -2.5, 1e9, -1e9, 1e-30]


def toy(seed: int = 0, types: int = 5, cells: int = 60, genes: int = GENES) -> AnnData:
    """Counts of made-up types; the last cell is the only one of cluster 'lone'."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(types, size=cells)
    kinds[:types] = rng.permutation(types)
    means = rng.gamma(0.6, 3, size=(types, genes)) + rng.gamma(0.5, 2, size=genes)
    X = rng.poisson(means[kinds]).astype(np.float64)
    cluster = np.array([f"c{k % 3}" for k in kinds], dtype=object)
    cluster[-1] = "lone"
    obs = pd.DataFrame({"type": [f"t{k}" for k in kinds], "cluster": cluster}, index=[f"cell{i}" for i in range(cells)])
    return AnnData(X, obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(genes)]))


@cache
def trained(seed: int = 0, types: int = 5, n_genes: int = 8) -> Chetah:
    return Chetah(n_genes, threshold=0.05).fit(toy(seed, types), "type")


def by_hand(reference: AnnData, X: np.ndarray, n_genes: int, threshold: float) -> list[str]:
    """Follow the article step by step with scipy's ranks, distances of pandas, and no code of the package."""
    R, kinds = reference.X, reference.obs["type"].to_numpy()
    order = list(dict.fromkeys(kinds))
    profiles = {t: R[kinds == t].mean(axis=0) for t in order}

    def spearman(x: np.ndarray, y: np.ndarray) -> float:
        a, b = (2 * rankdata(v) - (len(v) + 1) for v in (x, y))
        spread = float((a * a).sum()) * float((b * b).sum())
        return float((a * b).sum()) / math.sqrt(spread) if spread else 0.0

    def split(types: list[str]) -> tuple[list[str], list[str]]:
        groups = [[t] for t in types]
        table = pd.DataFrame({t: profiles[t] for t in types}).corr(method="spearman").abs()
        while len(groups) > 2:  # average linkage: join the two groups that are closest on average
            joins = [
                (-table.loc[a, b].to_numpy().mean(), i, j)
                for i, a in enumerate(groups)
                for j, b in enumerate(groups)
                if i < j
            ]
            _, i, j = min(joins)
            groups = [g for k, g in enumerate(groups) if k not in (i, j)] + [groups[i] + groups[j]]
        groups.sort(key=lambda g: min(types.index(t) for t in g))
        return tuple([t for t in types if t in g] for g in groups)  # type: ignore[return-value]

    labels = [""] * len(X)
    number = 0

    def visit(types: list[str]) -> None:
        nonlocal number
        number += 1
        stuck = "Unassigned" if number == 1 else f"Node{number - 1}"
        branches = split(types)
        opposite = {t: branches[1 - k] for k in (0, 1) for t in branches[k]}
        scores: dict[str, list[float]] = {}
        for t in [*branches[0], *branches[1]]:
            difference = np.abs(
                profiles[t] - np.mean([profiles[u] for u in opposite[t]], axis=0, dtype=np.longdouble).astype(float)
            )
            genes = sorted(range(R.shape[1]), key=lambda g: -difference[g])[:n_genes]
            own = [spearman(x[genes], profiles[t][genes]) for x in R[kinds == t]]
            other = [spearman(x[genes], profiles[t][genes]) for x in R[np.isin(kinds, opposite[t])]]
            rho = [spearman(x[genes], profiles[t][genes]) for x in X]
            scores[t] = [np.mean(np.array(own) <= r) - (1 - np.mean(np.array(other) <= r)) for r in rho]
        here = number
        for cell in range(len(X)):
            if here > 1 and labels[cell] not in types:
                continue
            best = max(scores, key=lambda t: scores[t][cell])
            confidence = scores[best][cell] - np.mean([scores[u][cell] for u in opposite[best]])
            labels[cell] = stuck if confidence < threshold else best
        for branch in branches:
            if len(branch) > 1:
                visit(branch)

    visit(order)
    return labels


@pytest.mark.fast(2)
@pytest.mark.parametrize("seed", range(6))
def test_predictions_follow_the_article(seed: int) -> None:
    reference, cells = toy(seed, types=2 + seed % 5), toy(seed + 100)
    model = Chetah(9, threshold=0.0137).fit(reference, "type")
    assert list(model.predict(cells)) == by_hand(reference, cells.X, 9, 0.0137)


def test_some_cells_stop_on_the_way() -> None:
    said = set(trained().with_threshold(0.9).predict(toy()))
    assert {"Unassigned", "Node1"} <= said
    assert said & set(trained().classes)


# --- golden files: the original program on 178 cells ---------------------------------------------------------------


@pytest.fixture(scope="module")
def golden(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue("shared") / "golden" / "classifiers" / "pbmc68k_a"


def counts(folder: Path, part: str) -> AnnData:
    cells = pd.read_csv(folder / f"cells_{part}.tsv", sep="\t", dtype=str)
    X = scipy.io.mmread(folder / f"counts_{part}.mtx.gz").T.tocsr()
    genes = (folder / "genes.txt").read_text().split()
    return AnnData(
        X, obs=pd.DataFrame({"label": cells["label"].to_numpy()}, index=cells["cell"]), var=pd.DataFrame(index=genes)
    )


@pytest.fixture(scope="module")
def original(golden: Path) -> Chetah:
    return Chetah().fit(counts(golden, "train"), "label")


def dense(model: Chetah, adata: AnnData) -> np.ndarray:
    return adata[:, model.genes].X.toarray()


def test_golden_tree_and_gene_lists(golden: Path, original: Chetah) -> None:
    keys = ["node", "type"]
    nodes = pd.read_csv(golden / "chetah" / "nodes.tsv", sep="\t").rename(columns={"node_label": "label"})
    pd.testing.assert_frame_equal(
        original.nodes.sort_values(keys, ignore_index=True),
        nodes.sort_values(keys, ignore_index=True),
        check_dtype=False,
    )
    assert list(original.classes) == list(dict.fromkeys(nodes["type"]))
    lists = pd.read_csv(golden / "chetah" / "genes.tsv.gz", sep="\t")[["node", "type", "rank", "gene"]]
    pd.testing.assert_frame_equal(original.gene_lists(), lists, check_dtype=False)


def test_scores_are_those_of_the_golden(golden: Path, original: Chetah) -> None:
    X = dense(original, counts(golden, "test"))
    assert original._model is not None
    rho = ranks.correlate(X, np.arange(len(original._model.power)), original._model)
    mine = {
        "correlations": pd.DataFrame(rho, columns=original.profile_scores(X).columns),
        "prof_scores": original.profile_scores(X),
        "conf_scores": original.confidences(X),
    }
    for name, frame in mine.items():
        for node in range(1, 8):
            expected = pd.read_csv(golden / "chetah" / f"{name}_node{node}.csv.gz", index_col=0)
            assert list(frame[node].columns) == list(expected.columns)
            # the files hold 15 significant digits: up to 5e-15 of a value above 1
            np.testing.assert_allclose(frame[node].to_numpy(), expected.to_numpy(), rtol=5e-15, atol=1e-15)


@pytest.mark.parametrize("threshold", ["0", "0.01", "0.1"])
def test_golden_cell_labels(golden: Path, original: Chetah, threshold: str) -> None:
    expected = pd.read_csv(golden / "chetah" / f"cell_labels_thresh{threshold}.tsv", sep="\t", index_col="cell")
    said = original.with_threshold(float(threshold)).predict(counts(golden, "test"))
    assert said.to_dict() == expected["cell_type"].to_dict()


def test_golden_cluster_labels(golden: Path, original: Chetah) -> None:
    adata = counts(golden, "test")
    expected = pd.read_csv(golden / "chetah" / "cluster_labels.tsv", sep="\t", index_col="cluster")
    for cluster, row in expected.iterrows():
        label, share, votes = vote(original.predict(adata[adata.obs["label"] == cluster]).to_numpy())
        assert (label, votes) == (
            row["prediction"],
            {k: int(v) for k, v in (p.rsplit(":", 1) for p in row["votes"].split("|"))},
        )
        assert share == pytest.approx(row["odd"], abs=1e-14)


def test_modified_cells_are_labelled_as_in_the_golden(golden: Path, original: Chetah) -> None:
    adata = counts(golden, "test")
    expected = (
        pd.read_csv(golden / "modifications" / "expected.tsv", sep="\t")
        .query("classifier == 'CHETAH'")
        .set_index("case")
    )
    cases = json.loads((golden / "modifications" / "cases.json").read_text())
    compared = 0
    for case in cases:
        cluster = Cluster(adata, "label", case["cluster"])
        genes = cluster.positions(case["genes"])
        old = cluster.X[:, genes]
        if case["kind"] == "quantile":
            new = cluster.statistics.quantile(genes, case["p1"])[None, :]
        elif case["kind"] == "max_times":
            new = (case["p1"] * cluster.statistics.maximum(genes))[None, :]
        else:
            new = np.where(old > 0, old * (1 + case["p1"]), old * (1 - case["p1"])) + case["p2"]
        row = expected.loc[case["case"]]
        wanted = (row["prediction"], pytest.approx(row["odd"], abs=1e-14))
        scorer = original.scorer(cluster)
        answer = scorer.together(genes, new)
        assert (answer.label, answer.share) == wanted
        if len(genes) == 1:
            alone = scorer.each(genes, new)
            assert (alone.label[0], alone.share[0]) == wanted
        changed = with_values(adata, cluster.rows, genes, new)[cluster.rows]
        scores = original.profile_scores(dense(original, changed))
        scores.columns = [f"n{node}:{kind}" for node, kind in scores.columns]
        path = golden / "modifications" / f"{case['case']}_chetah_prof.csv.gz"
        if path.exists():  # kept for 24 of the 28 cases
            compared += 1
            table = pd.read_csv(path, index_col=0).T
            np.testing.assert_allclose(scores[table.columns].to_numpy(), table.to_numpy(), rtol=5e-15, atol=1e-15)
    assert compared == 24


# --- the scorer against full re-prediction -------------------------------------------------------------------------


def again(model: Chetah, cluster: Cluster, rows: np.ndarray) -> tuple[str, float, list[str]]:
    labels = model.decide(rows[:, model.align(cluster.genes)]).labels
    label, share, _ = vote(labels)
    return label, share, list(labels)


def changed(rows: np.ndarray, genes: np.ndarray, values: np.ndarray) -> np.ndarray:
    rows = rows.copy()
    rows[:, genes] = values
    return rows


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_queries_and_changes_equal_full_prediction(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from([np.float32, np.float64, np.int32]))
    seed, types = data.draw(st.integers(0, 2)), data.draw(st.sampled_from([2, 5, 7]))
    model = trained(seed, types).with_threshold(data.draw(st.sampled_from([-2.0, 0.0, 0.05, 0.7])))
    adata = toy(data.draw(st.integers(0, 50)))
    adata.X = sp.csr_matrix(adata.X.astype(dtype)) if data.draw(st.booleans()) else adata.X.astype(dtype)
    cluster = Cluster(adata, "cluster", data.draw(st.sampled_from(["c0", "c1", "lone"])))
    scorer, rows = model.scorer(cluster), cluster.X.copy()
    for _ in range(data.draw(st.integers(1, 5))):
        genes = np.array(data.draw(st.lists(st.integers(0, GENES - 1), unique=True, max_size=GENES)), dtype=np.int64)
        height = data.draw(st.sampled_from([1, cluster.n_cells]))
        rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
        pool = data.draw(st.lists(st.sampled_from(VALUES) | st.floats(-10, 10), min_size=1, max_size=6))
        values = rng.choice(np.array(pool), size=(height, len(genes)))

        label, share, labels = again(model, cluster, rows)
        assert (scorer.baseline.label, scorer.baseline.share, list(scorer.baseline.labels)) == (label, share, labels)
        every = scorer.each(genes, values)
        assert not every.rejected.any()
        for k, gene in enumerate(genes):
            alone = again(model, cluster, changed(rows, genes[[k]], values[:, [k]]))
            assert (every.label[k], every.share[k]) == alone[:2]
            if not scorer.reads(genes[[k]])[0]:
                assert alone == (label, share, labels), gene
        answer = scorer.together(genes, values)
        full = changed(rows, genes, values)
        assert (answer.label, answer.share, list(answer.labels)) == again(model, cluster, full)
        if data.draw(st.booleans()):
            scorer.accept(genes, values)
            rows = full


@pytest.mark.slow
def test_long_lists_keep_wider_orders() -> None:
    reference = toy(3, genes=400)
    model = Chetah(300).fit(reference, "type")
    cluster = Cluster(toy(4, genes=400), "cluster", "c1")
    scorer, genes = model.scorer(cluster), np.arange(0, 400, 7)
    values = np.random.default_rng(0).poisson(3, size=(cluster.n_cells, len(genes))).astype(float)
    answers = scorer.each(genes, values)
    for k in range(len(genes)):
        expected = again(model, cluster, changed(cluster.X, genes[[k]], values[:, [k]]))
        assert (answers.label[k], answers.share[k]) == expected[:2]


def test_each_finds_flips_that_a_whole_new_prediction_confirms() -> None:
    adata, model = toy(7, cells=200), trained().with_threshold(0.0)
    cluster = Cluster(adata, "cluster", "lone")
    genes, values = np.arange(GENES), np.full((1, GENES), 1e6)
    scorer = model.scorer(cluster)
    answers = scorer.each(genes, values)
    flips = np.flatnonzero(answers.label != scorer.baseline.label)
    assert len(flips)
    for gene in genes:
        attacked = with_values(adata, cluster.rows, genes[[gene]], values[:, [gene]])
        answer = model.predict_cluster(attacked, cluster.rows, "lone", cluster.labels, None)
        assert (answer.label, answer.share) == (answers.label[gene], answers.share[gene])


def test_fork_is_independent() -> None:
    cluster = Cluster(toy(7), "cluster", "c0")
    scorer = trained().scorer(cluster)
    before = list(scorer.baseline.labels)
    fork, genes = scorer.fork(), np.arange(0, GENES, 2)
    values = np.full((1, len(genes)), 50.0)
    expected = list(scorer.together(genes, values).labels)
    assert expected != before
    every, highs = np.arange(GENES), np.arange(GENES, dtype=float)[None, :]
    alone = scorer.each(every, highs)
    fork.accept(genes, values)
    after = scorer.each(every, highs)
    assert (list(after.label), list(after.share)) == (list(alone.label), list(alone.share))
    assert list(fork.baseline.labels) == expected
    assert list(scorer.baseline.labels) == before
    assert list(scorer.together(genes[:0], values[:, :0]).labels) == before


def test_values_are_rounded_as_the_data_would_round_them() -> None:
    adata = toy(1)
    adata.X = (adata.X / 10).astype(np.float32)  # 0.1 in float32 is above 0.1 in float64
    cluster, model = Cluster(adata, "cluster", "c0"), trained()
    genes, values = np.arange(GENES), np.full((1, GENES), 0.1)
    answers = model.scorer(cluster).each(genes, values)
    for k in genes:
        attacked = with_values(adata, cluster.rows, genes[[k]], values[:, [k]])
        label, share, _ = vote(model.predict(attacked).to_numpy()[cluster.rows])
        assert (answers.label[k], answers.share[k]) == (label, share)
