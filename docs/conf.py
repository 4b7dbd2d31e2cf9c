"""Settings of the documentation: ``make docs`` builds it into ``docs/_build/html``."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Any

import adverscarial

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from _needing_pages import read as read_needing_page
from _reference import documented
from _verdict_table import read as read_verdict_table

project = "adverscarial"
author = "The adverscarial developers"
copyright = f"2026, {author}"
version = release = adverscarial.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
    "sphinx_autodoc_typehints",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build"]
suppress_warnings = [
    # settings that a dataclass inherits are annotated in the words of the module that they come from
    "sphinx_autodoc_typehints.forward_reference",
]
# of a release of sphinx_autodoc_typehints that is older than this Sphinx
warnings.filterwarnings("ignore", module="sphinx_autodoc_typehints", category=DeprecationWarning)

# -- pages that run ------------------------------------------------------------------------------------------------
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "cache"  # in _build: a page runs again when its text changes, or after `rm -r docs/_build`
nb_execution_raise_on_error = True
nb_execution_in_temp = True  # what a page writes is not kept
nb_execution_timeout = 300
nb_merge_streams = True
# the processes of the pages draw sharp pictures, find the command line of this environment, and show no progress bar
os.environ["MATPLOTLIBRC"] = str(HERE / "matplotlibrc")
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
os.environ["TQDM_DISABLE"] = "1"
os.environ["PYTHONWARNINGS"] = "ignore:IProgress not found"

# -- reference -----------------------------------------------------------------------------------------------------
autosummary_generate = True
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_ivar = True
typehints_defaults = "braces"
always_use_bars_union = True
# links to other projects need their indexes, that is a network; without it, their names are plain text
if os.environ.get("ADVERSCARIAL_DOCS_ONLINE"):
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "anndata": ("https://anndata.readthedocs.io/en/stable", None),
        "matplotlib": ("https://matplotlib.org/stable", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "pandas": ("https://pandas.pydata.org/docs", None),
        "scanpy": ("https://scanpy.readthedocs.io/en/stable", None),
    }

# -- links to other places: `make linkcheck` opens each, with a network -----------------------------------------------
linkcheck_timeout = 30
linkcheck_retries = 2
linkcheck_anchors = False  # of pages that are made by scripts, anchors are not to be found in what is sent

# -- looks ---------------------------------------------------------------------------------------------------------
templates_path = ["_templates"]
html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_theme_options = {
    "navigation_with_keys": False,
    "navbar_persistent": [],  # the side bar has the search already
    "use_download_button": False,
    "use_fullscreen_button": False,
    "show_navbar_depth": 1,  # deeper levels open on a click
}
html_copy_source = False
html_show_sourcelink = False


def prose_returns(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Keep a Returns section that is prose in one piece: numpydoc would read each of its lines as a type."""
    for start in [i for i in range(1, len(lines)) if lines[i - 1] == "Returns" and set(lines[i]) == {"-"}]:
        heads = [i for i in range(start + 1, len(lines) - 1) if lines[i + 1] and set(lines[i + 1]) == {"-"}]
        end = heads[0] if heads else len(lines)
        if not any(line.startswith(" ") for line in lines[start + 1 : end]):
            lines[start + 1 : end] = [":", *(f"    {line}".rstrip() for line in lines[start + 1 : end])]
            return


def ask_the_registry(app: Any, uri: str) -> str | None:
    """Ask doi.org whether there is such a DOI: many publishers turn away whoever is no browser."""
    doi = uri.removeprefix("https://doi.org/")
    return None if doi == uri else f"https://doi.org/api/handles/{doi}"


def link_by_object(app: Any, env: Any, node: Any, contnode: Any) -> Any:
    """Lead a reference to a name's home, or its name alone, to the public name that has a page."""
    target = str(node.get("reftarget", ""))
    if node.get("refdomain") != "py" or not (page := PAGES.get(target) or PAGES.get(target.rpartition(".")[2])):
        return None
    from_doc = node.get("refdoc", "")
    return env.domains["py"].resolve_xref(env, from_doc, app.builder, "obj", page, node, contnode)


def _pages() -> dict[str, str]:
    """Return where each public object has its page: by its home, and by its name where only one has it."""
    pages: dict[str, str] = {}
    names: dict[str, list[str]] = {}
    for name, obj in documented((HERE / "api.md").read_text()).items():
        pages[f"{obj.__module__}.{obj.__qualname__}"] = name
        names.setdefault(obj.__qualname__, []).append(name)
    return {short: found[0] for short, found in names.items() if len(found) == 1} | pages


PAGES = _pages()


def setup(app: Any) -> None:
    """Connect the functions above, and pages that need R, data or a package."""
    app.connect("source-read", read_needing_page)
    app.connect("source-read", read_verdict_table)
    app.connect("autodoc-process-docstring", prose_returns, priority=400)  # before napoleon's 500
    app.connect("missing-reference", link_by_object)
    app.connect("linkcheck-process-uri", ask_the_registry)
