"""A pickle that was written with a package that is not installed names the command that installs it."""

from __future__ import annotations

import pickle
import sys
import types
from pathlib import Path

import pytest

import adverscarial as adv
from adverscarial.classifiers import load_celltypist
from adverscarial.errors import MissingDependencyError, StorageError


@pytest.mark.parametrize(
    ("module", "command"),
    [
        ("nowhere_to_be_found.inner", "pip install 'nowhere_to_be_found'"),
        ("skmisc.nowhere", "pip install 'scikit-misc'"),
        ("celltypist.nowhere", "pip install 'adverscarial[celltypist]'"),
    ],
)
@pytest.mark.parametrize("read", [adv.classifiers.load, load_celltypist])
def test_the_command_is_named(module: str, command: str, read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [".".join(module.split(".")[: k + 1]) for k in range(module.count(".") + 1)]
    with monkeypatch.context() as patch:
        for name in names:
            patch.setitem(sys.modules, name, types.ModuleType(name))
        kind = type("Model", (), {"__module__": module})
        sys.modules[module].Model = kind  # type: ignore[attr-defined]
        (tmp_path / "model.pkl").write_bytes(pickle.dumps({"Model": kind(), "Scaler_": 1}))
    for name in names:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingDependencyError) as caught:
        read(tmp_path / "model.pkl", trust=True)
    assert command in str(caught.value)


@pytest.mark.parametrize("name", ["stored", "stored/model.pt"])
def test_a_model_of_scvi_says_how_it_is_loaded(name: str, tmp_path: Path) -> None:
    (tmp_path / "stored").mkdir()
    (tmp_path / "stored" / "model.pt").write_bytes(b"PK")
    with pytest.raises(StorageError, match=r"SCANVI\.load\('.*stored', adata\).*pip install 'adverscarial\[scvi\]'"):
        adv.classifiers.load(tmp_path / name)
    with pytest.raises(StorageError, match="There is no file"):
        adv.classifiers.load(tmp_path / "elsewhere" / "model.pt")
