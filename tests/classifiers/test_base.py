from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given
from hypothesis import strategies as st

from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers.answers import Answer, Answers, Ballot, Decision, argmax_labels, is_named, vote
from adverscarial.classifiers.base import Classifier, mismatch_message
from adverscarial.classifiers.scorers.base import Scorer
from adverscarial.classifiers.scorers.general import GeneralScorer
from adverscarial.errors import ClassifierError, DataError, GeneMismatchError

LABELS = st.lists(st.sampled_from(["B", "NK", "T", "b", "Naive", "Ä"]), min_size=1, max_size=30)


class Threshold(Classifier):
    """High or low, by the first of its genes."""

    classes = ("low", "high")

    def __init__(self, genes: list[str] | None = None) -> None:
        self.genes = None if genes is None else pd.Index(genes)
        self.seen: list[int] = []

    def decide(self, X: np.ndarray) -> Decision:
        self.seen.append(len(X))
        scores = np.stack([1 - X[:, 0], X[:, 0]], axis=1)
        return Decision(argmax_labels(self.classes, scores), scores)


class Mute(Threshold):
    gives_scores = False


def cells(n: int = 4, genes: str = "xyz") -> AnnData:
    X = np.zeros((n, len(genes)))
    X[:, 0] = np.arange(n) / n
    obs = pd.DataFrame({"type": ["low"] * (n // 2) + ["high"] * (n - n // 2)}, index=[f"cell{i}" for i in range(n)])
    return AnnData(X, obs=obs, var=pd.DataFrame(index=list(genes)))


# ---- votes


@given(labels=LABELS)
def test_vote_takes_the_most_frequent_then_the_alphabetically_first(labels: list[str]) -> None:
    label, share, votes = vote(np.array(labels))
    counts = Counter(labels)
    assert votes == counts
    assert label == min(counts, key=lambda name: (-counts[name], name))
    assert share == counts[label] / len(labels)
    assert list(votes.values()) == sorted(votes.values(), reverse=True)


@given(labels=LABELS, order=st.permutations(["B", "NK", "T", "b", "Naive", "Ä"]))
def test_ballot_counts_as_vote_does(labels: list[str], order: list[str]) -> None:
    ballot = Ballot(order)
    codes = np.array([order.index(label) for label in labels])
    answer = ballot.answer(codes)
    label, share, votes = vote(np.array(labels))
    assert (answer.label, answer.share) == (label, share)
    assert answer.labels is not None
    assert answer.labels.tolist() == labels
    assert dict(zip(order, ballot.count(codes), strict=True)) == {name: votes.get(name, 0) for name in order}


def test_ballot_judges_many_queries_at_once() -> None:
    labels, shares = Ballot(["T", "B"]).winners(np.array([[2, 2], [3, 1], [0, 4]]))
    assert labels.tolist() == ["B", "T", "B"]
    assert shares.tolist() == [0.5, 0.75, 1.0]


@pytest.mark.parametrize(
    "label", ["Unassigned", "unknown", "UNDETERMINED", "Node3", "node12", "NaN", "NA", "", " none "]
)
def test_labels_that_mean_i_do_not_know(label: str) -> None:
    assert not is_named(label)


@pytest.mark.parametrize("label", ["B", "Node", "nodes3", "Node3b", "Nanog+ cell", "unknown B"])
def test_labels_that_name_a_cell_type(label: str) -> None:
    assert is_named(label)


def test_argmax_takes_the_first_on_a_tie() -> None:
    assert argmax_labels(["T", "B"], np.array([[1.0, 1.0], [0.0, 1.0]])).tolist() == ["T", "B"]


# ---- prediction


def test_predict_and_scores_carry_the_names() -> None:
    adata = cells()
    labels, scores = Threshold().predict(adata), Threshold().scores(adata)
    assert labels.to_dict() == {"cell0": "low", "cell1": "low", "cell2": "low", "cell3": "high"}
    assert labels.name == "Threshold"
    assert list(scores.columns) == ["low", "high"]
    assert list(scores.index) == list(adata.obs_names)
    np.testing.assert_array_equal(scores["high"], adata.X[:, 0])


def test_predict_finds_its_genes_and_its_layer() -> None:
    adata = cells(genes="abx")
    adata.layers["other"] = adata.X[:, ::-1].copy()
    assert set(Threshold(["x", "b"]).predict(adata)) == {"low"}
    assert Threshold(["x", "b"]).predict(adata, layer="other").tolist() == ["low", "low", "low", "high"]
    with pytest.raises(DataError, match=r"no layer 'othr'.*Did you mean 'other'"):
        Threshold().predict(adata, layer="othr")


def test_predict_reads_many_cells_in_parts() -> None:
    model = Threshold()
    adata = cells(9000)
    assert len(model.predict(adata)) == 9000
    assert model.seen == [4096, 4096, 808]
    np.testing.assert_array_equal(model.scores(adata)["high"], adata.X[:, 0])


def test_predict_of_no_cells_is_empty() -> None:
    model = Threshold()
    assert not len(model.predict(cells()[:0]))
    assert model.scores(cells()[:0]).shape == (0, 2)


def test_predict_refuses_what_is_no_number() -> None:
    adata = cells()
    adata.X[1, 2] = np.nan
    with pytest.raises(DataError, match="1 NaN or infinite"):
        Threshold().predict(adata)
    adata = cells()
    adata.var_names = ["x", "y", "y"]
    with pytest.raises(DataError, match=r"'y'.*var_names_make_unique"):
        Threshold().predict(adata)


def test_labels_without_scores() -> None:
    with pytest.raises(ClassifierError, match="labels only"):
        Mute().scores(cells())


def test_ready_made_classifiers_cannot_be_trained_or_stored(tmp_path: Any) -> None:
    with pytest.raises(ClassifierError, match="cannot be trained"):
        Threshold().fit(cells(), "type")
    with pytest.raises(ClassifierError, match="cannot be stored"):
        Threshold().save(tmp_path / "model.npz")
    assert not list(tmp_path.iterdir())


def test_predict_cluster_classifies_its_rows() -> None:
    adata = cells(6)
    for needs_all_cells in (False, True):
        model = Threshold()
        model.needs_all_cells = needs_all_cells
        answer = model.predict_cluster(adata, np.array([0, 4, 5]), "any", adata.obs["type"].to_numpy(), None)
        assert (answer.label, answer.share) == ("high", 2 / 3)
        assert answer.labels is not None
        assert answer.labels.tolist() == ["low", "high", "high"]
        assert answer.scores is not None
        np.testing.assert_array_equal(answer.scores[:, 1], adata.X[[0, 4, 5], 0])
        assert model.seen == [6 if needs_all_cells else 3]


def test_summary_counts_by_type() -> None:
    table = Threshold().summary(cells(), "type").set_index("cell_type")
    assert table.loc["low"].to_list() == [2, 2, 1.0, ""]
    assert table.loc["high"].to_list() == [2, 1, 0.5, "low"]


# ---- gene names


def test_align_gives_positions_in_the_classifiers_order() -> None:
    assert Threshold(["z", "x"]).align(pd.Index(list("xyz"))).tolist() == [2, 0]
    assert Threshold().align(pd.Index(list("xyz"))).tolist() == [0, 1, 2]
    with pytest.raises(GeneMismatchError, match=r"needs 2 genes, 1 of them are in the data\. First missing: 'w'"):
        Threshold(["w", "x"]).align(pd.Index(list("xyz")))


@pytest.mark.parametrize(
    ("needed", "have", "says"),
    [
        (["CD3D", "NKG7"], ["Cd3d", "Nkg7"], "upper and lower case only"),
        (["HLA.DRA", "HLA.DRB1", "CD3D"], ["HLA-DRA", "HLA-DRB1", "CD3D"], "'-' and '.' only"),
        (["HLA-DRA", "CD3D"], ["HLA.DRA", "CD3D"], "'-' and '.' only"),
        (["CD3D", "NKG7"], ["ENSG01", "ENSG02"], "The data's names look like Ensembl ids: use datasets.gene_symbols"),
        (["ENSG01", "ENSG02"], ["CD3D", "NKG7"], "The classifier's names look like Ensembl ids"),
        (["CD3D", "NKG7"], ["CD3D", "LST1"], "trained on other genes"),
    ],
)
def test_mismatched_names_come_with_a_guess(needed: list[str], have: list[str], says: str) -> None:
    assert says in mismatch_message("Model", pd.Index(needed), pd.Index(have))


# ---- what a scorer gets for free


class Counting(Scorer):
    """Answers with the sum of the new values, and can refuse."""

    @property
    def baseline(self) -> Any:
        return self.together(np.empty(0, dtype=int), np.empty((1, 0)))

    def together(self, genes: np.ndarray, values: np.ndarray) -> Any:
        return Answer(str(values.sum()), 1.0, rejected=bool((values < 0).any()))

    def accept(self, genes: np.ndarray, values: np.ndarray) -> None:
        raise AssertionError("queries change nothing")

    def fork(self) -> Counting:
        return self


def test_each_asks_gene_by_gene_unless_a_scorer_knows_better() -> None:
    answers = Counting().each(np.array([3, 1, 2]), np.array([[1.0, 2.0, -3.0], [4.0, 5.0, 6.0]]))
    assert isinstance(answers, Answers)
    assert answers.label.tolist() == ["5.0", "7.0", "3.0"]
    assert answers.rejected.tolist() == [False, False, True]
    assert not len(Counting().each(np.empty(0, dtype=int), np.empty((1, 0))).label)
    assert Counting().reads(np.arange(3)).all()


def test_the_general_scorer_is_the_default() -> None:
    scorer = Threshold().scorer(Cluster(cells(6), "type", "high"))
    assert isinstance(scorer, GeneralScorer)
    assert not scorer.incremental
    assert (scorer.baseline.label, scorer.baseline.share) == ("high", 2 / 3)
