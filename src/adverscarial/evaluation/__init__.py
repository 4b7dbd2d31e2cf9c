"""Evaluation: many attacks on many clusters and classifiers, curves along an attack, and how visible it is."""

from adverscarial.evaluation.comparison import compare
from adverscarial.evaluation.curves import Curve
from adverscarial.evaluation.detectability import Detectability, detectability
from adverscarial.evaluation.harm import harm
from adverscarial.evaluation.robustness import curve_along, robustness_curve
from adverscarial.evaluation.scores import accuracy_curve, f1_curve, roc_curve_of_cluster
from adverscarial.evaluation.survey import Survey, survey
from adverscarial.evaluation.sweep import sweep

__all__ = [
    "Curve",
    "Detectability",
    "Survey",
    "accuracy_curve",
    "compare",
    "curve_along",
    "detectability",
    "f1_curve",
    "harm",
    "robustness_curve",
    "roc_curve_of_cluster",
    "survey",
    "sweep",
]
