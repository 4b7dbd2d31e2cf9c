"""Which way must each gene go, cell by cell, to turn the cluster's label into its runner-up?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial.attacks.base import Attack, check_counts
from adverscarial.attacks.result import Result
from adverscarial.attacks.session import BudgetSpent, Session
from adverscarial.classifiers.base import Answer
from adverscarial.cluster import Cluster
from adverscarial.errors import ClassifierError, DataError, InputRejected, ParameterError, did_you_mean, some
from adverscarial.ranking import rank_genes

#: our names of gene orders, and what `rank_genes` calls them
ORDERS = {name: name for name in ("t-test", "variance", "random", "score")} | {"significance": "wilcoxon"}
NOISE = 1e-7  # two gradients that agree this closely are the same, as in the R code
OUTCOMES = np.array(["unchanged", "changed", "rejected"])
UNCHANGED, CHANGED, REJECTED = 0, 1, 2
_NUMBERS = ("original_share", "new_share", "original_score", "new_score")
_LABELS = ("new_label", "label")


@dataclass(frozen=True, repr=False)
class ClusterGradientDescent(Attack):
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
        ``"significance"`` (Wilcoxon between clusters, the paper's), ``"t-test"``, ``"variance"``, ``"random"`` or
        ``"score"``: a method of :func:`adverscarial.ranking.rank_genes`. Not used with `genes`.
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
    runner_up
        ``"any"``: each cell follows whichever other class its own trial favours most, and is left alone once it has any
        of them.
    reference
        True: the steps of the R package on tables, in which the final step forgets sign(x), a switch needs strictly
        more votes than the original label, `new_target` is forgotten after the first step, and the last cell is never
        attacked. ``"seurat"``: those on Seurat objects, where a value that reaches 0 or less moves twice.

    Examples
    --------
    >>> import adverscarial as adv
    >>> cells = adv.datasets.embedded()
    >>> model = adv.classifiers.ScType(scaled=False)
    >>> attack = ClusterGradientDescent(genes=["CD79A", "CD79B", "MS4A1"])
    >>> result = attack(cells, model, groupby="cell_type", target="Dendritic")
    >>> result.tested_genes
    ['CD79A', 'CD79B', 'MS4A1']
    """

    alpha: float = 1.0
    epsilon: float = 1.0
    _: KW_ONLY
    genes: Sequence[str] | None = None
    order: Literal["significance", "t-test", "variance", "random", "score"] = "significance"
    max_genes: int | None = None
    new_target: str | None = None
    exclude_targets: Sequence[str] = ()
    stop_at_switch: bool = True
    slope_threshold: float = 0.0
    runner_up: Literal["second", "any"] = "second"
    reference: bool | Literal["seurat"] = False

    question = "Which small moves, gene by gene and cell by cell, turn the label into its runner-up?"
    cost = "up to two questions per gene: a trial, and the step"

    def __post_init__(self) -> None:
        for name in ("alpha", "epsilon", "slope_threshold"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not np.isfinite(value):
                raise ParameterError(f"{name} must be a finite number, got {value!r}.")
            object.__setattr__(self, name, float(value))
        if self.alpha == 0 and self.epsilon == 0:
            raise ParameterError("alpha and epsilon are both 0: no gene would move. Set at least one of them.")
        if self.slope_threshold < 0:
            raise ParameterError(f"slope_threshold must not be negative, got {self.slope_threshold!r}.")
        for name in ("genes", "exclude_targets"):
            value = getattr(self, name)
            names = (value,) if isinstance(value, str) else value
            if names is not None and not isinstance(names, Iterable):
                raise ParameterError(f"{name} must name genes or classes in a list, got {value!r}.")
            object.__setattr__(self, name, None if names is None else tuple(str(one) for one in names))
        if self.genes is not None and not len(self.genes):
            raise ParameterError("genes= is empty; name at least one, or leave it out to take all in the given order.")
        if self.order not in ORDERS:
            raise ParameterError(f"order must be one of {some(ORDERS)}, got {self.order!r}.")
        if self.max_genes is not None:
            check_counts(max_genes=self.max_genes)
        if self.runner_up not in ("second", "any"):
            raise ParameterError(f"runner_up must be 'second' or 'any', got {self.runner_up!r}.")
        if self.reference not in (True, False, "seurat"):
            raise ParameterError(f"reference must be True, False or 'seurat', got {self.reference!r}.")
        if self.reference and self.runner_up == "any":
            raise ParameterError("The R package has no runner_up='any'; leave reference= or runner_up= out.")

    def move(self, x: np.ndarray, direction: np.ndarray | int) -> np.ndarray:
        """Return values moved one step, equation (4); ``direction=1`` is equation (3)."""
        return (1 + self.alpha * np.sign(x) * direction) * x + self.epsilon * direction

    def _probe(self, x: np.ndarray) -> np.ndarray:
        return self._seurat_move(x, 1) if self.reference == "seurat" else self.move(x, 1)

    def _step(self, x: np.ndarray, direction: np.ndarray) -> np.ndarray:
        if self.reference == "seurat":
            return self._seurat_move(x, direction)
        if self.reference:
            return (1 + self.alpha * direction) * x + self.epsilon * direction
        return self.move(x, direction)

    def _seurat_move(self, x: np.ndarray, direction: np.ndarray | int) -> np.ndarray:
        """Move positive values, then all that are not positive now: some of them for the second time."""
        up = np.where(x > 0, (1 + self.alpha * direction) * x + self.epsilon * direction, x)
        return np.where(up > 0, up, (1 - self.alpha * direction) * up + self.epsilon * direction)

    def _steps(self, session: Session) -> float:
        n = len(session.cluster.genes) if self.genes is None else len(self.genes)
        return float(n if self.max_genes is None else min(n, self.max_genes))

    def _ordered_genes(self, session: Session) -> np.ndarray:
        """Return the positions of the genes to move, in order."""
        cluster = session.cluster
        if self.genes is not None:
            return cluster.positions(self.genes)[: self.max_genes]
        scored: dict[str, Any] = (
            {"classifier": session.model, "target": cluster.target} if self.order == "score" else {}
        )
        ranking = rank_genes(
            whole_data(cluster), cluster.groupby, method=ORDERS[self.order], seed=cluster.seed, **scored
        )
        return cluster.positions(ranking[: self.max_genes])

    def _search(self, session: Session) -> tuple[type[Any], dict[str, Any]]:
        descent = _Descent(self, session)
        complete = True
        try:
            for gene in self._ordered_genes(session):
                descent.take(int(gene))
                session.meter.advance()
                if descent.over:
                    break
        except BudgetSpent:
            complete = False
        return ClusterGradientDescentResult, {"complete": complete, **descent.fields()}


def whole_data(cluster: Cluster) -> AnnData:
    """Return the data set that a cluster was taken from, as far as a ranking needs it: values and cluster names."""
    obs = pd.DataFrame({cluster.groupby: pd.Categorical(cluster.labels)})
    obs.index = obs.index.astype(str)
    return AnnData(cluster.statistics.matrix.X, obs=obs, var=pd.DataFrame(index=cluster.genes))


class _Descent:
    """The cluster while its genes move, and what is noted of it."""

    def __init__(self, attack: ClusterGradientDescent, session: Session) -> None:
        self.attack, self.session, self.cluster = attack, session, session.cluster
        name = session.model.name
        if session.baseline.scores is None:
            raise ClassifierError(
                f"{name} gives labels only, and this attack follows scores. Attacks that need labels only: "
                "SingleGene, MaxChange, RandomWalk, Grid."
            )
        self.classes = np.array([str(label) for label in session.model.bind(self.cluster.genes).classes])
        if session.baseline.scores.shape[1] != len(self.classes):
            raise ClassifierError(
                f"{name} gives {session.baseline.scores.shape[1]} scores per cell for {len(self.classes)} classes "
                f"({some(self.classes)}); this attack needs one per class."
            )
        self._alphabetical = np.argsort(self.classes, kind="stable")
        self.original = session.baseline.label
        self._original = np.flatnonzero(self.classes == self.original)  # empty where the label means "unknown"
        self.allowed = self._allowed()
        self.scorer = session.scorer.fork()
        self._read(self.scorer.baseline)
        if attack.reference and attack.new_target is not None:  # later steps forget it
            self.new = int(np.flatnonzero(self.classes == attack.new_target)[0])
        self.over = False
        self.start = self._state()
        self.rows: list[dict[str, Any]] = []
        self.moved: dict[int, np.ndarray] = {}  # gene -> its new values

    def _allowed(self) -> np.ndarray:
        """Return which classes the cluster may be called in the end, shape (classes,)."""
        attack, known = self.attack, list(self.classes)
        wanted = () if attack.new_target is None else (attack.new_target,)
        for label in (*wanted, *attack.exclude_targets):
            if label not in known:
                raise ParameterError(
                    f"'{label}' is no class of {self.session.model.name}.{did_you_mean(label, known)} "
                    f"Its {len(known)} classes: {some(known, 40)}."
                )
        allowed = ~np.isin(self.classes, [self.original, *attack.exclude_targets])
        if wanted and not attack.reference:
            allowed &= self.classes == attack.new_target
        if not allowed.any():
            raise ParameterError(
                f"No class is left to turn '{self.original}' into: new_target={attack.new_target!r}, "
                f"exclude_targets={attack.exclude_targets!r}, classes {some(known, 40)}."
            )
        return allowed

    def _read(self, answer: Answer) -> None:
        """Take over what the classifier says of the cluster now: labels, scores, votes and runner-up."""
        assert answer.scores is not None
        assert answer.labels is not None
        self.label, self.share = answer.label, answer.share
        self.scores = answer.scores.astype(np.float64)
        self.labels = answer.labels
        ordered = self.classes[self._alphabetical]
        place = np.minimum(np.searchsorted(ordered, self.labels), len(ordered) - 1)
        self.codes = np.where(ordered[place] == self.labels, self._alphabetical[place], -1)
        self._votes = votes = np.bincount(self.codes[self.codes >= 0], minlength=len(self.classes))
        voted = np.where(self.allowed, votes, 0)
        if voted.any():  # a tie goes to the alphabetically first
            self.new = int(self._alphabetical[np.argmax(voted[self._alphabetical])])
        else:
            self.new = self._best_mean(votes)
        self._ahead = bool(votes[self.new] > votes[self._original].sum())

    def _best_mean(self, votes: np.ndarray) -> int:
        eligible = self.allowed
        if self.attack.reference:  # R forgets which are excluded here, and fails when all the others voted for are
            eligible = self.classes != self.original
            if votes[eligible].any():
                raise ParameterError(
                    f"Only excluded classes are voted for beside '{self.original}', and reference= stops there as the "
                    "R package does. Exclude fewer, or leave reference= out."
                )
        return int(np.argmax(np.where(eligible, self.scores.mean(axis=0), -np.inf)))

    @property
    def _switched(self) -> bool:
        return bool(np.any(self.allowed & (self.classes == self.label)))

    def _to_move(self) -> np.ndarray:
        """Return which cells are not at the new label yet."""
        if self.attack.runner_up == "any":
            return ~(self.allowed[self.codes] & (self.codes >= 0))
        return self.codes != self.new

    def take(self, gene: int) -> None:
        """Try one gene, move it in the cells that gain by it, and note what has become of the cluster."""
        old = self.cluster.X[:, gene]
        new, outcome = self._moved(np.array([gene]), old)
        changed = int((new != old).sum()) if outcome == CHANGED else 0
        if changed:
            self.moved[gene] = new
        attack = self.attack
        if attack.reference and self.over:  # its last trial stays in the data, and is not noted
            return
        self.rows.append({"gene": gene, "n_changed": changed, "outcome": outcome, **self._state()})
        self.over = attack.stop_at_switch and (self._ahead if attack.reference else self._switched)

    def _moved(self, gene: np.ndarray, old: np.ndarray) -> tuple[np.ndarray, int]:
        """Return the gene's new values, and the outcome."""
        to_move, meter = self._to_move(), self.session.meter
        reads = bool(self.scorer.reads(gene)[0])
        if self.attack.reference and to_move.sum() <= 1:
            self.over = True
            probe = self._rounded(np.where(to_move, self.attack._probe(old.astype(np.float64)), old))
            meter.ask(1, self.cluster.n_cells)
            self.scorer.accept(gene, probe[:, None])
            self._read(self.scorer.baseline)
            return probe, CHANGED
        if not reads:
            meter.proven += 1
        if not reads or not to_move.any():
            return old, UNCHANGED
        x = old.astype(np.float64)
        meter.ask(1, self.cluster.n_cells)
        answer = self.scorer.together(gene, self._rounded(np.where(to_move, self.attack._probe(x), x))[:, None])
        if answer.rejected:
            return old, REJECTED
        direction = np.sign(self._slopes(answer)) * to_move
        new = self._rounded(np.where(direction != 0, self.attack._step(x, direction), x))
        if np.array_equal(new, old):
            return old, UNCHANGED
        meter.ask(1, self.cluster.n_cells)
        try:
            self.scorer.accept(gene, new[:, None])
        except InputRejected:  # which leaves the scorer as it was
            return old, REJECTED
        self._read(self.scorer.baseline)
        return new, CHANGED

    def _slopes(self, answer: Answer) -> np.ndarray:
        """Return for each cell what the new label gains over the original one, 0 where that is noise."""
        assert answer.scores is not None
        gradient = answer.scores - self.scores
        if not self.attack.reference:  # a forest adds up the same votes in another order: no gradient
            rounding = 1e-6 if answer.scores.dtype == np.float32 else 1e-12
            gradient[np.abs(gradient) <= rounding * np.abs(self.scores)] = 0
        own = gradient[:, self._original].sum(axis=1)  # 0 where the original label has no score
        new = np.full(len(gradient), self.new)
        if self.attack.runner_up == "any":
            new = np.argmax(np.where(self.allowed, gradient, -np.inf), axis=1)
        gain = gradient[np.arange(len(gradient)), new]
        slope = gain - own
        noise = NOISE * np.maximum(np.abs(gain), np.abs(own))  # R compares the two as text of seven digits
        return np.where(np.abs(slope) > np.maximum(noise, self.attack.slope_threshold), slope, 0.0)

    def _rounded(self, values: np.ndarray) -> np.ndarray:
        """Return values as the data can hold them."""
        with np.errstate(over="ignore"):
            rounded = values.astype(self.cluster.X.dtype)
        if not np.isfinite(rounded).all():
            raise ParameterError(
                f"A step leaves the range of {rounded.dtype}: choose a smaller alpha ({self.attack.alpha:g}) or "
                f"epsilon ({self.attack.epsilon:g})."
            )
        return rounded

    def _state(self) -> dict[str, Any]:
        """Return one row of the table, as the cluster stands."""
        n = len(self.codes)
        kept, score = int(np.sum(self.labels == self.original)), float("nan")
        if len(self._original):
            score = float(self.scores[:, self._original[0]].sum() / n)
        return {
            "original_share": kept / n,
            "new_share": int(self._votes[self.new]) / n,
            "original_score": score,
            "new_score": float(self.scores[:, self.new].sum() / n),
            "new_label": str(self.classes[self.new]),
            "label": self.label,
        }

    def fields(self) -> dict[str, Any]:
        """Return what only this attack's result has."""
        names = self.cluster.gene_names
        table = pd.DataFrame(self.rows, columns=["gene", "n_changed", "outcome", *self.start])
        none = np.empty((self.cluster.n_cells, 0), dtype=self.cluster.X.dtype)
        return {
            "label": self.label, "share": self.share, "success": self._switched, "start": self.start,
            "gene": names[table["gene"].to_numpy(dtype=np.int64)],
            **{name: table[name].to_numpy(dtype=np.int64) for name in ("n_changed", "outcome")},
            **{f"step_{name}": table[name].to_numpy(dtype=np.float64) for name in _NUMBERS},
            **{f"step_{name}": table[name].to_numpy(dtype=str) for name in _LABELS},
            "cell": np.asarray(self.cluster.cells, dtype=str),
            "moved": names[np.array(list(self.moved), dtype=np.int64)],
            "values": np.stack(list(self.moved.values()), axis=1) if self.moved else none,
        }  # fmt: skip


@dataclass(frozen=True, repr=False, kw_only=True)
class ClusterGradientDescentResult(Result):
    """The path from the original label to the new one, and the cells at its end.

    Attributes
    ----------
    success
        Whether the classifier gives the cluster an allowed new label at the end.
    start
        The row of :attr:`steps` before the first gene, without its ``order``, ``gene`` and counts.
    gene, n_changed, outcome
        Tested genes in order; in how many cells each moved; code into ``OUTCOMES``.
    step_original_share, step_new_share, step_original_score, step_new_score, step_new_label, step_label
        Columns of :attr:`steps`.
    cell, moved, values
        Names of the cluster's cells and of the moved genes, and the new values, shape (cells, moved genes).
    """

    success: bool
    start: dict[str, Any]
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
    def tested_genes(self) -> list[str]:
        """The genes that were tried, in order."""
        return self.gene.tolist()

    @property
    def modified_genes(self) -> list[str]:
        """The genes that moved in at least one cell, in order."""
        return self.gene[self.n_changed > 0].tolist()

    @property
    def genes(self) -> list[str]:
        """The genes that moved: :attr:`modified_genes`."""
        return self.modified_genes

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
        columns |= {name: getattr(self, f"step_{name}") for name in (*_NUMBERS, *_LABELS)}
        return pd.DataFrame(columns)

    def to_frame(self) -> pd.DataFrame:
        """Return :attr:`steps`."""
        return self.steps

    def _applied_genes(self) -> list[str]:
        return self.moved.tolist()

    def _values(self, cluster: Cluster, positions: np.ndarray) -> np.ndarray:
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
        return self.values[rows][:, columns]

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

    def _arrays(self) -> dict[str, np.ndarray]:
        steps = tuple(f"step_{name}" for name in (*_NUMBERS, *_LABELS))
        return {
            name: getattr(self, name) for name in ("gene", "n_changed", "outcome", *steps, "cell", "moved", "values")
        }

    def row(self) -> dict[str, Any]:  # noqa: D102
        counts = {"tested": len(self.gene), "modified": len(self.modified_genes), "success": self.success}
        return {**super().row(), **counts}
