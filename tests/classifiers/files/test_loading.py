from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from adverscarial import _store
from adverscarial.classifiers import Classifier, Markers, RandomForest, ScType, load, wrap
from adverscarial.classifiers.registry import FAMILIES
from adverscarial.errors import ClassifierError, StorageError

TABLE = {"T": {"positive": ["CD3D", "CD3E"], "negative": ["CD79A"]}, "B": ["CD79A", "CD79B"]}
NODES = pd.DataFrame(
    {
        "tree": 1, "node": [1, 2, 3], "left": [2, 0, 0], "right": [3, 0, 0], "status": [1, -1, -1], "var": [1, 0, 0],
        "split": [0.1, 0, 0], "pred": [0, 1, 2],
    }
)  # fmt: skip

STORABLE: dict[str, Callable[[AnnData], Classifier]] = {
    "sctype": lambda cells: ScType(TABLE),
    "sctype unscaled": lambda cells: ScType(TABLE, scaled=False),
    "sctype of the package": lambda cells: ScType(scaled=False),
    "sctype with repeats": lambda cells: ScType(
        pd.DataFrame({"cell_type": ["T", "B"], "positive_hgnc": ["CD3D,CD3D,CD3E", "CD79A"], "tissue": "Blood"}),
        tissue="Blood",
    ),
    "markers": lambda cells: Markers(TABLE, unknown_below=0.7),
    "found markers": lambda cells: Markers(n_markers=3).fit(cells, "cell_type"),
    "forest": lambda cells: RandomForest(7, balance=20, seed=5).fit(cells, "cell_type"),
    "forest of R": lambda cells: RandomForest.from_table(NODES, classes=["T", "B"], genes=["CD79A", "CD3D"]),
}


@pytest.fixture(scope="module")
def cells(pbmc_small: AnnData) -> AnnData:
    genes = [*pbmc_small.var_names[::15], "CD3D", "CD3E", "CD79A", "CD79B"]
    return pbmc_small[:, pbmc_small.var_names.isin(genes)].copy()


@pytest.mark.parametrize("name", STORABLE)
def test_what_was_saved_is_read_back(cells: AnnData, name: str, tmp_path: Path) -> None:
    model = STORABLE[name](cells)
    path = tmp_path / "model.npz"
    model.save(path)
    again = load(path)
    assert type(again) is type(model)
    assert again.classes == model.classes
    assert again.needs_all_cells == model.needs_all_cells
    pd.testing.assert_frame_equal(again.scores(cells), model.scores(cells), check_exact=True)
    assert again.predict(cells).tolist() == model.predict(cells).tolist()
    again.save(tmp_path / "again.npz")
    assert _store.load(path, "classifier")[0] == _store.load(tmp_path / "again.npz", "classifier")[0]
    assert [file.name for file in sorted(tmp_path.iterdir())] == ["again.npz", "model.npz"]  # nothing half-written


def test_settings_survive_storage(cells: AnnData, tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    STORABLE["forest"](cells).save(path)
    assert repr(load(path)) == "RandomForest(7, balance=20, seed=5)"
    STORABLE["markers"](cells).save(path)
    assert load(path).unknown_below == 0.7  # type: ignore[attr-defined]
    STORABLE["sctype with repeats"](cells).save(path)
    again = load(path)
    assert isinstance(again, ScType)
    assert (again.tissue, again.scaled, again.markers["T"].positive) == ("Blood", True, ("CD3D", "CD3D", "CD3E"))
    STORABLE["forest of R"](cells).save(path)
    assert not load(path).trees.single  # type: ignore[attr-defined]  # R compares in float64


def test_every_family_is_known_by_one_name() -> None:
    assert all(kind.family == name for name, kind in FAMILIES.all().items())
    assert {"sctype", "markers", "random_forest"} <= set(FAMILIES)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (wrap(np.argmax), "argmax"),
        (wrap(lambda e, c, t: "x"), "<lambda>"),
        (ScType(TABLE).bind(pd.Index(["CD3D"])), "ScType"),
    ],
)
def test_what_holds_code_is_not_stored(model: Classifier, name: str, tmp_path: Path) -> None:
    with pytest.raises(ClassifierError, match=f"{name} cannot be stored; keep the object that it was made from"):
        model.save(tmp_path / "model.npz")
    assert not list(tmp_path.iterdir())


# ---- files that are none


