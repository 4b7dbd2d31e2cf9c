"""Silent mistakes that the data show are noted before anything is trained; one mistake gives one message."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from sklearn.linear_model import LogisticRegression

import adverscarial as adv
from adverscarial.cells.kinds import kind_of
from adverscarial.cli.exits import in_shell_words

GENES = ["CD3D", "CD79A", "LYZ", "NKG7", "GNLY", "MS4A1", "CD8A", "IL7R", *(f"NOISE{i}" for i in range(32))]


def said(err):
    return " ".join(err.split())


@pytest.fixture
def counts():
    """Counts of 60 cells of three types, each with a gene of its own; as a layer and in raw, too."""
    rng = np.random.default_rng(0)
    names = np.repeat(["B", "Mono", "T"], 20)
    X = rng.poisson(0.2, (60, 40)).astype(np.float32)
    for k, gene in enumerate([1, 2, 0]):
        X[20 * k : 20 * k + 20, gene] += 12
    obs = pd.DataFrame({"kind": names}, index=[f"c{i}" for i in range(60)])
    return AnnData(X, obs=obs, var=pd.DataFrame(index=GENES))


@pytest.fixture
def file(counts, tmp_path):
    def write(name="cells.h5ad", cells=counts):
        cells.write_h5ad(tmp_path / name)
        return tmp_path / name

    return write


WHERE = ["--groupby", "kind", "--modification", "perc1"]


def survey(run, path, *more):
    return run("survey", path, *WHERE, "--out", path.parent / "run", *more)


def test_kinds_of_values(counts):
    lognorm = adv.datasets.preprocess(counts, scale=False)
    scaled = adv.datasets.preprocess(counts)
    assert [kind_of(cells.X) for cells in (counts, lognorm, scaled)] == [
        "counts", "log-normalised values", "z-scores"
    ]  # fmt: skip
    assert kind_of(np.array([[0, 1], [1, 0]])) == ""
    assert kind_of(np.array([[0.5, 120]])) == ""
    assert kind_of(np.array([[np.inf, 1]])) == ""


@pytest.mark.slow
def test_counts_that_a_model_is_trained_on(run, file):
    code, _, err = survey(run, file(), "--classifier", "random-forest")
    assert code == 0
    text = said(err)
    assert "so these look like counts, and --preprocess is none. The classifiers are trained on these values" in text
    assert text.index("look like counts") < text.index("Training random-forest")
    for preprocess, classifier in (("none", "markers"), ("lognorm", "random-forest")):
        more = ["--classifier", classifier, "--preprocess", preprocess, "--seed", "1"]
        _, _, err = run("attack", file(), *WHERE, "--target", "B", *more)
        assert "look like counts" not in said(err)


@pytest.mark.slow
def test_a_model_knows_what_it_was_trained_on(run, file, tmp_path):
    model = tmp_path / "forest.npz"
    code, _, _ = run("train", file(), "--groupby", "kind", "--preprocess", "lognorm", "--out", model)
    assert code == 0
    assert adv.classifiers.load(model).trained_on == "log-normalised values"
    _, _, err = run("classify", file(), "--classifier", model, "--preprocess", "counts")
    assert "forest.npz was trained on log-normalised values, and is asked about z-scores: prepare the data" in said(err)
    _, _, err = run("classify", file(), "--classifier", model)
    assert "forest.npz was trained on log-normalised values, and is asked about counts" in said(err)
    _, _, err = run("classify", file(), "--classifier", model, "--preprocess", "lognorm")
    assert "Note" not in err


def test_z_scores_for_a_model_that_does_not_say(run, file, counts, tmp_path):
    lognorm = adv.datasets.preprocess(counts, scale=False)
    model = LogisticRegression().fit(lognorm.to_df(), lognorm.obs["kind"])
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(model))
    arguments = ["classify", file(), "--classifier", tmp_path / "model.pkl", "--trust"]
    _, _, err = run(*arguments, "--preprocess", "counts")
    assert "model.pkl is asked about z-scores. If it was trained on log-normalised values, use --preprocess" in said(
        err
    )
    assert "--preprocess counts makes z-scores of counts" in said(err)
    _, _, err = run(*arguments, "--preprocess", "lognorm")
    assert "z-scores" not in err


@pytest.mark.slow
@pytest.mark.parametrize("capitals", [True, False])
def test_mouse_genes_and_human_markers(run, file, counts, tmp_path, capitals):
    counts.var_names = [gene if capitals else gene.capitalize() for gene in GENES]
    for name, change in (("human", str.upper), ("mouse", str.capitalize)):
        table = "\n".join(f"{kind}\t{change(gene)}" for kind, gene in (("B", "cd79a"), ("T", "cd3d"), ("Mono", "lyz")))
        (tmp_path / f"{name}.tsv").write_text(f"cell_type\tpositive\n{table}\n")
        path = file(f"{name}.h5ad")
        code, _, err = run("classify", path, "--classifier", f"sctype:{tmp_path / name}.tsv", "--preprocess", "lognorm")
        assert code == 0
        noted = f"3 of the 3 genes that are markers of sctype:{name}.tsv are written" in said(err)
        assert noted is (not capitals and name == "human")
    _, _, err = survey(run, file(), "--classifier", "markers", "--preprocess", "lognorm")
    assert "as mouse genes are" not in said(err)


@pytest.mark.slow
def test_cells_without_a_cluster_and_clusters_of_one_cell(run, file, counts):
    counts.obs["kind"] = counts.obs["kind"].where(np.arange(60) > 4)
    counts.obs["kind"] = np.where(np.arange(60) == 59, "rare", counts.obs["kind"])
    counts.obs["kind"] = counts.obs["kind"].astype("category")
    path = file()
    code, _, err = survey(run, path, "--classifier", "markers", "--preprocess", "lognorm")
    assert code == 0
    text = said(err)
    assert "5 of 60 cells have no value in obs['kind']: they are neither trained on nor attacked." in text
    assert "1 cluster has one cell only ('rare'): with two halves, that cell is trained on" in text
    assert text.index("one cell only") < text.index("Training markers")
    assert set(pd.read_csv(path.parent / "run" / "table.csv")["cluster"]) == {"B", "Mono", "T"}


@pytest.mark.slow
def test_a_column_of_measurements(run, file, counts):
    counts.obs["depth"] = np.tile([0.1, 0.2, 0.3], 20)
    counts.obs["leiden"] = np.tile([0, 1, 2], 20)
    path = file()
    for column, noted in (("depth", True), ("leiden", False)):
        more = ["--target", str(counts.obs[column].iloc[0]), "--classifier", "markers", "--preprocess", "lognorm"]
        _, _, err = run("attack", path, "--groupby", column, "--modification", "perc1", *more)
        assert ("obs['depth'] holds 3 different numbers, so it seems to be a measurement" in said(err)) is noted


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--groupby", "knd"], "--groupby knd: adata.obs has no column 'knd'. Did you mean 'kind'?"),
        (["--target", "Mon"], "There is no cluster 'Mon' in obs['kind']. Did you mean 'Mono'?"),
        (["--layer", "cuonts"], "There is no layer 'cuonts'."),
        (["--layer", "cuonts", "--raw"], "adata.raw has no layers: leave out --raw, or --layer cuonts."),
        (["--raw"], "has no adata.raw. Leave out --raw to use X"),
        (
            ["--modification", "perc101"],
            "--modification perc101: Percentile: q must be a number from 0 to 100, got 101.",
        ),
        (["--few", "0"], "--few must be at least 1, got 0."),
        (["--small", "2"], "--small must be a share from 0 to 1, got 2.0."),
        (["--right", "2"], "--right must be a share from 0 to 1, got 2.0."),
    ],
)
def test_one_mistake_is_one_message_before_anything_is_trained(run, file, more, message):
    code, out, err = survey(run, file(), "--classifier", "random-forest", "--preprocess", "lognorm", *more)
    assert (code, out) == (2, "")
    assert "Training" not in err
    assert err.count("adverscarial:") == 1
    assert message in said(err)


def test_messages_speak_of_options():
    assert in_shell_words("Name another with groupby=, or targets=. Pass f(adata, groupby=...).") == (
        "Name another with --groupby, or --target. Pass f(adata, groupby=...)."
    )


@pytest.mark.slow
def test_layers_and_raw_from_the_shell(run, file, counts, tmp_path):
    """They give what a file gives whose X holds these values."""
    elsewhere = counts.copy()
    elsewhere.raw = counts.copy()
    elsewhere.layers["counts"] = counts.X.copy()
    elsewhere.X = np.full(counts.shape, 0.5, dtype=np.float32)
    plain, other = file("plain.h5ad", counts), file("other.h5ad", elsewhere)
    tables = []
    for name, path, where in (
        ("x", plain, []), ("layer", other, ["--layer", "counts"]), ("raw", other, ["--raw"])
    ):  # fmt: skip
        more = ["--classifier", "markers", "--preprocess", "lognorm", *where, "--out", tmp_path / name]
        code, _, err = run("survey", path, *WHERE, *more)
        assert code == 0, err
        tables.append(pd.read_csv(tmp_path / name / "table.csv"))
        made = json.loads((tmp_path / name / "made.json").read_text())
        assert made["Values"] == {"x": "X", "layer": "layer 'counts'", "raw": "adata.raw"}[name]
    assert tables[0]["flipped"].sum() > 0
    for table in tables[1:]:
        pd.testing.assert_frame_equal(table, tables[0])
    out = tmp_path / "model.npz"
    prepared = ["--layer", "counts", "--preprocess", "lognorm"]
    code, _, err = run("train", other, "--groupby", "kind", "--classifier", "markers", *prepared, "--out", out)
    assert code == 0
    assert adv.classifiers.load(out).trained_on == "log-normalised values"
    _, text, _ = run("classify", other, "--classifier", out, *prepared, "--json")
    expected = adv.classifiers.load(out).predict(adv.datasets.preprocess(counts, scale=False)).value_counts()
    assert json.loads(text)["labels"] == expected.to_dict()
    assert len(expected) == 3


@pytest.mark.slow  # it draws
def test_a_report_of_a_layer(run, file, counts, tmp_path):
    counts.layers["counts"] = counts.X.copy()
    counts.X = np.full(counts.shape, 0.5, dtype=np.float32)
    where = ["--preprocess", "lognorm", "--layer", "counts"]
    path = file()
    assert survey(run, path, "--classifier", "markers", *where)[0] == 0
    assert run("report", tmp_path / "run", "--data", path, "--preprocess", "lognorm")[0] == 2
    code, _, err = run("report", tmp_path / "run", "--data", path, *where)
    assert code == 0, err


@pytest.mark.slow
def test_thresholds_of_verdicts_from_the_shell(run, file, tmp_path):
    more = ["--classifier", "markers", "--preprocess", "lognorm", "--json"]
    code, out, _ = survey(run, file(), *more)
    usual = json.loads(out)["verdicts"]
    assert code == 0
    assert {row["verdict"] for row in usual} != {"not decided"}
    code, out, _ = survey(run, file(), *more, "--min-cells", "30")
    assert code == 0
    assert {row["verdict"] for row in json.loads(out)["verdicts"]} == {"not decided"}
    page = tmp_path / "run" / "report.html"
    assert "at least 30 cells" in page.read_text()
    assert run("report", tmp_path / "run")[0] == 0  # as it was asked for
    assert "at least 30 cells" in page.read_text()
    assert run("report", tmp_path / "run", "--min-cells", "5")[0] == 0
    assert "at least 5 cells" in page.read_text()
    assert "30" not in json.loads((tmp_path / "run" / "made.json").read_text())["Values"]
