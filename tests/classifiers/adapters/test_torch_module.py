"""TorchModule: a wrapped network answers as the network does, and its scorer as full re-prediction does."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.classifiers.scorer_law import moved

from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers.adapters.torch_module import TorchModule, TorchScorer
from adverscarial.classifiers.families.mlp import MLP
from adverscarial.classifiers.scorers.general import GeneralScorer
from adverscarial.errors import ClassifierError, GeneMismatchError, ParameterError
from adverscarial.modifications.base import with_values

torch = pytest.importorskip("torch")
nn = torch.nn

GENES = 6
NAMES = [f"g{j}" for j in range(GENES)]
CLASSES = ["a", "b", "c"]


class Custom(nn.Module):
    """Not a chain: the scorer cannot know what happens first."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(GENES, 3)

    def forward(self, x):
        return self.linear(torch.sinh(x / 4))


def _chain(seed: int = 0) -> nn.Sequential:
    """Dropout and a nested chain first; batch normalisation with its own statistics above."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        inner = nn.Sequential(nn.Dropout(0.5), nn.Linear(GENES, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5))
        inner[2].running_mean.normal_()
        inner[2].running_var.uniform_(0.5, 2)
        with torch.no_grad():
            inner[1].weight[:, 0] = 0
        return nn.Sequential(nn.Identity(), inner, nn.Linear(8, 5), nn.Tanh(), nn.Linear(5, 3))


def _data(seed: int, cells: int, dtype: type = np.float32) -> AnnData:
    random = np.random.default_rng(seed)
    X = random.normal(size=(cells + 3, GENES + 1)).astype(dtype)
    var = pd.DataFrame(index=np.array([*NAMES, "other"])[random.permutation(GENES + 1)])
    obs = pd.DataFrame({"cluster": ["A"] * cells + ["B"] * 3}, index=[f"c{i}" for i in range(cells + 3)])
    return AnnData(X, obs=obs, var=var)


def _expected(module: nn.Module, X: np.ndarray) -> np.ndarray:
    """What the network says in evaluation mode, in float64."""
    with torch.no_grad():
        import copy

        return torch.softmax(copy.deepcopy(module).double().eval()(torch.tensor(X, dtype=torch.float64)), 1).numpy()


@pytest.mark.parametrize("module", [_chain(), Custom(), nn.Linear(GENES, 3)], ids=["chain", "custom", "linear"])
@pytest.mark.parametrize("batch_size", [4096, 3])
def test_scores_are_the_networks_own(module: nn.Module, batch_size: int) -> None:
    adata = _data(1, 20)
    model = TorchModule(module, classes=CLASSES, genes=NAMES, batch_size=batch_size)
    scores, expected = model.scores(adata), _expected(module, adata[:, NAMES].X)
    assert list(scores.columns) == CLASSES
    assert scores.to_numpy().dtype == np.float32
    np.testing.assert_allclose(scores, expected, rtol=1e-6, atol=1e-7)
    assert list(model.predict(adata)) == [CLASSES[k] for k in expected.argmax(axis=1)]
    np.testing.assert_allclose(
        np.exp(model.logits(adata[:, NAMES].X)).T / np.exp(model.logits(adata[:, NAMES].X)).sum(axis=1),
        expected.T,
        rtol=2e-6,
    )
    assert model.decide(np.empty((0, GENES), dtype=np.float32)).scores.shape == (0, 3)


def test_training_flags_are_put_back() -> None:
    module = _chain()
    module.train()
    module[1][2].eval()  # one frozen part
    before = [part.training for part in module.modules()]
    model = TorchModule(module, classes=CLASSES, genes=NAMES)
    adata = _data(1, 5)
    running = module[1][2].running_mean.clone()
    model.predict(adata)
    model.gradient(adata[:, NAMES].X, np.ones((8, 3)))
    model.scorer(Cluster(adata, "cluster", "A")).each(np.arange(3), np.ones((1, 3)))
    with pytest.raises(ClassifierError):
        model.decide(np.zeros((2, GENES + 1), dtype=np.float32))
    assert [part.training for part in module.modules()] == before
    assert torch.equal(running, module[1][2].running_mean)
    assert all(parameter.grad is None for parameter in module.parameters())


def _scorer_is_incremental(module: nn.Module) -> bool:
    model = TorchModule(module, classes=CLASSES, genes=NAMES)
    scorer = model.scorer(Cluster(_data(1, 5), "cluster", "A"))
    assert isinstance(scorer, TorchScorer | GeneralScorer)
    return scorer.incremental


def test_the_first_layer_is_used_only_where_it_is_one() -> None:
    assert _scorer_is_incremental(_chain())
    assert _scorer_is_incremental(nn.Linear(GENES, 3, bias=False))
    assert _scorer_is_incremental(nn.Sequential(nn.Dropout(), nn.Linear(GENES, 3).double()))
    assert not _scorer_is_incremental(Custom())
    assert not _scorer_is_incremental(nn.Sequential(nn.LayerNorm(GENES), nn.Linear(GENES, 3)))
    for place in ((), (1,), (1, 1)):  # a hook on the whole, on the inner chain, on the layer itself
        module = part = _chain()
        for i in place:
            part = part[i]
        part.register_forward_pre_hook(lambda module, values: (values[0] * 2,))
        assert not _scorer_is_incremental(module)
    replaced = _chain()
    replaced[1][1].forward = lambda values: torch.zeros(len(values), 8)
    assert not _scorer_is_incremental(replaced)


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["each", "together", "accept", "fork"]),
        st.integers(0, 2**32 - 1),
        st.sampled_from([0.1, 3.0, 1e3]),
        st.booleans(),
    ),
    max_size=5,
)


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    cells=st.sampled_from([1, 2, 9]),
    double=st.booleans(),
    kind_of_module=st.sampled_from(["chain", "custom", "linear"]),
    operations=OPERATIONS,
)
def test_scorer_answers_as_full_prediction_does(
    seed: int, cells: int, double: bool, kind_of_module: str, operations: list
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = {"chain": lambda: _chain(seed), "custom": Custom, "linear": lambda: nn.Linear(GENES, 3)}[
            kind_of_module
        ]()
    module = module.double() if double else module
    dtype = np.float64 if double else np.float32
    tolerance = 1e-9 if double else 1e-6
    model, adata = TorchModule(module, classes=CLASSES, genes=NAMES), _data(seed, cells, dtype)
    scorer = model.scorer(Cluster(adata, "cluster", "A"))
    rows = np.arange(cells)

    def full(changed: AnnData):
        return model.predict_cluster(changed, rows, "A", None, None)

    def clear(changed: AnnData) -> bool:
        """No cell stands between two classes within rounding."""
        ordered = np.sort(model.logits(changed[rows, NAMES].X), axis=1)
        return bool((ordered[:, -1] - ordered[:, -2] > 100 * tolerance * np.abs(ordered).max(axis=1)).all())

    def agree(answer, changed: AnnData) -> None:
        again = full(changed)
        if clear(changed):
            assert (answer.label, answer.share, list(answer.labels)) == (again.label, again.share, list(again.labels))
        size = np.abs(model.logits(changed[rows, NAMES].X)).max()  # a score's relative error is a logit's absolute one
        magnitude = max(1.0, float(size), float(np.abs(changed.X).max()))
        np.testing.assert_allclose(
            answer.scores, again.scores, rtol=1e-9 if double else 1e-6 * magnitude, atol=tolerance
        )

    agree(scorer.baseline, adata)
    for kind, draw, size, same in operations:
        random = np.random.default_rng(draw)
        chosen = random.permutation(GENES + 1)[: random.integers(0, GENES + 2)]
        values = random.normal(size=(1 if same else cells, len(chosen))) * (
            min(size, 3.0) if kind_of_module == "custom" else size
        )
        changed = with_values(adata, rows, chosen, values)
        if kind == "each":
            answers = scorer.each(chosen, values)
            for k in range(len(chosen)):
                alone = with_values(adata, rows, chosen[[k]], values[:, [k]])
                if clear(alone):
                    assert (answers.label[k], answers.share[k]) == (full(alone).label, full(alone).share)
        else:
            adata = moved(kind, scorer, chosen, values, now=adata, changed=changed, agree=agree)
        agree(scorer.baseline, adata)


@pytest.mark.parametrize("kind", ["chain", "custom"])
@pytest.mark.parametrize("batch_size", [4096, 7])
def test_gradient_is_that_of_finite_differences(kind: str, batch_size: int) -> None:
    module = (_chain() if kind == "chain" else Custom()).double()
    model = TorchModule(module, classes=CLASSES, genes=NAMES, batch_size=batch_size)
    random = np.random.default_rng(3)
    X, weights = random.normal(size=(20, GENES)), random.normal(size=(20, 3))
    gradient = model.gradient(X, weights)
    assert gradient.shape == X.shape
    close = []
    for j in range(GENES):
        step = np.zeros_like(X)
        step[:, j] = 1e-6
        difference = ((model.logits(X + step) - model.logits(X - step)) * weights).sum(axis=1) / 2e-6
        close.append(np.isclose(gradient[:, j], difference, rtol=1e-5, atol=1e-7))
    assert np.mean(close) > 0.98  # a cell may stand on a kink of a ReLU
    single = TorchModule(_chain() if kind == "chain" else Custom(), classes=CLASSES, genes=NAMES)
    assert single.gradient(X.astype(np.float32), weights).dtype == np.float32
    with pytest.raises(ParameterError, match="expected"):
        model.gradient(X, weights[:, :2])


def test_a_network_of_scores_is_taken_as_it_is() -> None:
    chain = _chain()
    X = _data(1, 20)[:, NAMES].X
    plain = TorchModule(chain, classes=CLASSES, genes=NAMES)
    scored = TorchModule(nn.Sequential(chain, nn.Softmax(dim=1)), classes=CLASSES, genes=NAMES, logits=False)
    np.testing.assert_allclose(scored.decide(X).scores, plain.decide(X).scores, rtol=2e-6)
    weights = np.array([[1.0, -1.0, 0.0]] * len(X))  # weights that add up to 0: log-probabilities differ by a constant
    np.testing.assert_allclose(scored.gradient(X, weights), plain.gradient(X, weights), rtol=1e-4, atol=1e-6)
    difference = scored.logits(X) - plain.logits(X)
    np.testing.assert_allclose(difference, difference[:, :1].repeat(3, axis=1), atol=2e-6)


def test_first_maximum_wins_a_tie() -> None:
    module = nn.Linear(GENES, 3)
    nn.init.zeros_(module.weight)
    nn.init.zeros_(module.bias)
    model = TorchModule(module, classes=["z", "b", "c"], genes=NAMES)
    assert set(model.predict(_data(1, 5))) == {"z"}
    scorer = model.scorer(Cluster(_data(1, 5), "cluster", "A"))
    assert scorer.baseline.label == "z"
    assert not scorer.reads(np.arange(GENES + 1)).any()


def test_half_precision_networks_work() -> None:
    adata = _data(1, 20)
    exact = TorchModule(_chain(), classes=CLASSES, genes=NAMES).scores(adata)
    rough = TorchModule(_chain().to(torch.bfloat16), classes=CLASSES, genes=NAMES)
    np.testing.assert_allclose(rough.scores(adata), exact, atol=0.05)
    assert rough.scorer(Cluster(adata, "cluster", "A")).baseline.scores.dtype == np.float32


class Says(nn.Module):
    def __init__(self, answer) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, x):
        return self.answer(x)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda x: x[:, :2], r"shape \(8, 2\), expected \(8, 3\)"),
        (lambda x: x[:, 0], r"shape \(8,\), expected"),
        (lambda x: (x[:, :3], None), "returned a tuple"),
        (lambda x: x[:, :3] * float("nan"), "NaN or infinite"),
        (lambda x: x[:, :3] / 0, "NaN or infinite"),
        (lambda x: x @ x, "failed on an input of shape"),
    ],
)
def test_nonsense_from_the_network_is_an_error(answer, message: str) -> None:
    model = TorchModule(Says(answer), classes=CLASSES, genes=NAMES)
    with pytest.raises(ClassifierError, match=message):
        model.predict(_data(1, 5))


def test_a_network_without_gradient_says_so() -> None:
    model = TorchModule(Says(lambda x: x[:, :3].detach()), classes=CLASSES, genes=NAMES)
    with pytest.raises(ClassifierError, match="no gradient"):
        model.gradient(np.zeros((2, GENES), dtype=np.float32), np.ones((2, 3)))


def test_wrong_settings_and_genes_are_refused() -> None:
    with pytest.raises(ParameterError, match=r"torch\.nn\.Module"):
        TorchModule(lambda x: x, classes=CLASSES)
    with pytest.raises(ParameterError, match="different classes"):
        TorchModule(_chain(), classes=["a", "a", "b"])
    with pytest.raises(ParameterError, match="batch_size"):
        TorchModule(_chain(), classes=CLASSES, batch_size=0)
    with pytest.raises(GeneMismatchError):
        TorchModule(_chain(), classes=CLASSES, genes=[*NAMES[:-1], "absent"]).predict(_data(1, 5))
    with pytest.raises(ClassifierError, match="reads 6 genes"):
        TorchModule(_chain(), classes=CLASSES).scorer(Cluster(_data(1, 5), "cluster", "A"))


def test_without_gene_names_the_datas_order_counts() -> None:
    adata = _data(1, 5)[:, NAMES].copy()
    named, unnamed = (TorchModule(_chain(), classes=CLASSES, genes=genes) for genes in (NAMES, None))
    np.testing.assert_array_equal(named.scores(adata), unnamed.scores(adata))
    cluster = Cluster(adata, "cluster", "A")
    values = np.full((1, GENES), 2.0)
    assert (
        named.scorer(cluster).each(np.arange(GENES), values).share
        == unnamed.scorer(cluster).each(np.arange(GENES), values).share
    ).all()
    assert repr(unnamed) == "TorchModule(Sequential, classes=['a', 'b', 'c'], logits=True)"
    with pytest.raises(ClassifierError, match="cannot be stored"):
        unnamed.save("nowhere")


@pytest.mark.slow
def test_prediction_with_numpy_weights_needs_no_torch(tmp_path: Path) -> None:
    """In a process where torch cannot be imported, as on a machine without it."""
    random = np.random.default_rng(1)
    arrays = {
        "W1": random.normal(size=(GENES, 4)),
        "b1": np.zeros(4),
        "W2": random.normal(size=(4, 3)),
        "b2": np.ones(3),
    }
    model, adata = MLP.from_weights(arrays, CLASSES, NAMES), _data(3, 5)
    model.save(tmp_path / "model.npz")
    adata.write_h5ad(tmp_path / "data.h5ad")
    code = """
import sys
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ImportError("torch is blocked")
sys.meta_path.insert(0, NoTorch())
import anndata
from adverscarial import _store
from adverscarial.classifiers.families.mlp import MLP
from adverscarial.classifiers.adapters.torch_module import TorchModule
from adverscarial.cells.cluster import Cluster
from adverscarial.errors import MissingDependencyError
model = MLP.from_state(*_store.load("model.npz", "classifier"))
adata = anndata.read_h5ad("data.h5ad")
print(",".join(model.predict(adata)))
print(model.scorer(Cluster(adata, "cluster", "A")).baseline.label)
for call in (lambda: MLP().fit(adata, "cluster"), lambda: TorchModule(None, classes=["a", "b"])):
    try:
        call()
    except MissingDependencyError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    labels, baseline, *errors = done.stdout.splitlines()
    assert labels.split(",") == list(model.predict(adata))
    assert baseline == model.scorer(Cluster(adata, "cluster", "A")).baseline.label
    assert len(errors) == 2
    assert all("pip install 'adverscarial[torch]'" in error for error in errors)