def test_absent_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="There is no file"):
        load(tmp_path / "model.npz")
    with pytest.raises(StorageError, match="There is no file"):
        load(tmp_path)


def test_unknown_families_are_named(tmp_path: Path) -> None:
    _store.save(tmp_path / "model.npz", "classifier", {"family": "oracle"}, {})
    with pytest.raises(StorageError, match=r"holds a 'oracle'; this version reads .*'sctype'"):
        load(tmp_path / "model.npz")


def test_other_things_of_ours_are_no_classifiers(tmp_path: Path) -> None:
    _store.save(tmp_path / "result.npz", "result", {}, {})
    with pytest.raises(StorageError, match=r"holds 'result', expected 'classifier'"):
        load(tmp_path / "result.npz")


@pytest.mark.parametrize("trust", [False, True])
def test_pickles_inside_are_never_read(tmp_path: Path, trust: bool) -> None:
    """Also trust does not concern our own format: numbers and text are all that it holds."""
    touched = tmp_path / "touched"

    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (touched,))

    content = {"meta": np.frombuffer(b'{"kind": "classifier", "format": 1, "family": "random_forest"}', dtype=np.uint8)}
    np.savez(tmp_path / "model.npz", **content, roots=np.array([Trap()], dtype=object))
    with pytest.raises(StorageError, match="cannot be read as a stored classifier"):
        load(tmp_path / "model.npz", trust=trust)
    assert not touched.exists()


def rewritten(path: Path, change: Callable[[dict[str, Any], dict[str, np.ndarray]], None]) -> None:
    """Store the classifier at `path` again with something changed."""
    meta, arrays = _store.load(path, "classifier")
    change(meta, arrays)
    _store.save(path, "classifier", {k: v for k, v in meta.items() if k not in ("kind", "format")}, arrays)


DAMAGE: dict[str, tuple[str, Callable[[dict[str, Any], dict[str, np.ndarray]], object]]] = {
    "an array is missing": ("forest", lambda meta, arrays: arrays.pop("threshold")),
    "a setting is missing": ("forest", lambda meta, arrays: meta.pop("settings")),
    "a setting is strange": ("forest", lambda meta, arrays: meta["settings"].update(colour="red")),
    "a setting is impossible": ("forest", lambda meta, arrays: meta["settings"].update(n_estimators=0)),
    "a walk would not end": ("forest", lambda meta, arrays: arrays.update(left=arrays["left"] * 0)),
    "a threshold is NaN": ("forest", lambda meta, arrays: arrays.update(threshold=arrays["threshold"] * np.nan)),
    "a gene is missing": ("forest", lambda meta, arrays: meta.update(genes=meta["genes"][:3])),
    "a class is missing": ("forest", lambda meta, arrays: meta.update(classes=meta["classes"][:-1])),
    "no markers": ("sctype", lambda meta, arrays: meta.update(markers={})),
    "markers are a number": ("sctype", lambda meta, arrays: meta.update(markers={"T": 3})),
    "scaled is missing": ("sctype", lambda meta, arrays: meta.pop("scaled")),
    "markers are missing": ("markers", lambda meta, arrays: meta.pop("markers")),
    "markers are text": ("markers", lambda meta, arrays: meta.update(markers="CD3D")),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_content_is_found_when_it_is_read(cells: AnnData, damage: str, tmp_path: Path) -> None:
    name, change = DAMAGE[damage]
    path = tmp_path / "model.npz"
    STORABLE[name](cells).save(path)
    rewritten(path, change)  # type: ignore[arg-type]
    with pytest.raises(StorageError, match=r"is damaged: .*Save the classifier again"):
        load(path)


def test_files_that_were_cut_short(cells: AnnData, tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    STORABLE["forest"](cells).save(path)
    whole = path.read_bytes()
    for share in (0.1, 0.5, 0.99):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(StorageError, match="cannot be read as a stored classifier"):
            load(path)
    path.write_bytes(json.dumps({"kind": "classifier"}).encode())
    with pytest.raises(StorageError, match="cannot be read as a stored classifier"):
        load(path)


def test_a_file_of_a_later_format_is_not_guessed_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(_store, "FORMAT", 99)
        ScType(TABLE).save(tmp_path / "model.npz")
    with pytest.raises(StorageError, match="has format 99, this version reads format 1"):
        load(tmp_path / "model.npz")
