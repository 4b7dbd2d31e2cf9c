"""Statistics of files: the same as in memory, to the last bit; and a cache that never speaks for another file."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pytest
import scipy.sparse as sp
import zarr
from anndata import AnnData
from anndata.io import sparse_dataset, write_elem
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import adverscarial as adv
from adverscarial.cells import matrix as matrices
from adverscarial.cells import source
from adverscarial.cells.matrix import CellMatrix
from adverscarial.cells.statistics import GeneStatistics
from adverscarial.errors import DataError, StorageError

FORMS: dict[str, Callable[[np.ndarray], Any]] = {"csr": sp.csr_matrix, "csc": sp.csc_matrix, "dense": np.array}
GENES = np.array([4, 0, 2])


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file is too large for memory, and is read a few values at a time."""
    monkeypatch.setattr(matrices, "_SMALL_FILE", 0)
    monkeypatch.setattr(matrices, "_VALUES_PER_READ", 7)


@pytest.fixture(autouse=True)
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count how often a file is read through."""
    times: list[int] = []
    pieces = CellMatrix.pieces
    monkeypatch.setattr(CellMatrix, "pieces", lambda self: times.append(1) or pieces(self))
    return times


def values(seed: int = 0, cells: int = 23, genes: int = 6, dtype: type = np.float32) -> np.ndarray:
    rng = np.random.default_rng(seed)
    X = np.round(rng.normal(1, 2, (cells, genes)) * (rng.random((cells, genes)) < 0.5), 1).astype(dtype)
    X[:, 3] = 0
    return X


def opened(path: Path) -> Any:
    """Return the matrix of a file, as it lies there."""
    if path.suffix == ".zarr":
        element = zarr.open_group(path, mode="r")["X"]
        return sparse_dataset(element) if isinstance(element, zarr.Group) else element
    return anndata.read_h5ad(path, backed="r").X


def written(path: Path, X: Any) -> Path:
    """Write a matrix as X of an AnnData file."""
    adata = AnnData(X)
    _ = adata.write_zarr(path) if path.suffix == ".zarr" else adata.write_h5ad(path)
    return path


@pytest.fixture(params=[f"{form}.{ending}" for form in FORMS for ending in ("h5ad", "zarr")])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    form, ending = request.param.split(".")
    return written(tmp_path / f"x.{ending}", FORMS[form](values()))


def all_of(statistics: GeneStatistics, X: np.ndarray) -> None:
    """Compare everything that modifications ask for with numpy on the dense matrix."""
    genes = np.arange(X.shape[1])
    for q in (0.0, 0.01, 0.33, 0.5, 0.99, 1.0):
        expected = np.quantile(X.astype(np.float64), q, axis=0)
        np.testing.assert_array_equal(statistics.quantile(genes[::-1], q), expected[::-1])
        half = len(X) // 2
        without = statistics.quantile_without(genes[::-1], q, X[:half, ::-1])
        np.testing.assert_array_equal(without, np.quantile(X[half:].astype(np.float64), q, axis=0)[::-1])
        for gene, value in zip(X.T.astype(np.float64), statistics.quantile_expressing(genes, q), strict=True):
            expressing = gene[gene > min(0, gene.min())]
            assert value == (np.quantile(expressing, q) if len(expressing) else gene[0])
    np.testing.assert_array_equal(statistics.minimum(genes), X.min(axis=0))
    np.testing.assert_array_equal(statistics.maximum(genes), X.max(axis=0))
    assert statistics.maximum_of_all() == X.max()
    for steps in (-30, -4, 0, 3, 30):
        below = (X[None] < X[:, None]).sum(axis=1)
        place = np.clip(below + steps, 0, len(X) - 1)
        np.testing.assert_array_equal(
            statistics.shifted(genes, X, steps), np.take_along_axis(np.sort(X, axis=0), place, axis=0)
        )
    some = genes[::2][::-1]
    np.testing.assert_array_equal(
        statistics.shifted(some, X[:3, some], 2), statistics.shifted(genes, X[:3], 2)[:, some]
    )
    np.testing.assert_array_equal(statistics.columns(some), X[:, some])


@pytest.mark.fast(1)
def test_a_file_says_what_numpy_says(file: Path, reads: list[int]) -> None:
    matrix = CellMatrix(opened(file))
    assert matrix.large_file
    assert len(list(matrix.pieces())) > 3
    reads.clear()
    statistics = GeneStatistics(matrix)
    statistics.quantile(GENES, 0.9)
    statistics.shifted(GENES, values()[:, GENES], 3)
    assert len(reads) == 1  # streamed once
    all_of(statistics, values())
    again = GeneStatistics(CellMatrix(opened(file)))
    reads.clear()
    again.quantile(GENES, 0.9)
    assert reads == []  # from the cache
    all_of(again, values())


@pytest.mark.fast(1)
def test_rows_of_a_file(file: Path) -> None:
    matrix, X = CellMatrix(opened(file)), values()
    for index in (np.arange(23), np.array([0, 1, 5, 21, 22]), np.array([7]), np.array([], dtype=int)):
        np.testing.assert_array_equal(matrix.rows(index), X[index])


@pytest.mark.fast(1)
def test_pieces_are_the_whole_in_order(file: Path) -> None:
    X, matrix = values(), CellMatrix(opened(file))
    for where, piece in matrix.pieces():
        dense = piece.toarray() if sp.issparse(piece) else piece
        np.testing.assert_array_equal(dense, X[:, where] if matrix.gene_by_gene else X[where])


TIED = st.sampled_from([0.0, 0.0, 0.0, -1.5, 1.0, 2.5])


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    X=st.tuples(st.integers(1, 20), st.integers(1, 5)).flatmap(
        lambda shape: arrays(np.float64, shape, elements=st.one_of(TIED, st.floats(-1e6, 1e6, allow_subnormal=False)))
    ),
    form=st.sampled_from(list(FORMS)),
    at_a_time=st.integers(1, 40),
)
def test_any_matrix_is_read_as_it_is_in_memory(
    tmp_path_factory: pytest.TempPathFactory, X: np.ndarray, form: str, at_a_time: int
) -> None:
    path = written(tmp_path_factory.mktemp("any") / "x.h5ad", FORMS[form](X))
    before, matrices._VALUES_PER_READ = matrices._VALUES_PER_READ, at_a_time
    try:
        all_of(GeneStatistics(opened(path)), X)
    finally:
        matrices._VALUES_PER_READ = before


@pytest.mark.fast(1)
@pytest.mark.parametrize("dtype", [np.int32, np.float64, np.uint8])
def test_other_types_are_read_as_float64(tmp_path: Path, dtype: type) -> None:
    X = np.abs(values()).astype(dtype)
    statistics = GeneStatistics(opened(written(tmp_path / "x.h5ad", sp.csr_matrix(X))))
    assert statistics.matrix.dtype == np.float64
    all_of(statistics, X.astype(np.float64))


@pytest.mark.slow
def test_values_written_twice_and_zeros_written_down(tmp_path: Path) -> None:
    half = sp.csr_matrix(values() / 2)
    doubled = sp.csr_matrix(
        (np.repeat(half.data, 2), np.repeat(half.indices, 2), half.indptr * 2), shape=half.shape, copy=True
    )
    doubled.data[:2] = 0
    with h5py.File(tmp_path / "x.h5ad", "w") as file:
        write_elem(file, "X", doubled)
    with h5py.File(tmp_path / "x.h5ad", "r") as file:
        all_of(GeneStatistics(sparse_dataset(file["X"])), doubled.toarray())


@pytest.mark.parametrize("form", FORMS)
def test_values_that_are_no_numbers_are_named(tmp_path: Path, form: str) -> None:
    X = values()
    X[20, 5] = np.nan  # neither in the gene nor near the cells that are asked for
    path = written(tmp_path / "x.h5ad", FORMS[form](X))
    with pytest.raises(DataError, match="1 NaN or infinite"):
        GeneStatistics(opened(path)).quantile(np.array([0]), 0.5)
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.h5ad"]  # nothing half done is left


@pytest.mark.parametrize("by_gene", [False, True])
@pytest.mark.parametrize("wrong", [-1, 1000])
def test_indices_that_point_outside(tmp_path: Path, by_gene: bool, wrong: int) -> None:
    """Compiled code would read and write where they point."""
    path = written(tmp_path / "x.h5ad", (sp.csc_matrix if by_gene else sp.csr_matrix)(values()))
    with h5py.File(path, "r+") as file:
        file["X/indices"][3] = wrong
    with pytest.raises(DataError, match="The matrix in the file is damaged"):
        GeneStatistics(opened(path)).quantile(GENES, 0.5)
    with pytest.raises(DataError, match="The matrix in the file is damaged"):
        CellMatrix(opened(path)).rows(np.arange(3))


def kept(folder: Path) -> list[Path]:
    return sorted(folder.glob("x.*.sorted-genes.h5"))


@pytest.mark.fast(1)
def test_a_changed_file_is_read_again(file: Path, reads: list[int]) -> None:
    GeneStatistics(opened(file)).quantile(GENES, 0.9)
    form = sp.csr_matrix if sp.issparse(CellMatrix(opened(file)).part(np.array([0]))) else np.array
    shutil.rmtree(file) if file.is_dir() else file.unlink()
    written(file, form(values(1)))
    reads.clear()
    all_of(GeneStatistics(opened(file)), values(1))
    assert reads
    assert len(kept(file.parent)) == 1


@pytest.mark.slow
def test_one_value_changed_in_place_with_the_old_time(tmp_path: Path) -> None:
    path = written(tmp_path / "x.h5ad", values())
    GeneStatistics(opened(path)).quantile(GENES, 0.5)
    before, X = path.stat(), values()
    X[11, 4] += 5
    with h5py.File(path, "r+") as file:
        file["X"][11, 4] = X[11, 4]
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    all_of(GeneStatistics(opened(path)), X)


def test_samples_alone_tell_small_contents_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system's times say nothing."""
    monkeypatch.setattr(source, "_files", lambda source: [])
    keys = set()
    for number in range(4):
        X = opened(written(tmp_path / "x.h5ad", sp.csr_matrix(values(number))))
        keys.add(source.content_key(X, source.source_of(X)))
        X.group.file.close()
    assert len(keys) == 4


