"""Combinations: each of a few genes is left as it is or changed in one of several ways.

A combination is a row of codes, one per gene: 0 leaves the gene unmodified, k gives it modification number k.
:class:`Trials` asks about combinations, each once; :class:`CombinationResult` is what :class:`Grid` and
:class:`RandomWalk` return.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial._types import Row
from adverscarial.attacks.base import Attack
from adverscarial.attacks.columns import CHANGE_TYPE, OUTCOMES, TOWARDS, Column, Option
from adverscarial.attacks.gate import Gate
from adverscarial.attacks.outcome import OUTCOME_TEXTS, Counted, Outcome
from adverscarial.attacks.result import Result
from adverscarial.attacks.run import Run
from adverscarial.attacks.settings import check_change_type
from adverscarial.cells.choice import Cells
from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers.answers import in_percent, of_the_cells
from adverscarial.errors import ParameterError, some
from adverscarial.modifications import Modification, Percentile
from adverscarial.modifications.base import parse

FLIPPED, HELD, REJECTED = Outcome

C = TypeVar("C", bound="CombinationResult", covariant=True)

#: a gene switched off, or switched on
OFF_AND_ON = (Percentile(1), Percentile(99))


def check_genes_given(genes: Sequence[str] | str) -> tuple[str, ...]:
    """Return gene names as a tuple; raise a ParameterError when there are none."""
    if not isinstance(genes, Iterable):
        raise ParameterError(f"genes= must be names of genes, got {genes!r}.")
    names = (genes,) if isinstance(genes, str) else tuple(str(gene) for gene in genes)
    if not names:
        raise ParameterError("genes= is empty. Name the genes to combine, for example the flips of SingleGene.")
    return names


def check_modifications(modifications: Sequence[Modification | str] | Modification | str) -> tuple[Modification, ...]:
    """Return modifications as a tuple; raise a ParameterError for none, unknown ones, or two with one name."""
    given = (
        modifications if isinstance(modifications, Iterable) and not isinstance(modifications, str) else [modifications]
    )
    parsed = tuple(parse(modification) for modification in given)
    names = [str(modification) for modification in parsed]
    if not 1 <= len(names) <= 255:  # codes are stored in one byte
        raise ParameterError(f"modifications= must name 1 to 255 modifications, got {len(names):,}.")
    if repeated := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise ParameterError(
            f"Modifications are named more than once: {some(repeated)}. Name each once; give functions different names."
        )
    return parsed


@dataclass(frozen=True, repr=False)
class CombinationAttack(Attack[C]):
    """Base of the attacks that combine changes to a few genes.

    Parameters
    ----------
    %(genes_combined)s
    %(change_type)s
    %(towards)s
    """

    genes: Sequence[str]
    modifications: Sequence[Modification | str] = OFF_AND_ON
    _: KW_ONLY
    change_type: Literal["any", "named"] = "any"
    towards: Sequence[str] | str | None = None

    example_settings: ClassVar[str] = "--gene CD79A --gene MS4A1"
    options: ClassVar[tuple[Option, ...]] = (
        Option("genes", str, "Combine this gene; repeat for several.", several=True, flag="gene"),
        CHANGE_TYPE,
        TOWARDS,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "genes", check_genes_given(self.genes))
        object.__setattr__(self, "modifications", check_modifications(self.modifications))
        check_change_type(self.change_type)


class Trials:
    """Asks about combinations of changes to one cluster, and keeps every answer.

    Parameters
    ----------
    run
        Counts the queries.
    genes
        Positions in the data, in its order.
    modifications
        What code 1, 2, ... does to a gene.

    Attributes
    ----------
    reads
        For which genes a change can make a difference, shape (len(genes),).
    """

    def __init__(self, run: Run, genes: np.ndarray, modifications: Sequence[Modification]) -> None:
        self._run, self.genes, self.modifications = run, genes, modifications
        self.reads = run.scorer.reads(genes)
        if any(modification.joint for modification in modifications):
            self.reads = np.ones(len(genes), dtype=bool)  # a block function sees unread genes, and may act on them
        run.meter.proven += int((~self.reads).sum())
        self._new = self._new_values()
        unmodified = (HELD, run.baseline.label, run.baseline.share)
        #: outcome, label and share of each combination, in the order asked
        self._answers: dict[bytes, tuple[int, str, float]] = {self.code().tobytes(): unmodified}

    def code(self) -> np.ndarray:
        """Return the combination that leaves every gene as it is."""
        return np.zeros(len(self.genes), dtype=np.uint8)

    def __contains__(self, code: np.ndarray) -> bool:
        return code.tobytes() in self._answers

    def flips(self, code: np.ndarray) -> bool:
        """Return whether the combination flips the label; asked at most once.

        Combinations that differ only in genes the classifier provably does not read are one query.
        """
        key = np.where(self.reads, code, 0).astype(np.uint8).tobytes()
        if key not in self._answers:
            self._answers[key] = self._ask(code)
        answer = self._answers[code.tobytes()] = self._answers[key]
        return answer[0] == FLIPPED

    def _ask(self, code: np.ndarray) -> tuple[int, str, float]:
        run = self._run
        run.meter.ask(1, run.cluster.n_cells)
        answer = run.scorer.together(*self.change(code))
        outcome = REJECTED if answer.rejected else FLIPPED if run.changed(answer.label) else HELD
        return outcome, answer.label, answer.share

    def change(self, code: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the positions that a combination changes, and their new values, shape (cells or 1, positions)."""
        changed = np.flatnonzero((code > 0) & self.reads)
        values = self._new[code[changed] - 1, :, changed].T
        for number, modification in enumerate(self.modifications, start=1):
            if modification.joint and (mine := code[changed] == number).any():
                values[:, mine] = modification.new_values(self._run.cluster, self.genes[changed[mine]])
        return self.genes[changed], values

    def _new_values(self) -> np.ndarray:
        """Return new values of every read gene under every modification, shape (modifications, cells or 1, genes).

        Modifications that depend on which genes are changed together are left open.
        """
        cluster, joint = self._run.cluster, [modification.joint for modification in self.modifications]
        read = self.genes[self.reads]
        with np.errstate(over="ignore"):
            blocks = [
                (np.zeros((1, len(read))) if modification.joint else modification.new_values(cluster, read)).astype(
                    cluster.dtype
                )
                for modification in self.modifications
            ]
        rows = cluster.n_cells if any(joint) else max(len(block) for block in blocks)
        new = np.zeros((len(blocks), rows, len(self.genes)), dtype=cluster.dtype)
        for k, block in enumerate(blocks):
            new[k][:, self.reads] = block
        return new

    def fields(self, *, complete: bool) -> dict[str, Any]:
        """Return the fields of a :class:`CombinationResult`."""
        codes = np.frombuffer(b"".join(self._answers), dtype=np.uint8).reshape(-1, len(self.genes)).copy()
        outcomes, labels, shares = zip(*self._answers.values(), strict=True)
        outcome, share = np.array(outcomes, dtype=np.int8), np.array(shares, dtype=float)
        names, label = np.unique(np.array(labels, dtype=str), return_inverse=True)
        best = 0  # the unmodified cluster, which was noted first
        if (outcome == FLIPPED).any():
            best = int(_order(outcome, share, codes)[0])
        shared = self._run.shared(label=str(names[label[best]]), share=float(share[best]), complete=complete)
        return {
            **shared, "best": best,
            "gene": self._run.cluster.gene_names[self.genes], "codes": codes, "outcome": outcome,
            "labels": names, "label_code": label.astype(np.int16), "new_share": share,
        }  # fmt: skip


