"""Damage files that other libraries read: our guards must turn each into an error, or read it as any other file.

python benchmarks/fuzz_files.py [--cases 200] [KIND ...]    HDF5, UBJSON and zip formats; damage is drawn anew each time

Nothing of a damaged file is kept, and no seed: a file that crashes another library is reported to those who maintain
it, and is not published here. What is ours and what is text is damaged by ``tests/faults/test_fuzz.py``.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from anndata import AnnData

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import adverscarial as adv
from adverscarial.cells.matrix import CellMatrix
from adverscarial.classifiers.families.marker_tables import read_markers
from faults.damage import OTHER, REFUSED, SAME, Kind, cells, examined, text_of
from faults.test_fuzz import MARKERS, read_data, read_model


def write_h5ad(path: Path) -> None:
    cells().write_h5ad(path)


def write_loom(path: Path) -> None:
    import loompy

    adata = cells()
    columns = {"CellID": adata.obs_names.to_numpy(), "cell_type": adata.obs["cell_type"].to_numpy()}
    loompy.create(str(path), adata.X.T.toarray(), {"Gene": adata.var_names.to_numpy()}, columns)


def write_workbook(path: Path) -> None:
    MARKERS.to_excel(path, index=False)


def write_xgboost(path: Path) -> None:
    import xgboost

    xgboost.XGBClassifier(n_estimators=2, max_depth=2).fit(cells().to_df(), np.arange(20) % 2).save_model(path)


def write_skops(path: Path) -> None:
    from sklearn.linear_model import LogisticRegression
    from skops import io

    io.dump(LogisticRegression().fit(cells().to_df(), cells().obs["cell_type"]), path)


def read_backed(path: Path) -> str:
    adata = adv.datasets.load(path, backed=True)
    try:
        matrix = CellMatrix(adata.X)
        genes = matrix.columns(np.arange(adata.n_vars))
        assert np.array_equal(matrix.rows(np.arange(adata.n_obs)), genes)
        return text_of(AnnData(genes, obs=adata.obs, var=adata.var))
    finally:
        adata.file.close()


def read_workbook(path: Path) -> str:
    return repr(read_markers(path))


KINDS = {
    "h5ad": Kind("a.h5ad", write_h5ad, read_data, 600),
    "backed": Kind("b.h5ad", write_h5ad, read_backed, 200),
    "loom": Kind("a.loom", write_loom, read_data, 600, needs="loompy"),
    "xlsx": Kind("m.xlsx", write_workbook, read_workbook, 100, needs="openpyxl"),
    "skops": Kind("a.skops", write_skops, read_model, 100, needs="skops"),
    "xgboost.json": Kind("a.json", write_xgboost, read_model, 100, needs="xgboost"),
    "xgboost.ubj": Kind("a.ubj", write_xgboost, read_model, 300, needs="xgboost"),
}


def main() -> None:
    """Print a line for each kind; exit with 1 if a process ended badly."""
    asking = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    asking.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}; all when left out")
    asking.add_argument("--cases", type=int, help="damaged files of each kind")
    asked = asking.parse_args()
    wrong = False
    for name in asked.kinds or KINDS:
        kind = KINDS[name]
        if kind.needs and importlib.util.find_spec(kind.needs) is None:
            print(f"{name}: left out, {kind.needs} is not installed")
            continue
        with tempfile.TemporaryDirectory() as folder:
            kind = replace(kind, cases=asked.cases or kind.cases)
            outcomes, bad = examined(kind, Path(folder), lambda number: np.random.default_rng())
        counts = {
            text: outcomes.get(code, 0) for text, code in (("same", SAME), ("refused", REFUSED), ("other", OTHER))
        }
        print(f"{name}: {counts}", *sorted({how.partition(": ")[2] for how in bad}), sep="\n  ", flush=True)
        wrong |= bool(bad)
    sys.exit(wrong)


if __name__ == "__main__":
    main()
