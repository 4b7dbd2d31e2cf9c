"""Does what flips one classifier flip the others? The flips of a survey, tried on all its classifiers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial.errors import AdverscarialError
from adverscarial.evaluation.transfer import transfer
from adverscarial.report.figures import Figure, embed
from adverscarial.report.sentences import count, percent
from adverscarial.surveys.table import Survey

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Transferred(NamedTuple):
    """What the section shows."""

    sentence: str
    figure: Figure


def transferred(survey: Survey, adata: AnnData, classifiers: Mapping[str, object]) -> Transferred | None:
    """Return the section; None for one classifier, where nothing flips, or where nothing can be tried."""
    try:
        table = transfer(adata, survey, classifiers, progress=False)
    except AdverscarialError:
        return None
    if len(classifiers) < 2 or not table["n"].sum():
        return None
    alt = f"Heat map of the percentage of flips that carry over between {count(len(classifiers), 'classifier')}."
    caption = "Percent of the flips found on the classifier of the row that flip the classifier of the column, too."
    return Transferred(sentence_of(table), embed(lambda: _drawn(table), alt=alt, caption=caption))


def _drawn(table: pd.DataFrame) -> Axes:
    from adverscarial import pl

    return pl.transfer(table)


def sentence_of(table: pd.DataFrame) -> str:
    """Return where most carries over, of what was found on another classifier.

    >>> shares = pd.DataFrame({"n": [10, 4], "A": [1, 0.5], "B": [0.2, 1]}, index=["A", "B"])
    >>> sentence_of(shares)
    'Most carries over from B to A: 50% of 4 flips.'
    """
    shares = table.drop(columns="n").astype(float)
    others = [(i, j) for i in shares.index for j in shares.columns if i != j and not np.isnan(shares.at[i, j])]
    if not others:
        return "No flip was found that another classifier could be asked about."
    source, other = max(others, key=lambda pair: shares.at[pair])
    share = float(shares.at[source, other])
    if not share:
        return "No flip carries over to another classifier."
    n = count(int(table.at[source, "n"]), "flip")
    return f"Most carries over from {source} to {other}: {percent(share)} of {n}."
