"""FGSM against torch's own differentiation, against the Adversarial Robustness Toolbox, and every kind of slope."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import adverscarial as adv
from adverscarial.attacks import FastGradientSign, GradientResult, Result
from adverscarial.attacks.gradient import Climb
from adverscarial.attacks.run import Meter, Run
from adverscarial.attacks.slopes import FiniteSlopes, ModelSlopes, loss_slopes, slopes_for
from adverscarial.cells.cluster import Cluster
from adverscarial.errors import ClassifierError, DataError, ParameterError

GENES, CLASSES = 12, ("B", "NK", "T")


def network(seed: int = 0) -> torch.nn.Sequential:
    torch.manual_seed(seed)
    layers = torch.nn.Linear(GENES, 16), torch.nn.ReLU(), torch.nn.Linear(16, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)
    return torch.nn.Sequential(*layers)


def cells(n: int = 40, seed: int = 0, dtype: type = np.float32) -> AnnData:
    X = np.random.default_rng(seed).normal(size=(n, GENES)).astype(dtype)
    obs = pd.DataFrame({"cluster": ["a"] * (n - 5) + ["b"] * 5}, index=[f"c{i}" for i in range(n)])
    return AnnData(X, obs=obs, var=pd.DataFrame(index=[f"g{j}" for j in range(GENES)]))


def as_mlp(module: torch.nn.Sequential) -> adv.classifiers.MLP:
    weights = {}
    for i, layer in enumerate([part for part in module if isinstance(part, torch.nn.Linear)], 1):
        weights[f"W{i}"] = layer.weight.detach().numpy().T.astype(np.float64)
        weights[f"b{i}"] = layer.bias.detach().numpy().astype(np.float64)
    return adv.classifiers.MLP.from_weights(weights, CLASSES, [f"g{j}" for j in range(GENES)])


def as_module(module: torch.nn.Sequential) -> adv.classifiers.Classifier:
    return adv.classifiers.wrap(module, classes=CLASSES, genes=[f"g{j}" for j in range(GENES)])


def moved(result: GradientResult, adata: AnnData) -> np.ndarray:
    """Return the cluster's cells after the attack."""
    return np.asarray(result.apply(adata).X)[(adata.obs["cluster"] == "a").to_numpy()]


def attack(how: FastGradientSign, adata: AnnData, model: object, **options: object) -> GradientResult:
    return how(adata, model, groupby="cluster", target="a", **options)


def by_autograd(module: torch.nn.Module, X: np.ndarray, epsilon: float, norm: str, target: int | None) -> np.ndarray:
    """Second implementation: one step, by torch's cross-entropy in float64."""
    values = torch.tensor(X, dtype=torch.float64, requires_grad=True)
    module = module.double()
    logits = module(values)
    codes = logits.argmax(1) if target is None else torch.full((len(X),), target)
    torch.nn.functional.cross_entropy(logits, codes, reduction="sum").backward()
    module.float()
    slope = values.grad if target is None else -values.grad
    step = slope.sign() if norm == "linf" else slope / slope.norm(dim=1, keepdim=True)
    return (values + epsilon * step).detach().numpy()


@pytest.mark.fast(1)
@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("new_target", [None, "NK"])
@pytest.mark.parametrize("make", [as_mlp, as_module])
def test_one_step_is_that_of_torch(norm, new_target, make):
    module, adata = network(), cells()
    result = attack(FastGradientSign(0.3, norm=norm, new_target=new_target), adata, make(module))
    target = None if new_target is None else CLASSES.index(new_target)
    expected = by_autograd(module, adata.X[:35], 0.3, norm, target)
    np.testing.assert_allclose(moved(result, adata), expected, rtol=0, atol=2e-6)
    assert result.queries == 2
    assert result.verify(adata, make(module))
    before = make(module).predict(adata)[:35].to_numpy(dtype=str)
    after = make(module).predict(result.apply(adata))[:35].to_numpy(dtype=str)
    np.testing.assert_array_equal(result.label_before, before)
    np.testing.assert_array_equal(result.label_after, after)
    assert result.cell_success.tolist() == ((before != after) if new_target is None else after == new_target).tolist()
    assert result.cell_success.any()


