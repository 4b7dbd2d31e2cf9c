"""How many genes can be changed at once without flipping the cluster's label?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd

from adverscarial._types import Row
from adverscarial.attacks.base import Attack
from adverscarial.attacks.columns import WHICH_GENES, Column, Count, Option
from adverscarial.attacks.gate import Gate
from adverscarial.attacks.kept import Kept, Shortest, completed, recursive_union, reference_union, shaken
from adverscarial.attacks.minimal.signature import one_fewer, shortest_signature
from adverscarial.attacks.result import GeneSet, Result
from adverscarial.attacks.run import BudgetSpent, Run
from adverscarial.attacks.settings import candidates, check_change_type, check_counts
from adverscarial.classifiers.answers import of_the_cells
from adverscarial.modifications import Modification

_SHAKES = 3  # in one restart, where no short signature could be computed, and the one that was found is short
_SHORT = 20
_SHORTEST = 10  # genes, up to which all random orders are tried from the start: they cost little, and a gene is much


@dataclass(frozen=True, repr=False)
class MaxChange(Attack["MaxChangeResult"], name="max-change"):
    """Find a largest set of genes that can all be changed while the label holds (R: ``advMaxChange``).

    The genes that must be left alone are the cluster's *signature*: the fewer, the more of the transcriptome can be
    rewritten unnoticed. The paper's recursive union comes first; then genes are added one by one until no single
    further gene can be added, so the set is maximal, and the smallest signature of several restarts is kept. The first
    try starts from a short signature that is computed from the classifier's weights, trees or ranks, where it has any;
    later ones exchange some genes of the shortest signature so far, or search among genes that stood in one. Where
    several bring nothing, the rest is not tried. Where all were tried, ten genes or fewer are left, and no start was
    computed from weights or trees, each random order is tried from the start as well. In the end, two genes of a short
    signature are exchanged for one other, as long as that is possible.

    *Maximal* does not mean that the signature is the smallest one: ``result.lower`` says how many genes every signature
    must have, proven.

    Parameters
    ----------
    %(modification)s
    restarts
        Tries at most. With 1, no genes are exchanged in the end, and less is proven of trees: that is quick, and a
        signature may be longer.
    max_split_size
        The union drops pieces of at most this many genes; the completion still tries each of them.
    maximal
        False stops after the union, as the paper does: cheaper for expensive classifiers, longer signatures.
    reference
        Search as the R code does: halves before the whole, in the genes' order, each asked alone and then with what is
        kept. With ``restarts=1, maximal=False`` this is its result.
    %(genes_attacked)s
    %(change_type)s
    %(towards)s

    %(example)s
    >>> result = MaxChange("perc1")(cells, model, groupby="cell_type", target="Dendritic")
    >>> len(result.genes) + len(result.signature), result.maximal
    (765, True)
    """

    modification: Modification | str
    restarts: int = 10
    max_split_size: int = 1
    maximal: bool = True
    reference: bool = False
    genes: Sequence[str] | None = None
    exclude: Sequence[str] = ()
    change_type: Literal["any", "named"] = "any"
    towards: Sequence[str] | str | None = None

    place: ClassVar[int] = 20
    question: ClassVar[str] = "How much can change unnoticed, and which genes must not?"
    options: ClassVar[tuple[Option, ...]] = (
        *WHICH_GENES,
        Option("restarts", int, "Tries at most; the shortest signature is kept."),
    )
    cost: ClassVar[str] = "tens to thousands of queries, about two per signature gene and restart"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_change_type(self.change_type)
        check_counts(restarts=self.restarts, max_split_size=self.max_split_size)

    def length(self, run: Run) -> float:  # noqa: D102
        return float(self.restarts)

    def perform(self, run: Run) -> MaxChangeResult:  # noqa: D102
        genes = candidates(run.cluster, self.genes, self.exclude)
        # the R code asks about genes that the classifier does not read, too
        reads = np.ones(len(genes), dtype=bool) if self.reference else run.scorer.reads(genes)
        run.meter.proven += int((~reads).sum())
        read = genes[reads]
        run.remember(read)
        best = Shortest(read, run.baseline)
        tried = 0
        for restart in range(self.restarts):
            try:
                self._restart(run, read, best, restart)
            except BudgetSpent:
                best.complete = False
            tried += 1
            run.meter.advance()
            if best.settled:
                break
        if self.restarts > 1:
            if tried == self.restarts:
                self._begin_anew(run, read, best)
            self._exchange(run, read, best)
        genes = np.sort(genes)
        return MaxChangeResult(
            **run.shared(label=best.answer.label, share=best.answer.share, complete=best.complete),
            maximal=best.maximal or not len(best.genes),
            lower=min(best.lower, len(best.genes)),
            restarts_done=tried,
            tested=np.asarray(run.cluster.genes[genes], dtype=str),
            changeable=~np.isin(genes, best.genes),
        )

    def _restart(self, run: Run, genes: np.ndarray, best: Shortest, number: int) -> None:
        """Look for a signature: first anew, later beside the shortest one, or in turn where the first was a guess."""
        rng = np.random.default_rng([run.cluster.seed, number])
        if number == 0 or not self._shares or (number % 2 == 0 and not best.informed):
            with best.compared(genes, Kept(run)) as kept:
                best.done = self._one_try(kept, genes, rng, best, anew=len(best.genes) <= _SHORT and number % 4 == 0)
            return
        for _ in range(1 if best.informed else min(_SHAKES, 1 + _SHORT // len(best.genes))):
            if not best.proven:
                with best.compared(genes, Kept(run)) as kept:
                    best.done = shaken(kept, genes, best.genes, best.known, rng)
                    if not best.done and not best.informed:  # the label needs more than these genes back: begin anew
                        best.done = self._one_try(kept, genes, rng, best, anew=True)

    def _begin_anew(self, run: Run, genes: np.ndarray, best: Shortest) -> None:
        """Search from the start in each random order, where the signature is very short and no start is better."""
        if not self._shares or best.informed or not run.scorer.incremental:
            return
        for number in range(self.restarts):
            if len(best.genes) > _SHORTEST or best.proven or not best.complete:
                return
            rng = np.random.default_rng([run.cluster.seed, number])
            try:
                with best.compared(genes, Kept(run)) as kept:
                    best.done = self._one_try(kept, genes, rng, best, anew=True)
            except BudgetSpent:
                best.complete = False

    def _exchange(self, run: Run, genes: np.ndarray, best: Shortest) -> None:
        """Exchange two genes of a short signature for one other, as long as that is possible."""
        while self._shares and run.scorer.incremental and best.complete and not best.proven:
            shorter = one_fewer(run, genes, best.genes, best.known)
            if shorter is None:
                return
            before = len(best.genes)
            try:
                with best.compared(genes, Kept(run)) as kept:
                    best.done = kept.add(np.setdiff1d(genes, shorter)) and completed(
                        kept, genes, np.random.default_rng(run.cluster.seed), before
                    )
            except BudgetSpent:
                best.complete = False
            if len(best.genes) >= before:
                return

    @property
    def _shares(self) -> bool:
        """Whether a try begins with what those before it found."""
        return self.maximal and not self.reference

    def _one_try(
        self, kept: Kept, genes: np.ndarray, rng: np.random.Generator, best: Shortest, *, anew: bool = False
    ) -> bool:
        """Add genes as long as the label holds; return whether no single further one can be added.

        Those outside of a short signature come first, where one can be computed; later, unless `anew`, those that were
        in none so far, but for some.
        """

        def flip() -> bool:
            return bool(rng.random() < 0.5)

        short = None
        first = not len(best.known)
        if first and self._shares and kept.incremental:
            best.lower, short = shortest_signature(kept.base, genes, sharper=self.restarts > 1)
            best.informed = short is not None and kept.base.scorer.leads
        if short is not None and kept.add(np.setdiff1d(genes, short)):
            kept.add_singly(short[::-1])
        elif self.reference:
            reference_union(genes, kept.holds_alone, kept.add, flip, self.max_split_size)
        elif len(genes):
            if self._shares and not first and not anew:
                others = rng.permutation(np.setdiff1d(genes, best.known))
                if len(others) > len(best.known):
                    kept.add(others[len(best.known) :])
            left = np.setdiff1d(genes, kept.genes)
            recursive_union(rng.permutation(left), kept.add, flip, self.max_split_size)
        return self.maximal and completed(kept, genes, rng, len(best.genes))


@dataclass(frozen=True, repr=False, kw_only=True)
class MaxChangeResult(Result):
    """The genes that can change together, and those that must not.

    Attributes
    ----------
    maximal
        Whether no single further gene can be added to the modifiable ones (checked, not assumed).
    lower
        No signature can have fewer genes: this is proven. *Maximal* is less: no single gene can be added to this set,
        but another, larger set may exist. 0 where nothing was proven. Of networks no more than 2 is proven (3 of
        few genes).
    restarts_done
        Tries.
    tested
        Names of all genes under attack, an array in gene order: many results have one in common.
    changeable
        For each of them, whether it is among those that can be changed.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column("modifiable", "whole", "Genes that can all be changed at once while the label holds."),
        Column("signature", "whole", "The other genes: those that must be left alone."),
        Column("signature_lower", "whole", "No signature can have fewer genes (proven); 0 where nothing is proven."),
        Column("maximal", "yes-no", "Whether no single further gene can be added to the modifiable ones."),
    )
    count: ClassVar[Count | None] = Count(
        "signature", "signature: genes that must not change", {"†": "not shown to be maximal, so fewer genes may do"}
    )
    gate: ClassVar[Gate | None] = Gate(
        "signature", "below", "{value} genes decide the label of {where} whatever the others are"
    )

    attack: MaxChange
    maximal: bool
    lower: int = 0
    restarts_done: int
    tested: np.ndarray
    changeable: np.ndarray

    @classmethod
    def from_fields(cls, values: dict[str, Any]) -> Self:
        """Make a result of what was stored; in older files, of names in two arrays."""
        if "modifiable" in values:
            free, kept = np.asarray(values["modifiable"]), np.asarray(values["protected"])
            others = {name: value for name, value in values.items() if name not in ("modifiable", "protected")}
            tested = np.concatenate([free, kept])
            values = {**others, "tested": tested, "changeable": np.arange(len(tested)) < len(free)}
        return super().from_fields(values)

    @property
    def modifiable(self) -> np.ndarray:
        """Names of the genes that can be changed, as an array; see :attr:`genes`."""
        found: np.ndarray = self.tested[self.changeable]
        return found

    @property
    def protected(self) -> np.ndarray:
        """Names of the genes that must not be changed, as an array; see :attr:`signature`."""
        found: np.ndarray = self.tested[~self.changeable]
        return found

    @property
    def genes(self) -> list[str]:
        """The genes that can all be changed at once while the label holds, in gene order."""
        return [str(gene) for gene in self.modifiable]

    @property
    def modifiable_genes(self) -> list[str]:
        """The genes that can be changed while the label holds: :attr:`genes`, by a name that says so."""
        return self.genes

    @property
    def success(self) -> bool:
        """Whether any gene can be changed while the label holds."""
        return len(self.modifiable) > 0

    @property
    def genes_needed(self) -> int | None:
        """Always None: this attack keeps the label."""
        return None

    @property
    def marks(self) -> str:
        """Return "†" where the modifiable genes are not shown to be maximal, and a shorter signature may exist."""
        return "" if self.maximal or self.optimal else "†"

    @property
    def sentence(self) -> str:
        """What was found, in one sentence."""
        free, kept = len(self.modifiable), len(self.protected)
        aim = self.attack.aim_text
        holds = f"does not become {aim}" if aim else f"keeps the label {self.baseline}"
        return (
            f"Cluster '{self.target}' {holds} while {free:,} of {free + kept:,} genes are "
            f"changed at once; {kept:,} are left alone (the signature){self.limit}."
        )

    @property
    def optimal(self) -> bool:
        """Whether it is proven that no signature has fewer genes."""
        return len(self.protected) == self.lower

    @property
    def limit(self) -> str:
        """What is proven about shorter signatures, as the end of a sentence; empty where that is nothing new."""
        if not len(self.protected) or (self.lower <= 1 and not self.optimal):
            return ""
        return "; no fewer can do" if self.optimal else f"; no fewer than {self.lower:,} can do"

    @property
    def notes(self) -> list[str]:
        """What limits the numbers."""
        asked = (
            "did not check, as asked, whether further genes could be rewritten: signatures can be longer than need be"
        )
        return [*super().notes, *([asked] if self.complete and not self.maximal else [])]

    @property
    def signature(self) -> list[str]:
        """The genes that must not be touched, in gene order."""
        return [str(gene) for gene in self.protected]

    def singled_out(self) -> GeneSet:
        """Return the signature; it leads to no label of its own."""
        return GeneSet("signature", self.protected, np.full(len(self.protected), ""))

    def to_frame(self) -> pd.DataFrame:
        """Return one row per gene: ``gene, outcome`` ("signature" or "modifiable"); the signature comes first."""
        outcome = ["signature"] * len(self.protected) + ["modifiable"] * len(self.modifiable)
        return pd.DataFrame({"gene": np.concatenate([self.protected, self.modifiable]), "outcome": outcome})

    def of_genes(self) -> pd.DataFrame:
        """Return the outcome of each gene: "signature" or "modifiable"."""
        return self.to_frame().set_index("gene")

    def __str__(self) -> str:
        n = len(self.modifiable) + len(self.protected)
        shown = ", ".join(self.signature[:8]) + (", ..." if len(self.protected) > 8 else "")
        kind = "maximal" if self.maximal else "not shown to be maximal"
        return "\n".join(
            [
                self._headline(),
                f"  can change {len(self.modifiable):,} of {n:,} genes at once ({kind})",
                f"  label then {self.label} ({of_the_cells(self.share)})",
                f"  signature {len(self.protected):,} genes{self.limit}{': ' + shown if shown else ''}",
                self._footer(),
            ]
        )

    def row(self) -> Row:  # noqa: D102
        return {
            **super().row(),
            "modifiable": len(self.modifiable),
            "signature": len(self.protected),
            "signature_lower": self.lower,
            "maximal": self.maximal,
        }
