"""Numbers about attacks: curves along an attack, comparisons of classifiers, and how visible an attack is."""

from adverscarial.evaluation.at_limit import AtLimit
from adverscarial.evaluation.certificates import CertificateCheck, verify_certificate
from adverscarial.evaluation.comparison import compare
from adverscarial.evaluation.curves import Curve
from adverscarial.evaluation.detectability import Detectability, detectability
from adverscarial.evaluation.differential import differential
from adverscarial.evaluation.discovery import Discovery, discover
from adverscarial.evaluation.fragility import fragility
from adverscarial.evaluation.guarding import guarding
from adverscarial.evaluation.harm import harm
from adverscarial.evaluation.null import null_flips
from adverscarial.evaluation.robustness import curve_along, robustness_curve
from adverscarial.evaluation.scores import accuracy_curve, f1_curve, roc_curve_of_cluster
from adverscarial.evaluation.sweep import sweep
from adverscarial.evaluation.transfer import transfer
from adverscarial.evaluation.verdicts import verdicts

__all__ = [
    "AtLimit",
    "CertificateCheck",
    "Curve",
    "Detectability",
    "Discovery",
    "accuracy_curve",
    "compare",
    "curve_along",
    "detectability",
    "differential",
    "discover",
    "f1_curve",
    "fragility",
    "guarding",
    "harm",
    "null_flips",
    "robustness_curve",
    "roc_curve_of_cluster",
    "sweep",
    "transfer",
    "verdicts",
    "verify_certificate",
]
