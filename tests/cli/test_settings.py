"""Settings of attacks on the command line, read off the attacks; sets of attacks by name; the printed table."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any

import pytest

import adverscarial as adv
from adverscarial.attacks import Attack, SingleGeneResult
from adverscarial.attacks.base import ATTACKS
from adverscarial.attacks.columns import Option
from adverscarial.attacks.registered import attacks
from adverscarial.cli.app import loaded
from adverscarial.cli.recipes import PAPER, STEPS, Recipe, attacks_of_recipe
from adverscarial.cli.settings import attacks_of, flag_of
from adverscarial.errors import ParameterError

WHERE = ["--groupby", "cell_type", "--target", "Dendritic", "--classifier", "markers"]


def test_every_offered_setting_is_one():
    for name, kind in attacks().items():
        known = {field.name for field in fields(kind)}
        assert {option.setting for option in kind.options} <= known, name


@pytest.mark.parametrize("command", ["attack", "survey"])
def test_every_setting_is_an_option(command):
    flags = {flag for parameter in loaded(command).params for flag in parameter.opts}
    assert {f"--{flag_of(option)}" for kind in attacks().values() for option in kind.options} <= flags


def test_a_setting_goes_to_the_attacks_that_have_it():
    found = attacks_of(
        ["cgd", "single-gene"], ["perc1"], {"alpha": 0.5, "gene": ["CD3D"], "epsilon": None, "first": True}
    )
    assert found == [
        adv.attacks.ClusterGradientDescent(0.5, genes=("CD3D",)),
        adv.attacks.SingleGene("perc1", genes=("CD3D",), first=True),
    ]


def test_targets_and_genes_left_alone_of_every_attack_that_has_them():
    given = {"towards": ["B", "NK"], "exclude": ["CD3D"], "change_type": "named"}
    names = ["single-gene", "max-change", "min-change"]
    for attack in attacks_of(names, ["perc1"], given):
        assert (attack.aim, attack.exclude, attack.change_type) == (("B", "NK"), ("CD3D",), "named")
    for attack in attacks_of(["grid", "random-walk"], ["perc1"], {"gene": ["CD3D"], "towards": ["B"]}):
        assert attack.towards == "B"


@pytest.mark.slow
def test_only_flips_to_a_label_count_on_the_command_line(run, cells_file, tmp_path):
    more = ["--modification", "positive_aberrant", "--json"]
    towards = ["--towards", "CD19+ B"]
    code, out, err = run("attack", cells_file, *WHERE, *more, *towards, "--out", tmp_path / "genes.csv")
    assert code == 0, err
    row = json.loads(out)
    assert row["towards"] == "CD19+ B"
    code, out, err = run("attack", cells_file, *WHERE, *more)
    assert 0 < row["flipped"] < json.loads(out)["flipped"], err
    limit = ["--fail-over", str(row["flipped"])]
    code, _, err = run("attack", cells_file, *WHERE, *more, *towards, *limit)
    assert code == 0, err
    code, _, _ = run("attack", cells_file, *WHERE, *more, *limit)
    assert code == 1
    code, out, err = run("survey", cells_file, *WHERE, *more[:2], *towards, "--out", tmp_path / "run")
    assert code == 0, err
    assert "→ CD19+ B" in " ".join(out.split())
    assert "→ CD19+ B" in (tmp_path / "run" / "report.html").read_text()


def test_a_switch_can_be_turned_off(run, cells_file):
    more = ["--attack", "cgd", "--gene", "CD3D", "--gene", "CST3", "--json"]
    code, out, err = run("attack", cells_file, *WHERE, *more, "--no-stop-at-switch", "--order", "variance")
    assert code == 0, err
    assert json.loads(out)["tested"] == 2


def test_a_setting_that_no_attack_has():
    with pytest.raises(ParameterError, match=r"'max-change' has no alpha .*--restarts"):
        attacks_of(["max-change"], ["perc1"], {"alpha": 1.0})


@pytest.fixture
def example():
    """An attack of another package, with an option of its own and two that mean something else already."""

    @dataclass(frozen=True, repr=False)
    class Example(Attack[SingleGeneResult], name="example"):
        modification: Any = "perc1"
        power: int = 1
        seed: int = 0
        alpha: str = ""
        options = (
            Option("power", int, "How often [it is done]."),
            Option("seed", int, "Not the seed of the command."),
            Option("alpha", str, "A text."),
        )

        def perform(self, run):
            return adv.attacks.SingleGene(self.modification, genes=("CD3D", "CST3")[: self.power]).perform(run)

    yield Example
    del ATTACKS._things["example"]


def test_an_attack_of_another_package(run, cells_file, example):
    code, out, err = run("attack", cells_file, *WHERE, "--attack", "example", "--power", "2", "--json")
    assert code == 0, err
    assert json.loads(out)["tested"] == 2
    code, out, _ = run("attack", "--help")
    assert code == 0
    assert "How often [it is done] (example)" in " ".join(out.replace("│", " ").split())
    alpha = next(p for p in loaded("attack").params if p.name == "alpha")
    assert "A text" not in alpha.help


def test_a_recipe_chooses_the_attacks_and_takes_no_other(run, cells_file, tmp_path):
    paper = attacks_of_recipe(Recipe.paper)
    assert [str(a.modification) for a in paper if isinstance(a, adv.attacks.SingleGene)] == list(PAPER)
    assert {type(a).__name__ for a in paper} == {"SingleGene", "MaxChange", "ClusterGradientDescent"}
    for recipe in Recipe:
        assert len(attacks_of_recipe(recipe)) >= len(STEPS[recipe])
        assert f"{recipe}:" in " ".join(next(p for p in loaded("survey").params if p.name == "recipe").help.split())
    arguments = ["survey", cells_file, *WHERE, "--recipe", "quick", "--out", tmp_path / "run", "--json"]
    code, out, err = run(*arguments)
    assert code == 0, err
    assert [row["modification"] for row in json.loads(out)["rows"]] == ["perc1", "perc99"]
    for other in (["--modification", "perc1"], ["--attack", "cgd"], ["--alpha", "1"]):
        code, _, err = run(*arguments, *other)
        assert code == 2
        assert f"leave out {other[0]}" in err


@pytest.mark.slow
def test_the_table_shows_every_kind_of_attack(run, cells_file, tmp_path):
    more = ["--attack", "single-gene", "--attack", "cgd", "--attack", "max-change", "--modification", "perc1"]
    code, out, err = run("survey", cells_file, *WHERE, *more, "--budget", "40", "--out", tmp_path / "run")
    assert code == 0, err
    assert out.index("single genes that flip") < out.index("genes that must not change") < out.index("runner-up")
    assert "† not every gene was tested alone" in out
    frame = adv.Survey.load(tmp_path / "run")
    descent = next(result for result in frame.results if type(result.attack).__name__ == "ClusterGradientDescent")
    said = out[out.index("runner-up") :]
    assert (f"{descent.label}, {descent.genes_needed:,} genes" if descent.success else "held") in said


@pytest.mark.parametrize(
    ("limit", "attack", "expected"),
    [("cgd=0", "cgd", {0}), ("cgd=9999", "cgd", {0, 1}), ("pgd=0", "pgd", {0, 1}), ("pgd=1", "pgd", {2})],
)
def test_gates_of_other_attacks(run, cells_file, limit, attack, expected):
    more = ["--attack", attack, "--gene", "CST3", "--epsilon", "9", "--fail-over", limit, "--json"]
    code, out, err = run("attack", cells_file, *WHERE, *more)
    assert code in expected, err
    if code != 2:
        assert code == int(json.loads(out)["success"] and not limit.endswith("cgd=0"))


def test_raw_takes_the_place_of_x(run, pbmc_small, tmp_path):
    cells = pbmc_small.copy()
    cells.raw = cells
    cells = cells[:, :50].copy()
    cells.X = cells.X * 0
    cells.write_h5ad(tmp_path / "cells.h5ad")
    model = adv.classifiers.Markers().fit(pbmc_small, "cell_type")
    model.save(tmp_path / "model.npz")
    code, out, err = run("classify", tmp_path / "cells.h5ad", "--classifier", tmp_path / "model.npz", "--raw", "--json")
    assert code == 0, err
    assert json.loads(out)["labels"] == model.predict(pbmc_small).value_counts().to_dict()
    code, _, err = run("convert", tmp_path / "cells.h5ad", tmp_path / "whole.h5ad", "--raw")
    assert code == 0, err
    whole = adv.datasets.load(tmp_path / "whole.h5ad")
    assert whole.n_vars == pbmc_small.n_vars
    code, _, err = run("convert", tmp_path / "whole.h5ad", tmp_path / "again.h5ad", "--raw")
    assert code == 2
    assert "has no adata.raw" in err


def test_verdicts_rest_on_what_a_recipe_proves(pbmc_small):
    """Of every cluster that holds under single genes, it is known how many genes must change together."""
    chosen = [a for a in attacks_of_recipe(Recipe.thorough) if a.name in ("single-gene", "min-change")]
    chosen = [a for a in chosen if a.changes_text in ("perc1", "perc99")]
    assert sorted(a.name for a in chosen) == ["min-change", "min-change", "single-gene", "single-gene"]
    model = adv.classifiers.Markers().fit(pbmc_small, "cell_type")
    table = adv.survey(pbmc_small, model, attacks=chosen, groupby="cell_type").verdicts()
    robust = table[table["verdict"] == "robust"]
    assert len(robust) > 1
    assert (robust["lower"] > 1).all()
    assert robust["reason"].str.contains(r"at least \d+ genes must change together \(proven\)").all()


@pytest.mark.parametrize("command", ["survey", "attack", "train", "classify", "report", "convert"])
def test_options_stand_in_groups(command):
    """No option is left in the group that is only called Options, but ``--help``."""
    options = [p for p in loaded(command).params if p.param_type_name == "option" and p.name != "help"]
    assert [p.name for p in options if not getattr(p, "rich_help_panel", None)] == []
