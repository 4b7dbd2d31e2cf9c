"""Data sets on disk, surveyed by several processes."""

from __future__ import annotations

import pytest
import scipy.sparse as sp

import adverscarial as adv
from adverscarial.errors import ParameterError

ATTACKS = [adv.attacks.SingleGene("perc99"), adv.attacks.MaxChange("random", restarts=1)]
ARGUMENTS = {"attacks": ATTACKS, "groupby": "kind", "targets": ["Dendritic", "CD19+ B"]}


@pytest.fixture(scope="module")
def cells():
    cells = adv.datasets.embedded()
    cells.X = sp.csr_matrix(cells.X)
    cells.layers["twice"] = cells.X * 2
    return cells


@pytest.fixture(params=["h5ad", "zarr"])
def backed(request, cells, tmp_path):
    path = tmp_path / f"cells.{request.param}"
    (cells.write_h5ad if request.param == "h5ad" else cells.write_zarr)(path)
    adata = adv.datasets.load(path, backed=True)
    adata.obs["kind"] = adata.obs["cell_type"]  # not in the file
    return adata


@pytest.mark.fast("h5ad-how1-None")
@pytest.mark.parametrize("layer", [None, "twice"])
@pytest.mark.parametrize("how", [{"n_jobs": 2}, {"n_jobs": 2, "backend": "threading"}, {"time_limit": 3600}])
def test_the_same_table_as_from_memory(backed, cells, how, layer):
    model = adv.classifiers.ScType(scaled=False)
    memory = cells.copy()
    memory.obs["kind"] = memory.obs["cell_type"]
    whole = adv.survey(memory, model, layer=layer, **ARGUMENTS)
    assert not whole.errors
    found = adv.survey(backed, model, layer=layer, **ARGUMENTS, **how)
    assert found.to_frame().equals(whole.to_frame())


@pytest.mark.slow
def test_a_part_of_a_file_cannot_be_sent(cells, tmp_path):
    cells.write_h5ad(tmp_path / "cells.h5ad")
    part = adv.datasets.load(tmp_path / "cells.h5ad", backed=True)[:600]
    model = adv.classifiers.ScType(scaled=False)
    arguments = ARGUMENTS | {"groupby": "cell_type"}
    assert not adv.survey(part, model, **arguments).errors
    with pytest.raises(ParameterError, match=r"part of a data set on disk.*Use n_jobs=1"):
        adv.survey(part, model, **arguments, n_jobs=2)
