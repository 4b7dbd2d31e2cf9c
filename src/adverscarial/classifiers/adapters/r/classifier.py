"""``RClassifier``: a classifier that is written in R, asked as it is."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping, Sequence
from dataclasses import fields
from os import PathLike, fspath
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial._types import Matrix
from adverscarial.cells.cluster import Cluster
from adverscarial.cells.matrix import CellMatrix, layer_of
from adverscarial.classifiers.adapters.r.answering import of_cells, of_cluster
from adverscarial.classifiers.adapters.r.names import as_r_has_them
from adverscarial.classifiers.adapters.r.program import Program, digest
from adverscarial.classifiers.adapters.r.scorer import RScorer
from adverscarial.classifiers.adapters.r.slot import Slot
from adverscarial.classifiers.adapters.r.worker import About, Worker, Workers
from adverscarial.classifiers.answers import Answer, Decision, vote
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.families.random_forest import RandomForest
from adverscarial.classifiers.scorers.all_cells import company_test
from adverscarial.classifiers.scorers.base import Scorer
from adverscarial.errors import ClassifierError, InputRejected, ParameterError

logger = logging.getLogger(__name__)

_NO_GENES = np.empty(0, dtype=np.int64), np.empty((1, 0))


class RClassifier(Classifier):
    """A classifier that is written in R, asked as it is.

    An R process reads the script or the model once and stays; it gets the cells of a cluster once, and for each query
    only the genes that change. R 4.0 or newer must be installed, and nothing else.

    Parameters
    ----------
    script
        File with R code, which is run as it is: it may load packages, read references, and define functions. Relative
        paths in it start from the folder in which Python runs. ``adv_reject("reason")`` is defined for it: it refuses
        an input, which attacks count as the outcome *rejected*.
    function
        Name of the function in it. It takes a matrix of cells x genes and returns one label per cell, or scores with
        one named column per class; or it has the form of adverSCarial's classifiers, ``f(expression, clusters,
        target)``, and returns ``c(label, score)``, a list with ``prediction`` and ``odd``, or a label.
    rds
        File with a stored model, written by ``saveRDS``. The function then takes the model before its other arguments.
    predict
        Text of an R function, ``"function(model, X) ..."``, in place of a script. Without both, models of
        randomForest, ranger, e1071 (``svm``) and glmnet are asked as their packages ask them for probabilities.
    packages
        R packages that are attached first.
    form
        ``"cells"`` or ``"cluster"``, as above; ``"auto"`` takes a function with three arguments that must be given
        (the model not counted) for one of clusters.
    needs_all_cells
        Functions of cells: True where a cell's answer depends on the cells beside it; the function is then always
        asked about all cells of the data. False says that it does not. Left out, this is tested before an attack.
    expression
        What the function gets: ``"matrix"``, ``"data.frame"`` or ``"dgCMatrix"`` (of R's package Matrix).
    cells_in
        ``"rows"``, or ``"columns"`` for genes x cells.
    classes
        Names of the score columns where R names none; for labels, all that are allowed.
    genes
        Columns that the function wants, in its order; those that the model names, or all genes of the data.
    errors
        ``"reject"`` takes every error of the function for a refusal of the input.
    seed
        R's random numbers start from it before each query, so that an answer depends on the cells alone.
    timeout
        Seconds that R may take to read the script, and for each query.
    collate
        How R sorts texts: ``"C"``, by code points, or a language such as ``"en_US"``.
    vanilla
        Whether R leaves out your ``.Rprofile`` and ``.Renviron``, which may say where your packages are.
    rscript
        The program Rscript; left out, that of the environment variable ``ADVERSCARIAL_RSCRIPT``, or on the path.
    trust
        Must be True with `rds`: reading a file of stored R objects can run code that its author put inside.

    Raises
    ------
    MissingDependencyError
        If R, or an R package that the script loads, is not installed.
    ParameterError
        If a file cannot be read, R cannot parse the script, or the function is not in it.
    ClassifierError
        If the script fails.

    Notes
    -----
    The script runs with your rights, and nothing keeps it from using them. Each thread and process of Python has an R
    process of its own; a pickled classifier holds the text of the script and the path of the model, no process. Cells
    have their names in the form of clusters only; elsewhere they are called ``cell1``, ``cell2``, ...

    Examples
    --------
    >>> model = RClassifier("my_classifier.R", function="classify")  # doctest: +SKIP
    >>> forest = RClassifier(rds="forest.rds", trust=True)  # doctest: +SKIP
    """

    number_type: ClassVar[np.dtype[Any]] = np.dtype(np.float64)

    def __init__(  # noqa: PLR0913
        self,
        script: str | PathLike[str] | None = None,
        function: str = "classify",
        *,
        rds: str | PathLike[str] | None = None,
        predict: str | None = None,
        packages: Sequence[str] = (),
        form: Literal["auto", "cells", "cluster"] = "auto",
        needs_all_cells: bool | None = None,
        expression: Literal["matrix", "data.frame", "dgCMatrix"] = "matrix",
        cells_in: Literal["rows", "columns"] = "rows",
        classes: Sequence[str] | None = None,
        genes: Sequence[str] | None = None,
        errors: Literal["raise", "reject"] = "raise",
        seed: int = 0,
        timeout: float = 600.0,
        collate: str = "C",
        vanilla: bool = False,
        rscript: str | None = None,
        trust: bool = False,
    ) -> None:
        self._given = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        model = _trusted(rds, trust)
        attached = (packages,) if isinstance(packages, str) else tuple(packages)
        program = Program(
            _text(script), "" if script is None else Path(script).name, function, model,
            digest(model) if model else "", predict or "", attached, form, expression, cells_in, errors, collate, seed,
            timeout, vanilla, rscript or "",
        )  # fmt: skip
        self._workers = Workers(program)
        self.about: About = self._workers.mine().about  # what is wrong with the script is said now
        named = self.about.genes if genes is None else tuple(str(gene) for gene in genes)
        self.genes = pd.Index(named, dtype=object) if named else None
        self._given_classes = None if classes is None else tuple(str(name) for name in classes)
        self.classes = self._given_classes or self.about.classes
        self.of_clusters = self.about.form == "cluster"
        self.gives_scores = not self.of_clusters  # until an answer tells otherwise
        self.needs_all_cells = self.of_clusters or bool(needs_all_cells)
        self._tested = needs_all_cells is None
        self._unbound: RClassifier | None = None
        self._names: list[str] | None = None  # of the genes in R, where they differ
        self._draws: bool | None = None  # whether answers depend on R's random numbers; None: not tried yet

    def __repr__(self) -> str:
        program, given = self._workers.program, []
        given += [repr(program.script_name)] if program.script_name else []
        given += [f"function={program.function!r}"] if program.function != "classify" else []
        given += [f"rds={Path(program.rds).name!r}"] if program.rds else []
        named = ("form", "expression", "cells_in", "errors", "seed", "collate")
        plain = {field.name: field.default for field in fields(Program)}
        given += [f"{name}={self._given[name]!r}" for name in named if self._given[name] != plain[name]]
        given += ["needs_all_cells=True"] if self._given["needs_all_cells"] else []
        return f"RClassifier({', '.join(given)})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_unbound": None}

    @property
    def name(self) -> str:  # noqa: D102
        program = self._workers.program
        if program.script_name and program.function != "classify":
            return program.function
        return Path(program.script_name or program.rds).stem

    @property
    def warnings(self) -> dict[str, int]:
        """Warnings of R in this process so far: how often each text came."""
        return dict(self._workers.warnings)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the settings by name, as they were given."""
        return dict(self._given)

    def set_params(self, **settings: Any) -> Self:
        """Change settings: R starts anew. Returns the classifier itself."""
        for name in settings:
            if name not in self._given:
                super().set_params(**{name: None})  # raises, and says which settings there are
        self.close()
        self.__init__(**{**self._given, **settings})  # type: ignore[misc]
        return self

    def close(self) -> None:
        """End the R processes of this Python process; a later query starts a new one."""
        self._workers.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def worker(self) -> Worker:
        """Return the R process of this thread; it is started where there is none."""
        return self._workers.mine()

    def bind(self, genes: pd.Index) -> RClassifier:
        """Return the classifier as it works on data with these genes: it knows their names."""
        meant = genes
        if self.genes is not None:
            if not self.about.genes or self.genes.isin(genes).all():
                return self
            found = as_r_has_them(self.genes, genes)  # R may have changed the names when the model was trained
            if found is None:
                return self
            meant = found
        bound = copy.copy(self)
        bound.genes, bound._unbound = meant, self
        bound._names = None if self.genes is None else list(self.genes)
        return bound

    def decide(self, X: np.ndarray) -> Decision:
        """Label cells given dense, shape (cells, classifier's genes).

        Raises
        ------
        ClassifierError
            If it labels clusters; if the names of the genes are not known; or if R fails.
        """
        if self.of_clusters:
            raise ClassifierError(f"{self.name} labels whole clusters; use adverscarial.predict(adata, target=...).")
        if self.genes is None:
            raise ClassifierError(f"{self.name} needs gene names: call bind(genes).decide(X), or predict(adata).")
        return self._decision(
            Slot(lambda: X, self._names or list(self.genes), _numbered(len(X))), *_NO_GENES, self._seed
        )

    @property
    def _seed(self) -> int:
        return self._workers.program.seed

    def _decision(self, slot: Slot, genes: np.ndarray, values: np.ndarray, seed: int) -> Decision:
        said = self.worker().ask(slot, genes, values, seed)
        cells = of_cells(self._workers.program.what, said, self.classes, self._given_classes)
        self._learn(cells.classes, scores=cells.decision.scores is not None)
        return cells.decision

    def _learn(self, classes: tuple[str, ...], *, scores: bool) -> None:
        """Remember what an answer tells; the classifier that this one was bound from does, too."""
        for model in (self, self._unbound):
            if model is not None:
                model.gives_scores, model.classes = scores, classes or model.classes

    def ask(self, slot: Slot, genes: np.ndarray, values: np.ndarray) -> Answer:
        """Return what R says of the attacked cluster with some genes changed.

        Parameters
        ----------
        slot
            Of :meth:`slot`.
        genes, values
            Positions in the slot, and new values, as for a scorer.
        """
        return self._answer(slot, genes, values, self._seed)

    def _answer(self, slot: Slot, genes: np.ndarray, values: np.ndarray, seed: int) -> Answer:
        if self.of_clusters:
            answer, classes = of_cluster(self._workers.program.what, self.worker().ask(slot, genes, values, seed))
            self._learn(classes, scores=bool(classes))
            return answer
        decision = self._decision(slot, genes, values, seed)
        rows = slice(None) if slot.rows is None else slot.rows
        label, share, _ = vote(decision.labels[rows])
        scores = None if decision.scores is None else decision.scores[rows]
        return Answer(label, share, np.asarray(decision.labels[rows], dtype=str), scores)

    def slot(self, cluster: Cluster, columns: np.ndarray) -> Slot:
        """Return what R is to hold for attacks on a cluster: its cells, or all where all are needed."""
        genes = self._names or list(cluster.genes[columns])
        if not self.needs_all_cells:
            return Slot(lambda: cluster.values(columns), genes, _numbered(cluster.n_cells))
        matrix = cluster.statistics.matrix
        return self._whole(matrix, cluster.all_cells, genes, columns, cluster.rows, cluster.labels, cluster.target)

    def _whole(
        self, matrix: CellMatrix, cells: Sequence[str], genes: list[str], columns: np.ndarray, rows: np.ndarray,
        labels: np.ndarray, target: str,
    ) -> Slot:  # fmt: skip
        def block() -> Matrix:
            everything = np.arange(matrix.shape[0])
            found = matrix.part(everything) if matrix.sparse else matrix.rows(everything)
            return found if np.array_equal(columns, np.arange(matrix.shape[1])) else found[:, columns]

        if not self.of_clusters:
            return Slot(block, genes, _numbered(matrix.shape[0]), rows)
        return Slot(block, genes, list(cells), rows, list(labels), target)

    def predict_cluster(  # noqa: D102
        self, adata: AnnData, rows: np.ndarray, cluster: str, labels: np.ndarray, layer: str | None
    ) -> Answer:
        if not self.of_clusters:
            return super().predict_cluster(adata, rows, cluster, labels, layer)
        genes = pd.Index(adata.var_names.astype(str))
        bound = self.bind(genes)
        columns, matrix = bound.align(genes), CellMatrix(layer_of(adata, layer))
        cells = [str(name) for name in adata.obs_names]
        named = bound._names or list(genes[columns])
        slot = self._whole(matrix, cells, named, columns, rows, labels, cluster)
        return bound.ask(slot, *_NO_GENES)

    def scorer(self, cluster: Cluster) -> Scorer:
        """Return the scorer, which sends R the cells once and then what changes."""
        bound = self.bind(cluster.genes)
        scorer = RScorer(bound, cluster)
        if not self.needs_all_cells and self._tested:
            scorer.company = company_test(bound, cluster, scorer.baseline)
        if self._draws is None:
            self._draws = bound._depends_on_seed(scorer.slot, scorer.baseline, cluster.target)
        return scorer

    def _depends_on_seed(self, slot: Slot, baseline: Answer, target: str) -> bool:
        """Return whether another seed gives other labels, and warn of it."""
        try:
            other = self._answer(slot, *_NO_GENES, self._seed + 1)
        except InputRejected:
            return True
        if baseline.labels is None or other.labels is None:
            apart, of = int(other.label != baseline.label), "the label of the cluster"
        else:
            apart = int((other.labels != baseline.labels).sum())
            of = f"the labels of {apart:,} of {len(baseline.labels):,} cells"
        if apart:
            logger.warning(
                "%s draws at random: with another seed, %s of '%s' differ. The seed is the same for every query, so "
                "results can be reproduced, but they hold for seed=%d alone.",
                self._workers.program.what, of, target, self._seed,
            )  # fmt: skip
        return bool(apart)

    def as_forest(self, genes: Sequence[str] | None = None) -> RandomForest:
        """Return the same forest node by node, where the stored model is one of R's randomForest.

        It answers what R would, exactly, without asking R, and hundreds of times faster; its incremental scorer tests
        every gene, and what cannot matter is proven.

        Parameters
        ----------
        genes
            Names of the genes in the data, where R changed those that the model holds (``HLA.DRA`` for ``HLA-DRA``).

        Raises
        ------
        ParameterError
            If the model is no such forest, or splits on categories.
        """
        answer = self.worker().nodes()
        nodes, wanted, classes = answer.numbers(0), pd.Index(answer.texts(1), dtype=object), answer.texts(2)
        found = None if genes is None else as_r_has_them(wanted, pd.Index(genes, dtype=object))
        names = ["tree", "node", "left", "right", "status", "var", "split", "pred"]
        table = pd.DataFrame(nodes.reshape(-1, len(names), order="F"), columns=names)
        whole = [name for name in names if name != "split"]
        return RandomForest.from_table(
            table.astype(dict.fromkeys(whole, np.int64)), classes=classes, genes=wanted if found is None else found
        )

    def state(self) -> tuple[Mapping[str, Any], Mapping[str, np.ndarray]]:
        """Return what its answers depend on: by it a survey knows the classifier."""
        about = {"R": self.about.version, "R packages": list(self.about.packages)}
        settings = {
            "classes": self._given_classes,
            "genes": self._given["genes"],
            "all": self._given["needs_all_cells"],
        }
        return {**self._workers.program.content(), **about, **settings}, {}

    def save(self, path: str | PathLike[str]) -> None:
        """Not to be called: keep the script and the model."""
        raise ClassifierError(f"{self.name} is not stored in a file of its own: keep the R script, and the .rds file.")


def _numbered(n: int) -> list[str]:
    return [f"cell{i + 1}" for i in range(n)]


def _trusted(rds: str | PathLike[str] | None, trust: bool) -> str:
    """Return the path of a stored model that may be read; empty without one."""
    if rds is None:
        return ""
    if not trust:
        raise ParameterError(
            f"'{fspath(rds)}' was not read: it holds R objects, and reading them can run any code that its author put "
            "inside. If you know where it comes from, pass trust=True (command line: --trust)."
        )
    return str(Path(rds).absolute())


def _text(script: str | PathLike[str] | None) -> str:
    """Return the text of a script.

    Raises
    ------
    ParameterError
        If it cannot be read.
    """
    if script is None:
        return ""
    try:
        return Path(script).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ParameterError(f"The R script '{fspath(script)}' cannot be read as UTF-8 text ({reason}).") from error
