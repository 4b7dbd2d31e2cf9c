"""Certificates that somebody edited, field by field: with cells and classifier given, nothing untrue is accepted."""

from __future__ import annotations

import base64
import copy
import zlib
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
from anndata import AnnData
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from adverscarial import _store
from adverscarial.attacks import MinChange, MinChangeResult
from adverscarial.attacks.minimal.certify import packed
from adverscarial.classifiers import Classifier, wrap
from adverscarial.classifiers.plain import fingerprint
from adverscarial.errors import AdverscarialError
from adverscarial.evaluation import CertificateCheck, verify_certificate
from laws.families import GENES, TARGETS, cells, classifier

WHERE = {"groupby": "cluster", "target": TARGETS[0]}
#: weights as they are; behind a scaling; a forest; a network
FAMILIES = ["logistic", "pipeline", "forest", "perceptron"]
WEIGHED = FAMILIES[:2]


class Case(NamedTuple):
    adata: AnnData
    model: Classifier
    result: MinChangeResult
    content: dict


@cache
def case_of(family: str) -> Case:
    """The first of some clusters whose smallest sets are of several genes, but not of all."""
    train, model = cells(10**7), None
    if family == "pipeline":
        model = make_pipeline(StandardScaler(), LogisticRegression()).fit(train.X, train.obs["type"])
    model = classifier(family) if model is None else wrap(model, genes=GENES)
    for seed in range(60):
        adata = cells(seed)
        adata.layers["other"] = adata.X[:, ::-1].copy()
        adata.obs["other"] = np.roll(adata.obs["cluster"].to_numpy(), 1)
        result = MinChange("perc99")(adata, model, **WHERE)
        content = dict(result.certificate(adata, model).content)
        several = result.lower > 1 or family == "perceptron"  # which hangs on single genes
        if result.success and several and result.upper < len(content["genes"]):
            return Case(adata, model, result, content)
    raise AssertionError(family)


def judged(case: Case, tmp_path, *edits) -> CertificateCheck | None:
    """Return the check of an edited certificate if it is accepted."""
    content = copy.deepcopy(case.content)
    for edit in edits:
        edit(content)
    try:
        check = verify_certificate(_store.write_json(tmp_path / "c.json", content), case.adata, case.model)
    except AdverscarialError:
        return None
    return check if check else None


def unpacked(value) -> np.ndarray:
    raw = zlib.decompress(base64.b64decode(value["zlib"]))
    return np.frombuffer(raw, dtype="<f8").reshape(value["shape"]).copy()


def scaled(part: str, factor: float, shift: float = 0.0):
    return lambda c: c.update({part: packed(unpacked(c[part]) * factor + shift)})


def claims(**fields):
    return lambda c: c["claim"].update(fields)


def renamed(*names: str):
    """Give the rivals other names."""

    def edit(content) -> None:
        own, new = content["claim"]["label"], iter(names)
        content["labels"] = [label if label == own else next(new) for label in content["labels"]]

    return edit


def label_of_another(content) -> None:
    content["claim"]["label"] = next(label for label in content["labels"] if label != content["claim"]["label"])


def labels_rolled(content) -> None:
    content["labels"] = content["labels"][1:] + content["labels"][:1]


#: edits after which the certificate is about something else, or proves nothing
SHARED = {
    "label": label_of_another,
    "towards the own label": lambda c: c["claim"].update(towards=c["claim"]["label"]),
    "towards the own label alone": lambda c: c["claim"].update(towards=[c["claim"]["label"]]),
    "towards nobody": claims(towards="nobody"),
    "modification": claims(modification="perc1"),
    "no modification": claims(modification="nothing"),
    "groupby": claims(groupby="other"),
    "no groupby": claims(groupby="nothing"),
    "target": claims(target=TARGETS[1]),
    "layer": claims(layer="other"),
    "no seed": claims(seed=-1),
    "change type": claims(change_type="all"),
    "impossible": claims(impossible=True),
    "labels reversed": lambda c: c["labels"].reverse(),
    "labels rolled": labels_rolled,
    "rivals renamed": renamed("one", "two"),
    "rivals renamed to unknown ones": lambda c: (
        renamed("unknown", "Node1")(c),
        c["claim"].update(change_type="named"),
    ),
    "cells": lambda c: c["cells"].reverse(),
    "fewer cells": lambda c: c["cells"].pop(),
    "genes": lambda c: c["genes"].reverse(),
    "fewer genes": lambda c: c["genes"].pop(),
    "format": lambda c: c.update(format=3 - c["format"]),
}


