"""How the numbers of a survey came about, as its report tells it: file, command, preparation, models, date, runtime."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from adverscarial import _store
from adverscarial.classifiers import Classifier
from adverscarial.classifiers.adapters.r.program import VARIABLE
from adverscarial.cli.models import short_name, training_of
from adverscarial.cli.options import Preprocess, Reading
from adverscarial.cli.r import is_r, script_of

NAME = "made.json"
RULES = "rules"  #: where it keeps the thresholds of the verdicts
ADDED = "added_genes"  #: where it keeps the genes that --missing-genes added, with their values

_PREPARED = {
    Preprocess.none: "none: the values are asked about as they are in the file",
    Preprocess.lognorm: "10,000 counts per cell, then log1p",
    Preprocess.counts: "10,000 counts per cell, log1p, then z-scores of each gene, at most 10",
    Preprocess.scale: "z-scores of each gene, at most 10",
}


def provenance(
    data: Path, specs: Sequence[str], train: Path | None, reading: Reading, *, cells: int, seed: int, seconds: float
) -> dict[str, str]:
    """Return what a reader needs to repeat a survey of the command line, as pairs of words.

    Parameters
    ----------
    data
        The file of cells.
    specs
        The classifiers, as they were named.
    train
        The file that was trained on; None where one half of the cells was, or nothing.
    reading, seed
        Options of the command.
    cells
        How many cells were attacked.
    seconds
        From the start of the command.
    """
    halves = train is None and any(training_of(spec) for spec in specs)
    part = "" if reading.mod is None else f" of '{reading.mod}'"
    where = "adata.raw" if reading.raw else "X" if reading.layer is None else f"layer '{reading.layer}'"
    found = {
        "File": _file(data),
        "Command": shlex.join(["adverscarial", *sys.argv[1:]]),
        "Values": where + part,
        "Preparation": _PREPARED[reading.preprocess],
        "Cells attacked": f"{cells:,}, {_half(seed)}" if halves else f"all {cells:,} of the file",
    }
    for spec in specs:
        found[f"Where {short_name(spec)} is from"] = _origin(spec, training_of(spec) is not None, train)
    if any(is_r(spec) for spec in specs):
        found["R"] = _r_version()
    found["Date"] = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    found["Time of the whole command"] = f"{seconds:,.0f} seconds"
    return found


def _r_version() -> str:
    """Return what Rscript says of itself."""
    program = shutil.which(os.environ.get(VARIABLE, "") or "Rscript")
    if program is None:
        return "not found"
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=60)
    return (done.stdout or done.stderr).strip() or "unknown"


def _half(seed: int) -> str:
    return f"the half that was not trained on, drawn within each cluster (seed {seed})"


def _origin(spec: str, trained: bool, train: Path | None) -> str:
    if trained:
        on = "the other half of the cells" if train is None else _file(train)
        return f"trained by this command on {on}; saved as {spec}.npz"
    if (script := script_of(spec)) is not None:
        called = f", function {script.function}" if script.function else ""
        return f"your own function in R, {_file(script.path)}{called}; asked as it is"
    if Path(spec).is_file():
        return f"read from {_file(Path(spec))}; trained before, by whoever made the file"
    table = Path(spec.partition(":")[2])
    with_ = f", with the table {_file(table)}" if table.name and table.is_file() else ""
    return f"comes ready-made{with_}; not trained on any of these cells"


def _file(path: Path) -> str:
    """Return the name of a file, and what tells it from any other."""
    if not path.is_file():
        return f"{path.name} (a folder)"
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return f"{path.name}, {path.stat().st_size:,} bytes, SHA-256 {digest.hexdigest()}"


def save_models(models: Mapping[str, Classifier], specs: Sequence[str], out: Path) -> list[Path]:
    """Store the models that the command trained, so that the next command can name them; return their files."""
    files = []
    for spec in specs:
        if training_of(spec) is not None:
            name = spec if spec in models else short_name(spec)
            files.append(out / f"{name.replace(':', '-').replace('/', '-')}.npz")
            models[name].save(files[-1])
    return files


def write(out: Path, made: Mapping[str, str], rules: Mapping[str, float], added: Mapping[str, float]) -> None:
    """Keep it in the folder of the survey, for a report that is made later.

    Parameters
    ----------
    out
        The folder.
    made
        What :func:`provenance` returned.
    rules
        Thresholds of the verdicts.
    added
        Genes that were added to the data for the classifiers, and the value that each has in all cells.
    """
    _store.write_json(out / NAME, {**made, RULES: dict(rules), ADDED: dict(added)})


def read(out: Path) -> dict[str, str]:
    """Return what :func:`write` kept; nothing where a survey was made otherwise.

    Raises
    ------
    StorageError
        If the file is damaged.
    """
    path = out / NAME
    found = _store.read_json(path) if path.exists() else {}
    return {str(name): str(text) for name, text in found.items() if name not in ("checksum", RULES, ADDED)}


def read_numbers(out: Path, part: str) -> dict[str, float]:
    """Return the numbers that :func:`write` kept in one part; none where it kept none.

    Parameters
    ----------
    out
        The folder.
    part
        :data:`RULES` (thresholds of the verdicts, where they were not the usual ones), or :data:`ADDED` (genes that
        were added to the data for the classifiers, with their values).

    Raises
    ------
    StorageError
        If the file is damaged.
    """
    path = out / NAME
    found = _store.read_json(path).get(part, {}) if path.exists() else {}
    return {str(key): value for key, value in found.items() if isinstance(value, int | float)}
