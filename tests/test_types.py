"""Types: how much of the package has none, and what a type checker says of a user's program."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import adverscarial
from adverscarial.attacks.result import RESULTS

ROOT = Path(adverscarial.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
REPOSITORY = Path(__file__).parents[1]

_MOST = 3  # uses of Any in 1,000 lines

PROGRAM = """
from dataclasses import dataclass
from typing import assert_type

import numpy as np
import pandas as pd
from anndata import AnnData

import adverscarial as adv
from adverscarial.attacks import Attack, Flips, MaxChangeResult, Result, Run, SingleGene, SingleGeneResult
from adverscarial.classifiers import Classifier


def attack(cells: AnnData, model: Classifier) -> None:
    one = SingleGene("perc99")(cells, model, groupby="cell_type", target="B")
    assert_type(one, SingleGeneResult)
    assert_type(one.success, bool)
    assert_type(one.share, float)
    assert_type(one.flipping_genes, list[str])
    assert_type(one.flips(), Flips)
    assert_type(adv.attacks.MaxChange("perc1")(cells, model, groupby="cell_type", target="B"), MaxChangeResult)
    one.flipped_genes  # expected: attr-defined
    SingleGene("perc99")(cells, model, groupby="cell_type", target=3)  # expected: arg-type
    SingleGene("perc99", serch="exact")  # expected: call-arg
    adv.attacks.SingelGene  # expected: attr-defined
    adv.atacks  # expected: attr-defined


def survey(cells: AnnData, model: Classifier) -> None:
    attacks = [SingleGene("perc99"), adv.attacks.MaxChange("perc99"), Own()]
    found = adv.survey(cells, {"model": model}, attacks=attacks, groupby="cell_type")
    assert_type(found, adv.Survey)
    assert_type(found.results, tuple[Result | None, ...])
    assert_type([result for _, result in found.of(SingleGeneResult)], list[SingleGeneResult])
    found.result  # expected: attr-defined


@dataclass(frozen=True, repr=False, kw_only=True)
class OwnResult(Result):
    tried: list[str]

    @property
    def genes(self) -> list[str]:
        return self.tried

    def to_frame(self) -> pd.DataFrame:
        return pd.DataFrame({"gene": self.tried})


@dataclass(frozen=True, repr=False)
class Own(Attack[OwnResult], name="own"):
    modification: str = "perc1"

    def perform(self, run: Run) -> OwnResult:
        answer = run.together(np.arange(2))
        return OwnResult(**run.shared(label=answer.label, share=answer.share, complete=True), tried=[])


class Wrong(Attack[OwnResult]):
    def perform(self, run: Run) -> SingleGeneResult: ...  # expected: override, empty-body


def attack_of_my_own(cells: AnnData, model: Classifier) -> None:
    result = Own()(cells, model, groupby="cell_type", target="B")
    assert_type(result, OwnResult)
    assert_type(result.tried, list[str])
    result.protein  # expected: attr-defined
"""


def untyped(file: Path) -> list[str]:
    """Return the lines that use `Any`, or a name that stands for it, outside of imports."""
    text = file.read_text()
    imports = {
        number
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    names = re.compile(rf"\b({'|'.join(_NAMES)})\b(?!\()")
    lines = enumerate(text.splitlines(), start=1)
    return [line for number, line in lines if number not in imports and names.search(line)]


def stand_ins() -> list[str]:
    """Return the names of the package that mean `Any`."""
    wanted = re.compile(r"^(\w+)(?:: TypeAlias)? = [\"']?(?:typing\.)?Any[\"']?$", re.MULTILINE)
    return [name for file in FILES for name in wanted.findall(file.read_text())]


_NAMES = ["Any", *stand_ins()]


def test_what_stands_for_any_is_counted_too() -> None:
    assert "Untyped" in _NAMES


def test_few_lines_have_no_types() -> None:
    lines = sum(len(file.read_text().splitlines()) for file in FILES)
    found = [line for file in FILES for line in untyped(file)]
    assert len(found) <= _MOST * lines / 1000


@pytest.mark.slow
def test_no_room_but_attacks_asks_which_attack_a_result_is_of() -> None:
    """Neither by the class of a result, nor by what only one class has, nor by what is private."""
    kinds = {name for name, kind in RESULTS.all().items() if kind.__module__.startswith("adverscarial.")}
    assert "SingleGeneResult" in kinds
    found = []
    for file in FILES:
        if file.is_relative_to(ROOT / "attacks"):
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("isinstance", "issubclass"):
                asked = {name.id for name in ast.walk(node.args[1]) if isinstance(name, ast.Name)}
                asked |= {name.attr for name in ast.walk(node.args[1]) if isinstance(name, ast.Attribute)}
                found += [f"{file.name}: {ast.unparse(node)}"] if asked & kinds else []
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("getattr", "hasattr"):
                text = ast.unparse(node.args[0])
                found += [f"{file.name}: {ast.unparse(node)}"] if _is_result(text) and _is_text(node.args[1]) else []
            if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
                found += [f"{file.name}: {ast.unparse(node)}"] if _is_result(ast.unparse(node.value)) else []
    assert not found


def _is_result(text: str) -> bool:
    return text.split(".")[-1] in ("result", "attack")


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant)


def run(tmp_path: Path, *command: str) -> str:
    """Run a type checker, and return what it says."""
    (tmp_path / "program.py").write_text(PROGRAM)
    environment = {**os.environ, "MYPYPATH": str(ROOT.parent)}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def expected() -> list[tuple[int, str]]:
    """Return the lines of the program that are wrong, each with what mypy calls the error."""
    return [
        (number, code)
        for number, line in enumerate(PROGRAM.splitlines(), start=1)
        if "# expected: " in line
        for code in line.split("# expected: ")[1].split(", ")
    ]


@pytest.mark.slow
def test_mypy_knows_what_an_attack_returns(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    settings = ["--config-file", str(REPOSITORY / "pyproject.toml"), "--cache-dir", str(tmp_path / "cache")]
    said = run(tmp_path, "mypy", *settings, "program.py")
    found = re.findall(r"program\.py:(\d+): error: .*\[([\w-]+)\]$", said, re.MULTILINE)
    assert sorted((int(line), code) for line, code in found) == sorted(expected()), said


@pytest.mark.slow
def test_pyright_knows_what_an_attack_returns(tmp_path: Path) -> None:
    pytest.importorskip("basedpyright")  # pyright itself would load a part of it from the network
    settings = {"typeCheckingMode": "standard", "extraPaths": [str(ROOT.parent)], "include": ["program.py"]}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    said = run(tmp_path, "basedpyright", "--pythonpath", sys.executable, "--outputjson", "-p", ".")
    errors = [found for found in json.loads(said)["generalDiagnostics"] if found["severity"] == "error"]
    lines = {found["range"]["start"]["line"] + 1 for found in errors}
    assert lines == {number for number, _ in expected()}, said
