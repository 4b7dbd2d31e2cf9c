"""XGBoost and LightGBM models, with the exact scorer over their own trees.

The trees are read once from the packages' own model dumps. Labels and scores of a full prediction always come from the
package itself; the scorer walks the trees that were read, and is used only if it agrees with the package on the
cluster's cells. Models whose trees have no exact form here (linear or categorical splits, vector leaves, LightGBM's
``zero_as_missing``) get the general scorer.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from scipy.special import expit, logit, softmax
from sklearn.exceptions import NotFittedError

from adverscarial.classifiers._xgboost import check_model
from adverscarial.classifiers.base import Classifier, Decision, Scorer, argmax_labels
from adverscarial.classifiers.callables import call, check_scores
from adverscarial.classifiers.estimators import exact_if_equal
from adverscarial.classifiers.general import GeneralScorer
from adverscarial.classifiers.tree_ensemble import TreeEnsemble
from adverscarial.classifiers.trees import TreeScorer
from adverscarial.cluster import Cluster
from adverscarial.errors import (
    ClassifierError,
    DataError,
    MissingDependencyError,
    ParameterError,
    StorageError,
    some,
)

logger = logging.getLogger(__name__)

Package = Literal["xgboost", "lightgbm"]
PACKAGES: tuple[Package, ...] = ("xgboost", "lightgbm")


def boosting_package(model: Any) -> Package | None:
    """Return which package an object comes from, told by its class alone; None for anything else."""
    for kind in type(model).__mro__:
        for package in PACKAGES:
            if kind.__module__.partition(".")[0] == package:
                return package
    return None


class Boosted(Classifier):
    """A trained XGBoost or LightGBM classifier.

    Parameters
    ----------
    model
        A fitted ``xgboost.XGBClassifier`` or ``lightgbm.LGBMClassifier``, or a ``Booster`` of either package, with a
        binary or multiclass objective. It is read, never changed.
    classes
        Names of its classes, in order; the model's own ``classes_`` when left out, or ``0, 1, ...``.
    genes
        Names of its columns, in order; the model's own feature names when left out; where it has none, the data's
        own genes.
    missing
        XGBoost only: the value that means "no value", by default what the ``XGBClassifier`` was told, else NaN. Set it
        to 0 for a model that was trained on a *sparse* matrix: XGBoost takes the zeros left out there for missing.

    Raises
    ------
    ParameterError
        If the model is not fitted, has another objective, or `classes` or `genes` do not fit it.

    Notes
    -----
    XGBoost adds up its trees in float32, the scorer in float64: scores agree to about 1e-6 of a cell's largest (2e-6
    with 600 trees), and labels are the same except where the two best scores are that close. LightGBM adds in float64.

    Examples
    --------
    >>> import lightgbm, adverscarial as adv
    >>> adata = adv.datasets.embedded()
    >>> X = adata.to_df().iloc[:, :20]
    >>> model = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(X, adata.obs["cell_type"])
    >>> Boosted(model).predict(adata).shape
    (700,)
    """

    family = "boosted"

    def __init__(
        self,
        model: Any,
        *,
        classes: Sequence[str] | None = None,
        genes: Sequence[str] | None = None,
        missing: float | None = None,
    ) -> None:
        package = boosting_package(model)
        if package is None:
            raise ParameterError(f"Boosted expects a model of XGBoost or LightGBM, got a {type(model).__name__}.")
        if package == "lightgbm" and missing is not None:
            raise ParameterError("Boosted: missing= is a setting of XGBoost; leave it out for LightGBM.")
        try:
            self._model = _XGBoost(model, missing) if package == "xgboost" else _LightGBM(model)
        except NotFittedError as error:
            raise ParameterError(f"The {type(model).__name__} is not fitted. Call fit first.") from error
        own = getattr(model, "classes_", np.arange(self._model.n_classes))
        if classes is not None and len(classes) != self._model.n_classes:
            raise ParameterError(f"classes= names {len(classes)} classes, the model has {self._model.n_classes}.")
        self.classes = tuple(str(name) for name in (own if classes is None else classes))
        names = self._model.feature_names if genes is None else genes
        self.genes = None if names is None else pd.Index([str(gene) for gene in names])
        if self.genes is not None and len(self.genes) != self._model.n_features:
            raise ParameterError(
                f"genes= names {len(self.genes):,} genes, the model was trained on {self._model.n_features:,}."
            )
        if self.genes is not None and not self.genes.is_unique:
            raise ParameterError(f"Genes are named more than once: {some(self.genes[self.genes.duplicated()])}.")

    @property
    def name(self) -> str:  # noqa: D102
        return self._model.name

    def __repr__(self) -> str:
        return f"Boosted({self.name}, classes={list(self.classes)!r})"

    def align(self, genes: pd.Index) -> np.ndarray:  # noqa: D102
        if self.genes is None and self._model.n_features != len(genes):
            raise DataError(
                f"{self.name} was trained on {self._model.n_features:,} unnamed columns, the data have {len(genes):,} "
                "genes. Name its columns with genes=[...] (command line: --genes)."
            )
        return super().align(genes)

    def decide(self, X: np.ndarray) -> Decision:
        """Label cells given dense, shape (cells, classifier's genes), with the package's own prediction."""
        _imported(self._model.package)
        scores = np.asarray(call(self.name, self._model.probabilities, X), dtype=np.float64)
        if scores.shape != (len(X), len(self.classes)):
            raise ClassifierError(
                f"{self.name} returned scores of shape {scores.shape}; expected {(len(X), len(self.classes))}."
            )
        return Decision(argmax_labels(self.classes, check_scores(self.name, scores, self.classes)), scores)

    def scorer(self, cluster: Cluster) -> Scorer:
        """Return the exact scorer over the trees, checked on the cluster's own cells; else the general one."""
        general = GeneralScorer(self, cluster)
        trees = self._model.trees
        if trees is None:
            logger.info("%s: %s, so every question re-predicts the cluster.", self.name, self._model.obstacle)
            return general
        if self._model.may_want_zeros_missing and cluster.statistics.matrix.sparse:
            logger.warning(
                "The data are sparse, and this XGBoost model seems to have met missing values in training. If it was "
                "trained on a sparse matrix, whose zeros XGBoost takes for missing, use Boosted(model, missing=0)."
            )
        columns = self.align(cluster.genes)
        exact = TreeScorer(
            trees, cluster.values(columns), columns, len(cluster.genes), self.classes, link=self._model.link
        )
        return exact_if_equal(self.name, exact, general)

    def state(self) -> tuple[Mapping[str, Any], Mapping[str, np.ndarray]]:
        """Return the package's own model text, which holds numbers only."""
        meta = {
            "package": self._model.package,
            "classes": list(self.classes),
            "genes": None if self.genes is None else list(self.genes),
            "missing": None if np.isnan(self._model.missing) else self._model.missing,
        }
        return meta, {"model": np.frombuffer(self._model.dump(), dtype=np.uint8)}

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:  # noqa: D102
        read: Callable[[bytes], Any] = {"xgboost": _XGBoost.read, "lightgbm": _LightGBM.read}[meta["package"]]
        model = read(arrays["model"].tobytes())
        return cls(model, classes=meta["classes"], genes=meta["genes"], missing=meta["missing"])


class _XGBoost:
    """What :class:`Boosted` needs of an XGBoost model."""

    package: Package = "xgboost"
    name = "XGBoost"
    may_want_zeros_missing = False

    def __init__(self, model: Any, missing: float | None) -> None:
        booster = model.get_booster() if hasattr(model, "get_booster") else model
        stopped = getattr(model, "best_iteration", None) if booster is not model else None
        if stopped is not None and model.get_params().get("booster") != "gblinear":
            booster = booster[: stopped + 1]  # early stopping: XGBClassifier predicts with these trees
        self.booster = booster
        self.missing = float(getattr(model, "missing", np.nan) if missing is None else missing)
        learner = json.loads(bytes(booster.save_raw("json")))["learner"]
        self.objective = learner["objective"]["name"]
        if self.objective not in ("binary:logistic", "multi:softprob", "multi:softmax"):
            raise _no_classifier(self.name, self.objective, "binary:logistic, multi:softprob or multi:softmax")
        self.n_classes = max(2, int(learner["learner_model_param"]["num_class"]))
        self.n_features = int(booster.num_features())
        self.feature_names: list[str] | None = booster.feature_names
        self.trees, self.obstacle = _read(lambda: self._read_trees(learner))

    def probabilities(self, X: np.ndarray) -> np.ndarray:
        xgboost = _imported("xgboost")
        data = xgboost.DMatrix(
            X,
            missing=self.missing,
            feature_names=self.booster.feature_names,
            feature_types=self.booster.feature_types,
            enable_categorical=True,
        )
        if self.objective == "multi:softmax":  # would give labels
            return softmax(self.booster.predict(data, output_margin=True), axis=1)
        return _per_class(self.booster.predict(data))

    def link(self, sums: np.ndarray) -> np.ndarray:
        return _per_class(expit(sums[:, 0])) if sums.shape[1] == 1 else softmax(sums, axis=1)

    def dump(self) -> bytes:
        return bytes(self.booster.save_raw("ubj"))

    @staticmethod
    def read(text: bytes) -> Any:
        xgboost = _imported("xgboost")
        booster = xgboost.Booster()
        try:
            check_model(text)
            booster.load_model(bytearray(text))
        except (ValueError, xgboost.core.XGBoostError) as error:
            raise StorageError(f"XGBoost cannot read its model: {str(error).splitlines()[0]}") from error
        return booster

    def _read_trees(self, learner: dict[str, Any]) -> TreeEnsemble:
        gradient_booster = learner["gradient_booster"]
        if gradient_booster["name"] not in ("gbtree", "dart"):
            raise _NotExact(f"a model of type {gradient_booster['name']} has no trees")
        inner = gradient_booster.get("gbtree", gradient_booster)["model"]
        trees = inner["trees"]
        if not np.isnan(self.missing) and self.missing != 0:
            raise _NotExact(f"values of {self.missing:g} are missing to it")
        if any(int(tree["tree_param"]["size_leaf_vector"]) > 1 for tree in trees):
            raise _NotExact("its leaves hold one value per class")
        if any(any(tree["split_type"]) for tree in trees):
            raise _NotExact("it splits by category")
        sizes = [len(tree["left_children"]) for tree in trees]
        start = np.concatenate([[0], np.cumsum(sizes)])

        def column(key: str, dtype: Any) -> np.ndarray:
            return np.concatenate([np.asarray(tree[key], dtype=dtype) for tree in trees] or [np.empty(0, dtype)])

        offset = np.repeat(start[:-1], sizes)
        left, right = column("left_children", np.int64), column("right_children", np.int64)
        inside = left >= 0
        number = column("split_conditions", np.float32)  # a threshold, or a leaf's value
        n_scores = 1 if self.objective == "binary:logistic" else self.n_classes
        weight = np.repeat(np.asarray(gradient_booster.get("weight_drop", np.ones(len(trees)))), sizes)
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
        missing_left = column("default_left", np.int64)[inside] == 1
        if self.missing == 0:
            return _with_zeros_apart(ensemble, np.flatnonzero(inside), missing_left)
        self.may_want_zeros_missing = bool(missing_left.any())  # without missing values in training it is always right
        return ensemble


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


class _LightGBM:
    """What :class:`Boosted` needs of a LightGBM model."""

    package: Package = "lightgbm"
    name = "LightGBM"
    may_want_zeros_missing = False
    missing = np.nan

    def __init__(self, model: Any) -> None:
        self.booster = model.booster_ if hasattr(model, "get_params") else model
        text = self.booster.model_to_string()  # as predict: up to the best iteration, after early stopping
        header, *trees = (
            dict(line.partition("=")[::2] for line in part.splitlines())
            for part in re.split(r"\nTree=\d+\n", text.partition("\nend of trees")[0])
        )
        self.objective, *settings = header.get("objective", "none").split()
        if self.objective not in ("binary", "multiclass", "multiclassova"):
            raise _no_classifier(self.name, self.objective, "binary, multiclass or multiclassova")
        self.steepness = float(dict(s.split(":") for s in settings if ":" in s).get("sigmoid", 1))
        self.n_scores = int(header["num_tree_per_iteration"])
        self.n_classes = max(2, self.n_scores)
        self.n_features = int(self.booster.num_feature())
        names = self.booster.feature_name()
        self.feature_names = None if names == [f"Column_{i}" for i in range(len(names))] else names
        self.averaged = "average_output" in header
        self.trees, self.obstacle = _read(lambda: self._read_trees(trees))

    def probabilities(self, X: np.ndarray) -> np.ndarray:
        return _per_class(self.booster.predict(X))

    def link(self, sums: np.ndarray) -> np.ndarray:
        if self.objective == "multiclass":
            return softmax(sums, axis=1)
        return _per_class(expit(self.steepness * sums))

    def dump(self) -> bytes:
        return self.booster.model_to_string().encode()

    @staticmethod
    def read(text: bytes) -> Any:
        lightgbm = _imported("lightgbm")
        try:
            return lightgbm.Booster(model_str=text.decode())
        except lightgbm.basic.LightGBMError as error:
            raise StorageError(f"LightGBM cannot read its model: {error}") from error

    def _read_trees(self, trees: list[dict[str, str]]) -> TreeEnsemble:
        if any(int(tree["num_cat"]) for tree in trees):
            raise _NotExact("it splits by category")
        if any(int(tree["is_linear"]) for tree in trees):
            raise _NotExact("its leaves are linear models")
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
                raise _NotExact("zeros are missing to it")
            feature[inner] = _numbers(tree.get("split_feature", ""), np.int64)
            threshold[inner] = _numbers(tree.get("threshold", ""), np.float64)
            for children, key in ((left, "left_child"), (right, "right_child")):
                child = _numbers(tree.get(key, ""), np.int64)
                children[inner] = np.where(child >= 0, start[i] + child, first_leaf + ~child)
            value[outer, i % self.n_scores] = _numbers(tree["leaf_value"], np.float64)
        if self.averaged:
            value /= len(trees) // self.n_scores
        return TreeEnsemble(start[:-1], feature, threshold, left, right, value, np.zeros(self.n_scores), single=False)


class _NotExact(Exception):
    """The trees have no exact form here; the message says why."""


def _read(read: Callable[[], TreeEnsemble]) -> tuple[TreeEnsemble | None, str]:
    """Return the trees; or None and what stands in the way."""
    try:
        return read(), ""
    except (_NotExact, DataError) as obstacle:
        return None, str(obstacle)


def _no_classifier(name: str, objective: str, known: str) -> ParameterError:
    return ParameterError(
        f"The {name} model has the objective '{objective}'; expected {known}. "
        "For another one, pass wrap a function of cells x genes that returns labels or scores."
    )


def _numbers(text: str, dtype: Any) -> np.ndarray:
    return np.array(text.split(), dtype=dtype)


def _per_class(scores: np.ndarray) -> np.ndarray:
    """Return the second class's probability, where there is just that one, as a column for each of the two."""
    if scores.ndim == 2 and scores.shape[1] > 1:
        return scores
    second = scores.reshape(-1)
    return np.column_stack([1 - second, second])


def _imported(package: Package) -> Any:
    try:
        if package == "xgboost":
            import xgboost

            return xgboost
        import lightgbm

        return lightgbm
    except ImportError as error:
        raise MissingDependencyError(package, "boosting", "A boosted classifier") from error
