"""Damaged files, thousands of them: an error of ours, or what was written; never a crash, a hang or a wrong result.

Each kind of file is cut short and bit-flipped many times, and read in forked processes with a limit on memory and on
time, so that a crash of compiled code is seen and named. Files of ours have checksums: what is read must be what was
written. Others (text, HDF5 without checksums) may hold other data after a flip, as any other valid file would.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.sparse as sp
from anndata import AnnData

import adverscarial as adv
from adverscarial._matrix import CellMatrix
from adverscarial.attacks import MaxChange, Result, SingleGene
from adverscarial.classifiers._markers import read_markers
from adverscarial.errors import AdverscarialError

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="damaged files are read in forked processes")

BATCH = 25  # cases per process
SECONDS = 120  # per batch; each HDF5 file is first read by a process that has to start
ROOM = 2 * 2**30  # bytes a batch may take
SAME, REFUSED, OTHER, TRACEBACK = b"sroT"


def cells() -> AnnData:
    obs = pd.DataFrame({"cell_type": ["B", "T"] * 10}, index=[f"cell{i}" for i in range(20)])
    X = sp.random(20, 6, 0.6, format="csr", dtype=np.float32, random_state=0)
    return AnnData(X, obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(6)]))


def label(X: np.ndarray) -> np.ndarray:
    return np.where(X[:, 0] > 0.3, "B", "T")


def attacked() -> Result:
    return SingleGene("perc99")(cells(), label, groupby="cell_type", target="B")


def write_loom(path: Path) -> None:
    anndata.AnnData.write_loom(cells(), path)


def write_mtx(folder: Path) -> None:
    folder.mkdir()
    adata = cells()
    scipy.io.mmwrite(folder / "matrix.mtx", adata.X.T.tocoo())
    (folder / "genes.tsv").write_text("".join(f"ENSG{i}\t{name}\n" for i, name in enumerate(adata.var_names)))
    (folder / "barcodes.tsv").write_text("".join(f"{name}\n" for name in adata.obs_names))


MARKERS = pd.DataFrame({"cell_type": ["B", "T"], "positive": ["CD79A,MS4A1", "CD3D,CD3E"], "negative": ["CD3D", ""]})


def write_survey(folder: Path) -> None:
    adv.survey(cells(), label, attacks=[SingleGene("perc99", bins=2)], groupby="cell_type", out=folder)


def text_of(adata: AnnData) -> str:
    X = adata.X.toarray() if sp.issparse(adata.X) else adata.X
    return repr((X.tolist(), list(adata.obs_names), list(adata.var_names), adata.obs.to_numpy().tolist()))


def read_data(path: Path) -> str:
    return text_of(adv.datasets.load(path))


def read_backed(path: Path) -> str:
    adata = adv.datasets.load(path, backed=True)
    try:
        matrix = CellMatrix(adata.X)
        genes = matrix.columns(np.arange(adata.n_vars))
        assert np.array_equal(matrix.rows(np.arange(adata.n_obs)), genes)
        return text_of(AnnData(genes, obs=adata.obs, var=adata.var))
    finally:
        adata.file.close()


def read_table(path: Path) -> str:
    return repr(read_markers(path))


def read_model(path: Path) -> str:
    return repr(adv.classifiers.load(path).scores(cells()).to_numpy().tolist())


def read_result(path: Path) -> str:
    result = Result.load(path)
    return repr((str(result), result.row(), result.to_frame().to_numpy().tolist()))


def read_survey(folder: Path) -> str:
    survey = adv.Survey.load(folder)
    return repr((survey.to_frame().to_numpy().tolist(), survey.plan, [str(result) for result in survey.results]))


def markers(path: Path) -> None:
    adv.classifiers.Markers({"B": ["g0"], "T": ["g1"]}).save(path)


def mlp(path: Path) -> None:
    adv.classifiers.MLP(epochs=2, seed=0).fit(cells(), "cell_type").save(path)


def xgboost(path: Path) -> None:
    booster = pytest.importorskip("xgboost").XGBClassifier(n_estimators=2, max_depth=2)
    booster.fit(cells().to_df(), np.arange(20) % 2).save_model(path)


def skops(path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    pytest.importorskip("skops.io").dump(LogisticRegression().fit(cells().to_df(), cells().obs["cell_type"]), path)


#: file name, how to write it, how to read it, cases, whether a flip can give other data
KINDS: dict[str, tuple[str, Callable[[Path], Any], Callable[[Path], str], int, bool]] = {
    "result": ("r.npz", lambda path: attacked().save(path), read_result, 500, False),
    "maxchange": (
        "m.npz",
        lambda path: MaxChange("perc99", restarts=1)(cells(), label, groupby="cell_type", target="B").save(path),
        read_result,
        200,
        False,
    ),
    "forest": (
        "f.npz",
        lambda path: adv.classifiers.RandomForest(3, seed=0).fit(cells(), "cell_type").save(path),
        read_model,
        300,
        False,
    ),
    "mlp": ("p.npz", mlp, read_model, 200, False),
    "markers.npz": ("s.npz", markers, read_model, 200, False),
    "survey": ("run", write_survey, read_survey, 400, False),
    "h5ad": ("a.h5ad", lambda path: cells().write_h5ad(path), read_data, 600, True),
    "backed": ("b.h5ad", lambda path: cells().write_h5ad(path), read_backed, 200, True),
    "loom": ("a.loom", write_loom, read_data, 600, True),
    "mtx": ("mtx", write_mtx, read_data, 200, True),
    "csv": ("a.csv", lambda path: cells().to_df().to_csv(path), read_data, 200, True),
    "csv.gz": ("a.csv.gz", lambda path: cells().to_df().to_csv(path), read_data, 100, True),
    "markers.tsv": (
        "m.tsv", lambda path: MARKERS.to_csv(path, sep="\t", index=False), read_table, 150, True,
    ),
    "markers.csv": ("m.csv", lambda path: MARKERS.to_csv(path, index=False), read_table, 100, True),
    "markers.xlsx": ("m.xlsx", lambda path: MARKERS.to_excel(path, index=False), read_table, 100, True),
    "skops": ("a.skops", skops, read_model, 100, True),
    "xgboost": ("a.json", xgboost, read_model, 100, True),
    "xgboost.ubj": ("a.ubj", xgboost, read_model, 300, True),
}  # fmt: skip


def test_there_are_thousands() -> None:
    assert sum(kind[3] for kind in KINDS.values()) >= 3000


NEEDS = {"markers.xlsx": "openpyxl", "loom": "loompy", "xgboost": "xgboost", "xgboost.ubj": "xgboost", "skops": "skops"}
SLOW = ("h5ad", "backed")  # about half of the time: each file is first read in a process of its own, as loom files are


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


def one_case(whole: Path, place: Path, read: Callable[[Path], str], expected: str, seed: list[int]) -> int:
    """Damage a copy, read it, and return what came out."""
    rng = np.random.default_rng(seed)
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
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(SECONDS)
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


def examined(kind: str, folder: Path) -> tuple[dict[int, int], list[str]]:
    """Damage and read one kind of file; return how often each outcome came, and what ended badly."""
    name, write, read, count, _ = KINDS[kind]
    whole, place, said = folder / kind / "whole" / name, folder / kind / "damaged" / name, folder / kind / "said"
    whole.parent.mkdir(parents=True)
    place.parent.mkdir()

    def prepare(number: int) -> int:
        write(whole)
        said.write_text(read(whole))
        return SAME if read(whole) == said.read_text() else OTHER

    # in a process of its own, too: what starts threads here would stand still in those that are forked later
    prepared = batch(range(1), prepare)
    if prepared != (bytes([SAME]), ""):
        return {}, [f"undamaged: {prepared}"]
    expected = said.read_text()
    outcomes: Counter[int] = Counter()
    bad = []
    case = 0
    while case < count:
        cases = range(case, min(case + BATCH, count))

        def run(number: int) -> int:
            return one_case(whole, place, read, expected, [number, zlib.crc32(kind.encode())])

        told, how = batch(cases, run)
        outcomes.update(told)
        case += len(told)
        if how:
            bad.append(f"case {case}: {how}")
            case += 1
    return dict(outcomes), bad


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Read the kinds in two fresh processes: threads that other tests left in this one would not survive a fork."""
    kinds = [kind for kind in KINDS if kind not in NEEDS or importlib.util.find_spec(NEEDS[kind])]
    command = [sys.executable, "-W", "ignore", __file__, str(tmp_path_factory.mktemp("fuzz"))]
    halves = [kind for kind in kinds if kind in SLOW], [kind for kind in kinds if kind not in SLOW]
    running = [subprocess.Popen([*command, *half], stdout=subprocess.PIPE, text=True) for half in halves]
    said = [process.communicate()[0] for process in running]
    assert not any(process.returncode for process in running)
    return {kind: told for text in said for kind, told in json.loads(text.splitlines()[-1]).items()}


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files(found: dict[str, Any], kind: str) -> None:
    if kind not in found:
        pytest.skip(f"could not import '{NEEDS[kind]}'")
    count, may_differ = KINDS[kind][3:]
    outcomes, bad = {int(outcome): n for outcome, n in found[kind][0].items()}, found[kind][1]
    assert not bad, bad[:10]
    assert outcomes[REFUSED] > count / 20, outcomes
    if not may_differ:
        assert OTHER not in outcomes, outcomes


if __name__ == "__main__":
    print(json.dumps({kind: examined(kind, Path(sys.argv[1])) for kind in sys.argv[2:]}))
