"""What the original program said of real cells, and of the same cells after its attacks (goldens: classifiers)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial.cells.cluster import Cluster
from adverscarial.modifications.base import with_values


class Attacked(NamedTuple):
    """One of the original's attacks, and what its classifier said then."""

    cluster: Cluster
    genes: np.ndarray
    values: np.ndarray
    changed: AnnData
    scores: pd.DataFrame  # of the cluster's cells
    label: str
    votes: dict[str, int]


def original_cells(golden: Path) -> AnnData:
    """Return the cells that the original classified: scaled values, their clusters in ``label``."""
    X = pd.read_csv(golden / "scaled_test.csv.gz", index_col=0)
    obs = pd.read_csv(golden / "cells_test.tsv", sep="\t", index_col="cell").reindex(X.index)
    return AnnData(X.to_numpy(), obs=obs, var=pd.DataFrame(index=X.columns))


def attacked(golden: Path, cells: AnnData, classifier: str) -> Iterator[Attacked]:
    """Yield the attacks on one classifier, in the original's order."""
    folder = golden / "modifications"
    expected = pd.read_csv(folder / "expected.tsv", sep="\t")
    expected = expected[expected["classifier"] == classifier].set_index("case")
    for case in json.loads((folder / "cases.json").read_text()):
        path = folder / f"{case['case']}_{classifier.lower()}.csv.gz"
        if not path.is_file():
            continue
        cluster = Cluster(cells, "label", case["cluster"])
        genes = np.sort(cluster.positions(case["genes"]))
        values = case_values(case, cells.X[:, genes], cluster.X[:, genes])
        changed = with_values(cells, cluster.rows, genes, values)
        scores = pd.read_csv(path, index_col=0)[cluster.cells].T
        said = expected.loc[case["case"]]
        yield Attacked(cluster, genes, values, changed, scores, said["prediction"], votes_of(said["votes"]))


def case_values(case: dict[str, Any], whole: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return the new values of one of the original's attack cases (see the goldens' README)."""
    if case["kind"] == "quantile":
        return np.quantile(whole, case["p1"], axis=0)[None, :]
    if case["kind"] == "max_times":
        return case["p1"] * whole.max(axis=0)[None, :]
    assert case["kind"] == "cgd"
    return np.where(inside > 0, inside * (1 + case["p1"]), inside * (1 - case["p1"])) + case["p2"]


def votes_of(text: str) -> dict[str, int]:
    """Return the votes that the original writes as ``B:10|T:2``."""
    return {name: int(n) for name, n in (pair.rsplit(":", 1) for pair in text.split("|"))}
