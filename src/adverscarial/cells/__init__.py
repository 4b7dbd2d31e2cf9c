"""The data as attacks see them: reading cells x genes, statistics of each gene, and the attacked cluster."""

from adverscarial.cells.cluster import Cluster
from adverscarial.cells.matrix import CellMatrix
from adverscarial.cells.statistics import GeneStatistics

__all__ = ["CellMatrix", "Cluster", "GeneStatistics"]
