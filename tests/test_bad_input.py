"""Every bad input is refused in words, through the public functions, and nothing is half-written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData

import adverscarial as adv
from adverscarial import Custom
from adverscarial.attacks import MaxChange, MinChange, SingleGene
from adverscarial.errors import (
    ClassifierError,
    DataError,
    GeneMismatchError,
    InputRejected,
    ParameterError,
)
from made_up import example, label

# every public function that takes data, a column and a cluster
Call = Callable[..., Any]
CALLS: dict[str, Call] = {
    "modify": lambda adata, **more: adv.modify(adata, ["CD3D"], "perc99", **more),
    "predict": lambda adata, **more: adv.predict(adata, label, **more),
    "SingleGene": lambda adata, **more: SingleGene("perc99")(adata, label, **more),
    "MaxChange": lambda adata, **more: MaxChange("perc99")(adata, label, **more),
    "survey": lambda adata, *, target, **more: adv.survey(
        adata, label, attacks=SingleGene("perc99"), targets=[target], **more
    ),
}


@pytest.fixture(params=CALLS)
def call(request: pytest.FixtureRequest) -> Call:
    """Each public function in turn, called with ``groupby`` and ``target`` that fit unless told otherwise."""
    return lambda adata, **more: CALLS[request.param](adata, **{"groupby": "cell_type", "target": "B", **more})


# --- data ----------------------------------------------------------------------------------------------------------


def test_good_input_is_not_refused(call: Call) -> None:
    call(example())


def test_an_unknown_cluster_column_is_named_with_those_there_are(call: Call) -> None:
    with pytest.raises(DataError, match=r"no column 'cell_typ'\. Did you mean 'cell_type'\? There are: 'cell_type'"):
        call(example(), groupby="cell_typ")
    with pytest.raises(DataError, match=r"no column 'batch'\. There are: 'cell_type'"):
        call(example(), groupby="batch")
    bare = example()
    del bare.obs["cell_type"]
    with pytest.raises(DataError, match=r"no column 'cell_type'\. There are none"):
        call(bare)


def test_an_unknown_cluster_is_named_with_the_nearest(call: Call) -> None:
    adata = example()
    adata.obs["cell_type"] = adata.obs["cell_type"].cat.rename_categories({"T": "CD8 T"})
    with pytest.raises(DataError, match=r"no cluster 'CD8T' in obs\['cell_type'\]\. Did you mean 'CD8 T'\?"):
        call(adata, target="CD8T")
    with pytest.raises(DataError, match=r"There are.*'B', 'CD8 T'"):
        call(adata, target="Monocyte")


def test_an_absent_layer_or_x_is_named_with_those_there_are(call: Call) -> None:
    adata = example()
    with pytest.raises(DataError, match=r"no layer 'counts'\. There are none\. Leave it out to use X"):
        call(adata, layer="counts")
    adata.layers["counts"] = adata.X.copy()
    with pytest.raises(DataError, match=r"no layer 'count'\. Did you mean 'counts'\?"):
        call(adata, layer="count")
    no_x = AnnData(layers=dict(adata.layers), obs=adata.obs, var=adata.var)
    with pytest.raises(DataError, match=r"adata\.X is empty\. Choose one of its layers with layer=: 'counts'"):
        call(no_x)


def test_duplicate_gene_names(call: Call) -> None:
    adata = example()
    adata.var_names = ["CD79A", "CD3D", "HLA-DRA", "CD3D", "CD3E"]
    with pytest.raises(DataError, match=r"1 gene names occur more than once: 'CD3D'\..*var_names_make_unique"):
        call(adata)


@pytest.mark.parametrize("form", [np.array, sp.csr_matrix, sp.csc_matrix])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("cell", [0, 1], ids=["in the cluster", "elsewhere"])
def test_values_that_are_no_numbers(call: Call, form: Callable[..., Any], bad: float, cell: int) -> None:
    adata = example()
    adata.X[cell, 2] = bad
    adata.X = form(adata.X)
    with pytest.raises(DataError, match=r"1 NaN or infinite values, .*\. Attacks need numbers: remove .* or fill them"):
        call(adata)
    adata.layers["bad"], adata.X = adata.X, example().X
    with pytest.raises(DataError, match="NaN or infinite"):
        call(adata, layer="bad")


@pytest.mark.parametrize("form", [np.array, sp.csr_matrix, sp.csc_matrix])
@pytest.mark.parametrize("cell", [0, 1], ids=["in the cluster", "elsewhere"])
def test_values_that_are_no_numbers_in_a_file(tmp_path: Path, form: Callable[..., Any], cell: int) -> None:
    adata = example()
    adata.X[cell, 3] = np.nan
    adata.X = form(adata.X)
    adata.write_h5ad(tmp_path / "x.h5ad")
    backed = anndata.read_h5ad(tmp_path / "x.h5ad", backed="r")
    for name in ("modify", "SingleGene"):
        with pytest.raises(DataError, match="NaN or infinite values"):
            CALLS[name](backed, groupby="cell_type", target="B")
    backed.file.close()


def test_an_empty_cluster_is_refused() -> None:
    adata = example()
    adata.obs["cell_type"] = adata.obs["cell_type"].cat.add_categories("NK")
    for name in ("modify", "predict", "SingleGene", "MaxChange"):
        with pytest.raises(DataError, match=r"Cluster 'NK' of obs\['cell_type'\] is empty: no cell carries that name"):
            CALLS[name](adata, groupby="cell_type", target="NK")
    with pytest.raises(DataError, match=r"no cluster 'NK' in obs\['cell_type'\]"):
        CALLS["survey"](adata, groupby="cell_type", target="NK")


def test_one_cluster_only(call: Call) -> None:
    adata = example()
    adata = adata[adata.obs["cell_type"] == "B"].copy()
    with pytest.raises(DataError, match=r"(one cluster only|at least two)"):
        call(adata)


def test_data_without_cells_are_refused(call: Call) -> None:
    with pytest.raises(DataError, match="no cluster 'B'"):
        call(example()[:0].copy())


# --- genes and settings --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attack", [SingleGene, MaxChange])
def test_genes_that_cannot_be_attacked_are_named(attack: Callable[..., Any]) -> None:
    def run(**more: Any) -> Any:
        return attack("perc99", **more)(example(), label, groupby="cell_type", target="B")

    for name in ("genes", "exclude"):
        message = r"1 of 2 genes are not in the data: 'CD3DE'\. Did you mean 'CD3[DE]'\? Gene names are case-sensitive"
        with pytest.raises(DataError, match=message):
            run(**{name: ["CD79A", "CD3DE"]})
    with pytest.raises(DataError, match="Genes are named more than once: 'CD3D'"):
        run(genes=["CD3D", "CD3D"])
    with pytest.raises(ParameterError, match="No gene is left to attack: genes= is empty"):
        run(genes=[])
    with pytest.raises(ParameterError, match="exclude= names all of them"):
        run(exclude=list(example().var_names))
    with pytest.raises(DataError, match="1 of 1 genes are not in the data: 'CD4'"):
        adv.modify(example(), "CD4", "perc99", groupby="cell_type", target="B")


@pytest.mark.parametrize("name", ["SingleGene", "MaxChange", "survey"])
def test_a_budget_below_one_query_is_refused(name: str) -> None:
    for budget in (0, -5):
        with pytest.raises(ParameterError, match=f"budget must be at least 1 query, got {budget}"):
            CALLS[name](example(), groupby="cell_type", target="B", budget=budget)


@pytest.mark.parametrize("name", ["modify", "SingleGene", "MaxChange", "survey"])
def test_a_negative_seed_is_refused(name: str) -> None:
    with pytest.raises(ParameterError, match=r"seed must .*not.* negative, got -1"):
        CALLS[name](example(), groupby="cell_type", target="B", seed=-1)


@pytest.mark.parametrize("make", [SingleGene, MaxChange])
def test_unknown_modifications_are_named(make: Callable[..., Any]) -> None:
    with pytest.raises(ParameterError, match=r"'randm' is no modification\. Did you mean 'random'\? Examples: perc1,"):
        make("randm")
    with pytest.raises(ParameterError, match="'99' is no modification"):
        make(99)
    with pytest.raises(ParameterError, match="q must be a number from 0 to 100, got 120"):
        make("perc120")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SingleGene("perc1", search="all"), "search must be 'auto', 'exact', 'bisect' or 'both', got 'all'"),  # type: ignore[arg-type]
        (lambda: SingleGene("perc1", change_type="real"), "change_type must be 'any' or 'named'.*got 'real'"),  # type: ignore[arg-type]
        (lambda: SingleGene("perc1", bins=0), "bins must be a whole number of at least 1, got 0"),
        (lambda: SingleGene("perc1", max_split_size=0), "max_split_size must be a whole number of at least 1, got 0"),
        (lambda: MaxChange("perc1", restarts=0), "restarts must be a whole number of at least 1, got 0"),
        (lambda: MaxChange("perc1", change_type="real"), "change_type must be 'any' or 'named'.*got 'real'"),  # type: ignore[arg-type]
    ],
)
def test_impossible_settings_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        make()


def test_settings_that_do_not_exist() -> None:
    for make in (SingleGene, MaxChange):
        with pytest.raises(TypeError, match="unexpected keyword argument 'restart'"):
            make("perc1", restart=3)  # type: ignore[call-arg]


def test_a_custom_function_that_fails_says_so() -> None:
    attack = SingleGene(Custom(lambda values: values / None))
    with pytest.raises(ParameterError, match="Custom: the function failed with TypeError"):
        attack(example(), label, groupby="cell_type", target="B")


def test_surveys_of_nothing() -> None:
    with pytest.raises(ParameterError, match="attacks= must name at least one attack"):
        adv.survey(example(), label, attacks=[], groupby="cell_type")
    with pytest.raises(ParameterError, match="attacks= must name at least one attack"):
        adv.survey(example(), label, attacks="perc99", groupby="cell_type")  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="at least one classifier"):
        adv.survey(example(), [], attacks=SingleGene("perc99"), groupby="cell_type")


# --- classifiers ---------------------------------------------------------------------------------------------------


def misbehaving(answer: Callable[[np.ndarray], Any], *, late: bool) -> Callable[[np.ndarray], Any]:
    """A classifier that answers wrongly always, or (late) only when a value was modified."""
    return lambda X: answer(X) if not late or X.max() > 2 else np.column_stack([X[:, 0], 1 - X[:, 0]])


def raising(error: Exception) -> Callable[[np.ndarray], Any]:
    def answer(X: np.ndarray) -> Any:
        raise error

    return answer


WRONG: dict[str, tuple[Callable[[np.ndarray], Any], str]] = {
    "too few": (lambda X: np.full(len(X) - 1, "B"), r"returned shape \(\d+,\) for \d+ cells; expected \(\d+,\) labels"),
    "one number": (lambda X: 3, r"returned shape \(\) for \d+ cells"),
    "nothing": (lambda X: None, "returned nothing; expected labels or scores"),
    "three axes": (lambda X: np.zeros((len(X), 2, 2)), r"returned shape \(\d+, 2, 2\) for"),
    "too many classes": (lambda X: np.ones((len(X), 3)), r"3 score columns for 2 classes \('B', 'T'\)"),
    "NaN scores": (lambda X: np.full((len(X), 2), np.nan), r"NaN for [\d,]+ of [\d,]+ scores"),
    "text scores": (lambda X: np.full((len(X), 2), "x"), "scores of type <U1; expected numbers"),
    "unknown label": (lambda X: np.full(len(X), "NK"), r"answered 'NK', which is not among its classes \('B', 'T'\)"),
    "NaN label": (lambda X: np.full(len(X), np.nan), "answered 'nan', which is not among its classes"),
    "KeyError": (raising(KeyError("CD3D")), "failed with KeyError: 'CD3D'"),
    "RuntimeError": (raising(RuntimeError("no memory")), "failed with RuntimeError: no memory"),
    "TypeError": (raising(TypeError("no")), "failed with TypeError: no"),
}


@pytest.mark.parametrize("late", [False, True], ids=["always", "on modified cells"])
@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("attack", [SingleGene("fixed:5"), SingleGene("fixed:5", search="exact"), MaxChange("fixed:5")])
def test_classifiers_that_misbehave(attack: Any, wrong: str, late: bool) -> None:
    answer, message = WRONG[wrong]
    model = adv.classifiers.wrap(misbehaving(answer, late=late), classes=["B", "T"])
    with pytest.raises(ClassifierError, match=message) as caught:
        attack(example(), model, groupby="cell_type", target="B")
    assert not isinstance(caught.value, InputRejected)


@pytest.mark.parametrize(
    "model",
    [
        lambda X: [[1.0], *[[1.0, 2.0]] * (len(X) - 1)],
        lambda expression, clusters, target: ("B", "all"),
        lambda expression, clusters, target: ("B", None),
        lambda expression, clusters, target: ("B", float("nan")),
    ],
    ids=["ragged scores", "share is text", "share is None", "share is NaN"],
)
def test_answers_that_cannot_be_read(model: Any) -> None:
    with pytest.raises(ClassifierError, match="returned"):
        SingleGene("perc99")(example(), model, groupby="cell_type", target="B")


def test_a_refusal_of_modified_cells_is_the_outcome_rejected() -> None:
    model = adv.classifiers.wrap(misbehaving(raising(ValueError("out of range")), late=True), classes=["B", "T"])
    data: dict[str, Any] = {"groupby": "cell_type", "target": "B"}
    for search in ("exact", "bisect"):
        result = SingleGene("fixed:5", search=search)(example(), model, **data)
        assert set(result.to_frame()["outcome"]) == {"rejected"}
        assert len(result.to_frame()) == 5
        assert result.genes == []
    assert MaxChange("fixed:5")(example(), model, **data).genes == []
    only_first = adv.classifiers.wrap(lambda X: raising(ValueError("no"))(X) if X[:, 0].max() > 2 else label(X))
    frame = SingleGene("fixed:5")(example(), only_first, **data).to_frame().set_index("gene")
    assert frame["outcome"].to_dict() == {
        "CD79A": "rejected", "MS4A1": "held", "HLA-DRA": "held", "CD3D": "held", "CD3E": "held"
    }  # fmt: skip


def test_a_refusal_of_the_unmodified_cells_is_an_error() -> None:
    model = raising(ValueError("counts expected"))
    for attack in (SingleGene("perc99"), MaxChange("perc99")):
        with pytest.raises(
            ClassifierError, match=r"refuses even the unmodified cells of 'B': .*counts expected"
        ) as caught:
            attack(example(), model, groupby="cell_type", target="B")
        assert not isinstance(caught.value, InputRejected)
    with pytest.raises(ClassifierError, match="counts expected"):
        adv.predict(example(), model, groupby="cell_type", target="B")
    survey = adv.survey(example(), model, attacks=SingleGene("perc99"), groupby="cell_type")
    assert survey.to_frame()["error"].str.contains("refuses even the unmodified cells").all()


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (3, ParameterError, "wrap cannot use a int: pass a fitted scikit-learn estimator, .*or a function"),
        (None, ParameterError, "wrap cannot use a NoneType"),
        (adv.classifiers.RandomForest, ParameterError, "class RandomForest itself; pass a fitted object"),
        (adv.classifiers.RandomForest(), ClassifierError, "not trained yet: call fit"),
        (adv.classifiers.Markers(), ClassifierError, "no markers yet: pass a table, or call fit"),
        (lambda e, c, t: 3, ClassifierError, r"returned a int; expected a label or \(label, share\)"),
        (lambda e, c, t: ("B", 1, 2), ClassifierError, r"returned 3 values; expected \(label, share\)"),
        (lambda e, c, t: {"odd": 1.0}, ClassifierError, "returned the keys 'odd'; expected 'prediction' and 'odd'"),
    ],
)
def test_things_that_are_no_classifier(model: Any, error: type[Exception], message: str) -> None:
    for attack in (SingleGene("perc99"), MaxChange("perc99")):
        with pytest.raises(error, match=message):
            attack(example(), model, groupby="cell_type", target="B")


@pytest.mark.parametrize("name", ["Chetah", "Linear", "Markers", "MLP", "RandomForest", "ScAnnotatR", "SingleR"])
def test_a_classifier_that_is_not_trained_says_so(name: str) -> None:
    model = getattr(adv.classifiers, name)()
    for ask in (SingleGene("perc99"), MaxChange("perc99"), MinChange("perc99"), adv.predict):
        with pytest.raises(ClassifierError, match=r"(not trained|no markers).*call fit"):
            ask(example(), model, groupby="cell_type", target="B")
    repr(model)


ENSEMBL = [f"ENSG0000010{i}" for i in range(5)]


@pytest.mark.fast(4)
@pytest.mark.parametrize(
    ("needed", "have", "message"),
    [
        (["Cd79a", "CD3D"], None, r"needs 2 genes, 1 of them are in .*First missing: 'Cd79a'\. .*upper and lower"),
        (["HLA.DRA", "CD3D"], None, r"2 genes, 1 of them.*'HLA\.DRA'.*differ in '-' and '\.' only.*rename adata\.var"),
        (["CD79A", "CD3D"], ENSEMBL, r"2 genes, 0 of them.*'CD79A', 'CD3D'\. The data's names look like Ensembl ids"),
        (ENSEMBL, None, r"5 genes, 0 of them.*The classifier's names look like Ensembl ids"),
        ([f"gene{i}" for i in range(9)], None, r"9 genes, 0 of them.*'gene4' and 4 more\. Was the classifier trained"),
    ],
)  # fmt: skip
def test_genes_that_are_not_the_classifiers(needed: list[str], have: list[str] | None, message: str) -> None:
    adata = example()
    if have:
        adata.var_names = have
    model = adv.classifiers.wrap(label, genes=needed)
    data: dict[str, Any] = {"groupby": "cell_type", "target": "B"}
    for refused in (
        lambda: SingleGene("perc99")(adata, model, **data),
        lambda: MaxChange("perc99")(adata, model, **data),
        lambda: adv.predict(adata, model, **data),
        lambda: model.predict(adata),
    ):
        with pytest.raises(GeneMismatchError, match=message):
            refused()


def test_a_setting_of_the_wrong_type() -> None:
    with pytest.raises(ParameterError, match="bins must be a whole number of at least 1, got 'x'"):
        SingleGene("perc99", bins="x")
    with pytest.raises(ParameterError, match="restarts must be a whole number"):
        MaxChange("perc99", restarts=0)


def test_data_of_another_type() -> None:
    with pytest.raises(DataError, match="Expected an AnnData, got a str"):
        SingleGene("perc99")("cells.h5ad", lambda X: ["B"] * len(X), groupby="cell_type", target="B")


def test_verifying_a_gene_that_was_not_tested() -> None:
    adata = example()
    first, second = adata.var_names[:2]
    attack = SingleGene("perc99", genes=[first])
    result = attack(adata, lambda X: ["B"] * len(X), groupby="cell_type", target="B")
    with pytest.raises(ParameterError, match="did not test"):
        result.verify(adata, lambda X: ["B"] * len(X), genes=[second])
