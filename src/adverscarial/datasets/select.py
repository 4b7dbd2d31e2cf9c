"""Which values of a data set are meant: a modality of a MuData, raw, or a layer."""

from __future__ import annotations

from typing import Any, Protocol

from anndata import AnnData

from adverscarial.cells.matrix import layer_of
from adverscarial.datasets.readers.mudata import chosen_modality
from adverscarial.errors import DataError, ParameterError


class Modalities(Protocol):
    """What a MuData is known by."""

    mod: Any
    obs: Any


def select(
    data: AnnData | Modalities, *, mod: str | None = None, use_raw: bool = False, layer: str | None = None
) -> AnnData:
    """Return the values that are meant as the ``X`` of a new AnnData, which every function here takes.

    Parameters
    ----------
    data
        An AnnData, or a MuData.
    mod
        Of a MuData: the modality; ``rna`` when left out. Columns of ``obs`` that all modalities share are added.
    use_raw
        Take the values and the genes of ``raw``.
    layer
        Take this layer.

    Returns
    -------
    A new AnnData without layers. Results of attacks hold for it: pass it to ``result.apply``, too.

    Raises
    ------
    DataError
        If there is no such modality, no raw, or no such layer.
    ParameterError
        If both `use_raw` and `layer` are given, as in scanpy, or `mod` for an AnnData.

    Examples
    --------
    >>> import adverscarial as adv
    >>> cells = adv.datasets.embedded()
    >>> cells.layers["double"] = cells.X * 2
    >>> adv.datasets.select(cells, layer="double").X.max() == 2 * cells.X.max()
    np.True_
    """
    if use_raw and layer is not None:
        raise ParameterError("use_raw=True and layer= name different values. Leave one of them out.")
    adata = _modality(data, mod)
    adata = adata.to_memory() if adata.isbacked else adata
    if use_raw:
        if adata.raw is None:
            raise DataError("There is no raw. Leave use_raw out to use X, or name a layer with layer=.")
        return adata.raw.to_adata()
    X = layer_of(adata, layer)
    return AnnData(X.copy(), obs=adata.obs.copy(), var=adata.var.copy(), obsm=dict(adata.obsm), uns=dict(adata.uns))


def _modality(data: AnnData | Modalities, mod: str | None) -> AnnData:
    if isinstance(data, AnnData):
        if mod is not None:
            raise ParameterError(f"mod={mod!r} chooses a modality of a MuData; this is an AnnData. Leave mod out.")
        return data
    if not hasattr(data, "mod"):
        raise DataError(f"Expected an AnnData or a MuData, got a {type(data).__name__}.")
    return chosen_modality(data, mod)
