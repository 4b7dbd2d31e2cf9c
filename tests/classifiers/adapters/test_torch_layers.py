"""What proofs take from torch chains: the real network's outputs and labels, with any genes changed."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers.adapters.torch_module import TorchModule

torch = pytest.importorskip("torch")
nn = torch.nn

GENES = 6
NAMES = [f"g{j}" for j in range(GENES)]
CLASSES = ["a", "b", "c"]


def norm(units: int, **settings: bool) -> nn.BatchNorm1d:
    """Return batch normalisation with statistics of its own, far from 0 and 1."""
    made = nn.BatchNorm1d(units, **settings)
    with torch.no_grad():
        for numbers in (made.running_mean, made.weight, made.bias):
            if numbers is not None:
                numbers.normal_(1.0, 2.0)
        if made.running_var is not None:
            made.running_var.uniform_(0.1, 3.0)
    return made


def linear(inputs: int, units: int, **settings: bool) -> nn.Linear:
    return nn.Linear(inputs, units, **settings)


#: chain, and whether its outputs are logits
SUPPORTED: dict[str, tuple[Callable[[], list[nn.Module]], bool]] = {
    "linear": (lambda: [linear(GENES, 3)], True),
    "linear without bias": (lambda: [nn.Dropout(0.5), nn.Identity(), linear(GENES, 3, bias=False)], True),
    "linear, log softmax": (lambda: [linear(GENES, 3), nn.LogSoftmax(dim=1)], True),
    "linear, softmax": (lambda: [linear(GENES, 3), nn.Softmax(dim=-1)], False),
    "linear, scores": (lambda: [linear(GENES, 3)], False),
    "linear, norm": (lambda: [linear(GENES, 3), norm(3), norm(3)], True),
    "log softmax": (lambda: [linear(GENES, 5), nn.ReLU(), linear(5, 3), nn.LogSoftmax(dim=-1)], False),
    "softmax": (lambda: [linear(GENES, 5), nn.ReLU(), linear(5, 3), nn.Softmax(dim=1), nn.Identity()], False),
    "norm, ReLU": (lambda: [linear(GENES, 5), norm(5), nn.ReLU(), nn.Dropout(), linear(5, 3), norm(3)], True),
    "ReLU, norm": (lambda: [linear(GENES, 5, bias=False), nn.ReLU(), norm(5), nn.Dropout(), linear(5, 3)], True),
    "no affine": (lambda: [linear(GENES, 5), norm(5, affine=False), nn.ReLU(), linear(5, 3)], True),
    "deep": (
        lambda: [
            nn.Sequential(linear(GENES, 8), norm(8), nn.ReLU(), norm(8)),
            nn.Sequential(linear(8, 4), norm(4), norm(4), nn.ReLU()),
            linear(4, 3),
            nn.LogSoftmax(dim=1),
        ],
        True,
    ),
}
UNSUPPORTED: dict[str, tuple[Callable[[], list[nn.Module]], bool]] = {
    "norm first": (lambda: [norm(GENES), linear(GENES, 3)], True),
    "norm by the batch": (lambda: [linear(GENES, 3), norm(3, track_running_stats=False)], True),
    "two norms between": (lambda: [linear(GENES, 4), nn.ReLU(), norm(4), norm(4), linear(4, 3)], True),
    "softmax over cells": (lambda: [linear(GENES, 3), nn.Softmax(dim=0)], False),
    "softmax of a softmax": (lambda: [linear(GENES, 3), nn.Softmax(dim=1)], True),
    "softmax inside": (lambda: [linear(GENES, 4), nn.Softmax(dim=1), linear(4, 3)], True),
    "ends in ReLU": (lambda: [linear(GENES, 3), nn.ReLU()], True),
    "tanh": (lambda: [linear(GENES, 4), nn.Tanh(), linear(4, 3)], True),
    "two linear": (lambda: [linear(GENES, 4), linear(4, 3)], True),
    "layer norm": (lambda: [linear(GENES, 4), nn.LayerNorm(4), nn.ReLU(), linear(4, 3)], True),
    "half": (lambda: [linear(GENES, 3).to(torch.bfloat16)], True),
    "half inside": (lambda: [linear(GENES, 4), nn.ReLU(), linear(4, 3)], True),
}


def model_of(chain: tuple[Callable[[], list[nn.Module]], bool], seed: int) -> TorchModule:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = nn.Sequential(*chain[0]())
    return TorchModule(module, classes=CLASSES, genes=NAMES, logits=chain[1])


def cells(seed: int, n: int = 12) -> AnnData:
    rng = np.random.default_rng(seed)
    obs = pd.DataFrame({"cluster": ["A"] * (n - 3) + ["B"] * 3}, index=[f"x{i}" for i in range(n)])
    X = np.round(rng.normal(1, 2, (n, GENES)), 1).astype(np.float32)
    return AnnData(X, obs=obs, var=pd.DataFrame(index=NAMES))


def ordered(model: TorchModule, X: np.ndarray) -> np.ndarray:
    """The network's own outputs in float64 evaluation, before a softmax at its end."""
    module = copy.deepcopy(model.module).double().eval()
    parts = [part for part in module if not isinstance(part, nn.Softmax | nn.LogSoftmax)]
    with torch.no_grad():
        return nn.Sequential(*parts)(torch.tensor(X, dtype=torch.float64)).numpy()


