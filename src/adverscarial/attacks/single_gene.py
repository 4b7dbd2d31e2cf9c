"""Which single genes flip the cluster's label?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial._progress import track
from adverscarial.attacks.base import Attack, candidates, check_change_type, check_counts
from adverscarial.attacks.result import Judge, Result, Verification
from adverscarial.attacks.session import BudgetSpent, Session
from adverscarial.classifiers.base import Answer
from adverscarial.errors import ParameterError, some
from adverscarial.modifications import Modification, parse

FLIPPED, HELD, REJECTED = 0, 1, 2
OUTCOMES = np.array(["flipped", "held", "rejected"])
_BLOCK_BYTES = 128 * 2**20  # new values held at a time


@dataclass(frozen=True, repr=False)
class SingleGene(Attack):
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
    genes, exclude
        Attack only these genes, or all but these.
    change_type
        ``"named"`` counts only flips to a real cell type, not to "unknown" and its like.
    bins
        First bins of the bisection.
    max_split_size
        The bisection reports groups of at most this many genes instead of halving further.
    reference
        Halve each bin before it is first tested, as the R code does; costs more questions.

    Examples
    --------
    >>> import adverscarial as adv
    >>> cells = adv.datasets.embedded()
    >>> model = adv.classifiers.ScType(scaled=False)
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

    question = "Which single genes flip the label?"
    cost = "one question per gene the classifier reads (exact), or about two per bin (bisect)"

    def __post_init__(self) -> None:
        object.__setattr__(self, "modification", parse(self.modification))
        check_change_type(self.change_type)
        if self.search not in ("auto", "exact", "bisect", "both"):
            raise ParameterError(f"search must be 'auto', 'exact', 'bisect' or 'both', got '{self.search}'.")
        check_counts(bins=self.bins, max_split_size=self.max_split_size)

    def _steps(self, session: Session) -> float:
        return float(len(candidates(session.cluster, self.genes, self.exclude)))

    def _search(self, session: Session) -> tuple[type[Any], dict[str, Any]]:
        genes = candidates(session.cluster, self.genes, self.exclude)
        found = _Found(session, len(session.cluster.genes))
        search = self.search
        if search == "auto":
            search = "exact" if session.scorer.incremental else "bisect"
        missed: list[str] | None = None
        bisect_queries = 0
        try:
            if search in ("exact", "both"):
                self._exact(session, genes, found)
            if search in ("bisect", "both"):
                before = session.meter.queries
                hits = found if search == "bisect" else _Found(session, len(session.cluster.genes))
                self._bisect(session, genes, hits)
                bisect_queries = session.meter.queries - before
                if search == "both":
                    hidden = found.flipped & ~hits.flipped
                    missed = session.cluster.genes[hidden].tolist()
            complete = True
        except BudgetSpent:
            complete = False
        return SingleGeneResult, found.fields(search, len(genes), complete, missed, bisect_queries)

    def _exact(self, session: Session, genes: np.ndarray, found: _Found) -> None:
        size = max(256, _BLOCK_BYTES // (8 * session.cluster.n_cells))
        for start in range(0, len(genes), size):
            block = genes[start : start + size]
            left = session.meter.left
            if left is not None:  # the part of the block that the budget still pays for
                block = block[: np.searchsorted(np.cumsum(session.scorer.reads(block)), left, side="right")]
            answers = session.each(block)
            outcome = np.where(session.changed(answers.label), FLIPPED, HELD)
            outcome[answers.rejected] = REJECTED
            if self.first and (outcome == FLIPPED).any():
                end = int(np.argmax(outcome == FLIPPED)) + 1
                found.note(block[:end], outcome[:end], answers.label[:end], answers.share[:end])
                return
            found.note(block, outcome, answers.label, answers.share)
            session.meter.advance(len(block))
            if left is not None and len(block) < len(genes[start : start + size]):
                raise BudgetSpent

    def _bisect(self, session: Session, genes: np.ndarray, found: _Found) -> None:
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
                answer = session.together(part)
                outcome = REJECTED if answer.rejected else FLIPPED if session.changed(answer.label) else HELD
                # a group that turns "unknown" may hide a gene that alone leads to a named type: any change is followed
                moved = answer.rejected or answer.label != session.baseline.label
                if moved and len(part) > self.max_split_size:
                    stack += [part[1::2], part[0::2]]
                    continue
                found.group(part, outcome, answer)
                if self.first and outcome == FLIPPED:
                    return
            session.meter.advance(len(group))


class _Found:
    """Outcome, label and share of each gene, while the search runs."""

    def __init__(self, session: Session, n_genes: int) -> None:
        self._session = session
        self._outcome = np.full(n_genes, -1, dtype=np.int8)
        self._label = np.full(n_genes, session.baseline.label, dtype=object)
        self._share = np.full(n_genes, session.baseline.share)
        self._alone = np.ones(n_genes, dtype=bool)
        self._groups: list[np.ndarray] = []

    @property
    def flipped(self) -> np.ndarray:
        return self._outcome == FLIPPED

    def note(self, genes: np.ndarray, outcome: np.ndarray, label: np.ndarray, share: np.ndarray) -> None:
        self._outcome[genes], self._label[genes], self._share[genes] = outcome, label, share

    def group(self, genes: np.ndarray, outcome: int, answer: Answer) -> None:
        self._outcome[genes], self._label[genes], self._share[genes] = outcome, answer.label, answer.share
        self._alone[genes] = len(genes) == 1
        if outcome == FLIPPED and len(genes) > 1:
            self._groups.append(genes)

    def fields(
        self, search: str, n_genes: int, complete: bool, missed: list[str] | None, bisect_queries: int
    ) -> dict[str, Any]:
        tested = np.flatnonzero(self._outcome >= 0)
        names = self._session.cluster.gene_names  # one array for all results of a cluster
        names = names if len(tested) == len(names) else names[tested]
        labels, codes = np.unique(self._label[tested].astype(str), return_inverse=True)
        hits = np.flatnonzero(self.flipped)
        strongest = hits[np.argmax(self._share[hits])] if len(hits) else None
        group_of = np.full(len(self._outcome), -1, dtype=np.int32)
        for i, group in enumerate(self._groups):
            group_of[group] = i
        return {
            "label": self._session.baseline.label if strongest is None else str(self._label[strongest]),
            "share": float(self._session.baseline.share if strongest is None else self._share[strongest]),
            "complete": complete, "search": search, "n_genes": n_genes, "bisect_queries": bisect_queries,
            "missed_by_bisect": missed, "gene": names, "outcome": self._outcome[tested],
            "labels": labels, "code": codes.astype(np.int16), "new_share": self._share[tested].astype(float),
            "alone": self._alone[tested], "group": group_of[tested],
        }  # fmt: skip


@dataclass(frozen=True, repr=False, kw_only=True)
class SingleGeneResult(Result):
    """One outcome per gene.

    Attributes
    ----------
    search
        ``"exact"``, ``"bisect"`` or ``"both"``.
    n_genes
        Genes that were to be tested.
    missed_by_bisect
        Flipping genes that the bisection did not find; None unless both searches ran.
    bisect_queries
        Questions that the bisection asked.
    gene, outcome, code, new_share
        Arrays with one entry per tested gene: name; 0 flipped, 1 held, 2 rejected; label as a place in `labels`; its
        share.
    alone
        False where the gene was only tested together with others (bisect).
    group
        Number of the group a gene was reported in, -1 for none (bisect with ``max_split_size`` above 1).
    """

    search: str
    n_genes: int
    bisect_queries: int
    missed_by_bisect: list[str] | None
    gene: np.ndarray
    outcome: np.ndarray
    labels: np.ndarray
    code: np.ndarray
    new_share: np.ndarray
    alone: np.ndarray
    group: np.ndarray

    @property
    def genes(self) -> list[str]:
        """The genes that flip the label, in gene order."""
        return self.gene[self.outcome == FLIPPED].tolist()

    def flips(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the genes that flip the label, the new label of each and its share: the most complete flip first."""
        hits = np.flatnonzero(self.outcome == FLIPPED)
        hits = hits[np.argsort(-self.new_share[hits], kind="stable")]
        return self.gene[hits], self.labels[self.code[hits]], self.new_share[hits]

    @property
    def groups(self) -> list[list[str]]:
        """Groups of genes that flip the label together (bisect with ``max_split_size`` above 1)."""
        return [self.gene[self.group == i].tolist() for i in range(int(self.group.max(initial=-1)) + 1)]

    @property
    def counts(self) -> dict[str, int]:
        """Number of genes per outcome."""
        return {str(name): int((self.outcome == i).sum()) for i, name in enumerate(OUTCOMES)}

    @property
    def queries_saved(self) -> int:
        """Questions that the bisection saved against testing every gene alone."""
        return max(0, self.n_genes - self.bisect_queries) if self.search != "exact" else 0

    def to_frame(self) -> pd.DataFrame:
        """Return one row per tested gene: ``gene, outcome, label, share, alone``.

        Flipped genes come first, the most complete flip on top; then rejected ones; then held ones, the weakest hold on
        top. Equal rows keep the order of the genes.
        """
        rank = np.array([0, 2, 1])[self.outcome]
        within = np.where(self.outcome == FLIPPED, -self.new_share, self.new_share)
        order = np.lexsort((np.arange(len(rank)), within, rank))
        columns = {
            "gene": self.gene, "outcome": OUTCOMES[self.outcome], "label": self.labels[self.code],
            "share": self.new_share, "alone": self.alone,
        }  # fmt: skip
        return pd.DataFrame(columns).iloc[order].reset_index(drop=True)

    def __str__(self) -> str:
        counts = self.counts
        lines = [self._headline()]
        lines.append(f"  tested    {len(self.gene):,} of {self.n_genes:,} genes, search {self.search}")
        lines.append(f"  flipped   {counts['flipped']:,}   held {counts['held']:,}   rejected {counts['rejected']:,}")
        strongest = self.to_frame().head(min(5, counts["flipped"])).itertuples()
        lines += [f"            {row.gene} -> {row.label} ({row.share:.0%})" for row in strongest]
        if counts["flipped"] > 5:
            lines.append(f"            and {counts['flipped'] - 5:,} more: see to_frame()")
        if self.search == "bisect":
            lines.append(
                f"  note      bisection saved {self.queries_saved:,} questions; genes that cancel each other can hide"
            )
        if self.missed_by_bisect is not None:
            lines.append(f"  bisection would have missed {len(self.missed_by_bisect):,} of them")
        return "\n".join([*lines, self._footer()])

    def _applied_genes(self) -> list[str]:
        """Return the strongest flip: the gene whose new label has the largest share."""
        return self.flips()[0][:1].tolist()

    def apply(self, adata: AnnData, gene: str | None = None) -> AnnData:
        """Return a copy of `adata` with one gene changed: `gene`, or the strongest flip.

        Raises
        ------
        ParameterError
            If no gene flips the label and none is named.
        """
        if gene is None:
            if not self.genes:
                raise ParameterError(
                    "No single gene flips the label, so there is nothing to apply. Name one with gene=."
                )
            return super().apply(adata)
        from adverscarial.modifications import modify

        return modify(
            adata,
            [gene],
            self.attack.modification,
            groupby=self.groupby,
            target=self.target,
            layer=self.layer,
            seed=self.seed,
        )

    def verify(
        self,
        adata: AnnData,
        classifier: Any,
        *,
        genes: Sequence[str] | None = None,
        progress: bool | None = None,
    ) -> Verification:
        """Check genes by classifying the changed cells from scratch, one gene at a time.

        Parameters
        ----------
        adata, classifier
            As in the attack.
        genes
            Genes to check; all that flip, when left out.
        progress
            Progress bar; left out, on a terminal only.
        """
        judge = Judge(adata, classifier, self)
        place = {name: i for i, name in enumerate(self.gene)}
        rows = []
        chosen = self.genes if genes is None else list(genes)
        if untested := [name for name in chosen if name not in place]:
            raise ParameterError(f"The attack did not test {some(untested)}, so there is nothing to verify.")
        for name in track(chosen, "Verifying", len(chosen), progress):
            answer = judge.ask(judge.cluster.positions([name]))
            claimed = str(self.labels[self.code[place[name]]])
            rows.append((name, claimed, answer.label, answer.share, answer.label == claimed))
        return Verification(pd.DataFrame(rows, columns=["gene", "claimed", "found", "share", "confirmed"]))

    def _arrays(self) -> dict[str, np.ndarray]:
        names = ("gene", "outcome", "labels", "code", "new_share", "alone", "group")
        return {name: getattr(self, name) for name in names}

    def row(self) -> dict[str, Any]:  # noqa: D102
        groups = {"groups": len(self.groups)} if self.groups else {}
        return {**super().row(), "tested": len(self.gene), **self.counts, **groups}
