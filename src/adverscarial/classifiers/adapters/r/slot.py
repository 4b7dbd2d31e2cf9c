"""A matrix as R holds it: some cells of the data, and the changes that were made to them for good."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import scipy.sparse as sp

from adverscarial._types import Matrix
from adverscarial.classifiers.adapters.r.protocol import Field

#: what stands for a cell without a cluster; no cluster is called so
_NO_CLUSTER = "\x1e"


@dataclass(frozen=True, eq=False)
class Slot:
    """Cells x genes for R to hold. It never changes: what is changed for good is another slot.

    Attributes
    ----------
    block
        Returns the values, cells x genes, dense or sparse.
    genes, cells
        Their names.
    rows
        Positions of the cells whose values change; None for all.
    clusters, target
        Each cell's cluster, None where it has none, and the attacked one; for functions of clusters.
    changes
        New values by position of the gene, one for each of the rows.
    """

    block: Callable[[], Matrix]
    genes: Sequence[str]
    cells: Sequence[str]
    rows: np.ndarray | None = None
    clusters: Sequence[str | None] = ()
    target: str = ""
    changes: Mapping[int, np.ndarray] = field(default_factory=dict)

    @property
    def n_rows(self) -> int:
        """Cells whose values change."""
        return len(self.cells) if self.rows is None else len(self.rows)

    def changed(self, genes: np.ndarray, values: np.ndarray) -> Slot:
        """Return the slot with some genes changed for good; arguments as for a scorer."""
        columns = np.broadcast_to(values, (self.n_rows, len(genes)))
        new = {int(gene): np.array(columns[:, k], dtype=np.float64) for k, gene in enumerate(genes)}
        return replace(self, changes={**self.changes, **new})

    def delta(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the changes as genes and values."""
        genes = np.array(list(self.changes), dtype=np.int64)
        values = np.column_stack(list(self.changes.values())) if len(genes) else np.empty((self.n_rows, 0))
        return genes, values

    def fields(self) -> list[Field]:
        """Return what R needs to make the matrix, without the changes."""
        block = self.block()
        n, p = block.shape
        starts = inside = np.empty(0, dtype=np.int32)
        if sp.issparse(block):
            csc = sp.csc_array(block)
            csc.sum_duplicates()
            values, starts, inside = csc.data, csc.indptr, csc.indices
        else:
            values = np.asarray(block)
        clusters = [_NO_CLUSTER, *(_NO_CLUSTER if name is None else name for name in self.clusters)]
        return [
            np.array([n, p, sp.issparse(block)], dtype=np.int32),
            np.asarray(values, dtype=np.float64),
            starts.astype(np.int32),
            inside.astype(np.int32),
            one_based(self.rows),
            list(self.cells),
            list(self.genes),
            clusters,
            [self.target],
        ]


def one_based(positions: np.ndarray | None) -> np.ndarray:
    """Return positions as R counts them; none for None.

    >>> one_based(np.array([0, 2])).tolist()
    [1, 3]
    """
    return np.empty(0, dtype=np.int32) if positions is None else (np.asarray(positions) + 1).astype(np.int32)
