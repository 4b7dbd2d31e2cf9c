"""The simplest classifier there is: the cell type whose markers are expressed most, on average."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any, Self

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers.answers import Decision
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.families.linear_model import LinearModel, bound_once
from adverscarial.classifiers.families.marker_tables import MarkerTable, read_markers, source_text
from adverscarial.classifiers.families.training import training_matrix
from adverscarial.classifiers.gene_names import MARKERS_ARE_SYMBOLS, difference, warn_of_orthologues
from adverscarial.classifiers.registry import CommandLine
from adverscarial.classifiers.scorers.linear import LinearScorer
from adverscarial.errors import ClassifierError, GeneMismatchError, ParameterError, some


class Markers(
    Classifier,
    family="markers",
    command_line=CommandLine("markers", "Mean expression of each type's markers; the largest mean wins.", place=20),
):
    """Mean expression of each type's markers; the largest mean wins, the first on a tie.

    Parameters
    ----------
    markers
        As for :class:`ScType` (negative markers are not used). Left out: found by :meth:`fit`.
    n_markers
        Markers per type that :meth:`fit` chooses: those whose mean in the type exceeds the mean elsewhere most.
    unknown_below
        A cell whose best mean is below this is "unknown".
    tissue
        Rows of the table to use, when it covers several tissues.

    Examples
    --------
    >>> Markers({"B": ["CD79A", "MS4A1"], "T": ["CD3D"]}).classes
    ('B', 'T')
    """

    def __init__(
        self,
        markers: str | PathLike[str] | pd.DataFrame | Mapping[str, object] | None = None,
        *,
        n_markers: int = 10,
        unknown_below: float | None = None,
        tissue: str | None = None,
    ) -> None:
        self.n_markers, self.unknown_below, self.tissue = n_markers, unknown_below, tissue
        self.genes = None
        self.markers = markers

    def __repr__(self) -> str:
        settings = [self._source] if self._source else []
        settings += [] if self.n_markers == 10 else [f"n_markers={self.n_markers}"]
        settings += [] if self.unknown_below is None else [f"unknown_below={self.unknown_below}"]
        settings += [f"tissue={self.tissue!r}"] if self.tissue else []
        return f"Markers({', '.join(settings)})"

    @property
    def markers(self) -> MarkerTable:
        """Markers of each type."""
        if self._markers is None:
            raise ClassifierError("Markers has no markers yet: pass a table, or call fit(adata, groupby) first.")
        return self._markers

    @markers.setter
    def markers(self, markers: object) -> None:
        self._given, self._source = markers, source_text(markers)
        self._markers: MarkerTable | None = None if markers is None else read_markers(markers, self.tissue)

    def get_params(self, deep: bool = True) -> dict[str, object]:
        """Return the settings by name; the markers as they were given, not those that :meth:`fit` found."""
        return {
            "markers": self._given,
            "n_markers": self.n_markers,
            "unknown_below": self.unknown_below,
            "tissue": self.tissue,
        }

    @property
    def classes(self) -> tuple[str, ...]:  # type: ignore[override]
        """Cell types, and "unknown" where `unknown_below` is set."""
        return (*self.markers, *(("unknown",) if self.unknown_below is not None else ()))

    def _check_settings(self) -> None:
        if self.n_markers < 1:
            raise ParameterError(f"Markers: n_markers must be at least 1, got {self.n_markers}.")

    def _train(self, adata: AnnData, groupby: str, layer: str | None) -> None:
        X, labels, genes = training_matrix(adata, groupby, layer, None, 0)
        found = {}
        for cell_type in np.unique(labels):
            inside = labels == cell_type
            excess = X[inside].mean(axis=0) - X[~inside].mean(axis=0)
            found[str(cell_type)] = list(genes[np.argsort(-excess, kind="stable")[: self.n_markers]])
        self._markers = read_markers(found)

    def bind(self, genes: pd.Index) -> LinearModel:  # noqa: D102
        settings = (tuple(self.markers.items()), self.unknown_below)
        return bound_once(self, genes, settings, lambda: self._bound(genes))

    def _bound(self, genes: pd.Index) -> LinearModel:
        positions = {gene: place for place, gene in reversed(list(enumerate(genes.str.upper())))}
        present = {
            name: [positions[gene] for gene in dict.fromkeys(sets.positive) if gene in positions]
            for name, sets in self.markers.items()
        }
        if empty := [name for name, found in present.items() if not found]:
            wanted = [gene for name in empty for gene in self.markers[name].positive]
            raise GeneMismatchError(
                f"Markers: no marker of {some(empty)} is among the {len(genes):,} genes ({some(genes)}). "
                + (difference(pd.Index(wanted), genes.str.upper()) or MARKERS_ARE_SYMBOLS)
            )
        listed = {gene for sets in self.markers.values() for gene in sets.positive}
        warn_of_orthologues(self.name, tuple(sorted(listed - set(positions))), tuple(genes))
        used = sorted({place for found in present.values() for place in found})
        weights = np.zeros((len(used), len(self.classes)))
        bias = np.zeros(len(self.classes))
        for k, found in enumerate(present.values()):
            weights[np.searchsorted(used, found), k] = 1 / len(found)
        if self.unknown_below is not None:  # "unknown" is one more class that always scores the same
            bias[-1] = self.unknown_below
        return LinearModel(self.name, genes[used], self.classes, weights, bias)

    def decide(self, X: np.ndarray) -> Decision:
        """Not to be called: markers are named genes; see :meth:`bind`."""
        raise GeneMismatchError("Markers needs gene names: call bind(genes).decide(X), or predict(adata).")

    def scorer(self, cluster: Cluster) -> LinearScorer:  # noqa: D102
        return self.bind(cluster.genes).scorer(cluster)

    def state(self) -> tuple[Mapping[str, object], Mapping[str, np.ndarray]]:  # noqa: D102
        table = {name: list(sets.positive) for name, sets in self.markers.items()}
        return {"markers": table, "n_markers": self.n_markers, "unknown_below": self.unknown_below}, {}

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:  # noqa: D102
        return cls(meta["markers"], n_markers=int(meta["n_markers"]), unknown_below=meta["unknown_below"])
