"""scAnnotatR's scorer beside the full prediction of changed cells, and on real cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st

from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers.families.scannotatr import ScAnnotatR
from adverscarial.modifications.base import with_values
from classifiers.families.test_scannotatr import VALUES, random_models, reference, toy

# ---- the scorer ----------------------------------------------------------------------------------------------------


def check(answer: Any, model: ScAnnotatR, models: list[dict[str, Any]], adata: AnnData, rows: np.ndarray) -> None:
    """Compare an answer with the classifier on the whole modified data, and with the specification."""
    full = model.predict_cluster(adata, rows, "a", np.array([]), None)
    assert (answer.label, answer.share, answer.rejected) == (full.label, full.share, False)
    assert answer.labels.tolist() == full.labels.tolist()
    np.testing.assert_allclose(answer.scores, full.scores, rtol=1e-9, atol=1e-300)
    p, labels = reference(models, adata.to_df())
    np.testing.assert_allclose(answer.scores, p[rows], rtol=1e-9, atol=1e-300)
    assert answer.labels.tolist() == labels[rows].tolist()


values = st.one_of(st.sampled_from(VALUES), st.floats(-5, 5, width=32))


@st.composite
def attacked(draw: st.DrawFn) -> tuple[AnnData, list[tuple[str, list[int], np.ndarray]]]:
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    n = draw(st.integers(3, 9))
    inside = draw(st.integers(1, n - 1))
    X = np.array(draw(st.lists(st.lists(values, min_size=8, max_size=8), min_size=n, max_size=n)), dtype=dtype)
    for gene in draw(st.lists(st.integers(0, 7), max_size=2)):
        X[:, gene] = X[0, gene]
    names = draw(st.permutations(["a"] * inside + ["b"] * (n - inside)))
    adata = AnnData(X, obs=pd.DataFrame({"c": names}, index=[f"c{i}" for i in range(n)]))
    adata.var_names = [f"g{j}" for j in range(8)]
    steps = []
    for _ in range(draw(st.integers(1, 4))):
        genes = draw(st.lists(st.integers(0, 7), min_size=1, max_size=8, unique=True))
        height = draw(st.sampled_from([1, inside]))
        block = draw(
            st.lists(st.lists(values, min_size=len(genes), max_size=len(genes)), min_size=height, max_size=height)
        )
        steps.append((draw(st.sampled_from(["each", "together", "accept", "fork"])), genes, np.array(block)))
    return adata, steps


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(attacked(), st.integers(0, 10_000))
def test_answers_equal_full_prediction(
    case: tuple[AnnData, list[tuple[str, list[int], np.ndarray]]], seed: int
) -> None:
    adata, steps = case
    models = random_models(seed)
    model = ScAnnotatR.from_models(models)
    cluster = Cluster(adata, "c", "a")
    rows, scorer = cluster.rows, model.scorer(cluster)
    check(scorer.baseline, model, models, adata, rows)
    for kind, positions, block in steps:
        genes = np.array(positions)
        changed = with_values(adata, rows, genes, block)
        if kind == "each":
            answers = scorer.each(genes, block)
            assert not answers.rejected.any()
            for k in range(len(genes)):
                alone = with_values(adata, rows, genes[[k]], block[:, [k]])
                full = model.predict_cluster(alone, rows, "a", np.array([]), None)
                assert (answers.label[k], answers.share[k]) == (full.label, full.share)
        elif kind == "together":
            check(scorer.together(genes, block), model, models, changed, rows)
        elif kind == "fork":
            other = scorer.fork()
            other.accept(genes, block)
            check(other.baseline, model, models, changed, rows)
        else:
            scorer.accept(genes, block)
            adata = changed
        check(scorer.baseline, model, models, adata, rows)  # queries and forks leave no trace


def test_genes_that_mark_nothing_are_not_read() -> None:
    adata = AnnData(
        np.random.default_rng(0).normal(size=(12, 8)),
        obs=pd.DataFrame({"c": ["a", "b"] * 6}, index=list("ABCDEFGHIJKL")),
    )
    adata.var_names = [f"g{j}" for j in range(8)]
    models = random_models(0, markers=3)
    marked = {gene for model in models for gene in model["feature_order"]}
    scorer = ScAnnotatR.from_models(models).scorer(Cluster(adata, "c", "a"))
    reads = scorer.reads(np.arange(8))
    assert reads.tolist() == [name in marked for name in adata.var_names]
    silent = np.flatnonzero(~reads)
    assert len(silent) >= 2
    assert scorer.together(silent, np.full((1, len(silent)), 1e9)) is scorer.baseline
    answers = scorer.each(silent, np.full((1, len(silent)), 1e9))
    assert (answers.label == scorer.baseline.label).all()
    assert (answers.share == scorer.baseline.share).all()
    before = scorer.baseline
    scorer.accept(silent, np.full((1, len(silent)), 1e9))
    assert scorer.baseline is before


def test_forks_go_their_own_ways() -> None:
    adata = toy(genes=8)
    models = random_models(2)
    model = ScAnnotatR.from_models(models)
    cluster = Cluster(adata, "type", "t0")
    scorer = model.scorer(cluster)
    fork = scorer.fork()
    for who, gene in ((scorer, 0), (fork, 1), (scorer, 2), (fork, 3)):
        who.accept(np.array([gene]), np.array([[9.0]]))
    for who, genes in ((scorer, [0, 2]), (fork, [1, 3])):
        changed = with_values(adata, cluster.rows, np.array(genes), np.array([[9.0, 9.0]]))
        check(who.baseline, model, models, changed, cluster.rows)


def test_large_values_that_differ_little() -> None:
    # sums of squares would lose everything here; values relative to a pivot lose nothing
    rng = np.random.default_rng(0)
    X = 1e9 + rng.integers(0, 3, size=(30, 8)).astype(np.float64)
    adata = AnnData(X, obs=pd.DataFrame({"c": ["a", "b", "b"] * 10}, index=[f"c{i}" for i in range(30)]))
    adata.var_names = [f"g{j}" for j in range(8)]
    models = random_models(1)
    model = ScAnnotatR.from_models(models)
    cluster = Cluster(adata, "c", "a")
    genes = np.arange(8)
    new = np.full((1, 8), 1e9 + 2)
    answer = model.scorer(cluster).together(genes, new)
    check(answer, model, models, with_values(adata, cluster.rows, genes, new), cluster.rows)


@pytest.mark.slow
def test_real_cells_are_labelled_well(shared: Path) -> None:
    import anndata
    import scanpy as sc

    adata = anndata.read_h5ad(shared / "data/pbmc3k.h5ad")
    adata = adata[adata.obs["cell_type"] != "UNDETERMINED"].copy()
    adata.obs["cell_type"] = adata.obs["cell_type"].astype(str)
    adata.X = adata.X.astype(np.float64)
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    first = adata.obs.groupby("cell_type").cumcount().to_numpy() % 2 == 0
    model = ScAnnotatR(seed=0).fit(adata[first].copy(), "cell_type")
    test = adata[~first].copy()
    said, truth = model.predict(test), test.obs["cell_type"]
    recall = (said == truth).groupby(truth.to_numpy()).mean()
    assert recall.mean() > 0.75
    assert (said == "unknown").mean() < 0.1
    cluster = Cluster(test, "cell_type", "B")
    scorer = model.scorer(cluster)
    assert scorer.baseline.label == "B"
    genes = cluster.positions(next(m.markers for m in model.models if m.cell_type == "B"))
    changed = with_values(test, cluster.rows, genes, np.zeros((1, len(genes))))
    full = model.predict_cluster(changed, cluster.rows, "B", np.array([]), None)
    answer = scorer.together(genes, np.zeros((1, len(genes))))
    assert answer.label == full.label != "B"
    np.testing.assert_allclose(answer.scores, full.scores, rtol=1e-9)
