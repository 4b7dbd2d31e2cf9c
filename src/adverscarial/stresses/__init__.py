"""Technical and biological change, such as shallow sequencing and ambient RNA: how strong before a label is lost?"""

from adverscarial.stresses.ambient import Ambient
from adverscarial.stresses.base import Change
from adverscarial.stresses.batch_shift import BatchShift
from adverscarial.stresses.cells import CountCells
from adverscarial.stresses.depth import Depth
from adverscarial.stresses.dissociation import Dissociation
from adverscarial.stresses.doublets import Doublets
from adverscarial.stresses.dropouts import Dropouts
from adverscarial.stresses.missing_genes import MissingGenes
from adverscarial.stresses.result import StressResult
from adverscarial.stresses.run import stress
from adverscarial.stresses.swapping import Swapping

__all__ = [
    "Ambient",
    "BatchShift",
    "Change",
    "CountCells",
    "Depth",
    "Dissociation",
    "Doublets",
    "Dropouts",
    "MissingGenes",
    "StressResult",
    "Swapping",
    "stress",
]
