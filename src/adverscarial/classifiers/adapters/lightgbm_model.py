"""LightGBM's models: its own prediction, and its trees as arrays, read from the model text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.special import expit, softmax

from adverscarial.classifiers.adapters.boosted_model import BoostedModel, NotExact, Rounds, chosen_rounds, per_class
from adverscarial.classifiers.scorers.tree_ensemble import TreeEnsemble
from adverscarial.errors import StorageError

if TYPE_CHECKING:
    import lightgbm
    import scipy.sparse as sp

_EARLY = ("pred_early_stop", "pred_early_stop_freq", "pred_early_stop_margin")


class LightGBMModel(BoostedModel):
    """A LightGBM model.

    Parameters
    ----------
    model
        ``LGBMClassifier`` or ``Booster``.
    rounds
        How many rounds to use; left out: up to the best, as LightGBM's own ``predict`` does.
    prediction
        Settings of prediction, where they are known otherwise than by the ``LGBMClassifier``.
    """

    package = "lightgbm"
    name = "LightGBM"
    objectives = ("binary", "multiclass", "multiclassova")
    missing = np.nan
    refuses_overflow = False

    def __init__(
        self,
        model: lightgbm.Booster | lightgbm.LGBMClassifier,
        rounds: Rounds | None,
        prediction: Mapping[str, object] | None = None,
    ) -> None:
        wrapped = hasattr(model, "get_params")
        self.booster = model.booster_ if wrapped else model
        # LGBMClassifier hands its own settings on to predict
        own = {name: value for name, value in model.get_params().items() if name in _EARLY} if wrapped else {}
        self.prediction = dict(prediction or own)
        best, total = int(self.booster.best_iteration), int(self.booster.current_iteration())
        self.rounds = chosen_rounds("best" if rounds is None else rounds, best if best > 0 else None, total)
        header, *trees = (
            dict(line.partition("=")[::2] for line in part.splitlines())
            for part in re.split(r"\nTree=\d+\n", self._text().partition("\nend of trees")[0])
        )
        self.objective, *settings = header.get("objective", "none").split()
        self.check_objective()
        self.steepness = float(dict(s.split(":") for s in settings if ":" in s).get("sigmoid", 1))
        self.n_scores = int(header["num_tree_per_iteration"])
        self.n_classes = max(2, self.n_scores)
        self.n_features = int(self.booster.num_feature())
        names = self.booster.feature_name()
        self.feature_names = None if names == [f"Column_{i}" for i in range(len(names))] else names
        self.averaged = "average_output" in header
        self.take_trees(lambda: self._read_trees(trees))

    def _text(self) -> str:
        return str(self.booster.model_to_string(num_iteration=self.rounds))

    def probabilities(self, X: np.ndarray | sp.csr_matrix) -> np.ndarray:
        """Return LightGBM's own prediction, for a dense array or a scipy.sparse matrix of cells x genes."""
        return per_class(self.booster.predict(X, num_iteration=self.rounds, **self.prediction))

    def link(self, sums: np.ndarray) -> np.ndarray:
        """Return the probabilities that belong to summed leaves."""
        if self.objective == "multiclass":
            return np.asarray(softmax(sums, axis=1))
        return per_class(expit(self.steepness * sums))

    def dump(self) -> bytes:
        """Return the model as LightGBM's text."""
        return self._text().encode()

    @classmethod
    def read(cls, text: bytes) -> lightgbm.Booster:  # noqa: D102
        lightgbm = cls.library()
        try:
            return lightgbm.Booster(model_str=text.decode())
        except lightgbm.basic.LightGBMError as error:
            raise StorageError(f"LightGBM cannot read its model: {error}") from error

    def _read_trees(self, trees: list[dict[str, str]]) -> TreeEnsemble:
        if self.prediction.get("pred_early_stop"):
            raise NotExact("it leaves out late trees where a cell is clear (pred_early_stop)")
        if any(int(tree["num_cat"]) for tree in trees):
            raise NotExact("it splits by category")
        if any(int(tree["is_linear"]) for tree in trees):
            raise NotExact("its leaves are linear models")
        # one tree: its inner nodes in their order, then its leaves
        leaves = [int(tree["num_leaves"]) for tree in trees]
        start = np.cumsum([0] + [2 * n - 1 for n in leaves])
        n = int(start[-1])
        feature, left, right = (np.full(n, -1, dtype=np.int64) for _ in range(3))
        threshold, value = np.zeros(n), np.zeros((n, self.n_scores))
        for i, tree in enumerate(trees):
            first_leaf = start[i] + leaves[i] - 1
            inner, outer = slice(start[i], first_leaf), slice(first_leaf, start[i + 1])
            kinds = _numbers(tree.get("decision_type", ""), np.int64)
            if np.any((kinds >> 2) & 3 == 1):
                raise NotExact("zeros are missing to it")
            feature[inner] = _numbers(tree.get("split_feature", ""), np.int64)
            threshold[inner] = _numbers(tree.get("threshold", ""), np.float64)
            for children, key in ((left, "left_child"), (right, "right_child")):
                child = _numbers(tree.get(key, ""), np.int64)
                children[inner] = np.where(child >= 0, start[i] + child, first_leaf + ~child)
            value[outer, i % self.n_scores] = _numbers(tree["leaf_value"], np.float64)
        if self.averaged:
            value /= len(trees) // self.n_scores
        return TreeEnsemble(start[:-1], feature, threshold, left, right, value, np.zeros(self.n_scores), single=False)


def _numbers(text: str, dtype: npt.DTypeLike) -> np.ndarray:
    return np.array(text.split(), dtype=dtype)
