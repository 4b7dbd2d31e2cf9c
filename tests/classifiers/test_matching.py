"""A classifier of other genes: what it says is what it says of data that hold them."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import adverscarial as adv
from adverscarial.classifiers import match_genes
from adverscarial.errors import GeneMismatchError, ParameterError


@pytest.fixture(scope="module")
def cells() -> AnnData:
    rng = np.random.default_rng(0)
    counts = rng.poisson(1.0, (120, 30)).astype(np.float32)
    names = np.array(["B", "T"])[np.arange(120) % 2]
    counts[names == "B", :5] += 3
    adata = AnnData(np.log1p(counts), obs=pd.DataFrame({"cell_type": names}, index=[f"c{k}" for k in range(120)]))
    adata.var_names = [f"GENE{k}" for k in range(30)]
    adata.var["hvg"] = np.arange(30) < 12
    adata.var["text"] = "x"
    return adata


@pytest.fixture(scope="module")
def forest(cells: AnnData) -> adv.classifiers.RandomForest:
    return adv.classifiers.RandomForest(n_estimators=20, seed=0).fit(cells, "cell_type")


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix, sp.csc_matrix])
def test_zeros_are_what_full_data_with_zeros_give(cells: AnnData, forest, form, caplog) -> None:
    fewer = cells[:, 1:25].copy()
    fewer.X = form(fewer.X)
    with caplog.at_level(logging.WARNING, logger="adverscarial"):
        found = match_genes(fewer, forest, missing="zero")
    assert "24 of 30 genes matched" in caplog.text
    expected = cells.copy()
    expected.X[:, [0, *range(25, 30)]] = 0
    pd.testing.assert_series_equal(forest.predict(found), forest.predict(expected))
    assert list(found.var_names[:24]) == list(fewer.var_names)
    assert found.var["matched"].sum() == 24
    assert found.var["hvg"].dtype == bool
    assert sp.issparse(found.X) == sp.issparse(fewer.X)
    where = {"groupby": "cell_type", "target": "B"}
    attack = adv.attacks.SingleGene("perc1")
    one, other = attack(found, forest, **where), attack(expected, forest, **where)
    columns = ["outcome", "label", "share"]
    tables = [result.to_frame().set_index("gene")[columns].sort_index() for result in (one, other)]
    pd.testing.assert_frame_equal(*tables)
    assert tables[0]["share"].nunique() > 1  # some gene takes cells
    assert one.verify(found, forest, genes=list(fewer.var_names[:2]))


def test_means_are_those_of_the_reference_or_of_the_model(cells: AnnData, forest) -> None:
    frame = pd.DataFrame(cells.X, columns=cells.var_names)
    scaled = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, cells.obs["cell_type"])
    fewer = cells[:, 3:].copy()
    means = cells.X[:, :3].mean(axis=0, dtype=np.float64)
    for model, more in ((scaled, {}), (scaled, {"reference": cells}), (forest, {"reference": cells})):
        found = match_genes(fewer, model, missing="mean", **more)
        np.testing.assert_allclose(found[:, cells.var_names[:3]].X, np.tile(means, (120, 1)), rtol=1e-6)
    model = adv.classifiers.wrap(scaled)
    weights = scaled[-1].coef_[0] / scaled[0].scale_
    by_hand = (fewer.X - cells.X[:, 3:].mean(axis=0)) @ weights[3:] + scaled[-1].intercept_[0]
    said = model.predict(match_genes(fewer, scaled, missing="mean"))
    assert list(said) == list(np.where(by_hand > 0, "T", "B"))
    with pytest.raises(ParameterError, match="keeps no means"):
        match_genes(fewer, forest, missing="mean")
    with pytest.raises(GeneMismatchError, match="The reference needs"):
        match_genes(fewer, forest, missing="mean", reference=fewer)


def test_only_the_layer_that_is_read_gets_means(cells: AnnData, forest, tmp_path) -> None:
    fewer = cells[:, 3:].copy()
    fewer.layers["twice"] = fewer.X * 2
    reference = cells.copy()
    reference.layers["twice"] = cells.X * 2
    found = match_genes(fewer, forest, missing="mean", reference=reference, layer="twice")
    added = found[:, cells.var_names[:3]]
    np.testing.assert_allclose(added.layers["twice"][0], 2 * cells.X[:, :3].mean(axis=0), rtol=1e-6)
    assert not added.X.any()
    found.write_h5ad(tmp_path / "x.h5ad")


def test_what_is_no_accident_is_an_error(cells: AnnData, forest) -> None:
    fewer = cells[:, 3:].copy()
    with pytest.raises(GeneMismatchError, match=r"needs 30 genes, 27 of them.*missing='zero'"):
        match_genes(fewer, forest)
    lower = fewer.copy()
    lower.var_names = lower.var_names.str.lower()
    with pytest.raises(GeneMismatchError, match="upper and lower case only"):
        match_genes(lower, forest, missing="zero")
    other = fewer.copy()
    other.var_names = [f"other{k}" for k in range(other.n_vars)]
    with pytest.raises(GeneMismatchError, match="0 of them"):
        match_genes(other, forest, missing="zero")
    with pytest.raises(ParameterError, match="Did you mean 'zero'"):
        match_genes(fewer, forest, missing="zeros")  # type: ignore[arg-type]
    assert match_genes(cells, forest).uns["matched_genes"]["matched"] == 30


def test_a_mask_limits_what_is_attacked(cells: AnnData, forest) -> None:
    where = {"groupby": "cell_type", "target": "B"}
    named = list(cells.var_names[cells.var["hvg"]])
    expected = adv.attacks.SingleGene("perc1", genes=named)(cells, forest, **where)
    for mask in ("hvg", cells.var["hvg"].to_numpy(), list(cells.var["hvg"])):
        found = adv.attacks.SingleGene("perc1")(cells, forest, mask_var=mask, **where)
        pd.testing.assert_frame_equal(found.to_frame(), expected.to_frame())
    both = adv.attacks.SingleGene("perc1", genes=["GENE1", "GENE20"])(cells, forest, mask_var="hvg", **where)
    assert list(both.gene) == ["GENE1"]
    survey = adv.survey(
        cells, forest, attacks=adv.attacks.SingleGene("perc1"), groupby="cell_type", mask_var="hvg", progress=False
    )
    assert {len(result.gene) for result in survey.results if result is not None} == {12}


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        ("hgv", "Did you mean 'hvg'"),
        ("text", "True or False"),
        ([True], "keeps 1 of 1"),
        ([False] * 30, "keeps 0 of 30"),
    ],
)
def test_masks_that_are_none(cells: AnnData, forest, mask, words: str) -> None:
    with pytest.raises(adv.errors.AdverscarialError, match=words):
        adv.attacks.SingleGene("perc1")(cells, forest, groupby="cell_type", target="B", mask_var=mask)


def test_a_mask_needs_an_attack_on_genes(cells: AnnData, forest) -> None:
    with pytest.raises(ParameterError, match="keeps none of those"):
        adv.attacks.SingleGene("perc1", genes=["GENE20"])(
            cells, forest, groupby="cell_type", target="B", mask_var="hvg"
        )


def test_genes_added_for_one_classifier_are_not_matched_for_the_next(cells: AnnData, forest) -> None:
    fewer = cells[:, :20].copy()
    first = match_genes(fewer, forest, missing="zero")
    some = adv.classifiers.RandomForest(n_estimators=5, seed=0).fit(cells[:, 15:25], "cell_type")
    again = match_genes(first, some, missing="zero")
    assert again.uns["matched_genes"]["matched"] == 5
    assert again.uns["matched_genes"]["needed"] == 10
    assert again.var["matched"].sum() == 20
    assert again.n_vars == 30


def test_celltypist_leaves_absent_genes_out_which_is_their_mean(cells: AnnData, caplog) -> None:
    models = pytest.importorskip("celltypist").models
    scaler = StandardScaler().fit(cells.X)
    clf = LogisticRegression().fit(scaler.transform(cells.X), cells.obs["cell_type"])
    clf.features = np.array(cells.var_names)
    model = adv.classifiers.wrap(models.Model(clf, scaler, {}))
    fewer = cells[:, 3:].copy()
    with caplog.at_level(logging.WARNING, logger="adverscarial"):
        found = match_genes(fewer, model, missing="mean")
    assert found.uns["matched_genes"] == {
        "classifier": model.name, "matched": 27, "needed": 30, "missing": "mean",
    }  # fmt: skip
    assert "27 of 30 genes matched" in caplog.text
    assert found.n_vars == 27
    filled = cells.copy()
    filled.X[:, :3] = scaler.mean_[:3]
    np.testing.assert_allclose(model.scores(found), model.scores(filled), rtol=1e-5)
