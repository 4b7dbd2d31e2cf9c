"""``--fail-over``: which outcomes fail, and what must be known to pass."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from adverscarial.attacks import MaxChange, SingleGene, attacks
from adverscarial.cli.exits import LimitExceeded, NotDecided
from adverscarial.cli.gates import Outcome, judge, limits_of
from adverscarial.errors import ParameterError

SINGLE, MAX = SingleGene("perc1"), MaxChange("perc1")


@pytest.fixture(scope="module")
def found(pbmc_small):
    """A result with some flips and a signature, and ones that a budget ended."""
    import adverscarial as adv

    model = adv.classifiers.Markers().fit(pbmc_small, "cell_type")
    where = {"groupby": "cell_type", "target": "CD14+ Monocyte"}
    return {
        "single": SINGLE(pbmc_small, model, **where),
        "max": MAX(pbmc_small, model, **where),
        "short": SINGLE(pbmc_small, model, **where, budget=3),
        "short max": dataclasses.replace(MAX(pbmc_small, model, **where), complete=False),
    }


def outcome(result, attack=None):
    return Outcome(attack or result.attack, "cluster '[B]'", result)


def verdict(texts, outcomes):
    limits = limits_of(texts, [outcome.attack for outcome in outcomes])
    try:
        judge(limits, outcomes)
    except LimitExceeded:
        return 1
    except NotDecided:
        return 2
    return 0


def test_a_number_of_single_genes(found, capsys):
    flips = len(found["single"].genes)
    assert verdict([str(flips)], [outcome(found["single"])]) == 0
    assert capsys.readouterr().err == ""
    if flips:
        assert verdict([f"single-gene={flips - 1}"], [outcome(found["single"])]) == 1
        assert f"{flips} single genes flip cluster '[B]'; --fail-over allows {flips - 1}." in capsys.readouterr().err


def test_a_short_signature_fails(found, capsys):
    length = len(found["max"].signature)
    assert verdict([f"max-change={length}"], [outcome(found["max"])]) == 0
    assert verdict([f"max-change={length + 1}"], [outcome(found["max"])]) == 1
    assert f"--fail-over allows no fewer than {length + 1}." in capsys.readouterr().err


def test_a_spent_budget_decides_nothing(found, capsys):
    assert verdict(["765"], [outcome(found["single"]), outcome(found["short"])]) == 2
    err = capsys.readouterr().err
    assert "Not decided: cluster '[B]' (the budget ended SingleGene(Percentile(1)))." in err
    assert "cannot pass what was not tested" in err
    assert verdict(["max-change=0"], [outcome(found["short max"])]) == 2


def test_genes_that_were_tested_in_groups_decide_nothing(pbmc_small, capsys):
    import adverscarial as adv

    model = adv.classifiers.Markers().fit(pbmc_small, "cell_type")
    grouped = SingleGene("perc1", search="bisect")(pbmc_small, model, groupby="cell_type", target="Dendritic")
    assert verdict(["765"], [outcome(grouped)]) == 2
    assert "not every gene was tested alone" in capsys.readouterr().err


def test_a_failed_attack_decides_nothing(found, capsys):
    assert verdict(["765"], [outcome(found["single"]), outcome(None, SINGLE)]) == 2
    assert "SingleGene(Percentile(1)) failed" in capsys.readouterr().err


def test_a_cluster_that_has_the_label_already_is_decided(found, capsys):
    already = Outcome(SINGLE, "cluster 'B'", None, "AlreadyThere: towards='B' is the label that the cluster has.")
    assert verdict(["765"], [outcome(found["single"]), already]) == 0
    assert capsys.readouterr().err == ""


def test_what_is_beyond_a_limit_fails_whatever_else_is_not_known(found):
    limits = [f"max-change={len(found['max'].signature) + 1}", "765"]
    assert verdict(limits, [outcome(found["max"]), outcome(found["short"])]) == 1


def test_attacks_without_a_limit_are_not_judged(found):
    assert verdict([], [outcome(found["short"])]) == 0
    assert verdict(["765"], [outcome(found["single"]), outcome(found["short max"])]) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max-change=3", "Add --attack max-change, or set a limit for what is asked for: single-gene=N"),
        ("many", "Give a whole number of single genes"),
        ("-1", "Give a whole number"),
        ("1.5", "Give a whole number"),
        ("=3", "Give a whole number"),
        ("single-gene=", "Give a whole number"),
        ("single-gne=3", "Did you mean 'single-gene'"),
    ],
)
def test_limits_that_cannot_be_compared(text, message):
    with pytest.raises(ParameterError, match=message):
        limits_of([text], [SINGLE])


def test_every_attack_of_this_package_has_a_gate():
    columns = {name: kind.result_type().gate.column for name, kind in attacks().items()}
    assert columns == {
        "single-gene": "flipped", "max-change": "signature", "min-change": "lower", "cgd": "modified",
        "grid": "genes_modified", "random-walk": "genes_modified", "fgsm": "success", "pgd": "success",
    }  # fmt: skip


def test_an_attack_without_a_gate_cannot_be_judged(monkeypatch):
    monkeypatch.setattr(SINGLE.result_type(), "gate", None)
    with pytest.raises(ParameterError, match="'single-gene' has no gate, so --fail-over cannot judge it"):
        limits_of(["single-gene=1"], [SINGLE])


@pytest.mark.parametrize(("genes", "expected"), [(5, 0), (6, 1)])
def test_a_descent_that_flips_with_few_genes_fails(pbmc_small, genes, expected, capsys):
    import adverscarial as adv

    model = adv.classifiers.Markers().fit(pbmc_small, "cell_type")
    attack = adv.attacks.ClusterGradientDescent(1, 10, max_genes=20, stop_at_switch=False)
    result = attack(pbmc_small, model, groupby="cell_type", target="CD19+ B")
    few = dataclasses.replace(result, switched=True, n_changed=(np.arange(len(result.gene)) < 5).astype(int))
    assert verdict([f"cgd={genes}"], [outcome(few)]) == expected
    assert verdict([f"cgd={genes}"], [outcome(dataclasses.replace(few, switched=False))]) == 0
    if expected:
        assert "moves of 5 genes flip cluster '[B]'; --fail-over allows no fewer than 6." in capsys.readouterr().err


def test_one_limit_for_each_attack():
    with pytest.raises(ParameterError, match="more than once"):
        limits_of(["1", "single-gene=2"], [SINGLE])
