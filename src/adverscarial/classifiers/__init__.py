"""Classifiers: those of the paper, and adapters for the ones people use."""

from adverscarial.classifiers.adapters.boosting import Boosted
from adverscarial.classifiers.adapters.celltypist import CellTypist, load_celltypist
from adverscarial.classifiers.adapters.r.classifier import RClassifier
from adverscarial.classifiers.adapters.scanvi import Scanvi
from adverscarial.classifiers.adapters.torch_module import TorchModule
from adverscarial.classifiers.answers import Answer, Answers, Decision, vote
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.check import CheckReport, check
from adverscarial.classifiers.families.chetah import Chetah
from adverscarial.classifiers.families.linear import Linear
from adverscarial.classifiers.families.markers import Markers
from adverscarial.classifiers.families.mlp import MLP
from adverscarial.classifiers.families.random_forest import RandomForest
from adverscarial.classifiers.families.scannotatr import ScAnnotatR
from adverscarial.classifiers.families.sctype import ScType
from adverscarial.classifiers.families.singler import SingleR
from adverscarial.classifiers.files.loading import load
from adverscarial.classifiers.guard.clipped import Clipped
from adverscarial.classifiers.guard.guard import Guard
from adverscarial.classifiers.matching import match_genes
from adverscarial.classifiers.registry import Choice, CommandLine
from adverscarial.classifiers.scorers.base import Scorer
from adverscarial.classifiers.wrap import wrap

__all__ = [
    "MLP",
    "Answer",
    "Answers",
    "Boosted",
    "CellTypist",
    "CheckReport",
    "Chetah",
    "Choice",
    "Classifier",
    "Clipped",
    "CommandLine",
    "Decision",
    "Guard",
    "Linear",
    "Markers",
    "RClassifier",
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
    "match_genes",
    "vote",
    "wrap",
]
