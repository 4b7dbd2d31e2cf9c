"""Reading the goldens: outputs of the R package on inputs that were made up for it.

`tests/golden/` holds those whose inputs are invented. Goldens on real data stay in the shared folder: name it.
"""

import json
from pathlib import Path
from typing import Any

import pandas as pd
from anndata import AnnData

GOLDEN = Path(__file__).parent / "golden"


def read_input(name: str, folder: Path = GOLDEN) -> AnnData:
    """Return an input as cells x genes, float64 dense; its clusters are ``obs["cluster"]``."""
    table = pd.read_csv(
        folder / f"{name}.csv", index_col=0, float_precision="round_trip", keep_default_na=False, dtype={"cluster": str}
    )
    obs = table[["cluster"]].astype("category")
    genes = table.drop(columns="cluster").astype("float64")
    return AnnData(genes.to_numpy(), obs=obs, var=pd.DataFrame(index=genes.columns))


def read_json(name: str, folder: Path = GOLDEN) -> Any:
    """Return what a golden file holds; R's NA is None, and NaN, Inf and -Inf are texts."""
    return json.loads((folder / f"{name}.json").read_text())
