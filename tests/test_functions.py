"""How long functions are. (How many ways lead through them, and how many arguments they take, the linter sees to.)"""

import ast
from pathlib import Path

import pytest

import adverscarial

_LONG = 40  # lines, the docstring not counted
_SHARE = 0.01


def lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function without its docstring."""
    first, whole = function.body[0], (function.end_lineno or 0) - function.lineno + 1
    documented = ast.get_docstring(function) is not None
    return whole - ((first.end_lineno or 0) - first.lineno + 1 if documented else 0)


def test_lines_are_counted_without_the_docstring() -> None:
    (function,) = ast.parse('def f():\n    """One.\n\n    Two.\n    """\n    a = 1\n    return a\n').body
    assert isinstance(function, ast.FunctionDef)
    assert lines(function) == 3


@pytest.mark.slow
def test_long_functions_are_rare() -> None:
    trees = [ast.parse(file.read_text()) for file in Path(adverscarial.__file__).parent.rglob("*.py")]
    functions = [
        node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    long = {function.name: lines(function) for function in functions if lines(function) > _LONG}
    assert len(long) <= _SHARE * len(functions), long
