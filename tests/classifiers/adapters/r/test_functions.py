"""Functions in R, well-behaved and not: what is made of their answers; the next query is answered as before."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from anndata import AnnData

import adverscarial as adv
from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers import RClassifier
from adverscarial.errors import ClassifierError, InputRejected, MissingDependencyError, ParameterError

FIRST = "X[, 1]"
GOOD = "ifelse(X[, 1] > 1, 'B', 'T')"


def good(cells: AnnData) -> list[str]:
    return np.where(cells.X[:, 0] > 1, "B", "T").tolist()


ANSWERS = {
    "characters": GOOD,
    "factor": f"factor({GOOD}, levels = c('T', 'other', 'B'))",
    "named": f"setNames({GOOD}, rownames(X))",
    "column": f"matrix({GOOD})",
    "data frame": f"data.frame({GOOD})",
    "scores": "cbind(B = X[, 1] - 1, T = 1 - X[, 1])",
    "scores in a data frame": "data.frame(B = X[, 1] - 1, T = 1 - X[, 1])",
    "scores of three dimensions": "array(c(X[, 1] - 1, 1 - X[, 1]), c(nrow(X), 2, 1), list(NULL, c('B', 'T'), '1'))",
    "prints": f"{{ print(X); {GOOD} }}",
    "floods": f"{{ for (i in 1:20000) cat('chatter\\n'); {GOOD} }}",
    "child output": f"{{ system('echo from a child'); {GOOD} }}",
    "sink": f"{{ sink(tempfile()); cat('hidden'); sink(); {GOOD} }}",
    "reads stdin": f"{{ readLines(stdin()); {GOOD} }}",
    "overwrites its argument": f"{{ said <- {GOOD}; X[] <- 0; kept <<- X; said }}",
    "keeps its argument": f"{{ kept <<- X; {GOOD} }}",
    "setwd": f"{{ setwd(tempdir()); {GOOD} }}",
    "plot": f"{{ pdf(NULL); plot(1); dev.off(); {GOOD} }}",
    "empties the workspace": f"{{ rm(list = setdiff(ls(globalenv()), 'classify'), envir = globalenv()); {GOOD} }}",
    "draws": f"{{ runif(10); {GOOD} }}",
    "messages": f"{{ message('hm'); {GOOD} }}",
    "forks": f"{{ parallel::mclapply(1:2, function(i) i, mc.cores = 2); {GOOD} }}",
}


@pytest.mark.fast(2)
@pytest.mark.parametrize("how", ANSWERS)
def test_what_a_function_may_do(how: str, function: Callable[..., RClassifier], cells: AnnData) -> None:
    model = function(f"function(X) {ANSWERS[how]}")
    for _ in range(2):
        assert model.predict(cells).tolist() == good(cells)
    assert model.gives_scores == how.startswith("scores")


FAILURES: dict[str, tuple[str, str]] = {
    "stops": ("stop('values above 5 are not log counts')", r"failed in R: values above 5 are not log counts$"),
    "NULL": ("NULL", "returned NULL for 40 cells; expected labels or scores"),
    "too few": ("c('B', 'T')", "returned 2 labels for 40 cells"),
    "too few rows": ("cbind(B = 1, T = 2)", "returned 1 rows of scores for 40 cells"),
    "a list": ("list(1, 2)", "returned a list; expected one label per cell"),
    "a function": ("sum", "returned a function; expected"),
    "text scores": ("cbind(a = rep('x', nrow(X)), b = 'y')", "returned scores of type character"),
    "names are missing": ("cbind(X[, 1], 1)", "returned 2 score columns without names: name them with classes="),
    "names repeat": ("cbind(a = X[, 1], a = 1)", "share a name"),
    "NaN": ("cbind(B = X[, 1], T = NaN)", "returned NaN for 40 of 80 scores, first for cell 1"),
    "deep recursion": ("{ f <- function(i) f(i + 1); f(1) }", "failed in R: (evaluation nested too deeply|.*stack)"),
    "huge allocation": ("numeric(1e15)", "failed in R: cannot allocate"),
    "quits": ("quit(status = 7)", r"the R process ended \(status 7\); it printed nothing"),
    "closes": ("{ cat('bye\\n'); closeAllConnections() }", "R ended while classify.. of model.R was asked"),
    "a package that is not there": ("nosuchpackage::f(X)", "needs the R package 'nosuchpackage'"),
}


@pytest.mark.fast(2)
@pytest.mark.parametrize("how", FAILURES)
def test_what_goes_wrong_is_said_and_the_next_query_is_answered(
    how: str, function: Callable[..., RClassifier], cells: AnnData
) -> None:
    code, message = FAILURES[how]
    model = function(f"function(X) {{ if (X[1, 1] == 99) return({{ {code} }}); {GOOD} }}")
    bad = cells.copy()
    bad.X[0, 0] = 99
    for _ in range(2):
        assert model.predict(cells).tolist() == good(cells)
        kind = MissingDependencyError if "package" in how else ClassifierError
        with pytest.raises(kind, match=message):
            model.predict(bad)


@pytest.mark.slow
def test_warnings_are_collected_and_logged_once(
    function: Callable[..., RClassifier], cells: AnnData, caplog: pytest.LogCaptureFixture
) -> None:
    model = function(f"function(X) {{ for (i in 1:3) warning('as you like'); warning('é'); {GOOD} }}")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            model.predict(cells)
    assert model.warnings == {"as you like": 6, "é": 2}
    assert [record.getMessage() for record in caplog.records] == [
        "classify() of model.R warns in R: as you like",
        "classify() of model.R warns in R: é",
    ]


@pytest.mark.slow
def test_a_refusal_is_an_outcome(function: Callable[..., RClassifier], cells: AnnData) -> None:
    refuses = f"function(X) {{ if (any(X > 50)) adv_reject('out of range'); {GOOD} }}"
    stops = f"function(X) {{ if (any(X > 50)) stop('out of range'); {GOOD} }}"
    for code, settings in ((refuses, {}), (stops, {"errors": "reject"})):
        model = function(code, **settings)
        result = adv.attacks.SingleGene("positive_aberrant", search="exact")(
            cells, model, groupby="cluster", target="c0"
        )
        assert set(result.to_frame()["outcome"]) == {"rejected"}
        scorer = model.scorer(Cluster(cells, "cluster", "c0"))
        assert scorer.together(np.array([0]), np.array([[99.0]])).reason.endswith("refused the input: out of range")
        with pytest.raises(InputRejected):
            scorer.accept(np.array([0]), np.array([[99.0]]))


@pytest.mark.slow
def test_na_is_no_label(function: Callable[..., RClassifier], cells: AnnData) -> None:
    model = function("function(X) ifelse(X[, 1] > 1, 'B', NA)")
    assert set(model.predict(cells)) == {"B", "NaN"}
    assert set(function("function(X) factor(rep(NA, nrow(X)))").predict(cells)) == {"NaN"}


@pytest.mark.slow
def test_labels_and_names_beyond_ascii(function: Callable[..., RClassifier], cells: AnnData) -> None:
    cells.var_names = ["Ünïcøde", *cells.var_names[1:]]
    model = function("function(X) ifelse(X[, 'Ünïcøde'] > 1, 'β cell', 'naïve')")
    assert model.predict(cells).tolist() == np.where(cells.X[:, 0] > 1, "β cell", "naïve").tolist()


@pytest.mark.slow
def test_genes_and_classes_that_are_named(function: Callable[..., RClassifier], cells: AnnData) -> None:
    order = cells.var_names[[3, 0]]
    model = function("function(X) { stopifnot(colnames(X) == c('7SK', 'CD79A')); cbind(X[, 2], 1) }", genes=order,
                     classes=["B", "T"])  # fmt: skip
    assert model.predict(cells).tolist() == good(cells)
    assert model.scores(cells).columns.tolist() == ["B", "T"]
    scorer = model.scorer(Cluster(cells, "cluster", "c0"))
    assert scorer.reads(np.arange(6)).tolist() == [True, False, False, True, False, False]
    with pytest.raises(adv.errors.GeneMismatchError):
        model.predict(cells[:, 1:].copy())
    with pytest.raises(ClassifierError, match=r"answered 'B', which is not among its classes \('x', 'T'\)"):
        function(f"function(X) {GOOD}", classes=["x", "T"]).predict(cells)


@pytest.mark.fast(1)
@pytest.mark.parametrize("transport", ["LANG=C", "LANG=C.UTF-8"])
def test_the_language_of_the_machine_does_not_matter(
    transport: str, function: Callable[..., RClassifier], cells: AnnData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", transport.removeprefix("LANG="))
    model = function("function(X) rep(paste(sort(c('b', 'B', 'a', 'é')), collapse = ''), nrow(X))")
    assert set(model.predict(cells)) == {"Babé"}


@pytest.mark.slow
def test_texts_can_be_sorted_as_a_language_does(function: Callable[..., RClassifier], cells: AnnData) -> None:
    model = function("function(X) rep(paste(sort(c('b', 'B', 'a')), collapse = ''), nrow(X))", collate="en_US")
    assert set(model.predict(cells)) == {"abB"}


# -- the script ------------------------------------------------------------------------------------------------------


@pytest.mark.fast(1)
@pytest.mark.parametrize(
    ("code", "settings", "message"),
    [
        ("classify <- function(X) {\n  X[, ]]\n}", {}, r"R cannot read model.R: .*model.R:2:"),
        ("clasify <- function(X) 1\nhelper <- function() 2", {}, "no function 'classify'. Did you mean 'clasify'"),
        ("x <- 1", {}, "It defines none"),
        ("x <- 1", {"function": "missing"}, "no function 'missing'"),  # R has one of that name
        ("x <- 1", {"form": "clusters"}, "form='clusters' is not known. Did you mean 'cluster'"),
        ("x <- 1", {"timeout": 0}, "timeout must be more than 0"),
        ("x <- 1", {"seed": -1}, "seed must be"),
        ("x <- 1", {"predict": "function(m, X) 1"}, "name the model"),
    ],
)
def test_a_script_that_cannot_be_used(
    code: str, settings: dict[str, Any], message: str, write: Callable[[str], Path]
) -> None:
    with pytest.raises(ParameterError, match=message):
        RClassifier(write(code), **settings)


@pytest.mark.slow
def test_a_script_that_fails(write: Callable[[str], Path]) -> None:
    with pytest.raises(ClassifierError, match="failed in R: no reference"):
        RClassifier(write("stop('no reference')"))
    with pytest.raises(MissingDependencyError, match=r"needs the R package 'nosuch': .*install.packages\('nosuch'\)"):
        RClassifier(write("library(nosuch)"))
    with pytest.raises(MissingDependencyError, match="'nosuch'"):
        RClassifier(write("classify <- function(X) 1"), packages=["nosuch"])
    with pytest.raises(ClassifierError, match=r"status 3\); it printed last: on the way out"):
        RClassifier(write("cat('on the way out\\n'); quit(status = 3)"))


def test_without_r(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "model.R"
    script.write_text("classify <- function(X) 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("ADVERSCARIAL_RSCRIPT", raising=False)
    with pytest.raises(MissingDependencyError, match=r"needs R: there is no 'Rscript' on the path\. Install R 4\.0"):
        RClassifier(script)
    with pytest.raises(MissingDependencyError, match="'nowhere' is no program"):
        RClassifier(script, rscript="nowhere")
    with pytest.raises(ParameterError, match="cannot be read"):
        RClassifier(tmp_path / "other.R")
    with pytest.raises(ParameterError, match="needs a script"):
        RClassifier()


def test_an_old_r(tmp_path: Path) -> None:
    """A stand-in for Rscript that ends as the bridge does under an R that is too old."""
    script, old = tmp_path / "model.R", tmp_path / "Rscript"
    script.write_text("classify <- function(X) 1")
    old.write_text("#!/bin/sh\necho 'R 4.0 or newer is needed, this is R version 3.6.3' >&2\nexit 4\n")
    old.chmod(0o755)
    with pytest.raises(MissingDependencyError, match=r"needs R 4\.0 or newer: .*this is R version 3.6.3"):
        RClassifier(script, rscript=str(old))
