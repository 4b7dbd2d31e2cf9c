"""A pickle that was written with a package that is not installed names the command that installs it."""

from __future__ import annotations

import pickle
import sys
import types
from pathlib import Path

import pytest

import adverscarial as adv
from adverscarial.classifiers import load_celltypist
from adverscarial.errors import MissingDependencyError


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
