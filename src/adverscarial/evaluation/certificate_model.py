"""Check a certificate about trees or a network: the bound is proven anew, from the classifier and the cells."""

from __future__ import annotations

import numpy as np
from anndata import AnnData

from adverscarial.cells.cluster import Cluster
from adverscarial.cells.columns import positions_among
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.plain import Plain, PlainTrees, fingerprint
from adverscarial.errors import AdverscarialError, InputRejected
from adverscarial.evaluation.certificate_data import Row
from adverscarial.evaluation.certificate_file import ModelContent
from adverscarial.evaluation.certificate_network import NetworkBounds
from adverscarial.evaluation.certificate_trees import TreeBounds
from adverscarial.evaluation.certificate_votes import Bounds, Votes, goals_of, winner_of, without_goals
from adverscarial.modifications.base import parse

_SETS = 20  # random sets of genes after which trees or layers must give the classifier's own labels


def check(content: ModelContent, adata: AnnData, model: Classifier) -> tuple[list[Row], list[str]]:
    """Return what was checked and whether it holds, and what could not be compared.

    What is found first to belong to something else ends the check: the bound would be about that.
    """
    claim = content.claim
    try:
        cluster = Cluster(adata, claim["groupby"], claim["target"], layer=claim["layer"], seed=claim["seed"])
        plain = model.plain(cluster)
        positions = cluster.positions(content.genes)
    except AdverscarialError as error:
        return [(f"the data hold the cluster and its genes: {error}", False)], []
    rows = [("the cells are those of the cluster", cluster.cells.tolist() == content.cells)]
    same = plain is not None and (plain.form, plain.labels) == (content.form, content.labels)
    rows.append(("the classifier is that of the certificate", same and fingerprint(plain) == content.model))
    if plain is None or not all(holds for _, holds in rows):
        return rows, []
    subject = _Subject(content, cluster, model, plain, positions)
    rows += subject.values_hold()
    if all(holds for _, holds in rows):
        rows += subject.proof()
    return rows, [] if content.values is None else ["new values (they come from a function)"]


