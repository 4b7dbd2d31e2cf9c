"""Options that several commands share, and the groups that ``--help`` shows them in."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Annotated, TypeVar, get_type_hints

import typer

from adverscarial.errors import ParameterError

Ended = TypeVar("Ended")


class Panel(StrEnum):
    """Groups that ``--help`` shows options in."""

    DATA = "Data"
    CLASSIFIER = "Classifier"
    ATTACK = "Attack"
    SETTINGS = "Settings of attacks"
    CHANGE = "Change"
    RUNNING = "Running"
    VERDICT = "Verdict"
    OUTPUT = "Output"

    def option(self, *names: str, help: str, metavar: str | None = None) -> object:
        """Return an option of this group: ``Annotated[int, Panel.RUNNING.option(help="...")]``.

        Parameters
        ----------
        names
            What it is called on the command line, such as ``"--json"``; as its parameter, when left out.
        help, metavar
            What it does, and what stands for its value, in ``--help``.
        """
        option: object = typer.Option(*names, help=help, metavar=metavar, rich_help_panel=self)
        return option


class Preprocess(StrEnum):
    """What to do with the data before anything else."""

    none = "none"
    lognorm = "lognorm"
    scale = "scale"
    counts = "counts"


class GuardAction(StrEnum):
    """What a guard does with impossible cells."""

    refuse = "refuse"
    clip = "clip"
    unsure = "unsure"


class MissingGenes(StrEnum):
    """What genes get that a classifier needs and the data do not have."""

    error = "error"
    zero = "zero"
    mean = "mean"


DataFile = Annotated[Path, typer.Argument(help="AnnData file (.h5ad), or another format that datasets.load reads.")]
Groupby = Annotated[str, Panel.DATA.option(help="Column of obs that names each cell's cluster.")]
Layer = Annotated[str | None, Panel.DATA.option(help="Layer to use, or to prepare with --preprocess; X when left out.")]
Raw = Annotated[
    bool, Panel.DATA.option("--raw", "--use-raw", help="Use the values and genes of adata.raw in place of X.")
]
Mod = Annotated[
    str | None,
    Panel.DATA.option(
        help="The modality of a MuData file (rna when left out), or the assay of a Seurat object.", metavar="NAME"
    ),
]
MaskVar = Annotated[
    str | None,
    Panel.DATA.option(help="Attack only the genes for which this column of var is True.", metavar="COLUMN"),
]
Prepare = Annotated[
    Preprocess,
    Panel.DATA.option(
        "--preprocess",
        help="lognorm: log-normalise raw counts; counts: log-normalise and z-score raw counts; scale: z-score "
        "log-normalised values; none: leave them.",
    ),
]
TrainFile = Annotated[
    Path | None, Panel.CLASSIFIER.option("--train", help="Labelled cells to train on; left out, half of the data is.")
]
_CLASSIFIER = Panel.CLASSIFIER.option(
    help="random-forest or another family that is trained first, see: adverscarial list; sctype, sctype:MARKERS.tsv, "
    "or a file: .npz (of train), .skops (scikit-learn), .json or .ubj (XGBoost), .txt (LightGBM), .pkl, .pickle "
    "or .joblib (CellTypist, scikit-learn; needs --trust), .R or .R:FUNCTION (your own function in R), .rds (a "
    "model of R; needs --trust)."
)
ClassifierSpec = Annotated[str, _CLASSIFIER]
ClassifierSpecs = Annotated[list[str], _CLASSIFIER]
GuardOption = Annotated[
    GuardAction | None,
    Panel.CLASSIFIER.option(
        "--guard",
        help="Put a guard before every classifier, which learns from the training cells what values are possible. "
        'refuse: others are refused; clip: become the nearest possible ones; unsure: the cell is labelled "unknown".',
    ),
]
Tissue = Annotated[str | None, Panel.CLASSIFIER.option(help="Tissue of the marker table, for sctype.")]
Trust = Annotated[
    bool,
    Panel.CLASSIFIER.option(
        "--trust", help="Also read classifier files that can run code (pickles, .rds). Only if you know their origin."
    ),
]
Classes = Annotated[
    Path | None,
    Panel.CLASSIFIER.option(
        help="Text file, one class name a line, in the model's order: for XGBoost and LightGBM files, which name none."
    ),
]
Genes = Annotated[
    Path | None,
    Panel.CLASSIFIER.option(
        help="Text file, one gene a line, in the order of the model's columns: for files that do not name them."
    ),
]
Missing = Annotated[
    float | None,
    Panel.CLASSIFIER.option(help='XGBoost files: the value that means "no value" to the model.', metavar="NUMBER"),
]
Sparse = Annotated[
    str | None,
    Panel.CLASSIFIER.option(
        help="XGBoost files: missing, if the model was trained on a sparse matrix (it takes what such a matrix leaves "
        "out for missing); zero, if on a dense array.",
        metavar="zero|missing",
    ),
]
Rounds = Annotated[
    str | None,
    Panel.CLASSIFIER.option(
        help="XGBoost and LightGBM files: rounds of trees to use; best (up to the best of early stopping; the default "
        "for files), all, or a number.",
        metavar="best|all|N",
    ),
]
Absent = Annotated[
    MissingGenes,
    Panel.DATA.option(
        "--missing-genes",
        help="Genes that the classifier needs and the data do not have: an error, 0, or the mean that the classifier "
        "keeps of its training data.",
    ),
]
RRds = Annotated[
    Path | None,
    Panel.CLASSIFIER.option(
        "--r-rds", help="Stored model (.rds) that the function of a classifier in R takes first; needs --trust."
    ),
]
RForm = Annotated[
    str | None,
    Panel.CLASSIFIER.option(
        "--r-form",
        help="Whether the function in R labels cells, or a cluster as f(expression, clusters, target); left out, its "
        "arguments tell.",
        metavar="cells|cluster",
    ),
]
RTimeout = Annotated[
    float | None,
    Panel.CLASSIFIER.option(
        "--r-timeout", help="Seconds that R may take to read its script, and for each query; 600 when left out."
    ),
]
Seed = Annotated[int, Panel.RUNNING.option(help="Of every random draw; the same seed gives the same result.")]
Budget = Annotated[
    int | None, Panel.RUNNING.option(help="Most queries of the classifier, for each attack on each cluster.")
]
Jobs = Annotated[int, Panel.RUNNING.option(help="Processes; -1 for all cores.")]
Overwrite = Annotated[bool, Panel.OUTPUT.option("--overwrite", help="Replace what is there already.")]
AsJson = Annotated[bool, Panel.OUTPUT.option("--json", help="Print JSON on standard output.")]
FailOver = Annotated[
    list[str] | None,
    Panel.OUTPUT.option(
        "--fail-over",
        help="Exit with code 1 if more than N single genes flip one cluster; for another attack its name and number, "
        "such as max-change=10. Repeat for several attacks.",
        metavar="N|ATTACK=N",
    ),
]


MinCells = Annotated[
    int | None, Panel.VERDICT.option("--min-cells", help="Clusters of fewer cells are not decided; 10 when left out.")
]
Right = Annotated[
    float | None,
    Panel.VERDICT.option(
        "--right", help="Share of the cells that must be right before any attack; 0.5 when left out.", metavar="SHARE"
    ),
]
Majority = Annotated[
    float | None,
    Panel.VERDICT.option(
        "--majority",
        help="Share of the cells that those with the label must exceed; 0.5 when left out.",
        metavar="SHARE",
    ),
]
Few = Annotated[
    int | None,
    Panel.VERDICT.option("--few", help="A label that so many genes, or fewer, flip is fragile; 3 when left out."),
]
Small = Annotated[
    float | None,
    Panel.VERDICT.option(
        "--small",
        help="With a stress test: a label that is lost at so large a share of counts, genes or "
        "cells is fragile; 0.2 when left out.",
        metavar="SHARE",
    ),
]


@dataclass(frozen=True, kw_only=True)
class Deciding:
    """Thresholds of the verdicts: see :func:`adverscarial.evaluation.verdicts`. None: the usual one."""

    min_cells: MinCells = None
    right: Right = None
    majority: Majority = None
    few: Few = None
    small: Small = None


def rules_of(deciding: Deciding) -> dict[str, float]:
    """Return the thresholds that were set.

    Raises
    ------
    ParameterError
        If one is out of its range.
    """
    given = {name: value for name, value in vars(deciding).items() if value is not None}
    for name, value in given.items():
        flag = name.replace("_", "-")
        if name in ("right", "majority", "small") and not 0 <= value <= 1:
            raise ParameterError(f"--{flag} must be a share from 0 to 1, got {value}.")
        if name in ("min_cells", "few") and value < 1:
            raise ParameterError(f"--{flag} must be at least 1, got {value}.")
    return given


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How files of data and of classifiers are read: the options of every command that asks a classifier.

    Attributes
    ----------
    tissue, classes, genes, missing, sparse, rounds, trust
        What a classifier's file does not say itself, and whether it may run code.
    r_rds, r_form, r_timeout
        The same of classifiers in R.
    mod, preprocess, layer, raw, missing_genes
        Which values of the data are used.
    """

    tissue: Tissue = None
    classes: Classes = None
    genes: Genes = None
    missing: Missing = None
    sparse: Sparse = None
    rounds: Rounds = None
    r_rds: RRds = None
    r_form: RForm = None
    r_timeout: RTimeout = None
    trust: Trust = False
    mod: Mod = None
    preprocess: Prepare = Preprocess.none
    layer: Layer = None
    raw: Raw = False
    missing_genes: Absent = MissingGenes.error

    @property
    def asked(self) -> str | None:
        """The layer that classifiers are asked about: X once values were prepared."""
        return self.layer if self.preprocess is Preprocess.none else None


def with_groups(command: Callable[..., Ended]) -> Callable[..., Ended]:
    """Give a command, as typer sees it, the fields of a dataclass among its parameters as options of its own.

    The options stand where the parameter stands; the command gets them as one value.
    """
    signature = inspect.signature(command, eval_str=True)
    annotations = {p.name: p.annotation for p in signature.parameters.values()}
    groups = {name: kind for name, kind in annotations.items() if isinstance(kind, type) and is_dataclass(kind)}

    @wraps(command)
    def wrapped(**arguments: object) -> Ended:
        made = {
            name: group(**{field.name: arguments.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        return command(**arguments, **made)

    shown: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        if parameter.name in groups:
            shown += _options_of(groups[parameter.name])
        elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
            shown.append(parameter)
        else:  # in any order, whether they have defaults or not
            shown.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
    setattr(wrapped, "__signature__", signature.replace(parameters=shown))  # noqa: B010 - mypy knows no such name
    return wrapped


def _options_of(group: type) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(group)
    ]
