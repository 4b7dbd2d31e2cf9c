"""Certificates of trees and networks: the checker proves what the search proved, and nothing that is about others."""

from __future__ import annotations

import ast
import copy
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier

import adverscarial as adv
from adverscarial import _store
from adverscarial.attacks import MinChange
from adverscarial.classifiers import Classifier, wrap
from adverscarial.classifiers.plain import fingerprint
from adverscarial.errors import ClassifierError, ParameterError, StorageError
from adverscarial.evaluation import verify_certificate
from laws.families import GENES, TARGETS, TYPES, cells, classifier

WHERE = {"groupby": "cluster", "target": TARGETS[0]}
FAMILIES = ["forest", "scRF", "boosting", "histograms", "xgboost", "lightgbm", "scMLP", "torch"]


@cache
def model_of(family: str) -> Classifier:
    train = cells(10**7)
    X, codes = train.X, np.unique(train.obs["type"], return_inverse=True)[1]
    few = {"n_estimators": 30, "max_depth": 2, "random_state": 0, "learning_rate": 0.2}
    if family == "scRF":
        return adv.classifiers.RandomForest(12, seed=0).fit(train, "type")
    if family == "boosting":
        return wrap(GradientBoostingClassifier(**few, max_features=2).fit(X, train.obs["type"]), genes=GENES)
    if family == "histograms":
        made = HistGradientBoostingClassifier(
            max_iter=30, max_depth=2, min_samples_leaf=2, max_features=0.3, random_state=0
        )
        return wrap(made.fit(X, train.obs["type"]), genes=GENES)
    if family == "xgboost":
        package = pytest.importorskip("xgboost")
        model = package.XGBClassifier(**few, n_jobs=1, colsample_bynode=0.3).fit(X, codes)
        return wrap(model, classes=list(TYPES), genes=GENES)
    if family == "lightgbm":
        package = pytest.importorskip("lightgbm")
        model = package.LGBMClassifier(**few, n_jobs=1, min_child_samples=2, verbose=-1).fit(X, codes)
        return wrap(model, classes=list(TYPES), genes=GENES)
    if family == "torch":
        nn = pytest.importorskip("torch").nn
        network = nn.Sequential(nn.Linear(len(GENES), 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))
        for layer, (W, b) in zip((network[0], network[3]), _two_layers(), strict=True):
            layer.weight.data = pytest.importorskip("torch").tensor(W.T, dtype=layer.weight.dtype)
            layer.bias.data = pytest.importorskip("torch").tensor(b, dtype=layer.bias.dtype)
        return wrap(network, classes=list(TYPES), genes=GENES)
    if family == "scMLP":
        pytest.importorskip("torch")
    return classifier(family)


def _two_layers() -> list[tuple[np.ndarray, np.ndarray]]:
    """A network that finds the types as the cells are made: by their first three genes, and by some noise."""
    rng = np.random.default_rng(3)
    first = np.vstack([2 * np.eye(3, 8), np.zeros((len(GENES) - 3, 8))]) + 0.2 * rng.normal(size=(len(GENES), 8))
    return [(first, np.zeros(8)), (np.eye(8, 3) + 0.1 * rng.normal(size=(8, 3)), np.zeros(3))]


def changed(certificate, change, path):
    content = copy.deepcopy(certificate.content)
    change(content)
    return _store.write_json(path, content)


@pytest.fixture(scope="module")
def forest(pbmc_small):
    train, test = adv.datasets.split(pbmc_small, "cell_type", seed=0)
    model = adv.classifiers.RandomForest(40, seed=0).fit(train, "cell_type")
    result = MinChange("perc99")(test, model, groupby="cell_type", target="Dendritic")
    return test, model, result, result.certificate(test, model)


@pytest.mark.fast("scRF")
@pytest.mark.parametrize("family", FAMILIES)
def test_what_the_search_proves_is_confirmed(family: str, tmp_path) -> None:
    model, optimal, more = model_of(family), 0, 0
    for modification in ("perc99", "perc1", "random"):
        for seed in range(5):
            adata = cells(seed)
            result = MinChange(modification)(adata, model, **WHERE)
            certificate = result.certificate(adata, model)
            assert certificate.lower == result.lower
            more += result.lower > 1
            check = verify_certificate(certificate.save(tmp_path / "c.json"), adata, model)
            assert check, str(check)
            if result.success and result.upper < len(certificate.content["genes"]):
                optimal += result.optimal
                path = changed(
                    certificate, lambda c, n=result.upper + 1: c["claim"].update(lower=n), tmp_path / "d.json"
                )
                assert not verify_certificate(path, adata, model)
    assert optimal > 2, optimal
    assert more


