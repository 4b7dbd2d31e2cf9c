"""How many genes each cell needs to get each label, where that is all that is known about a classifier."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from adverscarial.classifiers.scorers.prefixes import NEVER


class Needs(NamedTuple):
    """Lower bounds for single cells.

    Attributes
    ----------
    labels
        Names of the labels.
    codes
        Label of each cell now, a position among the labels.
    fewest
        Genes that each cell is proven to need to get each label, shape (cells, labels), at least 1; NEVER: no number of
        genes does it. What stands at a cell's own label means nothing.
    """

    labels: np.ndarray
    codes: np.ndarray
    fewest: np.ndarray

    @property
    def own(self) -> np.ndarray:
        """The same, with NEVER at each cell's own label: what it takes to get another one."""
        own = self.fewest.copy()
        own[np.arange(len(own)), self.codes] = NEVER
        return own
