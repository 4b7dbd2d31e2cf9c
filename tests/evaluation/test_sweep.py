from __future__ import annotations

import numpy as np
import pytest

import adverscarial as adv
from adverscarial.attacks import ClusterGradientDescent
from adverscarial.errors import DataError, ParameterError
from adverscarial.evaluation import sweep

GENES = ["CST3", "CD79A", "HLA-DRA", "CD74", "CD79B", "MS4A1", "CD37"]
WHERE = {"groupby": "cell_type", "target": "CD19+ B"}


@pytest.fixture(scope="module")
def model():
    return adv.classifiers.ScType(scaled=False)


@pytest.mark.slow
def test_each_row_is_the_attack_at_that_strength(pbmc_small, model):
    table = sweep(pbmc_small, model, genes=GENES, strengths=[0.1, 1, 4], **WHERE)
    assert table["kind"].to_list() == ["alpha"] * 3 + ["epsilon"] * 3 + ["both"] * 3
    assert (table["available"] == len(GENES)).all()
    for row in table.itertuples():
        assert (row.alpha, row.epsilon) == (
            0 if row.kind == "epsilon" else row.strength,
            0 if row.kind == "alpha" else row.strength,
        )
        result = ClusterGradientDescent(row.alpha, row.epsilon, genes=GENES)(pbmc_small, model, **WHERE)
        assert row.tested == len(result.tested_genes)
        assert row.modified == len(result.modified_genes)
        assert row.success == result.success
        said = adv.predict(result.apply(pbmc_small), model, **WHERE)  # from scratch
        assert (row.label, row.share) == (said.label, pytest.approx(said.share))
        assert row.ratio == pytest.approx(row.tested / row.modified)
    assert table["success"].nunique() == 2


def test_at_zero_nothing_is_changed(pbmc_small, model):
    table = sweep(pbmc_small, model, genes=GENES, strengths=[0], **WHERE)
    said = adv.predict(pbmc_small, model, **WHERE)
    assert len(table) == 3
    assert (table[["tested", "modified", "alpha", "epsilon"]] == 0).all(axis=None)
    assert not table["success"].any()
    assert np.isnan(table["ratio"]).all()
    assert (table["label"] == said.label).all()
    assert (table["label"] == table["baseline"]).all()
    assert table["share"].to_list() == [pytest.approx(said.share)] * 3


def test_genes_left_out_are_ranked_once_as_the_attack_ranks_them(pbmc_small, model, monkeypatch):
    ranked = []
    original = adv.attacks.ClusterGradientDescent.ordered_genes

    def counted(self, session):
        ranked.append(self.genes is None)
        return original(self, session)

    monkeypatch.setattr(ClusterGradientDescent, "ordered_genes", counted)
    attack = ClusterGradientDescent(order="variance", max_genes=6, stop_at_switch=False)
    table = sweep(pbmc_small, model, attack=attack, strengths=[0.5, 2], kinds=["both"], **WHERE)
    assert sum(ranked) == 1
    assert table["tested"].to_list() == [6, 6]  # its other settings hold
    alone = ClusterGradientDescent(2.0, 2.0, order="variance", max_genes=6, stop_at_switch=False)
    result = alone(pbmc_small, model, **WHERE)
    assert table["modified"].to_list()[1] == len(result.modified_genes)
    assert table["share"].to_list()[1] == pytest.approx(result.share)


def test_what_cannot_be_swept_is_refused(pbmc_small, model):
    for bad in ({"strengths": []}, {"strengths": [-1]}, {"strengths": [np.nan]}, {"kinds": []}):
        with pytest.raises(ParameterError, match="A sweep needs"):
            sweep(pbmc_small, model, genes=GENES, **bad, **WHERE)
    with pytest.raises(ParameterError, match="got 'gamma'"):
        sweep(pbmc_small, model, genes=GENES, kinds=["gamma"], **WHERE)
    with pytest.raises(DataError, match="Did you mean"):
        sweep(pbmc_small, model, genes=["CD79a"], **WHERE)
