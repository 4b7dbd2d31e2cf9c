"""Attacks: one file each."""

from adverscarial.attacks.base import Attack
from adverscarial.attacks.max_change import MaxChange, MaxChangeResult
from adverscarial.attacks.result import Result, Verification
from adverscarial.attacks.single_gene import SingleGene, SingleGeneResult

__all__ = [
    "Attack",
    "MaxChange",
    "MaxChangeResult",
    "Result",
    "SingleGene",
    "SingleGeneResult",
    "Verification",
]
