"""The list is read from the source; it says what the package says once it is loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from adverscarial.attacks.registered import attacks as registered
from adverscarial.cli import catalogue


def ours():
    return {name: kind for name, kind in registered().items() if kind.__module__.startswith("adverscarial.")}


def test_attacks_are_those_that_register_themselves():
    found = catalogue.attacks()
    assert list(found) == list(ours())
    for name, kind in ours().items():
        assert found[name] == {"question": kind.question, "cost": kind.cost}
        assert all(found[name].values())


def test_attacks_of_other_packages_are_asked(monkeypatch):
    monkeypatch.setattr(catalogue, "entry_points", lambda group: [SimpleNamespace(name="other")])
    monkeypatch.setattr(catalogue, "declared", None)
    assert list(catalogue.attacks()) == list(registered())


@pytest.mark.slow
@pytest.mark.parametrize("what", ["modifications", "classifiers"])
def test_source_and_registry_say_the_same(what):
    code = (
        "import json; from adverscarial.cli import catalogue\n"
        "catalogue.declared = lambda room, keyword: ()\n"
        f"print(json.dumps(list(catalogue.{what}().items())))"
    )
    # in a process of its own: here, other tests may have registered classes of theirs
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found = getattr(catalogue, what)()
    assert found
    assert all(found.values())
    assert json.loads(done.stdout) == [list(item) for item in found.items()]


def test_what_is_computed_is_left_out(tmp_path, monkeypatch):
    (tmp_path / "room").mkdir()
    head = 'class A(B, name="a", row=Row("b", 2, c=3), other=Row(x)):'
    body = '    """What.\n\n    More."""\n    x: int = 1\n    y = len("a")\n    z: int\n'
    text = f"{head}\n{body}"
    (tmp_path / "room" / "a.py").write_text(text + "class C(B):\n    x = 1\n")
    monkeypatch.setattr(catalogue, "_ROOT", tmp_path)
    assert catalogue.declared("room", "name") == (("a", "What.", {"name": "a", "row": ["b", 2], "row.c": 3}, {"x": 1}),)


@pytest.mark.slow
def test_what_is_not_installed_names_its_command(monkeypatch):
    assert all("install" in how for how in catalogue.not_installed().values())
    monkeypatch.setattr(catalogue, "find_spec", lambda module: None)
    monkeypatch.setattr(catalogue, "which", lambda program: None)
    found = catalogue.not_installed()
    assert found["mlp"] == "pip install 'adverscarial[torch]'"
    assert found["singler"] == "pip install 'adverscarial[singler]'"
    assert set(found) - {"mlp", "singler"} == {"model.R, model.R:FUNCTION"}
    assert set(found) <= set(catalogue.classifiers())
    monkeypatch.setattr(catalogue, "find_spec", lambda module: module)
    monkeypatch.setattr(catalogue, "which", lambda program: program)
    assert catalogue.not_installed() == {}
