from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import adverscarial as adv
from adverscarial import ClusterPrediction, predict
from adverscarial.classifiers import Markers, RandomForest, ScType
from adverscarial.errors import ClassifierError, DataError, ParameterError

MODEL = Markers({"x": ["A"], "y": ["B"]})


def cells() -> AnnData:
    X = np.array([[1.0, 0], [1, 0], [0, 1], [0, 1], [0, 1], [5, 1]])
    obs = pd.DataFrame({"cluster": list("ppppqq")}, index=[f"cell{i}" for i in range(6)])
    return AnnData(X, obs=obs, var=pd.DataFrame(index=["A", "B"]), layers={"swapped": X[:, ::-1].copy()})


def test_label_share_and_votes() -> None:
    assert predict(cells(), MODEL, groupby="cluster", target="p") == ClusterPrediction("x", 0.5, {"x": 2, "y": 2})
    assert predict(cells()[1:], MODEL, groupby="cluster", target="p") == ClusterPrediction("y", 2 / 3, {"y": 2, "x": 1})


def test_it_is_the_majority_of_predict(pbmc_small: AnnData) -> None:
    forest = RandomForest(10, balance=None).fit(pbmc_small[:, ::5].copy(), "cell_type")
    for model in (forest, ScType(), ScType(scaled=False)):
        labels = model.predict(pbmc_small)
        for target, rows in pbmc_small.obs.groupby("cell_type", observed=True).groups.items():
            counts = labels[rows].value_counts()
            found = predict(pbmc_small, model, groupby="cell_type", target=target)
            assert found.label == sorted(counts.index[counts == counts.max()])[0]
            assert found.share == counts.max() / len(rows)
            assert found.votes == counts.to_dict()


def test_the_cluster_may_be_alone_in_needing_other_cells(pbmc_small: AnnData) -> None:
    """Z-scores are taken over all cells of the data set, not over the cluster's."""
    model = ScType(scaled=False)
    whole = predict(pbmc_small, model, groupby="cell_type", target="CD19+ B")
    pair = pbmc_small[pbmc_small.obs["cell_type"].isin(["CD19+ B", "CD14+ Monocyte"]).to_numpy()].copy()
    other = predict(pair, model, groupby="cell_type", target="CD19+ B")
    assert whole.label == "B cell"
    assert whole.votes != other.votes


def test_the_named_layer_is_what_is_classified() -> None:
    found = predict(cells(), MODEL, groupby="cluster", target="q", layer="swapped")
    assert found == ClusterPrediction("x", 0.5, {"x": 1, "y": 1})
    assert predict(cells(), MODEL, groupby="cluster", target="q").votes == {"x": 1, "y": 1}


def test_anything_that_wrap_understands() -> None:
    found = predict(cells(), lambda X: np.where(X[:, 0] > X[:, 1], "x", "y"), groupby="cluster", target="p")
    assert found.votes == {"x": 2, "y": 2}
    assert predict(cells(), lambda e, c, t: (t, 0.25), groupby="cluster", target="p") == ClusterPrediction("p", 0.25)


def test_cells_without_a_cluster_belong_to_none() -> None:
    adata = cells()
    adata.obs["cluster"] = pd.Categorical(["p", None, None, "p", "q", "q"])
    assert predict(adata, MODEL, groupby="cluster", target="p").votes == {"x": 1, "y": 1}
    adata.obs["number"] = [1, 1, 1, 2, 2, 2]
    assert predict(adata, MODEL, groupby="number", target=1).votes == {"x": 2, "y": 1}


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"groupby": "clusters"}, DataError, r"no column 'clusters'.*Did you mean 'cluster'"),
        ({"target": "r"}, DataError, r"no cluster 'r' in obs\['cluster'\]"),
        ({"layer": "swaped"}, DataError, r"no layer 'swaped'.*Did you mean 'swapped'"),
        ({"classifier": 5}, ParameterError, "cannot use a int"),
        ({"classifier": lambda X: 1 / 0}, ClassifierError, "ZeroDivisionError"),
    ],
)
def test_impossible_queries_are_refused(change: dict, error: type[Exception], says: str) -> None:
    asked = {"adata": cells(), "classifier": MODEL, "groupby": "cluster", "target": "p"} | change
    with pytest.raises(error, match=says):
        predict(**asked)


def test_it_agrees_with_the_attacks_baseline(pbmc_small: AnnData) -> None:
    model = Markers(n_markers=5).fit(pbmc_small, "cell_type")
    for target in ("Dendritic", "CD19+ B"):
        found = predict(pbmc_small, model, groupby="cell_type", target=target)
        result = adv.attacks.SingleGene("perc1")(pbmc_small, model, groupby="cell_type", target=target)
        assert (result.baseline, result.baseline_share) == (found.label, found.share)
