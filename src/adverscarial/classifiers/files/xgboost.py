"""Models that XGBoost's ``save_model`` wrote, as JSON or UBJSON."""

from __future__ import annotations

from pathlib import Path

from adverscarial.classifiers.files.formats import FORMATS, ModelFormat
from adverscarial.classifiers.files.xgboost_document import check_model
from adverscarial.errors import MissingDependencyError


def _read(path: Path, trust: bool) -> object:
    try:
        import xgboost
    except ImportError as error:
        raise MissingDependencyError("xgboost", "boosting", "Reading XGBoost models") from error
    content = path.read_bytes()
    check_model(content, xgboost.__version__)
    booster = xgboost.Booster()
    booster.load_model(bytearray(content))
    return booster


FORMATS.add(
    "XGBoost",
    ModelFormat(
        "XGBoost",
        (".json", ".ubj"),
        "XGBoost",
        lambda sample: sample.start.startswith(b"{"),  # JSON and its binary form both
        _read,
        # a Booster uses every round in the file; the XGBClassifier that reads the file, those up to the best
        settings={"rounds": "best"},
    ),
)
