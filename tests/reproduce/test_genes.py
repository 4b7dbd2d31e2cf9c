"""Section 4 and Table 1 on made-up numbers: each finding can hold, fail, and be left open."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from adverscarial.evaluation import Discovery
from adverscarial.reproduce.findings import FAILS, HOLDS, OPEN
from adverscarial.reproduce.genes import EXAMPLES, attacks_find_more, examples_differ, examples_flip
from adverscarial.reproduce.table1 import whose_172

CLUSTERS = sorted({one.cluster for one in EXAMPLES})


def flips(**changes: str) -> pd.DataFrame:
    """Return the published examples; `changes` gives genes other labels."""
    rows = [(one.classifier, one.cluster, one.gene, changes.get(one.gene, one.label)) for one in EXAMPLES]
    return pd.DataFrame(rows, columns=["classifier", "cluster", "gene", "label"])


def test_examples_flip_where_they_lead_to_the_published_label() -> None:
    found = examples_flip(flips(RPS27="Memory_CD4_T"), CLUSTERS)  # scAnnotatR's underscores are blanks
    assert found.verdict == HOLDS
    other = examples_flip(flips(ACTB="NK"), CLUSTERS)
    assert other.verdict == FAILS
    assert "ACTB of Memory CD4 T on CHETAH leads to NK" in other.because
    absent = examples_flip(flips().query("gene != 'CAMKK2'"), CLUSTERS)
    assert absent.verdict == FAILS
    assert "CAMKK2 of CD8 T on scMLP does not" in absent.because
    assert examples_flip(flips(), CLUSTERS[1:]).verdict == OPEN


@pytest.mark.parametrize(("of_camkk2", "verdict"), [(0.21, HOLDS), (0.01, FAILS), (None, OPEN)])
def test_examples_differ_as_published(of_camkk2: float | None, verdict: str) -> None:
    wanted = [one for one in EXAMPLES if one.against]
    p = {(one.gene, one.cluster, one.against): 1e-5 if one.significant else of_camkk2 for one in wanted}
    assert examples_differ({key: value for key, value in p.items() if value is not None}).verdict == verdict


@pytest.mark.parametrize(("p", "verdict"), [([0.2, 0.01], HOLDS), ([0.01, 0.02], FAILS), ([np.nan], OPEN)])
def test_attacks_find_more_if_one_gene_is_not_significant(p: list[float], verdict: str) -> None:
    table = pd.DataFrame({"dataset": "x", "classifier": "scRF", "attack": "signature", "gene": "g", "p_adjusted": p})
    table["significant"] = table["p_adjusted"] < 0.05
    found = attacks_find_more(Discovery(table, pd.DataFrame()))
    assert found.verdict == verdict


def table1(memory_cells: int, genes: int) -> pd.DataFrame:
    rows = [
        ("scRF", "Memory CD4 T", memory_cells, genes), ("CHETAH", "Memory CD4 T", memory_cells, 7),
        ("scRF", "B", 172, 0), ("CHETAH", "B", 172, 8),
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["classifier", "cluster", "cells", "genes"])
    return table.assign(attack="max-change, as published")


@pytest.mark.parametrize(("cells", "genes", "verdict"), [(172, 0, HOLDS), (236, 0, FAILS), (172, 3, FAILS)])
def test_whose_172_cells_they_are(cells: int, genes: int, verdict: str) -> None:
    found = whose_172(table1(cells, genes))
    assert found.verdict == verdict
    assert f"scRF on Memory CD4 T {genes}, scRF on B 0" in found.because
    assert whose_172(table1(cells, genes).query("cluster != 'B'")).verdict == OPEN