@pytest.mark.fast(1)
@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("bounds", [None, (-1.5, 1.2)])
@pytest.mark.parametrize("make", [as_mlp, as_module])
def test_one_step_is_that_of_the_adversarial_robustness_toolbox(norm, bounds, make):
    from art.attacks.evasion import FastGradientMethod
    from art.estimators.classification import PyTorchClassifier

    module, adata = network(1), cells(60)
    if bounds:
        adata.X = np.clip(adata.X, *bounds)
    theirs = PyTorchClassifier(
        module, torch.nn.CrossEntropyLoss(), (GENES,), len(CLASSES), clip_values=bounds, device_type="cpu"
    )
    method = FastGradientMethod(theirs, norm=np.inf if norm == "linf" else 2, eps=0.25)
    expected = method.generate(adata.X[:55])
    low, high = bounds or (None, None)
    result = attack(FastGradientSign(0.25, norm=norm, minimum=low, maximum=high), adata, make(module))
    np.testing.assert_allclose(moved(result, adata), expected, rtol=0, atol=2e-6)
    assert result.label_after.tolist() == [CLASSES[k] for k in theirs.predict(expected).argmax(1)]


def test_cells_that_the_classifier_is_sure_of_still_move_in_the_right_direction():
    """In float32 their gradient is 0 exactly; a step of torch in float64 says where to go."""
    module, adata = network(), cells()
    with torch.no_grad():
        module[-1].weight *= 150
    sure = torch.softmax(module(torch.tensor(adata.X[:35])), 1).max(1).values.detach().numpy() == 1
    assert sure.sum() > 5
    result = attack(FastGradientSign(0.3), adata, as_mlp(module))
    expected = by_autograd(module, adata.X[:35], 0.3, "linf", None)
    gap = np.sort(as_mlp(module).logits(adata.X[:35]), axis=1)
    seen = gap[:, -1] - gap[:, -2] < 30  # beyond, even float64 loses the slope
    np.testing.assert_allclose(moved(result, adata)[seen], expected[seen], rtol=0, atol=1e-6)
    assert (result.linf > 0.299).all()


# --- slopes --------------------------------------------------------------------------------------------------------


def pipelines() -> dict[str, object]:
    X = np.random.default_rng(3).gamma(2.0, size=(120, GENES))
    three, two = np.array(CLASSES)[np.argmax(X[:, :3], axis=1)], np.where(X[:, 0] > X[:, 1], "B", "T")
    return {
        "three classes": LogisticRegression().fit(X, three),
        "two classes": LogisticRegression().fit(X, two),
        "scaled": make_pipeline(StandardScaler(), LogisticRegression()).fit(X, three),
        "log, PCA": make_pipeline(FunctionTransformer(np.log1p), PCA(5), LogisticRegression()).fit(X, two),
        "root": make_pipeline(FunctionTransformer(np.sqrt), StandardScaler(), LogisticRegression()).fit(X, three),
    }


@pytest.mark.parametrize("name", list(pipelines()))
def test_slopes_of_linear_models_are_those_of_their_probabilities(name):
    """Against differences of scikit-learn's own log-probabilities."""
    model = adv.classifiers.wrap(pipelines()[name])
    assert model.differentiable
    X = np.random.default_rng(4).gamma(2.0, size=(9, GENES)) + 0.1
    codes = np.arange(9) % len(model.classes)
    slope = model.gradient(X, loss_slopes(model.logits(X), codes))
    p = model.decide(X).scores[np.arange(9), codes]
    for j in range(GENES):
        step = np.zeros(GENES)
        step[j] = 1e-5
        above, below = (-np.log(model.decide(X + s).scores[np.arange(9), codes]) for s in (step, -step))
        np.testing.assert_allclose(slope[:, j] * (1 - p), (above - below) / 2e-5, rtol=1e-5, atol=1e-7)


def test_a_root_has_a_slope_at_zero():
    model = adv.classifiers.wrap(pipelines()["root"])
    X = np.zeros((2, GENES))
    assert np.isfinite(model.gradient(X, np.ones((2, 3)) * [1, 0, -1])).all()


def test_no_slope_is_claimed_for_a_forest():
    forest = adv.classifiers.wrap(RandomForestClassifier(5, random_state=0).fit(cells().X, ["B", "T"] * 20))
    assert not forest.differentiable
    with pytest.raises(ClassifierError, match="neither linear nor a network"):
        forest.gradient(cells().X, np.ones((40, 2)))


