"""Attacks: one file each. Each registers itself under its name; other packages bring theirs by entry points."""

from adverscarial.attacks.base import Attack
from adverscarial.attacks.cgd import ClusterGradientDescent, ClusterGradientDescentResult
from adverscarial.attacks.columns import Column, Count, Option
from adverscarial.attacks.combination import CombinationAttack, CombinationResult
from adverscarial.attacks.fgsm import FastGradientSign
from adverscarial.attacks.gate import Gate
from adverscarial.attacks.gradient import GradientAttack, GradientResult
from adverscarial.attacks.grid import Grid, GridResult
from adverscarial.attacks.max_change import MaxChange, MaxChangeResult
from adverscarial.attacks.min_change import MinChange
from adverscarial.attacks.min_change_result import MinChangeResult
from adverscarial.attacks.minimal.certify import Certificate
from adverscarial.attacks.outcome import Outcome
from adverscarial.attacks.overview import overview
from adverscarial.attacks.pgd import ProjectedGradientDescent
from adverscarial.attacks.random_walk import RandomWalk, RandomWalkResult
from adverscarial.attacks.registered import attacks, named
from adverscarial.attacks.result import Flips, GeneSet, Result
from adverscarial.attacks.run import BudgetSpent, Meter, Run
from adverscarial.attacks.single_gene import SingleGene
from adverscarial.attacks.single_gene_result import SingleGeneResult
from adverscarial.attacks.verification import Verification

__all__ = [
    "Attack",
    "BudgetSpent",
    "Certificate",
    "ClusterGradientDescent",
    "ClusterGradientDescentResult",
    "Column",
    "CombinationAttack",
    "CombinationResult",
    "Count",
    "FastGradientSign",
    "Flips",
    "Gate",
    "GeneSet",
    "GradientAttack",
    "GradientResult",
    "Grid",
    "GridResult",
    "MaxChange",
    "MaxChangeResult",
    "Meter",
    "MinChange",
    "MinChangeResult",
    "Option",
    "Outcome",
    "ProjectedGradientDescent",
    "RandomWalk",
    "RandomWalkResult",
    "Result",
    "Run",
    "SingleGene",
    "SingleGeneResult",
    "Verification",
    "attacks",
    "named",
    "overview",
]
