"""A function in R answers through every route what the same function answers in numpy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.classifiers.adapters.r.conftest import CLASSES, GENES, SCRIPT, W, said_here
from tests.classifiers.scorer_law import check_scorer_law

import adverscarial as adv
from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers import RClassifier, check, wrap
from adverscarial.classifiers.adapters.r.transport import Kind
from adverscarial.classifiers.answers import vote

ASK: dict[str, Any] = {"groupby": "cluster", "target": "c0"}

HOW: dict[str, dict[str, Any]] = {
    "labels": {"function": "labels"},
    "scores": {"function": "scores"},
    "data.frame": {"function": "scores", "expression": "data.frame"},
    "dgCMatrix": {"function": "scores", "expression": "dgCMatrix"},
    "columns": {"function": "of_columns", "cells_in": "columns"},
    "columns of a data.frame": {"function": "of_columns", "cells_in": "columns", "expression": "data.frame"},
    "columns of a dgCMatrix": {"function": "of_columns", "cells_in": "columns", "expression": "dgCMatrix"},
    "all cells": {"function": "scores", "needs_all_cells": True},
    "clusters": {"function": "of_cluster"},
    "clusters, data.frame": {"function": "of_cluster", "expression": "data.frame"},
}


def like(how: str) -> Any:
    """Return the same classifier in Python."""
    if how.startswith("clusters"):

        def of_cluster(expression, clusters, target):
            return vote(said_here(expression.to_numpy()[(clusters == target).to_numpy()]))[:2]

        return wrap(of_cluster)
    if HOW[how]["function"] == "scores":
        return wrap(lambda X: np.asarray(X, dtype=np.float64) @ W, classes=CLASSES)
    return wrap(said_here)


@pytest.mark.fast(2)
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix], ids=["dense", "sparse"])
def test_attacks_find_the_same(how: str, form: Any, write: Callable[[str], Path], cells: AnnData) -> None:
    cells.X = form(cells.X)
    with RClassifier(write(SCRIPT), **HOW[how]) as model:
        for attack in (adv.attacks.SingleGene("perc99", search="exact"), adv.attacks.MaxChange("perc1", restarts=1)):
            there, here = (attack(cells, one, **ASK, seed=1) for one in (model, like(how)))
            # c(label, score) is text in R, and its score has 15 digits
            pd.testing.assert_frame_equal(there.to_frame(), here.to_frame(), rtol=1e-14)
            assert (there.baseline, there.label, there.genes) == (here.baseline, here.label, here.genes)
            assert there.verify(cells, model)


@pytest.mark.slow
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("kind", ["pipes", "socket"])
def test_the_law_of_scorers(how: str, kind: Kind, write: Callable[[str], Path], cells: AnnData) -> None:
    model = RClassifier(write(SCRIPT), **HOW[how])
    model.close()
    model._workers.program = replace(model._workers.program, kind=kind)
    games = {} if not how.startswith("clusters") else {"games": 2}
    check_scorer_law(model, cells, **ASK, moves=6, genes=4, rounding_ties=True, **games)
    assert bool(check(model, cells, groupby="cluster")), check(model, cells, groupby="cluster")
    model.close()


@pytest.mark.slow
def test_a_gradient_descent_through_scores(write: Callable[[str], Path], cells: AnnData) -> None:
    attack = adv.attacks.ClusterGradientDescent(alpha=0.5, epsilon=0.5)
    with RClassifier(write(SCRIPT), "scores") as model:
        there, here = (attack(cells, one, **ASK) for one in (model, like("scores")))
    assert there.steps.equals(here.steps)
    assert len(there.steps)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, rscript: str):
    """A scorer in R and its classifier, for many random changes."""
    script = tmp_path_factory.mktemp("r") / "model.R"
    script.write_text(SCRIPT)
    X = np.random.default_rng(3).gamma(0.9, 1.5, size=(17, len(GENES)))
    cells = AnnData(X, var={"names": GENES})
    cells.var_names, cells.obs["cluster"] = GENES, ["c0"] * 9 + ["c1"] * 8
    with RClassifier(script, "scores") as model:
        yield cells, model.scorer(Cluster(cells, "cluster", "c0"))


@pytest.mark.slow
@given(st.data())
@settings(max_examples=60)
def test_any_change_and_any_number_of_changes_for_good(asked, data: st.DataObject) -> None:
    cells, scorer = asked
    now, X = scorer.fork(), cells.X[:9].copy()
    values = st.floats(-1e6, 1e6)
    for _ in range(data.draw(st.integers(1, 4))):
        genes = np.array(data.draw(st.lists(st.integers(0, 5), unique=True, min_size=1)))
        rows = data.draw(st.sampled_from([1, 9]))
        new = np.array(data.draw(st.lists(values, min_size=rows * len(genes), max_size=rows * len(genes))))
        new = new.reshape(rows, len(genes))
        changed = X.copy()
        changed[:, genes] = new
        answer = now.together(genes, new)
        np.testing.assert_allclose(answer.scores, changed @ W, rtol=1e-12, atol=1e-6)
        assert answer.share == vote(answer.labels)[1]
        if data.draw(st.booleans()):
            now.accept(genes, new)
            X = changed
        if data.draw(st.booleans()):
            now = now.fork()
        np.testing.assert_allclose(now.together(genes[:0], new[:, :0]).scores, X @ W, rtol=1e-12, atol=1e-6)
    np.testing.assert_allclose(scorer.together(genes[:0], new[:, :0]).scores, cells.X[:9] @ W, rtol=1e-12)


@pytest.mark.slow
def test_a_function_of_clusters_gets_names_and_clusters(write: Callable[[str], Path], cells: AnnData) -> None:
    cells.obs["cluster"] = cells.obs["cluster"].astype(object)
    cells.obs.iloc[3, 0] = np.nan
    script = write(
        "f <- function(expression, clusters, target) {\n"
        "  stopifnot(rownames(expression)[1:2] == c('barcode0', 'barcode1'), colnames(expression)[3] == 'HLA-DRA',\n"
        "    identical(names(clusters), rownames(expression)), is.na(clusters[4]), target == 'c0')\n"
        "  list(prediction = paste(class(expression)[1], sum(clusters == target, na.rm = TRUE)), odd = 0.25)\n}"
    )
    for expression in ("matrix", "data.frame"):
        with RClassifier(script, "f", expression=expression) as model:
            said = adv.predict(cells, model, **ASK)
            assert (said.label, said.share) == (f"{expression} {(cells.obs['cluster'] == 'c0').sum()}", 0.25)
            assert model.scorer(Cluster(cells, **ASK)).baseline.label == said.label


CLUSTERS = {
    "c('B', 0.75)": ("B", 0.75),
    "list('B', 0.75)": ("B", 0.75),
    "'B'": ("B", 1.0),
    "factor('B')": ("B", 1.0),
    "NA": ("NaN", 1.0),
    "c(NA, 0.5)": ("NaN", 0.5),
    "list(prediction = 'B')": ("B", 1.0),
    "list(prediction = 'B', odd = 0.1, typePredictions = 1)": ("B", 0.1),
    "NULL": "returned a NULL of length 0",
    "c('B', 'much')": "returned the score much; expected a number",
    "list(odd = 1)": "without 'prediction'",
    "list(prediction = 'B', cellTypes = 'B')": "returned cellTypes of 1 cells; the cluster has 14",
}


@pytest.mark.slow
@pytest.mark.parametrize("answer", CLUSTERS)
def test_what_a_function_of_clusters_may_answer(answer: str, write: Callable[[str], Path], cells: AnnData) -> None:
    expected = CLUSTERS[answer]
    with RClassifier(write(f"classify <- function(expression, clusters, target) {answer}")) as model:
        if isinstance(expected, str):
            with pytest.raises(adv.errors.ClassifierError, match=expected):
                adv.predict(cells, model, **ASK)
        else:
            said = adv.predict(cells, model, **ASK)
            assert (said.label, said.share) == expected


@pytest.mark.slow
@pytest.mark.parametrize("rows", ["clusters %in% target", "rep(TRUE, nrow(expression))"])
def test_a_function_of_clusters_with_scores_of_cells(rows: str, write: Callable[[str], Path], cells: AnnData) -> None:
    script = write(
        SCRIPT + "f <- function(expression, clusters, target) {\n"
        f"  s <- scores(expression[{rows}, ])\n"
        "  votes <- sort(table(best(s[seq_len(nrow(s)), ])), decreasing = TRUE)\n"
        "  list(prediction = names(votes)[1], odd = votes[[1]] / nrow(s), typePredictions = t(s),\n"
        "    cellTypes = best(s))\n}"
    )
    inside = (cells.obs["cluster"] == "c0").to_numpy()
    with RClassifier(script, "f") as model:
        answer = model.scorer(Cluster(cells, **ASK)).baseline
        assert answer.labels.tolist() == said_here(cells.X)[inside].tolist()
        np.testing.assert_allclose(answer.scores, cells.X[inside].astype(np.float64) @ W)
        assert model.classes == tuple(CLASSES)
