"""The findings, on made-up numbers: each can hold, fail, and be left open."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from adverscarial.reproduce import findings
from adverscarial.reproduce.findings import ABERRANT, FAILS, FIVE, HOLDS, OPEN, ORDER

#: numbers of single genes and of signatures, as the paper's findings want them
LIKE_THE_PAPER: dict[str, tuple[dict[str, int], dict[str, int]]] = {
    "scType": (
        dict(zip(ORDER, (4, 8, 95, 246, 1208), strict=True)),
        dict(zip(ORDER, (6, 29, 189, 222, 1138), strict=True)),
    ),
    "CHETAH": (dict(zip(FIVE, (1, 0, 2, 2, 0), strict=True)), dict(zip(FIVE, (50, 5, 90, 80, 40), strict=True))),
    "scRF": (dict.fromkeys(FIVE, 0), dict(zip(FIVE, (30, 5, 40, 40, 30), strict=True))),
    "scMLP": ({m: 90 if m in ABERRANT else 0 for m in FIVE}, dict.fromkeys(FIVE, 10)),
}


def table(**changes: tuple[str, str, int]) -> pd.DataFrame:
    """Return a survey's table like the paper's, with some (classifier, modification) numbers of `flipped` changed."""
    rows: list[dict[str, Any]] = []
    for name, (single, signature) in LIKE_THE_PAPER.items():
        for attack, column, numbers in (("SingleGene", "flipped", single), ("MaxChange", "signature", signature)):
            for modification, n in numbers.items():
                for classifier, changed, value in changes.values():
                    if (classifier, changed, column) == (name, modification, "flipped"):
                        n = value
                rows.append(
                    {"classifier": name, "cluster": "B", "attack": attack, "modification": modification, column: n,
                     "tested": 100 if column == "flipped" else None, "complete": True}
                )  # fmt: skip
    kinds = dict.fromkeys(("flipped", "signature", "tested"), "Int64")
    return pd.DataFrame(rows).astype(kinds)


JUDGES = {
    "vulnerable": findings.most_vulnerable,
    "forest": findings.forest_immune,
    "mlp": findings.mlp_threshold,
    "order": lambda frame: findings.order_of_impact(frame, "flipped"),
    "signatures": lambda frame: findings.order_of_impact(frame, "signature"),
    "chetah": lambda frame: findings.plateau(frame, "CHETAH"),
    "rf": lambda frame: findings.plateau(frame, "scRF"),
}
#: one changed number that turns each finding over
AGAINST = {
    "vulnerable": ("scRF", "perc99", 200),
    "forest": ("scRF", "decile+5", 1),
    "mlp": ("scMLP", "perc1", 1),
    "order": ("scType", "decile+5", 9),
    "chetah": ("CHETAH", "positive_aberrant", 5),
    "rf": ("scRF", "negative_aberrant", 3),
}


@pytest.mark.parametrize("name", JUDGES)
def test_hold_on_the_papers_numbers(name: str) -> None:
    finding = JUDGES[name](table())
    assert finding.verdict == HOLDS, finding


@pytest.mark.parametrize("name", AGAINST)
def test_one_number_turns_them_over(name: str) -> None:
    finding = JUDGES[name](table(one=AGAINST[name]))
    assert finding.verdict == FAILS, finding


def test_signatures_in_another_order() -> None:
    frame = table()
    mine = (frame["classifier"] == "scType") & (frame["modification"] == "negative_aberrant")
    frame.loc[mine & frame["signature"].notna(), "signature"] = 100
    finding = JUDGES["signatures"](frame)
    assert finding.verdict == FAILS
    assert "negative_aberrant 100, perc99 189" in finding.because


@pytest.mark.parametrize("name", JUDGES)
def test_nothing_is_said_of_a_classifier_that_is_not_there(name: str) -> None:
    frame = table()
    assert JUDGES[name](frame[frame["classifier"] == "scAnnotatR"]).verdict == OPEN


@pytest.mark.parametrize("name", AGAINST)
def test_nothing_is_said_of_an_attack_that_did_not_end(name: str) -> None:
    classifier, modification, _ = AGAINST[name]
    frame = table()
    mine = (frame["classifier"] == classifier) & (frame["modification"] == modification)
    stopped = frame.assign(complete=frame["complete"] & ~mine)
    assert JUDGES[name](stopped).verdict == OPEN or name == "vulnerable"  # the others can still be compared
    failed = frame.assign(flipped=frame["flipped"].mask(mine))
    assert JUDGES[name](failed).verdict == OPEN or name == "vulnerable"


def test_half_of_the_aberrant_attacks_is_not_helpless() -> None:
    frame = table(one=("scMLP", "positive_aberrant", 5), two=("scMLP", "negative_aberrant", 5))
    finding = findings.mlp_threshold(frame)
    assert finding.verdict == FAILS
    assert "10 in 200 attacks (5%)" in finding.because


def ratio(**tested: int) -> findings.Finding:
    genes = {"scType": 18, "scAnnotatR": 23, "scRF": 374, "scMLP": 296} | tested
    modified = {"scType": 4, "scAnnotatR": 9, "scRF": 290, "scMLP": 296}
    return findings.tested_per_modified(genes, modified, dict.fromkeys(genes, True))


def test_tested_per_modified() -> None:
    assert ratio().verdict == HOLDS
    assert ratio(scMLP=900).verdict == FAILS
    held = findings.tested_per_modified({"scType": 5}, {"scType": 1}, {"scType": False})
    assert held.verdict == OPEN
    assert "scType" in held.because


@pytest.mark.parametrize(
    ("alone", "breakable", "verdict"),
    [
        ({"scMLP": {1.0: False}, "scRF": {1.0: False}}, {"scMLP": True, "scRF": True}, HOLDS),
        ({"scMLP": {1.0: False, 2.0: True}, "scRF": {1.0: False}}, {"scMLP": True, "scRF": True}, FAILS),
        ({"scMLP": {1.0: False}, "scRF": {1.0: False}}, {"scMLP": True, "scRF": False}, OPEN),
        ({"scMLP": {1.0: False}}, {"scMLP": True}, OPEN),
    ],
)
def test_alpha_alone(alone: Any, breakable: Any, verdict: str) -> None:
    assert findings.alpha_alone(alone, breakable, "by steps").verdict == verdict


@pytest.mark.parametrize(
    ("modified", "verdict"),
    [({0.5: 15, 10.0: 2}, HOLDS), ({0.5: 2, 10.0: 2}, FAILS), ({0.5: None, 10.0: 2}, OPEN)],
)
def test_fewer_when_stronger(modified: Any, verdict: str) -> None:
    assert findings.fewer_when_stronger(modified, "scMLP").verdict == verdict


def test_a_correlation_holds_fails_or_is_open() -> None:
    assert [findings.correlated(rho).verdict for rho in (0.66, 0.1, float("nan"))] == [HOLDS, FAILS, OPEN]


def attacked(*statuses: str) -> findings.Finding:
    return findings.every_published(pd.DataFrame({"status": statuses}))


def test_every_published() -> None:
    missed = "missed by the published search"
    assert attacked("published", "published", missed).verdict == HOLDS
    assert "1 more are found" in attacked("published", missed).because
    assert attacked("published", "not found here").verdict == FAILS
    assert attacked("published", "published with another label, NK").verdict == FAILS
    assert attacked("", "").verdict == OPEN


def test_numbers_beside_the_published_ones() -> None:
    counts = pd.DataFrame(
        {"single_genes": [5, 3], "published_single_genes": [5, 2], "signature": [1, 1], "published_signature": [9, 1]}
    )
    assert findings.no_fewer(counts).verdict == HOLDS
    assert findings.no_longer(counts).verdict == HOLDS
    turned = counts.rename(columns=lambda name: name[10:] if name.startswith("published") else f"published_{name}")
    assert findings.no_fewer(turned).verdict == FAILS
    assert findings.no_longer(turned).verdict == FAILS


def test_a_finding_is_a_sentence() -> None:
    assert str(findings.Finding("Water is wet", HOLDS, "Seen.")) == "Water is wet: holds. Seen."
