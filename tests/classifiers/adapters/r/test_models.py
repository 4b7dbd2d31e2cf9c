"""Models of R packages: the answers are those that R itself gives for the same cells, computed in R alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.classifiers.scorer_law import check_scorer_law

import adverscarial as adv
from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers import RClassifier, check
from adverscarial.classifiers.adapters.r.names import make_name
from adverscarial.errors import ClassifierError, GeneMismatchError, ParameterError

#: trains a model in R by its name in MODELS; returns its file, and what R says of the cells
Trained = Callable[[str], tuple[Path, pd.DataFrame]]

ASK: dict[str, Any] = {"groupby": "cell_type", "target": "CD19+ B"}

#: how each model is trained on X and y, and asked for scores or labels of X in R
MODELS = {
    "randomForest": ("randomForest(X, y, ntree = 41)", "predict(model, X, type = 'prob')"),
    "ranger": (
        "ranger(x = X, y = y, num.trees = 41, probability = TRUE, num.threads = 1)",
        "predict(model, data = X)$predictions",
    ),
    "e1071": ("svm(X, y, kernel = 'linear')", "as.character(predict(model, X))"),
    "e1071 with probabilities": (
        "svm(X, y, kernel = 'linear', probability = TRUE)",
        "attr(predict(model, X, probability = TRUE), 'probabilities')",
    ),
    "glmnet": (
        "glmnet(X, y, family = 'multinomial', nlambda = 20)",
        "predict(model, X, s = min(model$lambda), type = 'response')[, , 1]",
    ),
    "glmnet of two classes": (
        "glmnet(X, y == 'CD19+ B', family = 'binomial', nlambda = 20)",
        "{ p <- predict(model, X, s = min(model$lambda), type = 'response')[, 1]; cbind('FALSE' = 1 - p, 'TRUE' = p) }",
    ),
    "glmnet, crossed": (
        "cv.glmnet(X, y, family = 'multinomial', nlambda = 10, nfolds = 3)",
        "predict(model, X, type = 'response')[, , 1]",
    ),
}


@pytest.fixture
def train(cells_of_types: AnnData, tmp_path: Path, run_r: Callable[[str], str], package: Callable[[str], None]):
    """Train a model in R; return its file and what R says of the cells."""

    def train(how: str) -> tuple[Path, pd.DataFrame]:
        name = how.split()[0].strip(",")
        package(name)
        fit, ask = MODELS[how]
        cells_of_types.to_df().to_csv(tmp_path / "X.csv", float_format="%.17g")
        cells_of_types.obs[["cell_type"]].to_csv(tmp_path / "y.csv")
        run_r(
            f"suppressPackageStartupMessages(library({name})); set.seed(1)\n"
            "X <- as.matrix(read.csv('X.csv', row.names = 1, check.names = FALSE))\n"
            "y <- factor(read.csv('y.csv')[, 2])\n"
            f"model <- {fit}\nsaveRDS(model, 'model.rds')\n"
            f"said <- {ask}\nwrite.csv(format(data.frame(said, check.names = FALSE), digits = 17), 'said.csv')\n"
        )
        return tmp_path / "model.rds", pd.read_csv(tmp_path / "said.csv", index_col=0)

    return train


@pytest.fixture
def cells_of_types(pbmc_small: AnnData) -> AnnData:
    """150 cells of five types, 60 genes."""
    rng = np.random.default_rng(0)
    rows = np.sort(np.concatenate([rng.permutation(np.flatnonzero(pbmc_small.obs["cell_type"] == name))[:30] for name in
                                   sorted(set(pbmc_small.obs["cell_type"]))[:5]]))  # fmt: skip
    X = pbmc_small.X[rows].toarray() if hasattr(pbmc_small.X, "toarray") else np.asarray(pbmc_small.X[rows])
    genes = np.sort(np.argsort(-X.var(axis=0))[:60])
    cells = pbmc_small[rows][:, genes].copy()
    cells.X = X[:, genes]
    return cells


QUICK = ("randomForest", "e1071", "e1071 with probabilities")


@pytest.mark.fast("e1071")
@pytest.mark.parametrize(
    "how", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in MODELS]
)
def test_a_stored_model_says_what_r_says(how: str, train: Trained, cells_of_types: AnnData) -> None:
    path, said = train(how)
    more = AnnData(
        np.hstack([cells_of_types.X[:, ::-1], np.ones((cells_of_types.n_obs, 1), dtype=np.float32)]),
        obs=cells_of_types.obs,
        var=pd.DataFrame(index=[*cells_of_types.var_names[::-1], "another"]),
    )  # genes in another order, and one that the model does not know
    with RClassifier(rds=path, trust=True) as model:
        assert list(model.bind(cells_of_types.var_names).genes) == list(cells_of_types.var_names)
        for cells in (cells_of_types, more):
            if said.shape[1] == 1:
                assert model.predict(cells).tolist() == said.iloc[:, 0].str.strip().tolist()
            else:
                scores = model.scores(cells)
                np.testing.assert_allclose(scores[said.columns], said.to_numpy(), rtol=1e-13)
        assert set(model.classes) >= set(model.predict(more))
        assert model.scorer(Cluster(more, **ASK)).reads(np.array([60])).tolist() == [False]
        assert check(model, more, groupby="cell_type"), check(model, more, groupby="cell_type")
        with pytest.raises(GeneMismatchError):
            model.predict(cells_of_types[:, 1:].copy())


@pytest.mark.slow
@given(st.text(min_size=1, max_size=5))
@settings(max_examples=30)
def test_a_name_that_r_would_not_change_is_not_changed(name: str) -> None:
    assert make_name(make_name(name)) == make_name(name)


def test_names_are_changed_as_r_changes_them(run_r: Callable[[str], str]) -> None:
    names = ["HLA-DRA", "7SK", "a b", "_x", ".1", ".a", "..2", "if", "TRUE", "MT-CO1", "AC(1)", "RP11-34P13.7", "a_b"]
    there = run_r(f"cat(make.names(c({', '.join(map(repr, names))})), sep = '\\n')").splitlines()
    assert [make_name(name) for name in names] == there


@pytest.mark.slow
def test_a_model_trained_on_changed_names_finds_the_genes(
    run_r: Callable[[str], str], package: Callable[[str], None], tmp_path: Path
) -> None:
    package("randomForest")
    run_r(
        "suppressPackageStartupMessages(library(randomForest)); set.seed(1)\n"
        "X <- data.frame('HLA-DRA' = c(0, 0, 0, 9, 9, 9), CD3D = c(9, 9, 9, 0, 0, 0))\n"
        "saveRDS(randomForest(X, factor(rep(c('T', 'B'), each = 3)), ntree = 9), 'm.rds')\n"
    )
    cells = AnnData(np.array([[9.0, 0, 1], [0, 9, 1]]), var=pd.DataFrame(index=["CD3D", "HLA-DRA", "other"]))
    with RClassifier(rds=tmp_path / "m.rds", trust=True) as model:
        assert list(model.genes) == ["HLA.DRA", "CD3D"]
        assert model.predict(cells).tolist() == ["T", "B"]
        cells.var_names = ["CD3D", "HLA-DRA", "HLA.DRB"]
        assert model.predict(cells).tolist() == ["T", "B"]
        cells.var_names = ["CD3D", "HLA-DRA", "HLA DRA"]  # either may be meant
        with pytest.raises(GeneMismatchError):
            model.predict(cells)


@pytest.mark.slow
def test_predict_in_place_of_a_script(train: Trained, cells_of_types: AnnData) -> None:
    path, said = train("randomForest")
    predict = "function(model, X) predict(model, X, type = 'prob')"
    with RClassifier(rds=path, predict=predict, packages=["randomForest"], trust=True) as model:
        np.testing.assert_allclose(model.scores(cells_of_types), said.to_numpy(), rtol=1e-13)
        assert dict(part.split() for part in model.about.packages)["randomForest"]
    script = path.with_name("model.R")
    script.write_text(f"library(randomForest)\nclassify <- {predict}\n")
    with RClassifier(script, rds=path, trust=True) as model:
        np.testing.assert_allclose(model.scores(cells_of_types), said.to_numpy(), rtol=1e-13)


@pytest.mark.slow
def test_a_forest_node_by_node_says_what_r_says(train: Trained, cells_of_types: AnnData) -> None:
    path, said = train("randomForest")
    cells_of_types.X = cells_of_types.X.astype(np.float64)
    attack = adv.attacks.SingleGene("perc99", search="exact")
    with RClassifier(rds=path, trust=True) as model:
        forest = model.as_forest()
        assert forest.classes == model.classes
        np.testing.assert_allclose(forest.scores(cells_of_types)[said.columns], said.to_numpy(), rtol=1e-13)
        there, here = attack(cells_of_types, model, **ASK), attack(cells_of_types, forest, **ASK)
        # the forest also knows which genes no tree reads, and how near each gene came
        answers = ["gene", "outcome", "label", "share"]
        pd.testing.assert_frame_equal(there.to_frame()[answers], here.to_frame()[answers])
        check_scorer_law(model, cells_of_types, **ASK, games=1, moves=6)
    path, _ = train("e1071")
    with RClassifier(rds=path, trust=True) as model, pytest.raises(ParameterError, match="holds no randomForest"):
        model.as_forest()


@pytest.mark.slow
def test_a_forest_with_names_that_r_changed_goes_back_to_those_of_the_data(
    train: Trained, cells_of_types: AnnData
) -> None:
    cells_of_types.X = cells_of_types.X.astype(np.float64)
    changed = cells_of_types.copy()
    changed.var_names = [f"{gene}-1" for gene in changed.var_names]
    cells_of_types.var_names = [make_name(gene) for gene in changed.var_names]
    path, said = train("randomForest")
    with RClassifier(rds=path, trust=True) as model:
        forest = model.as_forest(changed.var_names)
        np.testing.assert_allclose(forest.scores(changed)[said.columns], said.to_numpy(), rtol=1e-13)
        with pytest.raises(GeneMismatchError, match=r"'-' and '\.' only"):
            model.as_forest().scores(changed)
        assert list(model.as_forest(cells_of_types.var_names).genes) == list(model.as_forest().genes)


@pytest.mark.slow
def test_votes_that_tie_are_drawn_from_the_seed(train: Trained, cells_of_types: AnnData) -> None:
    """randomForest breaks ties at random: with the seed, two copies say the same in any order of queries."""
    path, _ = train("randomForest")
    predict = "function(model, X) as.character(predict(model, X, type = 'response'))"
    settings = {"rds": path, "predict": predict, "packages": ["randomForest"], "trust": True, "needs_all_cells": False}
    with RClassifier(**settings) as model:
        survey = {"attacks": [adv.attacks.SingleGene("perc99")], "groupby": "cell_type"}
        alone = adv.survey(cells_of_types, model, **survey).to_frame()
        assert adv.survey(cells_of_types, model, **survey, n_jobs=2).to_frame().equals(alone)


@pytest.mark.slow
def test_stored_objects_that_cannot_be_asked(run_r: Callable[[str], str], tmp_path: Path) -> None:
    run_r("saveRDS(lm(dist ~ speed, cars), 'lm.rds'); writeLines('text', 'text.rds')")
    with pytest.raises(ParameterError, match=r"reading them can run any code .* pass trust=True"):
        RClassifier(rds=tmp_path / "lm.rds")
    with pytest.raises(ParameterError, match=r"it holds a lm\. Say how it is asked: predict="):
        RClassifier(rds=tmp_path / "lm.rds", trust=True)
    with pytest.raises(ParameterError, match="R cannot read it: unknown input format"):
        RClassifier(rds=tmp_path / "text.rds", trust=True)
    with pytest.raises(ParameterError, match="cannot be read"):
        RClassifier(rds=tmp_path / "none.rds", trust=True)
    with pytest.raises(ParameterError, match=r"R cannot read predict=: .*unexpected"):
        RClassifier(rds=tmp_path / "lm.rds", predict="function(model, X", trust=True)
    with pytest.raises(ParameterError, match="no function"):
        RClassifier(rds=tmp_path / "lm.rds", predict="1 + 1", trust=True)


@pytest.mark.slow
def test_a_model_that_changes_on_disk_is_not_read_again(run_r: Callable[[str], str], tmp_path: Path) -> None:
    run_r("saveRDS(1, 'm.rds')")
    with RClassifier(rds=tmp_path / "m.rds", predict="function(model, X) rep(model, nrow(X))", trust=True) as model:
        cells = AnnData(np.zeros((2, 1)))
        assert model.predict(cells).tolist() == ["1", "1"]
        run_r("saveRDS(2, 'm.rds')")
        model.close()
        with pytest.raises(ClassifierError, match=r"has changed since .*make it anew"):
            model.predict(cells)


@pytest.mark.slow
def test_a_function_that_builds_a_single_cell_experiment(
    package: Callable[[str], None], write: Callable[[str], Path], cells_of_types: AnnData
) -> None:
    """As in the vignettes of adverSCarial: an object of genes x cells, a global found again, c(label, score)."""
    package("SingleCellExperiment")
    script = write(
        "suppressPackageStartupMessages(library(SingleCellExperiment))\n"
        "Classifier <- function(expr, clusters, target) {\n"
        "  if (!exists('used')) used <<- 0\n"
        "  used <<- used + 1\n"
        "  sce <- SingleCellExperiment(assays = list(logcounts = t(as.matrix(expr))))\n"
        "  inside <- assay(sce, 'logcounts')[c('CD79A', 'S100A9'), clusters == target]\n"
        "  said <- ifelse(inside['CD79A', ] > inside['S100A9', ], 'B', 'other')\n"
        "  votes <- sort(table(said), decreasing = TRUE)\n"
        "  if (votes[[1]] / length(said) < 0.3) return(c('NA', 0))\n"
        "  c(names(votes)[1], votes[[1]] / length(said))\n}\n"
    )
    X = cells_of_types[(cells_of_types.obs["cell_type"] == "CD19+ B").to_numpy()].to_df()
    share = float((X["CD79A"] > X["S100A9"]).mean())
    with RClassifier(script, "Classifier", expression="data.frame") as model:
        assert model.of_clusters
        said = adv.predict(cells_of_types, model, **ASK)
        assert said.label == "B"
        assert said.share == pytest.approx(share, rel=1e-14)
        result = adv.attacks.SingleGene("perc1")(cells_of_types, model, **ASK)
        assert result.genes == ["CD79A"]
        assert result.verify(cells_of_types, model)
