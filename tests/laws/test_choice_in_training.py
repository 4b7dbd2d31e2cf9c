"""A modality or raw named in training, labelling or splitting gives what the same call gives on data made by hand."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import adverscarial as adv
from adverscarial import classifiers
from adverscarial.classifiers import Classifier, Decision, wrap
from adverscarial.errors import AdverscarialError, DataError, ParameterError
from laws.families import cells, classifier

mudata = pytest.importorskip("mudata")


class Elsewhere(Classifier):
    """A classifier of another package, whose `fit` knows of no modality."""

    def fit(self, adata: AnnData, groupby: str, *, layer: str | None = None) -> Elsewhere:
        self.classes, self.genes = tuple(sorted(set(adata.obs[groupby]))), adata.var_names
        self.means = np.stack([adata[adata.obs[groupby] == name].X.mean(axis=0) for name in self.classes])
        return self

    def decide(self, X: np.ndarray) -> Decision:
        scores = -((X[:, None, :] - self.means) ** 2).sum(axis=2)
        return Decision(np.array(self.classes, dtype=object)[scores.argmax(axis=1)], scores)


def regression() -> object:
    from sklearn.linear_model import LogisticRegression

    train = cells(10**7)
    return LogisticRegression().fit(train.X, train.obs["type"])


#: every family that is trained, and what trains another
NEW: dict[str, Callable[[], Classifier]] = {
    "markers": lambda: classifiers.Markers(n_markers=2),
    "linear": lambda: classifiers.Linear(),
    "forest": lambda: classifiers.RandomForest(5, balance=12, seed=0, progress=False),
    "CHETAH": lambda: classifiers.Chetah(n_genes=4),
    "scAnnotatR": lambda: classifiers.ScAnnotatR(3, progress=False),
    "wrapped": lambda: wrap(regression()),
    "guard": lambda: classifiers.Guard(classifiers.Markers(n_markers=2), "unsure", margin=0),
    "clipped": lambda: classifiers.Clipped(classifiers.Linear(), limit=1),
    "guard of another package's": lambda: classifiers.Guard(Elsewhere(), "clip", margin=0),
}
if find_spec("torch"):
    NEW["MLP"] = lambda: classifiers.MLP((4,), epochs=2, batch_size=8, balance=None, progress=False, device="cpu")
if find_spec("singler"):
    NEW["SingleR"] = lambda: classifiers.SingleR(balance=None)


def both(seed: int) -> AnnData:
    """Cells whose X and raw hold other values and other genes."""
    adata = cells(seed)[:, 1:].copy()
    adata.raw = cells(seed)
    adata.X = np.ascontiguousarray(adata.X[:, ::-1])
    return adata


def several(seed: int) -> object:
    """The same as the modality "rna" of a MuData, whose types all modalities share; "prot" holds other values."""
    rna, prot = both(seed), cells(seed + 1)
    found = mudata.MuData({"rna": rna, "prot": prot[:, :6].copy()})
    for part in found.mod.values():
        del part.obs["type"]
    found.obs["type"] = cells(seed).obs["type"]
    return found


def by_hand(data: object, mod: str, use_raw: bool = False) -> AnnData:
    adata = data.mod[mod].raw.to_adata() if use_raw else data.mod[mod].copy()
    adata.obs["type"] = data.obs["type"]
    return adata


def answers(model: Classifier, data: object, **chosen: object) -> list[object]:
    labels = model.predict(data, progress=False, **chosen)
    chetah = isinstance(model, classifiers.Chetah)  # whose scores are none of classes
    scores = model.scores(data, progress=False, **chosen) if model.gives_scores or chetah else None
    return [labels, scores, model.summary(data, "type", **chosen)]


def same(found: list[object], expected: list[object]) -> None:
    for one, other in zip(found, expected, strict=True):
        if isinstance(one, pd.Series):
            pd.testing.assert_series_equal(one, other)
        elif one is not None or other is not None:
            pd.testing.assert_frame_equal(one, other)


@pytest.mark.fast("markers", "CHETAH", "guard")
@pytest.mark.parametrize("name", NEW)
def test_training_on_raw_is_training_on_its_own_data(name: str) -> None:
    train, test = both(1), both(2)
    hand = NEW[name]().fit(train.raw.to_adata(), "type")
    model = NEW[name]().fit(train, "type", use_raw=True)
    expected = answers(hand, test.raw.to_adata())
    same(answers(model, test, use_raw=True), expected)
    assert hand.genes is None or set(hand.genes) <= set(train.raw.var_names)
    other = NEW[name]().fit(train, "type")
    assert not other.predict(test, progress=False).equals(expected[0])  # so X gives something else


@pytest.mark.fast("markers", "CHETAH", "guard")
@pytest.mark.parametrize("name", NEW)
def test_a_modality(name: str) -> None:
    train, test = several(1), several(2)
    for choice, (mod, use_raw) in (
        ({}, ("rna", False)),
        ({"mod": "prot"}, ("prot", False)),
        ({"mod": "rna", "use_raw": True}, ("rna", True)),
    ):
        hand = NEW[name]().fit(by_hand(train, mod, use_raw), "type")
        model = NEW[name]().fit(train, "type", **choice)
        same(answers(model, test, **choice), answers(hand, by_hand(test, mod, use_raw)))


@pytest.mark.fast("markers", "CHETAH", "guard")
@pytest.mark.parametrize("name", NEW)
def test_what_makes_no_sense(name: str) -> None:
    data, modalities = both(1), several(1)
    data.layers["twice"] = data.X * 2
    model = NEW[name]().fit(data, "type")
    for do in (lambda data, **chosen: NEW[name]().fit(data, "type", **chosen), model.predict, model.scores):
        if do == model.scores and not model.gives_scores and not isinstance(model, classifiers.Chetah):
            continue
        with pytest.raises(ParameterError, match="different values"):
            do(data, use_raw=True, layer="twice")
        with pytest.raises(ParameterError, match=r"no modality 'protein'.*Did you mean 'prot'"):
            do(modalities, mod="protein")
        with pytest.raises(ParameterError, match="this is an AnnData"):
            do(data, mod="rna")
        with pytest.raises(DataError, match="There is no raw"):
            do(modalities, mod="prot", use_raw=True)
        with pytest.raises(DataError, match="Expected an AnnData, got a DataFrame"):
            do(data.to_df())


def test_markers_are_ranked_on_no_layer_beside_raw() -> None:
    data = both(1)
    data.layers["twice"] = data.X * 2
    for layer in ("twice", "X"):
        with pytest.raises(ParameterError, match="different values"):
            NEW["scAnnotatR"]().fit(data, "type", use_raw=True, markers_layer=layer)


def family_classes(cls: type[Classifier] = Classifier) -> Iterator[type[Classifier]]:
    for found in cls.__subclasses__():
        yield from family_classes(found)
        if found.__module__.startswith("adverscarial."):
            yield found


@pytest.mark.parametrize("method", ["fit", "predict", "scores", "summary"])
def test_every_classifier_shows_the_choice(method: str) -> None:
    found = {cls.__name__: inspect.signature(getattr(cls, method)).parameters for cls in family_classes()}
    assert {"Chetah", "Clipped", "Estimator", "ScAnnotatR"} <= set(found)
    for name, parameters in found.items():
        assert parameters["mod"].default is None, name
        assert parameters["use_raw"].default is False, name
        assert {parameters[key].kind for key in ("mod", "use_raw")} == {inspect.Parameter.KEYWORD_ONLY}, name


def test_a_ready_made_classifier_reads_what_is_named() -> None:
    model, data = classifier("function"), cells(3)
    found = mudata.MuData({"rna": data.copy(), "prot": data[:, ::-1].copy()})
    pd.testing.assert_series_equal(model.predict(found), model.predict(data))
    with pytest.raises(AdverscarialError, match="cannot be trained here"):
        model.fit(found, "type", mod="rna")


def test_halves_of_a_modality() -> None:
    data = several(1)
    data.mod["rna"].layers["twice"] = data.mod["rna"].X * 2
    for mod in ("rna", "prot"):
        for half, hand in zip(
            adv.datasets.split(data, "type", seed=0, mod=mod),
            adv.datasets.split(by_hand(data, mod), "type", seed=0),
            strict=True,
        ):
            pd.testing.assert_frame_equal(half.to_df(), hand.to_df())
            pd.testing.assert_series_equal(half.obs["type"], hand.obs["type"])
            assert set(half.layers) == set(hand.layers)
    train, _ = adv.datasets.split(data, "type", seed=0)
    rows = [name in set(train.obs_names) for name in data.obs_names]
    hand = NEW["linear"]().fit(by_hand(data, "rna", use_raw=True)[rows], "type")
    for choice in ({}, {"mod": "rna"}):  # a half knows its modality
        model = NEW["linear"]().fit(train, "type", use_raw=True, **choice)
        same(answers(model, data, use_raw=True), answers(hand, by_hand(data, "rna", use_raw=True)))
    with pytest.raises(ParameterError, match="no modality 'protein'"):
        adv.datasets.split(data, "type", seed=0, mod="protein")


def test_a_modality_is_preprocessed() -> None:
    data = several(1)
    for choice, mod in (({}, "rna"), ({"mod": "prot"}, "prot")):
        found = adv.datasets.preprocess(data, target_sum=None, **choice)
        expected = adv.datasets.preprocess(by_hand(data, mod), target_sum=None)
        pd.testing.assert_frame_equal(found.to_df(), expected.to_df())
        pd.testing.assert_frame_equal(found.to_df("lognorm"), expected.to_df("lognorm"))


def test_quality_of_a_modality() -> None:
    data = several(1)
    for choice, mod in (({}, "rna"), ({"mod": "prot"}, "prot")):
        asked = {"min_genes": 4, "remove": "T", "groupby": "type"}
        found, hand = adv.datasets.quality_control(data, **asked, **choice), by_hand(data, mod)
        expected = adv.datasets.quality_control(hand, **asked)
        pd.testing.assert_frame_equal(found.to_df(), expected.to_df())
        assert 0 < found.n_obs < (hand.obs["type"] != "T").sum()
        assert found.uns["quality_control"] == expected.uns["quality_control"]


@pytest.mark.parametrize("use_raw", [False, True])
def test_genes_of_a_modality_are_matched(use_raw: bool) -> None:
    train, test = several(1), several(2)
    model = NEW["linear"]().fit(train, "type", use_raw=use_raw)
    hand = by_hand(test, "rna", use_raw)[:, 2:]
    learnt = by_hand(train, "rna", use_raw)
    expected = classifiers.match_genes(hand, model, missing="mean", reference=learnt)
    fewer = AnnData(test.mod["rna"].X[:, 2:], obs=hand.obs[["type"]], var=test.mod["rna"].var[2:])
    fewer.raw = by_hand(test, "rna", use_raw=True)[:, 2:]
    of_cells = {"anndata": train.mod["rna"], "mudata": train}
    for data in (fewer, mudata.MuData({"rna": fewer, "prot": test.mod["prot"]})):
        for reference in of_cells.values():
            found = classifiers.match_genes(data, model, missing="mean", reference=reference, use_raw=use_raw)
            pd.testing.assert_frame_equal(found.to_df(), expected.to_df())
            labels = model.predict(found, use_raw=use_raw)  # handed on with the same choice
            pd.testing.assert_series_equal(labels, model.predict(expected))
    with pytest.raises(ParameterError, match="different values"):
        classifiers.match_genes(fewer, model, use_raw=True, layer="twice")
