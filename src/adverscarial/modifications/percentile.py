"""Every cell gets one quantile of the gene: the gene is switched off or on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import numpy as np

from adverscarial.cells.cluster import Cluster
from adverscarial.errors import ParameterError
from adverscarial.modifications.base import NUMBER, Modification, check_number, exact, number
from adverscarial.modifications.effect import Intent

Over = Literal["all", "expressing", "others"]

_OVER: dict[str, str] = {
    "all": "all cells of the data set",
    "expressing": "the cells of the data set that express it",
    "others": "the cells of the other clusters",
}


@dataclass(frozen=True, repr=False)
class Percentile(Modification, name="perc"):
    """Every cell gets one quantile of the gene (linear interpolation), over all cells of the data set or some of them.

    Parameters
    ----------
    q
        Percent, 0 to 100. The paper's perc1 switches a gene off, its perc99 switches it on.
    over
        The cells that the quantile is taken over:

        - ``"all"``: all cells of the data set, zeros included, as in the paper
        - ``"expressing"``: the cells whose value is above 0; in data with negative values, such as z-scores, above the
          gene's smallest value
        - ``"others"``: all cells outside of the attacked cluster, zeros and cells without a label included

    Notes
    -----
    The 99th percentile of a gene that fewer than 1% of all cells express is 0. ``"perc99"`` does not switch such a gene
    on, and it switches the gene off in the cells that express it. ``"perc99:expressing"`` switches on every gene that
    at least one cell expresses. ``"perc99:others"`` gives the cells a value that occurs in other clusters: the
    cluster's own cells, which may be most of those that express the gene, do not count.

    Examples
    --------
    >>> str(Percentile(99, over="expressing"))
    'perc99:expressing'
    """

    q: float
    over: Over = "all"

    pattern = f"perc{NUMBER}(?::(expressing|others))?"
    examples: ClassVar[dict[str, str]] = {
        "perc1": "switch the gene off: its 1st percentile",
        "perc99": "switch the gene on: its 99th percentile",
        "perc99:expressing": "switch a rare gene on too: its 99th percentile over the cells that express it",
        "perc99:others": "switch the gene on as in other clusters: its 99th percentile over their cells",
    }
    place = 10
    possible = True

    def __post_init__(self) -> None:
        check_number("Percentile: q", self.q, 0, 100)
        if self.over not in _OVER:
            raise ParameterError(f"Percentile: over must be 'all', 'expressing' or 'others', got '{self.over}'.")

    def values(self, cluster: Cluster, genes: np.ndarray) -> np.ndarray:  # noqa: D102
        statistics, q = cluster.statistics, self.q / 100
        if self.over == "expressing":
            return statistics.quantile_expressing(genes, q)[None, :]
        if self.over == "others":
            return statistics.quantile_without(genes, q, cluster.values(genes))[None, :]
        return statistics.quantile(genes, q)[None, :]

    @classmethod
    def parsed(cls, match: re.Match[str]) -> Self:  # noqa: D102
        over: Over = match[2] or "all"  # type: ignore[assignment]  # the pattern has no others
        return cls(number(match[1]), over)

    @property
    def intent(self) -> Intent | None:  # noqa: D102
        low = self.q <= 5 and self.over != "expressing"  # a low value of those that express it is still expression
        return "lower" if low else "raise" if self.q >= 95 else None

    @property
    def meaning(self) -> str:  # noqa: D102
        extreme = {"lower": ": the gene is switched off", "raise": ": the gene is switched on", None: ""}[self.intent]
        return f"Every cell gets percentile {self.q:g} of the gene, taken over {_OVER[self.over]}{extreme}."

    @property
    def brief(self) -> str:  # noqa: D102
        text = {"lower": "switched off", "raise": "switched on", None: f"percentile {self.q:g}"}[self.intent]
        return text + {"all": "", "expressing": " as where expressed", "others": " as in other clusters"}[self.over]

    def __str__(self) -> str:
        return f"perc{exact(self.q)}{'' if self.over == 'all' else f':{self.over}'}"