@pytest.mark.parametrize("name", SUPPORTED)
def test_moves_are_those_of_the_network(name: str) -> None:
    for seed in range(4):
        model, adata, rng = model_of(SUPPORTED[name], seed), cells(seed), np.random.default_rng(seed)
        scorer = model.scorer(Cluster(adata, "cluster", "A"))
        X, genes = adata.X[:9], np.arange(GENES)
        values = np.round(rng.normal(0, 3, (9, GENES)), 1).astype(np.float32)
        moves = scorer.moves(genes, values)
        assert moves is not None
        own = model.decide(X)
        assert scorer.baseline.labels.tolist() == own.labels.tolist()
        np.testing.assert_allclose(scorer.baseline.scores, own.scores, rtol=1e-5, atol=1e-6)
        for chosen in (genes[:0], genes[[2]], genes[1:4], genes):
            changed = X.copy()
            changed[:, chosen] = values[:, chosen]
            found, truth = moves.scores_with(chosen), ordered(model, changed)
            np.testing.assert_allclose(found, truth, rtol=1e-9, atol=1e-10)
            np.testing.assert_allclose(moves.changed(chosen).scores, truth, rtol=1e-9, atol=1e-10)
            clear = np.ptp(np.sort(truth, axis=1)[:, -2:], axis=1) > moves.tolerance * moves.size + moves.margin
            labels = np.array(CLASSES)[found.argmax(axis=1)]
            assert labels[clear].tolist() == model.decide(changed).labels[clear].tolist()
            assert clear.mean() > 0.5


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_other_chains_have_no_moves(name: str) -> None:
    model = model_of(UNSUPPORTED[name], 0)
    if name == "half inside":
        model.module[2].to(torch.bfloat16)
    assert model.dense_layers() is None


def test_hooks_are_seen() -> None:
    for place in range(4):
        model = model_of((lambda: [linear(GENES, 3), norm(3), nn.Dropout(), nn.LogSoftmax(dim=1)], True), 0)
        assert model.dense_layers() is not None
        model.module[place].register_forward_hook(lambda module, given, out: out * -1)
        assert model.dense_layers() is None


@pytest.mark.parametrize("above", [False, True])
def test_what_cancels_in_normalisation_counts_as_rounding(above: bool) -> None:
    """A million is taken away and put back: float32 loses what the numbers at the end do not show."""

    def chain() -> list[nn.Module]:
        first = [linear(GENES, 4), nn.ReLU(), linear(4, 4)] if above else [linear(GENES, 4)]
        return [*first, norm(4), norm(4), nn.ReLU(), linear(4, 3)]

    model = model_of((chain, True), 0)
    with torch.no_grad():
        for part, mean in zip(model.module[-4:-2], (1e6, -1e6), strict=True):
            part.running_mean.fill_(mean)
            part.running_var.fill_(1 - part.eps)
            part.weight.fill_(1.0)
            part.bias.fill_(0.0)
    moves = model.scorer(Cluster(cells(0), "cluster", "A")).moves(np.arange(GENES), np.ones((1, GENES), np.float32))
    X = cells(0).X[:9]
    error = np.abs(model.run(X) - ordered(model, X)).max(axis=1)
    assert error.max() > 1e-3
    assert (error < moves.tolerance * moves.size).all()


def test_only_networks_with_a_hidden_layer_are_written_into_certificates() -> None:
    cluster = Cluster(cells(0), "cluster", "A")
    assert model_of(SUPPORTED["softmax"], 0).plain(cluster) is not None
    for name in ("linear", "linear, log softmax", "norm, ReLU", "ReLU, norm"):
        assert model_of(SUPPORTED[name], 0).plain(cluster) is None
