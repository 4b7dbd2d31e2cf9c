"""Modifications register themselves, those of other packages too."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import adverscarial as adv
from adverscarial.cells.cluster import Cluster
from adverscarial.errors import ParameterError
from adverscarial.modifications import Modification, parse
from adverscarial.modifications.base import MODIFICATIONS, examples, kinds

OWN = [adv.Percentile, adv.Decile, adv.Random, adv.Aberrant, adv.Dropout, adv.Thinning, adv.Fixed]


@pytest.fixture
def registry() -> Iterator[None]:
    """Leave the registry as it was."""
    before = dict(MODIFICATIONS._things)
    yield
    MODIFICATIONS._things.clear()
    MODIFICATIONS._things.update(before)


def test_the_package_s_own_kinds_stand_in_the_order_of_lists() -> None:
    assert [kind for kind in kinds().values() if kind in OWN] == OWN
    assert list(examples())[:5] == ["perc1", "perc99", "perc99:expressing", "perc99:others", "decile+5"]


def test_each_kind_says_whether_its_values_are_possible_and_whether_it_draws() -> None:
    assert {kind for kind in OWN if kind.possible} == {
        adv.Percentile,
        adv.Decile,
        adv.Random,
        adv.Dropout,
        adv.Thinning,
    }
    assert {kind for kind in OWN if kind.possible is False} == {adv.Aberrant}
    assert adv.Fixed.possible is None
    assert adv.Custom.possible is None
    assert {kind for kind in OWN if kind.random} == {adv.Random, adv.Dropout, adv.Thinning}


@pytest.mark.usefixtures("registry")
def test_a_class_of_the_user_s_own_has_text_and_meaning() -> None:
    @dataclass(frozen=True, repr=False)
    class Scale(Modification, name="scale"):
        """Every value is multiplied by a factor.

        More about it.
        """

        factor: float

        def values(self, cluster: Cluster, genes: np.ndarray) -> np.ndarray:
            return self.factor * cluster.values(genes)

    assert parse("scale:2.5") == Scale(2.5)
    assert str(Scale(2)) == "scale:2"
    assert repr(parse("scale:2")) == "Scale(2.0)"
    assert examples()["scale:1"] == "Every value is multiplied by a factor."  # shown in lists
    assert Scale(2).meaning == "Every value is multiplied by a factor."
    assert Scale.possible is None
    adata = adv.datasets.embedded()
    changed = adv.modify(adata, ["CD79A"], "scale:2", groupby="cell_type", target="CD19+ B")
    inside = (adata.obs["cell_type"] == "CD19+ B").to_numpy()
    np.testing.assert_allclose(changed[inside, "CD79A"].X.toarray(), 2 * adata[inside, "CD79A"].X.toarray())


@pytest.mark.usefixtures("registry")
def test_an_example_that_does_not_fit_the_pattern_is_refused() -> None:
    with pytest.raises(ParameterError, match="Twice: its example 'twice' does not fit its pattern 'double'"):
        type("Twice", (Modification,), {"pattern": "double", "examples": {"twice": ""}}, name="twice")
    assert "twice" not in MODIFICATIONS.known()


@pytest.mark.usefixtures("registry")
def test_a_subclass_does_not_take_over_the_texts_of_its_base() -> None:
    @dataclass(frozen=True, repr=False)
    class Another(adv.Percentile):
        pass

    @dataclass(frozen=True, repr=False, slots=True)
    class Named(Modification, name="named"):
        """Made anew by the decorator, for its slots."""

        v: float

        def values(self, cluster: Cluster, genes: np.ndarray) -> np.ndarray:
            return np.full((1, len(genes)), self.v)

    assert type(parse("perc99")) is adv.Percentile
    assert Another.name == ""
    assert parse("named:3") == Named(3)


MODULE = '''
"""A package that adds a modification."""
from dataclasses import dataclass
from adverscarial.modifications import Modification

@dataclass(frozen=True, repr=False)
class Halve(Modification, name="halve"):
    """Every value is halved."""
    pattern = "halve"
    examples = {"halve": "halve each value"}
    possible = True
    def values(self, cluster, genes):
        return cluster.values(genes) / 2
    @classmethod
    def parsed(cls, match):
        return cls()
'''


def installed(folder: Path, module: str) -> None:
    """Write a package into a folder as an installer would."""
    (folder / "halving.py").write_text(module)
    info = folder / "halving-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: halving\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[adverscarial.modifications]\nhalve = halving\n")


def python(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    start = f"import sys; sys.path.insert(0, {str(folder)!r}); "
    return subprocess.run([sys.executable, "-c", start + code], capture_output=True, text=True, check=True)


@pytest.mark.slow
def test_another_package_s_modification_is_found_and_listed(tmp_path: Path) -> None:
    installed(tmp_path, MODULE)
    code = (
        "from adverscarial.modifications import parse; parse('perc99'); print('halving' in sys.modules); "
        "print(repr(parse('halve')), parse('halve'), parse('halve').meaning); "
        "from adverscarial.cli.listing import list_; list_(json=True)"
    )
    out = python(tmp_path, code).stdout
    assert out.startswith("False\nHalve() halve Every value is halved.\n")  # loaded only when it is asked for
    assert '"halve": "halve each value"' in out


@pytest.mark.slow
def test_a_broken_package_does_not_break_ours(tmp_path: Path) -> None:
    installed(tmp_path, "1 / 0")
    code = (
        "from adverscarial.modifications import parse\n"
        "try: parse('halve')\nexcept ValueError as error: print(error)\nprint(parse('perc99'))"
    )
    done = python(tmp_path, code)
    assert done.stdout.startswith("'halve' is no modification.")
    assert done.stdout.endswith("perc99\n")
    assert "could not be loaded: ZeroDivisionError: division by zero" in done.stderr
    assert "of the package" in done.stderr
    assert "Traceback" not in done.stderr
