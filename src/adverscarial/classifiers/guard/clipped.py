"""A classifier that reads no value beyond a limit, so that no gene can weigh much more than the others."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial.cells.cluster import check_genes
from adverscarial.cells.matrix import CellMatrix, copy_of, layer_of
from adverscarial.classifiers.guard.guard import Guard
from adverscarial.classifiers.guard.limits import Limits
from adverscarial.classifiers.guard.training import trained
from adverscarial.errors import ParameterError


class Clipped(Guard, family="clipped"):
    """A classifier that is trained on, and asked about, values cut off at a limit on either side of 0.

    One gene can then move a score no further than from ``-limit`` to ``limit``. It is meant for z-scores, in which a
    rarely expressed gene has values of 10 where most have 1 or 2: an attacker who switches such a gene on needs few.

    :meth:`fit` with a column of cell types trains a fresh copy of the classifier on clipped values. Without one, the
    classifier is used as it is: it was trained on values that were not clipped, and may make less of clipped ones.

    Parameters
    ----------
    %(classifier)s
    limit
        Values above it become `limit`, values below ``-limit`` become ``-limit``. In units of the data: standard
        deviations, of z-scores.

    See Also
    --------
    Guard : learns from the training cells which values are possible, and is wider than this.
    adverscarial.harden : what hardening brings, and how that is measured.

    %(cells_example)s
    >>> model = Clipped(adv.classifiers.Markers(n_markers=50), limit=2).fit(cells, "cell_type")
    >>> changed = adv.modify(cells, list(cells.var_names), "fixed:900", groupby="cell_type", target="CD19+ B")
    >>> at_the_limit = adv.modify(cells, list(cells.var_names), "fixed:2", groupby="cell_type", target="CD19+ B")
    >>> model.predict(changed).equals(model.predict(at_the_limit))
    True
    """

    def __init__(self, classifier: object, limit: float = 1.0) -> None:
        super().__init__(classifier, "clip", cells=False)
        self.limit = limit

    def __repr__(self) -> str:
        return f"Clipped({self.inner!r}, limit={self.limit!r})"

    @property
    def name(self) -> str:  # noqa: D102
        return f"{self.inner.name} (clipped at {self.limit:g})"

    def get_params(self, deep: bool = True) -> dict[str, object]:
        """Return the settings by name."""
        return {"classifier": self.classifier, "limit": self.limit}

    def _settings(self) -> dict[str, Any]:
        return {"limit": self.limit}

    def _check_settings(self) -> None:
        if not isinstance(self.limit, Real) or not 0 < self.limit < np.inf:
            raise ParameterError(f"Clipped: limit must be a number above 0, got {self.limit!r}.")

    def _train(self, adata: AnnData, groupby: str | None, layer: str | None) -> None:
        check_genes(adata)
        cells = adata if groupby is None else self._cut_off(adata, layer)
        model = trained(self.classifier, cells, groupby, layer)
        genes = pd.Index(adata.var_names.astype(str))
        columns = model.bind(genes).align(genes)
        self._limits = Limits.around_zero(float(self.limit), len(columns))
        self._inner, self._watched, self.trained_on = model, genes[columns], model.trained_on

    def _cut_off(self, adata: AnnData, layer: str | None) -> AnnData:
        """Return the cells with values cut off at the limit; the original stays as it is."""
        matrix = CellMatrix(layer_of(adata, layer))
        matrix.check_finite(adata)
        cut = copy_of(adata)
        X = np.clip(matrix.rows(np.arange(adata.n_obs)), -self.limit, self.limit)
        if layer is None:
            cut.X = X
        else:
            cut.layers[layer] = X
        return cut

    def state(self) -> tuple[Mapping[str, object], Mapping[str, np.ndarray]]:  # noqa: D102
        meta, arrays = super().state()
        return {**meta, "settings": self._settings()}, arrays
