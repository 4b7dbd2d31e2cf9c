"""Stored results that somebody edited: every field gives the package's own error when it is read, or makes sense."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import adverscarial as adv
from adverscarial.attacks.registered import attacks
from adverscarial.attacks.result import Result
from adverscarial.errors import AdverscarialError, StorageError
from surveys.small import cells

A = adv.attacks
ATTACKS: list[A.Attack[Any]] = [
    A.SingleGene("perc99"),
    A.SingleGene("perc99", search="bisect"),
    A.MaxChange("perc1", restarts=1),
    A.MinChange("perc99"),
    A.Grid(["g0", "g1"]),
    A.RandomWalk(["g0", "g1"], steps=4, tries=2),
    A.ClusterGradientDescent(genes=["g0", "g1"]),
    A.FastGradientSign(0.5, genes=["g0", "g1"]),
    A.ProjectedGradientDescent(0.5, genes=["g0", "g1"], steps=2),
]
STRANGE: list[Any] = [{}, "x", -1, [[]]]


def test_every_attack_is_here() -> None:
    assert {type(attack) for attack in ATTACKS} == set(attacks().values())


def stored(attack: A.Attack[Any], path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return what the file of a result of the attack holds."""
    model = adv.classifiers.wrap(lambda X: np.column_stack([X[:, 0], 2 - X[:, 1]]), classes=["B", "T"])
    attack(cells(), model, groupby="cell_type", target="B").save(path)
    with np.load(io.BytesIO(path.read_bytes())) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return json.loads(arrays.pop("meta").tobytes()), arrays


def edits(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield a JSON value with one of its parts left out, or replaced by something strange."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield f"no {key}", {k: v for k, v in value.items() if k != key}
            yield from ((f"{key}: {how}", {**value, key: edited}) for how, edited in edits(part))
    elif isinstance(value, list) and value:
        yield from ((f"0: {how}", [edited, *value[1:]]) for how, edited in edits(value[0]))
    yield from ((f"is {strange!r}", strange) for strange in STRANGE)


def arrays_like(array: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield arrays of another length, number of dimensions or type; or with values that point far away."""
    yield from {
        "short": array[:-1], "deep": array[None], "one number": np.array(3), "text": array.astype(str),
        "nothing that can be compared": np.zeros(array.shape, "V4"), "far": np.full(array.shape, 2**40),
    }.items()  # fmt: skip


def used(path: Path) -> None:
    """Read a result, and use it as tables, figures, reports and verdicts do."""
    result: Result = Result.load(path)
    repr(result), str(result), result.to_frame(), result.row(), result.sentence, result.notes, result.marks
    result.flips(), result.nearest(), result.coverage(8), result.trajectory(), result.labels_given
    getattr(result, "groups", None)
    result.apply(cells())


def check(path: Path, how: str, about: dict[str, Any], arrays: dict[str, np.ndarray]) -> bool:
    """Write an edited result, read and use it, and return whether it was refused."""
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, meta=np.frombuffer(json.dumps(about).encode(), np.uint8), **arrays)
    try:
        used(path)
    except AdverscarialError:
        return True
    except Exception as error:  # noqa: BLE001
        pytest.fail(f"{how}: {type(error).__name__}: {error}")
    return False


@pytest.mark.parametrize("attack", ATTACKS, ids=repr)
def test_every_field_of_another_type(attack: A.Attack[Any], tmp_path: Path) -> None:
    path = tmp_path / "result.npz"
    meta, arrays = stored(attack, path)
    for name in meta["fields"]:
        assert check(path, name, {**meta, "fields": {**meta["fields"], name: [[]]}}, arrays), name
    for name, array in arrays.items():
        check(path, name, meta, {**arrays, name: array[None]})


@pytest.mark.slow
@pytest.mark.parametrize("attack", ATTACKS, ids=repr)
def test_every_part_in_many_ways(attack: A.Attack[Any], tmp_path: Path) -> None:
    path = tmp_path / "result.npz"
    meta, arrays = stored(attack, path)
    refused = [check(path, how, edited, arrays) for how, edited in edits(meta)]
    for name, array in arrays.items():
        refused += [check(path, f"{name}: {how}", meta, {**arrays, name: a}) for how, a in arrays_like(array)]
    assert len(refused) > 100
    assert sum(refused) > len(refused) / 2


def test_the_error_names_the_field(tmp_path: Path) -> None:
    path = tmp_path / "result.npz"
    meta, arrays = stored(ATTACKS[0], path)
    meta["fields"]["n_cells"] = "many"
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, meta=np.frombuffer(json.dumps(meta).encode(), np.uint8), **arrays)
    with pytest.raises(StorageError, match=r"'n_cells' is 'many', expected int\. Run the attack again"):
        Result.load(path)
