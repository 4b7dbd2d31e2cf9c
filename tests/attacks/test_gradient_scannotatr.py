"""FGSM and PGD on scAnnotatR's linear machines: over all genes, without naming any."""

from __future__ import annotations

import numpy as np
import pytest

import adverscarial as adv
from adverscarial.attacks import FastGradientSign, ProjectedGradientDescent
from adverscarial.attacks.slopes import loss_slopes
from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers import ScAnnotatR

B = {"groupby": "cell_type", "target": "CD19+ B"}


@pytest.fixture(scope="module")
def model(pbmc_small):
    return ScAnnotatR(keep_ambiguous=True).fit(pbmc_small, "cell_type")


@pytest.mark.slow
def test_slopes_are_those_of_full_prediction_in_one_cell(pbmc_small, model):
    """One cell of 700 moves mean and deviation little: differences of its own logit agree to a percent."""
    cluster = Cluster(pbmc_small, **B)
    scorer = model.scorer(cluster)
    logits = scorer.logits()
    p = 1 / (1 + np.exp(-logits))
    np.testing.assert_allclose(p, scorer.baseline.scores, rtol=1e-9)
    codes = np.argmax(logits, axis=1)
    genes = cluster.positions(model.genes)
    weights = loss_slopes(logits, codes)
    slopes = scorer.slopes(genes, weights)
    step, dense = 1e-3, np.asarray(pbmc_small.X.toarray(), dtype=np.float64)
    names = list(model.classes)
    for gene in range(0, len(genes), 23):
        row = cluster.rows[3]
        both = []
        for side in (-step, step):
            changed = pbmc_small.copy()
            values = dense.copy()
            values[row, genes[gene]] += side
            changed.X = values
            both.append(model.scores(changed)[names].to_numpy()[row])
        rise = np.diff(np.log(both) - np.log1p(-np.array(both)), axis=0)[0] / (2 * step)
        assert np.isclose(weights[3] @ rise, slopes[3, gene], rtol=0.03, atol=1e-6)


@pytest.mark.parametrize("attack", [FastGradientSign(0.5), ProjectedGradientDescent(0.5, steps=5)])
def test_all_genes_move_uphill_in_few_queries(pbmc_small, model, attack):
    result = attack(pbmc_small, model, **B)
    assert result.queries <= 6
    assert set(result.genes) <= set(model.genes)
    assert result.linf.max() <= 0.5 + 1e-6
    assert result.flipped.any()
    assert result.verify(pbmc_small, model)
    rng = np.random.default_rng(0)  # random signs of the same size fool fewer cells
    inside = np.flatnonzero(pbmc_small.obs["cell_type"] == B["target"])
    values = np.asarray(pbmc_small.X.toarray())
    columns = pbmc_small.var_names.get_indexer(model.genes)
    values[np.ix_(inside, columns)] += 0.5 * rng.choice([-1, 1], (len(inside), len(columns)))
    noisy = pbmc_small.copy()
    noisy.X = values
    said = model.predict(noisy).to_numpy()[inside]
    assert (said != result.label_before).sum() < result.flipped.sum()


def test_a_new_target_is_approached(pbmc_small, model):
    target = "CD14+ Monocyte"
    result = FastGradientSign(0.5, new_target=target)(pbmc_small, model, **B)
    cells = result.apply(pbmc_small)
    inside = pbmc_small.obs["cell_type"] == B["target"]
    before, after = (model.scores(adata)[target][inside].mean() for adata in (pbmc_small, cells))
    assert after > before


@pytest.mark.slow
def test_under_a_clock(pbmc_small, model):
    found = adv.survey(
        pbmc_small, model, attacks=FastGradientSign(0.5), groupby="cell_type", targets=["CD19+ B"], time_limit=3600
    )
    assert not found.errors
