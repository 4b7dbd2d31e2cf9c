"""A folder is extended by classifiers, clusters and attacks: what is there is taken, the table is a fresh one's."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import adverscarial as adv
from adverscarial.errors import StorageError
from adverscarial.surveys import folder as folder_module
from surveys.small import ATTACK, above, cells, run

ONE, TWO, THREE = ATTACK, adv.attacks.SingleGene("random"), adv.attacks.MaxChange("perc1", restarts=1)
LOW, HIGH = above(0.6), above(1.5)
MIDDLE: dict[str, Any] = {"model": {"low": LOW}, "attacks": [ONE, THREE], "targets": ["NK", "B"]}
OTHERS: dict[str, dict[str, Any]] = {
    "one more attack, first": {"attacks": [TWO, ONE, THREE]},
    "one attack fewer": {"attacks": [THREE]},
    "another attack": {"attacks": [TWO]},
    "one more cluster": {"targets": None},
    "one cluster fewer": {"targets": ["B"]},
    "another order of clusters": {"targets": ["B", "NK"]},
    "one more classifier, first": {"model": {"high": HIGH, "low": LOW}},
    "another classifier": {"model": {"high": HIGH}},
    "another name": {"model": {"renamed": LOW}},
    "all at once": {"model": {"high": HIGH, "low": LOW}, "attacks": [TWO, THREE, ONE], "targets": None},
}


def content(folder: Path) -> dict[str, bytes]:
    """Return what a survey's folder holds, but for the times in its results."""
    return {name: (folder / name).read_bytes() for name in ("run.json", "table.csv", "errors.json")}


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """Return the attacks whose results are written, filled as they are."""
    seen: list[tuple[str, str, str]] = []
    write = folder_module.RunFolder.write

    def counted(self: Any, task: Any, result: Any) -> None:
        seen.append((task.classifier, task.target, repr(task.attack)))
        write(self, task, result)

    monkeypatch.setattr(folder_module.RunFolder, "write", counted)
    return seen


def rows(asked: dict[str, Any]) -> set[tuple[str, str, str]]:
    """Return classifier, cluster and attack of each row, the classifiers by what they do."""
    models = {"renamed": "low"}
    targets = asked["targets"] or ["B", "NK", "T"]
    return {(models.get(m, m), t, repr(a)) for m in asked["model"] for t in targets for a in asked["attacks"]}


@pytest.mark.fast("one more classifier, first-1")
@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("what", OTHERS)
def test_only_what_is_new_is_computed(
    tmp_path: Path, what: str, n_jobs: int, computed: list[tuple[str, str, str]]
) -> None:
    asked = MIDDLE | OTHERS[what]
    run(**asked, out=tmp_path / "fresh")
    first = run(**MIDDLE, out=tmp_path / "run")
    computed.clear()
    found = run(**asked, out=tmp_path / "run", n_jobs=n_jobs)
    assert {(("low" if m == "renamed" else m), t, a) for m, t, a in computed} == rows(asked) - rows(MIDDLE)
    assert content(tmp_path / "run") == content(tmp_path / "fresh")
    assert adv.Survey.load(tmp_path / "run").to_frame().equals(found.to_frame())
    computed.clear()
    back = run(**MIDDLE, out=tmp_path / "run")  # what was not asked for in between was kept
    assert not computed
    assert back.to_frame().equals(first.to_frame())


@pytest.mark.slow
def test_a_survey_killed_while_it_takes_over_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wider = MIDDLE | OTHERS["all at once"]
    fresh = run(**wider, out=tmp_path / "fresh").to_frame()
    steps = 0

    def stops(function: Callable[..., Any], at: int) -> Callable[..., Any]:
        def stopping(*args: Any, **options: Any) -> Any:
            nonlocal steps
            steps += 1
            if steps == at:
                raise KeyboardInterrupt
            return function(*args, **options)

        return stopping

    def unlink(path: Path, **options: Any) -> None:
        if path.name != ".lock":  # which the system frees when a process ends
            before(path, **options)

    ends, before = 0, Path.unlink
    for at in range(1, 40):
        out, steps = tmp_path / f"run{at}", 0
        first = run(**MIDDLE, out=out).to_frame()
        with monkeypatch.context() as patched:
            patched.setattr("os.replace", stops(folder_module._store.os.replace, at))
            patched.setattr(Path, "unlink", stops(unlink, at))
            try:
                run(**wider, out=out)
            except KeyboardInterrupt:
                ends += 1
            else:
                break
        try:
            table = adv.Survey.load(out).to_frame()
        except StorageError as error:
            told = str(error)
            assert "not finished" in told
        else:
            assert table.equals(first) or table.equals(fresh)
        run(**wider, out=out)
        assert content(out) == content(tmp_path / "fresh"), at
    assert ends > 10


