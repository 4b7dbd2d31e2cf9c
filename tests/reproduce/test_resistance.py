"""What resists, on made-up numbers: each finding can hold, fail, and be left open."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from adverscarial.reproduce.findings import FAILS, HOLDS, OPEN
from adverscarial.reproduce.resistance import (
    MEANS,
    empty_signature,
    epsilon_alone,
    fails_past_a_threshold,
    means_as_published,
    most_resistant,
)


def counts(platelets: int) -> pd.DataFrame:
    rows = [("Platelets", "perc99", platelets), ("Platelets", "positive_aberrant", 155)]
    rows += [("B", "perc99", 9), ("B", "positive_aberrant", 1), ("NK", "perc1", 2)]
    return pd.DataFrame(rows, columns=["cluster", "modification", "single_genes"])


@pytest.mark.parametrize(("platelets", "verdict"), [(0, HOLDS), (1, HOLDS), (2, FAILS), (20, FAILS)])
def test_platelets_resist_if_no_cluster_has_as_few_genes(platelets: int, verdict: str) -> None:
    assert most_resistant(counts(platelets)).verdict == verdict


def test_without_platelets_nothing_is_judged() -> None:
    assert most_resistant(counts(0).query("cluster != 'Platelets'")).verdict == OPEN


def like_the_paper(**changes: int) -> pd.DataFrame:
    rows = [(str(k), name, round(mean)) for name, (mean, *_) in MEANS.items() for k in range(8)]
    rows += [("0", name, n) for name, n in changes.items()]
    return pd.DataFrame(rows, columns=["cluster", "modification", "single_genes"])


def test_means_hold_beside_the_published_ones() -> None:
    found = means_as_published(like_the_paper(), same_data=True)
    assert found.verdict == HOLDS
    assert "perc99 12.0 (12 to 12), published 11.9 (0 to 40)" in found.because
    assert means_as_published(like_the_paper(perc99=60), same_data=True).verdict == FAILS
    assert means_as_published(like_the_paper(), same_data=False).verdict == OPEN
    absent = like_the_paper().query("modification != 'perc1'")
    assert means_as_published(absent, same_data=True).verdict == OPEN


@pytest.mark.parametrize(
    ("lengths", "verdict"),
    [({"a": [0, 5], "b": [3, 0]}, HOLDS), ({"a": [0, 5], "b": [3, 1]}, FAILS), ({"a": [0], "b": [None]}, OPEN)],
)
def test_signatures_are_empty_somewhere_for_each_classifier(lengths: dict[str, Any], verdict: str) -> None:
    rows = [(name, "MaxChange", n) for name, numbers in lengths.items() for n in numbers]
    frame = pd.DataFrame([*rows, ("a", "SingleGene", None)], columns=["classifier", "attack", "signature"])
    assert empty_signature(frame.astype({"signature": "Int64"})).verdict == verdict


@pytest.mark.parametrize(
    ("switched", "alone", "past"),
    [
        ({"a": {0.5: False, 1.0: True}, "b": {0.5: True, 1.0: True}}, HOLDS, HOLDS),
        ({"a": {0.5: True, 1.0: False}, "b": {1.0: True}}, HOLDS, FAILS),
        ({"a": {0.5: False, 1.0: False}, "b": {1.0: True}}, FAILS, FAILS),
        ({"a": {}, "b": {1.0: True}}, OPEN, OPEN),
        ({}, OPEN, OPEN),
    ],
)
def test_strengths_are_judged_by_what_switches(switched: dict[str, dict[float, bool]], alone: str, past: str) -> None:
    assert epsilon_alone(switched).verdict == alone
    assert fails_past_a_threshold(switched).verdict == past


def test_a_threshold_is_where_it_always_switches_from() -> None:
    found = fails_past_a_threshold({"a": {0.5: True, 1.0: False, 2.0: True, 1.5: True}})
    assert found.because == "It always switches: a from 1.5 on."
