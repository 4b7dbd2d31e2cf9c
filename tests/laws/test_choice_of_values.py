"""A modality, raw or a mask of genes named in a call give what the same call gives on data made by hand."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import adverscarial as adv
from adverscarial.cells.choice import chosen_of, meant
from adverscarial.errors import DataError, ParameterError, StorageError

mudata = pytest.importorskip("mudata")

WHERE = {"groupby": "cell_type", "target": "CD19+ B"}
MODEL = adv.classifiers.Markers({"B": ["CD79A", "CD79B", "MS4A1"], "T": ["CD3D", "CD3E"], "myeloid": ["LYZ"]})
ATTACK = adv.attacks.SingleGene("fixed:9")


def cells() -> AnnData:
    """Cells whose X and raw hold other values and other genes; there are few genes, and a mask of them."""
    whole = adv.datasets.embedded()
    whole = whole[:, sorted({*whole.var_names[:30], "CD79A", "CD79B", "MS4A1", "CD3D", "CD3E", "LYZ"})].copy()
    adata = whole[:, whole.var_names != whole.var_names[1]].copy()
    adata.raw = whole
    adata.X = adata.X[::-1].copy()
    adata.var["some"] = np.isin(adata.var_names, ["CD79A", "CD3D", adata.var_names[0]])
    return adata


@pytest.fixture(scope="module")
def data() -> AnnData:
    return cells()


@pytest.fixture(scope="module")
def several() -> object:
    """The same as the modality "rna" of a MuData, whose clusters all modalities share; "prot" holds other values."""
    rna, prot = cells(), cells()
    prot.X = prot.X[::-1].copy()
    prot.raw = None
    types = rna.obs.pop("cell_type")
    del prot.obs["cell_type"]
    found = mudata.MuData({"rna": rna, "prot": prot})
    found.obs["cell_type"] = types
    return found


def by_hand(several: object, mod: str) -> AnnData:
    adata = several.mod[mod].copy()
    adata.obs["cell_type"] = several.obs["cell_type"]
    return adata


def fragile(adata: object, **chosen: object) -> object:
    found = adv.fragility(adata, MODEL, copy=True, **chosen).obs
    return found[[name for name in found if name.startswith("fragility")]]


def two_halves(adata: AnnData | object, **chosen: object) -> object:
    return adv.harden(
        adata, adv.classifiers.Markers(n_markers=3), ATTACK, groupby="cell_type", rounds=1, **chosen
    ).table


def guarded(adata: AnnData | object, **chosen: object) -> object:
    guard = adv.classifiers.Guard(MODEL, margin=0.1).fit(adata, **chosen)
    return adv.evaluation.guarding(
        adata, guard, groupby="cell_type", attacks=[ATTACK], train=adata, progress=False, **chosen
    )


#: every entry point, asked for something that can be compared
ASKED: dict[str, Callable[..., object]] = {
    "attack": lambda adata, **chosen: ATTACK(adata, MODEL, **WHERE, **chosen).to_frame(),
    "survey": lambda adata, **chosen: adv.survey(
        adata, MODEL, attacks=ATTACK, groupby="cell_type", progress=False, **chosen
    ).to_frame(),
    "fragility": fragile,
    "predict": lambda adata, **chosen: pd.Series(adv.predict(adata, MODEL, **WHERE, **chosen).votes),
    "modify": lambda adata, **chosen: adv.modify(adata, ["CD79A"], "perc99", **WHERE, **chosen).to_df(),
    "rank_genes": lambda adata, **chosen: pd.Series(list(adv.rank_genes(adata, "cell_type", **chosen))),
    "robustness_curve": lambda adata, **chosen: adv.robustness_curve(
        adata, MODEL, **WHERE, genes=["CD79A", "CD3D"], modification="perc1", **chosen
    ).to_frame(),
    "sweep": lambda adata, **chosen: adv.sweep(
        adata, MODEL, **WHERE, genes=["CD79A", "CD79B"], strengths=[1], kinds=["both"], **chosen
    ),
    "adversarial_cells": lambda adata, **chosen: adv.adversarial_cells(
        adata, MODEL, ATTACK, groupby="cell_type", **chosen
    ).to_df(),
    "harden": two_halves,
    "guarding": guarded,
    "check": lambda adata, **chosen: adv.classifiers.check(MODEL, adata, groupby="cell_type", **chosen).table,
    "stress": lambda adata, **chosen: adv.stress(
        adata, MODEL, groupby="cell_type", targets=["CD19+ B"], changes="dropout", strengths=[0.5], draws=1, **chosen
    ).to_frame(),
    "differential": lambda adata, **chosen: adv.evaluation.differential(
        ATTACK(adata, MODEL, **WHERE, **chosen), adata, **chosen
    ),
    "discover": lambda adata, **chosen: (
        adv.evaluation.discover(ATTACK(adata, MODEL, **WHERE, **chosen), adata, **chosen).genes
    ),
}


def same(found: object, expected: object) -> None:
    if isinstance(found, pd.Series):
        pd.testing.assert_series_equal(found, expected)
    else:
        pd.testing.assert_frame_equal(found, expected)


@pytest.mark.parametrize("name", ASKED)
def test_raw_is_asked_as_its_own_data_are(name: str, data: AnnData) -> None:
    same(ASKED[name](data, use_raw=True), ASKED[name](data.raw.to_adata()))


@pytest.mark.parametrize("name", ASKED)
def test_a_modality(name: str, several: object) -> None:
    for mod in ("rna", "prot"):
        expected = ASKED[name](by_hand(several, mod))
        same(ASKED[name](several, mod=mod), expected)
        if mod == "rna":
            same(ASKED[name](several), expected)


def test_raw_of_a_modality(several: object) -> None:
    raw = several.mod["rna"].raw.to_adata()
    raw.obs["cell_type"] = several.obs["cell_type"]
    same(ASKED["attack"](several, use_raw=True), ASKED["attack"](raw))


def test_a_mask_is_a_list_of_genes(data: AnnData) -> None:
    genes = list(data.var_names[data.var["some"]])
    found = adv.fragility(data, MODEL, mask_var="some", copy=True).obs["fragility_upper"]
    free = adv.fragility(data, MODEL, copy=True).obs["fragility_upper"]
    assert (found >= free).all()
    assert (found > free).any()
    limited = adv.attacks.MinChange("perc1", genes=genes)(data, MODEL, **WHERE)
    masked = adv.attacks.MinChange("perc1")(data, MODEL, mask_var=data.var["some"].to_numpy(), **WHERE)
    assert (limited.lower, limited.upper, limited.genes) == (masked.lower, masked.upper, masked.genes)
    np.testing.assert_array_equal(masked.cells["upper"], found[masked.cells["cell"]])


@pytest.mark.parametrize("choice", [{"use_raw": True}, {"mod": "prot"}, {}], ids=["raw", "prot", "rna"])
def test_a_result_holds_for_what_was_attacked(
    choice: dict[str, object], data: AnnData, several: object, tmp_path: Path
) -> None:
    given = data if "use_raw" in choice else several
    result = ATTACK(given, MODEL, **WHERE, **choice)
    source = {"use_raw": True} if "use_raw" in choice else {"mod": choice.get("mod", "rna")}
    assert result.source == source
    result.save(tmp_path / "result.npz")
    result = adv.attacks.Result.load(tmp_path / "result.npz")
    assert result.source == source
    hand = data.raw.to_adata() if "use_raw" in choice else by_hand(several, source["mod"])
    expected = ATTACK(hand, MODEL, **WHERE)
    assert bool(result.verify(given, MODEL))
    same(result.apply(given).to_df(), expected.apply(hand).to_df())
    same(result.apply(meant(given, **choice)).to_df(), expected.apply(hand).to_df())  # handed on
    same(adv.evaluation.harm(given, MODEL, [result]), adv.evaluation.harm(hand, MODEL, [expected]))
    same(adv.transfer(given, result, MODEL), adv.transfer(hand, expected, MODEL))
    changed = result.apply(given)
    assert adv.detectability(given, changed, **choice).genes == 1
    assert adv.predict(changed, MODEL, **WHERE, **choice).label == result.label


@pytest.mark.slow
def test_a_map_of_cells_takes_what_was_attacked(data: AnnData, several: object) -> None:
    for given, choice in ((data, {"use_raw": True}), (several, {"mod": "prot"}), (several, {})):
        assert adv.pl.umap(given, ATTACK(given, MODEL, **WHERE, **choice))


def test_a_certificate_of_raw(data: AnnData, tmp_path: Path) -> None:
    result = adv.attacks.MinChange("perc1")(data, MODEL, **WHERE, use_raw=True)
    path = result.certificate(data, MODEL).save(tmp_path / "proof.json")
    check = adv.evaluation.verify_certificate(path, data, MODEL, use_raw=True)
    assert check
    assert not check.left_out
    assert not adv.evaluation.verify_certificate(path, data)  # X holds other numbers


@pytest.mark.slow
def test_processes_are_sent_what_was_chosen(data: AnnData) -> None:
    asked = {"attacks": ATTACK, "groupby": "cell_type", "use_raw": True, "progress": False}
    here = adv.survey(data, MODEL, **asked)
    there = adv.survey(data, MODEL, n_jobs=2, **asked)
    assert there.results == here.results
    assert {result.source["use_raw"] for result in there.results} == {True}


def test_what_was_chosen_survives_a_file(data: AnnData, tmp_path: Path) -> None:
    changed = ATTACK(data, MODEL, **WHERE, use_raw=True).apply(data)
    changed.write_h5ad(tmp_path / "changed.h5ad")
    read = anndata.read_h5ad(tmp_path / "changed.h5ad")
    assert chosen_of(read) == {"use_raw": True}
    assert meant(read, use_raw=True) is read
    read.raw = data  # another raw: what was chosen before says nothing of it
    assert meant(read, use_raw=True).n_vars == data.n_vars


def test_columns_are_written_where_the_cells_are(several: object) -> None:
    data = cells()
    result = ATTACK(data, MODEL, **WHERE, use_raw=True)
    copied = result.to_adata(data, MODEL, copy=True)
    assert "adverscarial_before" in copied.obs
    by_hand_too = ATTACK(data.raw.to_adata(), MODEL, **WHERE).to_adata(data.raw.to_adata(), copy=True)
    assert list(copied.raw.var["adverscarial_outcome"]) == list(by_hand_too.var["adverscarial_outcome"])
    assert "adverscarial_outcome" not in data.raw.var
    result.to_adata(data)
    flipped = data.raw.var["adverscarial_outcome"] == "flipped"
    assert set(data.raw.var_names[flipped]) == set(result.genes)
    assert "adverscarial_outcome" not in data.var
    assert data.uns["adverscarial"]["use_raw"]
    found = adv.survey(several, MODEL, attacks=ATTACK, groupby="cell_type", mod="prot", progress=False)
    found.to_adata(several, key_added="found")
    assert "found_Markers_verdict" in several.mod["prot"].obs
    assert "found_Markers_outcome" in several.mod["prot"].var
    assert "found_Markers_verdict" not in several.mod["rna"].obs
    adv.fragility(several, MODEL, key_added="own")
    assert "own_lower" in several.mod["rna"].obs
    assert adv.modify(several, ["CD79A"], "fixed:77", **WHERE, inplace=True) is None
    assert several.mod["rna"][:, "CD79A"].X.max() == 77


def test_figures_of_cells_take_a_modality(several: object) -> None:
    several = several.copy()
    adv.fragility(several, MODEL, modification="fixed:9", mod="prot")
    alone = by_hand(several, "prot")
    alone.obsm["X_umap"] = several.mod["prot"].obsm["X_umap"] = np.arange(2.0 * alone.n_obs).reshape(-1, 2)
    for draw in (adv.pl.flippable, adv.pl.fragility_umap, partial(adv.pl.fragility, groupby="cell_type")):
        drawn, expected = draw(several, mod="prot"), draw(alone)
        assert [line.get_ydata().tolist() for line in drawn.lines] == [
            line.get_ydata().tolist() for line in expected.lines
        ]
        assert len(drawn.collections) == len(expected.collections)
        with pytest.raises(ParameterError, match="fragility"):
            draw(several)  # nothing was written to the modality rna


def test_a_survey_goes_on_only_with_the_same_choice(several: object, tmp_path: Path) -> None:
    asked = {"attacks": ATTACK, "groupby": "cell_type", "out": tmp_path / "run", "progress": False}
    first = adv.survey(several, MODEL, **asked)
    again = adv.survey(several, MODEL, mod="rna", **asked)
    same(again.to_frame(), first.to_frame())
    assert adv.Survey.load(tmp_path / "run").source == {"mod": "rna"}
    for other in ({"mod": "prot"}, {"use_raw": True}):
        with pytest.raises(StorageError, match="another survey, which differs in data"):
            adv.survey(several, MODEL, **other, **asked)
    masked = adv.survey(several, MODEL, mask_var="some", **asked)  # other attacks: computed beside the first
    assert masked.to_frame()["tested"].max() == 3
    same(adv.survey(several, MODEL, **asked).to_frame(), first.to_frame())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"use_raw": True, "layer": "twice"}, "different values"),
        ({"mod": "rna"}, "this is an AnnData. Leave mod out"),
        ({"mask_var": "none"}, r"adata\.var has no column 'none'"),
        ({"mask_var": "some", "use_raw": True}, r"raw\.var has no column 'some'"),
    ],
)
def test_what_makes_no_sense(options: dict[str, object], words: str, data: AnnData) -> None:
    with pytest.raises(adv.errors.AdverscarialError, match=words):
        ATTACK(data, MODEL, **WHERE, **options)


def test_no_values_are_copied_and_nothing_is_written(data: AnnData, several: object) -> None:
    columns = list(data.obs), list(several.mod["rna"].obs)
    for found, held in (
        (meant(data, use_raw=True), data.raw.X),
        (meant(several), several.mod["rna"].X),
    ):
        found.obs["new"] = 1
        assert np.shares_memory(getattr(found.X, "data", found.X), getattr(held, "data", held))
    assert (list(data.obs), list(several.mod["rna"].obs)) == columns
    assert meant(data) is data
    with pytest.raises(DataError, match="Expected an AnnData, got a DataFrame"):
        ATTACK(data.to_df(), MODEL, **WHERE)


def test_modalities_that_are_not_there(several: object, data: AnnData) -> None:
    with pytest.raises(ParameterError, match=r"no modality 'protein'.*Did you mean 'prot'.*It holds 'rna', 'prot'"):
        ATTACK(several, MODEL, **WHERE, mod="protein")
    other = mudata.MuData({"a": data[:, :3].copy(), "b": data[:, 3:6].copy()})
    with pytest.raises(DataError, match=r"'a', 'b', and none is called 'rna'. Choose one: mod='a'"):
        ATTACK(other, MODEL, **WHERE)
    with pytest.raises(DataError, match="There is no raw"):
        ATTACK(several, MODEL, **WHERE, mod="prot", use_raw=True)
    with pytest.raises(ParameterError, match="cannot change raw"):
        adv.modify(data, ["CD79A"], "perc1", **WHERE, use_raw=True, inplace=True)
