"""check: sound classifiers pass, and a classifier with one broken promise fails at just that promise."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers import Chetah, Markers, RandomForest, ScAnnotatR, ScType
from adverscarial.classifiers.answers import Answer, Answers, Decision, argmax_labels
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.check import CheckReport, check
from adverscarial.classifiers.families.linear_model import LinearModel
from adverscarial.classifiers.scorers.base import Scorer
from adverscarial.classifiers.scorers.general import GeneralScorer
from adverscarial.errors import DataError, GeneMismatchError, ParameterError

CLASSES = ("a", "b", "c")
GENES = [f"g{j}" for j in range(12)]
READ = GENES[3:9][::-1]


def data(seed: int = 0, cells: int = 90) -> AnnData:
    """Three types, each with two genes of its own among those that are read; the others are noise."""
    rng = np.random.default_rng(seed)
    kind = np.arange(cells) % 3
    X = rng.gamma(1.0, size=(cells, len(GENES)))
    for k in range(3):
        X[np.ix_(kind == k, [3 + 2 * k, 4 + 2 * k])] += 2
    obs = pd.DataFrame({"type": np.array(CLASSES)[kind]}, index=[f"cell{i}" for i in range(cells)])
    return AnnData(X, obs=obs, var=pd.DataFrame(index=GENES))


class Sound(Classifier, family="sound"):
    """The best weighted sum wins; genes are read in an order of its own."""

    def __init__(self, bias: float = 0.1) -> None:
        self.classes, self.genes, self.bias = CLASSES, pd.Index(READ), bias
        self.weights = np.kron(np.eye(3)[::-1], np.ones((2, 1)))

    def decide(self, X: np.ndarray) -> Decision:
        scores = X @ self.weights + [self.bias, 0, 0]
        return Decision(argmax_labels(self.classes, scores), scores)

    def state(self) -> tuple[Mapping[str, Any], Mapping[str, np.ndarray]]:
        return {"bias": self.bias}, {}

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> "Sound":
        return cls(meta["bias"])


class ToldScorer(Scorer):
    """Hands every request on; subclasses break one of them."""

    def __init__(self, inner: Scorer) -> None:
        self.inner = inner

    @property
    def baseline(self) -> Answer:
        return self.inner.baseline

    def reads(self, genes: np.ndarray) -> np.ndarray:
        return self.inner.reads(genes)

    def together(self, genes: np.ndarray, values: np.ndarray) -> Answer:
        return self.inner.together(genes, values)

    def each(self, genes: np.ndarray, values: np.ndarray) -> Answers:
        return self.inner.each(genes, values)

    def accept(self, genes: np.ndarray, values: np.ndarray) -> None:
        self.inner.accept(genes, values)

    def fork(self) -> "ToldScorer":
        return type(self)(self.inner.fork())


def with_scorer(kind: type[ToldScorer]) -> Classifier:
    class Model(Sound):
        def scorer(self, cluster: Cluster) -> Scorer:
            return kind(GeneralScorer(self, cluster))

    return Model()


def failed(classifier: Any, adata: AnnData | None = None, **settings: Any) -> set[str]:
    report = check(classifier, data() if adata is None else adata, **{"groupby": "type", **settings})
    details = report.table.set_index("check")["detail"]
    assert all(details[name] for name in report.failed)  # each says what was found
    return set(report.failed)


SCORER = {f"scorer: {part}" for part in ("baseline", "each", "together", "accept", "fork", "reads")}


# ---- sound ones


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("groupby", ["type", None])
def test_a_sound_classifier_passes_every_check(seed: int, groupby: str | None) -> None:
    report = check(Sound(), data(), groupby=groupby, seed=seed)
    assert report, report
    passed = report.table.set_index("check")["passed"]
    assert passed.index[passed.isna()].tolist() == ["as the library says"]  # it wraps nothing
    assert passed.sum() == 16
    assert report.failed == []


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sparse", [False, True])
def test_a_layer_of_any_kind_will_do(dtype: type, sparse: bool) -> None:
    adata = data()
    X = adata.X.astype(dtype)
    adata.layers["given"] = sp.csr_matrix(X) if sparse else X
    adata.X = None
    before = adata.copy()
    assert failed(Sound(), adata, layer="given") == set()
    pd.testing.assert_frame_equal(adata.obs, before.obs)
    assert (adata.layers["given"] != before.layers["given"]).sum() == 0


def test_marker_rules_pass(pbmc_small: AnnData) -> None:
    some = pbmc_small[pbmc_small.obs["cell_type"].isin(["CD19+ B", "CD34+"]), :40].copy()
    assert check(Markers().fit(some, "cell_type"), some, groupby="cell_type")


@pytest.mark.slow
def test_classifiers_of_the_package_pass(pbmc_small: AnnData) -> None:
    kinds = ["CD14+ Monocyte", "CD19+ B", "CD34+", "Dendritic"]
    some = pbmc_small[pbmc_small.obs["cell_type"].isin(kinds), :150].copy()
    train, test = some[::2].copy(), some[1::2].copy()
    models = [
        Markers().fit(train, "cell_type"),
        RandomForest(15, seed=0).fit(train, "cell_type"),
        Chetah(n_genes=30).fit(train, "cell_type"),
        ScAnnotatR().fit(train, "cell_type"),
        ScType({"B": ["CD79A", "CD37"], "Mono": ["FCER1G", "S100A8"]}),
    ]
    for model in models:
        assert check(model, some if isinstance(model, ScType) else test, groupby="cell_type"), model


@pytest.mark.slow
def test_everything_that_wrap_knows_passes() -> None:
    adata = data()
    X = pd.DataFrame(adata.X, columns=GENES)
    y = adata.obs["type"].to_numpy()
    assert failed(LogisticRegression().fit(X, y)) == set()
    assert failed(KNeighborsClassifier(3).fit(X, y)) == set()
    assert failed(LinearModel("mine", pd.Index(READ), CLASSES, Sound().weights)) == set()
    assert failed(lambda X: np.where(X[:, 3] > 1, "on", "off")) == set()
    report = check(lambda X: np.where(X[:, 3] > 1, "on", "off"), adata)
    passed = report.table.set_index("check")["passed"]
    assert passed.index[passed.isna()].tolist() == [
        "scores fit", "labels follow scores", "genes by name", "as the library says", "storage",
    ]  # fmt: skip


def test_a_function_of_clusters_is_checked_as_far_as_that_goes() -> None:
    def sound(expression: pd.DataFrame, clusters: pd.Series, target: str) -> tuple[str, float]:
        return ("on" if expression.loc[(clusters == target).to_numpy(), "g3"].mean() > 2 else "off"), 0.75

    report = check(sound, data(), groupby="type")
    assert report, report
    assert report.table["passed"].sum() == 8
    rng = np.random.default_rng(0)
    assert "same answer twice" in failed(lambda expression, clusters, target: ("a", float(rng.random())))


# ---- broken ones


def test_too_few_labels() -> None:
    class Short(Sound):
        def decide(self, X: np.ndarray) -> Decision:
            labels, scores = super().decide(X)
            return Decision(labels[1:], scores)

    assert "one label per cell" in failed(Short())


def test_labels_of_other_cells() -> None:
    class Renamed(Sound):
        def predict(self, adata: AnnData, *, layer: str | None = None) -> pd.Series:
            return super().predict(adata, layer=layer).reset_index(drop=True)

    assert failed(Renamed()) == {"one label per cell"}


def test_labels_that_are_numbers() -> None:
    class Codes(Sound):
        def decide(self, X: np.ndarray) -> Decision:
            scores = super().decide(X).scores
            return Decision(np.argmax(scores, axis=1), scores)

    assert failed(Codes()) == {"labels are text"}


@pytest.mark.parametrize("kind", ["NaN", "column", "none", "text"])
def test_scores_that_do_not_fit(kind: str) -> None:
    class Odd(Sound):
        def decide(self, X: np.ndarray) -> Decision:
            labels, scores = super().decide(X)
            odd = {"NaN": np.where([True, False, False], np.nan, scores), "column": scores[:, :2], "none": None}
            return Decision(labels, odd.get(kind, scores.astype(str)))

    assert "scores fit" in failed(Odd())


def test_classes_that_repeat() -> None:
    class Twice(Sound):
        def __init__(self, bias: float = 0.1) -> None:
            super().__init__(bias)
            self.classes = ("a", "a", "c")

    assert failed(Twice()) == {"scores fit"}


def test_labels_that_are_not_of_the_best_score() -> None:
    class Second(Sound):
        def decide(self, X: np.ndarray) -> Decision:
            scores = super().decide(X).scores
            return Decision(np.array(CLASSES, dtype=object)[np.argsort(scores, axis=1)[:, 1]], scores)

    class Unsure(Sound):
        def decide(self, X: np.ndarray) -> Decision:
            labels, scores = super().decide(X)
            return Decision(np.where(scores.max(axis=1) < 5, "unknown", labels), scores)

    assert failed(Second()) == {"labels follow scores"}
    declared = Second()
    declared.labels_are_argmax = False
    assert failed(declared) == set()
    assert failed(Unsure()) == set()


def test_an_answer_that_changes() -> None:
    class Moody(Sound):
        asked = 0

        def decide(self, X: np.ndarray) -> Decision:
            self.asked += 1
            labels, scores = super().decide(X)
            return Decision(labels, scores + 1e-3 * self.asked)

    assert "same answer twice" in failed(Moody())


def test_an_answer_that_depends_on_the_place() -> None:
    class First(Sound):
        needs_all_cells = True

        def decide(self, X: np.ndarray) -> Decision:
            return super().decide(X + np.linspace(0, 3, len(X))[:, None] * np.eye(6)[0])

    assert "order of cells" in failed(First())


def test_an_answer_that_depends_on_the_other_cells() -> None:
    class Centred(Sound):
        def decide(self, X: np.ndarray) -> Decision:
            return super().decide(X - X.mean(axis=0))

    class Honest(Centred):
        needs_all_cells = True

        def scorer(self, cluster: Cluster) -> Scorer:
            return Whole(self, cluster)

    class Whole(Scorer):
        """Keeps the whole data set."""

        def __init__(self, model: Classifier, cluster: Cluster) -> None:
            self.model, self.rows, self.columns = model, cluster.rows, model.align(cluster.genes)
            self.X = cluster.statistics.matrix.rows(np.arange(len(cluster.labels)))

        def _changed(self, genes: np.ndarray, values: np.ndarray) -> np.ndarray:
            X = self.X.copy()
            X[np.ix_(self.rows, genes)] = values
            return X

        def together(self, genes: np.ndarray, values: np.ndarray) -> Answer:
            labels, scores = self.model.decide(self._changed(genes, values)[:, self.columns])
            names, counts = np.unique(labels[self.rows].astype(str), return_counts=True)
            best = np.argmax(counts)
            return Answer(names[best], counts[best] / counts.sum(), labels[self.rows], scores[self.rows])

        @property
        def baseline(self) -> Answer:
            return self.together(np.arange(0), np.empty((1, 0)))

        def accept(self, genes: np.ndarray, values: np.ndarray) -> None:
            self.X = self._changed(genes, values)

        def fork(self) -> "Whole":
            other = object.__new__(Whole)
            other.__dict__.update(self.__dict__)
            return other

    found = failed(Centred())
    assert "cells on their own" in found
    assert "order of cells" not in found
    assert failed(Honest()) == set()


def test_genes_that_are_read_by_place() -> None:
    class Blind(Sound):
        def align(self, genes: pd.Index) -> np.ndarray:
            return np.arange(3, 9)

    assert failed(Blind()) == {"genes by name"}


def test_input_that_is_written_into() -> None:
    class InPlace(Sound):
        def decide(self, X: np.ndarray) -> Decision:
            answer = super().decide(X)
            X *= 2
            return answer

    class Leaves(Sound):
        def predict_cluster(self, adata: AnnData, *rest: Any) -> Answer:
            adata.obs["said"] = "something"
            return super().predict_cluster(adata, *rest)

    class Overwrites(ToldScorer):
        def together(self, genes: np.ndarray, values: np.ndarray) -> Answer:
            answer = self.inner.together(genes, values)
            values[:] = 0
            return answer

    assert "input untouched" in failed(InPlace())
    assert failed(Leaves()) == {"input untouched"}
    assert "input untouched" in failed(with_scorer(Overwrites))


def test_storage_that_loses_something() -> None:
    class Loses(Sound, family="loses"):
        @classmethod
        def from_state(cls, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> "Sound":
            return cls(bias=0.0)

    class Swaps(Sound, family="swaps"):
        @classmethod
        def from_state(cls, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> "Sound":
            read = super().from_state(meta, arrays)
            read.classes = read.classes[::-1]
            return read

    class Cannot(Sound, family="cannot"):
        def state(self) -> tuple[Mapping[str, Any], Mapping[str, np.ndarray]]:
            return {}, {"model": np.array([self], dtype=object)}

    for kind in (Loses, Swaps, Cannot):
        assert failed(kind()) == {"storage"}


def test_whatever_is_raised_is_a_finding() -> None:
    class Fails(Sound, family="fails"):
        def decide(self, X: np.ndarray) -> Decision:
            raise KeyError("weights")

    report = check(Fails(), data(), groupby="type")
    assert len(report.failed) == 16
    failed = report.table["check"].isin(report.failed)
    assert set(report.table.loc[failed, "detail"]) == {"raised KeyError: 'weights'"}


# ---- the report, and data that nothing can be said of


def test_the_report_reads_well() -> None:
    class Denies(ToldScorer):
        def reads(self, genes: np.ndarray) -> np.ndarray:
            return self.inner.reads(genes) & (genes != 5)

    report = check(with_scorer(Denies), data(), groupby="type")
    assert isinstance(report, CheckReport)
    assert not report
    assert list(report.table.columns) == ["check", "passed", "detail"]
    lines = str(report).splitlines()
    assert lines[0] == "Model: 1 of 17 checks failed"
    assert lines[16].startswith(
        "  FAILED scorer: reads: 7 genes are said not to be read, but with them changed the scorer"
    )
    assert str(check(Sound(), data())).startswith("Sound: all checks passed\n  ok     one label per cell\n")
    assert set(report.table["check"]) > SCORER


def test_the_seed_decides() -> None:
    class Moody(Sound):
        def decide(self, X: np.ndarray) -> Decision:
            return super().decide(X - X.mean(axis=0))

    first, again = (check(Moody(), data(), groupby="type", seed=7).table for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(check(Moody(), data(), groupby="type", seed=8).table)


def test_data_that_nothing_can_be_said_of() -> None:
    with pytest.raises(DataError, match="no column 'tipe'"):
        check(Sound(), data(), groupby="tipe")
    with pytest.raises(DataError, match="no layer 'counts'"):
        check(Sound(), data(), layer="counts")
    with pytest.raises(GeneMismatchError, match="Sound needs 6 genes, 5"):
        check(Sound(), data()[:, [0, 3, 4, 5, 6, 7]].copy())
    with pytest.raises(DataError, match="one cluster only"):
        check(Sound(), data()[::3].copy(), groupby="type")
    unlabelled = data()
    unlabelled.obs["type"] = None
    with pytest.raises(DataError, match="no cluster"):
        check(Sound(), unlabelled, groupby="type")
    with pytest.raises(ParameterError, match="wrap cannot use a dict"):
        check({}, data())
