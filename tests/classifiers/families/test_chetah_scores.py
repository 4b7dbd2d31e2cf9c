"""CHETAH's own scores of an AnnData: per type and node, in whatever order the genes stand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

import adverscarial as adv
from adverscarial.classifiers import Chetah


@pytest.mark.slow
def test_scores_are_the_profile_scores_of_each_node(pbmc_small):
    model = Chetah(n_genes=60).fit(pbmc_small, "cell_type")
    found = model.scores(pbmc_small)
    dense = pbmc_small[:, model.genes].X.toarray().astype(np.float64)
    pd.testing.assert_frame_equal(found.reset_index(drop=True), model.profile_scores(dense))
    assert found.index.equals(pbmc_small.obs_names)
    assert found.columns.names == ["node", "type"]
    assert found.to_numpy().min() >= -1
    assert found.to_numpy().max() <= 1
    shuffled = pbmc_small[:, np.random.default_rng(0).permutation(pbmc_small.n_vars)].copy()
    shuffled.layers["other"] = csr_matrix(shuffled.X)
    shuffled.X = csr_matrix(shuffled.shape, dtype=np.float32)
    pd.testing.assert_frame_equal(model.scores(shuffled, layer="other"), found)


@pytest.mark.slow
def test_the_scores_lead_to_the_labels(pbmc_small):
    """Walk down by the scores: to the best type's branch, while it leads the other branch by enough."""
    model = Chetah(n_genes=60).fit(pbmc_small, "cell_type")
    scores, tree = model.scores(pbmc_small), model.nodes
    labels = []
    for cell in scores.index[::7]:
        types = set(model.classes)
        while len(types) > 1:
            node = next(n for n, part in tree.groupby("node") if set(part["type"]) == types)
            part = tree[tree["node"] == node].set_index("type")
            mine = scores.loc[cell, node]
            confidence = {
                t: mine[t] - mine[part.index[part["branch"] != part.loc[t, "branch"]]].mean() for t in part.index
            }
            best = max(part.index, key=lambda t: mine[t])
            if confidence[best] < model.threshold:
                labels.append(part["label"].iloc[0])
                break
            types = set(part.index[part["branch"] == part.loc[best, "branch"]])
        else:
            labels.append(types.pop())
    assert labels == model.predict(pbmc_small)[::7].tolist()
    assert len(set(labels)) > 3


def test_attacks_still_know_that_there_is_no_score_per_class(pbmc_small):
    model = Chetah(n_genes=60).fit(pbmc_small, "cell_type")
    assert not model.gives_scores
    assert model.decide(pbmc_small[:3, model.genes].X.toarray()).scores is None
    assert adv.predict(pbmc_small, model, groupby="cell_type", target="CD19+ B").votes
