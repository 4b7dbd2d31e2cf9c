"""A certificate is about one classifier: another one is told apart; and none is issued that its checker refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

import adverscarial as adv

COMMON = {"groupby": "cell_type", "target": "CD19+ B"}
PANEL = ["CD79A", "MS4A1", "CD3D", "LYZ", "NKG7", "GNLY", "CST3", "CD8A", "IL7R"]


@pytest.fixture(scope="module")
def halves():
    cells = adv.datasets.preprocess(adv.datasets.embedded(), target_sum=None)
    return adv.datasets.split(cells, "cell_type", seed=0)


def test_weights_of_another_model_are_told_apart(halves, tmp_path: Path) -> None:
    train, test = halves
    model = adv.classifiers.Linear().fit(train, "cell_type")
    other = adv.classifiers.Linear(strength=1.0).fit(train, "cell_type")
    file = adv.attacks.MinChange("perc99")(test, model, **COMMON).certificate(test, model).save(tmp_path / "proof.json")
    same = adv.evaluation.verify_certificate(file, test, model)
    assert same
    assert "the model in the certificate is the classifier" in str(same)
    assert not adv.evaluation.verify_certificate(file, test, other)
    alone = adv.evaluation.verify_certificate(file, test)
    assert alone
    assert any("classifier" in text for text in alone.left_out)


@pytest.mark.slow
def test_a_classifier_that_transforms_values_is_compared_by_its_labels(halves, tmp_path: Path) -> None:
    test = halves[1]
    model = adv.classifiers.ScType(scaled=False)
    file = adv.attacks.MinChange("perc99")(test, model, **COMMON).certificate(test, model).save(tmp_path / "proof.json")
    assert adv.evaluation.verify_certificate(file, test, model)
    other = adv.classifiers.Markers().fit(halves[0], "cell_type")
    assert not adv.evaluation.verify_certificate(file, test, other)


@pytest.mark.fast(1)
@pytest.mark.parametrize("n_markers", [1, 2])
def test_no_certificate_is_issued_that_its_checker_refuses(halves, tmp_path: Path, n_markers: int) -> None:
    train, test = (half[:, PANEL].copy() for half in halves)
    model = adv.classifiers.Markers(n_markers=n_markers).fit(train, "cell_type")
    lower = []
    for target in test.obs["cell_type"].unique():
        for change in ("perc1", "perc99"):
            result = adv.attacks.MinChange(change)(test, model, groupby="cell_type", target=target)
            found = result.certificate(test, model)
            assert found.lower <= result.lower
            assert adv.evaluation.verify_certificate(found.save(tmp_path / "proof.json"), test, model)
            lower.append(found.lower)
    assert max(lower) > 1 or n_markers == 1