def test_a_model_trained_anew_is_added_under_another_name_only(tmp_path: Path) -> None:
    run({"model": LOW}, out=tmp_path)
    with pytest.raises(StorageError, match="differs in classifiers"):
        run({"model": HIGH}, out=tmp_path, attacks=[ONE, TWO])
    found = run({"model": LOW, "retrained": HIGH}, out=tmp_path, attacks=[ONE, TWO])
    assert found.to_frame().equals(run({"model": LOW, "retrained": HIGH}, attacks=[ONE, TWO]).to_frame())


def held(number: float) -> adv.attacks.SingleGene:
    """Return an attack whose settings do not tell the number."""
    return adv.attacks.SingleGene(adv.Custom(lambda values: values * 0 + number))


@pytest.mark.slow
def test_attacks_of_the_same_settings_are_told_apart(tmp_path: Path) -> None:
    run(attacks=[held(5)], out=tmp_path)
    with pytest.raises(StorageError, match="differs in attacks"):
        run(attacks=[held(0), ONE], out=tmp_path)
    for attacks in ([held(0), held(5)], [held(5), held(0), ONE], [held(0)]):
        assert run(attacks=attacks, out=tmp_path).to_frame().equals(run(attacks=attacks).to_frame())


class Service:
    """A classifier that nobody can identify."""

    def __init__(self, level: float) -> None:
        self.lock, self.level = threading.Lock(), level

    def __call__(self, X: np.ndarray) -> np.ndarray:
        return np.where(X[:, 0] > self.level, "B", "T")


@pytest.mark.slow
def test_what_cannot_be_identified_is_extended_only_on_trust(tmp_path: Path) -> None:
    run({"service": Service(0.6)}, out=tmp_path)
    more = {"model": {"service": Service(0.6)}, "attacks": [ONE, THREE], "out": tmp_path}
    with pytest.raises(StorageError, match="cannot be told whether 'service' is the same"):
        run(**more)
    expected = run({"service": LOW}, attacks=[ONE, THREE]).to_frame()
    assert run(**more, resume="trust").to_frame().equals(expected)
    run({"known": LOW}, out=tmp_path)  # meanwhile
    other = {"service": Service(1.5)}  # nothing says that this is the one of before
    assert run(other, out=tmp_path, resume="trust").to_frame().equals(run({"service": HIGH}).to_frame())


def test_a_damaged_kept_result_is_computed_anew(tmp_path: Path, computed: list[tuple[str, str, str]]) -> None:
    run(attacks=[ONE], targets=["B", "T"], out=tmp_path)
    run(attacks=[ONE], targets=["T"], out=tmp_path)
    (kept,) = (tmp_path / "kept").iterdir()
    kept.write_bytes(kept.read_bytes()[:200])
    computed.clear()
    found = run(attacks=[ONE], targets=["B", "T"], out=tmp_path)
    assert [target for _, target, _ in computed] == ["B"]
    assert found.to_frame().equals(run(attacks=[ONE], targets=["B", "T"]).to_frame())


@pytest.mark.parametrize("other", [{"seed": 1}, {"adata": cells(seed=1)}, {"budget": 3}])
def test_other_data_and_settings_are_refused_with_more_attacks_too(tmp_path: Path, other: dict[str, Any]) -> None:
    run(attacks=[TWO], out=tmp_path)
    with pytest.raises(StorageError, match="belongs to another survey"):
        run(attacks=[TWO, ONE], out=tmp_path, **other)
    assert adv.Survey.load(tmp_path).to_frame().equals(run(attacks=[TWO]).to_frame())
