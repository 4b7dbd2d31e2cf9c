"""What code is known by: functions, methods, classes and modules.

A function of an installed package is known by its name and the package's version. Any other function, from a notebook
or a file of the user's, is known by its code, its default arguments, the variables of the functions around it, and
every global that it names, and these by their content again. So is each class, by its methods and attributes.
"""

from __future__ import annotations

import builtins
import dis
import functools
import hashlib
import importlib
import importlib.util
import sys
import types
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Protocol

from adverscarial._registry import distributions

_KINDS = (
    types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType, types.CodeType, types.CellType,
    types.MappingProxyType, types.MemberDescriptorType, types.GetSetDescriptorType, types.WrapperDescriptorType,
    types.MethodDescriptorType, types.ClassMethodDescriptorType, types.MethodWrapperType,
    type, property, classmethod, staticmethod, functools._lru_cache_wrapper,
)  # fmt: skip

#: what Python itself writes into each class, and what only describes it
_NOT_CONTENT = frozenset({
    "__dict__", "__weakref__", "__module__", "__doc__", "__qualname__", "__annotations__", "__annotate__",
    "__annotate_func__", "__abstractmethods__", "_abc_impl", "__firstlineno__", "__static_attributes__",
    "__dataclass_fields__", "__dataclass_params__", "__match_args__", "__parameters__", "__orig_bases__",
})  # fmt: skip


class Reader(Protocol):
    """Reads the content of objects of all other kinds; see :mod:`adverscarial.surveys.identity`."""

    def of(self, obj: object) -> bytes:
        """Return the hash of an object."""

    def all(self, tag: str, parts: Iterable[object]) -> bytes:
        """Return the hash of several objects in their order."""


def combine(tag: str, parts: Iterable[bytes]) -> bytes:
    """Return one hash of several, which depends on their order; `tag` says what they are parts of."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (tag.encode("utf-8", "surrogatepass"), *parts):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()


def is_code(obj: object) -> bool:
    """Return whether :func:`read_code` is to read this object."""
    return isinstance(obj, _KINDS) or _compiled_from(obj) is not None


def _compiled_from(obj: object) -> object | None:
    """Return the Python function that numba compiles; None for all other objects."""
    dispatcher = sys.modules.get("numba.core.dispatcher")
    return obj.py_func if dispatcher is not None and isinstance(obj, dispatcher.Dispatcher) else None


def read_code(reader: Reader, obj: object) -> bytes:
    """Return the hash of a function, a class, a module, or of what Python keeps inside them."""
    if (function := _compiled_from(obj)) is not None:
        return reader.all("compiled", [function])
    if isinstance(obj, types.FunctionType):
        return _function(reader, obj)
    if isinstance(obj, types.MethodType):
        return reader.all("method", [obj.__func__, obj.__self__])
    if isinstance(obj, type):
        return _class(reader, obj)
    if isinstance(obj, types.ModuleType):
        return _module(reader, obj, frozenset(), ())
    if isinstance(obj, types.CodeType):
        about = (obj.co_argcount, obj.co_posonlyargcount, obj.co_kwonlyargcount, obj.co_flags)
        names = (obj.co_names, obj.co_varnames, obj.co_freevars, obj.co_cellvars)
        return reader.all("code", [obj.co_code, obj.co_exceptiontable, obj.co_consts, names, about])
    if isinstance(obj, types.CellType):
        return reader.all("variable", [] if _empty(obj) else [obj.cell_contents])
    if isinstance(obj, property):
        return reader.all("property", [obj.fget, obj.fset, obj.fdel])
    if isinstance(obj, classmethod | staticmethod):
        return reader.all(type(obj).__name__, [obj.__func__])
    if isinstance(obj, functools._lru_cache_wrapper):
        return reader.all("cached", [obj.__wrapped__])
    if isinstance(obj, types.MappingProxyType):
        return reader.all("view", [dict(obj)])
    # compiled into Python or into a package; a method of an object brings the object
    owner = getattr(obj, "__self__", getattr(obj, "__objclass__", None))
    name = getattr(obj, "__name__")  # noqa: B009  only some objects have one; without, this is an error
    return reader.all("built in", [name, getattr(obj, "__module__", None), owner])


def _empty(cell: types.CellType) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return True
    return False


def _function(reader: Reader, function: types.FunctionType) -> bytes:
    known = installed_version(function.__module__ or "")
    if known is not None and "<" not in function.__qualname__ and function.__closure__ is None:
        return reader.all("function", [function.__module__, function.__qualname__, known])
    codes = list(_codes(function.__code__))
    mentioned = frozenset(name for code in codes for name in code.co_names)
    variables = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    held = [(name, cell.cell_contents) for name, cell in variables if not _empty(cell)]
    named = [(name, _named(function, name)) for name in sorted(_globals(codes))]
    found = [
        _module(reader, value, mentioned, ()) if isinstance(value, types.ModuleType) else reader.of(value)
        for _, value in held + named
    ]
    inside = [_imported(reader, name, mentioned) for name in sorted(_imports(codes))]
    own = [function.__code__, function.__defaults__, function.__kwdefaults__, vars(function), [n for n, _ in held]]
    return combine("function", [*(reader.of(part) for part in own), *found, *inside])


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """Yield the code of a function and of all functions that are written inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _globals(codes: Iterable[types.CodeType]) -> set[str]:
    """Return the names that are looked up outside of the function, when it is called."""
    return {
        str(step.argval)
        for code in codes
        for step in dis.get_instructions(code)
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }


