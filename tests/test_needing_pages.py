"""The pages that need R, data or a package: what they say that their cells print is what these print."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


def module_of_pages():
    spec = importlib.util.spec_from_file_location("_needing_pages", DOCS / "_needing_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


pages = module_of_pages()


def text_of(page: str) -> str:
    return (DOCS / f"{page}.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("page", pages.PAGES)
def test_what_is_shown_is_what_is_printed(page: str, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    need = pages.PAGES[page]
    if not need.here():
        pytest.skip(f"what {page} needs is not here")
    pytest.importorskip("matplotlib").use("agg")
    monkeypatch.chdir(tmp_path)
    shown = [cell.shown or "" for cell in pages.cells(text_of(page))]
    said = pages.printed(text_of(page))
    if not need.exact:  # the words must be there still, the numbers are those of one machine
        assert all(bool(was) == bool(now) for was, now in zip(shown, said, strict=True))
        return
    assert said == shown


@pytest.mark.parametrize("page", pages.PAGES)
def test_elsewhere_nothing_runs_and_everything_is_shown(page: str) -> None:
    text = pages.still(text_of(page), pages.PAGES[page].note)
    assert "code-cell" not in text
    assert "mystnb" not in text
    assert pages.PAGES[page].note in text
    for cell in pages.cells(text_of(page)):
        assert cell.code in text
        assert cell.shown is None or f"```text\n{cell.shown}```" in text
    assert "{shown}" not in text
    assert "{shown}" not in pages.running(text_of(page))


def test_blocks_are_written_anew() -> None:
    page = "# T\n\n```{code-cell}\nprint(1)\n```\n\n```{shown}\n0\n```\n\n```{code-cell}\n---\nx: y\n---\nk = 2\n```\n"
    assert [cell.code for cell in pages.cells(page)] == ["print(1)\n", "k = 2\n"]
    again = pages.filled(page, pages.printed(page))
    assert again == page.replace("\n0\n", "\n1\n")
    assert re.search(r"# T\n\n:::\{note\}\nwhy\n:::\n", pages.still(page, "why"))
