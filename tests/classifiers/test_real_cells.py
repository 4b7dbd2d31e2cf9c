"""Every adapter passes the conformance suite with the real package, on real sorted blood cells."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from anndata import AnnData

import adverscarial as adv
from adverscarial.classifiers import check, wrap

pytestmark = pytest.mark.slow
N_CELLS, N_GENES = 60, 300


@pytest.fixture(scope="module")
def counts(shared) -> AnnData:
    """Sixty cells of each of three sorted populations, the genes that vary most, as counts."""
    cells = adv.datasets.load(shared / "data" / "pbmc_facs.h5ad")
    kept = np.concatenate(
        [np.flatnonzero(cells.obs["cell_type"] == name)[:N_CELLS] for name in ("B cell", "NK cell", "T cell")]
    )
    cells = cells[kept].copy()
    X = np.log1p(cells.X.toarray())
    cells = cells[:, np.sort(np.argsort(-X.var(axis=0), kind="stable")[:N_GENES])].copy()
    cells.X = cells.X.toarray().astype(np.float64)
    return cells


@pytest.fixture(scope="module")
def cells(counts) -> AnnData:
    """The same, log-normalised."""
    prepared = adv.datasets.preprocess(counts, scale=False)
    prepared.X = np.asarray(prepared.X.toarray() if hasattr(prepared.X, "toarray") else prepared.X, dtype=np.float64)
    return prepared


def scikit(kind, cells):
    from sklearn.decomposition import PCA
    from sklearn.ensemble import ExtraTreesClassifier, GradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression, SGDClassifier
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC, LinearSVC

    made = {
        "logistic": LogisticRegression(max_iter=300),
        "sgd": SGDClassifier(loss="log_loss", random_state=0),
        "linear svm": LinearSVC(),
        "scaled logistic": make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)),
        "pca logistic": make_pipeline(StandardScaler(), PCA(10, random_state=0), LogisticRegression(max_iter=300)),
        "forest": RandomForestClassifier(20, random_state=0),
        "extra trees": ExtraTreesClassifier(20, random_state=0),
        "boosting": GradientBoostingClassifier(n_estimators=5, random_state=0),
        "neighbours": KNeighborsClassifier(5),
        "rbf svm": SVC(),
    }[kind]
    return wrap(made.fit(cells.X, cells.obs["cell_type"].astype(str)), genes=list(cells.var_names))


SCIKIT = ["logistic", "sgd", "linear svm", "scaled logistic", "pca logistic", "forest", "extra trees", "boosting"]
SCIKIT += ["neighbours", "rbf svm"]


@pytest.mark.parametrize("kind", SCIKIT)
def test_scikit_learn_passes_the_conformance_suite(kind, cells):
    assert check(scikit(kind, cells), cells, groupby="cell_type"), check(scikit(kind, cells), cells).failed


@pytest.mark.parametrize("package", ["xgboost", "lightgbm"])
def test_boosted_trees_pass_the_conformance_suite(package, cells):
    codes = cells.obs["cell_type"].astype("category")
    if package == "xgboost":
        from xgboost import XGBClassifier

        model = XGBClassifier(n_estimators=8, max_depth=3, random_state=0)
    else:
        from lightgbm import LGBMClassifier

        model = LGBMClassifier(n_estimators=8, max_depth=3, random_state=0, verbose=-1)
    model.fit(cells.X, codes.cat.codes.to_numpy())
    wrapped = wrap(model, classes=list(codes.cat.categories), genes=list(cells.var_names))
    report = check(wrapped, cells, groupby="cell_type")
    assert report, report.failed


def test_celltypist_passes_the_conformance_suite(cells):
    import celltypist

    whole = cells.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = celltypist.train(whole, labels="cell_type", use_SGD=True, check_expression=False, n_jobs=1)
    report = check(wrap(model), cells, groupby="cell_type")
    assert report, report.failed


def test_singler_passes_the_conformance_suite(cells):
    report = check(adv.classifiers.SingleR().fit(cells, "cell_type"), cells, groupby="cell_type")
    assert report, report.failed


def test_scanvi_passes_the_conformance_suite(counts):
    import scvi

    data = counts.copy()
    scvi.model.SCANVI.setup_anndata(data, labels_key="cell_type", unlabeled_category="Unknown")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = scvi.model.SCANVI(data, n_hidden=16, n_latent=4)
        model.train(max_epochs=2, accelerator="cpu", enable_progress_bar=False, logger=False)
    report = check(wrap(model), counts, groupby="cell_type")
    assert report, report.failed


def test_a_torch_module_passes_the_conformance_suite(cells):
    import torch

    generator = torch.Generator().manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(N_GENES, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
    with torch.no_grad():
        for weights in module.parameters():
            weights.copy_(0.1 * torch.randn(weights.shape, generator=generator))
    wrapped = wrap(module, classes=["B cell", "NK cell", "T cell"], genes=list(cells.var_names))
    report = check(wrapped, cells, groupby="cell_type")
    assert report, report.failed


@pytest.mark.parametrize("form", ["labels", "scores"])
def test_functions_pass_the_conformance_suite(form, cells):
    markers = [cells.var_names.get_loc(gene) for gene in ("CD79A", "NKG7", "CD3D")]
    names = np.array(["B cell", "NK cell", "T cell"])

    def function(X):
        scores = X[:, markers]
        return scores if form == "scores" else names[np.argmax(scores, axis=1)]

    report = check(wrap(function, classes=list(names)), cells, groupby="cell_type")
    assert report, report.failed


def test_function_of_a_cluster(cells):
    def function(expression, clusters, target):
        means = expression.loc[(clusters == target).to_numpy(), ["CD79A", "NKG7", "CD3D"]].mean()
        return {"CD79A": "B cell", "NKG7": "NK cell", "CD3D": "T cell"}[means.idxmax()], 1.0

    attack = adv.attacks.SingleGene("perc1", search="exact", genes=["CD79A", "NKG7", "CD3D", "GNLY"])
    result = attack(cells, function, groupby="cell_type", target="B cell")
    assert result.baseline == "B cell"
    assert result.verify(cells, function, genes=["CD79A", "NKG7", "CD3D", "GNLY"])


@pytest.mark.parametrize("name", ["ScType", "Markers", "RandomForest", "Chetah", "ScAnnotatR", "MLP"])
def test_the_house_classifiers(name, cells, counts):
    classifiers = adv.classifiers
    adata = counts if name == "Chetah" else cells
    model = {
        "ScType": lambda: classifiers.ScType(scaled=False),
        "Markers": lambda: classifiers.Markers().fit(adata, "cell_type"),
        "RandomForest": lambda: classifiers.RandomForest(30, seed=0).fit(adata, "cell_type"),
        "Chetah": lambda: classifiers.Chetah(n_genes=50).fit(adata, "cell_type"),
        "ScAnnotatR": lambda: classifiers.ScAnnotatR(seed=0).fit(adata, "cell_type"),
        "MLP": lambda: classifiers.MLP(epochs=3, seed=0, progress=False).fit(adata, "cell_type"),
    }[name]()
    report = check(model, adata, groupby="cell_type")
    assert report, report.failed
    assert set(model.predict(adata)) <= set(model.labels)
