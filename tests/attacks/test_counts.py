"""Counts stay counts: whatever an attack writes into them is whole and not negative, and the result says so."""

from __future__ import annotations

import numpy as np
import pytest
from anndata import AnnData

import adverscarial as adv
from adverscarial import attacks
from adverscarial.cells.matrix import CellMatrix
from adverscarial.classifiers import Chetah, Markers

WHERE = {"groupby": "cell_type", "target": "CD14+ Monocyte"}
SAID = "new values were rounded to whole numbers, none below 0"


@pytest.fixture(scope="module")
def counts(pbmc_small: AnnData) -> AnnData:
    """Counts of the cells: a cell's smallest value is one molecule."""
    cells = pbmc_small.copy()
    values = np.expm1(cells.X.toarray().astype(float))
    one = np.where(values > 0, values, np.inf).min(axis=1, keepdims=True)
    cells.X = np.rint(values / one).astype(np.float32)
    return cells


@pytest.fixture(scope="module")
def model(counts):
    return Markers().fit(counts, "cell_type")


def whole(values: np.ndarray) -> bool:
    return bool((values == np.rint(values)).all() and (values >= 0).all())


@pytest.mark.fast(6)
@pytest.mark.parametrize("text", ["perc99", "perc90", "perc90:expressing", "perc90:others", "decile+5", "random"])
@pytest.mark.parametrize("kind", [attacks.SingleGene, attacks.MaxChange, attacks.MinChange])
def test_modified_counts_are_whole(counts, model, text, kind):
    genes = list(counts.var_names[:80])
    more = {} if kind is attacks.SingleGene else {"restarts": 1} if kind is attacks.MaxChange else {"seconds": 20}
    result = kind(text, genes=genes, **more)(counts, model, **WHERE)
    assert result.rounded
    assert SAID in str(result)
    assert any("whole numbers" in note for note in result.notes)
    assert whole(adv.modify(counts, genes, text, **WHERE, whole=True).X)
    if result.changed_genes:
        assert whole(result.apply(counts).X)
        assert result.verify(counts, model)


def test_the_nearest_whole_number_is_taken(counts):
    genes = list(counts.var_names)
    changed = adv.modify(counts, genes, "perc99", **WHERE, whole=True).X[counts.obs["cell_type"] == WHERE["target"]]
    exact = np.quantile(counts.X.astype(np.float64), 0.99, axis=0)
    assert (exact != np.rint(exact)).any()
    np.testing.assert_array_equal(changed, np.tile(np.rint(exact), (len(changed), 1)))


@pytest.mark.parametrize("kind", [attacks.Grid, attacks.RandomWalk])
def test_combinations_of_counts_are_whole(counts, model, kind):
    genes = ["LYZ", "CST3", "CD79A", "CD3D"]
    result = kind(genes, ["perc90", "perc99"])(counts, model, **WHERE)
    assert result.rounded
    if result.success:
        assert whole(result.apply(counts).X)
        assert result.verify(counts, model)


@pytest.mark.fast(1)
@pytest.mark.parametrize(("alpha", "epsilon"), [(1, 1), (0.5, 0.5), (0.1, 0)])
@pytest.mark.parametrize("sparse", [False, True])
def test_no_step_of_a_descent_leaves_the_counts(counts, alpha, epsilon, sparse):
    """Log-normalisation refuses negative counts, so every gene that would go below 0 was lost."""
    cells = counts.copy()
    if sparse:
        from scipy.sparse import csr_matrix

        cells.X = csr_matrix(cells.X)
    lognorm = adv.datasets.preprocess(counts, scale=False)
    inner = Markers().fit(lognorm, "cell_type")
    on_counts = adv.classifiers.wrap(inner, preprocess="log1p")
    attack = attacks.ClusterGradientDescent(alpha, epsilon, max_genes=40, stop_at_switch=False)
    result = attack(cells, on_counts, **WHERE)
    assert result.n_rejected == 0
    assert result.rounded
    assert whole(result.values)
    assert result.verify(cells, on_counts)
    if epsilon:
        assert len(result.modified_genes) > 0
    if epsilon == 0.5:  # half a count goes with the move, so that genes that are off can be switched on
        before = np.asarray(counts[result.cell.tolist(), result.moved].X)
        assert ((before == 0) & (result.values > 0)).any()


@pytest.mark.fast(1)
@pytest.mark.parametrize("make", [attacks.FastGradientSign, attacks.ProjectedGradientDescent])
def test_gradient_attacks_stay_whole_and_inside_the_ball(counts, model, make):
    cells = counts[:, :60].copy()
    small = Markers().fit(cells, "cell_type")
    result = make(2.5, genes=list(cells.var_names[:20]))(cells, small, **WHERE)
    assert result.rounded
    assert whole(result.values)
    assert result.linf.max() == 2
    assert result.verify(cells, small)
    below_one = make(0.5, genes=list(cells.var_names[:20]))(cells, small, **WHERE)
    assert below_one.genes == []  # no whole number lies within half a count


def test_chetah_on_counts(counts):
    reference = Chetah(n_genes=60).fit(counts, "cell_type")
    result = attacks.SingleGene("perc99", genes=list(counts.var_names[:30]))(counts, reference, **WHERE)
    assert result.rounded
    chosen = result.gene[:3].tolist()
    assert result.verify(counts, reference, genes=chosen)


def test_what_is_not_counted_is_written_as_it_is(pbmc_small, counts):
    attack, model = attacks.SingleGene("perc99", genes=["LYZ"]), adv.classifiers.ScType(scaled=False)
    assert not attack(pbmc_small, model, **WHERE).rounded
    for text, value in (("fixed:2.5", 2.5), ("negative_aberrant", None)):
        changed = adv.modify(counts, ["LYZ"], text, **WHERE, whole=True)[
            counts.obs["cell_type"] == WHERE["target"], "LYZ"
        ].X
        assert (changed == value).all() if value else (changed < 0).all()
    wanted = [(np.array([[0.0, 1], [1, 1]]), False), (np.array([[0, 2], [1, 1]]), True)]  # binary values are no counts
    wanted += [(np.array([[0.5, 2]]), False), (np.array([[-1.0, 2]]), False), (np.zeros((2, 2)), False)]
    for X, expected in wanted:
        assert CellMatrix(X).counts == expected


def test_the_steps_of_the_r_code_are_left_as_they_are(counts, model):
    attack = attacks.ClusterGradientDescent(0.3, 0.2, max_genes=5, stop_at_switch=False, reference=True)
    result = attack(counts, model, **WHERE)
    assert not result.rounded
    assert result.n_changed.sum() == 0 or not whole(result.values)
