"""What a format of model files is: each is one row, and registers itself in the file that reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from adverscarial._registry import Registry
from adverscarial.errors import did_you_mean


class Sample(NamedTuple):
    """What tells a file's format: its first bytes, and the names inside where it is a zip file."""

    start: bytes
    members: frozenset[str]


@dataclass(frozen=True)
class ModelFormat:
    """One format of files that hold a classifier.

    Attributes
    ----------
    name
        What messages call it, and what stands in the registry.
    endings
        Of such files, with the dot, in lower case.
    holds
        What is found in such a file, for lists.
    recognises
        Whether the content is of this format; a file that no format recognises is told by its ending.
    read
        Gets the path and whether the file is trusted; returns a classifier, or an object that `wrap` understands.
    needs_trust
        Whether reading such a file can run code, so that it is read with ``trust=True`` only.
    complete
        Whether the file always names its classes and genes, so that none can be given.
    danger, instead
        Of files that need trust: what reading one does, and what to store in its place; sentences.
    settings
        Settings for :func:`adverscarial.classifiers.wrap` where the caller gives none.
    """

    name: str
    endings: tuple[str, ...]
    holds: str
    recognises: Callable[[Sample], bool]
    read: Callable[[Path, bool], object]
    needs_trust: bool = False
    complete: bool = False
    danger: str = ""
    instead: str = ""
    settings: Mapping[str, object] = field(default_factory=dict)


#: formats by name, in the order in which content is looked at
FORMATS: Registry[ModelFormat] = Registry("adverscarial.model_formats")


def readable() -> str:
    """Return one sentence that lists the files that can be read."""
    rows = list(FORMATS.all().values())
    plain = [_listed(row) for row in rows if not row.needs_trust]
    trusted = [_listed(row) for row in rows if row.needs_trust]
    return f"Files that can be read: {', '.join(plain)}; and, where they are trusted, {', '.join(trusted)}."


def _listed(row: ModelFormat) -> str:
    return f"{' or '.join(row.endings)} ({row.holds})"


def files_beside(path: Path) -> list[str]:
    """Return the names of the files in a path's folder, whether or not the path is there: one may be meant."""
    try:
        return sorted(entry.name for entry in path.parent.iterdir() if entry.is_file())
    except OSError:  # no folder, or none that may be read
        return []


def no_such_file(path: Path) -> str:
    """Return the message for a path without a file."""
    return f"There is no file '{path}'.{did_you_mean(path.name, files_beside(path))} {readable()}"
