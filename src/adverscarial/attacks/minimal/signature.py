"""The fewest genes that must be left alone so that the label holds while all others are changed.

It is the same problem as the smallest set that flips a label: all genes are changed, and "to change a gene" means to
give it back its old value. The label that holds must win the vote again.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from adverscarial.attacks.minimal.race import Race
from adverscarial.attacks.minimal.search import smallest
from adverscarial.attacks.run import Run
from adverscarial.classifiers.scorers.base import Scorer
from adverscarial.classifiers.scorers.prefixes import NEVER
from adverscarial.errors import InputRejected

_PAIRED = 200  # genes among which all pairs are tried
_EXCHANGES = 5_000  # of two genes of a signature for one other that are tried at most
_COUPLES = 100  # of genes of a signature, those that harm least, that are exchanged
_EFFORT = 0.01  # share of the work for which a search for the smallest set would try all combinations
_PACE = 4  # a step gives back one gene for so many that are back already


class Signature(NamedTuple):
    """Between which numbers the shortest signature lies; see :func:`shortest_signature`."""

    #: no signature has fewer genes; proven
    lower: int
    #: a signature that was found, positions in the data set, those that may be spared last; None where none was
    genes: np.ndarray | None


def shortest_signature(run: Run, genes: np.ndarray, *, sharper: bool = True) -> Signature:
    """Bound the length of the shortest signature among `genes` (each is read), and look for a short one.

    Where all genes can be changed at once without a flip the signature is empty. Where they cannot, at least one must
    be left alone; where no gene alone, given back, brings the label back, at least two; where no pair of few genes
    does, three. More is proven for families that have :meth:`~adverscarial.classifiers.scorers.base.Scorer.moves`; of
    networks nothing, since bounds take longer than the search.
    Genes whose new values the classifier refuses can never be changed, so they are part of every signature. What takes
    longer to prove is left out unless `sharper`.

    Raises
    ------
    BudgetSpent
        If no query is left.
    """
    if not len(genes):
        return Signature(0, genes)
    joint = run.modification is not None and run.modification.joint
    answer = run.together(genes)
    refused = genes[:0]
    if answer.rejected and not joint:
        refused = genes[run.scorer.refused(genes, run.values(genes))]
        genes = np.setdiff1d(genes, refused)
        answer = run.together(genes)
    if not answer.rejected and not run.changed(answer.label):
        return Signature(len(refused), refused)
    if joint or answer.rejected:
        return Signature(len(refused) + int(not answer.rejected), None)
    changed = run.scorer.fork()
    changed.accept(genes, run.values(genes))
    moves = changed.moves(genes, run.cluster.values(genes))

    def holds(left_alone: np.ndarray) -> bool:
        answer = run.together(np.delete(genes, left_alone))
        return not answer.rejected and not run.changed(answer.label)

    if moves is None:
        few = _few(run, changed, genes, Signature(1, None))
        short = _pulled(run, changed, genes, holds) if few.genes is None else few.genes
        return Signature(len(refused) + few.lower, None if short is None else np.concatenate([refused, short]))
    labels = [str(label) for label in moves.labels]
    race = Race.of(moves.codes, labels, [k for k, label in enumerate(labels) if not run.changed(label)])
    found = smallest(moves, race, holds, quick=not moves.exact, sharper=sharper, effort=_EFFORT, cells=False)
    lower = min(found.lower, len(genes)) if found.lower < NEVER else len(genes)
    known = Signature(lower, None if found.genes is None else genes[found.genes])
    del moves, found  # room: they hold what each gene does to each cell
    few = _few(run, changed, genes, known)
    return Signature(len(refused) + few.lower, None if few.genes is None else np.concatenate([refused, few.genes]))


def one_fewer(run: Run, genes: np.ndarray, signature: np.ndarray, known: np.ndarray) -> np.ndarray | None:
    """Return a signature with one gene less: two of its genes are changed, and another one is left alone.

    Of a long signature, only pairs are tried whose genes harm the label least, each alone; in their place the `known`
    ones, and those that bring the label nearest, as far as there is room. None if none does it.

    Parameters
    ----------
    genes
        All genes, each read.
    signature
        The label holds while all others are changed.
    known
        Genes that stood in any signature so far.
    """
    others = np.setdiff1d(known, signature)
    pairs = len(signature) * (len(signature) - 1) // 2
    if not 0 < pairs * len(others) <= _EXCHANGES or (run.modification is not None and run.modification.joint):
        return None
    base, changed = run.scorer.fork(), np.setdiff1d(genes, signature)
    try:
        base.accept(changed, run.values(changed))
        couples = _least_harm(run, base, signature)
        pulls = base.pulls(changed, run.cluster.values(changed), run.baseline.label)
        if pulls is not None:
            pulling = changed[np.argsort(-pulls, kind="stable")]
            others = np.append(others, pulling[~np.isin(pulling, others)])[: _EXCHANGES // len(couples)]
        old = run.cluster.values(others)
        for two in couples:
            state = base.fork()
            state.accept(two, run.values(two))
            back = _alone(run, state, others, old)
            if back is None:
                return None
            if len(back):
                return np.append(np.setdiff1d(signature, two), back)
    except InputRejected:
        return None
    return None


def _least_harm(run: Run, base: Scorer, signature: np.ndarray) -> list[np.ndarray]:
    """Return pairs of genes of a signature, first those whose genes take least of the lead, each changed alone."""
    run.meter.ask(len(signature), run.cluster.n_cells)
    answers = base.each(signature, run.values(signature))
    harm = answers.share if answers.lead is None else answers.lead
    pairs = sorted(itertools.combinations(range(len(signature)), 2), key=lambda pair: float(harm[list(pair)].sum()))
    return [signature[list(pair)] for pair in pairs[:_COUPLES]]


def _few(run: Run, changed: Scorer, genes: np.ndarray, found: Signature) -> Signature:
    """Return one gene that brings the label back alone, or two, where there are; else that more are needed.

    Pairs are tried among few genes only. Where the budget is not enough to ask about all, nothing is asked.

    Parameters
    ----------
    changed
        The state with all `genes` changed.
    found
        What is known.
    """
    values = run.cluster.values(genes)
    if found.lower == 1 and not _settled(found):
        one = _alone(run, changed, genes, values)
        found = found if one is None else Signature(2, found.genes) if not len(one) else Signature(1, one)
    if found.lower != 2 or _settled(found) or len(genes) > _PAIRED:
        return found
    for k in range(len(genes) - 1):
        state = changed.fork()
        try:
            state.accept(genes[[k]], values[:, [k]])
        except InputRejected:
            return found
        second = _alone(run, state, genes[k + 1 :], values[:, k + 1 :])
        if second is None:
            return found
        if len(second):
            return Signature(2, np.append(genes[[k]], second))
    return Signature(3, found.genes)


def _settled(found: Signature) -> bool:
    return found.genes is not None and len(found.genes) <= found.lower


def _alone(run: Run, state: Scorer, genes: np.ndarray, values: np.ndarray) -> np.ndarray | None:
    """Return the gene that brings the label back with its old value; none where none does, None if not asked."""
    if run.meter.left is not None and run.meter.left <= 2 * len(genes):
        return None
    run.meter.ask(len(genes), run.cluster.n_cells)
    answers = state.each(genes, values)
    back = np.flatnonzero(~(run.changed(answers.label) | answers.rejected))
    return genes[back[[np.argmax(answers.share[back])]]] if len(back) else genes[:0]


def _pulled(run: Run, changed: Scorer, genes: np.ndarray, holds: Callable[[np.ndarray], bool]) -> np.ndarray | None:
    """Return genes that bring the label back, those first that bring it nearer most; None if none were found.

    Parameters
    ----------
    changed
        The state with all `genes` changed; it is used up.
    holds
        Asks whether the label holds with genes, by their positions in `genes`, left alone.
    """
    old, chosen = run.cluster.values(genes), np.empty(0, dtype=np.int64)
    while len(chosen) < len(genes):
        pulls = changed.pulls(genes, old, run.baseline.label)
        if pulls is None:
            return None
        pulls[chosen] = -np.inf
        best = np.argsort(-pulls, kind="stable")[: max(1, len(chosen) // _PACE)]
        try:
            changed.accept(genes[best], old[:, best])
        except InputRejected:  # some of the way back is refused
            return None
        chosen = np.concatenate([chosen, best])
        if not run.changed(changed.baseline.label) and holds(chosen):
            return genes[chosen]
    return None
