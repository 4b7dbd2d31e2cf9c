"""The cluster under a cluster gradient descent, while its genes move, and what is noted of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import pandas as pd

from adverscarial.attacks.run import Run
from adverscarial.classifiers.answers import Answer
from adverscarial.errors import ClassifierError, InputRejected, ParameterError, did_you_mean, some

if TYPE_CHECKING:
    from adverscarial.attacks.cgd import ClusterGradientDescent

NOISE = 1e-7  # two gradients that agree this closely are the same, as in the R code
OUTCOMES = np.array(["unchanged", "changed", "rejected"])
UNCHANGED, CHANGED, REJECTED = 0, 1, 2
NUMBERS = ("original_share", "new_share", "original_score", "new_score")
LABELS = ("new_label", "label")


class Standing(TypedDict):
    """How the cluster stands between two genes: the new label is the runner-up that the descent moves to."""

    original_share: float
    new_share: float
    original_score: float
    new_score: float
    new_label: str
    label: str


class Descent:
    """The cluster while its genes move, and what is noted of it."""

    def __init__(self, attack: ClusterGradientDescent, run: Run) -> None:
        self.attack, self.run, self.cluster = attack, run, run.cluster
        name = run.model.name
        if run.baseline.scores is None:
            raise ClassifierError(
                f"{name} gives labels only, and this attack follows scores. SingleGene, MinChange and "
                "others need labels only: see `adverscarial list`."
            )
        self.classes = np.array([str(label) for label in run.model.bind(self.cluster.genes).classes])
        if run.baseline.scores.shape[1] != len(self.classes):
            raise ClassifierError(
                f"{name} gives {run.baseline.scores.shape[1]} scores per cell for {len(self.classes)} classes "
                f"({some(self.classes)}); this attack needs one per class."
            )
        self._alphabetical = np.argsort(self.classes, kind="stable")
        self.original = run.baseline.label
        self._original = np.flatnonzero(self.classes == self.original)  # empty where the label means "unknown"
        self.allowed = self._allowed()
        if attack.runner_up == "own" and not len(self._original):
            raise ParameterError(
                f"'{self.original}' has no score that could fall, so runner_up='own' has nothing to follow. Use "
                "runner_up='second' or 'any'."
            )
        self.scorer = run.scorer.fork()
        self._read(self.scorer.baseline)
        self._least = self._thresholds()
        if attack.reference and attack.new_target is not None:  # later steps forget it
            self.new = int(np.flatnonzero(self.classes == attack.new_target)[0])
        self.over = False
        self.start = self._state()
        self.rows: list[dict[str, object]] = []
        self.moved: dict[int, np.ndarray] = {}  # gene -> its new values

    def _allowed(self) -> np.ndarray:
        """Return which classes the cluster may be called in the end, shape (classes,)."""
        attack, known = self.attack, list(self.classes)
        wanted = () if attack.new_target is None else (attack.new_target,)
        for label in (*wanted, *attack.exclude_targets):
            if label not in known:
                raise ParameterError(
                    f"'{label}' is no class of {self.run.model.name}.{did_you_mean(label, known)} "
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

    def _thresholds(self) -> np.ndarray:
        """Return for each class how large a slope towards it must be, from the scores of the unmodified cells."""
        attack, own = self.attack, self.scores[:, self._original].sum(axis=1, keepdims=True)
        leads = own if attack.runner_up == "own" else self.scores - own
        low, high = np.quantile(leads, [0.25, 0.75], axis=0)
        relative: np.ndarray = attack.relative_threshold * (high - low)
        return np.broadcast_to(np.maximum(relative, attack.slope_threshold), len(self.classes))

    def _to_move(self) -> np.ndarray:
        """Return which cells are not at the new label yet."""
        if self.attack.runner_up == "own":
            kept: np.ndarray = self.codes == self._original
            return kept
        if self.attack.runner_up == "any":
            return ~(self.allowed[self.codes] & (self.codes >= 0))
        found: np.ndarray = self.codes != self.new
        return found

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
        to_move, meter = self._to_move(), self.run.meter
        reads = bool(self.scorer.reads(gene)[0])
        if self.attack.reference and to_move.sum() <= 1:
            self.over = True
            probe = self._rounded(np.where(to_move, self.attack.probe(old.astype(np.float64)), old), old)
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
        answer = self.scorer.together(gene, self._rounded(np.where(to_move, self.attack.probe(x), x), x)[:, None])
        if answer.rejected:
            return old, REJECTED
        direction = np.sign(self._slopes(answer)) * to_move
        new = self._rounded(np.where(direction != 0, self.attack.step(x, direction), x), x)
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
        gain = gradient[np.arange(len(gradient)), new] * (self.attack.runner_up != "own")
        slope = gain - own
        noise = NOISE * np.maximum(np.abs(gain), np.abs(own))  # R compares the two as text of seven digits
        return np.where(np.abs(slope) > np.maximum(noise, self._least[new]), slope, 0.0)

    def _rounded(self, values: np.ndarray, old: np.ndarray) -> np.ndarray:
        """Return values as the data can hold them: of counts, whole and not negative; halves go with the move."""
        if self.cluster.counts and not self.attack.reference:
            values = np.maximum(np.where(values > old, np.floor(values + 0.5), np.ceil(values - 0.5)), 0.0)
        with np.errstate(over="ignore"):
            rounded = values.astype(self.cluster.X.dtype)
        if not np.isfinite(rounded).all():
            raise ParameterError(
                f"A step leaves the range of {rounded.dtype}: choose a smaller alpha ({self.attack.alpha:g}) or "
                f"epsilon ({self.attack.epsilon:g})."
            )
        return rounded

    def _state(self) -> Standing:
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
            "switched": self._switched, "start": self.start,
            "gene": names[table["gene"].to_numpy(dtype=np.int64)],
            **{name: table[name].to_numpy(dtype=np.int64) for name in ("n_changed", "outcome")},
            **{f"step_{name}": table[name].to_numpy(dtype=np.float64) for name in NUMBERS},
            **{f"step_{name}": table[name].to_numpy(dtype=str) for name in LABELS},
            "cell": np.asarray(self.cluster.cells, dtype=str),
            "moved": names[np.array(list(self.moved), dtype=np.int64)],
            "values": np.stack(list(self.moved.values()), axis=1) if self.moved else none,
        }  # fmt: skip
