from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from tests.classifiers.scorer_law import check_scorer_law

from adverscarial.attacks import MaxChange, MinChange
from adverscarial.classifiers import Markers, ScType
from adverscarial.classifiers.families.marker_tables import MarkerSets, read_markers
from adverscarial.classifiers.scorers.linear import LinearScorer
from adverscarial.errors import ClassifierError, DataError, GeneMismatchError, MissingDependencyError, ParameterError

FRAME = pd.DataFrame(
    {
        "cell_type": ["T", "B", "Hepatocyte"],
        "positive": ["CD3D, Cd3e", "MS4A1,CD79A,MS4A1", "ALB"],
        "negative": ["MS4A1", "", "NA"],
        "tissue": ["Blood", "Blood", "Liver"],
    }
)
BLOOD = {"T": MarkerSets(("CD3D", "CD3E"), ("MS4A1",)), "B": MarkerSets(("CD79A", "MS4A1"), ())}


def cells(X: Any, genes: str) -> AnnData:
    X = np.asarray(X, dtype=float)
    obs = pd.DataFrame({"c": [f"c{i % 2}" for i in range(len(X))]}, index=[f"cell{i}" for i in range(len(X))])
    return AnnData(X, obs=obs, var=pd.DataFrame(index=list(genes)))


# ---- marker tables


@pytest.mark.parametrize("kind", ["tsv", "txt", "csv", "xlsx", "frame"])
def test_tables_of_every_kind_say_the_same(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"markers.{kind}"
    if kind == "xlsx":
        FRAME.to_excel(path, index=False)
    elif kind != "frame":
        FRAME.to_csv(path, index=False, sep="," if kind == "csv" else "\t")
    source: Any = FRAME if kind == "frame" else path
    assert read_markers(source, "Blood") == BLOOD
    if kind != "frame":
        assert read_markers(str(path), "Blood") == BLOOD


def test_markers_can_be_given_as_dicts() -> None:
    given = {
        "T": {"positive": ["CD3D", " cd3e "], "negative": "MS4A1"},
        "B": "CD79A, MS4A1",
        "NK": {"positive": np.array(["NKG7"]), "negative": None},
        "Empty": None,
    }
    assert read_markers(given) == {
        "T": MarkerSets(("CD3D", "CD3E"), ("MS4A1",)),
        "B": MarkerSets(("CD79A", "MS4A1"), ()),
        "NK": MarkerSets(("NKG7",), ()),
        "Empty": MarkerSets((), ()),
    }


def test_the_workbook_of_sctype_is_understood() -> None:
    frame = pd.DataFrame(
        {
            "tissueType": ["Blood"], "cellName": ["T"], "geneSymbolmore1": ["CD3E,CD3D"], "geneSymbolmore2": [np.nan],
            "shortName": ["t"],
        }
    )  # fmt: skip
    assert read_markers(frame) == {"T": MarkerSets(("CD3D", "CD3E"), ())}


def test_corrected_symbols_are_preferred_and_keep_their_repeats(shared: Path) -> None:
    table = read_markers(shared / "data" / "sctype_db.tsv", "Immune system")
    assert len(table) == 34
    assert len({gene for sets in table.values() for gene in sets.positive}) == 259
    assert len({gene for sets in table.values() for gene in sets.negative}) == 20
    rows = pd.read_csv(shared / "data" / "sctype_db.tsv", sep="\t").query("tissue == 'Immune system'")
    assert {name: sorted(sets.positive) for name, sets in table.items()} == {
        row.cell_type: sorted(row.positive_hgnc.split(",")) for row in rows.itertuples()
    }
    assert sum(len(sets.positive) > len(set(sets.positive)) for sets in table.values()) == 9


def test_the_table_of_the_package_is_the_default(pbmc_small: AnnData) -> None:
    table = read_markers(None)
    assert {"B cell", "Dendritic cell"} <= set(table)
    assert ScType().markers == table
    assert set(ScType(scaled=False).predict(pbmc_small)) <= set(table)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (FRAME.drop(columns="positive"), "columns 'cell_type', 'negative', 'tissue'; it needs"),
        (FRAME.drop(columns="cell_type"), "it needs 'cell_type' and 'positive'"),
        (FRAME.assign(cell_type="T", tissue="Blood"), "names 'T' twice"),
        (FRAME.assign(positive="NA", tissue="Blood"), "no positive marker"),
        ({}, "no positive marker"),
        ({"T": []}, "no positive marker"),
        ({"T": 3}, "markers of 'T' are '3'; expected a list of genes"),
        ({"T": {"pos": ["CD3D"]}}, "'positive' and 'negative'"),
        (["CD3D"], "given as a list; expected a file, a DataFrame, or a dict"),
        (3, "given as a int"),
    ],
)
@pytest.mark.parametrize("family", [ScType, Markers])
def test_tables_that_are_none_are_refused(family: type, table: Any, says: str) -> None:
    with pytest.raises(DataError, match=says):
        family(table)


