"""What holds for every attack: success is what a full prediction says, and the result depends on the seed alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from sklearn.linear_model import LogisticRegression

import adverscarial as adv
from adverscarial.attacks import (
    Attack,
    ClusterGradientDescent,
    ClusterGradientDescentResult,
    FastGradientSign,
    Grid,
    MaxChange,
    MinChange,
    ProjectedGradientDescent,
    RandomWalk,
    Result,
    SingleGene,
    SingleGeneResult,
)
from adverscarial.attacks.registered import attacks as by_name
from adverscarial.errors import ParameterError

TARGETS = ["CD56+ NK", "CD4+/CD25 T Reg"]
GENES = ["CD79A", "CD79B", "CD74", "GNLY", "NKG7", "GZMB"]
ATTACKS: list[Attack] = [
    SingleGene("positive_aberrant"),
    SingleGene("random"),
    SingleGene("positive_aberrant", search="bisect", bins=4),
    MaxChange("positive_aberrant", restarts=2),
    MaxChange("random", restarts=2),
    MinChange("positive_aberrant"),
    MinChange("perc1"),
    ClusterGradientDescent(1, 5, max_genes=15),
    ClusterGradientDescent(1, 5, order="random", max_genes=15),
    Grid(GENES, ["negative_aberrant", "random"]),
    RandomWalk(GENES, ["random", "positive_aberrant"], steps=30),
    FastGradientSign(2.0),
    FastGradientSign(20.0, genes=GENES),
    ProjectedGradientDescent(1.0, steps=5, random_start=True, restarts=2),
    ProjectedGradientDescent(15.0, norm="l2", steps=5, random_start=True),
]


@pytest.fixture(scope="module")
def scaled(pbmc_small: AnnData) -> AnnData:
    """Few genes, so that one alone can matter."""
    cells = adv.datasets.preprocess(pbmc_small, target_sum=None)
    return cells[:, list(dict.fromkeys([*adv.rank_genes(cells, "cell_type")[:12], *GENES]))].copy()


@pytest.fixture(scope="module")
def model(scaled: AnnData) -> adv.classifiers.Classifier:
    fitted = LogisticRegression(C=0.01, max_iter=1000).fit(scaled.X, scaled.obs["cell_type"].astype(str))
    return adv.classifiers.wrap(fitted, genes=list(scaled.var_names))


@pytest.fixture(scope="module")
def serial(scaled, model) -> adv.Survey:
    return run(scaled, model)


def run(scaled: AnnData, model: adv.classifiers.Classifier, seed: int = 3, **options) -> adv.Survey:
    return adv.survey(scaled, model, attacks=ATTACKS, groupby="cell_type", targets=TARGETS, seed=seed, **options)


def same(one: Result, other: Result) -> bool:
    """Return whether two results agree in everything but the time they took."""
    arrays, others = one.arrays(), other.arrays()
    rest = [f.name for f in dataclasses.fields(one) if f.name not in arrays and f.name != "seconds"]
    return (
        all(np.array_equal(arrays[name], others[name], equal_nan=arrays[name].dtype.kind == "f") for name in arrays)
        and all(getattr(one, name) == getattr(other, name) for name in rest)
        and one.to_frame().equals(other.to_frame())
    )


def test_every_attack_is_here():
    assert {type(attack) for attack in ATTACKS} == set(by_name().values())


@pytest.mark.parametrize("attack", ATTACKS, ids=repr)
def test_success_is_what_a_full_prediction_says(scaled, model, serial, attack):
    """By `verify`, by applying the change and predicting again, and not for a classifier that says otherwise."""
    results = [r for task, r in zip(serial.tasks, serial.results, strict=True) if task.attack == attack]
    assert len(results) == len(TARGETS)
    changed = 0
    for result in results:
        assert result.verify(scaled, model)
        if not result.genes:
            continue
        changed += 1
        answer = adv.predict(result.apply(scaled), model, groupby="cell_type", target=result.target)
        assert (answer.label, answer.share) == (result.label, pytest.approx(result.share))
        assert (result.label == result.baseline) == isinstance(attack, MaxChange)
        assert not result.verify(scaled, lambda X: np.repeat("something else", len(X)))
    assert changed > 0


def test_results_say_what_single_genes_do_or_that_they_do_not_know(scaled, model, serial):
    for result in serial.results:
        flips = result.flips()
        assert (flips is not None) == isinstance(result, SingleGeneResult)
        if flips is None:
            with pytest.raises(ParameterError, match="changes its genes together"):
                result.answer_to(str(scaled.var_names[0]))
            with pytest.raises(ParameterError, match=r"changes its genes together|No combination flips"):
                result.apply(scaled, str(scaled.var_names[0]))
            continue
        assert sorted(flips.genes) == sorted(result.genes)
        table = result.to_frame().set_index("gene")
        for gene in table.index:
            answer, row = result.answer_to(gene), table.loc[gene]
            if not row["alone"]:
                assert answer is None or answer.rejected
            elif row["outcome"] == "rejected":
                assert answer is not None
                assert answer.rejected
            else:
                assert answer is not None
                assert (answer.label, answer.share) == (row["label"], row["share"])
        with pytest.raises(ParameterError, match="did not test 'unheard of'"):
            result.answer_to("unheard of")


def test_only_descents_go_from_gene_to_gene(serial):
    for result in serial.results:
        path = result.trajectory()
        assert (path is not None) == isinstance(result, ClusterGradientDescentResult)
        if path is not None:
            assert path["gene"].tolist() == ["", *result.tested_genes]
            assert path["label"].iloc[-1] == result.label
            assert {name: path[name].iloc[0] for name in result.start} == pytest.approx(result.start, nan_ok=True)


def test_whole_numbers_are_those_of_the_row(serial):
    for result in serial.results:
        for column in result.columns:
            if column.kind == "whole":
                assert result.number_in(column.name) == result.row().get(column.name)
        assert result.number_in("unheard of") is None


def test_a_survey_gives_the_results_of_one_type(serial):
    found = serial.of(ClusterGradientDescentResult)
    assert len(found) == 2 * len(TARGETS)
    assert all(
        isinstance(result, ClusterGradientDescentResult) and task.attack == result.attack for task, result in found
    )


@pytest.mark.fast("threading")
@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_the_result_depends_on_the_seed_and_not_on_the_processes(scaled, model, serial, backend):
    parallel = run(scaled, model, n_jobs=2, backend=backend)
    pd.testing.assert_frame_equal(parallel.to_frame(), serial.to_frame())
    for one, other in zip(serial.results, parallel.results, strict=True):
        assert same(one, other), repr(one)


@pytest.mark.slow
def test_random_attacks_follow_the_seed(scaled, model, serial):
    other = run(scaled, model, seed=4)
    changed = {
        repr(task.attack)
        for task, one, two in zip(serial.tasks, serial.results, other.results, strict=True)
        if not one.to_frame().equals(two.to_frame())
    }
    assert changed >= {repr(attack) for attack in ATTACKS if "andom" in repr(attack)}
    assert repr(ATTACKS[0]) not in changed
