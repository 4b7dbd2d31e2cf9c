"""Things that register themselves where they are defined, by name; those of other packages come in by entry points."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import Distribution, entry_points
from importlib.metadata import distributions as installed
from typing import Generic, TypeVar

from adverscarial.errors import ParameterError

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Registry(Generic[T]):
    """Named things of one kind.

    Parameters
    ----------
    group
        Entry point group under which other packages name theirs, such as ``adverscarial.attacks``. An entry point
        names a module, or a class in one; loading it is enough, since things register themselves.

    Examples
    --------
    >>> colours = Registry[str]("example.colours")
    >>> colours.add("red", "#f00")
    >>> colours.find("red"), colours.find("blue")
    ('#f00', None)
    """

    def __init__(self, group: str) -> None:
        self.group = group
        self._things: dict[str, T] = {}
        self._complete = False

    def add(self, name: str, thing: T) -> None:
        """Register a thing; a later one of the same name replaces it, as when a notebook cell runs again.

        Raises
        ------
        ParameterError
            If the name is that of one of ours, and the thing is not: stored results would be read as something else.
        """
        held = self._things.get(name)
        if held is not None and _is_ours(held) and not _is_ours(thing):
            raise ParameterError(
                f"The name '{name}' is taken by adverscarial's own {getattr(held, '__qualname__', name)}, so "
                f"{getattr(thing, '__module__', 'another package')}.{getattr(thing, '__qualname__', name)} cannot have "
                "it. Give yours another name."
            )
        self._things[name] = thing

    def known(self) -> list[str]:
        """Return the names of what is loaded already, without looking for other packages."""
        return list(self._things)

    def find(self, name: str) -> T | None:
        """Return the thing of this name, or None; other packages are only loaded when it is not one of ours."""
        if name not in self._things:
            self._load_others()
        return self._things.get(name)

    def __iter__(self) -> Iterator[str]:
        """Iterate over all names, those of other packages included."""
        self._load_others()
        return iter(list(self._things))

    def all(self) -> dict[str, T]:
        """Return all things by name, those of other packages included."""
        self._load_others()
        return dict(self._things)

    def _load_others(self) -> None:
        if self._complete:
            return
        self._complete = True
        for entry in entry_points(group=self.group):
            try:
                thing = entry.load()
            except Exception as error:  # another package's fault must not break this one
                package = entry.dist.name if entry.dist else "another package"
                logger.warning(
                    "'%s' of the package %s (%s) could not be loaded: %s: %s", entry.name, package, self.group,
                    type(error).__name__, error,
                )  # fmt: skip
                logger.debug("Where '%s' failed:", entry.name, exc_info=True)
                continue
            names = [name for name, known in self._things.items() if known is thing]
            if names and not any(_plainly(name) == _plainly(entry.name) for name in names):
                logger.warning(
                    "The entry point '%s' of %s brings what calls itself '%s', and is known by that name.",
                    entry.name, self.group, names[0],
                )  # fmt: skip


def _is_ours(thing: object) -> bool:
    """Return whether this package defines it; what has no module, such as a row of settings, counts as ours."""
    module = getattr(thing, "__module__", None) if isinstance(thing, type) else None
    return module is None or module.split(".")[0] == __name__.split(".")[0]


def _plainly(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def distribution_of(thing: type) -> str:
    """Return the name under which the package that defines a class can be installed.

    >>> distribution_of(Registry)
    'adverscarial'
    """
    module = thing.__module__.split(".")[0]
    if module == __name__.split(".")[0]:
        return module
    if module not in distributions() and module != "__main__":
        distributions.cache_clear()  # it may have been installed since
    return next((found.name for found in distributions().get(module, ())), module)


@cache
def distributions() -> Mapping[str, list[Distribution]]:
    """Return which installed packages bring each module, by its name.

    The lists of their files are read, and nothing else: ``importlib.metadata.packages_distributions`` tells the same,
    but asks the disk for each file of each package.
    """
    found: dict[str, list[Distribution]] = {}
    for package in installed():
        for module in _modules(package):
            found.setdefault(module, []).append(package)
    return found


def _modules(package: Distribution) -> set[str]:
    said = (package.read_text("top_level.txt") or "").split()
    if said:
        return set(said)
    record = package.read_text("RECORD")
    files = record.splitlines() if record is not None else [str(file) for file in package.files or ()]
    heads = {line.lstrip('"').partition(",")[0].replace("\\", "/").partition("/")[::2] for line in files}
    return {name for head, rest in heads if "." not in (name := head if rest else inspect.getmodulename(head) or head)}
