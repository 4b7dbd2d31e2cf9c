"""A signature with one gene less is found by an exchange of two genes for another wherever there is one."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from anndata import AnnData

import adverscarial as adv
from adverscarial.attacks import max_change
from adverscarial.attacks.minimal.signature import _least_harm, one_fewer
from adverscarial.attacks.run import Run
from adverscarial.classifiers.answers import vote
from attacks.minimal.test_short_signatures import cells_of, chetah, forest, network


@pytest.mark.fast("forest")
@pytest.mark.parametrize("made", [forest, chetah, network])
def test_every_exchange_of_two_genes_for_one_is_tried(made, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, original = [], max_change.shortest_signature
    monkeypatch.setattr(
        max_change,
        "shortest_signature",
        lambda run, genes, **how: asked.append((run, genes)) or original(run, genes, **how),
    )
    found = {True: 0, False: 0}
    for seed in range(8):
        cells, rng = cells_of(seed), np.random.default_rng(seed)
        model = made(cells, seed)
        own = (cells.obs["type"] == "A").to_numpy()
        adv.attacks.MaxChange(f"fixed:{6 * (seed % 2)}", restarts=1)(cells, model, groupby="type", target="A")
        run, genes = asked[-1]

        def holds(left_alone, cells=cells, model=model, own=own, genes=genes, run=run, seed=seed) -> bool:
            X = cells.X.copy()
            changed = np.setdiff1d(genes, left_alone)
            X[np.ix_(own, changed)] = 6 * (seed % 2)
            labels = model.predict(AnnData(X, obs=cells.obs, var=cells.var)).to_numpy()[own]
            return vote(labels)[0] == run.baseline.label

        tried = [np.sort(rng.permutation(genes)[:size]) for size in (2, 3, 4)]
        sets = (np.array(kept) for size in range(len(genes)) for kept in combinations(genes, size))
        tried.append(next(filter(holds, sets)))  # a shortest one
        for signature in tried:
            if len(signature) < 2 or not holds(signature):
                continue
            exchanges = [
                np.append(np.setdiff1d(signature, pair), other)
                for pair in combinations(signature, 2)
                for other in np.setdiff1d(genes, signature)
            ]
            shorter = one_fewer(run, genes, signature, genes)
            found[shorter is not None] += 1
            if shorter is None:
                assert not any(map(holds, exchanges))
            else:
                assert len(shorter) == len(set(shorter.tolist())) == len(signature) - 1
                assert holds(shorter)
    assert found[True] > 2
    assert found[False] > 0 or made is chetah  # whose shortest signatures have one gene at most here


def asked_about(cells: AnnData, restarts: int, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Run, np.ndarray]]:
    """Attack a cluster, and return what was asked about exchanges: the run, and the signature."""
    asked: list[tuple[Run, np.ndarray]] = []
    monkeypatch.setattr(max_change, "one_fewer", lambda run, genes, signature, known: asked.append((run, signature)))
    model = adv.classifiers.RandomForest(30, seed=0).fit(cells, "cell_type")
    adv.attacks.MaxChange("perc99", restarts=restarts)(cells, model, groupby="cell_type", target="CD19+ B")
    return asked


@pytest.mark.slow
def test_one_try_exchanges_nothing_and_proves_less(pbmc_small: AnnData, monkeypatch: pytest.MonkeyPatch) -> None:
    sharper, original = [], max_change.shortest_signature
    monkeypatch.setattr(
        max_change, "shortest_signature", lambda run, genes, **how: sharper.append(how) or original(run, genes, **how)
    )
    assert not asked_about(pbmc_small, 1, monkeypatch)
    assert asked_about(pbmc_small, 2, monkeypatch)
    assert sharper == [{"sharper": False}, {"sharper": True}]


@pytest.mark.slow
def test_of_a_long_signature_the_pairs_that_harm_least_are_tried(
    pbmc_small: AnnData, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, signature = asked_about(pbmc_small, 2, monkeypatch)[0]
    base = run.scorer.fork()
    pairs = [pair.tolist() for pair in _least_harm(run, base, signature)]
    assert len(pairs) == len(signature) * (len(signature) - 1) // 2 > 2
    harm = dict(zip(signature.tolist(), base.each(signature, run.values(signature)).lead, strict=True))
    sums = [harm[a] + harm[b] for a, b in pairs]
    assert sums == sorted(sums)
    monkeypatch.setattr("adverscarial.attacks.minimal.signature._COUPLES", 2)
    assert [pair.tolist() for pair in _least_harm(run, base, signature)] == pairs[:2]