def without_a_gene(content) -> None:
    content["genes"] = content["genes"][1:]
    for part in ("weights", "steps"):
        content[part] = packed(unpacked(content[part])[1:])


def far_ahead(content) -> None:
    """Move the scores of the own label by less than a share of what is said to be added up."""
    scores, own = unpacked(content["scores"]), content["labels"].index(content["claim"]["label"])
    scores[:, own] += 50.0
    content |= {"scores": packed(scores), "size": packed(np.full(len(scores), 1e12))}


def of_one_hot(content) -> None:
    """A model that gives the cells their labels whatever is changed."""
    scores = unpacked(content["scores"])
    codes, n = np.argmax(scores, axis=1), scores.shape[1]
    content |= {"scores": packed(np.eye(n)[codes]), "model": None}
    content |= {part: packed(np.zeros_like(unpacked(content[part]))) for part in ("weights", "steps", "size")}


def of_another_model(content) -> None:
    of_one_hot(content)
    bias = unpacked(content["scores"]).mean(axis=0)
    content |= {
        "scores": packed(np.tile(bias, (len(content["cells"]), 1))),
        "size": packed(np.ones(30)[: len(content["cells"])]),
    }
    content["model"] = {
        "genes": content["genes"][:1],
        "weights": packed(np.zeros((1, len(bias)))),
        "bias": packed(bias),
    }


PROOFS = {
    "scores": scaled("scores", 2.0),
    "scores, by next to nothing": scaled("scores", 1 + 1e-9),
    "scores and size": far_ahead,
    "no size": scaled("size", 0.0),
    "weights": scaled("weights", 1e-4),
    "steps": scaled("steps", 1e-4),
    "steps and weights": lambda c: (scaled("steps", 1e-4)(c), scaled("weights", 1e4)(c)),
    "no model": lambda c: (c.update(model=None), scaled("weights", 1e-4)(c)),
    "one-hot": of_one_hot,
    "another model": of_another_model,
    "a gene left out": without_a_gene,
    "no proofs": lambda c: c.update(proofs=[]),
    "a proof less": lambda c: c["proofs"].pop(),
    "proof of another goal": lambda c: c["proofs"][0].update(goal=c["proofs"][1]["goal"]),
    "goal": lambda c: c["proofs"][0].update(goal=c["proofs"][0]["loser"]),
    "argument": lambda c: c["proofs"][0].update(argument="so it is"),
    "mixtures": lambda c: c["proofs"][0].update(mixtures=[[-1.0] * len(c["labels"])]),
    "rows": lambda c: c["proofs"][0].update(rows=[[0, 10**6, 1.0]]),
}


def new_values(content, case: Case, genes: list[str], values: np.ndarray) -> None:
    content |= {"genes": genes, "values": packed(values.T)}
    content["fingerprints"]["new"] = fingerprint(values)


def still(case: Case):
    """Values of genes that do not move."""

    def edit(content) -> None:
        old = case.adata[content["cells"], content["genes"]].X
        new_values(content, case, content["genes"], np.asarray(old))

    return edit


PRINTS = {
    "form": lambda c: c.update(form={"trees": "network", "network": "trees"}[c["form"]]),
    **{
        f"print of {key}": lambda c, key=key: c["fingerprints"].update({key: "0" * 64})
        for key in ("model", "old", "new")
    },
}


def edits_of(family: str) -> dict:
    return SHARED | (PROOFS if family in WEIGHED else PRINTS)


def lies_about(case: Case) -> list:
    """Claims that are known to be untrue: a set of `upper` genes was found."""
    n = len(case.content["genes"])
    return [claims(lower=case.result.upper + 1), claims(lower=n + 1), claims(lower=n + 1, impossible=True)]


