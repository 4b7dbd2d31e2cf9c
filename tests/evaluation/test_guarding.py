"""What a guard stops, on cells where it can be counted by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import adverscarial as adv
import needs
from adverscarial.classifiers import Guard, wrap
from adverscarial.errors import ParameterError
from adverscarial.evaluation import AtLimit, guarding
from adverscarial.stresses.chance import generator
from stresses.made import as_cells, count_data


def cells(n: int = 50, seed: int = 0) -> AnnData:
    """Cells of type B, with gene b from 2 to 3, and of type T, with gene b from 0 to 1; gene a from 0 to 2 in both."""
    rng = np.random.default_rng(seed)
    b = np.concatenate([rng.uniform(2, 3, n), rng.uniform(0, 1, n)])
    X = np.column_stack([rng.uniform(0, 2, 2 * n), b])
    X[0], X[1], X[n], X[n + 1] = [0, 3], [2, 2], [0, 0], [2, 1]
    obs = pd.DataFrame({"type": ["B"] * n + ["T"] * n}, index=[f"c{i}" for i in range(2 * n)])
    return AnnData(X, obs=obs, var=pd.DataFrame(index=["a", "b"]))


def by_b(X: np.ndarray) -> np.ndarray:
    """B above 1.5 of gene b, unless a is far above all that occurs."""
    return np.where(X[:, 0] > 4, "T", np.where(X[:, 1] > 1.5, "B", "T"))


@pytest.mark.parametrize("action", ["refuse", "clip", "unsure"])
def test_counted_by_hand(action: str) -> None:
    """Allowed: a to 2 + 1.5, b to 3 + 1.5.

    Without the guard a = 10 flips B, and b = 10 flips T. Refused, nothing flips; clipped, a = 3.5 flips nothing, and
    b = 4.5 flips T. Whoever knows the guard flips T by b = 4.5 and B by b = 0: no guard of single genes stops these.
    """
    model = wrap(by_b, classes=["B", "T"], genes=["a", "b"])
    guard = Guard(model, action, margin=0.5, cells=False).fit(cells())
    assert guard.limits.high.tolist() == [3.5, 4.5]
    table = guarding(
        cells(seed=1), guard, groupby="type", attacks={"ten": adv.attacks.SingleGene("fixed:10", search="exact")},
        progress=False,
    ).set_index("attack")  # fmt: skip
    ten, top, bottom = table.loc["ten"], *(table.loc[name] for name in table.index[1:])
    assert ten["flips"] == 2
    assert ten["flips_guarded"] == (1 if action == "clip" else 0)
    assert ten["rejected"] == (4 if action == "refuse" else 0)
    assert ten["unsure"] == (4 if action == "unsure" else 0)
    assert ten["stopped"] == (0.5 if action == "clip" else 1)
    assert ten["detected"] == 1
    assert (top["flips"], top["flips_guarded"], bottom["flips"], bottom["flips_guarded"]) == (1, 1, 1, 1)
    assert top["detected"] == 1  # b = 4.5 is allowed, and strange
    assert bottom["detected"] == 0  # b = 0 is a real value
    assert (table[["accuracy", "accuracy_guarded"]] == 1).all(axis=None)
    assert (table["impossible"] == 0).all()


def test_a_refused_real_cell_counts_as_wrong_and_is_not_attacked() -> None:
    test = cells(seed=1)
    test.X[5, 0] = 3.9  # a real cell of type B, beyond the limit of 3.5
    guard = Guard(wrap(by_b, classes=["B", "T"], genes=["a", "b"]), margin=0.5, cells=False).fit(cells())
    row = guarding(
        test, guard, groupby="type", attacks=[adv.attacks.SingleGene("fixed:10", search="exact")], informed=False,
        train=cells(), progress=False,
    ).iloc[0]  # fmt: skip
    assert row["impossible"] == 0.01
    assert row["accuracy"] == 1
    assert row["accuracy_guarded"] == pytest.approx((49 / 50 + 1) / 2)
    assert row["far"] == 1


def test_values_at_the_limit_are_let_pass() -> None:
    guard = Guard(adv.classifiers.Markers(n_markers=3)).fit(adv.datasets.embedded(), "cell_type")
    cluster = adv.cells.Cluster(adv.datasets.embedded(), "cell_type", "Dendritic")
    for sign in (1, -1):
        values = AtLimit(guard, sign).values(cluster, np.arange(len(cluster.genes)))
        watched = guard.align(cluster.genes)
        assert not guard.limits.impossible(values[:, watched], np.arange(len(watched))).any()
        assert guard.limits.impossible(values[:, watched] + 0.01 * sign, np.arange(len(watched))).all()


def test_only_a_guard_is_taken() -> None:
    with pytest.raises(ParameterError, match="must be a Guard"):
        guarding(cells(), by_b, groupby="type", attacks=[])  # type: ignore[arg-type]


@pytest.mark.slow
@needs.torch
def test_no_aberrant_gene_of_pbmc3k_flips_scmlp_behind_the_guard(shared: object) -> None:
    """All flips by aberrant single genes are stopped, and at most one point of balanced accuracy is lost."""
    adata = adv.datasets.pbmc3k()
    adata = adv.datasets.preprocess(adata[adata.obs["cell_type"] != "UNDETERMINED"].copy())
    train, test = adv.datasets.split(adata, "cell_type", seed=0)
    model = adv.classifiers.MLP(seed=0, progress=False, device="cpu").fit(train, "cell_type")
    aberrant = [adv.attacks.SingleGene(f"{sign}_aberrant") for sign in ("positive", "negative")]
    guard = Guard(model).fit(train)
    table = guarding(test, guard, groupby="cell_type", attacks=aberrant, informed=False, progress=False)
    assert table["flips"].sum() > 200_000  # 219,385 on the published halves, and about as many on others
    assert table["flips_guarded"].sum() == 0
    assert (table["accuracy"] - table["accuracy_guarded"]).max() <= 0.01


def counted(X: np.ndarray) -> np.ndarray:
    """Call cells B where gene 0 has many counts."""
    return np.where(X[:, 0] > 12, "B", "T")


@pytest.mark.parametrize("action", ["refuse", "clip", "unsure"])
def test_technical_changes_are_rows(action: str) -> None:
    """A tenth of the molecules takes the label of B, and leaves libraries that the guard finds impossible."""
    cells = count_data()
    model = wrap(counted, classes=["B", "T"], genes=list(cells.var_names))
    guard = Guard(model, action, margin=0.0).fit(cells)
    changes = {"depth": 0.9, "ambient": 0.01}
    table = guarding(
        cells, guard, groupby="cell_type", attacks=[], informed=False, changes=changes, progress=False
    ).set_index("attack")  # fmt: skip
    assert table.index.to_list() == ["depth 0.9", "ambient 0.01"]
    depth, ambient = table.loc["depth 0.9"], table.loc["ambient 0.01"]
    assert depth["flips"] == 1
    assert depth["rejected"] == (3 if action == "refuse" else 0)  # libraries as small as these are in no cell
    assert depth["unsure"] == (3 if action == "unsure" else 0)
    assert depth["flips_guarded"] == (1 if action == "clip" else 0)
    assert depth["detected"] >= ambient["detected"]
    assert ambient["flips"] == 0
    rows = np.flatnonzero(cells.obs["cell_type"] == "B")
    known, change = as_cells(cells), adv.stresses.Depth()
    new = change.apply(known, rows, 0.9, generator(0, change, "B", 0)).toarray()
    assert (counted(new) == "T").mean() > 0.5  # by hand


def test_changes_that_make_no_sense_are_refused() -> None:
    cells = count_data()
    guard = Guard(wrap(counted, classes=["B", "T"], genes=list(cells.var_names))).fit(cells)
    ask = {"groupby": "cell_type", "attacks": [], "informed": False, "progress": False}
    with pytest.raises(ParameterError, match="Did you mean 'ambient'"):
        guarding(cells, guard, changes={"ambiant": 0.1}, **ask)
    with pytest.raises(ParameterError, match="Strengths of 'depth'"):
        guarding(cells, guard, changes={"depth": 0.0}, **ask)
