"""scikit-learn's fitted trees as arrays, and how their sums become labels and scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from adverscarial.classifiers.adapters.linear_parts import sums_link
from adverscarial.classifiers.scorers.tree_ensemble import TreeEnsemble, forest_arrays

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

#: a cut below which lies no number but those below zero: a sum of exactly 0 is above it
_BELOW_ZERO = -float(np.nextafter(0.0, 1.0))
_BOOSTED, _BY_HISTOGRAMS = "GradientBoostingClassifier", "HistGradientBoostingClassifier"


def tree_ensemble(model: BaseEstimator) -> TreeEnsemble | None:
    """Return a fitted scikit-learn tree model as arrays; None for other models."""
    kind = type(model).__name__
    if kind in ("DecisionTreeClassifier", "ExtraTreeClassifier") and model.n_outputs_ == 1:
        return forest_arrays([model])
    if kind in ("RandomForestClassifier", "ExtraTreesClassifier") and model.n_outputs_ == 1:
        return forest_arrays(model.estimators_)
    if kind == _BOOSTED and model.init in (None, "zero"):
        flat = forest_arrays(list(model.estimators_.ravel()))
        n_scores = model.estimators_.shape[1]
        tree = np.repeat(np.arange(len(flat.roots)), np.diff(np.r_[flat.roots, len(flat.feature)]))
        value = np.zeros((len(flat.feature), n_scores))
        value[np.arange(len(value)), tree % n_scores] = model.learning_rate * flat.value[:, 0]
        nothing = np.zeros((1, model.n_features_in_), dtype=np.float32)
        start = model._raw_predict_init(nothing)[0]
        return replace(flat, value=value, bias=np.asarray(start, dtype=np.float64))
    return _by_histograms(model) if kind == _BY_HISTOGRAMS else None


def cut(model: BaseEstimator) -> float:
    """Return what one column of sums is compared with: above it is the second class.

    A sum of exactly 0 is the second class to ``GradientBoostingClassifier``, and the first to the one by histograms.
    """
    return 0.0 if type(model).__name__ == _BY_HISTOGRAMS else _BELOW_ZERO


def tree_link(
    model: BaseEstimator, method: str | None, trees: TreeEnsemble
) -> Callable[[np.ndarray], np.ndarray] | None:
    """Return how summed leaves become the reported scores: their mean, or for boosting a probability."""
    boosted = type(model).__name__ in (_BOOSTED, _BY_HISTOGRAMS)
    return sums_link(method) if boosted else lambda sums: sums / len(trees.roots)


def _by_histograms(model: BaseEstimator) -> TreeEnsemble | None:
    """Return the trees of a ``HistGradientBoostingClassifier``; None where it splits by category.

    They compare in float64, and begin with what the model says without any tree. Where missing values would go does not
    matter: data of attacks hold none.
    """
    # a category's values take another path, and the model puts these columns before all others
    if getattr(model, "is_categorical_", None) is not None or not hasattr(model, "_predictors"):
        return None
    nodes = [tree.nodes for trees_of_round in model._predictors for tree in trees_of_round]
    n_scores = len(model._predictors[0])
    sizes = np.array([len(tree) for tree in nodes])
    roots = np.cumsum(sizes) - sizes
    node, offset = np.concatenate(nodes), np.repeat(roots, sizes)
    leaf = node["is_leaf"] == 1
    value = np.zeros((len(node), n_scores))
    value[np.arange(len(node)), np.repeat(np.arange(len(nodes)), sizes) % n_scores] = np.where(leaf, node["value"], 0.0)
    return TreeEnsemble(
        roots=roots,
        feature=np.where(leaf, -1, node["feature_idx"]).astype(np.int64),
        threshold=np.where(leaf, 0.0, node["num_threshold"]),
        left=np.where(leaf, -1, node["left"].astype(np.int64) + offset),
        right=np.where(leaf, -1, node["right"].astype(np.int64) + offset),
        value=value,
        bias=np.asarray(model._baseline_prediction, dtype=np.float64).reshape(n_scores),
        single=False,
    )
