"""A function of the user's own on the command line, as custom:module:function."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from adverscarial.attacks import Result
from adverscarial.attacks.storing import describe
from adverscarial.errors import ParameterError, StorageError
from adverscarial.modifications import Custom, Fixed, parse
from adverscarial.modifications.custom import imported

MODULE = '''
"""Changes of a user."""
import numpy as np
from adverscarial.modifications import Custom, Fixed

open("was_imported", "w").close()

def nothing(values):
    return np.zeros_like(values)

together = Custom(lambda block: 0 * block, scope="cluster_block")
four = Fixed(4)
number = 3
'''


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a module, which is the current one."""
    (tmp_path / "user_changes.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("user_changes", None)


def arguments(cells_file: Path, modification: str, *more: Any) -> list[Any]:
    where = ["--groupby", "cell_type", "--target", "Dendritic", "--classifier", "sctype", "--preprocess", "scale"]
    return ["attack", cells_file, *where, "--gene", "CST3", "--gene", "LYZ", "--modification", modification, *more]


@pytest.mark.slow
def test_an_attack_with_a_function_of_this_folder(run: Any, cells_file: Path, folder: Path) -> None:
    code, out, err = run(*arguments(cells_file, "custom:user_changes:nothing", "--json", "--out", "result.npz"))
    assert code == 0, err
    assert json.loads(out)["modification"] == "custom:user_changes:nothing"
    zeros = run(*arguments(cells_file, "fixed:0", "--json"))[1]
    assert json.loads(out)["genes"] == json.loads(zeros)["genes"]
    # a stored result names the function, and does not run it
    sys.modules.pop("user_changes")
    (folder / "was_imported").unlink()
    again = Result.load(folder / "result.npz")
    assert str(again.attack.modification) == "custom:user_changes:nothing"
    assert describe(again.attack)["settings"]["modification"] == "custom:user_changes:nothing"
    assert not (folder / "was_imported").exists()
    with pytest.raises(StorageError, match="is a function and was not stored"):
        again.attack.modification.function()


@pytest.mark.slow
def test_a_survey_in_several_processes(run: Any, cells_file: Path, folder: Path) -> None:
    where = ["--groupby", "cell_type", "--classifier", "sctype", "--preprocess", "scale", "--out", "run", "--jobs", "2"]
    where += ["--target", "Dendritic", "--target", "CD19+ B", "--gene", "CST3", "--gene", "CD79A"]
    code, _, err = run("survey", cells_file, *where, "--modification", "custom:user_changes:nothing")
    assert code == 0, err
    table = pd.read_csv(folder / "run" / "table.csv")
    assert set(table["modification"]) == {"custom:user_changes:nothing"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("custom:user_changes", "names no function"),
        ("custom:user_changes:nothing:more", "names no function"),
        ("custom:../user_changes:nothing", "names no function"),
        ("custom:user_chonges:nothing", "cannot be imported .ModuleNotFoundError"),
        ("custom:user_changes:nothin", r"has no function 'nothin'\. Did you mean 'nothing'"),
        ("custom:user_changes:number", "has no function 'number'"),
    ],
)
def test_what_cannot_be_had_is_said_before_the_work(run: Any, cells_file: Path, text: str, message: str) -> None:
    code, _, err = run(*arguments(cells_file, text))
    assert code == 2
    with pytest.raises(ParameterError, match=message):
        imported(text)
    assert "Traceback" not in err


def test_the_name_may_be_a_modification(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(folder)
    together = imported("custom:user_changes:together")
    assert isinstance(together, Custom)
    assert (together.scope, str(together)) == ("cluster_block", "custom:user_changes:together")
    assert imported("custom:user_changes:four") == Fixed(4)


def test_no_text_is_imported_outside_of_the_command_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(folder)
    with pytest.raises(ParameterError, match="is no modification"):
        parse("custom:user_changes:nothing")
    assert not (folder / "was_imported").exists()
