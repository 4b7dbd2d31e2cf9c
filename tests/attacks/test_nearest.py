"""How near each gene came, and what became of its values: so that no answer is only 0, and none counts too much."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from sklearn.linear_model import LogisticRegression

import adverscarial as adv
from adverscarial.attacks import SingleGene, SingleGeneResult

GENES = ["mark", "other", "KIT", "off", "g4", "g5"]


@pytest.fixture(scope="module")
def cells() -> AnnData:
    """300 cells: ``mark`` is high in ``left``; one cell of 300 expresses ``KIT``, none ``off``."""
    rng = np.random.default_rng(0)
    X = rng.uniform(0.5, 1, (300, 6)).astype(np.float32)
    X[:100, 0] += 3
    X[100:, 1] += 3
    X[:, 2:4] = 0
    X[0, 2] = 2  # in ``left``
    obs = pd.DataFrame({"group": ["left"] * 100 + ["right"] * 200}, index=[f"c{i}" for i in range(300)])
    return AnnData(X, obs=obs, var=pd.DataFrame(index=GENES))


def lead_after(model: object, cells: AnnData, result: SingleGeneResult, gene: str) -> float:
    """Return the share of the lead that a gene takes, from full predictions."""
    wrapped = adv.classifiers.wrap(model)
    changed = adv.modify(cells, [gene], result.attack.modification, groupby="group", target=result.target)
    rows = (cells.obs["group"] == result.target).to_numpy()
    means = [np.asarray(wrapped.scores(data))[rows].mean(axis=0) for data in (cells, changed)]
    own = list(wrapped.classes).index(result.baseline)
    rival = max((k for k in range(len(means[0])) if k != own), key=lambda k: means[0][k])
    gaps = [mean[own] - mean[rival] for mean in means]
    return float(1 - gaps[1] / gaps[0])


def models(cells: AnnData) -> dict[str, object]:
    def scores(X: np.ndarray) -> np.ndarray:
        return np.stack([X[:, 0], X[:, 1] + 0.1 * X[:, 4], 0.5 + 0 * X[:, 0]], axis=1)

    return {
        "forest": adv.classifiers.RandomForest(n_estimators=50, seed=0).fit(cells, "group"),
        "markers": adv.classifiers.Markers({"left": ["mark", "g4"], "right": ["other", "g5"], "no": ["off"]}),
        "function": adv.classifiers.wrap(scores, classes=["left", "right", "no"]),
    }


@pytest.mark.fast(1)
@pytest.mark.parametrize("name", ["forest", "markers", "function"])
@pytest.mark.parametrize("modification", ["perc1", "perc99"])
def test_the_lead_is_that_of_full_predictions(cells, name, modification):
    model = models(cells)[name]
    result = SingleGene(modification, search="exact")(cells, model, groupby="group", target="left")
    frame = result.to_frame().set_index("gene")
    for gene in GENES:
        assert frame.loc[gene, "lead"] == pytest.approx(lead_after(model, cells, result, gene), abs=1e-6), gene


def test_two_classes_of_one_sum_have_a_lead(cells):
    fitted = LogisticRegression().fit(cells.X, cells.obs["group"].astype(str))
    result = SingleGene("perc1")(cells, fitted, groupby="group", target="left")
    sums = fitted.decision_function(cells.X[:100])
    off = cells.X[:100].copy()
    off[:, 0] = np.quantile(cells.X[:, 0], 0.01)
    share = 1 - fitted.decision_function(off).mean() / sums.mean()
    assert result.to_frame().set_index("gene").loc["mark", "lead"] == pytest.approx(share, rel=1e-5)


def test_a_network_has_a_lead_to_first_order(cells):
    model = adv.classifiers.MLP(seed=0, epochs=5).fit(cells, "group")
    result = SingleGene("perc1")(cells, model, groupby="group", target="left")
    assert result.to_frame().set_index("gene")["lead"].idxmax() == "mark"


def test_what_holds_is_graded(cells):
    """No gene flips ``left``, but the answer is not only 0."""
    model = models(cells)["function"]
    result = SingleGene("fixed:2.5", search="exact")(cells, model, groupby="group", target="left")
    assert result.genes == []
    near = result.nearest()
    assert near["gene"][0] == "other"
    assert 0 < near["lead"][0] < 1
    assert f"nearest   other takes no cell, and {near['lead'][0]:.0%} of the lead over the runner-up" in str(result)
    assert len(result.nearest(1)) == 1
    votes = SingleGene("fixed:3.6", search="exact")(cells, model, groupby="group", target="left")
    assert votes.genes == []
    assert votes.nearest()["votes"][0] == pytest.approx(1 - votes.to_frame()["share"].min())


def test_labels_alone_have_votes_and_no_lead(cells):
    def label(X: np.ndarray) -> np.ndarray:
        return np.where(X[:, 0] > 3.6, "left", "right")

    result = SingleGene("fixed:3.4", search="exact")(cells, label, groupby="group", target="left")
    assert np.isnan(result.lead).all()
    assert "the lead" not in str(result)


def test_a_value_that_moves_in_no_cell_is_told_apart_from_one_that_holds(cells):
    """KIT of one cell in 300 has a 99th percentile of 0: switching it on switches it off, or does nothing."""
    model = models(cells)["markers"]
    reads = adv.classifiers.Markers({"left": ["mark", "KIT"], "right": ["other", "off"]})
    left = SingleGene("perc99")(cells, reads, groupby="group", target="left")
    effects = left.to_frame().set_index("gene")["effect"]
    assert effects["KIT"] == "lowered although meant to raise"
    assert effects["off"] == "unchanged"
    assert effects["other"] == "changed"
    assert effects["g4"] == "not read"
    assert (left.row()["unchanged"], left.row()["opposite"], left.row()["held"]) == (1, 1, 6 - left.row()["flipped"])
    assert "1 of them unchanged (no cell's value moved), 1 lowered although meant to raise" in str(left)
    right = SingleGene("perc99")(cells, reads, groupby="group", target="right")
    assert right.to_frame().set_index("gene")["effect"]["KIT"] == "unchanged"
    on = SingleGene("perc99:expressing")(cells, reads, groupby="group", target="right")
    assert on.to_frame().set_index("gene")["effect"]["KIT"] == "changed"
    assert model is not None


def test_a_gene_that_is_switched_off_where_it_is_not_expressed_is_unchanged(cells):
    reads = adv.classifiers.Markers({"left": ["mark", "KIT"], "right": ["other", "off"]})
    result = SingleGene("perc1")(cells, reads, groupby="group", target="right")
    assert result.n_unchanged == 2


def test_genes_that_were_tested_together_say_nothing_of_their_values(cells):
    def label(X: np.ndarray) -> np.ndarray:
        return np.where(X[:, 0] > X[:, 1], "left", "right")

    result = SingleGene("perc1", search="bisect", bins=2)(cells, label, groupby="group", target="left")
    assert set(result.effects) == {""}
    assert result.n_unchanged == 0


def test_a_stored_result_has_it_all(cells, tmp_path):
    result = SingleGene("perc99")(cells, models(cells)["forest"], groupby="group", target="left")
    result.save(tmp_path / "r.npz")
    back = SingleGeneResult.load(tmp_path / "r.npz")
    pd.testing.assert_frame_equal(back.nearest(), result.nearest())
    assert (back.votes, back.right) == (result.votes, result.right) == ({"left": 100}, 100)


def test_right_cells_are_told_where_names_agree(cells):
    wrong = adv.classifiers.Markers({"left": ["other"], "right": ["mark"]})
    result = SingleGene("perc1")(cells, wrong, groupby="group", target="left")
    assert (result.baseline, result.right) == ("right", 0)
    other = adv.classifiers.Markers({"L cell": ["mark"], "R cell": ["other"]})
    assert SingleGene("perc1")(cells, other, groupby="group", target="left").right is None
