"""How a data set reaches another process: whole, or as the name of its file where it stays on disk."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd
from anndata import AnnData

from adverscarial._types import Matrix
from adverscarial.errors import ParameterError


class OnDisk(NamedTuple):
    """A backed ``.h5ad``, whose open file no process can hand to another."""

    path: str
    obs: pd.DataFrame
    layer: str | None
    values: Matrix  # of the layer: anndata holds layers in memory


def sendable(adata: AnnData, layer: str | None) -> AnnData | OnDisk:
    """Return what can be sent in place of `adata`.

    Raises
    ------
    ParameterError
        If it is a part of a backed data set, which has no file of its own.
    """
    if not adata.isbacked:
        return adata
    if adata.is_view:
        raise ParameterError(
            "This is a part of a data set on disk, and other processes can only open the whole. Use n_jobs=1 and no "
            "time_limit, or write the part to a file of its own: adata.copy('part.h5ad')."
        )
    values = None if layer is None else adata.layers[layer]
    return OnDisk(str(adata.filename), adata.obs, layer, values)


_open: dict[str, AnnData] = {}  # one entry: a process works on one survey at a time


def received(sent: AnnData | OnDisk) -> AnnData:
    """Return the data set that was sent; a file is opened once per process and survey."""
    if isinstance(sent, AnnData):
        return sent
    import anndata

    if sent.path not in _open:
        _open.clear()
        _open[sent.path] = anndata.read_h5ad(sent.path, backed="r")
    adata = _open[sent.path]
    adata.obs = sent.obs
    if sent.layer is not None:
        adata.layers[sent.layer] = sent.values
    return adata
