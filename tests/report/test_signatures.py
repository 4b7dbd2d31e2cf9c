"""What the report says of signatures: how short they can be, where that is proven."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import adverscarial as adv
from adverscarial.attacks import MaxChange
from adverscarial.report.grid_sections import grid_sections
from adverscarial.report.sections import section_of

GENES = np.array([f"g{i}" for i in range(1, 12)])
ATTACK = MaxChange("perc1", restarts=1)


@pytest.fixture(scope="module")
def found(cells, models) -> adv.Survey:
    return adv.survey(cells, {"soft": models["soft"]}, attacks=ATTACK, groupby="group", progress=False)


def signature(result, length: int, lower: int, *, maximal: bool = True):
    parts = {"protected": GENES[:length], "modifiable": GENES[length:]}
    if hasattr(result, "changeable"):  # one array of names, and which of them can be changed
        parts = {"tested": GENES, "changeable": np.arange(len(GENES)) >= length}
    return replace(result, lower=lower, maximal=maximal, **parts)


@pytest.mark.parametrize(
    ("length", "lower", "maximal", "said"),
    [
        (
            6,
            3,
            True,
            "The signature is the remaining 6 genes; no fewer than 3 can do. Rewriting any one of them as well",
        ),
        (6, 6, True, "The signature is the remaining 6 genes; no fewer can do. Rewriting any one of them as well"),
        (6, 6, False, "The signature is the remaining 6 genes; no fewer can do. Rewriting any one of them as well"),
        (6, 1, True, "The signature is the remaining 6 genes. Rewriting any one of them as well"),
        (1, 1, True, "The signature is the remaining 1 gene; no fewer can do. Rewriting it as well"),
        (1, 0, True, "The signature is the remaining 1 gene. Rewriting it as well would flip the label"),
        (6, 3, False, "6 genes were left as they are; no fewer than 3 can do. It was not shown that all of them must:"),
        (0, 0, True, "No gene has to stay."),
    ],
)
def test_a_signature_is_named_with_what_is_proven(found, length, lower, maximal, said):
    detail = section_of(ATTACK).detail(signature(found.results[0], length, lower, maximal=maximal))
    assert said in detail.text
    assert detail.names == list(GENES[:length])


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        (
            [(4, 2, True), (6, 6, True)],
            [
                "The label of cluster left holds while 7 of 11 genes are rewritten at once (perc1); 4 genes carry it "
                "(signature); no fewer than 2 can do.",
                "The longest signature found: the label of cluster right holds while 5 of 11 genes are rewritten at "
                "once (perc1); 6 genes carry it (signature); no fewer can do.",
                "For 1 of 2 signatures it is proven that no fewer genes can do.",
            ],
        ),
        (
            [(4, 2, False), (6, 0, False)],
            [
                "The label of cluster left holds while 7 of 11 genes are rewritten at once (perc1); the other 4 were "
                "left as they are; fewer may do, but no fewer than 2.",
                "The longest signature found: the label of cluster right holds while 5 of 11 genes are rewritten at "
                "once (perc1); the other 6 were left as they are, though fewer may do.",
            ],
        ),
        (
            [(4, 4, False), (4, 4, True)],
            [
                "The label of cluster left holds while 7 of 11 genes are rewritten at once (perc1); 4 genes carry it "
                "(signature); no fewer can do.",
                "For each signature it is proven that no fewer genes can do.",
            ],
        ),
    ],
)
def test_the_sentences_that_lead_say_what_is_proven(found, ends, said):
    results = [signature(r, *two, maximal=maximal) for r, (*two, maximal) in zip(found.results, ends, strict=True)]
    (section,) = grid_sections(adv.Survey(found.plan, found.tasks, tuple(results), {}), {})
    assert section.tables[0].sentences == said
    assert "also shorter ones" not in section.meaning


def test_a_proven_length_has_no_mark_that_fewer_may_do(found):
    assert signature(found.results[0], 6, 6, maximal=False).marks == ""
    assert signature(found.results[0], 6, 5, maximal=False).marks == "†"