class _Subject:
    """The classifier, the cells and the new values that a certificate is about."""

    def __init__(
        self, content: ModelContent, cluster: Cluster, model: Classifier, plain: Plain, positions: np.ndarray
    ) -> None:
        self.content, self.cluster, self.model, self.plain = content, cluster, model, plain
        self.positions, self.read = positions, cluster.positions(plain.genes)
        self.old = cluster.values(self.read)
        with np.errstate(over="ignore"):
            given = None if content.values is None else content.values.astype(cluster.dtype)
        self.values = self._changed(positions) if given is None else given
        columns = model.align(cluster.genes)
        self._X, self._column = cluster.values(columns), positions_among(columns, len(cluster.genes))

    def _changed(self, positions: np.ndarray) -> np.ndarray:
        """Return what the modification makes of genes."""
        with np.errstate(over="ignore"):
            values = parse(self.content.claim["modification"]).new_values(self.cluster, positions)
            return np.broadcast_to(values.astype(self.cluster.dtype), (self.cluster.n_cells, len(positions)))

    def values_hold(self) -> list[Row]:
        """Compare values with those of the certificate, and see that no other gene moves."""
        if self.content.values is None and parse(self.content.claim["modification"]).joint:
            return [("the new value of a gene depends on that gene alone", False)]
        rows = [
            ("the values are those of the cells", fingerprint(self.old) == self.content.old),
            ("the new values are those of the modification", fingerprint(self.values) == self.content.new),
        ]
        if not self.content.claim["some_genes"] and self.content.values is None:
            others = np.setdiff1d(self.read, self.positions)
            moving = others[(self._changed(others) != self.cluster.values(others)).any(axis=0)]
            held = all(self._labels(self._changed(moving[[k]]), moving[[k]]) is None for k in range(len(moving)))
            rows.append(("no other gene of the classifier moves, unless it refuses the new values", held))
        return rows

    def _labels(self, values: np.ndarray, positions: np.ndarray) -> np.ndarray | None:
        """Return the classifier's own labels after genes are changed, -1 for unknown ones; None if it refuses."""
        X, column = self._X.copy(), self._column[positions]
        X[:, column[column >= 0]] = values[:, column >= 0]
        try:
            labels = self.model.decide(X).labels
        except InputRejected:
            return None
        known = {label: k for k, label in enumerate(self.content.labels)}
        return np.array([known.get(str(label), -1) for label in labels], dtype=np.int64)

    def proof(self) -> list[Row]:
        """Prove the bound anew."""
        new, place = self.old.copy(), positions_among(self.read, len(self.cluster.genes))[self.positions]
        new[:, place[place >= 0]] = self.values[:, place >= 0]
        bounds: Bounds
        if isinstance(self.plain, PlainTrees):
            bounds = TreeBounds(self.plain, self.old, new)
        else:
            bounds = NetworkBounds(self.plain, self.old, new)
        codes = self._labels(self.values[:, :0], self.positions[:0])
        what = "trees" if self.plain.form == "trees" else "layers"
        agree = f"the {what} label the cells as the classifier does, also with {_SETS} random sets of genes changed"
        if codes is None or (codes < 0).any() or not self._agree(bounds, new):
            return [(agree, False)]
        claim, labels, n_genes = self.content.claim, self.content.labels, len(self.content.genes)
        votes = Votes(bounds, codes, labels, max(0, min(claim["lower"] - 1, n_genes)))
        rows = [
            (agree, True),
            ("the votes give the label of the claim", labels[winner_of(codes, labels)] == claim["label"]),
        ]
        if not goals_of(claim, labels):
            rows.append(without_goals(claim, labels))
        return rows + self._verdicts(votes, new)

    def _verdicts(self, votes: Votes, new: np.ndarray) -> list[Row]:
        claim, labels, n_genes = self.content.claim, self.content.labels, len(self.content.genes)
        goals, lower = goals_of(claim, labels), claim["lower"]
        arguments = {goal: votes.argument(goal) for goal in goals}
        open_goals = [goal for goal in goals if arguments[goal] is None]
        if open_goals and min(lower - 1, n_genes) == 1 and self._none_alone(votes, open_goals, new):
            arguments |= dict.fromkeys(open_goals, "single genes")
        rows = []
        for goal, argument in arguments.items():
            name, enough = labels[goal], argument is not None
            if claim["impossible"]:
                rows.append((f"no set of genes makes it {name}", enough and lower > n_genes))
            else:
                text = f"no set of fewer than {lower:,} genes makes it {name} ({argument or 'not proven'})"
                rows.append((text, enough))
        return rows

    def _agree(self, bounds: Bounds, new: np.ndarray) -> bool:
        """Return whether trees or layers give the classifier's own labels where their scores are not too near."""
        rng, n = np.random.default_rng(0), len(self.positions)
        place = positions_among(self.read, len(self.cluster.genes))
        for k in range(_SETS):
            chosen = np.flatnonzero(rng.random(n) < k / (_SETS - 1))  # from none to all
            theirs = self._labels(self.values[:, chosen], self.positions[chosen])
            values, read = self.old.copy(), place[self.positions[chosen]]
            values[:, read[read >= 0]] = new[:, read[read >= 0]]
            scores = bounds.scores_of(values)
            best = np.sort(scores, axis=1)
            clear = (best[:, -1] - best[:, -2] > bounds.hidden) | bounds.exact
            if theirs is not None and not np.array_equal(np.argmax(scores, axis=1)[clear], theirs[clear]):
                return False
        return True

    def _none_alone(self, votes: Votes, goals: list[int], new: np.ndarray) -> bool:
        """Return whether no gene alone lets a goal win; where scores are near, the classifier itself is asked."""
        labels = self.content.labels
        place = positions_among(self.read, len(self.cluster.genes))[self.positions]
        moving = (new != self.old).any(axis=0)
        for gene in votes.genes_that_may(goals).tolist():
            if not moving[gene]:
                continue
            chosen = np.flatnonzero(place == gene)
            codes = self._labels(self.values[:, chosen], self.positions[chosen])
            if codes is not None and ((codes < 0).any() or winner_of(codes, labels) in goals):
                return False
        return True
