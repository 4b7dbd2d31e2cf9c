"""Everything the package raises on purpose.

::

    AdverscarialError
    ├── DataError               the AnnData object or the file is not what was expected
    │   └── GeneMismatchError   its genes are not the classifier's genes
    ├── ParameterError          a setting has an impossible value
    │   └── AlreadyThere        towards= names the label that the cluster has, so there is nothing to attack
    ├── ClassifierError         the classifier failed, or answered nonsense
    │   └── InputRejected       the classifier refused this input, on purpose (outcome "rejected")
    ├── MemoryLimitError        the work would not fit into memory, and was not begun
    ├── StorageError            a result, model or run folder cannot be read or written
    └── MissingDependencyError  an optional package is not installed

Every message says what was found, what was expected and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class AdverscarialError(Exception):
    """Root of every error that the package raises for bad input."""


class DataError(AdverscarialError, ValueError):
    """The AnnData object, or the file it was to come from, is not what was expected."""


class GeneMismatchError(DataError):
    """Genes that the classifier needs are not in the data."""


class ParameterError(AdverscarialError, ValueError):
    """A setting has a value that makes no sense."""


class AlreadyThere(ParameterError):
    """The cluster has the label that an attack is to give it. A survey counts it apart from attacks that failed."""


class ClassifierError(AdverscarialError, RuntimeError):
    """The classifier raised, or returned the wrong shape, NaN or labels it does not have."""


class InputRejected(ClassifierError):
    """The classifier refused an input by its own rules. Attacks count it as the outcome *rejected*."""


class MemoryLimitError(AdverscarialError, MemoryError):
    """The work would need more memory than there is; it was not begun."""


class StorageError(AdverscarialError, OSError):
    """A result, a model or a run folder cannot be read, or belongs to something else."""


class MissingDependencyError(AdverscarialError, ImportError):
    """An optional package is needed and not installed."""

    def __init__(self, package: str, extra: str, purpose: str, otherwise: str = "") -> None:
        self._parts = package, extra, purpose, otherwise
        super().__init__(
            f"{purpose} needs {package}: {otherwise}"  # what pip does not install
            if otherwise
            else f"{purpose} needs the package '{package}', which is not installed. "
            f"Install it with: pip install 'adverscarial[{extra}]'"
        )

    def __reduce__(self) -> tuple[type, tuple[str, str, str, str]]:  # so that it can come back from another process
        return type(self), self._parts


def some(values: Iterable[object], n: int = 5) -> str:
    """Show the first `n` values, quoted, and how many were left out.

    >>> some(["B", "NK", "T"], n=2)
    "'B', 'NK' and 1 more"
    """
    shown = [str(value) for value in values]
    text = ", ".join(f"'{value}'" for value in shown[:n])
    return f"{text} and {len(shown) - n:,} more" if len(shown) > n else text


def did_you_mean(found: object, allowed: Sequence[object]) -> str:
    """Return ``" Did you mean 'x'?"`` when something similar is allowed, else an empty text.

    >>> did_you_mean("cell_typ", ["cell_type", "batch"])
    " Did you mean 'cell_type'?"
    >>> did_you_mean("CD79a", ["CD79B", "CD79A"])
    " Did you mean 'CD79A'?"
    """
    names = [str(name) for name in allowed]
    same = [name for name in names if name.lower() == str(found).lower()]  # of genes that differ by a letter, this one
    close = same or difflib.get_close_matches(str(found), names, n=1, cutoff=0.6)
    return f" Did you mean '{close[0]}'?" if close else ""
