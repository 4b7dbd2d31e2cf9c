"""What became of every single gene: flipped, held or rejected, and how near the others came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial._docs import documented
from adverscarial._progress import track
from adverscarial._types import Row
from adverscarial.attacks.columns import OUTCOMES, Column, Count
from adverscarial.attacks.coverage import Coverage
from adverscarial.attacks.gate import Gate
from adverscarial.attacks.judge import Judge
from adverscarial.attacks.outcome import OUTCOME_TEXTS, Counted, Outcome
from adverscarial.attacks.result import Flips, GeneSet, Result
from adverscarial.attacks.verification import Verification
from adverscarial.cells.choice import Cells, attacked
from adverscarial.classifiers.answers import Answer, in_percent
from adverscarial.errors import ParameterError, did_you_mean, some
from adverscarial.modifications import modify
from adverscarial.modifications.base import parse
from adverscarial.modifications.effect import AGAINST, UNCHANGED, UNREAD, effect_texts

FLIPPED, HELD, REJECTED = Outcome


@dataclass(frozen=True, repr=False, kw_only=True)
class SingleGeneResult(Counted, Result):
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
        Queries that the bisection asked.
    gene, outcome, code, new_share
        Arrays with one entry per tested gene: name; 0 flipped, 1 held, 2 rejected; label as a place in `labels`; its
        share.
    alone
        False where the gene was only tested together with others (bisect).
    group
        Number of the group a gene was reported in, -1 for none (bisect with ``max_split_size`` above 1).
    effect
        What became of each gene's values, as a code; :attr:`effects` has the texts.
    lead
        Share of the label's lead over the runner-up that each gene takes: 0 none of it, 1 all of it, below 0 it adds to
        the lead. The lead is the mean over the cells of the difference of the two scores. To first order for neural
        nets; NaN where the classifier gives no scores, and for genes that were only tested together.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column("tested", "whole", "Changes that were tested, one gene at a time or one combination at a time."),
        *OUTCOMES,
        Column("unchanged", "whole", "Genes that it reads and whose value moved in no cell: nothing was tested there."),
        Column("opposite", "whole", "Genes that moved against the intent, such as lowered although meant to raise."),
        Column("groups", "whole", "Groups of genes that flip the label together (bisection)."),
    )
    count: ClassVar[Count | None] = Count(
        "flipped",
        "single genes that flip the label",
        {
            "†": "not every gene was tested alone, so there can be more",
            "‡": "includes genes that were only changed together, as a group",
        },
    )
    covers: ClassVar[bool] = True
    gate: ClassVar[Gate | None] = Gate("flipped", "above", "{value} single genes flip {where}")

    attack: Any
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
    effect: np.ndarray
    lead: np.ndarray

    @property
    def genes(self) -> list[str]:
        """The genes that flip the label, in gene order."""
        return [str(gene) for gene in self.gene[self.outcome == FLIPPED]]

    @property
    def flipping_genes(self) -> list[str]:
        """The genes that flip the label: :attr:`genes`, by a name that says so."""
        return self.genes

    @property
    def changed_genes(self) -> list[str]:
        """The strongest flip: the gene whose new label has the largest share."""
        return [str(gene) for gene in self.flips()[0][:1]]

    @property
    def marks(self) -> str:
        """Return "†" where not every gene was tested alone, "‡" where some were only changed as a group."""
        all_alone = self.search != "bisect" and len(self.gene) == self.n_genes
        return ("" if all_alone else "†") + ("‡" if (self.group >= 0).any() else "")

    @property
    def notes(self) -> list[str]:
        """What limits the numbers."""
        found = {
            "used bisection, which changes many genes together and halves the groups that flip: genes whose effects "
            "cancel each other can hide": self.search == "bisect",
            "stopped at the first flip, as asked: one gene is shown, not all": self.attack.first and self.success,
        }
        return [*super().notes, *(text for text, holds in found.items() if holds)]

    def flips(self) -> Flips:
        """Return the genes that flip the label, the new label of each and its share: the most complete flip first."""
        hits = np.flatnonzero(self.outcome == FLIPPED)
        hits = hits[np.argsort(-self.new_share[hits], kind="stable")]
        return Flips(self.gene[hits], self.labels[self.code[hits]], self.new_share[hits])

    def singled_out(self) -> GeneSet:
        """Return the genes that flip the label, as :meth:`flips` does."""
        genes, labels, _ = self.flips()
        return GeneSet("single gene", genes, labels)

    def answer_to(self, gene: str) -> Answer | None:
        """Return what the classifier said with `gene` alone changed; None where it was only changed with others.

        Raises
        ------
        ParameterError
            If the attack did not test it.
        """
        found = np.flatnonzero(self.gene == gene)
        if not len(found):
            hint = did_you_mean(gene, self.gene.tolist())
            raise ParameterError(f"The attack did not test '{gene}', so what it does is unknown.{hint}")
        place = found[0]
        if self.outcome[place] == REJECTED:
            return Answer(self.baseline, 0.0, rejected=True)
        if not self.alone[place]:
            return None
        return Answer(str(self.labels[self.code[place]]), float(self.new_share[place]))

    @property
    def groups(self) -> list[list[str]]:
        """Groups of genes that flip the label together (bisect with ``max_split_size`` above 1)."""
        return [self.gene[self.group == i].tolist() for i in np.unique(self.group[self.group >= 0])]

    @property
    def effects(self) -> np.ndarray:
        """What became of the values of each tested gene, as text.

        ``"changed"``; ``"unchanged"``: no cell's value moved; ``"lowered although meant to raise"`` and the reverse,
        for a modification that switches genes on or off; ``"not read"``: the classifier does not look at the gene;
        empty for genes that were only tested together.
        """
        return effect_texts(self.effect, self.attack.changes[0].intent)

    @property
    def n_unchanged(self) -> int:
        """Genes that the classifier reads, and whose value moved in no cell."""
        return int((self.effect == UNCHANGED).sum())

    @property
    def n_opposite(self) -> int:
        """Genes that the classifier reads, and whose mean moved against the intent of the modification."""
        return int((self.effect == AGAINST).sum())

    @property
    def n_moved(self) -> int:
        """Genes that the classifier reads, and whose values moved at all."""
        return int((self.effect != UNCHANGED).sum() - (self.effect == UNREAD).sum())

    @property
    def all_rejected(self) -> bool:
        """Whether the classifier refused every change of a gene that it reads, so that nothing was tested."""
        asked = self.outcome[self.effect != UNREAD]
        return bool(len(asked)) and bool((asked == REJECTED).all())

    def coverage(self, genes_of_data: int) -> Coverage:  # noqa: D102
        read = int((self.effect != UNREAD).sum())
        raises = any(change.intent == "raise" for change in self.attack.changes)  # what is off cannot be switched off
        why, todo = self._gap(genes_of_data, read)
        idle = self.n_unchanged + self.n_opposite if raises else 0
        return Coverage(not why, why, todo, idle, read)

    def _gap(self, genes_of_data: int, read: int) -> tuple[str, str]:
        """Return why nothing is proven of the genes that did not flip, and what to do; empty where it is."""
        change = self.attack.changes_text
        name = f"{type(self.attack).__name__} ({change})"
        gaps = {
            (
                f"the classifier refused all {self.n_rejected:,} changes of {change}, so nothing was tested",
                "Attack with values that the classifier takes.",
            ): self.all_rejected,
            (
                f"{name} stopped early, when its budget was spent",
                "Run it again with a larger budget.",
            ): not self.complete,
            (
                f"{name} changed genes in groups, in which effects can cancel",
                "Test every gene alone: search='exact'.",
            ): self.search == "bisect" or len(self.gene) < self.n_genes,
            (
                f"{name} counted only flips to {self.attack.aim_text}",
                "Count flips to all labels: leave out towards.",
            ): bool(self.attack.aim),
            (
                f"{name} counted only flips to a named type",
                "Count flips to all labels: leave out change_type.",
            ): getattr(self.attack, "change_type", "any") == "named",
            (
                f"{name} tested {self.n_genes:,} of {genes_of_data:,} genes",
                "Test all genes: leave out genes, exclude.",
            ): self.n_genes < genes_of_data,
            (
                f"{name} drew its values once, by chance",
                "Add values that are no draw, such as perc1 and perc99.",
            ): any(one.random for one in self.attack.changes),
            (
                f"{change} changed the value of no gene that the classifier reads",
                "Choose a modification that does, such as perc99:expressing.",
            ): bool(read) and not self.n_moved,
        }
        return next((gap for gap, holds in gaps.items() if holds), ("", ""))

    def nearest(self, n: int = 20) -> pd.DataFrame:
        """Return the genes that come nearest to flipping the label without doing so, the nearest first.

        Parameters
        ----------
        n
            Most genes to return.

        Returns
        -------
        One row per gene: ``gene``; ``label`` that the cluster has with that gene changed; ``share`` of the cells with
        it; ``votes``, the share of the cluster's cells that leave the label; ``lead``, the share that is taken of the
        label's lead over the runner-up (NaN where the classifier gives no scores); ``effect``. Genes that take neither
        votes nor lead are left out.

        Examples
        --------
        >>> import adverscarial as adv
        >>> cells, model = adv.datasets.embedded(), adv.classifiers.ScType(scaled=False)
        >>> result = adv.attacks.SingleGene("perc99")(cells, model, groupby="cell_type", target="CD19+ B")
        >>> result.nearest(1)["gene"].to_list()
        ['LYZ']
        """
        kept = np.where(
            self.labels[self.code] == self.baseline, self.new_share, np.minimum(self.new_share, 1 - self.new_share)
        )
        votes, lead = self.baseline_share - kept, np.nan_to_num(self.lead, nan=0.0)
        near = np.flatnonzero((self.outcome == HELD) & ((votes > 1e-12) | (lead > 1e-12)))
        if not 0 <= self.baseline_share <= 1:  # a number of the classifier's own, which tells no votes
            near = near[:0]
        near = near[np.lexsort((near, -lead[near], -votes[near]))][: max(0, int(n))]
        columns = {
            "gene": self.gene[near], "label": self.labels[self.code[near]], "share": self.new_share[near],
            "votes": votes[near], "lead": self.lead[near], "effect": self.effects[near],
        }  # fmt: skip
        return pd.DataFrame(columns)

    def of_genes(self) -> pd.DataFrame:
        """Return ``outcome, label, distance`` of each tested gene; the distance is the share of the lead that is left.

        It is 0 where the label flips, and NaN where the classifier gives no scores, or refused the change.
        """
        left = np.where(self.outcome == FLIPPED, 0.0, np.maximum(0.0, 1.0 - self.lead))
        columns = {
            "outcome": OUTCOME_TEXTS[self.outcome], "label": self.labels[self.code],
            "distance": np.where(self.outcome == REJECTED, np.nan, left),
        }  # fmt: skip
        return pd.DataFrame(columns, index=pd.Index(self.gene, dtype=object))

    @property
    def queries_saved(self) -> int:
        """Queries that the bisection saved against testing every gene alone."""
        return max(0, self.n_genes - self.bisect_queries) if self.search != "exact" else 0

    def to_frame(self) -> pd.DataFrame:
        """Return one row per tested gene: ``gene, outcome, label, share, alone, effect, lead``.

        Flipped genes come first, the most complete flip on top; then rejected ones; then held ones, the weakest hold on
        top. Equal rows keep the order of the genes.
        """
        rank = np.array([0, 2, 1])[self.outcome]
        within = np.where(self.outcome == FLIPPED, -self.new_share, self.new_share)
        order = np.lexsort((np.arange(len(rank)), within, rank))
        columns = {
            "gene": self.gene, "outcome": OUTCOME_TEXTS[self.outcome], "label": self.labels[self.code],
            "share": self.new_share, "alone": self.alone, "effect": self.effects, "lead": self.lead,
        }  # fmt: skip
        return pd.DataFrame(columns).iloc[order].reset_index(drop=True)

    def __str__(self) -> str:
        counts = self.counts
        lines = [self._headline()]
        lines.append(f"  tested    {len(self.gene):,} of {self.n_genes:,} genes, search {self.search}")
        lines.append(f"  flipped   {counts['flipped']:,}   held {counts['held']:,}   rejected {counts['rejected']:,}")
        if odd := self.not_as_meant:
            lines.append(f"  note      {odd}")
        strongest = self.to_frame().head(min(5, counts["flipped"])).itertuples()
        lines += [f"            {row.gene} -> {row.label} ({in_percent(row.share)})" for row in strongest]
        if counts["flipped"] > 5:
            lines.append(f"            and {counts['flipped'] - 5:,} more: see to_frame()")
        if not counts["flipped"]:
            lines += [
                f"  nearest   {row.gene} {cost_text(row.votes, row.lead)}" for row in self.nearest(1).itertuples()
            ]
        if self.search == "bisect":
            lines.append(
                f"  note      bisection saved {self.queries_saved:,} queries; genes that cancel each other can hide"
            )
        if self.missed_by_bisect is not None:
            lines.append(f"  bisection would have missed {len(self.missed_by_bisect):,} of them")
        return "\n".join([*lines, self._footer()])

    @property
    def not_as_meant(self) -> str:
        """How many genes did not move, or moved against the intent; empty where all moved as meant."""
        told = []
        if self.n_unchanged:
            told.append(f"{self.n_unchanged:,} of them unchanged (no cell's value moved)")
        if self.n_opposite:
            (text,) = set(self.effects[self.effect == AGAINST])
            told.append(f"{self.n_opposite:,} {text}")
        return ", ".join(told)

    def apply(self, adata: Cells, gene: str | None = None) -> AnnData:
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
        return modify(
            attacked(adata, self.source),
            [gene],
            parse(self.attack.modification),
            groupby=self.groupby,
            target=self.target,
            layer=self.layer,
            seed=self.seed,
            whole=True,
        )

    @documented
    def verify(
        self,
        adata: Cells,
        classifier: object,
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
        %(progress)s
        """
        judge = Judge(adata, classifier, self)
        place = {name: i for i, name in enumerate(self.gene)}
        rows = []
        chosen = self.genes if genes is None else list(genes)
        if untested := [name for name in chosen if name not in place]:
            raise ParameterError(f"The attack did not test {some(untested)}, so there is nothing to verify.")
        for name in track(chosen, "Verifying", len(chosen), progress):
            answer = judge.ask(judge.cluster.positions([name]))
            refused = self.outcome[place[name]] == REJECTED
            claimed = "rejected" if refused else str(self.labels[self.code[place[name]]])
            found = "rejected" if answer.rejected else answer.label
            rows.append((name, claimed, found, answer.share, found == claimed))
        return Verification.of(rows)

    def row(self) -> Row:  # noqa: D102
        groups = {"groups": len(self.groups)} if self.groups else {}
        moved = {"unchanged": self.n_unchanged, "opposite": self.n_opposite}
        return {**super().row(), "tested": len(self.gene), **self.counts, **moved, **groups}


def cost_text(votes: float, lead: float) -> str:
    """Return what a gene costs the label, to follow the gene's name.

    >>> cost_text(0.12, float("nan")), cost_text(0.0, 0.3)
    ('takes 12% of the cells', 'takes no cell, and 30% of the lead over the runner-up')
    """
    cells = f"{votes:.0%} of the cells" if votes >= 0.005 else "less than 1% of the cells" if votes > 0 else "no cell"
    share = "" if np.isnan(lead) or lead <= 0 else f"{'<1%' if lead < 0.005 else f'{lead:.0%}'} of the lead"
    return f"takes {cells}" + (f", and {share} over the runner-up" if share else "")
