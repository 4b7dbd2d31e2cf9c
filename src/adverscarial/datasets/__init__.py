"""Data in: example data sets, files of every common format, splitting, balancing, scaling and gene names."""

from adverscarial.datasets.examples import embedded, pbmc3k
from adverscarial.datasets.files import load
from adverscarial.datasets.known_genes import gene_table
from adverscarial.datasets.other_species import orthologues
from adverscarial.datasets.quality import quality_control
from adverscarial.datasets.readers.registry import formats
from adverscarial.datasets.remote.cellxgene import cellxgene
from adverscarial.datasets.sampling import balance, split
from adverscarial.datasets.scaling import preprocess
from adverscarial.datasets.select import select
from adverscarial.datasets.symbols import gene_symbols, strip_versions

__all__ = [
    "balance",
    "cellxgene",
    "embedded",
    "formats",
    "gene_symbols",
    "gene_table",
    "load",
    "orthologues",
    "pbmc3k",
    "preprocess",
    "quality_control",
    "select",
    "split",
    "strip_versions",
]
