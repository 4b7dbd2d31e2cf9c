"""Check a certificate of a lower bound, with plain sums and comparisons: nothing of the search is used.

What is checked, and why it proves the bound, is explained in the documentation, "How many genes must change?".
"""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike

import numpy as np
import pandas as pd

from adverscarial.cells.choice import Cells, meant
from adverscarial.classifiers.files.loading import load
from adverscarial.classifiers.wrap import wrap
from adverscarial.errors import ParameterError
from adverscarial.evaluation.certificate_data import Compared, compare_models, compare_with
from adverscarial.evaluation.certificate_file import (
    Claim,
    Content,
    ModelContent,
    Proof,
    Rows,
    labels_claimed,
    read,
)
from adverscarial.evaluation.certificate_model import check
from adverscarial.evaluation.certificate_votes import goals_of

_LEAVE = -1  # the kind of the rows of cells that leave the loser


@dataclass(frozen=True)
class CertificateCheck:
    """What came of checking a certificate; true in an ``if`` when everything holds.

    Attributes
    ----------
    claim
        What the certificate says, in one sentence.
    table
        One row per thing that was checked: ``checked, holds``.
    left_out
        What of the numbers could not be compared with the cells, and why.
    """

    claim: str
    table: pd.DataFrame
    left_out: list[str]

    def __bool__(self) -> bool:
        return bool(self.table["holds"].all())

    def __str__(self) -> str:
        lines = [f"  {'yes' if row.holds else 'NO '}  {row.checked}" for row in self.table.itertuples()]
        lines += [f"  not compared: {text}" for text in self.left_out]
        return "\n".join([self.claim, *lines, "The certificate holds." if self else "The certificate does NOT hold."])


def verify_certificate(
    path: str | PathLike[str], adata: Cells | None = None, classifier: object | None = None, *, mod: str | None = None,
    use_raw: bool = False,
) -> CertificateCheck:  # fmt: skip
    """Check the proof in a certificate that :meth:`adverscarial.attacks.MinChangeResult.certificate` made.

    For linear and marker models the certificate holds a proof. Without the cells, its numbers (scores, weights, steps)
    are taken as they are, and it is checked that they prove the bound. With the cells it is checked, too, that the
    numbers are those of the cells, and with the classifier that its weights are those in the certificate.

    For trees and networks the bound is proven anew from the cells and the classifier; both are needed.

    Parameters
    ----------
    path
        The certificate.
    adata
        The cells that were attacked.
    classifier
        The classifier that was attacked, or its file, if it cannot run code; see :func:`adverscarial.classifiers.load`.
    mod, use_raw
        Which of their values were attacked, as the attack was told.

    Raises
    ------
    StorageError
        If a file is absent, damaged, or no certificate.
    ParameterError
        If the certificate is about trees or a network, and the cells or the classifier are not given.

    Examples
    --------
    >>> import tempfile, adverscarial as adv
    >>> cells, model = adv.datasets.embedded(), adv.classifiers.ScType(scaled=False)
    >>> result = adv.attacks.MinChange("perc99")(cells, model, groupby="cell_type", target="Dendritic")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = result.certificate(cells, model).save(f"{folder}/proof.json")
    ...     bool(verify_certificate(file, cells))
    True
    """
    content, adata = read(path), None if adata is None else meant(adata, mod=mod, use_raw=use_raw)
    if isinstance(content, ModelContent):
        if adata is None or classifier is None:
            raise ParameterError(
                f"'{path}' is about a classifier of {_FORMS[content.form]}: its bound is proven anew from the cells "
                "and the classifier. Give both: verify_certificate(path, cells, model); on the command line "
                "--data cells.h5ad --classifier model.npz."
            )
        model = load(classifier) if isinstance(classifier, str | PathLike) else wrap(classifier)
        rows, left_out = check(content, adata, model)
        return _made(content.claim, rows, left_out)
    checker = _Checker(content)
    rows = [("the votes give the label of the claim", checker.label == content.claim["label"])]
    rows += [checker.verdict(goal) for goal in goals_of(content.claim, content.labels)]
    found = [Compared([], ["the numbers (no cells were given)"]) if adata is None else compare_with(content, adata)]
    if adata is None or classifier is None:
        found.append(Compared([], ["the classifier (none was given with the cells)"]))
    else:
        model = load(classifier) if isinstance(classifier, str | PathLike) else wrap(classifier)
        found.append(compare_models(content, adata, model))
    for compared in found:
        rows += compared.rows
    return _made(content.claim, rows, [text for compared in found for text in compared.left_out])


#: what a form is called in messages
_FORMS = {"trees": "trees", "network": "dense layers"}


