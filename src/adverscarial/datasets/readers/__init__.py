"""The formats of data files, one file each. Importing one makes its format known; a new one is one more line here."""

from adverscarial.datasets.readers import anndata_files, loom, mtx, mudata, rds, table, tenx_h5

__all__ = ["anndata_files", "loom", "mtx", "mudata", "rds", "table", "tenx_h5"]
