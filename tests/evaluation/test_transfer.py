"""Which flips carry over, counted by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import adverscarial as adv
from adverscarial.attacks import MinChange, SingleGene
from adverscarial.classifiers import Classifier, Guard, wrap
from adverscarial.errors import ParameterError

GENES = ["a", "b", "c", "d"]


@pytest.fixture
def cells() -> AnnData:
    """Two clusters, x with all genes 0 and y with all genes 1."""
    X = np.repeat([[0.0], [1.0]], 3, axis=0) * np.ones((6, 4))
    obs = pd.DataFrame({"cluster": list("xxxyyy")}, index=[f"c{i}" for i in range(6)])
    return AnnData(X, obs=obs, var=pd.DataFrame(index=GENES))


def any_of(*genes: str) -> Classifier:
    """Return a classifier that says "high" where one of these genes is above 1.5."""
    places = [GENES.index(gene) for gene in genes]

    def label(X: np.ndarray) -> np.ndarray:
        return np.where((X[:, places] > 1.5).any(axis=1), "high", "low")

    return wrap(label, classes=["high", "low"], genes=GENES)


def test_shares_by_hand(cells: AnnData) -> None:
    """Set to 2, a, b and c flip the first classifier, b, c and d the second, c the third: in both clusters."""
    models = {"abc": any_of("a", "b", "c"), "bcd": any_of("b", "c", "d"), "c": any_of("c"), "none": any_of()}
    survey = adv.survey(cells, models, attacks=SingleGene("fixed:2", search="exact"), groupby="cluster")
    table = adv.transfer(cells, survey, models, progress=False)
    assert table["n"].to_dict() == {"abc": 6, "bcd": 6, "c": 2, "none": 0}
    expected = [[1, 2 / 3, 1 / 3, 0], [2 / 3, 1, 1 / 3, 0], [1, 1, 1, 0], [np.nan] * 4]
    np.testing.assert_allclose(table.drop(columns="n"), expected)
    counts = adv.transfer(cells, survey, models, counts=True, progress=False)
    assert counts.loc["abc"].to_dict() == {
        "n": 6, "abc": 6, "abc rejected": 0, "bcd": 4, "bcd rejected": 0, "c": 2, "c rejected": 0, "none": 0,
        "none rejected": 0,
    }  # fmt: skip


def test_a_change_of_several_genes_is_one_flip(cells: AnnData) -> None:
    def both(X: np.ndarray) -> np.ndarray:
        return np.where((X[:, 0] > 1.5) & (X[:, 1] > 1.5), "high", "low")

    model = wrap(both, classes=["high", "low"], genes=GENES)
    result = MinChange("fixed:2")(cells, model, groupby="cluster", target="x")
    assert sorted(result.genes) == ["a", "b"]
    others = {"b": any_of("b"), "d": any_of("d")}
    table = adv.transfer(cells, [result], others, progress=False)
    assert table.iloc[0].to_dict() == {"n": 1, "b": 1, "d": 0}


def test_a_guard_refuses_what_the_others_let_pass(cells: AnnData) -> None:
    model = any_of("a", "b")
    guard = Guard(model, cells=False).fit(cells)  # up to 2
    result = SingleGene("fixed:9", search="exact")(cells, model, groupby="cluster", target="x")
    counts = adv.transfer(cells, result, {"free": model, "guarded": guard}, counts=True, progress=False)
    assert counts.iloc[0].to_dict() == {"n": 2, "free": 2, "free rejected": 0, "guarded": 0, "guarded rejected": 2}


def test_possible_and_impossible_values_are_not_added(cells: AnnData) -> None:
    models = {"a": any_of("a"), "ab": any_of("a", "b")}
    attacks = [SingleGene("positive_aberrant", search="exact"), SingleGene("fixed:2", search="exact", genes=["a"])]
    survey = adv.survey(cells, models, attacks=attacks, groupby="cluster")
    assert adv.transfer(cells, survey, models, progress=False).loc["ab"].to_dict() == {"n": 2, "a": 1, "ab": 1}
    impossible = adv.transfer(cells, survey, models, values="impossible", progress=False)
    assert impossible.loc["ab"].to_dict() == {"n": 4, "a": 0.5, "ab": 1}


@pytest.mark.parametrize("family", ["markers", "forest", "logistic"])
def test_each_flip_is_what_a_full_prediction_says(family: str) -> None:
    from laws.families import cells as random_cells
    from laws.families import classifier

    adata, other = random_cells(5), classifier(family)
    result = SingleGene("perc99")(adata, classifier("CHETAH"), groupby="cluster", target="c1")
    before = adv.predict(adata, other, groupby="cluster", target="c1").label
    after = [
        adv.predict(
            adv.modify(adata, [gene], "perc99", groupby="cluster", target="c1"), other, groupby="cluster", target="c1"
        ).label
        for gene in result.genes
    ]
    table = adv.transfer(adata, result, other, counts=True, progress=False)
    assert table.iloc[0, 0] == len(result.genes)
    assert table.iloc[0, 1] == sum(label != before for label in after)


def test_what_cannot_be_transferred_is_refused_in_words(cells: AnnData) -> None:
    result = SingleGene("fixed:2", search="exact")(cells, any_of("a"), groupby="cluster", target="x")
    with pytest.raises(ParameterError, match="writes impossible values"):
        adv.transfer(cells, result, any_of("a"), values="impossible")
    with pytest.raises(ParameterError, match="must be 'possible'"):
        adv.transfer(cells, result, any_of("a"), values="all")  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="is empty"):
        adv.transfer(cells, result, [])
    with pytest.raises(ParameterError, match="must hold results"):
        adv.transfer(cells, ["a"], any_of("a"))  # type: ignore[list-item]


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.DataFrame({"n": [1200, 0], "A": [1.0, np.nan], "B": [0.255, np.nan], "C": [0.001, 0]}, index=["A", "B"])


def test_the_figure_shows_percentages(table: pd.DataFrame) -> None:
    ax = adv.pl.transfer(table)
    assert [text.get_text() for text in ax.texts] == ["100", "26", "<1", "–", "–", "0"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["A (1,200)", "B (0)"]
    with pytest.raises(ParameterError, match="holds counts"):
        adv.pl.transfer(table.assign(B=3))
    with pytest.raises(ParameterError, match="Expected the table"):
        adv.pl.transfer(table.drop(columns="n"))


def test_a_signature_flips_nothing() -> None:
    cells = adv.datasets.embedded()
    model = adv.classifiers.Markers({"B": ["CD79A", "CD79B", "MS4A1"], "T": ["CD3D"]})
    kept = adv.attacks.MaxChange("perc1", restarts=1)(cells, model, groupby="cell_type", target="CD19+ B")
    assert kept.success
    assert adv.evaluation.transfer(cells, kept, {"x": model}, counts=True)["n"].tolist() == [0]
