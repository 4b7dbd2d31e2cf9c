"""How many genes each cell needs, written to obs."""

from __future__ import annotations

import numpy as np
import pytest

import adverscarial as adv
from laws.families import GENES, cells, classifier


@pytest.mark.fast("logistic", "scMLP")
@pytest.mark.parametrize("family", ["logistic", "forest", "scMLP"])
def test_the_interval_of_each_cell_holds_the_truth(family: str) -> None:
    adata, model = cells(4), classifier(family)
    out = adv.fragility(adata, model, modification="perc99", copy=True)
    before = model.predict(adata)
    least = np.full(adata.n_obs, np.inf)
    for mask in range(1, 2 ** len(GENES)):
        chosen = [j for j in range(len(GENES)) if (mask >> j) & 1]
        changed = adata.copy()
        changed.X[:, chosen] = np.quantile(adata.X[:, chosen], 0.99, axis=0)
        flipped = (model.predict(changed) != before).to_numpy()
        least = np.where(flipped, np.minimum(least, len(chosen)), least)
    assert (out.obs["fragility_lower"] <= least).all()
    assert np.isfinite(least).any()
    if family == "logistic":
        assert (out.obs["fragility_lower"] == least).all()
        assert (out.obs["fragility_upper"] == least).all()
        alone = out.obs["fragility_share"] == 1
        assert ((least == 1) == alone).all()
    assert (out.obs["fragility_label"] == before).all()
    assert "fragility_lower" not in adata.obs


@pytest.mark.parametrize("family", ["logistic", "forest", "scMLP"])
def test_where_no_gene_moves_no_number_of_genes_is_enough(family: str) -> None:
    adata, model = cells(4), classifier(family)
    adata.X[:, 0] = 1.0
    adata.var["still"] = adata.var_names == adata.var_names[0]
    out = adv.fragility(adata, model, modification="perc99", mask_var="still", sets=True, copy=True).obs
    assert np.isposinf(out["fragility_lower"]).all()
    assert (out["fragility_gene"] == "").all()
    assert (out["fragility_share"] == 0).all()


@pytest.mark.parametrize("family", ["forest", "scMLP"])
def test_a_gene_that_is_enough_alone_is_found(family: str) -> None:
    alone = 0
    for seed in range(4):
        adata, model = cells(seed), classifier(family)
        out = adv.fragility(adata, model, modification="perc99", sets=True, copy=True).obs
        before, flipped = model.predict(adata), np.zeros(adata.n_obs, dtype=bool)
        for gene in range(adata.n_vars):
            changed = adata.copy()
            changed.X[:, gene] = np.quantile(adata.X[:, gene], 0.99)
            flipped |= (model.predict(changed) != before).to_numpy()
        assert (out["fragility_upper"][flipped] == 1).all()
        assert (out["fragility_upper"][~flipped] != 1).all()
        alone += int(flipped.sum())
    assert alone > 0


def test_clusters_and_blocks_agree_where_the_values_do() -> None:
    adata, model = cells(6), classifier("logistic")
    adv.fragility(adata, model, modification="perc1", key_added="blocks")
    adv.fragility(adata, model, modification="perc1", groupby="cluster", key_added="clusters")
    assert (adata.obs["blocks_lower"] == adata.obs["clusters_lower"]).all()


def test_what_cannot_be_proven_is_said() -> None:
    with pytest.raises(adv.errors.ClassifierError, match="Nothing can be proven"):
        adv.fragility(cells(1), classifier("function"))
    with pytest.raises(adv.errors.ParameterError, match="at once"):
        adv.fragility(
            cells(1), classifier("logistic"), modification=adv.Custom(lambda block: block, scope="cluster_block")
        )


def test_rank_correlations_have_lower_bounds_alone() -> None:
    adata = cells(3)
    adv.fragility(adata, classifier("CHETAH"), modification="perc99", groupby="cluster")
    lower, upper = adata.obs["fragility_lower"], adata.obs["fragility_upper"]
    assert (lower >= 1).all()
    assert np.isfinite(lower).any()
    assert upper[np.isfinite(lower)].isna().all()
    assert (adata.obs["fragility_gene"] == "").all()
    assert (adata.obs["fragility_towards"] != adata.obs["fragility_label"]).all()


def test_a_classifier_that_looks_at_all_cells_needs_clusters() -> None:
    adata = cells(3)
    model = adv.classifiers.ScAnnotatR(2).fit(adata, "type")
    with pytest.raises(adv.errors.ParameterError, match="groupby"):
        adv.fragility(adata, model)
    adv.fragility(adata, model, modification="perc99", groupby="cluster")
    assert (adata.obs["fragility_label"] == model.predict(adata)).all()
    assert (adata.obs["fragility_lower"] >= 1).all()


@pytest.mark.parametrize("family", ["forest", "CHETAH", "logistic"])
def test_sets_of_cells_are_looked_for_where_asked(family: str) -> None:
    adata, model = cells(3), classifier(family)
    plain, asked = (
        adv.fragility(adata, model, modification="perc99", groupby="cluster", sets=sets, copy=True).obs
        for sets in (False, True)
    )
    assert (plain["fragility_lower"] == asked["fragility_lower"]).all()
    known = asked["fragility_upper"].notna()
    assert (asked["fragility_upper"] >= asked["fragility_lower"])[known].all()
    if family == "forest":
        assert known.sum() > plain["fragility_upper"].notna().sum()
    else:
        assert asked["fragility_upper"].equals(plain["fragility_upper"])


@pytest.mark.parametrize("groupby", [None, "cluster"])
def test_names_of_cells_may_occur_more_than_once(groupby: str | None) -> None:
    adata, model = cells(3), classifier("logistic")
    unique = adv.fragility(adata, model, modification="perc99", groupby=groupby, copy=True).obs
    adata.obs_names = ["cell"] * adata.n_obs
    repeated = adv.fragility(adata, model, modification="perc99", groupby=groupby, copy=True).obs
    for column in unique.filter(like="fragility"):
        assert repeated[column].tolist() == unique[column].tolist()


def test_one_cell_is_too_few() -> None:
    with pytest.raises(adv.errors.DataError, match="one cell only"):
        adv.fragility(cells(1)[:1].copy(), classifier("logistic"))


@pytest.mark.parametrize("family", ["Chetah", "SingleR"])
def test_ranks_give_a_lower_number_and_no_nearest_gene(family: str) -> None:
    if family == "SingleR":
        pytest.importorskip("singler")
    adata = cells(4)
    model = adv.classifiers.SingleR() if family == "SingleR" else adv.classifiers.Chetah(cap_genes=True)
    model.fit(adata, "type")
    out = adv.fragility(adata, model, modification="perc99", copy=True).obs
    assert (out["fragility_lower"] >= 1).all()
    assert (out["fragility_gene"] == "").all()
    assert out["fragility_share"].isna().all()
    alone = adata.copy()  # a gene that is enough by itself is never ruled out
    for gene in range(adata.n_vars):
        alone.X = adata.X.copy()
        alone.X[:, gene] = np.quantile(adata.X[:, gene], 0.99)
        flipped = (model.predict(alone) != model.predict(adata)).to_numpy()
        assert (out["fragility_lower"][flipped] == 1).all()


def test_the_error_names_all_families_that_have_proofs() -> None:
    adata = cells(4)
    with pytest.raises(adv.errors.ClassifierError, match="CHETAH, SingleR, and scAnnotatR with one threshold"):
        adv.fragility(adata, classifier("function"), modification="perc99")
