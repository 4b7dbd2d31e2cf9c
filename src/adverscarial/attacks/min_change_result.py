"""What a search for the smallest set of genes found: an interval, and a set."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial._docs import documented
from adverscarial._types import Row
from adverscarial.attacks.columns import Column, Count
from adverscarial.attacks.coverage import Coverage
from adverscarial.attacks.gate import Gate
from adverscarial.attacks.minimal.certify import Certificate, certify
from adverscarial.attacks.result import GeneSet, Result
from adverscarial.attacks.settings import is_limited
from adverscarial.classifiers.answers import of_the_cells


@dataclass(frozen=True, repr=False, kw_only=True)
class MinChangeResult(Result):
    """Between which numbers the smallest set of genes lies that flips the label.

    Attributes
    ----------
    lower
        No set of fewer genes flips the label; proven. Where no set does at all, one more than the genes attacked.
    impossible
        Whether it is proven that no set of genes flips the label.
    proof
        What proves the lower bound: ``"single-gene scan"`` (every gene was tried alone), ``"own sets"`` (each cell may
        use its own best genes), ``"share of the vote"`` (the winner of k labels has a k-th of the votes at least),
        ``"one set for all"`` (one set must serve all cells), ``"milp"`` (mixed-integer program), ``"all combinations"``
        (of the few genes that can be in such a set), ``"no gene moves"``, ``"no other label"`` (the classifier gives
        none that would count), or ``"none"``.
    changed
        The set that was found, as an array of names; see :attr:`genes`.
    rival, rival_lower, rival_proof
        Arrays; see :attr:`lower_by_rival`.
    cell, cell_label, cell_towards, cell_lower, cell_upper, cell_genes
        Arrays; see :attr:`cells`.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column("lower", "whole", "No set of fewer genes flips the label (proven)."),
        Column("upper", "whole", "Genes of the smallest set that was found to flip the label; empty without one."),
        Column("optimal", "yes-no", "Whether that set is proven to be a smallest one."),
        Column("impossible", "yes-no", "Whether it is proven that no set of genes flips the label."),
        Column("proof", "text", "What proves the lower bound."),
    )
    count: ClassVar[Count | None] = Count(
        "upper", "genes that must change at once", {"†": "a set was found; it is not proven that fewer cannot do"}
    )

    covers: ClassVar[bool] = True
    gate: ClassVar[Gate | None] = Gate("lower", "below", "only {value} genes are proven to be needed for {where}")

    lower: int
    impossible: bool
    proof: str
    changed: np.ndarray
    rival: np.ndarray
    rival_lower: np.ndarray
    rival_proof: np.ndarray
    cell: np.ndarray
    cell_label: np.ndarray
    cell_towards: np.ndarray
    cell_lower: np.ndarray
    cell_upper: np.ndarray
    cell_genes: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=str))

    @property
    def genes(self) -> list[str]:
        """The smallest set that was found to flip the label, in gene order; empty where none was."""
        return [str(gene) for gene in self.changed]

    @property
    def upper(self) -> int | None:
        """Size of the set that was found; None where none was."""
        return len(self.changed) or None

    @property
    def optimal(self) -> bool:
        """Whether the set is proven to be a smallest one."""
        return self.upper == self.lower

    @property
    def towards(self) -> str | None:
        """The label that the set leads to; None where none was found."""
        return self.label if self.success else None

    @property
    def marks(self) -> str:
        """Return "†" where the set is not proven to be a smallest one."""
        return "" if self.optimal or self.upper is None else "†"

    @property
    def sentence(self) -> str:
        """What was found, in one sentence."""
        early = "" if self.complete else " The search ended early."
        end = f", which becomes {self.label}" if self.success else ""
        return f"Cluster '{self.target}', called {self.baseline}{end}: {self.interval}.{early}"

    @property
    def interval(self) -> str:
        """The interval in words."""
        if self.impossible:
            return f"no set of these genes {self.flips_text} (proven)"
        if self.upper is None:
            return f"at least {_genes(self.lower)} must change; no set was found that {self.flips_text}"
        change = f"must change for a flip to {self._counted}" if self._counted else "must change"
        if self.optimal:
            return f"exactly {_genes(self.lower)} {change} (proven)"
        if self.lower == 1:
            return f"at most {_genes(self.upper)} {change}; fewer may do"
        return f"at least {self.lower:,} and at most {_genes(self.upper)} {change}"

    @property
    def flips_text(self) -> str:
        """What a set must do to count, such as ``"flips the label to a named type"``."""
        return f"flips the label to {self._counted}" if self._counted else "flips the label"

    @property
    def _counted(self) -> str:
        """The labels that count as a flip; empty where any other one does."""
        named = getattr(self.attack, "change_type", "any") == "named"
        return self.attack.aim_text or ("a named type" if named else "")

    @property
    def lower_by_rival(self) -> pd.DataFrame:
        """Return one row per label that the cluster could get: ``rival, lower, proof``; infinite: never."""
        return pd.DataFrame({"rival": self.rival, "lower": self.rival_lower, "proof": self.rival_proof})

    @property
    def cells(self) -> pd.DataFrame:
        """Return one row per cell: ``cell, label, towards, lower, upper``, each cell with genes of its own.

        Infinite: no number of genes flips this cell. NaN: no set was looked for. Empty where nothing is proven. With
        ``cell_sets=True`` there is a column ``genes``: a list, empty where no set was found.
        """
        columns = {"cell": self.cell, "label": self.cell_label, "towards": self.cell_towards}
        table = pd.DataFrame({**columns, "lower": self.cell_lower, "upper": self.cell_upper})
        if len(self.cell_genes):
            table["genes"] = [text.split("\t") if text else [] for text in self.cell_genes.tolist()]
        return table

    def of_cells(self) -> pd.DataFrame:
        """Return the label of each cell, and between which numbers the fewest genes lie that change it."""
        columns = {"before": self.cell_label, "fragility_lower": self.cell_lower, "fragility_upper": self.cell_upper}
        return pd.DataFrame(columns, index=pd.Index(self.cell, dtype=object))

    @documented
    def certificate(self, adata: AnnData, classifier: object) -> Certificate:
        """Return what anybody needs to check :attr:`lower`, for linear and marker models, trees and dense networks.

        Save it, and check it with ``adverscarial verify-certificate`` or
        :func:`adverscarial.evaluation.verify_certificate`. For linear and marker models it holds the proof. For trees
        and networks it says which classifier and which cells are meant, and the proof is made anew from them. Where
        only a mixed-integer program or all combinations of a few genes proved the bound, it is about the largest bound
        that the other arguments prove.

        Parameters
        ----------
        adata, classifier
            Those that were attacked.

        Raises
        ------
        %(no_certificate)s
        """
        return certify(self, adata, classifier)

    def coverage(self, genes_of_data: int) -> Coverage:  # noqa: D102
        name, limited = f"MinChange ({self.attack.changes_text})", is_limited(self.attack, genes_of_data)
        lower, never = (None, False) if limited or self._counted else (self.lower, self.impossible)
        if self.success:
            return Coverage(False, lower=lower, never=never)
        if not self.complete:
            why, todo = f"{name} stopped early", "Give it more time, or a larger budget."
        elif self._counted:
            setting = "towards" if self.attack.aim else "change_type"
            why, todo = (
                f"{name} counted only flips to {self._counted}",
                f"Count flips to all labels: leave out {setting}.",
            )
        elif limited or self.lower < 2:  # a larger bound speaks of every single gene, too
            why, todo = f"{name} did not test every single gene", "Add single-gene attacks."
        else:
            return Coverage(True, lower=lower, never=never)
        return Coverage(False, why, todo, lower=lower, never=never, second=True)

    def singled_out(self) -> GeneSet | None:
        """Return the smallest set that was found; None where none was."""
        genes = np.array(self.genes, dtype=str)
        return GeneSet("smallest set", genes, np.full(len(genes), self.label)) if self.success else None

    def to_frame(self) -> pd.DataFrame:
        """Return one row per gene of the set: ``gene``."""
        return pd.DataFrame({"gene": self.changed})

    def __str__(self) -> str:
        shown = ", ".join(self.genes[:8]) + (", ..." if len(self.changed) > 8 else "")
        lines = [self._headline(), f"  answer    {self.interval}", f"  proof     {self.proof}"]
        if self.success:
            lines += [f"  label then {self.label} ({of_the_cells(self.share)})", f"  genes     {shown}"]
        return "\n".join([*lines, self._footer()])

    def row(self) -> Row:  # noqa: D102
        return {
            **super().row(),
            "lower": self.lower,
            "upper": self.upper,
            "optimal": self.optimal,
            "impossible": self.impossible,
            "proof": self.proof,
        }


def _genes(n: int) -> str:
    return f"{n:,} gene" if n == 1 else f"{n:,} genes"
