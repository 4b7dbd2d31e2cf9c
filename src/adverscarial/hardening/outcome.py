"""A hardened classifier, and what hardening did."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from adverscarial._html import card
from adverscarial.attacks.base import Attack
from adverscarial.attacks.result import Result
from adverscarial.classifiers.base import Classifier


@dataclass(frozen=True, eq=False)
class Hardening:
    """A hardened classifier, and what hardening did.

    Attributes
    ----------
    classifier
        The model of the last round.
    before
        The model of round 0: the same settings, trained on the same clean cells, without any attack.
    table
        One row per round, all but the first two columns measured on held-out cells:

        ``round``
            0 is before.
        ``adversarial_cells``
            Cells added to the training set so far (*examples*); of *pgd*, clean cells replaced in each epoch.
        ``epsilon``
            Half the width of the box of *pgd*; NaN otherwise.
        ``clean_accuracy``
            Balanced accuracy (mean over types of the share of their cells named right).
        ``attacked_accuracy``
            The same after the attack: each cluster as ``result.apply`` leaves it, and as it was where the attack found
            nothing or the classifier refuses the changed cells.
        ``clusters``, ``flipped``, ``success``
            Attacked clusters, those whose label the attack flips, and their share.
        ``flipping_genes``
            Genes that flip their cluster's label alone, over all clusters (SingleGene; NaN otherwise).
        ``genes_needed``
            Median over the clusters: genes that a successful attack changes; of MaxChange, the signature's length.
    note
        What a reader should know, such as a round that found nothing to train on.
    """

    classifier: Classifier
    before: Classifier
    table: pd.DataFrame
    attack: Attack[Result]
    method: str
    note: str = ""

    def _repr_html_(self) -> str:
        """Return it as a notebook shows it."""
        heading, _, rest = str(self).partition("\n")
        return card(heading, rest, self.table)

    def __str__(self) -> str:
        first, last = self.table.iloc[0], self.table.iloc[-1]
        lines = [f"{self.attack!r} on {self.classifier.name}, hardened by {self.method}, {int(last['round'])} round(s)"]

        def line(name: str, column: str, form: str, of: str = "") -> None:
            if not np.isnan(first[column]) or not np.isnan(last[column]):
                lines.append(f"  {name:<20}{_text(first[column], form)} -> {_text(last[column], form)}{of}")

        line("clusters flipped", "flipped", ".0f", f" of {int(last['clusters'])}")
        line("flipping genes", "flipping_genes", ",.0f")
        line("genes needed", "genes_needed", ",.1f")
        line("accuracy, clean", "clean_accuracy", ".3f", " (balanced, held-out cells)")
        line("accuracy, attacked", "attacked_accuracy", ".3f")
        return "\n".join([*lines, *([f"  note  {self.note}"] if self.note else [])])


def _text(value: float, form: str) -> str:
    return "none" if np.isnan(value) else format(value, form)
