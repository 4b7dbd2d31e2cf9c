"""What is read of XGBoost's model documents, also in the form that other versions write; none is handed to XGBoost."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest

from adverscarial.classifiers.adapters.xgboost_model import XGBoostModel
from adverscarial.classifiers.files.xgboost_document import check_model

xgboost = pytest.importorskip("xgboost")


def trained(**settings: Any) -> Any:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 5)).astype(np.float32)
    return xgboost.XGBClassifier(n_estimators=6, max_depth=3, n_jobs=1, **settings).fit(X, (X[:, 0] > 0).astype(int))


def learner_of(model: Any) -> dict[str, Any]:
    learner: dict[str, Any] = json.loads(bytes(model.get_booster().save_raw("json")))["learner"]
    return learner


def test_dart_is_read_in_the_form_of_xgboost_3_4() -> None:
    """There it is a "gbtree" whose model holds the weights of the trees."""
    model = trained(booster="dart", rate_drop=0.5, random_state=3)
    learner, ours = learner_of(model), XGBoostModel(model, None, None)
    assert ours.trees is not None
    newer = copy.deepcopy(learner)
    booster = newer["gradient_booster"]
    inner = booster.get("gbtree", booster)["model"]
    weights = booster["weight_drop"] if "weight_drop" in booster else inner["weight_drop"]
    assert set(weights) != {1.0}
    newer["gradient_booster"] = {"name": "gbtree", "model": {**inner, "weight_drop": weights}}
    again = ours._read_trees(newer)
    np.testing.assert_array_equal(again.value, ours.trees.value)
    inner_only = copy.deepcopy(newer)
    del inner_only["gradient_booster"]["model"]["weight_drop"]
    assert not np.array_equal(ours._read_trees(inner_only).value, ours.trees.value)


def document(leaf_size: int, version: list[int] | None) -> bytes:
    """Return a made-up model of one tree with one leaf."""
    tree = {
        "tree_param": {"num_nodes": "1", "size_leaf_vector": str(leaf_size)},
        "left_children": [-1], "right_children": [-1], "parents": [2**31 - 1], "split_indices": [0],
        "split_conditions": [0.0], "default_left": [0], "base_weights": [0.0] * leaf_size,
    }  # fmt: skip
    value = {
        "learner": {
            "gradient_booster": {"name": "gbtree", "model": {"tree_info": [0], "trees": [tree]}},
            "learner_model_param": {"num_class": "3", "num_target": "1", "num_feature": "5"},
        }
    }
    return json.dumps({**value, "version": version} if version else value).encode()


@pytest.mark.parametrize("version", [[2, 1, 4], [3, 1, 0], [4, 2, 0], None])
def test_several_outputs_of_another_version_are_refused(version: list[int] | None) -> None:
    """XGBoost 3.2 ends the process over such a model of 2.1."""
    said = "an unknown version" if version is None else f"XGBoost {version[0]}.{version[1]}"
    with pytest.raises(ValueError, match=f"{said}, which XGBoost 3.2 cannot safely read"):
        check_model(document(3, version), "3.2.0")


def test_what_is_sound_for_the_version_passes() -> None:
    check_model(document(3, [3, 2, 1]), "3.2.0")
    check_model(document(1, [2, 1, 4]), "3.2.0")  # one value per leaf is written alike by all


def test_several_outputs_of_this_version_are_read(tmp_path: Any) -> None:
    from adverscarial.classifiers import load

    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 4)).astype(np.float32)
    model = xgboost.XGBClassifier(n_estimators=2, multi_strategy="multi_output_tree", n_jobs=1)
    model.fit(X, np.arange(90) % 3).save_model(tmp_path / "model.json")
    np.testing.assert_allclose(load(tmp_path / "model.json").decide(X).scores, model.predict_proba(X), atol=1e-6)
