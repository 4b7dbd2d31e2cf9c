"""Genes changed at once while the label holds: how groups of them are added, and how a set is made larger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from adverscarial.attacks.run import Run
from adverscarial.classifiers.answers import Answer
from adverscarial.classifiers.scorers.alike import Alike


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


_VAIN = 4  # searches without success, after which a good signature is taken
_HOPELESS = 8  # rounds like the last one, after which a search that is still behind is given up
_AT_LEAST = 16  # genes that are tried before their order is made anew
_MANY = 64  # groups that were tried, after which it pays to look for what proves the label of all cells at once


class Kept:
    """The genes changed so far while the label holds."""

    def __init__(self, run: Run) -> None:
        self.base = run
        self._state = run.fork()
        self._joint = run.modification is not None and run.modification.joint
        self.genes: np.ndarray = np.empty(0, dtype=np.int64)
        self._answer = run.baseline
        self._alone: tuple[np.ndarray, Answer] | None = None
        self._tried = 0
        self._alike: Alike | None = None
        self._flips = np.empty(0, dtype=bool)  # for each code, whether its label is a change
        self._waiting: list[np.ndarray] = []  # groups that are kept by proof, and not in the state yet

    @property
    def answer(self) -> Answer:
        """What the classifier says with all genes changed that are kept."""
        self._catch_up()
        return self._answer

    @property
    def incremental(self) -> bool:
        """Whether a query about one gene costs less than classifying the cluster again."""
        return self.base.scorer.incremental

    def holds_alone(self, group: np.ndarray) -> bool:
        """Return whether the label holds when only `group` is changed."""
        answer = self.base.together(group)
        self._alone = group, answer
        return not (answer.rejected or self.base.changed(answer.label))

    def add(self, group: np.ndarray) -> bool:
        """Add `group` if the label holds; return whether it did."""
        code = self._proven(group)
        if code is not None:
            self.base.meter.ask(1, self.base.cluster.n_cells)
            return not self._flips[code] and self._keep_by_proof(group)
        union = np.concatenate([self.genes, group])
        if not len(self.genes) and self._alone is not None and self._alone[0] is group:
            answer = self._alone[1]  # nothing is kept yet, so the query would be the one that was just asked
        else:  # a modification that looks at all changed genes at once must be asked about the whole union
            answer = self.base.together(union) if self._joint else self._state.together(group)
        if answer.rejected or self.base.changed(answer.label):
            return False
        if not self._joint:
            self._state.accept(group, known=answer)
            if self._alike is not None:
                self._state.scorer.centre(self._alike)
        self.genes, self._answer = union, answer
        return True

    def _proven(self, group: np.ndarray) -> int | None:
        """Return the code of the label that all cells are proven to get with a group changed as well, if any."""
        self._tried += 1
        if self._tried == _MANY and not self._joint:
            self._alike = self.base.alike()
            if self._alike is not None:
                self._state.scorer.centre(self._alike)
                self._flips = np.array([self.base.changed(str(label)) for label in self._alike.labels], dtype=bool)
        if self._alike is None:
            return None
        code = self._alike.code(group)
        if code < 0 and self._waiting:  # its point may have moved away from the cells
            self._catch_up()
            code = self._alike.code(group)
        return code if code >= 0 else None

    def _keep_by_proof(self, group: np.ndarray) -> bool:
        """Keep a group, and leave it to later to change the cells."""
        assert self._alike is not None
        self._alike.accept(group)
        self._waiting.append(group)
        self.genes = np.concatenate([self.genes, group])
        return True

    def _catch_up(self) -> None:
        """Change the cells in all genes that are kept."""
        if self._waiting and self._alike is not None:
            self._state.accept(np.concatenate(self._waiting))
            self._waiting, self._answer = [], self._state.scorer.baseline
            self._state.scorer.centre(self._alike)

    def _without_sure_flips(self, genes: np.ndarray) -> np.ndarray:
        """Return `genes` without those that are proven to flip the label, each alone on top of what is kept."""
        if self._alike is None:
            return genes
        codes = self._alike.codes(genes)
        sure = (codes >= 0) & self._flips[codes]
        self.base.meter.ask(int(sure.sum()), self.base.cluster.n_cells)
        return genes[~sure]

    def add_singly(self, genes: np.ndarray, *, ordered: bool = True) -> bool:
        """Try each gene alone on top of what is kept; return whether any could be added.

        Those that hold alone may not hold together, so they are asked about again on top of the ones before them:
        those first that take least of the label's lead, where that is known and `ordered` is not False.
        """
        if self._joint:
            return any([self.add(gene) for gene in genes[:, None]])
        before = len(self.genes)
        while len(genes):
            self._catch_up()
            genes = self._without_sure_flips(genes)
            answers = self._state.each(genes)
            holds = ~(self.base.changed(answers.label) | answers.rejected)
            genes = genes[holds]
            if ordered:
                genes = genes[self._least_harm(genes, answers.lead, holds)]
            first = genes[: max(_AT_LEAST, len(genes) // 2)]
            if not self.add_in_order(first):
                self.add_in_order(genes[len(first) :])
                break
            genes = genes[~np.isin(genes, self.genes)]
        return len(self.genes) > before

    def _least_harm(self, genes: np.ndarray, lead: np.ndarray | None, holds: np.ndarray) -> np.ndarray:
        """Return the order of genes by what they take of the lead, least first; their own order where none is known."""
        if lead is not None and np.isfinite(lead[holds]).all():
            return np.argsort(lead[holds], kind="stable")
        state = self._state
        pulls = state.scorer.pulls(genes, state.values(genes), state.baseline.label) if len(genes) else None
        return np.arange(len(genes)) if pulls is None else np.argsort(-pulls, kind="stable")

    def add_in_order(self, genes: np.ndarray) -> bool:
        """Add genes one after another, several at a time where that has just gone well; return whether any was."""
        start, size, before = 0, 1, len(self.genes)
        while start < len(genes):
            group = genes[start : start + size]
            if self.add(group):
                start, size = start + len(group), 2 * size
            elif len(group) == 1:
                start += 1
            else:
                size = max(1, len(group) // 4)
        return len(self.genes) > before


@dataclass
class Shortest:
    """The shortest signature so far.

    Attributes
    ----------
    genes
        Positions; all genes before there is one.
    answer
        What the classifier says with all others changed.
    maximal, done
        Whether no single gene can be left out of it, and of the one that is being looked for.
    lower
        No signature is shorter: proven.
    known
        Genes that stood in any signature.
    informed
        Whether the first one was computed from what the classifier is known to do.
    vain
        Searches since the last one that found a shorter one.
    complete
        False once the budget was spent.
    """

    genes: np.ndarray
    answer: Answer
    maximal: bool = False
    done: bool = False
    lower: int = 0
    known: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    informed: bool = False
    vain: int = 0
    complete: bool = True

    @property
    def proven(self) -> bool:
        """Whether no signature can be shorter."""
        return len(self.genes) <= self.lower

    @property
    def settled(self) -> bool:
        """Whether to look no further: it is proven, the budget is spent, or it began well and nothing came of it."""
        return self.proven or not self.complete or self.vain >= (_VAIN if self.informed else 3 * _VAIN)

    @contextmanager
    def compared(self, genes: np.ndarray, kept: Kept) -> Iterator[Kept]:
        """Compare what is found inside, also where the budget ends it: the genes that are not kept are a signature."""
        self.done = False
        try:
            yield kept
        finally:
            signature = np.setdiff1d(genes, kept.genes)
            first, shorter = not len(self.known), len(signature) - len(self.genes)
            self.vain = 0 if shorter < 0 else self.vain + 1
            if first or shorter < 0 or (shorter == 0 and self.done and not self.maximal):
                self.genes, self.maximal, self.answer = signature, self.done, kept.answer
            self.known = np.union1d(self.known, signature)


def completed(kept: Kept, genes: np.ndarray, rng: np.random.Generator, shortest: int) -> bool:
    """Add single genes until none can be added; return whether that was reached.

    It is given up where it lags so far behind that it will not get to less than `shortest` genes that are left.
    """
    while True:
        left = np.setdiff1d(genes, kept.genes)
        if not kept.add_singly(rng.permutation(left)):
            return True
        still = len(genes) - len(kept.genes)
        if still - shortest > _HOPELESS * (len(left) - still):
            return False


def shaken(kept: Kept, genes: np.ndarray, signature: np.ndarray, known: np.ndarray, rng: np.random.Generator) -> bool:
    """Look for a signature beside a known one: take other genes back for a while, and try those of the signature again.

    Returns whether there is one now to which no single gene can be added.

    Parameters
    ----------
    kept
        Nothing is kept yet.
    genes
        All genes, each read.
    signature
        A signature.
    known
        Genes that stood in any signature so far: some of them are taken back.
    rng
        Decides which, and in what order genes are tried.
    """
    others = np.setdiff1d(known, signature)
    if len(others) < len(signature) // 2:
        others = np.setdiff1d(genes, signature)
    back = rng.permutation(others)[: max(1, min(len(others), int(rng.integers(1, len(signature) // 2 + 2))))]
    if not kept.add(np.setdiff1d(genes, np.concatenate([signature, back]))):
        return False
    kept.add_singly(rng.permutation(signature), ordered=rng.random() < 0.5)
    kept.add_in_order(back)
    return completed(kept, genes, rng, len(signature))
