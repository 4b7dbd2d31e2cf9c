"""What a classifier says of a cluster's cells after their counts have changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from adverscarial._types import Ints
from adverscarial.cells.matrix import CellMatrix, layer_of
from adverscarial.classifiers.base import Classifier
from adverscarial.errors import ClassifierError, InputRejected
from adverscarial.stresses.reading import Reading

#: label of cells that the classifier refused to label
REFUSED = "(refused)"

_CELLS = 2048  # made dense at a time


@dataclass
class Asker:
    """A classifier beside the layer it reads; asks about cells at some rows.

    Attributes
    ----------
    model
        The classifier.
    adata, layer, reading
        The data, the layer that it reads, and how that is made of counts.
    rows
        The cells to ask about.
    cluster, labels
        Their cluster, and the cluster of each cell of the data.
    """

    model: Classifier
    adata: AnnData
    layer: str | None
    reading: Reading
    rows: Ints
    cluster: str
    labels: np.ndarray

    def __post_init__(self) -> None:
        genes = pd.Index(self.adata.var_names.astype(str))
        self._whole = self.model.needs_all_cells or self.model.of_clusters
        self._bound = self.model if self._whole else self.model.bind(genes)
        self._columns = self._bound.align(genes)
        self._every = len(self._columns) == len(genes) and bool((self._columns == np.arange(len(genes))).all())
        self._others = self._of_read_genes() if self._whole else None

    def _of_read_genes(self) -> AnnData:
        """Return all cells with the genes that the classifier reads, dense: changed cells are written into it."""
        matrix = CellMatrix(layer_of(self.adata, self.layer))
        part = AnnData(np.array(matrix.columns(self._columns)), obs=self.adata.obs.copy())
        part.var_names = self.adata.var_names[self._columns]
        return part

    def unchanged(self) -> np.ndarray:
        """Return the label of each cell as the data hold it, text."""
        matrix = CellMatrix(layer_of(self.adata, self.layer))
        matrix.check_finite(self.adata)
        said = [self._said(matrix.rows(self.rows[here]), self.rows[here]) for here in self._parts(len(self.rows))]
        if any((labels == REFUSED).all() for labels in said):
            raise ClassifierError(f"{self.model.name} refuses even the unmodified cells of '{self.cluster}'.")
        return np.concatenate(said)

    def after(self, changed: Sequence[sp.csr_array]) -> list[np.ndarray]:
        """Return the label of each cell with each of these counts, shape (rows,), text.

        Parameters
        ----------
        changed
            Counts of the cells, cells x all genes, one matrix for each query.
        """
        if self._whole or len(changed) == 1:
            return [self._ask(counts, self.rows) for counts in changed]
        n = len(self.rows)
        together = self._ask(sp.csr_array(sp.vstack(changed, format="csr")), np.tile(self.rows, len(changed)))
        if (together == REFUSED).any():  # a refusal is of all that is asked at once
            return [self._ask(counts, self.rows) for counts in changed]
        return [together[k * n : (k + 1) * n] for k in range(len(changed))]

    def _ask(self, counts: sp.csr_array, rows: Ints) -> np.ndarray:
        parts = self._parts(len(rows))
        return np.concatenate([self._said(self.reading.values(counts[here], rows[here]), rows[here]) for here in parts])

    def _parts(self, n: int) -> list[slice]:
        size = n if self._whole else _CELLS
        return [slice(start, start + size) for start in range(0, n, size)]

    def _said(self, values: np.ndarray, rows: Ints) -> np.ndarray:
        read = values if self._every else values[:, self._columns]
        try:
            labels = self._of_cells(read) if self._others is None else self._of_all(self._others, read, rows)
        except InputRejected:
            return np.full(len(rows), REFUSED)
        if labels.shape != (len(rows),):
            raise ClassifierError(f"{self.model.name} labelled {len(labels):,} cells of {len(rows):,}.")
        return labels

    def _of_cells(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(self._bound.decide(values).labels, dtype=str)

    def _of_all(self, others: AnnData, values: np.ndarray, rows: Ints) -> np.ndarray:
        others.X[rows] = values
        answer = self.model.predict_cluster(others, rows, self.cluster, self.labels, None)
        if answer.rejected:
            return np.full(len(rows), REFUSED)
        # one that labels whole clusters says the same of each cell
        return np.full(len(rows), answer.label) if answer.labels is None else np.asarray(answer.labels, dtype=str)
