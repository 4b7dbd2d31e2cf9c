"""What a classifier says of a cluster's cells after their counts have changed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial._types import Ints
from adverscarial.cells.matrix import CellMatrix, layer_of
from adverscarial.classifiers.base import Classifier
from adverscarial.errors import ClassifierError, InputRejected
from adverscarial.stresses.reading import Read, Reading

#: label of cells that the classifier refused to label
REFUSED = "(refused)"

_CELLS = 1024  # made dense at a time


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
        self._all_cells = self._of_read_genes() if self._whole else None

    def _of_read_genes(self) -> AnnData:
        """Return all cells with the genes that the classifier reads, dense: changed cells are written into it."""
        matrix = CellMatrix(layer_of(self.adata, self.layer))
        part = AnnData(np.array(matrix.columns(self._columns)), obs=self.adata.obs.copy())
        part.var_names = self.adata.var_names[self._columns]
        return part

    def unchanged(self) -> np.ndarray:
        """Return the label of each cell as the data hold it, text."""
        matrix = CellMatrix(layer_of(self.adata, self.layer))
        parts = self._parts(len(self.rows))
        said = [self._labels_of(matrix.rows(self.rows[here])[:, self._columns], self.rows[here]) for here in parts]
        if any((labels == REFUSED).all() for labels in said):
            raise ClassifierError(f"{self.model.name} refuses even the unmodified cells of '{self.cluster}'.")
        return np.concatenate(said)

    def after(self, read: Read, queries: int) -> np.ndarray:
        """Return the label of each cell in each of several queries, shape (queries, rows), text.

        Parameters
        ----------
        read
            What the classifier reads of the changed cells: those of the first query, of the second, ...
        queries
            Number of queries.
        """
        n = len(self.rows)
        if not self._whole:
            together = self._ask(read, np.tile(self.rows, queries))
            if not (together == REFUSED).any():
                return together.reshape(queries, n)
        # a refusal is of all that is asked at once
        return np.stack([self._ask(read.rows(slice(k * n, (k + 1) * n)), self.rows) for k in range(queries)])

    def _ask(self, read: Read, rows: Ints) -> np.ndarray:
        parts = self._parts(len(rows))
        return np.concatenate([self._labels_of(self._dense(read.rows(here)), rows[here]) for here in parts])

    def _dense(self, read: Read) -> np.ndarray:
        once, inverse = np.unique(self._columns, return_inverse=True)
        return read.dense(self._columns) if len(once) == len(self._columns) else read.dense(once)[:, inverse]

    def _parts(self, n: int) -> list[slice]:
        size = n if self._whole else _CELLS
        return [slice(start, start + size) for start in range(0, n, size)]

    def _labels_of(self, values: np.ndarray, rows: Ints) -> np.ndarray:
        try:
            labels = self._of_cells(values) if self._all_cells is None else self._of_all(self._all_cells, values, rows)
        except InputRejected:
            return np.full(len(rows), REFUSED)
        if labels.shape != (len(rows),):
            raise ClassifierError(f"{self.model.name} labelled {len(labels):,} cells of {len(rows):,}.")
        return labels

    def _of_cells(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(self._bound.decide(values).labels, dtype=str)

    def _of_all(self, all_cells: AnnData, values: np.ndarray, rows: Ints) -> np.ndarray:
        all_cells.X[rows] = values
        answer = self.model.predict_cluster(all_cells, rows, self.cluster, self.labels, None)
        if answer.rejected:
            return np.full(len(rows), REFUSED)
        # one that labels whole clusters says the same of each cell
        return np.full(len(rows), answer.label) if answer.labels is None else np.asarray(answer.labels, dtype=str)