def _named(function: types.FunctionType, name: str) -> object:
    if name in function.__globals__:
        return function.__globals__[name]
    return getattr(builtins, name, ("not there", name))


def _imports(codes: Iterable[types.CodeType]) -> set[str]:
    """Return the modules that a function imports when it is called."""
    return {str(step.argval) for code in codes for step in dis.get_instructions(code) if step.opname == "IMPORT_NAME"}


def _imported(reader: Reader, name: str, mentioned: frozenset[str]) -> bytes:
    if (known := installed_version(name)) is None:
        try:
            return _module(reader, importlib.import_module(name), mentioned, ())
        except ImportError:
            known = "not there"
    return reader.all("import", [name, known])


def _text_of(module: str) -> str:
    """Return a hash of a module's file; an empty text where there is none."""
    try:
        found = importlib.util.find_spec(module)
        text = Path(str(found.origin)).read_bytes() if found is not None and found.origin else b""
    except (ImportError, ValueError, OSError, AttributeError):
        return ""
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def _module(reader: Reader, module: types.ModuleType, mentioned: frozenset[str], above: tuple[str, ...]) -> bytes:
    """Return the hash of a module, of which a function may use the attributes called `mentioned`."""
    name = module.__name__
    known = installed_version(name)
    if known is not None or name in above:
        return reader.all("module", [name, known])
    used = [(word, vars(module)[word]) for word in sorted(mentioned) if word in vars(module)]
    if not used:
        return reader.all("module", [name, _text_of(name)])
    return combine("module", [
        _module(reader, value, mentioned, (*above, name)) if isinstance(value, types.ModuleType)
        else reader.all("attribute", [word, value])
        for word, value in used
    ])  # fmt: skip


def _class(reader: Reader, kind: type) -> bytes:
    # a class whose module is no text is compiled code, as an enumeration of Cython's
    known = installed_version(kind.__module__) if isinstance(kind.__module__, str) else ""
    if known is not None and "<" not in kind.__qualname__:
        return reader.all("class", [str(kind.__module__), kind.__qualname__, known])
    content = [(name, value) for name, value in sorted(vars(kind).items()) if name not in _NOT_CONTENT]
    return reader.all("class", [kind.__qualname__, type(kind), kind.__bases__, content])


@cache
def installed_version(module: str) -> str | None:
    """Return the version of the package or Python that a module belongs to; None for code that is no package's.

    Code that lies where its author works on it (a notebook, a script, an editable install) has no version that could
    be relied on.
    """
    root = module.partition(".")[0]
    if root == "__main__":
        return None
    if root in sys.stdlib_module_names:
        return ".".join(map(str, sys.version_info[:3]))
    found = sys.modules.get(root)
    if found is None:
        try:
            spec = importlib.util.find_spec(root) if root else None
        except (ImportError, ValueError, AttributeError):
            spec = None
        origins = [] if spec is None else [spec.origin, *(spec.submodule_search_locations or ())]
    else:
        origins = [getattr(found, "__file__", None), *(getattr(found, "__path__", None) or ())]
    ours = root == "adverscarial"
    if not ours and not any({"site-packages", "dist-packages"} & set(Path(str(place)).parts) for place in origins):
        return None
    try:
        return version(root)
    except PackageNotFoundError:  # a package may have another name than its module
        named = distributions().get(root)
    if named:
        return named[0].version
    known = getattr(found, "__version__", None)
    return None if known is None else str(known)