def test_tissues_must_be_chosen() -> None:
    with pytest.raises(ParameterError, match=r"covers 2 tissues; choose one with tissue=: 'Blood', 'Liver'"):
        ScType(FRAME)
    with pytest.raises(ParameterError, match=r"no tissue 'Blod'.*Did you mean 'Blood'"):
        ScType(FRAME, tissue="Blod")
    assert ScType(FRAME, tissue="Liver").classes == ("Hepatocyte",)
    assert ScType(FRAME[:2]).classes == ("T", "B")


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no marker table"):
        read_markers(tmp_path / "absent.tsv")
    for name, content in (("a.xlsx", b"no workbook"), ("b.csv", b"\xff\xfe\x00x"), ("c.tsv", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match="cannot be read"):
            read_markers(tmp_path / name)
    (tmp_path / "markers.json").write_text("{}")
    with pytest.raises(DataError, match=r"ends in '\.json'; marker tables end in"):
        read_markers(tmp_path / "markers.json")


def test_excel_needs_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FRAME.to_excel(tmp_path / "markers.xlsx", index=False)
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    with pytest.raises(MissingDependencyError, match=r"adverscarial\[excel\]"):
        read_markers(tmp_path / "markers.xlsx", "Blood")


# ---- the classifier


def test_the_largest_mean_wins_and_the_first_on_a_tie() -> None:
    model = Markers({"x": ["A", "B"], "y": {"positive": ["C", "missing"], "negative": ["A"]}})
    adata = cells([[2, 0, 0.5], [2, 0, 1.0], [2, 0, 1.5]], "ABC")
    np.testing.assert_allclose(model.scores(adata), [[1, 0.5], [1, 1], [1, 1.5]])  # negative markers are not used
    assert model.predict(adata).tolist() == ["x", "x", "y"]


def test_weak_cells_are_unknown() -> None:
    model = Markers({"x": ["A"], "y": ["B"]}, unknown_below=1.0)
    adata = cells([[0.9, 0], [1.0, 0], [0, 3]], "AB")
    assert model.classes == ("x", "y", "unknown")
    assert model.predict(adata).tolist() == ["unknown", "x", "y"]


def test_names_are_compared_in_upper_case() -> None:
    assert Markers({"x": ["cd3d"], "y": ["B"]}).predict(cells([[1, 0, 5]], ["Cd3d", "b", "CD3D"])).tolist() == ["x"]


def test_a_type_without_any_marker_in_the_data_is_an_error() -> None:
    with pytest.raises(GeneMismatchError, match=r"no marker of 'y' is among the 1 genes \('A'\)"):
        Markers({"x": ["A"], "y": ["B"]}).predict(cells([[1]], "A"))
    with pytest.raises(GeneMismatchError, match="bind"):
        Markers({"x": ["A"]}).decide(np.ones((1, 1)))


def test_fit_takes_the_genes_with_the_largest_excess(pbmc_small: AnnData) -> None:
    model = Markers(n_markers=4)
    assert model.fit(pbmc_small, "cell_type") is model
    X = pbmc_small.to_df()
    inside = pbmc_small.obs["cell_type"] == "CD19+ B"
    excess = (X[inside].mean() - X[~inside].mean()).sort_values(ascending=False)
    assert set(model.markers["CD19+ B"].positive) == set(excess.index[:4].str.upper())
    assert model.classes == tuple(sorted(pbmc_small.obs["cell_type"].unique()))
    assert model.predict(pbmc_small)[inside].mode().tolist() == ["CD19+ B"]


def test_markers_must_come_from_somewhere(pbmc_small: AnnData) -> None:
    for use in (lambda m: m.predict(pbmc_small), lambda m: m.classes, lambda m: m.save("unwritten")):
        with pytest.raises(ClassifierError, match="no markers yet"):
            use(Markers())
    with pytest.raises(ParameterError, match="n_markers must be at least 1"):
        Markers(n_markers=0).fit(pbmc_small, "cell_type")


@pytest.mark.fast(1)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("unknown_below", [None, 1.2])
@pytest.mark.parametrize("target", ["CD19+ B", "Dendritic"])
def test_law_on_real_cells(pbmc_small: AnnData, dtype: type, unknown_below: float | None, target: str) -> None:
    adata = pbmc_small[:, ::3].copy()
    adata.X = adata.X.toarray().astype(dtype)
    model = Markers(n_markers=6, unknown_below=unknown_below).fit(adata, "cell_type")
    assert isinstance(check_scorer_law(model, adata, groupby="cell_type", target=target, games=2), LinearScorer)


@pytest.mark.fast(1)
@pytest.mark.parametrize("seed", range(4))
def test_law_with_ties(seed: int) -> None:
    """Means of whole numbers tie often."""
    adata = cells(np.random.default_rng(seed).integers(0, 3, size=(31, 8)), "ABCDEFGH")
    adata.obs["c"] = ["lone"] + [f"c{i % 2}" for i in range(30)]
    table = {"x": list("ABC"), "y": list("BDE"), "z": list("CEFA")}
    for target in ("c0", "lone"):
        check_scorer_law(Markers(table, unknown_below=1.0), adata, groupby="c", target=target, seed=seed, games=3)


def test_repr_rebuilds_where_it_can(tmp_path: Path) -> None:
    path = tmp_path / "markers.tsv"
    FRAME.to_csv(path, index=False, sep="\t")
    for model in (Markers(path, tissue="Blood"), Markers(str(path), tissue="Liver", unknown_below=0.5)):
        again = eval(repr(model), {"Markers": Markers})
        assert (again.markers, again.unknown_below, again.tissue) == (model.markers, model.unknown_below, model.tissue)
    assert eval(repr(Markers(n_markers=3)), {"Markers": Markers}).n_markers == 3
    assert repr(Markers({"x": ["A"]})) == "Markers(...)"


@pytest.mark.parametrize("seed", [3, 28])
def test_exact_ties_of_dense_counts_are_answered_as_by_a_full_prediction(seed: int) -> None:
    """Means over markers tie exactly here, and which label is first depends on the order in which they are added up."""
    rng = np.random.default_rng(seed)
    types = rng.integers(0, 3, 60)
    X = rng.poisson(rng.uniform(0.2, 3, (3, 90))[types]).astype(float)
    cells = AnnData(X, obs=pd.DataFrame({"type": np.array(list("ABC"))[types]}, index=[f"c{i}" for i in range(60)]))
    model = Markers().fit(cells, "type")
    for attack in (MinChange("perc99"), MaxChange("perc99", restarts=1)):
        result = attack(cells, model, groupby="type", target="A")
        assert result.success
        assert result.verify(cells, model)


def test_it_is_bound_anew_when_its_markers_or_settings_change() -> None:
    genes = pd.Index(["CD3D", "MS4A1", "CD79A"])
    model = Markers({"T": ["CD3D"], "B": ["MS4A1"]})
    first = model.bind(genes)
    assert model.bind(genes) is first
    model.unknown_below = 0.5
    assert model.bind(genes).classes == ("T", "B", "unknown")
    model.markers = {"T": ["CD3D"], "B": ["CD79A"]}
    assert list(model.bind(genes).genes) == ["CD3D", "CD79A"]
    model.markers["B"] = MarkerSets(("MS4A1",), ())
    assert list(model.bind(genes).genes) == ["CD3D", "MS4A1"]
    assert list(model.bind(genes[:2]).genes) == ["CD3D", "MS4A1"]
    sctype = ScType({"T": ["CD3D"], "B": ["MS4A1"]})
    assert sctype.bind(genes) is sctype.bind(genes)
    sctype.markers["B"] = MarkerSets(("CD79A",), ("CD3D",))
    assert sctype.bind(genes).weights[0].tolist() != [1.0, 0.0]
