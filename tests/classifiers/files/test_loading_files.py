"""Classifiers in files of other packages: read as they were written, and nothing runs without trust."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from adverscarial.classifiers import Boosted, CellTypist, Markers, load, wrap
from adverscarial.classifiers.files.xgboost_document import check_model, read_ubjson
from adverscarial.errors import MissingDependencyError, StorageError

PICKLES = ("model.pkl", "model.pickle", "model.joblib")


@pytest.fixture(scope="module")
def cells() -> AnnData:
    """60 cells x 6 genes, three types that the genes tell apart."""
    rng = np.random.default_rng(0)
    types = np.repeat(["B", "NK", "T"], 20)
    X = rng.random((60, 6)) + 2 * np.eye(3).repeat(20, axis=0).repeat(2, axis=1)
    obs = pd.DataFrame({"cell_type": types}, index=[f"cell{i}" for i in range(60)])
    return AnnData(X, obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(6)]))


def fitted(cells: AnnData, *steps: Any) -> Any:
    return make_pipeline(*steps, LogisticRegression()).fit(cells.to_df(), cells.obs["cell_type"])


class Trap:
    """Pickled, it makes a file when it is read."""

    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.flag,))


def own_transform(X: Any) -> Any:
    """A function that skops does not know."""
    return X


@pytest.mark.parametrize("name", PICKLES)
def test_pickles_are_read_with_trust_only(cells: AnnData, tmp_path: Path, name: str) -> None:
    path, model = tmp_path / name, fitted(cells, StandardScaler())
    joblib.dump(model, path) if name.endswith("joblib") else path.write_bytes(pickle.dumps(model))
    with pytest.raises(StorageError, match=r"is a Python pickle, and reading a pickle runs any code.*--trust.*skops"):
        load(path)
    pd.testing.assert_frame_equal(load(path, trust=True).scores(cells), wrap(model).scores(cells))


@pytest.mark.parametrize("name", [*PICKLES, "model.skops", "model.txt", "model.json", "model.npz", "model"])
@pytest.mark.parametrize("compress", [0, ("zlib", 3), ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3)])
def test_a_malicious_pickle_never_runs_without_trust(tmp_path: Path, name: str, compress: Any) -> None:
    path, flag = tmp_path / name, tmp_path / "it ran"
    joblib.dump(Trap(flag), path, compress=compress)
    with pytest.raises(StorageError):
        load(path)
    assert not flag.exists()
    if name == "model.pkl":  # so that the trap is known to work
        with pytest.raises(StorageError):
            load(path, trust=True)
        assert flag.exists()


@pytest.mark.parametrize("protocol", range(6))
def test_a_malicious_pickle_of_any_protocol(tmp_path: Path, protocol: int) -> None:
    flag = tmp_path / "it ran"
    for name in ("model.pkl", "model.npz", "model.skops", "model.ubj", "model.txt"):
        (tmp_path / name).write_bytes(pickle.dumps(Trap(flag), protocol=protocol))
        with pytest.raises(StorageError):
            load(tmp_path / name)
    assert not flag.exists()


def test_an_npz_that_is_a_pickle_is_refused_even_with_trust(tmp_path: Path) -> None:
    path, flag = tmp_path / "model.npz", tmp_path / "it ran"
    path.write_bytes(pickle.dumps(Trap(flag)))
    with pytest.raises(StorageError, match="cannot be read as a stored classifier"):
        load(path, trust=True)
    np.savez(path, meta=np.array([Trap(flag)], dtype=object))
    with pytest.raises(StorageError, match="holds Python objects, which are never read"):
        load(path, trust=True)
    assert not flag.exists()


def test_our_own_file_under_another_name(cells: AnnData, tmp_path: Path) -> None:
    model = Markers(n_markers=2).fit(cells, "cell_type")
    model.save(tmp_path / "model.npz")
    (tmp_path / "model.npz").rename(tmp_path / "model.pkl")
    pd.testing.assert_frame_equal(load(tmp_path / "model.pkl").scores(cells), model.scores(cells))


def test_celltypist_models_are_read(cells: AnnData, tmp_path: Path) -> None:
    linear, scaler = LogisticRegression(), StandardScaler().fit(cells.X)
    linear.fit(scaler.transform(cells.X), cells.obs["cell_type"])
    linear.features = np.array(cells.var_names)
    path = tmp_path / "Immune.pkl"
    path.write_bytes(pickle.dumps({"Model": linear, "Scaler_": scaler, "description": {}}))
    with pytest.raises(StorageError, match="is a Python pickle"):
        load(path)
    model = load(path, trust=True)
    assert isinstance(model, CellTypist)
    assert model.predict(cells).tolist() == linear.predict(scaler.transform(cells.X)).tolist()


def test_skops_needs_no_trust_for_scikit_learn(cells: AnnData, tmp_path: Path) -> None:
    io = pytest.importorskip("skops.io")
    model = fitted(cells, StandardScaler())
    io.dump(model, tmp_path / "model.skops")
    pd.testing.assert_frame_equal(load(tmp_path / "model.skops").scores(cells), wrap(model).scores(cells))


def test_skops_with_an_unknown_type_names_it(cells: AnnData, tmp_path: Path) -> None:
    io = pytest.importorskip("skops.io")
    model, path = fitted(cells, FunctionTransformer(own_transform)), tmp_path / "model.skops"
    io.dump(model, path)
    with pytest.raises(StorageError, match=r"1 type.*harmless: '.*own_transform'.*--trust"):
        load(path)
    pd.testing.assert_frame_equal(load(path, trust=True).scores(cells), wrap(model).scores(cells))


def test_skops_missing_says_how_to_install(cells: AnnData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    io = pytest.importorskip("skops.io")
    io.dump(fitted(cells), tmp_path / "model.skops")
    monkeypatch.setitem(__import__("sys").modules, "skops", None)
    with pytest.raises(MissingDependencyError, match=r"adverscarial\[skops\]"):
        load(tmp_path / "model.skops")


@pytest.mark.fast(1)
@pytest.mark.parametrize("name", ["model.json", "model.ubj"])
def test_xgboost_files_are_read_and_those_cut_short_refused(cells: AnnData, tmp_path: Path, name: str) -> None:
    xgboost = pytest.importorskip("xgboost")
    codes = cells.obs["cell_type"].astype("category").cat.codes
    model = xgboost.XGBClassifier(n_estimators=3).fit(cells.to_df(), codes)
    model.save_model(tmp_path / name)
    read = load(tmp_path / name)
    assert isinstance(read, Boosted)
    assert list(read.genes) == list(cells.var_names)
    np.testing.assert_array_equal(read.scores(cells).to_numpy(), model.predict_proba(cells.to_df()).astype(float))
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StorageError, match="cannot be read as a classifier of XGBoost"):
        load(tmp_path / name)


@pytest.mark.fast(2)
@pytest.mark.parametrize("booster", ["gbtree", "gblinear", "dart"])
@pytest.mark.parametrize("form", ["json", "ubj"])
def test_whole_models_of_xgboost_pass_the_check(cells: AnnData, booster: str, form: str) -> None:
    xgboost = pytest.importorskip("xgboost")
    codes = cells.obs["cell_type"].astype("category").cat.codes
    model = xgboost.XGBClassifier(n_estimators=2, booster=booster).fit(cells.to_df(), codes)
    check_model(bytes(model.get_booster().save_raw(form)))


#: One value of each kind that UBJSON has; no model, so nothing that XGBoost would read.
UBJ = (
    b"{i\x01a[ZTF]i\x01b{}U\x01cSi\x03abcI\x00\x01d[$d#i\x02" + bytes(8) + b"l\x00\x00\x00\x01e[#i\x02i\x05D"
    + bytes(8) + b"i\x01f[]}"
)  # fmt: skip


def test_every_cut_of_an_ubj_is_refused() -> None:
    """Not handed on: XGBoost 3.2 read beyond the end of some models that were cut short, and crashed."""
    whole = read_ubjson(UBJ)
    assert list(whole) == ["a", "b", "c", "d", "e", "f"]
    assert (whole["a"], whole["b"], whole["c"], whole["f"]) == ([None, True, False], {}, "abc", [])
    for length in range(1, len(UBJ)):
        with pytest.raises(ValueError, match=r"cut short|no known type"):
            read_ubjson(UBJ[:length])
    with pytest.raises(ValueError, match="ends at byte"):
        read_ubjson(UBJ + b"}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"{" * 200, "where a length should start"),
        (b"[" * 101, "100 deep"),
        (b"{i\xff", "a length before byte 3 is -1"),
        (b"[$d#i\x02" + bytes(7), "cut short"),
        (b"[#i\x02Z", "cut short"),
        (b"[$Z#i\x02", "no known type"),
        (b"[$[#i\x02", "no known type"),
        (b"[Q]", "starts no value"),
        (b'{"a": 1}', "where a length should start"),
    ],
)
def test_what_is_no_ubjson_is_named(text: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_ubjson(text)


def outline() -> dict[str, Any]:
    """The part of a model's document that the check reads: two trees of three nodes. XGBoost refuses it as no model."""
    tree = {
        "tree_param": {"num_nodes": "3"}, "left_children": [1, -1, -1], "right_children": [2, -1, -1],
        "parents": [2**31 - 1, 0, 0], "split_indices": [1, 0, 0], "split_conditions": [0.5, 1, -1],
        "default_left": [0, 0, 0], "categories": [], "categories_nodes": [], "categories_segments": [],
        "categories_sizes": [],
    }  # fmt: skip
    model = {"trees": [tree, json.loads(json.dumps(tree))], "tree_info": [0, 0], "iteration_indptr": [0, 1, 2]}
    sizes = {"num_class": "0", "num_feature": "2", "num_target": "1"}
    return {"learner": {"learner_model_param": sizes, "gradient_booster": {"name": "gbtree", "model": model}}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda model: model["trees"][0]["left_children"].__setitem__(0, 0), "tree 0 is damaged"),
        (lambda model: model["trees"][1]["right_children"].__setitem__(0, 3), "tree 1 is damaged"),
        (lambda model: model["trees"][0]["parents"].__setitem__(1, 3), "tree 0 is damaged"),
        (lambda model: model["trees"][0]["split_indices"].__setitem__(0, 2), "tree 0 is damaged"),
        (lambda model: model["trees"][0]["split_conditions"].pop(), "tree 0 is damaged"),
        (lambda model: model["trees"][0]["categories_nodes"].append(3), "tree 0 is damaged"),
        (lambda model: model["tree_info"].__setitem__(0, 1), "each of one class"),
        (lambda model: model["iteration_indptr"].__setitem__(-1, 3), "rounds"),
        (lambda model: model["trees"].pop(), "each of one class"),
    ],
)
def test_xgboost_trees_that_lead_nowhere_are_refused(change: Callable[[dict], object], message: str) -> None:
    """By the check alone: XGBoost 3.2 takes some whole models with such trees, and crashes later."""
    document = outline()
    check_model(json.dumps(document).encode())
    change(document["learner"]["gradient_booster"]["model"])
    with pytest.raises(ValueError, match=message):
        check_model(json.dumps(document).encode())


