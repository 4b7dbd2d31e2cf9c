"""The stress test: what its tables say, and that it repeats, resumes, stores and names what fails."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import adverscarial as adv
from adverscarial.errors import ClassifierError, DataError, InputRejected, ParameterError, StorageError
from adverscarial.stresses import parts as parts_module
from adverscarial.stresses.asking import REFUSED
from adverscarial.stresses.chance import generator
from adverscarial.stresses.measures import half_lost, label_lost, over_draws, share_of_hits
from stresses.made import as_cells, count_data, high, most

ASK = {"groupby": "cell_type", "batch": "batch", "progress": False, "draws": 3, "strengths": [0.3, 1.0]}


CHANGES = ["depth", "dropout", "ambient", "doublets", "batch-shift", "missing-genes", "dissociation:g1,g2", "swapping"]


@pytest.fixture(scope="module")
def found() -> adv.StressResult:
    return adv.stress(count_data(), {"high": high, "most": most}, changes=CHANGES, **ASK)


@pytest.mark.slow
def test_every_row_is_there(found) -> None:
    table = found.to_frame()
    assert not found.errors
    assert len(table) == 8 * 2 * 3 * 3  # changes, classifiers, clusters, strengths with 0
    assert (table.loc[table["strength"] == 0, "kept"] == 1).all()
    assert ((table["kept_low"] <= table["kept"]) & (table["kept"] <= table["kept_high"])).all()
    assert (table["accuracy_low"] <= table["accuracy"]).all()
    shift = table[table["change"] == "batch-shift"]
    assert set(shift["n_cells"]) == {15}  # those of batch a only
    assert list(dict.fromkeys(table["change"])) == CHANGES


def test_the_numbers_are_those_of_a_full_prediction(found) -> None:
    """Changed by hand, and labelled by the function itself: no reading, no asker."""
    adata = count_data()
    cells = as_cells(adata)
    rows = np.flatnonzero(cells.clusters == "B")
    change = adv.stresses.Ambient()
    draws = found.draws[(found.draws["change"] == "ambient") & (found.draws["classifier"] == "high")]
    for draw in range(3):
        new = change.apply(cells, rows, 0.3, generator(0, change, "B", draw)).toarray()
        labels = high(new)
        before = high(adata.X.toarray()[rows])
        row = draws[(draws["cluster"] == "B") & (draws["strength"] == 0.3) & (draws["draw"] == draw)].iloc[0]
        assert row["kept"] == (labels == before).mean()
        assert row["accuracy"] == (labels == "B").mean()


def test_a_real_classifier_hears_what_scanpy_would_give_it() -> None:
    raw = count_data()
    adata = adv.datasets.preprocess(raw, scale=False)
    model = adv.classifiers.RandomForest(n_estimators=20, seed=0).fit(adata, "cell_type")
    found = adv.stress(adata, model, changes="depth", targets=["T"], **ASK)
    cells, change = as_cells(raw), adv.stresses.Depth()
    rows = np.flatnonzero(cells.clusters == "T")
    for draw in range(3):
        changed = raw.copy()
        counts = raw.X.toarray()
        counts[rows] = change.apply(cells, rows, 0.3, generator(0, change, "T", draw)).toarray()
        changed.X = sp.csr_matrix(counts)
        said = model.predict(adv.datasets.preprocess(changed, scale=False)).to_numpy()[rows]
        row = found.draws[(found.draws["strength"] == 0.3) & (found.draws["draw"] == draw)].iloc[0]
        assert row["accuracy"] == (said == "T").mean()


def test_other_clusters_are_not_changed(monkeypatch) -> None:
    seen = []

    def look(X: np.ndarray) -> np.ndarray:
        seen.append(len(X))
        return high(X)

    adv.stress(count_data(), look, changes="depth", targets=["B"], **ASK)
    assert seen[-4:] == [30, 60, 60, 60]  # before, then both strengths of each draw


@pytest.mark.slow
def test_the_same_seed_gives_the_same_table(found) -> None:
    again = adv.stress(count_data(), {"high": high, "most": most}, changes=CHANGES, **ASK)
    pd.testing.assert_frame_equal(again.to_frame(), found.to_frame())
    one = adv.stress(count_data(), {"high": high}, changes="swapping", targets="NK", **{**ASK, "strengths": [1.0]})
    part = found.draws[(found.draws["change"] == "swapping") & (found.draws["classifier"] == "high")]
    part = part[(part["cluster"] == "NK") & (part["strength"] == 1.0)].reset_index(drop=True)
    pd.testing.assert_frame_equal(one.draws, part)  # whatever else is asked for
    other = adv.stress(count_data(), {"high": high, "most": most}, changes=CHANGES, seed=1, **ASK)
    assert not other.to_frame().equals(found.to_frame())


@pytest.mark.slow
def test_several_processes_give_the_same_table(found) -> None:
    two = adv.stress(count_data(), {"high": high, "most": most}, changes=CHANGES, n_jobs=2, **ASK)
    pd.testing.assert_frame_equal(two.to_frame(), found.to_frame())
    pd.testing.assert_frame_equal(two.draws, found.draws)


def test_a_result_is_stored_and_read(found, tmp_path) -> None:
    found.save(tmp_path / "x.npz")
    back = adv.StressResult.load(tmp_path / "x.npz")
    pd.testing.assert_frame_equal(back.to_frame(), found.to_frame())
    pd.testing.assert_frame_equal(back.critical(), found.critical())
    assert back.plan == found.plan
    (tmp_path / "y.npz").write_bytes((tmp_path / "x.npz").read_bytes()[:-200])
    with pytest.raises(StorageError):
        adv.StressResult.load(tmp_path / "y.npz")
    with pytest.raises(StorageError, match="no finished stress test"):
        adv.StressResult.load(tmp_path)


@pytest.mark.slow
def test_an_interrupted_test_goes_on(found, tmp_path, monkeypatch) -> None:
    real, done = parts_module.run_part, []

    def interrupted(plan, part):
        if len(done) == 5:
            raise KeyboardInterrupt
        done.append(part.number)
        return real(plan, part)

    ask = {"changes": CHANGES, "out": tmp_path / "run", **ASK}
    models = {"high": high, "most": most}
    monkeypatch.setattr("adverscarial.stresses.run.run_part", interrupted)
    with pytest.raises(KeyboardInterrupt):
        adv.stress(count_data(), models, **ask)
    again = []
    monkeypatch.setattr("adverscarial.stresses.run.run_part", lambda plan, part: again.append(1) or real(plan, part))
    whole = adv.stress(count_data(), models, **ask)
    assert len(again) == 24 - 5
    pd.testing.assert_frame_equal(whole.to_frame(), found.to_frame())
    pd.testing.assert_frame_equal(adv.StressResult.load(tmp_path / "run").to_frame(), found.to_frame())
    assert {file.name for file in (tmp_path / "run").iterdir()} == {
        "run.json", "results", "stress.npz", "table.csv", "critical.csv",
    }  # fmt: skip


def test_another_test_is_refused_in_the_same_folder(tmp_path) -> None:
    ask = {"changes": "depth", "out": tmp_path / "run", **ASK}
    adv.stress(count_data(), high, **ask)
    for other, word in (({"seed": 1}, "seed"), ({"changes": "ambient"}, "changes"), ({"draws": 2}, "draws")):
        with pytest.raises(StorageError, match=f"differs in {word}"):
            adv.stress(count_data(), high, **{**ask, **other})
    with pytest.raises(StorageError, match="differs in data"):
        adv.stress(count_data(seed=1), high, **ask)
    with pytest.raises(StorageError, match="differs in classifiers"):
        adv.stress(count_data(), {"high": most}, **ask)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(StorageError, match="other things"):
        adv.stress(count_data(), high, **{**ask, "out": tmp_path / "other"})


@pytest.mark.slow
def test_a_damaged_part_is_computed_again(tmp_path, found) -> None:
    ask = {"changes": CHANGES, "out": tmp_path / "run", **ASK}
    models = {"high": high, "most": most}
    adv.stress(count_data(), models, **ask)
    files = sorted((tmp_path / "run" / "results").iterdir())
    files[3].write_bytes(b"nothing")
    files[4].write_bytes(files[5].read_bytes())  # of another cluster
    pd.testing.assert_frame_equal(adv.stress(count_data(), models, **ask).to_frame(), found.to_frame())


def test_what_fails_is_named_and_the_rest_is_there(tmp_path) -> None:
    def broken(X: np.ndarray) -> np.ndarray:
        if X[:, 0].max() > 40:
            raise RuntimeError("out of range")
        return high(X)

    found = adv.stress(count_data(), {"high": high, "broken": broken}, changes=["depth", "dissociation"], **ASK)
    assert "none of the" in found.errors["dissociation", "high", "B"]
    assert set(found.to_frame()["change"]) == {"depth"}
    assert set(found.to_frame()["classifier"]) >= {"high"}
    found.save(tmp_path / "x.npz")
    assert adv.StressResult.load(tmp_path / "x.npz").errors == found.errors


def test_a_refusal_is_no_kept_label() -> None:
    def choosy(X: np.ndarray) -> np.ndarray:
        if (X.sum(axis=1) < 30).any():
            raise InputRejected("too few counts")
        return high(X)

    found = adv.stress(count_data(), choosy, changes="depth", targets="B", **{**ASK, "strengths": [0.99]})
    row = found.to_frame().iloc[-1]
    assert (row["label"], row["kept"], row["held"]) == (REFUSED, 0, 0)
    assert found.critical()["becomes"].item() == REFUSED


def test_a_classifier_that_looks_at_all_cells() -> None:
    raw = count_data()
    logs = adv.datasets.preprocess(raw, scale=False)
    model = adv.classifiers.wrap(
        adv.classifiers.RandomForest(n_estimators=10, seed=0).fit(logs, "cell_type"), preprocess="scale"
    )
    found = adv.stress(raw, model, changes="depth", targets="B", **ASK)
    change, cells = adv.stresses.Depth(), as_cells(raw)
    rows = np.flatnonzero(cells.clusters == "B")
    changed = raw.copy()
    counts = raw.X.toarray()
    counts[rows] = change.apply(cells, rows, 0.3, generator(0, change, "B", 0)).toarray()
    changed.X = sp.csr_matrix(counts)
    said = model.predict(changed).to_numpy()[rows]
    row = found.draws[(found.draws["strength"] == 0.3) & (found.draws["draw"] == 0)].iloc[0]
    assert row["accuracy"] == (said == "B").mean()


def test_each_classifier_reads_its_layer() -> None:
    adata = adv.datasets.preprocess(count_data(), scale=False)
    layer = {"high": "counts"}
    found = adv.stress(adata, {"high": high, "logs": high}, layer=layer, changes="depth", targets="B", **ASK)
    first = found.to_frame().drop_duplicates("classifier").set_index("classifier")
    assert first.loc["high", "baseline"] == "B"
    assert first.loc["logs", "baseline"] == "T"  # no logarithm is above 12
    with pytest.raises(ParameterError, match="is no classifier"):
        adv.stress(adata, {"high": high}, layer={"hihg": "counts"}, **ASK)


def test_bad_questions_are_refused() -> None:
    adata = count_data()
    for bad, error in (
        ({"changes": []}, "changes= is empty"),
        ({"changes": "depht"}, "Did you mean 'depth'"),
        ({"strengths": [0.5, 1.5]}, "up to 1"),
        ({"strengths": [0.0]}, "numbers above 0"),
        ({"strengths": {"deep": [0.5]}}, "none of the changes"),
        ({"draws": 0}, "draws must be"),
        ({"n_jobs": 0}, "n_jobs must be"),
        ({"resume": "yes"}, "resume must be"),
        ({"seed": -1}, "seed must be"),
    ):
        with pytest.raises(ParameterError, match=error):
            adv.stress(adata, high, **{"changes": "depth", **ASK, **bad})
    for bad in ({"targets": ["b"]}, {"batch": "btch"}, {"layer": "nowhere"}):
        with pytest.raises((DataError, ParameterError)):
            adv.stress(adata, high, **{**ASK, **bad})


def test_critical_strengths() -> None:
    strengths = np.array([0.2, 0.4, 0.6])
    assert label_lost(strengths, np.array(["B", "T", "B"]), "B") == 0.4
    assert label_lost(strengths, np.array(["B", "B", "B"]), "B") == np.inf
    assert half_lost(strengths, np.array([0.9, 0.6, 0.2])) == pytest.approx(0.45)
    assert half_lost(strengths, np.array([0.25, 0.6, 0.2])) == pytest.approx(0.2 * 0.5 / 0.75)
    assert half_lost(strengths, np.array([0.9, 0.8, 0.7])) == np.inf
    assert over_draws([0.2, np.inf, 0.4]) == (0.4, 0.2, np.inf, pytest.approx(2 / 3))
    assert over_draws([np.inf, np.inf]) == (np.inf, np.inf, np.inf, 0)


def test_critical_strengths_of_a_rule_that_is_known() -> None:
    """A label that needs more than 12 counts of one gene is lost where thinning leaves fewer in most cells."""
    found = adv.stress(count_data(), high, changes="depth", targets="B", **{**ASK, "strengths": [0.1, 0.5, 0.9]})
    row = found.critical().iloc[0]
    assert (row["label"], row["becomes"], row["label_lost"]) == (0.5, "T", 1.0)
    assert 0.1 < row["cells_low"] <= row["cells"] <= row["cells_high"] <= 0.5


def test_intervals_cover_the_truth() -> None:
    """Cells with propensities of their own, few draws: 95% intervals hold the mean of the population."""
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(400):
        chance = rng.beta(2, 1, size=30)
        low, high_ = share_of_hits(rng.random((5, 30)) < chance)[1:]
        inside += low <= 2 / 3 <= high_
    assert inside / 400 > 0.92


def test_refusing_unmodified_cells_is_an_error() -> None:
    def never(X: np.ndarray) -> np.ndarray:
        raise InputRejected("no")

    found = adv.stress(count_data(), {"never": never, "high": high}, changes="depth", targets="B", **ASK)
    assert ClassifierError.__name__ in found.errors["depth", "never", "B"]
