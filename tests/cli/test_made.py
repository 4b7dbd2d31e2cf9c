"""A report that can be traced: what was asked about, how it was prepared, and who trained the model on what."""

from __future__ import annotations

import hashlib
import json

import pytest

import adverscarial as adv

QUICK = ["--groupby", "cell_type", "--recipe", "quick", "--target", "Dendritic", "--target", "CD34+"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("made") / "run"


@pytest.fixture
def surveyed(run, cells_file, folder):
    """One survey for all tests here: a forest that the command trains, on one half of the cells."""
    if folder.exists():
        return None
    return run("survey", cells_file, "--classifier", "random-forest", "--preprocess", "scale", "--out", folder, *QUICK)


@pytest.mark.slow
def test_the_page_can_be_traced(surveyed, cells_file, folder):
    code, out, err = surveyed
    assert code == 0, err
    page = (folder / "report.html").read_text()
    digest = hashlib.sha256(cells_file.read_bytes()).hexdigest()
    for words in (
        f"cells.h5ad, {cells_file.stat().st_size:,} bytes, SHA-256 {digest}",
        "adverscarial survey ",
        "z-scores of each gene, at most 10",
        "the half that was not trained on, drawn within each cluster (seed 0)",
        "trained by this command on the other half of the cells; saved as random-forest.npz",
        "Right before any attack, random-forest",
        "UTC",
        "Time of the whole command",
    ):
        assert words in page
    # the verdicts are the first thing on the terminal
    assert out.startswith("random-forest · may its labels be trusted?")
    assert out.index("why, and what to do") < out.index("single genes that flip the label")


@pytest.mark.slow
def test_the_trained_model_is_there_for_the_next_command(run, surveyed, cells_file, folder, tmp_path):
    model = adv.classifiers.load(folder / "random-forest.npz")
    assert isinstance(model, adv.classifiers.RandomForest)
    out = tmp_path / "again"
    code, said, err = run("survey", cells_file, "--classifier", folder / "random-forest.npz", "--preprocess", "scale",
                          "--out", out, "--json", *QUICK)  # fmt: skip
    assert code == 0, err
    verdicts = json.loads(said)["verdicts"]
    assert {row["cluster"] for row in verdicts} == {"Dendritic", "CD34+"}
    assert all(row["reason"] and row["next"] for row in verdicts)
    page = (out / "report.html").read_text()
    assert "trained before, by whoever made the file" in page
    assert not (out / "random-forest.npz").exists()


@pytest.mark.slow
def test_a_report_that_is_made_later_can_be_traced_too(run, surveyed, folder, tmp_path):
    code, _, err = run("report", folder, "--out", tmp_path / "later.html")
    assert code == 0, err
    assert "trained by this command on the other half of the cells" in (tmp_path / "later.html").read_text()


@pytest.mark.slow
def test_what_was_changed_by_hand_is_refused(run, surveyed, folder, tmp_path):
    import shutil

    other = tmp_path / "other"
    shutil.copytree(folder, other)
    file = other / "made.json"
    file.write_text(file.read_text().replace("random-forest", "a better one"))
    code, _, err = run("report", other, "--out", tmp_path / "x.html")
    assert code != 0
    assert "made.json" in err.replace("\n", "")
