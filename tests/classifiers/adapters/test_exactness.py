"""The documentation's table of what is exact, what is asked in batches and what is refused is what the adapters do.

Made with ``PYTHONPATH=tests python tests/classifiers/adapters/test_exactness.py``.
"""

from __future__ import annotations

import csv
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

from adverscarial.attacks.start import scorer_for
from adverscarial.cells import Cluster
from adverscarial.classifiers import wrap
from adverscarial.errors import ClassifierError
from classifiers.adapters.test_own_predict import TYPES, cells, lgb, xgb

TABLE = Path(__file__).parents[3] / "docs" / "tasks" / "exactness.csv"
COLUMNS = ["library", "model", "trained on and asked with an array", "with a sparse matrix"]
BATCHES, EXACT = "in batches", "exact"


def sklearn(name: str, **settings: Any) -> Callable[[], Any]:
    """Return what makes an estimator of scikit-learn, or a pipeline: "StandardScaler + LinearSVC"."""

    def make() -> Any:
        from sklearn.pipeline import make_pipeline
        from sklearn.utils import all_estimators

        known = dict(all_estimators())
        parts = [known[part] for part in name.split(" + ")]
        front = [part(with_mean=False) if part.__name__ == "StandardScaler" else part() for part in parts[:-1]]
        return make_pipeline(*front, parts[-1](**settings)) if front else parts[-1](**settings)

    return make


def torch_module(*hidden: Any) -> Callable[[], Any]:
    def make() -> Any:
        torch = pytest.importorskip("torch")
        layers = [torch.nn.Linear(16, 8), *(getattr(torch.nn, name)() for name in hidden), torch.nn.Linear(8, 3)]
        module = torch.nn.Sequential(*layers).eval()
        module.fit = lambda X, y: module
        return module

    return make


def function() -> Any:
    def label(X: np.ndarray) -> np.ndarray:
        return np.array(TYPES)[X[:, :9].reshape(len(X), 3, 3).sum(axis=2).argmax(axis=1)]

    label.fit = lambda X, y: label  # type: ignore[attr-defined]
    return label


MODELS: dict[tuple[str, str], Callable[[], Any]] = {
    **{
        ("scikit-learn", name): sklearn(name)
        for name in (
            "LogisticRegression", "LinearSVC", "RidgeClassifier", "SGDClassifier", "Perceptron",
            "StandardScaler + LogisticRegression", "MaxAbsScaler + LinearSVC", "TruncatedSVD + LogisticRegression",
            "DecisionTreeClassifier", "RandomForestClassifier", "ExtraTreesClassifier", "GradientBoostingClassifier",
            "HistGradientBoostingClassifier", "SelectKBest + RandomForestClassifier",
            "StandardScaler + RandomForestClassifier", "KNeighborsClassifier", "SVC", "MultinomialNB",
            "MLPClassifier",
        )
    },
    ("scikit-learn", "SVC(kernel='linear')"): sklearn("SVC", kernel="linear"),
    ("XGBoost", "XGBClassifier"): xgb,
    ("XGBoost", "XGBClassifier(booster='dart')"): lambda: xgb(booster="dart"),
    ("XGBoost", "XGBClassifier(booster='gblinear')"): lambda: xgb(booster="gblinear"),
    ("LightGBM", "LGBMClassifier"): lgb,
    ("LightGBM", "LGBMClassifier(pred_early_stop=True)"): lambda: lgb(pred_early_stop=True),
    ("LightGBM", "LGBMClassifier(linear_tree=True)"): lambda: lgb(linear_tree=True),
    ("torch", "Linear + ReLU + Linear"): torch_module("ReLU"),
    ("torch", "Linear + GELU + Linear"): torch_module("GELU"),
    ("torch", "Linear + Sigmoid + Linear"): torch_module("Sigmoid"),
    ("your own", "a function of cells x genes"): function,
}  # fmt: skip


def how(make: Callable[[], Any], sparse: bool) -> str:
    """Return how an attack asks a model that was trained on, and is asked with, one kind of container."""
    adata = cells()
    codes = pd.Categorical(adata.obs["cell_type"]).codes.astype(int)
    adata.X = sp.csr_matrix(adata.X) if sparse else adata.X
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model = make().fit(adata.X, codes)
        except (TypeError, ValueError):
            return "the library takes none"
        named: dict[str, Any] = {"genes": list(adata.var_names)}
        model = wrap(model, classes=TYPES, **named)
        try:
            scorer = scorer_for(model, Cluster(adata, "cell_type", "T"))
        except ClassifierError as error:
            asked = "sparse='missing'" in str(error)
            return f"{how_told(make, adata, codes)}, once sparse= is said" if asked else "refused"
    return EXACT if scorer.incremental else BATCHES


def how_told(make: Callable[[], Any], adata: AnnData, codes: np.ndarray) -> str:
    model = wrap(make().fit(adata.X, codes), classes=TYPES, genes=list(adata.var_names), sparse="missing")
    return EXACT if scorer_for(model, Cluster(adata, "cell_type", "T")).incremental else BATCHES


def read() -> list[list[str]]:
    with TABLE.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


@pytest.mark.fast(8)
@pytest.mark.parametrize("library_and_model", MODELS, ids=" ".join)
def test_the_table_says_what_the_adapters_do(library_and_model: tuple[str, str]) -> None:
    make = MODELS[library_and_model]
    row = [row for row in read() if tuple(row[:2]) == library_and_model]
    assert row == [[*library_and_model, how(make, sparse=False), how(make, sparse=True)]]


def test_the_table_has_no_other_rows() -> None:
    header, *rows = read()
    assert header == COLUMNS
    assert [tuple(row[:2]) for row in rows] == list(MODELS)


if __name__ == "__main__":
    with TABLE.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for (library, name), make in MODELS.items():
            writer.writerow([library, name, how(make, sparse=False), how(make, sparse=True)])
            print(library, name)
