"""Pickles: whatever Python wrote. Reading one runs any code that its author put inside, so it needs trust."""

from __future__ import annotations

from pathlib import Path

from adverscarial.classifiers.adapters.celltypist import load_celltypist, needed_by_pickle
from adverscarial.classifiers.files.formats import FORMATS, ModelFormat

# pickle's opcode for protocols 2 to 5, then what joblib compresses with: zlib, gzip, bzip2, xz, lzma, lz4
_STARTS = (b"\x80", b"\x78", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x5d\x00", b"\x04\x22\x4d\x18")


def _read(path: Path, trust: bool) -> object:
    import joblib

    try:
        obj = joblib.load(path)  # reads plain pickles too; only reached with trust
    except ModuleNotFoundError as error:
        raise needed_by_pickle(path, error) from error
    if isinstance(obj, dict) and {"Model", "Scaler_"} <= set(obj):
        return load_celltypist(path, trust=trust)
    return obj


FORMATS.add(
    "a pickle",
    ModelFormat(
        "a pickle",
        (".pkl", ".pickle", ".joblib"),
        "CellTypist, scikit-learn",
        lambda sample: sample.start.startswith(_STARTS),
        _read,
        needs_trust=True,
        danger="it is a Python pickle, and reading a pickle runs any code that its author put inside.",
        instead="Better for scikit-learn: store the model with skops.io.dump(model, 'model.skops'), which needs no "
        "trust.",
    ),
)
