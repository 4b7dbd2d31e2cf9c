"""What attacks do, where the classifier refuses the changed cells."""

from __future__ import annotations

from typing import Any

import pytest
from anndata import AnnData

import adverscarial as adv
from adverscarial import pl
from adverscarial.classifiers.answers import Answer
from adverscarial.errors import InputRejected
from adverscarial.evaluation import harm

WHERE = {"groupby": "cell_type", "target": "CD19+ B"}


class Cautious(adv.classifiers.Markers):
    """Marker scores, for cells without large values only."""

    def predict_cluster(self, adata: AnnData, *where: Any) -> Answer:
        if adata.X.max() > 50:
            raise InputRejected("values above 50")
        return super().predict_cluster(adata, *where)


@pytest.fixture
def results(pbmc_small: AnnData):
    model = adv.classifiers.Markers({"B": ["CD79A", "MS4A1"], "T": ["CD3D", "CD3E"]})
    gone = adv.attacks.SingleGene("fixed:0", genes=["CD79A"])
    huge = adv.attacks.SingleGene("fixed:60", genes=["CD3D"])
    return {name: attack(pbmc_small, model, **WHERE) for name, attack in (("huge", huge), ("small", gone))}


def test_a_refusal_is_the_outcome_rejected(pbmc_small: AnnData, results) -> None:
    assert results["huge"].genes == ["CD3D"]
    table = harm(pbmc_small, Cautious({"B": ["CD79A", "MS4A1"], "T": ["CD3D", "CD3E"]}), results)
    table = table.set_index("attack")
    assert table.loc["huge", "outcome"] == "rejected"
    assert not table.loc["huge", "flipped"]
    assert table.loc["huge", "harm"] == 1.0
    assert table.loc["huge", "genes"] == 1
    assert table.loc["small", "outcome"] in ("flipped", "held")
    assert (table["outcome"] == "flipped").to_list() == table["flipped"].to_list()


def test_refused_attacks_are_drawn_as_crosses(pbmc_small: AnnData, results) -> None:
    model = Cautious({"B": ["CD79A", "MS4A1"], "T": ["CD3D", "CD3E"]})
    table = harm(pbmc_small, model, results["huge"])
    crosses = [line for line in pl.harm(table).lines if line.get_marker() == "x"]
    assert [len(line.get_xdata()) for line in crosses] == [1]


def test_cells_that_are_refused_before_any_attack_are_an_error(pbmc_small: AnnData, results) -> None:
    model = Cautious({"B": ["CD79A", "MS4A1"], "T": ["CD3D", "CD3E"]})
    large = pbmc_small.copy()
    large.X = large.X * 1000
    with pytest.raises(InputRejected, match="above 50"):
        harm(large, model, results["small"])
