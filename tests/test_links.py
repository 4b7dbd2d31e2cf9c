"""Links to other places, as far as can be told without a network; ``make linkcheck`` opens them."""

from __future__ import annotations

import ipaddress
import re
from collections import defaultdict
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "docs/tasks/*.md", "docs/tutorials/*.md", "docs/results/*.md", "findings/*.md")
    for path in ROOT.glob(pattern)
)
#: kept for examples (RFC 2606), or what people write until they know better
PLACEHOLDERS = re.compile(r"example|invalid|localhost|\btest$|your|todo|changeme|foo|xxx", re.IGNORECASE)


def outside(text: str) -> list[str]:
    """Return the addresses of the web in a page, but for those in code."""
    prose = re.sub(r"^(`{3,}).*?^\1", "", text, flags=re.MULTILINE | re.DOTALL)
    prose = re.sub(r"`[^`\n]+`", "", prose)
    return [link.rstrip(".,;:") for link in re.findall(r"\bhttps?:[^\s)\]>\"'|]*", prose)]


def wrong(link: str) -> str:
    """Return what is wrong with an address; nothing where nothing is."""
    parts = urlsplit(link)
    host = parts.hostname or ""
    if parts.scheme != "https" or not link.startswith("https://"):
        return "no https://"
    try:
        ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        return "a number for a name"
    if not re.fullmatch(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}", host) or parts.port or parts.username:
        return "no name of a place that everybody can reach"
    if PLACEHOLDERS.search(host) or re.search(r"[<>{}]|\.\.\.|OWNER", parts.path):
        return "a placeholder"
    if host == "doi.org" and not re.fullmatch(r"/10\.\d{4,9}/\S+", parts.path):
        return "no DOI"
    return ""


def test_what_is_wrong_is_found() -> None:
    assert outside("See [a](https://a.org/x), <https://b.org>; `https://code.org`.\n```\nhttps://c.org\n```\n") == [
        "https://a.org/x", "https://b.org",
    ]  # fmt: skip
    for link in (
        "http://a.org", "https:/a.org", "https://", "https://127.0.0.1/x", "https://a", "https://example.org/x",
        "https://github.com/OWNER/x", "https://a.org/<name>", "https://doi.org/btaf168", "https://a.org:8080/",
    ):  # fmt: skip
        assert wrong(link), link
    assert not wrong("https://doi.org/10.1093/bioinformatics/btaf168")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_are_well_formed(page: Path) -> None:
    found = {link: wrong(link) for link in outside(page.read_text(encoding="utf-8"))}
    assert not {link: what for link, what in found.items() if what}


def test_one_place_is_spelt_in_one_way() -> None:
    spelt: dict[str, set[str]] = defaultdict(set)
    for page in PAGES:
        for link in outside(page.read_text(encoding="utf-8")):
            parts = urlsplit(link)
            host = (parts.hostname or "").removeprefix("www.").removeprefix("dx.")
            spelt[host + parts.path.rstrip("/").removesuffix("/index.html").lower()].add(link.partition("#")[0])
    assert sum(map(len, spelt.values())) > 10
    assert not [links for links in spelt.values() if len(links) > 1]
