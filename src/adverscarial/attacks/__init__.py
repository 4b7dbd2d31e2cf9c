"""Attacks: one file each."""

from adverscarial.attacks.base import Attack
from adverscarial.attacks.cgd import ClusterGradientDescent, ClusterGradientDescentResult
from adverscarial.attacks.combination import CombinationResult
from adverscarial.attacks.fgsm import FastGradientSign
from adverscarial.attacks.gradient import GradientAttack, GradientResult
from adverscarial.attacks.grid import Grid, GridResult
from adverscarial.attacks.max_change import MaxChange, MaxChangeResult
from adverscarial.attacks.overview import overview
from adverscarial.attacks.pgd import ProjectedGradientDescent
from adverscarial.attacks.random_walk import RandomWalk, RandomWalkResult
from adverscarial.attacks.result import Result, Verification
from adverscarial.attacks.single_gene import SingleGene, SingleGeneResult

__all__ = [
    "Attack",
    "ClusterGradientDescent",
    "ClusterGradientDescentResult",
    "CombinationResult",
    "FastGradientSign",
    "GradientAttack",
    "GradientResult",
    "Grid",
    "GridResult",
    "MaxChange",
    "MaxChangeResult",
    "ProjectedGradientDescent",
    "RandomWalk",
    "RandomWalkResult",
    "Result",
    "SingleGene",
    "SingleGeneResult",
    "Verification",
    "overview",
]
