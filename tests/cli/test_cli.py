from __future__ import annotations

import json
import subprocess
import sys

import anndata
import pandas as pd
import pytest

import adverscarial as adv


def attack_arguments(cells_file, *more):
    common = [
        "--groupby",
        "cell_type",
        "--target",
        "CD4+/CD25 T Reg",
        "--classifier",
        "sctype",
        "--preprocess",
        "scale",
    ]
    return ["attack", cells_file, *common, *more]


def test_every_command_has_help_with_an_example(run):
    code, out, _ = run("--help")
    assert code == 0
    for command in ("demo", "attack", "survey", "list", "train", "classify", "convert", "report"):
        assert command in out
        code, help_text, _ = run(command, "--help")
        assert code == 0
        assert "Example:" in help_text


def test_list_names_everything(run):
    code, out, _ = run("list", "--json")
    listed = json.loads(out)
    assert code == 0
    assert set(listed) == {"attacks", "modifications", "classifiers", "not_installed"}
    assert "model.R, model.R:FUNCTION" in listed["classifiers"]
    assert {"single-gene", "max-change"} <= set(listed["attacks"])
    assert "custom:module:function" in listed["modifications"]
    for name in set(listed["modifications"]) - {"custom:module:function"}:
        assert str(adv.modifications.parse(name)) == name
    code, out, _ = run("list")
    assert code == 0
    assert "perc99" in out


def test_attack_prints_what_the_library_finds(run, cells_file, pbmc_small):
    code, out, _ = run(*attack_arguments(cells_file, "--json"))
    assert code == 0
    answer = json.loads(out)
    scaled = adv.datasets.preprocess(pbmc_small, target_sum=None)
    attack = adv.attacks.SingleGene("perc99")
    result = attack(scaled, adv.classifiers.ScType(), groupby="cell_type", target="CD4+/CD25 T Reg")
    assert answer["genes"] == result.genes
    assert answer["baseline"] == result.baseline
    code, out, _ = run(*attack_arguments(cells_file))
    assert code == 0
    assert f"flipped   {len(result.genes)}" in out


@pytest.mark.parametrize("suffix", [".csv", ".npz", ".h5ad"])
def test_attack_writes_what_the_ending_says(run, cells_file, tmp_path, suffix):
    out = tmp_path / f"result{suffix}"
    code, _, err = run(*attack_arguments(cells_file, "--out", out))
    assert code == 0
    assert f"result{suffix}" in err.replace("\n", "")
    if suffix == ".csv":
        assert len(pd.read_csv(out)) == 765
    elif suffix == ".npz":
        assert adv.attacks.Result.load(out).target == "CD4+/CD25 T Reg"
    else:
        assert "adverscarial" in anndata.read_h5ad(out).uns


def test_fail_over_sets_the_exit_code(run, cells_file):
    code, _, err = run(*attack_arguments(cells_file, "--fail-over", "0"))
    assert code == 1
    assert "--fail-over allows 0" in err.replace("\n", " ")
    code, _, _ = run(*attack_arguments(cells_file, "--fail-over", "765"))
    assert code == 0


def test_an_attack_that_failed_is_no_pass(run, cells_file, tmp_path):
    arguments = ["survey", cells_file, "--groupby", "cell_type", "--target", "Dendritic", "--classifier", "sctype"]
    arguments += ["--attack", "single-gene", "--attack", "fgsm", "--modification", "perc1"]  # scType has no gradient
    for limit in ([], ["--fail-over", "765"]):
        code, out, err = run(*arguments, "--out", str(tmp_path / "run"), *limit)
        assert code == 2
        assert "Dendritic" in out
        assert "1 of 2 attacks failed" in err


def test_max_change_and_a_trained_classifier(run, cells_file):
    arguments = ["attack", cells_file, "--groupby", "cell_type", "--target", "Dendritic", "--classifier", "markers"]
    code, out, err = run(*arguments, "--attack", "max-change", "--modification", "perc1", "--json")
    assert code == 0
    assert json.loads(out)["maximal"] is True
    assert "the other half (347) is attacked" in err.replace("\n", " ")


