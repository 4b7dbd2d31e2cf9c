"""Data sets of CELLxGENE, from a server on the loopback that answers as the portal does."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import scanpy as sc

import adverscarial as adv
from adverscarial.datasets.remote.portal import PAPER_IDS, id_of
from adverscarial.datasets.remote.transfer import download
from adverscarial.errors import DataError, ParameterError, StorageError
from datasets.portal import EXPLORER, GONE, LIVER, OLDER, VERSION, Portal, cache_in, serving
from datasets.portal_cells import SYMBOLS, portal_cells, portal_file


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return portal_file(tmp_path_factory.mktemp("portal"))


@pytest.fixture
def portal(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Portal]:
    monkeypatch.delenv("ADVERSCARIAL_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(content) as server, cache_in(tmp_path / "cache"):
        monkeypatch.setenv("ADVERSCARIAL_CELLXGENE", server.url)
        yield server


def files(asked: list[tuple[str, str | None]]) -> list[str | None]:
    """Return the ranges that were asked of files."""
    return [part for path, part in asked if path.startswith("/files/")]


def test_a_data_set_comes_with_counts_and_symbols(portal: Portal, content: bytes) -> None:
    found = adv.datasets.cellxgene(LIVER)
    expected = portal_cells()
    assert list(found.var_names) == SYMBOLS
    assert list(found.var["gene_id"]) == list(expected.var_names)
    np.testing.assert_array_equal(found.X.toarray(), expected.raw.X.toarray())
    np.testing.assert_array_equal(found.layers["normalized"].toarray(), expected.X.toarray())
    assert found.obs["cell_type"].equals(expected.obs["cell_type"])
    told = found.uns["cellxgene"]
    assert told["dataset_version_id"] == VERSION
    assert told["sha256"] == hashlib.sha256(content).hexdigest()
    assert not list(Path(sc.settings.datasetdir).rglob("*.part*"))


def test_a_file_of_the_portal_is_loaded_as_other_data(
    content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "mine.h5ad"
    path.write_bytes(content)
    stored = portal_cells()
    found = adv.datasets.load(path)
    assert list(found.var_names) == SYMBOLS
    assert list(found.var["gene_id"]) == list(stored.var_names)
    np.testing.assert_array_equal(found.X.toarray(), stored.raw.X.toarray())
    np.testing.assert_array_equal(found.layers["normalized"].toarray(), stored.X.toarray())
    assert found.raw is None
    warned = [record.getMessage() for record in caplog.records if "CELLxGENE" in record.getMessage()]
    assert len(warned) == 1
    assert "the counts of raw are X now" in warned[0]
    assert "arrange=False" in warned[0]
    caplog.clear()
    for left in (adv.datasets.load(path, arrange=False), adv.datasets.load(path, backed=True)):
        assert list(left.var_names) == list(stored.var_names)
        assert left.raw is not None
    assert "CELLxGENE" not in caplog.text


def test_a_file_without_counts_gets_symbols_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stored = portal_cells()
    stored.raw = None
    stored.layers["mine"] = stored.X.copy()
    stored.write_h5ad(tmp_path / "x.h5ad")
    found = adv.datasets.load(tmp_path / "x.h5ad")
    assert list(found.var_names) == SYMBOLS
    np.testing.assert_array_equal(found.X.toarray(), stored.X.toarray())
    np.testing.assert_array_equal(found.layers["mine"].toarray(), stored.X.toarray())
    assert "it holds no counts" in caplog.text


def test_genes_of_raw_that_x_does_not_have_are_left_out(tmp_path: Path) -> None:
    stored = portal_cells()
    fewer = stored[:, 5:].copy()
    fewer.raw = stored.raw.to_adata()
    fewer.write_h5ad(tmp_path / "x.h5ad")
    found = adv.datasets.load(tmp_path / "x.h5ad")
    assert list(found.var_names) == SYMBOLS[5:]
    np.testing.assert_array_equal(found.X.toarray(), stored.raw.X.toarray()[:, 5:])


@pytest.mark.slow
def test_other_data_are_left_alone(tmp_path: Path) -> None:
    for drop in ("feature_name", "feature_biotype"):
        stored = portal_cells()
        del stored.var[drop]
        stored.write_h5ad(tmp_path / "x.h5ad")
        assert list(adv.datasets.load(tmp_path / "x.h5ad").var_names) == list(stored.var_names)
    stored = portal_cells()
    stored.var_names = [f"{name}x" for name in SYMBOLS]
    stored.write_h5ad(tmp_path / "x.h5ad")
    assert list(adv.datasets.load(tmp_path / "x.h5ad").var_names) == list(stored.var_names)


@pytest.mark.fast(
    "cd6398a9-c0af-4467-9091-c536866535bd",
    "https://cellxgene.cziscience.com/e/aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee.cxg/",
)
@pytest.mark.parametrize(
    "name", [LIVER, VERSION, EXPLORER, f"https://cellxgene.cziscience.com/e/{EXPLORER}.cxg/", f"  {LIVER.upper()} "]
)
def test_every_form_of_its_name(portal: Portal, name: str) -> None:
    assert adv.datasets.cellxgene(name).uns["cellxgene"]["dataset_id"] == LIVER


def test_the_papers_name_brings_the_papers_filter(portal: Portal) -> None:
    found = adv.datasets.cellxgene("liver10k")
    assert set(found.obs["cell_type"]) == {"hepatocyte", "T cell"}
    assert (found.obs["pct_counts_mt"] <= 50).all()
    everything = portal_cells()
    mito = everything.raw.X.toarray()[:, 3:5].sum(axis=1) / everything.raw.X.toarray().sum(axis=1)
    kept = (mito <= 0.5) & everything.obs["cell_type"].isin(["hepatocyte", "T cell"]).to_numpy()
    assert list(found.obs_names) == list(everything.obs_names[kept])
    assert adv.datasets.cellxgene(LIVER).n_obs == everything.n_obs  # from the cache, without a filter


def test_a_cut_transfer_goes_on_by_itself(portal: Portal, content: bytes) -> None:
    portal.cuts = [1000, 2000]
    adv.datasets.cellxgene(LIVER)
    assert files(portal.asked) == [None, "bytes=1000-", "bytes=3000-"]


def test_redirects_are_followed_with_what_is_asked(portal: Portal) -> None:
    portal.elsewhere[f"/datasets/{LIVER}/versions"] = f"{portal.url}/datasets/{LIVER}/versions?page=1"
    portal.elsewhere[f"/datasets/{LIVER}/versions?page=1"] = "/new-home"
    portal.homes["/new-home"] = f"/datasets/{LIVER}/versions"
    portal.cuts = [1000]
    assert adv.datasets.cellxgene(LIVER).n_obs == 60
    paths = [path for path, _ in portal.asked]
    assert paths[:3] == [f"/datasets/{LIVER}/versions", f"/datasets/{LIVER}/versions?page=1", "/new-home"]
    assert portal.asked[3:] == [
        ("/moved/new.h5ad", None), ("/files/new.h5ad", None),
        ("/moved/new.h5ad", "bytes=1000-"), ("/files/new.h5ad", "bytes=1000-"),
    ]  # fmt: skip


@pytest.mark.parametrize("where", ["/round", "file:///etc/hostname"], ids=["to itself", "away from the web"])
def test_redirects_that_lead_nowhere(portal: Portal, where: str) -> None:
    portal.elsewhere = {f"/datasets/{LIVER}/versions": where, "/round": "/round"}
    with pytest.raises(DataError, match="answers 302"):
        adv.datasets.cellxgene(LIVER)
    assert not list(Path(sc.settings.datasetdir).rglob("*.h5ad"))


def test_a_transfer_that_keeps_ending_goes_on_at_the_next_call(portal: Portal, content: bytes) -> None:
    portal.cuts = [1000, 0]
    with pytest.raises(DataError, match=r"ends after 1,000 of .* it goes on from there"):
        adv.datasets.cellxgene(LIVER)
    part = next(Path(sc.settings.datasetdir).rglob("*.part"))
    assert part.read_bytes() == content[:1000]
    assert not list(Path(sc.settings.datasetdir).rglob("*.h5ad"))
    portal.asked.clear()
    assert adv.datasets.cellxgene(LIVER).n_obs == 60
    assert files(portal.asked) == ["bytes=1000-"]


def test_a_file_that_changed_meanwhile_is_fetched_anew(portal: Portal, content: bytes, tmp_path: Path) -> None:
    portal.files["x"] = b"a" * 5000
    portal.cuts = [1000, 0]
    with pytest.raises(DataError):
        download(f"{portal.url}/files/x", tmp_path / "x")
    portal.files["x"] = b"b" * 4000
    digest = download(f"{portal.url}/files/x", tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"b" * 4000
    assert digest == hashlib.sha256(b"b" * 4000).hexdigest()


def test_what_is_longer_than_the_file_is_fetched_anew(portal: Portal, tmp_path: Path) -> None:
    portal.files["x"] = b"a" * 5000
    (tmp_path / "x.part").write_bytes(b"c" * 6000)
    download(f"{portal.url}/files/x", tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"a" * 5000


def test_a_server_without_ranges(portal: Portal, content: bytes) -> None:
    portal.ranges, portal.cuts = False, [1000]
    assert adv.datasets.cellxgene(LIVER).n_obs == 60
    assert files(portal.asked) == [None, "bytes=1000-"]
    portal.cuts = [1000] * 5
    with pytest.raises(DataError, match="again and again"):
        download(f"{portal.url}/files/new.h5ad", Path(sc.settings.datasetdir) / "y")


def test_a_wrong_size_is_no_success(portal: Portal) -> None:
    portal.announced = 10
    with pytest.raises(DataError, match="10 were announced"):
        adv.datasets.cellxgene(LIVER)
    assert not list(Path(sc.settings.datasetdir).rglob("*.h5ad"))


def test_the_cache_is_used_and_checked(portal: Portal) -> None:
    adv.datasets.cellxgene(LIVER)
    portal.asked.clear()
    adv.datasets.cellxgene(LIVER)
    assert portal.asked == []
    path = next(Path(sc.settings.datasetdir).rglob("*.h5ad"))
    whole = path.read_bytes()
    path.write_bytes(b"x" + whole[1:])
    adv.datasets.cellxgene(LIVER)
    assert files(portal.asked) == [None]
    assert path.read_bytes() == whole
    portal.asked.clear()
    adv.datasets.cellxgene(LIVER, refresh=True)
    assert portal.asked


def test_a_checksum_that_was_named(portal: Portal, content: bytes) -> None:
    digest = hashlib.sha256(content).hexdigest()
    adv.datasets.cellxgene(LIVER, sha256=digest.upper())
    with pytest.raises(DataError, match="expected 00"):
        adv.datasets.cellxgene(LIVER, sha256="00")


def test_an_id_that_is_gone(portal: Portal) -> None:
    with pytest.raises(DataError, match=f"no data set '{GONE}', or no longer"):
        adv.datasets.cellxgene(GONE)


def test_names_that_hold_no_id(portal: Portal) -> None:
    with pytest.raises(ParameterError, match="Did you mean 'liver10k'"):
        adv.datasets.cellxgene("liver10")
    with pytest.raises(ParameterError, match="no preset 'liver'"):
        adv.datasets.cellxgene(LIVER, preset="liver")
    assert portal.asked == []


def test_a_page_of_a_proxy(portal: Portal) -> None:
    portal.page = b"<html>Please log in</html>"
    with pytest.raises(DataError, match="something else than JSON"):
        adv.datasets.cellxgene(LIVER)


def test_without_a_network(portal: Portal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    portal.shutdown()
    portal.server_close()
    with pytest.raises(DataError, match=f"cannot be reached.*'{LIVER}.h5ad'.*ADVERSCARIAL_DATA"):
        adv.datasets.cellxgene("liver10k")
    monkeypatch.setenv("ADVERSCARIAL_DATA", str(tmp_path))
    (tmp_path / "liver10k.h5ad").write_bytes(content)
    assert set(adv.datasets.cellxgene("liver10k").obs["cell_type"]) == {"hepatocyte", "T cell"}


def test_addresses_that_are_no_web(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    with pytest.raises(DataError, match="no address of the web"):
        download((tmp_path / "secret").as_uri(), tmp_path / "y")


def test_a_folder_that_cannot_be_written_to(portal: Portal, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with cache_in(tmp_path / "file"), pytest.raises(StorageError, match="cannot be written"):
        adv.datasets.cellxgene(LIVER)


def test_counts_in_x_stay_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = portal_cells(normalized=False)
    monkeypatch.setenv("ADVERSCARIAL_DATA", str(tmp_path))
    cells.write_h5ad(tmp_path / f"{OLDER}.h5ad")
    found = adv.datasets.cellxgene(OLDER)
    np.testing.assert_array_equal(found.X.toarray(), cells.X.toarray())
    assert "normalized" not in found.layers
    cells.X = cells.X * 0.5
    cells.write_h5ad(tmp_path / f"{OLDER}.h5ad")
    with pytest.raises(DataError, match="holds counts"):
        adv.datasets.cellxgene(OLDER)


def test_ids_are_those_of_the_paper() -> None:
    assert {id_of(name) for name in PAPER_IDS} == {
        "12c868c6-94df-48b5-acf2-b82f6aa14074",
        "cd6398a9-c0af-4467-9091-c536866535bd",
        "08073b32-d389-41f4-a4fd-616de76915ab",
    }
