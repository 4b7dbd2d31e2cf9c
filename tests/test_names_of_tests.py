"""A test says in its name what holds, so that a list of tests can be read."""

from __future__ import annotations

import re
from pathlib import Path


def too_short(code: str) -> list[str]:
    """Return the names of tests that are one word, which names a thing and claims nothing of it."""
    return re.findall(r"^[ \t]*(?:async )?def (test_[^\W_]+)\(", code, flags=re.MULTILINE)


def test_one_word_is_too_short() -> None:
    assert too_short("def test_raw():\n    def f_1(): ...\ndef test_fig1(): ...\ndef test_raw_is_read(): ...\n") == [
        "test_raw", "test_fig1",
    ]  # fmt: skip


def test_no_test_is_named_in_one_word() -> None:
    files = sorted(Path(__file__).parent.rglob("test_*.py"))
    found = {path.name: names for path in files if (names := too_short(path.read_text(encoding="utf-8")))}
    assert len(files) > 100
    assert not found
