"""In which way the genes of a classifier and of the data differ: said alike by every family."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from adverscarial.classifiers import MLP, Chetah, Markers, RandomForest, ScType, wrap
from adverscarial.classifiers.gene_names import difference
from adverscarial.errors import GeneMismatchError

SYMBOLS = ["CD3D", "CD3E", "MS4A1", "CD79A", "NKG7", "GNLY", "LYZ", "CST3", "FCER1A", "PPBP", "CD14", "S100A8"]
IDS = [f"ENSG{i:011d}" for i in range(12)]


def cells(names: list[str]) -> AnnData:
    rng = np.random.default_rng(0)
    kind = np.arange(60) % 3
    X = rng.poisson(1.0, (60, 12)).astype(np.float32)
    X[np.arange(60), 2 * kind] += 5
    obs = pd.DataFrame({"cell_type": np.array(["B", "NK", "T"])[kind]}, index=[f"cell{i}" for i in range(60)])
    return AnnData(np.log1p(X), obs=obs, var=pd.DataFrame(index=names))


def trained(family: str, names: list[str]):
    data = cells(names)
    if family == "forest":
        return RandomForest(5, seed=0).fit(data, "cell_type")
    if family == "mlp":
        pytest.importorskip("torch")
        return MLP((8,), epochs=1, balance=None, progress=False, seed=0).fit(data, "cell_type")
    if family == "chetah":
        return Chetah(cap_genes=True).fit(data, "cell_type")
    if family == "celltypist":
        models = pytest.importorskip("celltypist").models
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler

        scaler = StandardScaler().fit(data.X)
        clf = LogisticRegression().fit(scaler.transform(data.X), data.obs["cell_type"])
        clf.features = np.array(names)
        return wrap(models.Model(clf, scaler, {}))
    from sklearn.linear_model import LogisticRegression

    return wrap(LogisticRegression().fit(data.to_df(), data.obs["cell_type"]))


@pytest.mark.parametrize("family", ["sklearn", "forest", "chetah", "celltypist", "mlp"])
@pytest.mark.parametrize(
    ("mine", "theirs", "says"),
    [
        (SYMBOLS, [name.capitalize() for name in SYMBOLS], "upper and lower case only"),
        (IDS, [f"{name}.7" for name in IDS], r"their version.*strip_versions\(\).*--strip-versions"),
        ([f"{name}.2" for name in IDS], IDS, r"their version.*wrap\(model, genes="),
        ([f"{name}.2" for name in IDS], [f"{name}.3" for name in IDS], "their version"),
        (SYMBOLS, IDS, r"The data's names look like Ensembl ids: use datasets\.gene_symbols\(\)"),
        (SYMBOLS, [f"GRCh38_{name}" for name in SYMBOLS], "the genome before them only"),
    ],
)
def test_said_alike_by_every_family(family: str, mine: list[str], theirs: list[str], says: str) -> None:
    with pytest.raises(GeneMismatchError, match=says):
        trained(family, mine).predict(cells(theirs))


@pytest.mark.parametrize("make", [ScType, Markers])
def test_marker_tables(make: type) -> None:
    table = {"B": ["MS4A1", "CD79A"], "T": ["CD3D"]}
    assert make(table).predict(cells([name.capitalize() for name in SYMBOLS])).notna().all()  # case does not matter
    with pytest.raises(GeneMismatchError, match="The data's names look like Ensembl ids"):
        make(table).predict(cells(IDS))
    with pytest.raises(GeneMismatchError, match="their version"):
        make({"B": IDS[:2], "T": IDS[2:3]}).predict(cells([f"{name}.1" for name in IDS]))
    with pytest.raises(GeneMismatchError, match="Markers are gene symbols"):
        make(table).predict(cells([f"x{i}" for i in range(12)]))


def test_most_of_the_missing_names_decide() -> None:
    needed = pd.Index([*SYMBOLS, "ONLYHUMAN"])
    assert "case only" in difference(needed, pd.Index([name.lower() for name in SYMBOLS]))
    assert difference(needed, pd.Index(["x", "y"])) == ""
    assert difference(pd.Index([]), pd.Index(["x"])) == ""
