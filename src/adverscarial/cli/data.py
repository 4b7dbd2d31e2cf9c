"""Reading and writing of data files."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, BinaryIO

from anndata import AnnData

from adverscarial import _store, datasets
from adverscarial.cells.matrix import layer_of
from adverscarial.cli.options import Preprocess, Reading
from adverscarial.cli.output import note, working
from adverscarial.datasets.files import format_of
from adverscarial.datasets.remote.portal import PAPER_IDS
from adverscarial.errors import DataError, ParameterError, StorageError


class _Heard(logging.Handler):
    """Keeps what the library warns of, to note it when the status line is gone."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


def load(path: Path, *, raw: bool = False, layer: str | None = None, **options: Any) -> AnnData:
    """Read a data file; note what was decided about it, and of a table, which columns were taken for no genes.

    Parameters
    ----------
    path
        The file, or the folder.
    raw
        Whether ``adata.raw`` takes the place of ``X``, with its own genes; there are no layers then.
    layer
        A layer that takes the place of ``X``.
    options
        Those of :func:`adverscarial.datasets.load`; one that is None counts as left out.
    """
    if raw and layer is not None:
        raise ParameterError(f"adata.raw has no layers: leave out --raw, or --layer {layer}.")
    heard, logger = _Heard(), logging.getLogger("adverscarial.datasets")
    logger.addHandler(heard)
    try:
        with working(f"Reading {path} ..."):
            given = {name: value for name, value in options.items() if value is not None}
            adata = datasets.load(path, **given | ({"arrange": False} if raw else {}))  # raw as it is stored
    finally:
        logger.removeHandler(heard)
    for text in heard.texts:
        note(text)
    if len(adata.obs.columns) and path.is_file() and format_of(path).name == "table":
        columns = [f"'{name}' ('{adata.obs[name].iloc[0]}', ...)" for name in adata.obs]
        shown = ", ".join(columns[:5]) + (f" and {len(columns) - 5:,} more" if len(columns) > 5 else "")
        note(f"{path.name}: read as descriptions of cells, not as genes, since they hold no numbers: {shown}.")
    if raw:
        if adata.raw is None:
            raise DataError(f"'{path}' has no adata.raw. Leave out --raw to use X, or name a layer with --layer.")
        adata = adata.raw.to_adata()
    if layer is not None:
        adata.X = layer_of(adata, layer)
    return adata


def fetched(name: str, *, raw: bool = False, layer: str | None = None) -> AnnData | None:
    """Return one of the paper's data sets by its name, fetched if need be; None for any other name."""
    if name not in PAPER_IDS:
        return None
    if raw:
        raise ParameterError(f"'{name}' has its counts in X; leave out --raw.")
    adata = datasets.cellxgene(name)
    if layer is not None:
        adata.X = layer_of(adata, layer)
    return adata


def read(
    path: Path, prepare: Preprocess, *, raw: bool = False, layer: str | None = None, mod: str | None = None
) -> AnnData:
    """Read a data file and prepare it; a layer that is named takes the place of ``X``, to be prepared in turn.

    Where nothing is prepared, the layer stays where it is, and is asked about there: see :attr:`Reading.asked`.
    """
    if raw and layer is not None:
        raise ParameterError(f"adata.raw has no layers: leave out --raw, or --layer {layer}.")
    adata = load(path, raw=raw, layer=None if prepare is Preprocess.none else layer, mod=mod)
    if prepare is Preprocess.none:
        layer_of(adata, layer)  # said now if it is not there
        return adata
    with working(f"Preparing {path} ..."):
        return datasets.preprocess(
            adata, target_sum=None if prepare is Preprocess.scale else 1e4, scale=prepare is not Preprocess.lognorm
        )


def read_as(path: Path, reading: Reading, *, train: bool = False) -> AnnData:
    """Read a data file as the options of a command say; training cells may lie in a file without modalities."""
    mod = reading.mod
    if train and mod is not None and "mod" not in format_of(path).options:
        mod = None
    return read(path, reading.preprocess, raw=reading.raw, layer=reading.layer, mod=mod)


def write_data(path: Path, adata: AnnData) -> None:
    """Write an ``.h5ad`` file; under its name there is all of it, or what was there before."""

    def write(file: BinaryIO) -> None:
        try:
            adata.write_h5ad(file.name)  # by name: HDF5 wants a file of its own
        except OSError:
            raise  # of the disk, not of the data
        except Exception as error:  # anndata's own error for a type is no public class
            raise unstorable(path, error) from error

    _store.write_atomically(path, write)


def check_free(out: Path, overwrite: bool) -> None:
    """Raise a StorageError when something is there already that is not to be replaced."""
    if out.exists() and not overwrite:
        raise StorageError(f"'{out}' is there already. Choose another name, or replace it with --overwrite.")


def unstorable(path: Path, error: Exception) -> DataError:
    """Return the error for data that a file format cannot hold."""
    where = "".join(getattr(error, "__notes__", [])[:1])  # anndata notes there which element it was
    return DataError(
        f"The data cannot be written to '{path}' ({type(error).__name__}: {error}{' ' + where if where else ''}). "
        "Some element is of a type that AnnData files cannot hold: remove it (adata.uns, adata.obs) and try again."
    )
