"""Hardening by examples: what is trained on what, and what the table says."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

import adverscarial as adv
from adverscarial import hardening
from adverscarial.attacks import MaxChange, SingleGene
from adverscarial.classifiers import MLP, Markers, ScAnnotatR
from adverscarial.errors import ClassifierError, ParameterError
from adverscarial.hardening import adversarial_cells, harden

ATTACK = SingleGene("perc99")


def matrix(X) -> np.ndarray:
    return X.toarray() if sp.issparse(X) else np.asarray(X)


@pytest.fixture(scope="module")
def hardened(halves) -> hardening.Hardening:
    return harden(halves[0], ScAnnotatR(), ATTACK, groupby="cell_type", test=halves[1], rounds=2)


def balanced(said: pd.Series, truth: pd.Series) -> float:
    names = truth.astype(str).to_numpy()
    return float(pd.Series(said.astype(str).to_numpy() == names).groupby(names).mean().mean())


def names_of(cells: AnnData) -> list[str]:
    return sorted(set(cells.obs["cell_type"].astype(str)))


@pytest.mark.slow
@pytest.mark.parametrize("row", [0, -1])
def test_table_is_what_full_attacks_on_held_out_cells_say(halves, hardened, row):
    test, model = halves[1], hardened.classifier if row else hardened.before
    measured = hardened.table.iloc[row]
    attacked, flipped, genes = [], 0, 0
    for target in names_of(test):
        result = ATTACK(test, model, groupby="cell_type", target=target)
        assert result.verify(test, model)
        changed = result.apply(test) if result.genes else test
        inside = (test.obs["cell_type"] == target).to_numpy()
        attacked.append(float((model.predict(changed)[inside] == target).mean()))
        flipped += bool(result.genes)
        genes += len(result.genes)
    assert measured["clean_accuracy"] == pytest.approx(balanced(model.predict(test), test.obs["cell_type"]))
    assert measured["attacked_accuracy"] == pytest.approx(np.mean(attacked))
    assert (measured["flipped"], measured["flipping_genes"]) == (flipped, genes)
    assert measured["success"] == pytest.approx(flipped / len(names_of(test)))
    assert measured["clusters"] == len(names_of(test))


@pytest.mark.slow
def test_without_folds_rounds_are_repeatable_step_by_step(halves):
    """Round by round with the public pieces alone."""
    train, test = halves
    hardened = harden(train, ScAnnotatR(), ATTACK, groupby="cell_type", test=test, rounds=2, folds=1)
    training, model, added = train, ScAnnotatR().fit(train, "cell_type"), 0
    for number in range(1, len(hardened.table)):
        fooled = adversarial_cells(train, model, ATTACK, groupby="cell_type", seed=number)
        fooled.obs_names = [f"{name}|{number}" for name in fooled.obs_names]
        training = anndata.concat([training, fooled], merge="same")
        model = ScAnnotatR().fit(training, "cell_type")
        added += fooled.n_obs
        assert hardened.table["adversarial_cells"].iloc[number] == added
    pd.testing.assert_series_equal(model.predict(test), hardened.classifier.predict(test))
    pd.testing.assert_series_equal(ScAnnotatR().fit(train, "cell_type").predict(test), hardened.before.predict(test))


@pytest.mark.slow
def test_given_classifier_is_not_changed_and_what_it_learned_is_not_used(halves):
    """A model that has seen the held-out cells must not make round 0 look better than it is."""
    train, test = halves
    given = Markers(n_markers=5).fit(test, "cell_type")
    before = given.markers
    done = harden(train, given, ATTACK, groupby="cell_type", test=test, rounds=1)
    assert given.markers == before
    assert done.before.markers == Markers(n_markers=5).fit(train, "cell_type").markers != before


def test_cells_with_raw_are_joined_with_examples_without_a_warning(halves, recwarn):
    train, test = (part.copy() for part in halves)
    train.raw = train
    done = harden(train, Markers(n_markers=5), ATTACK, groupby="cell_type", test=test, rounds=1, folds=1)
    assert done.table["adversarial_cells"].iloc[-1] > 0
    assert not [str(warning.message) for warning in recwarn if "raw" in str(warning.message)]
    assert train.raw is not None
    without = harden(halves[0], Markers(n_markers=5), ATTACK, groupby="cell_type", test=test, rounds=1, folds=1)
    pd.testing.assert_frame_equal(done.table, without.table)


class Noting(Markers):
    """Remembers which cells it was trained on, and which copies of them."""

    def fit(self, adata, groupby, *, layer=None, **options):
        self.names, self.options, self.uns = list(adata.obs_names), options, dict(adata.uns)
        return super().fit(adata, groupby, layer=layer)

    @property
    def cells(self) -> set[str]:
        return {name.split("|")[0] for name in self.names}


@pytest.fixture
def attacked(monkeypatch) -> list[tuple[AnnData, Noting, AnnData]]:
    """What harden() attacks from now on: the cells, the model, and those that it fell for."""
    calls = []

    def noted(cells, model, *given, **options):
        fooled = adversarial_cells(cells, model, *given, **options)
        calls.append((cells, model, fooled))
        return fooled

    monkeypatch.setattr(hardening.training, "adversarial_cells", noted)
    return calls


@pytest.mark.slow
def test_held_out_cells_are_never_trained_on(pbmc_small, attacked):
    train, test = adv.datasets.split(pbmc_small, "cell_type", seed=3)
    inside = harden(pbmc_small, Noting(n_markers=5), ATTACK, groupby="cell_type", rounds=1, seed=3)
    models = [model for _, model, _ in attacked] + [inside.before, inside.classifier]
    assert set.union(*(model.cells for model in models)) == set(train.obs_names)
    given = harden(train, Noting(n_markers=5), ATTACK, groupby="cell_type", test=test, rounds=1, seed=3)
    pd.testing.assert_frame_equal(inside.table, given.table)


@pytest.mark.slow
@pytest.mark.parametrize("folds", [2, 3])
def test_no_cell_is_attacked_under_a_model_that_knows_it(halves, attacked, folds):
    """Neither the cell itself nor an adversarial copy of it from an earlier round."""
    train, test = halves
    done = harden(train, Noting(n_markers=5), ATTACK, groupby="cell_type", test=test, rounds=2, folds=folds)
    assert len(attacked) == 2 * folds
    copies = 0
    for cells, model, _ in attacked:
        assert set(cells.obs_names) | model.cells == set(train.obs_names)
        assert not set(cells.obs_names) & model.cells
        copies += any("|round 1" in name for name in model.names)
    assert copies == folds  # the second round knows the examples of the other folds
    for number in (0, 1):
        parts = [cells for cells, _, _ in attacked[number * folds :][:folds]]
        assert sorted(name for part in parts for name in part.obs_names) == sorted(train.obs_names)
        counts = pd.concat([part.obs["cell_type"].value_counts() for part in parts], axis=1)
        assert ((counts.max(axis=1) - counts.min(axis=1)) <= 1).all()
    found = [name for _, _, fooled in attacked for name in fooled.obs_names]
    assert sorted(done.classifier.names) == sorted([*train.obs_names, *found])
    assert done.table["adversarial_cells"].iloc[-1] == len(found) > 0


@pytest.mark.slow
def test_folds_share_the_limit_per_type(halves, attacked):
    harden(*halves[:1], Noting(n_markers=5), ATTACK, groupby="cell_type", test=halves[1], rounds=1, n_per_type=4)
    assert len(attacked) == 4  # and no fifth fold
    counts = sum(fooled.obs["cell_type"].astype(str).value_counts() for _, _, fooled in attacked)
    assert max(fooled.obs["cell_type"].value_counts().max() for _, _, fooled in attacked) == 1
    assert counts.max() <= 4


@pytest.mark.slow
def test_cells_without_a_type_are_attacked_in_no_fold(halves, attacked):
    train = halves[0].copy()
    train.obs["cell_type"] = train.obs["cell_type"].where(np.arange(train.n_obs) % 7 > 0)
    harden(train, Noting(n_markers=5), ATTACK, groupby="cell_type", test=halves[1], rounds=1, folds=2)
    known = set(train.obs_names[train.obs["cell_type"].notna()])
    assert {name for cells, _, _ in attacked for name in cells.obs_names} == known


@pytest.mark.slow
def test_fit_options_reach_every_training(halves, attacked):
    options = {"anything": "X"}
    done = harden(
        halves[0], Noting(n_markers=5), ATTACK, groupby="cell_type", test=halves[1], rounds=1, folds=2,
        fit_options=options,
    )  # fmt: skip
    for model in (done.before, done.classifier, *(model for _, model, _ in attacked)):
        assert model.options == options


@pytest.mark.slow
@pytest.mark.parametrize("folds", [1, 2])
def test_what_is_said_of_the_values_reaches_every_training(halves, attacked, folds):
    train = halves[0].copy()
    train.uns["log1p"] = {"base": 2.0}
    settings = {"groupby": "cell_type", "test": halves[1], "rounds": 1, "folds": folds}
    done = harden(train, Noting(n_markers=5), ATTACK, **settings)
    assert any(fooled.n_obs for _, _, fooled in attacked)
    for model in (done.before, done.classifier, *(model for _, model, _ in attacked)):
        assert model.uns == {"log1p": {"base": 2.0}}


@pytest.mark.slow
def test_scannotatr_may_rank_its_markers_on_another_layer(halves):
    train, test = (half.copy() for half in halves)
    for half in (train, test):
        half.layers["lognorm"] = half.X.copy()
        half.X = matrix(half.X)[:, ::-1].copy()  # other markers
    settings = {"groupby": "cell_type", "test": test, "rounds": 1, "layer": "lognorm", "folds": 2}
    own = harden(train, ScAnnotatR(), ATTACK, **settings)
    other = harden(train, ScAnnotatR(), ATTACK, **settings, fit_options={"markers_layer": "X"})
    alone = ScAnnotatR().fit(train, "cell_type", layer="lognorm", markers_layer="X")
    assert list(other.before.genes) == list(alone.genes) != list(own.before.genes)
    pd.testing.assert_series_equal(other.before.predict(test, layer="lognorm"), alone.predict(test, layer="lognorm"))


def test_attack_that_finds_nothing_changes_nothing_and_says_so(halves):
    attack = SingleGene("decile+0")
    done = harden(halves[0], Markers(n_markers=5), attack, groupby="cell_type", test=halves[1])
    assert list(done.table["round"]) == [0]
    assert done.classifier is done.before
    assert done.table["success"].item() == 0
    assert done.table["attacked_accuracy"].item() == done.table["clean_accuracy"].item()
    assert np.isnan(done.table["genes_needed"].item())
    assert "round 1 fooled no training cell" in str(done)


@pytest.mark.slow
def test_layer_is_what_is_trained_on_and_attacked(halves):
    train, test = (half.copy() for half in halves)
    plain = harden(train, Markers(n_markers=5), ATTACK, groupby="cell_type", test=test, rounds=1)
    for half in (train, test):
        half.layers["values"] = sp.csr_matrix(matrix(half.X))
        half.X = np.zeros(half.shape, dtype=np.float32)
    layered = harden(train, Markers(n_markers=5), ATTACK, groupby="cell_type", test=test, rounds=1, layer="values")
    pd.testing.assert_frame_equal(plain.table, layered.table, rtol=1e-6)


@pytest.mark.slow
def test_max_change_is_measured_by_its_signature(halves):
    attack = MaxChange("perc1", restarts=1)
    done = harden(halves[0], Markers(n_markers=5), attack, groupby="cell_type", test=halves[1], rounds=1)
    first = [len(attack(halves[1], done.before, groupby="cell_type", target=t).signature) for t in names_of(halves[1])]
    assert done.table["genes_needed"].iloc[0] == np.median(first)
    assert done.table["flipped"].tolist() == [0, 0]
    assert done.table["flipping_genes"].isna().all()
    assert "genes needed" in str(done)
    assert "flipping genes" not in str(done)


def test_summary_shows_both_sides(hardened):
    first, last = hardened.table.iloc[0], hardened.table.iloc[-1]
    text = str(hardened)
    assert "SingleGene(Percentile(99)) on ScAnnotatR, hardened by examples, 2 round(s)" in text
    assert f"clusters flipped    {first['flipped']:.0f} -> {last['flipped']:.0f} of 10" in text
    assert f"accuracy, clean     {first['clean_accuracy']:.3f} -> {last['clean_accuracy']:.3f}" in text
    assert f"accuracy, attacked  {first['attacked_accuracy']:.3f} -> {last['attacked_accuracy']:.3f}" in text


@pytest.mark.parametrize(
    ("classifier", "changed", "error", "words"),
    [
        (adv.classifiers.ScType(), {}, ClassifierError, "ScType cannot be trained here"),
        (lambda X: ["B"] * len(X), {}, ClassifierError, "cannot be trained here"),
        (Markers(), {"method": "pgd"}, ParameterError, "only MLP does; got Markers"),
        (Markers(), {"method": "fgsm"}, ParameterError, "method must be 'examples' or 'pgd', got 'fgsm'"),
        (Markers(), {"rounds": 0}, ParameterError, "rounds must be"),
        (MLP(), {"method": "pgd", "epsilon": 0.0}, ParameterError, "epsilon must be above 0"),
        (MLP(), {"method": "pgd", "epsilon": np.nan}, ParameterError, "epsilon must be above 0"),
        (MLP(), {"method": "pgd", "steps": 0}, ParameterError, "steps must be"),
        (MLP(), {"method": "pgd", "share": 1.5}, ParameterError, "share above 0 and at most 1"),
        (Markers(), {"attack": SingleGene}, ParameterError, "attack must be an attack"),
        (Markers(), {"n_per_type": 0}, ParameterError, "n_per_type"),
        (Markers(), {"folds": 0}, ParameterError, "folds must be a whole number of at least 1, got 0"),
        (Markers(), {"fit_options": {"layer": "counts"}}, ParameterError, "fit_options names a layer"),
    ],
)
def test_what_cannot_be_hardened_is_said_before_any_work(halves, classifier, changed, error, words, monkeypatch):
    monkeypatch.setattr(hardening.training, "split", lambda *_, **__: pytest.fail("worked before it checked"))
    arguments = {"attack": ATTACK, "groupby": "cell_type", **changed}
    with pytest.raises(error, match=words):
        harden(halves[0], classifier, **arguments)


@pytest.mark.slow
def test_the_old_order_still_works_and_warns(halves):
    settings = {"groupby": "cell_type", "test": halves[1], "rounds": 1}
    new = harden(halves[0], Markers(n_markers=5), ATTACK, **settings)
    with pytest.warns(FutureWarning, match="takes the cells first") as caught:
        old = harden(Markers(n_markers=5), halves[0], ATTACK, **settings)
    assert caught[0].filename == __file__
    pd.testing.assert_frame_equal(old.table, new.table)


@pytest.mark.slow
def test_library_logs_each_round_and_prints_nothing(halves, caplog, capsys):
    with caplog.at_level(logging.INFO, logger="adverscarial.hardening"):
        harden(halves[0], Markers(n_markers=5), ATTACK, groupby="cell_type", test=halves[1], rounds=1)
    assert [r.getMessage() for r in caplog.records] == [f"hardening Markers: round {i}" for i in (0, 1)]
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
def test_on_pbmc3k_examples_help_against_genes_switched_on(shared):
    """scAnnotatR, nine held-out clusters; of one split, docs/hardening.md tells of others."""
    cells = adv.datasets.pbmc3k()
    cells = adv.datasets.preprocess(cells[cells.obs["cell_type"] != "UNDETERMINED"].copy())
    train, test = adv.datasets.split(cells, "cell_type", seed=0)
    genes = adv.rank_genes(train, "cell_type")[:2000]
    train, test = train[:, genes].copy(), test[:, genes].copy()
    done = harden(train, ScAnnotatR(), ATTACK, groupby="cell_type", test=test, rounds=2)
    first, last = done.table.iloc[0], done.table.iloc[-1]
    assert last["flipping_genes"] < first["flipping_genes"]
    assert last["attacked_accuracy"] > first["attacked_accuracy"] + 0.1
    assert last["clean_accuracy"] > first["clean_accuracy"] - 0.02
    for target in names_of(test):
        result = ATTACK(test, done.classifier, groupby="cell_type", target=target)
        assert result.verify(test, done.classifier)


def table_of(page: str) -> list[list[str]]:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("| ")
    ]
    return [row for row in rows if any(" -> " in cell for cell in row)]


def test_page_shows_what_the_benchmark_wrote():
    folder = Path(__file__).parents[2]
    page = (folder / "docs" / "hardening.md").read_text().split("## What to expect")[1]
    measured = json.loads((folder / "benchmarks" / "results" / "hardening.json").read_text())["rows"]
    assert table_of(page) == [list(map(str, row.values())) for row in measured]


def test_page_sums_up_the_table_of_genes_needed():
    docs = Path(__file__).parents[2] / "docs"
    page = (docs / "hardening.md").read_text().split("## Settings that need")[1].split("## What to expect")[0]
    sets = (docs / "results" / "hardening" / "README.md").read_text().split("\n## ")[1:]
    shown = table_of(page)
    assert len(shown) == len(sets) == 5
    for row, of_set in zip(shown, sets, strict=True):
        measured = {found[0]: found for found in table_of(of_set) if found[1] == "perc99"}
        expected = []
        for family in ("logistic regression", "marker rule"):
            _, _, accuracy, genes, times, *_ = measured[family]
            before, after = (float(number) for number in accuracy.split(" -> "))
            expected += [f"{genes} ({times})", f"{round(100 * (after - before), 1) or 0.0:+.1f}".replace("+0.0", "0.0")]
        plain = [cell.replace(" genes", "").replace(" times)", ")").replace(" points", "") for cell in row[1:]]
        assert plain == expected


@pytest.mark.slow
def test_page_runs_and_what_it_claims_holds(capsys):
    pytest.importorskip("torch")
    page = (Path(__file__).parents[2] / "docs" / "hardening.md").read_text()
    names: dict = {}
    for code in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL):
        exec(code, names)
    attacked = names["done"].table["attacked_accuracy"]
    assert attacked.iloc[-1] > attacked.iloc[0] + 0.1
    assert names["more"].n_obs > names["train"].n_obs
    shown = re.findall(r"```text\n(.*?)```", page, flags=re.DOTALL)[0].splitlines()
    assert capsys.readouterr().out.splitlines()[0] == shown[0]
