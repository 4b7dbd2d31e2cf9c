"""scType: cell types by weighted sums of positive and negative marker genes (Ianevski et al. 2022)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from os import PathLike
from typing import Any, Self

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial.cells.cluster import Cluster, check_genes
from adverscarial.cells.matrix import CellMatrix, layer_of
from adverscarial.cells.zscores import moments, standardised, zscores
from adverscarial.classifiers.answers import Decision
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.families.linear_model import LinearModel, bound_once
from adverscarial.classifiers.families.marker_tables import MarkerTable, read_markers, source_text
from adverscarial.classifiers.gene_names import MARKERS_ARE_SYMBOLS, difference, warn_of_orthologues
from adverscarial.classifiers.registry import Choice, CommandLine
from adverscarial.classifiers.scorers.linear import LinearScorer
from adverscarial.classifiers.scorers.linear_sums import stretches
from adverscarial.errors import GeneMismatchError, some


class ScType(
    Classifier,
    family="sctype",
    command_line=CommandLine(
        "sctype", "Weighted sums of marker z-scores; sctype:MARKERS.tsv reads your own table.", trained=False, place=70
    ),
):
    """scType's score: the best sum of marker z-scores, rarer markers weighing more.

    ``score_k = sum_P w_g z_g / sqrt|P_k| - sum_N w_g z_g / sqrt|N_k|`` with ``w_g = (types - uses of g) / (types - 1)``
    for positive markers. No training.

    Parameters
    ----------
    markers
        A file (tsv, csv, xlsx), a DataFrame with the columns ``cell_type, positive, negative`` (genes separated by
        commas; ``tissue`` optional; scType's own column names are understood), or a dict of type -> genes.
        The small PBMC table of this package when left out.
    tissue
        Rows of the table to use, when it covers several tissues.
    scaled
        True: the data are z-scores already, as in the paper. False: each gene is z-scored over all cells of the data.
        A gene that does not vary counts as 0.

    Examples
    --------
    >>> import adverscarial as adv
    >>> cells = adv.datasets.embedded()
    >>> adv.predict(cells, ScType(scaled=False), groupby="cell_type", target="CD19+ B").label
    'B cell'
    """

    def __init__(
        self,
        markers: str | PathLike[str] | pd.DataFrame | Mapping[str, object] | None = None,
        *,
        tissue: str | None = None,
        scaled: bool = True,
    ) -> None:
        self._given, self._source = markers, source_text(markers)
        self.tissue, self.scaled = tissue, scaled
        self.markers: MarkerTable = read_markers(markers, tissue)
        self.classes = tuple(self.markers)
        self.genes = None
        self.needs_all_cells = not scaled

    def __repr__(self) -> str:
        settings = [self._source] if self._source else []
        settings += [f"tissue={self.tissue!r}"] if self.tissue else []
        settings += [] if self.scaled else ["scaled=False"]
        return f"ScType({', '.join(settings)})"

    @classmethod
    def from_command_line(cls, choice: Choice) -> Self:
        """Return it for data that are z-scores already, where they were prepared so; else it takes z-scores itself."""
        return cls(choice.argument or None, tissue=choice.tissue, scaled=choice.preprocess in ("scale", "counts"))

    def get_params(self, deep: bool = True) -> dict[str, object]:
        """Return the settings by name; the markers as they were given."""
        return {"markers": self._given, "tissue": self.tissue, "scaled": self.scaled}

    def sensitivity(self) -> dict[str, float]:
        """Return the weight of each positive marker: 1 if one type uses it, 0 if all do."""
        types = len(self.markers)
        uses = Counter(gene for sets in self.markers.values() for gene in sets.positive)
        return {gene: (types - n) / (types - 1) if types > 1 else 1.0 for gene, n in uses.items()}

    def bind(self, genes: pd.Index) -> LinearModel:
        """Return the weighted sums over the markers that the data have.

        A type without any positive marker in the data is left out. Of genes that share a name in upper case, the
        first stands for all of them, as in the original.

        Raises
        ------
        GeneMismatchError
            If no type keeps a positive marker.
        """
        return bound_once(self, genes, tuple(self.markers.items()), lambda: self._bound(genes))

    def _bound(self, genes: pd.Index) -> LinearModel:
        wanted = {gene for sets in self.markers.values() for listed in sets for gene in listed}
        positions: dict[str, list[int]] = {}
        upper = [str(gene).upper() for gene in genes]  # an index's own str.upper takes several times as long
        for found, gene in enumerate(upper):
            if gene in wanted:
                positions.setdefault(gene, []).append(found)
        sensitivity = self.sensitivity()
        columns: dict[str, dict[int, float]] = {}
        for cell_type, sets in self.markers.items():
            weights: dict[int, float] = {}
            for sign, listed in ((1.0, sets.positive), (-1.0, sets.negative)):
                present = [gene for gene in dict.fromkeys(listed) if gene in positions]
                rows = sum(len(positions[gene]) for gene in present)
                if sign > 0 and not present:
                    break
                for gene in present:
                    first = positions[gene][0]
                    weight = sign * len(positions[gene]) * sensitivity.get(gene, 1.0) / np.sqrt(rows)
                    weights[first] = weights.get(first, 0.0) + weight
            else:
                columns[cell_type] = weights
        if not columns:
            raise GeneMismatchError(
                f"ScType: none of the {len(sensitivity):,} positive markers ({some(sensitivity)}) is among "
                f"the {len(genes):,} genes ({some(genes)}). "
                + (difference(pd.Index(list(sensitivity)), pd.Index(upper)) or MARKERS_ARE_SYMBOLS)
            )
        warn_of_orthologues("ScType", tuple(sorted(wanted - set(positions))), tuple(genes))
        used = sorted({place for weights in columns.values() for place in weights})
        row = {place: i for i, place in enumerate(used)}
        matrix = np.zeros((len(used), len(columns)))
        for k, weights in enumerate(columns.values()):
            for place, weight in weights.items():
                matrix[row[place], k] = weight
        return LinearModel(self.name, genes[used], list(columns), matrix)

    def decide(self, X: np.ndarray) -> Decision:
        """Not to be called: scType works on named genes; see :meth:`bind`."""
        raise GeneMismatchError("ScType needs gene names: call bind(genes).decide(X), or predict(adata).")

    def _decide_all(self, adata: AnnData, layer: str | None, progress: bool | None = False) -> Decision:
        if self.scaled:
            return super()._decide_all(adata, layer, progress)
        check_genes(adata)
        matrix = CellMatrix(layer_of(adata, layer))
        matrix.check_finite(adata)
        genes = pd.Index(adata.var_names.astype(str))
        model = self.bind(genes)
        if not adata.n_obs:
            return super()._decide_all(adata, layer)
        columns = matrix.columns(model.align(genes)).astype(np.float64)
        return model.decide(zscores(columns))

    def scorer(self, cluster: Cluster) -> LinearScorer:  # noqa: D102
        model = self.bind(cluster.genes)
        if self.scaled:
            return model.scorer(cluster)
        columns = model.align(cluster.genes)
        whole = cluster.statistics.columns_by_gene(columns)  # they are read one by one
        in_cluster = np.zeros(len(whole), dtype=bool)
        in_cluster[cluster.rows] = True

        def rescaled(columns: np.ndarray, values: np.ndarray) -> np.ndarray:
            """Return z-scores of new values: they move the gene's own mean and spread over all cells."""
            mean, spread, varies = np.empty(len(columns)), np.empty(len(columns)), np.empty(len(columns), dtype=bool)
            for k, place in enumerate(columns):
                column = whole[:, place].astype(np.float64)
                column[in_cluster] = values[:, k]
                mean[k], spread[k], varies[k] = (one[0] for one in moments(column[:, None]))
            shape = cluster.n_cells, len(columns)
            if len(values) == 1:
                return np.broadcast_to(standardised(values, mean, spread, varies), shape)
            z = np.empty(shape)
            for cells in stretches(len(z)):
                z[cells] = standardised(values[cells], mean, spread, varies)
            return z

        return model.scorer(cluster, rescaled)

    def state(self) -> tuple[Mapping[str, object], Mapping[str, np.ndarray]]:  # noqa: D102
        table = {name: [list(sets.positive), list(sets.negative)] for name, sets in self.markers.items()}
        return {"markers": table, "tissue": self.tissue, "scaled": self.scaled}, {}

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:  # noqa: D102
        table = {name: {"positive": sets[0], "negative": sets[1]} for name, sets in meta["markers"].items()}
        model = cls(table, scaled=bool(meta["scaled"]))
        model.tissue = meta["tissue"]
        return model
