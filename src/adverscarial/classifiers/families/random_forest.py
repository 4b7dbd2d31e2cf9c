"""scRF, the random forest of the paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any, Self

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial._progress import Advance, bar
from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers.answers import Decision, argmax_labels
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.families.training import training_matrix
from adverscarial.classifiers.plain import PlainTrees
from adverscarial.classifiers.registry import CommandLine
from adverscarial.classifiers.scorers.tree_ensemble import TreeEnsemble, forest_arrays
from adverscarial.classifiers.scorers.trees import TreeScorer
from adverscarial.errors import ClassifierError, DataError, ParameterError

_AT_ONCE = 50  # trees between two steps of the progress bar


class RandomForest(
    Classifier,
    family="random_forest",
    command_line=CommandLine("random-forest", "Random forest with the paper's settings (scRF).", place=10),
):
    """Random forest with the paper's settings: 500 trees on 100 cells of each type, one vote per tree.

    Training is scikit-learn's; the trees are then kept as plain arrays. The paper trains on z-scores.

    Parameters
    ----------
    n_estimators
        Trees.
    balance
        Cells of each type to train on (see :func:`adverscarial.datasets.balance`); None trains on all cells.
    genes_per_tree
        Genes that each tree gets to see, drawn anew for each; None: all. With few, no gene is in many trees, and more
        genes must change for another label: see :doc:`/hardening`.
    n_jobs
        Processor cores for training.
    seed
        Of the balanced draw and of the forest.
    %(progress_trained)s

    Examples
    --------
    >>> import adverscarial as adv
    >>> train, test = adv.datasets.split(adv.datasets.embedded(), "cell_type", seed=0)
    >>> model = RandomForest(n_estimators=50, seed=0).fit(train, "cell_type")
    >>> model.predict(test).shape
    (347,)

    Notes
    -----
    The paper's R randomForest makes a node a leaf when none of the drawn genes differs; scikit-learn draws on until one
    does. Leaves vote for their majority class in both.
    """

    def __init__(
        self,
        n_estimators: int = 500,
        *,
        balance: int | None = 100,
        genes_per_tree: int | None = None,
        n_jobs: int | None = None,
        seed: int = 0,
        progress: bool | None = None,
    ) -> None:
        self.n_estimators, self.balance, self.n_jobs, self.seed = n_estimators, balance, n_jobs, seed
        self.genes_per_tree = genes_per_tree
        self.progress = progress
        self.classes, self.genes = (), None
        self._trees: TreeEnsemble | None = None

    def __repr__(self) -> str:
        balance = "" if self.balance == 100 else f", balance={self.balance}"
        few = "" if self.genes_per_tree is None else f", genes_per_tree={self.genes_per_tree}"
        return f"RandomForest({self.n_estimators}{balance}{few}, seed={self.seed})"

    def _check_settings(self) -> None:
        if self.n_estimators < 1:
            raise ParameterError(f"RandomForest: n_estimators must be at least 1, got {self.n_estimators}.")
        few = self.genes_per_tree
        if few is not None and (not isinstance(few, Integral) or isinstance(few, bool) or few < 1):
            raise ParameterError(
                f"RandomForest: genes_per_tree must be a whole number, at least 1, or None for all; got {few!r}."
            )

    @property
    def trees(self) -> TreeEnsemble:
        """The trees; each leaf's value is 1 for the class it votes for."""
        if self._trees is None:
            raise ClassifierError("This RandomForest is not trained yet: call fit(adata, groupby) first.")
        return self._trees

    def _train(self, adata: AnnData, groupby: str, layer: str | None) -> None:
        X, labels, genes = training_matrix(adata, groupby, layer, self.balance, self.seed)
        X = X.astype(np.float32)  # as each call of fit would
        grow = self._grown if self.genes_per_tree is None else self._grown_on_few_genes
        with bar("Training RandomForest", self.n_estimators, self.progress) as advance:
            trees = grow(X, labels, advance)
        self.classes, self.genes = tuple(str(name) for name in np.unique(labels)), genes
        self._trees = hard_votes(trees)

    def _grown(self, X: np.ndarray, labels: np.ndarray, advance: Advance) -> TreeEnsemble:
        """Return trees that each see all genes."""
        from sklearn.ensemble import RandomForestClassifier

        forest = RandomForestClassifier(
            max_features="sqrt", random_state=self.seed, n_jobs=self.n_jobs, warm_start=True
        )
        for grown in range(0, self.n_estimators, _AT_ONCE):  # the same trees as all at once
            wanted = min(grown + _AT_ONCE, self.n_estimators)
            forest.set_params(n_estimators=wanted).fit(X, labels)
            advance(wanted - grown)
        return forest_arrays(forest.estimators_)

    def _grown_on_few_genes(self, X: np.ndarray, labels: np.ndarray, advance: Advance) -> TreeEnsemble:
        """Return trees that each see a few genes, and as many cells as there are, drawn with replacement."""
        from sklearn.tree import DecisionTreeClassifier

        assert self.genes_per_tree is not None
        generator = np.random.default_rng(self.seed)
        n_genes, codes = min(self.genes_per_tree, X.shape[1]), np.unique(labels, return_inverse=True)[1]
        drawn, trees = [], []
        for _ in range(self.n_estimators):
            genes = np.sort(generator.choice(X.shape[1], n_genes, replace=False))
            # weights, not rows: a type that is not drawn stays a class
            weights = np.bincount(generator.integers(len(X), size=len(X)), minlength=len(X)).astype(np.float64)
            tree = DecisionTreeClassifier(max_features="sqrt", random_state=int(generator.integers(2**31)))
            trees.append(tree.fit(X[:, genes], codes, sample_weight=weights))
            drawn.append(genes)
            advance(1)
        found = forest_arrays(trees)
        of_tree = np.searchsorted(found.roots, np.arange(len(found.feature)), side="right") - 1
        inner = found.feature >= 0
        feature = found.feature.copy()
        feature[inner] = np.array(drawn)[of_tree[inner], found.feature[inner]]
        return replace(found, feature=feature)

    @classmethod
    def from_table(cls, nodes: pd.DataFrame, *, classes: Sequence[str], genes: Sequence[str]) -> Self:
        """Build a forest from a plain node table, such as R's ``randomForest::getTree`` gives.

        Parameters
        ----------
        nodes
            One row per node: ``tree, node, left, right, status, var, split, pred``. Trees and nodes count from 1;
            status -1 is a leaf; ``var`` and ``pred`` count from 1 into `genes` and `classes`.
        classes, genes
            Names, in the order that ``pred`` and ``var`` count in.

        Raises
        ------
        DataError
            If a column is missing, or the table is not a forest.
        """
        needed = ["tree", "node", "left", "right", "status", "var", "split", "pred"]
        if absent := [name for name in needed if name not in nodes]:
            raise DataError(f"The node table lacks the columns {absent}; it needs {needed}.")
        nodes = nodes.sort_values(["tree", "node"], kind="stable")
        tree = nodes["tree"].to_numpy()
        roots = np.flatnonzero(np.r_[True, tree[1:] != tree[:-1]])
        offset = np.repeat(roots, np.diff(np.r_[roots, len(nodes)]))
        leaf = nodes["status"].to_numpy() == -1
        value = np.zeros((len(nodes), len(classes)))
        voted = nodes["pred"].to_numpy(dtype=np.int64)[leaf] - 1
        feature = np.where(leaf, -1, nodes["var"].to_numpy(dtype=np.int64) - 1)
        if voted.min(initial=0) < 0 or voted.max(initial=0) >= len(classes) or feature.max(initial=0) >= len(genes):
            raise DataError("The node table names a class or a gene that is not in classes= or genes=.")
        if feature[~leaf].min(initial=0) < 0:
            raise DataError(
                "The node table has inner nodes that test no gene; var counts from 1 where status is not -1."
            )
        value[np.flatnonzero(leaf), voted] = 1
        forest = cls(n_estimators=len(roots))
        forest.classes, forest.genes = tuple(map(str, classes)), pd.Index([str(gene) for gene in genes])
        forest._trees = TreeEnsemble(
            roots=roots,
            feature=feature,
            threshold=nodes["split"].to_numpy(dtype=np.float64),
            left=offset + nodes["left"].to_numpy(dtype=np.int64) - 1,
            right=offset + nodes["right"].to_numpy(dtype=np.int64) - 1,
            value=value,
            bias=np.zeros(len(classes)),
            single=False,
        )
        return forest

    def decide(self, X: np.ndarray) -> Decision:  # noqa: D102
        votes = self.trees.sums(X) / len(self.trees.roots)
        return Decision(argmax_labels(self.classes, votes), votes)

    def scorer(self, cluster: Cluster) -> TreeScorer:  # noqa: D102
        trees, tested = self.trees.narrowed  # the others' values need not be held
        columns, n_trees = self.align(cluster.genes)[tested], len(trees.roots)
        X = cluster.values(columns)
        return TreeScorer(trees, X, columns, len(cluster.genes), self.classes, link=lambda s: s / n_trees)

    def plain(self, cluster: Cluster) -> PlainTrees:  # noqa: D102
        return self.trees.plain(cluster.gene_names[self.align(cluster.genes)], self.classes)

    def state(self) -> tuple[Mapping[str, object], Mapping[str, np.ndarray]]:  # noqa: D102
        trees = self.trees
        assert self.genes is not None
        meta = {
            "classes": self.classes,
            "genes": list(self.genes),
            "single": trees.single,
            "settings": {
                "n_estimators": self.n_estimators,
                "balance": self.balance,
                "seed": self.seed,
                "genes_per_tree": self.genes_per_tree,
            },
        }
        return meta, trees.arrays()

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:  # noqa: D102
        forest = cls(**meta["settings"])
        forest._check_settings()
        forest.classes, forest.genes = tuple(meta["classes"]), pd.Index(meta["genes"])
        forest._trees = trees = TreeEnsemble(**arrays, single=bool(meta["single"]))
        if trees.feature.max() >= len(forest.genes) or {trees.value.shape[1], len(trees.bias)} != {len(forest.classes)}:
            raise DataError("The trees test more genes than are named, or vote for other classes.")
        return forest


def hard_votes(trees: TreeEnsemble) -> TreeEnsemble:
    """Return the same trees with each leaf voting 1 for its majority class (the first on a tie)."""
    value = np.zeros_like(trees.value)
    value[np.arange(len(value)), np.argmax(trees.value, axis=1)] = 1
    return replace(trees, value=value)
