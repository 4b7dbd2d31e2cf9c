"""What counts as the same object: its content, whatever holds it, in whatever process."""

from __future__ import annotations

import copy
import functools
import pickle
import re
import sys
import threading
import types
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.special import expit
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import adverscarial as adv
from adverscarial.surveys.identity import Unidentified, identity
from surveys.small import above, cells, script


class Tool:
    """An object with a setting."""

    shared = 1.0

    def __init__(self, level: float) -> None:
        self.level = level

    def label(self, X: np.ndarray) -> np.ndarray:
        return np.where(X[:, 0] > self.level * self.shared, "B", "T")

    __call__ = label

    @classmethod
    def of_class(cls, X: np.ndarray) -> np.ndarray:
        return np.where(X[:, 0] > cls.shared, "B", "T")


class Slots:
    __slots__ = ("level",)

    def __init__(self, level: float) -> None:
        self.level = level


class Forgetful(Tool):
    """Leaves its setting out when it is stored."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


def by_default(level: float) -> Callable[..., Any]:
    return lambda X, level=level: level < X


def by_keyword(level: float) -> Callable[..., Any]:
    return lambda X, *, level=level: level < X


def two_deep(level: float) -> Callable[..., Any]:
    return lambda X: [x > level for x in X]


def with_attribute(level: float) -> Callable[..., Any]:
    def label(X: np.ndarray) -> np.ndarray:
        return label.level < X  # type: ignore[attr-defined]

    label.level = level  # type: ignore[attr-defined]
    return label


def wrapped(level: float) -> Callable[..., Any]:
    return functools.wraps(above(level))(lambda *given: above(level)(*given))


def masked(value: float) -> np.ma.MaskedArray:
    return np.ma.masked_array([1.0, 2.0], [value > 1, False])


def padded(value: float) -> np.ndarray:
    """An array whose fields leave room between them, filled with what was there before."""
    room = np.full(64, int(value * 100) % 7, dtype=np.uint8)
    array = room[:32].view(np.dtype([("a", "i1"), ("b", "f8")], align=True))
    array["a"], array["b"] = 1, value
    return array


HOLDERS: list[Callable[[float], Any]] = [
    above, by_default, by_keyword, two_deep, with_attribute, wrapped, Tool, Slots, Forgetful, masked, padded,
    lambda level: Tool(level).label,
    lambda level: functools.partial(above(0), level),
    lambda level: functools.lru_cache(above(level)),
    lambda level: {"a": [above(level)]},
    lambda level: np.array([level, 2.0]),
    lambda level: np.array([above(level)], dtype=object),
    lambda level: sp.csc_matrix(np.diag([level, 1.0])),
    lambda level: pd.DataFrame({"a": [level], "b": ["x"]}),
    lambda level: pd.Series([level], name="a"),
    lambda level: pd.Index([level]),
    lambda level: OrderedDict(a=level),
    lambda level: frozenset({level, "a", "b"}),
    lambda level: np.random.default_rng(int(level * 10)),
    lambda level: adv.Custom(above(level)),
    lambda level: adv.attacks.SingleGene(adv.Custom(Tool(level).label)),
    lambda level: adv.attacks.SingleGene(f"fixed:{level}"),
    lambda level: adv.classifiers.wrap(above(level)),
    lambda level: adv.classifiers.wrap(above(1), preprocess=above(level)),
    lambda level: adv.classifiers.wrap(lambda data, clusters, target: (str(level), 1.0)),
]  # fmt: skip


@pytest.mark.parametrize("make", HOLDERS, ids=range(len(HOLDERS)))
def test_equal_content_is_the_same_and_other_content_is_not(make: Callable[[float], Any]) -> None:
    assert identity(make(1.5)) == identity(make(1.5))
    assert identity(make(1.5)) != identity(make(0.5))


def test_a_scope_a_class_and_a_gene_more_are_another_object() -> None:
    wrap, custom = adv.classifiers.wrap, adv.Custom
    different = [
        custom(above(1)), custom(above(1), "cluster_block"), wrap(above(1)), wrap(above(1), classes=["B", "T"]),
        wrap(above(1), classes=["T", "B"]), wrap(above(1), genes=["g0"]), wrap(above(1), preprocess="log1p"),
        wrap(above(1), preprocess="scale"),
        wrap(above(1), needs_all_cells=True), wrap(above(1), needs_all_cells=False),
        adv.attacks.SingleGene("perc99"), adv.attacks.MaxChange("perc99"),
    ]  # fmt: skip
    assert len({identity(thing) for thing in different}) == len(different)


LEVEL = 1.0
TABLE = {"level": 1.0}


def reads_a_global(X: np.ndarray) -> np.ndarray:
    return X > LEVEL


def calls_one_that_does(X: np.ndarray) -> np.ndarray:
    return [reads_a_global(x) for x in X]  # type: ignore[return-value]


def reads_a_table(X: np.ndarray) -> np.ndarray:
    return TABLE["level"] < X


@pytest.mark.parametrize("function", [reads_a_global, calls_one_that_does, reads_a_table, Tool.of_class, Tool(1).label])
def test_globals_and_attributes_of_the_class_count(
    function: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = identity(function)
    monkeypatch.setitem(reads_a_global.__globals__, "LEVEL", 2.0)
    monkeypatch.setitem(TABLE, "level", 2.0)
    monkeypatch.setattr(Tool, "shared", 2.0)
    after = identity(function)
    monkeypatch.undo()
    assert before != after
    assert identity(function) == before


def test_modules_of_the_user_count_by_what_is_used_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_settings_of_a_test.py").write_text("LEVEL = 1\nOTHER = 1\ndef label(X):\n    return X > LEVEL\n")
    monkeypatch.syspath_prepend(tmp_path)

    def late(X: np.ndarray) -> np.ndarray:
        import own_settings_of_a_test  # type: ignore[import-not-found]

        return own_settings_of_a_test.label(X)

    module = types.ModuleType("in_memory_only")
    module.LEVEL = 1  # type: ignore[attr-defined]

    def of_module(X: np.ndarray) -> np.ndarray:
        return X > module.LEVEL  # type: ignore[attr-defined,no-any-return]

    before = identity(late), identity(of_module)
    own = sys.modules["own_settings_of_a_test"]
    own.OTHER = 2  # type: ignore[attr-defined]
    assert (identity(late), identity(of_module)) == before
    own.LEVEL, module.LEVEL = 2, 2  # type: ignore[attr-defined]
    assert identity(late) != before[0]
    assert identity(of_module) != before[1]


def trained(kind: str, swapped: bool) -> Any:
    adata = cells()
    y = adata.obs["cell_type"].to_numpy().astype(str)
    y = y[::-1] if swapped else y
    if kind == "torch":
        torch = pytest.importorskip("torch")
        torch.manual_seed(int(swapped))
        return torch.nn.Sequential(torch.nn.Linear(8, 3), torch.nn.BatchNorm1d(3))
    if kind in ("xgboost", "lightgbm"):
        package = pytest.importorskip(kind)
        codes = pd.factorize(y, sort=True)[0]
        quiet = {"verbose": -1} if kind == "lightgbm" else {}
        make = package.XGBClassifier if kind == "xgboost" else package.LGBMClassifier
        return make(n_estimators=3, **quiet).fit(adata.X, codes)
    model = {
        "linear": LogisticRegression(),
        "forest": RandomForestClassifier(5, random_state=0),
        "pipeline": make_pipeline(StandardScaler(), LogisticRegression()),
    }[kind]
    return model.fit(adata.X, y)


@pytest.mark.fast(5)
@pytest.mark.parametrize("preprocess", [None, "log1p"])
@pytest.mark.parametrize("kind", ["linear", "forest", "pipeline", "torch", "xgboost", "lightgbm"])
def test_a_model_is_known_by_what_it_learnt(kind: str, preprocess: str | None) -> None:
    def wrapped(model: Any) -> Any:
        names = {"classes": ["B", "NK", "T"]} if kind in ("torch", "xgboost", "lightgbm") else {}
        return adv.classifiers.wrap(model, preprocess=preprocess, genes=list(cells().var_names), **names)

    model = trained(kind, False)
    known = identity(wrapped(model))
    assert identity(wrapped(pickle.loads(pickle.dumps(model)))) == known
    assert identity(wrapped(trained(kind, True))) != known
    asked = wrapped(model)
    asked.bind(pd.Index(cells().var_names)).decide(np.ones((3, 8)))
    assert identity(asked) == known  # asking a model does not make it another one


def test_what_is_known_by_a_name_is_looked_for_under_it() -> None:
    assert identity(np.log1p) == identity(np.log1p) != identity(np.log)
    assert identity(expit) == identity(expit)
    assert identity(re.compile("a")) == identity(re.compile("a")) != identity(re.compile("b"))
    assert identity("".join) != identity(b"".join)  # of an object that is empty
    with pytest.raises(Unidentified, match="a ufunc, cannot be read"):
        identity(np.frompyfunc(lambda x: x > 1, 1, 1))  # called as all others that are made of a lambda


def test_a_function_is_the_same_after_it_was_asked() -> None:
    model = adv.classifiers.wrap(lambda X: pd.DataFrame({"B": X[:, 0], "T": 1 - X[:, 0]}))
    before = identity(model)
    model.decide(np.ones((2, 2)))
    assert model.classes == ("B", "T")  # it learns them from the first answer
    assert identity(model) == before


def test_buffers_of_a_network_count() -> None:
    torch = pytest.importorskip("torch")
    model = trained("torch", False)
    other = copy.deepcopy(model)
    with torch.no_grad():
        other[1].running_mean += 1
    assert identity(other) != identity(model)


@pytest.mark.slow
def test_another_process_finds_the_same_identity() -> None:
    code = (
        "from surveys.test_identity import *\n"
        "for make in HOLDERS[:25]:\n"
        "    print(identity(make(1.5)))\n"
        "print(identity(trained('forest', False)))"
    )
    first, second = (script(code, PYTHONHASHSEED=seed) for seed in ("1", "2"))
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout


def test_what_cannot_be_read_has_no_identity(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        for thing in (threading.Lock(), (number for number in range(3)), file):
            with pytest.raises(Unidentified, match="cannot be read"):
                identity(Tool(thing))  # type: ignore[arg-type]


def test_an_object_that_holds_itself_can_be_read() -> None:
    def ring(size: int) -> list[Any]:
        items: list[Any] = [size]
        items.append(items)
        return items

    assert identity(ring(1)) == identity(ring(1))
    assert identity(ring(1)) != identity(ring(2))


@pytest.mark.slow
def test_a_chain_too_long_to_follow_has_no_identity() -> None:
    chain: list[Any] = []
    for _ in range(100_000):
        chain = [chain]
    with pytest.raises(Unidentified, match="deeper than can be read"):
        identity(chain)