@pytest.mark.parametrize("model", [adv.classifiers.ScType(), adv.classifiers.Markers(unknown_below=0.5)])
def test_marker_scores_have_exact_slopes(pbmc_small, model):
    if isinstance(model, adv.classifiers.Markers):
        model.fit(pbmc_small, "cell_type")
    bound = model.bind(pbmc_small.var_names)
    X = Cluster(pbmc_small, "cell_type", "CD19+ B").X[:6, bound.align(pbmc_small.var_names)].astype(np.float64)
    weights = np.random.default_rng(0).normal(size=(6, len(bound.classes)))
    slope = bound.gradient(X, weights)
    for j in range(X.shape[1]):
        other = X.copy()
        other[:, j] += 1
        change = (weights * (bound.decide(other).scores - bound.decide(X).scores)).sum(axis=1)
        np.testing.assert_allclose(slope[:, j], change, rtol=0, atol=1e-12)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_celltypist_has_exact_slopes_below_its_cap(n_classes):
    from types import SimpleNamespace

    random = np.random.default_rng(0)
    rows = 1 if n_classes == 2 else n_classes
    linear = SimpleNamespace(
        features=[f"g{j}" for j in range(GENES)], classes_=list(CLASSES[:n_classes]),
        coef_=random.normal(size=(rows, GENES)), intercept_=random.normal(size=rows),
    )  # fmt: skip
    scaler = SimpleNamespace(mean_=random.random(GENES), scale_=random.random(GENES) + 0.1)
    model = adv.classifiers.adapters.celltypist.CellTypist(SimpleNamespace(classifier=linear, scaler=scaler))
    X = random.random((7, GENES)) * 4
    assert ((X - scaler.mean_) / scaler.scale_ > 10).any()
    weights = random.normal(size=(7, n_classes))
    slope = model.gradient(X, weights)
    for j in range(GENES):
        step = np.eye(GENES)[j] * 1e-6
        change = (weights * (model.logits(X + step) - model.logits(X - step))).sum(axis=1) / 2e-6
        np.testing.assert_allclose(slope[:, j], change, rtol=1e-6, atol=1e-7)
    adata = cells()
    adata.X = np.abs(adata.X)
    assert attack(FastGradientSign(5), adata, model).rejected  # values that it refuses: an outcome, no error
    kept = attack(FastGradientSign(5, nonnegative=True, maximum=9), adata, model)
    assert not kept.rejected
    assert kept.flipped.any()
    assert kept.verify(adata, model)


def test_finite_differences_find_the_classifiers_own_slopes():
    adata, model = cells(dtype=np.float64), adv.classifiers.wrap(pipelines()["three classes"])  # smooth, unlike ReLU
    cluster = Cluster(adata, "cluster", "a")
    genes = np.array([1, 4, 7])
    session = Run(cluster, model.scorer(cluster), model, Meter())
    own = slopes_for(session, genes, named=True, step=1e-4, low=-np.inf, high=np.inf)
    finite = FiniteSlopes(session, model, genes, 1e-4, -np.inf, np.inf)
    assert isinstance(own, ModelSlopes)
    codes = own.codes(session.baseline.labels)
    values = cluster.X[:, genes] + 0.2
    X = cluster.X.copy()
    X[:, genes] = values
    p = model.decide(X).scores[np.arange(len(X)), codes]
    np.testing.assert_allclose(finite(values, codes), own(values, codes) * (1 - p)[:, None], rtol=1e-5, atol=1e-9)


@pytest.mark.slow
def test_scores_without_a_gradient_need_named_genes():
    adata, module = cells(), network()
    model = adv.classifiers.wrap(
        lambda X: torch.softmax(module(torch.tensor(X, dtype=torch.float32)), 1).detach().numpy(), classes=CLASSES
    )
    with pytest.raises(ClassifierError, match=r"no gradient\. Name the genes to attack with genes=.*SingleGene"):
        attack(FastGradientSign(0.3), adata, model)
    genes = ["g2", "g9", "g5"]
    result = attack(FastGradientSign(0.3, genes=genes, finite_step=1e-2), adata, model)
    # two per gene, where the cells stand, the end; the unmodified cells, alone and beside others; two answers again
    assert result.queries == 2 * 3 + 1 + 1 + 2 + 2
    own = attack(FastGradientSign(0.3, genes=genes), adata, as_module(module))
    np.testing.assert_allclose(result.values, own.values, atol=1e-6)
    assert sorted(result.genes) == sorted(genes)
    assert result.verify(adata, model)
    short = attack(FastGradientSign(0.3, genes=genes), adata, model, budget=5)
    assert not short.complete
    assert not short.genes


