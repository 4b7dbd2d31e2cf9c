"""An attack of another package: found, run, stored, read, resumed, listed and reported as if it were ours."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from made_up import install

PAGE = Path(__file__).parents[1] / "docs" / "tasks" / "own-attack.md"
SCRIPT = """
import sys
from pathlib import Path
import adverscarial as adv

out, step = Path(sys.argv[1]), sys.argv[2]
cells = adv.datasets.embedded()
model = adv.classifiers.ScType(scaled=False)
attack = adv.attacks.named("peel")("perc1", 5)
if step == "run":
    result = attack(cells, model, groupby="cell_type", target="Dendritic")
    assert result.verify(cells, model)
    assert repr(attack) == "Peel(Percentile(1), most=5)"
    result.save(out / "one.npz")
    back = adv.attacks.Result.load(out / "one.npz")
    assert type(back).__name__ == "PeelResult" and back.genes == result.genes and back.attack == attack
attacks = [attack, adv.attacks.SingleGene("perc1")]
targets = ["Dendritic", "CD19+ B"]
found = adv.survey(cells, model, attacks=attacks, groupby="cell_type", targets=targets, out=out / "run")
table = found.to_frame()
assert table["peeled"].tolist()[0::2] == [len(result.genes) for result in found.results[0::2]]
assert table["peeled"].isna().tolist() == [False, True, False, True]
assert adv.Survey.load(out / "run").to_frame().equals(table)
report = found.report(out / "report.html").read_text()
assert "Peel" in report
print("done", len(found.results))
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The attack of the documentation's page, as an installed package."""
    folder = tmp_path_factory.mktemp("site")
    code = re.findall(r"```\{code-cell\}\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)[0]
    install(folder, "peeling-attack", "peeling", code, "[adverscarial.attacks]\npeel = peeling:Peel\n")
    return folder


def python(*arguments: str, path: Path | None) -> subprocess.CompletedProcess[str]:
    import adverscarial

    places = [str(Path(adverscarial.__file__).parents[1]), *([str(path)] if path else [])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment, check=False)


def test_the_page_needs_few_lines() -> None:
    code = re.findall(r"```\{code-cell\}\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)[0]
    lines = [line for line in code.splitlines() if line.strip() and not line.startswith(("import", "from"))]
    assert len(lines) <= 40


@pytest.mark.slow
def test_an_attack_of_another_package_lives_as_ours_do(package: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    for step in ("run", "again"):  # the second continues the first one's folder
        done = python(str(script), str(tmp_path), step, path=package)
        assert done.stdout.strip() == "done 4", done.stderr
    # where the package is not installed, its results say what to install
    code = "import sys, adverscarial as adv; adv.attacks.Result.load(sys.argv[1])"
    without = python("-c", code, str(tmp_path / "one.npz"), path=None)
    assert "StorageError" in without.stderr
    assert "pip install peeling-attack" in without.stderr


@pytest.mark.slow
def test_the_command_line_knows_it(package: Path, tmp_path: Path) -> None:
    listed = python("-m", "adverscarial", "list", "--json", path=package)
    assert json.loads(listed.stdout)["attacks"]["peel"]["question"].startswith("How many of its strongest genes")
    make = "import sys, adverscarial as adv; adv.datasets.embedded().write_h5ad(sys.argv[1])"
    assert python("-c", make, str(tmp_path / "cells.h5ad"), path=None).returncode == 0
    done = python(
        "-m", "adverscarial", "attack", str(tmp_path / "cells.h5ad"), "--groupby", "cell_type", "--target", "Dendritic",
        "--classifier", "sctype", "--attack", "peel", "--modification", "perc1", "--json", path=package,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["attack"] == "Peel"
    unknown = python(
        "-m", "adverscarial", "attack", "x.h5ad", "--groupby", "g", "--target", "t", "--attack", "peel", path=None
    )
    assert unknown.returncode == 2


def test_a_name_of_ours_cannot_be_taken() -> None:
    from adverscarial.attacks import Attack, SingleGene, named
    from adverscarial.classifiers import Classifier
    from adverscarial.classifiers.registry import FAMILIES
    from adverscarial.errors import ParameterError

    with pytest.raises(ParameterError, match=r"'single-gene' is taken by adverscarial's own SingleGene.*another name"):
        type("Mine", (Attack,), {"__module__": "somebody"}, name="single-gene")
    assert named("single-gene") is SingleGene
    family = next(iter(FAMILIES.known()))
    with pytest.raises(ParameterError, match="Give yours another name"):
        type("Mine", (Classifier,), {"__module__": "somebody"}, family=family)


def test_an_entry_point_of_another_name_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    from adverscarial._registry import Registry

    (tmp_path / "somebody.py").write_text("class Thing: pass\nclass Other: pass\n")
    info = tmp_path / "somebody-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: somebody\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[a.group]\nmy-thing = somebody:Thing\nmy_other = somebody:Other\n")
    monkeypatch.syspath_prepend(tmp_path)
    import somebody

    things = Registry[type]("a.group")
    things.add("something", somebody.Thing)
    things.add("my-other", somebody.Other)
    assert set(things) == {"something", "my-other"}
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("The entry point 'my-thing' of a.group brings what calls itself 'something'")


def test_modules_are_found_in_the_packages_that_bring_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from adverscarial._registry import distribution_of, distributions

    files = {
        "top": {"top_level.txt": "first\nsecond\n"},
        "record": {
            "RECORD": 'third/__init__.py,,\nfourth.py,,\n../bin/x,,\n"fifth/a,b.py",,\nrecord-1.dist-info/RECORD,,\n'
        },
    }
    for name, texts in files.items():
        folder = tmp_path / f"{name}-1.dist-info"
        folder.mkdir()
        for file, text in (texts | {"METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n"}).items():
            (folder / file).write_text(text)
    distributions.cache_clear()
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        found = {
            module: [package.name for package in distributions()[module]] for module in ("second", "third", "fifth")
        }
        assert found == {"second": ["top"], "third": ["record"], "fifth": ["record"]}
        assert distribution_of(type("Other", (), {"__module__": "fourth.part"})) == "record"
        assert distribution_of(type("Other", (), {"__module__": "nowhere"})) == "nowhere"
        assert ".." not in distributions()
    finally:
        distributions.cache_clear()


@pytest.mark.slow
def test_the_modules_of_all_packages_are_those_that_python_tells() -> None:
    from importlib.metadata import packages_distributions

    from adverscarial._registry import distributions

    ours = {module: sorted(package.name for package in found) for module, found in distributions().items()}
    theirs = {module: sorted(names) for module, names in packages_distributions().items()}
    ours.pop("__pycache__", None)  # listed, and there only once Python has run
    theirs.pop("__pycache__", None)
    assert ours == theirs
