"""Proofs about torch chains, judged by the networks' own labels for all sets of genes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from adverscarial.cells.cluster import Cluster
from attacks.minimal.brute import Case, cases, check_flips, names, subsets, tight

torch = pytest.importorskip("torch")
nn = torch.nn

CASES = cases(25)
KINDS = ("linear", "normalised", "normalised above", "softmax")


def chain(kind: str, n_genes: int, n_labels: int, rng: np.random.Generator) -> nn.Sequential:
    """A chain with random numbers; rounded ones for every other, so that outputs tie."""
    units = int(rng.integers(2, 6))
    parts = {
        "linear": [nn.Linear(n_genes, n_labels), nn.Dropout()],
        "normalised": [nn.Linear(n_genes, units), nn.BatchNorm1d(units), nn.ReLU(), nn.Linear(units, n_labels)],
        "normalised above": [nn.Linear(n_genes, units), nn.ReLU(), nn.BatchNorm1d(units), nn.Linear(units, n_labels)],
        "softmax": [nn.Linear(n_genes, units), nn.ReLU(), nn.Linear(units, n_labels), nn.Softmax(dim=1)],
    }[kind]
    module, whole = nn.Sequential(*parts), rng.random() < 0.5
    with torch.no_grad():
        for name, numbers in [*module.named_parameters(), *module.named_buffers()]:
            drawn = rng.normal(size=tuple(numbers.shape))
            drawn = np.abs(drawn) + 0.2 if name.endswith("running_var") else np.rint(drawn) if whole else drawn
            numbers.copy_(torch.as_tensor(drawn))
    return module


def torch_case(kind: str, seed: int) -> Case:
    from adverscarial.classifiers.adapters.torch_module import TorchModule

    rng = np.random.default_rng(seed)
    n_cells, n_genes, n_labels = int(rng.integers(1, 5)), int(rng.integers(2, 8)), int(rng.integers(2, 5))
    labels, columns = names(n_labels, rng), [f"G{j}" for j in range(n_genes)]
    module = chain(kind, n_genes, n_labels, rng)
    model = TorchModule(module, classes=list(labels), genes=columns, logits=kind != "softmax")
    X, new = (rng.integers(-2, 3, (n_cells, n_genes)).astype(np.float32) for _ in range(2))
    obs = pd.DataFrame({"cluster": ["c"] * n_cells + ["other"]}, index=[f"x{i}" for i in range(n_cells + 1)])
    adata = AnnData(np.vstack([X, X[:1]]), obs=obs, var=pd.DataFrame(index=columns))
    scorer = model.scorer(Cluster(adata, "cluster", "c"))
    genes = np.flatnonzero(scorer.reads(np.arange(n_genes)))
    sets = subsets(len(genes))
    changed = np.repeat(X[None], len(sets), axis=0)
    for place, chosen in enumerate(sets):
        changed[place][:, genes[chosen]] = new[:, genes[chosen]]
    answers = model.decide(changed.reshape(-1, n_genes)).labels.reshape(len(sets), n_cells)
    codes = np.argmax(answers[:, :, None] == labels.astype(object), axis=2)
    moves = scorer.moves(genes, new[:, genes])
    assert moves is not None
    return Case(moves, labels, codes, np.array([len(chosen) for chosen in sets]))


@pytest.mark.slow
@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_intervals_of_flips_hold_the_truth(kind: str, named: bool) -> None:
    tallies = [check_flips(torch_case(kind, seed), seed, named=named) for seed in range(CASES)]
    assert min(tight(tallies)) > 0.5
