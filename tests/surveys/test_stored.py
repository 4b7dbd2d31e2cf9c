"""Folders that somebody edited, with checksums that fit: every field gives the package's own error, or is read."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import adverscarial as adv
from adverscarial import _store
from adverscarial.errors import AdverscarialError, StorageError
from surveys.small import ATTACK, cells, labels, run

STRANGE: list[Any] = [None, {}, "x", 1.5, True, [None], "\ud800"]
ATTACKS = [ATTACK, adv.attacks.MaxChange("perc1", restarts=1), adv.attacks.ClusterGradientDescent(genes=["g0", "g1"])]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out: Path = tmp_path_factory.mktemp("stored") / "run"
    models = {
        "scores": adv.classifiers.wrap(lambda X: np.column_stack([X[:, 0], 1 - X[:, 0]]), classes=["B", "T"]),
        "labels": lambda X: np.repeat("B", len(X)),  # with which gradient descent fails
    }
    assert len(run(models, targets=["B"], attacks=ATTACKS, out=out).errors) == 1
    return out


def edits(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield a JSON value with one of its parts left out, or replaced by something strange."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield f"no {key}", {k: v for k, v in value.items() if k != key}
            for how, edited in edits(part):
                yield f"{key}: {how}", {**value, key: edited}
    elif isinstance(value, list):
        for k, part in enumerate(value[:2]):
            for how, edited in edits(part):
                yield f"{k}: {how}", [*value[:k], edited, *value[k + 1 :]]
    yield from ((f"is {strange!r}", strange) for strange in STRANGE)


def read(folder: Path) -> None:
    """Read a folder, and use what was read as tables and reports do."""
    found = adv.Survey.load(folder)
    found.to_frame()
    found.flipping()
    repr(found)
    str(found)
    for result in found.results:
        if result is not None:
            repr(result), str(result), result.changed_genes, result.success


def check(folder: Path, how: str) -> None:
    try:
        read(folder)
    except AdverscarialError:
        pass
    except Exception as error:  # noqa: BLE001
        pytest.fail(f"{how}: {type(error).__name__}: {error}")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["run.json", "errors.json"])
def test_edited_plans_and_errors(folder: Path, name: str) -> None:
    path = folder / name
    before = path.read_bytes()
    value = json.loads(before)
    del value["checksum"]
    tried = 0
    try:
        for how, edited in edits(value):
            if not isinstance(edited, dict):
                path.write_text(json.dumps(edited))
            else:
                text = json.dumps({**edited, "checksum": _store._checksum(edited)})
                path.write_text(text, errors="surrogatepass")
            check(folder, how)
            tried += 1
    finally:
        path.write_bytes(before)
    assert tried > (100 if name == "run.json" else 10)


@pytest.mark.slow
@pytest.mark.parametrize("row", range(len(ATTACKS)))
def test_edited_results(folder: Path, row: int) -> None:
    path = folder / "results" / f"{row:05d}.npz"
    before = path.read_bytes()
    with np.load(io.BytesIO(before)) as archive:
        arrays = {name: archive[name] for name in archive.files}
    meta = json.loads(arrays.pop("meta").tobytes())
    tried = 0
    try:
        for how, edited in edits(meta):
            text = np.frombuffer(json.dumps(edited).encode(errors="surrogatepass"), dtype=np.uint8)
            with path.open("wb") as file:
                np.savez(file, meta=text, **arrays)
            check(folder, how)
            tried += 1
        for name, array in arrays.items():
            for how, other in (
                ("short", array[:-1]),
                ("none", array[:0]),
                ("deep", array[None]),
                ("text", array.astype(str)),
            ):
                with path.open("wb") as file:
                    np.savez(file, meta=np.frombuffer(json.dumps(meta).encode(), np.uint8), **{**arrays, name: other})
                check(folder, f"{name} {how}")
    finally:
        path.write_bytes(before)
    assert tried > 100


def test_what_belongs_to_a_result_cannot_be_left_out(folder: Path, tmp_path: Path) -> None:
    """A result that was stored by hand, outside of a survey, is not taken for one of it."""
    out = tmp_path / "run"
    run(targets=["B"], out=out)
    result = ATTACK(cells(), labels, groupby="cell_type", target="B")
    result.save(out / "results" / "00000.npz")
    with pytest.raises(StorageError, match="belongs to another survey"):
        adv.Survey.load(out)


def test_a_survey_of_an_older_format_is_named(folder: Path, tmp_path: Path) -> None:
    plan = json.loads((folder / "run.json").read_text())
    del plan["checksum"]
    _store.write_json(tmp_path / "run.json", {**plan, "format": 2})
    with pytest.raises(StorageError, match="holds a survey of format 2, this version reads format 4"):
        run(out=tmp_path)