def test_a_saved_classifier_is_read(run, cells_file, pbmc_small, tmp_path):
    model = adv.classifiers.Markers(n_markers=3).fit(pbmc_small, "cell_type")
    model.save(tmp_path / "markers.npz")
    arguments = ["attack", cells_file, "--groupby", "cell_type", "--target", "Dendritic", "--json"]
    code, out, _ = run(*arguments, "--classifier", tmp_path / "markers.npz")
    assert code == 0
    expected = adv.attacks.SingleGene("perc99")(pbmc_small, model, groupby="cell_type", target="Dendritic")
    assert json.loads(out)["genes"] == expected.genes


def test_survey_writes_table_and_report_and_goes_on(run, cells_file, tmp_path):
    arguments = ["survey", cells_file, "--groupby", "cell_type", "--preprocess", "scale", "--classifier", "sctype"]
    arguments += ["--target", "Dendritic", "--target", "CD19+ B", "--modification", "perc1", "--modification", "perc99"]
    arguments += ["--attack", "single-gene", "--attack", "max-change", "--out", tmp_path / "run"]
    code, out, _ = run(*arguments)
    assert code == 0
    assert "CD19+ B" in out
    table = pd.read_csv(tmp_path / "run" / "table.csv")
    assert len(table) == 8
    assert "<html" in (tmp_path / "run" / "report.html").read_text()
    code, out, _ = run(*arguments, "--json")
    assert code == 0
    assert len(json.loads(out)["rows"]) == 8
    code, _, err = run(*arguments, "--seed", "5")
    assert code == 2
    assert "belongs to another survey, which differs in seed" in err
    assert "seed: there 0, here 5" in err


@pytest.mark.slow
def test_survey_is_extended_from_the_shell(run, cells_file, tmp_path):
    asked = [
        "survey",
        cells_file,
        "--groupby",
        "cell_type",
        "--preprocess",
        "scale",
        "--modification",
        "perc1",
        "--json",
    ]
    asked += ["--train", cells_file]  # else a classifier that is trained leaves one half of the cells to attack
    first = [*asked, "--classifier", "sctype", "--target", "Dendritic"]
    more = [*first, "--target", "CD19+ B", "--attack", "single-gene", "--attack", "max-change", "--restarts", "1"]
    kept = tmp_path / "run" / "results" / "00000.npz"
    assert run(*first, "--out", tmp_path / "run")[0] == 0
    before = kept.read_bytes()  # with its times, which no second computation would repeat
    code, out, _ = run(*more, "--classifier", "linear", "--out", tmp_path / "run")
    assert code == 0
    code, fresh, _ = run(*more, "--classifier", "linear", "--out", tmp_path / "fresh")
    assert code == 0
    assert json.loads(out)["rows"] == json.loads(fresh)["rows"]
    assert len(json.loads(out)["rows"]) == 2 * 2 * 2
    assert kept.read_bytes() == before
    table = (tmp_path / "run" / "table.csv").read_bytes()
    assert table == (tmp_path / "fresh" / "table.csv").read_bytes()
    code, out, _ = run(*first, "--out", tmp_path / "run")  # fewer again: its table alone
    assert code == 0
    assert len(json.loads(out)["rows"]) == 1
    assert kept.read_bytes() == before


def test_clusters_that_have_the_label_already_do_not_fail_a_survey(run, cells_file, tmp_path):
    asked = ["survey", cells_file, "--groupby", "cell_type", "--preprocess", "scale", "--classifier", "sctype"]
    asked += ["--modification", "perc99", "--target", "Dendritic", "--target", "CD19+ B", "--gene", "LYZ"]
    code, out, err = run(*asked, "--towards", "Dendritic cell", "--out", tmp_path / "run")
    assert code == 0
    assert "already" in out
    assert "1 of 2 attacks had nothing to do" in err
    assert "failed" not in err


