"""Modalities, raw and layers, with the meaning that they have in scanpy and in MuData."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import adverscarial as adv
from adverscarial.errors import DataError, ParameterError


def cells(genes: int = 6, raw: bool = True) -> AnnData:
    X = np.arange(8 * genes, dtype=np.float32).reshape(8, genes)
    names = [f"g{k}" for k in range(genes)]
    obs = pd.DataFrame({"kind": list("aabbaabb")}, index=[f"c{k}" for k in range(8)])
    adata = AnnData(X, obs=obs, var=pd.DataFrame(index=names))
    if raw:
        adata.raw = adata.copy()
        adata = adata[:, :3].copy()
    adata.layers["twice"] = adata.X * 2
    return adata


def test_raw_brings_its_own_genes() -> None:
    data = cells()
    found = adv.datasets.select(data, use_raw=True)
    assert found.shape == (8, 6)
    np.testing.assert_array_equal(found.X, data.raw.X)
    assert adv.datasets.select(data).shape == (8, 3)


def test_a_layer_becomes_x_and_the_source_stays() -> None:
    data = cells()
    found = adv.datasets.select(data, layer="twice")
    np.testing.assert_array_equal(found.X, data.X * 2)
    found.X[:] = 0
    assert data.layers["twice"].any()


def test_results_hold_for_what_was_selected() -> None:
    data = cells()
    found = adv.datasets.select(data, use_raw=True)
    attack = adv.attacks.SingleGene("fixed:1000")
    result = attack(found, lambda X: np.where(X[:, 5] > 100, "x", "y"), groupby="kind", target="a")
    assert result.genes == ["g5"]  # which X does not have
    assert result.apply(found)[found.obs["kind"] == "a", "g5"].X.min() == 1000


def test_a_modality_comes_with_what_all_modalities_share() -> None:
    mudata = pytest.importorskip("mudata")
    data = mudata.MuData({"rna": cells(raw=False), "prot": cells(2, raw=False)})
    data.obs["donor"] = list("xxyyxxyy")
    found = adv.datasets.select(data)
    assert found.shape == (8, 6)
    assert list(found.obs["donor"]) == list("xxyyxxyy")
    assert "donor" not in data.mod["rna"].obs
    np.testing.assert_array_equal(adv.datasets.select(data, mod="prot", layer="twice").X, data.mod["prot"].X * 2)
    with pytest.raises(ParameterError, match="no modality 'protein'"):
        adv.datasets.select(data, mod="protein")
    guard = adv.classifiers.Guard(adv.classifiers.Markers({"a": ["g0"], "b": ["g1"]})).fit(data)
    for ask in (guard.possible, guard.strangeness, guard.why):  # which take an AnnData alone
        with pytest.raises(DataError, match=r"adverscarial\.datasets\.select"):
            ask(data)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"use_raw": True, "layer": "twice"}, "different values"),
        ({"mod": "rna"}, "this is an AnnData"),
        ({"layer": "twise"}, "Did you mean 'twice'"),
    ],
)
def test_what_cannot_be_selected(options: dict[str, object], words: str) -> None:
    with pytest.raises(adv.errors.AdverscarialError, match=words):
        adv.datasets.select(cells(), **options)


def test_there_may_be_no_raw() -> None:
    with pytest.raises(DataError, match="There is no raw"):
        adv.datasets.select(cells(raw=False), use_raw=True)
    with pytest.raises(DataError, match="Expected an AnnData or a MuData, got a dict"):
        adv.datasets.select({})
    with pytest.raises(DataError, match="Expected an AnnData or a MuData, got a DataFrame"):
        adv.datasets.select(pd.DataFrame({"g1": [1.0]}))
