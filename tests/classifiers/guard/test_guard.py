"""What a guard learns, says, refuses, clips and stores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from sklearn.base import clone

import adverscarial as adv
from adverscarial.classifiers import Guard, Markers, wrap
from adverscarial.errors import ClassifierError, DataError, GeneMismatchError, InputRejected, ParameterError
from adverscarial.surveys.identity import identity

MARKERS = {"B": ["CD79A", "MS4A1"], "T": ["CD3D", "CD3E"]}


@pytest.fixture(scope="module")
def cells() -> AnnData:
    return adv.datasets.embedded()


@pytest.fixture
def strange(cells: AnnData) -> AnnData:
    """Cells of which the first has an impossible value, the second a negative one."""
    changed = cells.copy()
    X = np.array(changed.to_df())
    X[0, changed.var_names.get_loc("CD3D")] = 1000
    X[1, changed.var_names.get_loc("CD79A")] = -1
    changed.X = X
    return changed


def tiny(X: list[list[float]]) -> AnnData:
    names = [f"c{i}" for i in range(len(X))]
    return AnnData(np.array(X), obs=pd.DataFrame(index=names), var=pd.DataFrame(index=["a", "b"]))


def by_first(X: np.ndarray) -> np.ndarray:
    return np.where(X[:, 0] > 1, "high", "low")


def test_limits_by_hand() -> None:
    """Gene a goes from 0 to 4.5, gene b from 1 to 2: half of the widest range, 4.5, may be added to each."""
    guard = Guard(wrap(by_first, classes=["high", "low"]), margin=0.5, cells=False).fit(
        tiny([[0, 1], [4.5, 2], [2, 1]])
    )
    limits = guard.limits
    assert limits.unit == 4.5
    assert limits.low.tolist() == [0, 0]  # no value was negative, so none may be
    assert limits.high.tolist() == [6.75, 4.25]
    assert not limits.whole
    assert limits.beyond(np.array([[4.5, 2.0], [9.0, 2.0], [0.0, -8.0]])).tolist() == [0, 1, 2]
    z = Guard(wrap(by_first, classes=["high", "low"]), margin=1, cells=False).fit(tiny([[-1, 0], [1, 0.5]])).limits
    assert (z.low.tolist(), z.high.tolist()) == ([-3, -2], [3, 2.5])


def test_limits_of_counts_by_hand() -> None:
    """log(1 + 3) of the widest gene is added, in logs: (1 + 3) * (1 + 3) - 1 = 15, and (1 + 1) * 4 - 1 = 7."""
    guard = Guard(wrap(by_first, classes=["high", "low"]), margin=1).fit(tiny([[0, 1], [3, 0], [2, 1]]))
    assert guard.limits.whole
    assert guard.limits.high.tolist() == [15, 7]
    possible = guard.possible(tiny([[15, 7], [16, 0], [2.5, 1], [3, 1]]))
    assert possible.tolist() == [False, False, False, True]  # the first by its sum alone
    assert "sum to 22" in guard.why(tiny([[15, 7]]))["reason"].iloc[0]


def test_refuse_clip_and_unsure(cells: AnnData, strange: AnnData) -> None:
    model = Markers(MARKERS)
    before = model.predict(cells)
    refuse, clip, unsure = (Guard(model, action).fit(cells) for action in ("refuse", "clip", "unsure"))
    pd.testing.assert_series_equal(refuse.predict(cells), before, check_names=False)
    with pytest.raises(InputRejected, match=r"2 of 700 cells are impossible.*CD3D is 1,000"):
        refuse.predict(strange)
    marked = unsure.predict(strange)
    assert (marked.iloc[:2] == "unknown").all()
    assert (marked.iloc[2:] == before.iloc[2:]).all()
    assert "unknown" in unsure.labels
    inside = strange.copy()
    X = np.array(inside.to_df())
    for row, gene in ((0, "CD3D"), (1, "CD79A")):
        k = list(refuse.genes).index(gene)
        limits = clip.limits.low[k], clip.limits.high[k]
        X[row, inside.var_names.get_loc(gene)] = np.clip(X[row, inside.var_names.get_loc(gene)], *limits)
    inside.X = X
    pd.testing.assert_frame_equal(clip.scores(strange), model.scores(inside))


def test_why_says_it_in_words(cells: AnnData, strange: AnnData) -> None:
    guard = Guard(Markers(MARKERS)).fit(cells)
    table = guard.why(strange)
    assert list(table.columns) == ["possible", "impossible_values", "gene", "value", "reason"]
    assert table.index.equals(strange.obs_names)
    assert table["possible"].tolist() == guard.possible(strange).tolist() == [False, False] + [True] * (len(table) - 2)
    assert table["gene"].iloc[:2].tolist() == ["CD3D", "CD79A"]
    assert table["value"].iloc[:2].tolist() == [1000, -1]
    assert "CD3D is 1,000; in the training cells it goes from 0 to" in table["reason"].iloc[0]
    assert (table["reason"].iloc[2:] == "").all()


def test_far_cells_are_found_though_each_value_is_possible() -> None:
    rng = np.random.default_rng(0)
    line = rng.uniform(0.5, 5, 200)
    adata = tiny(np.column_stack([line, line + rng.normal(0, 0.05, 200)]).tolist())
    from sklearn.neighbors import LocalOutlierFactor

    model = wrap(by_first, classes=["high", "low"])
    guard = Guard(model, "unsure", outliers=LocalOutlierFactor(novelty=True)).fit(adata)
    off = tiny([[4.5, 1.0], [2.0, 2.0]])
    assert Guard(model).fit(adata).possible(off).all()
    assert guard.predict(off).tolist() == ["unknown", "high"]
    assert "further from the training cells" in guard.why(off)["reason"].iloc[0]
    with pytest.raises(ClassifierError, match="cannot be stored"):
        guard.state()


def test_it_keeps_the_contract_of_scikit_learn(cells: AnnData) -> None:
    guard = Guard(Markers(n_markers=4), "clip", margin=0.25, quantile=0.99, cells=False)
    copy = clone(guard)
    assert copy.get_params()["classifier"] is not guard.classifier
    assert repr(copy) == repr(guard)
    assert copy.set_params(margin=1).margin == 1
    copy.fit(cells, "cell_type")  # trains the classifier inside, too
    alone = Markers(n_markers=4).fit(cells, "cell_type")
    assert copy.predict(cells).tolist() == alone.predict(cells).tolist()
    assert guard._limits is None  # the original learnt nothing
    assert wrap(guard) is guard


@pytest.mark.slow
def test_it_passes_the_check_for_classifiers(cells: AnnData) -> None:
    for action in ("refuse", "clip", "unsure"):
        model = Markers(n_markers=5).fit(cells, "cell_type")
        report = adv.classifiers.check(Guard(model, action).fit(cells), cells, groupby="cell_type")
        assert report, str(report)


@pytest.mark.fast(1)
@pytest.mark.parametrize("action", ["refuse", "clip", "unsure"])
def test_it_comes_back_from_a_file(action: str, cells: AnnData, strange: AnnData, tmp_path: Path) -> None:
    guard = Guard(adv.classifiers.RandomForest(5, seed=1), action, margin=0.25).fit(cells, "cell_type")
    guard.save(tmp_path / "guard.npz")
    back = adv.classifiers.load(tmp_path / "guard.npz")
    assert isinstance(back, Guard)
    assert back.get_params().keys() == guard.get_params().keys()
    assert back.name == guard.name
    data = cells if action == "refuse" else strange
    pd.testing.assert_frame_equal(back.scores(data), guard.scores(data))
    assert back.why(strange).equals(guard.why(strange))
    assert identity(back) == identity(guard)


def test_what_it_learnt_is_part_of_a_surveys_identity(cells: AnnData) -> None:
    model = Markers(MARKERS)
    known = identity(Guard(model).fit(cells))
    assert known == identity(Guard(model).fit(cells.copy()))
    others = [
        Guard(model, "clip").fit(cells),
        Guard(model, margin=0.6).fit(cells),
        Guard(model).fit(cells[:200].copy()),
    ]
    assert len({known, *map(identity, others)}) == 4
    function = [
        identity(Guard(wrap(by_first, classes=["a", "b"]), margin=m).fit(tiny([[0, 1], [2, 1]]))) for m in (1, 2)
    ]
    assert function[0] != function[1]


@pytest.mark.slow
def test_a_survey_counts_refusals_and_can_be_continued(cells: AnnData, tmp_path: Path) -> None:
    guard = Guard(Markers(MARKERS)).fit(cells)
    attacks = [adv.attacks.SingleGene("positive_aberrant"), adv.attacks.SingleGene("perc99")]
    for _ in range(2):
        survey = adv.survey(cells, [guard], attacks=attacks, groupby="cell_type", out=tmp_path / "run")
    table = survey.to_frame()
    aberrant = table[table["modification"] == "positive_aberrant"]
    assert (aberrant["flipped"] == 0).all()
    assert (aberrant["rejected"] == 4).all()  # the four genes that are read
    assert not survey.errors


def test_messages_say_what_to_do(cells: AnnData) -> None:
    model = Markers(MARKERS)
    with pytest.raises(ClassifierError, match="call fit"):
        Guard(model).predict(cells)
    with pytest.raises(ParameterError, match="Did you mean 'refuse'"):
        Guard(model, "refused").fit(cells)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="margin must be a number"):
        Guard(model, margin=-1).fit(cells)
    with pytest.raises(ParameterError, match="quantile must be above"):
        Guard(model, quantile=0.4).fit(cells)
    with pytest.raises(ParameterError, match="cannot be clipped"):
        Guard(model, "clip", outliers="lof").fit(cells)
    with pytest.raises(ParameterError, match="outlier detector"):
        Guard(model, outliers="nearest").fit(cells)
    with pytest.raises(DataError, match="0 cells"):
        Guard(model).fit(cells[:0].copy())
    guard = Guard(wrap(by_first, classes=["high", "low"])).fit(tiny([[0, 1], [2, 1]]))
    swapped = tiny([[0, 1]])[:, ["b", "a"]].copy()
    with pytest.raises(GeneMismatchError, match="same genes in the same order"):
        guard.predict(swapped)
    with pytest.raises(GeneMismatchError):
        Guard(model).fit(cells).predict(cells[:, :5].copy())


@pytest.mark.parametrize("counts", [False, True])
def test_training_cells_are_possible_without_any_margin(counts: bool) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        X = rng.poisson(3, (30, 20)).astype(np.float32) if counts else np.log1p(rng.gamma(1, 1, (60, 20)))
        obs = pd.DataFrame({"type": ["a", "b"] * (len(X) // 2)}, index=[f"c{k}" for k in range(len(X))])
        cells = AnnData(X, obs=obs, var=pd.DataFrame(index=[f"G{k}" for k in range(20)]))
        guard = adv.classifiers.Guard(adv.classifiers.Markers({"a": ["G0"], "b": ["G1"]}), margin=0.0).fit(cells)
        assert guard.possible(cells).all()


def test_a_refused_gene_has_no_share() -> None:
    cells = adv.datasets.embedded()
    guard = adv.classifiers.Guard(adv.classifiers.Markers({"B": ["CD79A", "MS4A1"], "T": ["CD3D"]})).fit(cells)
    scorer = guard.scorer(adv.cells.Cluster(cells, "cell_type", "CD19+ B"))
    gene, value = np.array([cells.var_names.get_loc("CD79A")]), np.array([[1e6]])
    alone = scorer.each(gene, value)
    assert alone.rejected.tolist() == [scorer.together(gene, value).rejected] == [True]
    assert alone.share.tolist() == [scorer.together(gene, value).share] == [0.0]


def test_a_function_of_all_genes_is_not_given_others_behind_a_guard() -> None:
    cells = adv.datasets.embedded()[:, :40].copy()
    function = adv.classifiers.wrap(lambda X: np.where(X[:, 0] > 1, "a", "b"), classes=["a", "b"], preprocess="log1p")
    guard = adv.classifiers.Guard(function, "clip", cells=False).fit(cells[:, :30].copy())
    with pytest.raises(adv.errors.GeneMismatchError, match="reads all genes in their order"):
        guard.predict(cells)


def test_it_is_read_as_the_classifier_inside() -> None:
    cells = adv.datasets.embedded()
    model = adv.classifiers.Markers({"B": ["CD79A"], "T": ["CD3D"]})
    model.trained_on = "counts"
    assert adv.classifiers.Guard(model).fit(cells).trained_on == "counts"
