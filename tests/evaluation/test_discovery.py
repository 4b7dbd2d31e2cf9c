"""What attacks single out, beside statistics; overlaps against counting by hand."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import adverscarial as adv
from adverscarial.attacks import ClusterGradientDescent, MaxChange, MinChange, SingleGene
from adverscarial.errors import DataError, ParameterError
from adverscarial.evaluation import differential, discover
from adverscarial.evaluation.overlap import overlaps_of

GENES = [f"g{i}" for i in range(20)]
LINEAR = adv.classifiers.Markers({"A": ["g0"], "B": ["g5", "g6"], "C": ["g9"]})


@pytest.fixture(scope="module")
def cells() -> AnnData:
    """Each type has its genes; the others differ between no types."""
    rng = np.random.default_rng(3)
    X = np.log1p(rng.poisson(1.0, (90, 20))).astype(np.float32)
    X[:30, 0] += 2
    X[30:60, 5:7] += 2
    X[60:, 9] += 2
    names = np.repeat(["A", "B", "C"], 30)
    return AnnData(X, obs=pd.DataFrame({"group": names}, index=[f"c{i}" for i in range(90)]),
                   var=pd.DataFrame(index=GENES))  # fmt: skip


@pytest.fixture(scope="module")
def survey(cells: AnnData) -> adv.Survey:
    attacks = [SingleGene("perc1"), SingleGene("perc99"), SingleGene("positive_aberrant"), MaxChange("perc1")]
    attacks += [ClusterGradientDescent(3, 3, genes=GENES), MinChange("perc1")]
    return adv.survey(cells, {"linear": LINEAR, "again": LINEAR}, attacks=attacks, groupby="group")


@pytest.mark.slow
def test_every_attack_says_what_it_singles_out(survey: adv.Survey, cells: AnnData) -> None:
    table = discover(survey, cells).genes
    assert set(table["attack"]) == {"single gene", "signature", "descent", "smallest set"}
    assert "positive_aberrant" not in set(table["modification"])  # impossible values say nothing of the types
    for task, result in zip(survey.tasks, survey.results, strict=True):
        assert result is not None
        if result.attack.impossible:
            continue
        mine = (table["classifier"] == task.classifier) & (table["cluster"] == task.target)
        mine &= table["modification"] == result.attack.changes_text
        found = result.singled_out()
        expected = set() if found is None else {(found.kind, str(gene)) for gene in found.genes}
        assert expected <= set(zip(table.loc[mine, "attack"], table.loc[mine, "gene"], strict=True))


@pytest.mark.slow
def test_its_statistics_are_those_of_differential(survey: adv.Survey, cells: AnnData) -> None:
    mine = discover(survey, cells).genes.query("attack == 'single gene'")
    keys = ["classifier", "cluster", "modification", "gene"]
    theirs = differential(survey, cells)
    both = mine.merge(theirs, on=keys, suffixes=("", "_other"))
    assert len(both) == len(theirs) == len(mine) > 0
    for column in ("label", "against", "significant"):
        assert (both[column] == both[f"{column}_other"]).all()
    np.testing.assert_allclose(both["p_adjusted"], both["p_adjusted_other"])


def test_a_signature_is_compared_with_all_other_cells(survey: adv.Survey, cells: AnnData) -> None:
    part = discover(survey, cells).genes.query("attack == 'signature'")
    assert set(part["against"]) == {"all other cells"}
    assert set(part["label"]) == {""}


@pytest.mark.slow
def test_missed_genes_are_those_that_do_not_differ(survey: adv.Survey, cells: AnnData) -> None:
    found = discover(survey, cells)
    assert (found.missed["p_adjusted"] >= 0.05).all()
    strict = discover(survey, cells, alpha=1e-30)
    assert len(strict.missed) > len(found.missed)
    summary = strict.summary()
    assert summary["missed"].sum() == len(strict.missed)
    assert summary["genes"].sum() == len(strict.genes)
    assert "missed by statistics" in str(strict)


@pytest.mark.slow
def test_repeats_are_counted(survey: adv.Survey, cells: AnnData) -> None:
    table = discover({"one": survey, "two": survey}, {"one": cells, "two": cells}).genes
    assert set(table["datasets"]) == {2}
    assert set(table["classifiers"]) == {2}
    for (attack, gene), part in table.groupby(["attack", "gene"]):
        assert part["clusters"].unique().tolist() == [part["cluster"].nunique()], (attack, gene)


def by_hand(shared: int, one: int, other: int, universe: int) -> float:
    """Return the share of all draws of `other` genes that hold at least `shared` of `one` genes."""
    whole = range(shared, min(one, other) + 1)
    return sum(comb(one, k) * comb(universe - one, other - k) for k in whole) / comb(universe, other)


def test_overlaps_against_counting() -> None:
    sets = {
        ("d", "m", "A"): "g0 g1 g2",
        ("d", "m", "B"): "g1 g2 g3 g4",
        ("d", "n", "A"): "g0",
        ("e", "m", "A"): "G1 G9",
    }
    rows = [(*place, "signature", "perc1", gene) for place, genes in sets.items() for gene in genes.split()]
    table = pd.DataFrame(rows, columns=["dataset", "classifier", "cluster", "attack", "modification", "gene"])
    genes = {"d": pd.Index(GENES), "e": pd.Index([name.upper() for name in GENES[:10]])}
    pairs = overlaps_of(table, genes, {("d", "m"): 12, ("d", "n"): 20, ("e", "m"): 10}).set_index("across")
    assert pairs.index.tolist() == ["clusters", "classifiers", "datasets"]
    same = pairs.loc["clusters"]
    assert (same["shared"], same["universe"], same["jaccard"]) == (2, 12, 2 / 5)  # 8 of 20 are not read
    assert same["p_value"] == pytest.approx(by_hand(2, 3, 4, 12))
    assert pairs.loc["classifiers", "p_value"] == pytest.approx(by_hand(1, 3, 1, 20))
    far = pairs.loc["datasets"]  # the union of A and B, among the ten genes that both data sets have
    assert (far["size_one"], far["size_other"], far["shared"], far["universe"]) == (5, 2, 1, 10)
    assert far["p_value"] == pytest.approx(by_hand(1, 5, 2, 10))
    order = np.sort(pairs["p_value"])
    adjusted = np.minimum.accumulate((order * 3 / np.arange(1, 4))[::-1])[::-1]
    np.testing.assert_allclose(np.sort(pairs["q_value"]), np.minimum(adjusted, 1))


def test_genes_that_were_not_attacked_cannot_be_shared(cells: AnnData) -> None:
    named = ["g0", "g5", "g6", "g9", "g12"]  # of which the classifier reads four
    attack = SingleGene("perc1", genes=named)
    found = discover(adv.survey(cells, {"linear": LINEAR}, attacks=attack, groupby="group"), cells).overlaps
    assert set(found["universe"]) == {4}


def test_pairs_differ_in_one_thing_alone(survey: adv.Survey, cells: AnnData) -> None:
    found = discover(survey, cells)
    sets = found.genes.groupby(["attack", "modification", "classifier", "cluster"])["gene"].agg(set)
    expected = sum(
        (a[2] == b[2]) != (a[3] == b[3]) for a, b in combinations(sets.index, 2) if a[:2] == b[:2]
    )  # fmt: skip
    assert len(found.overlaps) == expected
    twins = found.overlaps.query("across == 'classifiers'")
    assert (twins["jaccard"] == 1).all()  # the same classifier twice


def test_nothing_found_and_bad_input(survey: adv.Survey, cells: AnnData) -> None:
    firm = adv.survey(cells, {"one": lambda X: ["A"] * len(X)}, attacks=SingleGene("perc1"), groupby="group")
    nothing = discover(firm, cells)
    assert len(nothing.genes) == len(nothing.overlaps) == len(nothing.missed) == 0
    with pytest.raises(ParameterError, match="nothing to draw"):
        adv.pl.discovery(nothing)
    with pytest.raises(ParameterError, match="draws what"):
        adv.pl.discovery(nothing.genes)
    with pytest.raises(ParameterError, match="discover needs surveys"):
        discover("x", cells)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="alpha must lie"):
        discover(survey, cells, alpha=1)
    with pytest.raises(DataError, match="no cells of 'two'"):
        discover({"two": survey}, {"one": cells})
    with pytest.raises(DataError, match="has no cluster 'A'"):
        discover(survey, cells[30:])


@pytest.mark.slow
def test_the_picture_has_a_bar_for_each_attack_and_classifier(survey: adv.Survey, cells: AnnData) -> None:
    found = discover(survey, cells)
    bars, dots = adv.pl.discovery(found)
    rows = found.summary()
    assert len(bars.get_yticks()) == len(rows)
    assert sum(patch.get_width() for patch in bars.patches) == rows["genes"].sum()
    drawn = sum(len(points.get_offsets()) for points in dots.collections)
    assert drawn == len(found.overlaps)
