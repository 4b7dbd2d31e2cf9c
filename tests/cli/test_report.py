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
    for path, message in ((folder, "is not finished; run it again"), (tmp_path / "no", "holds no readable survey")):
        code, out, err = run("report", path, "--out", tmp_path / "report.html")
        assert (code, out) == (2, "")
        assert message in err
    code, _, err = run("report", folder, "--out", tmp_path / "report.pdf")
    assert code == 2
    assert "the report is an .html file" in err
    assert not (tmp_path / "report.html").exists()
