"""What 10x files say of their features, the same for folders and ``.h5`` files: type, genome, and names that repeat."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from anndata import AnnData

from adverscarial.errors import ParameterError, did_you_mean, some

logger = logging.getLogger(__name__)

_GENES = "Gene Expression"


@contextmanager
def names_may_repeat() -> Iterator[None]:
    """Silence anndata's warning about names that repeat, where they are made unique right after."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Variable names are not unique", UserWarning)
        yield


def unique_genes(adata: AnnData, path: Path) -> AnnData:
    """Make gene names unique that a format allows to repeat."""
    if not adata.var_names.is_unique:
        repeated = adata.var_names[adata.var_names.duplicated()].unique()
        logger.info("'%s': %d gene names repeat (%s); numbers were added.", path, len(repeated), some(repeated))
        adata.var_names_make_unique()
    return adata


def only_genes(adata: AnnData, path: Path, genome: str | None = None) -> AnnData:
    """Keep the features of the type 'Gene Expression', and of one genome; then make the names unique.

    Names are made unique last, so that an antibody called CD4 does not rename the gene CD4. Where no feature is of
    that type, all are kept, and a warning says so.
    """
    keep = np.ones(adata.n_vars, dtype=bool)
    if "feature_types" in adata.var:
        types = adata.var["feature_types"].astype(str).to_numpy()
        if (types == _GENES).any():
            keep = types == _GENES
        elif len(types):
            logger.warning(
                "'%s' holds no features of the type '%s'; all %d are kept, of the types %s.",
                path, _GENES, len(types), some(sorted(set(types))),
            )  # fmt: skip
        if not keep.all():
            left_out = sorted(set(types[~keep]))
            logger.info("'%s': %d features of other types are left out: %s.", path, (~keep).sum(), some(left_out))
    if genome is not None:
        keep &= _of_genome(adata, path, genome)
    return unique_genes(adata if keep.all() else adata[:, keep].copy(), path)


def _of_genome(adata: AnnData, path: Path, genome: str) -> np.ndarray:
    """Return which features are of a genome: by its column, or by the beginning of the ids, as in Cell Ranger's."""
    if "genome" in adata.var:
        genomes = adata.var["genome"].astype(str).to_numpy()
    else:
        ids = adata.var.get("gene_ids", adata.var_names)
        genomes = np.array([str(gene).rsplit("_", 1)[0] if "_" in str(gene) else "" for gene in ids])
        genomes = np.array([name.rstrip("_") for name in genomes])
    there = sorted(set(genomes) - {""})
    if genome not in there:
        have = f"It holds {some(there)}." if 0 < len(there) < 10 else "It names no genomes."
        raise ParameterError(f"'{path}' has no genome '{genome}'.{did_you_mean(genome, there)} {have}")
    return np.asarray(genomes == genome)