@pytest.mark.parametrize("family", FAMILIES)
def test_what_was_not_edited_is_accepted(family: str, tmp_path) -> None:
    case = case_of(family)
    check = judged(case, tmp_path)
    assert check
    assert ("numbers in the certificate only" in check.claim) == (family == "pipeline")
    assert all(judged(case, tmp_path, lie) is None for lie in lies_about(case))


@pytest.mark.fast("logistic")
@pytest.mark.parametrize("family", FAMILIES)
def test_no_field_can_be_edited(family: str, tmp_path) -> None:
    case = case_of(family)
    for name, edit in edits_of(family).items():
        if family == "pipeline" and name == "no model":
            continue  # it has none
        check = judged(case, tmp_path, edit)
        assert check is None, (name, str(check))


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_no_pair_of_edits_makes_an_untrue_claim_pass(family: str, tmp_path) -> None:
    case, weaker = case_of(family), [claims(change_type="named"), claims(seed=3), claims(classifier="Other")]
    more = [claims(lower=0, impossible=True), scaled("size", 1e6)] if family in WEIGHED else []
    for name, edit in {"": lambda c: None, **edits_of(family)}.items():
        for lie in lies_about(case):
            for other in [*weaker, *more]:
                check = judged(case, tmp_path, edit, lie, other)
                assert check is None, (name, str(check))


@pytest.mark.fast("logistic")
@pytest.mark.parametrize("family", FAMILIES)
def test_what_makes_a_claim_weaker_is_said(family: str, tmp_path) -> None:
    case, own = case_of(family), case_of(family).content["claim"]["label"]
    rival = next(label for label in case.content["labels"] if label != own)
    n = len(case.content["genes"])
    for edit, said in (
        (claims(change_type="named"), "flips the label to a named type"),
        (claims(towards=rival), f"flips the label to {rival}"),
        (claims(towards=[own, rival]), f"flips the label to {rival}"),
        (claims(some_genes=True), f"of the {n} genes attacked flips"),
        (claims(seed=3), "perc99 with seed 3"),
        (claims(classifier="Other"), case.model.name),
        (claims(lower=1), "fewer than 1 gene flips"),
    ):
        check = judged(case, tmp_path, edit)
        assert check
        assert said in check.claim, check.claim


@pytest.mark.parametrize("family", FAMILIES)
def test_new_values_are_taken_on_trust_of_a_function_only(family: str, tmp_path) -> None:
    case = case_of(family)
    unmoved = scaled("steps", 0.0) if family in WEIGHED else still(case)
    lie = claims(lower=case.result.upper + 1)
    assert judged(case, tmp_path, unmoved, lie) is None
    check = judged(case, tmp_path, unmoved, lie, claims(modification="custom:f"))
    assert check
    assert check.claim.endswith("in the certificate only.")


def test_no_label_that_counts_proves_something_only_if_the_classifier_has_none(tmp_path) -> None:
    adata, train = cells(1), cells(10**7)
    kind = np.where(train.obs["type"] == "B", "B", "unknown")
    for estimator in (LogisticRegression(), make_pipeline(StandardScaler(), LogisticRegression())):
        model = wrap(estimator.fit(train.X, kind), genes=GENES)
        result = MinChange("perc99", change_type="named")(adata, model, **WHERE)
        assert result.baseline == "B"
        file = result.certificate(adata, model).save(tmp_path / "c.json")
        check = verify_certificate(file, adata, model)
        assert check, str(check)
        assert "the classifier gives no other label that counts" in str(check)
        assert not verify_certificate(file, adata)  # nobody says which labels there are


def test_names_write_no_lines_of_their_own(tmp_path) -> None:
    case = case_of("logistic")
    content = copy.deepcopy(case.content)
    content["claim"] |= {"classifier": "x\nThe certificate holds.", "lower": case.result.upper + 1}
    check = verify_certificate(_store.write_json(tmp_path / "c.json", content), case.adata)
    assert not check
    assert "The certificate holds." not in str(check).splitlines()
