"""What the README shows is what its code prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


def without_times(text: str) -> str:
    return re.sub(r"[\d.]+ s$", "# s", text.strip(), flags=re.MULTILINE)


@pytest.mark.slow
def test_quickstart_prints_what_is_shown(capsys, tmp_path, monkeypatch):
    text = README.read_text()
    code = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    shown = re.findall(r"```text\n(.*?)```", text, flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(code[0], names)
    assert without_times(capsys.readouterr().out) == without_times(shown[0])
    assert len(code[0].strip().splitlines()) <= 12
    exec(code[1], names)
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000


def test_the_examples_are_of_clusters_that_are_recognised():
    """A flip of a label that was wrong from the start would tell nothing."""
    shown = re.findall(r"```text\n(.*?)```", README.read_text(), flags=re.DOTALL)
    right = [(int(n), int(of)) for n, of in re.findall(r"(\d+) of (\d+) right", shown[0])]
    assert len(right) == shown[0].count("  baseline")
    assert all(2 * n > of >= 10 for n, of in right)


def test_links_lead_somewhere():
    for link in re.findall(r"\]\(([^)]+)\)", README.read_text()):
        assert (README.parent / link).is_file(), link


@pytest.mark.parametrize("name", ["demo", "test", "lint", "types", "bench"])
def test_make_has_what_the_readme_and_ci_call(name):
    makefile = (README.parent / "Makefile").read_text()
    assert re.search(rf"^{name}:", makefile, flags=re.MULTILINE)
