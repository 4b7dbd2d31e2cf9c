"""Technical and biological changes of clusters, with a guard and without."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from adverscarial._types import Ints
from adverscarial.cells.cluster import cluster_labels, cluster_names
from adverscarial.classifiers.answers import vote
from adverscarial.classifiers.guard.guard import Guard
from adverscarial.classifiers.guard.scorers import UNSURE
from adverscarial.stresses.asking import REFUSED, Asker
from adverscarial.stresses.base import checked_strengths, parse
from adverscarial.stresses.cells import CountCells
from adverscarial.stresses.chance import generator
from adverscarial.stresses.reading import Reading, counts_of, reading_of


class Found(NamedTuple):
    """What one attack, or one change, does to all clusters.

    Attributes
    ----------
    flips
        Flips to another label.
    unsure
        Flips to "unknown", not counted in `flips`.
    rejected
        Changes that were refused.
    attacked
        The clusters as it leaves them: cells x watched genes.
    """

    flips: int
    unsure: int
    rejected: int
    attacked: list[np.ndarray]


class _Data(NamedTuple):
    """The cells, their counts, and how the one is made of the other."""

    adata: AnnData
    layer: str | None
    cells: CountCells
    reading: Reading


def under_changes(
    adata: AnnData, guard: Guard, changes: Mapping[str, float], groupby: str, layer: str | None, seed: int
) -> Iterator[tuple[str, Found, Found]]:
    """Yield each change as text, and what it does without the guard and with it, drawn once.

    Raises
    ------
    DataError
        If there are no counts, or a change is not possible in these data.
    ParameterError
        If there is no such change, or its strength makes no sense.
    """
    if not changes:
        return
    counts, genes = counts_of(adata, layer, None), pd.Index(adata.var_names.astype(str))
    cells = CountCells(counts, genes, cluster_labels(adata, groupby))
    data = _Data(adata, layer, cells, reading_of(adata, layer, counts))
    for text, strength in changes.items():
        change = parse(text)
        (strong,) = checked_strengths(change, [strength])
        free = held = Found(0, 0, 0, [])
        for cluster in cluster_names(cells.clusters):
            rows = change.concerned(cells, np.flatnonzero(cells.clusters == cluster))
            if len(rows):
                changed = change.apply(cells, rows, strong, generator(seed, change, cluster, 0))
                free, held = (_added(one, data, guard, named, cluster, rows, changed)
                              for one, named in ((free, False), (held, True)))  # fmt: skip
        yield f"{change} {strong:g}", free, held


def _added(
    found: Found, data: _Data, guard: Guard, guarded: bool, cluster: str, rows: Ints, changed: sp.csr_array
) -> Found:
    """Return what was found, with one more cluster."""
    model = guard if guarded else guard.inner
    asker = Asker(model, data.adata, data.layer, data.reading, rows, cluster, data.cells.clusters)
    before, after = asker.unchanged(), asker.after(data.reading.read(changed, rows), 1)[0]
    refused = bool((after == REFUSED).all())
    flipped = not refused and vote(after)[0] != vote(before)[0]
    new = flipped and vote(after)[0] == UNSURE and UNSURE not in guard.inner.labels
    attacked = found.attacked
    if not guarded:
        attacked = [*attacked, data.reading.values(changed, rows, guard.align(data.cells.genes))]
    return Found(found.flips + (flipped and not new), found.unsure + new, found.rejected + refused, attacked)
