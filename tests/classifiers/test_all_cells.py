"""Functions whose labels depend on all cells: found before an attack, and asked about all cells where that is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

import adverscarial as adv
from adverscarial.classifiers import Classifier, Decision, wrap
from adverscarial.errors import ClassifierError

ASK: dict[str, Any] = {"groupby": "cell_type", "target": "T"}
TYPES = np.array(["B", "NK", "T"], dtype=object)


def scores_of(X: np.ndarray) -> np.ndarray:
    """Mean z-scores over cells of three marker sets, as many annotators compute them."""
    X = np.asarray(X, dtype=np.float64)
    Z = (X - X.mean(axis=0)) / (X.std(axis=0) + 1e-9)
    return np.stack([Z[:, :3].mean(axis=1), Z[:, 3:6].mean(axis=1), Z[:, 6:9].mean(axis=1)], axis=1)


def z_scores(X: np.ndarray) -> np.ndarray:
    return TYPES[scores_of(X).argmax(axis=1)]


def each_cell(X: np.ndarray) -> np.ndarray:
    return TYPES[np.stack([X[:, :3].mean(1), X[:, 3:6].mean(1), X[:, 6:9].mean(1)]).argmax(axis=0)]


@pytest.fixture
def cells() -> AnnData:
    rng = np.random.default_rng(0)
    kind = np.arange(90) % 3
    X = rng.poisson(1.0, (90, 12)).astype(float)
    for k in range(3):
        X[kind == k, 3 * k : 3 * k + 3] += rng.poisson(2.5, (30, 3))
    obs = pd.DataFrame({"cell_type": TYPES[kind].astype(str)}, index=[f"cell{i}" for i in range(90)])
    return AnnData(np.log1p(X), obs=obs, var=pd.DataFrame(index=[f"G{i}" for i in range(12)]))


def expected(cells: AnnData, function: Any, gene: str, modification: str) -> tuple[str, float]:
    return voted(adv.modify(cells, [gene], modification, **ASK), function)


def voted(cells: AnnData, function: Any) -> tuple[str, float]:
    X = cells.X.toarray() if sp.issparse(cells.X) else cells.X
    said = function(X)[(cells.obs["cell_type"] == "T").to_numpy()]
    names, counts = np.unique(said.astype(str), return_counts=True)
    return names[counts.argmax()], counts.max() / counts.sum()


def test_such_a_function_is_refused_with_the_way_out(cells: AnnData) -> None:
    with pytest.raises(ClassifierError, match=r"depend on all cells of the data.*needs_all_cells=True"):
        adv.attacks.SingleGene("perc99")(cells, z_scores, **ASK)
    with pytest.raises(ClassifierError, match="all cells"):  # also where it gives scores
        adv.attacks.SingleGene("perc99")(cells, wrap(scores_of, classes=list(TYPES)), **ASK)
    adv.attacks.SingleGene("perc99")(cells, wrap(z_scores, needs_all_cells=False), **ASK)  # as it was told
    adv.attacks.SingleGene("perc99")(cells, each_cell, **ASK)


@pytest.mark.parametrize("sparse", [False, True])
def test_every_answer_is_that_of_all_cells(cells: AnnData, sparse: bool) -> None:
    cells.X = sp.csr_matrix(cells.X) if sparse else cells.X
    model = wrap(z_scores, needs_all_cells=True)
    frame = adv.attacks.SingleGene("perc99", search="exact")(cells, model, **ASK).to_frame()
    for row in frame.itertuples():
        assert (row.label, row.share) == pytest.approx(expected(cells, z_scores, row.gene, "perc99"))
    whole = cells.X.toarray() if sparse else cells.X
    assert model.predict(cells).tolist() == z_scores(whole).tolist()
    assert adv.classifiers.check(model, cells, groupby="cell_type")


ATTACKS = [
    adv.attacks.SingleGene("fixed:-50", search="exact"),
    adv.attacks.SingleGene("fixed:-50", search="bisect"),
    adv.attacks.MaxChange("fixed:-50", restarts=1),
    adv.attacks.MinChange("fixed:-50"),
    adv.attacks.RandomWalk(["G6", "G7", "G8"], ["fixed:-50"], tries=8, steps=3),
    adv.attacks.Grid(["G6", "G7", "G8"], ["fixed:-50"]),
    adv.attacks.ClusterGradientDescent(),
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: f"{attack.name}-{getattr(attack, 'search', '')}")
@pytest.mark.parametrize("names", [None, list(TYPES)], ids=["labels", "scores"])
def test_every_attack_asks_about_all_cells(cells: AnnData, names: Any, attack: Any) -> None:
    """The first and the last label are those that the function itself gives, with all cells there."""
    if attack.name == "cgd":
        names = list(TYPES)  # it needs scores
    function = z_scores if names is None else scores_of
    asked = []

    def counted(X: np.ndarray) -> np.ndarray:
        asked.append(len(X))
        return function(X)

    result = attack(cells, wrap(counted, classes=names, needs_all_cells=True), **ASK)
    assert set(asked) == {cells.n_obs}
    assert (result.baseline, result.baseline_share) == pytest.approx(voted(cells, z_scores))
    if attack.name == "single-gene":
        for row in result.to_frame().itertuples():
            assert (row.label, row.share) == pytest.approx(expected(cells, z_scores, row.gene, "fixed:-50"))
        return
    assert (result.label, result.share) == pytest.approx(voted(result.apply(cells), z_scores))
    assert result.verify(cells, wrap(function, classes=names, needs_all_cells=True))


def test_the_cost_is_said_once_and_before(cells: AnnData, caplog: pytest.LogCaptureFixture) -> None:
    said: list[int] = []

    def counted(X: np.ndarray) -> np.ndarray:
        said.append(len(caplog.records))
        return z_scores(X)

    model = wrap(counted, needs_all_cells=True)
    for target in ("T", "B"):
        adv.attacks.SingleGene("perc99")(cells, model, groupby="cell_type", target=target)
    assert set(said) == {1}
    assert caplog.messages == [
        "counted needs all cells: each query is about all 90 cells of the data, not only the 30 of 'T', and takes "
        "about 3 times as long."
    ]


def test_more_cells_than_are_asked_about_at_a_time(cells: AnnData) -> None:
    many = cells[np.tile(np.arange(90), 50)].copy()
    many.obs_names_make_unique()
    assert wrap(z_scores, needs_all_cells=True).predict(many).tolist() == z_scores(many.X).tolist()


def test_behind_preprocessing(cells: AnnData) -> None:
    def halved(X: np.ndarray) -> np.ndarray:
        return X / 2

    model = wrap(z_scores, needs_all_cells=True, preprocess=halved)
    right = adv.attacks.SingleGene("perc99")(cells, wrap(z_scores, needs_all_cells=True), **ASK).to_frame()
    pd.testing.assert_frame_equal(
        adv.attacks.SingleGene("perc99")(cells, model, **ASK).to_frame()[["gene", "label", "share"]],
        right[["gene", "label", "share"]],
    )

    def centred(X: np.ndarray) -> np.ndarray:
        return (X - X.mean(axis=0)) / (X.std(axis=0) + 1e-9)

    with pytest.raises(ClassifierError, match="all cells"):
        adv.attacks.SingleGene("perc99")(cells, wrap(each_cell, preprocess=centred), **ASK)


def test_a_class_of_ones_own_that_says_so_is_asked_about_all_cells(cells: AnnData) -> None:
    class OfAllCells(Classifier):
        needs_all_cells, gives_scores = True, False
        classes, genes = ("B", "NK", "T"), None

        def decide(self, X: np.ndarray) -> Decision:
            return Decision(z_scores(X), None)

    result = adv.attacks.SingleGene("perc99")(cells, OfAllCells(), **ASK)
    votes = pd.Series(z_scores(cells.X)[(cells.obs["cell_type"] == "T").to_numpy()]).value_counts()
    assert (result.baseline, result.baseline_share) == (votes.index[0], votes.iloc[0] / votes.sum())

    class Silent(OfAllCells):
        needs_all_cells = False

    with pytest.raises(ClassifierError, match="all cells"):
        adv.attacks.SingleGene("perc99")(cells, Silent(), **ASK)


def test_check_names_the_setting(cells: AnnData) -> None:
    report = adv.classifiers.check(z_scores, cells, groupby="cell_type")
    detail = report.table.set_index("check").loc["cells on their own", "detail"]
    assert "cells on their own" in report.failed
    assert "needs_all_cells=True" in detail
