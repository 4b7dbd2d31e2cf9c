"""Certificates of lower bounds: what is true is confirmed, what is false is not, whatever the file says."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from adverscarial import _store
from adverscarial.attacks import MinChange
from adverscarial.attacks.minimal.certify import packed
from adverscarial.classifiers import wrap
from adverscarial.errors import ClassifierError, DataError, StorageError
from adverscarial.evaluation import verify_certificate
from adverscarial.evaluation.certificate_file import Content, Proof
from adverscarial.evaluation.certificates import _Checker
from attacks.minimal.brute import Case, cases, minimum
from attacks.minimal.test_linear_sound import linear_case
from laws.families import TARGETS, cells, classifier

WHERE = {"groupby": "cluster", "target": TARGETS[0]}


@pytest.fixture(scope="module")
def logistic(pbmc_small):
    genes = list(pbmc_small.var_names)
    model = wrap(LogisticRegression(max_iter=300).fit(pbmc_small.X, pbmc_small.obs["cell_type"]), genes=genes)
    result = MinChange("perc99", exact=False)(pbmc_small, model, groupby="cell_type", target="Dendritic")
    return model, result, result.certificate(pbmc_small, model)


def changed(certificate, change, path):
    content = copy.deepcopy(certificate.content)
    change(content)
    return _store.write_json(path, content)


@pytest.mark.slow
def test_the_bound_is_confirmed_from_the_cells(pbmc_small, logistic, tmp_path) -> None:
    model, result, certificate = logistic
    assert certificate.lower == result.lower > 2
    check = verify_certificate(certificate.save(tmp_path / "c.json"), pbmc_small, model)
    assert check, str(check)
    assert len(check.table) > 5
    assert not check.left_out
    assert f"fewer than {result.lower} genes" in check.claim


@pytest.mark.slow
def test_what_is_false_does_not_hold(pbmc_small, logistic, tmp_path) -> None:
    _, result, certificate = logistic
    path = tmp_path / "c.json"
    assert result.upper < len(certificate.content["genes"])

    def more(content) -> None:
        content["claim"]["lower"] = result.upper + 1

    def impossible(content) -> None:
        content["claim"] |= {"lower": len(content["genes"]) + 1, "impossible": True}

    for lie in (more, impossible, lambda c: c["proofs"].pop(), lambda c: c["claim"].update(label="B cell")):
        assert not verify_certificate(changed(certificate, lie, path))


@pytest.mark.slow
@pytest.mark.parametrize("part", ["scores", "weights", "steps"])
def test_numbers_of_other_cells_do_not_pass(pbmc_small, logistic, tmp_path, part: str) -> None:
    shape = tuple(logistic[2].content[part]["shape"])
    other = {"scores": np.eye(*shape), "weights": np.zeros(shape), "steps": np.zeros(shape)}[part]
    path = changed(logistic[2], lambda content: content.update({part: packed(other)}), tmp_path / "c.json")
    assert not verify_certificate(path, pbmc_small)
    path = logistic[2].save(tmp_path / "d.json")
    assert not verify_certificate(path, pbmc_small[::-1].copy())
    assert not verify_certificate(path, pbmc_small[:, 1:].copy())


def test_damaged_files_are_refused(logistic, tmp_path) -> None:
    certificate, path = logistic[2], tmp_path / "c.json"
    lies = (
        lambda c: c.update(kind="other"),
        lambda c: c["labels"].append(c["labels"][0]),
        lambda c: c["scores"].update(shape=[1, 1]),
        lambda c: c["scores"].update(zlib=c["weights"]["zlib"]),
        lambda c: c.update(scores=packed(np.full(c["scores"]["shape"], np.nan))),
        lambda c: c["claim"].update(lower="3"),
        lambda c: c["claim"].update(towards="nothing"),
        lambda c: c["proofs"][0].update(rows=[[0, 10**6, 1.0]]),
        lambda c: c["proofs"][0].update(rows=[[-1, 0, -1.0]]),
        lambda c: c["proofs"][0].update(mixtures=[[-1.0] * len(c["labels"])]),
        lambda c: c.pop("steps"),
    )
    for lie in lies:
        with pytest.raises(StorageError):
            verify_certificate(changed(certificate, lie, path))
    path.write_text(certificate.save(path).read_text().replace('"lower": ', '"lower": 1', 1))
    with pytest.raises(StorageError, match="checksum"):
        verify_certificate(path)


@pytest.mark.fast(1)
@pytest.mark.parametrize("family", ["markers", "logistic"])
@pytest.mark.parametrize("modification", ["perc99", "decile+5", "random"])
def test_small_clusters_of_every_linear_family(family: str, modification: str, tmp_path) -> None:
    model, n_optimal = classifier(family), 0
    for seed in range(8):
        adata = cells(seed)
        result = MinChange(modification, exact=False)(adata, model, **WHERE)
        certificate = result.certificate(adata, model)
        check = verify_certificate(certificate.save(tmp_path / "c.json"), adata)
        assert check, str(check)
        assert certificate.lower <= result.lower
        if result.optimal and certificate.lower == result.lower:
            n_optimal += 1
            path = changed(certificate, lambda c: c["claim"].update(lower=c["claim"]["lower"] + 1), tmp_path / "d.json")
            assert not verify_certificate(path)
    assert n_optimal > 1


def test_other_classifiers_and_other_cells_are_refused() -> None:
    adata, model = cells(3), classifier("function")
    with pytest.raises(ClassifierError, match="no certificate for"):
        MinChange("perc99")(adata, model, **WHERE).certificate(adata, model)
    model = classifier("logistic")
    result = MinChange("perc99")(adata, model, **WHERE)
    adata.X[:] = adata.X[:, [1, 2, 0, 3, 4, 5, 6, 7]]
    with pytest.raises(DataError, match="that were attacked"):
        result.certificate(adata, model)


def content_of(case: Case) -> Content:
    moves, now = case.moves, str(case.votes()[0])
    claim = {"lower": 1, "impossible": False, "label": now, "towards": None, "change_type": "any"}
    names = [f"c{i}" for i in range(len(moves.scores))], [f"g{j}" for j in range(moves.n_genes)]
    return Content(claim, list(case.labels), *names, moves.scores, moves.size, moves.weights, moves.steps, None, [])


@pytest.mark.slow
def test_no_weights_whatsoever_prove_what_is_false() -> None:
    """The judge is asked to refute each number of genes with random weights, and the truth is known by trying all."""
    refuted = 0
    for seed in range(cases(150)):
        case, rng = linear_case(seed), np.random.default_rng(seed)
        judge, n = _Checker(content_of(case)), len(case.labels)
        assert judge.label == case.votes()[0]
        loser = case.labels.tolist().index(judge.label)
        for goal in range(n):
            truth = minimum(case, [str(case.labels[goal])]) if goal != loser else 0
            for m in range(1, case.moves.n_genes + 1) if goal != loser else ():
                mixtures = rng.dirichlet(np.ones(n), 2)
                mixtures[:, goal] = 0
                kind = rng.choice([k for k in range(-1, n + 2) if k != goal], 30)
                rows = kind, rng.integers(0, judge.n_cells, 30), rng.exponential(0.5, 30) * (rng.random(30) < 0.7)
                for argument in ("one set for all", "single genes"):
                    if judge._refutes(Proof(goal, loser, argument, mixtures, rows), m):
                        refuted += 1
                        assert m < truth
    assert refuted > 100
