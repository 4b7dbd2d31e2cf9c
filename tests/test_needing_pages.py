"""The pages that ask R: what they say that their cells print is what these print."""

from __future__ import annotations

import contextlib
import importlib.util
import io
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def pages():
    spec = importlib.util.spec_from_file_location("_r_pages", DOCS / "_r_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def text_of(page: str) -> str:
    return (DOCS / f"{page}.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_what_is_shown_is_what_is_printed(pages, rscript, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, page in enumerate(pages.PAGES):
        folder = tmp_path / str(number)
        folder.mkdir()
        monkeypatch.chdir(folder)
        names: dict[str, object] = {}
        wrong = []
        for cell in pages.cells(text_of(page)):
            if cell.file:
                Path(cell.file).write_text(cell.code, encoding="utf-8")
                continue
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(compile(cell.code, page, "exec"), names)
            if printed.getvalue() != (cell.shown or ""):
                wrong.append((cell.code, cell.shown, printed.getvalue()))
        assert not wrong


def test_without_r_nothing_runs_and_everything_is_shown(pages) -> None:
    for page in pages.PAGES:
        text = pages.without_r(text_of(page))
        assert "code-cell" not in text
        assert "mystnb" not in text
        for cell in pages.cells(text_of(page)):
            assert cell.code in text
            assert cell.shown is None or f"```text\n{cell.shown}```" in text
        assert "{shown}" not in text
        assert "{shown}" not in pages.with_r(text_of(page))