def _order(outcome: np.ndarray, share: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Flipped ones first; then few genes before many; then the most complete flip, or the weakest hold, on top."""
    within = np.where(outcome == FLIPPED, -share, share)
    rank = np.array([0, 2, 1])[outcome]
    return np.lexsort((within, np.count_nonzero(codes, axis=1), rank))


@dataclass(frozen=True, repr=False, kw_only=True)
class CombinationResult(Counted, Result):
    """One outcome per combination, and the smallest combination that flips the label.

    Attributes
    ----------
    gene
        Names of the genes that were combined, in gene order.
    codes
        One row per combination, in the order asked, one column per gene: 0 unmodified, k modification number k of the
        attack. The first row is the unmodified cluster.
    outcome, label_code, new_share
        One entry per combination: 0 flipped, 1 held, 2 rejected; label as a place in `labels`; its share.
    best
        Row of the smallest flipping combination: fewest genes, then the highest share. 0 when none flips.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column("tested", "whole", "Combinations that were tested."),
        *OUTCOMES,
        Column("success", "yes-no", "Whether the cluster has another label after the attack."),
        Column("genes_modified", "whole", "Genes of the smallest combination that flips the label."),
    )
    gate: ClassVar[Gate | None] = Gate(
        "genes_modified", "below", "changes of {value} genes flip {where}", on_success=True
    )

    attack: CombinationAttack[CombinationResult]
    best: int
    gene: np.ndarray
    codes: np.ndarray
    outcome: np.ndarray
    labels: np.ndarray
    label_code: np.ndarray
    new_share: np.ndarray

    @property
    def genes(self) -> list[str]:
        """The genes of the smallest flipping combination, in gene order; empty when none flips."""
        return [str(gene) for gene in self.gene[self.codes[self.best] > 0]]

    @property
    def modifications(self) -> dict[str, str]:
        """What the smallest flipping combination does to each of its genes."""
        return {gene: str(modification) for gene, modification in self._changes().items()}

    @property
    def smallest(self) -> pd.DataFrame:
        """The flipping combinations with the fewest genes, the most complete flip first; as :meth:`to_frame`."""
        rows = _order(self.outcome, self.new_share, self.codes)
        few = np.count_nonzero(self.codes[rows], axis=1) == len(self.genes)
        return self._frame(rows[few & (self.outcome[rows] == FLIPPED)])

    def to_frame(self) -> pd.DataFrame:
        """Return one row per combination: ``outcome, label, share, n_genes``, and one column per gene.

        A gene's column holds its modification, or an empty text where it is left as it is. Flipped combinations come
        first, then rejected, then held ones; those with fewer genes on top, then by share: the most complete flip and
        the weakest hold first.
        """
        return self._frame(_order(self.outcome, self.new_share, self.codes))

    def _frame(self, rows: np.ndarray) -> pd.DataFrame:
        texts = np.array(["", *(str(modification) for modification in self.attack.changes)], dtype=object)
        frame = pd.DataFrame(texts[self.codes[rows]], columns=self.gene.tolist())
        front = {
            "outcome": OUTCOME_TEXTS[self.outcome[rows]], "label": self.labels[self.label_code[rows]],
            "share": self.new_share[rows], "n_genes": np.count_nonzero(self.codes[rows], axis=1),
        }  # fmt: skip
        return pd.concat([pd.DataFrame(front), frame], axis=1)  # even if a gene is named like one of these

    def _changes(self) -> dict[str, Modification]:
        code = self.codes[self.best]
        return {str(self.gene[i]): self.attack.changes[code[i] - 1] for i in np.flatnonzero(code)}

    def changed_values(self, cluster: Cluster, positions: np.ndarray) -> np.ndarray:
        """Return new values from scratch, one modification after the other, shape (cells, len(positions))."""
        changes = self._changes()
        mine = [changes[gene] for gene in cluster.genes[positions]]
        values = np.empty((cluster.n_cells, len(positions)))
        for modification in self.attack.changes:
            chosen = np.array([i for i, other in enumerate(mine) if other is modification], dtype=np.int64)
            if len(chosen):
                values[:, chosen] = modification.new_values(cluster, positions[chosen])
        return values

    def apply(self, adata: Cells, gene: str | None = None) -> AnnData:
        """Return a copy of `adata` with the smallest flipping combination carried out.

        Raises
        ------
        ParameterError
            If no combination flips the label, or a gene is named: genes are changed together here.
        """
        if not self.success:
            raise ParameterError("No combination flips the label, so there is nothing to apply. Try other genes.")
        changed = super().apply(adata, gene)
        changed.uns["adverscarial"]["modifications"] = np.array(list(self.modifications.values()), dtype=str)
        return changed

    def row(self) -> Row:  # noqa: D102
        return {
            **super().row(),
            "tested": len(self.codes),
            **self.counts,
            "genes_modified": len(self.genes),
        }

    def _headline(self) -> str:
        return (
            f"{type(self.attack).__name__} over {some(self.gene, 8)} with {self.attack.changes_text}\n"
            f"  on        {self.classifier}, cluster '{self.target}' ({self.n_cells:,} cells)\n"
            f"  baseline  {self.baseline} ({of_the_cells(self.baseline_share)})"
        )

    def _found(self) -> list[str]:
        """Return the lines of a summary that say what flips."""
        counts = self.counts
        lines = [f"  flipped   {counts['flipped']:,}   held {counts['held']:,}   rejected {counts['rejected']:,}"]
        if not self.success:
            return [*lines, "  smallest  none of the combinations tried flips the label"]
        changes = list(self.modifications.items())
        shown = ", ".join(f"{gene} {modification}" for gene, modification in changes[:8])
        shown += f" and {len(changes) - 8:,} more" if len(changes) > 8 else ""
        genes = f"{len(changes):,} gene{'s' if len(changes) > 1 else ''}"
        lines.append(f"  smallest  {genes}: {shown} -> {self.label} ({in_percent(self.share)})")
        if (others := len(self.smallest) - 1) > 0:
            lines.append(f"            and {others:,} other{'s' if others > 1 else ''} with as few: see smallest")
        return lines
