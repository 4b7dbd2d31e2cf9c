"""How many genes can be changed at once without flipping the cluster's label?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from adverscarial.attacks.base import Attack, candidates, check_change_type, check_counts
from adverscarial.attacks.result import Result
from adverscarial.attacks.session import BudgetSpent, Session
from adverscarial.modifications import Modification, parse


@dataclass(frozen=True, repr=False)
class MaxChange(Attack):
    """Find a largest set of genes that can all be changed while the label holds (R: ``advMaxChange``).

    The genes that must be left alone are the cluster's *signature*: the fewer, the more of the transcriptome can be
    rewritten unnoticed. The paper's recursive union comes first; then genes are added one by one until no single
    further gene can be added, so the set is maximal, and the smallest signature of several restarts is kept.

    Parameters
    ----------
    modification
        What is done to the genes: a short string such as ``"perc99"``, or a :class:`Modification`.
    restarts
        Random orders to try.
    max_split_size
        The union drops pieces of at most this many genes; the completion still tries each of them.
    maximal
        False stops after the union, as the paper does: cheaper for expensive classifiers, longer signatures.
    reference
        Search as the R code does: halves before the whole, in the genes' order, each asked alone and then with what is
        kept. With ``restarts=1, maximal=False`` this is its result.
    genes, exclude
        Attack only these genes, or all but these.
    change_type
        ``"named"`` counts only flips to a real cell type, not to "unknown" and its like.

    Examples
    --------
    >>> import adverscarial as adv
    >>> cells = adv.datasets.embedded()
    >>> model = adv.classifiers.ScType(scaled=False)
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

    question = "How much can change unnoticed, and which genes must not?"
    cost = "tens to thousands of questions, about two per signature gene and restart"

    def __post_init__(self) -> None:
        object.__setattr__(self, "modification", parse(self.modification))
        check_change_type(self.change_type)
        check_counts(restarts=self.restarts, max_split_size=self.max_split_size)

    def _steps(self, session: Session) -> float:
        return float(self.restarts)

    def _search(self, session: Session) -> tuple[type[Any], dict[str, Any]]:
        genes = candidates(session.cluster, self.genes, self.exclude)
        reads = session.scorer.reads(genes)
        session.meter.proven += int((~reads).sum())
        read = genes[reads]
        session.remember(read)
        best, maximal, tried = read, False, 0
        last = session.baseline
        complete = True
        for restart in range(self.restarts):
            kept = Kept(session)
            try:
                self._one_try(kept, read, np.random.default_rng([session.cluster.seed, restart]))
                done = self.maximal
            except BudgetSpent:
                complete = done = False
            signature = np.setdiff1d(read, kept.genes)
            if restart == 0 or len(signature) < len(best) or (len(signature) == len(best) and done and not maximal):
                best, maximal, last = signature, done, kept.answer
            tried += 1
            session.meter.advance()
            if not complete or not len(best):
                break
        free = np.setdiff1d(genes, best)
        names = session.cluster.genes
        return MaxChangeResult, {
            "label": last.label, "share": last.share, "complete": complete, "maximal": maximal or not len(best),
            "restarts_done": tried, "modifiable": np.asarray(names[free], dtype=str),
            "protected": np.asarray(names[best], dtype=str),
        }  # fmt: skip

    def _one_try(self, kept: Kept, genes: np.ndarray, rng: np.random.Generator) -> None:
        def flip() -> bool:
            return bool(rng.random() < 0.5)

        if self.reference:
            reference_union(genes, kept.holds_alone, kept.add, flip, self.max_split_size)
        elif len(genes):
            recursive_union(rng.permutation(genes), kept.add, flip, self.max_split_size)
        while self.maximal:
            if not kept.add_singly(rng.permutation(np.setdiff1d(genes, kept.genes))):
                return


def recursive_union(
    genes: np.ndarray, add: Callable[[np.ndarray], bool], flip: Callable[[], bool], max_split_size: int
) -> None:
    """Add as many genes as the label bears: all at once, else each half in random order, and so on.

    Parameters
    ----------
    genes
        What to add.
    add
        Adds a group to the kept set and returns True, or leaves the set and returns False if the label would flip. The
        same sum of groups must get the same answer.
    flip
        Coin that decides which half comes first.
    max_split_size
        Groups of at most this size are dropped instead of halved.
    """

    def visit(group: np.ndarray, flips: bool) -> bool:
        """Add what can be added of a group; return whether it was all. `flips`: it is known that not all can."""
        if not flips and add(group):
            return True
        if len(group) > max_split_size:
            first, second = (group[1::2], group[0::2]) if flip() else (group[0::2], group[1::2])
            # the group flips the label: once all of one half is kept, adding all of the other is the same question
            visit(second, visit(first, False))
        return False

    visit(genes, False)


