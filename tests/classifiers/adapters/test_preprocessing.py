from __future__ import annotations

import numpy as np
import pytest
import scanpy as sc
import scipy.sparse as sp
from anndata import AnnData
from sklearn.linear_model import LogisticRegression

import adverscarial as adv
from adverscarial.classifiers.scorers.general import GeneralScorer
from adverscarial.errors import ClassifierError, ParameterError
from classifiers.scorer_law import check_scorer_law

COUNTS = (0.0, 1.0, 2.0, 7.0, 400.0, 1e6)


@pytest.fixture(scope="module")
def counts():
    rng = np.random.default_rng(0)
    types = np.repeat(["B", "NK", "T"], 20)
    rates = rng.gamma(1.0, 2.0, size=(3, 30))
    X = rng.poisson(rates[np.repeat(np.arange(3), 20)]).astype(float)
    X[5] = 0  # a cell without any count
    X[:, 29] = 0  # a gene that never varies
    adata = AnnData(sp.csr_matrix(X))
    adata.var_names = [f"G{i}" for i in range(30)]
    adata.obs["cell_type"] = types
    return adata


def trained(adata, scale):
    prepared = adv.datasets.preprocess(adata, scale=scale)
    X = prepared.X.toarray() if sp.issparse(prepared.X) else prepared.X
    genes = list(adata.var_names[:25])
    model = LogisticRegression(max_iter=500).fit(np.asarray(X, dtype=float)[:, :25], adata.obs["cell_type"])
    return adv.classifiers.wrap(model, genes=genes), prepared


@pytest.mark.parametrize("how", ["log1p", "scale"])
def test_answers_are_those_of_scanpy_then_the_model(counts, how):
    model, _ = trained(counts, how == "scale")
    whole = adv.classifiers.wrap(model, preprocess=how)
    plain = counts.copy()
    sc.pp.normalize_total(plain, target_sum=1e4)
    sc.pp.log1p(plain)
    if how == "scale":
        X = plain.X.toarray()
        spread = X.std(axis=0, ddof=1)
        plain.X = np.minimum((X - X.mean(axis=0)) / np.where(spread > 0, spread, 1), 10)
    np.testing.assert_allclose(whole.scores(counts).to_numpy(), model.scores(plain).to_numpy(), rtol=1e-9)
    assert (whole.predict(counts) == model.predict(plain)).all()


@pytest.mark.fast(3)
@pytest.mark.parametrize("how", ["log1p", "scale", np.arcsinh])
@pytest.mark.parametrize("target", ["B", "NK"])
def test_scorer_equals_full_reprediction(counts, how, target):
    model, _ = trained(counts, how == "scale")
    whole = adv.classifiers.wrap(model, preprocess=how)
    check_scorer_law(whole, counts, groupby="cell_type", target=target, values=COUNTS, rounding_ties=True)


@pytest.mark.parametrize("how", ["log1p", "scale"])
def test_negative_counts_are_refused(counts, how):
    model, _ = trained(counts, how == "scale")
    whole = adv.classifiers.wrap(model, preprocess=how)
    attack = adv.attacks.SingleGene("fixed:-1", search="exact")
    result = attack(counts, whole, groupby="cell_type", target="B")
    assert result.counts["rejected"] == counts.n_vars


def test_one_count_moves_the_whole_cell(counts):
    """A gene that the model does not read still flips labels, through the library size."""
    model, _ = trained(counts, scale=False)
    whole = adv.classifiers.wrap(model, preprocess="log1p")
    unread = counts.var_names[28]
    assert unread not in model.genes
    common = {"groupby": "cell_type", "target": "T"}
    before = whole.scores(counts[counts.obs["cell_type"] == "T"])
    changed = adv.modify(counts, [unread], "fixed:100000", **common)
    after = whole.scores(changed[changed.obs["cell_type"] == "T"])
    assert np.abs(before.to_numpy() - after.to_numpy()).max() > 0.1
    attack = adv.attacks.SingleGene("fixed:100000", genes=[unread], search="exact")
    assert attack(counts, whole, **common).verify(counts, whole, genes=[unread])


def test_scorer_kinds_and_names(counts):
    model, _ = trained(counts, scale=False)
    log = adv.classifiers.wrap(model, preprocess="log1p")
    assert isinstance(log.scorer(adv.cells.Cluster(counts, "cell_type", "B")), GeneralScorer)
    assert log.name == "LogisticRegression (log1p)"
    assert adv.classifiers.wrap(model, preprocess="scale").name == "LogisticRegression (scale)"
    assert log.classes == ("B", "NK", "T")


def test_bad_preprocessing_is_said(counts):
    model, _ = trained(counts, scale=False)
    with pytest.raises(ParameterError, match="Did you mean 'log1p'"):
        adv.classifiers.wrap(model, preprocess="log1")
    with pytest.raises(ParameterError, match="looks at all cells"):
        adv.classifiers.wrap(adv.classifiers.ScType(scaled=False), preprocess="log1p")
    short = adv.classifiers.wrap(model, preprocess=lambda X: X[:, :3])
    with pytest.raises(ClassifierError, match="returned shape"):
        short.predict(counts)
