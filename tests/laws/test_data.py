"""Laws of the data: attacks only read them, and neither the order of their genes nor that of their cells matters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from adverscarial.attacks import (
    Attack,
    ClusterGradientDescent,
    FastGradientSign,
    Grid,
    MaxChange,
    RandomWalk,
    SingleGene,
)
from adverscarial.attacks import ProjectedGradientDescent as PGD
from laws.families import FAMILIES, GENES, TARGETS, cells, classifier, few, modifications, seeds

FORMS: dict[str, Callable[[np.ndarray], Any]] = {
    "dense": np.array,
    "columns of a dense matrix": np.asfortranarray,
    "CSR": sparse.csr_matrix,
    "CSC": sparse.csc_matrix,
}
SOME = ["G5", "G0", "G2"]


def attacks(modification: str, family: str) -> list[Attack]:
    """Return an attack of each kind that can ask this classifier."""
    chosen: list[Attack] = [
        SingleGene(modification, search="both", bins=3),
        MaxChange(modification, restarts=2),
        Grid(SOME, [modification]),
        RandomWalk(SOME, [modification, "fixed:7"], tries=5, steps=5),
    ]
    if family != "CHETAH":  # it gives labels only
        chosen.append(ClusterGradientDescent(genes=[*SOME, "G1"]))
    if family in ("logistic", "scMLP"):
        chosen += [FastGradientSign(0.7), PGD(0.7, steps=4, random_start=True)]
    return chosen


def parts(value: Any, name: str = "") -> Iterator[tuple[str, object]]:
    """Yield everything that an AnnData or a part of it holds, down to bytes."""
    if isinstance(value, AnnData):
        for part in ("X", "obs", "var", "uns", "layers", "obsm", "varm", "obsp", "varp"):
            yield from parts(getattr(value, part), part)
    elif sparse.issparse(value):
        for part in ("data", "indices", "indptr", "shape", "format"):
            yield from parts(getattr(value, part), f"{name}.{part}")
    elif isinstance(value, pd.DataFrame):
        yield name, (list(value.columns), value.index.name)
        yield from parts(value.index.to_numpy(), f"{name}.index")
        for column in value:
            yield f"{name}[{column}].dtype", str(value[column].dtype)
            yield from parts(value[column].to_numpy(), f"{name}[{column}]")
    elif isinstance(value, np.ndarray):
        held = value.tolist() if value.dtype == object else value.tobytes()
        yield name, (str(value.dtype), value.shape, value.strides, held)
    elif hasattr(value, "items"):
        yield name, list(value)
        for key, item in value.items():
            yield from parts(item, f"{name}[{key}]")
    else:
        yield name, value


@pytest.mark.fast("logistic-dense", "markers-CSC")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("family", FAMILIES)
@given(seed=seeds, modification=modifications, layer=st.sampled_from([None, "raw"]))
@few
def test_attacks_do_not_change_the_callers_data(
    family: str, form: str, seed: int, modification: str, layer: str | None
) -> None:
    """An attack, its `apply` and its `verify` leave every byte of the caller's AnnData as it was."""
    adata, model = cells(seed), classifier(family)
    adata.layers["raw"] = FORMS[form](adata.X * 2)
    adata.X = FORMS[form](adata.X)
    adata.obs["cluster"] = adata.obs["cluster"].astype("category")
    adata.uns["colors"] = {"cluster": np.array(["red", "blue", "green"]), "version": 3}
    adata.obsm["X_pca"] = np.arange(2.0 * len(adata)).reshape(-1, 2)
    before = list(parts(adata))
    for attack in attacks(modification, family):
        result = attack(adata, model, groupby="cluster", target="c0", layer=layer, seed=seed)
        result.verify(adata, model)
        if result.genes:
            result.apply(adata)
        assert list(parts(adata)) == before, repr(attack)


def same(one: Any, other: Any, adata: AnnData, permuted: AnnData) -> None:
    """Compare two results on the same cells in two orders: what they found, and the cells they make."""
    assert (one.baseline, one.label) == (other.baseline, other.label)
    assert one.share == pytest.approx(other.share, abs=1e-12)
    assert set(one.genes) == set(other.genes)
    if one.genes:
        back = other.apply(permuted)[adata.obs_names, adata.var_names]
        np.testing.assert_allclose(one.apply(adata).X, back.X, rtol=1e-9, atol=1e-9)


@pytest.mark.fast(2)
@pytest.mark.parametrize("family", FAMILIES)
@given(seed=seeds, target=st.sampled_from(TARGETS), modification=modifications)
@few
def test_the_order_of_cells_does_not_matter(family: str, seed: int, target: str, modification: str) -> None:
    """With its cells in another order, a data set has the same attacks."""
    adata, model = cells(seed), classifier(family)
    permuted = adata[np.random.default_rng(seed).permutation(adata.n_obs)].copy()
    for attack in attacks(modification, family):
        if isinstance(attack, PGD):
            continue  # its random starts are drawn row by row
        one, other = (attack(a, model, groupby="cluster", target=target, seed=seed) for a in (adata, permuted))
        same(one, other, adata, permuted)


@pytest.mark.fast(2)
@pytest.mark.parametrize("family", FAMILIES)
@given(seed=seeds, target=st.sampled_from(TARGETS), modification=modifications)
@few
def test_the_order_of_genes_does_not_matter(family: str, seed: int, target: str, modification: str) -> None:
    """With its genes in another order, a data set has the same answers to the same queries.

    Of equally good answers, bisection, :class:`Grid`, :class:`RandomWalk` and :class:`MaxChange` come upon another one
    first, since they bin, count and draw the genes in their order in the data: their own laws hold all the same.
    """
    adata, model = cells(seed), classifier(family)
    permuted = adata[:, np.random.default_rng(seed).permutation(GENES)].copy()

    def both(attack: Attack) -> list[Any]:
        return [attack(a, model, groupby="cluster", target=target, seed=seed) for a in (adata, permuted)]

    one, other = (result.to_frame() for result in both(SingleGene(modification, search="exact")))
    pd.testing.assert_frame_equal(one.set_index("gene").loc[GENES], other.set_index("gene").loc[GENES])
    one, other = (result.to_frame().set_index(SOME).sort_index() for result in both(Grid(SOME, [modification])))
    pd.testing.assert_frame_equal(one, other[one.columns])
    for attack in attacks(modification, family):
        if isinstance(attack, ClusterGradientDescent | FastGradientSign):
            same(*both(attack), adata, permuted)
