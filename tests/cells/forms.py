"""The forms in which the values of cells come."""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

FORMS: dict[str, Callable[[np.ndarray], Any]] = {
    "dense": np.array,
    "fortran": np.asfortranarray,
    "csr": sp.csr_matrix,
    "csc": sp.csc_matrix,
    "csr_array": sp.csr_array,
}
