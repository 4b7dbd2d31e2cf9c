"""Cluster gradient descent: the same steps as full prediction, made-up cells, costs, errors and storage."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from sklearn.linear_model import LogisticRegression

import adverscarial as adv
from adverscarial.attacks import ClusterGradientDescent, Result
from adverscarial.attacks.ranking import rank_genes
from adverscarial.attacks.storing import describe, rebuild
from adverscarial.classifiers import MLP, Classifier, RandomForest, ScAnnotatR, ScType
from adverscarial.errors import ClassifierError, DataError, InputRejected, ParameterError
from adverscarial.modifications.base import with_values

COMPARED = ["n_cells_changed", "original_share", "new_share", "original_score", "new_score"]


# -- the same steps, everything classified again -------------------------------------------------------------------


def plain_loop(
    adata: AnnData, model: Classifier, groupby: str, target: str, genes: list[str], alpha: float, epsilon: float,
    *, stop: bool = True, runner: str = "second", targets: list[str] | None = None,
) -> tuple[pd.DataFrame, AnnData]:  # fmt: skip
    """Descend by equations (3) and (4); every query copies the data and classifies from scratch."""
    clusters = adata.obs[groupby].astype(str).to_numpy()
    rows = np.flatnonzero(clusters == target)
    if not model.needs_all_cells:
        adata, clusters, rows = adata[rows].copy(), clusters[rows], np.arange(len(rows))
    classes = list(model.bind(pd.Index(adata.var_names)).classes)

    def ask(data: AnnData) -> tuple[str, np.ndarray, np.ndarray]:
        answer = model.predict_cluster(data, rows, target, clusters, None)
        return answer.label, np.array(answer.labels), np.array(answer.scores)

    label, labels, scores = ask(adata)
    original = label
    allowed = [name for name in (targets or classes) if name != original]

    def runner_up() -> str:
        votes = {name: int((labels == name).sum()) for name in sorted(allowed)}
        if max(votes.values()):
            return max(votes, key=votes.__getitem__)
        return max(allowed, key=lambda name: scores[:, classes.index(name)].mean())

    new, steps = runner_up(), []
    for gene in genes:
        column = np.array([adata.var_names.get_loc(gene)])
        x = np.asarray(adata[rows, gene].X.toarray() if hasattr(adata.X, "toarray") else adata[rows, gene].X)[:, 0]
        x64 = x.astype(np.float64)
        moving = {"any": ~np.isin(labels, allowed), "own": labels == original}.get(runner, labels != new)
        probe = np.where(moving, (1 + alpha * np.sign(x64)) * x64 + epsilon, x64).astype(x.dtype)
        gradient = ask(with_values(adata, rows, column, probe[:, None]))[2] - scores
        gradient[np.abs(gradient) <= (1e-6 if scores.dtype == np.float32 else 1e-12) * np.abs(scores)] = 0
        own = gradient[:, classes.index(original)] if original in classes else np.zeros(len(x))
        gain = gradient[:, classes.index(new)]
        if runner == "own":
            gain = np.zeros(len(x))
        elif runner == "any":
            gain = gradient[:, [k for k, name in enumerate(classes) if name in allowed]].max(axis=1)
        slope = np.where(np.isclose(gain, own, rtol=1e-7, atol=0), 0, gain - own)
        s = np.sign(slope) * moving
        stepped = np.where(s == 0, x64, (1 + alpha * np.sign(x64) * s) * x64 + epsilon * s).astype(x.dtype)
        if (stepped != x).any():
            adata = with_values(adata, rows, column, stepped[:, None])
            label, labels, scores = ask(adata)
            new = runner_up()
        own_score = scores[:, classes.index(original)].mean() if original in classes else np.nan
        shares = [(labels == original).mean(), (labels == new).mean()]
        new_score = scores[:, classes.index(new)].mean()
        steps.append((gene, int((stepped != x).sum()), *shares, own_score, new_score, new, label))
        if stop and label in allowed:
            break
    return pd.DataFrame(steps, columns=["gene", *COMPARED, "new_label", "label"]), adata


@pytest.fixture(scope="module")
def scaled(pbmc_small: AnnData) -> AnnData:
    return adv.datasets.preprocess(pbmc_small, target_sum=None)


@pytest.fixture(scope="module")
def order(scaled: AnnData) -> list[str]:
    return rank_genes(scaled, "cell_type")[:30]


def trained(name: str, cells: AnnData) -> Classifier:
    if name == "ScType":
        return ScType()
    if name == "ScAnnotatR":
        return ScAnnotatR(keep_ambiguous=True).fit(cells, "cell_type")
    if name == "RandomForest":
        return RandomForest(40, seed=0).fit(cells, "cell_type")
    if name == "MLP":
        return MLP((16, 8), epochs=8, seed=0).fit(cells, "cell_type")
    estimator = LogisticRegression(C=0.01, max_iter=1000).fit(cells.X, cells.obs["cell_type"].astype(str))
    if name == "LogisticRegression":
        return adv.classifiers.wrap(estimator, genes=list(cells.var_names))
    return adv.classifiers.wrap(estimator.predict_proba, classes=estimator.classes_, genes=list(cells.var_names))


FAMILIES = ["ScType", "ScAnnotatR", "RandomForest", "MLP", "LogisticRegression", "CellFunction"]


@pytest.mark.fast("LogisticRegression-second", "ScType-second")
@pytest.mark.parametrize("runner_up", ["second", "any", "own"])
@pytest.mark.parametrize("name", FAMILIES)
def test_steps_are_those_of_full_reprediction(scaled, order, name, runner_up):
    model = trained(name, scaled)
    for target, alpha, epsilon, stop in (("CD19+ B", 1.0, 1.0, True), ("CD56+ NK", 0.5, 10.0, False)):
        attack = ClusterGradientDescent(alpha, epsilon, genes=order, stop_at_switch=stop, runner_up=runner_up)
        result = attack(scaled, model, groupby="cell_type", target=target)
        steps, final = plain_loop(
            scaled, model, "cell_type", target, order, alpha, epsilon, stop=stop, runner=runner_up
        )
        for column in ("gene", "n_cells_changed", "original_share", "new_share", "new_label", "label"):
            assert result.steps[column].tolist() == steps[column].tolist()
        for column in ("original_score", "new_score"):
            np.testing.assert_allclose(result.steps[column], steps[column], rtol=1e-6)
        cells = result.cell.tolist()
        np.testing.assert_array_equal(result.values, np.asarray(final[cells, result.moved].X))
        assert result.steps["n_cells_changed"].max() > 0
        assert result.verify(scaled, model)
        np.testing.assert_array_equal(
            np.asarray(result.apply(scaled)[cells].X), np.asarray(final[cells].X)
        )  # and no other gene has changed


@pytest.mark.slow
def test_new_target_is_kept_to_the_end(scaled, order):
    model = trained("LogisticRegression", scaled)
    reached = 0
    for wanted in ("CD14+ Monocyte", "CD56+ NK"):
        attack = ClusterGradientDescent(1, 20, genes=order, new_target=wanted)
        result = attack(scaled, model, groupby="cell_type", target="CD19+ B")
        steps, _ = plain_loop(scaled, model, "cell_type", "CD19+ B", order, 1, 20, targets=[wanted])
        assert set(result.steps["new_label"]) == {wanted}
        assert result.steps["n_cells_changed"].tolist() == steps["n_cells_changed"].tolist()
        assert result.success == (result.label == wanted)
        assert result.verify(scaled, model)
        reached += result.success
    assert reached == 2


@pytest.mark.slow
def test_excluded_targets_are_never_followed(scaled, order):
    model = trained("LogisticRegression", scaled)
    free = ClusterGradientDescent(1, 5, genes=order)(scaled, model, groupby="cell_type", target="CD19+ B")
    for runner_up in ("second", "any"):
        attack = ClusterGradientDescent(1, 5, genes=order, exclude_targets=[free.label], runner_up=runner_up)
        result = attack(scaled, model, groupby="cell_type", target="CD19+ B")
        # at first only the original label is voted for nearly everywhere: the R code forgets the exclusion here
        assert free.label not in set(result.steps["new_label"])
        assert result.start["new_label"] != free.label
        assert not result.success or result.label != free.label
        assert result.verify(scaled, model)


# -- small made-up cells -------------------------------------------------------------------------------------------


def toy(values: list[float] | np.ndarray, clusters: list[str]) -> AnnData:
    X = np.array(values, dtype=np.float64)
    X = X[:, None] if X.ndim == 1 else X
    return AnnData(
        X, obs=pd.DataFrame({"k": clusters}, index=[f"c{i}" for i in range(len(X))]),
        var=pd.DataFrame(index=[f"g{j}" for j in range(X.shape[1])]),
    )  # fmt: skip


def first_gene_decides(X: np.ndarray) -> np.ndarray:
    """A below 2, else B."""
    p = 1 / (1 + np.exp(-(X[:, 0] - 2)))
    return np.stack([1 - p, p], axis=1)


def test_one_cell_and_the_last_cell_are_attacked():
    adata = toy([[0.0, 1.0], [1.0, 1.0], [5.0, 1.0], [5.0, 2.0]], ["a", "b", "c", "c"])
    model = adv.classifiers.wrap(first_gene_decides, classes=["A", "B"])
    result = ClusterGradientDescent(1, 3, genes=["g0"])(adata, model, groupby="k", target="a")
    assert result.success
    assert (result.baseline, result.label, result.n_cells) == ("A", "B", 1)
    assert result.values.tolist() == [[3.0]]
    assert result.verify(adata, model)
    pair = toy([0.0, -9.0, 5.0], ["a", "a", "b"])  # the second cell is the last one that is left, and goes on alone
    path = ClusterGradientDescent(0, 3, genes=["g0"], stop_at_switch=False)
    assert path(pair, model, groupby="k", target="a").values.ravel().tolist() == [3.0, -6.0]


@pytest.mark.parametrize("gain", [1e-9, 0.0])
def test_rounding_is_no_gradient(gain):
    """Two gradients that agree in seven digits are the same (the R code's `slope_7_digits`)."""

    def scores(X: np.ndarray) -> np.ndarray:
        up = X[:, 0] > 1
        return np.stack([0.6 + 0.01 * up, 0.4 + 0.01 * (1 + gain) * up], axis=1)

    adata = toy([1.0, 1.0, 1.0, 0.0], ["a", "a", "a", "b"])
    model = adv.classifiers.wrap(scores, classes=["A", "B"])
    result = ClusterGradientDescent(genes=["g0"])(adata, model, groupby="k", target="a")
    assert result.steps["n_cells_changed"].tolist() == [0]
    assert result.modified_genes == []
    assert result.apply(adata).X.tolist() == adata.X.tolist()


@pytest.mark.parametrize(
    ("up", "own", "after"),
    [(0.010001, 0.01, 3.0), (0.01, 0.010001, -1.0), (1e-10, 0.0, 3.0), (1e-14, 0.0, 1.0), (0.0, 1e-14, 1.0)],
)
def test_small_slopes_count_until_they_drown_in_the_score(up, own, after):
    def scores(X: np.ndarray) -> np.ndarray:
        moved = X[:, 0] > 1
        return np.stack([0.6 + own * moved, 0.4 + up * moved], axis=1)

    adata = toy([1.0, 1.0, 0.0], ["a", "a", "b"])
    model = adv.classifiers.wrap(scores, classes=["A", "B"])
    result = ClusterGradientDescent(genes=["g0"])(adata, model, groupby="k", target="a")
    assert result.apply(adata).X.ravel().tolist() == [after, after, 0.0]


@pytest.mark.parametrize(
    ("new", "own", "moves", "moves_in_r"),
    [
        # rounding: a gradient of 1e-12 of its score is none; R takes it as it is
        (4.9e-13, 0.0, False, True),
        (5.1e-13, 0.0, True, True),
        # two gradients that differ by 1e-7 of the larger one are the same, here as in R
        (0.01 * (1 + 0.9e-7), 0.01, False, False),
        (0.01 * (1 + 1.1e-7), 0.01, True, True),
        # and nothing is compared with 1e-7 of the score: the slopes of a network that is sure are as small
        (1e-10, 0.0, True, True),
    ],
)
def test_the_rule_of_slopes_that_are_zero(new, own, moves, moves_in_r):
    def scores(X: np.ndarray) -> np.ndarray:
        moved = X[:, 0] > 1
        return np.stack([0.5 + own * moved, 0.5 + new * moved], axis=1)

    adata = toy([1.0, 1.0, 0.0], ["a", "a", "b"])
    model = adv.classifiers.wrap(scores, classes=["A", "B"])
    for reference, expected in ((False, moves), (True, moves_in_r)):
        result = ClusterGradientDescent(genes=["g0"], reference=reference)(adata, model, groupby="k", target="a")
        assert result.n_changed.tolist() == [2 * expected]


@pytest.mark.parametrize(("logit", "moves"), [(4e-7, False), (4e-5, True)])
def test_rounding_of_a_float32_network_is_no_gradient(logit, moves):
    """1e-6 of the score: its probabilities of 0.5 move by a quarter of the logit, here 1e-7 and 1e-5."""
    torch = pytest.importorskip("torch")

    class Switch(torch.nn.Module):
        def forward(self, x):
            return torch.stack([torch.zeros(len(x)), logit * (x[:, 0] > 1)], dim=1)

    adata = toy([1.0, 1.0, 0.0], ["a", "a", "b"])
    model = adv.classifiers.wrap(Switch(), classes=["A", "B"], genes=["g0"])
    for reference, expected in ((False, moves), (True, True)):
        result = ClusterGradientDescent(genes=["g0"], reference=reference)(adata, model, groupby="k", target="a")
        assert result.n_changed.tolist() == [2 * expected]


def test_slope_threshold_leaves_slow_cells_alone():
    adata = toy([1.5, -20.0, 5.0], ["a", "a", "b"])  # the second cell's score does not move
    model = adv.classifiers.wrap(first_gene_decides, classes=["A", "B"])
    free = ClusterGradientDescent(0, 0.1, genes=["g0"])(adata, model, groupby="k", target="a")
    held = ClusterGradientDescent(0, 0.1, genes=["g0"], slope_threshold=0.01)(adata, model, groupby="k", target="a")
    assert free.n_changed.tolist() == [2]
    assert held.n_changed.tolist() == [1]


def test_a_refused_change_is_noted_and_leaves_nothing_behind():
    def strict(X: np.ndarray) -> np.ndarray:
        if (X[:, 0] > 4).any():
            raise ValueError("out of range")
        return np.stack([1 - X[:, 1] / 4, X[:, 1] / 4], axis=1)

    adata = toy([[3.0, 1.0], [3.0, 1.0], [0.0, 0.0]], ["a", "a", "b"])
    model = adv.classifiers.wrap(strict, classes=["A", "B"])
    result = ClusterGradientDescent(1, 1, genes=["g0", "g1"])(adata, model, groupby="k", target="a")
    assert result.steps["outcome"].tolist() == ["rejected", "changed"]
    assert result.modified_genes == ["g1"]
    assert result.success
    assert "rejected  1 genes" in str(result)
    assert result.verify(adata, model)


def test_a_refused_step_after_a_good_trial_is_noted_too():
    def strict(X: np.ndarray) -> np.ndarray:
        if (X[:, 0] < 0).any():
            raise InputRejected("negative")
        return np.stack([0.5 + X[:, 0] / 100, 0.4 - X[:, 0] / 100], axis=1)

    adata = toy([1.0, 1.0, 0.0], ["a", "a", "b"])
    model = adv.classifiers.wrap(strict, classes=["A", "B"])
    result = ClusterGradientDescent(1, 1, genes=["g0"])(adata, model, groupby="k", target="a")
    assert result.steps["outcome"].tolist() == ["rejected"]
    assert len(result.moved) == 0
    assert result.queries == 2 + 3  # and the unmodified cluster, at the start and the end, and once beside other cells


@pytest.mark.slow
def test_the_label_unknown_has_no_score_and_can_be_left(scaled, order):
    """Cells that scAnnotatR calls unknown have no score for that; the gradient of the new label alone leads them."""
    model = ScAnnotatR(keep_ambiguous=True, threshold=0.999).fit(scaled, "cell_type")
    targets = scaled.obs["cell_type"].cat.categories
    unknown = [t for t in targets if adv.predict(scaled, model, groupby="cell_type", target=t).label == "unknown"]
    attack = ClusterGradientDescent(1, 5, genes=order)
    result = attack(scaled, model, groupby="cell_type", target=unknown[0])
    assert result.baseline == "unknown"
    assert np.isnan(result.start["original_score"])
    assert result.steps["n_cells_changed"].max() > 0
    assert result.verify(scaled, model)


# -- costs, orders, errors, storage --------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_budget_is_held_and_the_path_is_the_same_as_far_as_it_goes(scaled, order):
    model = trained("RandomForest", scaled)
    free = ClusterGradientDescent(genes=order, stop_at_switch=False)(
        scaled, model, groupby="cell_type", target="CD19+ B"
    )
    short = ClusterGradientDescent(genes=order, stop_at_switch=False)(
        scaled, model, groupby="cell_type", target="CD19+ B", budget=11
    )
    assert free.complete
    assert free.tested_genes == order
    assert not short.complete
    assert short.queries <= 11 < free.queries
    assert free.queries <= 2 * len(order)
    assert 0 < len(short.steps) < len(order)
    pd.testing.assert_frame_equal(short.steps, free.steps.head(len(short.steps)))
    assert short.verify(scaled, model)
    assert "stopped by the budget" in str(short)


def test_genes_that_the_classifier_does_not_read_cost_nothing(scaled, order):
    attack = ClusterGradientDescent(genes=order, stop_at_switch=False)
    result = attack(scaled, trained("ScType", scaled), groupby="cell_type", target="CD19+ B")
    assert 0 < result.proven < len(order)
    assert result.queries <= 2 * (len(order) - result.proven)
    assert result.tested_genes == order


@pytest.mark.fast(1)
@pytest.mark.parametrize(
    ("name", "method"),
    [("significance", "wilcoxon"), ("t-test", "t-test"), ("variance", "variance"), ("random", "random")],
)
def test_orders_are_those_of_rank_genes(pbmc_small, name, method):
    model = ScType(scaled=False)
    attack = ClusterGradientDescent(order=name, max_genes=12, stop_at_switch=False)
    result = attack(pbmc_small, model, groupby="cell_type", target="Dendritic", seed=3)
    assert result.tested_genes == rank_genes(pbmc_small, "cell_type", method=method, seed=3)[:12]
    again = attack(pbmc_small, model, groupby="cell_type", target="Dendritic", seed=3)
    pd.testing.assert_frame_equal(again.steps, result.steps)


@pytest.mark.slow
def test_order_by_score_reads_the_attacked_layer(pbmc_small):
    cells = pbmc_small[:, :60].copy()
    cells.layers["twice"] = cells.X * 2
    model = trained("RandomForest", cells)
    result = ClusterGradientDescent(order="score", max_genes=5)(
        cells, model, groupby="cell_type", target="Dendritic", layer="twice"
    )
    ranking = rank_genes(cells, "cell_type", method="score", classifier=model, target="Dendritic", layer="twice")
    assert result.tested_genes == ranking[: len(result.steps)]


def test_label_only_classifiers_are_told_what_would_work(pbmc_small):
    model = adv.classifiers.wrap(lambda X: np.where(X[:, 0] > 0, "A", "B"))
    with pytest.raises(ClassifierError, match="SingleGene, MinChange and others"):
        ClusterGradientDescent(genes=["CD79A"])(pbmc_small, model, groupby="cell_type", target="Dendritic")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alpha": np.nan}, "alpha must be a finite number"),
        ({"epsilon": np.inf}, "epsilon must be a finite number"),
        ({"alpha": "perc99"}, "alpha must be a finite number"),
        ({"alpha": 0, "epsilon": 0}, "both 0"),
        ({"genes": []}, "genes= is empty"),
        ({"order": "alphabet"}, "order must be one of"),
        ({"max_genes": 0}, "max_genes"),
        ({"runner_up": "third"}, "runner_up must be"),
        ({"slope_threshold": -1}, "slope_threshold"),
        ({"reference": "scanpy"}, "reference must be"),
        ({"reference": True, "runner_up": "any"}, "no runner_up='any'"),
        ({"reference": True, "runner_up": "own"}, "no runner_up='own'"),
        ({"runner_up": "own", "new_target": "B"}, "looks at no other label"),
        ({"relative_threshold": -1}, "relative_threshold must not be negative"),
        ({"order": "phenotype"}, "belong together"),
        ({"phenotype": ["CD79A"]}, "belong together"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ParameterError, match=message):
        ClusterGradientDescent(**settings)


def test_unknown_names_and_nothing_left(scaled):
    model = trained("LogisticRegression", scaled)
    where = {"groupby": "cell_type", "target": "CD19+ B"}
    with pytest.raises(ParameterError, match=r"'CD56 NK' is no class.*Did you mean 'CD56\+ NK'.*10 classes"):
        ClusterGradientDescent(genes=["CD79A"], new_target="CD56 NK")(scaled, model, **where)
    with pytest.raises(ParameterError, match="'monocyte' is no class"):
        ClusterGradientDescent(genes=["CD79A"], exclude_targets=["monocyte"])(scaled, model, **where)
    with pytest.raises(ParameterError, match="No class is left"):
        ClusterGradientDescent(genes=["CD79A"], new_target="CD19+ B")(scaled, model, **where)
    with pytest.raises(DataError, match="1 of 2 genes are not in the data: 'CD79Q'"):
        ClusterGradientDescent(genes=["CD79A", "CD79Q"])(scaled, model, **where)
    with pytest.raises(ParameterError, match="leaves the range of float32"):
        ClusterGradientDescent(1, 1e39, genes=["CD79A"])(scaled, model, **where)


def test_results_come_back_from_a_file(scaled, order, tmp_path):
    model = trained("LogisticRegression", scaled)
    attack = ClusterGradientDescent(1, epsilon=10, genes=order, exclude_targets=["Dendritic"])
    result = attack(scaled, model, groupby="cell_type", target="CD19+ B")
    assert result.success
    result.save(tmp_path / "cgd.npz")
    back = Result.load(tmp_path / "cgd.npz")
    assert (back.attack, back.start, back.success) == (attack, result.start, True)
    pd.testing.assert_frame_equal(back.steps, result.steps)
    assert back.verify(scaled, model)
    assert str(back) == str(result)
    shuffled = scaled[np.random.default_rng(0).permutation(scaled.n_obs)].copy()  # cells are found by name
    np.testing.assert_array_equal(back.apply(shuffled)[scaled.obs_names].X, result.apply(scaled).X)
    with pytest.raises(DataError, match="Apply it to the cells it was made of"):
        back.apply(scaled[:300].copy())


def test_repr_rebuilds_and_the_summary_stays_short(scaled, order):
    attack = ClusterGradientDescent(0.5, epsilon=10, genes=order, new_target="Dendritic", stop_at_switch=False)
    assert eval(repr(attack)) == attack
    assert rebuild(json.loads(json.dumps(describe(attack)))) == attack
    assert repr(ClusterGradientDescent()) == "ClusterGradientDescent()"
    model = trained("LogisticRegression", scaled)
    text = str(attack(scaled, model, groupby="cell_type", target="CD19+ B"))
    assert max(map(len, text.splitlines())) < 160
    assert f"tested    {len(order)} genes" in text


@pytest.mark.fast(1)
@pytest.mark.parametrize("kind", ["sparse", "integer"])
def test_sparse_and_integer_data(pbmc_small, order, kind):
    from scipy.sparse import csr_matrix

    model = trained("LogisticRegression", pbmc_small)
    cells = pbmc_small.copy()
    cells.X = csr_matrix(cells.X) if kind == "sparse" else np.rint(np.asarray(cells.X) * 3).astype(np.int32)
    result = ClusterGradientDescent(0.5, 0.25, genes=order)(cells, model, groupby="cell_type", target="Dendritic")
    assert result.n_changed.max() > 0
    assert result.verify(cells, model)
    changed = result.apply(cells)
    assert type(changed.X) is type(cells.X)
    inside = cells.obs["cell_type"] == "Dendritic"
    assert (abs(changed[~inside].X - cells[~inside].X)).max() == 0
