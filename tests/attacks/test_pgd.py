"""PGD against a loop over torch's own differentiation, against the Adversarial Robustness Toolbox, and its ball."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import adverscarial as adv
from adverscarial.attacks import FastGradientSign, ProjectedGradientDescent, Result
from adverscarial.errors import ParameterError
from attacks.test_fgsm import CLASSES, GENES, as_mlp, as_module, attack, cells, moved, network


def by_autograd(module: torch.nn.Module, X: np.ndarray, epsilon: float, norm: str, step: float, steps: int, target):
    """Second implementation: cell by cell, in float64."""
    module = module.double()
    out = []
    for cell in torch.tensor(X, dtype=torch.float64):
        code = int(module(cell).argmax()) if target is None else target
        values = cell.clone()
        for _ in range(steps):
            values = values.detach().requires_grad_()
            loss = -torch.log_softmax(module(values), 0)[code] * (1 if target is None else -1)
            slope = torch.autograd.grad(loss, values)[0]
            move = slope.sign() if norm == "linf" else slope / slope.norm()
            change = values.detach() + step * move - cell
            if norm == "linf":
                change = change.clamp(-epsilon, epsilon)
            elif change.norm() > epsilon:
                change = change * epsilon / change.norm()
            values = cell + change
        out.append(values.detach().numpy())
    module.float()
    return np.array(out)


@pytest.mark.fast(2)
@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("new_target", [None, "NK"])
@pytest.mark.parametrize("make", [as_mlp, as_module])
def test_the_path_is_that_of_torch(norm, new_target, make):
    module, adata = network(2), cells()
    how = ProjectedGradientDescent(0.5, norm=norm, step=0.13, steps=9, new_target=new_target)
    result = attack(how, adata, make(module))
    target = None if new_target is None else CLASSES.index(new_target)
    expected = by_autograd(module, adata.X[:35], 0.5, norm, 0.13, 9, target)
    np.testing.assert_allclose(moved(result, adata), expected, rtol=0, atol=1e-5)
    assert result.queries == 10
    assert result.verify(adata, make(module))


@pytest.mark.fast(1)
@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("bounds", [None, (-1.5, 1.2)])
@pytest.mark.parametrize("make", [as_mlp, as_module])
def test_the_path_is_that_of_the_adversarial_robustness_toolbox(norm, bounds, make):
    from art.attacks.evasion.projected_gradient_descent.projected_gradient_descent_numpy import (
        ProjectedGradientDescentNumpy,
    )
    from art.estimators.classification import PyTorchClassifier

    module, adata = network(1), cells(60)
    if bounds:
        adata.X = np.clip(adata.X, *bounds)
    theirs = PyTorchClassifier(
        module, torch.nn.CrossEntropyLoss(), (GENES,), len(CLASSES), clip_values=bounds, device_type="cpu"
    )
    method = ProjectedGradientDescentNumpy(
        theirs, norm=np.inf if norm == "linf" else 2, eps=0.4, eps_step=0.1, max_iter=12, num_random_init=0,
        verbose=False,
    )  # fmt: skip
    expected = method.generate(adata.X[:55])
    low, high = bounds or (None, None)
    how = ProjectedGradientDescent(0.4, norm=norm, step=0.1, steps=12, minimum=low, maximum=high)
    result = attack(how, adata, make(module))
    np.testing.assert_allclose(moved(result, adata), expected, rtol=0, atol=1e-5)
    assert result.label_after.tolist() == [CLASSES[k] for k in theirs.predict(expected).argmax(1)]


@pytest.mark.slow
@given(
    st.sampled_from(["linf", "l2"]), st.floats(0.01, 5), st.floats(0.01, 5), st.integers(1, 6), st.booleans(),
    st.booleans(), st.integers(0, 3),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_no_cell_leaves_its_ball_or_the_bounds(norm, epsilon, step, steps, bounded, random_start, seed):
    adata = cells(dtype=np.float64)
    bounds = {"minimum": adata.X.min(), "maximum": adata.X.max()} if bounded else {}
    how = ProjectedGradientDescent(epsilon, norm=norm, step=step, steps=steps, random_start=random_start, **bounds)
    result = attack(how, adata, as_mlp(network()), seed=seed)
    assert (getattr(result, norm) <= epsilon * (1 + 1e-12)).all()
    if bounded:
        assert adata.X.min() <= result.values.min() <= result.values.max() <= adata.X.max()


def test_one_long_step_is_fgsm():
    adata, model = cells(), as_mlp(network())
    one = attack(ProjectedGradientDescent(0.3, step=0.3, steps=1), adata, model)
    np.testing.assert_array_equal(one.values, attack(FastGradientSign(0.3), adata, model).values)


@pytest.mark.slow
def test_many_steps_succeed_where_one_does_not(pbmc_small):
    data = adv.datasets.preprocess(pbmc_small, target_sum=None)
    model = adv.classifiers.MLP((32,), epochs=15, seed=0, device="cpu").fit(data, "cell_type")
    common = {"groupby": "cell_type", "target": "CD19+ B"}
    one = FastGradientSign(4, norm="l2")(data, model, **common)
    many = ProjectedGradientDescent(4, norm="l2", steps=15)(data, model, **common)
    assert many.cell_success.sum() >= one.cell_success.sum()
    codes = np.array([model.classes.index(label) for label in one.label_before])

    def loss(result):
        inside = (data.obs["cell_type"] == "CD19+ B").to_numpy()
        scores = model.scores(result.apply(data)).to_numpy()[inside]
        return -np.log(scores[np.arange(len(codes)), codes]).mean()

    assert loss(many) > loss(one)


def test_the_step_that_is_left_out():
    adata, model = cells(), as_mlp(network())
    left_out = attack(ProjectedGradientDescent(0.4, steps=8), adata, model)
    given_step = attack(ProjectedGradientDescent(0.4, steps=8, step=2.5 * 0.4 / 8), adata, model)
    np.testing.assert_array_equal(left_out.values, given_step.values)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_random_starts_fill_the_ball_and_follow_the_seed(norm):
    adata, model = cells(400, dtype=np.float64), as_mlp(network())
    how = ProjectedGradientDescent(0.6, norm=norm, step=1e-9, steps=1, random_start=True)
    one, again, other = (attack(how, adata, model, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.values, again.values)
    assert not np.array_equal(one.values, other.values)
    radius = getattr(one, norm) / 0.6
    # uniform in a ball of d dimensions: the share of its volume inside a cell's radius is uniform
    share = radius**GENES
    assert abs(share.mean() - 0.5) < 4 / np.sqrt(12 * len(share))
    assert radius.max() <= 1


@pytest.mark.slow
def test_restarts_keep_each_cells_first_success():
    adata, model = cells(120), as_mlp(network())
    options = {"norm": "l2", "steps": 3, "random_start": True}
    runs = [attack(ProjectedGradientDescent(0.8, **options, restarts=n), adata, model, seed=1) for n in (1, 2, 6)]
    counts = [int(run.cell_success.sum()) for run in runs]
    assert counts[0] < counts[-1]
    for fewer, more in itertools.pairwise(runs):
        kept = fewer.cell_success
        assert more.cell_success[kept].all()
        np.testing.assert_array_equal(more.values[kept], fewer.values[kept])
    assert runs[0].queries == 3 + 1
    assert runs[-1].queries == 6 * (3 + 1) + 1
    assert runs[-1].verify(adata, model)


@pytest.mark.parametrize("budget", [1, 2, 5, 9, 14])
def test_a_spent_budget_ends_in_a_checked_result(budget):
    adata, model = cells(), as_mlp(network())
    how = ProjectedGradientDescent(0.8, steps=6, random_start=True, restarts=3)
    result = attack(how, adata, model, budget=budget)
    assert result.queries <= budget
    assert not result.complete
    assert result.verify(adata, model)


def test_it_is_stored_with_its_settings(tmp_path):
    adata, model = cells(), as_mlp(network())
    how = ProjectedGradientDescent(0.4, step=0.1, steps=5, random_start=True, genes=["g1", "g2"])
    assert eval(repr(how)) == how
    assert repr(ProjectedGradientDescent(0.1)) == "ProjectedGradientDescent(0.1)"
    result = attack(how, adata, model)
    result.save(tmp_path / "r.npz")
    loaded = Result.load(tmp_path / "r.npz")
    assert repr(loaded.attack) == repr(how).replace("['g1', 'g2']", "('g1', 'g2')")
    assert loaded.verify(adata, model)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ProjectedGradientDescent(-1), "epsilon must be a positive number"),
        (lambda: ProjectedGradientDescent(1, steps=0), "steps must be a whole number of at least 1, got 0"),
        (lambda: ProjectedGradientDescent(1, step=0.0), "step must be a positive number"),
        (lambda: ProjectedGradientDescent(1, restarts=3), "restarts=3 without random_start=True"),
    ],
)
def test_impossible_settings_are_refused(make, message):
    with pytest.raises(ParameterError, match=message):
        make()
