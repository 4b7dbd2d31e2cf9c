"""Files cannot run code, write elsewhere, or fill the memory; more on pickles in test_store and test_loading_files."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import adverscarial as adv
from adverscarial import _store
from adverscarial.attacks import Result, SingleGene
from adverscarial.classifiers.adapters.celltypist import load_celltypist
from adverscarial.errors import StorageError

HUGE = 100 * 10**9


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.flag,))


def cells() -> AnnData:
    rng = np.random.default_rng(0)
    obs = pd.DataFrame({"cell_type": ["B", "../../x"] * 10}, index=[f"cell{i}" for i in range(20)])
    return AnnData(rng.random((20, 5)), obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(5)]))


def label(X: np.ndarray) -> np.ndarray:
    return np.where(X[:, 0] > 0.5, "B", "T")


def header(shape: tuple[int, ...], descr: str = "<f8") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue()


def announcing(path: Path, size: int) -> None:
    """Write a zip whose member 'x.npy' claims to be `size` bytes long."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:
        archive.writestr("meta.npy", b"")
        with archive.open("x.npy", "w", force_zip64=True) as member:
            member.write(header((size // 8,)))
    content = path.read_bytes()
    real = len(header((size // 8,))).to_bytes(4, "little")
    place = content.rindex(b"PK\x01\x02") + 24  # the size in the list of files
    assert content[place : place + 4] == real
    path.write_bytes(content[:place] + min(size, 2**32 - 2).to_bytes(4, "little") + content[place + 4 :])


@pytest.mark.parametrize("read", [Result.load, adv.classifiers.load], ids=["result", "classifier"])
def test_a_zip_that_announces_more_than_memory_holds(
    tmp_path: Path, read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    announcing(tmp_path / "a.npz", HUGE)
    monkeypatch.setattr("adverscarial._memory.available", lambda: 10**9)
    with pytest.raises(StorageError, match=r"announces 4,294,967,\d+ bytes in a file of .*1\.0 GB are available"):
        read(tmp_path / "a.npz")


def test_a_small_file_of_many_zeros(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its sizes are true: what counts is what they come to, not the size of the file."""
    path = tmp_path / "zeros.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("meta.npy", b"")
        for number in range(3):
            archive.writestr(f"{number}.npy", bytes(10**7))
    assert path.stat().st_size < 10**5
    monkeypatch.setattr("adverscarial._memory.available", lambda: 2 * 10**7)
    with pytest.raises(StorageError, match=r"announces 30,000,000 bytes in a file of"):
        _store.load(path, "thing")


def test_an_array_that_announces_more_than_it_holds(tmp_path: Path) -> None:
    for shape in ((HUGE,), (10**6, 10**6, 10**6), (-1,), (2**40, 0)):
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
            archive.writestr("meta.npy", header((2,), "|u1") + b"{}")
            archive.writestr("x.npy", header(shape) + bytes(16))
        with pytest.raises(StorageError, match="cannot be read as a stored thing"):
            _store.load(tmp_path / "a.npz", "thing")


@pytest.mark.parametrize("compress", [0, 3])
def test_pickles_in_every_place(tmp_path: Path, compress: int) -> None:
    """joblib files, plain pickles and CellTypist models are not opened without trust, whatever they are called."""
    flag = tmp_path / "it ran"
    for name in ("model.joblib", "model.pkl", "Immune_All_Low.pkl", "model.npz", "result.npz", "model.skops"):
        joblib.dump({"Model": Trap(flag), "Scaler_": Trap(flag), "description": {}}, tmp_path / name, compress=compress)
        for read in (adv.classifiers.load, Result.load):
            with pytest.raises(StorageError):
                read(tmp_path / name)
    with pytest.raises(StorageError):
        load_celltypist(tmp_path / "Immune_All_Low.pkl")
    assert not flag.exists()
    joblib.load(tmp_path / "model.pkl")
    assert flag.exists()  # so the trap was a live one


@pytest.mark.parametrize("name", ["../../escape.npy", "{root}/escape.npy", "a/../../../escape.npy", "..\\escape.npy"])
def test_members_that_point_outside_write_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Members are read into memory under their names, and never unpacked to disk."""
    inner = tmp_path / "a" / "b"
    path = _store.save(inner / "a.npz", "thing", {}, {"x": np.arange(3)})
    monkeypatch.chdir(inner)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name.format(root=tmp_path), header((0,)))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(StorageError, match="its arrays are not those that were stored"):
        _store.load(path, "thing")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_skops_file_that_announces_more_than_memory_holds(tmp_path: Path) -> None:
    pytest.importorskip("skops")
    with zipfile.ZipFile(tmp_path / "a.skops", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", "{}")
    content = (tmp_path / "a.skops").read_bytes()
    place = content.rindex(b"PK\x01\x02") + 24
    (tmp_path / "a.skops").write_bytes(content[:place] + (2**32 - 2).to_bytes(4, "little") + content[place + 4 :])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("adverscarial._memory.available", lambda: 10**9)
        with pytest.raises(adv.errors.MemoryLimitError, match="announces 4,294,967,294 bytes"):
            adv.classifiers.load(tmp_path / "a.skops")


def test_names_never_become_paths(tmp_path: Path) -> None:
    """Clusters and classifiers with the names of files elsewhere: the folder holds numbers only."""
    out = tmp_path / "deep" / "run"
    names = {"../../x": label, "/etc/passwd": label, "..": label, "a\0b": label, "": label, "x" * 300: label}
    found = adv.survey(cells(), names, attacks=SingleGene("perc1", bins=2), groupby="cell_type", out=out)
    assert not found.errors
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    numbers = [f"deep/run/results/{number:05d}.npz" for number in range(12)]
    assert files == sorted(["deep/run/errors.json", "deep/run/run.json", "deep/run/table.csv", *numbers])
    again = adv.Survey.load(out)
    assert again.to_frame().equals(found.to_frame())
    again.report(tmp_path / "report.html")
    assert "<script>alert" not in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    "change",
    [
        {"attacks": [{"type": "os.system", "settings": {"command": "touch it_ran"}}]},
        {"attacks": [{"type": "SingleGene", "settings": {"modification": "__import__('os').system('touch it_ran')"}}]},
        {"attacks": [{"type": "SingleGene", "settings": {"no such": 1}}]},
        {"attacks": 3},
        {"classifiers": None},
        {"clusters": 5},
        {"format": 99},
    ],
)
def test_a_malicious_plan_is_only_text(tmp_path: Path, change: dict[str, Any]) -> None:
    """With a checksum that fits, as whoever knows the format can make it."""
    adv.survey(cells(), label, attacks=SingleGene("perc1", bins=2), groupby="cell_type", out=tmp_path)
    plan = _store.read_json(tmp_path / "run.json")
    _store.write_json(tmp_path / "run.json", {**plan, **change})
    old = os.getcwd()
    os.chdir(tmp_path)
    try:
        with pytest.raises(adv.errors.AdverscarialError):
            adv.Survey.load(tmp_path)
    finally:
        os.chdir(old)
    assert not (tmp_path / "it_ran").exists()


def test_results_that_name_other_types(tmp_path: Path) -> None:
    for type_name in ("os.system", "Result", "Survey"):
        meta = {"type": type_name, "attack": {"type": "eval", "settings": {}}, "fields": {}}
        _store.save(tmp_path / "r.npz", "result", meta, {})
        with pytest.raises(StorageError):
            Result.load(tmp_path / "r.npz")


def test_deeply_nested_json_is_refused(tmp_path: Path) -> None:
    """Nested so deeply that a reader without a limit would overrun the stack."""
    (tmp_path / "run.json").write_text("[" * 10**6)
    with pytest.raises(StorageError):
        adv.Survey.load(tmp_path)
    text = np.frombuffer(b'{"kind":' * 10**5, dtype=np.uint8)
    np.savez(tmp_path / "r.npz", meta=text)
    with pytest.raises(StorageError):
        Result.load(tmp_path / "r.npz")