def test_missing_file_as_a_program(tmp_path):
    command = [
        sys.executable,
        "-m",
        "adverscarial",
        "attack",
        str(tmp_path / "no.h5ad"),
        "--groupby",
        "a",
        "--target",
        "b",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "no.h5ad" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_demo_prints_its_table_and_writes_its_report(run, tmp_path):
    code, out, err = run("demo", "--out", tmp_path / "demo")
    assert code == 0
    assert "ScType" in out
    assert "RandomForest" in out
    assert "Report:" in err
    assert (tmp_path / "demo" / "report.html").stat().st_size > 10_000
    assert len(pd.read_csv(tmp_path / "demo" / "table.csv")) == 3 * 10 * 7


@pytest.mark.parametrize(
    ("attack", "more"),
    [
        ("cgd", ["--gene", "CD3D", "--gene", "NKG7", "--alpha", "0.5", "--epsilon", "2"]),
        ("grid", ["--gene", "CD3D", "--gene", "NKG7", "--modification", "perc1", "--modification", "perc99"]),
        ("random-walk", ["--gene", "CD3D", "--gene", "NKG7"]),
        ("fgsm", ["--epsilon", "0.5"]),
        ("pgd", ["--epsilon", "0.5"]),
        ("max-change", []),
        ("min-change", ["--seconds", "1000", "--cell-sets"]),
    ],
)
def test_every_attack_can_be_asked_for(run, cells_file, attack, more):
    code, out, err = run(*attack_arguments(cells_file, "--attack", attack, *more, "--json"))
    assert code == 0, err
    answer = json.loads(out)
    assert answer["attack"] == adv.attacks.registered.named(attack).__name__
    assert answer["complete"]


def read_genes(adata, n):
    """Return genes that scType reads, so that each combination of them is a query."""
    return adv.classifiers.ScType().bind(adata.var_names).genes[:n]


def test_a_large_grid_is_tested_when_confirmed(run, cells_file, pbmc_small):
    genes = [word for gene in read_genes(pbmc_small, 12) for word in ("--gene", gene)]
    changes = ["--modification", "perc1", "--modification", "perc99"]
    arguments = attack_arguments(cells_file, "--attack", "grid", *genes, *changes, "--budget", "20", "--json")
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert "531,441 combinations" in err
    assert "(command line: --confirm)" in err.replace("\n", " ")
    code, out, err = run(*arguments, "--confirm")
    assert code == 0, err
    assert json.loads(out)["queries"] == 20
    code, _, err = run(*attack_arguments(cells_file, "--attack", "cgd", "--confirm"))
    assert code == 2
    assert "'cgd' has no confirm" in err


def test_a_survey_confirms_its_grids_alone(run, cells_file, pbmc_small, tmp_path):
    genes = [word for gene in read_genes(pbmc_small, 17) for word in ("--gene", gene)]
    arguments = ["survey", cells_file, "--groupby", "cell_type", "--target", "Dendritic", "--classifier", "sctype"]
    arguments += ["--attack", "grid", "--attack", "single-gene", *genes, "--modification", "perc1", "--budget", "20"]
    code, out, err = run(*arguments, "--json", "--out", tmp_path / "refused")
    assert code == 2
    assert [row["complete"] for row in json.loads(out)["rows"]] == [False, True]
    assert "--confirm" in err
    code, out, err = run(*arguments, "--json", "--confirm", "--out", tmp_path / "confirmed")
    assert code == 0, err
    assert json.loads(out)["rows"][0]["queries"] == 20
    assert "error" not in json.loads(out)["rows"][0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--attack", "grid"], "needs genes"),
        (["--attack", "fgsm", "--alpha", "1"], "has no alpha"),
        (["--attack", "min-change", "--seconds", "0"], "seconds must be a number of seconds above 0"),
        (["--attack", "max-change", "--seconds", "9"], "has no seconds"),
        (["--modification", "perc1", "--modification", "perc99"], "use: adverscarial survey"),
    ],
)
def test_settings_that_an_attack_does_not_take(run, cells_file, arguments, message):
    code, _, err = run(*attack_arguments(cells_file, *arguments))
    assert code == 2
    assert message in err
