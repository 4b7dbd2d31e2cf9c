from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import adverscarial as adv
from adverscarial.attacks import MaxChange, SingleGene, SingleGeneResult

ATTACKS = [SingleGene("perc1"), SingleGene("random"), MaxChange("perc99", restarts=1)]
TARGETS = ["CD19+ B", "Dendritic", "CD4+/CD25 T Reg"]


@pytest.fixture(scope="module")
def models(pbmc_small):
    forest = adv.classifiers.RandomForest(20, seed=0).fit(pbmc_small, "cell_type")
    return {"scType": adv.classifiers.ScType(scaled=False), "forest": forest}


def run(adata, models, **options):
    return adv.survey(adata, models, attacks=ATTACKS, groupby="cell_type", targets=TARGETS, seed=1, **options)


@pytest.fixture(scope="module")
def serial(pbmc_small, models):
    return run(pbmc_small, models)


@pytest.mark.slow
def test_table_has_one_row_per_attack(serial):
    frame = serial.to_frame()
    assert len(frame) == 2 * len(TARGETS) * len(ATTACKS)
    assert not frame.duplicated(["classifier", "cluster", "attack", "modification"]).any()
    assert "seconds" not in frame
    single = frame[frame["attack"] == "SingleGene"]
    assert (single["flipped"] + single["held"] + single["rejected"] == single["tested"]).all()
    most = frame[frame["attack"] == "MaxChange"]
    assert (most["modifiable"] + most["signature"] == 765).all()


def test_printed_it_shows_the_answer_of_every_attack(pbmc_small, models):
    attacks = [
        SingleGene("perc99"),
        adv.attacks.MinChange("perc99"),
        adv.attacks.RandomWalk(["CD79A", "MS4A1", "CD3D"], ["perc1", "perc99"], tries=2, steps=1),
    ]
    found = adv.survey(pbmc_small, models["scType"], attacks=attacks, groupby="cell_type", targets=TARGETS)
    lines = str(found).splitlines()
    head = lines[0].split()
    assert head[:5] == ["classifier", "cluster", "attack", "modification", "baseline"]
    assert {"flipped", "lower", "upper", "genes_modified"} <= set(head)
    assert "NA" not in str(found)
    assert "nan" not in str(found)
    frame = found.to_frame()
    for line, row in zip(lines[1:], frame.to_dict("records"), strict=True):
        if row["attack"] == "MinChange":
            assert line.split()[-2:] == [str(row["lower"]), str(row["upper"])]
    one = adv.survey(pbmc_small, models["scType"], attacks=attacks[:1], groupby="cell_type", targets=TARGETS)
    assert str(one).splitlines()[0].split() == ["classifier", "cluster", "modification", "baseline", "flipped"]
    aimed = [SingleGene("perc99", towards="B cell"), adv.attacks.MinChange("perc1", genes=["CD3D"])]
    two = adv.survey(pbmc_small, models["scType"], attacks=aimed, groupby="cell_type", targets=["Dendritic"])
    assert {"towards", "impossible"} <= set(str(two).splitlines()[0].split())


@pytest.mark.slow
def test_rows_are_what_the_attacks_alone_give(serial, pbmc_small, models):
    for task, result in zip(serial.tasks, serial.results, strict=True):
        alone = task.attack(pbmc_small, models[task.classifier], groupby="cell_type", target=task.target, seed=1)
        assert alone.row() == result.row()
        assert alone.to_frame().equals(result.to_frame())


@pytest.mark.fast("threading")
@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_parallel_gives_the_same_table(serial, pbmc_small, models, backend):
    assert run(pbmc_small, models, n_jobs=2, backend=backend).to_frame().equals(serial.to_frame())


def test_flipping_lists_every_flip(serial):
    flips = serial.flipping()
    frame = serial.to_frame()
    assert len(flips) == frame["flipped"].sum()
    assert {"classifier", "cluster", "modification", "gene", "label", "share"} == set(flips.columns)
    start = 0
    for task, result in zip(serial.tasks, serial.results, strict=True):
        if not isinstance(result, SingleGeneResult):
            continue
        expected = result.to_frame().query("outcome == 'flipped'")[["gene", "label", "share"]]
        part = flips.iloc[start : start + len(expected)]
        start += len(expected)
        pd.testing.assert_frame_equal(
            part[["gene", "label", "share"]].reset_index(drop=True), expected.reset_index(drop=True)
        )
        named = (part["classifier"] == task.classifier) & (part["cluster"] == task.target)
        assert (named & (part["modification"] == str(task.attack.modification))).all()
    assert start == len(flips)


