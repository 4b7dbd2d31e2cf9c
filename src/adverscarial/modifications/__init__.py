"""What is done to the values of a gene in the attacked cluster."""

from adverscarial.modifications.aberrant import Aberrant
from adverscarial.modifications.base import Modification, modify, parse
from adverscarial.modifications.custom import Custom
from adverscarial.modifications.decile import Decile
from adverscarial.modifications.dropout import Dropout
from adverscarial.modifications.effect import Effects
from adverscarial.modifications.fixed import Fixed
from adverscarial.modifications.percentile import Percentile
from adverscarial.modifications.random import Random
from adverscarial.modifications.thinning import Thinning

__all__ = [
    "Aberrant",
    "Custom",
    "Decile",
    "Dropout",
    "Effects",
    "Fixed",
    "Modification",
    "Percentile",
    "Random",
    "Thinning",
    "modify",
    "parse",
]
