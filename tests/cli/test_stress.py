"""``adverscarial stress``."""

from __future__ import annotations

import json

import pytest

import adverscarial as adv

QUICK = ["--groupby", "cell_type", "--classifier", "sctype", "--target", "Dendritic", "--draws", 2]


@pytest.mark.slow
def test_tables_and_a_figure_are_written(run, cells_file, tmp_path) -> None:
    out = tmp_path / "run"
    ask = ["stress", cells_file, *QUICK, "--change", "depth", "--strength", 0.5, "--strength", 0.99, "--out", out]
    code, printed, err = run(*ask)
    assert code == 0, err
    assert "Dendritic" in printed
    assert "depth: share of counts lost" in printed
    assert (out / "critical.png").stat().st_size > 5_000
    model = adv.classifiers.ScType(scaled=False)
    found = adv.stress(
        adv.datasets.embedded(), model, groupby="cell_type", targets=["Dendritic"], changes="depth",
        strengths=[0.5, 0.99], draws=2,
    )  # fmt: skip
    stored = adv.StressResult.load(out)
    assert stored.to_frame()["kept"].to_list() == found.to_frame()["kept"].to_list()
    code, printed, _ = run(*ask, "--json")
    told = json.loads(printed)
    assert code == 0
    assert [row["strength"] for row in told["rows"]] == [0, 0.5, 0.99]
    assert told["critical"][0]["baseline"] == "Dendritic cell"


def test_what_was_not_measured_makes_the_exit_code_2(run, cells_file, tmp_path) -> None:
    code, _, err = run("stress", cells_file, *QUICK, "--change", "doublets:Nobody", "--out", tmp_path / "run")
    assert code == 2
    assert "There is no cluster 'Nobody'" in err


@pytest.mark.parametrize(
    ("more", "said"),
    [(["--change", "ambiant"], "Did you mean 'ambient'"), (["--change", "batch-shift:a:b"], "batch=")],
)
def test_wrong_words_are_explained(run, cells_file, tmp_path, more, said) -> None:
    code, _, err = run("stress", cells_file, *QUICK, *more, "--out", tmp_path / "run")
    assert code == 2
    assert said in err
