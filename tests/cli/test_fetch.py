"""``adverscarial fetch``, and the paper's data by their names."""

from __future__ import annotations

import json
from pathlib import Path

import anndata
import pytest

from datasets.portal import GONE, LIVER, cache_in, serving
from datasets.portal_cells import portal_cells, portal_file


@pytest.fixture
def portal(tmp_path, monkeypatch):
    monkeypatch.delenv("ADVERSCARIAL_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(portal_file(tmp_path)) as server, cache_in(tmp_path / "cache"):
        monkeypatch.setenv("ADVERSCARIAL_CELLXGENE", server.url)
        yield server


@pytest.mark.slow
def test_a_data_set_is_fetched_and_written(run, portal, tmp_path):
    out = tmp_path / "liver.h5ad"
    code, printed, err = run("fetch", "liver10k", out, "--json")
    assert code == 0, err
    answer = json.loads(printed)
    found = anndata.read_h5ad(out)
    assert answer["cells"] == found.n_obs < portal_cells().n_obs
    assert answer["sha256"] == found.uns["cellxgene"]["sha256"]
    assert "ALB" in found.var_names
    assert run("fetch", "liver10k", out)[0] == 2  # it is there already
    code, _, err = run("fetch", "liver10k", out, "--overwrite", "--sha256", answer["sha256"])
    assert code == 0, err
    assert "more than 50% mitochondrial: 12 cells" in err
    code, _, err = run("fetch", LIVER, out, "--overwrite")
    assert code == 0, err
    assert anndata.read_h5ad(out).n_obs == 60


def test_what_cannot_be_fetched(run, portal, tmp_path):
    code, _, err = run("fetch", GONE, tmp_path / "x.h5ad")
    assert code == 2
    assert "or no longer" in " ".join(err.split())
    assert run("fetch", "liver10k", tmp_path / "x.csv")[0] == 2
    portal.shutdown()
    portal.server_close()
    code, _, err = run("fetch", "liver10k", tmp_path / "x.h5ad")
    assert code == 2
    assert "ADVERSCARIAL_DATA" in err
    assert not (tmp_path / "x.h5ad").exists()


@pytest.mark.slow
def test_reproduce_takes_the_papers_names(run, portal, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("markers.tsv").write_text("cell_type\tpositive\nhepatocyte\tALB,APOA1\nT cell\tGENE1,GENE2\n")
    code, printed, err = run(
        "reproduce", "sctype", "--data", "liver10k", "--markers", "markers.tsv", "--out", "out", "--json"
    )
    assert code == 0, err
    assert json.loads(printed)["findings"]
    assert "--data liver10k" in Path("out/README.md").read_text()
    assert run("reproduce", "sctype", "--data", "liver10k", "--raw")[0] == 2
