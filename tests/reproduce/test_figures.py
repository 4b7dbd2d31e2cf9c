"""Each figure end to end on few cells: its numbers are those of the attacks it is made of."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from PIL import Image

import adverscarial as adv
from adverscarial.errors import DataError, ParameterError
from adverscarial.reproduce import (
    Finding,
    Outcome,
    Setting,
    discovery,
    fig1,
    fig2,
    fig3,
    fig4,
    read_published,
    sctype,
    setting,
    statements,
    table1,
    write,
)
from adverscarial.reproduce.findings import FIVE, STATED
from adverscarial.reproduce.sctype import Published

MARKERS = {"B": ["CD79A", "CD79B", "MS4A1"], "NK": ["GNLY", "NKG7"], "Myeloid": ["LYZ", "CST3"]}


@pytest.fixture(scope="module")
def survey_of_five(few: Setting, tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, Path]:
    out = tmp_path_factory.mktemp("fig2")
    return fig2(few, out=out), out


@pytest.mark.slow
def test_fig2_attacks_every_cluster_in_every_way(survey_of_five: tuple[Outcome, Path], few: Setting) -> None:
    attacks = survey_of_five[0].tables["attacks"]
    assert len(attacks) == 5 * len(few.clusters) * 2 * len(FIVE)
    assert attacks["complete"].all()
    single = attacks[attacks["attack"] == "SingleGene"]
    assert (single["tested"] == few.test.n_vars).all()
    assert attacks[attacks["attack"] == "MaxChange"]["maximal"].all()


@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_fig2_trains_what_is_not_trained_yet(two: Setting, few_cells: AnnData, n_jobs: int) -> None:
    """The tables are the same bytes, whoever trains, and in however many processes."""
    later = setting(
        few_cells[:, -60:].copy(), groupby="cell_type", name="two", quick=True, only=["scType", "CHETAH"], train=False
    )
    assert not later.models
    said: list[str] = []
    outcome, before = fig2(later, n_jobs=n_jobs, say=said.append), fig2(two)
    assert [line.split()[:2] for line in said] == [
        ["Training", "CHETAH"], ["Attacking", "CHETAH:"], ["Training", "scType"], ["Attacking", "scType:"]
    ]  # fmt: skip
    assert list(later.models) == list(two.models)
    assert later.notes == two.notes
    assert (later.train.X, len(later.train.layers)) == (None, 0)  # let go
    assert later.train.obs.equals(two.train.obs)
    assert two.train.X is not None
    assert type(later.test.X) is type(two.test.X)  # in memory, also where it lay in a file meanwhile
    np.testing.assert_array_equal(later.test.X, two.test.X)
    for name, table in before.tables.items():
        assert outcome.tables[name].to_csv() == table.to_csv(), name


@pytest.mark.slow
def test_fig2_numbers_are_those_of_the_attacks(survey_of_five: tuple[Outcome, Path], few: Setting) -> None:
    outcome, _ = survey_of_five
    attack = adv.attacks.SingleGene("perc99")
    wanted = sum(
        len(attack(few.test, few.models["scType"], groupby="cell_type", target=name).genes) for name in few.clusters
    )
    totals = outcome.tables["totals"].set_index(["classifier", "number of"])
    assert totals.loc[("scType", "single genes that flip"), "perc99"] == wanted
    genes = outcome.tables["flipping_genes"].query("classifier == 'scType' and modification == 'perc99'")
    assert len(genes) == wanted
    assert set(outcome.tables["flipping_genes"]["modification"]) <= {"perc1", "perc99", "decile+5"}
    left_open = [finding.judge for finding in outcome.findings if finding.verdict == "cannot be judged here"]
    assert left_open == ["examples_flip"]  # these cells have no such clusters


def test_fig2_of_two_classifiers_is_made_of_attacks(two: Setting) -> None:
    outcome = fig2(two)
    attacks = outcome.tables["attacks"]
    assert len(attacks) == 2 * len(two.clusters) * 2 * len(FIVE)
    attack = adv.attacks.SingleGene("perc99")
    for name, model in two.models.items():
        where = {"groupby": "cell_type", "layer": two.layers[name]}
        found = [attack(two.test, model, target=cluster, **where).genes for cluster in two.clusters]
        genes = outcome.tables["flipping_genes"].query("classifier == @name and modification == 'perc99'")
        assert sorted(genes["gene"]) == sorted(gene for some in found for gene in some)


@pytest.mark.slow
def test_fig2_goes_on_where_it_was(survey_of_five: tuple[Outcome, Path], few: Setting) -> None:
    outcome, out = survey_of_five
    files = sorted(out.glob("runs/*/results/*.npz"))
    assert len(files) == len(outcome.tables["attacks"])
    times = {file: file.stat().st_mtime_ns for file in files}
    files[0].unlink()
    again = fig2(few, out=out)
    assert {file for file in files if file.stat().st_mtime_ns != times[file]} == {files[0]}
    pd.testing.assert_frame_equal(again.tables["attacks"], outcome.tables["attacks"])
    assert any("Wall time" in note for note in outcome.notes)
    assert not any("Wall time" in note for note in again.notes)


@pytest.mark.slow
def test_fig2_of_a_failing_classifier_says_so(few_cells: AnnData) -> None:
    def broken(X: np.ndarray) -> list[str]:
        if np.abs(X).max() > 1_000:  # an aberrant value
            raise RuntimeError("lost")
        return ["B" if x > 0 else "NK" for x in X[:, 0]]

    one = setting(few_cells, groupby="cell_type", name="x", only=["scRF"], quick=True)
    one.models["scRF"] = adv.classifiers.wrap(broken, classes=["B", "NK"])
    outcome = fig2(one)
    assert any(note.startswith("Failed: scRF") and "lost" in note for note in outcome.notes)
    assert {finding.verdict for finding in outcome.findings} == {"cannot be judged here"}
    assert outcome.tables["totals"].loc[0, "perc1"] is pd.NA  # no sum over some of the modifications only


@pytest.mark.slow
def test_what_is_written(survey_of_five: tuple[Outcome, Path], tmp_path: Path) -> None:
    outcome, _ = survey_of_five
    path = write(outcome, tmp_path / "new", command="adverscarial reproduce fig2")
    text = path.read_text()
    assert all(f"**{finding.verdict}**: {finding.claim}" in text for finding in outcome.findings)
    assert "adverscarial reproduce fig2" in text
    assert "| single genes, all clusters: scRF, all five |" in text
    for name, table in outcome.tables.items():
        assert len(pd.read_csv(tmp_path / "new" / f"{name}.csv")) == len(table)
    for name in outcome.figures:
        picture = tmp_path / "new" / f"{name}.png"
        assert f"]({name}.png)" in text
        assert picture.stat().st_size < 200_000
        assert min(Image.open(picture).size) > 200
    assert not list((tmp_path / "new").glob(".*"))


def test_a_bar_in_a_name_does_not_break_the_table(tmp_path: Path) -> None:
    table = pd.DataFrame({"cluster": ["T|B"], "n": [1234], "share": [0.25], "none": [None]})
    outcome = Outcome("x", {"t": table}, table.iloc[:0], [Finding("c", "holds", "b.")], {}, [], shown=["t"])
    assert "| T\\|B | 1,234 | 0.25 |  |" in write(outcome, tmp_path).read_text()


@pytest.mark.slow
def test_fig1_numbers_are_those_of_the_attacks(few: Setting) -> None:
    outcome = fig1(few, target="CD19+ B", quick=True)
    table = outcome.tables["attacks"].set_index("attack")
    attack = adv.attacks.MaxChange("perc99", restarts=1)
    result = attack(few.test, few.models["scType"], groupby="cell_type", target="CD19+ B")
    assert table.loc["max change", "genes_changed"] == len(result.genes)
    assert (table["before"] == result.baseline).all()
    drawn = {name.replace("_", " ") for name in outcome.figures}
    assert drawn == set(table.index[table["genes_changed"] > 0])
    left, right = outcome.figures["max_change"][0].axes
    assert left.get_xlim() == right.get_xlim()
    assert right.get_legend() is not None
    flipped = bool(table.loc["single gene", "other_label"]) and bool(table.loc["descent", "other_label"])
    assert outcome.findings[0].verdict == ("holds" if flipped else "does not hold")


def test_fig1_of_another_classifier(two: Setting) -> None:
    without = replace(two, models={"CHETAH": two.models["CHETAH"]})
    with pytest.raises(ParameterError, match="There is no classifier 'scType'"):
        fig1(without)


@pytest.mark.slow
def test_fig3_numbers_are_those_of_the_attacks(few: Setting) -> None:
    outcome = fig3(few, target="CD19+ B", quick=True)
    table = outcome.tables["descents"]
    assert set(table["classifier"]) == {"scType", "scAnnotatR", "scRF", "scMLP"}
    assert set(table["cluster"]) == {"CD19+ B"}
    row = table.query("classifier == 'scMLP' and strength == 10").iloc[0]
    genes = list(adv.rank_genes(few.test, "cell_type"))[:50]
    attack = adv.attacks.ClusterGradientDescent(10, 10, genes=genes)
    result = attack(few.test, few.models["scMLP"], groupby="cell_type", target="CD19+ B")
    assert (row["modified"], row["success"]) == (len(result.modified_genes), result.success)
    wide = outcome.tables["modified_genes"].set_index("classifier")
    assert (wide.loc["scMLP", "10"] == row["modified"]) if row["success"] else pd.isna(wide.loc["scMLP", "10"])
    assert len(outcome.findings) == 4
    maps = set(outcome.figures) - {"modified_genes"}
    assert len(maps) + sum(note.startswith("Panel ") for note in outcome.notes) == 6
    signature = adv.attacks.MaxChange("perc99", restarts=1)(
        few.test, few.models["scRF"], groupby="cell_type", target="CD19+ B"
    ).signature
    assert f"B: scRF on CD19+ B, all but {len(signature):,} genes changed" in outcome.figures["b_max_change"][1]


@pytest.mark.slow
def test_fig4_numbers_are_those_of_the_attacks(few: Setting) -> None:
    outcome = fig4(few, target="CD19+ B", quick=True)
    table = outcome.tables["sweep"]
    assert len(table) == 4 * 3 * 3
    as_in_r = outcome.tables["sweep_as_in_r"]
    assert as_in_r["classifier"].tolist() == ["scRF"] * 3 + ["scMLP"] * 3
    row = as_in_r.query("classifier == 'scMLP' and alpha == 2").iloc[0]
    genes = list(adv.rank_genes(few.test, "cell_type"))[:50]
    attack = adv.attacks.ClusterGradientDescent(2, 0, genes=genes, reference=True)
    result = attack(few.test, few.models["scMLP"], groupby="cell_type", target="CD19+ B")
    assert (row["tested"], row["modified"]) == (len(result.tested_genes), len(result.modified_genes))
    assert set(outcome.figures) == {"a_ratio", "b_alpha", "b_epsilon", "b_both", "c_accuracy", "d_roc", "e_f1"}
    curves = outcome.tables["curves"]
    assert set(curves["strength"]) == {0.5, 1, 10}
    first = curves[(curves["n_genes"] == 0) & (curves["strength"] == 1)].set_index("classifier")
    inside = few.test.obs["cell_type"] == "CD19+ B"
    kept = few.models["scRF"].predict(few.test[inside]) == first.loc["scRF", "label"]
    assert first.loc["scRF", "accuracy"] == pytest.approx(kept.mean())


def test_fig4_refuses_a_cluster_that_is_not_there(two: Setting) -> None:
    with pytest.raises(ParameterError, match=r"Did you mean 'CD19\+ B'"):
        fig4(two, target="CD19 B")


def test_descents_need_scores(few_cells: AnnData) -> None:
    only = setting(few_cells, groupby="cell_type", name="x", only=["CHETAH"])
    with pytest.raises(ParameterError, match="follows scores"):
        fig3(only)


@pytest.mark.slow
def test_table1_numbers_are_those_of_the_attacks(few: Setting) -> None:
    lines: list[str] = []
    outcome = table1(few, say=lines.append)
    table = outcome.tables["attacks"]
    largest = few.test.obs["cell_type"].value_counts().index[0]
    assert set(table["cluster"]) == {largest}  # none of the paper's clusters is there
    assert len(table) == len(lines) - 1 == 6 + 5 * 2 + 5
    assert not table.duplicated(["classifier", "attack"]).any()
    twice = table1([few, replace(few, name="again")])
    assert twice.tables["attacks"]["dataset"].value_counts().to_dict() == {"few": len(table), "again": len(table)}
    assert len(twice.beside) == len(outcome.beside)
    row = table[(table["classifier"] == "scType") & (table["attack"] == "single genes, perc99")].iloc[0]
    result = adv.attacks.SingleGene("perc99")(few.test, few.models["scType"], groupby="cell_type", target=largest)
    assert row["genes"] == len(result.genes)
    assert outcome.beside["paper"].tolist()[:2] == ["0", "240"]


def test_table1_of_two_classifiers(two: Setting) -> None:
    table = table1(two).tables["attacks"]
    assert set(table["classifier"]) == set(two.models)
    assert not table.duplicated(["classifier", "attack"]).any()


@pytest.mark.slow
def test_discovery_of_two_data_sets(few: Setting, tmp_path: Path) -> None:
    some = replace(few, models={name: few.models[name] for name in ("scType", "scRF")}, name="one")
    outcome = discovery([some, replace(some, name="two")], out=tmp_path, quick=True)
    assert set(outcome.tables["summary"]["dataset"]) == {"one", "two"}
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["one", "two"]
    across = outcome.tables["overlap"].query("across == 'datasets'")
    assert len(across)
    assert (across["jaccard"] == 1).all()  # the same data twice
    finding = outcome.findings[0]
    missed = outcome.tables["summary"]["missed"].sum()
    assert finding.verdict == ("holds" if missed else "does not hold")


@pytest.mark.slow
def test_every_statement_is_judged(few: Setting, few_cells: AnnData, tmp_path: Path) -> None:
    outcome = statements(few, few_cells, out=tmp_path, quick=True)
    assert {finding.judge for finding in outcome.findings} - {""} == set(STATED) - {
        "every_published",
        "no_fewer",
        "no_longer",
    }
    table = outcome.tables["statements"]
    assert table["where"].str.startswith("section ").all()
    assert (table.loc[table["judged_in"] == "", "verdict"] == "cannot be judged here").all()
    for name in set(table["judged_in"]) - {""}:
        assert (tmp_path / name / "README.md").is_file()
    assert not table.duplicated(["claim", "judged_in"]).any()


def marked(cells: AnnData, published: Published | None = None) -> Outcome:
    table = pd.DataFrame({"cell_type": list(MARKERS), "positive": [",".join(genes) for genes in MARKERS.values()]})
    return sctype(cells, groupby="cell_type", name="few", markers=table, published=published, restarts=2)


@pytest.mark.slow
def test_sctype_against_published_attacks(few_cells: AnnData) -> None:
    plain = marked(few_cells)
    counts = plain.tables["counts"]
    assert set(counts["cluster"]) <= set(MARKERS)  # clusters are called by scType, and joined
    assert len(counts) == counts["cluster"].nunique() * len(FIVE)
    genes = plain.tables["single_genes"]
    assert counts["single_genes"].sum() == len(genes)
    assert (genes["status"] == "").all()
    assert plain.findings[0].verdict == "cannot be judged here"  # counts of other clusters
    known: Published = {cluster: {name: {} for name in FIVE} for cluster in set(counts["cluster"])}
    for row in genes.iloc[1:].itertuples():
        known[row.cluster][row.modification][row.gene] = row.label
    beside_it = marked(few_cells, known)
    missed = beside_it.tables["missed_by_the_published_search"]
    assert missed[["cluster", "modification", "gene"]].to_numpy().tolist() == [
        genes.iloc[0][["cluster", "modification", "gene"]].tolist()
    ]
    assert beside_it.findings[0].verdict == "holds"
    last = genes.iloc[-1]
    known[last["cluster"]][last["modification"]][last["gene"]] = "another label"
    known[last["cluster"]][last["modification"]]["NOSUCHGENE"] = "x"
    wrong = marked(few_cells, known)
    assert wrong.findings[0].verdict == "does not hold"
    assert "1 with another label, 1 not" in wrong.findings[0].because


def test_sctype_clusters_of_other_cells(few_cells: AnnData) -> None:
    with pytest.raises(DataError, match="is among the data's"):
        sctype(few_cells, groupby="cell_type", name="x", clusters=pd.Series({"no such cell": "B"}))


def test_published_tables_are_read(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(json.dumps({"B": {"perc1": {"single_gene": {"CD79A": "NK"}, "max_change_signature": []}}}))
    assert read_published(path) == {"B": {"perc1": {"CD79A": "NK"}}}
    for text in ("[1]", "{", '{"B": {"perc1": {}}}'):
        path.write_text(text)
        with pytest.raises(DataError, match="Expected JSON"):
            read_published(path)


@pytest.mark.slow
def test_pbmc3k_sctype_of_one_cluster(shared: Path) -> None:
    """The paper's data: B under the 99th percentile, beside the published 27 genes of its signature."""
    cells = adv.datasets.load(shared / "data" / "pbmc3k.h5ad")
    markers = shared / "data" / "sctype_db.tsv"
    found = setting(cells, groupby="cell_type", name="pbmc3k", markers=markers, only=["scType"])
    assert (found.train.n_obs, found.test.n_obs) == (1_320, 1_318)  # the paper's own halves
    attack = adv.attacks.MaxChange("perc99", restarts=1)
    result = attack(found.test, found.models["scType"], groupby="cell_type", target="B")
    assert result.maximal
    assert len(result.signature) <= 27
