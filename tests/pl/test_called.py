"""Cells coloured by what they are called, before and after; and a colour of its own for each type."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.colors import to_hex

from adverscarial.attacks import SingleGene
from adverscarial.classifiers import wrap
from adverscarial.errors import InputRejected, ParameterError
from adverscarial.pl import umap
from adverscarial.pl._types import colours_of_types

KEPT = ["#ff0000", "#00ff00", "#0000ff"]


@pytest.fixture
def cells() -> AnnData:
    """Three clusters of ten cells; gene 0 decides between A and B, and half of the cells of A lie at the border."""
    rng = np.random.default_rng(0)
    X = rng.uniform(0, 0.2, (30, 4))
    X[:10, 0] = np.where(np.arange(10) < 5, 1, 3)
    X[20:, 1] = 5
    obs = pd.DataFrame({"kind": pd.Categorical(np.repeat(["A", "B", "C"], 10))}, index=[f"c{i}" for i in range(30)])
    adata = AnnData(X, obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(4)]))
    adata.obsm["X_umap"] = rng.normal(size=(30, 3))
    adata.uns["kind_colors"] = KEPT
    return adata


def rule(X: np.ndarray) -> np.ndarray:
    return np.where(X[:, 1] > 1, "C", np.where(X[:, 0] > 0.5, "A", "B"))


def colours(ax) -> tuple[list[str], list[str]]:
    """Return the colours of the other cells and of the attacked ones, in their order."""
    return tuple([to_hex(one) for one in drawn.get_facecolor()] for drawn in ax.collections)


def test_every_cell_has_the_colour_of_what_it_is_called(cells):
    result = SingleGene("perc1", search="exact")(cells, rule, groupby="kind", target="A")
    assert result.genes == ["g0"]
    before, after = umap(cells, result, classifier=rule)
    assert colours(before) == ([KEPT[1]] * 10 + [KEPT[2]] * 10, [KEPT[0]] * 10)
    assert colours(after) == ([KEPT[1]] * 10 + [KEPT[2]] * 10, [KEPT[1]] * 10)
    for ax in (before, after):  # at the places that the data have
        np.testing.assert_array_equal(ax.collections[-1].get_offsets(), cells.obsm["X_umap"][:10, :2])
    listed = [text.get_text() for text in after.get_legend().get_texts()]
    assert listed == ["A: 10 → 0", "B: 0 → 10", "C"]


def test_of_all_cells_at_once(cells):
    """Where the cells beside count, all may be called otherwise after the attack."""

    def above_the_mean(X: np.ndarray) -> np.ndarray:
        return np.where(X[:, 0] > X[:, 0].mean(), "A", "B")

    model = wrap(above_the_mean, needs_all_cells=True)
    result = SingleGene("perc1", search="exact")(cells, model, groupby="kind", target="A")
    _, after = umap(cells, result, classifier=model)
    said = above_the_mean(result.apply(cells).X)
    rest, attacked = colours(after)
    assert attacked + rest == [KEPT["AB".index(label)] for label in said]


def test_what_is_refused_has_a_colour_of_its_own(cells):
    def strict(X: np.ndarray) -> np.ndarray:
        if (X == 7).any():
            raise InputRejected("out of range")
        return rule(X)

    result = SingleGene("fixed:7", search="exact")(cells, strict, groupby="kind", target="A")
    assert result.n_rejected == 4
    _, after = umap(cells, result, classifier=strict, gene="g0")
    assert not set(colours(after)[1]) & set(KEPT)


def test_clusters_keep_the_colours_that_the_data_have(cells):
    result = SingleGene("perc1", search="exact")(cells, rule, groupby="kind", target="A")
    before, _ = umap(cells, result, basis="X_umap")
    assert colours(before) == ([KEPT[1]] * 10 + [KEPT[2]] * 10, ["#d55e00"] * 10)
    with pytest.raises(ParameterError, match=r"no embedding 'X_tsne' in obsm.*There are: 'X_umap', 'joint'"):
        umap(cells, result, basis="X_tsne")
    with pytest.raises(ParameterError, match="labels whole clusters"):
        umap(cells, result, classifier=lambda expression, clusters, target: ("A", 1.0))


@pytest.mark.parametrize("n", [2, 8, 9, 20, 21, 40, 101, 150])
def test_no_colour_stands_for_two_types(cells, n):
    names = [f"type {i}" for i in range(n)]
    found = colours_of_types(cells, "kind", names)
    assert list(found) == names
    assert len(set(found.values())) == n
    assert "#d55e00" not in found.values()
    some_kept = colours_of_types(cells, "kind", ["A", "B", *names])
    assert [some_kept["A"], some_kept["B"]] == KEPT[:2]
    assert len(set(some_kept.values())) == n + 2


def test_colours_of_the_data_that_do_not_fit_are_left(cells):
    cells.uns["kind_colors"] = ["#ff0000", "#ff0000", "#0000ff"]
    assert len(set(colours_of_types(cells, "kind", ["A", "B", "C"]).values())) == 3
    cells.uns["kind_colors"] = ["red"]
    assert len(set(colours_of_types(cells, "kind", ["A", "B", "C"]).values())) == 3


def test_colours_by_name_and_in_a_list(cells):
    result = SingleGene("perc1", search="exact")(cells, rule, groupby="kind", target="A")
    before, _ = umap(cells, result, classifier=rule, palette={"B": "black"})
    assert set(colours(before)[0]) == {"#000000", KEPT[2]}
    before, _ = umap(cells, result, classifier=rule, palette=["red", "lime", "black"])
    assert set(colours(before)[0]) == {"#00ff00", "#000000"}
    with pytest.raises(ParameterError, match="palette has 2 colours for 3 types"):
        umap(cells, result, classifier=rule, palette=["red", "blue"])


def test_a_type_has_one_colour_whichever_types_a_picture_shows():
    cells = AnnData(np.zeros((4, 1)), obs=pd.DataFrame({"kind": list("abcd")}, index=list("wxyz")))
    whole = colours_of_types(cells, "kind", list("abcd"))
    assert colours_of_types(cells, "kind", ["d", "b"]) == {"d": whole["d"], "b": whole["b"]}
    assert colours_of_types(cells, "kind", ["c", "other"])["other"] not in whole.values()
