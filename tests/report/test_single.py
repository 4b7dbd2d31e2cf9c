"""Flips by values that cells can have are told apart from those by impossible ones."""

from __future__ import annotations

import numpy as np
import pytest

import adverscarial as adv
from adverscarial.attacks import SingleGene
from adverscarial.report.single import single_gene
from adverscarial.surveys.grid import grids

SIZE = "12 genes × 2 clusters × {} modification"


def told(cells, model, *names: str) -> list[str]:
    attacks = [SingleGene(name, search="exact") for name in names]
    (grid,) = grids(adv.survey(cells, model, attacks=attacks, groupby="group"), "single")
    return single_gene(grid)


def fragile(X: np.ndarray) -> np.ndarray:
    """Only what no cell can have confuses it; ``right`` only where it is positive."""
    odd = (X > 50).any(axis=1) | ((X < -50).any(axis=1) & (X[:, 1] < 0.5))
    return np.where(odd, "odd", "A")


def test_what_only_impossible_values_flip_is_not_called_exposed(cells):
    first, second, ranking, by, widest = told(
        cells, fragile, "perc1", "perc99", "positive_aberrant", "negative_aberrant"
    )
    assert first == (
        f"No single gene at values that cells can have flips any of the 2 clusters ({SIZE.format(2)}s, every gene "
        "tested)."
    )
    # right: all 12 genes upwards; downwards only its own g1, which is then below 0.5
    assert second == (
        "37 of 48 single-gene attacks at impossible values (100,000 and minus 100,000 times the largest value) flip a "
        f"label, by 12 different genes ({SIZE.format(2)}s, every gene tested). Check that your input holds no such "
        "values."
    )
    assert ranking == "By impossible values alone: the most exposed cluster is left (24 flips), the safest right (13)."
    assert by == (
        "By impossible values alone: of the modifications, positive_aberrant makes 24 flips, negative_aberrant makes "
        "13 flips."
    )
    assert widest.startswith("By impossible values alone: 12 genes flip all 2 clusters")


def test_what_real_values_flip_is_ranked_by_them_alone(cells):
    def soft(X: np.ndarray) -> np.ndarray:
        odd = (X > 50).any(axis=1) & (X[:, 1] < 0.5)  # left is flipped by any huge value
        return np.where(odd | (X[:, 1] > 0.5), "B", "A")

    first, second, *rest = told(cells, soft, "perc1", "decile+0", "positive_aberrant")
    assert first == (
        "1 of 48 single-gene attacks at values that cells can have flips a label, by 1 different gene "
        f"({SIZE.format(2)}s, every gene tested)."
    )
    assert second.startswith("12 of 24 single-gene attacks at impossible values (100,000 times the largest value)")
    assert rest == [
        "At values that cells can have: the most exposed cluster is right (1 flip), the safest left (0).",
        "At values that cells can have: of the modifications, perc1 makes 1 flip, decile+0 makes 0 flips.",
    ]


@pytest.mark.parametrize(
    ("names", "first", "second"),
    [
        (["positive_aberrant"], "Only impossible values were tested.", "24 of 24 single-gene attacks at impossible"),
        (["fixed:0", "positive_aberrant"], "No single gene at the other values flips", "24 of 24 single-gene attacks"),
        (["perc1", "negative_aberrant:reference"], "No single gene at values that cells can have flips",
         "13 of 24 single-gene attacks at impossible values (minus 10,000 times the largest value) flip"),
    ],
)  # fmt: skip
def test_no_more_is_claimed_than_was_tested(cells, names, first, second):
    said = told(cells, fragile, *names)
    assert said[0].startswith(first)
    assert said[1].startswith(second)


def test_a_firm_classifier_is_not_said_to_have_wrong_input(cells):
    said = told(cells, lambda X: np.full(len(X), "A"), "perc1", "positive_aberrant")
    assert len(said) == 2
    assert said[1].startswith("No single gene at impossible values (100,000 times the largest value) flips any")
    assert "Check" not in " ".join(said)
