"""XGBoost's models: its own prediction, and its trees as arrays, read from the model document."""

from __future__ import annotations

import copy
import json
import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.special import expit, logit, softmax

from adverscarial.classifiers.adapters.boosted_model import BoostedModel, NotExact, Rounds, chosen_rounds, per_class
from adverscarial.classifiers.files.xgboost_document import check_model
from adverscarial.classifiers.scorers.tree_ensemble import TreeEnsemble
from adverscarial.errors import StorageError

if TYPE_CHECKING:
    import xgboost

logger = logging.getLogger(__name__)


class XGBoostModel(BoostedModel):
    """An XGBoost model.

    Parameters
    ----------
    model
        ``XGBClassifier`` or ``Booster``.
    missing
        The value that means "no value"; what the ``XGBClassifier`` was told when left out, else NaN.
    rounds
        How many rounds to use; left out: as the object's own ``predict`` does.

    Attributes
    ----------
    zeros_missing
        Whether a value of 0 is missing to the model.
    knows_frame
        Whether it was certainly trained on a data frame, so that zeros were values in training.
    moved_by_gaps
        Genes that some node sends elsewhere where they are missing than where they are 0; None where the trees have no
        exact form.
    """

    package = "xgboost"
    name = "XGBoost"
    objectives = ("binary:logistic", "multi:softprob", "multi:softmax")
    refuses_overflow = True

    def __init__(
        self, model: xgboost.Booster | xgboost.XGBClassifier, missing: float | None, rounds: Rounds | None
    ) -> None:
        wrapped = hasattr(model, "get_booster")
        booster = model.get_booster() if wrapped else model
        by_wrapper = wrapped or booster.attr("scikit_learn") is not None
        # only data frames give the wrapper names; a Booster may have got them beside a sparse matrix
        self.knows_frame = by_wrapper and booster.feature_names is not None
        self.booster = _cut(booster, rounds, wrapped)
        self.missing = float(getattr(model, "missing", np.nan) if missing is None else missing)
        self.zeros_missing = self.missing == 0
        learner = json.loads(bytes(self.booster.save_raw("json")))["learner"]
        self.objective = learner["objective"]["name"]
        self.check_objective()
        self.n_classes = max(2, int(learner["learner_model_param"]["num_class"]))
        self.n_features = int(booster.num_features())
        self.feature_names: list[str] | None = booster.feature_names
        self.moved_by_gaps: np.ndarray | None = None
        self.take_trees(lambda: self._read_trees(learner))

    def with_gaps_missing(self) -> XGBoostModel:
        """Return the model as it answers where a value of 0 stands for one that a sparse matrix leaves out."""
        if self.zeros_missing:
            return self
        other = copy.copy(self)
        other.zeros_missing = True
        learner = json.loads(bytes(self.booster.save_raw("json")))["learner"]
        other.take_trees(lambda: other._read_trees(learner))
        return other

    def probabilities(self, X: np.ndarray | sp.csr_matrix) -> np.ndarray:
        """Return XGBoost's own prediction, for a dense array or a scipy.sparse matrix of cells x genes."""
        xgboost = self.library()
        if self.zeros_missing and self.missing != 0 and not sp.issparse(X):
            X = np.where(X == 0, np.float32(np.nan), X)
        data = xgboost.DMatrix(
            X,
            missing=self.missing,
            feature_names=self.booster.feature_names,
            feature_types=self.booster.feature_types,
            enable_categorical=True,
        )
        if self.objective == "multi:softmax":  # would give labels
            return np.asarray(softmax(self.booster.predict(data, output_margin=True), axis=1))
        return per_class(self.booster.predict(data))

    def link(self, sums: np.ndarray) -> np.ndarray:
        """Return the probabilities that belong to summed leaves."""
        return per_class(expit(sums[:, 0])) if sums.shape[1] == 1 else np.asarray(softmax(sums, axis=1))

    def dump(self) -> bytes:
        """Return the model in XGBoost's binary form."""
        return bytes(self.booster.save_raw("ubj"))

    @classmethod
    def read(cls, text: bytes) -> xgboost.Booster:  # noqa: D102
        xgboost = cls.library()
        booster = xgboost.Booster()
        try:
            check_model(text, xgboost.__version__)
            booster.load_model(bytearray(text))
        except (ValueError, xgboost.core.XGBoostError) as error:
            raise StorageError(f"XGBoost cannot read its model: {str(error).splitlines()[0]}") from error
        return booster

    def _read_trees(self, learner: dict[str, Any]) -> TreeEnsemble:
        gradient_booster = learner["gradient_booster"]
        if gradient_booster["name"] not in ("gbtree", "dart"):
            raise NotExact(f"a model of type {gradient_booster['name']} has no trees")
        inner = gradient_booster.get("gbtree", gradient_booster)["model"]
        trees = inner["trees"]
        if not np.isnan(self.missing) and self.missing != 0:
            raise NotExact(f"values of {self.missing:g} are missing to it")
        if any(int(tree["tree_param"]["size_leaf_vector"]) > 1 for tree in trees):
            raise NotExact("its leaves hold one value per class")
        if any(any(tree["split_type"]) for tree in trees):
            raise NotExact("it splits by category")
        sizes = [len(tree["left_children"]) for tree in trees]
        start = np.concatenate([[0], np.cumsum(sizes)])

        def column(key: str, dtype: npt.DTypeLike) -> np.ndarray:
            return np.concatenate([np.asarray(tree[key], dtype=dtype) for tree in trees] or [np.empty(0, dtype)])

        offset = np.repeat(start[:-1], sizes)
        left, right = column("left_children", np.int64), column("right_children", np.int64)
        inside = left >= 0
        number = column("split_conditions", np.float32)  # a threshold, or a leaf's value
        n_scores = 1 if self.objective == "binary:logistic" else self.n_classes
        # XGBoost 3.4 writes dart as a "gbtree" that holds the weights itself
        dropped = gradient_booster.get("weight_drop", inner.get("weight_drop")) or np.ones(len(trees))
        weight = np.repeat(np.asarray(dropped, dtype=np.float64), sizes)
        value = np.zeros((len(left), n_scores))
        value[np.arange(len(left)), np.repeat(np.asarray(inner["tree_info"], dtype=np.int64), sizes)] = np.where(
            inside, 0.0, number * weight
        )
        base = np.broadcast_to(json.loads(learner["learner_model_param"]["base_score"]), n_scores).astype(np.float64)
        ensemble = TreeEnsemble(
            roots=start[:-1],
            feature=np.where(inside, column("split_indices", np.int64), -1),
            # "x < t" in float32 is "x <= the number before t"
            threshold=np.nextafter(number, np.float32(-np.inf)).astype(np.float64),
            left=np.where(inside, left + offset, -1),
            right=np.where(inside, right + offset, -1),
            value=value,
            bias=logit(base) if n_scores == 1 else base,
        )
        missing_left, nodes = column("default_left", np.int64)[inside] == 1, np.flatnonzero(inside)
        moved = missing_left != (ensemble.threshold[nodes] >= 0)
        self.moved_by_gaps = np.unique(ensemble.feature[nodes[moved]])
        return _with_zeros_apart(ensemble, nodes, missing_left) if self.zeros_missing else ensemble


