"""Pages link the terms of the glossary: some on each page that uses several, and each where it first appears."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
GLOSSARY = (DOCS / "glossary.md").read_text(encoding="utf-8")
TERMS = re.findall(r"^(\w[\w -]*)\n  \S", GLOSSARY.partition(":sorted:")[2], re.MULTILINE)
# pages of results are written by `adverscarial reproduce`, and read where no glossary is beside them
PAGES = sorted(
    path for folder in ("", "tasks", "tutorials") for path in (DOCS / folder).glob("*.md") if path.name != "glossary.md"
)
LINK = re.compile(r"\{term\}`(?:([^`<]+) <([^`>]+)>|([^`]+))`")
SEVERAL, SOME = 3, 2


def prose(page: str) -> str:
    """Return what is read as sentences: no code, headings, tables or grids, and of links only their text."""
    page = re.sub(r"\A---\n.*?^---\n", "", page, flags=re.MULTILINE | re.DOTALL)
    page = re.sub(r"^(`{3,}|:{3,}).*?^\1$", "", page, flags=re.MULTILINE | re.DOTALL)
    page = re.sub(r"^(?:[#|]|:\S).*", "", page, flags=re.MULTILINE)
    page = re.sub(r"(\{term\}`[^`]+`)|`[^`]+`", lambda match: match[1] or "", page)
    return re.sub(r"\]\([^)]*\)", "]", page)


def first_use(term: str, text: str) -> int | None:
    """Return where a term, or its plural, or a link to it, stands first in prose."""
    word = term.replace(" ", r"\s").removesuffix("y") + (r"(?:y|ys|ies)" if term.endswith("y") else r"(?:e?s)?")
    found = re.search(rf"(?<![\w-]){word}(?![\w-])", text, re.IGNORECASE)
    return None if found is None else found.start()


def links(text: str) -> dict[str, int]:
    """Return where the text of the first link to each term begins."""
    found: dict[str, int] = {}
    for match in LINK.finditer(text):
        found.setdefault(match[2] or match[3], match.start(1 if match[2] else 3))
    return found


def wrong(page: str) -> list[str]:
    """Return what is wrong with the links of a page to the glossary."""
    text = prose(page)
    linked, used = links(text), {term: at for term in TERMS if (at := first_use(term, text)) is not None}
    told = [f"'{term}' stands before its link" for term, at in linked.items() if used.get(term, at) < at]
    told += [f"'{term}' is not in the glossary" for term in sorted(set(linked) - set(TERMS))]
    if len(used) >= SEVERAL and len(linked) < SOME:
        told.append(f"{len(linked)} of {len(used)} terms are linked: {', '.join(sorted(used))}")
    return told


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_pages_link_terms_where_they_first_appear(page: Path) -> None:
    assert not wrong(page.read_text(encoding="utf-8"))


def test_what_is_wrong_is_found() -> None:
    one, two = "Each {term}`query` is about a {term}`score`, a signature.", "The {term}`slopes <slope>` of queries."
    assert wrong(one) == wrong(two) == []
    assert wrong(f"Of queries and scores. {one}") == [
        "'query' stands before its link", "'score' stands before its link",
    ]  # fmt: skip
    assert wrong("A {term}`query`, a score and a signature.") == ["1 of 3 terms are linked: query, score, signature"]
    assert wrong("A {term}`word`.") == ["'word' is not in the glossary"]
    # neither a heading nor code is a sentence
    assert wrong("# A query\n\n`query`, `score`, `slope`\n```\nThe signature, one slope\n```\n" + one) == []


def test_the_glossary_is_read() -> None:
    assert {"aberrant value", "query", "runner-up", "z-score"} <= set(TERMS)
    assert len(PAGES) > 30
