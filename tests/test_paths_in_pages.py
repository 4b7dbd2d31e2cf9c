"""Files of the repository that a page names are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NAMED = re.compile(r"`((?:tests|src|benchmarks|findings|\.ci)/[\w./-]+)`")
PAGES = sorted(
    {*ROOT.glob("*.md"), *ROOT.glob("benchmarks/*.md"), *ROOT.glob("findings/*.md"), *(ROOT / "docs").rglob("*.md")}
)


def test_pages_are_found() -> None:
    assert {"README.md", "architecture.md"} <= {page.name for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_a_page_names_exist(page: Path) -> None:
    named = set(NAMED.findall(page.read_text(encoding="utf-8")))
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []
