"""MLP against Keras (goldens), against a second implementation, and its scorer against full re-prediction."""

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.classifiers.scorer_law import moved

import needs
from adverscarial.attacks import MaxChange, kept
from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers.answers import vote
from adverscarial.classifiers.families.mlp import MLP, MLPScorer
from adverscarial.classifiers.families.mlp_trainer import Trainer
from adverscarial.classifiers.scorers import linear_sums
from adverscarial.errors import ClassifierError, GeneMismatchError, ParameterError
from adverscarial.modifications.base import with_values
from adverscarial.surveys.timeouts import Timed

FOLDER = Path("golden/classifiers/pbmc68k_a")
NAMES = ["W1", "b1", "W2", "b2", "W3", "b3"]
KERAS = 4e-7  # float32 level, as the goldens' README says


def _forward(model: MLP, X: np.ndarray) -> np.ndarray:
    """Second implementation, cell by cell: probabilities."""
    out = []
    for cell in X.astype(np.float64):
        for W, b in model.layers[:-1]:
            cell = np.array([max(0.0, float(np.dot(cell, W[:, i]) + b[i])) for i in range(len(b))])
        W, b = model.layers[-1]
        z = cell @ W + b
        e = np.exp(z - z.max())
        out.append(e / e.sum())
    return np.array(out)


def _network(seed: int, genes: int, hidden: tuple[int, ...] = (7, 5), classes: int = 3, **kwargs) -> MLP:
    random = np.random.default_rng(seed)
    sizes = (genes, *hidden, classes)
    arrays = {}
    for i, (a, b) in enumerate(itertools.pairwise(sizes), 1):
        arrays[f"W{i}"], arrays[f"b{i}"] = random.normal(size=(a, b)) / np.sqrt(a), random.normal(size=b) / 2
    arrays["W1"][0] = 0  # a gene that is read and does nothing
    return MLP.from_weights(arrays, [f"type{k}" for k in range(classes)], [f"g{j}" for j in range(genes)], **kwargs)


def _data(seed: int, cells: int, genes: int, dtype: type = np.float64) -> AnnData:
    """`cells` cells of cluster A, three of B; two genes that the network does not know; columns shuffled."""
    random = np.random.default_rng(seed)
    X = np.where(random.random((cells + 3, genes + 2)) < 0.4, -0.25, random.normal(size=(cells + 3, genes + 2)))
    order = random.permutation(genes + 2)
    var = pd.DataFrame(index=np.array([*(f"g{j}" for j in range(genes)), "other1", "other2"])[order])
    obs = pd.DataFrame({"cluster": ["A"] * cells + ["B"] * 3}, index=[f"c{i}" for i in range(cells + 3)])
    return AnnData(X.astype(dtype), obs=obs, var=var)


# --- goldens -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict:
    folder = shared / FOLDER
    meta = json.loads((folder / "scmlp/meta.json").read_text())
    genes = (folder / "genes.txt").read_text().split()
    labels = {
        name: pd.read_csv(folder / f"cells_{name}.tsv", sep="\t", index_col=0)["label"] for name in ("test", "train")
    }
    scaled = {name: pd.read_csv(folder / f"scaled_{name}.csv.gz", index_col=0) for name in ("test", "train")}
    weights = {name: dict(np.load(folder / f"scmlp/weights_{name}.npz")) for name in ("init", "adam3", "trained")}
    test = AnnData(
        scaled["test"].to_numpy(), obs=labels["test"].to_frame(), var=pd.DataFrame(index=scaled["test"].columns)
    )
    model = MLP.from_weights(weights["trained"], meta["classes"], genes)
    return {
        "folder": folder,
        "meta": meta,
        "labels": labels,
        "scaled": scaled,
        "weights": weights,
        "test": test,
        "model": model,
    }


@pytest.mark.parametrize("float32", [False, True])
def test_probabilities_are_those_of_keras(golden: dict, float32: bool) -> None:
    model = MLP.from_weights(
        golden["weights"]["trained"], golden["meta"]["classes"], golden["model"].genes, float32_output=float32
    )
    expected = pd.read_csv(golden["folder"] / "scmlp/probabilities.csv.gz", index_col=0)
    scores = model.scores(golden["test"])
    assert list(scores.columns) == list(expected.columns)
    assert scores.to_numpy().dtype == (np.float32 if float32 else np.float64)
    np.testing.assert_allclose(scores, expected.loc[scores.index], rtol=0, atol=KERAS)
    labels = pd.read_csv(golden["folder"] / "scmlp/cell_labels.tsv", sep="\t", index_col=0)["cell_type"]
    assert (model.predict(golden["test"]) == labels.loc[scores.index]).all()


@needs.torch
def test_three_adam_steps_are_those_of_keras(golden: dict) -> None:
    """Every weight to 4e-7, but for what float32 rounding of a gradient near 0 does to it.

    The first steps divide the gradient by ``|gradient| + epsilon / sqrt(1 - 0.999)``, epsilon 1e-7: rounding noise is
    enlarged by up to ``learning rate * sqrt(1 - 0.999) / 1e-7`` = 316. It is noticed where the gradient is below 3e-6
    only (7 of 106,824 weights), and the bound below allows no more than that.
    """
    import torch

    meta, weights = golden["meta"], golden["weights"]
    rows = meta["train_row_order"][:32]
    X = golden["scaled"]["train"].loc[rows].to_numpy(np.float32)
    codes = np.searchsorted(meta["classes"], golden["labels"]["train"].loc[rows].to_numpy(dtype=str))
    trainer = Trainer([weights["init"][name] for name in NAMES], 1e-3, 0.0, torch.Generator())

    first = {name: torch.tensor(weights["init"][name], dtype=torch.float64, requires_grad=True) for name in NAMES}
    inside = torch.tensor(X, dtype=torch.float64) @ first["W1"] + first["b1"]
    inside.retain_grad()
    upper = torch.relu(torch.relu(inside) @ first["W2"] + first["b2"]) @ first["W3"] + first["b3"]
    torch.nn.functional.cross_entropy(upper, torch.tensor(codes)).backward()
    noise = np.abs(X).T @ np.abs(inside.grad.numpy()) * 2.0**-24

    losses = [trainer.step(X, codes)[0] for _ in range(3)]
    np.testing.assert_allclose(losses, meta["adam3_losses"], rtol=0, atol=KERAS)
    for name, tensor in zip(NAMES, trainer.tensors, strict=True):
        apart = np.abs(tensor.detach().numpy() - weights["adam3"][name])
        assert np.abs(weights["adam3"][name] - weights["init"][name]).max() > 1e-3
        assert np.median(apart) <= 1e-9
        if name == "W1":
            clear = np.abs(first["W1"].grad.numpy()) > 3e-6
            assert apart[clear].max() <= KERAS
            assert clear.mean() > 0.98
            assert (apart <= KERAS + 3 * 316 * noise)[~clear].all()
        else:
            assert apart.max() <= KERAS


def test_modified_clusters_are_those_of_keras(golden: dict) -> None:
    test, model = golden["test"], golden["model"]
    expected = pd.read_csv(golden["folder"] / "modifications/expected.tsv", sep="\t").set_index(["classifier", "case"])
    scored = 0
    for case in json.loads((golden["folder"] / "modifications/cases.json").read_text()):
        cluster = Cluster(test, "label", case["cluster"])
        genes = cluster.positions(case["genes"])
        inside, p1, p2 = cluster.X[:, genes], case["p1"], case["p2"]
        if case["kind"] == "quantile":
            values = np.quantile(test.X[:, genes], p1, axis=0, keepdims=True)
        elif case["kind"] == "max_times":
            values = p1 * test.X[:, genes].max(axis=0, keepdims=True)
        else:
            values = np.where(inside > 0, inside * (1 + p1), inside * (1 - p1)) + p2
        answer = MLPScorer(model, cluster).together(genes, values)
        row = expected.loc[("scMLP", case["case"])]
        names, counts = np.unique(answer.labels, return_counts=True)
        votes = dict(pair.rsplit(":", 1) for pair in row["votes"].split("|"))
        assert answer.label == row["prediction"], case
        assert dict(zip(names, counts.astype(str), strict=True)) == votes, case
        file = golden["folder"] / f"modifications/{case['case']}_scmlp.csv.gz"
        if file.exists():
            scores = pd.read_csv(file, index_col=0)
            np.testing.assert_allclose(answer.scores, scores.loc[cluster.cells], rtol=0, atol=KERAS, err_msg=str(case))
            scored += 1
        if len(genes) == 1:
            alone = MLPScorer(model, cluster).each(genes, values)
            assert (alone.label[0], alone.share[0]) == (answer.label, answer.share)
    assert scored == 20


# --- prediction --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", [(4,), (7, 5), (6, 5, 4)])
def test_a_second_implementation_agrees(hidden: tuple[int, ...]) -> None:
    model = _network(1, 9, hidden)
    X = np.random.default_rng(2).normal(size=(300, 9))
    decision = model.decide(X)
    np.testing.assert_allclose(decision.scores, _forward(model, X), rtol=1e-12)
    assert list(decision.labels) == [f"type{k}" for k in _forward(model, X).argmax(axis=1)]


def test_genes_are_found_by_name() -> None:
    model, adata = _network(1, 6), _data(3, 5, 6)
    X = adata[:, list(model.genes)].X
    np.testing.assert_allclose(model.scores(adata), _forward(model, X), rtol=1e-12)
    with pytest.raises(GeneMismatchError, match="5 of them"):
        model.predict(adata[:, [name for name in adata.var_names if name != "g2"]].copy())


def test_float32_output_ties_go_to_the_first_class() -> None:
    arrays = {"W1": np.ones((1, 1)), "b1": np.zeros(1), "W2": np.array([[1.0, 1.0]]), "b2": np.array([0.0, 1e-9])}
    X = np.array([[1.0]])
    assert MLP.from_weights(arrays, ["a", "b"], ["g"]).decide(X).labels[0] == "b"
    decision = MLP.from_weights(arrays, ["a", "b"], ["g"], float32_output=True).decide(X)
    assert decision.labels[0] == "a"
    assert decision.scores.tolist() == [[0.5, 0.5]]


@needs.torch
@pytest.mark.parametrize("hidden", [(5,), (7, 5), (6, 5, 4)])
def test_gradient_is_exact(hidden: tuple[int, ...]) -> None:
    import torch

    model, random = _network(4, 6, hidden), np.random.default_rng(5)
    X, weights = random.normal(size=(270, 6)), random.normal(size=(270, 3))
    gradient = model.gradient(X, weights)

    step = np.zeros_like(X)
    step[:, 3] = 1e-6
    difference = ((model.logits(X + step) - model.logits(X - step)) * weights).sum(axis=1) / 2e-6
    close = np.isclose(gradient[:, 3], difference, rtol=1e-5, atol=1e-7)
    assert close.mean() > 0.99  # a cell may stand on a kink of a ReLU

    values = torch.tensor(X, requires_grad=True)
    inside = values
    for W, b in model.layers[:-1]:
        inside = torch.relu(inside @ torch.tensor(W) + torch.tensor(b))
    logits = inside @ torch.tensor(model.layers[-1][0]) + torch.tensor(model.layers[-1][1])
    (logits * torch.tensor(weights)).sum().backward()
    np.testing.assert_allclose(gradient, values.grad.numpy(), rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(model.logits(X), logits.detach().numpy(), rtol=1e-10, atol=1e-12)
    with pytest.raises(ParameterError, match="expected"):
        model.gradient(X, weights[:5])


# --- scorer ------------------------------------------------------------------------------------------------------

OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["each", "together", "accept", "fork"]),
        st.integers(0, 2**32 - 1),
        st.sampled_from([0.1, 3.0, 1e3, 1e9]),
        st.booleans(),
    ),
    max_size=6,
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    cells=st.sampled_from([1, 2, 13]),
    hidden=st.sampled_from([(4,), (7, 5), (6, 5, 4)]),
    dtype=st.sampled_from([np.float64, np.float32]),
    operations=OPERATIONS,
    skip=st.booleans(),
)
def test_scorer_answers_as_full_prediction_does(
    seed: int, cells: int, hidden: tuple[int, ...], dtype: type, operations: list, skip: bool
) -> None:
    genes = 6
    model, adata = _network(seed, genes, hidden), _data(seed, cells, genes, dtype)
    scorer = MLPScorer(model, Cluster(adata, "cluster", "A"), skip=skip)
    rows = np.arange(cells)

    def agree(answer, changed: AnnData) -> None:
        full = model.predict_cluster(changed, rows, "A", None, None)
        reference = _forward(model, changed[rows, list(model.genes)].X)
        assert (answer.label, answer.share, list(answer.labels)) == (full.label, full.share, list(full.labels))
        np.testing.assert_allclose(answer.scores, reference, rtol=1e-9, atol=1e-300)

    agree(scorer.baseline, adata)
    for kind, draw, size, same in operations:
        random = np.random.default_rng(draw)
        chosen = random.permutation(genes + 2)[: random.integers(0, genes + 3)]
        values = random.normal(size=(1 if same else cells, len(chosen))) * size
        changed = with_values(adata, rows, chosen, values)
        if kind == "each":
            answers = scorer.each(chosen, values)
            for k in range(len(chosen)):
                full = model.predict_cluster(
                    with_values(adata, rows, chosen[[k]], values[:, [k]]), rows, "A", None, None
                )
                assert (answers.label[k], answers.share[k], answers.rejected[k]) == (full.label, full.share, False)
        else:
            adata = moved(kind, scorer, chosen, values, now=adata, changed=changed, agree=agree)
        agree(scorer.baseline, adata)


@pytest.mark.parametrize("huge", [19, 1])
def test_huge_values_are_taken_back_one_by_one_as_full_prediction_says(
    huge: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a value that outweighs all others costs the sum of all genes: after an aberrant change of all, none does."""
    model, adata = _network(5, 20), _data(5, 12, 20)
    cluster = Cluster(adata, "cluster", "A")
    genes = cluster.positions([f"g{j}" for j in range(1, 20)])
    scorer, summed = MLPScorer(model, cluster), []
    new = np.random.default_rng(0).normal(size=(12, huge)) * 1e6
    scorer.accept(genes[:huge], new)
    changed = with_values(adata, cluster.rows, genes[:huge], new)
    original = MLPScorer._sums
    monkeypatch.setattr(MLPScorer, "_sums", lambda self, without: summed.append(1) or original(self, without))
    old = cluster.values(genes[:huge])
    answers = scorer.each(genes[:huge], old)
    assert len(summed) == (1 if huge == 1 else 0)
    for k in range(huge):
        back = with_values(changed, cluster.rows, genes[[k]], old[:, [k]])
        labels = model.predict(back).to_numpy()[cluster.rows]
        assert (answers.label[k], answers.share[k]) == vote(labels)[:2]


def test_reads_leaves_out_what_cannot_matter() -> None:
    model, adata = _network(1, 6), _data(3, 5, 6)
    scorer = MLPScorer(model, Cluster(adata, "cluster", "A"))
    read = dict(zip(adata.var_names, scorer.reads(np.arange(8)), strict=True))
    assert {name for name, yes in read.items() if not yes} == {"g0", "other1", "other2"}
    assert len(scorer.each(np.empty(0, dtype=int), np.empty((1, 0))).label) == 0


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), size=st.sampled_from([0.01, 0.1, 1.0, 10.0]), float32=st.booleans())
def test_proofs_change_no_answer(seed: int, size: float, float32: bool) -> None:
    model, adata = _network(seed, 30, (16, 8), 4, float32_output=float32), _data(seed, 20, 30)
    cluster = Cluster(adata, "cluster", "A")
    genes = np.arange(adata.n_vars)
    values = cluster.X + np.random.default_rng(seed).normal(size=cluster.X.shape) * size
    on, off = (MLPScorer(model, cluster, skip=skip) for skip in (True, False))
    for _ in range(2):
        with_proofs, without = on.each(genes, values), off.each(genes, values)
        assert (with_proofs.label == without.label).all()
        assert (with_proofs.share == without.share).all()
        for scorer in (on, off):
            scorer.accept(genes[:5], values[:, :5])
    if size == 0.01:
        proven = on._unmoved(values[:, genes] - cluster.X, on._row)
        assert proven.mean() > 0.5


@pytest.mark.parametrize("value", [1.0, 1e5, None])
def test_cells_are_counted_some_at_a_time(value: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(_data(2, 60, 30), "cluster", "A")
    genes = np.arange(len(cluster.genes))
    new = 2 * cluster.X[::-1] if value is None else np.full((1, len(genes)), value)
    found = []
    for at_a_time in (1024, 4):
        monkeypatch.setattr(linear_sums, "_CELLS", at_a_time)
        found.append(MLPScorer(_network(2, 30, (16, 8), 4), cluster).each(genes, new))
    np.testing.assert_array_equal(found[0].label, found[1].label)
    np.testing.assert_array_equal(found[0].share, found[1].share)
    assert (found[0].share != found[0].share[-1]).any()


def test_two_layers_together_stretch_less_than_one_after_the_other() -> None:
    model, adata = _network(0, 30, (16, 8), 4), _data(0, 20, 30)
    (_, _), (W, _), (last, _) = model.layers
    apart = np.linalg.norm(last[:, :, None] - last[:, None, :], axis=0)
    others = ~np.eye(4, dtype=bool)
    growth = MLPScorer(model, Cluster(adata, "cluster", "A"))._growth
    assert (growth < np.linalg.norm(W, 2) * apart)[others].all()
    steps = np.random.default_rng(0).normal(size=(2000, 16))  # of what the first ReLU hands on, from any point
    before = np.random.default_rng(1).normal(size=(2000, 16))
    logits = [np.maximum(z @ W + model.layers[1][1], 0) @ last for z in (before, before + steps)]
    moved = logits[1] - logits[0]
    length = np.linalg.norm(steps, axis=1)[:, None, None]
    assert (np.abs(moved[:, :, None] - moved[:, None, :]) <= growth * length + 1e-9).all()


@pytest.mark.parametrize("float32", [True, False])
@pytest.mark.parametrize("value", [1e6, -1e6, 300.0, -300.0, 20.0])
@pytest.mark.parametrize("seed", range(3))
def test_cells_that_one_value_makes_alike_are_answered_as_each_alone(seed: int, value: float, float32: bool) -> None:
    model, adata = _network(seed, 30, (16, 8), 4, float32_output=float32), _data(seed, 20, 30)
    cluster, genes = Cluster(adata, "cluster", "A"), np.arange(adata.n_vars)
    values = np.full((len(cluster.rows), len(genes)), value)
    on, off = (MLPScorer(model, cluster, skip=skip) for skip in (True, False))
    for changed in (genes[:0], genes[:1], genes[:12]):
        for scorer in (on, off):
            scorer.accept(changed, values[:, changed])
        for new in (values, cluster.X):  # also back from the value, which then outweighs the rest no more
            with_proofs, without = on.each(genes, new), off.each(genes, new)
            assert (with_proofs.label == without.label).all()
            assert (with_proofs.share == without.share).all()
    if abs(value) == 1e6:
        fresh = MLPScorer(model, cluster)
        alike = fresh._alike(values - cluster.X, fresh._row)
        assert (alike >= 0).mean() > 0.9
        assert (off._alike(values - cluster.X, off._row) == -1).all()


@pytest.mark.parametrize("seed", range(4))
def test_nothing_that_can_be_proven_of_cells_that_are_alike_is_left_untried(seed: int) -> None:
    """Steps from far too small to large enough, before and after a change for good."""
    model, adata = _network(seed, 12), _data(seed, 9, 12)
    scorer = MLPScorer(model, Cluster(adata, "cluster", "A"))
    rows = scorer._row[scorer._row >= 0]
    tried = 0
    for accepted in (None, 40.0):
        if accepted is not None:
            scorer.accept(np.flatnonzero(scorer._row >= 0)[:2], np.full((1, 2), accepted))
        middle = scorer._A.mean(axis=0)
        apart = np.linalg.norm(scorer._A - middle, axis=1).max()
        for step in (0.0, 0.1, 1.0, 5.0, 30.0, 1e3, -1e3):
            changes = step + np.random.default_rng(seed).normal(0, 0.1, (9, len(rows)))
            low, high = changes.min(axis=0), changes.max(axis=0)
            sums = middle + ((low + high) / 2)[:, None] * scorer._W[rows]
            codes = np.argmax(model.upper(sums), axis=1)
            proven = scorer._radii(sums, codes) > 1.000001 * (apart + (high - low) / 2 * scorer._size[rows])
            assert scorer._alike(changes, rows).tolist() == np.where(proven, codes, -1).tolist()
            tried += proven.sum()
    assert tried


@pytest.mark.parametrize("last", [np.array([[1.0, 0.0]]), np.array([[0.0, -3.0]]), np.array([[2.0, -1.0]])])
def test_proof_holds_where_the_bound_is_tight(last: np.ndarray) -> None:
    """One unit per layer: no change is smaller than the bound says, so a hair above the radius flips the cell."""
    arrays = {"W1": np.array([[-0.5]]), "b1": np.array([4.0]), "W2": np.array([[3.0]]), "b2": np.zeros(1)}
    slope = last[0, 0] - last[0, 1]
    model = MLP.from_weights(arrays | {"W3": last, "b3": np.array([0.0, slope])}, ["a", "b"], ["g"])
    adata = AnnData(
        np.array([[1.0], [0.0]]),
        obs=pd.DataFrame({"cluster": ["A", "B"]}, index=["1", "2"]),
        var=pd.DataFrame(index=["g"]),
    )
    scorer = MLPScorer(model, Cluster(adata, "cluster", "A"))
    edge = (4.0 - 1 / 3) / 0.5 - 1.0  # a change of this size makes both logits equal
    slack = 1e-5
    for change, label, proven in ((edge * (1 - slack), "a", True), (edge * (1 + slack), "b", False)):
        answer = scorer.each(np.array([0]), np.array([[1.0 + change]]))
        assert answer.label[0] == label == model.decide(np.array([[1.0 + change]])).labels[0]
        if abs(abs(slope) - np.linalg.norm(last[:, 0] - last[:, 1])) < 1e-12:
            assert scorer._unmoved(np.array([[change]]), np.array([0]))[0, 0] == proven


def test_overflow_is_an_error_not_an_answer() -> None:
    arrays = {"W1": np.full((1, 2), 10.0), "b1": np.zeros(2), "W2": np.eye(2), "b2": np.zeros(2)}
    model = MLP.from_weights(arrays, ["a", "b"], ["g0"])
    scorer = MLPScorer(model, Cluster(_data(3, 5, 1), "cluster", "A"))
    huge = np.full((1, 3), 1e308)
    for ask in (scorer.together, scorer.each):
        with np.errstate(over="ignore"), pytest.raises(ClassifierError, match="not finite"):
            ask(np.arange(3), huge)
    with np.errstate(over="ignore"), pytest.raises(ClassifierError, match="not finite"):
        model.decide(huge[:, :1])


@pytest.mark.parametrize("value", [1e5, -1e5, 300.0, 3.0])
@pytest.mark.parametrize("seed", range(3))
def test_what_is_proven_of_cells_that_are_alike_is_what_each_cell_gets(seed: int, value: float) -> None:
    """Sets of genes, and each gene alone, on top of what was changed; also where the point was not taken anew."""
    model, adata = _network(seed, 30, (16, 8), 4), _data(seed, 20, 30)
    cluster, random = Cluster(adata, "cluster", "A"), np.random.default_rng(seed)
    scorer = MLPScorer(model, cluster)
    genes = np.flatnonzero(scorer.reads(np.arange(adata.n_vars)))
    values = np.full((1, adata.n_vars), value)
    alike = scorer.alike(genes, values[:, genes])
    assert MLPScorer(model, cluster, skip=False).alike(genes, values[:, genes]) is None
    proven, order = [], random.permutation(genes)
    for start in range(0, len(order) - 8, 4):
        step, left = order[start : start + 4], order[start + 4 :]
        scorer.accept(step, values[:, step])
        alike.accept(step)
        if start % 8 == 0:
            scorer.centre(alike)
        for group in (left[:1], left[::3], left):
            proven.append(alike.code(group))
            answer = scorer.together(group, values[:, group])
            assert proven[-1] < 0 or set(answer.labels) == {alike.labels[proven[-1]]}
        assert alike.codes(left).tolist() == [alike.code(left[[k]]) for k in range(len(left))]
    assert np.mean(np.array(proven) >= 0) > (0.9 if abs(value) == 1e5 else -1)


def test_a_limit_on_the_time_of_queries_takes_no_proof_away() -> None:
    model, adata = _network(0, 30, (16, 8), 4), _data(0, 20, 30)
    scorer, genes = MLPScorer(model, Cluster(adata, "cluster", "A")), np.arange(adata.n_vars)
    values = np.full((1, adata.n_vars), 1e5)
    timed = Timed(scorer, clock=None)  # no query is asked
    assert timed.alike(genes, values).codes(genes).tolist() == scorer.alike(genes, values).codes(genes).tolist()


def test_nothing_is_proven_of_sums_that_are_no_numbers() -> None:
    model, adata = _network(0, 30, (16, 8), 4), _data(0, 20, 30)
    scorer, genes = MLPScorer(model, Cluster(adata, "cluster", "A")), np.array([3, 4])
    for huge in (1e308, np.inf):
        alike = scorer.alike(genes, np.full((1, 2), huge))
        assert alike.code(genes) == -1
        assert alike.codes(genes).tolist() == [-1, -1]


@pytest.mark.parametrize("change", ["negative_aberrant", "positive_aberrant", "perc99"])
def test_a_signature_is_the_same_without_proofs_for_all_cells_at_once(
    change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, adata = _network(2, 120, (16, 8), 4), _data(2, 20, 120)
    attack, asked = MaxChange(change, restarts=3), {"groupby": "cluster", "target": "A"}
    monkeypatch.setattr(kept, "_MANY", 1)
    found = attack(adata, model, **asked)
    assert found.verify(adata, model)
    monkeypatch.setattr(MLPScorer, "alike", lambda self, genes, values: None)
    without = attack(adata, model, **asked)
    assert found.signature == without.signature
    assert (found.label, found.share, found.lower) == (without.label, without.share, without.lower)
    assert (found.queries, found.cells_rescored) == (without.queries, without.cells_rescored)
