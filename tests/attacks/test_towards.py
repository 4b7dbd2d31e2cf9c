"""``towards=``: only a flip to the labels that are named counts, in all attacks by a modification."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import adverscarial as adv
from adverscarial.attacks import Grid, MaxChange, MinChange, RandomWalk, Result, SingleGene
from adverscarial.attacks.storing import describe, rebuild
from adverscarial.errors import ParameterError
from adverscarial.evaluation import verify_certificate

WHERE = {"groupby": "cell_type", "target": "Dendritic"}
MONO = {"groupby": "cell_type", "target": "CD14+ Monocyte"}
ON = "perc99:expressing"
GENES = ["CD79A", "CD79B", "LYZ", "CST3"]
KINDS = [
    lambda towards: SingleGene("perc99", towards=towards),
    lambda towards: MaxChange("perc99", towards=towards),
    lambda towards: MinChange("perc99", towards=towards),
    lambda towards: Grid(GENES, towards=towards),
    lambda towards: RandomWalk(GENES, towards=towards),
]


@pytest.fixture(scope="module")
def model(pbmc_small):
    return adv.classifiers.Markers().fit(pbmc_small, "cell_type")


@pytest.fixture(scope="module")
def free(pbmc_small, model):
    """All flips of single genes, by the label that they lead to."""
    result = SingleGene("positive_aberrant")(pbmc_small, model, **WHERE)
    assert len(set(result.flips().labels)) > 2
    return result


@pytest.mark.slow
def test_single_genes_that_flip_to_one_label_or_to_some(pbmc_small, model, free):
    table = free.to_frame().set_index("gene")
    labels = sorted(set(free.flips().labels))
    for towards in (labels[0], labels[1:3], tuple(labels)):
        result = SingleGene("positive_aberrant", towards=towards)(pbmc_small, model, **WHERE)
        wanted = [towards] if isinstance(towards, str) else towards
        flips = table.index[(table["outcome"] == "flipped") & table["label"].isin(wanted)]
        assert set(result.genes) == set(flips)
        assert set(result.flips().labels) == set(wanted)
        assert result.verify(pbmc_small, model)
        again = result.to_frame().set_index("gene").loc[table.index]
        assert (again["label"] == table["label"]).all()  # what the classifier says is told, whatever counts


def test_groups_are_halved_until_the_label_is_found(pbmc_small, model, free):
    label = free.flips().labels[0]
    attack = SingleGene("positive_aberrant", search="bisect", bins=5, towards=str(label))
    result = attack(pbmc_small, model, **WHERE)
    assert set(result.genes) <= set(free.genes)
    assert set(result.flips().labels) == {label}


@pytest.mark.slow
def test_combinations_count_by_the_same_rule(pbmc_small, model):
    genes = ["CD79A", "CD3D", "LYZ", "NKG7"]
    every = Grid(genes, ["positive_aberrant"])(pbmc_small, model, **WHERE)
    table = every.to_frame()
    for label in set(table.loc[table["outcome"] == "flipped", "label"]):
        result = Grid(genes, ["positive_aberrant"], towards=label)(pbmc_small, model, **WHERE)
        mine = table[(table["outcome"] == "flipped") & (table["label"] == label)]
        assert result.counts["flipped"] == len(mine)
        assert (result.label, len(result.genes)) == (label, mine["n_genes"].min())
        walk = RandomWalk(genes, ["positive_aberrant"], towards=label)(pbmc_small, model, **WHERE)
        assert not walk.success or (walk.label == label and walk.verify(pbmc_small, model))


def test_the_signature_keeps_the_cluster_from_one_label_alone(pbmc_small, model):
    found = {}
    for label in ("Dendritic", "CD4+/CD45RO+ Memory"):
        result = MaxChange(ON, restarts=2, towards=label)(pbmc_small, model, **MONO)
        assert result.maximal
        assert result.label != label
        assert result.verify(pbmc_small, model)
        for gene in result.signature:  # one more, and the cluster gets that label
            changed = adv.modify(pbmc_small, [*result.genes, gene], ON, **MONO)
            assert adv.predict(changed, model, **MONO).label == label
        assert result.lower <= len(result.signature)
        found[label] = len(result.signature)
        assert f"does not become {label} while" in result.sentence
    assert max(found.values()) > 0


def test_the_fewest_genes_to_some_labels_are_those_to_the_nearest(pbmc_small, model, tmp_path):
    one = {
        label: MinChange(ON, towards=label)(pbmc_small, model, **MONO) for label in ("Dendritic", "CD4+/CD45RO+ Memory")
    }
    some = MinChange(ON, towards=list(one))(pbmc_small, model, **MONO)
    assert all(result.success and result.label == label for label, result in one.items())
    assert some.lower <= min(result.upper for result in one.values())
    assert some.upper >= min(result.lower for result in one.values())
    assert set(some.lower_by_rival["rival"]) == set(one)
    assert some.label in one
    assert some.verify(pbmc_small, model)
    file = some.certificate(pbmc_small, model).save(tmp_path / "proof.json")
    check = verify_certificate(file, pbmc_small)
    assert check
    assert "flips the label to Dendritic or CD4+/CD45RO+ Memory" in check.claim
    damaged = json.loads(file.read_text())
    damaged["claim"]["towards"] = ["nobody"]
    file.write_text(json.dumps(damaged))
    with pytest.raises(adv.errors.StorageError, match="damaged"):
        verify_certificate(file)


@pytest.mark.parametrize("make", KINDS)
def test_settings_are_checked_shown_and_stored(pbmc_small, model, make, tmp_path):
    attack = make(["CD19+ B"])
    assert attack == make("CD19+ B")
    assert "towards='CD19+ B'" in repr(attack)
    two = make(["CD19+ B", "CD56+ NK", "CD19+ B"])
    assert two.aim == ("CD19+ B", "CD56+ NK")
    for one in (attack, two):
        assert rebuild(json.loads(json.dumps(describe(one)))) == one
    for wrong in ([], 3, ["CD19+ B", 4]):
        with pytest.raises((ParameterError, TypeError), match=r"towards must name|not iterable"):
            make(wrong)
    with pytest.raises(ParameterError, match=r"never gives the label 'CD19 B'.*Did you mean 'CD19\+ B'"):
        make("CD19 B")(pbmc_small, model, **WHERE)
    with pytest.raises(ParameterError, match="is the label that the cluster has"):
        make("Dendritic")(pbmc_small, model, **WHERE)
    result = attack(pbmc_small, model, **WHERE)
    assert result.row()["towards"] == "CD19+ B"
    assert any("count only flips to CD19+ B" in note for note in result.notes)
    result.save(tmp_path / "found.npz")
    assert Result.load(tmp_path / "found.npz").row() == result.row()


def test_tables_and_verdicts_say_the_label(pbmc_small, model):
    attacks = [SingleGene("perc1"), SingleGene("perc1", towards=["CD19+ B", "CD56+ NK"]), SingleGene("perc99")]
    found = adv.survey(pbmc_small, model, attacks=attacks, groupby="cell_type", targets=["Dendritic"])
    assert found.to_frame()["towards"].fillna("").tolist() == ["", "CD19+ B or CD56+ NK", ""]
    alone = adv.survey(pbmc_small, model, attacks=attacks[1], groupby="cell_type", targets=["Dendritic", "CD19+ B"])
    assert alone.to_frame()["towards"].tolist() == ["CD19+ B or CD56+ NK"] * 2
    verdict = alone.verdicts().set_index("cluster").loc["Dendritic"]
    assert verdict["verdict"] != "robust"
    if verdict["verdict"] == "not decided":
        assert "counted only flips to CD19+ B or CD56+ NK" in verdict["reason"]
    plain = adv.survey(pbmc_small, model, attacks=attacks[::2], groupby="cell_type", targets=["Dendritic"])
    assert "towards" not in plain.to_frame()


def test_where_only_named_types_count_no_label_is_called_robust(pbmc_small, model):
    where = {"groupby": "cell_type", "target": "Dendritic"}
    some, named = (SingleGene("perc1", change_type=kind)(pbmc_small, model, **where) for kind in ("any", "named"))
    assert some.coverage(pbmc_small.n_vars).tested
    covered = named.coverage(pbmc_small.n_vars)
    assert not covered.tested
    assert covered.why == "SingleGene (perc1) counted only flips to a named type"
    assert "change_type" in covered.todo


def test_a_descent_tells_its_new_target_in_the_same_column(pbmc_small):
    scaled = adv.datasets.preprocess(pbmc_small, target_sum=None)
    attack = adv.attacks.ClusterGradientDescent(new_target="CD19+ B", max_genes=3)
    model = adv.classifiers.Markers().fit(scaled, "cell_type")
    result = attack(scaled, model, **WHERE)
    assert result.row()["towards"] == "CD19+ B"
    assert result.success or "does not become CD19+ B" in result.sentence
    assert isinstance(result.steps, pd.DataFrame)
    assert np.isfinite(result.share)
