"""What is public, who may import whom, what is loaded only when it is needed, and how long files and functions are."""

import ast
import importlib
import inspect
import pickle
import subprocess
import sys
import types
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import adverscarial

ROOT = Path(adverscarial.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
# the command line is used from a shell: its names are not for import
PACKAGES = ["adverscarial", *sorted(f"adverscarial.{p.parent.name}" for p in ROOT.glob("[!_]*/__init__.py"))]
PACKAGES.remove("adverscarial.cli")

# bottom to top; a module may import its own layer and those below
LAYERS = [
    {
        "errors",
        "_memory",
        "_store",
        "_progress",
        "_html",
        "_registry",
        "_stored_types",
        "_types",
        "_names",
        "_compiled",
        "_docs",
    },
    {"cells"},
    {"modifications"},
    {"datasets"},
    {"classifiers"},
    {"attacks"},
    {"surveys"},
    {"evaluation", "hardening", "stresses"},
    {"pl"},
    {"report"},
    {"reproduce"},
    {"cli"},
    {"__init__", "__main__"},
]
LAYER = {name: number for number, names in enumerate(LAYERS) for name in names}
# Survey.report() and Survey.verdicts(), for convenience; inside functions, so that no import runs in a circle
EXCEPTION = ("surveys/table.py", {"adverscarial.report", "adverscarial.evaluation.verdicts"})


@pytest.mark.parametrize("name", PACKAGES)
def test_all_is_what_can_be_imported(name: str) -> None:
    package = importlib.import_module(name)
    listed = package.__all__
    assert len(listed) == len(set(listed))  # their order is the linter's
    for key in listed:  # a package may load its names when they are used
        getattr(package, key)
    public = {
        key
        for key, value in vars(package).items()
        if not key.startswith("_")
        and not isinstance(value, types.ModuleType)
        and key not in ("annotations", "Any", "TYPE_CHECKING")
    }
    modules = {key for key in listed if isinstance(getattr(package, key), types.ModuleType)}
    assert set(listed) == public | modules
    for key in modules:
        assert getattr(package, key) is importlib.import_module(f"{name}.{key}")


@pytest.mark.parametrize("name", PACKAGES)
def test_every_public_object_says_what_it_is(name: str) -> None:
    package = importlib.import_module(name)
    assert package.__doc__
    silent = []
    for key in package.__all__:
        value = getattr(package, key)
        if not inspect.getdoc(value) or (isinstance(value, type) and "__doc__" not in vars(value)):
            silent.append(key)
        if isinstance(value, type):
            silent += [
                f"{key}.{attribute}"
                for attribute, member in inspect.getmembers(value)
                if not attribute.startswith("_")
                and (inspect.isroutine(member) or isinstance(member, property))
                and not inspect.getdoc(member)
                and "adverscarial" in str(getattr(member, "__module__", "adverscarial"))
            ]
    assert not silent


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_modules_are_short_and_say_what_they_are(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= 500
    assert ast.get_docstring(parsed(file))


def test_at_most_one_function_in_a_hundred_is_long() -> None:
    """Above 40 lines, its docstring not counted."""
    functions = [
        node
        for file in FILES
        for node in ast.walk(parsed(file))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    long = [function.name for function in functions if lines_of_code(function) > 40]
    assert len(long) <= len(functions) / 100, long


def lines_of_code(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return how many lines a function has without its docstring."""
    assert function.end_lineno is not None
    first = function.body[0]
    told = 0 if ast.get_docstring(function) is None else (first.end_lineno or first.lineno) - first.lineno + 1
    return function.end_lineno - function.lineno + 1 - told


def test_lines_are_counted_without_the_docstring() -> None:
    """So that the test above can fail."""
    (function,) = ast.parse('def f():\n    """One.\n\n    Two.\n    """\n    a = 1\n    return a\n').body
    assert isinstance(function, ast.FunctionDef)
    assert lines_of_code(function) == 3


@cache
def parsed(file: Path) -> ast.Module:
    """Return a file's syntax tree, which several tests read."""
    return ast.parse(file.read_text())


def imported(file: Path) -> set[tuple[str, bool]]:
    """Return the modules of this package that a file imports, and whether inside a function."""
    tree = parsed(file)
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    found = set()
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: write imports in full"
            names = [str(node.module)]
            if node.module == "adverscarial":
                names = [f"adverscarial.{alias.name}" for alias in node.names]
        found |= {(name, id(node) in inside) for name in names if name.split(".")[0] == "adverscarial"}
    return found


def layer_of_module(name: str) -> int:
    parts = name.split(".")
    room = parts[1] if len(parts) > 1 else "__init__"
    assert room in LAYER, f"'{room}' has no layer yet: place it in LAYERS, and in the design"
    return LAYER[room]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_module_imports_a_layer_above_it(file: Path) -> None:
    place = file.relative_to(ROOT)
    own = layer_of_module("adverscarial." + place.parts[0].removesuffix(".py"))
    upward = {(name, within) for name, within in imported(file) if layer_of_module(name) > own}
    if place.as_posix() == EXCEPTION[0]:
        assert upward <= {(room, True) for room in EXCEPTION[1]}
    else:
        assert not upward


def runtime_imports(file: Path) -> set[str]:
    """Return the modules of this package that a file needs when it runs: imports for types only are left out."""
    tree = parsed(file)
    typed = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and "TYPE_CHECKING" in ast.unparse(branch.test)
        for node in ast.walk(branch)
    }
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and id(node) not in typed and str(node.module).startswith("adverscarial"):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in MODULES else str(node.module))
        elif isinstance(node, ast.Import) and id(node) not in typed:
            found |= {alias.name for alias in node.names if alias.name.startswith("adverscarial")}
    return found


def module_of(file: Path) -> str:
    parts = ("adverscarial", *file.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(file): file for file in FILES}


def test_no_files_import_each_other_in_a_circle() -> None:
    arrows = {name: runtime_imports(file) - {name} for name, file in MODULES.items()}
    arrows[module_of(ROOT / EXCEPTION[0])] -= EXCEPTION[1]
    order = TopologicalSorter({name: targets & set(MODULES) for name, targets in arrows.items()})
    order.prepare()  # raises CycleError, which names the files


def test_the_import_reader_sees_imports(tmp_path: Path) -> None:
    """So that the test above can fail."""
    file = tmp_path / "x.py"
    file.write_text(
        "import numpy\nimport adverscarial.cli\nfrom adverscarial import pl\n"
        "def f():\n    from adverscarial.report.page import g\n"
    )
    assert imported(file) == {
        ("adverscarial.cli", False),
        ("adverscarial.pl", False),
        ("adverscarial.report.page", True),
    }


def test_importing_loads_no_optional_package() -> None:
    optional = ("torch", "celltypist", "scvi", "xgboost", "lightgbm", "openpyxl", "loompy", "rds2py", "skops")
    code = f"import adverscarial, sys; print([name for name in {optional!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert done.stderr == ""


@pytest.mark.slow
def test_names_are_loaded_when_they_are_used() -> None:
    code = (
        "import adverscarial as adv, sys\n"
        "assert not {'numpy', 'pandas', 'anndata', 'scanpy', 'sklearn', 'numba'} & set(sys.modules)\n"
        "assert {'survey', 'attacks', 'modifications'} <= set(dir(adv))\n"
        "from adverscarial import Survey\n"
        "assert adv.Survey is Survey is adv.surveys.Survey\n"
        "assert adv.modifications.parse('perc99') == adv.Percentile(99)\n"
        "assert not hasattr(adv, 'Nothing')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_a_checker_sees_is_what_is_loaded() -> None:
    """The imports that only type checkers read, and the table that is used, name the same things."""
    tree = ast.parse((ROOT / "__init__.py").read_text())
    seen = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "adverscarial":
            home = str(node.module).partition(".")[2]
            seen |= {alias.name: home for alias in node.names}
    used = {name: home for home, names in adverscarial._HOMES.items() for name in names}
    assert {name: home for name, home in seen.items() if home} == used
    assert set(seen) == {*adverscarial.__all__, *adverscarial._ROOMS}


def test_errors_come_back_from_other_processes() -> None:
    error = adverscarial.errors.MissingDependencyError("loompy", "loom", "Reading a .loom file")
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), str(back)) == (type(error), str(error))
