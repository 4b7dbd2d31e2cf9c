"""Names of classes and genes for classifier files that hold none."""

from __future__ import annotations

import json

import pytest

import adverscarial as adv


@pytest.fixture(params=["model.json", "model.txt"])
def nameless(request, pbmc_small, tmp_path):
    """Files of a boosted model that was trained on a bare array, and of its names; and the model, named."""
    names = [str(gene) for gene in pbmc_small.var_names[:40]]
    X = pbmc_small[:, names].X.toarray() if hasattr(pbmc_small.X, "toarray") else pbmc_small[:, names].X
    cell_type = pbmc_small.obs["cell_type"].cat.codes.to_numpy()
    path = tmp_path / request.param
    if request.param == "model.json":
        package = pytest.importorskip("xgboost")
        model = package.XGBClassifier(n_estimators=3, max_depth=3, n_jobs=1).fit(X, cell_type)
        model.save_model(path)
    else:
        package = pytest.importorskip("lightgbm")
        model = package.LGBMClassifier(n_estimators=3, verbose=-1, n_jobs=1).fit(X, cell_type)
        model.booster_.save_model(path)
    classes = list(pbmc_small.obs["cell_type"].cat.categories)
    (tmp_path / "classes.txt").write_text("\n".join(classes) + "\n")
    (tmp_path / "genes.txt").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(names).encode() + b"\r\n\r\n")
    reading = {"sparse": "zero"} if request.param == "model.json" else {}
    return path, adv.classifiers.wrap(model, classes=classes, genes=names, **reading)


@pytest.fixture
def options(nameless, tmp_path):
    # the data are sparse, the model was trained on a dense array: to XGBoost that makes a difference
    reading = ["--sparse", "zero"] if nameless[0].suffix == ".json" else []
    return ["--classes", tmp_path / "classes.txt", "--genes", tmp_path / "genes.txt", *reading]


@pytest.mark.fast(1)
def test_xgboost_asks_how_gaps_are_meant(run, cells_file, nameless, options):
    path, _ = nameless
    code, _, err = run("classify", cells_file, "--classifier", path, *options[:4])
    if path.suffix == ".json":
        assert code == 2
        assert "--sparse missing or --sparse zero" in " ".join(err.split())
    else:
        assert code == 0


@pytest.mark.fast(1)
def test_classify_says_which_names_a_model_lacks(run, cells_file, pbmc_small, nameless, options):
    path, model = nameless
    code, _, err = run("classify", cells_file, "--classifier", path)
    assert code == 2
    assert "40 unnamed columns, the data have 765" in err.replace("\n", " ")
    assert "--genes" in err
    code, out, err = run("classify", cells_file, "--classifier", path, *options[2:], "--json")
    assert code == 0
    assert "see --classes" in " ".join(err.split())
    assert set(json.loads(out)["labels"]) <= set("0123456789")
    code, out, err = run("classify", cells_file, "--classifier", path, *options, "--json")
    assert code == 0, err
    assert "--classes" not in err
    assert json.loads(out)["labels"] == model.predict(pbmc_small).value_counts().to_dict()


@pytest.mark.fast(1)
def test_attack_and_survey(run, cells_file, pbmc_small, nameless, options, tmp_path):
    path, model = nameless
    where = ["--groupby", "cell_type", "--target", "Dendritic", "--modification", "perc99"]
    code, out, err = run("attack", cells_file, "--classifier", path, *options, *where, "--json")
    assert code == 0, err
    expected = adv.attacks.SingleGene("perc99")(pbmc_small, model, groupby="cell_type", target="Dendritic")
    assert json.loads(out)["baseline"] == expected.baseline
    assert json.loads(out)["genes"] == expected.genes
    arguments = ["--classifier", path, "--classifier", "sctype", *options, *where, "--out", tmp_path / "run"]
    code, out, err = run("survey", cells_file, *arguments, "--json")
    assert code == 0, err
    rows = json.loads(out)["rows"]
    assert [row["classifier"] for row in rows] == [path.name, "sctype"]
    assert rows[0]["flipped"] == len(expected.genes)


def test_names_that_do_not_fit(run, cells_file, nameless, options, tmp_path):
    path, _ = nameless
    (tmp_path / "classes.txt").write_text("B\nT\n")
    code, _, err = run("classify", cells_file, "--classifier", path, *options)
    assert code == 2
    assert "names 2 classes, the model has 10" in err.replace("\n", " ")
    (tmp_path / "classes.txt").write_bytes(b"\xff\xfe\x00")
    code, _, err = run("classify", cells_file, "--classifier", path, *options)
    assert code == 2
    assert "cannot be read as a text file" in err.replace("\n", " ")
    code, _, err = run("classify", cells_file, "--classifier", path, "--genes", "CD3D")
    assert code == 2
    assert "to attack one gene only: --gene CD3D" in err.replace("\n", " ")


@pytest.mark.parametrize("name", ["sctype", "random-forest"])
def test_classifiers_that_name_their_own(run, cells_file, tmp_path, name):
    (tmp_path / "classes.txt").write_text("B\nT\n")
    arguments = ["--groupby", "cell_type", "--target", "Dendritic", "--classes", tmp_path / "classes.txt"]
    code, _, err = run("attack", cells_file, "--classifier", name, *arguments)
    assert code == 2
    assert f"leave them out for '{name}'" in err.replace("\n", " ")


def test_our_own_files_name_theirs(pbmc_small, tmp_path):
    adv.classifiers.Markers().fit(pbmc_small, "cell_type").save(tmp_path / "markers.npz")
    with pytest.raises(adv.errors.ParameterError, match="names its classes and genes itself"):
        adv.classifiers.load(tmp_path / "markers.npz", classes=["B", "T"])
