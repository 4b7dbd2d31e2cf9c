"""Which values of a data set are meant: a modality of a MuData, raw, or a layer."""

from __future__ import annotations

from anndata import AnnData

from adverscarial.cells.choice import Cells, has_modalities, held_by, modality_name, with_shared
from adverscarial.cells.matrix import layer_of
from adverscarial.errors import DataError, ParameterError


def select(data: Cells, *, mod: str | None = None, use_raw: bool = False, layer: str | None = None) -> AnnData:
    """Return the values that are meant as the ``X`` of a new AnnData, which every function here takes.

    Most take ``mod``, ``use_raw`` and ``layer`` themselves, and need no copy.

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


def _modality(data: Cells, mod: str | None) -> AnnData:
    if isinstance(data, AnnData):
        if mod is not None:
            modality_name(data, mod)  # which says that there are none
        return data
    if not has_modalities(data):
        raise DataError(f"Expected an AnnData or a MuData, got a {type(data).__name__}.")
    adata = held_by(data, mod).copy()
    adata.obs = with_shared(adata.obs, data.obs)
    return adata
