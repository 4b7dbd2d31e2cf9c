"""A classifier of another package: everything that works for ours works for it, found through its entry point."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from anndata import AnnData
from sklearn.base import clone

import adverscarial as adv
from adverscarial import _store
from adverscarial.classifiers.registry import ADAPTERS, FAMILIES, offered
from adverscarial.errors import StorageError
from made_up import install

PAGE = Path(__file__).parents[2] / "docs" / "tasks" / "own-classifier.md"
ADAPTER = """

class Rule:
    def __init__(self, classifier):
        self.classifier = classifier


class RuleAdapter(Classifier, wraps=5):
    def __init__(self, rule):
        self.rule = rule
        self.classes, self.genes = rule.classifier.classes, rule.classifier.genes

    @classmethod
    def recognises(cls, obj):
        return isinstance(obj, Rule)

    def decide(self, X):
        return self.rule.classifier.decide(X)
"""


def of_the_page() -> str:
    """Return the classifier that the documentation shows."""
    cells = re.findall(r"```\{code-cell\}\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    return next(code for code in cells if "class NearestMean" in code)


def test_the_page_needs_few_lines() -> None:
    lines = [line for line in of_the_page().splitlines() if line.strip() and not line.startswith(("import", "from"))]
    assert len(lines) <= 40


@pytest.fixture
def package(tmp_path: Path) -> Iterator[Path]:
    """The package on the path, and this process as if it had just started."""
    folder = tmp_path / "site"
    folder.mkdir()
    found = "[adverscarial.classifiers]\nnearest-mean = nearest_mean_cells\n"
    install(folder, "nearest-mean-cells", "nearest_mean_cells", of_the_page() + ADAPTER, found)
    before = [dict(registry._things) for registry in (FAMILIES, ADAPTERS)]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        for registry in (FAMILIES, ADAPTERS):
            patch.setattr(registry, "_complete", False)
        yield folder
    sys.modules.pop("nearest_mean_cells", None)
    for registry, things in zip((FAMILIES, ADAPTERS), before, strict=True):
        registry._things = things


@pytest.fixture
def cells(pbmc_small: AnnData) -> AnnData:
    return pbmc_small[pbmc_small.obs["cell_type"].isin(["Dendritic", "CD19+ B", "CD56+ NK"]), :30].copy()


def shell(folder: Path, *arguments: Any) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, which finds the package on its path."""
    paths = [str(folder), str(Path(adv.__file__).parents[1])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "COLUMNS": "200", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "adverscarial", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_it_is_trained_saved_read_checked_and_surveyed(package: Path, cells: AnnData, tmp_path: Path) -> None:
    model = offered()["nearest-mean"]().fit(cells, "cell_type")
    assert clone(model).get_params() == {"scale": 1.0}
    assert adv.classifiers.check(model, cells, groupby="cell_type")

    model.save(tmp_path / "model.npz")
    assert _store.load(tmp_path / "model.npz", "classifier")[0]["distribution"] == "nearest-mean-cells"
    again = adv.classifiers.load(tmp_path / "model.npz")
    assert type(again) is type(model)
    assert again.predict(cells).equals(model.predict(cells))

    def survey() -> adv.Survey:
        return adv.survey(
            cells, again, attacks=adv.attacks.SingleGene("perc99"), groupby="cell_type", out=tmp_path / "run",
            progress=False,
        )  # fmt: skip

    frame = survey().to_frame()
    assert len(frame) == 3
    resumed = survey().to_frame()
    assert resumed.drop(columns="seconds", errors="ignore").equals(frame.drop(columns="seconds", errors="ignore"))


def test_its_objects_are_wrapped(package: Path, cells: AnnData) -> None:
    import nearest_mean_cells  # type: ignore[import-not-found]

    model = offered()["nearest-mean"]().fit(cells, "cell_type")
    wrapped = adv.classifiers.wrap(nearest_mean_cells.Rule(model))
    assert type(wrapped).__name__ == "RuleAdapter"
    assert wrapped.predict(cells).tolist() == model.predict(cells).tolist()


def test_a_file_of_a_package_that_is_not_installed_names_it(
    package: Path, cells: AnnData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered()["nearest-mean"]().fit(cells, "cell_type").save(tmp_path / "model.npz")
    things = {name: kind for name, kind in FAMILIES._things.items() if name != "nearest-mean"}
    monkeypatch.setattr(FAMILIES, "_things", things)
    with pytest.raises(StorageError, match=r"'nearest-mean-cells', which is not installed.*pip install nearest"):
        adv.classifiers.load(tmp_path / "model.npz")


@pytest.mark.slow
def test_the_command_line_offers_it_by_name(package: Path, cells: AnnData, tmp_path: Path) -> None:
    listed = json.loads(shell(package, "list", "--json").stdout)
    assert listed["classifiers"]["nearest-mean"] == "The closest mean profile."

    data, model = tmp_path / "cells.h5ad", tmp_path / "model.npz"
    cells.write_h5ad(data)
    ask = [data, "--groupby", "cell_type", "--classifier"]
    done = shell(package, "train", *ask, "nearest-mean", "--out", model, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["classifier"] == "NearestMean"
    done = shell(package, "attack", *ask, model, "--target", "Dendritic", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["classifier"] == "NearestMean"
