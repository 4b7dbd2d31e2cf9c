"""Files and folders that are damaged, foreign or taken are refused in words, and nothing is half-written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from anndata import AnnData

import adverscarial as adv
from adverscarial.attacks import Result, SingleGene
from adverscarial.errors import (
    AdverscarialError,
    ClassifierError,
    DataError,
    StorageError,
)
from made_up import example, label


def files(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() if f.is_file() else b"" for f in sorted(folder.rglob("*"))}


@pytest.fixture
def stored(tmp_path: Path) -> dict[str, Path]:
    """A stored result and a stored classifier, each in a folder of its own."""
    paths = {"result": tmp_path / "r" / "result.npz", "classifier": tmp_path / "c" / "model.npz"}
    SingleGene("perc99")(example(), label, groupby="cell_type", target="B").save(paths["result"])
    adv.classifiers.RandomForest(5, seed=0).fit(example(), "cell_type").save(paths["classifier"])
    return paths


READ: dict[str, Callable[[Path], Any]] = {"result": Result.load, "classifier": adv.classifiers.load}


@pytest.mark.parametrize("kind", READ)
def test_damaged_and_foreign_files(stored: dict[str, Path], kind: str) -> None:
    path, read = stored[kind], READ[kind]
    read(path)
    whole = path.read_bytes()
    for content in (
        b"",
        whole[: len(whole) // 2],
        whole[:-1],
        b"gene,outcome\n",
        whole[:500] + bytes(60) + whole[560:],
    ):
        path.write_bytes(content)
        with pytest.raises(
            StorageError, match=r"cannot be read as a stored .*damaged, or was not written by adverscarial"
        ):
            read(path)
    other = "classifier" if kind == "result" else "result"
    with pytest.raises(StorageError, match=f"holds '{other}', expected '{kind}'"):
        read(stored[other])
    with pytest.raises(StorageError, match="There is no file"):
        read(path.with_name("absent.npz"))


@pytest.mark.parametrize("kind", READ)
def test_pickles_are_refused_and_never_run(stored: dict[str, Path], kind: str) -> None:
    path = stored[kind]
    flag = path.with_name("it ran")

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (flag,))

    with np.load(path) as archive:
        content = dict(archive)
    for name in content:
        np.savez(path, **{**content, name: np.array([Bomb()], dtype=object)})
        with pytest.raises(StorageError, match="holds Python objects, which are never read"):
            READ[kind](path)
    np.array([Bomb()], dtype=object).dump(path)
    with pytest.raises(StorageError, match="cannot be read as a stored"):
        READ[kind](path)
    assert not flag.exists()


@pytest.mark.parametrize("kind", READ)
def test_a_file_without_one_of_its_arrays(stored: dict[str, Path], kind: str) -> None:
    path = stored[kind]
    with np.load(path) as archive:
        content = dict(archive)
    for name in content:
        np.savez(path, **{key: value for key, value in content.items() if key != name})
        with pytest.raises(StorageError, match="damaged"):
            READ[kind](path)


def test_saving_where_it_cannot_be(stored: dict[str, Path], tmp_path: Path) -> None:
    result, model = Result.load(stored["result"]), adv.classifiers.load(stored["classifier"])
    (tmp_path / "folder").mkdir()
    before = files(tmp_path)
    for path in (tmp_path / "folder", stored["result"] / "below.npz"):
        for thing in (result, model):
            with pytest.raises(StorageError, match="cannot be written"):
                thing.save(path)
    with pytest.raises(ClassifierError, match="cannot be stored; keep the object"):
        adv.classifiers.wrap(label).save(tmp_path / "new" / "model.npz")
    assert files(tmp_path) == before


@pytest.mark.slow
def test_clobbered_data_files(tmp_path: Path) -> None:
    path = tmp_path / "cells.h5ad"
    example().write_h5ad(path)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 3], whole[: len(whole) * 9 // 10], whole[:2048] + bytes(len(whole) - 2048)):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"cannot be read .*damaged or cut short"):
            adv.datasets.load(path)
        assert path.read_bytes() == content
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(DataError, match="is no HDF5 file: it starts with"):
        adv.datasets.load(path)
    with pytest.raises(DataError, match=r"Did you mean 'cells\.h5ad'"):
        adv.datasets.load(tmp_path / "cell.h5ad")


def run_survey(out: Path, adata: AnnData | None = None, **more: Any) -> Any:
    given: dict[str, Any] = {"attacks": SingleGene("perc99"), "groupby": "cell_type", **more}
    return adv.survey(example() if adata is None else adata, label, out=out, **given)


def test_folders_that_hold_something_else(tmp_path: Path) -> None:
    out = tmp_path / "run"
    run_survey(out)
    before = files(tmp_path)
    with pytest.raises(StorageError, match="belongs to another survey, which differs in seed"):
        run_survey(out, seed=1)
    other = example()
    other.X[0, 0] += 1e-9
    with pytest.raises(
        StorageError, match=r"belongs to another survey, which differs in data\..* Choose another folder"
    ):
        run_survey(out, other)
    assert files(tmp_path) == before

    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    (tmp_path / "file").write_text("mine too")
    before = files(tmp_path)
    for path in (mine, tmp_path / "file"):
        with pytest.raises(StorageError, match="holds other things than a survey; choose an empty or a new folder"):
            run_survey(path)
    (mine / "run.json").write_text('{"format": 1')
    with pytest.raises(StorageError, match=r"holds no readable survey \(run\.json"):
        run_survey(mine)
    (mine / "run.json").unlink()
    assert files(tmp_path) == before


def spoilt() -> AnnData:
    adata = example()
    adata.X[3, 2] = np.nan
    return adata


@pytest.mark.fast(4)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"groupby": "cell_typ"}, "no column"),
        ({"targets": ["NK"]}, "no cluster 'NK'"),
        ({"layer": "counts"}, "no layer"),
        ({"budget": 0}, "budget must be"),
        ({"seed": -1}, "seed must"),
        ({"attacks": []}, "at least one attack"),
        ({"targets": []}, "targets= is empty"),
        ({"backend": "nonsense", "n_jobs": 2}, "backend must be 'loky'"),
        ({"budget": 1.5}, "budget must be at least 1 query, got 1.5"),
        ({"seed": "x"}, "a whole number"),
        ({"adata": spoilt()}, "1 NaN or infinite"),
        ({"n_jobs": 0}, "n_jobs must be"),
    ],
)  # fmt: skip
def test_a_survey_that_cannot_start_writes_nothing(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(AdverscarialError, match=message):
        run_survey(tmp_path / "run", **change)
    assert not (tmp_path / "run").exists()
