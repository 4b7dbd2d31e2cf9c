"""Seurat objects of versions 3 to 5 as AnnData."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from adverscarial.datasets.r.experiments import cells_by_genes, chosen
from adverscarial.datasets.r.serialized import RObject
from adverscarial.datasets.r.values import Named, UnreadableError, column, frame, listed, matrix
from adverscarial.errors import DataError, ParameterError, did_you_mean, some

logger = logging.getLogger(__name__)

_CONVERT = "In R: saveRDS(Seurat::as.SingleCellExperiment(x), 'sce.rds')."


def read(node: RObject, path: Path, mod: str | None = None) -> AnnData:
    """Return one assay of a Seurat object: `mod`, else ``RNA``, else the active one.

    Its ``counts`` are X (else ``data``), other matrices of the same genes and cells layers; ``meta.data`` becomes obs,
    the active identities its column ``ident``, reductions obsm.
    """
    assays = listed(node.slot("assays"))
    name = _assay(node, assays, path, mod)
    found, unread = _layers(assays[name])
    if not found:
        what = "; ".join(f"'{layer}' is {said}" for layer, said in unread.items()) or "it has no counts and no data"
        raise DataError(f"'{path}': the assay '{name}' of the Seurat object cannot be read: {what}. {_CONVERT}")
    main = chosen(found, ("counts", "data"))
    logger.info("'%s': '%s' of the assay '%s' is X.", path, main, name)
    if unread:
        logger.warning("'%s': %s of the assay '%s' cannot be read and are left out.", path, some(unread), name)
    X = found.pop(main)
    genes, cells = X.rows, X.columns
    if genes is None or cells is None:
        raise DataError(f"'{path}': the assay '{name}' names no genes or no cells. {_CONVERT}")
    layers = {layer: cells_by_genes(each.values) for layer, each in found.items() if _fits(each, X)}
    var = _var(assays[name], genes)
    adata = AnnData(cells_by_genes(X.values), obs=_obs(node, cells), var=var, layers=layers)
    for reduction, each in listed(node.slot("reductions")).items():
        coordinates = each.slot("cell.embeddings")
        if coordinates is not None and (values := matrix(coordinates)).columns is not None and values.rows == cells:
            adata.obsm[f"X_{reduction}"] = np.asarray(values.values)
    return adata


def _assay(node: RObject, assays: dict[str, RObject], path: Path, mod: str | None) -> str:
    if not assays:
        raise DataError(f"'{path}' is a Seurat object without assays. {_CONVERT}")
    if mod is not None and mod not in assays:
        raise ParameterError(
            f"The Seurat object '{path}' has no assay '{mod}'.{did_you_mean(mod, list(assays))} "
            f"It holds {some(assays)}."
        )
    active = node.texts("active.assay") or []
    name = mod or next((name for name in ("RNA", *active) if name in assays), next(iter(assays)))
    if len(assays) > 1 and mod is None:
        logger.warning("'%s' holds the assays %s: '%s' is read (mod= chooses).", path, some(assays), name)
    return str(name)


def _layers(assay: RObject) -> tuple[dict[str, Named], dict[str, str]]:
    """Return the matrices of an assay, and what is said of those that cannot be read."""
    new = assay.slot("layers")  # of version 5
    parts = listed(new) if new is not None else {n: s for n in ("counts", "data") if (s := assay.slot(n)) is not None}
    found: dict[str, Named] = {}
    unread: dict[str, str] = {}
    for name, each in parts.items():
        try:
            values = matrix(each)
        except UnreadableError as error:
            unread[name] = str(error)
            continue
        if 0 in values.values.shape:
            continue  # not computed yet
        if new is not None:
            rows, columns = (_logged(assay.slot(side), name) for side in ("features", "cells"))
            values = Named(values.values, rows or values.rows, columns or values.columns)
        found[name] = values
    return (_joined(found, assay) if new is not None else found), unread


def _logged(node: RObject | None, layer: str) -> list[str] | None:
    """Return the names of a layer from a map of names by layers."""
    if node is None:
        return None
    table = _map(node)
    if table.columns is None or table.rows is None or layer not in table.columns:
        return None
    return [table.rows[i] for i in np.flatnonzero(np.asarray(table.values)[:, table.columns.index(layer)])]


def _map(node: RObject) -> Named:
    """Return a LogMap, a matrix of yes and no: which names (rows) each layer (column) has."""
    return matrix(RObject("logical", node.data, {name: node.attributes[name] for name in ("dim", "dimnames")}))


def _joined(found: dict[str, Named], assay: RObject) -> dict[str, Named]:
    """Join layers that Seurat keeps apart for each sample, such as ``counts.1`` and ``counts.2``."""
    joined: dict[str, Named] = {}
    held = assay.slot("cells")
    everyone = None if held is None else _map(held).rows
    for kind in ("counts", "data"):
        parts = [each for name, each in found.items() if name.startswith(f"{kind}.")]
        if kind in found or not parts:
            continue
        if any(each.rows is None or each.columns is None for each in parts):
            continue
        genes = list(dict.fromkeys(gene for each in parts for gene in each.rows or []))
        there = {cell for each in parts for cell in each.columns or []}
        cells = [cell for cell in everyone or [] if cell in there]
        rows, columns = pd.Index(genes), pd.Index(cells)
        values = sp.csc_matrix((len(genes), len(cells)))
        for each in parts:
            coo = sp.coo_matrix(each.values)
            coordinates = (
                rows.get_indexer(pd.Index(each.rows))[coo.row],
                columns.get_indexer(pd.Index(each.columns))[coo.col],
            )
            values = values + sp.csc_matrix((coo.data, coordinates), shape=values.shape)
        joined[kind] = Named(values, genes, cells)
        logger.info("The layers of %d samples are joined to '%s'.", len(parts), kind)
    return joined or found


def _fits(each: Named, X: Named) -> bool:
    return bool(each.values.shape == X.values.shape and each.rows == X.rows and each.columns == X.columns)


def _var(assay: RObject, genes: list[str]) -> pd.DataFrame:
    """Return what the assay says of its genes; version 5 writes no names there, they are those of its features."""
    index = pd.Index(genes, dtype=object)
    described, features = assay.slot("meta.features") or assay.slot("meta.data"), assay.slot("features")
    if described is None:
        return pd.DataFrame(index=index)
    table = frame(described)
    if features is not None and (names := _map(features).rows) is not None and len(names) == len(table):
        table.index = pd.Index(names, dtype=object)
    return table.reindex(index) if set(genes) <= set(table.index) else pd.DataFrame(index=index)


def _obs(node: RObject, cells: list[str]) -> pd.DataFrame:
    described, active = node.slot("meta.data"), node.slot("active.ident")
    table = pd.DataFrame(index=pd.Index(cells, dtype=object)) if described is None else frame(described)
    if active is not None and "ident" not in table:
        names, values = active.texts("names"), column(active)
        if names is not None and values is not None and len(names) == len(values):
            table["ident"] = pd.Series(values, index=pd.Index(names, dtype=object)).reindex(table.index)
    return table.reindex(pd.Index(cells, dtype=object))
