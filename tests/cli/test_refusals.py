"""A command that cannot be done ends with one clear message, and writes nothing."""

from __future__ import annotations

import pytest

#: what each command is given before what is wrong
GIVEN = {
    "attack": [
        "cells.h5ad", "--groupby", "cell_type", "--target", "CD4+/CD25 T Reg", "--classifier", "sctype",
        "--preprocess", "scale",
    ],
    "train": ["cells.h5ad", "--groupby", "cell_type", "--out", "m.npz"],
    "classify": ["cells.h5ad"],
    "convert": [],
}  # fmt: skip
REFUSED = {
    "attack": [
        (["--classifier", "random-forest:3"], "random-forest takes nothing behind a colon"),
        (["--modification", "perk99"], "is no modification"),
        (["--attack", "single"], "There is no attack 'single'"),
        (["--classifier", "svm9"], "is neither a classifier nor a file"),
        (["--target", "Dentritic"], "Did you mean 'Dendritic'"),
        (["--groupby", "celltype"], "Did you mean 'cell_type'"),
        (["--layer", "counts"], "There is no layer 'counts'"),
        (["--out", "result.xml"], "must end in .csv, .npz or .h5ad"),
        (["--budget", "0"], "budget must be at least 1"),
    ],
    "train": [
        (["--classifier", "random-forrest"], "Did you mean 'random-forest'"),
        (["--classifier", "sctype"], "There is no classifier 'sctype' to train"),
        (["--out", "model.pkl"], "classifiers are saved as .npz"),
        (["--groupby", "celltype"], "Did you mean 'cell_type'"),
        (["--groupby", "celltype", "--all"], "Did you mean 'cell_type'"),
        (["--preprocess", "lognorm"], "--preprocess scale to z-score it"),
    ],
    "classify": [
        (["--classifier", "random-forest"], "must be trained first: adverscarial train"),
        (["--classifier", "scype"], "Did you mean 'sctype'"),
        (["--classifier", "sctype", "--out", "labels.xlsx"], "labels are written as .csv"),
        (["--classifier", "sctype", "--groupby", "celltype"], "Did you mean 'cell_type'"),
    ],
    "convert": [
        (["cells.csv", "out.loom"], "must end in .h5ad or .zarr"),
        (["cell.csv", "out.h5ad"], "Did you mean 'cells.csv'"),
        (["cells.csv", "out.h5ad", "--symbols", "auto"], "--symbols COLUMN"),
        (["cells.csv", "out.h5ad", "--symbols", "symbol"], "adata.var has no column 'symbol'"),
        (["cells.csv", "folder.h5ad", "--overwrite"], "'folder.h5ad' is a folder; it is not replaced"),
    ],
}


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [(command, arguments, message) for command, cases in REFUSED.items() for arguments, message in cases],
)
def test_bad_input_ends_with_one_clear_message(run, cells_file, tmp_path, monkeypatch, command, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cells.h5ad").symlink_to(cells_file)
    (tmp_path / "cells.csv").write_text("cell,ENSG1,cell_type\na,1,B\nb,2,T\n")
    (tmp_path / "folder.h5ad").mkdir()
    before = set(tmp_path.rglob("*"))
    code, out, err = run(command, *GIVEN[command], *arguments)
    assert (code, out) == (2, "")
    assert message in err.replace("\n", " ")
    assert "Traceback" not in err
    assert set(tmp_path.rglob("*")) == before