@pytest.mark.slow
def test_interrupted_survey_goes_on_to_the_same_bytes(serial, pbmc_small, models, tmp_path):
    run(pbmc_small, models, out=tmp_path / "whole")
    whole = (tmp_path / "whole" / "table.csv").read_bytes()
    assert whole.decode() == serial.to_frame().to_csv(index=False)
    run(pbmc_small, models, out=tmp_path / "cut")
    kept = sorted((tmp_path / "cut" / "results").iterdir())
    for file in kept[::2]:
        file.unlink()
    kept[1].write_bytes(kept[1].read_bytes()[:100])  # and one that a crash of the disk cut short
    (tmp_path / "cut" / "table.csv").unlink()
    before = {file: file.stat().st_mtime_ns for file in kept[3::2]}
    run(pbmc_small, models, out=tmp_path / "cut")
    assert (tmp_path / "cut" / "table.csv").read_bytes() == whole
    assert before == {file: file.stat().st_mtime_ns for file in before}  # what was done was not done again


@pytest.mark.slow
def test_folder_comes_back(serial, pbmc_small, models, tmp_path):
    run(pbmc_small, models, out=tmp_path)
    back = adv.Survey.load(tmp_path)
    assert back.to_frame().equals(serial.to_frame())
    assert back.plan["data"]["cells"] == 700
    (tmp_path / "table.csv").unlink()
    with pytest.raises(adv.errors.StorageError, match="not finished"):
        adv.Survey.load(tmp_path)


