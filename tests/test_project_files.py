"""Files that tools outside read say what ``pyproject.toml`` says."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DOI = "10.1093/bioinformatics/btaf168"
# of packages that conda calls otherwise
CONDA = {"matplotlib": "matplotlib-base", "xxhash": "python-xxhash"}


def read(name: str) -> dict:
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load((ROOT / name).read_text())


def names(requirements: list[str]) -> dict[str, str]:
    """Return the lowest versions by name."""
    found = [re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?\s*>=([\d.]+).*", text.split(";")[0]) for text in requirements]
    return {match[1]: match[2] for match in found if match is not None}


@pytest.mark.parametrize("path", [*sorted(ROOT.glob(".github/**/*.y*ml")), ROOT / ".pre-commit-config.yaml"])
def test_every_file_is_yaml(path: Path) -> None:
    assert read(str(path.relative_to(ROOT)))


def test_the_version_is_one() -> None:
    assert read("CITATION.cff")["version"] == PROJECT["version"] == read("recipe/recipe.yaml")["context"]["version"]


def test_the_paper_is_cited_alike() -> None:
    assert read("CITATION.cff")["preferred-citation"]["doi"] == DOI
    assert f"doi     = {{{DOI}}}" in (ROOT / "docs" / "references.bib").read_text()
    assert PROJECT["urls"]["Paper"].endswith(DOI)


def test_the_recipe_needs_what_the_package_needs() -> None:
    recipe = read("recipe/recipe.yaml")
    needed = {CONDA.get(name, name): low for name, low in names(PROJECT["dependencies"]).items()}
    assert len(needed) == len(PROJECT["dependencies"])
    run = [text for text in recipe["requirements"]["run"] if not text.startswith("python ")]
    assert names(run) == needed
    assert recipe["build"]["python"]["entry_points"] == [f"adverscarial = {PROJECT['scripts']['adverscarial']}"]
    assert f">={recipe['context']['python_min']}," in PROJECT["requires-python"]


def test_all_are_all_extras_of_users() -> None:
    extras = PROJECT["optional-dependencies"]
    (listed,) = extras["all"]
    theirs = {"all", "dev", "docs", "test", "test-light"}
    assert set(re.findall(r"[\w-]+", listed)) - {"adverscarial"} == {
        name for name, needs in extras.items() if needs and name not in theirs
    }
    pinned = [need for name, needs in extras.items() if name != "dev" for need in needs if "==" in need.split(";")[0]]
    assert not pinned


def test_every_python_is_tested() -> None:
    said = {text.rsplit(" ", 1)[1] for text in PROJECT["classifiers"] if "Python :: 3." in text}
    matrix = read(".github/workflows/test.yaml")["jobs"]["versions"]["strategy"]["matrix"]["include"]
    assert {row["python"] for row in matrix} == said