def reference_union(
    genes: np.ndarray,
    holds_alone: Callable[[np.ndarray], bool],
    add: Callable[[np.ndarray], bool],
    flip: Callable[[], bool],
    max_split_size: int,
) -> None:
    """Add genes as the R code does: a half must hold alone, and then together with what is kept."""
    first, second = genes[0::2], genes[1::2]
    for half in (second, first) if flip() else (first, second):
        if len(half) and (not holds_alone(half) or not add(half)) and len(half) > max_split_size:
            reference_union(half, holds_alone, add, flip, max_split_size)


class Kept:
    """The genes changed so far while the label holds."""

    def __init__(self, session: Session) -> None:
        self._base = session
        self._state = session.fork()
        self._joint = session.modification is not None and session.modification.joint
        self.genes: np.ndarray = np.empty(0, dtype=np.int64)
        self.answer = session.baseline

    def holds_alone(self, group: np.ndarray) -> bool:
        """Return whether the label holds when only `group` is changed."""
        answer = self._base.together(group)
        return not (answer.rejected or self._base.changed(answer.label))

    def add(self, group: np.ndarray) -> bool:
        """Add `group` if the label holds; return whether it did."""
        union = np.concatenate([self.genes, group])
        # a modification that looks at all changed genes at once must be asked about the whole union
        answer = self._base.together(union) if self._joint else self._state.together(group)
        if answer.rejected or self._base.changed(answer.label):
            return False
        if not self._joint:
            self._state.accept(group)
        self.genes, self.answer = union, answer
        return True

    def add_singly(self, genes: np.ndarray) -> bool:
        """Try each gene alone on top of what is kept; return whether any could be added."""
        if not len(genes):
            return False
        if self._joint:
            return any([self.add(gene) for gene in genes[:, None]])
        answers = self._state.each(genes)
        holds = ~(self._base.changed(answers.label) | answers.rejected)
        # those that hold alone may not hold together, so each is asked again on top of the ones before it
        added = [self.add(gene) for gene in genes[holds][:, None]]
        return any(added)


@dataclass(frozen=True, repr=False, kw_only=True)
class MaxChangeResult(Result):
    """The genes that can change together, and those that must not.

    Attributes
    ----------
    maximal
        Whether no single further gene can be added to the modifiable ones (checked, not assumed).
    restarts_done
        Random orders tried.
    modifiable, protected
        Names as arrays; see :attr:`genes` and :attr:`signature`.
    """

    maximal: bool
    restarts_done: int
    modifiable: np.ndarray
    protected: np.ndarray

    @property
    def genes(self) -> list[str]:
        """The genes that can all be changed at once while the label holds, in gene order."""
        return self.modifiable.tolist()

    @property
    def signature(self) -> list[str]:
        """The genes that must not be touched, in gene order."""
        return self.protected.tolist()

    def to_frame(self) -> pd.DataFrame:
        """Return one row per gene: ``gene, outcome`` ("signature" or "modifiable"); the signature comes first."""
        outcome = ["signature"] * len(self.protected) + ["modifiable"] * len(self.modifiable)
        return pd.DataFrame({"gene": np.concatenate([self.protected, self.modifiable]), "outcome": outcome})

    def __str__(self) -> str:
        n = len(self.modifiable) + len(self.protected)
        shown = ", ".join(self.signature[:8]) + (", ..." if len(self.protected) > 8 else "")
        kind = "maximal" if self.maximal else "not shown to be maximal"
        return "\n".join(
            [
                self._headline(),
                f"  can change {len(self.modifiable):,} of {n:,} genes at once ({kind})",
                f"  label then {self.label} ({self.share:.0%} of the cells)",
                f"  signature {len(self.protected):,} genes{': ' + shown if shown else ''}",
                self._footer(),
            ]
        )

    def _arrays(self) -> dict[str, np.ndarray]:
        return {"modifiable": self.modifiable, "protected": self.protected}

    def row(self) -> dict[str, Any]:  # noqa: D102
        return {
            **super().row(),
            "modifiable": len(self.modifiable),
            "signature": len(self.protected),
            "maximal": self.maximal,
        }