@pytest.mark.slow
def test_a_forest_is_attacked_by_differences_as_wide_as_epsilon(pbmc_small):
    model = adv.classifiers.RandomForest(50, seed=0).fit(pbmc_small, "cell_type")
    common = {"groupby": "cell_type", "target": "CD19+ B"}
    genes = ["CD79A", "CD74", "CD79B", "MS4A1", "HLA-DRA", "HLA-DPA1"]
    genes = [gene for gene in genes if gene in pbmc_small.var_names]
    result = FastGradientSign(3, genes=genes, nonnegative=True)(pbmc_small, model, **common)
    assert result.values.min() >= 0
    before, after = (model.scores(adata)["CD19+ B"] for adata in (pbmc_small, result.apply(pbmc_small)))
    inside = (pbmc_small.obs["cell_type"] == "CD19+ B").to_numpy()
    assert after[inside].mean() < before[inside].mean() - 0.2
    assert result.verify(pbmc_small, model)


def test_z_scores_over_all_cells_are_attacked_through_the_scorer(pbmc_small):
    model = adv.classifiers.ScType(scaled=False)
    common = {"groupby": "cell_type", "target": "Dendritic"}
    with pytest.raises(ClassifierError, match="no gradient"):
        FastGradientSign(1)(pbmc_small, model, **common)
    result = FastGradientSign(2, genes=["CLEC10A", "FCER1A", "CST3"], nonnegative=True)(pbmc_small, model, **common)
    assert result.verify(pbmc_small, model)


def test_labels_alone_are_no_slope():
    with pytest.raises(ClassifierError, match=r"labels only.*SingleGene, MinChange and others"):
        attack(FastGradientSign(1, genes=["g1"]), cells(), lambda X: np.where(X[:, 0] > 0, "B", "T"))
    with pytest.raises(ClassifierError, match="labels only"):
        attack(FastGradientSign(1, genes=["g1"]), cells(), lambda expression, clusters, target: ("B", 1.0))


# --- settings ------------------------------------------------------------------------------------------------------


def test_only_the_named_genes_move():
    adata, model = cells(), as_mlp(network())
    result = attack(FastGradientSign(0.5, genes=["g3", "g8", "g0"], exclude=["g8"]), adata, model)
    assert result.genes == ["g0", "g3"]
    untouched = [j for j in range(GENES) if j not in (0, 3)]
    np.testing.assert_array_equal(moved(result, adata)[:, untouched], adata.X[:35, untouched])
    assert set(result.l0) == {2}


def test_genes_that_the_classifier_does_not_read_stay():
    adata = cells()
    more = AnnData(np.hstack([adata.X, adata.X[:, :2]]), obs=adata.obs)
    more.var_names = [*adata.var_names, "other1", "other2"]
    result = attack(FastGradientSign(0.5), more, as_mlp(network()))
    assert set(result.genes) == set(adata.var_names)
    assert result.proven == 2
    nothing = attack(FastGradientSign(0.5, genes=["other1"]), more, as_mlp(network()))
    assert nothing.genes == []
    assert not nothing.success
    assert nothing.verify(more, as_mlp(network()))
    assert nothing.linf.tolist() == [0] * 35


def test_bounds_hold_and_must_hold_before():
    adata, model = cells(), as_mlp(network())
    adata.X = np.abs(adata.X)
    result = attack(FastGradientSign(0.7, nonnegative=True, maximum=5), adata, model)
    assert result.values.min() == 0
    assert (result.linf <= 0.7 + 1e-6).all()
    with pytest.raises(DataError, match=r"values lie outside the bounds 0 to inf before any attack.*z-scores"):
        attack(FastGradientSign(0.7, nonnegative=True), cells(), model)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FastGradientSign(0), "epsilon must be a positive number, in the units of the data, got 0"),
        (lambda: FastGradientSign("perc99"), "epsilon must be a positive number.*got 'perc99'"),
        (lambda: FastGradientSign(float("inf")), "epsilon must be a positive number"),
        (lambda: FastGradientSign(norm="l1"), "norm must be 'linf' or 'l2', got 'l1'"),
        (lambda: FastGradientSign(finite_step=-1), "finite_step must be a positive number"),
        (lambda: FastGradientSign(nonnegative=True, maximum=-1), "at least 0 and at most -1"),
        (
            lambda: attack(FastGradientSign(new_target="n"), cells(), as_mlp(network())),
            "new_target='n' is no class of the classifier.*'B', 'NK', 'T'",
        ),
    ],
)
def test_impossible_settings_are_refused(make, message):
    with pytest.raises(ParameterError, match=message):
        make()


