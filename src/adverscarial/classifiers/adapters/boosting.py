"""XGBoost and LightGBM models, with the exact scorer over their own trees.

The trees are read once from the packages' own model dumps. Labels and scores of a full prediction always come from the
package itself; the scorer walks the trees that were read, and is used only if it agrees with the package on the
cluster's cells. Models whose trees have no exact form here (linear or categorical splits, vector leaves, LightGBM's
``zero_as_missing`` and ``pred_early_stop``) get the general scorer.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from adverscarial.cells.cluster import Cluster
from adverscarial.cells.matrix import CellMatrix, layer_of
from adverscarial.classifiers.adapters.boosted_model import PACKAGES, BoostedModel, Package, Rounds, imported
from adverscarial.classifiers.adapters.containers import (
    ask_for_reading,
    cells_apart,
    check_sparse,
    readings_differ,
    rows_in_parts,
    whole,
)
from adverscarial.classifiers.adapters.functions import call, check_scores
from adverscarial.classifiers.adapters.lightgbm_model import LightGBMModel
from adverscarial.classifiers.adapters.scikit_learn import exact_if_equal
from adverscarial.classifiers.adapters.xgboost_model import XGBoostModel
from adverscarial.classifiers.answers import Decision, argmax_labels
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.plain import PlainTrees
from adverscarial.classifiers.scorers.base import Scorer
from adverscarial.classifiers.scorers.general import GeneralScorer
from adverscarial.classifiers.scorers.trees import TreeScorer
from adverscarial.errors import ClassifierError, DataError, GeneMismatchError, ParameterError, some

if TYPE_CHECKING:
    import lightgbm
    import xgboost

logger = logging.getLogger(__name__)


def boosting_package(model: object) -> Package | None:
    """Return which package an object comes from, told by its class alone; None for anything else."""
    for kind in type(model).__mro__:
        for package in PACKAGES:
            if kind.__module__.partition(".")[0] == package:
                return package
    return None


class Boosted(Classifier, family="boosted", wraps=10):
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
        XGBoost only: the value that means "no value", by default what the ``XGBClassifier`` was told, else NaN.
    sparse
        XGBoost only: what entries are to the model that a sparse matrix leaves out. ``"missing"``, as XGBoost's own
        ``predict`` takes them, for a model that was trained on a *sparse* matrix; ``"zero"`` for one that was trained
        on a dense array. Left out, it is an error to ask about sparse data for which the two give other answers; a
        model that was trained on a data frame is known to take them for zeros.
    rounds
        How many rounds of trees to use: ``"best"`` (up to the best that early stopping found), ``"all"`` or a number.
        Left out: as the object's own ``predict`` does, which is the best for all but XGBoost's ``Booster``.

    Raises
    ------
    ParameterError
        If the model is not fitted, has another objective, or a setting does not fit it.

    Notes
    -----
    LightGBM writes ``_`` for the spaces in gene names; such genes are found under their own names too.

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

    def __init__(
        self,
        model: xgboost.Booster | xgboost.XGBClassifier | lightgbm.Booster | lightgbm.LGBMClassifier,
        *,
        classes: Sequence[str] | None = None,
        genes: Sequence[str] | None = None,
        missing: float | None = None,
        sparse: Literal["zero", "missing"] | None = None,
        rounds: Rounds | None = None,
    ) -> None:
        package = boosting_package(model)
        if package is None:
            raise ParameterError(f"Boosted expects a model of XGBoost or LightGBM, got a {type(model).__name__}.")
        check_sparse(sparse)
        if package == "lightgbm" and (missing is not None or sparse is not None):
            raise ParameterError(
                "Boosted: missing= and sparse= are settings of XGBoost; leave them out for LightGBM, which takes the "
                "entries that a sparse matrix leaves out for zeros."
            )
        from sklearn.exceptions import NotFittedError

        try:
            self._model: BoostedModel = (
                XGBoostModel(model, missing, rounds) if package == "xgboost" else LightGBMModel(model, rounds)
            )
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

        known = isinstance(self._model, XGBoostModel) and self._model.knows_frame
        self.sparse = "zero" if sparse is None and known else sparse

    @classmethod
    def recognises(cls, obj: object) -> bool:
        """Return whether an object is a model of XGBoost or LightGBM."""
        return boosting_package(obj) is not None

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
        if self.genes is None or self._model.package != "lightgbm":
            return super().align(genes)
        known: np.ndarray = genes.get_indexer(self.genes)
        if (known >= 0).all():
            return known
        written = genes.str.replace(" ", "_")  # as LightGBM writes them
        if not written.is_unique:
            same = genes[written.duplicated(keep=False) & written.isin(self.genes)]
            if len(same):
                raise GeneMismatchError(
                    f"LightGBM writes '_' for the spaces in gene names, and then several genes have one name: "
                    f"{some(same)}. Rename them in var_names, and train the model again."
                )
            written = written.where(~written.duplicated(keep=False), genes)
        return super().align(written)

    def decide(self, X: np.ndarray) -> Decision:
        """Label cells given dense, shape (cells, classifier's genes), with the package's own prediction."""
        return self._own(X)

    def _own(self, X: np.ndarray | sp.csr_matrix) -> Decision:
        """Return the package's own answer for a dense array or a scipy.sparse matrix."""
        imported(self._model.package)
        scores = np.asarray(call(self.name, self._model.probabilities, X), dtype=np.float64)
        if scores.shape != (X.shape[0], len(self.classes)):
            raise ClassifierError(
                f"{self.name} returned scores of shape {scores.shape}; expected {(X.shape[0], len(self.classes))}."
            )
        return Decision(argmax_labels(self.classes, check_scores(self.name, scores, self.classes)), scores)

    def _reading(self, matrix: CellMatrix, rows: np.ndarray, genes: pd.Index) -> Self:
        """Return the classifier as it reads this matrix: with its gaps for zeros, or for missing values.

        Raises
        ------
        ClassifierError
            If the two give other answers for these cells, and nothing says which is meant.
        """
        model = self._model
        if not isinstance(model, XGBoostModel) or not matrix.sparse or model.zeros_missing or self.sparse == "zero":
            return self
        reading = copy.copy(self)
        columns = self.align(genes)
        parts = rows_in_parts(matrix, rows, columns)
        if self.sparse == "missing":
            reading._model = model.with_gaps_missing()
            apart = sum(int(cells_apart(self._own(part), reading.decide(part.toarray())).sum()) for part in parts)
            if apart:
                raise ClassifierError(
                    f"{self.name} takes stored zeros for values and entries that are left out for missing, and the "
                    f"matrix holds both: {apart:,} of {len(rows):,} cells get other answers. Leave out the stored "
                    "zeros first: adata.X.eliminate_zeros()."
                )
            return reading
        readings_differ(self.name, parts, self._own, self.decide)
        return self

    def _refuse_gaps_that_may_matter(self, cluster: Cluster) -> None:
        """Raise a ClassifierError where the two readings of gaps agree so far, and can differ after a change."""
        model = self._model
        if not isinstance(model, XGBoostModel) or not cluster.statistics.matrix.sparse:
            return
        if model.zeros_missing or self.sparse is not None or model.moved_by_gaps is None:
            return
        values = cluster.values(self.align(cluster.genes)[model.moved_by_gaps])
        if (values == 0).any():
            raise ClassifierError(ask_for_reading(self.name, "can give other answers for changed cells"))

    def check_cluster(self, cluster: Cluster) -> None:  # noqa: D102
        reading = self._reading(cluster.statistics.matrix, cluster.rows, cluster.genes)
        reading._refuse_gaps_that_may_matter(cluster)

    def _decide_all(self, adata: AnnData, layer: str | None, progress: bool | None = False) -> Decision:
        return super(Boosted, self._reading(*whole(adata, layer)))._decide_all(adata, layer, progress)

    def own_answer(self, adata: AnnData, *, layer: str | None = None) -> Decision:  # noqa: D102
        matrix, columns = CellMatrix(layer_of(adata, layer)), self.align(pd.Index(adata.var_names.astype(str)))
        rows = np.arange(matrix.shape[0])
        if not matrix.sparse or self.sparse == "zero":  # it was trained on dense values, and so its user asks it
            return self._own(matrix.rows(rows)[:, columns])
        return self._own(sp.vstack(list(rows_in_parts(matrix, rows, columns)), format="csr"))

    def scorer(self, cluster: Cluster) -> Scorer:
        """Return the exact scorer over the trees, checked on the cluster's own cells; else the general one.

        Raises
        ------
        ClassifierError
            If the data are sparse, and nothing says what the entries are to the model that are left out; see `sparse`.
        """
        reading = self._reading(cluster.statistics.matrix, cluster.rows, cluster.genes)
        reading._refuse_gaps_that_may_matter(cluster)
        general, model = GeneralScorer(reading, cluster), reading._model
        if model.trees is None:
            logger.info("%s: %s, so every query re-predicts the cluster.", self.name, model.obstacle)
            return general
        columns = self.align(cluster.genes)
        exact = TreeScorer(
            model.trees, cluster.values(columns), columns, len(cluster.genes), self.classes, link=model.link,
            refuses_overflow=model.refuses_overflow and cluster.dtype != np.float32,
        )  # fmt: skip
        return exact_if_equal(self.name, exact, general)

    def plain(self, cluster: Cluster) -> PlainTrees | None:  # noqa: D102
        reading = self._reading(cluster.statistics.matrix, cluster.rows, cluster.genes)
        reading._refuse_gaps_that_may_matter(cluster)
        if reading is not self or self._model.trees is None:  # gaps of a sparse matrix are no values that can be given
            return None
        return self._model.trees.plain(cluster.gene_names[self.align(cluster.genes)], self.classes)

    def state(self) -> tuple[Mapping[str, object], Mapping[str, np.ndarray]]:
        """Return the package's own model text, which holds numbers only."""
        meta = {
            "package": self._model.package,
            "classes": list(self.classes),
            "genes": None if self.genes is None else list(self.genes),
            "missing": None if np.isnan(self._model.missing) else self._model.missing,
            "sparse": self.sparse,
            "prediction": getattr(self._model, "prediction", {}),
        }
        return meta, {"model": np.frombuffer(self._model.dump(), dtype=np.uint8)}

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:  # noqa: D102
        package, text = meta["package"], arrays["model"].tobytes()
        model = {"xgboost": XGBoostModel.read, "lightgbm": LightGBMModel.read}[package](text)
        # what was stored are the rounds that were used; files of older versions do not say how gaps are read
        made = cls(
            model, classes=meta["classes"], genes=meta["genes"], missing=meta["missing"], sparse=meta.get("sparse"),
            rounds="all",
        )  # fmt: skip
        if meta.get("prediction"):
            made._model = LightGBMModel(model, "all", meta["prediction"])
        return made
