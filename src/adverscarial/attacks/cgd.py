"""Which way must each gene go, cell by cell, to turn the cluster's label into its runner-up?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial._types import Row
from adverscarial.attacks.base import Attack
from adverscarial.attacks.columns import NEW_TARGET, Column, Option
from adverscarial.attacks.descent import LABELS, NUMBERS, OUTCOMES, REJECTED, Descent, Standing
from adverscarial.attacks.gate import Gate
from adverscarial.attacks.ranking import rank_genes
from adverscarial.attacks.result import GeneSet, Result
from adverscarial.attacks.run import BudgetSpent, Run
from adverscarial.attacks.settings import check_counts
from adverscarial.cells.cluster import Cluster
from adverscarial.cells.matrix import CellMatrix, layer_of, layers_of
from adverscarial.errors import DataError, ParameterError, some

#: our names of gene orders, and what `rank_genes` calls them
ORDERS = {name: name for name in ("t-test", "variance", "random", "score", "phenotype")} | {"significance": "wilcoxon"}

#: what a cell's slope is made of
RUNNER_UP = ("second", "any", "own")


@dataclass(frozen=True, repr=False)
class ClusterGradientDescent(Attack["ClusterGradientDescentResult"], name="cgd"):
    """Move one gene after another, each cell in its own direction, until the label switches (R: ``advCGD``).

    Each gene is first raised on trial in the cells that are not at the new label yet: ``f(x) = (1 + alpha sign(x)) x +
    epsilon`` (equation 3 of the paper). The slope of a cell is what the runner-up's score gains by that, less what the
    current label's gains. The cell's value then follows the sign s of the slope: ``(1 + alpha sign(x) s) x + epsilon
    s`` (equation 4); where the slope is 0 it stays. Labels and runner-up are read again after every step.

    Parameters
    ----------
    alpha, epsilon
        Multiplicative and additive part of a step; the paper's main runs have both at 0.5, 1 or 10. The R package's
        defaults, 0.1 and 0, never move a zero, so the genes that a cluster does not express could not be used.
    genes
        The genes to move, in this order. Left out, all of them as `order` says. For several attacks on the same data,
        rank once and pass the genes.
    order
        ``"significance"`` (Wilcoxon between clusters, the paper's), ``"t-test"``, ``"variance"``, ``"random"``,
        ``"score"`` or ``"phenotype"``: a method of :func:`adverscarial.attacks.ranking.rank_genes`. Not used with
        `genes`.
    order_layer
        Layer whose values the genes are ranked by, ``"X"`` for X; the attacked one when left out. For
        ``order="variance"`` of z-scores, which all have the same variance, it is then the layer ``"lognorm"``.
    phenotype
        For ``order="phenotype"``: a column of ``obs`` with numbers, or names of genes.
    max_genes
        Stop after this many genes.
    new_target
        The class that the cluster shall be called; left out, the runner-up: the most voted other class, or, when none
        is voted, the one with the best mean score.
    exclude_targets
        Classes that it shall not be called.
    stop_at_switch
        Stop as soon as the classifier gives the cluster the new label; False goes on to the last gene.
    slope_threshold
        A cell moves only if its slope is larger than this, in units of the score.
    relative_threshold
        The same as a share of the score's own spread: the distance between the quartiles, over the unmodified cells of
        the cluster, of what the slope is made of (the runner-up's score less the current label's). Scores of one
        classifier differ by 1 between cells, those of another by 0.00001; 0.01 means the same for both.
    runner_up
        ``"second"``: as above, the paper's. ``"any"``: each cell follows whichever other class its own trial favours
        most, and is left alone once it has any of them. ``"own"``: no other class is looked at; each cell follows the
        fall of the original label's score, and is left alone once it has another label.
    reference
        True: the steps of the R package on tables, in which the final step forgets sign(x), a switch needs strictly
        more votes than the original label, `new_target` is forgotten after the first step, and the last cell is never
        attacked. ``"seurat"``: those on Seurat objects, where a value that reaches 0 or less moves twice.

    %(example)s
    >>> attack = ClusterGradientDescent(genes=["CD79A", "CD79B", "MS4A1"])
    >>> result = attack(cells, model, groupby="cell_type", target="Dendritic")
    >>> result.tested_genes
    ['CD79A', 'CD79B', 'MS4A1']
    """

    alpha: float = 1.0
    epsilon: float = 1.0
    _: KW_ONLY
    genes: Sequence[str] | None = None
    order: Literal["significance", "t-test", "variance", "random", "score", "phenotype"] = "significance"
    order_layer: str | None = None
    phenotype: Sequence[str] | str | None = None
    max_genes: int | None = None
    new_target: str | None = None
    exclude_targets: Sequence[str] = ()
    stop_at_switch: bool = True
    slope_threshold: float = 0.0
    relative_threshold: float = 0.0
    runner_up: Literal["second", "any", "own"] = "second"
    reference: bool | Literal["seurat"] = False

    place: ClassVar[int] = 30
    question: ClassVar[str] = "Which small moves, gene by gene and cell by cell, turn the label into its runner-up?"
    example_settings: ClassVar[str] = "--alpha 1"
    options: ClassVar[tuple[Option, ...]] = (
        Option("genes", str, "Move only this gene; repeat for several, in order.", several=True, flag="gene"),
        Option("alpha", float, "Relative step."),
        Option("epsilon", float, "Absolute step."),
        NEW_TARGET,
        Option("exclude_targets", str, "Not this label; repeat for several.", several=True, flag="exclude-target"),
        Option("order", str, "Order of the genes: significance, t-test, variance, random, score or phenotype."),
        Option("order_layer", str, "Layer that the genes are ranked by; the attacked one when left out."),
        Option(
            "phenotype", str, "For --order phenotype: a column of obs; or a gene, repeated for a set.", several=True
        ),
        Option("max_genes", int, "Most genes to try."),
        Option("stop_at_switch", bool, "End when the label switches, or go on over all genes."),
        Option("slope_threshold", float, "Least slope of the score that a gene must have to be moved."),
        Option("relative_threshold", float, "The same, as a share of the score's spread over the cells."),
        Option("runner_up", str, "second: follow the second most likely label; any: the best other one; own: none."),
    )
    cost: ClassVar[str] = "up to two queries per gene: a trial, and the step"

    def __post_init__(self) -> None:
        for name in ("alpha", "epsilon", "slope_threshold", "relative_threshold"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not np.isfinite(value):
                raise ParameterError(f"{name} must be a finite number, got {value!r}.")
            object.__setattr__(self, name, float(value))
        if self.alpha == 0 and self.epsilon == 0:
            raise ParameterError("alpha and epsilon are both 0: no gene would move. Set at least one of them.")
        for name in ("slope_threshold", "relative_threshold"):
            if getattr(self, name) < 0:
                raise ParameterError(f"{name} must not be negative, got {getattr(self, name)!r}.")
        for name in ("genes", "exclude_targets", "phenotype"):
            value = getattr(self, name)
            names = (value,) if isinstance(value, str) else value
            if names is not None and not isinstance(names, Iterable):
                raise ParameterError(f"{name} must name genes or classes in a list, got {value!r}.")
            object.__setattr__(self, name, None if names is None else tuple(str(one) for one in names))
        self._check_order()
        self._check_runner_up()

    def _check_order(self) -> None:
        if self.genes is not None and not len(self.genes):
            raise ParameterError("genes= is empty; name at least one, or leave it out to take all in the given order.")
        if self.order not in ORDERS:
            raise ParameterError(f"order must be one of {some(ORDERS)}, got {self.order!r}.")
        if (self.order == "phenotype") != bool(self.phenotype):
            raise ParameterError(
                "order='phenotype' and phenotype= belong together: name a column of obs with numbers, or genes."
            )
        if self.max_genes is not None:
            check_counts(max_genes=self.max_genes)

    def _check_runner_up(self) -> None:
        if self.runner_up not in RUNNER_UP:
            raise ParameterError(f"runner_up must be 'second', 'any' or 'own', got {self.runner_up!r}.")
        if self.reference not in (True, False, "seurat"):
            raise ParameterError(f"reference must be True, False or 'seurat', got {self.reference!r}.")
        if self.reference and self.runner_up != "second":
            raise ParameterError(
                f"The R package has no runner_up='{self.runner_up}'; leave reference= or runner_up= out."
            )
        if self.runner_up == "own" and self.new_target is not None:
            raise ParameterError("runner_up='own' looks at no other label, so it cannot be led to new_target=.")

    def move(self, x: np.ndarray, direction: np.ndarray | int) -> np.ndarray:
        """Return values moved one step, equation (4); ``direction=1`` is equation (3)."""
        found: np.ndarray = (1 + self.alpha * np.sign(x) * direction) * x + self.epsilon * direction
        return found

    def probe(self, x: np.ndarray) -> np.ndarray:
        """Return values raised on trial, equation (3)."""
        return self._seurat_move(x, 1) if self.reference == "seurat" else self.move(x, 1)

    def step(self, x: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """Return values moved for good, in each cell's own direction."""
        if self.reference == "seurat":
            return self._seurat_move(x, direction)
        if self.reference:
            found: np.ndarray = (1 + self.alpha * direction) * x + self.epsilon * direction
            return found
        return self.move(x, direction)

    def _seurat_move(self, x: np.ndarray, direction: np.ndarray | int) -> np.ndarray:
        """Move positive values, then all that are not positive now: some of them for the second time."""
        up = np.where(x > 0, (1 + self.alpha * direction) * x + self.epsilon * direction, x)
        return np.where(up > 0, up, (1 - self.alpha * direction) * up + self.epsilon * direction)

    def length(self, run: Run) -> float:  # noqa: D102
        n = len(run.cluster.genes) if self.genes is None else len(self.genes)
        return float(n if self.max_genes is None else min(n, self.max_genes))

    def ordered_genes(self, run: Run) -> np.ndarray:
        """Return the positions of the genes to move, in order."""
        cluster = run.cluster
        if self.genes is not None:
            return cluster.positions(self.genes)[: self.max_genes]
        scored: dict[str, Any] = {"classifier": run.model, "target": cluster.target} if self.order == "score" else {}
        if self.phenotype is not None:
            column = len(self.phenotype) == 1 and self.phenotype[0] in cluster.adata.obs
            scored["phenotype"] = self.phenotype[0] if column else self.phenotype
        ranking = rank_genes(
            cluster.adata, cluster.groupby, layer=self._ranked_layer(cluster.adata, cluster.layer),
            method=ORDERS[self.order], seed=cluster.seed, **scored,
        )  # fmt: skip
        return cluster.positions(ranking[: self.max_genes])

    def _ranked_layer(self, adata: AnnData, layer: str | None) -> str | None:
        """Return the layer that genes are ranked by."""
        if self.order_layer is not None:
            return None if self.order_layer == "X" and "X" not in layers_of(adata) else self.order_layer
        if self.order != "variance" or not CellMatrix(layer_of(adata, layer)).any_negative():
            return layer
        if "lognorm" in layers_of(adata):
            return "lognorm"
        raise ParameterError(
            "order='variance' ranks z-scores, which all have variance 1: the order would be chance. Name the layer of "
            f"unscaled values with order_layer= (command line: --order-layer). There are: {some(layers_of(adata))}."
        )

    def also_reads(self, adata: AnnData, layer: str | None) -> list[object]:  # noqa: D102
        if self.genes is not None:
            return []
        columns = [name for name in self.phenotype or () if name in adata.obs]
        ranked = self._ranked_layer(adata, layer)
        return [*([] if ranked == layer else [layer_of(adata, ranked)]), *(adata.obs[name] for name in columns)]

    def perform(self, run: Run) -> ClusterGradientDescentResult:  # noqa: D102
        descent = Descent(self, run)
        complete = True
        try:
            for gene in self.ordered_genes(run):
                descent.take(int(gene))
                run.meter.advance()
                if descent.over:
                    break
        except BudgetSpent:
            complete = False
        return ClusterGradientDescentResult(
            **run.shared(label=descent.label, share=descent.share, complete=complete), **descent.fields()
        )


@dataclass(frozen=True, repr=False, kw_only=True)
class ClusterGradientDescentResult(Result):
    """The path from the original label to the new one, and the cells at its end.

    Attributes
    ----------
    switched
        Whether the classifier gives the cluster an allowed new label at the end; the same as ``success``.
    start
        The row of :attr:`steps` before the first gene, without its ``order``, ``gene`` and counts.
    gene, n_changed, outcome
        Tested genes in order; in how many cells each moved; code into ``OUTCOMES``.
    step_original_share, step_new_share, step_original_score, step_new_score, step_new_label, step_label
        Columns of :attr:`steps`.
    cell, moved, values
        Names of the cluster's cells and of the moved genes, and the new values, shape (cells, moved genes).
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column("tested", "whole", "Genes that were tried."),
        Column("success", "yes-no", "Whether the cluster has an allowed new label at the end."),
        Column("modified", "whole", "Genes that moved in at least one cell."),
    )
    gate: ClassVar[Gate | None] = Gate("modified", "below", "moves of {value} genes flip {where}", on_success=True)

    switched: bool
    start: Standing
    gene: np.ndarray
    n_changed: np.ndarray
    outcome: np.ndarray
    step_original_share: np.ndarray
    step_new_share: np.ndarray
    step_original_score: np.ndarray
    step_new_score: np.ndarray
    step_new_label: np.ndarray
    step_label: np.ndarray
    cell: np.ndarray
    moved: np.ndarray
    values: np.ndarray

    @property
    def success(self) -> bool:
        """Whether the classifier gives the cluster an allowed new label at the end."""
        return self.switched

    @property
    def tested_genes(self) -> list[str]:
        """The genes that were tried, in order."""
        return [str(gene) for gene in self.gene]

    @property
    def modified_genes(self) -> list[str]:
        """The genes that moved in at least one cell, in order."""
        return [str(gene) for gene in self.gene[self.n_changed > 0]]

    @property
    def genes(self) -> list[str]:
        """The genes that moved: :attr:`modified_genes`."""
        return self.modified_genes

    def singled_out(self) -> GeneSet | None:
        """Return the genes that moved; None where the label held."""
        genes = self.gene[self.n_changed > 0]
        return GeneSet("descent", genes, np.full(len(genes), self.label)) if self.success else None

    @property
    def steps(self) -> pd.DataFrame:
        """One row per tested gene, as the cluster stands after it.

        Columns: ``order`` (from 1), ``gene``, ``n_cells_changed``, ``outcome`` (changed, unchanged, or rejected by the
        classifier), ``original_share`` and ``new_share`` (of the cells that carry the original label and the new one),
        ``original_score`` and ``new_score`` (mean over all cells of the cluster; NaN where the original label has no
        score), ``new_label`` (the runner-up now) and ``label`` (of the cluster).
        """
        columns = {"order": np.arange(1, len(self.gene) + 1), "gene": self.gene, "n_cells_changed": self.n_changed}
        columns |= {"outcome": OUTCOMES[self.outcome]}
        columns |= {name: getattr(self, f"step_{name}") for name in (*NUMBERS, *LABELS)}
        return pd.DataFrame(columns)

    def trajectory(self) -> pd.DataFrame:
        """Return :attr:`steps`, below a row that says how the cluster stood before the first gene."""
        before = pd.DataFrame([{"order": 0, "gene": "", "n_cells_changed": 0, "outcome": "", **self.start}])
        return pd.concat([before, self.steps], ignore_index=True)

    def to_frame(self) -> pd.DataFrame:
        """Return :attr:`steps`."""
        return self.steps

    @property
    def changed_genes(self) -> list[str]:
        """The genes that moved, in the order of their moves."""
        return [str(gene) for gene in self.moved]

    @property
    def n_rejected(self) -> int:
        """Genes whose moved values the classifier refused."""
        return int((self.outcome == REJECTED).sum())

    @property
    def labels_given(self) -> set[str]:
        """Every label that the classifier gave the cluster."""
        return {self.baseline, self.label, *self.step_label.tolist()}

    def stored_values(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return names of cells, names of genes, and new values of shape (cells, genes)."""
        return self.cell, self.moved, self.values

    def changed_values(self, cluster: Cluster, positions: np.ndarray) -> np.ndarray:
        """Return the new values, cells found by name."""
        columns = pd.Index(self.moved).get_indexer(cluster.genes[positions])
        if np.array_equal(self.cell, np.asarray(cluster.cells, dtype=str)):
            return self.values[:, columns]
        known = pd.Index(self.cell)
        rows = known.get_indexer(cluster.cells) if known.is_unique else np.full(cluster.n_cells, -1)
        if (rows < 0).any() or len(rows) != len(known):
            raise DataError(
                f"This result holds new values of {len(known):,} cells, and cluster '{cluster.target}' has "
                f"{cluster.n_cells:,}, {int((rows < 0).sum()):,} of them others. Apply it to the cells it was made of."
            )
        found: np.ndarray = self.values[rows][:, columns]
        return found

    def __str__(self) -> str:
        last = self.steps.iloc[-1] if len(self.gene) else pd.Series(self.start)
        kept, new = f"{last['original_share']:.0%} of the cells", f"{last['new_share']:.0%}"
        if self.success:
            outcome = f"  switched  to {self.label} ({self.share:.0%}); {kept} keep {self.baseline}"
        else:
            outcome = f"  held      {kept} keep {self.baseline}; {new} are {last['new_label']}"
        shown = ", ".join(self.modified_genes[:8]) + (", ..." if len(self.modified_genes) > 8 else "")
        lines = [self._headline(), outcome, f"  tested    {len(self.gene):,} genes"]
        lines.append(f"  modified  {len(self.modified_genes):,} genes{': ' + shown if shown else ''}")
        if rejected := int((self.outcome == REJECTED).sum()):
            lines.append(f"  rejected  {rejected:,} genes: the classifier refused the changed values")
        return "\n".join([*lines, self._footer()])

    def row(self) -> Row:  # noqa: D102
        counts = {"tested": len(self.gene), "modified": len(self.modified_genes), "success": self.success}
        return {**super().row(), **counts}
