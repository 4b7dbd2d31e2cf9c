from __future__ import annotations

import numpy as np
import pytest

import adverscarial as adv
from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers.scorers import rank_pulls, ranks


@pytest.fixture(scope="module")
def chetah(pbmc_small):
    return adv.classifiers.Chetah(n_genes=40).fit(pbmc_small, "cell_type")


def lack(scores, model, way, threshold):
    """What is missing of the way to a label, by the words at the top of rank_pulls."""
    missing = 0.0
    for node, branch in zip(way.nodes, way.branches, strict=True):
        start, split, end = model.node_start[node], model.node_split[node], model.node_start[node + 1]
        sides = scores[start:split], scores[split:end]
        own, other = sides[branch], sides[1 - branch]
        for ahead in (own.max() - other.max(), own.max() - other.mean() - threshold):
            missing += rank_pulls._CAP - min(rank_pulls._CAP, ahead)
    if way.stuck >= 0:
        start, split, end = model.node_start[way.stuck], model.node_split[way.stuck], model.node_start[way.stuck + 1]
        sides = scores[start:split], scores[split:end]
        best = int(sides[1].max() > sides[0].max())
        sure = sides[best].max() - sides[1 - best].mean()
        missing += rank_pulls._CAP - min(rank_pulls._CAP, threshold - sure)
    return missing


@pytest.mark.fast(1)
@pytest.mark.parametrize("which", ["class", "stuck"])
def test_pulls_are_those_of_correlations_from_scratch(pbmc_small, chetah, which):
    model, width = chetah._fitted(), 0.5
    cluster = Cluster(pbmc_small, "cell_type", "Dendritic")
    scorer = chetah.scorer(cluster)
    code = 0 if which == "class" else len(chetah.classes) + len(model.node_split) - 1
    label = str(chetah.labels[code])
    genes = np.flatnonzero(scorer.reads(np.arange(len(cluster.genes))))[:12]
    values = np.full((1, len(genes)), 7.0)
    found = scorer.pulls(genes, values, label)
    way, pairs = rank_pulls.way_to(model, code, len(chetah.classes)), np.arange(len(model.power))

    def lacks(X):
        rho = ranks.correlate(X, pairs, model)
        scores = ranks.profile_scores(rho, pairs, model) + rank_pulls._OF_RHO * rho
        return np.array([lack(row, model, way, chetah.threshold) for row in scores])

    X = np.ascontiguousarray(cluster.values(chetah.align(cluster.genes)), dtype=np.float64)
    some = np.linspace(0, len(X) - 1, min(len(X), 48)).astype(np.int64)
    now = lacks(X[some])
    for k, column in enumerate(scorer._column[genes]):
        changed = X[some].copy()
        changed[:, column] = 7.0
        then = lacks(changed)
        expected = ((now - then) / (then + width) / (now + width)).sum()
        assert found[k] == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_the_way_to_a_class_ends_at_that_class_alone(chetah):
    model = chetah._fitted()
    for code in range(len(chetah.classes)):
        way = rank_pulls.way_to(model, code, len(chetah.classes))
        last, branch = way.nodes[-1], way.branches[-1]
        start, split, end = model.node_start[last], model.node_split[last], model.node_start[last + 1]
        types = model.pair_type[start:split] if branch == 0 else model.pair_type[split:end]
        assert way.nodes[0] == 0
        assert way.stuck == -1
        assert types.tolist() == [code]