def test_settings_are_written_as_they_are_typed():
    how = FastGradientSign(0.5, norm="l2", genes=("g1",), new_target="NK", nonnegative=True)
    assert repr(how) == "FastGradientSign(0.5, norm='l2', genes=('g1',), new_target='NK', nonnegative=True)"
    assert eval(repr(how)) == how
    assert repr(FastGradientSign()) == "FastGradientSign()"


# --- the result ----------------------------------------------------------------------------------------------------


def test_the_table_has_one_row_per_cell_and_the_norms_are_those_of_the_change():
    adata, model = cells(), as_mlp(network())
    result = attack(FastGradientSign(0.4, norm="l2"), adata, model)
    frame = result.to_frame()
    assert list(frame.columns) == ["cell", "label_before", "label_after", "flipped", "linf", "l2"]
    assert frame["cell"].tolist() == [f"c{i}" for i in range(35)]
    change = moved(result, adata).astype(np.float64) - adata.X[:35]
    for name, order in (("l0", 0), ("l1", 1), ("l2", 2), ("linf", np.inf)):
        np.testing.assert_allclose(getattr(result, name), np.linalg.norm(change, ord=order, axis=1), rtol=1e-12)
    np.testing.assert_allclose(result.l2, 0.4, rtol=1e-6)
    assert result.genes == [f"g{j}" for j in np.argsort(-np.abs(change).mean(axis=0), kind="stable")]
    assert (frame["flipped"] == (frame["label_before"] != frame["label_after"])).all()
    label, share, _ = adv.classifiers.base.vote(result.label_after)
    assert (result.label, result.share) == (label, share)
    assert result.success == (label != result.baseline)
    assert json.loads(json.dumps(result.row()))["cells_flipped"] == frame["flipped"].sum()
    assert "lost their label" in str(result)


def test_a_stored_result_is_applied_by_cell_name(tmp_path):
    adata, model = cells(), as_mlp(network())
    result = attack(FastGradientSign(0.4), adata, model)
    result.save(tmp_path / "r.npz")
    loaded = Result.load(tmp_path / "r.npz")
    assert isinstance(loaded, GradientResult)
    assert loaded.attack == result.attack
    assert loaded.row() == result.row()
    assert loaded.verify(adata, model)
    backwards = adata[::-1].copy()
    np.testing.assert_array_equal(loaded.apply(backwards).X[::-1], result.apply(adata).X)
    assert loaded.verify(backwards, model)
    with pytest.raises(DataError, match="holds for the cells it was run on"):
        loaded.apply(adata[3:].copy())
    assert not loaded.verify(adata, as_mlp(network(5)))


def test_the_scorer_is_left_as_it_was():
    adata, model = cells(), as_mlp(network())
    cluster = Cluster(adata, "cluster", "a")
    scorer = model.scorer(cluster)
    before = scorer.baseline.scores.copy()
    one, two = (FastGradientSign(0.4).run(cluster, model, scorer) for _ in range(2))
    np.testing.assert_array_equal(one.values, two.values)
    np.testing.assert_array_equal(scorer.baseline.scores, before)
    assert one.attack == FastGradientSign(0.4)


def test_l2_steps_of_flat_cells_are_zero():
    """A network that says the same of every cell gives no direction."""
    adata = cells()
    module = network()
    with torch.no_grad():
        module[0].weight[:] = 0
    cluster = Cluster(adata, "cluster", "a")
    model = as_module(module)
    how = FastGradientSign(0.4, norm="l2")
    session = Run(cluster, model.scorer(cluster), model, Meter())
    climb = Climb(session, ModelSlopes(model, cluster, np.arange(GENES)), how)
    np.testing.assert_array_equal(climb.step(climb.start, 0.4), climb.start)
