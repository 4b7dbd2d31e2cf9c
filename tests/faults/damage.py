"""Damage files and read them in forked processes, with limits on memory and computing, so that a crash is seen."""

from __future__ import annotations

import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from adverscarial.errors import AdverscarialError

BATCH = 25  # cases per process
SECONDS = 300  # of computing, per batch; waiting does not count
ROOM = 2 * 2**30  # bytes a batch may take
SAME, REFUSED, OTHER, TRACEBACK = b"sroT"


@dataclass(frozen=True)
class Kind:
    """A kind of file: its name, how to write and read it, the cases, and the package that it needs.

    Where damage `may_differ`, it can give other data, as any other valid file would: the format has no checksums.
    """

    name: str
    write: Callable[[Path], Any]
    read: Callable[[Path], str]
    cases: int
    may_differ: bool = False
    needs: str = ""


def cells() -> AnnData:
    """20 cells x 6 genes, sparse, in two clusters."""
    obs = pd.DataFrame({"cell_type": ["B", "T"] * 10}, index=[f"cell{i}" for i in range(20)])
    X = sp.random(20, 6, 0.6, format="csr", dtype=np.float32, random_state=0)
    return AnnData(X, obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(6)]))


def text_of(adata: AnnData) -> str:
    X = adata.X.toarray() if sp.issparse(adata.X) else adata.X
    return repr((X.tolist(), list(adata.obs_names), list(adata.var_names), adata.obs.to_numpy().tolist()))


def damage(content: bytes, rng: np.random.Generator) -> bytes:
    """Cut the file, flip a few bits, or overwrite a stretch."""
    how = rng.integers(4)
    if how == 0:
        return content[: rng.integers(len(content))]
    changed = bytearray(content)
    if how == 1:  # one bit
        changed[rng.integers(len(changed))] ^= 1 << rng.integers(8)
    elif how == 2:
        for place in rng.integers(len(changed), size=rng.integers(2, 20)):
            changed[place] ^= 1 << rng.integers(8)
    else:
        start, length = rng.integers(len(changed)), rng.integers(1, 64)
        changed[start : start + length] = rng.bytes(len(changed[start : start + length]))
    return bytes(changed)


def one_case(whole: Path, place: Path, read: Callable[[Path], str], expected: str, rng: np.random.Generator) -> int:
    """Damage a copy, read it, and return what came out."""
    if whole.is_dir():
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(whole, place)
        files = sorted(file for file in place.rglob("*") if file.is_file())
        chosen = files[rng.integers(len(files))]
    else:
        shutil.copy(whole, place)
        chosen = place
    chosen.write_bytes(damage(chosen.read_bytes(), rng))
    try:
        return SAME if read(place) == expected else OTHER
    except AdverscarialError:
        return REFUSED


def batch(cases: range, run: Callable[[int], int]) -> tuple[bytes, str]:
    """Run cases in a forked process; return their outcomes, and how the process ended where it did not end well."""
    import resource

    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(ours)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
            resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, resource.RLIM_INFINITY))
            resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, resource.RLIM_INFINITY))
            for case in cases:
                os.write(theirs, bytes([run(case)]))
        except BaseException as error:  # noqa: BLE001  this is what is looked for
            os.write(theirs, bytes([TRACEBACK]) + f"{type(error).__name__}: {error}"[:300].encode())
        finally:
            os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        told = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    outcomes, _, text = told.partition(bytes([TRACEBACK]))
    if text:
        return outcomes, text.decode(errors="replace")
    return outcomes, f"ended by {signal.Signals(-code).name}" if code else ""


def examined(
    kind: Kind, folder: Path, rng_of: Callable[[int], np.random.Generator]
) -> tuple[dict[int, int], list[str]]:
    """Damage and read one kind of file; return how often each outcome came, and what ended badly.

    Parameters
    ----------
    kind
        The kind of file.
    folder
        An empty folder to work in.
    rng_of
        Gives the random generator of a case, by its number.
    """
    whole, place, said = folder / "whole" / kind.name, folder / "damaged" / kind.name, folder / "said"
    whole.parent.mkdir(parents=True)
    place.parent.mkdir()

    def prepare(number: int) -> int:
        kind.write(whole)
        said.write_text(kind.read(whole))
        return SAME if kind.read(whole) == said.read_text() else OTHER

    # in a process of its own, too: what starts threads here would stand still in those that are forked later
    prepared = batch(range(1), prepare)
    if prepared != (bytes([SAME]), ""):
        return {}, [f"undamaged: {prepared}"]
    expected = said.read_text()
    outcomes: Counter[int] = Counter()
    bad = []
    case = 0
    while case < kind.cases:
        told, how = batch(
            range(case, min(case + BATCH, kind.cases)),
            lambda number: one_case(whole, place, kind.read, expected, rng_of(number)),
        )
        outcomes.update(told)
        case += len(told)
        if how:
            bad.append(f"case {case}: {how}")
            case += 1
    return dict(outcomes), bad