@pytest.mark.parametrize("change", ["data", "seed", "classifier"])
def test_another_survey_in_the_same_folder_is_refused(pbmc_small, models, tmp_path, change):
    model = {"scType": models["scType"]}
    options = {"attacks": [SingleGene("perc1")], "groupby": "cell_type", "targets": TARGETS[:1], "out": tmp_path}
    adv.survey(pbmc_small, model, **options)
    before = {path: path.read_bytes() for path in Path(tmp_path).rglob("*") if path.is_file()}
    adata = pbmc_small
    if change == "data":
        adata = pbmc_small.copy()
        adata.X.data[7] += 1
    elif change == "seed":
        options["seed"] = 9
    else:
        model = {"scType": models["forest"]}
    with pytest.raises(adv.errors.StorageError, match=f"belongs to another survey, which differs in {change}"):
        adv.survey(adata, model, **options)
    assert before == {path: path.read_bytes() for path in Path(tmp_path).rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_failing_classifier_fails_in_its_rows_only(pbmc_small, models, tmp_path):
    def moody(X):
        if len(X) % 2:  # some clusters only
            raise RuntimeError("no licence")
        return np.repeat("T", len(X))

    two = {"moody": moody, "scType": models["scType"]}
    result = adv.survey(pbmc_small, two, attacks=[SingleGene("perc1", bins=3)], groupby="cell_type", out=tmp_path)
    frame = result.to_frame()
    sizes = pbmc_small.obs["cell_type"].value_counts()
    odd = frame["cluster"].map(sizes).astype(int) % 2 == 1
    failed = frame["error"].notna()
    assert (failed == (odd & (frame["classifier"] == "moody"))).all()
    assert failed.any()
    assert frame.loc[failed, "error"].str.contains("moody failed with RuntimeError: no licence").all()
    assert frame.loc[~failed, "flipped"].notna().all()
    assert json.loads((tmp_path / "errors.json").read_text())
    assert adv.Survey.load(tmp_path).to_frame().equals(frame)


def test_repeated_names_are_numbered(pbmc_small):
    twins = [adv.classifiers.ScType(scaled=False), adv.classifiers.ScType(scaled=False)]
    result = adv.survey(pbmc_small, twins, attacks=SingleGene("perc1"), groupby="cell_type", targets=["Dendritic"])
    assert result.to_frame()["classifier"].tolist() == ["ScType", "ScType #2"]


def test_every_kind_of_attack_fills_its_columns(pbmc_small, models):
    genes = list(pbmc_small.var_names[:3])
    attacks = [
        SingleGene("perc99"),
        MaxChange("perc99", restarts=1),
        adv.attacks.Grid(genes),
        adv.attacks.RandomWalk(genes, tries=5, steps=5),
        adv.attacks.ClusterGradientDescent(genes=genes),
    ]
    result = adv.survey(pbmc_small, models["forest"], attacks=attacks, groupby="cell_type", targets=TARGETS[:1])
    frame = result.to_frame().set_index("attack")
    assert not result.errors
    filled = {"SingleGene": "held", "MaxChange": "signature", "Grid": "genes_modified", "RandomWalk": "minimal"}
    for attack, column in {**filled, "ClusterGradientDescent": "modified"}.items():
        assert frame.loc[attack, column] is not None
        assert frame[column].notna()[attack]
    for task, one in zip(result.tasks, result.results, strict=True):
        unknown = set(one.row()) - set(frame.reset_index().columns)
        assert not unknown, (task, unknown)
    assert set(result.flipping().columns) == {"classifier", "cluster", "modification", "gene", "label", "share"}


@pytest.mark.parametrize("kind", ["estimator", "function"])
def test_a_classifier_trained_anew_is_another_one(pbmc_small, tmp_path, kind):
    from sklearn.linear_model import LogisticRegression

    def trained(strength):
        if kind == "function":
            return (
                (lambda X: np.where(X[:, 0] > 1, "A", "B"))
                if strength == 1
                else (lambda X: np.where(X[:, 0] > 2, "A", "B"))
            )
        estimator = LogisticRegression(C=strength, max_iter=20)
        return estimator.fit(pbmc_small.X.toarray(), pbmc_small.obs["cell_type"])

    options = {"attacks": [SingleGene("perc1", bins=2)], "groupby": "cell_type", "targets": ["Dendritic"]}
    first = adv.survey(pbmc_small, {"model": trained(1)}, out=tmp_path, **options)
    again = adv.survey(pbmc_small, {"model": trained(1)}, out=tmp_path, **options)
    assert again.to_frame().equals(first.to_frame())
    with pytest.raises(adv.errors.StorageError, match="differs in classifiers"):
        adv.survey(pbmc_small, {"model": trained(0.01)}, out=tmp_path, **options)


def test_genes_that_no_classifier_knows_stop_the_survey_before_it_begins(pbmc_small, tmp_path):
    other = pbmc_small.copy()
    other.var_names = [f"ENSG{i:011d}" for i in range(other.n_vars)]
    forest = adv.classifiers.RandomForest(5, seed=0).fit(pbmc_small, "cell_type")
    both = {"forest": forest, "scType": adv.classifiers.ScType()}
    setting = {"attacks": SingleGene("perc1"), "groupby": "cell_type", "out": tmp_path / "run"}
    with pytest.raises(
        adv.errors.GeneMismatchError, match=r"^forest: .* needs .*--symbols auto.* scType: ScType: none of the .*"
    ):
        adv.survey(other, both, **setting)
    with pytest.raises(adv.errors.GeneMismatchError, match=r"^RandomForest needs \d+ genes, 0 of them"):
        adv.survey(other, forest, **setting)
    assert not (tmp_path / "run").exists()


def test_where_one_classifier_knows_the_genes_the_rows_of_the_other_say_so(pbmc_small, models, caplog):
    strange = adv.classifiers.RandomForest(5, seed=0).fit(pbmc_small, "cell_type")
    other = pbmc_small.copy()
    other.var_names = ["nothing", *other.var_names[1:]]
    two = {"forest": strange, "scType": models["scType"]}
    attacks = [SingleGene("perc1"), SingleGene("perc99")]
    frame = adv.survey(other, two, attacks=attacks, groupby="cell_type", targets=["Dendritic", "CD19+ B"]).to_frame()
    failed = frame["error"].fillna("").str.startswith("GeneMismatchError: RandomForest needs")
    assert failed.tolist() == (frame["classifier"] == "forest").tolist()
    assert sum("RandomForest needs" in message for message in caplog.messages) == 2  # once per cluster
