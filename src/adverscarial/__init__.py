"""How easily can a cell-type label be flipped? Exact, fast attacks on single-cell classifiers, for AnnData.

Each name is loaded when it is first used: importing the package alone loads none of the libraries that it needs.
"""

from importlib import import_module as _import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adverscarial import attacks, classifiers, datasets, errors, pl
    from adverscarial import cells as cells
    from adverscarial import evaluation as evaluation
    from adverscarial import hardening as hardening
    from adverscarial import modifications as modifications
    from adverscarial import stresses as stresses
    from adverscarial import surveys as surveys
    from adverscarial.attacks.ranking import rank_genes
    from adverscarial.classifiers.prediction import ClusterPrediction, predict
    from adverscarial.evaluation.comparison import compare
    from adverscarial.evaluation.detectability import detectability
    from adverscarial.evaluation.fragility import fragility
    from adverscarial.evaluation.robustness import curve_along, robustness_curve
    from adverscarial.evaluation.sweep import sweep
    from adverscarial.evaluation.transfer import transfer
    from adverscarial.hardening import Hardening, adversarial_cells, harden
    from adverscarial.modifications import (
        Aberrant,
        Custom,
        Decile,
        Dropout,
        Fixed,
        Modification,
        Percentile,
        Random,
        Thinning,
        modify,
    )
    from adverscarial.stresses import StressResult, stress
    from adverscarial.surveys import Survey, survey

__version__ = _version("adverscarial")

__all__ = [
    "Aberrant",
    "ClusterPrediction",
    "Custom",
    "Decile",
    "Dropout",
    "Fixed",
    "Hardening",
    "Modification",
    "Percentile",
    "Random",
    "StressResult",
    "Survey",
    "Thinning",
    "adversarial_cells",
    "attacks",
    "classifiers",
    "compare",
    "curve_along",
    "datasets",
    "detectability",
    "errors",
    "fragility",
    "harden",
    "modify",
    "pl",
    "predict",
    "rank_genes",
    "robustness_curve",
    "stress",
    "survey",
    "sweep",
    "transfer",
]

#: rooms that can be reached, too, without an import of their own
_ROOMS = ("cells", "evaluation", "hardening", "modifications", "stresses", "surveys")

#: where a name is defined, as above; a name that is not here is a module of its own
_HOMES = {
    "attacks.ranking": ("rank_genes",),
    "classifiers.prediction": ("ClusterPrediction", "predict"),
    "evaluation.comparison": ("compare",),
    "evaluation.detectability": ("detectability",),
    "evaluation.fragility": ("fragility",),
    "evaluation.robustness": ("curve_along", "robustness_curve"),
    "evaluation.sweep": ("sweep",),
    "evaluation.transfer": ("transfer",),
    "hardening": ("Hardening", "adversarial_cells", "harden"),
    "modifications": (
        "Aberrant", "Custom", "Decile", "Dropout", "Fixed", "Modification", "Percentile", "Random", "Thinning",
        "modify",
    ),
    "stresses": ("StressResult", "stress"),
    "surveys": ("Survey", "survey"),
}  # fmt: skip


if not TYPE_CHECKING:  # a type checker sees the names above, and no others

    def __getattr__(name: str) -> object:
        """Load a public name when it is first used, and keep it."""
        if name not in __all__ and name not in _ROOMS:
            raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
        home = next((home for home, names in _HOMES.items() if name in names), None)
        module = _import_module(f"{__name__}.{name if home is None else home}")
        value = module if home is None else getattr(module, name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_ROOMS})