@pytest.mark.slow
def test_another_file_under_a_kept_name(tmp_path: Path) -> None:
    """Two files swap their names, with what was kept of them lying beside."""
    for name, seed in (("x.h5ad", 0), ("y.h5ad", 1)):
        GeneStatistics(opened(written(tmp_path / name, sp.csr_matrix(values(seed))))).quantile(GENES, 0.5)
    os.rename(tmp_path / "x.h5ad", tmp_path / "z")
    os.rename(tmp_path / "y.h5ad", tmp_path / "x.h5ad")
    all_of(GeneStatistics(opened(tmp_path / "x.h5ad")), values(1))


@pytest.mark.slow
def test_layers_are_kept_apart(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5ad", "w") as file:
        write_elem(file, "X", sp.csr_matrix(values(0)))
        write_elem(file.create_group("layers"), "counts", sp.csr_matrix(values(1)))
    with h5py.File(tmp_path / "x.h5ad", "r") as file:
        for _ in range(2):
            all_of(GeneStatistics(sparse_dataset(file["X"])), values(0))
            all_of(GeneStatistics(sparse_dataset(file["layers/counts"])), values(1))
    assert len(kept(tmp_path)) == 2


@pytest.mark.fast(2)
@pytest.mark.parametrize("seed", range(16))
def test_damage_is_noticed(tmp_path: Path, seed: int) -> None:
    """Bits flipped, cut short, emptied: either it does not matter, or it is computed anew."""
    path = written(tmp_path / "x.h5ad", sp.csr_matrix(values()))
    all_of(GeneStatistics(opened(path)), values())
    (cache,) = kept(tmp_path)
    rng, content = np.random.default_rng(seed), bytearray(cache.read_bytes())
    assert b"GCOL" not in content  # HDF5's heaps of texts have no checksum
    if seed % 4:
        content[rng.integers(len(content))] ^= 1 << rng.integers(8)
    else:
        content = content[: rng.integers(len(content))]
    cache.write_bytes(content)
    all_of(GeneStatistics(opened(path)), values())


@pytest.mark.slow
def test_damage_while_in_use(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = written(tmp_path / "x.h5ad", sp.csr_matrix(values()))
    statistics = GeneStatistics(opened(path))
    statistics.quantile(GENES, 0.5)
    (cache,) = kept(tmp_path)
    cache.unlink()
    all_of(statistics, values())
    cache.write_bytes(b"no such thing")
    all_of(GeneStatistics(opened(path)), values())
    assert "computing it anew" in caplog.text


def test_a_file_that_changes_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "x.h5ad", sp.csr_matrix(values()))
    matrix = CellMatrix(opened(path))
    pieces = CellMatrix.pieces

    def touched(self: CellMatrix) -> Any:
        yield from pieces(self)
        os.utime(path)

    monkeypatch.setattr(CellMatrix, "pieces", touched)
    with pytest.raises(StorageError, match="was changed while it was read"):
        GeneStatistics(matrix).quantile(GENES, 0.5)
    assert kept(tmp_path) == []


@pytest.mark.slow
def test_nothing_is_kept_of_a_file_open_for_writing_or_in_memory(tmp_path: Path) -> None:
    path = written(tmp_path / "x.h5ad", sp.csr_matrix(values()))
    backed = anndata.read_h5ad(path, backed="r+")
    all_of(GeneStatistics(backed.X), values())
    backed.file.close()
    group = zarr.group()
    write_elem(group, "X", sp.csr_matrix(values()))
    all_of(GeneStatistics(sparse_dataset(group["X"])), values())
    assert kept(tmp_path) == []


@pytest.mark.fast(1)
@pytest.mark.parametrize("chosen", [True, False])
def test_where_it_is_kept_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: bool) -> None:
    (tmp_path / "data").mkdir()
    path = written(tmp_path / "data" / "x.h5ad", sp.csr_matrix(values()))
    if chosen:
        monkeypatch.setenv("ADVERSCARIAL_CACHE", str(tmp_path / "kept"))
    else:
        monkeypatch.delenv("ADVERSCARIAL_CACHE", raising=False)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "kept"))
        monkeypatch.setattr(source.os, "access", lambda folder, mode: False)  # root may write anywhere
    for _ in range(2):
        all_of(GeneStatistics(opened(path)), values())
    assert [entry.name for entry in path.parent.iterdir()] == ["x.h5ad"]
    assert len([entry for entry in (tmp_path / "kept").rglob("*") if entry.is_file()]) == 1