def _cut(booster: xgboost.Booster, rounds: Rounds | None, wrapped: bool) -> xgboost.Booster:
    """Return the booster with the rounds that are used, and say so where a user may not expect it."""
    best = booster.attr("best_iteration")
    if best is None and rounds in (None, "all", "best"):
        return booster
    total = int(booster.num_boosted_rounds())
    stopped = None if best is None else int(best) + 1
    used = chosen_rounds("best" if rounds is None and wrapped else rounds, stopped, total)
    if stopped is not None and stopped < total:
        logger.log(
            logging.INFO if wrapped else logging.WARNING,
            "XGBoost: early stopping found the best of %d rounds at round %d; %d rounds are used. "
            "To use others, pass rounds='best', rounds='all' or a number (command line: --rounds).",
            total, stopped, used,
        )  # fmt: skip
    return booster if used == total else booster[:used]


def _with_zeros_apart(trees: TreeEnsemble, inner: np.ndarray, zeros_left: np.ndarray) -> TreeEnsemble:
    """Return trees in which a value of exactly 0 goes where XGBoost sends missing values.

    `inner` are the nodes that test a gene, `zeros_left` says where each of them sends zeros. Where the comparison alone
    would send zeros elsewhere, the node becomes three::

        x <= t                 the half line without zero is decided as before
        └─ x <= just below 0   ... and on the half line with zero,
           └─ x <= 0           zero itself is picked out
    """
    with_zero_left = trees.threshold[inner] >= 0  # on which side of the threshold zero lies
    apart = with_zero_left != zeros_left
    split, zero_is_left = inner[apart], with_zero_left[apart]
    size = np.ones(len(trees.feature), dtype=np.int64)
    size[split] = 3
    start = np.cumsum(size) - size
    first, second, third = start[split], start[split] + 1, start[split] + 2

    def spread(values: np.ndarray) -> np.ndarray:
        return np.repeat(values, size, axis=0)

    feature, threshold = spread(trees.feature), spread(trees.threshold)
    left = spread(np.where(trees.left >= 0, start[trees.left], -1))
    right = spread(np.where(trees.right >= 0, start[trees.right], -1))
    near = np.where(zero_is_left, left[first], right[first])  # for small values beside zero
    far = np.where(zero_is_left, right[first], left[first])  # for zero
    left[first] = np.where(zero_is_left, second, left[first])
    right[first] = np.where(zero_is_left, right[first], second)
    threshold[second] = -float(np.finfo(np.float32).smallest_subnormal)
    left[second], right[second] = near, third
    threshold[third] = 0.0
    left[third], right[third] = far, near
    return TreeEnsemble(start[trees.roots], feature, threshold, left, right, spread(trees.value), trees.bias)
