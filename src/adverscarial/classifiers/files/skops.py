"""Models that skops wrote: scikit-learn, without pickle."""

from __future__ import annotations

from pathlib import Path

from adverscarial import _store
from adverscarial.classifiers.files.formats import FORMATS, ModelFormat
from adverscarial.errors import MissingDependencyError, StorageError, some


def _read(path: Path, trust: bool) -> object:
    try:
        from skops import io
    except ImportError as error:
        raise MissingDependencyError("skops", "skops", "Reading .skops files") from error
    _store.check_unpacked_size(path)
    unknown = io.get_untrusted_types(file=path)
    if unknown and not trust:
        raise StorageError(
            f"'{path}' was not read: it holds {len(unknown)} type(s) that skops does not know to be harmless: "
            f"{some(unknown, 20)}. If you know them and where the file comes from, read it with trust=True "
            "(command line: --trust)."
        )
    return io.load(path, trusted=unknown)


FORMATS.add(
    "skops",
    ModelFormat("skops", (".skops",), "scikit-learn", lambda sample: "schema.json" in sample.members, _read),
)
