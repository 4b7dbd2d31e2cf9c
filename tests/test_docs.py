"""The reference page lists every public name; all else about the pages is Sphinx's to check (``make docs``)."""

from __future__ import annotations

import importlib
import importlib.util
import types
from pathlib import Path

import pytest

import adverscarial

DOCS = Path(__file__).parents[1] / "docs"
PACKAGES = [
    "adverscarial",
    *(f"adverscarial.{p.parent.name}" for p in Path(adverscarial.__file__).parent.glob("[!_]*/__init__.py")),
]


@pytest.fixture(scope="module")
def documented():
    spec = importlib.util.spec_from_file_location("_reference", DOCS / "_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.documented


@pytest.mark.parametrize("name", sorted(set(PACKAGES) - {"adverscarial.cli"}))
def test_every_public_name_is_in_the_reference(name: str, documented) -> None:
    listed = {id(obj) for obj in documented((DOCS / "api.md").read_text()).values()}
    package = importlib.import_module(name)
    public = {key: getattr(package, key) for key in package.__all__}
    missing = [key for key, obj in public.items() if not isinstance(obj, types.ModuleType) and id(obj) not in listed]
    assert not missing, f"list them in docs/api.md: {missing}"


def test_every_error_is_in_the_reference(documented) -> None:
    listed = documented((DOCS / "api.md").read_text())
    errors = {
        key for key, obj in vars(adverscarial.errors).items() if isinstance(obj, type) and issubclass(obj, Exception)
    }
    assert {f"adverscarial.errors.{key}" for key in errors} <= set(listed)


def test_the_page_is_read_as_sphinx_reads_it(documented) -> None:
    """So that the tests above can fail."""
    page = "text\n.. currentmodule:: adverscarial\n\n.. autosummary::\n   :toctree: api\n\n   modify\n\nmodify\n"
    assert documented(page) == {"adverscarial.modify": adverscarial.modify}
    with pytest.raises(AttributeError, match="gone"):
        documented(page.replace("   modify", "   gone"))


def test_the_table_of_verdicts_has_every_finding() -> None:
    spec = importlib.util.spec_from_file_location("_verdict_table", DOCS / "_verdict_table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    pages = list((DOCS / "results").glob("*/fig*/README.md"))
    listed = sum(page.read_text().count("\n- **") for page in pages)
    found = module.findings(DOCS / "results")
    assert sum(map(len, found.values())) == listed > 0
    text = module.table(DOCS / "results")
    assert text.count("README.md)") == listed
    assert "_" not in text.partition("\n")[0]  # a long name without a break would push the last data set off the page
    assert module.MARK in (DOCS / "results.md").read_text()
