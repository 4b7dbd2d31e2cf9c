"""A classifier that goes wrong in the middle of a survey: its row says so, and the others are complete."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import adverscarial as adv
from adverscarial.attacks import MaxChange, RandomWalk, SingleGene
from adverscarial.attacks.recheck import Recheck
from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers import wrap
from adverscarial.errors import ClassifierError, ParameterError
from faults import bad_classifiers as bad

NEVER = 100_000  # seconds per query: watched, and never too slow; what hangs sets the clock forward
LATE = f"gave no answer within {NEVER:g} s"
ATTACKS = [SingleGene("perc1", bins=4), SingleGene("perc99", bins=4), MaxChange("perc99", restarts=1)]


@pytest.fixture
def cells() -> AnnData:
    """40 cells x 8 genes in two clusters, which the first gene tells apart."""
    rng = np.random.default_rng(0)
    X = rng.random((40, 8))
    X[:20, 0], X[20:, 0] = 0.6 + X[:20, 0] * 0.4, X[20:, 0] * 0.4
    obs = pd.DataFrame({"cell_type": ["B"] * 20 + ["T"] * 20}, index=[f"cell{i}" for i in range(40)])
    return AnnData(X, obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(8)]))


def run(cells: AnnData, function: Any, **options: Any) -> pd.DataFrame:
    models = {"bad": wrap(function, classes=bad.CLASSES), "good": wrap(bad.good, classes=bad.CLASSES)}
    return adv.survey(cells, models, attacks=ATTACKS, groupby="cell_type", **options).to_frame()


def check_others(frame: pd.DataFrame, cells: AnnData, failed: pd.Series) -> None:
    """Only the bad classifier failed, and the rows of the good one are complete."""
    assert (frame.loc[failed, "classifier"] == "bad").all()
    whole = run(cells, bad.good)
    rows = frame.loc[frame["classifier"] == "good", whole.columns.tolist()]
    pd.testing.assert_frame_equal(rows, whole[whole["classifier"] == "good"])
    assert "error" not in whole


@pytest.mark.fast(3)
@pytest.mark.parametrize(
    ("then", "message"),
    [
        (bad.fails, "ClassifierError: bad failed with RuntimeError: no licence"),
        (bad.divides, "ClassifierError: bad failed with ZeroDivisionError"),
        (bad.gives_nan, r"ClassifierError: bad returned NaN for [\d,]+ of [\d,]+ scores, first for cell 3 .*class 'T'"),
        (bad.gives_half, "ClassifierError: bad returned shape"),
        (bad.turns, "ClassifierError: bad gave different answers to the same query, about the unmodified cluster"),
    ],
)
def test_it_fails_in_its_rows_only(cells: AnnData, then: Any, message: str) -> None:
    frame = run(cells, named(bad.Bad(7, then)))
    failed = frame["error"].notna()
    assert failed.iloc[0]
    assert frame["error"][0:1].str.match(message).all(), frame["error"][0]
    assert frame.loc[failed, "error"].str.startswith("ClassifierError: bad ").all()
    check_others(frame, cells, failed)


def named(function: Any) -> Any:
    """Give an object the name that messages use."""
    function.__name__ = "bad"
    return function


@pytest.mark.slow
@pytest.mark.parametrize(
    ("then", "message"),
    [
        (bad.hangs, rf"ClassifierError: bad {LATE}; its process was ended\. It was at: File .*in hangs\.$"),
        (bad.hangs_in_c, f"ClassifierError: bad {LATE}; .*in hangs_in_c"),
        (bad.crashes, r"ClassifierError: the process ended \(SIGABRT\) while bad was asked"),
    ],
)
def test_a_query_that_never_ends(cells: AnnData, tmp_path: Path, then: Any, message: str) -> None:
    # a process answers its first queries well: the second attack goes on in a new one, and fails there anew
    models = {"bad": wrap(named(bad.Bad(3, then)), classes=bad.CLASSES), "good": wrap(bad.good, classes=bad.CLASSES)}
    options: dict[str, Any] = {"attacks": ATTACKS[:2], "groupby": "cell_type", "targets": ["B"]}
    frame = adv.survey(cells, models, time_limit=NEVER, n_jobs=2, out=tmp_path, **options).to_frame()
    assert frame["error"].notna().tolist() == [True, True, False, False]
    assert frame["error"][:2].str.match(message).all(), frame["error"].tolist()
    whole = adv.survey(cells, models["good"], **options).to_frame()
    columns = [name for name in whole if name != "classifier"]
    pd.testing.assert_frame_equal(frame.loc[2:, columns].reset_index(drop=True), whole[columns])


@pytest.mark.slow
def test_a_first_query_that_never_ends(cells: AnnData) -> None:
    """One wait, not one for each attack: they all begin with this query."""
    frame = run(cells, named(bad.Bad(0, bad.hangs)), targets=["B"], time_limit=NEVER)
    assert frame["error"].notna().tolist() == [True] * 3 + [False] * 3
    assert frame["error"][:3].nunique() == 1


@pytest.mark.slow
def test_time_limit_changes_no_result(cells: AnnData) -> None:
    model = adv.classifiers.RandomForest(20, seed=0).fit(cells, "cell_type")
    options = {"attacks": [*ATTACKS, RandomWalk(["g0", "g1", "g2"], tries=3)], "groupby": "cell_type", "seed": 3}
    free = adv.survey(cells, model, **options)
    for jobs in (1, 2):
        watched = adv.survey(cells, model, time_limit=NEVER, n_jobs=jobs, **options)
        pd.testing.assert_frame_equal(watched.to_frame(), free.to_frame())
        for one, other in zip(watched.results, free.results, strict=True):
            pd.testing.assert_frame_equal(one.to_frame(), other.to_frame())


@pytest.mark.parametrize("limit", [0, -1, float("nan"), float("inf")])
def test_impossible_limits_are_refused(cells: AnnData, limit: float) -> None:
    with pytest.raises(ParameterError, match="time_limit must be seconds per query"):
        run(cells, bad.good, time_limit=limit)


def test_an_error_that_is_none_of_ours(cells: AnnData) -> None:
    """A classifier class of one's own may raise anything; that is its row's error, too."""

    class Own(type(wrap(bad.good, classes=bad.CLASSES))):  # type: ignore[misc]
        def decide(self, X: np.ndarray) -> Any:
            raise KeyError("weights")

    frame = run(cells, bad.good, targets="B")
    models = {"bad": Own(bad.good, classes=bad.CLASSES), "good": wrap(bad.good, classes=bad.CLASSES)}
    found = adv.survey(cells, models, attacks=ATTACKS, groupby="cell_type", targets="B").to_frame()
    assert (found["error"][:3] == "KeyError: 'weights'").all()
    pd.testing.assert_frame_equal(found.loc[3:, frame.columns.tolist()], frame.loc[3:], check_dtype=False)


@pytest.mark.parametrize("attack", [*ATTACKS, RandomWalk(["g0", "g1"], tries=3)], ids=str)
def test_labels_that_change_by_themselves_are_refused(cells: AnnData, attack: Any) -> None:
    """One cell of twenty changes its label from call to call: no cluster label ever changes."""
    told = []
    for seed in range(8):  # two answers of a coin agree half of the time
        try:
            attack(cells, wrap(named(bad.Moody(seed)), classes=bad.CLASSES), groupby="cell_type", target="B")
        except ClassifierError as error:
            told.append(str(error))
    assert told
    message = r"gave different answers to the same query.*1 of its cells are labelled differently"
    assert all(re.search(message, text) for text in told), told


def test_a_flip_that_cannot_be_had_again(cells: AnnData) -> None:
    model = wrap(bad.good, classes=bad.CLASSES)
    flip = np.array([0]), np.zeros((1, 1))
    for ask in ("together", "each", "accept"):
        recheck = Recheck(model.scorer(Cluster(cells, "cell_type", "B")))
        fork = recheck.fork()
        getattr(fork, ask)(*flip)
        recheck.confirm("good", "B", lambda: True)  # it stands by it
        model.function = lambda X: np.column_stack([np.ones(len(X)), np.zeros(len(X))])
        with pytest.raises(ClassifierError, match=r"changed gene\(s\) of 'B': first 'T', then 'B'"):
            recheck.confirm("good", "B", lambda: True)
        model.function = bad.good


def test_asking_again_is_counted(cells: AnnData) -> None:
    counter = named(bad.Bad(10**9, bad.good))
    result = SingleGene("perc1", search="bisect", bins=2)(
        cells, wrap(counter, classes=bad.CLASSES), groupby="cell_type", target="B"
    )
    assert result.genes == ["g0"]
    # with the unmodified cluster, alone and with cells of other clusters beside it, and two that are asked again
    assert counter.calls == result.queries
