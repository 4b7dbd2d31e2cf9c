"""Where the genes of a data set stand in something that holds some of them."""

from __future__ import annotations

import numpy as np

from adverscarial._types import Ints


def places_of(columns: Ints, n_genes: int) -> Ints:
    """Return for each gene of the data set where it stands among `columns`; -1 for genes that are not there.

    Parameters
    ----------
    columns
        Positions in the data set; negative ones stand for genes that it lacks.
    n_genes
        Genes of the data set.

    Examples
    --------
    >>> places_of(np.array([2, -1, 0]), 4)
    array([ 2, -1,  0, -1])
    """
    places = np.full(n_genes, -1, dtype=np.int64)
    there = np.flatnonzero(columns >= 0)
    places[columns[there]] = there
    return places