@pytest.mark.slow
def test_the_bound_of_a_forest_is_confirmed_from_its_file(forest, tmp_path) -> None:
    test, model, result, certificate = forest
    assert 3 < certificate.lower <= result.lower  # sharper proofs are not written down
    path = certificate.save(tmp_path / "c.json")
    model.save(tmp_path / "forest.npz")
    check = verify_certificate(path, test, tmp_path / "forest.npz")
    assert check, str(check)
    assert "own sets" in str(check)
    assert f"fewer than {certificate.lower} genes" in check.claim
    assert path.stat().st_size < 50_000


@pytest.mark.slow
def test_what_is_false_does_not_hold(forest, tmp_path) -> None:
    test, model, result, certificate = forest
    n = len(certificate.content["genes"])
    lies = (
        lambda c: c["claim"].update(lower=result.upper + 1),
        lambda c: c["claim"].update(lower=n + 1, impossible=True),
        lambda c: c["claim"].update(lower=result.lower, impossible=True),
        lambda c: c["claim"].update(label="CD19+ B"),
        lambda c: c["claim"].update(modification="perc1"),
        lambda c: c["claim"].update(target="CD19+ B"),
        lambda c: c.update(labels=c["labels"][::-1]),
        lambda c: c.update(genes=c["genes"][:-1]),
        lambda c: c.update(form="network"),
        lambda c: c["fingerprints"].update(model="0" * 64),
        lambda c: c["fingerprints"].update(old="0" * 64),
        lambda c: c["fingerprints"].update(new="0" * 64),
    )
    for lie in lies:
        assert not verify_certificate(changed(certificate, lie, tmp_path / "c.json"), test, model)


@pytest.mark.slow
def test_fewer_genes_must_be_said_to_be_some(forest, tmp_path) -> None:
    """A list that leaves out genes that move would make any bound true."""
    test, model, _, certificate = forest

    def fewer(content, some: bool) -> None:
        cluster = adv.cells.Cluster(test, "cell_type", "Dendritic")
        places = cluster.positions(content["genes"][:3])
        new = adv.Percentile(99).new_values(cluster, places).astype(cluster.dtype)
        content["genes"] = content["genes"][:3]
        content["fingerprints"]["new"] = fingerprint(np.broadcast_to(new, (cluster.n_cells, 3)))
        content["claim"] |= {"lower": 3, "some_genes": some}

    for some in (False, True):
        path = changed(certificate, lambda c, some=some: fewer(c, some), tmp_path / "c.json")
        check = verify_certificate(path, test, model)
        assert bool(check) == some
    assert "of the 3 genes attacked" in check.claim


@pytest.mark.slow
def test_other_cells_and_other_classifiers_do_not_pass(forest, tmp_path) -> None:
    test, model, _, certificate = forest
    path = certificate.save(tmp_path / "c.json")
    moved, elsewhere = test.copy(), test.copy()
    inside = (test.obs["cell_type"] == "Dendritic").to_numpy()
    moved.X = moved.X.multiply(np.where(inside, 1.01, 1.0)[:, None]).tocsr()
    elsewhere.X = elsewhere.X.multiply(np.where(inside, 1.0, 1.5)[:, None]).tocsr()  # which moves the percentiles
    for cells_ in (test[::-1].copy(), test[:, 1:].copy(), test[5:].copy(), moved, elsewhere):
        assert not verify_certificate(path, cells_, model)
    other = adv.classifiers.RandomForest(40, seed=1).fit(test, "cell_type")
    logistic = adv.classifiers.Markers().fit(test, "cell_type")
    for classifier_ in (other, logistic):
        assert not verify_certificate(path, test, classifier_)


@pytest.mark.slow
def test_trees_that_are_not_the_classifiers_own_do_not_pass(forest, tmp_path) -> None:
    """The numbers a classifier shows are compared with its answers."""
    test, model, result, _ = forest

    class TwoFaced(adv.classifiers.RandomForest):
        def decide(self, X):
            X = X.copy()
            X[:, ::2] = 0
            return super().decide(X)

    liar = TwoFaced.from_state(*model.state())
    path = result.certificate(test, model).save(tmp_path / "c.json")
    check = verify_certificate(path, test, liar)
    assert not check
    assert "label the cells as the classifier does" in check.table["checked"].iloc[-1]


