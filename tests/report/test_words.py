from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adverscarial.modifications import SHORT_STRINGS, Custom, parse
from adverscarial.report.words import count, listed, meaning, percent


@given(st.integers(1, 100_000), st.integers(1, 100_000))
def test_percent_says_all_or_nothing_only_of_all_or_nothing(a, b):
    part, whole = min(a, b), max(a, b)
    text = percent(part / whole)
    assert (text == "100%") == (part == whole)
    assert text != "0%"
    assert percent(0) == "0%"


@pytest.mark.parametrize(
    ("names", "text"),
    [([], ""), (["B"], "B"), (["B", "NK"], "B and NK"), ("ABCD", "A, B, C and D"), ("ABCDE", "A, B, C, D and 1 other")],
)
def test_listed(names, text):
    assert listed(names) == (text if names else "")


def test_count():
    assert (count(0, "gene"), count(1, "search", "searches"), count(2, "search", "searches")) == (
        "0 genes",
        "1 search",
        "2 searches",
    )


def test_every_modification_is_explained():
    texts = {name: meaning(parse(name)) for name in SHORT_STRINGS}
    assert len(set(texts.values())) == len(texts)
    assert texts["perc99"].endswith("the gene is switched on.")
    assert "percentile 50" in meaning(parse("perc50"))
    assert "switched" not in meaning(parse("perc50"))
    assert "by 5 tenths of all cells up" in texts["decile+5"]
    assert "by 3 tenths of all cells down" in meaning(parse("decile-3"))
    assert "minus 100,000 times the largest value of the data set" in texts["negative_aberrant"]
    assert ": 10,000 times the largest value of the gene" in meaning(parse("positive_aberrant:reference"))
    assert "own" in meaning(Custom(abs))