def _made(claim: Claim, rows: list[tuple[str, bool]], left_out: list[str]) -> CertificateCheck:
    return CertificateCheck(_sentence(claim), pd.DataFrame(rows, columns=["checked", "holds"]), left_out)


def _sentence(claim: Claim) -> str:
    which = "of the genes attacked " if claim["some_genes"] else ""
    what = f"{claim['classifier']}, cluster '{claim['target']}', called {claim['label']}, {claim['modification']}"
    wanted = labels_claimed(claim["towards"])
    counted = " or ".join(wanted) or ("a named type" if claim["change_type"] == "named" else "")
    flips = f"flips the label to {counted}" if counted else "flips the label"
    if claim["impossible"]:
        return f"{what}: no set {which}{flips}."
    n = claim["lower"]
    return f"{what}: no set of fewer than {n:,} {'gene' if n == 1 else 'genes'} {which}{flips}."


class _Checker:
    """Bounds on the votes that a label can win, from the numbers of a certificate."""

    def __init__(self, content: Content) -> None:
        self.content = content
        self.n_cells, self.n_labels = content.scores.shape
        self.codes = np.argmax(content.scores, axis=1)
        self.counts = np.bincount(self.codes, minlength=self.n_labels)
        self.rank = np.argsort(np.argsort(np.array(content.labels), kind="stable"), kind="stable")
        numbers = (content.scores, content.steps, content.weights)
        self.whole = all(np.abs(a).max(initial=0) < 2**20 and np.array_equal(a, np.rint(a)) for a in numbers)
        added = np.abs(content.scores) + np.abs(content.steps) @ np.abs(content.weights)
        # sums of n numbers in float64 are wrong by at most n * 1.2e-16 of what was added up
        share = max(5e-12, 1.2e-16 * content.steps.shape[1])
        self.hidden = share * np.maximum(content.size, added.max(axis=1))

    @property
    def label(self) -> str:
        """The cluster's label: the most frequent one, the alphabetically first on a tie."""
        first = min(range(self.n_labels), key=lambda k: (-self.counts[k], self.rank[k]))
        return self.content.labels[first]

    def verdict(self, goal: int) -> tuple[str, bool]:
        """Return what is said about one label, and whether it is proven."""
        lower, name = int(self.content.claim["lower"]), self.content.labels[goal]
        proofs = [proof for proof in self.content.proofs if proof.goal == goal]
        n_genes = self.content.steps.shape[1]
        enough = any(self._refutes(proof, min(lower - 1, n_genes)) for proof in proofs)
        if self.content.claim["impossible"]:
            return f"no set of genes makes it {name}", enough and lower > n_genes
        return f"no set of fewer than {lower:,} genes makes it {name} ({_argument(proofs)})", enough

    def _refutes(self, proof: Proof, m: int) -> bool:
        """Return whether it is proven that no set of at most `m` genes lets the goal win."""
        if m == 0:
            return True
        if m == 1 and proof.argument == "single genes":
            return self._no_gene_alone(proof.goal)
        goal = proof.goal
        mixtures = [_difference(goal, np.array(mixture)) for mixture in proof.mixtures]
        joins = self._joins(goal, mixtures, m)
        if joins.sum() < -(-self.n_cells // self.n_labels) - self.counts[goal]:
            return True  # the winner has its share of the votes at least
        for loser in range(self.n_labels):
            if loser != goal and joins.sum() + self._leaves(loser, m).sum() < self._need(goal, loser):
                return True
        return proof.rows is not None and self._one_set(proof, proof.rows, joins, mixtures, m)

    def _need(self, goal: int, loser: int) -> int:
        """Return how many votes the goal must gain on another label."""
        return int(self.counts[loser] - self.counts[goal] + (self.rank[goal] > self.rank[loser]))

    def _gap(self, c: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
        """Return gains of each gene on ``c . scores``, what is missing to 0, and whether the numbers are exact."""
        exact = self.whole and np.array_equal(c, np.rint(c))
        gains = np.maximum(self.content.steps * (self.content.weights @ c), 0.0)
        return gains, -(self.content.scores @ c) - (0.0 if exact else self.hidden), exact

    def _reach(self, c: np.ndarray, m: int, *, strict: bool) -> np.ndarray:
        """Return which cells' best `m` genes bring ``c . scores`` up to 0 (above it, if `strict`)."""
        gains, missing, exact = self._gap(c)
        best = _largest(gains, m)
        return best > missing if strict and exact else best >= missing

    def _joins(self, goal: int, mixtures: list[np.ndarray], m: int) -> np.ndarray:
        """Return which cells `m` genes of their own may give the goal."""
        can: np.ndarray = self.codes != goal
        for other in range(self.n_labels):
            if other != goal:
                can &= self._reach(self._pair(goal, other), m, strict=goal > other)
        for c in mixtures:
            can &= self._reach(c, m, strict=False)
        return can

    def _leaves(self, loser: int, m: int) -> np.ndarray:
        """Return which cells of a label `m` genes of their own may take from it."""
        can = np.zeros(self.n_cells, dtype=bool)
        for other in range(self.n_labels):
            if other != loser:
                can |= self._reach(self._pair(other, loser), m, strict=other > loser)
        can &= self.codes == loser
        return can

    def _pair(self, winner: int, loser: int) -> np.ndarray:
        c = np.zeros(self.n_labels)
        c[winner], c[loser] = 1.0, -1.0
        return c

    def _one_set(self, proof: Proof, rows: Rows, joins: np.ndarray, mixtures: list[np.ndarray], m: int) -> bool:
        """Return whether the weights of the certificate refute that one set of `m` genes wins enough votes."""
        goal, loser = proof.goal, proof.loser
        leaves = self._leaves(loser, m)
        kinds = {k: self._pair(goal, k) for k in range(self.n_labels) if k != goal}
        kinds |= {self.n_labels + i: c for i, c in enumerate(mixtures)}
        kind, cell, y = rows
        won = {True: joins.astype(float), False: leaves.astype(float)}  # 1 - sum of y, for each vote
        gained = np.zeros(self.content.steps.shape[1])
        for k in np.unique(kind).tolist():
            mine = (kind == k) & (leaves if k == _LEAVE else joins)[cell]
            cells, weight = cell[mine], y[mine]
            if k == _LEAVE:
                shares, needed = self._leaving_shares(loser, cells, m)
            else:
                shares, needed = self._shares(kinds[k], cells)
            gained += weight[needed] @ shares[needed]
            np.subtract.at(won[k != _LEAVE], cells[needed], weight[needed])
        rest = sum(np.maximum(votes, 0.0).sum() for votes in won.values())
        n_votes = joins.sum() + leaves.sum()
        return bool(rest + _largest(gained[None], m)[0] < self._need(goal, loser) - 1e-8 * n_votes)

    def _shares(self, c: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return which share of what is missing each gene gives at most, and where something is missing."""
        gains, missing, _ = self._gap(c)
        gains, missing = gains[cells], missing[cells]
        needed = missing > 0
        return np.minimum(1.0, gains / np.where(needed, missing, 1.0)[:, None]), needed

    def _leaving_shares(self, loser: int, cells: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray]:
        best, needed = np.zeros((len(cells), self.content.steps.shape[1])), np.ones(len(cells), dtype=bool)
        for other in range(self.n_labels):
            if other != loser:
                near = self._reach(self._pair(other, loser), m, strict=other > loser)[cells]
                shares, missing = self._shares(self._pair(other, loser), cells)
                best, needed = np.maximum(best, shares * near[:, None]), needed & (missing | ~near)
        return best, needed

    def _no_gene_alone(self, goal: int) -> bool:
        """Return whether no gene alone lets the goal win: all of them are tried."""
        cells, others = np.arange(self.n_cells), [k for k in range(self.n_labels) if k != goal]
        hidden = np.zeros(self.n_cells) if self.whole else self.hidden
        for steps, weights in zip(self.content.steps.T, self.content.weights, strict=True):
            scores = self.content.scores + steps[:, None] * weights
            first = np.argmax(scores, axis=1)
            may = (first == goal) | ((hidden > 0) & (scores[:, goal] >= scores[cells, first] - hidden))
            sure = np.bincount(first[~may & self._clear(scores, first, hidden)], minlength=self.n_labels)
            if all(may.sum() >= sure[k] + (self.rank[goal] > self.rank[k]) for k in others):
                return False
        return True

    def _clear(self, scores: np.ndarray, first: np.ndarray, hidden: np.ndarray) -> np.ndarray:
        """Return in which cells the best label is ahead by more than rounding hides."""
        best, second = np.partition(scores, -2, axis=1)[:, -1], np.partition(scores, -2, axis=1)[:, -2]
        clear: np.ndarray = (hidden == 0) | (best - second > hidden)
        return clear


def _difference(goal: int, mixture: np.ndarray) -> np.ndarray:
    """Return the weights of a label's score minus a weighted mean of the others' scores."""
    c: np.ndarray = -mixture / mixture.sum()
    c[goal] += 1.0
    return c


def _largest(numbers: np.ndarray, m: int) -> np.ndarray:
    """Return the sum of the `m` largest numbers of each row."""
    n = numbers.shape[1]
    if m >= n:
        return np.asarray(numbers.sum(axis=1))
    return np.asarray(np.partition(numbers, n - m, axis=1)[:, n - m :].sum(axis=1))


def _argument(proofs: list[Proof]) -> str:
    return proofs[0].argument if proofs else "no proof is given"
