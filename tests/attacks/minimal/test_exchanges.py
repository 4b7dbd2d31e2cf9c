"""A signature with one gene less is found by an exchange of two genes for another wherever there is one."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from anndata import AnnData

import adverscarial as adv
from adverscarial.attacks import max_change
from adverscarial.attacks.minimal.signature import one_fewer
from adverscarial.classifiers.answers import vote
from attacks.minimal.test_short_signatures import cells_of, chetah, forest, network


@pytest.mark.fast("forest")
@pytest.mark.parametrize("made", [forest, chetah, network])
def test_every_exchange_of_two_genes_for_one_is_tried(made, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, original = [], max_change.shortest_signature
    monkeypatch.setattr(
        max_change, "shortest_signature", lambda run, genes: asked.append((run, genes)) or original(run, genes)
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
