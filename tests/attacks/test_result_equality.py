"""Two results are equal when they say the same; how long it took does not count."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import adverscarial as adv
from adverscarial.attacks.columns import Count
from adverscarial.errors import ParameterError

ATTACKS: dict[str, adv.attacks.Attack[Any]] = {
    "single-gene": adv.attacks.SingleGene("perc99", genes=["LYZ", "CD79A"]),
    "max-change": adv.attacks.MaxChange("perc99", restarts=1),
    "min-change": adv.attacks.MinChange("perc99"),
    "cgd": adv.attacks.ClusterGradientDescent(genes=["LYZ", "CD79A", "NKG7"]),
    "grid": adv.attacks.Grid(["LYZ", "CD79A"]),
    "random-walk": adv.attacks.RandomWalk(["LYZ", "CD79A"], tries=3, steps=3),
}


@pytest.mark.fast(2)
@pytest.mark.parametrize("name", ATTACKS)
def test_results_are_compared_by_content(name: str, pbmc_small: Any, tmp_path: Path) -> None:
    def run(seed: int = 0, target: str = "Dendritic") -> Any:
        model = adv.classifiers.ScType(scaled=False)
        return ATTACKS[name](pbmc_small, model, groupby="cell_type", target=target, seed=seed)

    one, same = run(), run()
    one.save(tmp_path / "result.npz")
    back = adv.attacks.Result.load(tmp_path / "result.npz")
    assert one == same == back
    assert hash(one) == hash(same)
    assert len({one, same, back}) == 1
    assert one == replace(one, seconds=one.seconds + 1)
    assert one != run(target="CD19+ B")
    assert one != run(seed=1)
    assert one != replace(one, queries=one.queries + 1)
    assert one != "a result"


def test_marks_that_are_no_dict_are_refused_at_once() -> None:
    with pytest.raises(ParameterError, match=r"Count\(marks=\) of the column 'found' must be a dict"):
        Count("found", "what is found", marks=("†", "only a bound"))  # type: ignore[arg-type]
