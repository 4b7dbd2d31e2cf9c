"""``adverscarial verify-certificate``."""

from __future__ import annotations

import json

import pytest

import adverscarial as adv
from adverscarial import _store


@pytest.fixture(scope="module")
def proof(pbmc_small, tmp_path_factory):
    model = adv.classifiers.ScType(scaled=False)
    result = adv.attacks.MinChange("perc1")(pbmc_small, model, groupby="cell_type", target="Dendritic")
    return result.certificate(pbmc_small, model).save(tmp_path_factory.mktemp("proof") / "proof.json")


def test_a_proof_holds_with_and_without_the_cells(run, proof, cells_file) -> None:
    code, printed, _ = run("verify-certificate", proof)
    assert code == 0
    assert "no cells were given" in printed
    code, printed, _ = run("verify-certificate", proof, "--data", cells_file, "--json")
    assert code == 0
    told = json.loads(printed)
    assert told["holds"]
    assert "the cells are those of the cluster" in [row["checked"] for row in told["checked"]]


def test_a_wrong_claim_makes_the_exit_code_1(run, proof, tmp_path) -> None:
    content = _store.read_json(proof)
    content["claim"]["lower"] += 1
    code, printed, err = run("verify-certificate", _store.write_json(tmp_path / "wrong.json", content))
    assert code == 1
    assert "NO" in printed
    assert "does not hold" in err


def test_what_is_no_certificate_makes_it_2(run, tmp_path) -> None:
    assert run("verify-certificate", _store.write_json(tmp_path / "other.json", {"kind": "x"}))[0] == 2
    assert run("verify-certificate", tmp_path / "nothing.json")[0] == 2


@pytest.mark.slow
def test_the_proof_about_a_forest_needs_the_forest(run, pbmc_small, cells_file, tmp_path) -> None:
    model = adv.classifiers.RandomForest(10, seed=0).fit(pbmc_small, "cell_type")
    result = adv.attacks.MinChange("perc99")(pbmc_small, model, groupby="cell_type", target="Dendritic")
    proof = result.certificate(pbmc_small, model).save(tmp_path / "proof.json")
    stored = tmp_path / "forest.npz"
    model.save(stored)
    code, _, err = run("verify-certificate", proof, "--data", cells_file)
    assert code == 2
    assert "--classifier" in err
    code, printed, _ = run("verify-certificate", proof, "--data", cells_file, "--model", stored)
    assert code == 0
    assert "the classifier is that of the certificate" in printed
    content = _store.read_json(proof)
    content["claim"]["lower"] = result.upper + 1
    wrong = _store.write_json(tmp_path / "wrong.json", content)
    assert run("verify-certificate", wrong, "--data", cells_file, "--classifier", stored)[0] == 1
