"""Results of a survey's folder that its plan does not ask for: kept by what they belong to, and taken when asked for.

::

    out/
      results/00042.npz   one for each row of the plan
      kept/7c01...npz     one that an earlier plan of the folder asked for
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from adverscarial import _store
from adverscarial.errors import StorageError

NAME = "kept"  #: of the folder


def kept_file(folder: Path, belongs: Mapping[str, object]) -> Path:
    """Return where a result lies that belongs to this classifier, data, cluster, attack, seed and versions."""
    text = json.dumps(belongs, sort_keys=True, ensure_ascii=False)
    return folder / NAME / f"{hashlib.blake2b(text.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}.npz"


def set_aside(folder: Path) -> None:
    """Move all results to where they are kept, so that rows of another plan can take their numbers.

    Each is moved in one step. A survey that ends in between, however it ends, finds them in either place.
    """
    (folder / NAME).mkdir(exist_ok=True)
    for file in sorted((folder / "results").glob("*.npz")):
        try:
            belongs = _store.read_meta(file, "result").get("survey")
        except StorageError:  # damaged: its row is computed anew
            continue
        if isinstance(belongs, dict):
            os.replace(file, kept_file(folder, belongs))


def taken(folder: Path, belongs: Mapping[str, object], row: Path) -> bool:
    """Move a kept result to its row; return whether there was one.

    Raises
    ------
    StorageError
        If the folder cannot be written to.
    """
    kept = kept_file(folder, belongs)
    if not kept.exists():
        return False
    try:
        row.parent.mkdir(exist_ok=True)
        os.replace(kept, row)
    except OSError as error:
        raise StorageError(
            f"'{kept}' cannot be moved to '{row}' ({type(error).__name__}: {error.strerror or error}). Make the folder "
            "writable, with space left."
        ) from error
    return True
