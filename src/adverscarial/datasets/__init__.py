"""Data in: example data sets, files of every common format, splitting, balancing, scaling and gene names."""

from adverscarial.datasets.examples import embedded, pbmc3k
from adverscarial.datasets.files import load
from adverscarial.datasets.sampling import balance, split
from adverscarial.datasets.scaling import preprocess
from adverscarial.datasets.symbols import gene_symbols

__all__ = ["balance", "embedded", "gene_symbols", "load", "pbmc3k", "preprocess", "split"]
