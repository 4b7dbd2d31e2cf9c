"""Classifiers: those of the paper, and adapters for the ones people use."""

from adverscarial.classifiers.base import Answer, Answers, Classifier, Decision, Scorer
from adverscarial.classifiers.chetah import Chetah
from adverscarial.classifiers.loading import load
from adverscarial.classifiers.markers import Markers
from adverscarial.classifiers.random_forest import RandomForest
from adverscarial.classifiers.scannotatr import ScAnnotatR
from adverscarial.classifiers.sctype import ScType
from adverscarial.classifiers.wrap import wrap

__all__ = [
    "Answer",
    "Answers",
    "Chetah",
    "Classifier",
    "Decision",
    "Markers",
    "RandomForest",
    "ScAnnotatR",
    "ScType",
    "Scorer",
    "load",
    "wrap",
]
