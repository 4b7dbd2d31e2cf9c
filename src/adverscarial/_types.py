"""Types that several rooms share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import h5py
    import scipy.sparse as sp
    from anndata.abc import CSCDataset, CSRDataset
    from dask.array import Array

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]
#: cells x genes in whatever AnnData holds: numpy, scipy.sparse, a file, dask. These have no type in common.
Matrix: TypeAlias = "np.ndarray | sp.spmatrix | sp.sparray | h5py.Dataset | CSRDataset | CSCDataset | Array"
#: what a third-party module without types gives us
Untyped: TypeAlias = Any
#: one field of a table's row; None where it is empty
Value: TypeAlias = str | float | None
Row: TypeAlias = dict[str, Value]