def test_a_model_that_fails_the_check_is_not_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    xgboost = pytest.importorskip("xgboost")
    monkeypatch.setattr(xgboost, "Booster", None)
    document = outline()
    document["learner"]["gradient_booster"]["model"]["trees"].pop()
    (tmp_path / "m.json").write_text(json.dumps(document))
    with pytest.raises(StorageError, match="each of one class"):
        load(tmp_path / "m.json")


@pytest.mark.slow
def test_lightgbm_files_are_read_and_those_cut_short_refused(cells: AnnData, tmp_path: Path) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    model = lightgbm.LGBMClassifier(n_estimators=3, min_child_samples=5, verbose=-1)
    model.fit(cells.to_df(), cells.obs["cell_type"])
    path = tmp_path / "model.txt"
    model.booster_.save_model(path)
    np.testing.assert_array_equal(load(path).scores(cells).to_numpy(), model.predict_proba(cells.to_df()))
    whole = path.read_text()
    path.write_text(whole[: len(whole) // 3])
    with pytest.raises(StorageError, match="cut short"):
        load(path)
    path.write_text("tree\nversion=v4\nend of trees\n")  # no trees, which LightGBM itself says
    with pytest.raises(StorageError, match="cannot be read as a classifier of LightGBM"):
        load(path)


def test_lightgbm_reads_trees_one_by_one(cells: AnnData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With their sizes it reads them in threads, and LightGBM 4 ended the process over a damaged one."""
    lightgbm = pytest.importorskip("lightgbm")
    model = lightgbm.LGBMClassifier(n_estimators=3, min_child_samples=5, verbose=-1)
    model.fit(cells.to_df(), cells.obs["cell_type"]).booster_.save_model(tmp_path / "model.txt")
    handed: list[str] = []

    def booster(model_str: str) -> Any:
        handed.append(model_str)
        raise lightgbm.basic.LightGBMError("a tree is damaged")

    monkeypatch.setattr(lightgbm, "Booster", booster)
    with pytest.raises(StorageError, match="cannot be read as a classifier of LightGBM"):
        load(tmp_path / "model.txt")
    assert "tree_sizes" in (tmp_path / "model.txt").read_text()
    assert "tree_sizes" not in handed[0]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.json", json.dumps({"a": 1}), "no XGBoost model"),
        ("model.json", "{", "cannot be read as a classifier of XGBoost"),
        ("model.txt", "gene\tvalue\n", "no LightGBM model"),
        ("model.skops", "text", "cannot be read as a classifier of skops"),
        ("model.h5", "text", r"holds no classifier.*Files that can be read"),
        ("model.txt", "", "no LightGBM model"),
        ("model", "", "holds no classifier"),
    ],
)
def test_files_that_are_something_else(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(StorageError, match=message):
        load(tmp_path / name)


def test_absent_and_no_classifier(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="There is no file"):
        load(tmp_path / "absent.skops")
    (tmp_path / "list.pkl").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(StorageError, match="wrap cannot use a list"):
        load(tmp_path / "list.pkl", trust=True)
