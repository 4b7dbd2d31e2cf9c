"""Data for a classifier that knows other genes: the absent ones are added, and how many were there is said first."""

from __future__ import annotations

import logging
from typing import Literal

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from adverscarial._docs import documented
from adverscarial._types import Matrix
from adverscarial.cells.choice import Cells, has_modalities, meant
from adverscarial.cells.cluster import check_genes
from adverscarial.cells.matrix import CellMatrix, is_sparse, layer_of, layers_of
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.gene_names import difference, mismatch_message, other_names
from adverscarial.classifiers.wrap import wrap
from adverscarial.errors import GeneMismatchError, ParameterError, did_you_mean

logger = logging.getLogger(__name__)


@documented
def match_genes(
    adata: Cells,
    classifier: object,
    *,
    missing: Literal["error", "zero", "mean"] = "error",
    reference: Cells | None = None,
    mod: str | None = None,
    use_raw: bool = False,
    layer: str | None = None,
) -> AnnData:
    """Return the data with every gene that a classifier needs.

    Parameters
    ----------
    %(adata_and_classifier)s
    missing
        What a gene gets that the data do not have. ``"error"``: nothing, it is an error. ``"zero"``: 0, which means
        "not expressed" for counts and log-normalised values, and "as the mean" for z-scores. ``"mean"``: its mean in
        `reference`, or the mean that the classifier keeps from its training (scikit-learn's ``StandardScaler``).
    reference
        Cells with these genes, prepared alike: those that the classifier was trained on. Of a MuData and of its ``raw``
        the same values are taken as of `adata`.
    %(values)s
    layer
        Layer that the classifier reads; ``X`` when left out. With ``"mean"``, only this one gets means, the others 0.

    Returns
    -------
    A new AnnData: the genes of `adata` first, then the absent ones. ``var["matched"]`` is False for these; an attack on
    them changes nothing. ``uns["matched_genes"]`` has the numbers, which are logged too. Genes that an earlier call
    added, for another classifier, are kept, and do not count as matched.

    Raises
    ------
    GeneMismatchError
        If genes are missing and `missing` is "error"; if none is there, or they are only written otherwise.
    ParameterError
        If no mean is known.

    Notes
    -----
    Some families do as their library does, and nothing is added for them: CellTypist leaves absent genes out, which is
    what their means would give; marker scores use the markers that are there. Nobody knows what a forest says of genes
    that it never saw absent: look at how many matched, and at the labels of known cells.

    %(cells_example)s
    >>> model = adv.classifiers.RandomForest(n_estimators=5, seed=0).fit(cells, "cell_type")
    >>> fewer = cells[:, 100:]
    >>> found = match_genes(fewer, model, missing="zero")
    >>> found.uns["matched_genes"]["matched"], found.n_vars
    (665, 765)
    """
    if missing not in ("error", "zero", "mean"):
        hint = did_you_mean(missing, ["error", "zero", "mean"])
        raise ParameterError(f"missing must be 'error', 'zero' or 'mean', got {missing!r}.{hint}")
    adata = meant(adata, mod=mod, use_raw=use_raw, layer=layer)
    check_genes(adata)
    have = pd.Index(adata.var_names.astype(str))
    whole = wrap(classifier)
    model = whole.bind(have)
    needed = have if model.genes is None else pd.Index(model.genes)
    absent = needed[~needed.isin(have)]
    listed = needed if whole.genes is None else pd.Index(whole.genes)  # bound, some families drop what is absent
    matched = int(listed.isin(have[_measured(adata)]).sum())
    level = logging.WARNING if matched < len(listed) else logging.INFO
    logger.log(level, "%s: %d of %d genes matched (missing='%s').", model.name, matched, len(listed), missing)
    if len(absent) and (missing == "error" or not matched or difference(needed, have)):
        advice = " Or pass missing='zero' or 'mean'." if missing == "error" and matched else ""
        raise GeneMismatchError(mismatch_message(model.name, needed, have) + advice)
    if hint := other_names(absent, have):
        logger.warning("%s: %s", model.name, hint)
    if reference is not None:
        reference = meant(reference, mod=mod if has_modalities(reference) else None, use_raw=use_raw)
    values = np.zeros(len(absent)) if missing != "mean" else _means(absent, model, reference, layer)
    found = widened(adata, absent, values, layer)
    found.uns["matched_genes"] = {
        "classifier": model.name, "matched": matched, "needed": len(listed), "missing": missing,
    }  # fmt: skip
    return found


def _measured(adata: AnnData) -> np.ndarray:
    """Return which genes were measured, not added by an earlier call."""
    if "matched_genes" in adata.uns and "matched" in adata.var and adata.var["matched"].dtype == bool:
        measured: np.ndarray = adata.var["matched"].to_numpy()
        return measured
    return np.ones(adata.n_vars, dtype=bool)


def _means(absent: pd.Index, model: Classifier, reference: AnnData | None, layer: str | None) -> np.ndarray:
    """Return the means of genes: of the reference, else those that the classifier keeps."""
    if not len(absent):
        return np.zeros(0)
    if reference is not None:
        known = pd.Index(reference.var_names.astype(str))
        found = known.get_indexer(absent)
        if (found < 0).any():
            raise GeneMismatchError(mismatch_message("The reference", absent, known))
        return np.asarray(CellMatrix(layer_of(reference, layer)).columns(found).mean(axis=0, dtype=np.float64))
    kept = model.gene_means()
    if kept is None or model.genes is None:
        raise ParameterError(
            f"{model.name} keeps no means of what it was trained on. Pass those cells as reference=, or use "
            "missing='zero'."
        )
    means: np.ndarray = kept[model.genes.get_indexer(absent)]
    return means


def widened(adata: AnnData, absent: pd.Index, values: np.ndarray, layer: str | None) -> AnnData:
    """Return a copy with genes added: one value in all cells of a layer (None: ``X``), and 0 in the other layers."""
    zeros = np.zeros(len(absent))
    X = None if adata.X is None else _beside(adata.X, values if layer is None else zeros)
    layers = {name: _beside(held, values if name == layer else zeros) for name, held in layers_of(adata).items()}
    var = adata.var.copy()
    var.index = var.index.astype(str)
    wide = var.reindex([*var.index, *absent])
    for name in var:
        if var[name].dtype in (bool, object):  # no file format has a missing yes or no, or text
            rest = [False if var[name].dtype == bool else ""] * len(absent)
            wide[name] = np.concatenate([var[name].to_numpy(), np.array(rest, dtype=var[name].dtype)])
    wide["matched"] = np.concatenate([_measured(adata), np.zeros(len(absent), dtype=bool)])
    return AnnData(X, obs=adata.obs.copy(), var=wide, layers=layers, obsm=dict(adata.obsm), uns=dict(adata.uns))


def _beside(X: Matrix, values: np.ndarray) -> Matrix:
    """Return a matrix in memory with columns of one value each behind its own."""
    held = CellMatrix(X).part(np.arange(X.shape[0]))
    block = np.broadcast_to(values, (X.shape[0], len(values)))
    if is_sparse(held):
        dtype = np.promote_types(held.dtype, np.float32)
        return sp.hstack([held.tocsr(), sp.csr_matrix(block.astype(dtype))], format="csr")
    dense = np.asarray(held.compute() if hasattr(held, "compute") else held)
    return np.hstack([dense, block.astype(np.promote_types(dense.dtype, np.float32))])
