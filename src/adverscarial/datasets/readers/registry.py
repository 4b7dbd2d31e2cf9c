"""What a data format is, and the list of those that are known. A format registers itself where it is defined."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import h5py
import pandas as pd
from anndata import AnnData

from adverscarial._registry import Registry

Reader = Callable[..., AnnData]
R = TypeVar("R", bound=Reader)

#: every option that some format takes, and what it means, for messages and the command line
OPTIONS = {
    "transpose": "whether the file has one gene per row and one cell per column",
    "genome": "the genome to keep, where a file holds several",
    "mod": "the modality of a MuData file, or the assay of a Seurat object",
    "obs_names": "the attribute that holds the cell names",
    "var_names": "the attribute that holds the gene names",
}


@dataclass(frozen=True)
class Format:
    """One format of data files."""

    #: Short name for messages.
    name: str
    #: Endings of its files, in lower case. A file in HDF5 is recognised by what is inside; the ending only says that
    #: it is HDF5.
    endings: tuple[str, ...]
    #: What it is, in a few words.
    about: str
    #: The reader; and the one that leaves matrices on disk, where there is one.
    read: Reader
    read_backed: Reader | None = None
    #: Names in ``OPTIONS`` that the readers take as keywords.
    options: frozenset[str] = field(default_factory=frozenset)
    #: Whether a folder is of this format; left out where the format is a file.
    folder: Callable[[Path], bool] | None = None
    #: Whether an open HDF5 file is of this format; left out where the format is not HDF5.
    hdf5: Callable[[h5py.File], bool] | None = None


#: those of other packages come in through entry points of this group
_known = Registry[Format]("adverscarial.formats")


def register(
    name: str,
    *,
    endings: Iterable[str],
    about: str,
    backed: Reader | None = None,
    options: Iterable[str] = (),
    folder: Callable[[Path], bool] | None = None,
    hdf5: Callable[[h5py.File], bool] | None = None,
) -> Callable[[R], R]:
    """Make the decorated reader known as a format; the parameters are those of :class:`Format`."""

    def add(read: R) -> R:
        _known.add(name, Format(name, tuple(endings), about, read, backed, frozenset(options), folder, hdf5))
        return read

    return add


def known() -> tuple[Format, ...]:
    """Return all formats, in the order in which they were registered, and then those of other packages."""
    return tuple(_known.all().values())


def formats() -> pd.DataFrame:
    """Return the formats that :func:`load` reads, one row each: ``format, endings, about, backed, options``.

    Examples
    --------
    >>> import adverscarial as adv
    >>> "loom" in set(adv.datasets.formats()["format"])
    True
    """
    rows = [
        (each.name, " ".join(each.endings), each.about, each.read_backed is not None, " ".join(sorted(each.options)))
        for each in known()
    ]
    return pd.DataFrame(rows, columns=["format", "endings", "about", "backed", "options"])


def readable() -> str:
    """Return the sentence that lists what can be read."""
    packed = (".gz", ".bz2", ".xz")
    shown = [(each.about, ", ".join(end for end in each.endings if not end.endswith(packed))) for each in known()]
    listed = "; ".join(f"{endings} ({about})" if endings else about for about, endings in shown)
    return f"Files that can be read: {listed}. Text may be .gz."
