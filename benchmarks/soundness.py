"""Proofs of MinChange, judged by trying all sets of genes of thousands of tiny random models. Aim: no violation.

ADVERSCARIAL_CASES multiplies how many models are tried.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from common import HERE, QUICK, clock, save, show

sys.path.insert(0, str(HERE.parent / "tests"))  # the models and the judge are those of the tests

from attacks.minimal.brute import Tally, check_flips, check_signature, tight
from attacks.minimal.test_boosting_sound import boosted_case
from attacks.minimal.test_chetah_sound import check_needs, chetah_case
from attacks.minimal.test_linear_sound import linear_case
from attacks.minimal.test_networks_sound import network_case
from attacks.minimal.test_scannotatr_sound import scannotatr_case
from attacks.minimal.test_trees_sound import tree_case

TIMES = 0.01 if QUICK else int(os.environ.get("ADVERSCARIAL_CASES", "1"))
Make = Callable[[int], Any]
Judge = Callable[[Any, int], Tally | None]

named: Judge = partial(check_flips, named=True)
KINDS: dict[str, tuple[Make, Judge, int]] = {
    "linear, flips": (linear_case, check_flips, 5000),
    "linear, flips to named types": (linear_case, named, 2500),
    "linear, signatures": (partial(linear_case, signature=True), check_signature, 5000),
    "forests, flips": (tree_case, check_flips, 2000),
    "forests, flips to named types": (tree_case, named, 1000),
    "XGBoost, flips": (partial(boosted_case, "xgboost"), check_flips, 500),
    "LightGBM, flips": (partial(boosted_case, "lightgbm"), check_flips, 500),
    "networks, flips": (network_case, check_flips, 2000),
    "networks, flips to named types": (network_case, named, 1000),
    "CHETAH, every label": (chetah_case, check_needs, 1000),
    "scAnnotatR, flips": (scannotatr_case, check_flips, 500),
}


def row(kind: str, make: Make, judge: Judge, usual: int) -> dict[str, object]:
    """Try all models of one kind; seeds of violations are printed."""
    start, tallies, wrong = clock(), [], 0
    for seed in range(10**6, 10**6 + round(usual * TIMES)):  # other models than those of the tests
        try:
            tally = judge(make(seed), seed)
        except AssertionError as violation:
            wrong += 1
            print(f"{kind}, seed {seed}: {violation}", flush=True)
        else:
            tallies += [] if tally is None else [tally]
    lower, upper = tight(tallies)
    cells = [cell for tally in tallies for cell in tally.cells]
    return {
        "models": kind,
        "clusters": f"{len(tallies):,}",
        "violations": wrong,
        "lower is the truth": f"{lower:.2f}",
        "set is smallest": "" if np.isnan(upper) else f"{upper:.2f}",
        "cells": f"{len(cells):,}",
        "their lower is the truth": f"{sum(cells) / len(cells):.2f}" if cells else "",
        "seconds": f"{clock() - start:.0f}",
    }


if __name__ == "__main__":
    rows = []
    for kind, (make, judge, usual) in KINDS.items():
        rows.append(row(kind, make, judge, usual))
        print(show(rows[-1:]), flush=True)
    save("soundness", rows)
    if any(row["violations"] for row in rows):
        raise SystemExit("Some bound does not hold: see above.")