def test_a_full_disk_is_said_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "x.h5ad", sp.csr_matrix(values()))
    monkeypatch.setattr(
        "adverscarial.cells.streams.shutil.disk_usage", lambda folder: shutil._ntuple_diskusage(10, 10, 0)
    )
    with pytest.raises(StorageError, match=r"needs about .* GB in .* ADVERSCARIAL_CACHE"):
        GeneStatistics(opened(path)).quantile(GENES, 0.5)
    assert kept(tmp_path) == []


@pytest.mark.slow
def test_an_attack_on_a_file_is_the_attack_in_memory(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every modification, and both searches that a forest answers; rows and genes are read a few at a time."""
    cells = adv.datasets.embedded()
    model = adv.classifiers.RandomForest(20, seed=0).fit(cells, "cell_type")
    monkeypatch.setattr(matrices, "_VALUES_PER_READ", 20_000)
    form = sp.csr_matrix if sp.issparse(CellMatrix(opened(file)).part(np.array([0]))) else np.array
    cells.X = form(cells.X.toarray())
    path = file.parent / f"cells{file.suffix}"
    _ = cells.write_zarr(path) if file.suffix == ".zarr" else cells.write_h5ad(path)
    backed = adv.datasets.load(path, backed=True)
    modifications = ("perc99", "decile+5", "random", "positive_aberrant", "dropout:0.5")
    for attack in [
        *(adv.attacks.SingleGene(modification) for modification in modifications),
        adv.attacks.MaxChange("perc99", restarts=1),
    ]:
        there, here = (attack(data, model, groupby="cell_type", target="CD19+ B") for data in (backed, cells))
        assert there.to_frame().equals(here.to_frame())
        assert there.row() == here.row()
    assert there.verify(backed, model).table["confirmed"].all()
    changed = there.apply(backed)
    assert isinstance(changed.X, np.ndarray) or sp.issparse(changed.X)
