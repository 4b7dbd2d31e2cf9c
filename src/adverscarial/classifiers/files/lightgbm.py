"""Models that LightGBM's ``save_model`` wrote, as text."""

from __future__ import annotations

from pathlib import Path

from adverscarial.classifiers.files.formats import FORMATS, ModelFormat, readable
from adverscarial.errors import MissingDependencyError, StorageError


def _read(path: Path, trust: bool) -> object:
    try:
        import lightgbm
    except ImportError as error:
        raise MissingDependencyError("lightgbm", "boosting", "Reading LightGBM models") from error
    text = path.read_text(encoding="utf-8")
    if not text.startswith("tree") or "end of trees" not in text:
        raise StorageError(f"'{path}' is no LightGBM model, or one that was cut short. {readable()}")
    # with tree_sizes, LightGBM reads trees in threads, and over a damaged one ends the process; without, it raises
    text = "\n".join(line for line in text.splitlines() if not line.startswith("tree_sizes="))
    return lightgbm.Booster(model_str=text)


FORMATS.add(
    "LightGBM",
    ModelFormat("LightGBM", (".txt",), "LightGBM", lambda sample: sample.start.startswith(b"tree"), _read),
)
