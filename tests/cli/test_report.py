from __future__ import annotations

import json

import pytest

import adverscarial as adv


@pytest.fixture
def finished(pbmc_small, tmp_path):
    model = adv.classifiers.Markers().fit(pbmc_small, "cell_type")
    attack = adv.attacks.SingleGene("perc99")
    return tmp_path / "run", adv.survey(
        pbmc_small, model, attacks=attack, groupby="cell_type", targets=["Dendritic", "CD19+ B"], out=tmp_path / "run"
    )


@pytest.mark.slow
def test_the_report_is_that_of_the_survey(run, finished, tmp_path):
    folder, survey = finished
    code, out, _ = run("report", folder, "--out", tmp_path / "report.html", "--json")
    assert code == 0
    assert json.loads(out) == {"report": str(tmp_path / "report.html"), "attacks": 2, "failed": 0}
    survey.report(tmp_path / "direct.html")
    assert (tmp_path / "report.html").read_text() == (tmp_path / "direct.html").read_text()
    code, _, err = run("report", folder)
    assert code == 0
    assert "2 attacks" in err.replace("\n", " ")
    assert (folder / "report.html").is_file()


def test_unfinished_and_absent(run, finished, tmp_path):
    folder, _ = finished
    (folder / "table.csv").unlink()
    for path, message in ((folder, "is not finished; run it again"), (tmp_path / "no", "There is no folder")):
        code, out, err = run("report", path, "--out", tmp_path / "report.html")
        assert (code, out) == (2, "")
        assert message in err
    code, _, err = run("report", folder, "--out", tmp_path / "report.pdf")
    assert code == 2
    assert "the report is an .html file" in err
    assert not (tmp_path / "report.html").exists()


@pytest.mark.slow
def test_with_the_cells_the_flips_are_shown(run, pbmc_small, tmp_path):
    model = adv.classifiers.Markers().fit(pbmc_small, "cell_type")
    attack, (_, half) = adv.attacks.SingleGene("fixed:50"), adv.datasets.split(pbmc_small, "cell_type", seed=0)
    adv.survey(half, model, attacks=attack, groupby="cell_type", targets=["Dendritic"], out=tmp_path / "run")
    pbmc_small.write_h5ad(tmp_path / "cells.h5ad")
    model.save(tmp_path / "model")
    adv.classifiers.Markers().fit(half, "cell_type").save(tmp_path / "other")
    # the whole file is given, and the half that was attacked is found in it
    options = ("--data", tmp_path / "cells.h5ad", "--classifier")
    code, _, err = run("report", tmp_path / "run", *options, tmp_path / "model")
    assert code == 0, err
    text = (tmp_path / "run" / "report.html").read_text()
    assert "Two scatter plots of all cells" in text
    assert "Scatter plot of attacks, visibility" in text
    code, _, err = run("report", tmp_path / "run", *options, tmp_path / "other")
    assert code == 2
    assert "none of the classifiers of this survey" in err.replace("\n", " ")
    code, _, err = run("report", tmp_path / "run", "--classifier", tmp_path / "model")
    assert code == 2
    assert "--classifier needs --data" in err.replace("\n", " ")


@pytest.mark.slow
def test_a_stress_test_is_shown_beside_the_attacks(run, finished, pbmc_small, tmp_path):
    folder, survey = finished
    model = adv.classifiers.Markers().fit(pbmc_small, "cell_type")
    adv.stress(
        pbmc_small, model, groupby="cell_type", targets=["Dendritic", "CD19+ B"], changes="depth", strengths=[0.9],
        draws=1, progress=False, out=tmp_path / "stress",
    )  # fmt: skip
    options = ("--stress", tmp_path / "stress", "--small", 0.95, "--out", tmp_path / "a.html")
    code, _, err = run("report", folder, *options)
    assert code == 0, err
    page = (tmp_path / "a.html").read_text()
    assert 'id="stress"' in page
    direct = survey.report(tmp_path / "b.html", stress=tmp_path / "stress", rules={"small": 0.95})
    assert page == direct.read_text()
    code, _, err = run("report", folder, "--stress", folder)
    assert code == 2
    assert "no finished stress test" in err.replace("\n", " ")


@pytest.mark.slow
def test_the_cells_of_a_survey_with_genes_added_are_known_again(run, pbmc_small, tmp_path):
    fewer = pbmc_small[:, 50:].copy()
    fewer.write_h5ad(tmp_path / "fewer.h5ad")
    for name, genes in (("all", slice(None)), ("some", slice(40, 300))):
        part = pbmc_small[:, genes].copy()
        adv.classifiers.RandomForest(n_estimators=5, seed=0).fit(part, "cell_type").save(tmp_path / f"{name}.npz")
    asked = [
        "survey",
        tmp_path / "fewer.h5ad",
        "--groupby",
        "cell_type",
        "--target",
        "CD19+ B",
        "--out",
        tmp_path / "run",
    ]
    models = ["--classifier", tmp_path / "all.npz", "--classifier", tmp_path / "some.npz"]
    code, _, err = run(*asked, *models, "--missing-genes", "zero", "--modification", "perc1")
    assert code == 0, err
    said = " ".join(err.split())
    assert "715 of 765 genes are in the data" in said
    assert "250 of 260 genes are in the data" in said
    code, _, err = run("report", tmp_path / "run", "--data", tmp_path / "fewer.h5ad")
    assert code == 0, err
    pbmc_small.write_h5ad(tmp_path / "cells.h5ad")
    code, _, err = run("report", tmp_path / "run", "--data", tmp_path / "cells.h5ad")
    assert code == 2
