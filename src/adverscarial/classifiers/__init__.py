"""Classifiers: those of the paper, and adapters for the ones people use."""

from adverscarial.classifiers.base import Answer, Answers, Classifier, Decision, Scorer
from adverscarial.classifiers.boosting import Boosted
from adverscarial.classifiers.celltypist import CellTypist, load_celltypist
from adverscarial.classifiers.check import CheckReport, check
from adverscarial.classifiers.chetah import Chetah
from adverscarial.classifiers.loading import load
from adverscarial.classifiers.markers import Markers
from adverscarial.classifiers.mlp import MLP
from adverscarial.classifiers.random_forest import RandomForest
from adverscarial.classifiers.scannotatr import ScAnnotatR
from adverscarial.classifiers.scanvi import Scanvi
from adverscarial.classifiers.sctype import ScType
from adverscarial.classifiers.singler import SingleR
from adverscarial.classifiers.torch_module import TorchModule
from adverscarial.classifiers.wrap import wrap

__all__ = [
    "MLP",
    "Answer",
    "Answers",
    "Boosted",
    "CellTypist",
    "CheckReport",
    "Chetah",
    "Classifier",
    "Decision",
    "Markers",
    "RandomForest",
    "ScAnnotatR",
    "ScType",
    "Scanvi",
    "Scorer",
    "SingleR",
    "TorchModule",
    "check",
    "load",
    "load_celltypist",
    "wrap",
]
