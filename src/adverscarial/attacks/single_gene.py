"""Which single genes flip the cluster's label?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from adverscarial.attacks.base import Attack
from adverscarial.attacks.columns import WHICH_GENES, Option
from adverscarial.attacks.outcome import Outcome
from adverscarial.attacks.run import BudgetSpent, Run
from adverscarial.attacks.settings import candidates, check_change_type, check_counts
from adverscarial.attacks.single_gene_result import SingleGeneResult
from adverscarial.classifiers.answers import Answer, Answers
from adverscarial.errors import ParameterError
from adverscarial.modifications import Modification
from adverscarial.modifications.effect import UNKNOWN, UNREAD, effect_codes

FLIPPED, HELD, REJECTED = Outcome
_BLOCK_BYTES = 128 * 2**20  # new values held at a time


@dataclass(frozen=True, repr=False)
class SingleGene(Attack[SingleGeneResult], name="single-gene"):
    """Change every gene alone, and see whether the cluster's label flips (R: ``advSingleGene``).

    Parameters
    ----------
    modification
        What is done to the gene: a short string such as ``"perc99"``, or a :class:`Modification`.
    search
        ``"exact"`` tests every gene: nothing is missed. ``"bisect"`` is the paper's search for expensive classifiers:
        it changes bins of genes together and halves those that flip, so genes whose effects cancel can hide.
        ``"both"`` runs both and tells what the second missed. ``"auto"``: exact whenever the classifier has an
        incremental scorer, else bisect.
    first
        Stop at the first gene that flips.
    %(genes_attacked)s
    %(change_type)s
    bins
        First bins of the bisection.
    max_split_size
        The bisection reports groups of at most this many genes instead of halving further.
    reference
        Halve each bin before it is first tested, as the R code does; costs more queries.
    %(towards)s

    %(example)s
    >>> result = SingleGene("perc99")(cells, model, groupby="cell_type", target="Dendritic")
    >>> result.baseline, len(result.to_frame())
    ('Dendritic cell', 765)
    """

    modification: Modification | str
    search: Literal["auto", "exact", "bisect", "both"] = "auto"
    first: bool = False
    genes: Sequence[str] | None = None
    exclude: Sequence[str] = ()
    change_type: Literal["any", "named"] = "any"
    bins: int = 100
    max_split_size: int = 1
    reference: bool = False
    towards: Sequence[str] | str | None = None

    place: ClassVar[int] = 10
    question: ClassVar[str] = "Which single genes flip the label?"
    cost: ClassVar[str] = "one query per gene the classifier reads (exact), or about two per bin (bisect)"
    options: ClassVar[tuple[Option, ...]] = (
        *WHICH_GENES,
        Option("search", str, "exact: every gene alone; bisect: groups, then halves; both; auto decides."),
        Option("first", bool, "Stop at the first gene that flips the label."),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_change_type(self.change_type)
        if self.search not in ("auto", "exact", "bisect", "both"):
            raise ParameterError(f"search must be 'auto', 'exact', 'bisect' or 'both', got '{self.search}'.")
        check_counts(bins=self.bins, max_split_size=self.max_split_size)

    def length(self, run: Run) -> float:  # noqa: D102
        return float(len(candidates(run.cluster, self.genes, self.exclude)))

    def perform(self, run: Run) -> SingleGeneResult:  # noqa: D102
        genes = candidates(run.cluster, self.genes, self.exclude)
        found = _Found(run, len(run.cluster.genes))
        search = self.search
        if search == "auto":
            search = "exact" if run.scorer.scans else "bisect"
        missed: list[str] | None = None
        bisect_queries = 0
        try:
            if search in ("exact", "both"):
                self._exact(run, genes, found)
            if search in ("bisect", "both"):
                before = run.meter.queries
                hits = found if search == "bisect" else _Found(run, len(run.cluster.genes))
                self._bisect(run, genes, hits)
                bisect_queries = run.meter.queries - before
                if search == "both":
                    hidden = found.flipped & ~hits.flipped
                    missed = run.cluster.genes[hidden].tolist()
            complete = True
        except BudgetSpent:
            complete = False
        strongest = found.strongest()
        return SingleGeneResult(
            **run.shared(label=strongest.label, share=strongest.share, complete=complete),
            **found.fields(), search=search, n_genes=len(genes), bisect_queries=bisect_queries,
            missed_by_bisect=missed,
        )  # fmt: skip

    def _exact(self, run: Run, genes: np.ndarray, found: _Found) -> None:
        size = max(256, _BLOCK_BYTES // (8 * run.cluster.n_cells))
        for start in range(0, len(genes), size):
            block = genes[start : start + size]
            reads = run.scorer.reads(block)
            left = run.meter.left
            if left is not None:  # the part of the block that the budget still pays for
                paid = np.searchsorted(np.cumsum(reads), left, side="right")
                block, reads = block[:paid], reads[:paid]
            asked = block[reads]
            answers = run.each(asked, found.look)
            run.meter.proven += len(block) - len(asked)
            outcome = np.where(run.changed(answers.label), FLIPPED, HELD)
            outcome[answers.rejected] = REJECTED
            if self.first and (outcome == FLIPPED).any():
                last = int(np.argmax(outcome == FLIPPED))
                before = int(np.flatnonzero(reads)[last])
                found.note(asked[: last + 1], outcome[: last + 1], answers)
                found.unread(block[:before][~reads[:before]])
                return
            found.note(asked, outcome, answers)
            found.unread(block[~reads])
            run.meter.advance(len(block))
            if left is not None and len(block) < len(genes[start : start + size]):
                raise BudgetSpent

    def _bisect(self, run: Run, genes: np.ndarray, found: _Found) -> None:
        """Test bins of genes together, and halve those that flip.

        Gene number k (from 1) goes to bin k modulo `bins`; halves are every other gene of the list.
        """
        number = np.arange(1, len(genes) + 1) % self.bins
        for start in dict.fromkeys(number.tolist()):
            group = genes[number == start]
            stack = [group[1::2], group[0::2]] if self.reference else [group]
            while stack:
                part = stack.pop()
                if not len(part):  # the second half of a bin of one gene
                    continue
                answer = run.together(part)
                outcome = REJECTED if answer.rejected else FLIPPED if run.changed(answer.label) else HELD
                # a group that turns "unknown" may hide a gene that alone leads to a named type: any change is followed
                moved = answer.rejected or answer.label != run.baseline.label
                if moved and len(part) > self.max_split_size:
                    stack += [part[1::2], part[0::2]]
                    continue
                found.group(part, outcome, answer)
                if self.first and outcome == FLIPPED:
                    return
            run.meter.advance(len(group))


class _Found:
    """Outcome, label and share of each gene, while the search runs."""

    def __init__(self, run: Run, n_genes: int) -> None:
        self._run = run
        self._outcome = np.full(n_genes, -1, dtype=np.int8)
        self._labels = [run.baseline.label]
        self._code = np.zeros(n_genes, dtype=np.int16)  # of the label among those
        self._share = np.full(n_genes, run.baseline.share)
        self._alone = np.ones(n_genes, dtype=bool)
        self._effect = np.full(n_genes, UNKNOWN, dtype=np.int8)
        self._lead = np.full(n_genes, np.nan)
        self._groups: list[np.ndarray] = []

    @property
    def flipped(self) -> np.ndarray:
        found: np.ndarray = self._outcome == FLIPPED
        return found

    def look(self, genes: np.ndarray, values: np.ndarray) -> None:
        """Note what new values do to the genes that the classifier reads."""
        assert self._run.modification is not None
        self._effect[genes] = effect_codes(self._run.cluster, genes, values, self._run.modification.intent)

    def note(self, genes: np.ndarray, outcome: np.ndarray, answers: Answers) -> None:
        """Note the first answers, one for each gene."""
        n = len(genes)
        self._outcome[genes], self._share[genes] = outcome, answers.share[:n]
        label = answers.label[:n]
        other = np.flatnonzero(label != self._labels[0])
        self._code[genes] = 0
        self._code[genes[other]] = [self._code_of(str(name)) for name in label[other]]
        if answers.lead is not None:
            self._lead[genes] = answers.lead[:n]

    def unread(self, genes: np.ndarray) -> None:
        """Note genes that the classifier does not read: all stays as it was."""
        self._outcome[genes], self._effect[genes], self._lead[genes] = HELD, UNREAD, 0.0

    def _code_of(self, label: str) -> int:
        if label not in self._labels:
            self._labels.append(label)
        return self._labels.index(label)

    def group(self, genes: np.ndarray, outcome: int, answer: Answer) -> None:
        self._outcome[genes], self._code[genes], self._share[genes] = outcome, self._code_of(answer.label), answer.share
        self._alone[genes] = len(genes) == 1
        if outcome == FLIPPED and len(genes) > 1:
            self._groups.append(genes)

    def strongest(self) -> Answer:
        """Return the flip with the largest share; the baseline where nothing flips."""
        hits = np.flatnonzero(self.flipped)
        if not len(hits):
            return self._run.baseline
        best = hits[np.argmax(self._share[hits])]
        return Answer(str(self._labels[self._code[best]]), float(self._share[best]))

    def fields(self) -> dict[str, Any]:
        """Return the arrays of the result, one entry per tested gene."""
        every = (self._outcome >= 0).all()
        tested = slice(None) if every else np.flatnonzero(self._outcome >= 0)  # nothing is copied of all genes
        names = self._run.cluster.gene_names  # one array for all results of a cluster
        names = names if every else names[tested]
        used = np.flatnonzero(np.bincount(self._code[tested], minlength=len(self._labels)))
        labels = np.array(sorted(self._labels[code] for code in used), dtype=str)
        place = np.zeros(len(self._labels), dtype=np.int16)
        place[used] = [labels.tolist().index(self._labels[code]) for code in used]
        group_of = np.full(len(self._outcome), -1, dtype=np.int32)
        for i, group in enumerate(self._groups):
            group_of[group] = i
        return {
            "gene": names, "outcome": self._outcome[tested], "labels": labels, "code": place[self._code[tested]],
            "new_share": self._share[tested], "alone": self._alone[tested], "group": group_of[tested],
            "effect": self._effect[tested], "lead": self._lead[tested],
        }  # fmt: skip