@pytest.mark.slow
def test_cells_and_classifier_are_asked_for(forest, tmp_path) -> None:
    test, model, _, certificate = forest
    path = certificate.save(tmp_path / "c.json")
    for given in ((), (test,), (None, model)):
        with pytest.raises(ParameterError, match=r"trees.*--data cells.h5ad --classifier"):
            verify_certificate(path, *given)
    (tmp_path / "m.pkl").write_bytes(b"\x80\x04.")
    with pytest.raises(StorageError, match="trust"):
        verify_certificate(path, test, tmp_path / "m.pkl")


@pytest.mark.slow
def test_damaged_files_are_refused(forest, tmp_path) -> None:
    test, model, _, certificate = forest
    lies = (
        lambda c: c.update(format=3),
        lambda c: c.update(format=True),
        lambda c: c.update(form=["trees"]),
        lambda c: c.update(labels=[[]]),
        lambda c: c["genes"].append(c["genes"][0]),
        lambda c: c["fingerprints"].update(new="0" * 63),
        lambda c: c["fingerprints"].update(old=float("nan")),
        lambda c: c.update(fingerprints=[]),
        lambda c: c["claim"].update(lower=float("nan")),
        lambda c: c["claim"].update(lower=-1),
        lambda c: c.update(values={"shape": [10**9, 10**9], "zlib": ""}),
        lambda c: c.pop("genes"),
    )
    for lie in lies:
        with pytest.raises(StorageError):
            verify_certificate(changed(certificate, lie, tmp_path / "c.json"), test, model)
    path = changed(certificate, lambda c: c["claim"].update(lower=10**30), tmp_path / "c.json")
    assert not verify_certificate(path, test, model)


def test_new_values_of_a_function_travel_along(tmp_path) -> None:
    adata, model = cells(1), model_of("scRF")
    result = MinChange(adv.Custom(lambda values, mask: values[mask].max() - values[mask], scope="gene"))(
        adata, model, **WHERE
    )
    path = result.certificate(adata, model).save(tmp_path / "c.json")
    check = verify_certificate(path, adata, model)
    assert check, str(check)
    assert "come from a function" in str(check)
    whole = adv.Custom(lambda values: values + 1, scope="cluster_block")
    with pytest.raises(ClassifierError, match="each gene on its own"):
        MinChange(whole)(adata, model, **WHERE).certificate(adata, model)


def test_values_that_a_forest_refuses_are_no_gap(tmp_path) -> None:
    adata, model = cells(2), model_of("forest")
    attack = MinChange(adv.Custom(lambda values, mask: np.where(values[mask] > 1, 1e39, 0.0), scope="gene"))
    result = attack(adata, model, **WHERE)
    check = verify_certificate(result.certificate(adata, model).save(tmp_path / "c.json"), adata, model)
    assert check, str(check)


def test_the_checker_uses_nothing_of_the_search() -> None:
    """It may read files and data, and ask the classifier; bounds, votes and trees it must work out itself."""
    folder = Path(adv.evaluation.__file__).parent
    allowed = {
        "adverscarial",
        "adverscarial._memory",
        "adverscarial._store",
        "adverscarial.cells.choice",  # which cells are meant
        "adverscarial.cells.cluster",
        "adverscarial.cells.columns",
        "adverscarial.classifiers.answers",
        "adverscarial.classifiers.base",
        "adverscarial.classifiers.files.loading",
        "adverscarial.classifiers.plain",
        "adverscarial.classifiers.scorers.base",  # a type: what a classifier says of a cluster, to compare numbers with
        "adverscarial.classifiers.wrap",
        "adverscarial.errors",
        "adverscarial.modifications.base",
    }
    files = sorted(folder.glob("certificate*.py"))
    assert len(files) == 9
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("adverscarial"):
                known = node.module in allowed or node.module.startswith("adverscarial.evaluation.certificate")
                assert known, (file.name, node.module)
            assert not isinstance(node, ast.Import) or "adverscarial" not in ast.unparse(node)


def test_a_plain_classifier_imports_nothing_either() -> None:
    from adverscarial.classifiers import plain

    assert "adverscarial" not in "".join(
        ast.unparse(node)
        for node in ast.walk(ast.parse(Path(plain.__file__).read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
    )
