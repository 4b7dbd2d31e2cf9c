from __future__ import annotations

import json

import pandas as pd
import pytest

from adverscarial.cli.reproduce import shown_command

TYPES = ["CD14+ Monocyte", "CD19+ B", "CD56+ NK"]


@pytest.fixture(scope="module")
def few_file(pbmc_small, tmp_path_factory):
    path = tmp_path_factory.mktemp("few") / "few.h5ad"
    genes = list(dict.fromkeys([*pbmc_small.var_names[:100], "CD79A", "MS4A1", "LYZ", "NKG7", "GNLY"]))
    pbmc_small[pbmc_small.obs["cell_type"].isin(TYPES), genes].copy().write_h5ad(path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("figure", ["fig1", "fig2", "fig3", "fig4", "table1", "sctype", "discovery"])
def test_every_figure_is_reproduced(run, few_file, tmp_path, figure):
    pytest.importorskip("torch")
    code, printed, err = run("reproduce", figure, "--data", few_file, "--quick", "--out", tmp_path / figure, "--json")
    assert code == 0, err
    answer = json.loads(printed)
    assert answer["findings"]
    assert {finding["verdict"] for finding in answer["findings"]} <= {
        "holds", "does not hold", "cannot be judged here"
    }  # fmt: skip
    text = (tmp_path / figure / "README.md").read_text()
    assert answer["title"] in text
    assert f"adverscarial reproduce {figure} --data few.h5ad --quick --out {figure} --json" in text
    assert str(tmp_path) not in text


@pytest.mark.slow
def test_findings_in_words(run, few_file, tmp_path):
    arguments = ["--quick", "--out", tmp_path / "out", "--markers", tmp_path / "markers.tsv"]
    (tmp_path / "markers.tsv").write_text("cell_type\tpositive\nB\tCD79A,MS4A1\nNK\tNKG7,GNLY\n")
    code, printed, err = run("reproduce", "sctype", "--data", few_file, *arguments)
    assert code == 0, err
    assert "Impact of the modifications on scType" in printed
    assert "Written:" in err


@pytest.mark.slow
def test_clusters_and_published_attacks(run, few_file, pbmc_small, tmp_path):
    cells = pbmc_small.obs["cell_type"][pbmc_small.obs["cell_type"].isin(TYPES)].astype(str)
    named = cells.map({"CD14+ Monocyte": "CD14 monocyte", "CD19+ B": "B cell", "CD56+ NK": "NK cell"})
    pd.DataFrame({"number": range(len(named)), "cluster": named}).to_csv(tmp_path / "clusters.csv")
    (tmp_path / "published.json").write_text(json.dumps({"B cell": {"perc1": {"single_gene": {}}}}))
    given = ["--clusters", tmp_path / "clusters.csv", "--published", tmp_path / "published.json"]
    code, _, err = run("reproduce", "sctype", "--data", few_file, "--out", tmp_path / "out", *given)
    assert code == 0, err
    genes = pd.read_csv(tmp_path / "out" / "single_genes.csv", keep_default_na=False)
    assert set(genes["cluster"]) <= set(named)
    mine = (genes["cluster"] == "B cell") & (genes["modification"] == "perc1")
    assert (genes.loc[mine, "status"] == "missed by the published search").all()
    assert (genes.loc[~mine, "status"] == "").all()


@pytest.mark.fast(6)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fig2", "--groupby", "celltype"], "Did you mean 'cell_type'"),
        (["fig2", "--markers", "nowhere.tsv"], "There is no file 'nowhere.tsv'"),
        (["fig2", "--published", "{few}"], "belong to 'reproduce sctype'"),
        (["fig2", "--data", "{few}"], "Only 'table1', 'discovery' take several"),
        (["table1", "--data", "{few}"], "these are not different: 'few', 'few'"),
        (["fig2", "--min-cells", "10000"], "two are needed"),
        (["fig4", "--target", "CD19 B", "--quick"], "Did you mean 'CD19+ B'"),
        (["sctype", "--clusters", "{few}"], "cannot be read as a CSV table"),
        (["sctype", "--published", "{few}"], "Expected JSON"),
    ],
)
def test_bad_input_ends_with_one_clear_message(run, few_file, tmp_path, arguments, message):
    given = [word.format(few=few_file) for word in arguments]
    code, out, err = run("reproduce", *given, "--data", few_file, "--out", tmp_path / "out")
    assert code == 2
    assert out == ""
    assert message in err.replace("\n", " ")


def test_no_such_figure(run, few_file):
    code, _, err = run("reproduce", "fig9", "--data", few_file)
    assert code == 2
    assert "fig9" in err


def test_help_shows_an_example(run):
    code, printed, _ = run("reproduce", "--help")
    assert code == 0
    assert "adverscarial reproduce fig2 --data pbmc3k.h5ad" in " ".join(printed.split())


def test_folders_of_this_computer_are_not_shown(tmp_path):
    arguments = ["reproduce", "fig2", "--data", str(tmp_path / "my cells.h5ad"), "--out", str(tmp_path / "x")]
    assert shown_command(arguments) == "adverscarial reproduce fig2 --data 'my cells.h5ad' --out x"


@pytest.mark.slow
@pytest.mark.parametrize("figure", ["fig1", "fig3", "discovery"])
def test_restarts_reach_every_max_change_attack(run, few_file, tmp_path, figure, monkeypatch):
    from adverscarial.attacks import MaxChange

    pytest.importorskip("torch")
    seen = []
    perform = MaxChange.perform
    monkeypatch.setattr(MaxChange, "perform", lambda self, run: seen.append(self.restarts) or perform(self, run))
    arguments = ["--quick", "--restarts", "2", "--out", tmp_path / "out", "--json"]
    code, _, err = run("reproduce", figure, "--data", few_file, *arguments)
    assert code == 0, err
    assert set(seen) == {2}


def test_restarts_of_a_figure_without_max_change_are_refused(run, few_file, tmp_path):
    code, _, err = run("reproduce", "fig4", "--data", few_file, "--restarts", "2", "--out", tmp_path / "out")
    assert code == 2
    assert "--restarts is about max-change attacks, and fig4 makes none" in err
