"""How easily can a cell-type label be flipped? Exact, fast attacks on single-cell classifiers, for AnnData."""

from importlib.metadata import version as _version

from adverscarial import attacks, classifiers, datasets, errors, pl
from adverscarial.classifiers.prediction import ClusterPrediction, predict
from adverscarial.evaluation import Survey, compare, curve_along, detectability, robustness_curve, survey, sweep
from adverscarial.hardening import Hardening, adversarial_cells, harden
from adverscarial.modifications import (
    Aberrant,
    Custom,
    Decile,
    Dropout,
    Fixed,
    Modification,
    Percentile,
    Random,
    Thinning,
    modify,
)
from adverscarial.ranking import rank_genes

__version__ = _version("adverscarial")

__all__ = [
    "Aberrant",
    "ClusterPrediction",
    "Custom",
    "Decile",
    "Dropout",
    "Fixed",
    "Hardening",
    "Modification",
    "Percentile",
    "Random",
    "Survey",
    "Thinning",
    "adversarial_cells",
    "attacks",
    "classifiers",
    "compare",
    "curve_along",
    "datasets",
    "detectability",
    "errors",
    "harden",
    "modify",
    "pl",
    "predict",
    "rank_genes",
    "robustness_curve",
    "survey",
    "sweep",
]
