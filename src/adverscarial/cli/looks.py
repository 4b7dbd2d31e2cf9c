"""Notes on standard error about cells that look otherwise than most likely meant: labels, and names of genes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial.cells.cluster import cluster_labels
from adverscarial.classifiers import Classifier, Markers, ScType
from adverscarial.classifiers.families.marker_tables import in_capitals
from adverscarial.cli.output import note
from adverscarial.errors import some

_MANY = 100  # different numbers; a column of clusters has fewer


def note_labels(adata: AnnData, groupby: str, *, halves: bool) -> None:
    """Note cells without a cluster, clusters of one cell, and a column that seems to hold measurements.

    Parameters
    ----------
    adata, groupby
        The cells, and the column of their clusters.
    halves
        Whether one half of each cluster is trained on, and the other attacked.
    """
    labels = pd.Series(cluster_labels(adata, groupby))
    if missing := int(labels.isna().sum()):
        left = "are neither trained on nor attacked" if halves else "belong to no cluster"
        note(f"{missing:,} of {len(labels):,} cells have no value in obs['{groupby}']: they {left}.")
    sizes = labels.value_counts()
    single = sorted(sizes.index[sizes == 1])
    if single:
        what = "1 cluster has" if len(single) == 1 else f"{len(single):,} clusters have"
        then = (
            "with two halves, that cell is trained on, and there is none to attack."
            if halves
            else "what is found says something about that cell only."
        )
        note(f"{what} one cell only ({some(single)}): {then}")
    column = adata.obs[groupby]
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
        numbers = column.dropna().to_numpy(dtype=np.float64)
        if (numbers != np.rint(numbers)).any() or len(sizes) > _MANY:
            note(
                f"obs['{groupby}'] holds {len(sizes):,} different numbers, so it seems to be a measurement, not a "
                "cluster: each number counts as a cluster of its own. Name a column of clusters with --groupby."
            )


def note_species(adata: AnnData, models: Mapping[str, Classifier]) -> None:
    """Note where genes written as those of mouse meet markers written as those of human, whatever their case."""
    genes = pd.Index(adata.var_names.astype(str))
    upper = genes.str.upper()
    for name, model in models.items():
        if not isinstance(model, ScType | Markers):
            continue
        given = model.get_params()["markers"]
        if not in_capitals(given) or (isinstance(model, Markers) and given is None):
            continue  # markers that training found are of the cells that it was trained on
        wanted = {gene for sets in model.markers.values() for listed in sets for gene in listed}
        found = genes[upper.isin(wanted)]
        other = found[found != found.str.upper()]
        if 2 * len(other) > len(found):
            note(
                f"{len(other):,} of the {len(found):,} genes that are markers of {name} are written otherwise "
                f"({some(other, 3)}), as mouse genes are, and its markers in capitals, as human ones. They are matched "
                "whatever their case, but human markers need not be those of mouse cells: use a table for mouse "
                "(--classifier sctype:MARKERS.tsv), or a classifier trained on mouse cells."
            )
