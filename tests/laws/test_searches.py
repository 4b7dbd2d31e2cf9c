"""Laws of the searches: what nothing changes, what the exact search finds, what a signature is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import adverscarial as adv
from adverscarial.attacks import MaxChange, SingleGene
from adverscarial.cells.cluster import Cluster
from laws.families import FAMILIES, GENES, TARGETS, cells, classifier, few, modifications, seeds

pytestmark = pytest.mark.parametrize("family", FAMILIES)
targets = st.sampled_from(TARGETS)


@pytest.mark.fast(2)
@given(seed=seeds, target=targets, modification=modifications)
@few
def test_modifying_no_genes_changes_nothing(family: str, seed: int, target: str, modification: str) -> None:
    """To modify no genes, or to move every gene by no decile, is to ask about the cluster as it is."""
    adata, model, where = cells(seed), classifier(family), {"groupby": "cluster", "target": target}
    before = adv.predict(adata, model, **where)
    after = adv.predict(adv.modify(adata, [], modification, **where), model, **where)
    assert (after.label, after.share) == (before.label, before.share)

    scorer = model.scorer(Cluster(adata, "cluster", target))
    nothing = np.empty(0, dtype=np.int64), np.empty((1, 0))
    for _ in range(2):
        answer = scorer.together(*nothing)
        assert (answer.label, answer.share) == (before.label, before.share)
        scorer.accept(*nothing)
        assert (scorer.baseline.label, scorer.baseline.share) == (before.label, before.share)

    single = SingleGene("decile+0", search="both")(adata, model, **where)
    assert single.genes == []
    assert set(single.to_frame()["share"]) == {before.share}
    assert MaxChange("decile+0", restarts=1)(adata, model, **where).signature == []


@pytest.mark.fast(2)
@given(seed=seeds, target=targets, modification=modifications, bins=st.sampled_from([1, 2, 3, 100]))
@few
def test_exact_search_contains_bisection(family: str, seed: int, target: str, modification: str, bins: int) -> None:
    """Each gene that bisection finds, the exact search finds; what it misses is named by a search of both."""
    adata, model, where = cells(seed), classifier(family), {"groupby": "cluster", "target": target, "seed": seed}
    exact, bisect, both = (
        SingleGene(modification, search=search, bins=bins)(adata, model, **where)
        for search in ("exact", "bisect", "both")
    )
    assert set(bisect.genes) <= set(exact.genes)
    assert both.genes == exact.genes
    assert set(both.missed_by_bisect) == set(exact.genes) - set(bisect.genes)


@pytest.mark.fast(2)
@given(
    seed=seeds, target=targets, modification=modifications,
    genes=st.none() | st.lists(st.sampled_from(GENES), min_size=1, unique=True),
    exclude=st.lists(st.sampled_from(GENES[:2]), unique=True),
)  # fmt: skip
@few
def test_signature_and_modifiable_genes_are_a_partition(
    family: str, seed: int, target: str, modification: str, genes: list[str] | None, exclude: list[str]
) -> None:
    """Each gene under attack is in the signature or is modifiable, and no other gene is in either."""
    attacked = set(genes or GENES) - set(exclude)
    if not attacked:
        exclude, attacked = [], set(genes or GENES)
    attack = MaxChange(modification, restarts=2, genes=genes, exclude=exclude)
    result = attack(cells(seed), classifier(family), groupby="cluster", target=target, seed=seed)
    assert sorted([*result.genes, *result.signature]) == sorted(attacked)


@pytest.mark.fast(2)
@given(seed=seeds, target=targets, modification=modifications)
@few
def test_one_gene_of_a_maximal_signature_flips(family: str, seed: int, target: str, modification: str) -> None:
    """The modifiable genes together keep the label; with any one gene of the signature they do not."""
    adata, model, where = cells(seed), classifier(family), {"groupby": "cluster", "target": target}
    result = MaxChange(modification, restarts=2)(adata, model, **where, seed=seed)

    def label(genes: list[str]) -> str:
        changed = adv.modify(adata, genes, modification, **where, seed=seed)
        return adv.predict(changed, model, **where).label

    assert result.maximal
    assert label(result.genes) == result.baseline
    for gene in result.signature:
        assert label([*result.genes, gene]) != result.baseline
